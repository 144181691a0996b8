//! Mautic: contacts, whom it must not contact, tags, segments, notes and points.
//!
//! Invariants:
//!
//! - Mautic mails every contact without a do-not-contact entry. So a new contact whose consent state for the
//!   destination's purpose is not subscribed is written together with such an entry, in one call.
//! - An entry of somebody else is removed only by an opt-in that is newer than the entry.

mod answer;
mod config;
mod consent;
mod contact;
mod probe;
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
use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use reqwest::header::HeaderMap;
use schemars::schema_for;
use serde_json::{Map, Value};

use self::{
    config::{Others, Settings},
    consent::{Entry, Memory},
};
use super::{Kind, Needs, fields::Fields};
use crate::{
    connector::{Connector, Http, Limit, Plan, Probe, Reading, Task},
    http::{Answer, Client, HttpRequest},
};

pub const KIND: Kind = Kind {
    name: "mautic",
    summary: "contacts, do-not-contact, tags, segments, notes and points in Mautic",
    sample: include_str!("../../../../../samples/destinations/mautic.toml"),
    schema: || schema_for!(config::Config),
    supported_changes: &CHANGES,
    concurrency: 2,
    // Two calls write a batch, but notes and points need up to four for each action, which must end within `timeout_s`.
    batch: 15,
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
        let access = settings.access(context, &client)?;
        let connector = Mautic { settings, headers };
        let http = Http::new(connector, client, Arc::clone(&context.clock));
        Ok(Box::new(http.with_access(access)))
    },
    preview: |context, table, batch| {
        let settings = Settings::parse(table, &context.tables)?;
        let headers = settings.headers(context)?;
        Ok(super::previews(
            &Mautic { settings, headers },
            batch,
            &context.clock,
        ))
    },
    sign_in: Some(|context, table| {
        let settings = Settings::parse(table, &context.tables)?;
        Ok((settings.sign_in(context)?, Client::new(settings.options)?))
    }),
    create: None,
    exclusive: None,
    dummy_url: "https://HOST/",
    remains: None,
};

/// Addresses of one search, which are in its URL: web servers take about 8000 bytes.
const MOST_SEARCHED: usize = 50;
/// Contacts of one call. Mautic takes 200, unless the site allows less.
const MOST_WRITTEN: usize = 100;

pub(super) struct Mautic {
    settings: Settings,
    headers: HeaderMap,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// Finds all contacts with the address, without creating one.
    Find,
    /// Reads the contact that the address once had.
    Get(u64),
    /// Forbids Mautic to contact this one.
    AddEntry(u64),
    /// Takes the contact out of a segment (segment, contact).
    Leave(u64, u64),
    Delete(u64),
    /// Creates or updates the contact, found by the address.
    Upsert,
    /// Allows Mautic to contact this one again.
    RemoveEntry(u64),
    /// Puts the contact into a segment.
    Join(u64),
    /// Reads the contact's notes, because Mautic recognises no repeat.
    FindNote,
    WriteNote,
    /// Reads the contact's points, for the same reason.
    FindPoints,
    AddPoints,
}

#[derive(Default)]
pub(super) struct Memo {
    /// In its normal form.
    email: String,
    memory: Memory,
    /// The delivery takes consent away.
    is_leaving: bool,
    /// The person agreed.
    agreed: bool,
    /// Since when the person has agreed.
    since: Option<Timestamp>,
    /// What Mautic must know of a person who may not be contacted.
    entry: Option<Entry>,
    /// There is no contact with the address.
    is_new: bool,
    fields: Map<String, Value>,
    tags: Vec<String>,
    note: String,
    points: i64,
    /// The id of the contact at Mautic.
    id: Option<u64>,
    /// How many entries were removed.
    removed: u8,
}

impl Memo {
    /// The entry that a contact gets when it is created.
    fn entry_if_new(&self) -> Option<&Entry> {
        self.entry.as_ref().filter(|_| self.is_new && !self.agreed)
    }
}

impl Connector for Mautic {
    type Step = Step;
    type Memo = Memo;

    fn plan(&self, delivery: &Delivery) -> Result<Plan<Self>, Outcome> {
        let record = &delivery.record;
        let reject = |reason: String| Outcome::Reject { reason };
        let email = record
            .email()
            .and_then(normal_email)
            .ok_or_else(|| reject("the contact has no e-mail address".to_owned()))?;
        let hash = HEXLOWER.encode(&Md5::digest(email.to_lowercase()));
        let state = record.consent_state_for(&record.purpose);
        let is_withdrawal = record.kind == DeliveryKind::Withdrawal;
        let mut memo = Memo {
            memory: Memory::of(delivery.memory.as_ref(), &hash),
            email,
            is_leaving: match record.change {
                Change::Remove => false,
                Change::Unsubscribe | Change::Suppress => true,
                Change::Subscribe | Change::None => is_withdrawal,
            },
            agreed: record.change == Change::Subscribe && !is_withdrawal && state.is_subscribed(),
            since: state.since(),
            ..Memo::default()
        };
        if memo.is_leaving {
            memo.entry = Some(Entry::of_withdrawal(record));
        } else if !memo.agreed && self.settings.others == Others::DoNotContact {
            memo.entry = Some(Entry::of_others(record));
        }
        let is_written = !is_withdrawal && record.change != Change::Remove;
        let mut steps = Vec::new();
        let mut notes = Vec::new();
        if memo.entry.is_some() || !is_written {
            steps.push(Step::Find);
        }
        if is_written {
            notes = self.map(record, &delivery.key.0, &mut memo).map_err(reject)?;
            steps.push(Step::Upsert);
            let (memory, since) = (&memo.memory, memo.since);
            let segments = self.settings.segments.iter().filter(|_| memo.agreed);
            let segments = segments.filter(|segment| !memory.has(**segment, since));
            steps.extend(segments.map(|segment| Step::Join(*segment)));
            if !memo.note.is_empty() {
                steps.extend([Step::FindNote, Step::WriteNote]);
            }
            if memo.points != 0 {
                steps.extend([Step::FindPoints, Step::AddPoints]);
            }
        }
        Ok(Plan { steps, memo, notes })
    }

    fn most(&self, step: &Step) -> usize {
        match step {
            Step::Find => MOST_SEARCHED,
            Step::Upsert | Step::Join(_) => MOST_WRITTEN,
            _ => 1,
        }
    }

    /// Opt-outs and removals come first.
    fn order(&self, step: &Step) -> u8 {
        let is_first = matches!(
            step,
            Step::Find | Step::Get(_) | Step::AddEntry(_) | Step::Leave(..) | Step::Delete(_)
        );
        u8::from(!is_first)
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

    fn limit(&self) -> Option<Limit> {
        Some(self.settings.limit)
    }

    fn probes(&self, _: Timestamp) -> Vec<Probe> {
        probe::probes(self)
    }
}

impl Mautic {
    /// Fills in the values of the mappings. Returns notes.
    fn map(&self, record: &Record, key: &str, memo: &mut Memo) -> Result<Vec<String>, String> {
        let scope = Scope::new(record);
        let mut omissions = Omissions::of(record);
        // The calls always name the person and what becomes of their consent.
        omissions.keep(Reads::EVERYTHING);
        let mut make = |fields: &Fields| {
            let made = fields.apply(&scope, &mut omissions);
            made.map_err(|error| error.to_string())
        };
        memo.fields = values::fields(make(&self.settings.fields)?);
        if let Some(tags) = &self.settings.tags {
            memo.tags = values::tags(make(tags)?);
        }
        let mut remarks = Vec::new();
        // A known action that arrives again is a `contact`.
        if record.kind == DeliveryKind::Record && record.action.is_some() {
            if let Some(note) = &self.settings.note {
                memo.note = values::note(&make(note)?, key);
            }
            for (_, value) in self
                .settings
                .points
                .as_ref()
                .map(make)
                .transpose()?
                .unwrap_or_default()
            {
                match values::points(&value) {
                    Ok(points) => memo.points = points.unwrap_or_default(),
                    Err(()) => remarks.push("`points` gave no whole number: no points were added".to_owned()),
                }
            }
        }
        remarks.extend(omissions.finish()?);
        Ok(remarks)
    }
}
