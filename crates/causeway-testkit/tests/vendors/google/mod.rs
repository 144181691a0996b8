//! Google's Data Manager API, with google-ads-datamanager.

mod access;
mod lists;
mod members;
mod status;

use std::{sync::Arc, time::Duration};

use causeway_testkit::{
    clock::TestClock,
    vendors::{
        FakeVendor,
        google::{ACCOUNT, Google, TOKEN, hash},
    },
};
use serde_json::{Value, json};

use crate::python::Script;

/// The fake, and a client that talks to it.
struct Rig {
    clock: Arc<TestClock>,
    google: FakeVendor<Google>,
    client: Script,
    /// A list of contacts.
    list: u64,
}

impl Rig {
    async fn start() -> Self {
        let clock = Arc::new(TestClock::default());
        let google = FakeVendor::start(Google::new(Arc::<TestClock>::clone(&clock))).await;
        let list = google.with(|google| google.add_list(ACCOUNT, "list 42"));
        let client = Script::start("google_datamanager.py");
        let mut rig = Self {
            clock,
            google,
            client,
            list,
        };
        rig.connect(json!({})).await;
        rig
    }

    /// With these arguments in place of the usual ones.
    async fn connect(&mut self, with: Value) {
        let host = self.google.url().replace("http://", "");
        let mut arguments = json!({ "host": host, "token": TOKEN });
        arguments
            .as_object_mut()
            .unwrap()
            .extend(with.as_object().unwrap().clone());
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

    /// The request that adds these members.
    fn adding(&self, members: &[Value]) -> Value {
        json!({
            "destinations": [destination(ACCOUNT, self.list)],
            "audienceMembers": members,
            "consent": { "adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED" },
            "encoding": "HEX",
            "termsOfService": { "customerMatchTermsOfServiceStatus": "ACCEPTED" },
        })
    }

    fn removing(&self, members: &[Value]) -> Value {
        json!({
            "destinations": [destination(ACCOUNT, self.list)], "audienceMembers": members, "encoding": "HEX",
        })
    }

    /// Adds members, and returns the id of the request.
    async fn add(&mut self, members: &[Value]) -> String {
        let body = self.adding(members);
        let answer = self.ok("ingest", json!({ "body": body })).await;
        answer["requestId"].as_str().unwrap().to_owned()
    }

    /// The status for the first destination.
    async fn status(&mut self, id: &str) -> Value {
        let answer = self.ok("status", json!({ "id": id })).await;
        answer["requestStatusPerDestination"][0].clone()
    }

    /// The reasons of the wrong fields, and the fields.
    async fn violations(&mut self, command: &str, body: Value) -> Vec<(String, String)> {
        let error = self.err(command, json!({ "body": body })).await;
        assert_eq!(
            (&error["code"], &error["reason"]),
            (&json!(400), &json!("INVALID_ARGUMENT")),
            "{error}"
        );
        let all = error["violations"].as_array().unwrap().iter();
        all.map(|one| (text(&one[1]), text(&one[0]))).collect()
    }

    fn has(&self, address: &str) -> bool {
        self.google
            .with(|google| google.list(ACCOUNT, self.list).has_email(address))
    }

    fn people(&self) -> usize {
        self.google
            .with(|google| google.list(ACCOUNT, self.list).people())
    }

    fn advance_minutes(&self, minutes: u64) {
        self.clock.advance(Duration::from_mins(minutes));
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn destination(account: &str, list: u64) -> Value {
    json!({
        "operatingAccount": { "accountType": "GOOGLE_ADS", "accountId": account },
        "productDestinationId": list.to_string(),
    })
}

fn member(address: &str) -> Value {
    json!({ "userData": { "userIdentifiers": [{ "emailAddress": hash(address) }] } })
}
