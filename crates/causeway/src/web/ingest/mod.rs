//! The way in over HTTP: checks who sends, stores what came, and answers when it is on disk. Reads nothing into
//! it: that is the decoder's part, later.
//!
//! Order of work: token, address, credentials, announced length, a free slot, body, signature, shape, store. What was
//! authenticated and is not over a limit is stored even when it makes no sense: it becomes a dead row that
//! a person can see and replay, where a 400 would be the last that anybody hears of it.

pub(super) mod body;
mod config;
mod dedup;
mod listener;
mod metrics;
mod reading;
mod shape;

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{ConnectInfo, Request, State},
    http::{Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::any,
};
use causeway_connect::config::ConfigError;
use causeway_core::{
    clock::Clock,
    envelope::{Envelope, MessageKey, Meta},
    source::Accept,
    store::{Accepted, StoreError},
};
use tracing::{Instrument, debug, error, field, info_span, warn};

pub use self::{
    config::{Basic, Config, HeaderSecret, Limits, Preset},
    listener::Listener,
    metrics::{IngestMetrics, NoMetrics},
    reading::{Arrival, Generic, Proca, Sync},
};
use super::{
    error::{Refusal, json},
    secrets::{Fingerprint, fingerprint},
    verify,
};

/// How long a request waits for the store before it is told to come again.
pub const STORE_WAIT: Duration = Duration::from_secs(10);
/// A longer content type is not kept.
const MAX_CONTENT_TYPE: usize = 256;

/// A complete `[source.NAME]` table, each key with unit and default in a comment.
pub const SAMPLE: &str = include_str!("../../../../../samples/sources/listener.toml");
/// One line for lists of kinds.
pub const SUMMARY: &str = "takes what other systems post to an address of its own";

type ByToken = HashMap<Fingerprint, Arc<Listener>>;

/// All listeners of the program, behind `/in/TOKEN`.
pub struct Ingest {
    // By the token's digest: how long looking up takes says nothing about a token.
    listeners: ArcSwap<ByToken>,
    accept: Arc<dyn Accept>,
    clock: Arc<dyn Clock>,
    metrics: Arc<dyn IngestMetrics>,
    store_wait: Duration,
}

impl Ingest {
    /// `store_wait` is [`STORE_WAIT`] unless a test is in a hurry.
    pub fn new(
        listeners: Vec<Listener>,
        accept: Arc<dyn Accept>,
        clock: Arc<dyn Clock>,
        metrics: Arc<dyn IngestMetrics>,
        store_wait: Duration,
    ) -> Result<Arc<Self>, ConfigError> {
        Ok(Arc::new(Self {
            listeners: ArcSwap::from_pointee(by_token(listeners)?),
            accept,
            clock,
            metrics,
            store_wait,
        }))
    }

    /// Exchanges the listeners (a reload); requests under way finish with the old ones.
    pub fn replace(&self, listeners: Vec<Listener>) -> Result<(), ConfigError> {
        self.listeners.store(Arc::new(by_token(listeners)?));
        Ok(())
    }

    /// Answers `/in/TOKEN`.
    pub fn routes(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/in/{token}", any(answer))
            .with_state(Arc::clone(self))
    }
}

fn by_token(listeners: Vec<Listener>) -> Result<ByToken, ConfigError> {
    let mut all = ByToken::new();
    for listener in listeners {
        let listener = Arc::new(listener);
        for token in &listener.tokens {
            if let Some(other) = all.insert(*token, Arc::clone(&listener)) {
                return Err(ConfigError::new(
                    "token",
                    format!("{} and {} have the same token", other.name, listener.name),
                ));
            }
        }
    }
    Ok(all)
}

/// How a request ended well.
enum Done {
    Probe,
    Stored(Accepted),
}

async fn answer(
    State(ingest): State<Arc<Ingest>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let started = Instant::now();
    let (parts, mut body) = request.into_parts();
    let token = parts.uri.path().strip_prefix("/in/").unwrap_or_default();
    let listener = ingest
        .listeners
        .load()
        .get(&fingerprint(token.as_bytes()))
        .cloned();
    let name = listener.as_ref().map_or("-", |found| &found.name);
    let ended = match &listener {
        Some(listener) => take(&ingest, listener, peer, &parts, &mut body).await,
        None => Err(Refusal::NotFound),
    };
    let (reason, response) = match ended {
        Ok(Done::Probe) => ("probe", json(StatusCode::OK, r#"{"status":"ok"}"#.to_owned())),
        Ok(Done::Stored(accepted)) => (
            if accepted.duplicate { "duplicate" } else { "ok" },
            // A duplicate gets the answer that the first one got.
            json(
                StatusCode::OK,
                format!(r#"{{"status":"ok","reference":"{}"}}"#, accepted.id),
            ),
        ),
        Err(refusal) => {
            if listener.is_some() {
                warn!(source = name, reason = refusal.reason(), "A request was refused.");
            } else {
                debug!("A request named no source.");
            }
            if !matches!(refusal, Refusal::Slow | Refusal::Broken) {
                body::drain(&mut body, &parts.headers).await;
            }
            (refusal.reason(), refusal.into_response())
        }
    };
    ingest
        .metrics
        .answered(name, response.status().as_u16(), reason, started.elapsed());
    response
}

async fn take(
    ingest: &Ingest,
    listener: &Listener,
    peer: SocketAddr,
    parts: &Parts,
    body: &mut Body,
) -> Result<Done, Refusal> {
    listener.check_address(peer.ip(), &parts.headers)?;
    let query = parts.uri.query().unwrap_or_default();
    match parts.method {
        // Platforms try an address out, unsigned, before they use it.
        Method::HEAD if listener.probes => return Ok(Done::Probe),
        Method::GET if listener.probes && query.is_empty() && body.is_end_stream() => return Ok(Done::Probe),
        Method::GET | Method::POST => {}
        _ => return Err(Refusal::Method),
    }
    listener.check_credentials(&parts.headers)?;
    let max_bytes = listener.limits.body_kb as usize * 1024;
    let announced = body::announced(&parts.headers);
    if announced.is_some_and(|length| length > max_bytes as u64) {
        return Err(Refusal::TooLarge("body"));
    }
    let _slot = listener.slots.try_acquire().map_err(|_| Refusal::Busy {
        status: listener.busy_status,
    })?;
    let body = body::read(body, announced, max_bytes, listener.body_timeout).await?;
    let now = ingest.clock.now();
    let signed_id = match &listener.verifier {
        None => None,
        Some(verifier) => verifier
            .verify(&verify::Request {
                method: parts.method.as_str(),
                path_and_query: parts.uri.path_and_query().map_or("", |both| both.as_str()),
                headers: &parts.headers,
                body: &body,
                now,
            })
            .map_err(|reason| listener.unauthorized(reason))?,
    };
    if body.trim_ascii().is_empty() && query.is_empty() {
        return Err(Refusal::NoData);
    }
    let kind = shape::kind(&parts.headers, &body)?;
    shape::check(kind, query, &body, &listener.limits)?;
    let meta = meta(parts, query);
    let (dedup, dedup_window_ms) = dedup::key(listener, signed_id, kind, &meta, &body);
    let envelope = Envelope {
        source: Arc::clone(&listener.name),
        dedup,
        dedup_window_ms,
        received_at: now,
        meta,
        body,
    };
    store(ingest, envelope).await.map(Done::Stored)
}

fn meta(parts: &Parts, query: &str) -> Meta {
    Meta {
        content_type: parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .filter(|value| value.len() <= MAX_CONTENT_TYPE)
            .map(str::to_owned),
        method: Some(parts.method.as_str().to_owned()),
        query: (!query.is_empty()).then(|| query.to_owned()),
        ..Meta::default()
    }
}

/// Returns when the envelope is on disk. A caller that was told to come again may have been stored all the same:
/// its second try is then a duplicate.
async fn store(ingest: &Ingest, envelope: Envelope) -> Result<Accepted, Refusal> {
    let span = info_span!(
        "accept",
        source = &*envelope.source,
        message_id = %Hex(&envelope.dedup),
        inbox.id = field::Empty,
    );
    let accepting = ingest.accept.accept(vec![envelope]).instrument(span.clone());
    let ended = tokio::time::timeout(ingest.store_wait, accepting).await;
    let _entered = span.enter();
    match ended {
        Ok(Ok(accepted)) => {
            let first = accepted.first().copied().ok_or(Refusal::Unavailable)?;
            span.record("inbox.id", first.id.0);
            debug!(duplicate = first.duplicate, "A request was stored.");
            Ok(first)
        }
        Ok(Err(error @ StoreError::Unavailable(_))) => {
            warn!(%error, "A request could not be stored now.");
            Err(Refusal::Unavailable)
        }
        Ok(Err(error @ StoreError::Failed(_))) => {
            error!(%error, "A request could not be stored.");
            Err(Refusal::Unavailable)
        }
        Err(_) => {
            warn!("A request waited too long for the store.");
            Err(Refusal::Unavailable)
        }
    }
}

/// Writes a key in hex, only when somebody listens.
struct Hex<'a>(&'a MessageKey);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}
