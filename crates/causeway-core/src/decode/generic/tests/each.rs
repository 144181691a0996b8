//! Tests of the preset `generic`: several records in one message, wrappers, and names of fields.

use std::collections::BTreeMap;

use serde_json::json;

use super::super::*;
use crate::{
    consent::What,
    decode::params::Params,
    envelope::{Dedup, Meta},
    id::InboxId,
};

const NOW: &str = "2026-11-20T12:00:00Z";
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

fn decoder(paths: Paths) -> GenericDecoder {
    GenericDecoder {
        time_format: AtFormat::Plain,
        placeholders: Placeholders::default(),
        namespace: "crm".into(),
        time_zone: TimeZone::UTC,
        consent: ArrivalConsent::None,
        consent_from: Vec::new(),
        paths,
        limits: Limits::default(),
        spelling: Spelling::default(),
    }
}

fn each(path: &str, more: Paths) -> GenericDecoder {
    decoder(Paths {
        each: Some(path.to_owned()),
        ..more
    })
}

fn message(content_type: &str, query: &str, body: &str) -> Envelope {
    Envelope {
        source: "forms".into(),
        dedup: Dedup::window([7; 16], 1_000),
        received_at: NOW.parse().unwrap(),
        meta: Meta {
            content_type: Some(content_type.to_owned()),
            query: (!query.is_empty()).then(|| query.to_owned()),
            ..Meta::default()
        },
        body: body.as_bytes().to_vec().into(),
    }
}

fn dead(decoded: &Decoded) -> &str {
    match decoded {
        Decoded::Dead { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

fn event(decoded: &Decoded) -> &Event {
    decoded.event().unwrap_or_else(|| panic!("{decoded:?}"))
}

fn who(event: &Event) -> Vec<&str> {
    event.identities.iter().map(Identity::value).collect()
}

fn parts(decoded: Decoded) -> Vec<(Envelope, Decoded)> {
    match decoded {
        Decoded::Parts(parts) => parts,
        other => panic!("{other:?}"),
    }
}

const MAUTIC: &str = r#"{"timestamp":"2026-11-20T10:00:00Z","mautic.lead_post_save_update":[
    {"contact":{"id":11,"fields":{"core":{"email":{"label":"Email","value":"ann@example.org"},
        "firstname":{"label":"First Name","type":"text","value":"Ann"},"size":{"value":3,"unit":"m"}}}}},
    {"contact":{"id":12,"fields":{"core":{"email":{"label":"Email","value":"bob@example.org"}}}}}]}"#;

#[test]
fn each_record_of_a_message_becomes_a_message_of_its_own() {
    let paths = Paths {
        email: Some("contact.fields.core.email.value".into()),
        id: Some("contact.id".into()),
        fields: Some("contact.fields.core".into()),
        ..Paths::default()
    };
    let mautic = each(r#""mautic.lead_post_save_update""#, paths);
    let decoded = parts(mautic.decode(&message(JSON, "", MAUTIC)));
    let people: Vec<_> = decoded.iter().map(|(_, part)| who(event(part))).collect();
    assert_eq!(people, [["ann@example.org", "11"], ["bob@example.org", "12"]]);
    let ann = event(&decoded[0].1);
    assert_eq!(ann.at.to_string(), "2026-11-20T10:00:00Z", "said of all of them");
    assert_eq!(
        json!(ann.fields),
        json!({"email": "ann@example.org", "firstName": "Ann", "size": {"value": 3, "unit": "m"}})
    );
    for (number, (envelope, part)) in (1..).zip(&decoded) {
        assert_eq!(envelope.meta.part.as_ref().unwrap().number, number);
        // Decoding the part again gives the same.
        assert_eq!(mautic.decode(envelope), part.clone().part_of(InboxId(0)));
    }
    assert_ne!(decoded[0].0.dedup.key, decoded[1].0.dedup.key);
    let again = parts(mautic.decode(&message(JSON, "", MAUTIC)));
    assert_eq!(decoded, again, "its keys derive from the message");
    let other = parts(mautic.decode(&message(JSON, "", &MAUTIC.replace("bob", "cem"))));
    assert_ne!(decoded[0].0.dedup.key, other[0].0.dedup.key);
}

#[test]
#[rustfmt::skip] // One case per line reads as a table.
fn records_are_found_in_lists_wrappers_and_texts() {
    let both = [["ann@example.org"], ["bob@example.org"]];
    for (path, content_type, body) in [
        (".", JSON, r#"[{"email":"ann@example.org"},{"contact":{"email":"bob@example.org"}}]"#),
        ("data.people", JSON, r#"{"data":{"people":[{"email":"ann@example.org"},{"email":"bob@example.org"}]}}"#),
        ("emails", JSON, r#"{"emails":["ann@example.org","bob@example.org"]}"#),
        ("payload", FORM, r#"payload=[{"email":"ann@example.org"},{"email":"bob@example.org"}]"#),
        ("payload.people", FORM, r#"payload={"people":[{"email":"ann@example.org"},{"email":"bob@example.org"}]}"#),
        ("people", FORM, "people[3][email]=ann@example.org&people[7][email]=bob@example.org"),
        ("contact", "text/xml", "<r><contact><email>ann@example.org</email></contact><contact><email>bob@example.org</email></contact></r>"),
    ] {
        let decoded = parts(each(path, Paths::default()).decode(&message(content_type, "", body)));
        let people: Vec<_> = decoded.iter().map(|(_, part)| who(event(part))).collect();
        assert_eq!(people, both, "{path} {body}");
        // Without `each`, no record is taken.
        let decoded = decoder(Paths::default()).decode(&message(content_type, "", body));
        let counts = path != "emails";
        assert_eq!(dead(&decoded).starts_with("2 records in one message"), counts, "{path}: {}", dead(&decoded));
    }
    for (body, skipped) in [("[]", true), (r#"[{"email":"ann@example.org"}]"#, false), (r#"{"email":"ann@example.org"}"#, false)] {
        let decoded = each(".", Paths::default()).decode(&message(JSON, "", body));
        assert_eq!(matches!(decoded, Decoded::Skip { .. }), skipped, "{body}");
        assert_eq!(matches!(decoded, Decoded::Event(_)), !skipped, "{body}");
    }
    let decoded = each("people", Paths::default()).decode(&message(JSON, "", r#"{"email":"ann@example.org"}"#));
    assert!(event(&decoded).notes[0].starts_with("each: nothing"));
}

#[test]
fn one_record_is_never_taken_while_the_rest_is_dropped() {
    let first = decoder(Paths {
        email: Some("people[0].email".to_owned()),
        ..Paths::default()
    });
    let decoded = first.decode(&message(
        JSON,
        "",
        r#"{"people":[{"email":"fay@example.org"},{"email":"gil@example.org"}]}"#,
    ));
    assert!(dead(&decoded).starts_with("2 records in one message"));
    assert!(dead(&decoded).contains("each = 'people'"));
    let decoded = first.decode(&message(
        JSON,
        "",
        r#"{"people":[{"email":"fay@example.org"},{}]}"#,
    ));
    assert_eq!(who(event(&decoded)), ["fay@example.org"]);
    // Another list beside the one of `each` is kept, as dead.
    let two = r#"{"a":[{"email":"ann@example.org"}],"b.c":[{"email":"bob@example.org"}],"meta":{"n":1}}"#;
    let decoded = parts(each("a", Paths::default()).decode(&message(JSON, "", two)));
    assert_eq!(
        (decoded.len(), who(event(&decoded[0].1))),
        (2, vec!["ann@example.org"])
    );
    assert!(
        dead(&decoded[1].1).contains(r#"each = '"b.c"'"#),
        "{}",
        dead(&decoded[1].1)
    );
}

#[test]
fn values_beside_the_list_belong_to_each_record() {
    let mut decoder = each("emails", Paths::default());
    decoder.consent_from = vec![ConsentFrom {
        field: "event".to_owned(),
        purpose: "email".to_owned(),
        words: vec![("unsubscribed".to_owned(), What::Unsubscribed)],
        at_field: None,
        at_format: AtFormat::Plain,
    }];
    let body = r#"{"event":"unsubscribed","emails":["ann@example.org","bob@example.org"]}"#;
    for (envelope, part) in parts(decoder.decode(&message(JSON, "", body))) {
        for read in [part, decoder.decode(&envelope)] {
            assert_eq!(event(&read).consent[0].what, What::Unsubscribed);
        }
    }
}

#[test]
#[rustfmt::skip] // One case per line reads as a table.
fn a_wrapper_changes_no_name_and_the_group_fields_is_read() {
    for (content_type, body) in [
        (JSON, r#"{"contact":{"email":"ann@example.org","first_name":"Ann","city":"Bonn"}}"#),
        (JSON, r#"{"email":"ann@example.org","fields":{"First Name":"Ann","125":"x","city":"Bonn"}}"#),
        (JSON, r#"{"email":"ann@example.org","fields":[{"name":"First Name","value":"Ann"},{"name":"City","value":"Bonn"}]}"#),
        (FORM, r#"payload={"email":"ann@example.org","first_name":"Ann","city":"Bonn"}"#),
        (FORM, "email=ann@example.org&fields[First Name]=Ann&fields[City]=Bonn"),
        (FORM, "contact[email]=ann@example.org&contact[first_name]=Ann&contact[city]=Bonn"),
    ] {
        let decoded = decoder(Paths::default()).decode(&message(content_type, "", body));
        for (name, value) in [("email", "ann@example.org"), ("firstName", "Ann"), ("locality", "Bonn")] {
            assert_eq!(event(&decoded).fields.get(name), Some(&json!(value)), "{name} {body}");
        }
    }
}

#[test]
fn json_in_a_text_is_followed_by_paths_and_kept_as_it_came() {
    let paths = Paths {
        email: Some("rawRequest.who.mail".into()),
        fields: Some("rawRequest.who".into()),
        ..Paths::default()
    };
    let body = r#"form=7&rawRequest={"who":{"mail":"ann@example.org","first_name":"Ann"}}"#;
    let decoded = decoder(paths).decode(&message("", "", body));
    let read = event(&decoded);
    assert_eq!(
        (who(read), read.fields.get("firstName")),
        (vec!["ann@example.org"], Some(&json!("Ann")))
    );
    let decoded = decoder(Paths::default()).decode(&message("", "", r#"email=ann@example.org&note={"a":1}"#));
    assert_eq!(event(&decoded).fields["note"], json!(r#"{"a":1}"#));
}

fn read(body: &Value) -> Decoded {
    decoder(Paths::default()).decode(&message(JSON, "", &body.to_string()))
}

#[test]
fn fields_with_the_same_meaning_are_all_kept() {
    for (mut body, fields) in [
        (
            json!({"mobile": "1", "phone": "2"}),
            json!({"phone": "2", "mobile": "1"}),
        ),
        (
            json!({"phone": "2", "mobile": "1"}),
            json!({"phone": "2", "mobile": "1"}),
        ),
        (json!({"mobile": "1"}), json!({"phone": "1"})),
        (
            json!({"Zip": "1", "post code": "2"}),
            json!({"postcode": "1", "post code": "2"}),
        ),
    ] {
        body["email"] = json!("ann@example.org");
        let decoded = read(&body);
        let mut seen = event(&decoded).fields.clone();
        seen.remove("email");
        assert_eq!(json!(seen), fields, "{body}");
    }
}

#[test]
fn fields_with_reserved_names_are_kept_and_noted() {
    let decoded = read(&json!({"email": "ann@example.org", "ids": "7", "tags": "a,b", "city": "Bonn"}));
    let read = event(&decoded);
    assert_eq!(
        (&read.fields["ids"], &read.fields["tags"]),
        (&json!("7"), &json!("a,b"))
    );
    assert_eq!(
        read.notes,
        ["fields: the sender's ids, tags are kept as fields.NAME; contact.NAME is the hub's own"]
    );
}

#[test]
fn a_phone_number_identifies_a_contact_without_address_and_id() {
    for (body, named) in [
        (
            json!({"phone": "+49 30 123456", "city": "Bonn"}),
            Some("+4930123456"),
        ),
        (json!({"Mobile": "0171/123456"}), Some("0171123456")),
        (json!({"phone": "+49 30 123456", "contact_id": 7}), Some("7")),
        (json!({"phone": "0000000"}), None),
        (json!({"phone": "123"}), None),
        (json!({"phone": "[#PHONE#]"}), None),
    ] {
        let decoded = read(&body);
        assert_eq!(decoded.event().map(who), named.map(|id| vec![id]), "{body}");
    }
}

#[test]
fn an_id_with_lost_letters_identifies_nobody() {
    let decoded = read(&json!({"contact_id": "K\u{fffd}ln-1"}));
    assert!(
        dead(&decoded).contains("letters of it were lost"),
        "{}",
        dead(&decoded)
    );
}

#[test]
fn parameters_get_the_names_of_the_configuration() {
    let names = [("param1", "email"), ("param2", "firstName"), ("param3", "id")];
    let names = BTreeMap::from(names.map(|(from, to)| (from.to_owned(), to.to_owned())));
    let mut reader = decoder(Paths::default());
    reader.spelling.params = Params::new(&names).unwrap();
    let decoded = reader.decode(&message("", "param1=ann@example.org&param2=Ann&param3=7", ""));
    let read = event(&decoded);
    assert_eq!(
        (who(read), &read.fields["firstName"]),
        (vec!["ann@example.org", "7"], &json!("Ann"))
    );
    let decoded = reader.decode(&message("", "param1=&param3=7", ""));
    assert_eq!(who(event(&decoded)), ["7"]);
}
