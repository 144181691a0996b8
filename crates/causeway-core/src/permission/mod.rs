//! Whether a destination may be sent a contact, why, since when, and what it was sent last: for people to read.
//!
//! Invariant: it decides nothing. What may be sent follows from [`DestinationRule`] and [`Standing`]; this finds the reason
//! and the fact behind it, and [`words`] says it in one sentence without any value of the contact.

mod evidence;
#[cfg(test)]
mod tests;
mod words;

use jiff::Timestamp;
use serde::Serialize;

pub use evidence::Evidence;
pub use words::{about, day_and_time, fact};

use crate::{
    consent::{EMAIL, Policy, Standing},
    delivery::Kind,
    id::{DeliveryId, InboxId, Name},
    rules::{DestinationRule, Filter, FilterKey, Route, Rules, without_sandbox},
    store::{ContactView, DeliveryRow, GivenRow, MessageRow},
};

/// What is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Any message of the contact, so that a filter counts only if it leaves out all of them.
    Contact,
    /// This message alone.
    Message(InboxId),
}

/// How things are between one contact and one destination.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each answers a question of its own in the JSON of the commands"
)]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Permission {
    pub destination: Name,
    /// All of it, in the words of the person who asks.
    pub sentence: String,
    /// Whether the contact's data may be sent now. An opt-out is sent in any case to a destination that has the contact.
    pub may_be_sent: bool,
    /// What stands against it.
    pub obstacle: Option<Obstacle>,
    pub policy: Policy,
    pub purpose: Name,
    pub consent: Standing,
    /// The fact that the consent state follows from; `None` when nothing was said, or another contact said it.
    pub because: Option<Evidence>,
    /// Whether the state follows from what another contact said who uses the same address.
    pub said_by_another: bool,
    pub has_address: bool,
    pub gave_data: bool,
    /// Sends only what automations ask for.
    pub only_automations: bool,
    /// What was sent, the address in use first.
    pub sent: Vec<Sent>,
    /// What became of the withdrawal, where the destination has not received it.
    pub withdrawal: Option<Withdrawal>,
}

/// In the order in which they count.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Obstacle {
    OtherWorkspace {
        contact: Name,
        destination: Name,
    },
    /// The contact comes from test actions, and the destination takes others.
    TestContact,
    /// The destination takes contacts from test actions only.
    OnlyTestContacts,
    Erasure {
        asked_at: Timestamp,
    },
    Consent,
    Filter {
        key: FilterKey,
        wanted: Vec<String>,
        /// What the message has instead; `None` also when no message of the contact passes.
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
}

/// For each destination of the contact's workspace, those for test contacts included, in the order of their names.
pub fn of_all(view: &ContactView, rules: &Rules, scope: Scope) -> Vec<Permission> {
    let workspace = without_sandbox(&view.workspace);
    rules
        .destinations
        .values()
        .filter(|rule| &*rule.workspace == workspace)
        .map(|rule| of(view, rule, scope))
        .collect()
}

/// For one destination.
pub fn of(view: &ContactView, rule: &DestinationRule, scope: Scope) -> Permission {
    let consent = view
        .standing
        .get(&*rule.purpose)
        .copied()
        .unwrap_or(Standing::Unknown);
    let address = view.contact.address();
    let obstacle = obstacle(view, rule, consent, scope);
    let is_withheld = consent.is_opt_out() || obstacle == Some(Obstacle::Consent);
    let sent = sent(view, rule, address.as_deref());
    let because = evidence::behind(view, &rule.purpose, consent, address.as_deref());
    let mut permission = Permission {
        destination: Name::clone(&rule.name),
        sentence: String::new(),
        may_be_sent: obstacle.is_none(),
        obstacle,
        policy: rule.policy,
        purpose: Name::clone(&rule.purpose),
        consent,
        said_by_another: because.is_none() && consent != Standing::Unknown,
        because,
        has_address: address.is_some() || &*rule.purpose != EMAIL,
        gave_data: view.contact.gave_data,
        only_automations: !rule.takes_all,
        withdrawal: withdrawal(view, rule, &sent).filter(|_| is_withheld),
        sent,
    };
    permission.sentence = words::sentence(&permission);
    permission
}

fn obstacle(view: &ContactView, rule: &DestinationRule, consent: Standing, scope: Scope) -> Option<Obstacle> {
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

/// Messages that were pruned cannot be asked any more, and leave nothing out.
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

/// The newest withdrawal that has not arrived since the destination was sent the contact last.
fn withdrawal(view: &ContactView, rule: &DestinationRule, sent: &[Sent]) -> Option<Withdrawal> {
    let last = sent.first().filter(|sent| sent.row.change.gravity() == 0)?;
    let is_open = |row: &&DeliveryRow| {
        row.destination == rule.name
            && row.kind == Kind::Withdrawal.as_str()
            && row.state != "delivered"
            && row.finished_at.is_none_or(|at| at >= last.row.last_sent)
    };
    let newest = view.deliveries.iter().filter(is_open).max_by_key(|row| row.id)?;
    Some(Withdrawal {
        delivery: newest.id,
        state: newest.state.clone(),
    })
}
