//! Calls of `doctor`: the login, the contact fields, the right to see contacts, and each segment. They change nothing.

use serde_json::Value;

use super::{Mautic, contact::items, request::get, rows::NO_FIELDS};
use crate::{connector::Probe, http::Answer};

pub(super) fn probes(mautic: &Mautic) -> Vec<Probe> {
    let settings = &mautic.settings;
    let names = settings.fields.names().filter(|name| !NO_FIELDS.contains(name));
    let names: Vec<String> = names.map(str::to_owned).collect();
    let mut contacts = get(mautic, &["contacts"]);
    contacts.url.query_pairs_mut().append_pair("limit", "1");
    let mut probes = vec![
        Probe {
            request: get(mautic, &["contacts", "list", "fields"]),
            judge: Box::new(move |answer| {
                fields(
                    &body(answer, "its API at this address: check `base_url` and `api_path`")?,
                    &names,
                )
            }),
        },
        Probe {
            request: contacts,
            judge: Box::new(|answer| {
                let body = body(answer, "its API at this address: check `base_url` and `api_path`")?;
                body.get("contacts")
                    .ok_or("Mautic shows no contacts: check `base_url`")?;
                let version = answer.headers.get("mautic-version");
                let version = version.and_then(|version| version.to_str().ok());
                Ok(version
                    .map(|version| format!("Mautic {version}"))
                    .into_iter()
                    .collect())
            }),
        },
    ];
    for segment in settings.segments.iter().copied() {
        probes.push(Probe {
            request: get(mautic, &["segments", &segment.to_string()]),
            judge: Box::new(move |answer| {
                let body = body(answer, &format!("segment {segment}; correct `segments`"))?;
                self::segment(&body, segment)
            }),
        });
    }
    probes
}

fn body(answer: &Answer, what: &str) -> Result<Value, String> {
    match answer.status {
        200..=299 => answer
            .json()
            .filter(|body| answer.complete && (body.is_object() || body.is_array()))
            .ok_or_else(|| format!("answered {}, not as Mautic does: check `base_url`", answer.status)),
        401 => Err(
            "Mautic does not accept the login: check `user` and `password`, or `oauth`, and the API settings"
                .to_owned(),
        ),
        403 => Err(
            "Mautic forbids the call: switch the API on under Settings > Configuration > API Settings, and give the \
             user's role all rights on contacts and the right to view segments"
                .to_owned(),
        ),
        404 => Err(format!("Mautic does not have {what}")),
        status => Err(format!("answered {status}")),
    }
}

/// Whether each field exists. Mautic passes over any other.
fn fields(body: &Value, names: &[String]) -> Result<Vec<String>, String> {
    let all = items(body).into_iter().flatten();
    let aliases: Vec<&str> = all.filter_map(|field| field.get("alias")?.as_str()).collect();
    if !aliases.contains(&"email") {
        return Err("Mautic shows no contact field `email`: check `base_url`".to_owned());
    }
    match names.iter().find(|name| !aliases.contains(&name.as_str())) {
        None => Ok(Vec::new()),
        Some(name) => Err(format!(
            "contacts in Mautic have no field `{name}`: create or publish it under Custom Fields, or correct `fields`"
        )),
    }
}

fn segment(body: &Value, segment: u64) -> Result<Vec<String>, String> {
    let list = body
        .get("list")
        .ok_or_else(|| format!("Mautic describes no segment {segment}; correct `segments`"))?;
    if list.get("isPublished").and_then(Value::as_bool) == Some(false) {
        return Err(format!(
            "segment {segment} is not published: publish it, or correct `segments`"
        ));
    }
    let name = list.get("name").and_then(Value::as_str).unwrap_or_default();
    Ok(vec![format!("segment {segment} is {name:?}")])
}
