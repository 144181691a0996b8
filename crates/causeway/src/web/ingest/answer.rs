//! What a sender is told when its message was taken: a flat object with the same keys every time, as platforms that write
//! values of the answer into the contact want it; in JSON, XML or as a form, by what the sender accepts.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use causeway_core::xml;
use serde_json::{Map, Value};

use crate::web::error::json;

/// 200 with these members.
pub(super) fn ok(headers: &HeaderMap, members: &[(&str, &str)]) -> Response {
    let object: Map<String, Value> = members
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
        .collect();
    match wanted(headers) {
        Wanted::Json => json(StatusCode::OK, Value::from(object).to_string()),
        Wanted::Xml => text("application/xml", xml::write("answer", &object)),
        Wanted::Form => {
            let mut body = String::new();
            for (name, value) in members {
                causeway_core::form::append_pair(&mut body, name.as_bytes(), value.as_bytes());
            }
            text("application/x-www-form-urlencoded", body)
        }
    }
}

fn text(media_type: &'static str, body: String) -> Response {
    let mut response = json(StatusCode::OK, body);
    let media_type = HeaderValue::from_static(media_type);
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}

enum Wanted {
    Json,
    Xml,
    Form,
}

/// The first of the three that the caller names; weights are not looked at.
fn wanted(headers: &HeaderMap) -> Wanted {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let mut types = accepted.unwrap_or_default().split(',');
    types.find_map(format).unwrap_or(Wanted::Json)
}

fn format(accepted: &str) -> Option<Wanted> {
    let media = accepted
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match media.as_str() {
        "application/json" | "text/json" | "*/*" | "application/*" => Some(Wanted::Json),
        "application/xml" | "text/xml" => Some(Wanted::Xml),
        "application/x-www-form-urlencoded" => Some(Wanted::Form),
        _ => None,
    }
}
