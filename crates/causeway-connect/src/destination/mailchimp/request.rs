//! The request of each step.

use bytes::Bytes;
use causeway_core::clock::Timestamp;
use reqwest::Method;
use serde_json::{Map, Value, json};
use url::Url;

use super::{
    Mailchimp, Memo, Step,
    config::{EVENT_KEY, Settings},
};
use crate::{connector::Task, http::HttpRequest};

/// How many of a member's newest events are looked through. An earlier attempt was hours ago at most.
const EVENTS: &str = "100";
/// What decides about the status of a member.
const SEEN: &str = "status,last_changed,unsubscribe_reason";

pub(super) fn request(mailchimp: &Mailchimp, step: &Step, tasks: &[&Task<'_, Mailchimp>]) -> HttpRequest {
    let none = Memo::default();
    let memo = tasks.first().map_or(&none, |task| &task.memo);
    let settings = &mailchimp.settings;
    let call = |method: Method, below: &[&str], query: &[(&str, &str)], body: Option<Value>| {
        let member: [&str; 4] = ["lists", &settings.list, "members", &memo.path];
        let path = [&member[..], below].concat();
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        HttpRequest {
            method,
            body,
            ..get(mailchimp, &path, query)
        }
    };
    // A required merge field must hold up nobody, least of all an opt-out.
    let unchecked = [("skip_merge_validation", "true")];
    match step {
        Step::Withdraw { plain } => call(
            Method::PATCH,
            &[],
            &unchecked,
            Some(withdrawal(settings, memo, *plain)),
        ),
        Step::ProveList => get(mailchimp, &["lists", &settings.list], &[("fields", "id")]),
        Step::Look | Step::ReadMember => call(Method::GET, &[], &[("fields", SEEN)], None),
        // The person chose another address there, which a PUT would change back.
        Step::Upsert if memo.by_contact() => {
            call(Method::PATCH, &[], &unchecked, Some(member(settings, memo)))
        }
        Step::Upsert => call(Method::PUT, &[], &unchecked, Some(member(settings, memo))),
        Step::Tag => {
            let tags = memo.tags.iter();
            let tags: Vec<Value> = tags
                .map(|name| json!({ "name": name, "status": "active" }))
                .collect();
            let body = json!({ "tags": tags, "is_syncing": !settings.automations });
            call(Method::POST, &["tags"], &[], Some(body))
        }
        Step::FindEvent => call(
            Method::GET,
            &["events"],
            &[("count", EVENTS), ("fields", "events.name,events.properties")],
            None,
        ),
        Step::SendEvent => call(Method::POST, &["events"], &[], Some(event(settings, tasks, memo))),
        Step::Archive => call(Method::DELETE, &[], &[], None),
        Step::Delete => call(Method::POST, &["actions", "delete-permanent"], &[], None),
    }
}

pub(super) fn get(mailchimp: &Mailchimp, path: &[&str], query: &[(&str, &str)]) -> HttpRequest {
    HttpRequest {
        method: Method::GET,
        url: url(&mailchimp.access.base, path, query),
        url_is_secret: false,
        headers: mailchimp.access.headers.clone(),
        body: Bytes::new(),
    }
}

/// The base with these steps: ids and hashes, which need no encoding.
fn url(base: &Url, path: &[&str], query: &[(&str, &str)]) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{}", base.path(), path.join("/")));
    let pairs = query.iter().map(|(name, value)| format!("{name}={value}"));
    let query = pairs.collect::<Vec<_>>().join("&");
    url.set_query((!query.is_empty()).then_some(&query));
    url
}

fn withdrawal(settings: &Settings, memo: &Memo, plain: bool) -> Value {
    if plain {
        return json!({ "status": "unsubscribed" });
    }
    let status = memo.status.unwrap_or("unsubscribed");
    if settings.marketing_permissions.is_empty() {
        return json!({ "status": status });
    }
    json!({ "status": status, "marketing_permissions": permissions(settings, false) })
}

fn permissions(settings: &Settings, enabled: bool) -> Value {
    let ids = settings.marketing_permissions.iter();
    ids.map(|id| json!({ "marketing_permission_id": id, "enabled": enabled }))
        .collect()
}

fn member(settings: &Settings, memo: &Memo) -> Value {
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    if !memo.by_contact() {
        put("email_address", memo.email.as_str().into());
        put("status_if_new", memo.if_new.into());
    }
    // An opt-out was written before, by a call of its own.
    let status = memo.status.filter(|_| memo.agreed);
    if let Some(status) = status {
        put("status", status.into());
    }
    if !memo.fields.is_empty() {
        put("merge_fields", memo.fields.clone().into());
    }
    if let Some(language) = memo.language {
        put("language", language.into());
    }
    if memo.agreed && !settings.interests.is_empty() {
        let interests = settings.interests.iter();
        let interests: Map<String, Value> = interests.map(|id| (id.clone(), true.into())).collect();
        put("interests", interests.into());
    }
    if memo.agreed && !settings.marketing_permissions.is_empty() {
        put("marketing_permissions", permissions(settings, true));
    }
    // The proof of an older opt-in stays.
    if let Some(since) = memo
        .since
        .filter(|_| memo.agreed && (memo.is_new || status.is_some()))
    {
        let written = status.unwrap_or(memo.if_new);
        put("timestamp_signup", time(since).into());
        if written == "subscribed" {
            put("timestamp_opt", time(since).into());
        }
    }
    body.into()
}

fn event(settings: &Settings, tasks: &[&Task<'_, Mailchimp>], memo: &Memo) -> Value {
    let mut properties = memo.event.clone();
    let task = tasks.first();
    properties.extend(task.map(|task| (EVENT_KEY.to_owned(), task.delivery.key.0.as_str().into())));
    json!({
        "name": settings.event.as_ref().map_or("", |(name, _)| name),
        "properties": properties,
        "occurred_at": task.map(|task| time(task.delivery.record.event_at)),
        "is_syncing": !settings.automations,
    })
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
