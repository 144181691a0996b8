//! A contact book and an outbox in memory that do what the store does: find and merge contacts, remember
//! actions and pages, keep deliveries in order, and check the gate again when a delivery is claimed.

use std::collections::{BTreeMap, BTreeSet};
use std::{sync::Arc, time::Duration};

use causeway_core::{
    consent::{Change, ConsentState, Policy, Terms, page_key},
    contact::{Contact, Identity},
    delivery::Kind,
    event::Event,
    id::Name,
    plan::{About, Case, Given, Known, Plan, plan},
    rules::{DestinationRule, Gate, Rules, SourceRule},
};

use crate::{
    model::GRACE,
    wire::{OWN_ORG, at},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Waiting,
    Delivered,
    /// Skipped when it was planned.
    Skipped,
    /// Skipped when it was claimed.
    HeldBack,
}

#[derive(Debug, Clone)]
pub struct Row {
    number: u32,
    pub destination: Name,
    pub kind: Kind,
    /// `None` = the address in use. In a delivered row, the address that was used.
    pub address: Option<String>,
    pub state: State,
}

#[derive(Debug, Clone, Default)]
pub struct Entry {
    pub contact: Contact,
    pub identities: BTreeSet<Identity>,
    /// Purpose, fact, page and milliseconds.
    pub ledger: BTreeSet<(String, &'static str, String, i64)>,
    /// In the order of planning.
    pub outbox: Vec<Row>,
    /// Destination and address → the last change that the destination was given.
    pub given: BTreeMap<(Name, Option<String>), Change>,
}

pub struct Book<'a> {
    rules: &'a Rules,
    pub terms: Terms,
    pub entries: Vec<Entry>,
    actions: BTreeSet<String>,
    planned: u32,
}

/// Rules with every policy for e-mail and two for calls.
pub fn rules() -> Rules {
    let source = |name: &str, namespace: &str| SourceRule {
        name: name.into(),
        workspace: "default".into(),
        own_orgs: match namespace {
            "proca" => [OWN_ORG.to_string()].into(),
            _ => BTreeSet::new(),
        },
        namespace: namespace.into(),
    };
    let sources = [
        source("queue", "proca"),
        source("queue_that_waits", "proca"),
        source("platform", "platform"),
        source("joined", "platform"),
        source("site", "platform"),
    ];
    let mut destinations = Vec::new();
    for (purpose, policies) in [
        ("email", &POLICIES[..]),
        ("phone", &[Policy::WithConsent, Policy::OptIn]),
    ] {
        for policy in policies {
            let mut rule = DestinationRule::new(&format!("{purpose}-{}", policy.as_str()));
            rule.policy = *policy;
            rule.purpose = purpose.into();
            destinations.push((rule.name.clone(), Arc::new(rule)));
        }
    }
    Rules {
        sources: sources.map(|source| (source.name.clone(), source)).into(),
        destinations: destinations.into_iter().collect(),
        ..Rules::default()
    }
}

const POLICIES: [Policy; 4] = [
    Policy::All,
    Policy::WithConsent,
    Policy::OptIn,
    Policy::DoubleOptIn,
];

impl<'a> Book<'a> {
    pub fn new(rules: &'a Rules) -> Self {
        Self {
            rules,
            terms: Terms {
                click_grace: Duration::from_secs(GRACE.unsigned_abs()),
                ..Terms::default()
            },
            entries: Vec::new(),
            actions: BTreeSet::new(),
            planned: 0,
        }
    }

    /// Processes a message. `number` identifies it, in whatever order it arrives.
    pub fn take(&mut self, source: &str, event: &Event, number: usize) -> Plan {
        if let Some(page) = &event.page
            && let Some(org) = &page.org
            && self.rules.is_own("default", &event.namespace, &org.external_id)
        {
            let page = page_key(&event.namespace, &page.external_id);
            self.terms.own_pages.insert(page);
        }
        let is_meant = |entry: &mut Entry| {
            event
                .identities
                .iter()
                .any(|name| entry.identities.contains(name))
        };
        let found: Vec<Entry> = self.entries.extract_if(.., is_meant).collect();
        let action_is_known = event
            .action
            .as_ref()
            .filter(|_| !event.kind.is_confirmation())
            .is_some_and(|action| !self.actions.insert(action.external_id.clone()));
        let given = |rule: &DestinationRule| {
            let mut all: Vec<Given> = Vec::new();
            for ((name, address), change) in found.iter().flat_map(|entry| &entry.given) {
                if *name == rule.name && !all.iter().any(|given| given.address == *address) {
                    all.push(Given {
                        address: address.clone(),
                        change: *change,
                        is_shared: false,
                        purpose: None,
                        withdrawal_is_open: found.iter().flat_map(|entry| &entry.outbox).any(|row| {
                            row.destination == rule.name
                                && row.state == State::Waiting
                                && row.address.is_some()
                                && row.address == *address
                        }),
                    });
                }
            }
            all
        };
        let contacts: Vec<Contact> = found.iter().map(|entry| entry.contact.clone()).collect();
        let known = Known {
            contacts: &contacts,
            action_is_known,
            terms: &self.terms,
            given: &given,
            shared: &[],
            knows: &|_| false,
            has_new_id: false,
            is_named: &|| true,
            is_flooded: &|| false,
            last_hour: &|_| None,
            about: &About::default,
        };
        let plan = plan(&Case {
            source,
            workspace: "default",
            event,
            known: &known,
            rules: self.rules,
            now: at(2_000_000),
            arrival: i64::try_from(number).unwrap(),
        });
        self.write(found, event, &plan);
        plan
    }

    fn write(&mut self, found: Vec<Entry>, event: &Event, plan: &Plan) {
        let Some(contact) = &plan.contact else {
            self.entries.extend(found);
            return;
        };
        let mut entry = Entry {
            contact: contact.clone(),
            identities: event.identities.iter().cloned().collect(),
            ..Entry::default()
        };
        for known in found {
            entry.identities.extend(known.identities);
            entry.ledger.extend(known.ledger);
            entry.outbox.extend(known.outbox);
            entry.given.extend(known.given);
        }
        entry.outbox.sort_by_key(|row| row.number);
        for fact in &plan.consent {
            let page = match &fact.what {
                causeway_core::consent::What::DoubleOptInOnPage { page } => page.clone(),
                _ => String::new(),
            };
            let at = fact.at.as_millisecond();
            entry
                .ledger
                .insert((fact.purpose.clone(), fact.what.as_str(), page, at));
        }
        for planned in &plan.deliveries {
            self.planned += 1;
            entry.outbox.push(Row {
                number: self.planned,
                destination: planned.destination.clone(),
                kind: planned.kind,
                address: planned.address.clone(),
                state: match planned.gate {
                    Gate::Send => State::Waiting,
                    Gate::Skip { .. } => State::Skipped,
                },
            });
        }
        self.entries.push(entry);
    }

    pub fn consent_state(&self, contact: &Contact, purpose: &str) -> ConsentState {
        contact.consent_state(purpose, &self.terms)
    }

    /// Claims the row if it waits and no earlier row for the same destination does. Checks the gate, and ends
    /// the row.
    pub fn claim(&mut self, entry: usize, row: usize) -> Option<Row> {
        let Entry { outbox, contact, .. } = &self.entries[entry];
        let claimed = &outbox[row];
        let is_behind = |earlier: &Row| {
            earlier.state == State::Waiting
                && earlier.destination == claimed.destination
                && claimed.kind != Kind::Withdrawal
        };
        let waits_behind = outbox[..row].iter().any(is_behind);
        if claimed.state != State::Waiting || waits_behind {
            return None;
        }
        let rule = &self.rules.destinations[&claimed.destination];
        let address = claimed.address.clone().or_else(|| contact.address());
        let consent_state = contact.consent_state_at(&rule.purpose, address.as_deref(), &self.terms);
        let gate = rule.gate(claimed.kind, consent_state, contact.gave_data);
        if gate == Gate::Send {
            let place = (claimed.destination.clone(), address.clone());
            let change = rule.change(claimed.kind, consent_state);
            let given = &mut self.entries[entry].given;
            if place.1.is_some() {
                given.remove(&(place.0.clone(), None));
            }
            given.insert(place, change);
        }
        let row = &mut self.entries[entry].outbox[row];
        row.state = match gate {
            Gate::Send => State::Delivered,
            Gate::Skip { .. } => State::HeldBack,
        };
        if row.state == State::Delivered {
            row.address = address;
        }
        Some(row.clone())
    }
}
