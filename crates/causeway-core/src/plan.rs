//! What an event changes and what has to be sent because of it. Pure.

use jiff::Timestamp;

use crate::{
    consent::{ConsentFact, OwnPages, Standing},
    contact::{Contact, millis},
    delivery::Kind,
    event::{Event, EventKind},
    id::Name,
    rules::{DestinationRule, Gate, Rules},
};

/// What is known before the event.
pub struct Known<'a> {
    /// Every contact that one of the event's identities names; more than one when they turn out to be the
    /// same person. Empty when nobody is known.
    pub contacts: &'a [Contact],
    /// Whether the event's action was seen before.
    pub action_is_known: bool,
    /// Our pages, including what this event teaches.
    pub own_pages: &'a OwnPages,
    /// Whether this destination was ever given the contact, or is about to be.
    pub was_given: &'a dyn Fn(&DestinationRule) -> bool,
}

/// What to write, all of it in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The contact afterwards; `None` when the event is about nobody.
    pub contact: Option<Contact>,
    pub contact_changed: bool,
    /// For the ledger: the facts that are not the newest of their sort already. Older ones come, too, although
    /// they do not change the state, so that the ledger is complete in whatever order messages arrive.
    pub consent: Vec<ConsentFact>,
    pub deliveries: Vec<Planned>,
    /// What was decided about consent, in words for the trace.
    pub decision: String,
}

/// A delivery row to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    pub destination: Name,
    pub kind: Kind,
    /// `Skip` makes a row, too: the trace shows why nothing was sent.
    pub gate: Gate,
}

/// Decides. `now` is when it is processed.
pub fn plan(
    source: &str,
    workspace: &str,
    event: &Event,
    known: &Known<'_>,
    rules: &Rules,
    _now: Timestamp,
) -> Plan {
    if event.identities.is_empty() {
        return Plan {
            contact: None,
            contact_changed: false,
            consent: Vec::new(),
            deliveries: Vec::new(),
            decision: "about no person".to_owned(),
        };
    }
    let (mut contact, mut changed) = merged(known.contacts);
    let mut ledger = Vec::new();
    changed |= contact.set_fields(&event.fields, event.fields_time());
    for fact in &event.consent {
        let consent = contact.consent.entry(fact.purpose.clone()).or_default();
        if consent.newest(&fact.what) == Some(millis::floor(fact.at)) {
            continue;
        }
        changed |= consent.add(&fact.what, fact.at);
        ledger.push(fact.clone());
    }
    let gives_data = event.kind == EventKind::ContactSync
        || event.action.as_ref().is_some_and(|action| action.with_consent);
    if gives_data && event.kind != EventKind::EmailStatus && !contact.gave_data {
        contact.gave_data = true;
        changed = true;
    }

    let kind = delivery_kind(event, known, changed);
    let deliveries = rules
        .destinations_of(workspace)
        .filter_map(|rule| {
            let routed = event.deliver && rule.filter.matches(source, event);
            plan_delivery(rule, kind.filter(|_| routed), &contact, known)
        })
        .collect();
    let decision = decision(&contact, known, event);
    Plan {
        contact: Some(contact),
        contact_changed: changed,
        consent: ledger,
        deliveries,
        decision,
    }
}

/// One contact out of all that were found, and whether that is a change.
fn merged(contacts: &[Contact]) -> (Contact, bool) {
    let mut all = contacts.iter().cloned();
    let Some(mut contact) = all.next() else {
        return (Contact::default(), true);
    };
    let merges = contacts.len() > 1;
    for other in all {
        contact.join(other);
    }
    (contact, merges)
}

/// What there is to tell; `None` when it is a repeat that says nothing new.
fn delivery_kind(event: &Event, known: &Known<'_>, changed: bool) -> Option<Kind> {
    match event.kind {
        EventKind::Action if !known.action_is_known => Some(Kind::Record),
        EventKind::ContactSync => Some(Kind::Record),
        EventKind::Action
        | EventKind::EmailStatus
        | EventKind::Engagement
        | EventKind::Response
        | EventKind::Schedule => changed.then_some(Kind::Contact),
        EventKind::CampaignUpdated => None,
    }
}

fn plan_delivery(
    rule: &DestinationRule,
    kind: Option<Kind>,
    after: &Contact,
    known: &Known<'_>,
) -> Option<Planned> {
    let standing = |contact: &Contact| standing(contact, &rule.purpose, known.own_pages);
    let allowed_before = known
        .contacts
        .iter()
        .any(|contact| rule.policy.allows(standing(contact), contact.gave_data));
    let now = standing(after);
    let allowed_now = rule.policy.allows(now, after.gave_data);
    // Who was given the person must hear that they said no, whatever campaign they said it in.
    let withdraws = allowed_before && !allowed_now && (kind.is_some() || (known.was_given)(rule));
    let kind = if withdraws { Kind::Withdrawal } else { kind? };
    let gate = rule.gate(kind, now, after.gave_data);
    Some(Planned {
        destination: rule.name.clone(),
        kind,
        gate,
    })
}

fn standing(contact: &Contact, purpose: &str, own_pages: &OwnPages) -> Standing {
    contact
        .consent
        .get(purpose)
        .map_or(Standing::Unknown, |consent| consent.standing(own_pages))
}

fn decision(after: &Contact, known: &Known<'_>, event: &Event) -> String {
    let purposes: std::collections::BTreeSet<&str> =
        event.consent.iter().map(|fact| fact.purpose.as_str()).collect();
    if purposes.is_empty() {
        return "says nothing about consent".to_owned();
    }
    let mut words = Vec::new();
    for purpose in purposes {
        let before: Vec<&str> = known
            .contacts
            .iter()
            .map(|contact| standing(contact, purpose, known.own_pages).as_str())
            .collect();
        let before = if before.is_empty() {
            "nobody known".to_owned()
        } else {
            before.join(" and ")
        };
        let after = standing(after, purpose, known.own_pages).as_str();
        let facts: Vec<String> = event
            .consent
            .iter()
            .filter(|fact| fact.purpose == purpose)
            .map(|fact| format!("{} at {} ({})", fact.what.as_str(), fact.at, fact.basis))
            .collect();
        words.push(format!(
            "{purpose}: {before} → {after}, because of {}",
            facts.join(", ")
        ));
    }
    words.join("; ")
}
