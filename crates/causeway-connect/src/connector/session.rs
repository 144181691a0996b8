//! The token of a session: a vendor gives it for a secret that does not change, and it ends after a time.
//!
//! Invariant: one log-in at a time for a destination; all calls that need a token wait for it. A session is not kept on
//! disk, because a new one costs one call and ends no other.

use std::time::Duration;

use causeway_core::{
    clock::{Clock, Timestamp},
    secret::Secret,
};
use reqwest::header::HeaderMap;
use tokio::sync::Mutex;

use super::Spread;
use crate::{
    http::{Answer, Client, HttpRequest, SendError},
    oauth::{Access, Failure},
};

/// A token is renewed this long before it ends.
const BEFORE_END: Duration = Duration::from_mins(2);
/// How long a token is used whose response does not say.
const USUAL_LIFE: Duration = Duration::from_mins(30);
/// The longest life that is believed: a wrong number must not keep a dead token for years.
const LONGEST_LIFE: Duration = Duration::from_hours(24);

/// How a vendor gives a session.
pub trait Login: Send + Sync + 'static {
    /// The requests that may give a token. A vendor's documents may disagree about the form, so the next one is tried
    /// if the vendor does not accept one. The form that was accepted is used from then on.
    fn requests(&self) -> Vec<HttpRequest>;

    fn read(&self, answer: &Answer, now: Timestamp) -> Result<Granted, Refusal>;

    /// Puts the token into the headers of a request.
    fn authorize(&self, headers: &mut HeaderMap, token: &Secret) -> Result<(), Failure>;

    /// Whether the response to another request says that the token is not accepted any more.
    fn is_rejected(&self, answer: &Answer) -> bool {
        answer.status == 401
    }
}

#[derive(Debug)]
pub struct Granted {
    pub token: Secret,
    pub life: Option<Duration>,
}

/// Why a log-in gave no token.
#[derive(Debug)]
pub enum Refusal {
    /// The vendor did not recognise the secret. It may want it in another form.
    Unrecognised(Failure),
    Failed(Failure),
}

pub struct Session {
    login: Box<dyn Login>,
    client: Client,
    /// Held during a log-in, so that all others wait for it.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<(Secret, Timestamp)>,
    /// The number of the request that was accepted.
    form: usize,
}

impl Session {
    pub fn new(login: impl Login, client: Client) -> Self {
        Self {
            login: Box::new(login),
            client,
            state: Mutex::default(),
        }
    }

    /// A token for the next request. `rejected` is one that the vendor did not accept: it is not returned again. A
    /// log-in is a call like any other, so it waits for `spread`. Safe to drop at any time.
    async fn token<E>(
        &self,
        rejected: Option<&Secret>,
        spread: Option<&Spread>,
        clock: &dyn Clock,
    ) -> Result<Secret, E>
    where
        E: From<SendError> + From<Failure>,
    {
        let mut state = self.state.lock().await;
        if let Some((token, until)) = &state.token
            && clock.now() < *until
            && rejected != Some(token)
        {
            return Ok(token.clone());
        }
        state.token = None;
        let requests = self.login.requests();
        let mut reason = None;
        for at in 0..requests.len() {
            let form = (state.form + at) % requests.len();
            let Some(request) = requests.get(form) else {
                continue;
            };
            if let Some(spread) = spread {
                spread.wait(clock).await;
            }
            let answer = self.client.send(request).await?;
            match self.login.read(&answer, clock.now()) {
                Ok(granted) => {
                    state.form = form;
                    state.token = Some((granted.token.clone(), until(&granted, clock.now())));
                    return Ok(granted.token);
                }
                Err(Refusal::Failed(failure)) => return Err(failure.into()),
                Err(Refusal::Unrecognised(failure)) => reason = reason.or(Some(failure)),
            }
        }
        let none = || Failure::Refused("there is no way to log in".to_owned());
        Err(reason.unwrap_or_else(none).into())
    }
}

/// When the token is to be renewed: before it ends, and after half its life at the earliest.
fn until(granted: &Granted, now: Timestamp) -> Timestamp {
    let life = granted.life.unwrap_or(USUAL_LIFE).min(LONGEST_LIFE);
    let used = life.saturating_sub(BEFORE_END).max(life / 2);
    now.saturating_add(used).unwrap_or(now)
}

/// A credential that renews its token itself.
pub(super) enum Renewed {
    OAuth(Box<Access>),
    Session(Box<Session>),
}

impl Renewed {
    pub async fn token<E>(
        &self,
        rejected: Option<&Secret>,
        spread: Option<&Spread>,
        clock: &dyn Clock,
    ) -> Result<Secret, E>
    where
        E: From<SendError> + From<Failure>,
    {
        match self {
            Self::OAuth(access) => Ok(access.token(rejected).await?),
            Self::Session(session) => session.token(rejected, spread, clock).await,
        }
    }

    pub fn authorize(&self, headers: &mut HeaderMap, token: &Secret) -> Result<(), Failure> {
        match self {
            Self::OAuth(_) => Access::authorize(headers, token),
            Self::Session(session) => session.login.authorize(headers, token),
        }
    }

    /// Whether a new token may help.
    pub fn is_rejected(&self, answer: &Answer) -> bool {
        match self {
            Self::OAuth(_) => answer.status == 401,
            Self::Session(session) => session.login.is_rejected(answer),
        }
    }
}
