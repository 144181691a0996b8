//! The endpoints below `/contacts/lists`.

use serde_json::{Value, json};

use super::{
    Brevo,
    call::{Answer, Call, Failure},
};
use crate::fake_api::Reply;

/// Contacts of one addition.
const MOST: usize = 150;

#[derive(Debug, Clone)]
pub struct List {
    pub name: String,
    pub folder: u64,
}

impl Brevo {
    pub(super) fn folders(&mut self, rest: &[&str], call: &Call<'_>) -> Answer {
        match (call.method, rest) {
            ("GET", []) => {
                let (limit, offset) = call.page(10, 50)?;
                let shown = self.folders.iter().skip(offset).take(limit);
                let shown: Vec<Value> = shown
                    .map(|(id, name)| {
                        json!({ "id": id, "name": name, "totalBlacklisted": 0, "totalSubscribers": 0,
                            "uniqueSubscribers": 0 })
                    })
                    .collect();
                Ok(Reply::json(
                    200,
                    &json!({ "count": self.folders.len(), "folders": shown }),
                ))
            }
            ("POST", []) => {
                let body = call.json()?;
                let name = body.get("name").and_then(Value::as_str);
                let name = name.ok_or_else(|| Failure::missing("name is missing"))?;
                let id = self.number();
                self.folders.insert(id, name.to_owned());
                Ok(Reply::json(201, &json!({ "id": id })))
            }
            _ => Err(Failure::unknown_path()),
        }
    }

    pub(super) fn lists(&mut self, rest: &[&str], call: &Call<'_>) -> Answer {
        let Some((id, below)) = rest.split_first() else {
            return match call.method {
                "GET" => {
                    let (limit, offset) = call.page(10, 50)?;
                    let shown = self.lists.keys().skip(offset).take(limit);
                    let shown: Vec<Value> = shown.map(|id| self.list_json(*id)).collect();
                    Ok(Reply::json(
                        200,
                        &json!({ "count": self.lists.len(), "lists": shown }),
                    ))
                }
                "POST" => {
                    let body = call.json()?;
                    let name = body.get("name").and_then(Value::as_str);
                    let name = name.ok_or_else(|| Failure::missing("name is missing"))?;
                    let folder = body.get("folderId").and_then(Value::as_u64);
                    let folder = folder.ok_or_else(|| Failure::missing("folderId is missing"))?;
                    if !self.folders.contains_key(&folder) {
                        return Err(Failure::invalid("Folder ID does not exist"));
                    }
                    let id = self.add_list(name);
                    self.lists.entry(id).and_modify(|list| list.folder = folder);
                    Ok(Reply::json(201, &json!({ "id": id })))
                }
                _ => Err(Failure::unknown_path()),
            };
        };
        let id = id.parse().ok().filter(|id| self.lists.contains_key(id));
        let id = id.ok_or_else(|| Failure::new(404, "document_not_found", "List ID does not exist"))?;
        match (call.method, below) {
            ("GET", []) => Ok(Reply::json(200, &self.list_json(id))),
            ("GET", ["contacts"]) => {
                let (limit, offset) = call.page(50, 500)?;
                let members = self
                    .contacts
                    .values()
                    .filter(|contact| contact.lists.contains(&id));
                let members: Vec<Value> = members.map(|contact| contact.to_json(call.now)).collect();
                let count = members.len();
                let shown: Vec<Value> = members.into_iter().skip(offset).take(limit).collect();
                Ok(Reply::json(200, &json!({ "contacts": shown, "count": count })))
            }
            ("POST", ["contacts", how @ ("add" | "remove")]) => self.move_contacts(id, *how == "add", call),
            _ => Err(Failure::unknown_path()),
        }
    }

    fn list_json(&self, id: u64) -> Value {
        let members = self
            .contacts
            .values()
            .filter(|contact| contact.lists.contains(&id));
        let (blocked, others): (Vec<_>, Vec<_>) = members.partition(|contact| contact.is_blocked);
        let list = &self.lists[&id];
        json!({
            "id": id, "name": list.name, "folderId": list.folder, "totalBlacklisted": blocked.len(),
            "totalSubscribers": others.len(), "uniqueSubscribers": others.len(),
            "createdAt": "2026-01-01T00:00:00.000Z", "campaignStats": [], "dynamicList": false,
        })
    }

    /// Each address has its own result; if nothing changes at all, the call fails.
    fn move_contacts(&mut self, list: u64, adds: bool, call: &Call<'_>) -> Answer {
        let body = call.json()?;
        let emails = body.get("emails").and_then(Value::as_array);
        let emails = emails.ok_or_else(|| Failure::missing("emails is missing"))?;
        if emails.len() > MOST {
            return Err(Failure::new(400, "out_of_range", "At most 150 contacts"));
        }
        let (mut success, mut failure) = (Vec::new(), Vec::new());
        for email in emails.iter().filter_map(Value::as_str) {
            let contact = self.by_email(email).and_then(|id| self.contacts.get_mut(&id));
            let changed = contact.is_some_and(|contact| {
                contact.modified = call.now;
                if adds {
                    contact.left.remove(&list);
                    contact.lists.insert(list)
                } else {
                    contact.lists.remove(&list)
                }
            });
            if changed {
                success.push(email);
            } else {
                failure.push(email);
            }
        }
        if success.is_empty() {
            return Err(Failure::invalid("Contact already in list and/or does not exist"));
        }
        let body = json!({ "contacts": { "success": success, "failure": failure } });
        Ok(Reply::json(201, &body))
    }
}
