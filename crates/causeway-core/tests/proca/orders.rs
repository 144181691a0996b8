//! Whatever the order of arrival: the same contacts, and at no step a delivery against consent.

use std::sync::LazyLock;

use causeway_core::{
    contact::Identity,
    decode::proca::ProcaDecoder,
    delivery,
    event::{Decoded, Event},
    plan::Plan,
    rules::Gate,
};
use proptest::prelude::*;

use crate::{
    book::{Book, deliveries},
    message::{Kind, Message, OWN_PAGE, PARTNER_PAGE, action, decoder, read, status},
};

const STATUSES: [Option<&str>; 9] = [
    None,
    None,
    Some("double_opt_in"),
    Some("double_opt_in"),
    Some("bounce"),
    Some("blocked"),
    Some("spam"),
    Some("unsub"),
    Some("active"),
];

static DECODER: LazyLock<ProcaDecoder> = LazyLock::new(decoder);

/// Few people, addresses, seconds and answers, so that they meet.
fn message() -> impl Strategy<Value = Message> {
    (
        0..40_u32,
        0..9_usize,
        0..5_u32,
        0..3_u32,
        0..6_i64,
        0..6_i64,
        0..16_u32,
    )
        .prop_map(|(kind, status, person, opt_in, given, status_changed, bits)| {
            let kind = match kind {
                0..16 => Kind::Action,
                16..24 => Kind::ActionV1,
                24..27 => Kind::Confirm,
                _ => Kind::EmailStatus,
            };
            // Five ways to name three people: two addresses of one person, an address alone, a reference alone.
            let (email, reference) = [
                (Some("bruce@example.org"), Some("ref-of-bruce")),
                (Some("wayne@example.org"), Some("ref-of-bruce")),
                (Some("wayne@example.org"), None),
                (Some("selina@example.org"), Some("ref-of-selina")),
                (None, Some("ref-of-selina")),
            ][person as usize];
            Message {
                kind,
                action: bits % 4,
                page: if bits & 4 == 0 { OWN_PAGE } else { PARTNER_PAGE },
                email: email.map(str::to_owned),
                reference: reference.map(str::to_owned),
                first_name: ["Bruce", "Bat", "Selina"][(bits % 3) as usize].to_owned(),
                opt_in: [None, Some(false), Some(true)][opt_in as usize],
                with_consent: bits & 8 == 0 && kind != Kind::EmailStatus,
                status: STATUSES[status],
                given,
                status_changed,
            }
        })
}

fn history() -> impl Strategy<Value = (Vec<Message>, Vec<usize>)> {
    prop::collection::vec(message(), 1..=12).prop_flat_map(|messages| {
        let order: Vec<usize> = (0..messages.len()).collect();
        (Just(messages), Just(order).prop_shuffle())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_arrival_gives_the_same_contacts_and_never_a_delivery_against_consent((messages, order) in history()) {
        let events: Vec<Event> = messages
            .iter()
            .map(|message| match read(&DECODER, &message.json()) {
                Decoded::Event(event) => *event,
                other => panic!("{other:?}"),
            })
            .collect();
        let mut as_made = Book::new();
        for event in &events {
            as_made.take(event);
        }
        let mut shuffled = Book::new();
        let mut arrived: Vec<&Message> = Vec::new();
        for number in order {
            let plan = shuffled.take(&events[number]);
            arrived.push(&messages[number]);
            let said = about_the_same_person(&arrived);
            let verdict = verdict(&said, &arrived);
            assert_no_delivery_against(&plan, verdict);
            let standing = shuffled.standing_of(plan.contact.as_ref().unwrap());
            let trusting = &shuffled.entries.last().unwrap().trusting;
            prop_assert!(trusting.iter().all(|name| verdict.allows(name)), "{trusting:?} were not told of {verdict:?}");
            prop_assert_eq!(standing.is_subscribed(), verdict.may_be_mailed, "{:?} after {:#?}", standing, said);
        }
        prop_assert_eq!(as_made.state(), shuffled.state());
        prop_assert_eq!(as_made.own_pages, shuffled.own_pages);
    }
}

/// The last message and all that name the same person, directly or through each other.
fn about_the_same_person<'a>(messages: &[&'a Message]) -> Vec<&'a Message> {
    let mut others = messages.to_vec();
    let mut found: Vec<&Message> = others.pop().into_iter().collect();
    let meets = |one: &Message, other: &Message| {
        (one.email.is_some() && one.email == other.email)
            || (one.reference.is_some() && one.reference == other.reference)
    };
    let mut next = 0;
    while let Some(message) = found.get(next).copied() {
        found.extend(others.extract_if(.., |other| meets(message, other)));
        next += 1;
    }
    found
}

#[derive(Debug, Clone, Copy)]
struct Verdict {
    may_be_mailed: bool,
    has_confirmed: bool,
    has_refused: bool,
}

/// Says from the messages alone, without the code under test, what a person wants.
fn verdict(said: &[&Message], all: &[&Message]) -> Verdict {
    let own_page_is_known = all
        .iter()
        .any(|message| message.kind != Kind::EmailStatus && message.page == OWN_PAGE);
    let mut ticks = Vec::new();
    let mut clicks = Vec::new();
    let mut unsubscriptions = Vec::new();
    let mut stops = Vec::new();
    for message in said {
        let is_event = message.kind == Kind::EmailStatus;
        // Version 1 knows no status, and no opt-in without consent; what is not confirmed says nothing.
        let status = match message.kind {
            Kind::Confirm => continue,
            Kind::ActionV1 => None,
            Kind::Action | Kind::EmailStatus => message.status,
        };
        match status {
            Some("unsub") => unsubscriptions.push(message.status_changed),
            Some("bounce" | "blocked" | "spam") => stops.push(message.status_changed),
            // An action without the form repeats what is old.
            Some("double_opt_in") if !is_event && !message.with_consent => {}
            Some("double_opt_in") if message.opt_in == Some(true) => clicks.push(message.status_changed),
            Some("double_opt_in") if message.page == OWN_PAGE && own_page_is_known => {
                clicks.push(message.status_changed);
            }
            Some("double_opt_in") => {}
            _ if !is_event && message.with_consent && message.opt_in == Some(true) => {
                ticks.push(message.given);
            }
            _ => {}
        }
    }
    let after_all = |at: i64, noes: &[i64]| noes.iter().all(|no| at > *no);
    let is_reachable = stops.is_empty() || clicks.iter().any(|click| after_all(*click, &stops));
    let agrees = ticks
        .iter()
        .chain(&clicks)
        .any(|yes| after_all(*yes, &unsubscriptions));
    let confirms = clicks.iter().any(|click| after_all(*click, &unsubscriptions));
    let has_withdrawn = !unsubscriptions.is_empty() && !agrees;
    Verdict {
        may_be_mailed: is_reachable && agrees,
        has_confirmed: is_reachable && confirms,
        has_refused: !is_reachable || has_withdrawn,
    }
}

impl Verdict {
    fn allows(self, destination: &str) -> bool {
        match destination {
            "all" => true,
            "with_consent" => !self.has_refused,
            "opt_in" => self.may_be_mailed,
            "double_opt_in" => self.has_confirmed,
            other => panic!("{other}"),
        }
    }
}

fn assert_no_delivery_against(plan: &Plan, verdict: Verdict) {
    for planned in &plan.deliveries {
        let is_sent = planned.gate == Gate::Send && planned.kind != delivery::Kind::Withdrawal;
        let is_allowed = verdict.allows(&planned.destination);
        assert!(!is_sent || is_allowed, "{planned:?} against {verdict:?}");
    }
}

#[test]
fn two_people_who_turn_out_to_be_one_keep_the_newest_of_each_field_and_every_no() {
    let by_address = Message {
        reference: None,
        first_name: "Bat".to_owned(),
        ..action(1, Some(true), 10)
    };
    let by_reference = Message {
        email: None,
        ..status("unsub", Some(true), 20)
    };
    let both = action(2, Some(false), 5);
    let mut book = Book::new();
    book.take_json(&by_address.json()).unwrap();
    book.take_json(&by_reference.json()).unwrap();
    assert_eq!(book.entries.len(), 2);
    let plan = book.take_json(&both.json()).unwrap();
    assert_eq!(book.entries.len(), 1);
    assert_eq!(book.entries[0].contact.text("firstName"), Some("Bat"));
    let bruce = Identity::Email {
        address: "bruce@example.org".to_owned(),
    };
    assert_eq!(book.standing(&bruce).unwrap().as_str(), "unsubscribed");
    // The half that was opted in was given to them: they must hear of the other half's no.
    let planned = deliveries(&plan);
    assert_eq!(
        planned,
        "all:record double_opt_in:- opt_in:withdrawal with_consent:withdrawal"
    );
}
