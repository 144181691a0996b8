//! What the site does by itself when a row is written.

use serde_json::{Value, json};

use super::{CiviCrm, Row};

impl CiviCrm {
    /// What the site does by itself: one primary address, dates, the history of groups.
    pub(super) fn written(&mut self, entity: &'static str, id: u64, before: &Row) {
        let row = self.table(entity).get(&id).cloned().unwrap_or_default();
        let contact = row.get("contact_id").and_then(Value::as_u64);
        let now = self.local_now();
        if matches!(entity, "Email" | "Phone" | "Address")
            && let Some(contact) = contact
        {
            self.keep_one_primary(entity, id, contact);
            self.touch(contact, &now);
        }
        match entity {
            "Contact" => self.touch(id, &now),
            "Email" if row.get("on_hold") != before.get("on_hold") => {
                let is_held = row.get("on_hold").is_some_and(|hold| *hold != 0);
                let name = if is_held { "hold_date" } else { "reset_date" };
                if is_held || !before.is_empty() {
                    self.put(entity, id, name, now.into());
                }
            }
            "Phone" => {
                let number = row.get("phone").and_then(Value::as_str).unwrap_or_default();
                let digits: String = number.chars().filter(char::is_ascii_digit).collect();
                self.put(entity, id, "phone_numeric", digits.into());
            }
            "GroupContact" if row.get("status") != before.get("status") => {
                let history = json!({
                    "contact_id": row.get("contact_id"), "group_id": row.get("group_id"), "date": now,
                    "method": "API", "status": row.get("status"),
                });
                self.add("SubscriptionHistory", &history);
            }
            _ => {}
        }
    }

    fn put(&mut self, entity: &'static str, id: u64, name: &str, value: Value) {
        if let Some(row) = self.tables.entry(entity).or_default().get_mut(&id) {
            row.insert(name.to_owned(), value);
        }
    }

    fn touch(&mut self, contact: u64, now: &str) {
        self.put("Contact", contact, "modified_date", now.into());
    }

    fn keep_one_primary(&mut self, entity: &'static str, id: u64, contact: u64) {
        let rows = self.tables.entry(entity).or_default();
        let is_own = |row: &Row| row.get("contact_id") == Some(&contact.into());
        let is_primary = |row: &Row| row.get("is_primary") == Some(&true.into());
        let others = rows.iter().filter(|(other, row)| **other != id && is_own(row));
        let has_other = others.clone().any(|(_, row)| is_primary(row));
        let here = rows.get(&id).is_some_and(is_primary);
        if here {
            for (other, row) in rows.iter_mut() {
                if *other != id && is_own(row) {
                    row.insert("is_primary".to_owned(), false.into());
                }
            }
        } else {
            self.put(entity, id, "is_primary", (!has_other).into());
        }
    }
}
