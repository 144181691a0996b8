//! Accepts every delivery and does nothing: for measuring, and for trying out a configuration.

use async_trait::async_trait;
use causeway_core::{
    consent::CHANGES,
    delivery::Delivery,
    destination::{AttemptResult, CheckError, Destination, Outcome},
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use super::{Kind, Needs};
use crate::config::{ConfigError, Context, read};

pub const KIND: Kind = Kind {
    name: "null",
    summary: "accepts everything and does nothing; for measuring and for trying things out",
    sample: include_str!("../../../../samples/destinations/null.toml"),
    schema: || schema_for!(Config),
    supported_changes: &CHANGES,
    concurrency: 1,
    batch: 500,
    parse: |_, table| read::<Config>(table).map(|_| Needs::default()),
    connect: |_: &Context, table| {
        read::<Config>(table)?;
        Ok(Box::new(Null))
    },
    preview: |_, table, batch| -> Result<_, ConfigError> {
        read::<Config>(table)?;
        Ok(batch
            .iter()
            .map(|delivery| Ok(format!("nothing, for {}", delivery.key)))
            .collect())
    },
    sign_in: None,
    create: None,
    exclusive: None,
    dummy_url: "https://HOST/",
    remains: None,
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {}

struct Null;

#[async_trait]
impl Destination for Null {
    async fn check(&self) -> Result<(), CheckError> {
        Ok(())
    }

    async fn deliver(&self, batch: &[Delivery]) -> Vec<AttemptResult> {
        batch
            .iter()
            .map(|_| Outcome::Delivered { remote_id: None }.into())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use causeway_testkit::destination_contract::{self, Faults};

    use super::*;

    #[tokio::test]
    async fn keeps_the_destination_contract() {
        destination_contract::run_local(Faults::none(Box::new(Null), 3)).await;
    }
}
