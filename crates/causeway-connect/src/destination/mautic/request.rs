//! The request of each step.

use bytes::Bytes;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{Mautic, Memo, Step, consent::Entry};
use crate::{connector::Task, http::HttpRequest};

/// Rows of a search. Several contacts may have one address.
pub(super) const ROWS: usize = 500;

/// Notes or points of one contact that are looked through for a repeat, the newest first.
const NEWEST: &str = "100";

pub(super) fn request(mautic: &Mautic, step: Step, tasks: &[&Task<'_, Mautic>]) -> HttpRequest {
    let nobody = Memo::default();
    let memo = tasks.first().map_or(&nobody, |task| &task.memo);
    let key = tasks.first().map_or("", |task| &task.delivery.key.0);
    let own = memo.id.unwrap_or_default().to_string();
    let channel = &*mautic.settings.channel;
    match step {
        Step::Find => find(mautic, tasks),
        Step::Get(id) => get(mautic, &["contacts", &id.to_string()]),
        Step::AddEntry(id) => {
            let path: [&str; 5] = ["contacts", &id.to_string(), "dnc", channel, "add"];
            let entry = memo.entry.as_ref();
            let body = entry.map(|entry| json!({ "reason": entry.reason, "comments": entry.comments }));
            post(mautic, &path, &body.unwrap_or_default())
        }
        Step::RemoveEntry(id) => post(
            mautic,
            &["contacts", &id.to_string(), "dnc", channel, "remove"],
            &json!({}),
        ),
        Step::Leave(segment, id) => post(
            mautic,
            &[
                "segments",
                &segment.to_string(),
                "contact",
                &id.to_string(),
                "remove",
            ],
            &json!({}),
        ),
        Step::Delete(id) => HttpRequest {
            method: Method::DELETE,
            ..get(mautic, &["contacts", &id.to_string(), "delete"])
        },
        Step::Upsert => {
            let contacts: Vec<Value> = tasks.iter().map(|task| contact(mautic, &task.memo)).collect();
            post(mautic, &["contacts", "batch", "new"], &contacts.into())
        }
        Step::Join(segment) => {
            let ids: Vec<u64> = tasks.iter().filter_map(|task| task.memo.id).collect();
            let path: [&str; 4] = ["segments", &segment.to_string(), "contacts", "add"];
            post(mautic, &path, &json!({ "ids": ids }))
        }
        Step::FindNote => {
            let mut request = get(mautic, &["contacts", &own, "notes"]);
            let mut query = request.url.query_pairs_mut();
            query.extend_pairs([("search", key), ("limit", NEWEST)]);
            drop(query);
            request
        }
        Step::WriteNote => {
            let at = tasks
                .first()
                .map(|task| task.delivery.record.event_at.to_string());
            let body = json!({ "lead": memo.id, "type": "general", "text": memo.note, "dateTime": at });
            post(mautic, &["notes", "new"], &body)
        }
        Step::FindPoints => {
            let mut request = get(mautic, &["contacts", &own, "activity"]);
            let mut query = request.url.query_pairs_mut();
            query.extend_pairs([
                ("filters[includeEvents][]", "point.gained"),
                ("filters[search]", key),
                ("limit", NEWEST),
            ]);
            drop(query);
            request
        }
        Step::AddPoints => {
            let operator = if memo.points < 0 { "minus" } else { "plus" };
            let number = memo.points.unsigned_abs().to_string();
            let action = tasks
                .first()
                .and_then(|task| task.delivery.record.action.as_ref());
            let name = action.map_or("action", |action| &action.action_type);
            let path: [&str; 5] = ["contacts", &own, "points", operator, &number];
            post(mautic, &path, &json!({ "eventName": name, "actionName": key }))
        }
    }
}

/// All contacts with these addresses. `in` is the only comparison for which Mautic takes back what it does to a quote
/// mark or an ampersand in the value, also if there is only one.
fn find(mautic: &Mautic, tasks: &[&Task<'_, Mautic>]) -> HttpRequest {
    let addresses = tasks
        .iter()
        .map(|task| format!("\"{}\"", task.memo.email.replace('"', "\"\"")));
    let addresses = addresses.collect::<Vec<_>>().join(",");
    let rows = ROWS.to_string();
    let mut request = get(mautic, &["contacts"]);
    let mut query = request.url.query_pairs_mut();
    query.extend_pairs([
        ("where[0][col]", "email"),
        ("where[0][expr]", "in"),
        ("where[0][val]", addresses.as_str()),
        ("limit", rows.as_str()),
    ]);
    drop(query);
    request
}

/// A contact. Empty values clear nothing, because `overwriteWithBlank` is not sent.
fn contact(mautic: &Mautic, memo: &Memo) -> Value {
    let mut members = Map::from_iter([("email".to_owned(), memo.email.clone().into())]);
    members.extend(memo.fields.clone());
    if !memo.tags.is_empty() {
        members.insert("tags".to_owned(), memo.tags.clone().into());
    }
    if let Some(Entry { reason, comments }) = memo.entry_if_new() {
        let entry = json!({ "channel": mautic.settings.channel, "reason": reason, "comments": comments });
        members.insert("doNotContact".to_owned(), json!([entry]));
    }
    members.into()
}

pub(super) fn get(mautic: &Mautic, path: &[&str]) -> HttpRequest {
    let mut url = mautic.settings.base.clone();
    url.set_path(&format!("{}/{}", url.path(), path.join("/")));
    HttpRequest {
        method: Method::GET,
        url,
        url_is_secret: false,
        headers: mautic.headers.clone(),
        body: Bytes::new(),
    }
}

fn post(mautic: &Mautic, path: &[&str], body: &Value) -> HttpRequest {
    HttpRequest {
        method: Method::POST,
        body: Bytes::from(body.to_string()),
        ..get(mautic, path)
    }
}
