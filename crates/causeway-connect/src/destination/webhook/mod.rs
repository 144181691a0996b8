//! Sends each record to a URL: as JSON, as a form that PHP reads, or in the query of a GET.
//!
//! [`plan`] reads the configuration and makes the request (without a client, for the dry run); here it is sent, and
//! the answer understood.

use std::sync::Arc;

use async_trait::async_trait;
use causeway_core::{
    clock::Clock,
    consent::CHANGES,
    delivery::Delivery,
    destination::{CheckError, Destination, Ending, Outcome},
};
use schemars::schema_for;
use serde_json::Value;

use self::plan::{Config, Plan};
use super::Kind;
use crate::http::{Answer, Client};

mod body;
mod plan;
#[cfg(test)]
mod tests;

pub const KIND: Kind = Kind {
    name: "webhook",
    summary: "sends each record to a URL as JSON, as a form, or in the query of a GET",
    sample: include_str!("../../../../../samples/destinations/webhook.toml"),
    schema: || schema_for!(Config),
    expresses: &CHANGES,
    concurrency: 64,
    batch: 1,
    parse: |tables, table| Plan::parse(table, tables).map(|plan| plan.needs()),
    connect: |context, table| {
        let plan = Plan::read(&context.dir, table, &context.tables)?;
        Ok(Box::new(Webhook {
            client: Client::new(plan.options)?,
            clock: Arc::clone(&context.clock),
            plan,
        }))
    },
    create: None,
    preview: |context, table, batch| {
        let plan = Plan::read(&context.dir, table, &context.tables)?;
        let now = context.clock.now();
        let requests = batch.iter().map(|delivery| plan.build_request(delivery, now));
        Ok(requests
            .map(|request| request.map(|request| request.preview()))
            .collect())
    },
};

struct Webhook {
    client: Client,
    clock: Arc<dyn Clock>,
    plan: Plan,
}

#[async_trait]
impl Destination for Webhook {
    async fn check(&self) -> Result<(), CheckError> {
        self.client.check(&self.plan.url).await
    }

    /// One after the other: two deliveries in one batch may be of one contact.
    async fn deliver(&self, batch: &[Delivery]) -> Vec<Ending> {
        let mut endings = Vec::with_capacity(batch.len());
        for delivery in batch {
            endings.push(self.deliver_one(delivery).await);
        }
        endings
    }
}

impl Webhook {
    async fn deliver_one(&self, delivery: &Delivery) -> Ending {
        let request = match self.plan.build_request(delivery, self.clock.now()) {
            Ok(request) => request,
            Err(reason) => return Outcome::Reject { reason }.into(),
        };
        match self.client.send(&request).await {
            Ok(answer) => self.understand(&answer),
            Err(fault) => fault.into(),
        }
    }

    fn understand(&self, answer: &Answer) -> Ending {
        let mut ending = answer.ending(self.clock.now());
        match &ending.outcome {
            Outcome::Delivered { .. } => ending.outcome = self.accepted(answer),
            // Standard Webhooks: the receiver wants no more of them, from anybody.
            Outcome::Reject { .. } if answer.status == 410 => {
                ending.outcome = Outcome::Halt {
                    reason: "answered 410 Gone: the receiver wants no more".to_owned(),
                };
            }
            _ => {}
        }
        ending
    }

    /// A 2xx, which some APIs also give to say no.
    fn accepted(&self, answer: &Answer) -> Outcome {
        let said = answer.json();
        if let Some((path, text)) = &self.plan.success {
            let status = answer.status;
            match &said {
                // A page that says "back soon" comes with a 200 too.
                None => {
                    return Outcome::Retry {
                        reason: format!("answered {status} without the JSON that `success_path` needs"),
                        after: None,
                    };
                }
                Some(said) if !path.find(said).is_some_and(is_yes) => {
                    return Outcome::Reject {
                        reason: format!("answered {status}, but `{text}` in the answer is not true"),
                    };
                }
                Some(_) => {}
            }
        }
        let remote_id = said
            .as_ref()
            .and_then(|said| remote_id(self.plan.remote_id.find(said)?));
        Outcome::Delivered { remote_id }
    }
}

/// `true`, `1`, `"ok"`; a count above 0. Not `false`, `0`, `""`, `"0"`, `"false"`, nor an empty list.
fn is_yes(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !matches!(text.as_str(), "" | "0" | "false" | "no" | "error"),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

/// An id is a number or a text of reasonable length.
fn remote_id(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty() && text.len() <= 256).then_some(text)
}
