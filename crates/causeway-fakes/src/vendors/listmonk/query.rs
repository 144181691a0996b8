//! Queries: pages, and the few SQL conditions that clients send.

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::{Listmonk, Subscriber, error, uuid};
use crate::fake_api::Reply;

pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

pub(super) fn get<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    query
        .iter()
        .find(|(have, _)| have == name)
        .map(|(_, value)| &**value)
}

pub(super) fn numbers(value: Option<&Value>) -> Vec<u64> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_u64).collect()
}

pub(super) fn paged(all: Vec<Value>, query: &[(String, String)]) -> Reply {
    let number = |name: &str| get(query, name).and_then(|text| text.parse::<usize>().ok());
    let size = match get(query, "per_page") {
        Some("all") => usize::MAX,
        _ => number("per_page").unwrap_or(20).max(1),
    };
    let page = number("page").unwrap_or(1).max(1);
    let total = all.len();
    let results: Value = all
        .into_iter()
        .skip((page - 1).saturating_mul(size))
        .take(size)
        .collect();
    let size = if size == usize::MAX { total } else { size };
    Reply::json(
        200,
        &json!({ "data": { "results": results, "total": total, "per_page": size, "page": page } }),
    )
}

/// A condition on one column: the values that it may have.
struct Condition {
    column: String,
    values: Vec<String>,
}

/// `subscribers.email = 'a'`, `subscribers.email IN ('a', 'b')`, `subscribers.id = 5`. A quote in a text is doubled.
fn condition(text: &str) -> Option<Condition> {
    let text = text.trim().strip_prefix("subscribers.")?;
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    let (column, rest) = text.split_at(end);
    let rest = rest.trim();
    let list = match rest.strip_prefix('=') {
        Some(value) => value.trim(),
        None => rest
            .strip_prefix("IN")?
            .trim()
            .strip_prefix('(')?
            .strip_suffix(')')?,
    };
    Some(Condition {
        column: column.to_owned(),
        values: values(list)?,
    })
}

fn values(list: &str) -> Option<Vec<String>> {
    let mut values = Vec::new();
    let mut rest = list.trim();
    loop {
        let value = if let Some(mut inner) = rest.strip_prefix('\'') {
            let mut value = String::new();
            loop {
                let (part, after) = inner.split_once('\'')?;
                value.push_str(part);
                let Some(more) = after.strip_prefix('\'') else {
                    rest = after.trim();
                    break;
                };
                value.push('\'');
                inner = more;
            }
            value
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let (number, after) = rest.split_at(end);
            number.trim().parse::<u64>().ok()?;
            rest = after;
            number.trim().to_owned()
        };
        values.push(value);
        match rest.strip_prefix(',') {
            Some(more) => rest = more.trim(),
            None if rest.is_empty() => return Some(values),
            None => return None,
        }
    }
}

impl Listmonk {
    pub(super) fn find(&self, query: &[(String, String)]) -> Reply {
        let condition = match get(query, "query").filter(|text| !text.is_empty()) {
            Some(_) if self.denied.contains("subscribers:sql_query") => {
                return error(403, "permission denied: subscribers:sql_query");
            }
            Some(text) => match condition(text) {
                Some(condition) => Some(condition),
                None => return error(400, "Error querying subscribers: pq: syntax error"),
            },
            None => None,
        };
        if self.denied.contains("subscribers:get_all") {
            return error(403, "permission denied: subscribers:get_all");
        }
        let list: Option<u64> = get(query, "list_id").and_then(|id| id.parse().ok());
        let is_found = |subscriber: &&Subscriber| {
            let meets = condition.as_ref().is_none_or(|condition| {
                let own = match &*condition.column {
                    "email" => subscriber.email.clone(),
                    "id" => subscriber.id.to_string(),
                    "uuid" => uuid(subscriber.id),
                    _ => String::new(),
                };
                condition.values.contains(&own)
            });
            meets && list.is_none_or(|list| subscriber.lists.contains_key(&list))
        };
        let found = self.subscribers.values().filter(is_found);
        paged(found.map(|subscriber| self.to_json(subscriber)).collect(), query)
    }
}
