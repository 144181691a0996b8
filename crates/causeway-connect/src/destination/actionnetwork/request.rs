//! The request of each step.

use bytes::Bytes;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{ActionNetwork, Memo, Step, person::person};
use crate::{connector::Task, http::HttpRequest};

pub(super) fn request(
    network: &ActionNetwork,
    step: &Step,
    tasks: &[&Task<'_, ActionNetwork>],
) -> HttpRequest {
    let Some(task) = tasks.first() else {
        return get(network, &["people"]);
    };
    let memo = &task.memo;
    let id = memo.id.as_deref().unwrap_or_default();
    match step {
        Step::Find => filtered(get(network, &["people"]), "email_address", &memo.email),
        Step::Unsubscribe => put(
            network,
            &["people", id],
            &json!({ "email_addresses": [{ "status": "unsubscribed" }] }),
        ),
        // What is null is removed. The address cannot be.
        Step::Blank => put(
            network,
            &["people", id],
            &json!({
                "given_name": null, "family_name": null, "email_addresses": [{ "status": "unsubscribed" }],
            }),
        ),
        Step::CreateTag(name) => post(network, &["tags"], &json!({ "name": name })),
        Step::SignUp => {
            let mut body = Map::from_iter([("person".to_owned(), person(memo))]);
            if !memo.tags.is_empty() {
                body.insert("add_tags".to_owned(), memo.tags.clone().into());
            }
            post(network, &["people"], &body.into())
        }
        Step::FindAction => {
            let (plural, own) = paths(network);
            filtered(
                get(network, &[plural, &memo.page, own]),
                "identifier",
                &memo.identifier,
            )
        }
        Step::Act => {
            let (plural, own) = paths(network);
            post(
                network,
                &[plural, &memo.page, own],
                &action(network, task, memo, id),
            )
        }
    }
}

fn paths(network: &ActionNetwork) -> (&'static str, &'static str) {
    let action = network.settings.action.as_ref();
    action.map_or(("forms", "submissions"), |action| action.page.paths())
}

fn action(network: &ActionNetwork, task: &Task<'_, ActionNetwork>, memo: &Memo, id: &str) -> Value {
    let record = &task.delivery.record;
    let at = record
        .action
        .as_ref()
        .map_or(record.event_at, |action| action.created_at);
    let href = url(network, &["people", id]);
    let mut body = json!({
        "identifiers": [memo.identifier],
        "created_date": at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "_links": { "osdi:person": { "href": href.as_str() } },
    });
    let autoresponse = network
        .settings
        .action
        .as_ref()
        .is_some_and(|action| action.autoresponse);
    if let Some(body) = body.as_object_mut() {
        body.insert(
            "triggers".to_owned(),
            json!({ "autoresponse": { "enabled": autoresponse } }),
        );
        body.extend(
            memo.comment
                .as_ref()
                .map(|text| ("comments".to_owned(), text.as_str().into())),
        );
        let tracking = |name: &str| {
            let tracking = record.action.as_ref()?.tracking.as_ref()?;
            tracking.get(name)?.as_str().filter(|text| !text.is_empty())
        };
        if let Some(source) = tracking("source") {
            body.insert(
                "action_network:referrer_data".to_owned(),
                json!({ "source": source }),
            );
        }
    }
    body
}

fn filtered(mut request: HttpRequest, field: &str, value: &str) -> HttpRequest {
    let value = value.replace('\'', "''");
    let filter = format!("{field} eq '{value}'");
    request.url.query_pairs_mut().append_pair("filter", &filter);
    request
}

pub(super) fn get(network: &ActionNetwork, path: &[&str]) -> HttpRequest {
    HttpRequest {
        method: Method::GET,
        url: url(network, path),
        url_is_secret: false,
        headers: network.headers.clone(),
        body: Bytes::new(),
    }
}

fn post(network: &ActionNetwork, path: &[&str], body: &Value) -> HttpRequest {
    HttpRequest {
        method: Method::POST,
        body: Bytes::from(body.to_string()),
        ..get(network, path)
    }
}

fn put(network: &ActionNetwork, path: &[&str], body: &Value) -> HttpRequest {
    HttpRequest {
        method: Method::PUT,
        ..post(network, path, body)
    }
}

/// The base with these steps, each encoded: the id of a page may come from a campaign's settings.
fn url(network: &ActionNetwork, path: &[&str]) -> url::Url {
    let mut url = network.settings.base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments
            .clear()
            .extend(["api", &network.settings.version])
            .extend(path);
    }
    url
}
