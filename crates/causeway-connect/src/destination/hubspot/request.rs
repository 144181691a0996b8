//! The request of each step.

use bytes::Bytes;
use causeway_core::{consent::Change, envelope::digest};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Map, Value, json};
use url::Url;

use super::{HubSpot, Step, statuses};
use crate::{connector::Task, http::HttpRequest};

pub(super) fn request(hubspot: &HubSpot, step: &Step, tasks: &[&Task<'_, HubSpot>]) -> HttpRequest {
    let version = &hubspot.settings.version;
    let memo = tasks.first().map(|task| &task.memo);
    let id = memo.and_then(|memo| memo.id.as_deref()).unwrap_or_default();
    let email = memo.map_or("", |memo| &memo.email);
    if statuses::are_together(hubspot, step, tasks) {
        return statuses::request(hubspot, step, tasks);
    }
    match step {
        Step::Upsert { by_key } => post(
            hubspot,
            &["crm", "objects", version, "contacts", "batch", "upsert"],
            &json!({ "inputs": inputs(hubspot, *by_key, tasks) }),
        ),
        Step::ReadOwner => {
            let mut request = get(hubspot, &["crm", "objects", version, "contacts", id]);
            let key = hubspot.settings.key.as_ref().map_or("", |(name, _)| name);
            let properties = format!("email,hs_additional_emails,{key}");
            request
                .url
                .query_pairs_mut()
                .append_pair("properties", &properties);
            request
        }
        Step::Adopt => HttpRequest {
            method: Method::PATCH,
            ..post(
                hubspot,
                &["crm", "objects", version, "contacts", id],
                &json!({ "properties": memo.map(|_| properties(hubspot, tasks)).unwrap_or_default() }),
            )
        },
        Step::Unsubscribe if hubspot.settings.subscription.is_none() => {
            let path = [&of_person(version, email)[..], &["unsubscribe-all"]].concat();
            let mut request = post(hubspot, &path, &json!({}));
            request.body = Bytes::new();
            add_channel(&mut request);
            request
        }
        Step::ReadStatus => {
            let mut request = get(hubspot, &of_person(version, email));
            add_channel(&mut request);
            request
        }
        Step::Subscribe | Step::Unsubscribe => {
            let body = tasks.first().map(|task| change(hubspot, step, task));
            post(hubspot, &of_person(version, email), &body.unwrap_or_default())
        }
        Step::AddToList(list) => {
            let ids = tasks.iter().filter_map(|task| task.memo.id.as_deref());
            HttpRequest {
                method: Method::PUT,
                ..post(
                    hubspot,
                    &["crm", "lists", version, list, "memberships", "add"],
                    &ids.collect::<Value>(),
                )
            }
        }
        Step::SendEvent => post(
            hubspot,
            &["events", "custom", version, "send", "batch"],
            &json!({ "inputs": events(hubspot, tasks) }),
        ),
        Step::Delete => post(
            hubspot,
            &["crm", "objects", version, "contacts", "gdpr-delete"],
            &json!({ "objectId": email, "idProperty": "email" }),
        ),
    }
}

pub(super) fn get(hubspot: &HubSpot, path: &[&str]) -> HttpRequest {
    HttpRequest {
        method: Method::GET,
        url: url(&hubspot.settings.base, path),
        url_is_secret: false,
        headers: hubspot.headers.clone(),
        body: Bytes::new(),
    }
}

pub(super) fn post(hubspot: &HubSpot, path: &[&str], body: &Value) -> HttpRequest {
    HttpRequest {
        method: Method::POST,
        body: Bytes::from(body.to_string()),
        ..get(hubspot, path)
    }
}

/// All but the signs that RFC 3986 never reserves. A plus in an address must not be read as a blank.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The base with these steps, each encoded: an address may have any sign.
fn url(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    let steps: Vec<String> = path
        .iter()
        .map(|step| utf8_percent_encode(step, ENCODED).to_string())
        .collect();
    url.set_path(&steps.join("/"));
    url
}

fn of_person<'a>(version: &'a str, email: &'a str) -> Vec<&'a str> {
    vec!["communication-preferences", version, "statuses", email]
}

/// E-mail is the only channel that HubSpot has.
pub(super) fn add_channel(request: &mut HttpRequest) {
    request.url.query_pairs_mut().append_pair("channel", "EMAIL");
}

/// The change of a person's subscription.
pub(super) fn change(hubspot: &HubSpot, step: &Step, task: &Task<'_, HubSpot>) -> Value {
    let (state, why) = match (step, task.delivery.record.change) {
        (Step::Subscribe, _) => ("SUBSCRIBED", explanation(task)),
        (_, Change::Suppress) => (
            "UNSUBSCRIBED",
            "The address must not be used: it bounced, is blocked, or its owner complained.".to_owned(),
        ),
        _ => ("UNSUBSCRIBED", "The person opted out.".to_owned()),
    };
    json!({
        "subscriptionId": hubspot.settings.subscription,
        "statusState": state,
        "channel": "EMAIL",
        "legalBasis": hubspot.settings.legal_basis,
        "legalBasisExplanation": why,
    })
}

/// When and where the person agreed.
fn explanation(task: &Task<'_, HubSpot>) -> String {
    let record = &task.delivery.record;
    let since = task
        .memo
        .since
        .map(|at| format!(" on {}", at.strftime("%Y-%m-%d")));
    let campaign = record.campaign.as_ref().map(|campaign| campaign.name.as_str());
    let campaign = campaign.map(|name| format!(", campaign {name}"));
    format!(
        "Opt-in{}, by {}{}",
        since.unwrap_or_default(),
        record.source,
        campaign.unwrap_or_default()
    )
}

/// All properties of the first task: those of the mapping, the key and the address.
fn properties(hubspot: &HubSpot, tasks: &[&Task<'_, HubSpot>]) -> Map<String, Value> {
    let Some(memo) = tasks.first().map(|task| &task.memo) else {
        return Map::new();
    };
    let mut properties = memo.properties.clone();
    properties.insert("email".to_owned(), memo.email.as_str().into());
    if let (Some((name, _)), Some(value)) = (&hubspot.settings.key, &memo.key) {
        properties.insert(name.clone(), value.as_str().into());
    }
    properties
}

fn inputs(hubspot: &HubSpot, by_key: bool, tasks: &[&Task<'_, HubSpot>]) -> Value {
    let property = match &hubspot.settings.key {
        Some((name, _)) if by_key => name,
        _ => "email",
    };
    let one = |(at, task): (usize, &&Task<'_, HubSpot>)| {
        let id = task
            .memo
            .key
            .as_deref()
            .filter(|_| by_key)
            .unwrap_or(&task.memo.email);
        json!({
            "idProperty": property,
            "id": id,
            "objectWriteTraceId": at.to_string(),
            "properties": properties(hubspot, &[task]),
        })
    };
    tasks.iter().enumerate().map(one).collect()
}

fn events(hubspot: &HubSpot, tasks: &[&Task<'_, HubSpot>]) -> Value {
    let name = hubspot.settings.event.as_ref().map_or("", |(name, _)| name);
    let one = |task: &&Task<'_, HubSpot>| {
        let mut event = json!({
            "eventName": name,
            "occurredAt": task.delivery.record.event_at.to_string(),
            "uuid": uuid(task),
            "properties": task.memo.event,
        });
        // With an address HubSpot would make a contact, or choose one.
        let (who, value) = match &task.memo.id {
            Some(id) => ("objectId", id),
            None => ("email", &task.memo.email),
        };
        if let Some(members) = event.as_object_mut() {
            members.insert(who.to_owned(), value.as_str().into());
        }
        event
    };
    tasks.iter().map(one).collect()
}

/// The action in the form of a UUID. HubSpot takes each one once, so that a repeated delivery is no second event.
fn uuid(task: &Task<'_, HubSpot>) -> String {
    let record = &task.delivery.record;
    let action = record.action.as_ref().map_or("", |action| &*action.external_id);
    let parts = [&*record.workspace, &*record.source, action, &*task.memo.email];
    let hex = data_encoding::HEXLOWER.encode(&digest(&parts.map(str::as_bytes)));
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    // Version 8 of RFC 9562: made by the application.
    format!(
        "{}-{}-8{}-a{}-{}",
        part(0, 8),
        part(8, 12),
        part(12, 15),
        part(15, 18),
        part(18, 30)
    )
}
