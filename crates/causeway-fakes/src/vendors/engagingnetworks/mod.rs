//! Engaging Networks' REST services, as far as supporters need them: sessions, supporters with their answers, pages,
//! and what people did on them.
#![expect(clippy::indexing_slicing, reason = "test equipment: a failure is the test's")]

mod access;
mod errors;
mod page;
mod pages;
mod supporters;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use causeway_core::clock::{Clock, Timestamp};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use url::form_urlencoded;

use self::errors::Failure;
pub use self::{
    access::Body,
    pages::{Page, Transaction},
    supporters::{Field, Given, Question, Supporter},
};
use super::Vendor;
use crate::fake_api::{Reply, Request};

/// The token of the API user that exists from the start.
pub const TOKEN: &str = "api-user-token-of-tests";
/// The path of the API.
pub const PATH: &str = "/ens/service";
/// The opt-in question that exists from the start.
pub const OPT_IN: &str = "Accepts Email";

/// The account.
pub struct EngagingNetworks {
    clock: Arc<dyn Clock>,
    pub supporters: BTreeMap<u64, Supporter>,
    pub fields: Vec<Field>,
    pub questions: Vec<Question>,
    pub pages: BTreeMap<u64, Page>,
    pub transactions: Vec<Transaction>,
    /// The form of the log-in that is accepted.
    pub log_in: Body,
    /// How long a session lasts.
    pub session: Duration,
    /// Session → when it ends.
    sessions: BTreeMap<String, Timestamp>,
    /// Sessions that were given.
    pub log_ins: usize,
    /// The address of the caller is allowed for the API user.
    pub allows_address: bool,
    /// What the API user may not do: parts of paths, such as `page`.
    pub forbidden: Vec<String>,
    /// Whether a supporter who is not there is a 404; otherwise a 204.
    pub missing_is_404: bool,
    /// Whether answers are shown as an object; otherwise as a list with times.
    pub answers_as_object: bool,
    /// Calls in an hour; `None` for no limit.
    pub limit: Option<usize>,
    /// Actions in 5 minutes; `None` for no limit.
    pub page_limit: Option<usize>,
    /// Calls that were refused because of a limit.
    pub refused: usize,
    /// The answers of this many requests are lost on the way back: they take effect, and the caller gets a 502.
    pub loses_answers: usize,
    /// The answers of this many actions are lost in the same way.
    pub loses_actions: usize,
    /// This many actions are answered with status 200 and an error.
    pub page_errors: usize,
    calls: VecDeque<Timestamp>,
    page_calls: VecDeque<Timestamp>,
    last_id: u64,
}

/// A call of the API.
struct Call<'a> {
    method: &'a str,
    /// Decoded parts of the path, after [`PATH`].
    path: Vec<String>,
    query: Vec<(String, String)>,
    body: Value,
}

impl Call<'_> {
    fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(have, _)| have == name);
        found.map(|(_, value)| value.as_str())
    }

    fn has(&self, name: &str) -> bool {
        self.parameter(name) == Some("true")
    }
}

/// A number of calls in a period that slides.
fn spend(calls: &mut VecDeque<Timestamp>, limit: Option<usize>, per: Duration, now: Timestamp) -> bool {
    let is_old = |at: &Timestamp| now.duration_since(*at).as_secs_f64() >= per.as_secs_f64();
    while calls.front().is_some_and(is_old) {
        calls.pop_front();
    }
    if limit.is_some_and(|limit| calls.len() >= limit) {
        return false;
    }
    calls.push_back(now);
    true
}

impl EngagingNetworks {
    /// An account with usual fields, one opt-in, and no supporters or pages. It has the vendor's limits.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            supporters: BTreeMap::new(),
            fields: Field::usual(),
            questions: vec![Question::new(279, OPT_IN, "OPT")],
            pages: BTreeMap::new(),
            transactions: Vec::new(),
            log_in: Body::Raw,
            session: Duration::from_hours(1),
            sessions: BTreeMap::new(),
            log_ins: 0,
            allows_address: true,
            forbidden: Vec::new(),
            missing_is_404: false,
            answers_as_object: false,
            limit: Some(5_000),
            page_limit: Some(200),
            refused: 0,
            loses_answers: 0,
            loses_actions: 0,
            page_errors: 0,
            calls: VecDeque::new(),
            page_calls: VecDeque::new(),
            last_id: 212_200,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Ends all sessions, as their time or a person would.
    pub fn end_sessions(&mut self) {
        self.sessions.clear();
    }

    fn run(&mut self, call: &Call<'_>) -> Result<Value, Failure> {
        let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
        if let Some(part) = path.first()
            && self.forbidden.iter().any(|forbidden| forbidden == part)
        {
            return Err(Failure::forbidden());
        }
        match (call.method, &*path) {
            ("GET", ["supporter"]) => self.find_supporter(call),
            ("POST", ["supporter"]) => self.write_supporter(call),
            ("GET", ["supporter", "fields"]) => Ok(self.list_fields()),
            ("GET", ["supporter", "questions"]) => Ok(self.list_questions()),
            ("GET", ["supporter", "questions", id]) => Ok(self.read_question(id)),
            ("PUT", ["supporter", "bulk"]) => self.change_many(call),
            ("GET", ["supporter", id]) => self.read_supporter(id, call),
            ("PUT", ["supporter", id]) => self.update_supporter(id, call),
            ("DELETE", ["supporter", id]) => self.delete_supporter(id),
            ("GET", ["supporter", id, "transactions"]) => self.list_transactions(id),
            ("GET", ["page"]) => self.list_pages(call),
            ("GET", ["page", id]) => self.read_page(id),
            ("POST", ["page", id, "process"]) => self.process_page(id, call),
            _ => Err(Failure::no_route()),
        }
    }

    fn respond(&mut self, request: &Request, call: &Call<'_>) -> Result<Value, Failure> {
        let now = self.now();
        if !spend(&mut self.calls, self.limit, Duration::from_hours(1), now) {
            self.refused += 1;
            return Err(Failure::used_up());
        }
        if call.path.first().is_some_and(|part| part == "authenticate") {
            return self.authenticate(request, call);
        }
        self.check_session(request)?;
        let is_action = call.method == "POST" && call.path.last().is_some_and(|part| part == "process");
        if is_action && !spend(&mut self.page_calls, self.page_limit, Duration::from_mins(5), now) {
            self.refused += 1;
            return Err(Failure::too_many());
        }
        self.run(call)
    }
}

impl Vendor for EngagingNetworks {
    fn answer(&mut self, request: &Request) -> Reply {
        let Some(path) = request.path.strip_prefix(PATH) else {
            return Reply::status(404)
                .header("content-type", "text/html")
                .body("<html><body><h1>Not Found</h1></body></html>");
        };
        let parts = path.split('/').filter(|part| !part.is_empty());
        let decoded = |part| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let call = Call {
            method: &request.method,
            path: parts.map(decoded).collect(),
            query: form_urlencoded::parse(request.query.as_bytes())
                .into_owned()
                .collect(),
            body: serde_json::from_slice(&request.body).unwrap_or_default(),
        };
        let reply = match self.respond(request, &call) {
            Ok(body) => Reply::json(200, &body),
            Err(failure) => failure.reply(),
        };
        let is_action = call.path.last().is_some_and(|part| part == "process");
        let lost = match &mut self.loses_actions {
            lost if is_action && *lost > 0 => lost,
            _ => &mut self.loses_answers,
        };
        if *lost > 0 {
            *lost -= 1;
            return Reply::status(502)
                .header("content-type", "text/html")
                .body("<html><body>502 Bad Gateway</body></html>");
        }
        reply
    }

    fn page(&self) -> String {
        self.html()
    }
}
