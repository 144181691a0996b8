//! The requests: people to add or to remove, and what an audience is.

use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Meta, Step};
use crate::{connector::Task, http::HttpRequest};

/// The fields that `doctor` looks at.
const FIELDS: &str = "id,name,subtype,operation_status,delivery_status,approximate_count_lower_bound,\
                      approximate_count_upper_bound";

pub(super) fn users(meta: &Meta, step: Step, tasks: &[&Task<'_, Meta>]) -> HttpRequest {
    let columns = meta.settings.columns.iter();
    let schema: Vec<&str> = columns.map(|(key, _)| key.as_str()).collect();
    let data: Vec<&[String]> = tasks.iter().map(|task| task.memo.row.as_slice()).collect();
    // Always in the style of several keys: an audience refuses the other style ever after, for removals, too.
    let mut body = json!({ "payload": { "schema": schema, "data": data } });
    if let (Some(proof), Some(body)) = (&meta.access.proof, body.as_object_mut()) {
        body.insert("appsecret_proof".to_owned(), proof.as_str().into());
    }
    HttpRequest {
        method: match step {
            Step::Add => Method::POST,
            Step::Remove => Method::DELETE,
        },
        body: Bytes::from(Value::to_string(&body)),
        ..get(meta, "users")
    }
}

pub(super) fn audience(meta: &Meta) -> HttpRequest {
    let mut request = get(meta, "");
    request.url.query_pairs_mut().append_pair("fields", FIELDS);
    if let Some(proof) = &meta.access.proof {
        request
            .url
            .query_pairs_mut()
            .append_pair("appsecret_proof", proof);
        request.url_is_secret = true;
    }
    request
}

/// A call of the audience, or of one of its edges.
fn get(meta: &Meta, edge: &str) -> HttpRequest {
    let settings = &meta.settings;
    let mut url = settings.base.clone();
    // A base that is http or https always has a path.
    if let Ok(mut steps) = url.path_segments_mut() {
        let audience = settings.audience.to_string();
        steps.clear().extend([&settings.version, &audience]);
        if !edge.is_empty() {
            steps.push(edge);
        }
    }
    HttpRequest {
        method: Method::GET,
        url,
        url_is_secret: false,
        headers: meta.access.headers.clone(),
        body: Bytes::new(),
    }
}
