//! The request of each step.

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{Brevo, Memo, Step, events};
use crate::{connector::Task, http::HttpRequest};

pub(super) fn request(brevo: &Brevo, step: Step, tasks: &[&Task<'_, Brevo>]) -> HttpRequest {
    let none = Memo::default();
    let memo = tasks.first().map_or(&none, |task| &task.memo);
    let contact = |method: Method, body: Option<Value>| HttpRequest {
        method,
        body: body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string())),
        ..get_contact(brevo, memo)
    };
    match step {
        Step::Look | Step::Confirm | Step::ReadContact | Step::Reread | Step::ReadId => {
            contact(Method::GET, None)
        }
        Step::Withdraw if memo.blocks => contact(Method::PUT, Some(json!({ "emailBlacklisted": true }))),
        Step::Withdraw => contact(
            Method::PUT,
            Some(json!({ "unlinkListIds": memo.lists_to_leave() })),
        ),
        Step::Upsert if memo.by_id => contact(Method::PUT, Some(written(memo).into())),
        Step::Upsert => post(brevo, &["contacts"], &created(memo)),
        Step::FindEvents => events::find(brevo, tasks),
        Step::SendEvents => events::send(brevo, tasks),
        Step::Delete => contact(Method::DELETE, None),
    }
}

fn get_contact(brevo: &Brevo, memo: &Memo) -> HttpRequest {
    match memo.memory.id.filter(|_| memo.by_id) {
        Some(id) => get(
            brevo,
            &["contacts", &id.to_string()],
            &[("identifierType", "contact_id")],
        ),
        None => get(
            brevo,
            &["contacts", &memo.email],
            &[("identifierType", "email_id")],
        ),
    }
}

pub(super) fn get(brevo: &Brevo, path: &[&str], query: &[(&str, &str)]) -> HttpRequest {
    let mut url = brevo.settings.base.clone();
    let steps: Vec<String> = path
        .iter()
        .map(|step| utf8_percent_encode(step, ENCODED).to_string())
        .collect();
    url.set_path(&format!("{}/{}", brevo.settings.base.path(), steps.join("/")));
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    HttpRequest {
        method: Method::GET,
        url,
        url_is_secret: false,
        headers: brevo.headers.clone(),
        body: Bytes::new(),
    }
}

/// All but the signs that RFC 3986 never reserves. A plus in an address must not be read as a blank.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

pub(super) fn post(brevo: &Brevo, path: &[&str], value: &Value) -> HttpRequest {
    HttpRequest {
        method: Method::POST,
        body: Bytes::from(value.to_string()),
        ..get(brevo, path, &[])
    }
}

/// The contact by its address, which is created if it is not there.
fn created(memo: &Memo) -> Value {
    let mut body = written(memo);
    body.insert("email".to_owned(), memo.email.as_str().into());
    body.insert("updateEnabled".to_owned(), true.into());
    // The number of the contact. Without this only a new one has it.
    body.insert("getId".to_owned(), true.into());
    body.into()
}

fn written(memo: &Memo) -> Map<String, Value> {
    // The flag has three states: without it the block stays as it is. An opt-out that found nobody creates the contact as
    // one that is blocked; one that found somebody has blocked it already.
    let is_blocked = match (memo.unblocks, memo.opts_out && memo.blocks) {
        (true, _) => Some(false),
        (false, true) => Some(true),
        (false, false) => None,
    };
    let members = [
        (!memo.attributes.is_empty()).then(|| ("attributes", memo.attributes.clone().into())),
        memo.ext_id.as_ref().map(|id| ("ext_id", id.as_str().into())),
        (!memo.lists.is_empty()).then(|| ("listIds", memo.lists.iter().copied().collect())),
        is_blocked.map(|is_blocked| ("emailBlacklisted", is_blocked.into())),
    ];
    let members = members.into_iter().flatten();
    members
        .map(|(name, value): (&str, Value)| (name.to_owned(), value))
        .collect()
}
