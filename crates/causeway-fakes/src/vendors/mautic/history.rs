//! Notes, points, and the events of a contact.

use causeway_core::clock::Timestamp;
use serde_json::{Value, json};

use super::{Call, Done, Mautic, errors::Failure, php, time};

#[derive(Debug, Clone)]
pub struct Note {
    pub contact: u64,
    pub kind: String,
    pub text: String,
    pub at: Timestamp,
}

/// Points that a contact was given or lost.
#[derive(Debug, Clone)]
pub struct Gain {
    pub contact: u64,
    pub event: String,
    pub action: String,
    pub delta: i64,
    pub at: Timestamp,
}

impl Mautic {
    pub(super) fn create_note(&mut self, call: &Call<'_>) -> Result<Done, Failure> {
        let text = |name: &str| call.body.get(name).map(php::text).unwrap_or_default();
        if text("text").is_empty() {
            return Err(Failure::invalid("text", "This value should not be blank."));
        }
        let kind = Some(text("type")).filter(|kind| !kind.is_empty());
        let kind = kind.unwrap_or_else(|| "general".to_owned());
        if !["general", "email", "call", "meeting"].contains(&kind.as_str()) {
            return Err(Failure::invalid("type", "This value is not valid."));
        }
        if text("lead").is_empty() {
            return Err(Failure::new(400, "lead ID is mandatory"));
        }
        let contact = self.known(&text("lead"))?;
        self.may_edit(contact)?;
        let id = self.next_id();
        let note = Note {
            contact,
            kind,
            text: text("text"),
            at: text("dateTime").parse().unwrap_or_else(|_| self.now()),
        };
        self.notes.insert(id, note);
        Ok((201, json!({ "note": self.shown_note(id) })))
    }

    pub(super) fn read_note(&self, id: &str) -> Result<Done, Failure> {
        let id: u64 = id.parse().map_err(|_| Failure::not_found())?;
        let is_known = self.notes.contains_key(&id);
        is_known.then_some(()).ok_or_else(Failure::not_found)?;
        Ok((200, json!({ "note": self.shown_note(id) })))
    }

    /// The newest first.
    pub(super) fn notes_of(&self, contact: &str, call: &Call<'_>) -> Result<Done, Failure> {
        let contact = self.known(contact)?;
        let search = call.parameter("search").unwrap_or_default();
        let own = self.notes.iter().rev();
        let own = own.filter(|(_, note)| note.contact == contact && note.text.contains(search));
        let ids: Vec<u64> = own.map(|(id, _)| *id).collect();
        let total = ids.len().to_string();
        let rows: Vec<Value> = call.page(ids).into_iter().map(|id| self.shown_note(id)).collect();
        Ok((200, json!({ "total": total, "notes": rows })))
    }

    fn shown_note(&self, id: u64) -> Value {
        let note = &self.notes[&id];
        json!({
            "id": id, "text": note.text, "type": note.kind, "dateTime": time(note.at), "lead": { "id": note.contact },
        })
    }

    pub(super) fn add_points(
        &mut self,
        contact: &str,
        operator: &str,
        delta: &str,
        call: &Call<'_>,
    ) -> Result<Done, Failure> {
        let contact = self.known(contact)?;
        self.may_edit(contact)?;
        let delta: i64 = delta.parse().unwrap_or_default();
        let points = &mut self.contacts.get_mut(&contact).unwrap().points;
        match operator {
            "plus" => *points += delta,
            "minus" => *points -= delta,
            _ => return Err(Failure::new(400, "Invalid operator")),
        }
        let text = |name: &str| call.body.get(name).map(php::text).filter(|text| !text.is_empty());
        let gain = Gain {
            contact,
            event: text("eventName").unwrap_or_else(|| "Add points".to_owned()),
            action: text("actionName").unwrap_or_else(|| "via API".to_owned()),
            delta: if operator == "plus" { delta } else { -delta },
            at: self.now(),
        };
        self.gains.push(gain);
        Ok((200, json!({ "success": 1 })))
    }

    pub(super) fn activity_of(&self, contact: &str, call: &Call<'_>) -> Result<Done, Failure> {
        let contact = self.known(contact)?;
        let wanted: Vec<&str> = call.parameters("filters[includeEvents][]").collect();
        let search = call.parameter("filters[search]").unwrap_or_default();
        let mut events = Vec::new();
        if wanted.is_empty() || wanted.contains(&"point.gained") {
            let own = self.gains.iter().filter(|gain| gain.contact == contact);
            let own = own.filter(|gain| gain.event.contains(search) || gain.action.contains(search));
            events.extend(own.map(|gain| {
                let log = json!({
                    "eventName": gain.event, "actionName": gain.action, "type": "API", "delta": gain.delta,
                    "dateAdded": time(gain.at),
                });
                json!({
                    "event": "point.gained", "eventLabel": format!("{} / {}", gain.event, gain.delta),
                    "timestamp": time(gain.at), "extra": { "log": log }, "contactId": contact,
                })
            }));
        }
        if wanted.is_empty() || wanted.contains(&"lead.donotcontact") {
            let entries = self.contacts[&contact].do_not_contact.iter();
            events.extend(entries.map(|entry| {
                json!({
                    "event": "lead.donotcontact", "eventLabel": entry.channel, "timestamp": time(entry.added),
                    "extra": { "dnc": { "reason": entry.reason, "comments": entry.comments } }, "contactId": contact,
                })
            }));
        }
        let total = events.len();
        let limit = call
            .parameter("limit")
            .and_then(|limit| limit.parse().ok())
            .unwrap_or(25);
        events.reverse();
        events.truncate(limit);
        let filters = json!({ "search": search, "includeEvents": wanted, "excludeEvents": [] });
        Ok((
            200,
            json!({ "events": events, "filters": filters, "total": total, "page": 1, "limit": limit }),
        ))
    }
}
