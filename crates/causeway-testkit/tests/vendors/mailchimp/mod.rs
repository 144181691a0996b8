//! Mailchimp's own client for Node.js reads and writes the fake.

mod access;
mod batches;
mod members;
mod statuses;

use causeway_testkit::vendors::{
    FakeVendor,
    clients::Script,
    mailchimp::{KEY, LIST, Mailchimp, hash},
};
use serde_json::{Value, json};

const ADA: &str = "ada@example.org";

/// The fake, and the client that is connected with it.
struct Account {
    mailchimp: FakeVendor<Mailchimp>,
    client: Script,
}

impl Account {
    async fn start() -> Self {
        let mailchimp = FakeVendor::start(Mailchimp::default()).await;
        let client = Script::node("mailchimp.js", &[&mailchimp.url(), KEY]);
        Self { mailchimp, client }
    }

    /// Calls a method of the client, whatever comes of it.
    async fn call(&mut self, method: &str, arguments: Value) -> Value {
        let answer = self
            .client
            .ask(&json!({ "call": method, "with": arguments }))
            .await;
        assert!(answer["thrown"].is_null(), "{}", answer["thrown"]);
        answer
    }

    /// Calls a method of the client that succeeds, and returns what it returned.
    async fn get(&mut self, method: &str, arguments: Value) -> Value {
        let answer = self.call(method, arguments).await;
        assert_eq!(answer["status"], 200, "{method}: {answer:#}");
        assert_eq!(answer["complaints"], json!([]), "{method}");
        answer["value"].clone()
    }

    /// Calls a method of the client that fails with this status, and returns the problem.
    async fn fail(&mut self, status: u64, method: &str, arguments: Value) -> Value {
        let answer = self.call(method, arguments).await;
        assert_eq!(answer["status"], status, "{method}: {answer:#}");
        assert_eq!(answer["type"], "application/problem+json");
        answer["error"].clone()
    }

    async fn use_key(&mut self, key: Value) {
        self.client.ask(&json!({ "key": key })).await;
    }

    fn with<T>(&self, run: impl FnOnce(&mut Mailchimp) -> T) -> T {
        self.mailchimp.with(run)
    }

    async fn add(&mut self, email: &str, status: &str) -> Value {
        let body = json!({ "email_address": email, "status": status });
        self.get("lists.addListMember", json!([LIST, body])).await
    }

    async fn read(&mut self, email: &str) -> Value {
        self.get("lists.getListMember", json!([LIST, hash(email)])).await
    }
}
