//! The activities on a contact's timeline.

use jiff::civil::DateTime;
use serde_json::{Value, json};

use super::{Vbout, errors::Failure, parameters::Call};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    pub description: String,
    /// In the account's time zone.
    pub at: DateTime,
}

impl Vbout {
    /// Each call adds one: VBOUT recognises no repeats.
    pub(super) fn add_activity(&mut self, call: &Call) -> Result<Value, Failure> {
        let id = self.known_contact(call)?;
        let description = call.required("description")?.to_owned();
        let at = call.required("datetime")?;
        let at = DateTime::strptime("%Y-%m-%d %H:%M", at).map_err(|_| Failure::invalid("datetime"))?;
        let activities = &mut self.contacts.get_mut(&id).unwrap().activities;
        activities.push(Activity { description, at });
        Ok(json!({ "item": "Activity has been added successfully!" }))
    }

    pub(super) fn timeline(&self, call: &Call) -> Result<Value, Failure> {
        let id = self.known_contact(call)?;
        Ok(self.show_timeline(id))
    }

    /// The parameter's name begins with a capital letter in the published OpenAPI.
    pub(super) fn timeline_by_address(&self, call: &Call) -> Result<Value, Failure> {
        let found = self.with_address(call.required("Email")?, None);
        let id = found.first().ok_or_else(Failure::no_contact)?;
        Ok(self.show_timeline(*id))
    }

    fn show_timeline(&self, id: u64) -> Value {
        let contact = &self.contacts[&id];
        let rows = contact.activities.iter().rev().map(|activity| {
            json!({
                "key": "activity", "snippet": activity.description,
                "datetime": activity.at.strftime("%Y-%m-%d %I:%M %p").to_string(), "details": [],
            })
        });
        let rows: Vec<Value> = rows.collect();
        json!({
            "id": id, "email": contact.email,
            "timeline": { "data": rows, "count": rows.len(), "total": rows.len() },
        })
    }
}
