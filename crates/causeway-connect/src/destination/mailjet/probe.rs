//! Calls of `doctor`: the keys, the list and the properties. They change nothing.
//!
//! `/apikey` is never called, because its response shows the secret.

use serde_json::Value;

use super::{Mailjet, request};
use crate::{connector::Probe, http::Answer};

/// The most rows of one response.
const MOST_ROWS: &str = "1000";

pub(super) fn probes(mailjet: &Mailjet) -> Vec<Probe> {
    let names: Vec<String> = mailjet.settings.fields.names().map(str::to_owned).collect();
    let mut properties = request::get(mailjet, &["contactmetadata"]);
    properties.url.query_pairs_mut().append_pair("Limit", MOST_ROWS);
    let remark = "without `list`, opt-outs exclude people from all campaigns, and opt-ins are not written";
    let remarks: Vec<String> = mailjet
        .settings
        .list
        .is_none()
        .then(|| remark.to_owned())
        .into_iter()
        .collect();
    let mut probes = vec![Probe {
        request: properties,
        judge: Box::new(move |answer| {
            has_all(
                &rows(answer, "its API at this address: check `base_url`")?,
                &names,
            )?;
            Ok(remarks.clone())
        }),
    }];
    probes.extend(mailjet.settings.list.map(|list| Probe {
        request: request::get(mailjet, &["contactslist", &list.to_string()]),
        judge: Box::new(move |answer| {
            let rows = rows(answer, &format!("list {list}; correct `list`"))?;
            let row = rows
                .first()
                .ok_or_else(|| format!("Mailjet describes no list {list}; correct `list`"))?;
            if row.get("IsDeleted").and_then(Value::as_bool) == Some(true) {
                return Err(format!("list {list} was deleted at Mailjet; correct `list`"));
            }
            let name = row.get("Name").and_then(Value::as_str).unwrap_or_default();
            Ok(vec![format!("list {list} is {name:?}")])
        }),
    }));
    probes
}

fn rows(answer: &Answer, what: &str) -> Result<Vec<Value>, String> {
    match answer.status {
        200..=299 => {
            let body = answer.json().unwrap_or_default();
            let rows = body.get("Data").and_then(Value::as_array).cloned();
            rows.ok_or_else(|| {
                format!(
                    "answered {}, not as Mailjet does: check `base_url`",
                    answer.status
                )
            })
        }
        401 | 403 => Err(format!(
            "answered {}: Mailjet does not accept the keys; check `api_key` and `secret_key`",
            answer.status
        )),
        404 => Err(format!("Mailjet does not have {what}")),
        status => Err(format!("answered {status}")),
    }
}

/// Whether each property exists. Mailjet would refuse a contact with any other.
fn has_all(known: &[Value], names: &[String]) -> Result<(), String> {
    let has = |name: &str| {
        known
            .iter()
            .any(|row| row.get("Name").and_then(Value::as_str) == Some(name))
    };
    match names.iter().find(|name| !has(name)) {
        Some(name) => Err(format!(
            "contacts in Mailjet have no property `{name}`: create it under Contacts > Contact properties, or correct \
             `fields`"
        )),
        None => Ok(()),
    }
}
