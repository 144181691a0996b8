//! CleverReach: receivers of one group, with attributes and tags.
//!
//! Invariants:
//!
//! - Nobody is active in the group because of Causeway whose consent state for the destination's purpose is not
//!   subscribed. Everybody else is registered without a confirmation, which CleverReach does not mail.
//! - A receiver is read before they are written. One that is inactive comes back only by an opt-in that is newer, and
//!   only by the call that says so: reports differ on whether a write with `activated` brings somebody back.
//! - A value that is not known is left out, because an empty text erases.

mod answer;
mod config;
mod probe;
mod receiver;
mod request;
mod rows;
#[cfg(test)]
mod tests;
mod values;

use std::sync::Arc;

use causeway_core::{
    clock::Timestamp,
    consent::{CHANGES, Change},
    contact::normal_email,
    delivery::{Delivery, Kind as DeliveryKind},
    destination::Outcome,
    mapping::{
        ConsentShown, Scope,
        omission::{Omissions, Reads},
    },
    record::Record,
};
use reqwest::header::HeaderMap;
use schemars::schema_for;
use serde_json::{Map, Value, json};

use self::{
    config::{OnSuppress, Settings},
    receiver::{Consent, Memory},
};
use super::{Kind, Needs, fields::Fields};
use crate::{
    connector::{Connector, Http, Limit, Plan, Probe, Reading, Task},
    http::{Answer, Client, HttpRequest},
};

/// Receivers in one call. CleverReach publishes no limit; larger calls are answered with 413.
const MOST_RECEIVERS: usize = 250;

pub const KIND: Kind = Kind {
    name: "cleverreach",
    summary: "receivers, attributes and tags of a group in CleverReach",
    sample: include_str!("../../../../../samples/destinations/cleverreach.toml"),
    schema: || schema_for!(config::Config),
    supported_changes: &CHANGES,
    concurrency: 2,
    // Each receiver is read by a call of its own, and the calls of a batch must end within `timeout_s`.
    batch: 25,
    parse: |tables, table| {
        let settings = Settings::parse(table, tables)?;
        Ok(Needs {
            consent_shown: ConsentShown::All,
            deletes_on_erasure: true,
            ..settings.needs()
        })
    },
    connect: |context, table| {
        let settings = Settings::parse(table, &context.tables)?;
        let (client, headers) = (Client::new(settings.options)?, settings.headers(context)?);
        let access = settings
            .credential
            .access(context, &client, settings.options.allow_private)?;
        let cleverreach = CleverReach { settings, headers };
        let http = Http::new(cleverreach, client, Arc::clone(&context.clock));
        Ok(Box::new(http.with_access(access)))
    },
    preview: |context, table, batch| {
        let settings = Settings::parse(table, &context.tables)?;
        let headers = settings.headers(context)?;
        Ok(super::previews(
            &CleverReach { settings, headers },
            batch,
            &context.clock,
        ))
    },
    sign_in: Some(|context, table| {
        let settings = Settings::parse(table, &context.tables)?;
        let allow_private = settings.options.allow_private;
        let sign_in = settings.credential.sign_in(context, allow_private)?;
        Ok((sign_in, Client::new(settings.options)?))
    }),
    create: None,
    exclusive: None,
    dummy_url: "https://HOST/",
    remains: None,
};

pub(super) struct CleverReach {
    settings: Settings,
    headers: HeaderMap,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// Reads the receiver before an opt-out.
    Look,
    /// Reads the group, to prove that it is the receiver that is missing.
    ProveGroup,
    /// Makes receivers inactive for good.
    Deactivate,
    /// Reads the receiver again, because a response did not show what was done.
    Confirm,
    /// Blocks the address in all groups.
    Blacklist,
    Delete,
    /// Reads the receiver before they are written.
    Read,
    /// Brings back a receiver who is inactive.
    Activate,
    /// Writes receivers.
    Write,
}

impl Step {
    pub fn is_withdrawal(self) -> bool {
        !matches!(self, Self::Read | Self::Activate | Self::Write)
    }
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Memo {
    /// In its normal form.
    email: String,
    memory: Memory,
    /// CleverReach's number of the person.
    id: Option<String>,
    /// It is not certain that CleverReach itself answered that the receiver is missing.
    is_doubtful: bool,
    /// The receiver is read in the group itself, because the search showed one of another group.
    by_group: bool,
    /// When the person opted out, or else when the event was. In Unix seconds, like the others.
    event_at: i64,
    /// What an opt-out writes.
    left_at: i64,
    /// The person agreed.
    agreed: bool,
    /// Since when.
    since: Option<Timestamp>,
    is_new: bool,
    consent: Consent,
    source: String,
    fields: Map<String, Value>,
    group_fields: Map<String, Value>,
    tags: Vec<String>,
}

impl CleverReach {
    /// The steps that take consent away; `None` if the record does not.
    fn withdrawal(&self, record: &Record) -> Option<Vec<Step>> {
        let state = record.consent_state_for(&record.purpose);
        match record.change {
            Change::Remove => Some(vec![Step::Delete]),
            Change::Suppress if self.settings.on_suppress == OnSuppress::Blacklist => {
                Some(vec![Step::Look, Step::Deactivate, Step::Blacklist])
            }
            Change::Unsubscribe | Change::Suppress => Some(vec![Step::Look, Step::Deactivate]),
            Change::Subscribe | Change::None => {
                let is_opt_out = record.kind == DeliveryKind::Withdrawal || state.is_opt_out();
                is_opt_out.then(|| vec![Step::Look, Step::Deactivate])
            }
        }
    }

    /// Fills in what is written about the person. Returns notes.
    fn map(&self, record: &Record, memo: &mut Memo) -> Result<Vec<String>, String> {
        let scope = Scope::new(record);
        let mut omissions = Omissions::of(record);
        // The request always names the person and what becomes of their consent.
        omissions.keep(Reads::EVERYTHING);
        let mut make = |fields: &Fields| {
            let made = fields.apply(&scope, &mut omissions);
            made.map_err(|error| error.to_string())
        };
        memo.fields = values::texts(make(&self.settings.fields)?);
        if let Some(fields) = &self.settings.group_fields {
            memo.group_fields = values::texts(make(fields)?);
        }
        if let Some(tags) = &self.settings.tags {
            memo.tags = values::tags(make(tags)?);
        }
        let campaign = record.campaign.as_ref().map(|campaign| campaign.name.as_str());
        let campaign = campaign.filter(|name| !name.is_empty());
        campaign.unwrap_or(&record.source).clone_into(&mut memo.source);
        omissions.finish()
    }
}

impl Connector for CleverReach {
    type Step = Step;
    type Memo = Memo;

    fn plan(&self, delivery: &Delivery) -> Result<Plan<Self>, Outcome> {
        let record = &delivery.record;
        let reject = |reason: String| Outcome::Reject { reason };
        let email = record
            .email()
            .and_then(normal_email)
            .ok_or_else(|| reject("the contact has no e-mail address".to_owned()))?;
        let state = record.consent_state_for(&record.purpose);
        let opt_out = state.since().filter(|_| state.is_opt_out());
        let mut memo = Memo {
            memory: Memory::of(delivery.memory.as_ref(), self.settings.group, &email),
            email,
            event_at: opt_out.unwrap_or(record.event_at).as_second(),
            agreed: record.change == Change::Subscribe && state.is_subscribed(),
            since: state.since(),
            ..Memo::default()
        };
        let mut notes = Vec::new();
        let steps = if let Some(steps) = self.withdrawal(record) {
            steps
        } else {
            notes = self.map(record, &mut memo).map_err(reject)?;
            vec![Step::Read, Step::Write]
        };
        Ok(Plan { steps, memo, notes })
    }

    fn most(&self, step: &Step) -> usize {
        match step {
            Step::Write | Step::Deactivate => MOST_RECEIVERS,
            _ => 1,
        }
    }

    /// Opt-outs and removals come first.
    fn order(&self, step: &Step) -> u8 {
        u8::from(!step.is_withdrawal())
    }

    fn subject(&self, task: &Task<'_, Self>) -> String {
        task.memo.email.to_lowercase()
    }

    fn request(&self, step: &Step, tasks: &[&Task<'_, Self>]) -> HttpRequest {
        request::request(self, *step, tasks)
    }

    fn read(
        &self,
        step: &Step,
        answer: &Answer,
        tasks: &mut [&mut Task<'_, Self>],
        now: Timestamp,
    ) -> Reading {
        answer::read(self, *step, answer, tasks, now)
    }

    fn expected(&self, step: &Step, tasks: &[&Task<'_, Self>]) -> Answer {
        answer::expected(self, *step, tasks)
    }

    /// Opt-outs are always sent, also those that come as data. The source and the time of a registration are written
    /// for new receivers only, so a change of these alone changes nothing.
    fn lasting(&self, task: &Task<'_, Self>) -> Option<Value> {
        let memo = &task.memo;
        let values = json!([
            self.settings.group,
            memo.email,
            memo.fields,
            memo.group_fields,
            memo.tags
        ]);
        task.has_step(&Step::Write).then_some(values)
    }

    fn limit(&self) -> Option<Limit> {
        Some(self.settings.limit)
    }

    fn probes(&self, _: Timestamp) -> Vec<Probe> {
        probe::probes(self)
    }
}
