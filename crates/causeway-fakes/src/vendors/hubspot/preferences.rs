//! The endpoints of communication preferences.

use serde_json::{Value, json};

use super::{
    HubSpot,
    answer::{Answer, Call, Failure, missing_scopes, texts},
    batch::{complete, inputs},
    subscriptions::{State, checked_address, checked_state},
};
use crate::fake_api::Reply;

const READ: [&str; 2] = [
    "communication_preferences.read",
    "communication_preferences.read_write",
];
const WRITE: [&str; 2] = [
    "communication_preferences.write",
    "communication_preferences.read_write",
];
const BATCH_READ: &str = "communication_preferences.statuses.batch.read";
const BATCH_WRITE: &str = "communication_preferences.statuses.batch.write";
const SOURCE: &str = "PUBLIC_API";

impl HubSpot {
    /// Below `/communication-preferences/2026-09`.
    pub(super) fn preferences(&mut self, rest: &[&str], call: &Call<'_>) -> Answer {
        match (call.method, rest) {
            ("GET", ["definitions"]) => {
                call.need_any(&READ)?;
                Ok(complete(
                    200,
                    &self.subscriptions.definitions_json(),
                    &[],
                    call.now,
                ))
            }
            (_, ["statuses", "batch", rest @ ..]) => self.statuses_batch(rest, call),
            ("GET", ["statuses", address]) => {
                call.need_any(&READ)?;
                need_channel(call)?;
                let address = checked_address(address)?;
                let statuses = self.subscriptions.statuses_json(&address, call.now);
                Ok(complete(200, &statuses, &[], call.now))
            }
            ("POST", ["statuses", address]) => {
                call.need_any(&WRITE)?;
                let body = call.json_with(&["channel", "statusState", "subscriptionId"])?;
                let change = self.change(address, checked_state(&body)?, &body)?;
                let reason = self.apply(&change, SOURCE);
                let status =
                    self.subscriptions
                        .status_json(&change.address, change.id, Some(reason), call.now);
                Ok(complete(200, &[status], &[], call.now))
            }
            ("GET", ["statuses", address, "unsubscribe-all"]) => {
                call.need_any(&READ)?;
                need_channel(call)?;
                let wide = self.subscriptions.wide_json(&checked_address(address)?, call.now);
                Ok(complete(200, &[wide], &[], call.now))
            }
            ("POST", ["statuses", address, "unsubscribe-all"]) => {
                call.need_any(&WRITE)?;
                need_channel(call)?;
                let address = checked_address(address)?;
                self.unsubscribe_all(&address, SOURCE);
                let statuses = self.verbose(&address, call);
                Ok(complete(200, &statuses, &[], call.now))
            }
            ("GET", ["status", "email", address]) => {
                call.need_any(&READ)?;
                let address = checked_address(address)?;
                let ids: Vec<u64> = self.subscriptions.definitions.keys().copied().collect();
                let statuses: Vec<Value> = ids.iter().map(|id| self.old_status(&address, *id)).collect();
                Ok(Reply::json(
                    200,
                    &json!({ "recipient": address, "subscriptionStatuses": statuses }),
                ))
            }
            ("POST", ["subscribe" | "unsubscribe" | "resubscribe"]) => {
                call.need_any(&WRITE)?;
                self.old_change(rest, call)
            }
            _ => Err(Failure::not_found()),
        }
    }

    /// The statuses that an opt-out of everything changed, if the request asks for them.
    fn verbose(&self, address: &str, call: &Call<'_>) -> Vec<Value> {
        if call.query("verbose") != Some("true") {
            return Vec::new();
        }
        let reason = Some("UNSUBSCRIBE_FROM_ALL_OCCURRED");
        let ids = self.subscriptions.definitions.keys();
        ids.map(|id| self.subscriptions.status_json(address, *id, reason, call.now))
            .collect()
    }

    /// Only accounts with Marketing Hub Enterprise can grant the scopes.
    fn statuses_batch(&mut self, rest: &[&str], call: &Call<'_>) -> Answer {
        let scope = if rest.last() == Some(&"read") {
            BATCH_READ
        } else {
            BATCH_WRITE
        };
        if !self.account.is_enterprise {
            return Err(missing_scopes(&[scope]));
        }
        call.need_any(&[scope])?;
        let body = call.json()?;
        let inputs = inputs(&body, 100)?;
        let (mut results, mut errors) = (Vec::new(), Vec::new());
        let mut note = |result: Result<Value, Failure>| match result {
            Ok(result) => results.push(result),
            Err(failure) => errors.push(failure.entry(None)),
        };
        if rest == ["write"] {
            for input in inputs {
                note(self.write_one(input, call));
            }
        } else {
            need_channel(call)?;
            for address in texts(&body["inputs"]) {
                let checked = checked_address(&address);
                note(checked.and_then(|address| self.of_address(&address, rest, call)));
            }
        }
        let status = if errors.is_empty() {
            200
        } else {
            self.batches.mixed_status
        };
        results.reverse();
        Ok(complete(status, &results, &errors, call.now))
    }

    fn write_one(&mut self, input: &Value, call: &Call<'_>) -> Result<Value, Failure> {
        let address = input["subscriberIdString"].as_str().unwrap_or_default();
        let change = self.change(address, checked_state(input)?, input)?;
        let reason = self.apply(&change, SOURCE);
        let statuses = &self.subscriptions;
        Ok(statuses.status_json(&change.address, change.id, Some(reason), call.now))
    }

    fn of_address(&mut self, address: &str, rest: &[&str], call: &Call<'_>) -> Result<Value, Failure> {
        let (name, list) = match rest {
            ["read"] => ("statuses", self.subscriptions.statuses_json(address, call.now)),
            ["unsubscribe-all", "read"] => (
                "wideStatuses",
                vec![self.subscriptions.wide_json(address, call.now)],
            ),
            ["unsubscribe-all"] => {
                self.unsubscribe_all(address, SOURCE);
                ("statuses", self.verbose(address, call))
            }
            _ => return Err(Failure::not_found()),
        };
        Ok(json!({ "subscriberIdString": address, name: list }))
    }

    /// The requests of v3, which live on. `subscribe` cannot end an opt-out.
    fn old_change(&mut self, rest: &[&str], call: &Call<'_>) -> Answer {
        let body = call.json_with(&["emailAddress", "subscriptionId"])?;
        let wanted = match rest {
            ["unsubscribe"] => State::Unsubscribed,
            _ => State::Subscribed,
        };
        let address = body["emailAddress"].as_str().unwrap_or_default();
        let change = self.change(address, wanted, &body)?;
        let before = self.subscriptions.state(&change.address, change.id);
        if before == wanted || (before == State::Unsubscribed && rest == ["subscribe"]) {
            let message = format!(
                "{} is already {} from subscription {}",
                change.address,
                before.name(),
                change.id
            );
            return Err(Failure::invalid(&message));
        }
        self.apply(&change, SOURCE);
        Ok(Reply::json(200, &self.old_status(&change.address, change.id)))
    }

    fn old_status(&self, address: &str, id: u64) -> Value {
        let name = self
            .subscriptions
            .definitions
            .get(&id)
            .map(|definition| &definition.name);
        let is_subscribed = self.subscriptions.state(address, id) == State::Subscribed;
        let is_wide = self.subscriptions.opted_out.contains_key(address);
        json!({
            "id": id.to_string(), "name": name, "description": name,
            "status": if is_subscribed { "SUBSCRIBED" } else { "NOT_SUBSCRIBED" },
            "sourceOfStatus": if is_wide { "PORTAL_WIDE_STATUS" } else { "SUBSCRIPTION_STATUS" },
        })
    }
}

fn need_channel(call: &Call<'_>) -> Result<(), Failure> {
    if call.query("channel") == Some("EMAIL") {
        return Ok(());
    }
    Err(Failure::invalid(
        "query param channel is required and must be EMAIL",
    ))
}
