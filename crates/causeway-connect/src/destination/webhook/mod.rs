//! Sends each record to a URL: as JSON, XML, a form that PHP reads, or in the address of a GET.
//!
//! [`plan`] reads the configuration and makes the request (without a client, for the dry run). This module
//! sends it and evaluates the response.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use causeway_core::{
    clock::Clock,
    consent::CHANGES,
    delivery::Delivery,
    destination::{AttemptResult, CheckError, Destination, Outcome},
    id::Name,
    record::Record,
    response,
};
use reqwest::header::CONTENT_TYPE;
use schemars::schema_for;
use serde_json::Value;
use tracing::warn;

use self::{config::Config, plan::Plan};
use super::{Kind, with_notes};
use crate::http::{Answer, Client};

mod address;
mod body;
mod config;
mod headers;
mod payload;
mod plan;
mod shorten;
mod templates;
#[cfg(test)]
mod tests;
mod update;

pub const KIND: Kind = Kind {
    name: "webhook",
    summary: "sends each record to a URL as JSON, XML, a form, or in the query of a GET",
    sample: include_str!("../../../../../samples/destinations/webhook.toml"),
    schema: || schema_for!(Config),
    supported_changes: &CHANGES,
    concurrency: 64,
    batch: 1,
    parse: |tables, table| Plan::parse(table, tables).map(Plan::needs),
    connect: |context, table| {
        let plan = Plan::read(&context.dir, table, &context.tables)?;
        Ok(Box::new(Webhook {
            client: Client::new(plan.options)?,
            clock: Arc::clone(&context.clock),
            name: Arc::clone(&context.name),
            warned: Mutex::default(),
            plan,
        }))
    },
    sign_in: None,
    create: None,
    exclusive: None,
    dummy_url: "https://HOST/",
    remains: None,
    preview: |context, table, batch| {
        let plan = Plan::read(&context.dir, table, &context.tables)?;
        let now = context.clock.now();
        let previews = batch.iter().map(|delivery| {
            let built = plan
                .build_request(delivery, now)
                .map_err(|outcome| outcome.reason().unwrap_or_default().to_owned())?;
            let unknown = built.unknown.iter().map(|code| unknown_code(code));
            Ok(with_notes(built.request.preview(), unknown.chain(built.notes)))
        });
        Ok(previews.collect())
    },
};

struct Webhook {
    client: Client,
    clock: Arc<dyn Clock>,
    name: Name,
    plan: Plan,
    /// Warnings that were logged already. An unknown shortcode would otherwise be logged for every contact.
    warned: Mutex<BTreeSet<String>>,
}

fn unknown_code(code: &str) -> String {
    format!("[#{code}#] matches no value of this contact; an empty text was used")
}

#[async_trait]
impl Destination for Webhook {
    async fn check(&self) -> Result<(), CheckError> {
        self.client.check(&self.plan.address.sample).await
    }

    /// Makes one request for each delivery, one after the other: the number of calls at a time is the number of
    /// requests at a time.
    async fn deliver(&self, batch: &[Delivery]) -> Vec<AttemptResult> {
        let mut results = Vec::with_capacity(batch.len());
        for delivery in batch {
            results.push(self.deliver_one(delivery).await);
        }
        results
    }
}

impl Webhook {
    async fn deliver_one(&self, delivery: &Delivery) -> AttemptResult {
        let built = match self.plan.build_request(delivery, self.clock.now()) {
            Ok(built) => built,
            Err(outcome) => return outcome.into(),
        };
        for code in &built.unknown {
            self.warn_once(unknown_code(code));
        }
        let mut result = match self.client.send(&built.request).await {
            Ok(answer) => self.understand(&answer, &delivery.record),
            Err(error) => error.into(),
        };
        result.notes.extend(built.notes);
        result.request = Some(built.request.kept());
        result
    }

    /// Logs a warning, once.
    fn warn_once(&self, what: String) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if !warned.contains(&what) {
            warn!(destination = &*self.name, "{what}");
            warned.insert(what);
        }
    }

    fn understand(&self, answer: &Answer, record: &Record) -> AttemptResult {
        let mut result = answer.attempt_result(self.clock.now());
        match &result.outcome {
            Outcome::Delivered { .. } => {
                result.outcome = self.accepted(answer);
                if let Outcome::Delivered { .. } = result.outcome {
                    result.writes = self.writes(answer, record);
                }
            }
            // Standard Webhooks: the receiver wants no more requests, about anybody.
            Outcome::Reject { .. } if answer.status == 410 => {
                result.outcome = Outcome::Halt {
                    reason: "answered 410 Gone: the receiver wants no further deliveries".to_owned(),
                };
            }
            _ => {}
        }
        result
    }

    /// The values of the response to write into the contact. An incomplete response gives none.
    fn writes(&self, answer: &Answer, record: &Record) -> BTreeMap<String, Value> {
        if self.plan.update.is_empty() {
            return BTreeMap::new();
        }
        if !answer.complete {
            self.warn_once(format!(
                "a response was incomplete or longer than {} bytes: the contact is not updated from it",
                response::MAX_BYTES
            ));
            return BTreeMap::new();
        }
        let content_type = answer
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let content = match response::read(content_type, &answer.body) {
            Ok(Some(content)) => content,
            Ok(None) => return BTreeMap::new(),
            Err(why) => {
                self.warn_once(format!("the contact is not updated from a response: {why}"));
                return BTreeMap::new();
            }
        };
        let mut notes = Vec::new();
        let writes = response::writes(&self.plan.update, &content, record, &self.plan.zone, &mut notes);
        for note in notes {
            self.warn_once(note);
        }
        writes
    }

    /// The outcome of a 2xx, which some APIs also send for errors.
    fn accepted(&self, answer: &Answer) -> Outcome {
        let content = answer.json();
        if let Some(path) = &self.plan.success {
            let status = answer.status;
            match &content {
                // A maintenance page comes with a 200, too.
                None => {
                    return Outcome::Retry {
                        reason: format!("answered {status} without the JSON that `success_path` needs"),
                        after: None,
                    };
                }
                Some(content) if !path.find(content).is_some_and(is_success) => {
                    return Outcome::Reject {
                        reason: format!(
                            "answered {status}, but `{}` in the response is not true",
                            path.written()
                        ),
                    };
                }
                Some(_) => {}
            }
        }
        let remote_id = content
            .as_ref()
            .and_then(|content| remote_id(self.plan.remote_id.find(content)?));
        Outcome::Delivered { remote_id }
    }
}

/// True for `true`, `1`, `"ok"` and a count above 0. False for `false`, `0`, `""`, `"0"`, `"false"` and an
/// empty list.
fn is_success(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !matches!(text.as_str(), "" | "0" | "false" | "no" | "error"),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

/// An id is a number, or a text of reasonable length.
fn remote_id(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty() && text.len() <= 256).then_some(text)
}
