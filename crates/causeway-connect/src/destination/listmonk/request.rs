//! The request of each step.

use bytes::Bytes;
use causeway_core::consent::Change;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{Listmonk, Step, config::OptOut, opt_in};
use crate::{connector::Task, http::HttpRequest};

pub(super) fn request(listmonk: &Listmonk, step: &Step, tasks: &[&Task<'_, Listmonk>]) -> HttpRequest {
    let ids: Vec<u64> = tasks.iter().filter_map(|task| task.memo.id).collect();
    let manage = |action: &str, lists: &[u64]| {
        let mut body = json!({ "ids": ids, "action": action, "target_list_ids": lists });
        if let Some(body) = body.as_object_mut().filter(|_| action == "add") {
            body.insert("status".to_owned(), "confirmed".into());
        }
        with(listmonk, Method::PUT, &["subscribers", "lists"], &body)
    };
    match step {
        Step::Find => {
            let emails: Vec<&str> = tasks.iter().map(|task| &*task.memo.email).collect();
            find(listmonk, &emails)
        }
        Step::Leave => manage("unsubscribe", &listmonk.settings.lists),
        Step::Join(lists) => manage("add", lists),
        Step::Block => with(
            listmonk,
            Method::PUT,
            &["subscribers", "blocklist"],
            &json!({ "ids": ids }),
        ),
        Step::Write => match tasks.first() {
            Some(task) => write(listmonk, task),
            None => get(listmonk, &["health"]),
        },
        Step::Delete => {
            let mut request = get(listmonk, &["subscribers"]);
            request.method = Method::DELETE;
            for id in ids {
                request.url.query_pairs_mut().append_pair("id", &id.to_string());
            }
            request
        }
    }
}

/// Looks these addresses up. Quotes are doubled, as SQL asks for.
pub(super) fn find(listmonk: &Listmonk, emails: &[&str]) -> HttpRequest {
    let quoted: Vec<String> = emails
        .iter()
        .map(|email| format!("'{}'", email.replace('\'', "''")))
        .collect();
    let query = format!("subscribers.email IN ({})", quoted.join(", "));
    let mut request = get(listmonk, &["subscribers"]);
    request
        .url
        .query_pairs_mut()
        .append_pair("query", &query)
        .append_pair("page", "1")
        .append_pair("per_page", "100");
    request
}

fn write(listmonk: &Listmonk, task: &Task<'_, Listmonk>) -> HttpRequest {
    let memo = &task.memo;
    if let Some(id) = memo.id {
        let id = id.to_string();
        return with(
            listmonk,
            Method::PATCH,
            &["subscribers", &id],
            &memo.news.clone().into(),
        );
    }
    let settings = &listmonk.settings;
    let is_blocked = match task.delivery.record.change {
        Change::Suppress => true,
        Change::Unsubscribe => settings.opt_out == OptOut::Blocklist,
        _ => false,
    };
    let lists: &[u64] = if opt_in(task.delivery).is_some() {
        &settings.lists
    } else {
        &[]
    };
    let body = Map::from_iter([
        ("email".to_owned(), Value::from(&*memo.email)),
        ("name".to_owned(), memo.name.as_str().into()),
        (
            "status".to_owned(),
            if is_blocked { "blocklisted" } else { "enabled" }.into(),
        ),
        ("lists".to_owned(), lists.into()),
        ("attribs".to_owned(), memo.attribs.clone().into()),
        // The hub knows who agreed, and whether by a mail: listmonk needs to ask nobody again.
        ("preconfirm_subscriptions".to_owned(), true.into()),
    ]);
    with(listmonk, Method::POST, &["subscribers"], &body.into())
}

pub(super) fn get(listmonk: &Listmonk, path: &[&str]) -> HttpRequest {
    let mut url = listmonk.settings.base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push("api").extend(path);
    }
    HttpRequest {
        method: Method::GET,
        url,
        url_is_secret: false,
        headers: listmonk.headers.clone(),
        body: Bytes::new(),
    }
}

fn with(listmonk: &Listmonk, method: Method, path: &[&str], body: &Value) -> HttpRequest {
    HttpRequest {
        method,
        body: Bytes::from(body.to_string()),
        ..get(listmonk, path)
    }
}
