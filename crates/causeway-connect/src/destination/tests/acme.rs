//! Subscribes people to a list of Acme Lists.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use causeway_core::{
    clock::Clock,
    consent::Change,
    delivery::Delivery,
    destination::{AttemptResult, CheckError, Destination, Outcome},
    mapping::ConsentShown,
};
use reqwest::{
    Method,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::{Kind, Needs};
use crate::{
    config::{ConfigError, Context, SecretRef, read},
    http::{Answer, Client, HttpRequest, Options, read_header, read_url},
};

pub const KIND: Kind = Kind {
    name: "acme",
    summary: "subscribes people to a list of Acme Lists",
    sample: include_str!("acme.toml"),
    schema: || schema_for!(Config),
    supported_changes: &[Change::Subscribe, Change::Unsubscribe],
    concurrency: 4,
    batch: 1,
    parse: |_, table| {
        let config: Config = read(table)?;
        config.url()?;
        Ok(Needs {
            // The request has a member for consent, so an opt-out never looks like ordinary data.
            consent_shown: ConsentShown::All,
            ..Needs::default()
        })
    },
    connect: |context, table| {
        let plan = Plan::new(context, table)?;
        Ok(Box::new(Acme {
            client: Client::new(plan.options)?,
            clock: Arc::clone(&context.clock),
            plan,
        }))
    },
    preview: |context, table, batch| {
        let plan = Plan::new(context, table)?;
        let requests = batch.iter().map(|delivery| plan.request(delivery));
        let texts = requests.map(|request| Ok(request?.preview()));
        Ok(texts.collect())
    },
    sign_in: None,
    create: None,
    exclusive: None,
    dummy_url: "https://HOST/",
    remains: None,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The address of the list: `https://api.example.org/lists/7`.
    url: String,
    token: SecretRef,
    /// Allows addresses in private networks, and http://.
    #[serde(default)]
    allow_private: bool,
}

impl Config {
    fn url(&self) -> Result<Url, ConfigError> {
        read_url("url", &self.url, self.allow_private, false)
    }
}

/// The configuration, read and checked. It has no client, so that a preview cannot send.
struct Plan {
    url: Url,
    headers: HeaderMap,
    options: Options,
}

impl Plan {
    fn new(context: &Context, table: &toml::Table) -> Result<Self, ConfigError> {
        let config: Config = read(table)?;
        let token = config.token.resolve("token", &context.dir)?;
        let bearer = format!("Bearer {}", token.reveal());
        let (_, bearer) = read_header("token", AUTHORIZATION.as_str(), &bearer, true)?;
        let json = HeaderValue::from_static("application/json");
        Ok(Self {
            url: config.url()?,
            headers: HeaderMap::from_iter([(AUTHORIZATION, bearer), (CONTENT_TYPE, json)]),
            options: Options {
                allow_private: config.allow_private,
                ..Options::default()
            },
        })
    }

    fn request(&self, delivery: &Delivery) -> Result<HttpRequest, Outcome> {
        let record = &delivery.record;
        // Acme leaves a subscription as it is if the status is null.
        let status = match record.change {
            Change::None => None,
            Change::Subscribe => Some("subscribed"),
            Change::Unsubscribe | Change::Suppress | Change::Remove => Some("unsubscribed"),
        };
        let Some(email) = record.email() else {
            let reason = "the contact has no e-mail address".to_owned();
            return Err(Outcome::Reject { reason });
        };
        let body = json!({
            "key": delivery.key.0,
            "email": email,
            "firstName": record.contact.text("firstName"),
            "status": status,
        });
        Ok(HttpRequest {
            method: Method::PUT,
            url: self.url.clone(),
            url_is_secret: false,
            headers: self.headers.clone(),
            body: Bytes::from(body.to_string()),
        })
    }
}

struct Acme {
    client: Client,
    clock: Arc<dyn Clock>,
    plan: Plan,
}

#[async_trait]
impl Destination for Acme {
    async fn check(&self) -> Result<(), CheckError> {
        self.client.check(&self.plan.url).await
    }

    async fn deliver(&self, batch: &[Delivery]) -> Vec<AttemptResult> {
        let mut results = Vec::with_capacity(batch.len());
        for delivery in batch {
            results.push(self.deliver_one(delivery).await);
        }
        results
    }
}

impl Acme {
    async fn deliver_one(&self, delivery: &Delivery) -> AttemptResult {
        let request = match self.plan.request(delivery) {
            Ok(request) => request,
            Err(outcome) => return outcome.into(),
        };
        match self.client.send(&request).await {
            Ok(answer) => self.understand(&answer),
            Err(error) => error.into(),
        }
    }

    fn understand(&self, answer: &Answer) -> AttemptResult {
        match answer.status {
            // Acme answers 409 if the list is closed: nobody can be added until a person opens it.
            409 => answer.result_with(Outcome::Halt {
                reason: "answered 409: the list is closed; open it at Acme".to_owned(),
            }),
            _ => answer.attempt_result(self.clock.now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use causeway_testkit::{
        clock::TestClock,
        destination_contract::{self, Contract, delivery},
        fake_api::{FakeApi, Reply},
    };

    use super::*;

    fn connect(api: &str) -> Box<dyn Destination> {
        let context = Context {
            name: "list".into(),
            clock: Arc::new(TestClock::default()),
            dir: ".".into(),
            tables: causeway_core::mapping::Tables::default(),
            vault: crate::vault::NoVault::shared(),
        };
        let keys = format!("url = '{api}/lists/7'\ntoken = 'secret'\nallow_private = true");
        (KIND.connect)(&context, &toml::from_str(&keys).unwrap()).unwrap()
    }

    fn opt_out() -> Delivery {
        let mut delivery = delivery(1);
        delivery.record.change = Change::Unsubscribe;
        delivery
    }

    #[tokio::test]
    async fn keeps_the_destination_contract() {
        destination_contract::run(&Contract {
            connect: &connect,
            accept: &|_| {},
            batch: 1,
        })
        .await;
    }

    #[tokio::test]
    async fn an_opt_out_arrives_and_a_closed_list_halts() {
        let api = FakeApi::start().await;
        let list = connect(&api.url(""));
        let result = list.deliver(&[opt_out()]).await;
        assert!(
            matches!(result[0].outcome, Outcome::Delivered { .. }),
            "{result:?}"
        );
        assert_eq!(api.requests()[0].json()["status"], "unsubscribed");
        api.reset();
        api.reply(Reply::status(409));
        let result = list.deliver(&[opt_out()]).await;
        assert!(matches!(result[0].outcome, Outcome::Halt { .. }), "{result:?}");
    }
}
