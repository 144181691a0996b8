use serde_json::json;

use super::*;
use crate::event::EventKind;

fn rules() -> Vec<ConsentFrom> {
    let words = |words: &[(&str, What)]| {
        words
            .iter()
            .map(|(text, what)| (word(text), what.clone()))
            .collect()
    };
    vec![
        ConsentFrom {
            field: "Newsletter".to_owned(),
            purpose: "email".to_owned(),
            words: words(&[
                ("Yes", What::OptIn),
                ("1", What::OptIn),
                ("no", What::Unsubscribed),
            ]),
            at_field: Some("Newsletter date".to_owned()),
            at_format: AtFormat::Plain,
        },
        ConsentFrom {
            field: "calls.allowed".to_owned(),
            purpose: "phone".to_owned(),
            words: words(&[("true", What::OptIn), ("false", What::Declined)]),
            at_field: None,
            at_format: AtFormat::Plain,
        },
    ]
}

fn read(rules: &[ConsentFrom], fields: &Value, when: When) -> Event {
    let reader = Reader {
        rules,
        placeholders: &Placeholders::default(),
        zone: &TimeZone::get("Europe/Berlin").unwrap(),
    };
    let mut event = Event::new(EventKind::ContactSync, "crm".into(), when.received_at);
    reader.read(&[fields.as_object().unwrap()], when, &mut event);
    event
}

fn facts_and_notes(fields: &Value) -> (Vec<(String, &'static str, String)>, Vec<String>) {
    let at = "2026-05-01T10:00:00Z".parse().unwrap();
    let event = read(&rules(), fields, When::at(at, at));
    let facts = event
        .consent
        .into_iter()
        .map(|fact| (fact.purpose, fact.what.as_str(), fact.at.to_string()))
        .collect();
    (facts, event.notes)
}

#[test]
fn only_listed_values_give_facts() {
    let now = "2026-05-01T10:00:00Z";
    for (fields, expected) in [
        (
            json!({ "Newsletter": " YES ", "newsletter DATE": "2026-05-01T10:00:00Z" }),
            vec![("email", "opt_in", now)],
        ),
        (
            json!({ "newsletter": 1, "Newsletter date": 1_777_629_600 }),
            vec![("email", "opt_in", now)],
        ),
        (
            json!({ "NEWSLETTER": "No", "Newsletter date": "2026-05-02" }),
            vec![("email", "unsubscribed", now)],
        ),
        (
            json!({ "Newsletter": ["yes", "no"], "Newsletter date": "2026-05-01T10:01:00Z" }),
            vec![("email", "opt_in", now), ("email", "unsubscribed", now)],
        ),
        (
            json!({ "calls": { "allowed": true } }),
            vec![("phone", "opt_in", now)],
        ),
        (
            json!({ "calls.allowed": false }),
            vec![("phone", "declined", now)],
        ),
        (
            json!({ "Newsletter": "yes", "Newsletter date": "2026-04-01 08:00" }),
            vec![("email", "opt_in", "2026-04-01T06:00:00Z")],
        ),
        // Not before it arrived.
        (
            json!({ "Newsletter": "yes", "Newsletter date": "2026-05-01T10:05:00Z" }),
            vec![("email", "opt_in", now)],
        ),
        (
            json!({ "Newsletter": "no", "Newsletter date": "2027-04-01" }),
            vec![("email", "unsubscribed", now)],
        ),
        // A time to the minute, in the hour that exists twice.
        (
            json!({ "Newsletter": "no", "Newsletter date": "2026-04-01 08:00" }),
            vec![("email", "unsubscribed", "2026-04-01T06:00:59.999Z")],
        ),
        (
            json!({ "Newsletter": "no", "Newsletter date": "2026-04-01T08:00:00Z" }),
            vec![("email", "unsubscribed", "2026-04-01T08:00:00.999Z")],
        ),
        (
            json!({ "Newsletter": "no", "Newsletter date": "2025-10-26 02:30" }),
            vec![("email", "unsubscribed", "2025-10-26T01:30:59.999Z")],
        ),
        (
            json!({ "Newsletter": "yes", "Newsletter date": "2025-10-26 02:30" }),
            vec![("email", "opt_in", "2025-10-26T00:30:00Z")],
        ),
        (json!({ "Newsletter": "" }), vec![]),
        (json!({ "Newsletter": null }), vec![]),
        (json!({ "Newsletters": "yes" }), vec![]),
    ] {
        let (facts, notes) = facts_and_notes(&fields);
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(purpose, what, at)| (purpose.to_owned(), what, at.to_owned()))
            .collect();
        assert_eq!(facts, expected, "{fields}");
        assert_eq!(notes, Vec::<String>::new(), "{fields}");
    }
}

/// An exact match of the name does not hide other spellings.
#[test]
fn every_place_with_the_name_counts_and_an_opt_out_wins() {
    let date = "2026-04-01T08:00:00Z";
    for fields in [
        json!({ "Newsletter": "yes", "NEWSLETTER": "no", "Newsletter date": date }),
        json!({ "Newsletter": "no", "NEWSLETTER": "yes", "Newsletter date": date }),
        json!({ "newsletter": ["yes"], "newsLetter": ["no"], "Newsletter date": date }),
        // The opt-in takes the earlier date, the opt-out the later one.
        json!({ "Newsletter": "yes", "NEWSLETTER": "no", "Newsletter date": date,
            "newsletter DATE": "2026-03-01T08:00:00Z" }),
    ] {
        let (facts, notes) = facts_and_notes(&fields);
        let at = |word: &str| {
            let fact = facts.iter().find(|(_, what, _)| *what == word).unwrap();
            fact.2.parse::<Timestamp>().unwrap()
        };
        assert!(at("unsubscribed") > at("opt_in"), "{fields}: {facts:?}");
        assert_eq!(
            notes,
            ["field Newsletter: the fields with this name hold an opt-in and an opt-out; the opt-out counts"],
            "{fields}"
        );
    }
    // The same value in two places counts once, and an empty place is ignored.
    for fields in [
        json!({ "Newsletter": "no", "NEWSLETTER": "no" }),
        json!({ "Newsletter": "", "NEWSLETTER": "no", "Newsletter date": "", "newsletter DATE": date }),
        json!({ "Newsletter": null, "NEWSLETTER": "no" }),
    ] {
        assert_eq!(facts_and_notes(&fields).0.len(), 1, "{fields}");
    }
    // One of the two dates cannot be read.
    let two =
        |value: &str| json!({ "Newsletter": value, "Newsletter date": "soon", "newsletter DATE": date });
    assert_eq!(facts_and_notes(&two("yes")).0, []);
    assert_eq!(facts_and_notes(&two("no")).0[0].2, "2026-04-01T08:00:00.999Z");
}

#[test]
fn an_unlisted_value_is_noted_without_quoting_it() {
    let (facts, notes) =
        facts_and_notes(&json!({ "Newsletter": "maybe", "calls": { "allowed": { "x": 1 } } }));
    assert_eq!(facts, []);
    assert_eq!(notes.len(), 2);
    assert!(
        notes[0].contains("field Newsletter: a value that") && !notes[0].contains("maybe"),
        "{notes:?}"
    );
    let (_, notes) = facts_and_notes(&json!({ "Newsletter": ["maybe", "NULL", "", "later"] }));
    assert!(
        notes.len() == 1 && notes[0].contains("field Newsletter: 2 values that"),
        "{notes:?}"
    );
}

/// The field is in every record, also long after an opt-out elsewhere.
#[test]
fn an_opt_in_without_its_date_does_not_count_and_an_opt_out_does() {
    for date in [
        json!("soon"),
        json!("N/A"),
        json!(""),
        json!(null),
        json!("05.03.2026"),
        json!("1970-01-01"),
        json!("0000-00-00"),
    ] {
        for (value, expected) in [("yes", 0), ("no", 1)] {
            let (facts, notes) = facts_and_notes(&json!({ "Newsletter": value, "Newsletter date": date }));
            assert_eq!(facts.len(), expected, "{value} {date}");
            assert!(notes[0].contains("Newsletter date holds "), "{notes:?}");
            let (facts, notes) = facts_and_notes(&json!({ "Newsletter": value }));
            assert_eq!((facts.len(), notes.len()), (expected, 1), "{value}");
        }
    }
}

/// Otherwise each later message with the same date would be a new opt-in.
#[test]
fn an_opt_in_dated_in_the_future_does_not_count() {
    for date in ["2026-05-01T10:05:01Z", "2026-05-02", "2027-04-01"] {
        let (facts, notes) = facts_and_notes(&json!({ "Newsletter": "yes", "Newsletter date": date }));
        assert_eq!(facts, [], "{date}");
        assert_eq!(
            notes,
            ["field Newsletter: Newsletter date holds a date in the future, so an opt-in is not counted"]
        );
    }
}

fn rule(words: &[(&str, What)], at_format: AtFormat) -> Vec<ConsentFrom> {
    vec![ConsentFrom {
        field: "news".to_owned(),
        purpose: "email".to_owned(),
        words: words
            .iter()
            .map(|(text, what)| (word(text), what.clone()))
            .collect(),
        at_field: Some("since".to_owned()),
        at_format,
    }]
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn numbers_and_booleans_are_compared_by_value() {
    let rules = |yes: &str, no: &str| ConsentFrom {
        at_field: None,
        ..rule(&[(yes, What::OptIn), (no, What::Unsubscribed)], AtFormat::Plain).remove(0)
    };
    let now = When::at(at("2026-05-01T10:00:00Z"), at("2026-05-01T10:00:00Z"));
    for (listed, values, expected) in [
        (
            ("1", "0"),
            json!([
                "0.0",
                "0,00",
                "+0",
                "-0",
                "00",
                " 0\u{a0}",
                "\u{200b}0",
                "FALSE",
                0,
                0.0,
                false
            ]),
            "unsubscribed",
        ),
        (
            ("1", "0"),
            json!(["1", "1.0", "01", "True", 1, 1.0, true]),
            "opt_in",
        ),
        (
            ("yes", "no"),
            json!([false, "False", "\u{a0}NO "]),
            "unsubscribed",
        ),
        (("yes", "no"), json!([true, "TRUE", "Yes"]), "opt_in"),
        (("true", "false"), json!(["0", 0, false]), "unsubscribed"),
        (("true", "null"), json!([null, "NULL"]), "nothing"),
        (("1", "none"), json!(["none", "None"]), "unsubscribed"),
        (("1", "0"), json!(["no", "2", "0.1", "0x0"]), "unlisted"),
        (("yes", "no"), json!(["0", "1"]), "unlisted"),
    ] {
        for value in values.as_array().unwrap() {
            let event = read(&[rules(listed.0, listed.1)], &json!({ "news": value }), now);
            let what = event.consent.first().map(|fact| fact.what.as_str());
            let what = what.unwrap_or(if event.rules[0].unlisted == 1 {
                "unlisted"
            } else {
                "nothing"
            });
            // A listed word counts, even one that stands for "nothing" in other fields.
            let expected = if value == "NULL" { "unsubscribed" } else { expected };
            assert_eq!(what, expected, "{listed:?} {value}");
        }
    }
}

/// An opt-out dated by a day may have been given in the day's last minute, an opt-in in its first.
#[test]
fn a_day_counts_from_its_beginning_for_an_opt_in_and_to_its_end_for_an_opt_out() {
    let words = [
        ("yes", What::OptIn),
        ("declined", What::Declined),
        ("no", What::Unsubscribed),
        ("spam", What::Complained),
        ("bounced", What::Bounced),
    ];
    for (format, date) in [
        (AtFormat::Plain, "2026-03-01"),
        (AtFormat::parse("DD.MM.YYYY").unwrap(), "01.03.2026"),
        (AtFormat::Excel, "46082"),
    ] {
        let rules = rule(&words, format);
        for (received, end) in [
            ("2026-03-10T00:00:00Z", "2026-03-01T22:59:59.999Z"),
            ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z"),
        ] {
            // The message's own time does not make an opt-out older.
            for message in [received, "2026-03-01T02:00:00Z"] {
                let when = When::at(at(message), at(received));
                for (value, _) in &words {
                    let event = read(&rules, &json!({ "news": value, "since": date }), when);
                    let is_no = !["yes", "declined"].contains(value);
                    let expected = if is_no { end } else { "2026-02-28T23:00:00Z" };
                    assert_eq!(event.consent[0].at, at(expected), "{value} {date} {received}");
                }
            }
        }
    }
}

#[test]
fn facts_without_a_date_take_the_date_of_their_message() {
    let mut rules = rule(
        &[("yes", What::OptIn), ("no", What::Unsubscribed)],
        AtFormat::Plain,
    );
    rules[0].at_field = None;
    let received_at = at("2026-03-10T00:00:00Z");
    let (begin, end) = (at("2026-03-01T00:00:00Z"), at("2026-03-01T23:59:59.999Z"));
    let read_fact = |begin, end, value: &str| {
        let when = When {
            begin,
            end,
            received_at,
        };
        let event = read(&rules, &json!({ "news": value }), when);
        (event.consent.first().map(|fact| fact.at), event.rules[0].undated)
    };
    assert_eq!(read_fact(Some(begin), end, "yes"), (Some(begin), 0));
    assert_eq!(read_fact(Some(begin), end, "no"), (Some(end), 0));
    assert_eq!(read_fact(None, received_at, "yes"), (None, 1));
    assert_eq!(read_fact(None, received_at, "no"), (Some(received_at), 0));
}

#[test]
fn a_rule_reports_how_it_matched() {
    let now = When::at(at("2026-05-01T10:00:00Z"), at("2026-05-01T10:00:00Z"));
    let rules = rule(
        &[("yes", What::OptIn), ("no", What::Unsubscribed)],
        AtFormat::Plain,
    );
    for (fields, met, unlisted, undated) in [
        (json!({}), false, 0, 0),
        (json!({ "news": "" }), true, 0, 0),
        (json!({ "news": ["yes", "no", "perhaps"] }), true, 1, 2),
        (json!({ "news": "no", "since": "05/03/2026" }), true, 0, 1),
        (json!({ "news": "no", "since": "2026-03-05" }), true, 0, 0),
    ] {
        let event = read(&rules, &fields, now);
        let report = &event.rules[0];
        assert_eq!(
            (report.met, report.unlisted, report.undated),
            (met, unlisted, undated),
            "{fields}"
        );
    }
}
