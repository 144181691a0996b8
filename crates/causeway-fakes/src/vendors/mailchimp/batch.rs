//! `POST /lists/{list_id}`: up to 500 members in one call, each with a result of its own.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    call::Call,
    list::List,
    member::hash,
    problem::{Answer, Problem},
};
use crate::fake_api::Reply;

/// Members in one call.
const MOST: usize = 500;

impl List {
    pub(super) fn batch(&mut self, call: &Call<'_>) -> Answer {
        let body = call.json()?;
        let Some(rows) = body.get("members").and_then(Value::as_array) else {
            return Err(Problem::field("members", "This value should not be blank."));
        };
        if rows.len() > MOST {
            return Err(Problem::field("members", "The maximum number of members is 500."));
        }
        let changes_known = body.get("update_existing").and_then(Value::as_bool) == Some(true);
        let (mut created, mut updated, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        for row in rows {
            let empty = Map::new();
            let row = row.as_object().unwrap_or(&empty);
            let email = row
                .get("email_address")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if !seen.insert(hash(email)) {
                if !call.is_set("skip_duplicate_check") {
                    errors.push(error(
                        email,
                        "ERROR_GENERIC",
                        "Duplicate items found in the batch.",
                    ));
                }
                continue;
            }
            let is_known = self.members.contains_key(&hash(email));
            match self.one(row, changes_known, call) {
                Ok(key) if is_known => updated.push(self.members[&key].to_json(self)),
                Ok(key) => created.push(self.members[&key].to_json(self)),
                Err(problem) if problem.title == "Member Exists" => {
                    errors.push(error(email, "ERROR_CONTACT_EXISTS", &problem.detail));
                }
                Err(problem) => errors.push(error(email, "ERROR_GENERIC", &problem.detail)),
            }
        }
        let body = json!({
            "total_created": created.len(), "total_updated": updated.len(), "error_count": errors.len(),
            "new_members": created, "updated_members": updated, "errors": errors, "_links": [],
        });
        Ok(Reply::json(200, &body))
    }

    /// A row. Its status changes a member that is there; its tags and marketing permissions are ignored.
    fn one(
        &mut self,
        row: &Map<String, Value>,
        changes_known: bool,
        call: &Call<'_>,
    ) -> Result<String, Problem> {
        let mut row = row.clone();
        row.remove("tags");
        row.remove("marketing_permissions");
        let email = self.address(&row)?;
        if changes_known && self.members.contains_key(&hash(&email)) {
            return self.patch(&hash(&email), &row, call);
        }
        self.add(&row, call)
    }
}

fn error(email: &str, code: &str, text: &str) -> Value {
    json!({ "email_address": email, "error": text, "error_code": code, "field": "", "field_message": "" })
}
