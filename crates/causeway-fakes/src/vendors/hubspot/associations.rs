//! Associations of notes with contacts.

use serde_json::{Value, json};

use super::{
    HubSpot,
    answer::{Answer, Call, Failure, need_fields, text_of},
    batch::{complete, inputs},
    objects::NOTE_TO_CONTACT,
    record::Kind,
};
use crate::fake_api::Reply;

const MOST: usize = 2_000;

impl HubSpot {
    /// Below `/crm/associations/2026-09`.
    pub(super) fn associations(&mut self, rest: &[&str], call: &Call<'_>) -> Answer {
        let [from, to, rest @ ..] = rest else {
            return Err(Failure::not_found());
        };
        let kinds = (Kind::of_path(from), Kind::of_path(to));
        if kinds != (Some(Kind::Note), Some(Kind::Contact)) {
            return Err(Failure::not_found());
        }
        match (call.method, rest) {
            ("GET", ["labels"]) => {
                call.need_any(&["crm.objects.contacts.read"])?;
                let unnamed =
                    json!({ "category": "HUBSPOT_DEFINED", "typeId": NOTE_TO_CONTACT, "label": null });
                Ok(Reply::json(200, &json!({ "results": [unnamed] })))
            }
            ("POST", ["batch", "associate", "default"]) => {
                call.need_any(&["crm.objects.contacts.write"])?;
                let body = call.json()?;
                let mut results = Vec::new();
                let mut errors = Vec::new();
                for input in inputs(&body, MOST)? {
                    need_fields(input, &["from", "to"])?;
                    let (from, to) = (text_of(&input["from"]["id"])?, text_of(&input["to"]["id"])?);
                    match self.associate_both(&from, &to) {
                        Some(pair) => results.extend(pair),
                        None => errors.push(missing(&from, &to).entry(None)),
                    }
                }
                let status = if errors.is_empty() {
                    200
                } else {
                    self.batches.mixed_status
                };
                Ok(complete(status, &results, &errors, call.now))
            }
            _ => Err(Failure::not_found()),
        }
    }

    /// `PUT …/{from}/associations/default/{kind}/{to}`
    pub(super) fn associate(
        &mut self,
        kind: Kind,
        from: &str,
        to_kind: Option<Kind>,
        to: &str,
        call: &Call<'_>,
    ) -> Answer {
        let (note, contact) = match (kind, to_kind) {
            (Kind::Note, Some(Kind::Contact)) => (from, to),
            (Kind::Contact, Some(Kind::Note)) => (to, from),
            _ => return Err(Failure::not_found()),
        };
        let pair = self.associate_both(note, contact);
        let pair = pair.ok_or_else(|| missing(note, contact))?;
        Ok(complete(200, &pair, &[], call.now))
    }

    fn associate_both(&mut self, note: &str, contact: &str) -> Option<[Value; 2]> {
        let contact = self.contacts.by_id(contact.parse().ok()?)?.id;
        let note = self.notes.by_id(note.parse().ok()?)?.id;
        self.notes.records.get_mut(&note)?.contacts.insert(contact);
        let (note, contact) = (note.to_string(), contact.to_string());
        let association = |from: &str, to: &str, id: u64| {
            json!({ "from": { "id": from }, "to": { "id": to },
                "associationSpec": { "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": id } })
        };
        // The other direction has the number before.
        Some([
            association(&note, &contact, NOTE_TO_CONTACT),
            association(&contact, &note, NOTE_TO_CONTACT - 1),
        ])
    }
}

fn missing(note: &str, contact: &str) -> Failure {
    let message = "One or more objects of the association do not exist";
    Failure::new(404, "OBJECT_NOT_FOUND", message).context("ids", &[note, contact])
}
