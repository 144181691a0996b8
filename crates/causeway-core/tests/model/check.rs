//! Runs one history in one order, and compares the hub with the model after every step.

use std::collections::{BTreeMap, BTreeSet};

use causeway_core::{
    consent::Change,
    contact::{Contact, Identity},
    delivery::Kind,
    event::{Decoded, Event},
    plan::Plan,
    rules::{Gate, Rules},
};

use crate::{
    book::{Book, Entry, State},
    history::{EMAILS, Message, PLATFORM_IDS, REFERENCES, Random},
    model::{EMAIL, Fields, Model, PHONE, Person, Taken, in_use},
    wire::{Decoders, at},
};

/// A message and its decoded event.
pub struct Read {
    pub message: Message,
    source: &'static str,
    event: Option<Box<Event>>,
}

pub fn read(decoders: &Decoders, history: &[Message]) -> Vec<Read> {
    let read = |message: &Message| {
        let (source, decoded) = decoders.read(message);
        let event = match decoded {
            Decoded::Event(event) | Decoded::Partial { event, .. } => Some(event),
            Decoded::Parts(_) | Decoded::Skip { .. } | Decoded::Dead { .. } => None,
        };
        Read {
            message: *message,
            source,
            event,
        }
    };
    history.iter().map(read).collect()
}

/// Counts of what happened, which show whether a test is worth anything.
#[derive(Debug, Default)]
pub struct Tally {
    pub sent: u64,
    pub withdrawn: u64,
    /// Rows that were planned, and skipped when claimed.
    pub held_back: u64,
    pub merged: u64,
}

/// The result that must not depend on the order of arrival.
pub type Final = BTreeMap<BTreeSet<Identity>, (Contact, BTreeSet<(String, &'static str, String, i64)>)>;

/// Runs the messages. The error says what is wrong.
pub fn run(
    rules: &Rules,
    read: &[Read],
    order: &[usize],
    chance: &mut Random,
    tally: &mut Tally,
) -> Result<Final, String> {
    let mut book = Book::new(rules);
    let mut model = Model::default();
    for &number in order {
        let Read {
            message,
            source,
            event,
        } = &read[number];
        let taken = model.take(message, number + 1);
        let people = book.entries.len();
        let plan = event
            .as_ref()
            .map_or_else(Plan::default, |event| book.take(source, event, number + 1));
        tally.merged += u64::from(book.entries.len() < people);
        let step = |wrong: String| format!("{wrong}\n  at message {number}: {message:?}");
        match taken {
            None if plan.contact.is_some() || !plan.deliveries.is_empty() => {
                return Err(step("what says nothing had an effect".to_owned()));
            }
            None => {}
            Some(taken) => check_plan(rules, &model, &plan, &taken).map_err(step)?,
        }
        if chance.one_in(3) {
            claim_some(&mut book, &model, rules, chance).map_err(step)?;
        }
    }
    while claim_some(&mut book, &model, rules, chance)? {}
    for entry in &book.entries {
        for row in &entry.outbox {
            match (row.state, row.kind) {
                (State::Delivered, Kind::Withdrawal) => tally.withdrawn += 1,
                (State::Delivered, _) => tally.sent += 1,
                (State::HeldBack, _) => tally.held_back += 1,
                (State::Waiting | State::Skipped, _) => {}
            }
        }
        check_entry(&book, &model, entry)?;
        check_last_word(rules, &model, entry)?;
    }
    if book.entries.len() != model.people.len() {
        return Err("not as many contacts as people".to_owned());
    }
    let with_names = |entry: Entry| (entry.identities, (entry.contact, entry.ledger));
    Ok(book.entries.into_iter().map(with_names).collect())
}

fn check_plan(rules: &Rules, model: &Model, plan: &Plan, taken: &Taken) -> Result<(), String> {
    let name = *taken.names.first().unwrap();
    let person = model.person(name);
    for rule in rules.destinations.values() {
        let may = model.may_be_sent(person, &rule.purpose, rule.policy.as_str());
        let planned = plan
            .deliveries
            .iter()
            .rfind(|planned| planned.destination == rule.name);
        let is_sent =
            planned.is_some_and(|planned| planned.gate == Gate::Send && planned.kind != Kind::Withdrawal);
        if is_sent && !may {
            return Err(format!("PLANNED against consent: {planned:?} for {person:?}"));
        }
        if taken.is_new_action && may && !is_sent {
            return Err(format!("a new action is not sent to {}: {planned:?}", rule.name));
        }
    }
    Ok(())
}

/// Claims waiting rows in a random order. Returns whether there were any.
fn claim_some(
    book: &mut Book<'_>,
    model: &Model,
    rules: &Rules,
    chance: &mut Random,
) -> Result<bool, String> {
    let mut rows: Vec<(usize, usize)> = Vec::new();
    for (entry, known) in book.entries.iter().enumerate() {
        let waiting = known
            .outbox
            .iter()
            .enumerate()
            .filter(|(_, row)| row.state == State::Waiting);
        rows.extend(waiting.map(|(row, _)| (entry, row)));
    }
    chance.shuffle(&mut rows);
    for (entry, row) in &rows {
        let Some(ended) = book.claim(*entry, *row) else {
            continue;
        };
        let rule = &rules.destinations[&ended.destination];
        let person = model.person(name_of(&book.entries[*entry]));
        let (purpose, policy) = (&rule.purpose, rule.policy.as_str());
        let address = ended.address.as_deref().map(place_of);
        let is_right = match ended.kind {
            Kind::Withdrawal => {
                let address = address.or_else(|| in_use(person));
                model.is_withdrawn(person, purpose, policy, (address, true))
            }
            Kind::Record | Kind::Contact => model.may_be_sent(person, purpose, policy),
        };
        if ended.state == State::Delivered && !is_right {
            return Err(format!("CLAIMED against consent: {ended:?} for {person:?}"));
        }
    }
    Ok(!rows.is_empty())
}

/// Checks that a destination that was sent an opt-in for an address was also sent the opt-out, if it may no
/// longer use the address.
fn check_last_word(rules: &Rules, model: &Model, entry: &Entry) -> Result<(), String> {
    let person = model.person(name_of(entry));
    for ((destination, address), change) in &entry.given {
        let rule = &rules.destinations[destination];
        let place = address.as_deref().map(place_of);
        let place = (place, *change == Change::Subscribe);
        if change.gravity() == 0 && model.is_withdrawn(person, &rule.purpose, rule.policy.as_str(), place) {
            return Err(format!(
                "{destination} was never sent the WITHDRAWAL for {address:?} of {person:?}"
            ));
        }
    }
    Ok(())
}

fn place_of(address: &str) -> usize {
    EMAILS.iter().position(|known| *known == address).unwrap()
}

/// One of the entry's names, as numbered by the model.
fn name_of(entry: &Entry) -> usize {
    number(entry.identities.first().unwrap())
}

fn number(identity: &Identity) -> usize {
    let place = |list: &[&str]| list.iter().position(|text| *text == identity.value()).unwrap();
    match identity {
        Identity::Email { .. } => place(&EMAILS),
        Identity::ContactRef { .. } => 10 + place(&REFERENCES),
        Identity::ForeignId { .. } => 20 + place(&PLATFORM_IDS),
    }
}

fn check_entry(book: &Book<'_>, model: &Model, entry: &Entry) -> Result<(), String> {
    let person = model.person(name_of(entry));
    let differs = |what: &str, hub: &dyn std::fmt::Debug| {
        Err(format!("the {what} DIFFERS: {hub:?}\n  in the model: {person:?}"))
    };
    let names: BTreeSet<usize> = entry.identities.iter().map(number).collect();
    if names != person.names {
        return differs("set of names", &names);
    }
    for purpose in [EMAIL, PHONE] {
        let consent_state = book.consent_state(&entry.contact, purpose);
        let (word, since) = model.consent_state(person, purpose);
        if (consent_state.as_str(), consent_state.since()) != (word, since.map(at)) {
            return differs("consent state", &(purpose, consent_state, word, since));
        }
    }
    if entry.contact.gave_data != person.gave_data {
        return differs("memory of who gave data", &entry.contact.gave_data);
    }
    if entry.ledger != ledger(person) {
        return differs("ledger", &entry.ledger);
    }
    let fields: Vec<(&str, &str, i64)> = entry
        .contact
        .fields
        .iter()
        .map(|(name, field)| {
            (
                name.as_str(),
                field.value.as_str().unwrap_or_default(),
                field.at.as_millisecond(),
            )
        })
        .collect();
    if fields != of_model(&person.fields) {
        return differs("set of fields", &fields);
    }
    Ok(())
}

fn of_model(fields: &Fields) -> Vec<(&str, &str, i64)> {
    fields
        .iter()
        .map(|(name, (second, _, value))| (*name, value.as_str(), at(*second).as_millisecond()))
        .collect()
}

fn ledger(person: &Person) -> BTreeSet<(String, &'static str, String, i64)> {
    person
        .facts
        .iter()
        .map(|fact| {
            let page = fact.page.map_or_else(String::new, |page| format!("proca/{page}"));
            let at = at(fact.at).as_millisecond();
            (fact.purpose.to_owned(), fact.word, page, at)
        })
        .collect()
}
