//! Creating, changing and deleting records, with duplicate rules, locks and the org's own rules.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Salesforce,
    errors::RowError,
    record::{self, Record, Values},
    schema::Object,
};

/// What a duplicate rule does when it finds a contact or lead with the same address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DuplicateRule {
    Off,
    /// Refuses, unless the caller insists.
    Alert,
    Block,
}

/// What a validation rule or a trigger of the org refuses: records that would have this value.
#[derive(Debug, Clone)]
pub struct OrgRule {
    pub field: String,
    pub value: Value,
    pub error: RowError,
    /// How often it refuses; `None`: always.
    pub times: Option<usize>,
}

/// Headers of a call.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Options {
    pub allow_duplicates: bool,
}

impl Salesforce {
    pub(super) fn insert(
        &mut self,
        object: &Object,
        sent: Vec<(String, Value)>,
        options: Options,
    ) -> Result<String, RowError> {
        let mut values = Values::new();
        put(&mut values, sent);
        self.refuse_by_rule(&values)?;
        self.check_record(object, "", &values)?;
        self.check_duplicates(object, &values, options)?;
        self.last_number += 1;
        let (id, now) = (record::id(&object.prefix, self.last_number), self.now());
        let record = Record {
            object: object.name.clone(),
            id: id.clone(),
            values,
            created: now,
            modified: now,
            is_deleted: false,
        };
        self.records.insert(id.clone(), record);
        Ok(id)
    }

    pub(super) fn update(
        &mut self,
        object: &Object,
        id: &str,
        sent: Vec<(String, Value)>,
    ) -> Result<String, RowError> {
        let record = self.changeable(Some(object), id)?.clone();
        if record.is_true("IsConverted") {
            let message = "cannot reference converted lead";
            return Err(RowError::of("CANNOT_UPDATE_CONVERTED_LEAD", message, &[]));
        }
        let mut values = record.values;
        put(&mut values, sent);
        self.refuse_by_rule(&values)?;
        self.check_record(object, &record.id, &values)?;
        let now = self.now();
        if let Some(kept) = self.records.get_mut(&record.id) {
            kept.values = values;
            kept.modified = now;
        }
        Ok(record.id)
    }

    pub(super) fn delete(&mut self, id: &str) -> Result<String, RowError> {
        let id = self.changeable(None, id)?.id.clone();
        if self.undeletable.contains(&id) {
            let message =
                "Your attempt to delete it could not be completed because it is associated with cases";
            return Err(RowError::new("DELETE_FAILED", message));
        }
        for record in self.records.values_mut() {
            let is_child = record.object == "CampaignMember"
                && record
                    .values
                    .values()
                    .any(|value| value.as_str() == Some(id.as_str()));
            record.is_deleted |= is_child || record.id == id;
        }
        Ok(id)
    }

    /// The record, unless it is deleted, locked, or of another object.
    fn changeable(&mut self, object: Option<&Object>, id: &str) -> Result<&Record, RowError> {
        let found = self.records.values();
        let Some(found) = found
            .filter(|record| record::is_same(&record.id, id))
            .map(|record| record.id.clone())
            .next()
        else {
            let is_id = matches!(id.len(), 15 | 18);
            let code = if is_id {
                "INVALID_CROSS_REFERENCE_KEY"
            } else {
                "MALFORMED_ID"
            };
            return Err(RowError::new(code, "invalid cross reference id"));
        };
        if let Some(times) = self.locked.get_mut(&found).filter(|times| **times > 0) {
            *times -= 1;
            let message = format!("unable to obtain exclusive access to this record or 1 records: {found}");
            return Err(RowError::new("UNABLE_TO_LOCK_ROW", message));
        }
        let Some(record) = self.records.get(&found) else {
            return Err(RowError::new("ENTITY_IS_DELETED", "entity is deleted"));
        };
        if record.is_deleted {
            return Err(RowError::new("ENTITY_IS_DELETED", "entity is deleted"));
        }
        if object.is_some_and(|object| object.name != record.object) {
            return Err(RowError::new("INVALID_FIELD", "Invalid id for this object"));
        }
        Ok(record)
    }

    fn refuse_by_rule(&mut self, values: &Values) -> Result<(), RowError> {
        let rule = self
            .rules
            .iter_mut()
            .find(|rule| rule.times != Some(0) && values.get(&rule.field) == Some(&rule.value));
        let Some(rule) = rule else { return Ok(()) };
        rule.times = rule.times.map(|times| times - 1);
        Err(rule.error.clone())
    }

    fn check_duplicates(&self, object: &Object, values: &Values, options: Options) -> Result<(), RowError> {
        let is_refused = match self.duplicate_rule {
            DuplicateRule::Off => false,
            DuplicateRule::Alert => !options.allow_duplicates,
            DuplicateRule::Block => true,
        };
        let email = values.get("Email").and_then(Value::as_str);
        let Some(email) = email.filter(|_| is_refused) else {
            return Ok(());
        };
        let others = self.live(&object.name);
        if others
            .into_iter()
            .any(|record| record.text("Email").eq_ignore_ascii_case(email))
        {
            return Err(RowError::new("DUPLICATES_DETECTED", "Use one of these records?"));
        }
        Ok(())
    }

    /// The records of an object that are not deleted, oldest first.
    pub fn live(&self, object: &str) -> Vec<&Record> {
        let records = self.records.values();
        records
            .filter(|record| record.object == object && !record.is_deleted)
            .collect()
    }

    pub fn by_id(&self, id: &str) -> Option<&Record> {
        let mut records = self.records.values();
        records.find(|record| record::is_same(&record.id, id) && !record.is_deleted)
    }

    /// All records, to put them back.
    pub(super) fn snapshot(&self) -> BTreeMap<String, Record> {
        self.records.clone()
    }
}

fn put(values: &mut Values, sent: Vec<(String, Value)>) {
    for (name, value) in sent {
        if value.is_null() {
            values.remove(&name);
        } else {
            values.insert(name, value);
        }
    }
}
