//! A contact book in memory that does what the store does: finds and merges contacts, and remembers actions
//! and pages.

use std::collections::{BTreeMap, BTreeSet};
use std::{sync::Arc, time::Duration};

use causeway_core::{
    consent::{Change, ConsentFact, ConsentState, Policy, Terms, page_key},
    contact::{Contact, Identity},
    event::{Decoded, Event},
    id::Name,
    plan::{About, Case, Given, Known, Plan, Planned, plan},
    rules::{DestinationRule, Gate, Rules, SourceRule},
};
use serde_json::Value;

use crate::message::{OWN_ORG, at, decoder, read};

pub const POLICIES: [Policy; 4] = [
    Policy::All,
    Policy::WithConsent,
    Policy::OptIn,
    Policy::DoubleOptIn,
];

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entry {
    pub contact: Contact,
    pub identities: BTreeSet<Identity>,
    /// The facts of the ledger, each with its time.
    pub ledger: BTreeSet<(String, i64)>,
    /// By destination and address.
    pub given: BTreeMap<(Name, Option<String>), Change>,
}

/// Everything that must not depend on the order of arrival: identities → contact, consent state, ledger.
pub type State = BTreeMap<Vec<Identity>, (Value, ConsentState, BTreeSet<(String, i64)>)>;

pub struct Book {
    pub rules: Rules,
    pub terms: Terms,
    pub entries: Vec<Entry>,
    actions: BTreeSet<String>,
}

impl Book {
    /// A book with one destination for each policy, named after it.
    pub fn new() -> Self {
        let source = SourceRule {
            name: "queue".into(),
            workspace: "default".into(),
            own_orgs: [OWN_ORG.to_string()].into(),
            namespace: "proca".into(),
        };
        let destinations = POLICIES.map(|policy| {
            let mut rule = DestinationRule::new(policy.as_str());
            rule.policy = policy;
            (rule.name.clone(), Arc::new(rule))
        });
        Self {
            rules: Rules {
                sources: [(source.name.clone(), source)].into(),
                destinations: destinations.into(),
                ..Rules::default()
            },
            // No grace period: other tests check how soon a click may follow an opt-out.
            terms: Terms {
                click_grace: Duration::ZERO,
                ..Terms::default()
            },
            entries: Vec::new(),
            actions: BTreeSet::new(),
        }
    }

    /// Decodes with the usual decoder, and takes the event in if there is one.
    pub fn take_json(&mut self, body: &Value) -> Option<Plan> {
        match read(&decoder(), body) {
            Decoded::Event(event) | Decoded::Partial { event, .. } => Some(self.take(&event)),
            Decoded::Parts(_) | Decoded::Skip { .. } | Decoded::Dead { .. } => None,
        }
    }

    #[expect(clippy::too_many_lines, reason = "all that a store knows before an event")]
    pub fn take(&mut self, event: &Event) -> Plan {
        if let Some(page) = &event.page
            && let Some(org) = &page.org
            && self.rules.is_own("default", &event.namespace, &org.external_id)
        {
            self.terms
                .own_pages
                .insert(page_key(&event.namespace, &page.external_id));
        }
        let is_meant = |entry: &Entry| {
            event
                .identities
                .iter()
                .any(|identity| entry.identities.contains(identity))
        };
        let (found, others): (Vec<Entry>, Vec<Entry>) =
            std::mem::take(&mut self.entries).into_iter().partition(is_meant);
        self.entries = others;
        let contacts: Vec<Contact> = found.iter().map(|entry| entry.contact.clone()).collect();
        let mut entry = Entry::default();
        for known in found {
            entry.identities.extend(known.identities);
            entry.ledger.extend(known.ledger);
            entry.given.extend(known.given);
        }
        let action_is_known = event
            .action
            .as_ref()
            .filter(|_| !event.kind.is_confirmation())
            .is_some_and(|action| !self.actions.insert(action.external_id.clone()));
        let given = entry.given.clone();
        let known = Known {
            contacts: &contacts,
            action_is_known,
            terms: &self.terms,
            given: &|rule| {
                given
                    .iter()
                    .filter(|((name, _), _)| *name == rule.name)
                    .map(|((_, address), change)| Given {
                        address: address.clone(),
                        change: *change,
                        withdrawal_is_open: false,
                        is_shared: false,
                        purpose: None,
                    })
                    .collect()
            },
            shared: &[],
            knows: &|_| false,
            has_new_id: false,
            is_named: &|| true,
            is_flooded: &|| false,
            last_hour: &|_| None,
            about: &About::default,
        };
        let plan = plan(&Case {
            source: "queue",
            workspace: "default",
            event,
            known: &known,
            rules: &self.rules,
            now: at(2_000_000),
            arrival: 0,
        });
        if let Some(contact) = &plan.contact {
            entry.contact = contact.clone();
            entry.identities.extend(event.identities.iter().cloned());
            entry.ledger.extend(plan.consent.iter().map(ledger_line));
            for delivery in plan
                .deliveries
                .iter()
                .filter(|delivery| delivery.gate == Gate::Send)
            {
                let rule = self.rules.destinations.get(&delivery.destination).unwrap();
                let address = delivery.address.clone().or_else(|| contact.address());
                let consent_state = contact.consent_state_at(&rule.purpose, address.as_deref(), &self.terms);
                let change = rule.change(delivery.kind, consent_state);
                entry
                    .given
                    .insert((Name::clone(&delivery.destination), address), change);
            }
            self.entries.push(entry);
        }
        plan
    }

    pub fn consent_state(&self, identity: &Identity) -> Option<ConsentState> {
        let entry = self
            .entries
            .iter()
            .find(|entry| entry.identities.contains(identity))?;
        Some(self.consent_state_of(&entry.contact))
    }

    pub fn consent_state_of(&self, contact: &Contact) -> ConsentState {
        contact.consent_state("email", &self.terms)
    }

    pub fn state(&self) -> State {
        self.entries
            .iter()
            .map(|entry| {
                let contact = serde_json::to_value(&entry.contact).unwrap();
                let consent_state = self.consent_state_of(&entry.contact);
                let names = entry.identities.iter().cloned().collect();
                (names, (contact, consent_state, entry.ledger.clone()))
            })
            .collect()
    }
}

fn ledger_line(fact: &ConsentFact) -> (String, i64) {
    (format!("{:?}", fact.what), fact.at.as_millisecond())
}

/// The planned deliveries, with `-` for a skip: `"all:record double_opt_in:- …"`.
pub fn deliveries(plan: &Plan) -> String {
    let word = |delivery: &Planned| match delivery.gate {
        Gate::Send => format!("{}:{}", delivery.destination, delivery.kind.as_str()),
        Gate::Skip { .. } => format!("{}:-", delivery.destination),
    };
    plan.deliveries.iter().map(word).collect::<Vec<_>>().join(" ")
}
