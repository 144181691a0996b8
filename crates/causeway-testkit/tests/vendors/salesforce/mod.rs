//! jsforce reads and writes the fake.

mod access;
mod bulk;
mod collections;
mod queries;
mod records;

use std::sync::Arc;

use causeway_testkit::{
    clock::TestClock,
    vendors::{
        FakeVendor,
        clients::Script,
        salesforce::{Field, Salesforce, TOKEN},
    },
};
use serde_json::{Value, json};

/// A field of the org's own, by which contacts are found.
const KEY: &str = "Ext_Supporter_Id__c";

/// The fake, and the client that is connected with it.
struct Org {
    clock: Arc<TestClock>,
    salesforce: FakeVendor<Salesforce>,
    client: Script,
    /// The whole of the last answer.
    last: Value,
}

impl Org {
    async fn start() -> Self {
        let clock = Arc::new(TestClock::default());
        let mut salesforce = Salesforce::new(Arc::<TestClock>::clone(&clock));
        salesforce.add_field("Contact", Field::external_id(KEY));
        let salesforce = FakeVendor::start(salesforce).await;
        let client = Script::node("salesforce.js", &[&salesforce.url(), TOKEN]);
        Self {
            clock,
            salesforce,
            client,
            last: Value::Null,
        }
    }

    async fn step(&mut self, step: &Value) -> Result<Value, Value> {
        self.last = self.client.ask(step).await;
        match &self.last["error"] {
            Value::Null => Ok(self.last["value"].clone()),
            error => Err(error.clone()),
        }
    }

    /// Calls a method of the client that succeeds.
    async fn get(&mut self, method: &str, arguments: Value) -> Value {
        let result = self.step(&json!({ "call": method, "with": arguments })).await;
        result.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Calls a method of the client that fails with this code, and returns the text.
    async fn fail(&mut self, code: &str, method: &str, arguments: Value) -> String {
        let result = self.step(&json!({ "call": method, "with": arguments })).await;
        let error = result.expect_err(method);
        assert_eq!(error["code"], code, "{method}: {error}");
        error["message"].as_str().unwrap().to_owned()
    }

    fn with<T>(&self, run: impl FnOnce(&mut Salesforce) -> T) -> T {
        self.salesforce.with(run)
    }
}

/// A contact with this key.
fn contact(key: &str) -> Value {
    json!({ KEY: key, "LastName": "Demo", "Email": format!("{key}@example.org") })
}

/// The codes of the results that failed; empty for the others.
fn codes(results: &Value) -> Vec<&str> {
    let results = results.as_array().unwrap().iter();
    results
        .map(|result| {
            assert_eq!(
                result["success"] == true,
                result["errors"] == json!([]),
                "{result}"
            );
            result["errors"][0]["statusCode"].as_str().unwrap_or_default()
        })
        .collect()
}
