//! Meta's Marketing API, as far as custom audiences from customer files need it: ad accounts and their audiences, who
//! is in an audience, replacing all of them, and limits. People are not matched: each row counts.
#![expect(clippy::indexing_slicing, reason = "test equipment: a failure is the test's")]

mod access;
mod audience;
mod call;
mod errors;
mod filter;
mod limits;
mod members;
mod nodes;
mod page;
mod payload;
mod replace;
#[cfg(test)]
mod tests;
mod users;

use std::{collections::BTreeMap, sync::Arc};

use causeway_core::clock::{Clock, Timestamp};
use jiff::SignedDuration;
use serde_json::{Map, Value, json};

pub use self::{
    access::{App, Tier, Token, hash, proof},
    audience::Audience,
    errors::{GraphError, html_502},
    limits::{Bucket, Family},
    members::{Keys, Members, Uploaded},
    nodes::{Account, Terms},
    users::{Change, Upload},
};
use self::{call::Call, users::Begun};
use super::Vendor;
use crate::fake_api::{Reply, Request};

/// The token, ad account (without `act_`) and app that exist from the start.
pub const TOKEN: &str = "EAAB-token-of-tests";
pub const ACCOUNT: &str = "1234567890";
pub const APP_ID: &str = "271828182845904";
pub const APP_SECRET: &str = "app-secret-of-tests";

/// What the API answers without complaint, or what makes things worse, so that only a test notices it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// It prolonged the block.
    CallWhileBlocked(Family),
    /// The key of a cell that held something other than a hash, perhaps personal data.
    Unhashed(&'static str),
    /// The key of a cell that held the hash of the empty string.
    HashOfNothing(&'static str),
    /// People were added, removed or replaced during a replacement.
    ChangeWhileReplacing,
    /// A batch came after the last one of its session, or too late. The answer was 200, without effect.
    BatchDiscarded,
}

/// How answers show samples of invalid entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Samples {
    Array,
    /// Entry → reason.
    Map,
    Null,
    /// Not at all: no entry counts as invalid.
    Uncounted,
}

impl Samples {
    fn of(self, samples: &[String]) -> Value {
        match self {
            Self::Array => samples.into(),
            Self::Map if samples.is_empty() => json!([]),
            Self::Map => samples
                .iter()
                .map(|sample| (sample.clone(), Value::from("Invalid hash")))
                .collect::<Map<_, _>>()
                .into(),
            Self::Null => Value::Null,
            Self::Uncounted => json!([]),
        }
    }
}

/// The API's state, and the conditions that tests set.
pub struct Meta {
    clock: Arc<dyn Clock>,
    pub app: App,
    /// The oldest and the newest version, such as 25 and 26.
    pub versions: (u16, u16),
    /// Whether retired versions are answered by the oldest that lives, instead of with error 2635.
    pub upgrades_retired_versions: bool,
    pub tokens: BTreeMap<String, Token>,
    /// By id, without `act_`.
    pub accounts: BTreeMap<String, Account>,
    pub audiences: BTreeMap<String, Audience>,
    pub violations: Vec<Violation>,
    /// Accepted uploads, in order.
    pub uploads: Vec<Upload>,
    pub samples: Samples,
    /// Whether answers to uploads hold ids as numbers instead of strings.
    pub numeric_ids: bool,
    /// Whether answers have the header about limits.
    pub shows_usage: bool,
    /// The counts of an audience with fewer than 1000 people.
    pub hidden_count: Value,
    /// How long it takes until counts show an upload.
    pub count_delay: SignedDuration,
    /// How long a new audience refuses uploads with error 803.
    pub creation_takes: SignedDuration,
    /// How long a replacement takes after its last batch.
    pub replacing_takes: SignedDuration,
    /// The greatest `limit` of a list.
    pub most_per_page: usize,
    /// Words, in lower case, that flag an audience with such a name or description.
    pub flagged_words: Vec<String>,
    /// The answers of this many requests are lost on the way back: they take effect, and the caller gets a 502.
    pub loses_answers: usize,
    /// By ad account and number.
    sessions: BTreeMap<(String, u64), Begun>,
    last_id: u64,
    last_session: u64,
    traces: u64,
}

impl Meta {
    /// One app, one token, and one ad account that accepted the terms.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            app: App {
                id: APP_ID.to_owned(),
                secret: APP_SECRET.to_owned(),
                requires_proof: false,
                tier: Tier::Full,
            },
            versions: (25, 26),
            upgrades_retired_versions: false,
            tokens: [(TOKEN.to_owned(), Token::of(ACCOUNT))].into(),
            accounts: [(ACCOUNT.to_owned(), Account::new("Rivers"))].into(),
            audiences: BTreeMap::new(),
            violations: Vec::new(),
            uploads: Vec::new(),
            samples: Samples::Array,
            numeric_ids: false,
            shows_usage: true,
            hidden_count: (-1).into(),
            count_delay: SignedDuration::ZERO,
            creation_takes: SignedDuration::ZERO,
            replacing_takes: SignedDuration::ZERO,
            most_per_page: 500,
            flagged_words: ["arthritis", "diabetes", "credit score", "high income"]
                .map(str::to_owned)
                .into(),
            loses_answers: 0,
            sessions: BTreeMap::new(),
            last_id: 120_330_000_000_000_000,
            last_session: 7_319_004_411_223_000_000,
            traces: 0,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// An ad account that the tokens do not see yet.
    pub fn add_account(&mut self, id: &str, name: &str) {
        self.accounts.insert(id.to_owned(), Account::new(name));
    }

    /// An audience that a person created in Ads Manager. Returns its id.
    pub fn add_audience(&mut self, account: &str, name: &str) -> String {
        let params = json!({ "name": name, "customer_file_source": "USER_PROVIDED_ONLY" });
        let params = params.as_object().cloned().unwrap_or_default();
        self.insert_audience(account, params)
    }

    /// Fails the test if there is no such audience.
    pub fn audience(&self, id: &str) -> &Audience {
        &self.audiences[id]
    }

    pub fn audience_mut(&mut self, id: &str) -> &mut Audience {
        self.audiences.get_mut(id).unwrap()
    }

    pub fn token_mut(&mut self) -> &mut Token {
        self.tokens.get_mut(TOKEN).unwrap()
    }

    /// The account that exists from the start.
    pub fn account_mut(&mut self) -> &mut Account {
        self.accounts.get_mut(ACCOUNT).unwrap()
    }

    /// Starts a block of calls for the ad account.
    pub fn block(&mut self, family: Family, lasts: SignedDuration) {
        let now = self.now();
        let bucket = self.account_mut().buckets.entry(family).or_default();
        bucket.block(now, lasts);
    }

    fn next_session(&mut self) -> u64 {
        self.last_session += 1;
        self.last_session
    }

    /// The ad account that a node is or belongs to.
    fn account_of(&self, node: &str) -> Option<String> {
        let account = match node.strip_prefix("act_") {
            Some(id) => self.accounts.get_key_value(id).map(|(id, _)| id),
            None => self.audiences.get(node).map(|audience| &audience.account),
        };
        account.cloned()
    }

    fn run(&mut self, call: &Call, account: Option<&str>) -> Result<Value, GraphError> {
        if call.node == "debug_token" && call.method == "GET" {
            return self.debug_token(call);
        }
        let token = self.check_token(call)?;
        let not_loaded = || GraphError::not_loaded(&call.method, &call.node);
        let account = account.ok_or_else(not_loaded)?;
        if !token.accounts.contains(account) {
            let is_account = call.node.starts_with("act_");
            return Err(if is_account {
                GraphError::permission()
            } else {
                not_loaded()
            });
        }
        let needs: &[&str] = match call.method.as_str() {
            "GET" => &["ads_read", "ads_management"],
            _ => &["ads_management"],
        };
        if !needs.iter().any(|scope| token.scopes.contains(*scope)) {
            return Err(GraphError::permission());
        }
        let family = match call.edge.as_str() {
            "users" | "usersreplace" | "usersofanyaudience" => Family::CustomAudience,
            _ => Family::AdsManagement,
        };
        self.spend(account, family)?;
        if call.node.starts_with("act_") {
            return self.run_account(call, account);
        }
        match (call.method.as_str(), call.edge.as_str()) {
            ("GET", "") => self.audience(&call.node).read(&call.fields(), self),
            ("POST", "") => self.update_audience(call),
            ("DELETE", "") => {
                self.audiences.remove(&call.node);
                Ok(json!({ "success": true }))
            }
            ("POST", "users") => self.add_users(call),
            ("DELETE", "users") => self.remove_users(call),
            ("POST", "usersreplace") => self.replace_users(call),
            ("GET", "sessions") => Ok(self.list_sessions(call)),
            _ => Err(not_loaded()),
        }
    }

    fn run_account(&mut self, call: &Call, account: &str) -> Result<Value, GraphError> {
        match (call.method.as_str(), call.edge.as_str()) {
            ("GET", "") => self.read_account(account, call),
            ("GET", "customaudiences") => self.list_audiences(account, call),
            ("POST", "customaudiences") => self.create_audience(account, call),
            ("GET", "customaudiencestos") => Ok(json!({ "data": [
                { "id": "custom_audience_tos", "type": "CUSTOM_AUDIENCE_TOS", "content": "Terms" },
            ] })),
            ("DELETE", "usersofanyaudience") => self.remove_users_everywhere(call, account),
            _ => Err(GraphError::not_loaded(&call.method, &call.node)),
        }
    }
}

impl Vendor for Meta {
    fn answer(&mut self, request: &Request) -> Reply {
        let now = self.now();
        for audience in self.audiences.values_mut() {
            audience.settle(now);
        }
        self.traces += 1;
        let trace = format!("A{:010}", self.traces);
        let (mut version, mut account) = (None, None);
        let result = Call::read(request).and_then(|call| {
            version = Some(self.check_version(&call)?);
            account = self.account_of(&call.node);
            self.run(&call, account.as_deref())
        });
        let mut reply = match result {
            Ok(body) => Reply::json(200, &body),
            Err(error) => error.traced(&trace),
        };
        if self.loses_answers > 0 {
            self.loses_answers -= 1;
            return html_502();
        }
        if let Some(version) = version {
            reply = reply.header("facebook-api-version", &format!("v{version}.0"));
        }
        if let Some(usage) = account.and_then(|account| self.usage(&account)) {
            reply = reply.header("x-business-use-case-usage", &usage);
        }
        reply
            .header("x-fb-trace-id", &trace)
            .header("x-fb-request-id", &trace)
    }

    fn page(&self) -> String {
        self.html()
    }
}
