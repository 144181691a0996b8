//! What an event changes, and which deliveries follow. Pure.

mod follow;
mod no_delivery;
mod withdrawal;

use std::{borrow::Cow, collections::BTreeMap};

use jiff::Timestamp;

use crate::{
    automation::{Explained, RunResult, Timer},
    consent::{Change, ConsentFact, EMAIL, Terms, What, of_id},
    contact::{Contact, Identity, normal_email},
    delivery::Kind,
    event::{Action, Campaign, Engagement, Event, EventKind, Page},
    id::{InboxId, Name},
    rules::{DestinationRule, Gate, Rules, Takes},
};

pub use withdrawal::withdrawals;

/// Longest chain of destination responses that may trigger further deliveries. Responses beyond this limit
/// update the contact but cause no deliveries.
pub const MAX_HOPS: u8 = 3;
/// After this many syncs of one contact within an hour, an unchanged one goes only to destinations that never
/// received the contact. Changed syncs count, too. A destination that writes to the platform makes it send
/// the contact again; this limit ends the loop.
pub const MAX_UNCHANGED_SYNCS: u32 = 10;

/// What is known before the event.
pub struct Known<'a> {
    /// Every contact that one of the event's identities names. More than one if they turn out to be the same
    /// person; empty if nobody is known.
    pub contacts: &'a [Contact],
    /// Whether the event's action was seen before.
    pub action_is_known: bool,
    /// How consent is read. This includes own pages that this event makes known.
    pub terms: &'a Terms,
    /// What the destination was sent about these contacts before: one entry for each address.
    pub given: &'a dyn Fn(&DestinationRule) -> Vec<Given>,
    /// The facts of other contacts that use the event's address: a mailbox has one consent.
    pub shared: &'a [ConsentFact],
    /// Whether the contact already has this engagement, with at least as many clicks.
    pub knows: &'a dyn Fn(&Engagement) -> bool,
    /// Whether the event names the person by a platform's id that the contact did not have.
    pub has_new_id: bool,
    /// Whether one of the contacts has an identity other than a visitor.
    pub is_named: &'a dyn Fn() -> bool,
    /// Whether platforms sent the contact [`MAX_UNCHANGED_SYNCS`] times within the last hour.
    pub is_flooded: &'a dyn Fn() -> bool,
    /// The latest hour (since 1970) for which starts of this automation are scheduled, and the number of
    /// starts in it. For `per_hour`.
    pub last_hour: &'a dyn Fn(&str) -> Option<(i64, u32)>,
    /// What expressions can read. Called only if an automation needs it.
    pub about: &'a dyn Fn() -> About,
}

/// A note that a destination was sent a contact under an address. Data counts from the start of the request,
/// because the response may be lost. A withdrawal counts only when it is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The address in its normal form; `None` for a contact without one.
    pub address: Option<String>,
    /// The change that the destination received last for this address.
    pub change: Change,
    /// Whether a withdrawal for this address waits to be sent.
    pub withdrawal_is_open: bool,
    /// Whether other contacts use the address, too.
    pub is_shared: bool,
    /// The destination's purpose at that time, if it has another one now.
    pub purpose: Option<Name>,
}

/// What an event is about, besides the contact.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct About {
    pub inbox_id: Option<InboxId>,
    pub action: Option<Action>,
    pub campaign: Option<Campaign>,
    pub page: Option<Page>,
    /// The engagements before the event. Empty unless an automation asks for it
    /// ([`Rules::asks_for_history`]).
    pub engagements: Vec<Engagement>,
}

/// What to write, all of it in one transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The contact afterwards; `None` if the event is about nobody.
    pub contact: Option<Contact>,
    pub contact_changed: bool,
    /// Whether the address in use changed.
    pub has_moved: bool,
    /// The facts for the ledger, without those that equal the newest known fact of their type. Older facts
    /// are included although they do not change the state, so that the ledger is complete in any order of
    /// arrival.
    pub consent: Vec<ConsentFact>,
    pub deliveries: Vec<Planned>,
    /// Points that the scoring rules gave. They are stored beside the event's own engagements.
    pub scores: Vec<Engagement>,
    pub timers: Vec<Timer>,
    /// Starts to count against `per_hour`: the automation, and the hour since 1970.
    pub admitted: Vec<(Name, i64)>,
    /// Why automations ran or did not; empty if none listens to what happened.
    pub explained: Explained,
    /// The decision about consent, in words for the trace.
    pub decision: String,
}

/// A delivery row to write.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    pub destination: Name,
    pub kind: Kind,
    /// The address that a withdrawal is about; `None` = the one in use when it is sent.
    pub address: Option<String>,
    /// `Skip` makes a row, too, so that the trace shows why nothing was sent.
    pub gate: Gate,
}

/// An event and everything that is known when the plan is made.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    pub source: &'a str,
    pub workspace: &'a str,
    pub event: &'a Event,
    pub known: &'a Known<'a>,
    pub rules: &'a Rules,
    /// The time of processing.
    pub now: Timestamp,
    /// The number of the message. It decides between values of the same time.
    pub arrival: i64,
}

/// Makes the plan for an event.
pub fn plan(case: &Case<'_>) -> Plan {
    let Case { event, known, .. } = *case;
    if !event.names_somebody() {
        return Plan {
            decision: "about no person".to_owned(),
            ..Plan::default()
        };
    }
    let before = before(known.contacts);
    let before = before.as_deref();
    let (mut contact, applied) = apply_event(case, before, known.contacts.len() > 1);
    let update_only = update_only_reason(case);
    let sync = Sync::of(case, applied.news || has_other_values(before, &contact));
    let ran = match update_only {
        None => follow::automations(case, before, &mut contact, &applied.ledger, sync != Sync::Flood),
        Some(_) => RunResult::default(),
    };
    let news = applied.news || has_other_values(before, &contact);
    let may_deliver = update_only.is_none() && !is_anonymous(event, &contact);
    let kind = delivery_kind(case, news, sync);
    let origin = event
        .follow_up
        .as_ref()
        .and_then(|row| row.destination.as_deref());
    let deliveries: Vec<Planned> = case
        .rules
        .destinations_of(case.workspace)
        .filter(|rule| origin != Some(&*rule.name))
        .flat_map(|rule| {
            let given = (known.given)(rule);
            let kind = if may_deliver {
                kind_for(case, rule, (kind, sync), &ran, &given)
            } else {
                None
            };
            plan_deliveries(case, rule, kind, &contact, &given)
        })
        .collect();
    let mut decision = decision(&contact, known, event);
    let why = match update_only {
        Some(why) => Some(why.to_owned()),
        None => no_delivery::why(case, &deliveries, sync, may_deliver),
    };
    if let Some(why) = why {
        decision = format!("{decision}; {why}");
    }
    Plan {
        // A merge is written in any case: the rows of the other contacts move.
        contact_changed: known.contacts.len() > 1 || before != Some(&contact),
        has_moved: {
            let address = contact.address();
            known.contacts.iter().any(|known| known.address() != address)
        },
        contact: Some(contact),
        consent: applied.ledger,
        deliveries,
        scores: ran.engagements,
        timers: ran.timers,
        admitted: ran.admitted,
        explained: ran.explained,
        decision,
    }
}

/// The reason for which the event may only update the contact; `None` if it may also trigger automations and
/// deliveries. Withdrawals are sent in any case.
fn update_only_reason(case: &Case<'_>) -> Option<&'static str> {
    let Case { event, rules, .. } = *case;
    if event.via.iter().any(|hub| *hub == *rules.hub) {
        return Some("an echo of what this hub sent: it updates the contact and is not sent");
    }
    let is_late = event.follow_up.as_ref().is_some_and(|row| row.hops > MAX_HOPS);
    is_late.then_some("the chain of responses is too long: it updates the contact and is not sent")
}

/// The contact before the event: all contacts that were found, merged; `None` if there is none.
fn before(contacts: &[Contact]) -> Option<Cow<'_, Contact>> {
    let (first, others) = contacts.split_first()?;
    if others.is_empty() {
        return Some(Cow::Borrowed(first));
    }
    let mut all = first.clone();
    for other in others {
        all.join(other.clone());
    }
    Some(Cow::Owned(all))
}

/// What the event itself changed in the contact.
struct Applied {
    /// Whether something other than field values changed and must be sent to destinations. A newer consent
    /// fact counts, except an opt-in that a platform only repeats.
    news: bool,
    ledger: Vec<ConsentFact>,
}

fn apply_event(case: &Case<'_>, before: Option<&Contact>, merged: bool) -> (Contact, Applied) {
    let event = case.event;
    let mut contact = before.cloned().unwrap_or_default();
    let mut applied = Applied {
        news: before.is_none() || merged || case.known.has_new_id,
        ledger: Vec::new(),
    };
    // A date in the future counts as the date of arrival: it must not outrank messages that arrive before
    // that date.
    let fields_time = event.fields_time().min(case.now);
    let address = event_address(event);
    if let Some(address) = &address {
        contact.add_address(address, fields_time);
        contact.add_address_of(&event.identities, address, fields_time);
    }
    let of_id = event.identities.iter().find(|id| id.is_of_contact()).map(of_id);
    if is_report(event) {
        // A bounce does not show that the person uses the address.
        let (email, others): (BTreeMap<_, _>, BTreeMap<_, _>) = event
            .fields
            .clone()
            .into_iter()
            .partition(|(name, _)| name == "email");
        contact.take_fields(&email, Timestamp::UNIX_EPOCH, case.arrival);
        contact.take_fields(&others, fields_time, case.arrival);
    } else {
        contact.take_fields(&event.fields, fields_time, case.arrival);
    }
    contact.hold_several(event.fields.keys(), &case.rules.multi_value_fields);
    // Add shared facts before the event's own: `add_own_opt_in` stores an opt-in only if another user of the
    // mailbox opted out.
    for fact in case.known.shared {
        let Some(address) = &fact.address else { continue };
        let consent = contact.consent.entry(fact.purpose.clone()).or_default();
        applied.news |= consent.add_shared(&fact.what, fact.at, address);
    }
    for fact in &event.consent {
        let mut fact = fact.clone();
        if fact.purpose == EMAIL && fact.address.is_none() {
            fact.address = address.clone().or_else(|| of_id.clone());
        }
        let consent = contact.consent.entry(fact.purpose.clone()).or_default();
        if consent.holds(&fact.what, fact.at, fact.address.as_deref()) {
            continue;
        }
        let before = contact.consent_state(&fact.purpose, case.known.terms);
        let changed = contact.add_consent(&fact);
        // Each sync repeats the field that allows mail. It is news only if it changes the consent state.
        let renews = event.kind == EventKind::ContactSync
            && fact.what.is_opt_in()
            && contact.consent_state(&fact.purpose, case.known.terms).as_str() == before.as_str();
        applied.news |= changed && !renews;
        applied.ledger.push(fact);
    }
    let gives_data = event.kind == EventKind::ContactSync
        || (event.kind == EventKind::Engagement && event.has_opt_in())
        || event.action.as_ref().is_some_and(|action| action.with_consent);
    let is_theirs = event.kind != EventKind::EmailStatus && !event.kind.is_confirmation();
    if gives_data && is_theirs && !contact.gave_data {
        contact.gave_data = true;
        applied.news = true;
    }
    (contact, applied)
}

/// Whether the event is a report about an address, which does not show that the person uses it.
fn is_report(event: &Event) -> bool {
    let says = |test: fn(&What) -> bool| event.consent.iter().any(|fact| test(&fact.what));
    let is_agreed = says(What::is_click) || says(|what| *what == What::OptIn);
    match event.kind {
        EventKind::EmailStatus => !is_agreed,
        // A person who takes an action uses the address, whatever became of earlier mail to it.
        EventKind::Action => false,
        // Clicking an unsubscribe link does not show that the person uses the address.
        EventKind::Engagement => !is_agreed && says(What::is_opt_out),
        _ => !is_agreed && says(What::is_suppression),
    }
}

/// The address that the event is about, in its normal form.
pub fn event_address(event: &Event) -> Option<String> {
    let of_identity = event.identities.iter().find_map(|identity| match identity {
        Identity::Email { address } => Some(address.clone()),
        _ => None,
    });
    let of_field = || event.fields.get("email")?.as_str().and_then(normal_email);
    of_identity.or_else(of_field)
}

/// Whether only a browser without a known owner is named. No destination can use that.
fn is_anonymous(event: &Event, contact: &Contact) -> bool {
    event.identities.iter().all(Identity::is_visitor)
        && !contact.gave_data
        && !contact.fields.contains_key("email")
}

/// Whether a field has another value than before.
fn has_other_values(before: Option<&Contact>, after: &Contact) -> bool {
    before.is_none_or(|before| {
        after
            .fields
            .iter()
            .any(|(name, field)| before.has_other_value(name, &field.value))
    })
}

/// Whether the event is a platform's contact, and whether it says anything new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sync {
    /// The event is no platform's contact.
    No,
    /// It says something new.
    News,
    /// It says nothing new. The fact that it was sent may matter: an automation of the platform ran again.
    Unchanged,
    /// It says nothing new and is a row of a file: nothing happened to the person.
    Row,
    /// It says nothing new, and there were already [`MAX_UNCHANGED_SYNCS`] syncs within the hour. Changed
    /// syncs count, too.
    Flood,
}

impl Sync {
    fn of(case: &Case<'_>, is_news: bool) -> Self {
        let Case { event, known, .. } = *case;
        if event.kind != EventKind::ContactSync {
            return Self::No;
        }
        let is_news = is_news || event.engagements.iter().any(|row| !(known.knows)(row));
        match is_news {
            true => Self::News,
            false if event.imported => Self::Row,
            false if (known.is_flooded)() => Self::Flood,
            false => Self::Unchanged,
        }
    }
}

/// The kind of delivery that the event causes by itself; `None` if it has nothing new or updates a campaign.
fn delivery_kind(case: &Case<'_>, news: bool, sync: Sync) -> Option<Kind> {
    let Case { event, known, .. } = *case;
    match event.kind {
        EventKind::Action if !known.action_is_known => Some(Kind::Record),
        EventKind::ContactSync => (news || sync == Sync::News).then_some(Kind::Record),
        EventKind::CampaignUpdated => None,
        EventKind::SupporterConfirm | EventKind::ActionConfirm => Some(Kind::Record),
        EventKind::Action
        | EventKind::EmailStatus
        | EventKind::Engagement
        | EventKind::Response
        | EventKind::Schedule => news.then_some(Kind::Contact),
    }
}

/// The kind of delivery that this destination gets.
fn kind_for(
    case: &Case<'_>,
    rule: &DestinationRule,
    (kind, sync): (Option<Kind>, Sync),
    ran: &RunResult,
    given: &[Given],
) -> Option<Kind> {
    let event = case.event;
    if rule.takes == Takes::Confirmations {
        let is_asked = event.kind.is_confirmation() && event.action.is_some();
        return kind.filter(|_| is_asked && rule.filter.matches(case.source, event));
    }
    if ran.deliveries.iter().any(|(name, _)| *name == rule.name) {
        let other = if sync == Sync::No {
            Kind::Contact
        } else {
            Kind::Record
        };
        return Some(kind.unwrap_or(other));
    }
    if rule.takes == Takes::Automations || !event.deliver || !rule.filter.matches(case.source, event) {
        return None;
    }
    let is_due = match sync {
        Sync::Unchanged if rule.takes == Takes::All => true,
        // An unchanged contact is sent to destinations that never received it.
        Sync::News | Sync::Unchanged | Sync::Row | Sync::Flood => given.is_empty(),
        Sync::No => false,
    };
    kind.or_else(|| is_due.then_some(Kind::Record))
}

/// Plans the deliveries to one destination. Withdrawals come first, so that they do not wait for the rest.
fn plan_deliveries(
    case: &Case<'_>,
    rule: &DestinationRule,
    kind: Option<Kind>,
    after: &Contact,
    given: &[Given],
) -> Vec<Planned> {
    let known = case.known;
    let consent_state = |contact: &Contact| contact.consent_state(&rule.purpose, known.terms);
    let allowed = |contact: &Contact| rule.policy.allows(consent_state(contact), contact.gave_data);
    let mut planned = withdrawals(rule, known.contacts, known.terms, after, known.terms, given);
    let in_use = after.address();
    let now = consent_state(after);
    let gate = |kind: Kind| {
        let is_opt_out_here = |fact: &ConsentFact| *fact.purpose == *rule.purpose && fact.what.is_opt_out();
        let is_opt_out = now.is_opt_out() && case.event.consent.iter().any(is_opt_out_here);
        if kind != Kind::Withdrawal && is_opt_out && rule.cannot_receive_withdrawal(now) {
            return Gate::Skip {
                reason: "consent: the message is an opt-out, which this destination's payload would not show"
                    .to_owned(),
            };
        }
        rule.gate(kind, now, after.gave_data)
    };
    if planned.iter().any(|planned| planned.address == in_use) {
        // At a destination whose policy ignores opt-outs, an action or a platform's contact is sent after the
        // withdrawal.
        if kind == Some(Kind::Record) && rule.policy.allows(now, after.gave_data) {
            planned.push(Planned::now(rule, Kind::Record, gate(Kind::Record)));
        }
        return planned;
    }
    // A destination that was never given the person may know them from a time before this hub.
    let is_unknown_there = !given.iter().any(|given| given.address == in_use);
    let withdraws = is_unknown_there && known.contacts.iter().any(allowed) && !allowed(after);
    let kind = match kind {
        Some(_) if withdraws => Some(Kind::Withdrawal),
        // Some destinations keep one row for each person. The withdrawal wrote a former address to it; this
        // delivery restores the one in use.
        None if !planned.is_empty() && allowed(after) => Some(Kind::Contact),
        kind => kind,
    };
    planned.extend(kind.map(|kind| Planned::now(rule, kind, gate(kind))));
    planned
}

impl Planned {
    /// A delivery for the address in use.
    fn now(rule: &DestinationRule, kind: Kind, gate: Gate) -> Self {
        Self {
            destination: rule.name.clone(),
            kind,
            address: None,
            gate,
        }
    }
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
            .map(|contact| contact.consent_state(purpose, known.terms).as_str())
            .collect();
        let before = if before.is_empty() {
            "no contact".to_owned()
        } else {
            before.join(" and ")
        };
        let after = after.consent_state(purpose, known.terms).as_str();
        let facts: Vec<String> = event
            .consent
            .iter()
            .filter(|fact| fact.purpose == purpose)
            .map(|fact| format!("{} at {} ({})", fact.what.as_str(), fact.at, fact.basis))
            .collect();
        let facts = facts.join(", ");
        words.push(if before == after {
            format!("{purpose}: stays {after}, with {facts}")
        } else {
            format!("{purpose}: {before} → {after}, because of {facts}")
        });
    }
    words.join("; ")
}

#[cfg(test)]
mod tests;
