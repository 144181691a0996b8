//! Explains to people whether a destination may be sent a contact, why, since when, and what it was sent
//! last.
//!
//! Invariant: this module decides nothing. [`DestinationRule`] and [`ConsentState`] decide what may be sent; this
//! module finds the reason and the fact behind it, and [`words`] makes a sentence of them.
//!
//! Invariant: the only values of the contact in a sentence are addresses, shown as the [`Reader`] may see
//! them.

mod evidence;
#[cfg(test)]
mod tests;
mod withdrawals;
mod words;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

pub use evidence::Evidence;
pub use words::{about, day_and_time, fact};

use crate::{
    consent::{ConsentState, EMAIL, Policy},
    id::{DeliveryId, InboxId, Name},
    rules::{DestinationRule, Filter, FilterKey, Route, Rules, Takes, without_sandbox},
    store::{ContactView, GivenRow, MessageRow},
};

/// What the question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Any message of the contact. A filter counts only if it excludes all of them.
    Contact,
    /// This message alone.
    Message(InboxId),
}

/// The reader of the sentences.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// The address in the question, in its normal form. A sentence leaves this address out and names any
    /// other.
    pub asked: Option<&'a str>,
    /// How an address is shown: in clear or masked.
    pub show: fn(&str) -> String,
}

/// The situation between one contact and one destination.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each answers a question of its own in the JSON of the commands"
)]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Permission {
    pub destination: Name,
    /// The whole explanation, for the person who asks.
    pub sentence: String,
    /// Whether the contact's data may be sent now. A destination that has the contact is sent an opt-out in
    /// any case.
    pub may_be_sent: bool,
    /// The obstacle, if there is one.
    pub obstacle: Option<Obstacle>,
    pub policy: Policy,
    pub purpose: Name,
    pub consent: ConsentState,
    /// The fact that the consent state follows from; `None` if there are no facts.
    pub because: Option<Evidence>,
    /// The first opt-out, if it was repeated.
    pub first: Option<Evidence>,
    /// Whether the state follows from a fact of another contact with the same address.
    pub said_by_another: bool,
    pub has_address: bool,
    pub gave_data: bool,
    /// Whether only automations send to the destination.
    pub only_automations: bool,
    /// What was sent, beginning with the address in use.
    pub sent: Vec<Sent>,
    /// Withdrawals that the destination has not received, oldest first.
    pub withdrawals: Vec<Withdrawal>,
}

/// Reasons against sending, in the order of their precedence.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Obstacle {
    /// The destination is no longer in the configuration, but still has the contact.
    NotConfigured,
    OtherWorkspace {
        contact: Name,
        destination: Name,
    },
    /// The contact comes from test actions, which the destination does not take.
    TestContact,
    /// The destination takes only contacts from test actions.
    OnlyTestContacts,
    Erasure {
        asked_at: Timestamp,
    },
    Consent,
    Filter {
        key: FilterKey,
        wanted: Vec<String>,
        /// The message's value instead. `None` if the message has none, or if the question is about the whole
        /// contact.
        found: Option<String>,
        of_one_message: bool,
    },
}

/// What a destination was sent for one address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sent {
    #[serde(flatten)]
    pub row: GivenRow,
    pub in_use: bool,
}

/// A withdrawal that the destination has not received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Withdrawal {
    pub delivery: DeliveryId,
    pub state: String,
    /// The address that it is about; `None` for a contact without one.
    pub address: Option<String>,
    /// Whether a person has to update the destination.
    pub by_hand: bool,
    /// Whether consent allows the contact again, so that the withdrawal need not be sent.
    pub is_void: bool,
    /// Why it ended, if it did.
    pub reason: Option<String>,
}

/// Explains each destination of the contact's workspace, including those for test contacts, sorted by name.
/// Then follow the destinations that are no longer in the configuration and still have the contact.
pub fn of_all(view: &ContactView, rules: &Rules, scope: Scope, reader: Reader<'_>) -> Vec<Permission> {
    let workspace = without_sandbox(&view.workspace);
    let mut all: Vec<Permission> = rules
        .destinations
        .values()
        .filter(|rule| &*rule.workspace == workspace && rule.takes != Takes::Confirmations)
        .map(|rule| of(view, rule, scope, reader))
        .collect();
    all.extend(left(view, rules).into_iter().map(|name| {
        let rule = DestinationRule::new(name);
        judged(view, &rule, Some(Obstacle::NotConfigured), reader)
    }));
    all
}

/// Destinations that are no longer in the configuration and still have the contact.
fn left<'a>(view: &'a ContactView, rules: &Rules) -> BTreeSet<&'a str> {
    let is_known = |name: &Name| {
        rules.destinations.contains_key(name)
            || rules
                .destinations
                .values()
                .any(|rule| rule.renamed_from.as_ref() == Some(name))
    };
    view.given
        .iter()
        .filter(|row| row.change.gravity() == 0 && !is_known(&row.destination))
        .map(|row| &*row.destination)
        .collect()
}

/// Explains one destination.
pub fn of(view: &ContactView, rule: &DestinationRule, scope: Scope, reader: Reader<'_>) -> Permission {
    let consent = consent_state(view, rule);
    judged(view, rule, obstacle(view, rule, consent, scope), reader)
}

fn judged(
    view: &ContactView,
    rule: &DestinationRule,
    obstacle: Option<Obstacle>,
    reader: Reader<'_>,
) -> Permission {
    let consent = consent_state(view, rule);
    let address = view.contact.address();
    let is_withheld = consent.is_opt_out() || obstacle == Some(Obstacle::Consent);
    let sent = sent(view, rule, address.as_deref());
    let behind = evidence::behind(view, &rule.purpose, consent, address.as_deref());
    let mut permission = Permission {
        destination: Name::clone(&rule.name),
        sentence: String::new(),
        may_be_sent: obstacle.is_none(),
        obstacle,
        policy: rule.policy,
        purpose: Name::clone(&rule.purpose),
        consent,
        because: behind.because,
        first: behind.first,
        said_by_another: behind.said_by_another,
        has_address: address.is_some() || &*rule.purpose != EMAIL,
        gave_data: view.contact.gave_data,
        only_automations: rule.takes == Takes::Automations,
        withdrawals: withdrawals::open(view, rule, &sent, is_withheld || view.erasing_since.is_some()),
        sent,
    };
    permission.sentence = words::sentence(&permission, &Names::new(view, reader));
    permission
}

fn consent_state(view: &ContactView, rule: &DestinationRule) -> ConsentState {
    let known = view.consent_state.get(&*rule.purpose);
    known.copied().unwrap_or(ConsentState::Unknown)
}

fn obstacle(
    view: &ContactView,
    rule: &DestinationRule,
    consent: ConsentState,
    scope: Scope,
) -> Option<Obstacle> {
    let workspace = without_sandbox(&view.workspace);
    if workspace != &*rule.workspace {
        return Some(Obstacle::OtherWorkspace {
            contact: workspace.into(),
            destination: Name::clone(&rule.workspace),
        });
    }
    let is_test_contact = workspace != &*view.workspace;
    if is_test_contact && !rule.sandbox {
        return Some(Obstacle::TestContact);
    }
    if rule.sandbox && !is_test_contact {
        return Some(Obstacle::OnlyTestContacts);
    }
    if let Some(asked_at) = view.erasing_since {
        return Some(Obstacle::Erasure { asked_at });
    }
    if !rule.policy.allows(consent, view.contact.gave_data) {
        return Some(Obstacle::Consent);
    }
    filtered(view, &rule.filter, scope)
}

/// The filter as an obstacle. Pruned messages cannot be checked any more, so only the others count.
fn filtered(view: &ContactView, filter: &Filter, scope: Scope) -> Option<Obstacle> {
    let misses = |message: &MessageRow| {
        let miss = filter.miss(Route {
            source: &message.source,
            campaign: message.campaign.as_deref(),
            action_type: message.action_type.as_deref(),
            event: message.event.as_deref().unwrap_or_default(),
        })?;
        Some(Obstacle::Filter {
            key: miss.key,
            wanted: miss.wanted.iter().cloned().collect(),
            found: miss.found.map(str::to_owned).filter(|_| scope != Scope::Contact),
            of_one_message: scope != Scope::Contact,
        })
    };
    match scope {
        Scope::Message(id) => misses(view.message(id)?),
        Scope::Contact => {
            let all: Option<Vec<Obstacle>> = view.messages.iter().map(misses).collect();
            all?.into_iter().next_back()
        }
    }
}

fn sent(view: &ContactView, rule: &DestinationRule, in_use: Option<&str>) -> Vec<Sent> {
    let mut sent: Vec<Sent> = view
        .given
        .iter()
        .filter(|row| row.destination == rule.name)
        .map(|row| Sent {
            in_use: row.address == in_use.unwrap_or_default(),
            row: row.clone(),
        })
        .collect();
    sent.sort_by_key(|sent| (!sent.in_use, std::cmp::Reverse(sent.row.last_sent)));
    sent
}

/// The names of the addresses of one contact.
struct Names<'a> {
    reader: Reader<'a>,
    in_use: Option<String>,
    has_several: bool,
}

impl<'a> Names<'a> {
    fn new(view: &ContactView, reader: Reader<'a>) -> Self {
        let in_use = view.contact.address();
        let given = view.given.iter().map(|row| row.address.as_str());
        let withdrawn = view.deliveries.iter().filter_map(|row| row.address.as_deref());
        let all: BTreeSet<&str> = given
            .chain(withdrawn)
            .chain(in_use.as_deref())
            .chain(reader.asked)
            .filter(|address| !address.is_empty())
            .collect();
        Self {
            has_several: all.len() > 1,
            in_use,
            reader,
        }
    }

    /// ` for ann@example.org`. Empty if there is no other address to confuse it with, and for the address in
    /// the question.
    fn of(&self, address: &str) -> String {
        if !self.has_several || address.is_empty() || self.reader.asked == Some(address) {
            return String::new();
        }
        format!(" for {}", self.show(address))
    }

    fn show(&self, address: &str) -> String {
        (self.reader.show)(address)
    }

    fn of_one_in_use(&self) -> String {
        self.of(self.in_use.as_deref().unwrap_or_default())
    }
}
