//! Meta's custom audiences, with facebook-business.

mod access;
mod audiences;
mod limits;
mod removals;
mod replace;
mod users;

use std::sync::Arc;

use causeway_testkit::{
    clock::TestClock,
    vendors::{
        FakeVendor,
        meta::{APP_SECRET, Meta, TOKEN},
    },
};
use serde_json::{Value, json};

use crate::python::Script;

/// The ad account as the client names it.
const ACT: &str = "act_1234567890";

/// The fake, and a client that talks to it.
struct Rig {
    clock: Arc<TestClock>,
    meta: FakeVendor<Meta>,
    client: Script,
}

impl Rig {
    async fn start() -> Self {
        let mut rig = Self::idle().await;
        rig.connect(json!({ "secret": APP_SECRET })).await;
        rig
    }

    /// Without a connected client.
    async fn idle() -> Self {
        let clock = Arc::new(TestClock::default());
        let meta = FakeVendor::start(Meta::new(Arc::<TestClock>::clone(&clock))).await;
        Self {
            clock,
            meta,
            client: Script::start("meta.py"),
        }
    }

    /// With these arguments in place of the usual ones.
    async fn connect(&mut self, with: Value) {
        let mut arguments = json!({ "graph": self.meta.url(), "token": TOKEN });
        let with = with.as_object().unwrap().clone();
        arguments.as_object_mut().unwrap().extend(with);
        self.client.run("start", arguments).await.unwrap();
    }

    async fn ok(&mut self, command: &str, arguments: Value) -> Value {
        let result = self.client.run(command, arguments).await;
        result.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// The error that the client raised.
    async fn err(&mut self, command: &str, arguments: Value) -> Value {
        let result = self.client.run(command, arguments).await;
        result.expect_err(command)
    }

    /// Code and subcode of the error that the client raised.
    async fn code(&mut self, command: &str, arguments: Value) -> (Value, Value) {
        let error = self.err(command, arguments).await;
        (error["code"].clone(), error["subcode"].clone())
    }

    /// Creates an audience with the client.
    async fn audience(&mut self) -> String {
        let params =
            json!({ "name": "list 42", "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY" });
        let id = self
            .ok("create", json!({ "account": ACT, "params": params }))
            .await;
        id.as_str().unwrap().to_owned()
    }

    fn advance_minutes(&self, minutes: u64) {
        self.clock.advance(std::time::Duration::from_mins(minutes));
    }
}

/// Adds or removes addresses in the style of several keys; the client hashes.
fn emails(id: &str, addresses: &[&str]) -> Value {
    let users: Vec<_> = addresses.iter().map(|address| [address]).collect();
    json!({ "id": id, "schema": ["EMAIL"], "users": users, "is_raw": true })
}

/// A payload as a connector sends it: everything hashed, several keys.
fn payload(schema: &[&str], data: &Value) -> Value {
    json!({ "payload": { "schema": schema, "data": data } })
}
