use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::envelope::{Dedup, Memory, Meta};

fn decoder() -> EventsDecoder {
    EventsDecoder {
        placeholders: Placeholders::default(),
        namespace: "site".into(),
        proca: "proca".into(),
    }
}

fn now() -> Timestamp {
    "2026-05-01T10:00:00Z".parse().unwrap()
}

fn read(item: &Value) -> Result<Event, String> {
    decoder().item(item, now())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is written in place, by every test"
)]
fn event(item: Value) -> Event {
    read(&item).unwrap_or_else(|wrong| panic!("{item}: {wrong}"))
}

#[test]
fn a_blank_id_beside_an_address_is_ignored() {
    for blank in ["", "  "] {
        let event = event(json!({
            "type": "consent", "what": "unsubscribed", "contact": { "email": "ada@example.org", "id": blank, "contactRef": blank },
        }));
        assert_eq!(
            event.identities,
            [Identity::Email {
                address: "ada@example.org".to_owned()
            }]
        );
        assert_eq!(event.consent.len(), 1);
    }
}

#[test]
fn a_page_visit_is_an_engagement_of_its_time() {
    let event = event(json!({
        "type": "page_visit", "id": "v1", "at": "2026-04-30T08:00:00+02:00",
        "contact": { "email": " Ada@Example.org ", "id": 7 },
        "key": "https://example.org/whales", "name": "Whales", "count": 2,
        "fields": { "First Name": "Ada", "colour": "red", "city": "", "note": null },
    }));
    assert_eq!(event.kind, EventKind::Engagement);
    assert_eq!(event.at, "2026-04-30T06:00:00Z".parse().unwrap());
    let [row] = &event.engagements[..] else {
        panic!("{:?}", event.engagements)
    };
    assert_eq!((row.kind, row.at), (EngagementKind::PageVisit, Some(event.at)));
    assert_eq!(
        (row.key.as_str(), row.count),
        ("https://example.org/whales", Some(2))
    );
    assert_eq!(
        event.identities,
        [
            Identity::Email {
                address: "ada@example.org".to_owned()
            },
            Identity::ForeignId {
                namespace: "site".into(),
                id: "7".to_owned()
            },
        ]
    );
    assert_eq!(event.fields["firstName"], "Ada");
    assert_eq!(event.fields["email"], "ada@example.org");
    assert_eq!(event.fields["note"], Value::Null, "it was cleared");
    assert_eq!(event.fields.len(), 4);
    assert!(event.notes[0].contains("1 without a value"), "{:?}", event.notes);
}

#[test]
fn each_kind_of_item_gives_its_event() {
    let with = |more: Value| {
        let mut item = json!({ "contact": { "email": "ada@example.org" } });
        for (key, value) in more.as_object().unwrap() {
            item[key] = value.clone();
        }
        event(item)
    };
    for (name, kind) in [
        ("email_open", EngagementKind::EmailOpen),
        ("link_click", EngagementKind::LinkClick),
        ("page_visit", EngagementKind::PageVisit),
        ("goal", EngagementKind::Goal),
        ("popup", EngagementKind::Popup),
        ("automation", EngagementKind::Automation),
    ] {
        assert_eq!(
            with(json!({ "type": name, "key": "k" })).engagements[0].kind,
            kind
        );
    }
    let custom = &with(json!({ "type": "custom", "name": "quiz", "score": 2.5 })).engagements[0];
    assert_eq!(
        (custom.kind, custom.key.as_str(), custom.score),
        (EngagementKind::Custom, "quiz", Some(2.5))
    );
    let score = with(json!({ "type": "score", "score": 42, "status": "warm" }));
    assert_eq!(
        (&score.fields["lead_score"], &score.fields["lead_status"]),
        (&json!(42), &json!("warm"))
    );
    for (item, field, is_in) in [
        (json!({ "type": "tag", "tag": "vip" }), "tag:vip", true),
        (
            json!({ "type": "tag", "tag": "vip", "change": "remove" }),
            "tag:vip",
            false,
        ),
        (
            json!({ "type": "list", "list": "news", "change": "join" }),
            "list:news",
            true,
        ),
        (
            json!({ "type": "list", "list": "news", "change": "leave" }),
            "list:news",
            false,
        ),
    ] {
        assert_eq!(with(item).fields[field], is_in, "{field}");
    }
    let fields = with(json!({ "type": "contact", "fields": { "zip": "3000" } })).fields;
    assert_eq!(fields["postcode"], "3000");
}

#[test]
fn consent_is_a_fact_with_its_purpose_and_time() {
    for what in keys::CONSENTS {
        let event = event(json!({
            "type": "consent", "what": what, "purpose": "phone", "basis": "stall in Bern",
            "at": "2026-04-01T00:00:00Z", "contact": { "contactRef": "abc" },
        }));
        let fact = &event.consent[0];
        assert_eq!(fact.what.as_str(), *what);
        assert_eq!(fact.purpose, "phone");
        let is_opt_out = !["opt_in", "double_opt_in", "declined"].contains(what);
        let at = if is_opt_out {
            "2026-04-01T00:00:00.999Z"
        } else {
            "2026-04-01T00:00:00Z"
        };
        assert_eq!(fact.at, at.parse().unwrap(), "{what}");
        assert_eq!(fact.basis, format!("events: {what}, stall in Bern"));
    }
    let plain = event(json!({ "type": "consent", "what": "opt_in", "contact": { "id": "1" } }));
    assert_eq!(
        (plain.consent[0].purpose.as_str(), plain.consent[0].at),
        ("email", now())
    );
}

/// An opt-out in whole seconds may have been given in the last millisecond, an opt-in in the first.
#[test]
fn an_opt_out_counts_from_the_end_of_its_second() {
    for (at, received, opt_in, opt_out) in [
        (
            json!("2026-04-01T08:00:00Z"),
            "2026-04-01T09:00:00Z",
            "2026-04-01T08:00:00Z",
            "2026-04-01T08:00:00.999Z",
        ),
        (
            json!(1_775_030_400),
            "2026-04-01T09:00:00Z",
            "2026-04-01T08:00:00Z",
            "2026-04-01T08:00:00.999Z",
        ),
        (
            json!("2026-04-01T10:00+02:00"),
            "2026-04-01T09:00:00Z",
            "2026-04-01T08:00:00Z",
            "2026-04-01T08:00:59.999Z",
        ),
        (
            json!("2026-04-01T08:00:00.250Z"),
            "2026-04-01T09:00:00Z",
            "2026-04-01T08:00:00.250Z",
            "2026-04-01T08:00:00.250Z",
        ),
        (
            json!(1_775_030_400_250_i64),
            "2026-04-01T09:00:00Z",
            "2026-04-01T08:00:00.250Z",
            "2026-04-01T08:00:00.250Z",
        ),
        // Never later than the arrival.
        (
            json!("2026-04-01T08:00:00Z"),
            "2026-04-01T08:00:00.400Z",
            "2026-04-01T08:00:00Z",
            "2026-04-01T08:00:00.400Z",
        ),
    ] {
        let received_at = received.parse().unwrap();
        for (what, expected) in [
            ("opt_in", opt_in),
            ("declined", opt_in),
            ("unsubscribed", opt_out),
            ("bounced", opt_out),
        ] {
            let item = json!({ "type": "consent", "what": what, "at": at, "contact": { "email": "ada@example.org" } });
            let event = decoder().item(&item, received_at).unwrap();
            assert_eq!(event.at, opt_in.parse().unwrap(), "{what} {at}");
            assert_eq!(event.consent[0].at, expected.parse().unwrap(), "{what} {at}");
        }
    }
}

#[test]
fn every_spelling_of_e_mail_is_one_purpose() {
    let read_consent = |what: &str, purpose: &str| {
        read(&json!({
            "type": "consent", "what": what, "purpose": purpose, "contact": { "email": "ada@example.org" },
        }))
        .map(|event| {
            let purposes: Vec<_> = event.consent.into_iter().map(|fact| fact.purpose).collect();
            (purposes.join(" "), event.notes.len())
        })
    };
    for purpose in [
        "email", "e-mail", "E-Mail", "EMAIL", "mail", "Mail", " e_mail ", "emails",
    ] {
        for what in ["opt_in", "unsubscribed", "bounced"] {
            assert_eq!(
                read_consent(what, purpose),
                Ok(("email".to_owned(), 0)),
                "{what} {purpose}"
            );
        }
    }
    for purpose in ["all", "ANY", "*"] {
        let all = "email phone sms post ads".to_owned();
        assert_eq!(read_consent("unsubscribed", purpose), Ok((all, 1)), "{purpose}");
        assert_eq!(
            read_consent("bounced", purpose),
            Ok(("email".to_owned(), 0)),
            "{purpose}"
        );
        assert!(
            read_consent("opt_in", purpose).unwrap_err().contains("`email`"),
            "{purpose}"
        );
    }
    assert_eq!(read_consent("unsubscribed", "phone"), Ok(("phone".to_owned(), 0)));
    assert_eq!(
        read_consent("unsubscribed", "e-mail-press"),
        Ok(("e-mail-press".to_owned(), 0))
    );
}

#[test]
fn a_future_time_counts_as_now_and_is_noted() {
    let at = now() + SignedDuration::from_hours(5);
    let event = event(json!({
        "type": "consent", "what": "opt_in", "at": at.to_string(), "contact": { "email": "ada@example.org" },
    }));
    assert_eq!((event.at, event.consent[0].at), (now(), now()));
    assert!(event.notes[0].contains("future"));
    let seconds = read(&json!({
        "type": "goal", "key": "g", "at": 1_777_000_000, "contact": { "email": "ada@example.org" },
    }))
    .unwrap();
    assert_eq!(seconds.at.as_second(), 1_777_000_000);
}

#[test]
fn a_visitor_differs_from_the_contact_with_the_same_id() {
    let event = event(json!({ "type": "goal", "key": "g", "contact": { "id": "1", "visitor": "1" } }));
    assert_ne!(event.identities[0], event.identities[1]);
    assert!(!event.identities[0].is_visitor() && event.identities[1].is_visitor());
}

/// Invalid items (about Ada, unless they name somebody), and a part of the error for each.
const WRONG: &[(&str, &str)] = &[
    (r#""text""#, "not an object"),
    ("{}", "`type` must be one of email_open"),
    (r#"{"type": "like"}"#, "`type` must be one of"),
    (
        r#"{"type": "goal", "key": "g", "contact": null}"#,
        "`contact` is missing",
    ),
    (r#"{"type": "goal"}"#, "`key` is missing"),
    (r#"{"type": "goal", "key": "  "}"#, "`key` must not be blank"),
    (
        r#"{"type": "goal", "key": "k", "contact": {"email": " "}}"#,
        "`contact` names nobody",
    ),
    (r#"{"type": "goal", "key": ["x"]}"#, "`key` must be text"),
    (r#"{"type": "goal", "key": "a\nb"}"#, "control characters"),
    (
        r#"{"type": "goal", "key": "g", "count": -1}"#,
        "`count` must be a whole",
    ),
    (
        r#"{"type": "goal", "key": "g", "count": 1.5}"#,
        "`count` must be a whole",
    ),
    (
        r#"{"type": "goal", "key": "g", "at": "yesterday"}"#,
        "`at` must be a time",
    ),
    (
        r#"{"type": "goal", "key": "g", "at": "2026-05-01"}"#,
        "`at` must be a time",
    ),
    (
        r#"{"type": "goal", "key": "g", "kye": 1}"#,
        "`kye` is not a key here",
    ),
    (
        r#"{"type": "goal", "key": "g", "bob@example.org": 1}"#,
        "one of the keys is not",
    ),
    (r#"{"type": "goal", "key": "g", "contact": {}}"#, "names nobody"),
    (
        r#"{"type": "goal", "key": "g", "contact": []}"#,
        "`contact` must be an object",
    ),
    (
        r#"{"type": "goal", "key": "g", "contact": {"mail": "a"}}"#,
        "`contact.mail` is not a key",
    ),
    (
        r#"{"type": "goal", "key": "g", "contact": {"email": "bob"}}"#,
        "`contact.email` is not an address",
    ),
    (
        r#"{"type": "score", "score": "high"}"#,
        "`score` must be a number",
    ),
    (
        r#"{"type": "tag", "tag": "a", "change": "put"}"#,
        "`change` must be one of add",
    ),
    (
        r#"{"type": "consent", "what": "yes"}"#,
        "`what` must be one of opt_in",
    ),
    (
        r#"{"type": "consent", "what": "opt_in", "purpose": "E-Mail!"}"#,
        "`purpose` must be",
    ),
    (r#"{"type": "contact"}"#, "has no effect"),
    (
        r#"{"type": "contact", "fields": {"tag:x": true}}"#,
        "`fields` has a name that begins",
    ),
    (
        r#"{"type": "contact", "fields": {"Email": "x"}}"#,
        "belongs in `contact`",
    ),
    (
        r#"{"type": "contact", "fields": []}"#,
        "`fields` must be an object",
    ),
];

#[test]
fn an_error_names_the_fault_without_repeating_values() {
    for (text, expected) in WRONG {
        let mut item: Value = serde_json::from_str(text).unwrap();
        if let Some(item) = item.as_object_mut() {
            item.entry("contact")
                .or_insert(json!({ "email": "ada@example.org" }));
        }
        let wrong = read(&item).expect_err(expected);
        assert!(wrong.contains(expected), "{item}: {wrong}");
        assert_eq!(wrong.find("` `"), None, "said twice: {wrong}");
        assert!(!wrong.contains("example.org"), "{wrong}");
    }
}

#[test]
fn a_duplicate_is_recognised_by_its_id_or_its_content() {
    let dedup = |item: &Value| dedup(item, &read(item).unwrap(), now(), 60_000);
    let item = json!({ "type": "goal", "key": "g", "contact": { "id": "1" } });
    let turned = json!({ "contact": { "id": "1" }, "key": "g", "type": "goal" });
    assert_eq!(dedup(&item), dedup(&turned));
    assert_eq!(dedup(&item).memory, Memory::Window(60_000));
    let with = |item: &Value, name: &str, value: &str| {
        let mut item = item.clone();
        item[name] = json!(value);
        item
    };
    let dated = with(&item, "at", "2026-05-01T10:00:00Z");
    assert_eq!(dedup(&dated).memory, Memory::Dated);
    assert_ne!(dedup(&dated).key, dedup(&item).key);
    // A future time does not date the item.
    let future = with(&item, "at", "2126-05-01T10:00:00Z");
    assert_eq!(dedup(&future).memory, Memory::Window(60_000));
    // Two items with one id are the same message only if their content is the same.
    let (one, other) = (
        with(&item, "id", "e1"),
        with(&with(&item, "id", "e1"), "key", "h"),
    );
    assert_eq!(dedup(&one).id, dedup(&other).id);
    assert_ne!(dedup(&one).key, dedup(&other).key);
    assert_eq!(dedup(&one).memory, Memory::Dated);
    let consent = json!({ "type": "consent", "what": "unsubscribed", "contact": { "id": "1" }, "id": "e1" });
    assert_eq!(
        dedup(&consent).memory,
        Memory::Window(60_000),
        "an opt-in may have arrived since"
    );
}

fn envelope(body: &[u8]) -> Envelope {
    Envelope {
        source: "site".into(),
        dedup: Dedup::dated([0; 16]),
        received_at: now(),
        meta: Meta::default(),
        body: body.to_vec().into(),
    }
}

#[test]
fn an_item_that_opts_out_is_recognised_by_its_bytes() {
    let contact = r#""contact":{"email":"ada@example.org"}"#;
    for kind in ["consent", r"\u0063onsent", r"con\u0073ent"] {
        let body = format!(r#"{{"type":"{kind}","what":"unsubscribed",{contact}}}"#);
        let envelope = envelope(body.as_bytes());
        let Decoded::Event(event) = decoder().decode(&envelope) else {
            panic!("{body}")
        };
        assert!(event.consent[0].what.is_opt_out(), "{body}");
        assert!(decoder().may_opt_out(&envelope), "{body}");
    }
    let body = format!(r#"{{"type":"email_open","key":"may",{contact}}}"#);
    assert!(!decoder().may_opt_out(&envelope(body.as_bytes())));
}

#[test]
fn invalid_json_is_dead_and_not_quoted() {
    for body in ["", "{", "ada@example.org", "[1, bob]"] {
        let Decoded::Dead { code, reason } = decoder().decode(&envelope(body.as_bytes())) else {
            panic!("{body}")
        };
        assert_eq!(code, DeadCode::Malformed);
        assert!(reason.starts_with("not JSON"), "{reason}");
        assert!(!reason.contains("ada") && !reason.contains("bob"));
    }
}

#[test]
fn half_a_letter_or_a_repeated_member_loses_nothing_else() {
    let item = r#"{"type":"contact","type":"contact","contact":{"email":"ada@example.org"},
        "fields":{"firstName":"Ada \ud83d","mobile":"1","phone":"2",},}"#;
    let Decoded::Event(event) = decoder().decode(&envelope(item.as_bytes())) else {
        panic!("{item}")
    };
    assert_eq!(event.fields["firstName"], "Ada \u{fffd}");
    assert_eq!(
        (&event.fields["phone"], &event.fields["mobile"]),
        (&json!("2"), &json!("1"))
    );
    assert_eq!(event.notes.len(), 3, "{:?}", event.notes);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        decoder().decode(&envelope(&body));
    }

    #[test]
    fn no_values_make_it_panic(sort in 0..keys::SORTS.len(), text in "\\PC{0,40}", number in any::<f64>()) {
        let mut item = json!({ "type": keys::SORTS[sort].name, "contact": { "id": text, "email": text } });
        for (nth, key) in COMMON.iter().chain(keys::SORTS[sort].keys).skip(1).enumerate() {
            item[key.name] = if nth % 2 == 0 { json!(text) } else { json!(number) };
            drop(read(&item));
        }
    }
}

/// Otherwise all people, or all browsers, with a placeholder would become one contact with one consent.
#[test]
fn a_placeholder_names_nobody() {
    for id in [
        json!("0"),
        json!(0),
        json!(-1),
        json!("null"),
        json!("[#CONTACT ID#]"),
        json!("guest"),
    ] {
        for key in ["id", "contactRef", "visitor"] {
            let mut contact = json!({ key: id });
            let item = |contact: &Value| json!({ "type": "tag", "tag": "t", "contact": contact });
            let now = "2026-05-01T10:00:00Z".parse().unwrap();
            let wrong = decoder().item(&item(&contact), now).unwrap_err();
            assert!(wrong.contains("names nobody"), "{wrong}");
            contact["email"] = "ada@example.org".into();
            let event = decoder().item(&item(&contact), now).unwrap();
            assert_eq!(event.identities.len(), 1, "{key} {id}");
            assert_eq!(
                event.notes,
                [format!(
                    "contact.{key}: a placeholder, which names nobody, was ignored"
                )]
            );
        }
    }
}
