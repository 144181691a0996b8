//! Engaging Networks: supporters, their opt-ins, and actions on a page.
//!
//! Invariants:
//!
//! - Nobody is opted in whose consent state for the destination's purpose is not subscribed.
//! - A supporter is read before an opt-in is written. One who opted out at Engaging Networks is opted in only by an
//!   opt-in that is newer than that answer.
//! - A page that is processed twice has the action twice, because nothing makes it unique. So the supporter's
//!   transactions are read before each action, and the numbers of own actions are remembered.

mod action;
mod answer;
mod config;
mod consent;
mod probe;
mod refusal;
mod request;
mod session;
mod supporter;
#[cfg(test)]
mod tests;
mod values;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use causeway_core::{
    clock::Timestamp,
    consent::{CHANGES, Change},
    contact::normal_email,
    delivery::{Delivery, Kind as DeliveryKind},
    destination::Outcome,
};
use reqwest::header::HeaderMap;
use schemars::schema_for;
use serde_json::{Map, Value, json};

use self::{
    config::{OnRemove, OnSuppress, Settings},
    consent::Memory,
    session::ApiUser,
};
use super::{Kind, Needs};
use crate::{
    connector::{Connector, Http, Limit, Plan, Probe, Reading, Session, Task},
    http::{Answer, Client, HttpRequest},
};

pub const KIND: Kind = Kind {
    name: "engagingnetworks",
    summary: "supporters, opt-ins and actions in Engaging Networks",
    sample: include_str!("../../../../../samples/destinations/engagingnetworks.toml"),
    schema: || schema_for!(config::Config),
    supported_changes: &CHANGES,
    // The limits of calls are for all.
    concurrency: 1,
    // An action needs up to three calls, of which the limits allow one each 1.6 s, within `timeout_s`.
    batch: 10,
    parse: |tables, table| {
        let settings = Settings::parse(table, tables)?;
        Ok(Needs {
            consent_shown: causeway_core::mapping::ConsentShown::All,
            deletes_on_erasure: settings.on_remove == OnRemove::Delete,
            ..settings.needs()
        })
    },
    connect: |context, table| {
        let settings = Settings::parse(table, &context.tables)?;
        let (client, token) = (Client::new(settings.options)?, settings.token(context)?);
        let networks = EngagingNetworks::new(settings);
        let session = Session::new(ApiUser::new(&networks, &token), client.clone());
        let http = Http::new(networks, client, Arc::clone(&context.clock));
        Ok(Box::new(http.with_session(session)))
    },
    preview: |context, table, batch| {
        let networks = EngagingNetworks::new(Settings::parse(table, &context.tables)?);
        Ok(super::previews(&networks, batch, &context.clock))
    },
    sign_in: None,
    create: None,
    exclusive: None,
    dummy_url: "https://HOST/",
    remains: None,
};

pub(super) struct EngagingNetworks {
    settings: Settings,
    headers: HeaderMap,
    /// Page → campaign, as the page was described once in the life of the process. Transactions name the campaign.
    pages: Mutex<BTreeMap<String, u64>>,
}

/// What a look-up is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// An opt-out or an erasure, which creates nobody.
    Withdrawal,
    Data,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Finds the supporter by the address, with the answers to the questions.
    Find(For),
    /// Finds the supporter by the id that Engaging Networks gave: the address may have been changed there.
    FindById(For),
    /// Proves that an empty "not found" came from Engaging Networks.
    Prove(For),
    OptOut,
    /// Reads the answers after an opt-out.
    Confirm,
    Suppress,
    Delete,
    /// Reads what the page is.
    ReadPage(String),
    /// Reads the supporter's transactions.
    FindAction,
    Act,
    /// Creates or changes the supporter.
    Write,
}

#[derive(Default)]
pub(super) struct Memo {
    /// In its normal form.
    email: String,
    /// The supporter's address at Engaging Networks, if it is another one.
    other_address: Option<String>,
    memory: Memory,
    /// The supporter's id.
    id: Option<u64>,
    /// The supporter was looked for.
    is_found: bool,
    /// Since when the person has agreed.
    since: Option<Timestamp>,
    fields: Map<String, Value>,
    /// Answers to questions: general ones, and opt-ins.
    questions: Map<String, Value>,
    page: String,
    transaction: Map<String, Value>,
    locale: Option<String>,
    /// Opt-ins that this delivery answers with N.
    taken: Vec<String>,
    /// Why the delivery ends as refused, after everything that can be written was written.
    refusal: Option<String>,
}

impl EngagingNetworks {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            headers: Settings::headers(),
            pages: Mutex::default(),
        }
    }

    fn campaign(&self, page: &str) -> Option<u64> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.get(page).copied()
    }

    fn learn_page(&self, page: &str, campaign: u64) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.insert(page.to_owned(), campaign);
    }

    /// The steps of a delivery that brings data.
    fn data_steps(&self, delivery: &Delivery, memo: &mut Memo) -> Vec<Step> {
        let change = delivery.record.change;
        let mut steps = Vec::new();
        if memo.page.is_empty() {
            if change == Change::None {
                // Nothing is decided about consent, so nothing has to be read.
                memo.id = memo.memory.supporter;
            } else {
                steps.push(Step::Find(For::Data));
            }
            steps.push(Step::Write);
        } else {
            steps.push(Step::Find(For::Data));
            steps.extend(
                self.campaign(&memo.page)
                    .is_none()
                    .then(|| Step::ReadPage(memo.page.clone())),
            );
            steps.extend([Step::FindAction, Step::Act]);
        }
        let suppresses = change == Change::Suppress && self.settings.on_suppress == OnSuppress::Suppress;
        steps.extend(suppresses.then_some(Step::Suppress));
        steps
    }
}

impl Connector for EngagingNetworks {
    type Step = Step;
    type Memo = Memo;

    fn plan(&self, delivery: &Delivery) -> Result<Plan<Self>, Outcome> {
        let record = &delivery.record;
        let reject = |reason: String| Outcome::Reject { reason };
        let email = record
            .email()
            .and_then(normal_email)
            .ok_or_else(|| reject("the contact has no e-mail address".to_owned()))?;
        let mut memo = Memo {
            memory: Memory::of(delivery.memory.as_ref(), &email),
            email,
            since: record.consent_state_for(&record.purpose).since(),
            ..Memo::default()
        };
        let is_withdrawal = record.kind == DeliveryKind::Withdrawal || record.change == Change::Remove;
        if is_withdrawal {
            return Ok(Plan {
                steps: vec![Step::Find(For::Withdrawal)],
                memo,
                notes: Vec::new(),
            });
        }
        let (steps, notes) = match values::fill(self, delivery, &mut memo) {
            Ok(notes) => (self.data_steps(delivery, &mut memo), notes),
            // An opt-out does not fail because of the data beside it.
            Err(reason) if matches!(record.change, Change::Unsubscribe | Change::Suppress) => {
                memo.refusal = Some(reason);
                (vec![Step::Find(For::Withdrawal)], Vec::new())
            }
            Err(reason) => return Err(reject(reason)),
        };
        Ok(Plan { steps, memo, notes })
    }

    /// Suppressions are the only batch. A page is read once for all.
    fn most(&self, step: &Step) -> usize {
        match step {
            Step::Suppress | Step::ReadPage(_) => usize::MAX,
            _ => 1,
        }
    }

    /// Opt-outs first, then one person after the other: two deliveries about one address never overtake each other.
    fn order(&self, step: &Step) -> u8 {
        match step {
            Step::Find(For::Withdrawal)
            | Step::FindById(For::Withdrawal)
            | Step::Prove(For::Withdrawal)
            | Step::OptOut
            | Step::Confirm
            | Step::Delete => 0,
            Step::Suppress => 1,
            Step::Find(For::Data) => 3,
            _ => 2,
        }
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
        answer::read(self, step, answer, tasks, now)
    }

    fn expected(&self, step: &Step, tasks: &[&Task<'_, Self>]) -> Answer {
        answer::expected(self, step, tasks)
    }

    /// An action is stored each time, and its page writes the person.
    fn lasting(&self, task: &Task<'_, Self>) -> Option<Value> {
        let memo = &task.memo;
        let opt_ins: Vec<&str> = self.settings.opt_in_names().collect();
        let is_person = memo.page.is_empty();
        is_person.then(|| json!([memo.email, opt_ins, memo.fields, memo.questions]))
    }

    fn limit(&self) -> Option<Limit> {
        Some(self.settings.limit)
    }

    fn own_limit(&self, step: &Step) -> Option<Limit> {
        (*step == Step::Act).then_some(self.settings.page_limit)
    }

    fn probes(&self, _: Timestamp) -> Vec<Probe> {
        probe::probes(self)
    }
}
