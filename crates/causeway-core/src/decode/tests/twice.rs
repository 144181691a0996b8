//! Messages that name a field, a value or a person in several ways at once.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::super::{
    at_format::AtFormat,
    body::{Limits, Spelling},
    consent_from::{ConsentFrom, word},
    generic::{GenericDecoder, Paths},
    params::Params,
    placeholders::Placeholders,
    sync::{ArrivalConsent, SyncDecoder},
};
use crate::{
    consent::What,
    contact::Identity,
    envelope::{Dedup, Envelope, Meta},
    event::{Decode, Decoded, Event},
};

fn news() -> ConsentFrom {
    ConsentFrom {
        field: "news".to_owned(),
        purpose: "email".to_owned(),
        words: vec![(word("yes"), What::OptIn), (word("no"), What::Unsubscribed)],
        at_field: None,
        at_format: AtFormat::Plain,
    }
}

fn generic(fields: Option<&str>) -> GenericDecoder {
    GenericDecoder {
        namespace: "site".into(),
        time_zone: TimeZone::UTC,
        consent: ArrivalConsent::None,
        consent_from: vec![news()],
        paths: Paths {
            fields: fields.map(str::to_owned),
            ..Paths::default()
        },
        time_format: AtFormat::Plain,
        placeholders: Placeholders::default(),
        limits: Limits::default(),
        spelling: Spelling::default(),
    }
}

fn sync() -> SyncDecoder {
    SyncDecoder {
        placeholders: Placeholders::default(),
        namespace: "platform".into(),
        time_zone: TimeZone::UTC,
        consent: ArrivalConsent::None,
        consent_from: vec![news()],
        limits: Limits::default(),
        spelling: Spelling::default(),
        each: None,
    }
}

fn decode(decoder: &dyn Decode, content_type: &str, body: &[u8]) -> Decoded {
    decoder.decode(&Envelope {
        source: "site".into(),
        dedup: Dedup::dated([0; 16]),
        received_at: "2026-11-20T12:00:00Z".parse().unwrap(),
        meta: Meta {
            content_type: Some(content_type.to_owned()),
            ..Meta::default()
        },
        body: body.to_vec().into(),
    })
}

fn read(decoder: &dyn Decode, content_type: &str, body: &[u8]) -> Event {
    match decode(decoder, content_type, body) {
        Decoded::Event(event) => *event,
        other => panic!("{other:?}"),
    }
}

fn read_json(decoder: &dyn Decode, body: &Value) -> Event {
    read(decoder, "application/json", body.to_string().as_bytes())
}

fn form(decoder: &dyn Decode, body: &str) -> Event {
    read(decoder, "application/x-www-form-urlencoded", body.as_bytes())
}

fn opts_out(event: &Event) -> bool {
    event.consent.iter().any(|fact| fact.what.is_opt_out())
}

#[test]
fn an_opt_out_is_found_wherever_a_field_of_its_name_stands() {
    let ann = "ann@example.org";
    for (fields, body) in [
        (
            None,
            json!({ "email": ann, "news": "yes", "fields": { "news": "no" } }),
        ),
        (
            None,
            json!({ "email": ann, "fields": [{ "name": "news", "value": "no" }], "news": "yes" }),
        ),
        (
            None,
            json!({ "email": ann, "fields": [{ "name": "news", "value": "yes" }, { "name": "news", "value": "no" }] }),
        ),
        (
            None,
            json!({ "contact": { "email": ann, "news": "yes" }, "fields": { "news": "no" } }),
        ),
        (
            None,
            json!({ "contact": { "email": ann, "fields": { "news": "no" } }, "news": "yes" }),
        ),
        (
            Some("person"),
            json!({ "email": ann, "person": { "news": "yes", "fields": { "news": "no" } } }),
        ),
        (
            Some("person"),
            json!({ "email": ann, "person": { "news": "yes" }, "fields": { "news": "no" } }),
        ),
    ] {
        let event = read_json(&generic(fields), &body);
        assert!(opts_out(&event), "{body}: {:?}", event.consent);
    }
    let event = form(&generic(None), "email=ann@example.org&news=yes&fields[news]=no");
    assert!(opts_out(&event));
    let mut renaming = sync();
    let names = BTreeMap::from([("param5".to_owned(), "news".to_owned())]);
    renaming.spelling.params = Params::new(&names).unwrap();
    let event = form(&renaming, "email=ann@example.org&param5=yes&news=no");
    assert!(opts_out(&event), "what a parameter replaces counts");
    assert_eq!(event.fields.get("news"), Some(&json!("yes")));
}

#[test]
fn fields_of_other_objects_give_no_consent_of_the_contact() {
    for body in [
        json!({ "email": "ann@example.org", "friend": { "news": "yes" } }),
        json!({ "email": "ann@example.org", "order": { "news": "no" } }),
        json!({ "email": "ann@example.org", "data": { "email": "bob@example.org", "news": "no" } }),
    ] {
        assert!(read_json(&generic(None), &body).consent.is_empty(), "{body}");
    }
}

#[test]
fn an_opt_in_takes_the_date_beside_it_and_an_opt_out_the_latest() {
    let mut decoder = generic(None);
    decoder.consent_from = vec![ConsentFrom {
        at_field: Some("since".to_owned()),
        ..news()
    }];
    let read = |value: &str| {
        let body = json!({ "email": "ann@example.org", "news": value, "since": "2026-01-02",
            "fields": [{ "name": "since", "value": "2026-05-01" }, { "name": "since", "value": "soon" }] });
        let consent = read_json(&decoder, &body).consent;
        consent
            .iter()
            .map(|fact| fact.at.to_string()[..10].to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(read("yes"), ["2026-01-02"], "the one beside it");
    assert_eq!(read("no"), ["2026-05-01"], "the latest");
}

#[test]
fn names_and_values_are_compared_however_their_letters_are_encoded() {
    let mut decoder = generic(None);
    decoder.consent_from = vec![ConsentFrom {
        field: "F\u{fc}r Mails".to_owned(),
        words: vec![(word("f\u{fc}r mich"), What::Unsubscribed)],
        ..news()
    }];
    for name in ["F\u{fc}r Mails", "Fu\u{308}r Mails", "FU\u{308}R\u{a0}MAILS"] {
        let body = json!({ "email": "ann@example.org", name: "Fu\u{308}r\u{a0}mich" });
        assert!(opts_out(&read_json(&decoder, &body)), "{name:?}");
    }
}

#[test]
fn a_field_that_comes_in_several_rows_keeps_each_value() {
    let row = |at: usize, id: &str, name: &str, value: &str| {
        format!("&fields[{at}][id]={id}&fields[{at}][name]={name}&fields[{at}][value]={value}")
    };
    let start = "contact[email]=ann@example.org".to_owned();
    let rows = row(0, "7", "A", "1") + &row(1, "7", "A", "2") + &row(2, "7", "A", "3");
    let event = form(&sync(), &(start.clone() + &rows));
    assert_eq!(event.fields.get("A"), Some(&json!(["1", "2", "3"])));
    // Fields of one name that are not the same.
    let rows =
        row(0, "7", "A", "1") + &row(1, "8", "A", "2") + &row(2, "8", "B", "3") + &row(3, "9", "A", "4");
    let event = form(&sync(), &(start.clone() + &rows));
    for (name, value) in [("A", "1"), ("A (8)", "2"), ("B", "3"), ("A (9)", "4")] {
        assert_eq!(event.fields.get(name), Some(&json!(value)), "{name}");
    }
    // Choices with a gap, as a form numbers those that are ticked.
    let rows = "&fields[0][name]=A&fields[0][value][0]=a&fields[0][value][2]=c";
    let event = form(&sync(), &(start + rows));
    assert_eq!(event.fields.get("A"), Some(&json!(["a", "c"])));
}

#[test]
fn a_list_of_one_is_the_contacts_address_or_id() {
    let event = form(&sync(), "contact[email][]=ann@example.org&contact[id][]=9005");
    let values: Vec<&str> = event.identities.iter().map(Identity::value).collect();
    assert_eq!(values, ["ann@example.org", "9005"]);
}

#[test]
fn a_number_is_one_id_however_it_is_written() {
    for id in ["505", "505.0", "5.05e2", "\"505\""] {
        let body = format!(r#"{{"contact":{{"id":{id}}}}}"#);
        let event = read(&sync(), "application/json", body.as_bytes());
        assert_eq!(event.identities[0].value(), "505", "{id}");
    }
}

#[test]
fn rows_without_a_key_of_their_group_are_noted() {
    let body = json!({ "contact": { "id": "7" }, "links-clicked": { "https://example.org": 3 } });
    let event = read_json(&sync(), &body);
    assert!(
        event
            .notes
            .iter()
            .any(|note| note.starts_with("links-clicked: 1 rows")),
        "{:?}",
        event.notes
    );
}

#[test]
fn an_address_with_lost_letters_names_nobody() {
    for body in [
        &b"email=zo%E9@example.org&news=no"[..],
        b"email=zo\xe9@example.org&news=no",
    ] {
        let decoded = decode(&generic(None), "application/x-www-form-urlencoded", body);
        assert!(matches!(decoded, Decoded::Dead { .. }), "{decoded:?}");
    }
    let decoded = decode(
        &generic(None),
        "application/json",
        br#"{"email":"bo\ud83d@example.org","news":"no"}"#,
    );
    assert!(matches!(decoded, Decoded::Dead { .. }), "{decoded:?}");
}
