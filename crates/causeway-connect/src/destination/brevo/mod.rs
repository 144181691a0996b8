//! Brevo: contacts on lists, their attributes, the block of e-mail campaigns, and events.
//!
//! Invariants:
//!
//! - Nobody is put on a list whose consent state for the destination's purpose is not subscribed.
//! - A contact that is there is read before it is subscribed. A block is lifted, and a person who unsubscribed from a list
//!   is put back, only by an opt-in that is newer than the contact's last change.
//! - Neither the flag of the block nor a list of which the person is a member is sent otherwise. So a person who
//!   unsubscribes while a call is on its way stays unsubscribed.
//! - The address of a contact is never changed: in Brevo that would lift a block.

mod answer;
mod config;
mod consent;
mod events;
mod plan;
mod probe;
mod refusal;
mod request;
#[cfg(test)]
mod tests;
mod values;

use std::{collections::BTreeSet, sync::Arc};

use causeway_core::{
    clock::{Clock, Timestamp},
    consent::{CHANGES, Change},
    contact::normal_email,
    delivery::{Delivery, Kind as DeliveryKind},
    destination::Outcome,
    mapping::ConsentShown,
};
use reqwest::header::HeaderMap;
use schemars::schema_for;
use serde_json::{Map, Value};

use self::{
    config::Settings,
    consent::{Memory, Seen},
};
use super::{Kind, Needs};
use crate::{
    connector::{Connector, Http, Limit, Plan, Probe, Reading, Task},
    http::{Answer, Client, HttpRequest},
};

pub const KIND: Kind = Kind {
    name: "brevo",
    summary: "contacts, lists and events in Brevo (formerly Sendinblue)",
    sample: include_str!("../../../../../samples/destinations/brevo.toml"),
    schema: || schema_for!(config::Config),
    supported_changes: &CHANGES,
    concurrency: 2,
    batch: 10,
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
        let brevo = Brevo {
            settings,
            headers,
            started: Some(context.clock.now()),
            clock: Arc::clone(&context.clock),
        };
        Ok(Box::new(Http::new(brevo, client, Arc::clone(&context.clock))))
    },
    preview: |context, table, batch| {
        let settings = Settings::parse(table, &context.tables)?;
        let brevo = Brevo {
            headers: settings.headers(context)?,
            settings,
            started: None,
            clock: Arc::clone(&context.clock),
        };
        Ok(super::previews(&brevo, batch, &context.clock))
    },
    sign_in: None,
    create: None,
    exclusive: None,
    dummy_url: "https://HOST/",
    remains: None,
};

/// Deliveries of one call about events. Brevo documents no greatest number.
const MOST_EVENTS: usize = 20;

pub(super) struct Brevo {
    settings: Settings,
    headers: HeaderMap,
    /// Deliveries of an earlier time may have been on their way when the program ended. `None` for a preview.
    started: Option<Timestamp>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// Reads the contact before an opt-out, to know later who took the subscription away.
    Look,
    /// Blocks the contact, or takes it off the lists.
    Withdraw,
    /// Reads the contact after an opt-out, which Brevo confirms without a body.
    Confirm,
    Delete,
    /// Reads whether the person is there, and whether they left.
    ReadContact,
    /// Writes the contact.
    Upsert,
    /// Reads the contact after it was written, to recognise Causeway's own block later.
    Reread,
    /// Reads the number of the contact, to find its events.
    ReadId,
    /// Reads the events of contacts, because Brevo recognises no repeat.
    FindEvents,
    SendEvents,
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an answer of its own")]
pub(super) struct Memo {
    /// In its normal form.
    email: String,
    memory: Memory,
    /// The contact is named by Brevo's number, because it has another address there.
    by_id: bool,
    /// The person opted out, or the address must not be used.
    opts_out: bool,
    /// The opt-out blocks the contact for all campaigns.
    blocks: bool,
    /// The contact before the opt-out.
    before: Option<Seen>,
    /// If the contact is blocked after this delivery, Causeway blocked it.
    is_ours: bool,
    /// The lists on which the person is put.
    lists: BTreeSet<u64>,
    /// All lists on which this destination puts people, as far as it is known for this person.
    own_lists: BTreeSet<u64>,
    /// Lists of the campaign, which may be wrong for this campaign only.
    has_campaign_lists: bool,
    /// Whether the block is lifted.
    unblocks: bool,
    /// Since when the person has agreed.
    since: Option<Timestamp>,
    attributes: Map<String, Value>,
    ext_id: Option<String>,
    /// The digest of what is written.
    digest: String,
    event: Map<String, Value>,
    /// No earlier attempt can have sent the event.
    is_first: bool,
}

impl Memo {
    /// Whether anything is known that can be written about the person. Brevo refuses a change of nothing.
    fn has_values(&self) -> bool {
        !self.attributes.is_empty() || self.ext_id.is_some()
    }

    /// The lists that an opt-out takes the contact off: those on which it was seen. One that was deleted at Brevo would
    /// spoil the call for the others.
    fn lists_to_leave(&self) -> BTreeSet<u64> {
        match &self.before {
            Some(before) => before.on(&self.own_lists),
            None => self.own_lists.clone(),
        }
    }
}

impl Connector for Brevo {
    type Step = Step;
    type Memo = Memo;

    fn plan(&self, delivery: &Delivery) -> Result<Plan<Self>, Outcome> {
        let record = &delivery.record;
        let reject = |reason: String| Outcome::Reject { reason };
        let email = record
            .email()
            .and_then(normal_email)
            .ok_or_else(|| reject("the contact has no e-mail address".to_owned()))?;
        let memory = Memory::of(delivery.memory.as_ref(), &email);
        let mut memo = Memo {
            own_lists: self.settings.lists.union(&memory.lists).copied().collect(),
            memory,
            email,
            since: record.consent_state_for(&record.purpose).since(),
            is_first: self.is_first(delivery),
            ..Memo::default()
        };
        let mut steps = self.consent_steps(record, &mut memo);
        let mut notes = Vec::new();
        if record.kind != DeliveryKind::Withdrawal && record.change != Change::Remove {
            let (more, remarks) = self.data_steps(delivery, &mut memo).map_err(reject)?;
            steps.extend(more);
            notes = remarks;
        }
        if steps.is_empty() {
            return Err(Outcome::Skip {
                reason: "there is nothing new for Brevo".to_owned(),
            });
        }
        Ok(Plan { steps, memo, notes })
    }

    fn most(&self, step: &Step) -> usize {
        match step {
            Step::FindEvents | Step::SendEvents => MOST_EVENTS,
            _ => 1,
        }
    }

    /// Opt-outs come first. What was begun is finished before the next contact is read: so a limit in the middle of a batch
    /// costs one contact, and nobody has long to leave between the two calls.
    fn order(&self, step: &Step) -> u8 {
        match step {
            Step::Withdraw | Step::Confirm => 0,
            Step::Look | Step::Delete => 1,
            Step::Upsert | Step::Reread | Step::ReadId => 2,
            Step::ReadContact => 3,
            Step::FindEvents | Step::SendEvents => 4,
        }
    }

    /// A batch of events may be about one contact.
    fn subject(&self, task: &Task<'_, Self>) -> String {
        task.delivery.key.0.clone()
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

    fn limit(&self) -> Option<Limit> {
        Some(self.settings.limit)
    }

    fn probes(&self, _now: Timestamp) -> Vec<Probe> {
        probe::probes(self)
    }
}
