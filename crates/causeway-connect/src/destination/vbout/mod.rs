//! VBOUT: the contacts of one list, their custom fields and status, tags, and actions as activities on the timeline.
//!
//! Invariants: nobody is made active whose consent state for the destination's purpose is not subscribed, and nobody
//! who unsubscribed at VBOUT after they agreed here. A message that came from the account itself causes a write only
//! if it changes what the account has, so an automation that sends its contacts here does not start itself again.

mod answer;
mod config;
mod envelope;
mod found;
mod memory;
mod probe;
mod request;
#[cfg(test)]
mod tests;
mod values;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

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
    secret::Secret,
};
use reqwest::header::HeaderMap;
use schemars::schema_for;

use self::{config::Settings, found::Row, memory::Memory};
use super::{Kind, Needs, fields::Fields};
use crate::{
    config::{ConfigError, Context},
    connector::{Connector, Http, Limit, Plan, Probe, Reading, Task},
    http::{Answer, Client, HttpRequest},
};

pub const KIND: Kind = Kind {
    name: "vbout",
    summary: "contacts, fields, tags and activities in one list of VBOUT",
    sample: include_str!("../../../../../samples/destinations/vbout.toml"),
    schema: || schema_for!(config::Config),
    supported_changes: &CHANGES,
    concurrency: 2,
    // A delivery needs about four calls, and the calls of a batch must end within `timeout_s`.
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
        let vbout = Vbout::new(context, table)?;
        let client = Client::new(vbout.settings.options)?;
        Ok(Box::new(Http::new(vbout, client, Arc::clone(&context.clock))))
    },
    preview: |context, table, batch| {
        let vbout = Vbout::new(context, table)?;
        Ok(super::previews(&vbout, batch, &context.clock))
    },
    sign_in: None,
    create: None,
    exclusive: None,
    dummy_url: "https://HOST/",
    remains: None,
};

pub(super) struct Vbout {
    settings: Settings,
    headers: HeaderMap,
    key: Secret,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// Finds the contacts with the address, without creating one.
    Find(For),
    /// Creates the contact; a repeat finds it.
    Create,
    /// Writes what changed, and the status if it changes.
    Edit {
        at: usize,
        becomes: Option<Becomes>,
    },
    /// Reads whether a status that is not mailed had its effect: VBOUT's documents do not say what a status means.
    Verify(usize),
    Delete {
        at: usize,
        by_post: bool,
    },
    AddTags,
    /// Reads whether the action is on the timeline already.
    ReadTimeline,
    AddActivity,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum For {
    /// Writes the contact, and decides about an opt-in.
    Writing,
    /// Takes the contact off. Nobody is created.
    Leaving,
    /// Deletes the contacts of all lists.
    Erasing,
    /// The number of a contact that was created, for what follows.
    Number,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Becomes {
    Active,
    OptedOut,
    Suppressed,
}

/// How this attempt knows the contacts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) enum KnownBy {
    /// They were not looked for.
    #[default]
    Memory,
    Search,
    /// Nobody has the address: only the remembered numbers are known.
    Number,
    /// The contact was created in this attempt. VBOUT stores it some seconds later.
    Creation,
}

#[derive(Default)]
pub(super) struct Memo {
    /// In its normal form.
    email: String,
    /// Since when the person has agreed.
    since: Option<Timestamp>,
    /// The person may be made active.
    agreed: bool,
    /// Number of the field → its text.
    fields: BTreeMap<String, String>,
    /// The fields that this very message brought from the account.
    brought: BTreeSet<String>,
    tags: Vec<String>,
    activity: Option<String>,
    /// The contacts that were found.
    rows: Vec<Row>,
    known_by: KnownBy,
    /// The contacts that were deleted.
    deleted: Vec<String>,
    memory: Memory,
}

impl Memo {
    /// The fields that VBOUT does not have like this yet.
    fn changed(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.fields.iter();
        let unknown =
            all.filter(|(name, value)| !self.brought.contains(*name) && !self.memory.has_field(name, value));
        unknown.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The tags that the contact does not have yet.
    fn new_tags(&self) -> impl Iterator<Item = &str> {
        let all = self.tags.iter().map(String::as_str);
        all.filter(|tag| !self.memory.has_tag(tag))
    }

    /// Whether the account has another value by now than Causeway wrote.
    fn is_stale(&self) -> bool {
        let mut brought = self
            .fields
            .iter()
            .filter(|(name, _)| self.brought.contains(*name));
        brought.any(|(name, value)| self.memory.has_other(name, value))
    }
}

impl Connector for Vbout {
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
        let is_withdrawal = record.kind == DeliveryKind::Withdrawal;
        let mut memo = Memo {
            since: state.since(),
            agreed: record.change == Change::Subscribe && state.is_subscribed() && !is_withdrawal,
            memory: Memory::of(delivery.memory.as_ref(), self.settings.list, &email),
            email,
            ..Memo::default()
        };
        let mut notes = Vec::new();
        if record.change != Change::Remove && !is_withdrawal {
            notes = self.map(record, &mut memo).map_err(reject)?;
        }
        let steps = match record.change {
            Change::Remove => vec![Step::Find(For::Erasing)],
            Change::Unsubscribe | Change::Suppress => leaving(&memo),
            Change::Subscribe | Change::None if is_withdrawal => leaving(&memo),
            Change::Subscribe | Change::None => self.writing(record, &mut memo)?,
        };
        Ok(Plan { steps, memo, notes })
    }

    fn most(&self, _: &Step) -> usize {
        1
    }

    /// Opt-outs and removals come first.
    fn order(&self, step: &Step) -> u8 {
        let is_first = matches!(
            step,
            Step::Find(For::Leaving | For::Erasing)
                | Step::Verify(_)
                | Step::Delete { .. }
                | Step::Edit {
                    becomes: Some(Becomes::OptedOut | Becomes::Suppressed),
                    ..
                }
        );
        u8::from(!is_first)
    }

    fn subject(&self, task: &Task<'_, Self>) -> String {
        task.memo.email.clone()
    }

    fn request(&self, step: &Step, tasks: &[&Task<'_, Self>]) -> HttpRequest {
        request::request(self, step, tasks)
    }

    fn signed<'r>(&self, request: &'r HttpRequest) -> Cow<'r, HttpRequest> {
        request::signed(&self.key, request)
    }

    fn read(
        &self,
        step: &Step,
        answer: &Answer,
        tasks: &mut [&mut Task<'_, Self>],
        now: Timestamp,
    ) -> Reading {
        match tasks {
            [task] => answer::read(self, *step, answer, task, now),
            _ => Reading::Split,
        }
    }

    fn expected(&self, step: &Step, tasks: &[&Task<'_, Self>]) -> Answer {
        answer::expected(self, *step, tasks)
    }

    fn limit(&self) -> Option<Limit> {
        Some(self.settings.limit)
    }

    fn probes(&self, _: Timestamp) -> Vec<Probe> {
        probe::probes(self)
    }
}

impl Vbout {
    fn new(context: &Context, table: &toml::Table) -> Result<Self, ConfigError> {
        let settings = Settings::parse(table, &context.tables)?;
        let key = settings.key(context)?;
        Ok(Self {
            settings,
            headers: config::headers(),
            key,
        })
    }

    /// The steps of a person who stays. A contact whose numbers are known is not looked for, unless its status matters.
    fn writing(&self, record: &Record, memo: &mut Memo) -> Result<Vec<Step>, Outcome> {
        let decides = memo.agreed && memo.memory.is_newly_agreed(memo.since);
        let is_known = !memo.memory.ids.is_empty();
        let is_unseen = is_known && memo.memory.is_unseen() && !memo.agreed;
        let has_news =
            memo.changed().next().is_some() || memo.new_tags().next().is_some() || memo.activity.is_some();
        let mut steps = Vec::new();
        if decides || memo.is_stale() || (!is_known && (has_news || !self.is_own(record))) {
            steps.push(Step::Find(For::Writing));
        } else if !has_news && !is_unseen {
            let reason = if is_known {
                "VBOUT has all of this already"
            } else {
                "it came from this VBOUT account, and there is nothing to write back"
            };
            return Err(Outcome::Skip {
                reason: reason.to_owned(),
            });
        } else {
            memo.rows = memo.memory.ids.iter().map(|id| Row::of_number(id)).collect();
            steps.extend(is_unseen.then_some(Step::Verify(0)));
            if memo.changed().next().is_some() {
                let all = 0..memo.rows.len();
                steps.extend(all.map(|at| Step::Edit { at, becomes: None }));
            }
        }
        steps.extend(following(memo));
        Ok(steps)
    }

    /// Whether an automation of this account sent the message.
    fn is_own(&self, record: &Record) -> bool {
        self.settings
            .own_sources
            .iter()
            .any(|source| **source == *record.source)
    }

    /// Fills in the fields, tags and the activity. Returns notes.
    fn map(&self, record: &Record, memo: &mut Memo) -> Result<Vec<String>, String> {
        let scope = Scope::new(record);
        let mut omissions = Omissions::of(record);
        // The calls always name the person and what becomes of their consent.
        omissions.keep(Reads::EVERYTHING);
        let mut apply = |fields: Option<&Fields>| {
            let values = fields
                .map(|fields| fields.apply(&scope, &mut omissions))
                .transpose();
            values
                .map(Option::unwrap_or_default)
                .map_err(|error| error.to_string())
        };
        let is_own = self.is_own(record);
        for (name, value) in apply(self.settings.fields.as_ref())? {
            let Some(value) = values::text(&value) else {
                continue;
            };
            if is_own && values::is_brought(record, &name, &value) {
                memo.brought.insert(name.clone());
            }
            memo.fields.insert(name, value);
        }
        memo.tags = values::tags(apply(self.settings.tags.as_ref())?);
        // A known action that arrives again is a `contact`.
        if record.kind == DeliveryKind::Record && record.action.is_some() {
            let text = apply(self.settings.activity.as_ref())?;
            memo.activity = text.first().and_then(|(_, value)| values::activity(value));
        }
        omissions.finish()
    }
}

/// The steps of a person who goes. The contact is looked for each time: they may be on the list again.
fn leaving(memo: &Memo) -> Vec<Step> {
    let mut steps = vec![Step::Find(For::Leaving)];
    steps.extend(following(memo));
    steps
}

/// What is written about a contact after its fields and status.
fn following(memo: &Memo) -> impl Iterator<Item = Step> {
    let tags = memo.new_tags().next().map(|_| Step::AddTags);
    let is_action = memo.activity.is_some();
    let activity = is_action.then_some([Step::ReadTimeline, Step::AddActivity]);
    tags.into_iter().chain(activity.into_iter().flatten())
}
