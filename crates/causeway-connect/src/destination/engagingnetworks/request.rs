//! The request of each step.

use bytes::Bytes;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{EngagingNetworks, Memo, Step};
use crate::{connector::Task, http::HttpRequest};

pub(super) fn request(
    networks: &EngagingNetworks,
    step: &Step,
    tasks: &[&Task<'_, EngagingNetworks>],
) -> HttpRequest {
    let nobody = Memo::default();
    let memo = tasks.first().map_or(&nobody, |task| &task.memo);
    let id = memo.id.or(memo.memory.supporter).unwrap_or_default().to_string();
    match step {
        Step::Find(_) => {
            let mut request = get(networks, &["supporter"]);
            let mut query = request.url.query_pairs_mut();
            query.append_pair("email", &memo.email);
            query.append_pair("includeQuestions", "true");
            drop(query);
            request
        }
        Step::FindById(_) | Step::Confirm => {
            let mut request = get(networks, &["supporter", &id]);
            request
                .url
                .query_pairs_mut()
                .append_pair("includeQuestions", "true");
            request
        }
        Step::Prove(_) => get(networks, &["supporter", "fields"]),
        Step::OptOut => {
            let body = json!({ "questions": memo.questions });
            with(networks, Method::PUT, &["supporter", &id], &body)
        }
        Step::Suppress => {
            let ids: Vec<u64> = tasks.iter().filter_map(|task| task.memo.id).collect();
            let body = json!({ "field": "suppressed", "value": true, "campaigners": ids });
            with(networks, Method::PUT, &["supporter", "bulk"], &body)
        }
        Step::Delete => HttpRequest {
            method: Method::DELETE,
            ..get(networks, &["supporter", &id])
        },
        Step::ReadPage(page) => get(networks, &["page", page]),
        Step::FindAction => get(networks, &["supporter", &id, "transactions"]),
        Step::Act => {
            let body = action(networks, memo);
            with(networks, Method::POST, &["page", &memo.page, "process"], &body)
        }
        Step::Write if memo.id.is_some() => {
            let body = supporter(memo, None).into();
            with(networks, Method::PUT, &["supporter", &id], &body)
        }
        Step::Write => {
            let email = Some((&*networks.settings.email_field, &*memo.email));
            let body = supporter(memo, email).into();
            with(networks, Method::POST, &["supporter"], &body)
        }
    }
}

/// The supporter's fields by the account's names for them.
fn supporter(memo: &Memo, email: Option<(&str, &str)>) -> Map<String, Value> {
    let mut body = Map::new();
    body.extend(email.map(|(field, email)| (field.to_owned(), email.into())));
    body.extend(memo.fields.clone());
    if !memo.questions.is_empty() {
        body.insert("questions".to_owned(), memo.questions.clone().into());
    }
    body
}

fn action(networks: &EngagingNetworks, memo: &Memo) -> Value {
    let email = memo.other_address.as_deref().unwrap_or(&memo.email);
    let mut body = memo.transaction.clone();
    // The names of fields are the account's, as in all other calls.
    body.insert("standardFieldNames".to_owned(), false.into());
    body.extend(
        memo.locale
            .as_deref()
            .map(|locale| ("locale".to_owned(), locale.into())),
    );
    let person = supporter(memo, Some((&networks.settings.email_field, email)));
    body.insert("supporter".to_owned(), person.into());
    body.into()
}

pub(super) fn get(networks: &EngagingNetworks, path: &[&str]) -> HttpRequest {
    let mut url = networks.settings.base.clone();
    if let Ok(mut parts) = url.path_segments_mut() {
        parts.pop_if_empty().extend(path);
    }
    HttpRequest {
        method: Method::GET,
        url,
        url_is_secret: false,
        headers: networks.headers.clone(),
        body: Bytes::new(),
    }
}

pub(super) fn post(networks: &EngagingNetworks, path: &[&str], body: Bytes) -> HttpRequest {
    HttpRequest {
        method: Method::POST,
        body,
        ..get(networks, path)
    }
}

fn with(networks: &EngagingNetworks, method: Method, path: &[&str], body: &Value) -> HttpRequest {
    HttpRequest {
        method,
        ..post(networks, path, Bytes::from(body.to_string()))
    }
}
