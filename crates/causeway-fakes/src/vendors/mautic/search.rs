//! The search for contacts.

use serde_json::json;

use super::{Call, Done, Mautic, errors::Failure, php};

impl Mautic {
    pub(super) fn list_contacts(&self, call: &Call<'_>) -> Result<Done, Failure> {
        let mut ids: Vec<u64> = self.contacts.keys().copied().collect();
        for at in 0.. {
            let part = |name: &str| call.parameter(&format!("where[{at}][{name}]")).map(php::clean);
            let Some(column) = part("col") else { break };
            let (expr, value) = (part("expr").unwrap_or_default(), part("val").unwrap_or_default());
            let wanted = match expr.as_str() {
                "in" => php::csv(&php::decode(&value)),
                "eq" => vec![value],
                _ => return Err(Failure::exception()),
            };
            let wanted: Vec<String> = wanted.iter().map(|value| value.to_lowercase()).collect();
            if column != "id" && !self.fields.iter().any(|field| field.alias == column) {
                return Err(Failure::exception());
            }
            ids.retain(|id| {
                let contact = &self.contacts[id];
                let value = if column == "id" {
                    id.to_string()
                } else {
                    contact.values.get(&column).cloned().unwrap_or_default()
                };
                wanted.contains(&value.to_lowercase())
            });
        }
        if let Some(search) = call.parameter("search").filter(|search| !search.is_empty()) {
            ids.retain(|id| self.is_found(*id, search));
        }
        let total = ids.len();
        let rows = call.page(ids).into_iter();
        let rows = rows.map(|id| (id, self.shown(id))).collect();
        Ok((
            200,
            json!({ "total": total.to_string(), "contacts": php::array(rows) }),
        ))
    }

    fn is_found(&self, id: u64, search: &str) -> bool {
        let contact = &self.contacts[&id];
        let text = search.to_lowercase();
        match search.split_once(':') {
            Some(("email", email)) => contact.email().contains(&email.to_lowercase()),
            Some(("ids", ids)) => ids.split(',').any(|one| one.trim() == id.to_string()),
            Some(("segment", alias)) => self.members_of(alias).contains(&id),
            Some(("tag", tag)) => contact.tags.contains(tag),
            _ => contact
                .values
                .values()
                .any(|value| value.to_lowercase().contains(&text)),
        }
    }
}
