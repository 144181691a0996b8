//! Searches. They see what was written a while ago.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    answer::{Answer, Failure, need_fields, text_of, texts},
    record::{Objects, Record, Show, Values, indexed, order},
};
use crate::fake_api::Reply;

/// Most filter groups, filters in a group, results of a page and results in all.
const GROUPS: usize = 5;
const FILTERS: usize = 6;
const PAGE: usize = 200;
const FOUND: usize = 10_000;

/// `until` is the moment up to which the index is complete.
pub(super) fn search(objects: &Objects, until: Timestamp, body: &Value) -> Answer {
    need_fields(body, &[])?;
    let groups = body["filterGroups"].as_array().map_or(&[][..], Vec::as_slice);
    let filters = |group: &Value| group["filters"].as_array().cloned().unwrap_or_default();
    if groups.len() > GROUPS || groups.iter().any(|group| filters(group).len() > FILTERS) {
        return Err(Failure::invalid(&format!(
            "A search has at most {GROUPS} filterGroups of {FILTERS} filters each"
        )));
    }
    let number = |name: &str, default: usize| match text_of(&body[name])?.as_str() {
        "" => Ok(default),
        text => text
            .parse::<usize>()
            .map_err(|_| Failure::invalid(&format!("{name} is not valid: {text}"))),
    };
    let (limit, after) = (number("limit", 10)?, number("after", 0)?);
    if limit > PAGE || after + limit > FOUND {
        return Err(Failure::invalid(&format!(
            "A search returns at most {PAGE} results per page and {FOUND} in all"
        )));
    }
    let query = body["query"].as_str().unwrap_or_default().to_lowercase();
    let mut found = Vec::new();
    for record in objects.records.values() {
        let Some(values) = indexed(record, until) else {
            continue;
        };
        let mut fits = groups.is_empty();
        for group in groups {
            let mut all = true;
            for filter in filters(group) {
                all &= is_met(objects, record, values, &filter)?;
            }
            fits |= all;
        }
        if fits && (query.is_empty() || values.values().any(|value| value.to_lowercase().contains(&query))) {
            found.push((record, values));
        }
    }
    sort(&mut found, &body["sorts"]);
    let wanted = texts(&body["properties"]);
    let page = found.iter().skip(after).take(limit);
    let results: Vec<Value> = page
        .map(|(record, values)| {
            let seen = Record {
                values: (*values).clone(),
                ..(*record).clone()
            };
            objects.json(&seen, &Show::Named(&wanted))
        })
        .collect();
    let mut body = json!({ "total": found.len(), "results": results });
    if after + limit < found.len() {
        body["paging"] = json!({ "next": { "after": (after + limit).to_string() } });
    }
    Ok(Reply::json(200, &body))
}

/// By the first sort only, as HubSpot does; without one, by age.
fn sort(found: &mut [(&Record, &Values)], sorts: &Value) {
    let first = &sorts[0];
    let name = first["propertyName"]
        .as_str()
        .or(first.as_str())
        .unwrap_or_default();
    let descending = first["direction"] == "DESCENDING" || name.starts_with('-');
    let name = name.trim_start_matches('-');
    if name.is_empty() {
        return;
    }
    let value = |record: &Record, values: &Values| stored(record, values, name).unwrap_or_default();
    found.sort_by(|(one, its), (other, others)| {
        let by_value = order(&value(one, its), &value(other, others));
        if descending { by_value.reverse() } else { by_value }
    });
}

fn stored(record: &Record, values: &Values, name: &str) -> Option<String> {
    match name {
        "hs_object_id" => Some(record.id.to_string()),
        "createdate" | "hs_createdate" => Some(record.created.as_millisecond().to_string()),
        "lastmodifieddate" | "hs_lastmodifieddate" => Some(record.updated.as_millisecond().to_string()),
        _ => values.get(name).cloned(),
    }
}

fn is_met(objects: &Objects, record: &Record, values: &Values, filter: &Value) -> Result<bool, Failure> {
    need_fields(filter, &["propertyName", "operator"])?;
    let name = text_of(&filter["propertyName"])?;
    if objects.properties.get(&name).is_none() {
        let message = format!("There was a problem with the request: unknown property {name}");
        return Err(Failure::invalid(&message));
    }
    let have = stored(record, values, &name);
    let value = text_of(&filter["value"])?;
    let compared = |value: &str| have.as_ref().map(|have| order(have, value));
    let token = || {
        let wanted = value.replace('*', "").to_lowercase();
        have.as_ref()
            .is_some_and(|have| have.to_lowercase().contains(&wanted))
    };
    let among = |values: &Value| {
        let values = texts(values);
        have.as_ref()
            .is_some_and(|have| values.contains(&have.to_lowercase()))
    };
    Ok(match filter["operator"].as_str().unwrap_or_default() {
        "HAS_PROPERTY" => have.is_some(),
        "NOT_HAS_PROPERTY" => have.is_none(),
        "EQ" => compared(&value).is_some_and(Ordering::is_eq),
        "NEQ" => compared(&value).is_none_or(Ordering::is_ne),
        "LT" => compared(&value).is_some_and(Ordering::is_lt),
        "LTE" => compared(&value).is_some_and(Ordering::is_le),
        "GT" => compared(&value).is_some_and(Ordering::is_gt),
        "GTE" => compared(&value).is_some_and(Ordering::is_ge),
        "BETWEEN" => {
            let high = text_of(&filter["highValue"])?;
            compared(&value).is_some_and(Ordering::is_ge) && compared(&high).is_some_and(Ordering::is_le)
        }
        "IN" => among(&filter["values"]),
        "NOT_IN" => !among(&filter["values"]),
        "CONTAINS_TOKEN" => token(),
        "NOT_CONTAINS_TOKEN" => !token(),
        other => return Err(Failure::invalid(&format!("operator is not valid: {other}"))),
    })
}
