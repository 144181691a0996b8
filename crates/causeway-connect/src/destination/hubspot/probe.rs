//! Proves token, scopes, properties, subscription type and lists without changing anything.

use serde_json::{Value, json};

use super::{
    HubSpot,
    request::{add_channel, get, post},
};
use crate::{
    connector::Probe,
    http::{Answer, HttpRequest},
};

pub(super) fn probes(hubspot: &HubSpot) -> Vec<Probe> {
    let settings = &hubspot.settings;
    let version = settings.version.clone();
    let mut probes = vec![probe(
        get(hubspot, &["crm", "properties", &version, "contacts"]),
        {
            let names: Vec<String> = settings.fields.names().map(str::to_owned).collect();
            let key = settings.key.as_ref().map(|(name, _)| name.clone());
            move |answer| {
                if answer.status == 404 {
                    return Err(format!(
                        "HubSpot has no API of version {version} there: check `api_version` and `base_url`"
                    ));
                }
                properties(&answer.json().unwrap_or_default(), &names, key.as_deref())?;
                Ok(Vec::new())
            }
        },
    )];
    if let Some(subscription) = settings.subscription {
        let request = get(
            hubspot,
            &["communication-preferences", &settings.version, "definitions"],
        );
        probes.push(probe(request, move |answer| {
            let body = answer.json().unwrap_or_default();
            let all = body
                .get("results")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            let is_it = |one: &Value| {
                let id = one.get("id");
                id.and_then(|id| id.as_u64().or_else(|| id.as_str()?.parse().ok())) == Some(subscription)
            };
            if all.iter().any(is_it) {
                return Ok(Vec::new());
            }
            let known: Vec<String> = all.iter().filter_map(named).collect();
            Err(format!(
                "HubSpot has no subscription type {subscription}; it has {}",
                known.join(", ")
            ))
        }));
    }
    if settings.batch_statuses {
        // Nobody has this address, and reading changes nothing.
        let body = json!({ "inputs": ["nobody@example.org"] });
        let mut request = post(
            hubspot,
            &[
                "communication-preferences",
                &settings.version,
                "statuses",
                "batch",
                "read",
            ],
            &body,
        );
        add_channel(&mut request);
        probes.push(probe(request, |_| Ok(Vec::new())));
    }
    for list in settings.lists.clone() {
        let request = get(hubspot, &["crm", "lists", &settings.version, &list]);
        probes.push(probe(request, move |answer| {
            let body = answer.json().unwrap_or_default();
            let sort = body.pointer("/list/processingType").and_then(Value::as_str);
            match (answer.status, sort) {
                (404, _) => Err(format!("HubSpot has no list {list}")),
                (_, Some("DYNAMIC")) => Err(format!(
                    "list {list} fills itself by its filters; make a static list for this"
                )),
                _ => Ok(Vec::new()),
            }
        }));
    }
    probes
}

/// A probe that fails with a plain sentence if the token or its scopes do not suffice.
fn probe(
    request: HttpRequest,
    judge: impl Fn(&Answer) -> Result<Vec<String>, String> + Send + Sync + 'static,
) -> Probe {
    let what = request.url.path().to_owned();
    Probe {
        request,
        judge: Box::new(move |answer| match answer.status {
            401 => Err("HubSpot does not accept the token: make a new service key".to_owned()),
            403 => Err(format!("the token lacks a scope for {what}")),
            200..=299 | 404 => judge(answer),
            status => Err(format!("HubSpot answered {status} to {what}")),
        }),
    }
}

/// Whether each property exists and can be written, and whether the key is unique.
fn properties(body: &Value, names: &[String], key: Option<&str>) -> Result<(), String> {
    let all = body
        .get("results")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let find = |name: &str| {
        let is_it = |one: &&Value| one.get("name").and_then(Value::as_str) == Some(name);
        all.iter().find(is_it)
    };
    for name in names.iter().map(String::as_str).chain(key) {
        let Some(found) = find(name) else {
            return Err(format!(
                "contacts in HubSpot have no property `{name}`: create it, or correct `fields`"
            ));
        };
        let is_fixed = found
            .pointer("/modificationMetadata/readOnlyValue")
            .and_then(Value::as_bool);
        if is_fixed == Some(true) {
            return Err(format!(
                "the property `{name}` cannot be written: take it out of `fields`"
            ));
        }
    }
    let is_unique = |name: &str| find(name).and_then(|found| found.get("hasUniqueValue")?.as_bool());
    match key {
        Some(key) if is_unique(key) != Some(true) => Err(format!(
            "the property `{key}` must be unique: create it with \"Require unique values\""
        )),
        _ => Ok(()),
    }
}

fn named(definition: &Value) -> Option<String> {
    let id = definition.get("id")?;
    let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
    let name = definition.get("name").and_then(Value::as_str).unwrap_or_default();
    Some(format!("{id} ({name})"))
}
