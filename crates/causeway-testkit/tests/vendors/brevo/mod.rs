//! Brevo's own client for Python reads and writes the fake.

mod contacts;
mod events;

use causeway_testkit::vendors::{
    FakeVendor,
    brevo::{Brevo, KEY},
};
use serde_json::{Value, json};

use super::python::Script;

const ADA: &str = "ada@example.org";

/// The fake, and the client that is connected with it.
struct Account {
    brevo: FakeVendor<Brevo>,
    client: Script,
}

impl Account {
    async fn start() -> Self {
        let brevo = FakeVendor::start(Brevo::default()).await;
        let mut client = Script::start("brevo_client.py");
        let start = json!({ "url": brevo.url(), "key": KEY });
        client.run("start", start).await.unwrap();
        Self { brevo, client }
    }

    /// Calls a method of the client that succeeds with this status, and returns the body.
    async fn get(&mut self, status: u64, method: &str, arguments: Value) -> Value {
        let answer = self.client.run(method, arguments).await;
        let answer = answer.unwrap_or_else(|error| panic!("{method}: {error:#}"));
        assert_eq!(answer["status"], status, "{method}: {answer:#}");
        answer["value"].clone()
    }

    /// Calls a method of the client that fails with this status and code, and returns the body.
    async fn fail(&mut self, status: u64, code: &str, method: &str, arguments: Value) -> Value {
        let error = self.client.run(method, arguments).await.unwrap_err();
        assert_eq!(
            (&error["status"], &error["body"]["code"]),
            (&json!(status), &json!(code)),
            "{method}: {error:#}"
        );
        error["body"].clone()
    }

    async fn use_key(&mut self, key: &str) {
        let start = json!({ "url": self.brevo.url(), "key": key });
        self.client.run("start", start).await.unwrap();
    }

    fn with<T>(&self, run: impl FnOnce(&mut Brevo) -> T) -> T {
        self.brevo.with(run)
    }

    async fn read(&mut self, identifier: &str) -> Value {
        self.get(
            200,
            "contacts.get_contact_info",
            json!({ "identifier": identifier }),
        )
        .await
    }

    async fn add(&mut self, email: &str) -> u64 {
        let made = self
            .get(201, "contacts.create_contact", json!({ "email": email }))
            .await;
        made["id"].as_u64().unwrap()
    }
}
