//! Calls of `doctor`: the token, the group and the attributes. They change nothing.

use serde_json::Value;

use super::{CleverReach, receiver::text, request};
use crate::{connector::Probe, destination::fields::Fields, http::Answer};

pub(super) fn probes(cleverreach: &CleverReach) -> Vec<Probe> {
    let settings = &cleverreach.settings;
    let group = settings.group;
    let mut probes = vec![
        Probe {
            request: request::get(cleverreach, &["debug", "ttl"]),
            judge: Box::new(|answer| {
                body(
                    answer,
                    "its API at this address: check `base_url` and `api_version`",
                )?;
                Ok(Vec::new())
            }),
        },
        Probe {
            request: request::get(cleverreach, &["groups", &group.to_string()]),
            judge: Box::new(move |answer| {
                let shown = body(answer, &format!("group {group}; correct `group`"))?;
                if shown.get("id").and_then(text) != Some(group.to_string()) {
                    return Err(format!("CleverReach describes no group {group}; correct `group`"));
                }
                let name = shown.get("name").and_then(Value::as_str).unwrap_or_default();
                Ok(vec![format!("group {group} is {name:?}")])
            }),
        },
        attributes(cleverreach, &settings.fields, None),
    ];
    let own = settings.group_fields.as_ref();
    probes.extend(own.map(|fields| attributes(cleverreach, fields, Some(group))));
    probes
}

/// Whether each attribute exists. CleverReach passes over any other without a word.
fn attributes(cleverreach: &CleverReach, fields: &Fields, group: Option<u64>) -> Probe {
    let names: Vec<String> = fields.names().map(str::to_owned).collect();
    let mut request = request::get(cleverreach, &["attributes"]);
    if let Some(group) = group {
        request
            .url
            .query_pairs_mut()
            .append_pair("group_id", &group.to_string());
    }
    let (whose, key) = match group {
        Some(group) => (format!("group {group} has"), "group_fields"),
        None => ("receivers have".to_owned(), "fields"),
    };
    Probe {
        request,
        judge: Box::new(move |answer| {
            let shown = body(answer, "attributes at this address: check `api_version`")?;
            let Some(rows) = shown.as_array() else {
                return Err(not_theirs(answer));
            };
            let is_known = |name: &&String| {
                let mut known = rows.iter().filter_map(|row| row.get("name")?.as_str());
                known.any(|known| known.to_lowercase() == **name)
            };
            match names.iter().find(|name| !is_known(name)) {
                Some(name) => Err(format!(
                    "{whose} no attribute `{name}` in CleverReach: create it there, or correct `{key}`"
                )),
                None => Ok(Vec::new()),
            }
        }),
    }
}

fn not_theirs(answer: &Answer) -> String {
    format!(
        "answered {}, not as CleverReach does: check `base_url`",
        answer.status
    )
}

fn body(answer: &Answer, what: &str) -> Result<Value, String> {
    match answer.status {
        200..=299 => answer.json().ok_or_else(|| not_theirs(answer)),
        401 => {
            Err("answered 401: CleverReach does not accept the token; check `oauth` or `token`".to_owned())
        }
        403 => Err(
            "answered 403: the app lacks a right; correct it under Account > Extras > REST API".to_owned(),
        ),
        404 => Err(format!("CleverReach does not have {what}")),
        status => Err(format!("answered {status}")),
    }
}
