//! Groups, and the blacklist.

use serde_json::{Value, json};

use super::{Call, CleverReach, errors::Failure, receivers::is_address};

impl CleverReach {
    pub(super) fn group(&self, id: &str) -> Result<u64, Failure> {
        let id = id.parse::<u64>().ok().filter(|id| self.groups.contains_key(id));
        id.ok_or_else(|| Failure::not_found("group"))
    }

    pub(super) fn show_group(&self, id: u64) -> Value {
        json!({ "id": id.to_string(), "name": self.groups[&id], "locked": false, "backup": true, "stamp": self.now() })
    }

    pub(super) fn create_group(&mut self, call: &Call<'_>) -> Result<Value, Failure> {
        let name = call.text("name").unwrap_or_default().trim().to_owned();
        if name.is_empty() {
            return Err(Failure::new(400, "Bad Request: name is required"));
        }
        if self.groups.values().any(|known| *known == name) {
            return Err(Failure::new(409, "Conflict: group name already exists"));
        }
        let id = self.add_group(&name);
        Ok(self.show_group(id))
    }

    pub(super) fn run_blacklist(&mut self, path: &[&str], call: &Call<'_>) -> Result<Value, Failure> {
        let show = |(email, comment): (&String, &String)| json!({ "email": email, "comment": comment });
        match (call.method, path) {
            ("GET", []) => Ok(call.page(self.blacklist.iter().map(show).collect())),
            ("POST", []) => {
                let email = call.text("email").unwrap_or_default().trim().to_lowercase();
                if !is_address(&email) {
                    return Err(Failure::new(
                        400,
                        format!("Bad Request: invalid address '{email}'"),
                    ));
                }
                if self.blacklist.contains_key(&email) {
                    return Err(Failure::new(409, "Conflict: address is blacklisted already"));
                }
                let comment = call.text("comment").unwrap_or_default().to_owned();
                self.blacklist.insert(email.clone(), comment.clone());
                Ok(show((&email, &comment)))
            }
            ("DELETE", [email]) => {
                let removed = self.blacklist.remove(&email.to_lowercase());
                removed
                    .map(|_| true.into())
                    .ok_or_else(|| Failure::not_found("entry"))
            }
            _ => Err(Failure::new(404, "Not Found")),
        }
    }
}
