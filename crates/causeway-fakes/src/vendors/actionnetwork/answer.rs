//! Responses in HAL.

use serde_json::{Value, json};

use crate::fake_api::Reply;

pub(super) const BASE: &str = "https://actionnetwork.org/api/v2";

pub(super) fn error(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({ "error": message }))
}

/// The form of ids.
pub(super) fn uuid(id: u64) -> String {
    format!("d91b4b2e-ae0e-4cd3-9ed7-{id:012x}")
}

/// The number of such an id.
pub(super) fn number(uuid: &str) -> Option<u64> {
    let hex = uuid.strip_prefix("d91b4b2e-ae0e-4cd3-9ed7-")?;
    u64::from_str_radix(hex, 16).ok()
}

pub(super) fn tag(id: u64, name: &str) -> Value {
    let id = uuid(id);
    json!({
        "name": name, "identifiers": [format!("action_network:{id}")],
        "_links": { "self": { "href": format!("{BASE}/tags/{id}") } },
    })
}

/// One page of at most 25. An empty page follows the last one.
pub(super) fn paged(name: &str, all: Vec<Value>, query: &[(String, String)]) -> Reply {
    let number = |wanted: &str| -> Option<usize> {
        let found = query.iter().find(|(name, _)| name == wanted)?;
        found.1.parse().ok()
    };
    let size = number("per_page").unwrap_or(25).clamp(1, 25);
    let page = number("page").unwrap_or(1).max(1);
    let rest: Vec<Value> = all.into_iter().skip((page - 1) * size).collect();
    let has_more = rest.len() > size;
    let items: Value = rest.into_iter().take(size).collect();
    let mut links = json!({ name: [] });
    if has_more {
        links["next"] = json!({ "href": format!("{BASE}/?page={}", page + 1) });
    }
    Reply::json(
        200,
        &json!({ "per_page": size, "page": page, "_links": links, "_embedded": { name: items } }),
    )
}

/// `email_address eq 'ada@example.org'` → field, operator, value. Quotes are doubled inside the value.
pub(super) fn filter(query: &[(String, String)]) -> Option<Result<(String, String, String), Reply>> {
    let (_, text) = query.iter().find(|(name, _)| name == "filter")?;
    let parse = || {
        let (field, rest) = text.split_once(' ')?;
        let (operator, value) = rest.split_once(' ')?;
        let value = value.trim().strip_prefix('\'')?.strip_suffix('\'')?;
        let is_known = ["eq", "gt", "lt"].contains(&operator);
        is_known.then(|| (field.to_owned(), operator.to_owned(), value.replace("''", "'")))
    };
    Some(parse().ok_or_else(|| error(400, "Invalid filter")))
}
