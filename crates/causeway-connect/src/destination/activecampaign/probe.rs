//! Calls of `doctor`: the key, the list, each custom field, each tag and the schema. They change nothing.

use serde_json::Value;

use super::{ActiveCampaign, config, request};
use crate::{connector::Probe, http::Answer};

pub(super) fn probes(connector: &ActiveCampaign) -> Vec<Probe> {
    let settings = &connector.settings;
    let remark = "without `list`, opt-outs leave all lists, and opt-ins are not written";
    let remarks: Vec<String> = settings
        .list
        .is_none()
        .then(|| remark.to_owned())
        .into_iter()
        .collect();
    let mut probes = vec![Probe {
        request: request::get(connector, &["users", "me"]),
        judge: Box::new(move |answer| {
            let body = body(
                answer,
                "its API at this address: check `base_url` and `api_version`",
            )?;
            match body.get("user") {
                Some(_) => Ok(remarks.clone()),
                None => Err(format!(
                    "answered {}, not as ActiveCampaign does: check `base_url`",
                    answer.status
                )),
            }
        }),
    }];
    probes.extend(
        settings
            .list
            .map(|list| named(connector, "lists", list, "list", "name", "`list`")),
    );
    let fields = settings
        .fields
        .names()
        .filter(|name| !config::MEMBERS.contains(name));
    for field in fields.filter_map(|name| name.parse().ok()) {
        probes.push(named(connector, "fields", field, "field", "title", "`fields`"));
    }
    for tag in &settings.fixed_tags {
        probes.push(named(connector, "tags", *tag, "tag", "tag", "`tags`"));
    }
    if let Some((schema, fields)) = &settings.record {
        let names: Vec<String> = fields.names().map(str::to_owned).collect();
        probes.push(Probe {
            request: request::get(connector, &["customObjects", "schemas", schema]),
            judge: Box::new(move |answer| {
                let body = body(answer, "such a schema; correct `record.schema`")?;
                columns(&body, &names)
            }),
        });
    }
    probes
}

/// Something with a number, which must exist.
fn named(
    connector: &ActiveCampaign,
    path: &str,
    number: u64,
    member: &'static str,
    title: &'static str,
    key: &'static str,
) -> Probe {
    Probe {
        request: request::get(connector, &[path, &number.to_string()]),
        judge: Box::new(move |answer| {
            let body = body(answer, &format!("{member} {number}; correct {key}"))?;
            let name = body.get(member).and_then(|one| one.get(title)?.as_str());
            match name {
                Some(name) => Ok(vec![format!("{member} {number} is {name:?}")]),
                None => Err(format!(
                    "ActiveCampaign describes no {member} {number}; correct {key}"
                )),
            }
        }),
    }
}

fn body(answer: &Answer, what: &str) -> Result<Value, String> {
    match answer.status {
        200..=299 => answer.json().filter(Value::is_object).ok_or_else(|| {
            format!(
                "answered {} with something other than JSON: check `base_url`",
                answer.status
            )
        }),
        401 | 403 => Err(format!(
            "answered {}: ActiveCampaign does not accept the key; check `token`, `base_url` and the rights of its user",
            answer.status
        )),
        404 => Err(format!("ActiveCampaign does not have {what}")),
        status => Err(format!("answered {status}")),
    }
}

/// Whether the schema has these fields.
fn columns(body: &Value, names: &[String]) -> Result<Vec<String>, String> {
    let fields = body.pointer("/schema/fields").and_then(Value::as_array);
    let known = fields.ok_or("ActiveCampaign describes no fields of the schema; correct `record.schema`")?;
    let has = |name: &str| {
        known
            .iter()
            .any(|field| field.get("id").and_then(Value::as_str) == Some(name))
    };
    match names.iter().find(|name| !has(name)) {
        Some(name) => Err(format!(
            "the custom object has no field `{name}`; correct `record.fields`"
        )),
        None => Ok(Vec::new()),
    }
}
