//! The request of each step.

use bytes::Bytes;
use causeway_core::consent::ConsentState;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{CleverReach, Memo, Step, receiver::Consent};
use crate::{connector::Task, http::HttpRequest};

pub(super) fn request(
    cleverreach: &CleverReach,
    step: Step,
    tasks: &[&Task<'_, CleverReach>],
) -> HttpRequest {
    let none = Memo::default();
    let memo = tasks.first().map_or(&none, |task| &task.memo);
    let group = cleverreach.settings.group.to_string();
    match step {
        Step::Look | Step::Confirm | Step::Read if memo.by_group => {
            get(cleverreach, &["groups", &group, "receivers", &memo.email])
        }
        Step::Look | Step::Confirm | Step::Read => {
            let mut request = get(cleverreach, &["receivers", &memo.email]);
            request.url.query_pairs_mut().append_pair("group_id", &group);
            request
        }
        Step::ProveGroup => get(cleverreach, &["groups", &group]),
        Step::Deactivate => write(
            cleverreach,
            &group,
            tasks,
            |memo| json!({ "email": memo.email, "deactivated": memo.left_at }),
        ),
        Step::Blacklist => HttpRequest {
            method: Method::POST,
            body: Bytes::from(json!({ "email": memo.email, "comment": comment(tasks) }).to_string()),
            ..get(cleverreach, &["blacklist"])
        },
        Step::Delete => HttpRequest {
            method: Method::DELETE,
            ..get(cleverreach, &["groups", &group, "receivers", &memo.email])
        },
        Step::Activate => {
            let who = memo.id.as_deref().unwrap_or(&memo.email);
            HttpRequest {
                method: Method::PUT,
                ..get(cleverreach, &["groups", &group, "receivers", who, "activate"])
            }
        }
        Step::Write => write(cleverreach, &group, tasks, receiver),
    }
}

/// All but the signs that RFC 3986 never reserves, and @, which CleverReach's own library leaves. A plus in an address
/// must not be read as a blank.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'@');

pub(super) fn get(cleverreach: &CleverReach, path: &[&str]) -> HttpRequest {
    let settings = &cleverreach.settings;
    let mut url = settings.base.clone();
    let parts: Vec<String> = path
        .iter()
        .map(|part| utf8_percent_encode(part, ENCODED).to_string())
        .collect();
    url.set_path(&format!("{}/{}", settings.api_version, parts.join("/")));
    HttpRequest {
        method: Method::GET,
        url,
        url_is_secret: false,
        headers: cleverreach.headers.clone(),
        body: Bytes::new(),
    }
}

/// The call whose response shows each receiver whole.
fn write(
    cleverreach: &CleverReach,
    group: &str,
    tasks: &[&Task<'_, CleverReach>],
    one: impl Fn(&Memo) -> Value,
) -> HttpRequest {
    let receivers: Value = tasks.iter().map(|task| one(&task.memo)).collect();
    HttpRequest {
        method: Method::POST,
        body: Bytes::from(receivers.to_string()),
        ..get(cleverreach, &["groups", group, "receivers", "upsertplus"])
    }
}

/// A receiver. Without the three times CleverReach would make a new one active, so a new one always has them.
fn receiver(memo: &Memo) -> Value {
    let mut body = Map::from_iter([("email".to_owned(), memo.email.as_str().into())]);
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    match memo.consent {
        Consent::Kept => {}
        Consent::Confirmed {
            registered,
            activated,
        } => {
            put("registered", registered.into());
            put("activated", activated.into());
        }
        Consent::Unconfirmed { registered } => {
            put("registered", registered.into());
            put("activated", 0.into());
        }
    }
    // The proof of an older registration stays.
    if memo.is_new {
        put("source", memo.source.as_str().into());
    }
    for (name, values) in [
        ("global_attributes", &memo.fields),
        ("attributes", &memo.group_fields),
    ] {
        if !values.is_empty() {
            put(name, values.clone().into());
        }
    }
    if !memo.tags.is_empty() {
        put("tags", memo.tags.clone().into());
    }
    body.into()
}

/// Why the address is blocked, for people at CleverReach.
fn comment(tasks: &[&Task<'_, CleverReach>]) -> String {
    let why = tasks.first().and_then(|task| {
        let record = &task.delivery.record;
        match record.consent_state_for(&record.purpose) {
            ConsentState::Suppressed { why, .. } => Some(why.as_str()),
            _ => None,
        }
    });
    format!("Causeway: {}", why.unwrap_or("suppressed"))
}
