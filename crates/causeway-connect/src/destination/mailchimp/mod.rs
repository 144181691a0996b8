//! Mailchimp: members of an audience, with tags, groups, marketing permissions and events.
//!
//! Invariants:
//!
//! - Nobody is subscribed whose consent state for the destination's purpose is not subscribed.
//! - A member that is there is read before it is subscribed. One that unsubscribed, was cleaned or archived is
//!   subscribed only by an opt-in that is newer than the member's last change.
//! - `status`, which changes a member that is there, is sent for such an opt-in and for opt-outs only. So a person who
//!   unsubscribes while a call is on its way stays unsubscribed. This is why members are written one by one: in
//!   Mailchimp's call for many members each needs a status.

mod answer;
mod config;
mod consent;
mod probe;
mod refusal;
mod request;
#[cfg(test)]
mod tests;
mod values;

use std::sync::Arc;

use causeway_core::{
    clock::Timestamp,
    consent::{CHANGES, Change, ConsentState, Suppression},
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
use schemars::schema_for;
use serde_json::{Map, Value, json};

use self::{
    config::{Access, OnRemove, OptIn, Settings},
    consent::Memory,
};
use super::{Kind, Needs, fields::Fields};
use crate::{
    connector::{Connector, Http, Plan, Probe, Reading, Task},
    http::{Answer, Client, HttpRequest},
};

pub const KIND: Kind = Kind {
    name: "mailchimp",
    summary: "members, tags and events in a Mailchimp audience",
    sample: include_str!("../../../../../samples/destinations/mailchimp.toml"),
    schema: || schema_for!(config::Config),
    supported_changes: &CHANGES,
    // Mailchimp allows a user ten calls at the same time, those of other programs included.
    concurrency: 5,
    batch: 1,
    parse: |tables, table| {
        let settings = Settings::parse(table, tables)?;
        Ok(Needs {
            consent_shown: ConsentShown::All,
            deletes_on_erasure: settings.on_remove == OnRemove::Delete,
            ..settings.needs()
        })
    },
    connect: |context, table| {
        let settings = Settings::parse(table, &context.tables)?;
        let (client, access) = (Client::new(settings.options)?, settings.access(context, false)?);
        let mailchimp = Mailchimp { settings, access };
        Ok(Box::new(Http::new(mailchimp, client, Arc::clone(&context.clock))))
    },
    preview: |context, table, batch| {
        let settings = Settings::parse(table, &context.tables)?;
        let access = settings.access(context, true)?;
        Ok(super::previews(
            &Mailchimp { settings, access },
            batch,
            &context.clock,
        ))
    },
    sign_in: None,
    create: None,
    exclusive: None,
    dummy_url: "https://HOST/",
    remains: None,
};

pub(super) struct Mailchimp {
    settings: Settings,
    access: Access,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Reads the member before an opt-out, to know later who took the subscription away.
    Look,
    /// Takes the subscription away. `plain`: with nothing else that Mailchimp might refuse.
    Withdraw {
        plain: bool,
    },
    /// Reads the list, to prove that it is the member that is missing.
    ProveList,
    /// Reads whether the person is a member, and whether they left.
    ReadMember,
    /// Writes the member.
    Upsert,
    Tag,
    /// Reads the member's events, because Mailchimp recognises no repeat.
    FindEvent,
    SendEvent,
    Archive,
    /// Deletes the member for good.
    Delete,
}

#[derive(Default)]
pub(super) struct Memo {
    /// In its normal form.
    email: String,
    /// Mailchimp's id of the address.
    hash: String,
    /// How the member is named in paths: by the hash, or by the id of the contact.
    path: String,
    /// Why it is not certain that Mailchimp itself said that the member is missing.
    doubt: Option<&'static str>,
    memory: Memory,
    /// Before the opt-out.
    could_be_mailed: bool,
    /// The status of a person who is no member yet.
    if_new: &'static str,
    /// The status of a person who is a member already; without it their status stays.
    status: Option<&'static str>,
    is_new: bool,
    /// The person agreed, and did not leave at Mailchimp since.
    agreed: bool,
    /// Since when the person has agreed.
    since: Option<Timestamp>,
    fields: Map<String, Value>,
    language: Option<&'static str>,
    tags: Vec<String>,
    event: Map<String, Value>,
}

impl Memo {
    /// Whether the member has another address at Mailchimp.
    fn by_contact(&self) -> bool {
        self.path != self.hash
    }

    /// From now on the member is the one with Mailchimp's id. Returns whether there is such an id, and it is new. An
    /// answer without an id leaves the hash in its place, which names nobody else.
    fn look_by_contact(&mut self) -> bool {
        let contact = self.memory.contact.as_ref();
        let Some(contact) = contact.filter(|contact| !self.by_contact() && **contact != self.hash) else {
            return false;
        };
        self.path.clone_from(contact);
        true
    }

    /// From now on the member is the one with the address.
    fn look_by_address(&mut self) {
        self.path.clone_from(&self.hash);
    }
}

impl Mailchimp {
    /// The steps that take consent away, or that find out whether it may be given.
    fn consent_steps(&self, record: &Record, memo: &mut Memo) -> Vec<Step> {
        let state = record.consent_state_for(&record.purpose);
        match record.change {
            Change::Remove if self.settings.on_remove == OnRemove::Delete => vec![Step::Delete],
            Change::Remove => {
                memo.status = Some("unsubscribed");
                vec![Step::Look, Step::Withdraw { plain: false }, Step::Archive]
            }
            change if matches!(change, Change::Unsubscribe | Change::Suppress) || state.is_opt_out() => {
                let is_undeliverable = matches!(
                    state,
                    ConsentState::Suppressed {
                        why: Suppression::Bounced | Suppression::Blocked,
                        ..
                    }
                );
                memo.if_new = if is_undeliverable {
                    "cleaned"
                } else {
                    "unsubscribed"
                };
                memo.status = Some(memo.if_new);
                vec![Step::Look, Step::Withdraw { plain: false }]
            }
            Change::Subscribe if state.is_subscribed() => {
                let is_confirmed = matches!(state, ConsentState::DoubleOptedIn { .. });
                let asks = self.settings.opt_in == OptIn::Pending && !is_confirmed;
                memo.if_new = if asks { "pending" } else { "subscribed" };
                memo.agreed = true;
                vec![Step::ReadMember]
            }
            _ => {
                memo.if_new = self.settings.others.as_str();
                // The person may have another address there by now. Written by the address, they would be two members, and
                // the next opt-out would find only the new one.
                memo.look_by_contact();
                Vec::new()
            }
        }
    }

    /// The steps that write the member.
    fn data_steps(&self, record: &Record, memo: &mut Memo) -> Result<(Vec<Step>, Vec<String>), String> {
        let scope = Scope::new(record);
        let mut omissions = Omissions::of(record);
        // The request always names the person and what becomes of their consent.
        omissions.keep(Reads::EVERYTHING);
        let mut make = |fields: &Fields| {
            let made = fields.apply(&scope, &mut omissions);
            made.map_err(|error| error.to_string())
        };
        let mut notes = Vec::new();
        memo.fields = values::merge_fields(make(&self.settings.fields)?, &mut notes);
        let page = record.page.as_ref().filter(|_| self.settings.language);
        memo.language = page.and_then(|page| values::language(page.locale.as_deref()?));
        if let Some(tags) = &self.settings.tags {
            memo.tags = values::tags(make(tags)?);
        }
        let mut steps = vec![Step::Upsert];
        steps.extend((!memo.tags.is_empty()).then_some(Step::Tag));
        // A known action that arrives again is a `contact`.
        let is_action = record.kind == DeliveryKind::Record && record.action.is_some();
        if let Some((_, properties)) = self.settings.event.as_ref().filter(|_| is_action) {
            memo.event = values::texts(make(properties)?);
            steps.extend([Step::FindEvent, Step::SendEvent]);
        }
        notes.extend(omissions.finish()?);
        Ok((steps, notes))
    }
}

impl Connector for Mailchimp {
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
        let mut memo = Memo {
            memory: Memory::of(delivery.memory.as_ref(), &hash),
            path: hash.clone(),
            hash,
            email,
            since: record.consent_state_for(&record.purpose).since(),
            ..Memo::default()
        };
        let mut steps = self.consent_steps(record, &mut memo);
        let mut notes = Vec::new();
        if record.kind != DeliveryKind::Withdrawal && record.change != Change::Remove {
            let (more, remarks) = self.data_steps(record, &mut memo).map_err(reject)?;
            steps.extend(more);
            notes = remarks;
        }
        if steps.is_empty() {
            return Err(Outcome::Skip {
                reason: "there is nothing to do at Mailchimp".to_owned(),
            });
        }
        Ok(Plan { steps, memo, notes })
    }

    fn most(&self, _step: &Step) -> usize {
        1
    }

    fn order(&self, step: &Step) -> u8 {
        u8::from(!matches!(step, Step::Look | Step::Withdraw { .. } | Step::Delete))
    }

    fn subject(&self, task: &Task<'_, Self>) -> String {
        task.memo.email.clone()
    }

    fn request(&self, step: &Step, tasks: &[&Task<'_, Self>]) -> HttpRequest {
        request::request(self, step, tasks)
    }

    fn read(
        &self,
        step: &Step,
        answer: &Answer,
        tasks: &mut [&mut Task<'_, Self>],
        now: Timestamp,
    ) -> Reading {
        match tasks {
            [task] => answer::read(self, step, answer, task, now),
            _ => Reading::Split,
        }
    }

    fn expected(&self, step: &Step, tasks: &[&Task<'_, Self>]) -> Answer {
        answer::expected(self, step, tasks)
    }

    fn lasting(&self, task: &Task<'_, Self>) -> Option<Value> {
        let memo = &task.memo;
        let values = json!([
            self.settings.list,
            memo.email,
            memo.fields,
            memo.language,
            memo.tags
        ]);
        (!task.has_step(&Step::SendEvent)).then_some(values)
    }

    fn probes(&self, _now: Timestamp) -> Vec<Probe> {
        probe::probes(self)
    }
}
