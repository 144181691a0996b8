//! A script in `clients` that runs commands with a vendor's client for Python.

use causeway_testkit::vendors::clients;
use serde_json::{Value, json};

/// A running script. Ends when dropped.
pub struct Script(clients::Script);

impl Script {
    pub fn start(name: &str) -> Self {
        Self(clients::Script::python(name))
    }

    /// Runs a command. The error is what the client raised.
    pub async fn run(&mut self, command: &str, arguments: Value) -> Result<Value, Value> {
        let mut result = self.0.ask(&json!([command, arguments])).await;
        match result.get_mut("error") {
            Some(error) => Err(error.take()),
            None => Ok(result["ok"].take()),
        }
    }
}
