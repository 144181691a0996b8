//! CiviCRM: contacts with their address, groups, activities for actions, and opt-outs, by several APIv4 calls in one
//! request.
//!
//! Invariant: a contact is looked up before each write and found by its address, so that merged, deleted and restored
//! contacts need no repair. Who unsubscribed in CiviCRM stays so, unless the opt-in is provably newer.

mod answer;
mod calls;
mod config;
mod consent;
mod envelope;
mod find;
mod known;
mod person;
mod probe;
#[cfg(test)]
mod tests;
mod withdraw;

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
};
use reqwest::header::HeaderMap;
use schemars::schema_for;
use serde_json::{Map, Value};

use self::config::{Campaigns, OptOut, Settings};
use super::{Kind, Needs, fields::Fields};
use crate::{
    connector::{Agreed, Connector, Http, Plan, Probe, Reading, Task},
    http::{Answer, Client, HttpRequest},
};

pub const KIND: Kind = Kind {
    name: "civicrm",
    summary: "contacts, groups, activities and opt-outs in CiviCRM",
    sample: include_str!("../../../../../samples/destinations/civicrm.toml"),
    schema: || schema_for!(config::Config),
    supported_changes: &CHANGES,
    // One call at a time: two that create the same person at once would make two contacts.
    concurrency: 1,
    // A site needs up to two seconds for each contact, and the calls of a batch must end within `timeout_s`.
    batch: 10,
    parse: |tables, table| {
        let settings = Settings::parse(table, tables)?;
        Ok(Needs {
            consent_shown: ConsentShown::All,
            deletes_on_erasure: true,
            ..settings.fields.needs()
        })
    },
    connect: |context, table| {
        let settings = Settings::parse(table, &context.tables)?;
        let (client, headers) = (Client::new(settings.options)?, settings.headers(context)?);
        let civicrm = CiviCrm { settings, headers };
        Ok(Box::new(Http::new(civicrm, client, Arc::clone(&context.clock))))
    },
    preview: |context, table, batch| {
        let settings = Settings::parse(table, &context.tables)?;
        let headers = settings.headers(context)?;
        Ok(super::previews(
            &CiviCrm { settings, headers },
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

/// Deliveries in one request. Each may be up to six calls.
const MOST: usize = 25;

pub(super) struct CiviCrm {
    settings: Settings,
    headers: HeaderMap,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// Finds the contacts that have the address.
    Find,
    /// Writes the opt-out, or the reason for which the address must not be used.
    OptOut,
    /// Reads what is known of the contact, and the campaign.
    Read,
    CreateCampaign,
    /// Creates the contact, or changes what is new.
    Write,
    /// Writes what hangs on the contact: address, telephone number, groups, activity.
    Relate,
    Remove,
}

/// A contact that has the address.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Found {
    id: u64,
    email_id: u64,
    is_individual: bool,
    is_deleted: bool,
    first_name: String,
    last_name: String,
    on_hold: u64,
    hold_date: Option<String>,
    /// Found by `external_identifier` only: the contact does not have the address.
    lacks_address: bool,
}

#[derive(Default)]
pub(super) struct Memo {
    /// In its normal form.
    email: String,
    fields: Map<String, Value>,
    address: Map<String, Value>,
    phone: Map<String, Value>,
    activity: Map<String, Value>,
    campaign: Option<(String, String)>,
    campaign_id: Option<u64>,
    /// Whoever has the address.
    found: Vec<Found>,
    /// The contact that `external_identifier` names.
    named: Option<Found>,
    /// Why no contact may be written, although the opt-out is.
    ambiguous: Option<String>,
    /// The contact that is written.
    contact: Option<Found>,
    /// What is new for a known contact.
    news: Map<String, Value>,
    /// The id of the primary address, and what is new in it. `None`: nothing is written.
    address_id: Option<u64>,
    /// Groups that the person joins.
    joins: Vec<String>,
    /// The address is usable again.
    releases_hold: bool,
}

/// What an opt-in says: since when, and whether a click proves that the address works.
#[derive(Debug, Clone, Copy)]
pub(super) struct OptIn {
    agreed: Agreed,
    is_confirmed: bool,
}

/// The opt-in that a delivery brings. Nobody is subscribed whose consent state is not subscribed.
pub(super) fn opt_in(delivery: &Delivery) -> Option<OptIn> {
    let record = &delivery.record;
    let state = record.consent_state_for(&record.purpose);
    let since = state
        .since()
        .filter(|_| record.change == Change::Subscribe && state.is_subscribed())?;
    Some(OptIn {
        agreed: Agreed::of(delivery, since),
        is_confirmed: matches!(state, ConsentState::DoubleOptedIn { .. }),
    })
}

/// Why the address must not be used, if the delivery says so.
pub(super) fn suppression(delivery: &Delivery) -> Option<Suppression> {
    let record = &delivery.record;
    match record.consent_state_for(&record.purpose) {
        _ if record.change != Change::Suppress => None,
        ConsentState::Suppressed { why, .. } => Some(why),
        _ => Some(Suppression::Inactive),
    }
}

impl CiviCrm {
    fn memo(&self, delivery: &Delivery, email: String) -> Result<(Memo, Vec<String>), String> {
        let record = &delivery.record;
        let scope = Scope::new(record);
        let mut omissions = Omissions::of(record);
        // The request always names the person and what becomes of their consent.
        omissions.keep(Reads::EVERYTHING);
        let mut make = |fields: &Fields| values(fields, &scope, &mut omissions);
        let mut memo = Memo {
            email,
            fields: make(&self.settings.fields)?,
            ..Memo::default()
        };
        person::expand_language(&mut memo.fields);
        if let Some(fields) = &self.settings.address {
            memo.address = make(fields)?;
        }
        if let Some(fields) = &self.settings.phone {
            memo.phone = make(fields)?;
        }
        let action = record
            .action
            .as_ref()
            .filter(|_| record.kind == DeliveryKind::Record);
        if let (Some(activity), Some(action)) = (&self.settings.activity, action) {
            memo.activity = make(&activity.fields)?;
            memo.activity.extend(make(&activity.key.1)?);
            person::as_html(&mut memo.activity);
            let at = person::local(action.created_at, &self.settings.zone);
            let kind = activity.type_of(&action.action_type);
            for (name, value) in [
                ("activity_type_id:name", Value::from(kind)),
                ("status_id:name", "Completed".into()),
                ("activity_date_time", at.into()),
            ] {
                if memo.activity.get(name).is_none() {
                    memo.activity.insert(name.to_owned(), value);
                }
            }
            let campaign = record.campaign.as_ref();
            let campaign = campaign.filter(|_| self.settings.campaigns != Campaigns::Ignore);
            memo.campaign = campaign.map(|campaign| {
                let title = campaign.title.as_ref().unwrap_or(&campaign.name);
                (campaign.name.clone(), title.clone())
            });
        }
        Ok((memo, omissions.finish()?))
    }
}

impl Connector for CiviCrm {
    type Step = Step;
    type Memo = Memo;

    fn plan(&self, delivery: &Delivery) -> Result<Plan<Self>, Outcome> {
        let record = &delivery.record;
        let reject = |reason: String| Outcome::Reject { reason };
        let email = record
            .email()
            .and_then(normal_email)
            .ok_or_else(|| reject("the contact has no e-mail address".to_owned()))?;
        let opts_out = matches!(record.change, Change::Unsubscribe | Change::Suppress);
        if record.change == Change::Remove || record.kind == DeliveryKind::Withdrawal {
            let last = match record.change {
                Change::Remove => Step::Remove,
                _ => Step::OptOut,
            };
            let memo = Memo {
                email,
                ..Memo::default()
            };
            return Ok(Plan {
                steps: vec![Step::Find, last],
                memo,
                notes: Vec::new(),
            });
        }
        let (memo, notes) = self.memo(delivery, email).map_err(reject)?;
        if memo.email.starts_with('$') {
            return Err(reject(
                "CiviCRM would read an address that begins with $ as a variable".to_owned(),
            ));
        }
        let mut steps = vec![Step::Find];
        steps.extend(opts_out.then_some(Step::OptOut));
        steps.extend([Step::Read, Step::Write, Step::Relate]);
        Ok(Plan { steps, memo, notes })
    }

    fn most(&self, _: &Step) -> usize {
        MOST
    }

    /// Opt-outs come first. The next person is looked up when those before are written: an address that two deliveries of a
    /// batch have becomes one contact.
    fn order(&self, step: &Step) -> u8 {
        match step {
            Step::OptOut | Step::Remove => 0,
            Step::Read => 1,
            Step::CreateCampaign => 2,
            Step::Write => 3,
            Step::Relate => 4,
            Step::Find => 5,
        }
    }

    fn subject(&self, task: &Task<'_, Self>) -> String {
        task.memo.email.clone()
    }

    fn request(&self, step: &Step, tasks: &[&Task<'_, Self>]) -> HttpRequest {
        calls::request(self, *step, tasks)
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

    fn probes(&self, _: Timestamp) -> Vec<Probe> {
        probe::probes(self)
    }
}

/// The values of a mapping. A value that is not known is left out, so that it clears nothing.
fn values(fields: &Fields, scope: &Scope, omissions: &mut Omissions) -> Result<Map<String, Value>, String> {
    let values = fields
        .apply(scope, omissions)
        .map_err(|error| error.to_string())?;
    let is_known = |value: &Value| !value.is_null() && *value != "" && *value != Value::Array(Vec::new());
    Ok(values.into_iter().filter(|(_, value)| is_known(value)).collect())
}

impl Settings {
    /// The flag that an opt-out sets.
    fn flag(&self) -> Option<&'static str> {
        match self.opt_out {
            OptOut::Group => None,
            OptOut::NoBulkMail => Some("is_opt_out"),
            OptOut::NoMail => Some("do_not_email"),
        }
    }
}
