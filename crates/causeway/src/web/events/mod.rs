//! `POST /v1/events`: programs report mails opened, pages visited, tags, scores and consent.
//!
//! Each item becomes its own envelope. All items of a request are committed together before the response, which has the
//! message number of each item in order. An invalid item is stored, too (as dead, by the same decoder), and the response
//! says what is wrong with it.

mod config;
mod openapi;

use std::{sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    response::Response,
    routing::{any, get},
};
use bytes::Bytes;
use causeway_connect::config::ConfigError;
use causeway_core::{
    clock::Timestamp,
    decode::events,
    envelope::{Dedup, Envelope, Meta},
    store::Accepted,
};
use serde::Serialize;
use serde_json::Value;
use tracing::{debug, warn};

pub use self::{
    config::{Config, KIND, Limits, Sender},
    openapi::document,
};
use super::{
    error::{Refusal, json},
    intake::{Intake, Tokens, refuse},
    secrets::fingerprint,
};

/// All sources of kind `events`.
pub struct Events {
    senders: ArcSwap<Tokens<Sender>>,
    intake: Arc<Intake>,
}

impl Events {
    pub fn new(senders: Vec<Sender>, intake: Arc<Intake>) -> Result<Arc<Self>, ConfigError> {
        Ok(Arc::new(Self {
            senders: ArcSwap::from_pointee(Tokens::new(senders)?),
            intake,
        }))
    }

    /// Replaces the senders (a reload). Requests in progress finish with the old ones.
    pub fn replace(&self, senders: Vec<Sender>) -> Result<(), ConfigError> {
        self.senders.store(Arc::new(Tokens::new(senders)?));
        Ok(())
    }

    pub fn routes(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/v1/events", any(answer))
            .with_state(Arc::clone(self))
            .route("/v1/openapi.json", get(describe))
    }
}

async fn describe() -> Response {
    json(StatusCode::OK, document().to_string())
}

/// The result of one item.
#[derive(Debug, Serialize)]
struct EventResult {
    status: &'static str,
    /// The message number; for a duplicate, that of the first message.
    reference: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Answer {
    /// `ok`, `partial` (some items have errors) or `error` (all items have errors).
    status: &'static str,
    accepted: usize,
    duplicates: usize,
    errors: usize,
    events: Vec<EventResult>,
}

async fn answer(State(events): State<Arc<Events>>, request: Request) -> Response {
    let started = Instant::now();
    let (parts, mut body) = request.into_parts();
    let sender = sender(&events, &parts.headers);
    let name = sender.as_ref().map_or("-", |sender| &sender.name);
    let ended = match &sender {
        Ok(sender) => handle(&events, sender, &parts, &mut body).await,
        Err(refusal) => Err(*refusal),
    };
    let (reason, response) = match ended {
        Ok(answer) => {
            let status = if answer.status == "error" {
                StatusCode::BAD_REQUEST
            } else {
                StatusCode::OK
            };
            let text = serde_json::to_string(&answer).unwrap_or_default();
            (answer.status, json(status, text))
        }
        Err(refusal) => {
            warn!(source = name, reason = refusal.reason(), "Events were refused.");
            (refusal.reason(), refuse(refusal, &parts.headers, &mut body).await)
        }
    };
    events
        .intake
        .metrics
        .answered(name, response.status().as_u16(), reason, started.elapsed());
    response
}

fn sender(events: &Events, headers: &HeaderMap) -> Result<Arc<Sender>, Refusal> {
    let shown = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or(Refusal::Token {
            reason: "token_missing",
        })?;
    events
        .senders
        .load()
        .find(&fingerprint(shown.as_bytes()))
        .cloned()
        .ok_or(Refusal::Token {
            reason: "token_wrong",
        })
}

async fn handle(events: &Events, sender: &Sender, parts: &Parts, body: &mut Body) -> Result<Answer, Refusal> {
    if parts.method != Method::POST {
        return Err(Refusal::PostOnly);
    }
    let is_packed = parts
        .headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|encoding| encoding != "identity");
    if is_packed {
        return Err(Refusal::Unsupported);
    }
    let (body, _slot) = sender.gate.read(&parts.headers, body).await?;
    let now = events.intake.clock.now();
    let items = items(sender, &body, now)?;
    let (envelopes, wrong): (Vec<Envelope>, Vec<Option<String>>) = items.into_iter().unzip();
    let accepted = events.intake.store(envelopes).await?;
    debug!(events = accepted.len(), "Events were stored.");
    Ok(answer_of(accepted, wrong))
}

/// An envelope for each item, with its error if it has one.
fn items(sender: &Sender, body: &Bytes, now: Timestamp) -> Result<Vec<(Envelope, Option<String>)>, Refusal> {
    if body.trim_ascii().is_empty() {
        return Err(Refusal::NoData);
    }
    let parsed = match events::read(body) {
        Ok((parsed, notes)) if notes.is_empty() => parsed,
        // Each item is read separately, so that an invalid item does not affect the others.
        _ => return pieces(sender, body, now),
    };
    let items = match parsed {
        Value::Array(items) if items.is_empty() => return Err(Refusal::NoData),
        Value::Array(items) => items,
        one => vec![one],
    };
    if items.len() > sender.max_items {
        return Err(Refusal::TooLarge("items"));
    }
    let written = |item: &Value| Bytes::from(item.to_string());
    Ok(items
        .iter()
        .map(|item| envelope_of(sender, item, written(item), now))
        .collect())
}

/// Like [`items`], for a request that is not strict JSON. Each item is stored as it was written, even an invalid one, so
/// that a person may understand it.
fn pieces(sender: &Sender, body: &Bytes, now: Timestamp) -> Result<Vec<(Envelope, Option<String>)>, Refusal> {
    let pieces = events::pieces(body);
    if pieces.is_empty() {
        return Err(Refusal::NoData);
    }
    if pieces.len() > sender.max_items {
        return Err(Refusal::TooLarge("items"));
    }
    let read = |piece: &&[u8]| {
        let text = body.slice_ref(piece);
        match events::read(piece) {
            Ok((item, _)) => envelope_of(sender, &item, text, now),
            Err(wrong) => {
                let dedup = Dedup::dated(events::dedup_of_bytes(piece));
                (envelope(sender, text, dedup, now), Some(wrong))
            }
        }
    };
    Ok(pieces.iter().map(read).collect())
}

fn envelope_of(sender: &Sender, item: &Value, text: Bytes, now: Timestamp) -> (Envelope, Option<String>) {
    let (dedup, wrong) = match sender.decoder.item(item, now) {
        Ok(event) => (events::dedup(item, &event, now, sender.dedup_window_ms), None),
        // The key leaves out the item's id, because the corrected item comes with the same id.
        Err(wrong) => (Dedup::dated(events::dedup_of_bytes(&text)), Some(wrong)),
    };
    (envelope(sender, text, dedup, now), wrong)
}

fn envelope(sender: &Sender, body: Bytes, dedup: Dedup, now: Timestamp) -> Envelope {
    Envelope {
        source: Arc::clone(&sender.name),
        dedup,
        received_at: now,
        meta: Meta {
            content_type: Some("application/json".to_owned()),
            method: Some("POST".to_owned()),
            ..Meta::default()
        },
        body,
    }
}

fn answer_of(accepted: Vec<Accepted>, wrong: Vec<Option<String>>) -> Answer {
    let results: Vec<EventResult> = accepted
        .into_iter()
        .zip(wrong)
        .map(|(accepted, error)| EventResult {
            status: match (&error, accepted.duplicate) {
                (Some(_), _) => "error",
                (None, true) => "duplicate",
                (None, false) => "accepted",
            },
            reference: accepted.id.to_string(),
            error,
        })
        .collect();
    let count = |status: &str| results.iter().filter(|one| one.status == status).count();
    let (accepted, duplicates, errors) = (count("accepted"), count("duplicate"), count("error"));
    Answer {
        status: match errors {
            0 => "ok",
            errors if errors == results.len() => "error",
            _ => "partial",
        },
        accepted,
        duplicates,
        errors,
        events: results,
    }
}
