//! A project of Supabase: PostgREST over tables in memory, the gateway in front of it with its keys, and the sign-in of
//! users. Each write is one statement, and changes all of its rows or none. PUT, functions and embedded resources are not
//! there.
#![expect(clippy::indexing_slicing, reason = "test equipment: a failure is the test's")]

mod auth;
mod error;
mod filter;
mod page;
mod prefer;
mod read;
mod table;
#[cfg(test)]
mod tests;
mod write;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use causeway_core::clock::{Clock, Timestamp};
use percent_encoding::percent_decode_str;
use serde_json::json;
use url::form_urlencoded;

pub use self::table::{Column, Default, Policies, Row, Table, Type};
use self::{auth::Role, error::Refusal, prefer::Prefer};
use super::Vendor;
use crate::fake_api::{Reply, Request};

/// The keys and the user that exist from the start.
pub const SECRET_KEY: &str = "sb_secret_of_tests";
pub const PUBLISHABLE_KEY: &str = "sb_publishable_of_tests";
pub const SERVICE_JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.of-tests";
pub const ANON_JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYW5vbiJ9.of-tests";
pub const USER: &str = "causeway@example.org";
pub const PASSWORD: &str = "password-of-tests";

/// The project.
pub struct Supabase {
    clock: Arc<dyn Clock>,
    pub tables: BTreeMap<String, Table>,
    /// Whether the keys of the old form are still accepted.
    pub has_legacy_keys: bool,
    /// The disk is full.
    pub is_read_only: bool,
    pub is_paused: bool,
    /// The statement time-out, in rows that a statement may write.
    pub most_rows: usize,
    /// The gateway's limit of a body.
    pub most_bytes: usize,
    /// Calls in a second; `None` for no limit.
    pub limit: Option<usize>,
    /// The answers of this many requests are lost on the way back: they take effect, and the caller gets a 504.
    pub loses_answers: usize,
    /// Write statements that succeeded.
    pub statements: usize,
    /// Access token → its end.
    tokens: BTreeMap<String, Timestamp>,
    refresh_tokens: Vec<String>,
    recent: VecDeque<Timestamp>,
    last_token: u64,
}

/// A request behind the gateway.
struct Call<'a> {
    method: &'a str,
    table: String,
    query: Vec<(String, String)>,
    prefer: Prefer,
    /// Wants one object in place of a list.
    is_single: bool,
    role: Role,
    body: &'a [u8],
}

impl Call<'_> {
    fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(have, _)| have == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Supabase {
    /// A project without tables.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            tables: BTreeMap::new(),
            has_legacy_keys: true,
            is_read_only: false,
            is_paused: false,
            most_rows: 10_000,
            most_bytes: 10 << 20,
            limit: None,
            loses_answers: 0,
            statements: 0,
            tokens: BTreeMap::new(),
            refresh_tokens: Vec::new(),
            recent: VecDeque::new(),
            last_token: 0,
        }
    }

    /// A project with the tables that docs/supabase.md creates.
    pub fn with_tables(clock: Arc<dyn Clock>) -> Self {
        let mut project = Self::new(clock);
        project.add_table(Table::contacts());
        project.add_table(Table::actions());
        project
    }

    pub fn add_table(&mut self, table: Table) {
        self.tables.insert(table.name.clone(), table);
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The row of `contacts` with this address.
    pub fn contact(&self, email: &str) -> Option<&Row> {
        let rows = &self.tables.get("contacts")?.rows;
        rows.iter().find(|row| row["email"] == email)
    }

    /// Whether one more call is allowed.
    fn spend(&mut self) -> bool {
        let now = self.now();
        let is_old = |at: &Timestamp| now.duration_since(*at).as_millis() >= 1_000;
        while self.recent.front().is_some_and(is_old) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.limit.is_none_or(|limit| self.recent.len() <= limit)
    }

    fn answer_call(&mut self, request: &Request) -> Result<Reply, Refusal> {
        if self.is_paused {
            return Err(Refusal::gateway(540, "Project paused", None));
        }
        if !self.spend() {
            return Err(Refusal::gateway(429, "API rate limit exceeded", None));
        }
        if request.body.len() > self.most_bytes {
            return Err(Refusal::gateway(413, "Request size limit exceeded", None));
        }
        let key = self.key(request)?;
        if let Some(path) = request.path.strip_prefix("/auth/v1") {
            return Ok(self.sign_in(path, request));
        }
        let Some(path) = request.path.strip_prefix("/rest/v1/") else {
            return Ok(Reply::json(404, &json!({ "error": "requested path is invalid" })));
        };
        let role = self.role(request, key)?;
        let table = percent_decode_str(path).decode_utf8_lossy().into_owned();
        if table.contains('/') {
            return Err(Refusal::postgrest(
                404,
                125,
                "Invalid path specified in request URL",
            ));
        }
        let accepted = request.header("accept").unwrap_or_default();
        let call = Call {
            method: &request.method,
            table,
            query: form_urlencoded::parse(request.query.as_bytes())
                .into_owned()
                .collect(),
            prefer: Prefer::read(request)?,
            is_single: accepted.contains("application/vnd.pgrst.object"),
            role,
            body: &request.body,
        };
        self.check_schema(request, &call)?;
        match call.method {
            "GET" | "HEAD" => self.read(&call),
            "POST" => self.insert(&call),
            "PATCH" => self.update(&call),
            "DELETE" => self.delete(&call),
            other => Err(Refusal::postgrest(
                405,
                117,
                &format!("Unsupported HTTP method: {other}"),
            )),
        }
    }

    /// Only the schema `public` is exposed.
    fn check_schema(&self, request: &Request, call: &Call<'_>) -> Result<(), Refusal> {
        let profile = if matches!(call.method, "GET" | "HEAD") {
            "accept-profile"
        } else {
            "content-profile"
        };
        if let Some(schema) = request.header(profile).filter(|schema| *schema != "public") {
            let mut refusal = Refusal::postgrest(406, 106, &format!("Invalid schema: {schema}"));
            refusal.hint = Some("Only the following schemas are exposed: public".to_owned());
            return Err(refusal);
        }
        if self.tables.contains_key(&call.table) {
            return Ok(());
        }
        let message = format!(
            "Could not find the table 'public.{}' in the schema cache",
            call.table
        );
        Err(Refusal::postgrest(404, 205, &message))
    }
}

impl Vendor for Supabase {
    fn answer(&mut self, request: &Request) -> Reply {
        let reply = self
            .answer_call(request)
            .unwrap_or_else(|refusal| refusal.reply());
        if self.loses_answers > 0 {
            self.loses_answers -= 1;
            return Reply::status(504)
                .header("content-type", "text/html")
                .body("<html><body>504 Gateway Time-out</body></html>");
        }
        reply
    }

    fn page(&self) -> String {
        self.html()
    }
}
