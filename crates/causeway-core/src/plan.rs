//! What an event changes and what has to be sent because of it. Pure.

mod follow;
mod nothing;
mod withdrawal;

use std::{borrow::Cow, collections::BTreeMap};

use jiff::Timestamp;

use crate::{
    automation::{Explained, Ran, Timer},
    consent::{Change, ConsentFact, EMAIL, Terms, What, of_id},
    contact::{Contact, Identity, normal_email},
    delivery::Kind,
    event::{Action, Campaign, Engagement, Event, EventKind, Page},
    id::{InboxId, Name},
    rules::{DestinationRule, Gate, Rules, Takes},
};

pub use withdrawal::withdrawals;

/// So many answers may follow from one another; what comes after is taken in and told to nobody.
pub const MOST_HOPS: u8 = 3;
/// The most contacts that a platform may send of one person in an hour without saying anything new, and have them passed on: a
/// destination that writes to the platform makes it send the contact again, and that must end.
pub const MOST_UNCHANGED_SYNCS: u32 = 10;

/// What is known before the event.
pub struct Known<'a> {
    /// Every contact that one of the event's identities names; more than one when they turn out to be the
    /// same person. Empty when nobody is known.
    pub contacts: &'a [Contact],
    /// Whether the event's action was seen before.
    pub action_is_known: bool,
    /// How consent is read, including the pages of ours that this event teaches.
    pub terms: &'a Terms,
    /// What this destination was given of the contacts, an entry for each address.
    pub given: &'a dyn Fn(&DestinationRule) -> Vec<Given>,
    /// What other contacts said who use the event's address: a mailbox has one consent.
    pub shared: &'a [ConsentFact],
    /// Whether the contact has this engagement already, with no fewer clicks.
    pub knows: &'a dyn Fn(&Engagement) -> bool,
    /// Whether the event names its person by an id of a platform that the contact did not have.
    pub has_new_id: bool,
    /// Whether one of the contacts is known by more than a browser.
    pub is_named: &'a dyn Fn() -> bool,
    /// Whether platforms sent the contact [`MOST_UNCHANGED_SYNCS`] times within the last hour.
    pub is_flooded: &'a dyn Fn() -> bool,
    /// The newest hour that an automation was admitted to (hours since 1970), and how often.
    pub last_hour: &'a dyn Fn(&str) -> Option<(i64, u32)>,
    /// What expressions may ask for; asked only when an automation does.
    pub about: &'a dyn Fn() -> About,
}

/// That a destination was given a contact under an address. From the moment at which a request starts: its answer may be
/// lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// In its normal form; `None` for a contact without one.
    pub address: Option<String>,
    /// What the destination received last for this address.
    pub change: Change,
    /// Whether a withdrawal for this address waits to be sent.
    pub withdrawal_is_open: bool,
    /// Whether other contacts use the address, too.
    pub is_shared: bool,
    /// The purpose that the destination had when it was given the contact, if that is another now.
    pub purpose: Option<Name>,
}

/// What an event is about, besides the contact.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct About {
    pub inbox_id: Option<InboxId>,
    pub action: Option<Action>,
    pub campaign: Option<Campaign>,
    pub page: Option<Page>,
    /// Before the event; empty unless an automation asks for it ([`Rules::asks_for_history`]).
    pub engagements: Vec<Engagement>,
}

/// What to write, all of it in one transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The contact afterwards; `None` when the event is about nobody.
    pub contact: Option<Contact>,
    pub contact_changed: bool,
    /// Whether the contact uses another address than before.
    pub has_moved: bool,
    /// For the ledger: the facts that are not the newest of their sort already. Older ones come, too, although
    /// they do not change the state, so that the ledger is complete in whatever order messages arrive.
    pub consent: Vec<ConsentFact>,
    pub deliveries: Vec<Planned>,
    /// Points that our scoring rules gave, to be written beside the event's own engagements.
    pub scores: Vec<Engagement>,
    pub timers: Vec<Timer>,
    /// Automation and hour (since 1970): to be counted.
    pub admitted: Vec<(Name, i64)>,
    /// Why automations ran or did not; empty when none listens to what happened.
    pub explained: Explained,
    /// What was decided about consent, in words for the trace.
    pub decision: String,
}

/// A delivery row to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    pub destination: Name,
    pub kind: Kind,
    /// The address that a withdrawal is about; `None` = the one in use when it is sent.
    pub address: Option<String>,
    /// `Skip` makes a row, too: the trace shows why nothing was sent.
    pub gate: Gate,
}

/// An event and all that is known when it is decided about.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    pub source: &'a str,
    pub workspace: &'a str,
    pub event: &'a Event,
    pub known: &'a Known<'a>,
    pub rules: &'a Rules,
    /// When it is processed.
    pub now: Timestamp,
    /// The number of the message: orders what dates from the same moment.
    pub arrival: i64,
}

/// Decides.
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
    let (mut contact, said) = take_in(case, before, known.contacts.len() > 1);
    let silence = silence(case);
    let sync = Sync::of(case, said.news || has_other_values(before, &contact));
    let ran = match silence {
        None => follow::automations(case, before, &mut contact, &said.ledger, sync != Sync::Flood),
        Some(_) => Ran::default(),
    };
    let news = said.news || has_other_values(before, &contact);
    let is_told = silence.is_none() && !is_anonymous(event, &contact);
    let kind = delivery_kind(case, news, sync).filter(|_| is_told);
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
            let kind = if is_told {
                kind_for(case, rule, (kind, sync), &ran, &given)
            } else {
                None
            };
            plan_deliveries(case, rule, kind, &contact, &given)
        })
        .collect();
    let mut decision = decision(&contact, known, event);
    let why = match silence {
        Some(why) => Some(why.to_owned()),
        None => nothing::why(case, &deliveries, sync, is_told),
    };
    if let Some(why) = why {
        decision = format!("{decision}; {why}");
    }
    Plan {
        contact_changed: said.changed || before != Some(&contact),
        has_moved: {
            let address = contact.address();
            known.contacts.iter().any(|known| known.address() != address)
        },
        contact: Some(contact),
        consent: said.ledger,
        deliveries,
        scores: ran.engagements,
        timers: ran.timers,
        admitted: ran.admitted,
        explained: ran.explained,
        decision,
    }
}

/// Why nothing but knowledge may come of it, if so. Who said no is still withdrawn.
fn silence(case: &Case<'_>) -> Option<&'static str> {
    let Case { event, rules, .. } = *case;
    if event.via.iter().any(|hub| *hub == *rules.hub) {
        return Some("an echo of what this hub sent: it updates the contact and is not sent");
    }
    let is_late = event.follow_up.as_ref().is_some_and(|row| row.hops > MOST_HOPS);
    is_late.then_some("the chain of responses is too long: it updates the contact and is not sent")
}

/// The contact as it was: one out of all that were found, `None` if nobody was.
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

/// What the event itself says.
struct Said {
    /// Whether the document has to be written.
    changed: bool,
    /// Whether more than values of fields is worth telling. A newer date of what was known is not.
    news: bool,
    ledger: Vec<ConsentFact>,
}

fn take_in(case: &Case<'_>, before: Option<&Contact>, merged: bool) -> (Contact, Said) {
    let event = case.event;
    let mut contact = before.cloned().unwrap_or_default();
    let mut said = Said {
        changed: before.is_none() || merged,
        news: before.is_none() || merged || case.known.has_new_id,
        ledger: Vec::new(),
    };
    // What is dated in the future counts from when it came: it must not hide what is said until then.
    let fields_time = event.fields_time().min(case.now);
    let address = event_address(event);
    if let Some(address) = &address {
        said.changed |= contact.add_address(address, fields_time);
        said.changed |= contact.add_address_of(&event.identities, address, fields_time);
    }
    let of_id = event.identities.iter().find(|id| id.is_of_contact()).map(of_id);
    if is_report(event) {
        // A mail that came back does not say that the person uses the address.
        let (email, others): (BTreeMap<_, _>, BTreeMap<_, _>) = event
            .fields
            .clone()
            .into_iter()
            .partition(|(name, _)| name == "email");
        said.changed |= contact.take_fields(&email, Timestamp::UNIX_EPOCH, case.arrival);
        said.changed |= contact.take_fields(&others, fields_time, case.arrival);
    } else {
        said.changed |= contact.take_fields(&event.fields, fields_time, case.arrival);
    }
    said.changed |= contact.hold_several(event.fields.keys(), &case.rules.multi_value_fields);
    for fact in &event.consent {
        let mut fact = fact.clone();
        if fact.purpose == EMAIL && fact.address.is_none() {
            fact.address = address.clone().or_else(|| of_id.clone());
        }
        let consent = contact.consent.entry(fact.purpose.clone()).or_default();
        if consent.holds(&fact.what, fact.at, fact.address.as_deref()) {
            continue;
        }
        let changed = contact.add_consent(&fact);
        said.changed |= changed;
        said.news |= changed;
        said.ledger.push(fact);
    }
    for fact in case.known.shared {
        let Some(address) = &fact.address else { continue };
        let consent = contact.consent.entry(fact.purpose.clone()).or_default();
        let changed = consent.add_shared(&fact.what, fact.at, address);
        said.changed |= changed;
        said.news |= changed;
    }
    let gives_data = event.kind == EventKind::ContactSync
        || (event.kind == EventKind::Engagement && event.says_yes())
        || event.action.as_ref().is_some_and(|action| action.with_consent);
    if gives_data && event.kind != EventKind::EmailStatus && !contact.gave_data {
        contact.gave_data = true;
        said.changed = true;
        said.news = true;
    }
    (contact, said)
}

/// Whether the event says what became of an address, and not that the person uses it.
fn is_report(event: &Event) -> bool {
    let says = |test: fn(&What) -> bool| event.consent.iter().any(|fact| test(&fact.what));
    let is_agreed = says(What::is_click) || says(|what| *what == What::OptIn);
    match event.kind {
        EventKind::EmailStatus => !is_agreed,
        // Who takes part in an action uses the address, whatever became of earlier mail to it.
        EventKind::Action => false,
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

/// A browser that nobody knows the owner of: no destination could do anything with it.
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

/// What a platform's contact is, besides its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sync {
    /// The event is something else.
    No,
    /// It says something new.
    News,
    /// It says nothing new. That it was sent may be what it is about: an automation of the platform fired once more.
    Unchanged,
    /// It says nothing new, and is a row of a file: nothing happened to the person.
    Row,
    /// It says nothing new, as many before it.
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

/// What there is to tell; `None` when it is a repeat that says nothing new.
fn delivery_kind(case: &Case<'_>, news: bool, sync: Sync) -> Option<Kind> {
    let Case { event, known, .. } = *case;
    match event.kind {
        EventKind::Action if !known.action_is_known => Some(Kind::Record),
        EventKind::ContactSync => (news || sync == Sync::News).then_some(Kind::Record),
        EventKind::CampaignUpdated => None,
        EventKind::Action
        | EventKind::EmailStatus
        | EventKind::Engagement
        | EventKind::Response
        | EventKind::Schedule => news.then_some(Kind::Contact),
    }
}

/// What this destination is to be told.
fn kind_for(
    case: &Case<'_>,
    rule: &DestinationRule,
    (kind, sync): (Option<Kind>, Sync),
    ran: &Ran,
    given: &[Given],
) -> Option<Kind> {
    let event = case.event;
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

/// Withdrawals first: they must not wait for what else there is to send.
fn plan_deliveries(
    case: &Case<'_>,
    rule: &DestinationRule,
    kind: Option<Kind>,
    after: &Contact,
    given: &[Given],
) -> Vec<Planned> {
    let known = case.known;
    let standing = |contact: &Contact| contact.standing(&rule.purpose, known.terms);
    let allowed = |contact: &Contact| rule.policy.allows(standing(contact), contact.gave_data);
    let mut planned = withdrawals(rule, known.contacts, known.terms, after, known.terms, given);
    let in_use = after.address();
    let now = standing(after);
    let gate = |kind: Kind| {
        let says_no = |fact: &ConsentFact| *fact.purpose == *rule.purpose && fact.what.is_opt_out();
        let is_opt_out = now.is_opt_out() && case.event.consent.iter().any(says_no);
        if kind != Kind::Withdrawal && is_opt_out && rule.is_mute(now) {
            return Gate::Skip {
                reason: "consent: the message is an opt-out, which this destination's payload would not show"
                    .to_owned(),
            };
        }
        rule.gate(kind, now, after.gave_data)
    };
    if planned.iter().any(|planned| planned.address == in_use) {
        // Where an opt-out stops nothing else, an action or a platform's contact is still sent.
        if kind == Some(Kind::Record) && rule.policy.allows(now, after.gave_data) {
            planned.push(Planned::now(rule, Kind::Record, gate(Kind::Record)));
        }
        return planned;
    }
    // A destination that was never given the person may know them from before this hub.
    let is_unknown_there = !given.iter().any(|given| given.address == in_use);
    let withdraws = is_unknown_there && known.contacts.iter().any(allowed) && !allowed(after);
    let kind = match kind {
        Some(_) if withdraws => Some(Kind::Withdrawal),
        // A destination that keeps one row a person just received a former address: it ends with the one in use.
        None if !planned.is_empty() && allowed(after) => Some(Kind::Contact),
        kind => kind,
    };
    planned.extend(kind.map(|kind| Planned::now(rule, kind, gate(kind))));
    planned
}

impl Planned {
    /// For the address in use.
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
            .map(|contact| contact.standing(purpose, known.terms).as_str())
            .collect();
        let before = if before.is_empty() {
            "no contact".to_owned()
        } else {
            before.join(" and ")
        };
        let after = after.standing(purpose, known.terms).as_str();
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
