//! Contacts: search, upsert, change, batches and deletion.

use std::collections::{BTreeMap, BTreeSet};

use causeway_core::clock::Timestamp;
use serde_json::{Map, Value, json};

use super::{Call, Done, Mautic, dnc::Entry, errors::Failure, fields, php, time};

#[derive(Debug, Clone, Default)]
pub struct Contact {
    /// Alias → value.
    pub values: BTreeMap<String, String>,
    pub tags: BTreeSet<String>,
    pub do_not_contact: Vec<Entry>,
    pub points: i64,
    /// Somebody else's: the user may not edit it.
    pub is_foreign: bool,
    pub added: Timestamp,
}

impl Contact {
    pub fn email(&self) -> &str {
        self.values.get("email").map_or("", String::as_str)
    }
}

/// How a contact is written.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Way {
    /// `POST`: empty values and zeros change nothing.
    Post,
    Patch,
    /// Values that are not given are cleared.
    Put,
}

impl Mautic {
    /// The contacts with this address, the oldest first.
    pub fn by_email(&self, email: &str) -> Vec<(u64, &Contact)> {
        let email = email.to_lowercase();
        let all = self.contacts.iter();
        all.filter(|(_, contact)| contact.email() == email)
            .map(|(id, contact)| (*id, contact))
            .collect()
    }

    /// A contact that came another way, such as an import: several may have one address.
    pub fn import_contact(&mut self, email: &str) -> u64 {
        let id = self.next_id();
        let added = self.now();
        let contact = Contact {
            values: BTreeMap::from([("email".to_owned(), email.to_lowercase())]),
            added,
            ..Contact::default()
        };
        self.contacts.insert(id, contact);
        id
    }

    pub(super) fn read_contact(&self, id: &str) -> Result<Done, Failure> {
        let id = self.known(id)?;
        Ok((200, json!({ "contact": self.shown(id) })))
    }

    pub(super) fn create_contact(&mut self, call: &Call<'_>) -> Result<Done, Failure> {
        let given = call.object()?;
        let (status, id) = self.upsert(&given)?;
        Ok((status, json!({ "contact": self.shown(id) })))
    }

    /// Creates the contact, or writes the one that is found by a unique field.
    pub(super) fn upsert(&mut self, given: &Map<String, Value>) -> Result<(u16, u64), Failure> {
        if let Some(id) = self.duplicate(given) {
            self.may_edit(id)?;
            self.write(id, given, Way::Post)?;
            return Ok((200, id));
        }
        fields::checked(&self.fields, given)?;
        let id = self.next_id();
        let contact = Contact {
            added: self.now(),
            ..Contact::default()
        };
        self.contacts.insert(id, contact);
        let written = self.write(id, given, Way::Post);
        if written.is_err() {
            self.contacts.remove(&id);
        }
        written.map(|()| (201, id))
    }

    /// The newest contact with the same value in a unique field.
    fn duplicate(&self, given: &Map<String, Value>) -> Option<u64> {
        let unique = self
            .fields
            .iter()
            .filter(|field| field.is_unique && field.is_published);
        let wanted: Vec<(&str, String)> = unique
            .filter_map(|field| {
                Some((
                    field.alias.as_str(),
                    php::text(given.get(&field.alias)?).to_lowercase(),
                ))
            })
            .filter(|(_, value)| !value.trim().is_empty())
            .collect();
        let is_same = |contact: &Contact| {
            wanted.iter().any(|(alias, value)| {
                let have = contact.values.get(*alias);
                have.is_some_and(|have| have.to_lowercase() == value.trim())
            })
        };
        let all = self.contacts.iter().rev();
        let mut all = all.filter(|(_, contact)| is_same(contact));
        all.next().map(|(id, _)| *id)
    }

    fn write(&mut self, id: u64, given: &Map<String, Value>, way: Way) -> Result<(), Failure> {
        let values = fields::checked(&self.fields, given)?;
        let address = given
            .get("email")
            .map(php::text)
            .unwrap_or_default()
            .to_lowercase();
        if self.breaks.contains(&address) {
            return Err(Failure::exception());
        }
        let clears = way == Way::Put
            || given
                .get("overwriteWithBlank")
                .is_some_and(|value| php::int(value) != 0);
        let contact = self.contacts.get_mut(&id).unwrap();
        if way == Way::Put {
            contact.values.clear();
        }
        for (alias, value) in values {
            let is_zero = value.parse::<f64>().is_ok_and(|number| number == 0.0);
            if !clears && (value.is_empty() || is_zero) {
                continue;
            }
            contact.values.insert(alias, value);
        }
        if let Some(points) = given.get("points").map(php::int)
            && (clears || points != 0)
        {
            contact.points = points;
        }
        if let Some(tags) = given.get("tags") {
            modify_tags(&mut contact.tags, tags);
        }
        self.write_entries(id, given);
        Ok(())
    }

    pub(super) fn edit_contact(&mut self, id: &str, call: &Call<'_>) -> Result<Done, Failure> {
        let given = call.object()?;
        let way = if call.method == "PUT" {
            Way::Put
        } else {
            Way::Patch
        };
        let known = self.known(id).ok();
        let (status, id) = match known {
            Some(id) => (200, id),
            None if way == Way::Patch => return Err(Failure::not_found()),
            None => (201, self.import_contact("")),
        };
        self.edit(id, &given, way)?;
        Ok((status, json!({ "contact": self.shown(id) })))
    }

    /// Changes a contact. Another one with the same unique field is merged into it.
    pub(super) fn edit(&mut self, id: u64, given: &Map<String, Value>, way: Way) -> Result<(), Failure> {
        self.may_edit(id)?;
        fields::checked(&self.fields, given)?;
        if let Some(other) = self.duplicate(given).filter(|other| *other != id) {
            self.merge(id, other);
        }
        self.write(id, given, way)
    }

    /// Merges the loser into the winner, as a user does by hand, too.
    pub fn merge(&mut self, winner: u64, loser: u64) {
        let Some(lost) = self.contacts.remove(&loser) else {
            return;
        };
        let contact = self.contacts.get_mut(&winner).unwrap();
        for (alias, value) in lost.values {
            contact.values.entry(alias).or_insert(value);
        }
        contact.tags.extend(lost.tags);
        contact.points += lost.points;
        for entry in lost.do_not_contact {
            if !contact
                .do_not_contact
                .iter()
                .any(|have| have.channel == entry.channel)
            {
                contact.do_not_contact.push(entry);
            }
        }
        for note in self.notes.values_mut().filter(|note| note.contact == loser) {
            note.contact = winner;
        }
        for gain in self.gains.iter_mut().filter(|gain| gain.contact == loser) {
            gain.contact = winner;
        }
        for segment in self.segments.values_mut() {
            if segment.members.remove(&loser) {
                segment.members.insert(winner);
            }
        }
    }

    pub(super) fn delete_contact(&mut self, id: &str) -> Result<Done, Failure> {
        let id = self.known(id)?;
        self.may_edit(id)?;
        let mut shown = self.shown(id);
        // Doctrine takes the id away before the contact is shown.
        shown["id"] = Value::Null;
        self.contacts.remove(&id);
        self.notes.retain(|_, note| note.contact != id);
        self.gains.retain(|gain| gain.contact != id);
        for segment in self.segments.values_mut() {
            segment.members.remove(&id);
        }
        Ok((200, json!({ "contact": shown })))
    }

    pub(super) fn known(&self, id: &str) -> Result<u64, Failure> {
        let id: u64 = id.parse().map_err(|_| Failure::not_found())?;
        let is_known = self.contacts.contains_key(&id);
        is_known.then_some(id).ok_or_else(Failure::not_found)
    }

    pub(super) fn may_edit(&self, id: u64) -> Result<(), Failure> {
        let is_foreign = self.contacts[&id].is_foreign;
        (!is_foreign).then_some(()).ok_or_else(Failure::denied)
    }

    pub(super) fn shown(&self, id: u64) -> Value {
        let contact = &self.contacts[&id];
        let mut all = Map::from_iter([("id".to_owned(), id.to_string().into())]);
        let mut core = Map::new();
        for field in self.fields.iter().filter(|field| field.is_published) {
            let value = contact.values.get(&field.alias).map(|value| json!(value));
            let value = value.unwrap_or_default();
            all.insert(field.alias.clone(), value.clone());
            core.insert(
                field.alias.clone(),
                json!({ "alias": field.alias, "value": value }),
            );
        }
        let tags = contact.tags.iter().zip(1..);
        let tags: Vec<Value> = tags.map(|(tag, id)| json!({ "id": id, "tag": tag })).collect();
        json!({
            "isPublished": true, "dateAdded": time(contact.added), "id": id, "points": contact.points, "color": null,
            "fields": { "core": core, "social": [], "all": all }, "tags": tags, "ipAddresses": [], "utmtags": [],
            "owner": null, "stage": null, "doNotContact": self.entries_of(id), "frequencyRules": [],
        })
    }
}

/// Adds tags; a name behind a dash is taken away. A text is a list with commas.
fn modify_tags(tags: &mut BTreeSet<String>, given: &Value) {
    let names: Vec<String> = match given {
        Value::Array(names) => names.iter().map(php::text).collect(),
        other => php::text(other).split(',').map(str::to_owned).collect(),
    };
    for name in names {
        let name = name.trim();
        match name.strip_prefix('-') {
            Some(name) => {
                tags.remove(name);
            }
            None if name.is_empty() => {}
            None => {
                tags.insert(name.to_owned());
            }
        }
    }
}
