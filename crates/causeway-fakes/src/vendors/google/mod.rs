//! Google's Data Manager API, as far as Customer Match needs it: members of user lists are added and removed by hashed
//! identifiers, requests are processed later, and their status is asked for. With the endpoint for access tokens.
//!
//! Only accounts of Google Ads and lists of contacts are here. People are not matched: each that was sent counts.
#![expect(clippy::indexing_slicing, reason = "test equipment: a failure is the test's")]

mod account;
mod auth;
mod error;
mod lists;
mod members;
mod page;
mod quota;
mod schema;
mod status;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use causeway_core::clock::{Clock, Timestamp};
use data_encoding::HEXLOWER;
use jiff::SignedDuration;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use url::form_urlencoded;

pub use self::{
    account::{Account, Member, UserList},
    auth::{App, SCOPE, Token},
    error::{ApiError, Violation, html_502},
    members::{Target, Uploaded},
    quota::Quota,
    status::{Accepted, Change, Course},
};
use self::{lists::ListCall, members::Batch};
use super::Vendor;
use crate::fake_api::{Reply, Request};

/// The account of Google Ads, and the token of a person who may use it, that exist from the start.
pub const ACCOUNT: &str = "1234567890";
pub const TOKEN: &str = "ya29.token-of-tests";
pub const PERSON: &str = "ada@example.org";
/// The service account, which may use the account, too.
pub const SERVICE_ACCOUNT: &str = "sync@rivers-1.iam.gserviceaccount.com";
/// The app that the person connected, and the refresh token for it.
pub const CLIENT_ID: &str = "314159265358-rivers.apps.googleusercontent.com";
pub const CLIENT_SECRET: &str = "GOCSPX-secret-of-tests";
pub const REFRESH_TOKEN: &str = "1//0g-refresh-of-tests";
/// The number of the Google Cloud project.
const PROJECT: &str = "314159265358";

/// SHA-256 in hex, of the text as it is.
pub fn hash(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}

/// What the API accepts, but a caller should not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misuse {
    /// The hash of the empty string was sent.
    HashOfNothing,
    /// Somebody was removed while their addition was still processed. Google may do both in either order.
    RemovedWhileAdding,
}

/// The API's state, and the conditions that tests set.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a condition that a test sets by itself"
)]
pub struct Google {
    clock: Arc<dyn Clock>,
    /// By id.
    pub accounts: BTreeMap<String, Account>,
    pub tokens: BTreeMap<String, Token>,
    pub app: App,
    /// Whether the service account and its key exist.
    pub has_service_account: bool,
    /// Whether the API is enabled in the project.
    pub is_enabled: bool,
    /// Accepted requests, in order.
    pub requests: Vec<Accepted>,
    /// How the next requests end; then as their members are.
    pub courses: VecDeque<Course>,
    /// How long it takes to process a request, and how long for the next ones.
    pub processing_takes: SignedDuration,
    pub takes: VecDeque<SignedDuration>,
    /// Whether members without consent fail.
    pub requires_consent: bool,
    pub match_rate: &'static str,
    /// `fieldWarnings` of the next answers to additions.
    pub warnings: VecDeque<Value>,
    /// How many wrong fields an error lists.
    pub most_violations: usize,
    /// Whether errors write fields in camel case.
    pub camel_fields: bool,
    /// Whether errors about a destination have status 400 and name the field.
    pub names_fields: bool,
    pub ingestion: Quota,
    pub retrieval: Quota,
    pub management: Quota,
    pub misuses: Vec<Misuse>,
    /// The answers of this many requests are lost on the way back: they take effect, and the caller gets a 502.
    pub loses_answers: usize,
    issued: u64,
    last_list: u64,
    ids: u64,
}

impl Google {
    /// One account of Google Ads that accepted the terms, a person and a service account that may use it.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let mut account = Account::new("Rivers", PERSON);
        account.users.insert(SERVICE_ACCOUNT.to_owned());
        Self {
            clock,
            accounts: [(ACCOUNT.to_owned(), account)].into(),
            tokens: [(TOKEN.to_owned(), Token::of(PERSON))].into(),
            app: App {
                client_id: CLIENT_ID.to_owned(),
                client_secret: CLIENT_SECRET.to_owned(),
                refresh_tokens: [(REFRESH_TOKEN.to_owned(), PERSON.to_owned())].into(),
            },
            has_service_account: true,
            is_enabled: true,
            requests: Vec::new(),
            courses: VecDeque::new(),
            processing_takes: SignedDuration::ZERO,
            takes: VecDeque::new(),
            requires_consent: true,
            match_rate: "MATCH_RATE_RANGE_NOT_ELIGIBLE",
            warnings: VecDeque::new(),
            most_violations: 100,
            camel_fields: false,
            names_fields: false,
            ingestion: Quota::new(300, 100_000),
            retrieval: Quota::new(300, 100_000),
            management: Quota::new(300, 50_000),
            misuses: Vec::new(),
            loses_answers: 0,
            issued: 0,
            last_list: 8_812_345_677,
            ids: 0,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn next_id(&mut self) -> String {
        self.ids += 1;
        format!("5b0e7c52-9a41-4f7d-8a33-{:012x}", self.ids)
    }

    fn run(&mut self, request: &Request, query: &Map<String, Value>) -> Result<Value, ApiError> {
        let principal = self.principal(request)?;
        self.spend(&request.path)?;
        let numbers =
            request.query.contains("enum-encoding=int") || request.query.contains("enum-encoding%3Dint");
        let (method, path) = (request.method.as_str(), request.path.as_str());
        let (message, written) = match (method, path) {
            ("POST", "/v1/audienceMembers:ingest") => {
                ("IngestAudienceMembersResponse", self.ingest(&principal, request)?)
            }
            ("POST", "/v1/audienceMembers:remove") => {
                ("RemoveAudienceMembersResponse", self.remove(&principal, request)?)
            }
            ("POST", "/v1/audienceMembers:removeAll") => (
                "RemoveAllAudienceMembersResponse",
                self.remove_all(&principal, request)?,
            ),
            ("GET", "/v1/requestStatus:retrieve") => {
                let status = self.status(&principal, query)?;
                // A status that clients do not know is in no schema.
                if let Some(Course::New(name)) = self.new_status(query) {
                    let mut shown = status;
                    for one in shown["request_status_per_destination"].as_array_mut().unwrap() {
                        one["request_status"] = "REQUEST_STATUS_UNKNOWN".into();
                    }
                    let mut body = schema::write("RetrieveRequestStatusResponse", &shown, numbers);
                    body["requestStatusPerDestination"][0]["requestStatus"] = name.into();
                    return Ok(body);
                }
                ("RetrieveRequestStatusResponse", status)
            }
            _ => return self.run_lists(&principal, request, query, numbers),
        };
        Ok(schema::write(message, &written, numbers))
    }

    fn new_status(&self, query: &Map<String, Value>) -> Option<Course> {
        let id = query.get("requestId")?.as_str()?;
        let request = self.requests.iter().find(|request| request.id == id)?;
        let is_new = request.is_done() && matches!(request.course, Course::New(_));
        is_new.then(|| request.course.clone())
    }

    fn ingest(&mut self, principal: &str, request: &Request) -> Result<Value, ApiError> {
        let body = body("IngestAudienceMembersRequest", request)?;
        let batch = self.check_members(principal, &body, true)?;
        let id = self.finish(&body, Change::Add, batch);
        let warnings: Vec<Value> = self.warnings.pop_front().into_iter().collect();
        Ok(serde_json::json!({ "request_id": id, "field_warnings": warnings }))
    }

    fn remove(&mut self, principal: &str, request: &Request) -> Result<Value, ApiError> {
        let body = body("RemoveAudienceMembersRequest", request)?;
        let batch = self.check_members(principal, &body, false)?;
        let id = self.finish(&body, Change::Remove, batch);
        Ok(serde_json::json!({ "request_id": id }))
    }

    fn remove_all(&mut self, principal: &str, request: &Request) -> Result<Value, ApiError> {
        let body = body("RemoveAllAudienceMembersRequest", request)?;
        let targets = self.check_remove_all(principal, &body)?;
        let before = body.get("remove_as_of_time").and_then(Value::as_str);
        let before = before
            .and_then(|time| time.parse().ok())
            .unwrap_or_else(|| self.now());
        let batch = Batch {
            targets,
            members: Vec::new(),
            is_encrypted: false,
        };
        let id = self.finish(&body, Change::RemoveAll(before), batch);
        Ok(serde_json::json!({ "request_id": id }))
    }

    /// Accepts the request, unless it is only a trial, which has an id without a status.
    fn finish(&mut self, body: &Map<String, Value>, change: Change, batch: Batch) -> String {
        if body.get("validate_only") == Some(&Value::Bool(true)) {
            return self.next_id();
        }
        self.accept(change, batch)
    }

    fn run_lists(
        &mut self,
        principal: &str,
        request: &Request,
        query: &Map<String, Value>,
        numbers: bool,
    ) -> Result<Value, ApiError> {
        let not_found = || ApiError::gateway(404, "NOT_FOUND", "", "Method not found.");
        let parts: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
        let (account, id) = match parts.as_slice() {
            [
                "v1",
                "accountTypes",
                "GOOGLE_ADS",
                "accounts",
                account,
                "userLists",
            ] => (*account, None),
            [
                "v1",
                "accountTypes",
                "GOOGLE_ADS",
                "accounts",
                account,
                "userLists",
                id,
            ] => (
                *account,
                Some(id.parse().map_err(|_| ApiError::new("INVALID_RESOURCE_NAME"))?),
            ),
            _ => return Err(not_found()),
        };
        let login = request
            .header("login-account")
            .and_then(|name| name.rsplit('/').next());
        self.check_access(principal, account, login.unwrap_or(account))?;
        let is_trial = query.get("validateOnly").and_then(Value::as_str) == Some("true");
        let call = ListCall {
            account,
            query,
            is_trial,
        };
        let (message, written) = match (request.method.as_str(), id) {
            ("GET", None) => ("ListUserListsResponse", self.list_lists(&call)?),
            ("POST", None) => ("UserList", self.create_list(&call, body("UserList", request)?)?),
            ("GET", Some(id)) => ("UserList", self.read_list(&call, id)?),
            ("PATCH", Some(id)) => (
                "UserList",
                self.update_list(&call, id, &body("UserList", request)?)?,
            ),
            ("DELETE", Some(id)) => ("UserList", self.delete_list(&call, id)?),
            _ => return Err(not_found()),
        };
        Ok(schema::write(message, &written, numbers))
    }
}

/// The message in the body of a request.
fn body(message: &str, request: &Request) -> Result<Map<String, Value>, ApiError> {
    let json = serde_json::from_slice(&request.body).map_err(|_| {
        let mut error = ApiError::unreadable(Vec::new());
        "Invalid JSON payload received. Unexpected token.".clone_into(&mut error.message);
        error
    })?;
    schema::read(message, &json).map_err(ApiError::unreadable)
}

impl Vendor for Google {
    fn answer(&mut self, request: &Request) -> Reply {
        self.settle();
        let reply = if request.method == "POST" && request.path == "/token" {
            self.token(request)
        } else {
            let pairs = form_urlencoded::parse(request.query.as_bytes()).into_owned();
            let query = pairs.map(|(name, value)| (name, Value::from(value))).collect();
            match self.run(request, &query) {
                Ok(body) => Reply::json(200, &body),
                Err(error) => {
                    self.ids += 1;
                    error.reply(&format!("t-{:08x}", self.ids), self.camel_fields)
                }
            }
        };
        if self.loses_answers > 0 {
            self.loses_answers -= 1;
            return html_502();
        }
        reply
    }

    fn page(&self) -> String {
        self.html()
    }
}
