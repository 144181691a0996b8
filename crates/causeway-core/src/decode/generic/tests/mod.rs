mod each;

use serde_json::json;

use super::*;

const NOW: &str = "2026-11-20T12:00:00Z";

fn decode(paths: Paths, value: Value) -> Decoded {
    decode_with(paths, ArrivalConsent::None, AtFormat::Plain, value)
}

fn decode_with(paths: Paths, consent: ArrivalConsent, time_format: AtFormat, value: Value) -> Decoded {
    let decoder = GenericDecoder {
        time_format,
        placeholders: Placeholders::default(),
        namespace: "crm".into(),
        time_zone: TimeZone::get("Europe/Berlin").unwrap(),
        consent,
        consent_from: Vec::new(),
        paths,
        limits: Limits::default(),
        spelling: Spelling::default(),
    };
    let body = Body {
        value,
        format: crate::decode::body::Format::Json,
        notes: Vec::new(),
    };
    decoder.decode_body(body, NOW.parse().unwrap())
}

fn event(paths: Paths, value: Value) -> Event {
    match decode(paths, value) {
        Decoded::Event(event) => *event,
        other => panic!("{other:?}"),
    }
}

fn who(event: &Event) -> Vec<&str> {
    event.identities.iter().map(Identity::value).collect()
}

#[test]
fn common_names_are_guessed() {
    for (value, expected) in [
        (json!({"email": "Jane@example.org"}), vec!["jane@example.org"]),
        (
            json!({"E-Mail": "jane@example.org", "id": "evt_1"}),
            vec!["jane@example.org"],
        ),
        (
            json!({"Email Address": "jane@example.org", "contact_id": 7}),
            vec!["jane@example.org", "7"],
        ),
        (
            json!({"contact": {"email": "jane@example.org", "id": 7}}),
            vec!["jane@example.org", "7"],
        ),
        (
            json!({"data": {"email": "jane@example.org", "id": 7}}),
            vec!["jane@example.org"],
        ),
        (json!({"subscriber": {"id": "s-1"}}), vec!["s-1"]),
        // The member of staff who was logged in.
        (
            json!({"email": "jane@example.org", "user_id": 5, "userId": 5, "user": {"id": 5}}),
            vec!["jane@example.org"],
        ),
        (json!([{"mail": "jane@example.org"}]), vec!["jane@example.org"]),
    ] {
        assert_eq!(who(&event(Paths::default(), value.clone())), expected, "{value}");
    }
}

#[test]
fn paths_win_over_guesses() {
    let paths = Paths {
        each: None,
        email: Some("people[1].mail.work".into()),
        id: Some("people.1.ref".into()),
        fields: Some("people[1].fields".into()),
        time: Some("meta.when".into()),
    };
    let value = json!({
        "email": "other@example.org",
        "meta": {"when": "2022-05-26 05:40 PM"},
        "people": [{}, {"mail": {"work": "jane@example.org"}, "ref": "r1",
            "fields": [{"id": 1, "name": "City", "value": "Bonn"}, {"name": "Empty", "value": ""}]}],
    });
    let event = event(paths, value);
    assert_eq!(who(&event), ["jane@example.org", "r1"]);
    assert_eq!(
        json!(event.fields),
        json!({"locality": "Bonn", "email": "jane@example.org"})
    );
    assert_eq!(event.at.to_string(), "2022-05-26T15:40:00Z");
    assert_eq!(event.kind, EventKind::ContactSync);
}

#[test]
fn without_a_path_the_whole_record_becomes_fields() {
    let value =
        json!({"email": "JANE@example.org", "city": "Bonn", "none": null, "blank": " ", "list": ["a"]});
    let event = event(Paths::default(), value);
    assert_eq!(
        json!(event.fields),
        json!({"email": "jane@example.org", "list": ["a"], "locality": "Bonn", "none": null})
    );
}

#[test]
fn times_are_read_and_never_lie_in_the_future() {
    for (time, expected, noted) in [
        (json!("2026-11-01T10:00:00+01:00"), "2026-11-01T09:00:00Z", false),
        (json!(1_700_000_000), "2023-11-14T22:13:20Z", false),
        (json!("1700000000123"), "2023-11-14T22:13:20.123Z", false),
        (json!("2026-11-20T12:00:30Z"), NOW, false),
        (json!("2027-01-01T00:00:00Z"), NOW, true),
        (json!("soon"), NOW, true),
        (json!("N/A"), NOW, false),
        (json!(null), NOW, false),
    ] {
        let event = event(
            Paths::default(),
            json!({"email": "jane@example.org", "timestamp": time}),
        );
        assert_eq!(
            (event.at.to_string().as_str(), event.notes.len() == 1),
            (expected, noted),
            "{time}"
        );
    }
}

#[test]
fn a_record_about_nobody_is_dead_and_says_why() {
    for (value, code) in [
        (json!({"id": 7, "name": "Jane"}), DeadCode::Unknown),
        (json!({"email": "not an address"}), DeadCode::Unknown),
        (
            json!([{"email": "a@example.org"}, {"email": "b@example.org"}]),
            DeadCode::Malformed,
        ),
        (json!("text"), DeadCode::Malformed),
    ] {
        let Decoded::Dead { code: seen, reason } = decode(Paths::default(), value) else {
            panic!("must be dead");
        };
        assert_eq!(seen, code);
        assert!(!reason.contains("address\""), "{reason}");
    }
}

/// Otherwise all people with a placeholder would become one contact with one consent.
#[test]
fn a_placeholder_is_no_id_and_is_noted_without_its_value() {
    for id in [
        json!(0),
        json!(-1),
        json!(0.0),
        json!("0"),
        json!(" NULL "),
        json!("undefined"),
        json!("'none'"),
        json!("00000000-0000-0000-0000-000000000000"),
        json!("{{ contact.id }}"),
        json!(true),
    ] {
        let given = Paths {
            id: Some("ref".to_owned()),
            ..Paths::default()
        };
        for (paths, value) in [
            (given, json!({"email": "jane@example.org", "ref": id})),
            (
                Paths::default(),
                json!({"email": "jane@example.org", "contact_id": id}),
            ),
            (
                Paths::default(),
                json!({"email": "jane@example.org", "Subscriber-ID": id}),
            ),
            (
                Paths::default(),
                json!({"email": "jane@example.org", "contact": {"id": id}}),
            ),
        ] {
            let event = event(paths, value.clone());
            assert_eq!(who(&event), ["jane@example.org"], "{value}");
            assert_eq!(
                event.notes,
                ["id: a placeholder, which names nobody, was ignored"]
            );
        }
        let Decoded::Dead { code, .. } = decode(Paths::default(), json!({"contact_id": id})) else {
            panic!("{id} names nobody");
        };
        assert_eq!(code, DeadCode::Unknown);
    }
}

#[test]
fn words_for_nothing_tags_and_other_addresses_do_not_become_fields() {
    let event = event(
        Paths {
            email: Some("mail.work".to_owned()),
            ..Paths::default()
        },
        json!({
            "mail": {"work": "jane@example.org"}, "email": "somebody else", "first_name": "NULL", "phone": "\\N",
            "last_name": "Null", "city": "#N/A", "tag:vip": true, "list:board": true, "list_field_ids:crm": {"a": 1},
        }),
    );
    assert_eq!(
        json!(event.fields),
        json!({"email": "jane@example.org", "lastName": "Null", "mail": {"work": "jane@example.org"}})
    );
    assert!(
        event.notes[0].starts_with("fields: 3 left out"),
        "{:?}",
        event.notes
    );
}

#[test]
fn a_path_finds_a_field_that_a_form_renamed() {
    let paths = || Paths {
        email: Some("e.mail".to_owned()),
        id: Some("customer no".to_owned()),
        ..Paths::default()
    };
    for value in [
        json!({"e_mail": "jane@example.org", "customer_no": "7"}),
        json!({"e.mail": "jane@example.org", "customer no": 7}),
        json!({"e": {"mail": "jane@example.org"}, "customer_no": "7"}),
    ] {
        assert_eq!(
            who(&event(paths(), value.clone())),
            ["jane@example.org", "7"],
            "{value}"
        );
    }
}

#[test]
fn a_day_or_an_unreadable_time_never_dates_an_opt_in_too_late() {
    for (format, time, expected, opted_in) in [
        (
            "",
            "2026-11-01",
            "2026-10-31T23:00:00Z",
            Some("2026-10-31T23:00:00Z"),
        ),
        (
            "DD/MM/YYYY",
            "01/11/2026",
            "2026-10-31T23:00:00Z",
            Some("2026-10-31T23:00:00Z"),
        ),
        (
            "excel",
            "46327",
            "2026-10-31T23:00:00Z",
            Some("2026-10-31T23:00:00Z"),
        ),
        ("", "01/11/2026", NOW, None),
        ("", "soon", NOW, None),
        ("", "", NOW, Some(NOW)),
    ] {
        let format = if format.is_empty() {
            AtFormat::Plain
        } else {
            AtFormat::parse(format).unwrap()
        };
        let value = json!({"email": "jane@example.org", "timestamp": time});
        let decoded = decode_with(Paths::default(), ArrivalConsent::OptIn, format, value);
        let Decoded::Event(event) = decoded else {
            panic!("{decoded:?}")
        };
        assert_eq!(event.at.to_string(), expected, "{time}");
        let at = event.consent.first().map(|fact| fact.at.to_string());
        assert_eq!(at.as_deref(), opted_in, "{time}");
    }
}

#[test]
fn a_rule_finds_its_field_beside_the_address_of_the_contact() {
    let rule = |field: &str| ConsentFrom {
        field: field.to_owned(),
        purpose: "email".to_owned(),
        words: vec![("no".to_owned(), crate::consent::What::Unsubscribed)],
        at_field: None,
        at_format: AtFormat::Plain,
    };
    let path = |email: &str, fields: &str| Paths {
        email: (!email.is_empty()).then(|| email.to_owned()),
        fields: (!fields.is_empty()).then(|| fields.to_owned()),
        ..Paths::default()
    };
    for (paths, field, value) in [
        (
            path("", ""),
            "status",
            json!({"contact": {"email": "a@example.org", "status": "no"}}),
        ),
        (
            path("", ""),
            "contact.status",
            json!({"contact": {"email": "a@example.org", "status": "no"}}),
        ),
        (
            path("", ""),
            "status",
            json!({"email": "a@example.org", "person": {"id": 7, "status": "no"}}),
        ),
        (
            path("list[0].mail", "own"),
            "status",
            json!({"list": [{"mail": "a@example.org", "status": "no"}], "own": {"x": 1}}),
        ),
        (
            path("", "own"),
            "Newsletter",
            json!({"email": "a@example.org", "own": [{"Label": "Newsletter", "Value": "no"}]}),
        ),
        (
            path("", "own"),
            "Newsletter",
            json!({"email": "a@example.org", "own": [{"Newsletter": "no"}]}),
        ),
    ] {
        let decoder = GenericDecoder {
            time_format: AtFormat::Plain,
            placeholders: Placeholders::default(),
            namespace: "crm".into(),
            time_zone: TimeZone::UTC,
            consent: ArrivalConsent::None,
            consent_from: vec![rule(field)],
            paths,
            limits: Limits::default(),
            spelling: Spelling::default(),
        };
        let body = Body {
            value: value.clone(),
            format: crate::decode::body::Format::Json,
            notes: Vec::new(),
        };
        let Decoded::Event(event) = decoder.decode_body(body, NOW.parse().unwrap()) else {
            panic!("{value}")
        };
        assert_eq!(event.consent.len(), 1, "{field} in {value}: {event:?}");
    }
}

#[test]
fn an_empty_place_or_a_placeholder_does_not_hide_the_next_place() {
    for (value, expected) in [
        (
            json!({"email": "", "contact": {"email": "d@example.org"}}),
            vec!["d@example.org"],
        ),
        (
            json!({"email": "N/A", "contact": {"email": "d@example.org"}}),
            vec!["d@example.org"],
        ),
        (
            json!({"email": "unknown", "contact": {"email": "d@example.org"}}),
            vec!["d@example.org"],
        ),
        (
            json!({"email": null, "contact": {"email": "d@example.org"}}),
            vec!["d@example.org"],
        ),
        (
            json!({"email": null, "Email": "d@example.org"}),
            vec!["d@example.org"],
        ),
        (
            json!({"email": " ", "mail": "d@example.org"}),
            vec!["d@example.org"],
        ),
        (
            json!({"contact": {"email": ""}, "person": {"E-Mail": "d@example.org"}}),
            vec!["d@example.org"],
        ),
        (json!({"contact_id": 0, "contact": {"id": 7}}), vec!["7"]),
        (json!({"contact": {"id": null}, "person": {"id": 7}}), vec!["7"]),
        (json!({"contact_id": "", "Contact-ID": 7}), vec!["7"]),
        // The first usable value counts.
        (
            json!({"email": "d@example.org", "contact": {"email": "e@example.org"}}),
            vec!["d@example.org"],
        ),
    ] {
        assert_eq!(who(&event(Paths::default(), value.clone())), expected, "{value}");
    }
    let paths = Paths {
        each: None,
        email: Some("who.mail".to_owned()),
        ..Paths::default()
    };
    let value = json!({"who": {"mail": null, "Mail": "d@example.org"}});
    assert_eq!(who(&event(paths, value)), ["d@example.org"]);
    let unreadable = json!({"email": "d at example.org", "contact": {"email": "e@example.org"}});
    assert!(matches!(
        decode(Paths::default(), unreadable),
        Decoded::Dead { .. }
    ));
}

#[test]
fn the_consent_in_each_object_of_the_contact_counts() {
    use crate::consent::What;
    let decoder = |value: &Value| {
        let decoder = GenericDecoder {
            time_format: AtFormat::Plain,
            placeholders: Placeholders::default(),
            namespace: "crm".into(),
            time_zone: TimeZone::UTC,
            consent: ArrivalConsent::None,
            consent_from: vec![ConsentFrom {
                field: "optin".to_owned(),
                purpose: "email".to_owned(),
                words: vec![
                    ("yes".to_owned(), What::OptIn),
                    ("no".to_owned(), What::Unsubscribed),
                ],
                at_field: None,
                at_format: AtFormat::Plain,
            }],
            paths: Paths::default(),
            limits: Limits::default(),
            spelling: Spelling::default(),
        };
        let body = Body {
            value: value.clone(),
            format: crate::decode::body::Format::Json,
            notes: Vec::new(),
        };
        match decoder.decode_body(body, NOW.parse().unwrap()) {
            Decoded::Event(event) => *event,
            other => panic!("{value}: {other:?}"),
        }
    };
    for value in [
        json!({"email": "a@example.org", "optin": "yes", "OptIn": "no"}),
        json!({"email": "a@example.org", "OptIn": "no", "optin": "yes"}),
        json!({"email": "a@example.org", "optin": "yes", "contact": {"email": "A@example.org", "optin": "no"}}),
        json!({"email": "a@example.org", "optin": "no", "contact": {"email": "a@example.org", "optin": "yes"}}),
        json!({"email": "", "optin": "yes", "contact": {"email": "a@example.org", "OPTIN": "no"}}),
        json!({"contact_id": 7, "optin": "yes", "person": {"id": "7", "optin": "no"}}),
    ] {
        let event = decoder(&value);
        let words: Vec<_> = event.consent.iter().map(|fact| fact.what.as_str()).collect();
        assert!(words.contains(&"unsubscribed"), "{value}: {words:?}");
        let newest = event
            .consent
            .iter()
            .max_by_key(|fact| (fact.at, fact.what.is_opt_out()));
        assert_eq!(newest.unwrap().what, What::Unsubscribed, "{value}");
        assert_eq!(
            event.notes,
            ["field optin: the fields with this name hold an opt-in and an opt-out; the opt-out counts"],
            "{value}"
        );
    }
    // Somebody else's data.
    let other = json!({
        "email": "a@example.org", "optin": "yes", "user": {"email": "staff@example.org", "optin": "no"},
    });
    let event = decoder(&other);
    assert_eq!(event.consent.len(), 1);
    assert_eq!(event.consent[0].what, What::OptIn);
}
