//! `POST /proca/SOURCE/details`: Proca asks about the person of a new action (its `detailBackend`), and is answered with
//! what this hub knows of their consent, and nothing else.
//!
//! Invariants, because Proca leaves an action unprocessed if the answer is anything but a 200 with JSON that it
//! understands: an unknown person is answered like one without consent, and times have no fractions of a second.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use axum::{
    Router,
    body::Body,
    extract::{Path as UrlPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::Response,
    routing::any,
};
use causeway_connect::{config::ConfigError, source::proca};
use causeway_core::{
    clock::{Clock, Timestamp},
    consent::{ConsentState, EMAIL},
    contact::{Identity, normal_email},
    id::Name,
    store::Views,
};
use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tracing::warn;

use super::{
    error::{Refusal, json},
    intake::{Gate, IntakeMetrics, refuse},
    secrets::{Fingerprint, fingerprint, is_one_of},
};
use crate::engine::Engine;

/// A question has an address and a reference.
const BODY_KB: u32 = 16;
const BODY_TIMEOUT_S: u32 = 5;
/// Questions at the same time, for each source. Proca asks one after the other, for each of its organisations.
const CONCURRENCY: u32 = 16;
/// Proca does not wait longer for an answer.
const STORE_WAIT: Duration = Duration::from_secs(2);
/// 22 characters of base64 have 128 bits.
const MIN_PASSWORD_CHARS: usize = 22;

/// A source whose Proca may ask.
pub struct Answerer {
    name: Name,
    workspace: Name,
    namespace: Name,
    purpose: String,
    /// The digest of `user:password`, or of the header's whole value.
    secret: Fingerprint,
    has_user: bool,
    opt_in: bool,
    gate: Gate,
    rate: Rate,
}

impl Answerer {
    /// Reads the password; a relative path of its file starts at `dir`.
    pub fn new(
        name: Name,
        workspace: Name,
        source: &proca::Config,
        keys: &proca::Details,
        dir: &Path,
    ) -> Result<Self, ConfigError> {
        let password = keys.password.resolve("details.password", dir)?;
        if password.reveal().chars().count() < MIN_PASSWORD_CHARS {
            let error = ConfigError::new("details.password", "is too short: anybody could guess it");
            return Err(error.hint(format!("use at least {MIN_PASSWORD_CHARS} random characters")));
        }
        let secret = match &keys.user {
            Some(user) => fingerprint(format!("{user}:{}", password.reveal()).as_bytes()),
            None => fingerprint(password.reveal().as_bytes()),
        };
        Ok(Self {
            name,
            workspace,
            namespace: source.namespace().into(),
            purpose: source.purpose.clone(),
            secret,
            has_user: keys.user.is_some(),
            opt_in: keys.opt_in,
            gate: Gate::new(
                BODY_KB,
                BODY_TIMEOUT_S,
                CONCURRENCY,
                StatusCode::TOO_MANY_REQUESTS,
            ),
            rate: Rate::new(keys.per_s),
        })
    }

    /// Proca's service sends Basic if it has a user and a password, and otherwise the password as it is.
    fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let wrong = |reason| Refusal::Unauthorized {
            reason,
            basic: self.has_user,
        };
        let mut shown = headers.get_all(header::AUTHORIZATION).into_iter().peekable();
        if shown.peek().is_none() {
            return Err(wrong("password_missing"));
        }
        let is_right = |value: &HeaderValue| {
            if self.has_user {
                basic(value).is_some_and(|shown| is_one_of(&shown, &[self.secret]))
            } else {
                is_one_of(value.as_bytes(), &[self.secret])
            }
        };
        if shown.any(is_right) {
            Ok(())
        } else {
            Err(wrong("password_wrong"))
        }
    }

    /// The consent as Proca's `privacy`. Of several people who may be meant, all must have agreed.
    fn privacy(&self, people: &[BTreeMap<String, ConsentState>]) -> Map<String, Value> {
        let state = |purpose: &str| {
            let states = people.iter().map(|states| states.get(purpose).copied());
            let states: Vec<ConsentState> = states
                .map(|state| state.unwrap_or(ConsentState::Unknown))
                .collect();
            let opted_out = states.iter().find(|state| state.is_opt_out()).copied();
            let not_agreed = || states.iter().find(|state| !state.is_subscribed()).copied();
            // The latest consent is the one that all have given.
            let agreed = || states.iter().max_by_key(|state| state.since()).copied();
            opted_out.or_else(not_agreed).or_else(agreed)
        };
        let mut privacy = Map::new();
        let mut put = |name: &str, value: Value| drop(privacy.insert(name.to_owned(), value));
        if let Some(state) = state(&self.purpose).filter(|_| self.opt_in) {
            match state.since().filter(|_| state.is_subscribed()) {
                Some(since) => {
                    put("optIn", true.into());
                    put("givenAt", seconds(since).into());
                }
                None if state.is_opt_out() => put("optIn", false.into()),
                None => {}
            }
        }
        // Proca's status is about mail, whatever the purpose of the source.
        if let Some(ConsentState::DoubleOptedIn { since }) = state(EMAIL) {
            put("emailStatus", "double_opt_in".into());
            put("emailStatusChanged", seconds(since).into());
        }
        privacy
    }
}

fn basic(value: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    let rest = scheme.eq_ignore_ascii_case("basic").then(|| rest.trim())?;
    BASE64.decode(rest.as_bytes()).ok()
}

/// As Proca's database stores times.
fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Allows a number of requests in each second, and as many at once.
struct Rate {
    per_s: f64,
    /// The requests that are allowed now, and since when.
    left: Mutex<(f64, Option<Timestamp>)>,
}

impl Rate {
    fn new(per_s: u32) -> Self {
        Self {
            per_s: f64::from(per_s),
            left: Mutex::new((f64::from(per_s), None)),
        }
    }

    fn take(&self, now: Timestamp) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, at) = *left;
        // A clock that is set back adds nothing.
        let passed = at.map_or(0.0, |at| now.duration_since(at).as_secs_f64().max(0.0));
        let count = passed.mul_add(self.per_s, count).min(self.per_s);
        let is_allowed = count >= 1.0;
        *left = (if is_allowed { count - 1.0 } else { count }, Some(now));
        is_allowed
    }
}

/// All sources whose Proca may ask.
pub struct Details {
    sources: ArcSwap<BTreeMap<Name, Answerer>>,
    views: Arc<dyn Views>,
    clock: Arc<dyn Clock>,
    metrics: Arc<dyn IntakeMetrics>,
}

impl Details {
    pub fn new(sources: Vec<Answerer>, engine: &Engine, metrics: Arc<dyn IntakeMetrics>) -> Arc<Self> {
        Self::with(
            sources,
            Arc::clone(&engine.views),
            Arc::clone(&engine.clock),
            metrics,
        )
    }

    pub fn with(
        sources: Vec<Answerer>,
        views: Arc<dyn Views>,
        clock: Arc<dyn Clock>,
        metrics: Arc<dyn IntakeMetrics>,
    ) -> Arc<Self> {
        Arc::new(Self {
            sources: ArcSwap::from_pointee(by_name(sources)),
            views,
            clock,
            metrics,
        })
    }

    /// Replaces the sources (a reload). Requests in progress finish with the old ones.
    pub fn replace(&self, sources: Vec<Answerer>) {
        self.sources.store(Arc::new(by_name(sources)));
    }

    pub fn routes(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/proca/{source}/details", any(answer))
            .with_state(Arc::clone(self))
    }
}

fn by_name(sources: Vec<Answerer>) -> BTreeMap<Name, Answerer> {
    let named = sources.into_iter();
    named.map(|source| (Name::clone(&source.name), source)).collect()
}

/// What Proca sends.
#[derive(Deserialize)]
struct Question {
    #[serde(default)]
    email: Option<String>,
    #[serde(default, rename = "contactRef")]
    reference: Option<String>,
}

async fn answer(
    State(details): State<Arc<Details>>,
    UrlPath(source): UrlPath<String>,
    request: Request,
) -> Response {
    let started = Instant::now();
    let (parts, mut body) = request.into_parts();
    let sources = details.sources.load_full();
    let source = sources.get(source.as_str());
    let name = source.map_or("-", |source| &source.name);
    let ended = match source {
        Some(source) => handle(&details, source, &parts, &mut body).await,
        None => Err(Refusal::NotFound),
    };
    let (reason, response) = match ended {
        Ok(Some(privacy)) => {
            let text = json!({ "privacy": privacy }).to_string();
            ("details", json(StatusCode::OK, text))
        }
        Ok(None) => {
            let text = r#"{"status":"error","error":"send an object with email and contactRef as JSON"}"#;
            ("no_question", json(StatusCode::BAD_REQUEST, text.to_owned()))
        }
        Err(refusal) => {
            if source.is_some() {
                warn!(
                    source = name,
                    reason = refusal.reason(),
                    "A question of Proca was refused."
                );
            }
            (refusal.reason(), refuse(refusal, &parts.headers, &mut body).await)
        }
    };
    details
        .metrics
        .answered(name, response.status().as_u16(), reason, started.elapsed());
    response
}

/// The answer; `None` if the question cannot be read.
async fn handle(
    details: &Details,
    source: &Answerer,
    parts: &Parts,
    body: &mut Body,
) -> Result<Option<Map<String, Value>>, Refusal> {
    source.check(&parts.headers)?;
    if parts.method != Method::POST {
        return Err(Refusal::PostOnly);
    }
    if !source.rate.take(details.clock.now()) {
        return Err(Refusal::Busy {
            status: StatusCode::TOO_MANY_REQUESTS,
        });
    }
    let (body, _slot) = source.gate.read(&parts.headers, body).await?;
    let Ok(question) = serde_json::from_slice::<Question>(&body) else {
        return Ok(None);
    };
    if question.email.is_none() && question.reference.is_none() {
        return Ok(None);
    }
    let address = question.email.as_deref().and_then(normal_email);
    let address = address.map(|address| Identity::Email { address });
    let reference = question.reference.filter(|reference| !reference.is_empty());
    let reference = reference.map(|reference| Identity::ContactRef {
        namespace: Name::clone(&source.namespace),
        reference,
    });
    let named: Vec<Identity> = address.into_iter().chain(reference).collect();
    let asked = details.views.consent_of(&source.workspace, &named);
    match tokio::time::timeout(STORE_WAIT, asked).await {
        Ok(Ok(people)) => Ok(Some(source.privacy(&people))),
        Ok(Err(error)) => {
            warn!(source = %source.name, %error, "A question of Proca could not be answered.");
            Err(Refusal::Unavailable)
        }
        Err(_) => Err(Refusal::Unavailable),
    }
}

#[cfg(test)]
mod tests;
