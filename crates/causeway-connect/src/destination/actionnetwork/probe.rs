//! Proves the key, the custom fields and the page without changing anything.

use serde_json::Value;

use super::{ActionNetwork, request::get};
use crate::{
    connector::Probe,
    http::{Answer, HttpRequest},
};

pub(super) fn probes(network: &ActionNetwork) -> Vec<Probe> {
    let settings = &network.settings;
    // The entry point answers 200 whatever the key is.
    let mut people = get(network, &["people"]);
    people.url.query_pairs_mut().append_pair("per_page", "1");
    let mut probes = vec![probe(people, |answer| match answer.json() {
        _ if answer.status == 404 => Err("there is no API: check `base_url` and `api_version`".to_owned()),
        Some(body) if body.get("_embedded").is_some() => Ok(Vec::new()),
        _ => Err("Action Network did not list people: check `base_url`".to_owned()),
    })];
    let custom = settings.custom();
    if !custom.is_empty() {
        let request = get(network, &["metadata", "custom_fields"]);
        probes.push(probe(request, move |answer| fields(answer, &custom)));
    }
    let fixed = settings
        .action
        .as_ref()
        .and_then(|action| Some((action.page, action.fixed.clone()?)));
    if let Some((page, id)) = fixed {
        let request = get(network, &[page.paths().0, &id]);
        probes.push(probe(request, move |answer| match answer.status {
            404 => Err(format!(
                "this group has no {page:?} {id}: check `action`, and that the key is of the group"
            )
            .to_lowercase()),
            _ => Ok(Vec::new()),
        }));
    }
    probes
}

fn probe(
    request: HttpRequest,
    judge: impl Fn(&Answer) -> Result<Vec<String>, String> + Send + Sync + 'static,
) -> Probe {
    Probe {
        request,
        judge: Box::new(move |answer| match answer.status {
            401 | 403 => Err("Action Network does not accept the API key: check `api_key`".to_owned()),
            200..=299 | 404 => judge(answer),
            status => Err(format!("Action Network answered {status}")),
        }),
    }
}

/// A custom field that does not exist is dropped without an error.
fn fields(answer: &Answer, names: &[String]) -> Result<Vec<String>, String> {
    let body = answer.json().unwrap_or_default();
    let Some(known) = body.get("action_network:custom_fields").and_then(Value::as_array) else {
        return Ok(vec![
            "the custom fields could not be read, so `fields` was not checked".to_owned(),
        ]);
    };
    let is_known = |name: &String| known.iter().any(|field| field["name"] == **name);
    match names.iter().find(|name| !is_known(name)) {
        Some(name) => Err(format!(
            "the group has no custom field `{name}`: create it, or correct `fields`"
        )),
        None => Ok(Vec::new()),
    }
}
