mod chain;
mod clock;
mod owner;
mod points;
mod steps;
mod syncs;
mod triggers;

use std::{cell::RefCell, collections::BTreeSet, sync::Arc, time::Duration};

use jiff::{Timestamp, civil::Weekday, tz::TimeZone};
use serde_json::{Value, json};

use super::*;
use crate::{
    consent::{Change, ConsentFact, EMAIL, Terms, What},
    contact::{Contact, Field, Identity},
    delivery::Kind,
    event::{Action, Campaign, Due, Engagement, Event, EventKind, FollowUp},
    id::ContactId,
    mapping::{Expression, Term},
    plan::{About, Case, Given, Known, Plan, plan},
    rules::{DestinationRule, Gate, Rules, Takes, WorkspaceRule},
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const NOW: &str = "2026-03-04T09:30:00Z";

fn automation(name: &str, on: Trigger, then: Vec<Does>) -> Automation {
    Automation {
        name: name.into(),
        workspace: "default".into(),
        on: vec![on],
        when: None,
        stop: None,
        once: false,
        per_hour: None,
        then: then.into_iter().map(|does| Step { does, delay: None }).collect(),
    }
}

fn when(mut automation: Automation, text: &str) -> Automation {
    automation.when = Some(Expression::new(text).unwrap());
    automation
}

fn to_crm() -> Vec<Does> {
    vec![Does::Deliver(vec!["crm".into()])]
}

fn tag(name: &str) -> Vec<Does> {
    vec![Does::AddTag(name.to_owned())]
}

/// One contact, what is stored about them, and the rules.
#[expect(clippy::struct_excessive_bools, reason = "each is an answer of the store")]
struct World {
    rules: Rules,
    contacts: Vec<Contact>,
    seen: RefCell<Vec<Engagement>>,
    last_hour: Option<(i64, u32)>,
    now: Timestamp,
    is_named: bool,
    is_flooded: bool,
    has_new_id: bool,
    /// Whether destinations were given the contact, as soon as it is known.
    given: bool,
}

impl World {
    fn new(automations: Vec<Automation>) -> Self {
        Self::scored(automations, Vec::new())
    }

    fn scored(automations: Vec<Automation>, statuses: Vec<(&str, f64)>) -> Self {
        let mut crm = DestinationRule::new("crm");
        crm.takes = Takes::Automations;
        crm.policy = crate::consent::Policy::All;
        let scoring = Scoring {
            owner: Owner::Hub,
            statuses: statuses
                .into_iter()
                .map(|(name, ceiling)| Status {
                    name: name.to_owned(),
                    ceiling,
                })
                .collect(),
        };
        let workspace = WorkspaceRule::new(automations.into_iter().map(Arc::new).collect(), scoring);
        Self {
            rules: Rules {
                destinations: [("crm".into(), Arc::new(crm))].into(),
                workspaces: [("default".into(), workspace)].into(),
                hub: "us".into(),
                ..Rules::default()
            },
            contacts: Vec::new(),
            seen: RefCell::default(),
            last_hour: None,
            is_named: true,
            is_flooded: false,
            has_new_id: false,
            given: false,
            now: at(NOW),
        }
    }

    /// Makes the plan, and keeps the contact and the engagements.
    fn take(&mut self, event: &Event) -> Plan {
        let has = |row: &Engagement| {
            let seen = self.seen.borrow();
            let is_same =
                |other: &&Engagement| (other.kind, &other.key, other.at) == (row.kind, &row.key, row.at);
            seen.iter()
                .filter(is_same)
                .any(|other| other.count.unwrap_or(0) >= row.count.unwrap_or(0))
        };
        let given = |_: &DestinationRule| {
            let has_it = self.given && !self.contacts.is_empty();
            let given = has_it.then(|| Given {
                address: Some("ada@example.org".to_owned()),
                change: Change::None,
                withdrawal_is_open: false,
                is_shared: false,
                purpose: None,
            });
            given.into_iter().collect()
        };
        let last_hour = self.last_hour;
        let about = || About {
            action: event.action.clone(),
            campaign: event.campaign.clone(),
            ..About::default()
        };
        let known = Known {
            contacts: &self.contacts,
            action_is_known: false,
            terms: &Terms::default(),
            given: &given,
            shared: &[],
            knows: &has,
            has_new_id: self.has_new_id,
            is_named: &|| self.is_named,
            is_flooded: &|| self.is_flooded,
            last_hour: &|_| last_hour,
            about: &about,
        };
        let plan = plan(&Case {
            source: "queue",
            workspace: "default",
            event,
            known: &known,
            rules: &self.rules,
            now: self.now,
            arrival: 0,
        });
        self.contacts = plan.contact.clone().into_iter().collect();
        let rows = event.engagements.iter().chain(&plan.scores);
        self.seen.borrow_mut().extend(rows.cloned());
        plan
    }

    fn contact(&self) -> &Contact {
        self.contacts.first().unwrap()
    }
}

fn event(kind: EventKind) -> Event {
    let mut event = Event::new(kind, "proca".into(), at(NOW));
    event.identities = vec![Identity::Email {
        address: "ada@example.org".to_owned(),
    }];
    event.fields.insert("email".to_owned(), json!("ada@example.org"));
    event
}

fn signed(campaign: &str) -> Event {
    let mut event = event(EventKind::Action);
    event.action = Some(Action {
        external_id: "1".to_owned(),
        action_type: "register".to_owned(),
        created_at: at(NOW),
        custom_fields: json!({ "amount": 5 }).as_object().unwrap().clone(),
        donation: None,
        tracking: None,
        with_consent: true,
        dupe_rank: None,
        testing: false,
    });
    event.campaign = Some(Campaign {
        external_id: "204".to_owned(),
        name: campaign.to_owned(),
        title: None,
        crm_id: None,
        contact_schema: None,
        config: None,
    });
    event
}

fn did(kind: EngagementKind, key: &str) -> Event {
    let mut event = event(EventKind::Engagement);
    event.engagements = vec![Engagement {
        kind,
        key: key.to_owned(),
        name: None,
        at: Some(at(NOW)),
        raw_at: None,
        count: None,
        score: None,
    }];
    event
}

fn sent(plan: &Plan) -> Vec<&str> {
    let is_sent = |planned: &&crate::plan::Planned| planned.gate == Gate::Send;
    plan.deliveries
        .iter()
        .filter(is_sent)
        .map(|planned| &*planned.destination)
        .collect()
}

fn verdict<'a>(plan: &'a Plan, name: &str) -> Option<&'a Verdict> {
    let asked = &plan.explained.asked;
    asked
        .iter()
        .find(|(asked, _)| &**asked == name)
        .map(|(_, verdict)| verdict)
}
