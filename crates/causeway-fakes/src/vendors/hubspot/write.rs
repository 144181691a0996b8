//! Creating, changing, merging and deleting records.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    answer::Failure,
    property::addresses,
    record::{Kind, Objects, Record, Values},
};

impl Objects {
    pub(super) fn create(&mut self, sent: &Value, now: Timestamp) -> Result<u64, Failure> {
        let values = self.checked(sent)?;
        self.create_checked(values, now)
    }

    pub(super) fn create_checked(&mut self, mut values: Values, now: Timestamp) -> Result<u64, Failure> {
        values.retain(|_, value| !value.trim_start_matches(';').is_empty());
        self.check_required(&values)?;
        self.check_unique(None, &values)?;
        let id = self.next_id;
        self.next_id += 1;
        let record = Record {
            id,
            values: values.clone(),
            created: now,
            updated: now,
            archived: None,
            contacts: std::collections::BTreeSet::new(),
            merged: Vec::new(),
            versions: vec![(now, values)],
        };
        self.put(record);
        Ok(id)
    }

    fn check_required(&self, values: &Values) -> Result<(), Failure> {
        let missing: Vec<&String> = self
            .required
            .iter()
            .filter(|name| !values.contains_key(*name))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let message = format!(
            "Error creating {}. Some required properties were not set.",
            self.kind.upper()
        );
        let errors =
            json!([{ "message": message, "code": "REQUIRED_FIELD", "context": { "properties": missing } }]);
        Err(Failure::invalid(&message).with("errors", errors))
    }

    /// `id` is that of a record that exists.
    pub(super) fn update(&mut self, id: u64, sent: &Value, now: Timestamp) -> Result<(), Failure> {
        let values = self.checked(sent)?;
        self.update_checked(id, values, now)
    }

    pub(super) fn update_checked(&mut self, id: u64, values: Values, now: Timestamp) -> Result<(), Failure> {
        self.check_unique(Some(id), &values)?;
        let several: Vec<String> = values
            .keys()
            .filter(|name| {
                let property = self.properties.get(name);
                *name == "hs_additional_emails"
                    || property.is_some_and(|property| property.field_type == "checkbox")
            })
            .cloned()
            .collect();
        let mut record = self.records.get(&id).cloned().ok_or_else(Failure::not_found)?;
        for (name, mut value) in values {
            let before = record.get(&name).to_owned();
            if name == "lifecyclestage" && !moves_forward(&before, &value) {
                // HubSpot ignores it without an error.
                continue;
            }
            if several.contains(&name)
                && let Some(more) = value.strip_prefix(';')
            {
                value = joined(&before, more);
            }
            if name == "email" && !value.is_empty() {
                promote(&mut record, &before, &value);
            }
            if value.is_empty() {
                record.values.remove(&name);
            } else {
                record.values.insert(name, value);
            }
        }
        record.updated = now;
        record.versions.push((now, record.values.clone()));
        self.put(record);
        Ok(())
    }

    /// Fails if one of them does not exist. The result is a new record; both ids lead to it.
    pub(super) fn merge(&mut self, primary: u64, other: u64, now: Timestamp) -> Result<u64, Failure> {
        let of = |id: u64| self.by_id(id).cloned().ok_or_else(Failure::not_found);
        let (primary, other) = (of(primary)?, of(other)?);
        if primary.id == other.id {
            return Err(Failure::invalid("A record cannot be merged with itself"));
        }
        let mut values = other.values.clone();
        values.extend(primary.values.clone());
        let more = addresses(primary.get("hs_additional_emails")).chain(other.addresses());
        let more: Vec<String> = more.filter(|address| address != primary.get("email")).collect();
        if self.kind == Kind::Contact && !more.is_empty() && !primary.get("email").is_empty() {
            values.insert("hs_additional_emails".to_owned(), more.join(";"));
        }
        let id = self.next_id;
        self.next_id += 1;
        let merged = [primary.merged, other.merged, vec![primary.id, other.id]].concat();
        for old in &merged {
            self.merged.insert(*old, id);
            self.take(*old);
        }
        let record = Record {
            id,
            values: values.clone(),
            created: primary.created.min(other.created),
            updated: now,
            archived: None,
            contacts: &primary.contacts | &other.contacts,
            merged,
            versions: vec![(now, values)],
        };
        self.put(record);
        Ok(id)
    }

    /// Moves a record to the recycle bin.
    pub(super) fn archive(&mut self, id: u64, now: Timestamp) {
        if let Some(record) = self.records.get(&id).filter(|record| record.archived.is_none()) {
            let archived = Some(now);
            self.put(Record {
                archived,
                ..record.clone()
            });
        }
    }

    /// Deletes a contact for good, with its history. Its addresses cannot be used again; an address that no contact has
    /// is blocked as well.
    pub(super) fn erase(&mut self, id: &str, by_address: bool) -> Result<Option<u64>, Failure> {
        let found = if by_address {
            self.by_address(id)
        } else {
            let id = id.parse().map_err(|_| Failure::not_found())?;
            Some(self.by_id(id).ok_or_else(Failure::not_found)?)
        };
        if by_address {
            let blocked = id.trim().to_lowercase();
            let Some(record) = found.cloned() else {
                self.blocked.insert(blocked);
                return Ok(None);
            };
            return Ok(Some(self.forget(&record)));
        }
        let found = found.cloned();
        Ok(found.map(|record| self.forget(&record)))
    }

    fn forget(&mut self, record: &Record) -> u64 {
        self.blocked.extend(record.addresses());
        self.take(record.id);
        self.merged.retain(|_, into| *into != record.id);
        record.id
    }
}

/// A secondary address that becomes the primary one changes places with it.
fn promote(record: &mut Record, before: &str, email: &str) {
    let others: Vec<String> = addresses(record.get("hs_additional_emails")).collect();
    if !others.iter().any(|address| address == email) {
        return;
    }
    let others = others
        .iter()
        .map(String::as_str)
        .filter(|address| *address != email);
    let others: Vec<&str> = others
        .chain([before])
        .filter(|address| !address.is_empty())
        .collect();
    record
        .values
        .insert("hs_additional_emails".to_owned(), others.join(";"));
}

fn joined(before: &str, more: &str) -> String {
    let mut all: Vec<&str> = before.split(';').filter(|value| !value.is_empty()).collect();
    for value in more.split(';').filter(|value| !value.is_empty()) {
        if !all.contains(&value) {
            all.push(value);
        }
    }
    all.join(";")
}

/// A stage is left only for a later one; an empty value clears it.
fn moves_forward(before: &str, to: &str) -> bool {
    let stages = [
        "subscriber",
        "lead",
        "marketingqualifiedlead",
        "salesqualifiedlead",
        "opportunity",
        "customer",
        "evangelist",
        "other",
    ];
    let place = |stage: &str| stages.iter().position(|have| *have == stage);
    to.is_empty() || before.is_empty() || place(to) >= place(before)
}
