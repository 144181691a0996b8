//! The pages. Each is a struct for its template, made from the views of the store.

pub(super) mod deliveries;
pub(super) mod message;
mod message_automations;
mod message_words;
pub(super) mod messages;
pub(super) mod overview;
mod person;

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use causeway_core::store::StoreError;
use serde::Serialize;

use super::{
    Console, log_store_error,
    render::{Frame, Page, html},
};
use crate::config::Generation;

/// A page with only a text.
#[derive(Debug, Serialize)]
pub(super) struct Notice {
    pub title: String,
    pub text: String,
    /// The command to type.
    pub command: Option<String>,
}

impl Page for Notice {
    const TEMPLATE: &'static str = "notice.html";
    #[cfg(test)]
    fn samples() -> Vec<Self> {
        let message = |title: &str, command: Option<&str>| Self {
            title: title.to_owned(),
            text: "<script>alert(1)</script>".to_owned(),
            command: command.map(str::to_owned),
        };
        vec![
            message("No such page", None),
            message("<script>", Some("causeway trace <script>")),
        ]
    }
}

/// The frame of the page `here`, for a request to `uri`.
async fn frame(console: &Console, here: &'static str, uri: &Uri) -> Frame {
    let asked = uri.query().and_then(|query| {
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == "theme")
            .map(|(_, value)| value.into_owned())
    });
    Frame {
        here,
        theme: match asked.as_deref() {
            Some("dark") => Some("dark"),
            Some("light") => Some("light"),
            _ => None,
        },
        attention: console
            .live
            .frame()
            .await
            .map_or(0, |frame| frame.picture.attention.len()),
        configuration: configuration(&(console.generation)()),
    }
}

fn configuration(generation: &Generation) -> String {
    let since = generation.since.strftime("%Y-%m-%d %H:%M UTC");
    format!("configuration {}, since {since}", generation.generation)
}

/// The page shown when the store does not answer.
async fn unavailable(console: &Console, here: &'static str, uri: &Uri, error: &StoreError) -> Response {
    log_store_error(error);
    let page = Notice {
        title: "The store does not answer".to_owned(),
        text: "The page could not be read from the store. Nothing is lost: messages are acknowledged only after they are stored. \
               Load the page again in a moment. If the error stays, this command shows the cause:"
            .to_owned(),
        command: Some("causeway doctor".to_owned()),
    };
    html(
        console,
        StatusCode::SERVICE_UNAVAILABLE,
        &frame(console, here, uri).await,
        &page,
    )
}

/// The page shown while the program stops.
fn stopping(console: &Console, frame: &Frame) -> Response {
    let page = Notice {
        title: "The program is stopping".to_owned(),
        text: "Attempts in flight are finished. Waiting deliveries are sent after the next start.".to_owned(),
        command: Some("causeway serve".to_owned()),
    };
    html(console, StatusCode::SERVICE_UNAVAILABLE, frame, &page)
}

/// The page shown for an unknown URL.
pub(super) async fn not_found(State(console): State<Arc<Console>>, uri: Uri) -> Response {
    let page = Notice {
        title: "There is no such page".to_owned(),
        text: "The console has an overview, the deliveries and the messages. To find one message, type its number \
               into the search box."
            .to_owned(),
        command: None,
    };
    html(
        &console,
        StatusCode::NOT_FOUND,
        &frame(&console, "", &uri).await,
        &page,
    )
}

/// The value of a form field. A form sends empty fields, too, which count as missing.
fn filled(field: Option<String>) -> Option<String> {
    field
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}

/// A link such as `/deliveries?` with these pairs.
pub(super) fn link(path: &str, pairs: &[(&str, Option<&str>)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (key, value) in pairs {
        if let Some(value) = value {
            query.append_pair(key, value);
        }
    }
    let query = query.finish();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    }
}
