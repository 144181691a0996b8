//! The requests: people to add or to remove, how the processing of a request went, and what a list is.

use bytes::Bytes;
use reqwest::{Method, header::HeaderValue};
use serde_json::{Value, json};

use super::{
    Google,
    memory::{Identifier, MOST_IDENTIFIERS},
};
use crate::{connector::Task, http::HttpRequest};

/// How many members a removal of these identifiers has.
pub(super) fn members_of(ids: &[Identifier]) -> usize {
    ids.len().div_ceil(MOST_IDENTIFIERS)
}

/// Adds one member for each task.
pub(super) fn add(google: &Google, tasks: &[&Task<'_, Google>]) -> HttpRequest {
    let members: Vec<Value> = tasks.iter().map(|task| consenting(&task.memo.ids)).collect();
    post(google, "ingest", &additions(google, &members, false))
}

/// Only people who agreed get here, so each member says so, and the request says nothing for all.
fn consenting(ids: &[Identifier]) -> Value {
    let mut member = member(ids);
    if let Some(member) = member.as_object_mut() {
        let granted = json!({ "adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED" });
        member.insert("consent".to_owned(), granted);
    }
    member
}

fn member(ids: &[Identifier]) -> Value {
    let ids: Vec<Value> = ids.iter().map(Identifier::json).collect();
    json!({ "userData": { "userIdentifiers": ids } })
}

fn additions(google: &Google, members: &[Value], is_trial: bool) -> Value {
    let mut body = json!({
        "destinations": [destination(google)],
        "audienceMembers": members,
        "encoding": "HEX",
        "termsOfService": { "customerMatchTermsOfServiceStatus": "ACCEPTED" },
    });
    if let Some(body) = body.as_object_mut().filter(|_| is_trial) {
        body.insert("validateOnly".to_owned(), true.into());
    }
    body
}

/// Proves that people could be added. Nobody has the identifier, and nothing is stored.
pub(super) fn trial(google: &Google) -> HttpRequest {
    let nobody = Identifier::Email(super::normal::hash("nobody@causeway.invalid"));
    post(
        google,
        "ingest",
        &additions(google, &[consenting(&[nobody])], true),
    )
}

/// Removes everything that is known of each task's person: more than one member if there are many identifiers.
pub(super) fn remove(google: &Google, tasks: &[&Task<'_, Google>]) -> HttpRequest {
    let ids = tasks
        .iter()
        .flat_map(|task| task.memo.ids.chunks(MOST_IDENTIFIERS));
    let members: Vec<Value> = ids.map(member).collect();
    let body = json!({
        "destinations": [destination(google)], "audienceMembers": members, "encoding": "HEX",
    });
    post(google, "remove", &body)
}

fn destination(google: &Google) -> Value {
    let settings = &google.settings;
    let account = |id: &str| json!({ "accountType": "GOOGLE_ADS", "accountId": id });
    let mut destination = json!({
        "operatingAccount": account(&settings.account), "productDestinationId": settings.list.to_string(),
    });
    if let (Some(login), Some(destination)) = (&settings.login_account, destination.as_object_mut()) {
        destination.insert("loginAccount".to_owned(), account(login));
    }
    destination
}

pub(super) fn status(google: &Google, id: &str) -> HttpRequest {
    let mut request = call(google, Method::GET, &["requestStatus:retrieve"]);
    request.url.query_pairs_mut().append_pair("requestId", id);
    request
}

pub(super) fn list(google: &Google) -> HttpRequest {
    let settings = &google.settings;
    let list = settings.list.to_string();
    let path = [
        "accountTypes",
        "GOOGLE_ADS",
        "accounts",
        &settings.account,
        "userLists",
        &list,
    ];
    let mut request = call(google, Method::GET, &path);
    if let Some(login) = &settings.login_account
        && let Ok(name) = HeaderValue::from_str(&format!("accountTypes/GOOGLE_ADS/accounts/{login}"))
    {
        request.headers.insert("login-account", name);
    }
    request
}

fn post(google: &Google, method: &str, body: &Value) -> HttpRequest {
    let mut request = call(google, Method::POST, &[&format!("audienceMembers:{method}")]);
    request.body = Bytes::from(body.to_string());
    request
}

fn call(google: &Google, method: Method, path: &[&str]) -> HttpRequest {
    let mut url = google.settings.base.clone();
    // A base that is http or https always has a path.
    if let Ok(mut steps) = url.path_segments_mut() {
        steps.clear().push(&google.settings.version).extend(path);
    }
    HttpRequest {
        method,
        url,
        url_is_secret: false,
        headers: google.headers.clone(),
        body: Bytes::new(),
    }
}
