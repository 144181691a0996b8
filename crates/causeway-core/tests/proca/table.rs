//! The decision table: every row, for people in every state, with facts that are newer and older than the
//! state.

use std::collections::BTreeMap;

use causeway_core::{
    consent::ConsentState,
    contact::Identity,
    decode::proca::{OptInMode, ProcaDecoder},
    event::Decoded,
};
use serde_json::{Value, json};

use crate::{
    book::{Book, deliveries},
    message::{
        Kind, Message, OWN_PAGE, PARTNER_PAGE, action, at, decoder, envelope, read, sample_json, status,
    },
};

/// The time of the state, and the times of older and newer facts.
const STATE: i64 = 100;
const OLDER: i64 = 50;
const NEWER: i64 = 150;

/// Unknown, not subscribed, subscribed, unsubscribed, bounced.
const STATES: [char; 5] = ['U', 'N', 'S', 'X', 'B'];

/// `-` nobody, `u` unknown, `n` not subscribed, `p` pending, `o` opted in, `d` double opted in, `x`
/// unsubscribed, `b` suppressed.
const UNCHANGED: &str = "unoxb";

fn build(state: char) -> Book {
    let mut book = Book::new();
    let messages: &[Message] = match state {
        'N' => &[action(1, Some(false), STATE)],
        'S' => &[action(1, Some(true), STATE)],
        'X' => &[action(1, Some(true), 10), status("unsub", Some(true), STATE)],
        'B' => &[action(1, Some(true), 10), status("bounce", Some(true), STATE)],
        _ => &[],
    };
    for message in messages {
        book.take_json(&message.json()).unwrap();
    }
    book
}

fn letter(book: &Book) -> char {
    let bruce = Identity::Email {
        address: "bruce@example.org".to_owned(),
    };
    match book.consent_state(&bruce).map(ConsentState::as_str) {
        None => '-',
        Some("unknown") => 'u',
        Some("not_subscribed") => 'n',
        Some("pending") => 'p',
        Some("opted_in") => 'o',
        Some("double_opted_in") => 'd',
        Some("unsubscribed") => 'x',
        Some("suppressed") => 'b',
        Some(other) => panic!("{other}"),
    }
}

/// The deliveries that must be planned for `all`, `double_opt_in`, `opt_in`, `with_consent` (in this order)
/// for a change from `before` to `after`. `received` holds, for each destination that was given the person,
/// the gravity of the change that it received.
fn expected_deliveries(
    message: &Message,
    before: char,
    after: char,
    gave: [bool; 2],
    news: bool,
    received: &BTreeMap<String, u8>,
) -> String {
    let takes_away = match after {
        'x' => 1,
        'b' => 2,
        _ => 0,
    };
    let kind = match message.kind {
        Kind::Action => "record",
        Kind::EmailStatus if news => "contact",
        Kind::Confirm | Kind::EmailStatus => return String::new(),
    };
    let word = |name: &str| {
        let was_allowed = before != '-' && allows(name, before, gave[0]);
        // An opt-out reaches every destination that has the person and has not received a change of the same
        // gravity.
        if received.get(name).is_some_and(|received| *received < takes_away) {
            let record = if name == "all" && kind == "record" {
                " all:record"
            } else {
                ""
            };
            return format!("{name}:withdrawal{record}");
        }
        match (was_allowed, allows(name, after, gave[1])) {
            (_, true) => format!("{name}:{kind}"),
            (true, false) => format!("{name}:withdrawal"),
            (false, false) => format!("{name}:-"),
        }
    };
    ["all", "double_opt_in", "opt_in", "with_consent"]
        .map(word)
        .join(" ")
}

fn allows(destination: &str, consent_state: char, gave_data: bool) -> bool {
    match destination {
        "all" => true,
        "double_opt_in" => consent_state == 'd',
        "opt_in" => "od".contains(consent_state),
        _ => gave_data && !"xb".contains(consent_state),
    }
}

/// One message, and the letters of the state after it for each of the five states.
struct Row {
    name: &'static str,
    message: Message,
    mode: OptInMode,
    after: &'static str,
}

fn row(name: &'static str, message: Message, after: &'static str) -> Row {
    Row {
        name,
        message,
        mode: OptInMode::Single,
        after,
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn rows_of_actions() -> Vec<Row> {
    let signed = |opt_in, when| action(9, opt_in, when);
    let doi = |opt_in, page, when| signed(opt_in, when).with_status("double_opt_in").on(page);
    let pending = |after, when| Row {
        mode: OptInMode::DoubleOptIn,
        ..row("11 opted in, must confirm", signed(Some(true), when), after)
    };
    let share = |opt_in| Message {
        with_consent: false,
        ..signed(opt_in, NEWER)
    };
    let yes = Some(true);
    let no = Some(false);
    vec![
        row(
            "4 confirm stage",
            Message {
                kind: Kind::Confirm,
                ..signed(yes, NEWER)
            },
            UNCHANGED,
        ),
        row("6 bounce", signed(yes, NEWER).with_status("bounce"), "bbbbb"),
        row("6 blocked", signed(yes, NEWER).with_status("blocked"), "bbbbb"),
        row("6 spam", signed(yes, NEWER).with_status("spam"), "bbbbb"),
        row("6 unsub", signed(yes, NEWER).with_status("unsub"), "xxxxx"),
        row("6 inactive", signed(no, NEWER).with_status("inactive"), "bbbbb"),
        row(
            "6 before 7",
            Message {
                status: Some("bounce"),
                ..share(yes)
            },
            "bbbbb",
        ),
        row("7 share, opted in once", share(yes), UNCHANGED),
        row("7 share, declined once", share(no), UNCHANGED),
        row(
            "8 dated click on a share",
            share(yes).with_status("double_opt_in"),
            "ddddd",
        ),
        row(
            "8 dated click on a share, own page",
            share(None).with_status("double_opt_in").on(OWN_PAGE),
            "ddddd",
        ),
        row(
            "8 older click on a share",
            Message {
                status_changed: OLDER,
                ..share(yes).with_status("double_opt_in")
            },
            "dddxb",
        ),
        row(
            "9 dated click on a share of a partner's page",
            share(no).with_status("double_opt_in").on(PARTNER_PAGE),
            UNCHANGED,
        ),
        row("8 own page, newer", doi(no, OWN_PAGE, NEWER), "ddddd"),
        row("8 own page, older", doi(no, OWN_PAGE, OLDER), "dddxb"),
        row("8 own page, same second", doi(no, OWN_PAGE, STATE), "dddxb"),
        row(
            "8 partner's page, opted in to us",
            doi(yes, PARTNER_PAGE, NEWER),
            "ddddd",
        ),
        row(
            "9 partner's page, declined",
            doi(no, PARTNER_PAGE, NEWER),
            "nnoxb",
        ),
        row(
            "9 partner's page, not asked",
            doi(None, PARTNER_PAGE, NEWER),
            UNCHANGED,
        ),
        row("10 opted in, newer", signed(yes, NEWER), "oooob"),
        row("10 opted in, older", signed(yes, OLDER), "oooxb"),
        row("10 opted in, same second", signed(yes, STATE), "onoxb"),
        row(
            "10 opted in, status active",
            signed(yes, NEWER).with_status("active"),
            "oooob",
        ),
        row(
            "10 opted in, status unheard of",
            signed(yes, NEWER).with_status("zombie"),
            "oooob",
        ),
        pending("ppoxb", NEWER),
        pending("ppoxb", OLDER),
        row("12 declined", signed(no, NEWER), "nnoxb"),
        row("13 not asked", signed(None, NEWER), "nnoxb"),
    ]
}

fn rows_of_events() -> Vec<Row> {
    let doi_event = |opt_in, page, when| status("double_opt_in", opt_in, when).on(page);
    let yes = Some(true);
    let no = Some(false);
    vec![
        row("14 older bounce", status("bounce", yes, OLDER), "bbbxb"),
        row("14 older unsub", status("unsub", yes, OLDER), "xxoxb"),
        row("14 older double opt-in", doi_event(yes, OWN_PAGE, OLDER), "dddxb"),
        row("15 opted in", doi_event(yes, PARTNER_PAGE, NEWER), "ddddd"),
        row("15 same second", doi_event(yes, PARTNER_PAGE, STATE), "dddxb"),
        row(
            "16 partner's page, declined",
            doi_event(no, PARTNER_PAGE, NEWER),
            UNCHANGED,
        ),
        row(
            "16 partner's page, not asked",
            doi_event(None, PARTNER_PAGE, NEWER),
            UNCHANGED,
        ),
        row("17, 18 bounce", status("bounce", yes, NEWER), "bbbbb"),
        row("17, 19 blocked", status("blocked", yes, NEWER), "bbbbb"),
        row("17, 20 spam", status("spam", yes, NEWER), "bbbbb"),
        row("17, 21 unsub", status("unsub", yes, NEWER), "xxxxx"),
        row("18 same second", status("bounce", yes, STATE), "bbbbb"),
        row("21 same second", status("unsub", yes, STATE), "xxxxb"),
        row("22 inactive", status("inactive", yes, NEWER), "bbbbb"),
        row("22 active", status("active", yes, NEWER), UNCHANGED),
        row("22 unheard of", status("zombie", yes, NEWER), UNCHANGED),
    ]
}

#[test]
fn every_row_about_a_person_follows_the_table_in_every_state() {
    for row in rows_of_actions().into_iter().chain(rows_of_events()) {
        let decoder = ProcaDecoder {
            opt_in: row.mode,
            ..decoder()
        };
        let after: String = STATES.map(|state| check(&row, state, &decoder)).iter().collect();
        assert_eq!(after, row.after, "row {}", row.name);
    }
}

fn check(row: &Row, state: char, decoder: &ProcaDecoder) -> char {
    let mut book = build(state);
    let before = letter(&book);
    let gave_before = book.entries.first().is_some_and(|entry| entry.contact.gave_data);
    let said_before = book.entries.first().map(|entry| entry.contact.consent.clone());
    let Decoded::Event(event) = read(decoder, &row.message.json()) else {
        panic!("row {}: not an event", row.name);
    };
    let received: BTreeMap<String, u8> = book
        .entries
        .iter()
        .flat_map(|entry| &entry.given)
        .map(|((name, _), change)| (name.to_string(), change.gravity()))
        .collect();
    let plan = book.take(&event);
    let after = letter(&book);
    let gave = [gave_before, plan.contact.as_ref().unwrap().gave_data];
    // A newer date of a known fact is no news.
    let news = said_before.as_ref() != plan.contact.as_ref().map(|contact| &contact.consent);
    let expected = expected_deliveries(&row.message, before, after, gave, news, &received);
    assert_eq!(deliveries(&plan), expected, "row {}, state {state}", row.name);
    // The same message again says nothing new.
    let again = book.take(&event);
    assert_eq!(deliveries(&again), "", "row {}, state {state}, again", row.name);
    assert!(!again.contact_changed, "row {}, state {state}, again", row.name);
    after
}

#[test]
fn row_15_counts_on_an_own_page_as_soon_as_we_know_that_it_is_ours() {
    for opt_in in [Some(false), None] {
        let confirmed = status("double_opt_in", opt_in, NEWER).json();
        // The people in these states took an action on our page before.
        for state in ['N', 'S', 'X', 'B'] {
            let mut book = build(state);
            book.take_json(&confirmed).unwrap();
            assert_eq!(letter(&book), 'd', "{opt_in:?} {state}");
        }
        let mut book = build('U');
        book.take_json(&confirmed).unwrap();
        assert_eq!(letter(&book), 'u', "{opt_in:?}");
        let somebody_else = Message {
            email: Some("selina@example.org".to_owned()),
            reference: None,
            ..action(2, None, 0)
        };
        book.take_json(&somebody_else.json()).unwrap();
        assert_eq!(letter(&book), 'd', "{opt_in:?}");
    }
}

#[test]
fn rows_1_2_3_5_23_and_24_change_nobody_in_any_state() {
    let mut testing = action(9, Some(true), NEWER).json();
    testing["action"]["testing"] = true.into();
    let mut testing_event = status("unsub", Some(true), NEWER).json();
    testing_event["action"]["testing"] = true.into();
    let mut undecryptable = action(9, Some(true), NEWER).json();
    undecryptable["personalInfo"] = json!({ "payload": "AAAA", "nonce": "AAAA" });
    let mut unknown_event = status("unsub", Some(true), NEWER).json();
    unknown_event["eventType"] = "merged".into();
    let bodies: [(&str, Value); 9] = [
        ("1 not an object", json!([1, 2])),
        (
            "1 unknown schema",
            json!({ "schema": "proca:action:3", "stage": "deliver" }),
        ),
        ("1 unknown event", unknown_event),
        ("2 system", sample_json("system-new-user")),
        ("3 testing", testing),
        ("3 testing event", testing_event),
        ("5 undecryptable", undecryptable),
        ("23 campaign", sample_json("campaign-updated")),
        ("24 confirm", sample_json("confirm-created")),
    ];
    for (name, body) in bodies {
        for state in STATES {
            let mut book = build(state);
            let before = book.state();
            let plan = book.take_json(&body);
            assert!(
                plan.is_none_or(|plan| plan.deliveries.is_empty() && plan.contact.is_none()),
                "row {name}"
            );
            assert_eq!(book.state(), before, "row {name}, state {state}");
        }
    }
    assert!(matches!(
        causeway_core::event::Decode::decode(&decoder(), &envelope("{")),
        Decoded::Dead { .. }
    ));
}

#[test]
fn the_date_of_the_consent_state_is_the_date_of_its_fact() {
    let mut book = Book::new();
    let bruce = Identity::ContactRef {
        namespace: "proca".into(),
        reference: "ref-of-bruce".to_owned(),
    };
    let late = Message {
        status_changed: NEWER,
        ..action(1, Some(true), OLDER).with_status("double_opt_in")
    };
    for (message, since) in [
        (action(1, Some(true), OLDER), OLDER),
        (late, NEWER),
        (status("spam", Some(true), 200), 200),
        (status("bounce", Some(true), 190), 200),
    ] {
        book.take_json(&message.json()).unwrap();
        assert_eq!(book.consent_state(&bruce).unwrap().since(), Some(at(since)));
    }
}
