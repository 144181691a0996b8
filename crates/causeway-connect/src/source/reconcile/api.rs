//! Queries Proca's GraphQL API.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use causeway_core::{clock::Timestamp, destination::CheckError};
use data_encoding::BASE64;
use reqwest::{
    Method,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde_json::{Map, Value, json};
use url::Url;

use super::{
    Reconcile, message,
    query::{self, ANSWER, LeftOut, Query, is_our_word},
};
use crate::{
    config::ConfigError,
    http::{Answer, Client, HttpRequest, Options, read_header, read_url},
};

/// Time for one call.
const CALL_LIMIT: Duration = Duration::from_mins(1);
/// Maximum bytes of a response that are read. Most actions have 1 to 3 KB; the payload of a donation may
/// be of any size.
pub(super) const ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// Characters of a server's message that are logged.
const MESSAGE_CHARS: usize = 200;

/// Why the comparison with the API failed. Without personal data or secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReconcileError {
    /// The response is longer than [`ANSWER_BYTES`], so fewer actions must be requested.
    #[error("the API's response is longer than 8 MB")]
    TooLong,
    #[error(
        "the API refuses access ({0}); correct `reconcile.bearer` or `reconcile.basic`, or have their user made a member of the organisation"
    )]
    Refused(String),
    #[error("{0}")]
    Api(String),
    /// The API works, but belongs to another organisation than the queue.
    #[error(
        "`org`: {org:?} is organisation {number} in Proca, and the queue belongs to organisation {own}; name the queue's"
    )]
    WrongOrg { org: String, number: i64, own: String },
    #[error(
        "it was not finished within {} h; compare fewer actions (`reconcile.lookback_days`) or more in one call (`reconcile.page`)",
        .0.as_secs() / 3600
    )]
    TooSlow(Duration),
    #[error("the store did not accept it: {0}")]
    Store(String),
}

use ReconcileError as Error;

impl From<Error> for CheckError {
    fn from(error: Error) -> Self {
        let reason = format!("`reconcile`: {error}");
        match error {
            Error::Refused(_) | Error::WrongOrg { .. } => Self::Refused(reason),
            Error::TooLong | Error::Api(_) | Error::TooSlow(_) | Error::Store(_) => Self::Unavailable(reason),
        }
    }
}

/// One organisation's access to the API.
pub(super) struct Api {
    client: Client,
    url: Url,
    auth: HeaderValue,
    org: String,
    include_testing: bool,
    left_out: Mutex<LeftOut>,
}

impl Api {
    pub(super) fn new(config: &Reconcile, include_testing: bool, dir: &Path) -> Result<Self, ConfigError> {
        let text = match (&config.bearer, &config.basic) {
            (Some(bearer), _) => {
                let token = bearer.resolve("reconcile.bearer", dir)?;
                if token.reveal().is_empty() {
                    return Err(ConfigError::new("reconcile.bearer", "is empty"));
                }
                format!("Bearer {}", token.reveal())
            }
            (None, Some(basic)) => {
                let password = basic.password.resolve("reconcile.basic.password", dir)?;
                let pair = format!("{}:{}", basic.user, password.reveal());
                format!("Basic {}", BASE64.encode(pair.as_bytes()))
            }
            (None, None) => return Err(ConfigError::new("reconcile", "give either `bearer` or `basic`")),
        };
        let (_, auth) = read_header("reconcile", AUTHORIZATION.as_str(), &text, true)?;
        Ok(Self {
            client: Client::new(Options {
                allow_private: config.allow_private,
                answer_bytes: ANSWER_BYTES,
                ..Options::default()
            })?,
            url: read_url("reconcile.url", &config.url, config.allow_private, false)?,
            auth,
            org: config.org.clone(),
            include_testing,
            left_out: Mutex::default(),
        })
    }

    /// Delivered actions from the number `start` on. `None` stands for an entry that the server could not
    /// assemble.
    pub(super) async fn actions(
        &self,
        start: i64,
        after: Timestamp,
        limit: u32,
    ) -> Result<Vec<Option<Value>>, Error> {
        let variables =
            json!({ "org": self.org, "after": after.to_string(), "start": start, "limit": limit });
        self.list(Query::Actions, &variables).await
    }

    /// The numbers of the same actions. `None` stands for a number that the server does not give.
    pub(super) async fn ids(
        &self,
        start: i64,
        after: Timestamp,
        limit: u32,
    ) -> Result<Vec<Option<i64>>, Error> {
        let variables =
            json!({ "org": self.org, "after": after.to_string(), "start": start, "limit": limit });
        let entries = self.list(Query::Ids, &variables).await?;
        Ok(numbers(&entries))
    }

    /// Actions of an address from the number `start` on, in any state, also confirming and rejected ones.
    pub(super) async fn contacts(
        &self,
        email: &str,
        start: i64,
        after: Timestamp,
    ) -> Result<Vec<Value>, Error> {
        let variables =
            json!({ "org": self.org, "after": after.to_string(), "start": start, "email": email });
        let entries = self.list(Query::Contacts, &variables).await?;
        // With an incomplete list the missing actions would look erased.
        entries
            .into_iter()
            .map(|entry| {
                let is_whole = |entry: &Value| {
                    message::id(entry).is_some()
                        && entry
                            .pointer("/privacy/emailStatus")
                            .is_some_and(Value::is_string)
                };
                entry
                    .filter(is_whole)
                    .ok_or_else(|| Error::Api("the response for an address lacks an action".to_owned()))
            })
            .collect()
    }

    /// The organisation called `name` and its processing settings.
    pub(super) async fn org(&self, name: &str) -> Result<Value, Error> {
        match self.ask(Query::Org, &json!({ "org": name })).await? {
            (org @ Value::Object(_), errors) if errors.is_empty() => Ok(org),
            (_, errors) if errors.is_empty() => Err(Error::Api(format!(
                "the API's response has no organisation called {name:?}; see whether `org` is its name in Proca, and \
                 whether the token's user is a member of it"
            ))),
            (_, errors) => Err(self.refusal(&errors)),
        }
    }

    /// A campaign with its settings. `None` if there is none with this number.
    pub(super) async fn campaign(&self, id: i64) -> Result<Option<Value>, Error> {
        match self.ask(Query::Campaign, &json!({ "id": id })).await? {
            (campaign @ Value::Object(_), errors) if errors.is_empty() => Ok(Some(campaign)),
            (Value::Null, errors) if errors.is_empty() || errors.iter().all(is_not_found) => Ok(None),
            (_, errors) if errors.is_empty() => {
                Err(Error::Api("the API's response is not a campaign".to_owned()))
            }
            (_, errors) => Err(self.refusal(&errors)),
        }
    }

    async fn list(&self, query: Query, variables: &Value) -> Result<Vec<Option<Value>>, Error> {
        let (answer, errors) = self.ask(query, variables).await?;
        // An error inside an entry makes that entry null and leaves the others. Any other error may have
        // shortened the list.
        let is_within_entry = |error: &Value| {
            error["path"].get(0).and_then(Value::as_str) == Some(ANSWER)
                && error["path"].get(1).is_some_and(Value::is_u64)
        };
        match answer {
            Value::Array(entries) if errors.iter().all(is_within_entry) => {
                if !errors.is_empty() {
                    tracing::warn!(
                        reason = self.messages(&errors),
                        "Proca's API could not put some actions together."
                    );
                }
                let entries = entries.into_iter();
                Ok(entries
                    .map(|entry| Some(entry).filter(|entry| !entry.is_null()))
                    .collect())
            }
            _ if !errors.is_empty() => Err(self.refusal(&errors)),
            _ => Err(Error::Api("the API's response has no list of actions".to_owned())),
        }
    }

    /// Sends the query, and sends it again without the fields that the server does not know. These are left
    /// out from then on.
    async fn ask(&self, query: Query, variables: &Value) -> Result<(Value, Vec<Value>), Error> {
        loop {
            let left_out = self.left_out().clone();
            let text = query.text(&left_out, self.include_testing);
            let mut answer = self.send(&query::body(&text, variables)).await?;
            let errors = match answer.remove("errors") {
                Some(Value::Array(errors)) => errors,
                _ => Vec::new(),
            };
            if !self.learn(query, &errors) {
                let data = answer.get_mut("data").and_then(|data| data.get_mut(ANSWER));
                return Ok((data.map(Value::take).unwrap_or_default(), errors));
            }
        }
    }

    /// Whether more is left out than before. This ends [`Api::ask`], because only a limited number of fields
    /// can be left out.
    fn learn(&self, query: Query, errors: &[Value]) -> bool {
        let mut left_out = self.left_out();
        let mut has_learnt = false;
        for error in errors {
            let message = error["message"].as_str().unwrap_or_default();
            if left_out.learn(query, message) {
                has_learnt = true;
                tracing::info!(
                    reason = harmless(message, &self.org),
                    "Proca's API does not know a field; it is left out."
                );
            }
        }
        has_learnt
    }

    fn left_out(&self) -> std::sync::MutexGuard<'_, LeftOut> {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, body: &str) -> Result<Map<String, Value>, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, self.auth.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let request = HttpRequest {
            method: Method::POST,
            url: self.url.clone(),
            url_is_secret: false,
            headers,
            body: body.to_owned().into(),
        };
        let answer = tokio::time::timeout(CALL_LIMIT, self.client.send(&request))
            .await
            .map_err(|_| Error::Api(format!("no answer within {} s", CALL_LIMIT.as_secs())))?
            .map_err(|error| Error::Api(error.to_string()))?;
        self.read(&answer)
    }

    fn read(&self, answer: &Answer) -> Result<Map<String, Value>, Error> {
        let status = answer.status;
        if !answer.complete {
            return Err(if answer.body.len() >= ANSWER_BYTES {
                Error::TooLong
            } else {
                Error::Api("the API's response broke off".to_owned())
            });
        }
        let body = match answer.json() {
            Some(Value::Object(body)) => Some(body),
            _ => None,
        };
        let errors = body
            .as_ref()
            .and_then(|body| body.get("errors"))
            .and_then(Value::as_array);
        let messages = errors.map(|errors| self.messages(errors)).unwrap_or_default();
        let in_words = if messages.is_empty() {
            format!("status {status}")
        } else {
            format!("status {status}: {messages}")
        };
        match (status, body) {
            (401 | 403, _) => Err(Error::Refused(in_words)),
            // Some servers answer an invalid query with 400.
            (200 | 400, Some(body)) if status == 200 || !messages.is_empty() => Ok(body),
            (200, _) => Err(Error::Api("the API's response is not a JSON object".to_owned())),
            _ => Err(Error::Api(format!("the API answered with {in_words}"))),
        }
    }

    fn refusal(&self, errors: &[Value]) -> Error {
        let is_about_rights = errors.iter().any(|error| {
            let code = error
                .pointer("/extensions/code")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let text = error["message"].as_str().unwrap_or_default().to_lowercase();
            ["unauthorized", "permission_denied", "forbidden"].contains(&code)
                || ["unauthorized", "permission", "not a member"]
                    .iter()
                    .any(|word| text.contains(word))
        });
        let messages = self.messages(errors);
        if is_about_rights {
            Error::Refused(messages)
        } else {
            Error::Api(format!("the API answered with an error: {messages}"))
        }
    }

    /// The first messages, in a form fit for a log.
    fn messages(&self, errors: &[Value]) -> String {
        let mut messages: Vec<String> = errors
            .iter()
            .map(|error| harmless(error["message"].as_str().unwrap_or("no message"), &self.org))
            .collect();
        messages.dedup();
        messages.truncate(3);
        messages.join("; ")
    }
}

/// The server's answer if nothing has this number.
fn is_not_found(error: &Value) -> bool {
    let code = error.pointer("/extensions/code").and_then(Value::as_str);
    code == Some("not_found") || error["message"].as_str() == Some("not_found")
}

/// The number of each entry; `None` if it cannot be read.
pub(super) fn numbers(entries: &[Option<Value>]) -> Vec<Option<i64>> {
    entries
        .iter()
        .map(|entry| entry.as_ref().and_then(message::id))
        .collect()
}

/// A server's message without possible personal data: quoted text that is neither a word of our queries nor
/// the organisation's name, words with an `@`, and long numbers.
fn harmless(message: &str, org: &str) -> String {
    let mut out = String::new();
    for (index, part) in message.split('"').enumerate() {
        if index % 2 == 1 {
            let is_known = is_our_word(part) || part == org;
            out.extend(["\"", if is_known { part } else { "…" }, "\""]);
            continue;
        }
        for word in part.split_inclusive(|c: char| c.is_whitespace() || c.is_control()) {
            let digits = word.chars().filter(char::is_ascii_digit).count();
            if word.contains('@') || digits >= 5 {
                out.push_str("… ");
            } else {
                out.extend(word.chars().map(|c| if c.is_control() { ' ' } else { c }));
            }
        }
    }
    out.chars().take(MESSAGE_CHARS).collect()
}
