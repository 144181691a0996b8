//! HubSpot's own client for Node.js reads and writes the fake.

mod batches;
mod contacts;
mod events;
mod limits;
mod lists;
mod notes;
mod properties;
mod subscriptions;
mod tokens;

use causeway_testkit::vendors::{
    FakeVendor,
    clients::Script,
    hubspot::{HubSpot, Property, TOKEN, Type},
};
use serde_json::{Value, json};

/// A property of the account's own, by which contacts are found.
const KEY: &str = "ext_supporter_id";

/// The fake, and the client that is connected with it.
struct Account {
    hubspot: FakeVendor<HubSpot>,
    client: Script,
}

/// What the client returned.
#[derive(Debug)]
struct Answer {
    status: u64,
    /// The body as it was received.
    raw: Value,
    /// The client's model of it.
    value: Value,
    /// How the body departs from the model.
    complaints: Vec<String>,
    headers: Value,
    all: Value,
}

impl Account {
    async fn start() -> Self {
        let mut hubspot = HubSpot::default();
        hubspot
            .contacts
            .properties
            .add(Property::new(KEY, Type::String).unique());
        let hubspot = FakeVendor::start(hubspot).await;
        let client = Script::node("hubspot.js", &[&hubspot.url(), TOKEN]);
        Self { hubspot, client }
    }

    async fn step(&mut self, step: &Value) -> Answer {
        let all = self.client.ask(step).await;
        assert!(all["thrown"].is_null(), "{}", all["thrown"]);
        let complaints = all["complaints"].as_array().into_iter().flatten();
        Answer {
            status: all["status"].as_u64().unwrap_or_default(),
            raw: all["raw"].clone(),
            value: all["value"].clone(),
            complaints: complaints.map(|text| text.as_str().unwrap().to_owned()).collect(),
            headers: all["headers"].clone(),
            all,
        }
    }

    /// Calls a method of the client, whatever comes of it.
    async fn call(&mut self, method: &str, arguments: Value) -> Answer {
        self.step(&json!({ "call": method, "with": arguments })).await
    }

    /// Calls a method of the client that succeeds, and returns the client's model of the answer.
    async fn get(&mut self, method: &str, arguments: Value) -> Value {
        let answer = self.call(method, arguments).await;
        assert!((200..300).contains(&answer.status), "{method}: {answer:#?}");
        assert_eq!(answer.complaints, Vec::<String>::new(), "{method}");
        answer.value
    }

    /// Calls a method of the client that fails with this status, and returns the error's body.
    async fn fail(&mut self, status: u64, method: &str, arguments: Value) -> Value {
        let answer = self.call(method, arguments).await;
        assert_eq!(answer.status, status, "{method}: {answer:#?}");
        assert_eq!(answer.all["error"]["message"], answer.raw["message"]);
        answer.raw
    }

    /// Sends a request for which the client has no method.
    async fn request(&mut self, method: &str, path: &str, body: Value) -> Answer {
        let mut request = json!({ "method": method, "path": path });
        if !body.is_null() {
            request["body"] = body;
        }
        self.step(&json!({ "request": request })).await
    }

    async fn use_token(&mut self, token: &str) {
        self.step(&json!({ "token": token })).await;
    }

    fn with<T>(&self, run: impl FnOnce(&mut HubSpot) -> T) -> T {
        self.hubspot.with(run)
    }

    fn add(&self, email: &str, key: &str) -> u64 {
        self.with(|hubspot| hubspot.add_contact(&[("email", email), (KEY, key)]))
    }
}

/// The texts at a field of each entry.
fn each<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    let entries = list.as_array().into_iter().flatten();
    entries.map(|entry| entry[field].as_str().unwrap()).collect()
}

/// An input of an upsert by the own property, with a trace id.
fn row(key: &str, email: &str) -> Value {
    json!({ "id": key, "idProperty": KEY, "objectWriteTraceId": format!("t-{key}"),
        "properties": { "email": email } })
}
