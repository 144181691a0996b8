//! Receives messages by HTTP: authenticates the sender, stores the message, and responds when it is on disk. The decoder
//! interprets the message later.
//!
//! Order of the checks: token, network address, method (a probe ends here), credentials, announced length, a free slot,
//! body, signature, shape, a free slot for a response with the result, store. An authenticated message within the
//! limits is stored even if it is invalid. It becomes a dead row that a person can see and replay; a status 400 would
//! lose it. Only requests without data and compressed or binary bodies are refused.

mod answer;
mod answering;
mod config;
mod dedup;
mod late;
mod listener;
pub mod minted;
mod path;
mod reading;
mod shape;

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Instant,
};

use arc_swap::ArcSwap;
use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    response::Response,
    routing::any,
};
use causeway_connect::config::ConfigError;
use causeway_core::{
    clock::Timestamp,
    envelope::{Envelope, Late, Memory, MessageKey, Meta},
    id::Name,
    store::{Accepted, SourceUrl},
};
use serde_json::{Map, Value};
use tracing::{Instrument, debug, field, info_span, warn};

pub use self::{
    answering::{AnswerKeys, Format},
    config::{Basic, Config, HeaderSecret, KIND, Limits, Preset},
    listener::Listener,
    reading::{Arrival, Generic, Proca, Sync},
};
use super::{
    error::Refusal,
    intake::{Intake, Tokens, refuse},
    secrets::{Fingerprint, fingerprint},
    serve::SentUri,
    verify,
};
use crate::engine::{Answer, Engine};

/// The header with the names of the hubs that a record passed.
const VIA: &str = "causeway-via";
const MAX_HUBS: usize = 32;
const MAX_HUB_NAME: usize = 128;
/// A longer content type is not stored.
const MAX_CONTENT_TYPE: usize = 256;

/// URLs created by `causeway source`: digest of the token → (source, end of validity).
type Minted = HashMap<Fingerprint, (Name, Option<Timestamp>)>;

/// All listeners of the program, behind `/in/TOKEN`.
pub struct Ingest {
    listeners: ArcSwap<Tokens<Listener>>,
    minted: ArcSwap<Minted>,
    intake: Arc<Intake>,
    /// The engine, which waits for the result of a message.
    engine: OnceLock<Arc<Engine>>,
}

impl Ingest {
    pub fn new(listeners: Vec<Listener>, intake: Arc<Intake>) -> Result<Arc<Self>, ConfigError> {
        Ok(Arc::new(Self {
            listeners: ArcSwap::from_pointee(Tokens::new(listeners)?),
            minted: ArcSwap::default(),
            intake,
            engine: OnceLock::new(),
        }))
    }

    /// Sets the engine, so that listeners with `answer` respond with the result of a message. Without it they respond with fallbacks.
    pub fn answer_by(&self, engine: Arc<Engine>) {
        drop(self.engine.set(engine));
    }

    /// Replaces the listeners (a reload). Requests in progress finish with the old ones.
    pub fn replace(&self, listeners: Vec<Listener>) -> Result<(), ConfigError> {
        self.listeners.store(Arc::new(Tokens::new(listeners)?));
        Ok(())
    }

    /// Replaces the created URLs by those in the store.
    pub fn set_minted(&self, urls: Vec<SourceUrl>) {
        let minted = urls
            .into_iter()
            .map(|url| (url.hash, (url.source, url.valid_until)));
        self.minted.store(Arc::new(minted.collect()));
    }

    /// The listener of a token.
    fn listener(&self, token: &str) -> Option<Arc<Listener>> {
        let shown = fingerprint(token.as_bytes());
        let listeners = self.listeners.load();
        if let Some(listener) = listeners.find(&shown) {
            return Some(Arc::clone(listener));
        }
        let minted = self.minted.load();
        let (source, until) = minted.get(&shown)?;
        let counts = until.is_none_or(|until| self.intake.clock.now() < until);
        listeners.named(source).filter(|_| counts).cloned()
    }

    /// The route `/in/TOKEN`.
    pub fn routes(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/in/{*token}", any(receive))
            .with_state(Arc::clone(self))
    }
}

/// The result of an accepted request.
enum Done {
    Probe,
    Stored(Accepted),
    /// Stored as dead: the signature is valid, but its time is outside the tolerance.
    Late(Accepted),
    Answered(Box<Answer>),
}

impl Done {
    /// A word for the metrics.
    fn reason(&self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Stored(Accepted { duplicate: true, .. }) => "duplicate",
            Self::Late(_) => "late",
            Self::Answered(answer) if !answer.in_time => "answered_without",
            Self::Answered(answer) if answer.is_duplicate => "duplicate",
            Self::Stored(_) | Self::Answered(_) => "ok",
        }
    }

    /// The members of the response. A duplicate gets the number of the first message, and the current values.
    fn object(&self, listener: &Listener) -> Map<String, Value> {
        let reference = match self {
            Self::Probe => None,
            Self::Stored(accepted) | Self::Late(accepted) => Some(accepted.id.to_string()),
            Self::Answered(answer) => Some(answer.message.to_string()),
        };
        match (&listener.answering, self) {
            (Some(answering), Self::Answered(answer)) => answering.object(answer),
            (Some(answering), _) => answering.without_values(&reference.unwrap_or_default()),
            (None, _) => {
                let mut object = Map::from_iter([("status".to_owned(), "ok".into())]);
                object.extend(reference.map(|reference| ("reference".to_owned(), reference.into())));
                object
            }
        }
    }
}

async fn receive(
    State(ingest): State<Arc<Ingest>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let started = Instant::now();
    let (parts, mut body) = request.into_parts();
    let listener = ingest.listener(&path::token(parts.uri.path()));
    let name = listener.as_ref().map_or("-", |found| &found.name);
    let ended = match &listener {
        Some(listener) => match handle(&ingest, listener, peer, &parts, &mut body).await {
            Ok(done) => Ok((listener, done)),
            Err(refusal) => Err(refusal),
        },
        None => Err(Refusal::NotFound),
    };
    let (reason, response) = match ended {
        Ok((listener, done)) => {
            let format = listener
                .answering
                .as_ref()
                .map_or(Format::Accept, |answering| answering.format);
            let response = answer::ok(&parts.headers, format, done.object(listener));
            (done.reason(), response)
        }
        Err(refusal) => {
            if listener.is_some() {
                warn!(source = name, reason = refusal.reason(), "A request was refused.");
            } else {
                debug!("A request has an unknown token.");
            }
            (refusal.reason(), refuse(refusal, &parts.headers, &mut body).await)
        }
    };
    ingest
        .intake
        .metrics
        .answered(name, response.status().as_u16(), reason, started.elapsed());
    response
}

async fn handle(
    ingest: &Ingest,
    listener: &Listener,
    peer: SocketAddr,
    parts: &Parts,
    body: &mut Body,
) -> Result<Done, Refusal> {
    listener.check_address(peer.ip(), &parts.headers)?;
    let query = parts.uri.query().unwrap_or_default();
    match parts.method {
        // Platforms test a URL with an unsigned request before they use it.
        Method::HEAD if listener.probes => return Ok(Done::Probe),
        Method::GET if listener.probes && query.is_empty() && body.is_end_stream() => return Ok(Done::Probe),
        Method::GET | Method::POST => {}
        _ => return Err(Refusal::Method),
    }
    listener.check_credentials(&parts.headers)?;
    let (body, _slot) = listener.gate.read(&parts.headers, body).await?;
    let now = ingest.intake.clock.now();
    let proof = proved(listener, parts, &body, now)?;
    // An unsigned query is ignored. Otherwise an attacker could replay a signed request with other data in the query.
    let query = match &listener.verifier {
        Some(verifier) if !verifier.signs_address() => "",
        _ => query,
    };
    if body.trim_ascii().is_empty() && query.is_empty() {
        // Some clients announce a body without a length even if it is empty.
        let is_probe = listener.probes && parts.method == Method::GET && body.is_empty();
        return if is_probe {
            Ok(Done::Probe)
        } else {
            Err(Refusal::NoData)
        };
    }
    let kind = shape::kind(&parts.headers, &body)?;
    shape::check(kind, query, &body, &listener.limits)?;
    let mut meta = meta(parts, query);
    let read = shape::read(kind, &meta, &body, (&listener.limits, &listener.spelling))?;
    let mut dedup = dedup::of(listener, proof.id, kind, &meta, &body, read.as_ref());
    if let Some(by_s) = proof.late_s {
        if !listener.late.allows(now) {
            return Err(listener.unauthorized("signature_stale"));
        }
        meta.late = Some(Late {
            by_s,
            replayed: false,
        });
        // A repeated late message is a duplicate, whatever arrived in between; otherwise it would add a dead row.
        dedup.memory = Memory::Dated;
    }
    let envelope = Envelope {
        source: Arc::clone(&listener.name),
        dedup,
        received_at: now,
        meta,
        body,
    };
    if proof.late_s.is_some() {
        return store(ingest, envelope).await.map(Done::Late);
    }
    match (&listener.answering, ingest.engine.get()) {
        (Some(answering), Some(engine)) => {
            // Checked before storing, so that a refused sender may send again.
            let _waits = answering.slots.try_acquire().map_err(|_| Refusal::Busy {
                status: StatusCode::SERVICE_UNAVAILABLE,
            })?;
            let accepted = store(ingest, envelope).await?;
            let answer = engine.answer(accepted.id, accepted.duplicate, &answering.wish);
            Ok(Done::Answered(Box::new(answer.await)))
        }
        _ => store(ingest, envelope).await.map(Done::Stored),
    }
}

/// Verifies the signature; returns the default if the listener requires none.
fn proved<'h>(
    listener: &Listener,
    parts: &'h Parts,
    body: &[u8],
    now: Timestamp,
) -> Result<verify::Verified<'h>, Refusal> {
    let Some(verifier) = &listener.verifier else {
        return Ok(verify::Verified {
            id: None,
            late_s: None,
        });
    };
    let uri = parts.extensions.get().map_or(&parts.uri, |SentUri(sent)| sent);
    let request = verify::Request {
        method: parts.method.as_str(),
        path_and_query: uri.path_and_query().map_or("", |both| both.as_str()),
        headers: &parts.headers,
        body,
        now,
    };
    verifier
        .verify(&request)
        .map_err(|reason| listener.unauthorized(reason))
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
        via: via(&parts.headers),
        ..Meta::default()
    }
}

/// The hubs in the header of a sending hub.
fn via(headers: &HeaderMap) -> Vec<String> {
    let values = headers
        .get_all(VIA)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    let hubs = values.flat_map(|value| value.split(',')).map(str::trim);
    hubs.filter(|hub| !hub.is_empty() && hub.len() <= MAX_HUB_NAME)
        .take(MAX_HUBS)
        .map(str::to_owned)
        .collect()
}

/// Returns when the envelope is on disk.
async fn store(ingest: &Ingest, envelope: Envelope) -> Result<Accepted, Refusal> {
    let span = info_span!(
        "accept",
        source = &*envelope.source,
        message_id = %Hex(&envelope.dedup.key),
        inbox.id = field::Empty,
    );
    let accepted = ingest
        .intake
        .store(vec![envelope])
        .instrument(span.clone())
        .await?;
    let first = accepted.first().copied().ok_or(Refusal::Unavailable)?;
    let _entered = span.enter();
    span.record("inbox.id", first.id.0);
    debug!(duplicate = first.duplicate, "A request was stored.");
    Ok(first)
}

/// Formats a key as hex only if the log line is written.
struct Hex<'a>(&'a MessageKey);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}
