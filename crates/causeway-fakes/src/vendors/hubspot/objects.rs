//! Single records, and lists of them.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    HubSpot,
    answer::{Answer, Call, Failure, need_fields, text_of},
    batch,
    record::{Kind, Objects, Record, Show},
    search::search,
};
use crate::fake_api::Reply;

const READ: &str = "crm.objects.contacts.read";
const WRITE: &str = "crm.objects.contacts.write";

/// HubSpot's number of the association of a note with a contact.
pub(super) const NOTE_TO_CONTACT: u64 = 202;

impl HubSpot {
    pub(super) fn objects(&mut self, kind: Kind, rest: &[&str], call: &Call<'_>) -> Answer {
        let reads = call.method == "GET" || matches!(rest, ["search"] | ["batch", "read"]);
        call.need_any(&[if reads { READ } else { WRITE }])?;
        let lag = SignedDuration::try_from(self.search_lag).unwrap_or(SignedDuration::MAX);
        let batches = self.batches.clone();
        let objects = match kind {
            Kind::Contact => &mut self.contacts,
            Kind::Note => &mut self.notes,
        };
        objects.begin();
        match (call.method, rest) {
            ("GET", []) => list(objects, call),
            ("POST", []) => self.create(kind, call),
            ("POST", ["batch", action]) => batch::answer(objects, &batches, action, call),
            ("POST", ["search"]) => {
                let until = call.now.saturating_sub(lag).unwrap_or(Timestamp::MIN);
                search(objects, until, &call.json()?)
            }
            ("POST", ["gdpr-delete"]) if kind == Kind::Contact => {
                let body = call.json_with(&["objectId"])?;
                let by_address = body["idProperty"] == "email";
                let erased = objects.erase(&text_of(&body["objectId"])?, by_address)?;
                self.forget(erased);
                Ok(Reply::status(204))
            }
            ("POST", ["merge"]) if kind == Kind::Contact => self.merge(call),
            ("GET", [id]) => {
                let record = single(objects, id, call)?;
                let mut body = objects.json(record, &Show::Named(&call.list("properties")));
                associations(&mut body, record, call);
                Ok(Reply::json(200, &body))
            }
            ("PATCH", [id]) => {
                let id = single(objects, id, call)?.id;
                objects.update(id, &call.json_with(&["properties"])?["properties"], call.now)?;
                one(objects, 200, id)
            }
            ("DELETE", [id]) => {
                // To archive a record again is no error.
                let known = id.parse().ok().filter(|id| objects.records.contains_key(id));
                let id = known.map_or_else(|| single(objects, id, call).map(|record| record.id), Ok)?;
                objects.archive(id, call.now);
                Ok(Reply::status(204))
            }
            ("PUT", [from, "associations", "default", to_type, to]) => {
                self.associate(kind, from, Kind::of_path(to_type), to, call)
            }
            _ => Err(Failure::not_found()),
        }
    }

    fn create(&mut self, kind: Kind, call: &Call<'_>) -> Answer {
        let body = call.json_with(&["properties"])?;
        let contacts = self.wanted_contacts(kind, &body["associations"])?;
        let objects = match kind {
            Kind::Contact => &mut self.contacts,
            Kind::Note => &mut self.notes,
        };
        let id = objects.create(&body["properties"], call.now)?;
        if let Some(record) = objects.records.get_mut(&id) {
            record.contacts = contacts;
        }
        one(objects, 201, id)
    }

    /// The contacts with which a new note is to be associated.
    fn wanted_contacts(&self, kind: Kind, associations: &Value) -> Result<BTreeSet<u64>, Failure> {
        let mut contacts = BTreeSet::new();
        if kind == Kind::Contact {
            return Ok(contacts);
        }
        for association in associations.as_array().into_iter().flatten() {
            need_fields(association, &["to", "types"])?;
            let mut types = association["types"].as_array().into_iter().flatten();
            let is_known = types.all(|of| {
                of["associationCategory"] == "HUBSPOT_DEFINED" && of["associationTypeId"] == NOTE_TO_CONTACT
            });
            if !is_known {
                let message =
                    "invalid to object type for associations to be created from 0-46. expected: 0-1";
                return Err(Failure::invalid(message));
            }
            let id = text_of(&association["to"]["id"])?;
            let contact = id.parse().ok().and_then(|id| self.contacts.by_id(id));
            let Some(contact) = contact else {
                let context = json!({ "INVALID_OBJECT_IDS": [id], "objectType": ["CONTACT"] });
                let failure = Failure::invalid("One or more associations are invalid");
                return Err(failure.with("context", context));
            };
            contacts.insert(contact.id);
        }
        Ok(contacts)
    }

    fn merge(&mut self, call: &Call<'_>) -> Answer {
        let body = call.json_with(&["primaryObjectId", "objectIdToMerge"])?;
        let id = |name: &str| text_of(&body[name])?.parse().map_err(|_| Failure::not_found());
        let (primary, other) = (id("primaryObjectId")?, id("objectIdToMerge")?);
        let merged = self.contacts.merge(primary, other, call.now)?;
        self.replace_merged();
        one(&self.contacts, 200, merged)
    }
}

fn one(objects: &Objects, status: u16, id: u64) -> Answer {
    let record = objects.records.get(&id).ok_or_else(Failure::not_found)?;
    Ok(Reply::json(status, &objects.json(record, &Show::All)))
}

fn single<'a>(objects: &'a Objects, id: &str, call: &Call<'_>) -> Result<&'a Record, Failure> {
    if let Some(property) = call
        .query("idProperty")
        .filter(|property| *property != "hs_object_id")
    {
        return objects.find(id, property)?.ok_or_else(Failure::not_found);
    }
    let Ok(number) = id.parse() else {
        let message = "Object not found.  objectId are usually numeric.";
        return Err(Failure::new(404, "OBJECT_NOT_FOUND", message).context("id", &[id]));
    };
    let archived = call.query("archived") == Some("true");
    let in_bin = objects.records.get(&number).filter(|_| archived);
    in_bin
        .or_else(|| objects.by_id(number))
        .ok_or_else(Failure::not_found)
}

fn associations(body: &mut Value, record: &Record, call: &Call<'_>) {
    let wanted = call
        .list("associations")
        .iter()
        .any(|of| Kind::of_path(of) == Some(Kind::Contact));
    if wanted && !record.contacts.is_empty() {
        let ids = record.contacts.iter();
        let results: Vec<Value> = ids
            .map(|id| json!({ "id": id.to_string(), "type": "note_to_contact" }))
            .collect();
        body["associations"] = json!({ "contacts": { "results": results } });
    }
}

fn list(objects: &Objects, call: &Call<'_>) -> Answer {
    let limit = call.limit(10, 100)?;
    let after = call
        .query("after")
        .map_or(Ok(0), str::parse::<u64>)
        .map_err(|_| Failure::invalid("after is not valid"))?;
    let archived = call.query("archived") == Some("true");
    let wanted = call.list("properties");
    let mut records = objects
        .records
        .range(after + 1..)
        .map(|(_, record)| record)
        .filter(|record| record.archived.is_some() == archived)
        .peekable();
    let page: Vec<&Record> = records.by_ref().take(limit).collect();
    let results: Vec<Value> = page
        .iter()
        .map(|record| {
            let mut body = objects.json(record, &Show::Named(&wanted));
            associations(&mut body, record, call);
            body
        })
        .collect();
    let mut body = json!({ "results": results });
    if records.peek().is_some()
        && let Some(last) = page.last()
    {
        let after = last.id.to_string();
        let link = format!("https://api.hubapi.com/{}?after={after}", call.segments.join("/"));
        body["paging"] = json!({ "next": { "after": after, "link": link } });
    }
    Ok(Reply::json(200, &body))
}
