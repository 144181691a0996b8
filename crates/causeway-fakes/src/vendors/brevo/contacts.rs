//! The endpoints below `/contacts`.

use serde_json::{Map, Value, json};

use super::{
    Brevo,
    call::{Answer, Call, Failure, numbers},
};
use crate::fake_api::Reply;

/// Contacts of one update. The number is not documented.
const MOST: usize = 100;

impl Brevo {
    pub(super) fn contacts(&mut self, rest: &[&str], call: &Call<'_>) -> Answer {
        match (call.method, rest) {
            ("GET", []) => {
                let (limit, offset) = call.page(50, 1_000)?;
                let shown = self.contacts.values().skip(offset).take(limit);
                let shown: Vec<Value> = shown.map(|contact| contact.to_json(call.now)).collect();
                Ok(Reply::json(
                    200,
                    &json!({ "contacts": shown, "count": self.contacts.len() }),
                ))
            }
            ("POST", []) => self.create(&call.json()?, call),
            ("POST", ["batch"]) => self.update_all(call),
            ("POST", ["doubleOptinConfirmation"]) => self.ask(&call.json()?),
            ("GET", [identifier]) => {
                let id = self.named(identifier, call.query("identifierType"))?;
                Ok(Reply::json(200, &self.contacts[&id].to_json(call.now)))
            }
            ("PUT", [identifier]) => {
                let id = self.named(identifier, call.query("identifierType"))?;
                let write = self.read_write(&call.json()?)?;
                self.write(Some(id), write, call.now)?;
                Ok(Reply::status(204))
            }
            ("DELETE", [identifier]) => {
                let id = self.named(identifier, call.query("identifierType"))?;
                self.contacts.remove(&id);
                Ok(Reply::status(204))
            }
            _ => Err(Failure::unknown_path()),
        }
    }

    /// 201 with the number of a new contact, 204 without a body for one that is there.
    fn create(&mut self, body: &Map<String, Value>, call: &Call<'_>) -> Answer {
        let write = self.read_write(body)?;
        if write.email.is_none() && write.ext_id.is_none() && write.number("SMS").is_none() {
            return Err(Failure::missing("email, ext_id or SMS is missing"));
        }
        let flag = |name: &str| body.get(name).and_then(Value::as_bool) == Some(true);
        let owners = self.owners(&write);
        // The contact that is updated: by the address, else by the id, else by the number.
        let known = owners.first().map(|(owner, _)| *owner);
        let known = owners
            .iter()
            .find(|(_, name)| *name == "email")
            .map_or(known, |(owner, _)| Some(*owner));
        if known.is_some() && !flag("updateEnabled") {
            let names: Vec<&str> = owners.iter().map(|(_, name)| *name).collect();
            return Err(Failure::duplicate(&names, self.duplicates_are_invalid));
        }
        if flag("forceMerge") {
            for (other, _) in owners.iter().filter(|(owner, _)| Some(*owner) != known) {
                self.contacts.remove(other);
            }
        }
        let id = self.write(known, write, call.now)?;
        Ok(match known {
            None => Reply::json(201, &json!({ "id": id })),
            Some(_) if flag("getId") => Reply::json(200, &json!({ "id": id })),
            Some(_) => Reply::status(204),
        })
    }

    /// Updates contacts that are there. One that is not fails them all.
    fn update_all(&mut self, call: &Call<'_>) -> Answer {
        let body = call.json()?;
        let rows = body.get("contacts").and_then(Value::as_array);
        let rows = rows.ok_or_else(|| Failure::missing("contacts is missing"))?;
        if rows.len() > MOST {
            return Err(Failure::new(400, "out_of_range", "Too many contacts"));
        }
        let mut unknown = Vec::new();
        let mut writes = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            let row = row
                .as_object()
                .ok_or_else(|| Failure::invalid("contacts should be objects"))?;
            let email = row.get("email").and_then(Value::as_str);
            let number = row.get("id").and_then(Value::as_u64);
            let named = email.map(str::to_owned).or(number.map(|id| id.to_string()));
            match named.map(|named| self.named(&named, None)) {
                Some(Ok(id)) => writes.push((id, self.read_write(row)?)),
                _ => unknown.push(index.to_string()),
            }
        }
        if !unknown.is_empty() {
            let text = format!("Contacts at indexes {} do not exist", unknown.join(", "));
            return Err(Failure::new(404, "document_not_found", &text));
        }
        for (id, write) in writes {
            self.write(Some(id), write, call.now)?;
        }
        Ok(Reply::status(204))
    }

    /// Sends a mail with a link, each time, unless the person is on the lists. Only the click puts them there.
    fn ask(&mut self, body: &Map<String, Value>) -> Answer {
        for name in ["email", "includeListIds", "templateId", "redirectionUrl"] {
            if body.get(name).is_none_or(Value::is_null) {
                return Err(Failure::missing(&format!("{name} is missing")));
            }
        }
        let write = self.read_write(body)?;
        let lists = numbers(body, "includeListIds")?;
        let email = write.email.unwrap_or_default();
        let known = self.by_email(&email).and_then(|id| self.contacts.get(&id));
        if known.is_some_and(|contact| lists.iter().all(|list| contact.is_mailed(*list))) {
            return Ok(Reply::status(204));
        }
        *self.confirmations.entry(email).or_default() += 1;
        Ok(Reply::status(201))
    }
}
