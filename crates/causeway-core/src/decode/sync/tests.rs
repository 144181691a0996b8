use bytes::Bytes;

use super::*;
use crate::decode::consent_from::ConsentFrom;
use crate::{
    envelope::{Dedup, Meta},
    event::{Engagement, EngagementKind},
    form::{EmitOptions, append_pair, array_to_json, emit},
};

/// The form that PHP's builder makes of a contact with two fields and a row in five of the groups.
const BODY: &str = "transactionid=123456789&contact%5Bid%5D=8812&contact%5Bemail%5D=jane.doe%2Bx%40example.com\
    &contact%5Bphone%5D=%2B15551234&contact%5Bprofile_url%5D=https%3A%2F%2Fapp.example%2Fc%2F8812\
    &fields%5B0%5D%5Bid%5D=125&fields%5B0%5D%5Bname%5D=First+Name&fields%5B0%5D%5Bvalue%5D=Jane\
    &fields%5B1%5D%5Bid%5D=1204&fields%5B1%5D%5Bname%5D=Last+Name&fields%5B1%5D%5Bvalue%5D=Doe\
    &campaigns-opened%5B0%5D%5Bid%5D=31&campaigns-opened%5B0%5D%5Bname%5D=May\
    &campaigns-opened%5B0%5D%5Bopen_date%5D=2022-05-26+05%3A40+PM\
    &links-clicked%5B0%5D%5Burl%5D=https%3A%2F%2Fe.co%2F%3Fa%3D1%26b%3D2&links-clicked%5B0%5D%5Bclicks%5D=3\
    &pages-visited%5B0%5D%5Bpage%5D=https%3A%2F%2Fe.co%2Fp&pages-visited%5B0%5D%5Bvisit_date%5D=2022-05-26+05%3A41+PM\
    &lead-score%5B0%5D%5Bid%5D=5&lead-score%5B0%5D%5Bname%5D=Opened&lead-score%5B0%5D%5Bscore%5D=10\
    &lead-score%5B0%5D%5Bscore_date%5D=2022-05-26+05%3A42+PM&lead-status%5Bscore%5D=10&lead-status%5Blabel%5D=Cold+Lead";

const FORM: &str = "application/x-www-form-urlencoded";

fn decoder() -> SyncDecoder {
    SyncDecoder {
        placeholders: Placeholders::default(),
        namespace: "platform".into(),
        time_zone: TimeZone::get("America/New_York").unwrap(),
        consent: ArrivalConsent::None,
        consent_from: Vec::new(),
        limits: Limits::default(),
        spelling: Spelling::default(),
        each: None,
    }
}

fn envelope(content_type: &str, query: &str, body: &str) -> Envelope {
    Envelope {
        source: "platform".into(),
        dedup: Dedup::dated([0; 16]),
        received_at: "2026-11-20T12:00:00Z".parse().unwrap(),
        meta: Meta {
            content_type: (!content_type.is_empty()).then(|| content_type.to_owned()),
            query: (!query.is_empty()).then(|| query.to_owned()),
            ..Meta::default()
        },
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

fn event(content_type: &str, query: &str, body: &str) -> Event {
    match decoder().decode(&envelope(content_type, query, body)) {
        Decoded::Event(event) => *event,
        other => panic!("{other:?}"),
    }
}

fn read(content_type: &str, query: &str, body: &str) -> (Value, SyncPayload) {
    let envelope = envelope(content_type, query, body);
    let value = crate::decode::body::read(&envelope.meta, &envelope.body, Limits::default())
        .unwrap()
        .value;
    let mut notes = Vec::new();
    let payload = SyncPayload::from_value(object(value.clone()).unwrap(), &mut notes);
    assert_eq!(notes, Vec::<String>::new());
    (value, payload)
}

/// Everything but the notes.
fn facts(event: &Event) -> (Vec<Identity>, Value, Vec<Engagement>) {
    (
        event.identities.clone(),
        json!(event.fields),
        event.engagements.clone(),
    )
}

#[test]
fn every_encoding_of_one_contact_gives_the_same_payload() {
    let (value, payload) = read(FORM, "", BODY);
    let expected = facts(&event(FORM, "", BODY));
    let raw = EmitOptions {
        raw_brackets: true,
        ..EmitOptions::default()
    };
    let raw = emit(&payload.to_value(), raw).unwrap() + "&";
    let json_text = value.to_string();
    let json_list = format!("[{json_text}]");
    let mut multipart = String::new();
    let mut reencoded = String::new();
    for pair in BODY.split('&') {
        let (name, text) = pair.split_once('=').unwrap();
        let plain = |text: &str| {
            let one = crate::form::parse(
                format!("x={text}").as_bytes(),
                crate::form::Mode::StrictPhp { get: true },
            );
            array_to_json(one.unwrap().root, &mut 0)["x"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        let (name, text) = (plain(name), plain(text));
        append_pair(&mut reencoded, name.as_bytes(), text.as_bytes());
        let head = format!("--cut\r\nContent-Disposition: form-data; name=\"{name}\"");
        multipart.extend([&head, "\r\n\r\n", &text, "\r\n"]);
    }
    multipart += "--cut--\r\n";
    assert_eq!(reencoded, BODY, "a listener that turns parts into a form");
    for (content_type, query, body) in [
        (FORM, "", raw.as_str()),
        ("", "", raw.as_str()),
        ("application/json", "", &json_text),
        ("", "", &json_text),
        ("application/json", "", &json_list),
        ("multipart/form-data; boundary=cut", "", &multipart),
        ("", BODY, ""),
        ("", &raw, ""),
        (FORM, "transactionid=0&contact[phone]=1&utm=", BODY),
    ] {
        let seen = event(content_type, query, body);
        assert_eq!(facts(&seen), expected, "{content_type:?} {query:?}");
    }
}

#[test]
fn dates_are_kept_as_text_when_they_cannot_be_read() {
    let body = "contact[id]=1\
        &goals-reached[0][id]=1&goals-reached[0][reach_date]=08/15/2013 14:52 PM\
        &goals-reached[1][id]=2&goals-reached[1][reach_date]=N/A\
        &goals-reached[2][id]=3&goals-reached[2][reach_date]=last week\
        &goals-reached[3][id]=4&goals-reached[3][reach_date]=23-03-2022 05:13 PM";
    let event = event(FORM, "", body);
    let seen: Vec<(Option<String>, Option<&str>)> = event
        .engagements
        .iter()
        .map(|row| (row.at.map(|at| at.to_string()), row.raw_at.as_deref()))
        .collect();
    assert_eq!(
        seen,
        [
            (Some("2013-08-15T18:52:00Z".to_owned()), None),
            (None, None),
            (None, Some("last week")),
            (Some("2022-03-23T21:13:00Z".to_owned()), None),
        ]
    );
    assert_eq!(
        event.notes,
        ["goals-reached: 1 dates could not be read and are kept as text"]
    );
}

#[test]
fn missing_and_empty_groups_are_the_same() {
    let minimal = json!({"contact": {"id": 8812}});
    let expected = facts(&event("", "", &minimal.to_string()));
    for empty in [
        json!(null),
        json!(""),
        json!([]),
        json!({}),
        json!([{}]),
        json!([""]),
    ] {
        let mut value = minimal.clone();
        for group in [
            "transactionid",
            "fields",
            "campaigns-opened",
            "links-clicked",
            "pages-visited",
            "automation-triggered",
            "goals-reached",
            "webhooks-triggered",
            "lead-score",
            "lead-status",
        ] {
            value[group] = empty.clone();
        }
        let event = event("", "", &value.to_string());
        assert_eq!(
            (facts(&event), event.notes.len()),
            (expected.clone(), 0),
            "{empty}"
        );
    }
}

#[test]
fn every_history_group_is_an_engagement_of_its_kind() {
    let row = json!([{"id": 7, "name": "n", "trigger_date": "2022-05-26", "reach_date": "2022-05-26", "open_date": "2022-05-26"}]);
    for (group, kind) in [
        ("campaigns-opened", EngagementKind::EmailOpen),
        ("automation-triggered", EngagementKind::Automation),
        ("goals-reached", EngagementKind::Goal),
        ("webhooks-triggered", EngagementKind::Popup),
    ] {
        let event = event("", "", &json!({"contact": {"id": 1}, group: row}).to_string());
        assert_eq!(event.engagements.len(), 1, "{group}");
        assert_eq!(
            (
                event.engagements[0].kind,
                event.engagements[0].key.as_str(),
                event.engagements[0].at.is_some()
            ),
            (kind, "7", true),
            "{group}"
        );
    }
}

#[test]
fn rows_are_read_from_a_gappy_list_or_a_single_row_with_any_numbers() {
    let value = json!({
        "contact": [{"id": "1", "email": ""}],
        "fields": {"3": {"id": 5, "name": "Topics", "value": ["a", "b"]}, "7": {"id": 6, "name": "Topics", "value": "c"}},
        "links-clicked": {"url": "https://e.co/", "clicks": 4},
        "lead-score": [{"name": "Left", "score": -2.5}, {"score_date": "2022-05-26"}, {"id": 3, "score": "many"}],
        "lead-status": {"score": "12.5"},
    });
    let event = event("application/json", "", &value.to_string());
    assert_eq!(
        json!(event.fields),
        json!({"Topics": ["a", "b"], "Topics (6)": "c", "lead_score": 12.5,
            "list_field_ids:platform": {"Topics": "5", "Topics (6)": "6"}})
    );
    assert_eq!(
        json!(event.engagements),
        json!([
            {"kind": "link_click", "key": "https://e.co/", "count": 4},
            {"kind": "lead_score", "key": "Left", "name": "Left", "score": -2.5},
            {"kind": "lead_score", "key": "3"},
        ])
    );
    assert_eq!(
        event.notes,
        [
            "lead-score: 1 rows that name nothing were left out",
            "lead-score: 1 numbers could not be read"
        ]
    );
}

#[test]
fn an_unencoded_plus_is_repaired_if_that_is_safe_and_noted() {
    let body = "transactionid=123456789&contact[id]=8812&contact[email]=jane.doe+x@example.com&contact[phone]=+15551234\
        &contact[profile_url]=https://app.example/c/8812&fields[0]=Array&fields[1]=Array&campaigns-opened[0]=Array\
        &links-clicked=Array&lead-status[score]=10&lead-status[label]=Cold Lead&";
    let event = event(FORM, "", body);
    assert_eq!(
        json!(event.fields),
        json!({"email": "jane.doe+x@example.com", "phone": "+15551234", "lead_score": 10, "lead_status": "Cold Lead",
            "profile_url": "https://app.example/c/8812"})
    );
    assert_eq!(event.identities[0].value(), "jane.doe+x@example.com");
    let lost = |group: &str, n: usize| {
        format!("{group}: the sender wrote the word Array instead of {n} rows; their content never left it")
    };
    assert_eq!(
        event.notes,
        [
            lost("fields", 2),
            lost("campaigns-opened", 1),
            lost("links-clicked", 1),
            "contact[email]: a space before the @ was read as the + that the sender did not encode"
                .to_owned(),
            "contact[phone]: a leading space was read as the + that the sender did not encode".to_owned(),
        ]
    );
}

#[test]
fn json_is_not_repaired_since_no_plus_was_lost_there() {
    let event = event(
        "",
        "",
        r#"{"contact":{"id":1,"email":"jane x@example.org","phone":" 1555"}}"#,
    );
    assert_eq!(json!(event.fields), json!({"phone": "1555"}));
    assert_eq!(event.notes, ["contact[email]: not an address"]);
    assert_eq!(event.identities.len(), 1);
}

#[test]
fn a_get_template_with_its_own_names_is_read() {
    let event = event("", "Email=jane%40example.org&first=Jane&contact_id=7&id=9", "");
    let who: Vec<&str> = event.identities.iter().map(Identity::value).collect();
    assert_eq!(who, ["jane@example.org", "7"]);
    assert_eq!(
        json!(event.fields),
        json!({"email": "jane@example.org", "first": "Jane", "id": "9"})
    );
}

#[test]
fn a_label_never_replaces_the_data_of_the_contact_itself() {
    let value = json!({"contact": {"email": "jane@example.org"},
        "fields": [{"id": 1, "name": "email", "value": "other@example.org"}, {"id": 2, "value": "x"}]});
    let event = event("", "", &value.to_string());
    assert_eq!(
        json!(event.fields),
        json!({"email": "jane@example.org", "email (1)": "other@example.org", "Field 2": "x",
            "list_field_ids:platform": {"email (1)": "1", "Field 2": "2"}})
    );
}

#[test]
fn a_message_about_nobody_is_dead_with_a_reason_that_quotes_nothing() {
    for (content_type, body, code) in [
        ("", "a=1&b=2", DeadCode::Unknown),
        ("", "contact[email]=jane.example.org", DeadCode::Unknown),
        ("", "[1,2]", DeadCode::Malformed),
        ("", "", DeadCode::Malformed),
        ("application/json", r#"{"contact":"#, DeadCode::Malformed),
        ("text/xml", "<a/>", DeadCode::Malformed),
        ("text/xml", "<a><b>1</b></a>", DeadCode::Unknown),
    ] {
        let Decoded::Dead { code: seen, reason } = decoder().decode(&envelope(content_type, "", body)) else {
            panic!("{body} must be dead");
        };
        assert_eq!(seen, code, "{body}");
        assert!(!reason.is_empty() && !reason.contains("jane"), "{reason}");
    }
}

#[test]
fn an_arrival_is_an_opt_in_only_if_the_source_says_so() {
    assert_eq!(event(FORM, "", BODY).consent, []);
    let decoder = SyncDecoder {
        consent: ArrivalConsent::OptIn,
        ..decoder()
    };
    let envelope = envelope(FORM, "", BODY);
    let Decoded::Event(event) = decoder.decode(&envelope) else {
        panic!("an event")
    };
    let seen: Vec<_> = event
        .consent
        .iter()
        .map(|fact| (fact.purpose.as_str(), &fact.what, fact.at))
        .collect();
    assert_eq!(seen, [(EMAIL, &What::OptIn, envelope.received_at)]);
}

#[test]
fn a_duplicate_is_recognised_by_transaction_contact_and_address() {
    let key = |body: &str| dedup(&read(FORM, "", body).0);
    let first = key(BODY);
    assert!(first.is_some());
    assert_eq!(key(&BODY.replace("Cold+Lead", "Warm+Lead")), first);
    for other in [
        BODY.replace("=123456789", "=123456780"),
        BODY.replace("=8812", "=8813"),
        BODY.replace("jane.doe", "john.doe"),
    ] {
        assert_ne!(key(&other), first);
    }
    assert_eq!(key(&BODY.replace("=123456789", "=")), None);
    assert_eq!(key(&BODY.replace("=123456789", "=0")), None);
    assert_eq!(key("contact[id]=1"), None);
}

#[test]
fn whatever_arrives_is_decoded_without_a_panic() {
    use proptest::prelude::*;
    let pieces = prop::sample::select(vec![
        "contact",
        "[email]",
        "[id]",
        "=",
        "&",
        "fields",
        "[0]",
        "[]",
        "Array",
        "lead-status",
        "@",
        "+",
        "%",
        "{",
        "}",
        "\"",
        ":",
        "[",
        "]",
        ",",
        "--x",
        "\r\n",
        "null",
        "1",
        "links-clicked",
        "[clicks]",
        "2022-05-26 05:40 PM",
        "é",
        "[open_date]",
    ]);
    let texts = prop::collection::vec(pieces, 0..30).prop_map(|pieces| pieces.concat());
    proptest!(|(body in texts, kind in 0..4_usize)| {
        let content_type = ["", FORM, "application/json", "multipart/form-data; boundary=x"][kind];
        match decoder().decode(&envelope(content_type, "", &body)) {
            Decoded::Event(event) => prop_assert!(!event.identities.is_empty()),
            Decoded::Dead { reason, .. } => prop_assert!(!reason.is_empty()),
            Decoded::Skip { .. } | Decoded::Partial { .. } | Decoded::Parts(_) => prop_assert!(false),
        }
    });
}

#[test]
fn a_list_field_or_status_gives_the_consent_that_its_value_is_listed_for() {
    let rule = |field: &str, purpose: &str, yes: &str, no: &str| ConsentFrom {
        field: field.to_owned(),
        purpose: purpose.to_owned(),
        words: vec![(yes.to_owned(), What::OptIn), (no.to_owned(), What::Unsubscribed)],
        at_field: None,
        at_format: crate::decode::at_format::AtFormat::Plain,
    };
    let decoder = SyncDecoder {
        consent_from: vec![
            rule("Newsletter", "email", "yes", "no"),
            rule("status", "sms", "active", "disactive"),
        ],
        ..decoder()
    };
    for (pairs, expected) in [
        (
            "fields[0][id]=7&fields[0][name]=Newsletter&fields[0][value]=Yes&status=Disactive",
            vec![("email", "opt_in"), ("sms", "unsubscribed")],
        ),
        ("status=Active", vec![("sms", "opt_in")]),
        ("status=3&fields[0][name]=Newsletter&fields[0][value]=", vec![]),
    ] {
        let form = format!("contact[email]=ada@example.org&{pairs}");
        let Decoded::Event(event) = decoder.decode(&envelope(FORM, "", &form)) else {
            panic!("{pairs}")
        };
        let facts: Vec<_> = event
            .consent
            .iter()
            .map(|fact| (fact.purpose.as_str(), fact.what.as_str()))
            .collect();
        assert_eq!(facts, expected, "{pairs}");
        assert_eq!(
            event.notes.iter().any(|note| note.contains("does not list")),
            pairs.contains('3')
        );
    }
}

fn event_of(decoder: &SyncDecoder, form: &str) -> Event {
    match decoder.decode(&envelope(FORM, "", form)) {
        Decoded::Event(event) => *event,
        other => panic!("{form}: {other:?}"),
    }
}

/// Otherwise all people with a placeholder would become one contact with one consent.
#[test]
fn a_placeholder_is_no_contact_id() {
    for id in [
        "0",
        "-1",
        "%200%20",
        "null",
        "NaN",
        "%5B%23CONTACT+ID%23%5D",
        "%7B%7Bid%7D%7D",
        "%25ID%25",
        "%220%22",
    ] {
        for name in ["contact%5Bid%5D", "contact_id", "subscriberId"] {
            let event = event_of(&decoder(), &format!("{name}={id}&contact[email]=ada@example.org"));
            let who: Vec<_> = event.identities.iter().map(Identity::value).collect();
            assert_eq!(who, ["ada@example.org"], "{name}={id}");
            assert!(
                event.notes[0].contains("contact[id]: a placeholder"),
                "{:?}",
                event.notes
            );
        }
        let alone = decoder().decode(&envelope(FORM, "", &format!("contact[id]={id}")));
        assert!(matches!(alone, Decoded::Dead { .. }), "{id}");
    }
    let own = SyncDecoder {
        placeholders: Placeholders::new(&["kiosk".to_owned()], None),
        ..decoder()
    };
    assert_eq!(
        event_of(&own, "contact[id]=Kiosk&contact[email]=ada@example.org")
            .identities
            .len(),
        1
    );
    assert_eq!(
        event_of(&decoder(), "contact[id]=Kiosk&contact[email]=ada@example.org")
            .identities
            .len(),
        2
    );
    // WordPress' name for the member of staff.
    assert_eq!(
        event_of(&decoder(), "user_id=5&contact[email]=ada@example.org")
            .identities
            .len(),
        1
    );
    let truth = r#"{"contact":{"id":true,"email":"ada@example.org"}}"#;
    let Decoded::Event(event) = decoder().decode(&envelope("application/json", "", truth)) else {
        panic!("an event")
    };
    assert_eq!(event.identities.len(), 1);
}

#[test]
fn words_for_nothing_tags_and_internal_names_do_not_become_fields() {
    let event = event_of(
        &decoder(),
        "contact[id]=7&contact[email]=NULL&contact[phone]=%5CN&lead-status[score]=NaN&lead-status[label]=none\
         &fields[0][id]=1&fields[0][name]=First+Name&fields[0][value]=%23N/A&fields[1][name]=tag:vip&fields[1][value]=1\
         &fields[2][id]=3&fields[2][name]=email&fields[2][value]=nobody&fields[3][name]=City&fields[3][value]=Bonn\
         &list:board=1&tag:a=1",
    );
    let ids = format!("{LIST_FIELD_IDS}platform");
    assert_eq!(
        json!(event.fields),
        json!({"email (3)": "nobody", "locality": "Bonn", ids: {"firstName": "1", "email (3)": "3"}})
    );
    assert_eq!(event.notes.len(), 1, "{:?}", event.notes);
    assert!(
        event.notes[0].starts_with("fields: 3 left out"),
        "{:?}",
        event.notes
    );
}

#[test]
fn two_fields_with_one_label_both_count_for_consent() {
    let decoder = SyncDecoder {
        consent_from: vec![ConsentFrom {
            field: "3.1".to_owned(),
            purpose: "email".to_owned(),
            words: vec![("stop".to_owned(), What::Unsubscribed)],
            at_field: None,
            at_format: crate::decode::at_format::AtFormat::Plain,
        }],
        ..decoder()
    };
    for form in [
        "fields[0][id]=1&fields[0][name]=3.1&fields[0][value]=&fields[1][id]=2&fields[1][name]=3.1&fields[1][value]=stop",
        "fields[0][id]=1&fields[0][name]=3.1&fields[0][value]=go&fields[1][id]=2&fields[1][name]=3.1&fields[1][value]=Stop",
        "3.1=stop",
        "3.1=+STOP",
    ] {
        let event = event_of(&decoder, &format!("contact[email]=ada@example.org&{form}"));
        assert_eq!(event.consent.len(), 1, "{form}");
        assert!(event.rules[0].met, "{form}");
    }
}

/// A rule that reads `no` as an opt-out.
fn no_is_opt_out(field: &str) -> ConsentFrom {
    ConsentFrom {
        field: field.to_owned(),
        purpose: EMAIL.to_owned(),
        words: vec![
            ("no".to_owned(), What::Unsubscribed),
            ("yes".to_owned(), What::OptIn),
        ],
        at_field: None,
        at_format: crate::decode::at_format::AtFormat::Plain,
    }
}

#[test]
fn a_key_of_the_contact_group_gives_consent_and_is_a_field() {
    let forms = "contact[email]=ada@example.org&contact[state]=no";
    let one = r#"{"contact":{"email":"ada@example.org","state":"no"}}"#;
    let listed = r#"{"contact":[{"email":"ada@example.org","state":"no"}]}"#;
    for (content_type, query, body) in [
        (FORM, "", forms),
        ("", forms, ""),
        ("application/json", "", one),
        ("application/json", "", listed),
        (
            FORM,
            "",
            "contact[email]=ada@example.org&contact[state]=no&state=yes",
        ),
    ] {
        for field in ["state", "State", "contact.state", "contact[state]"] {
            let decoder = SyncDecoder {
                consent_from: vec![no_is_opt_out(field)],
                ..decoder()
            };
            let Decoded::Event(event) = decoder.decode(&envelope(content_type, query, body)) else {
                panic!("{body}")
            };
            assert!(
                event.consent.iter().any(|fact| fact.what == What::Unsubscribed),
                "{field} in {query}{body}: {event:?}"
            );
            assert_eq!(event.fields["state"], "no", "{query}{body}");
        }
    }
    let event = event(FORM, "", "contact[email]=ada@example.org&contact[first_name]=Ada");
    assert_eq!(event.fields["firstName"], "Ada");
}

#[test]
fn list_fields_are_read_in_each_plain_shape() {
    let form = |fields: &str| (FORM, format!("contact[email]=ada@example.org&{fields}"));
    let json = |fields: &str| {
        let body = format!(r#"{{"contact":{{"email":"ada@example.org"}},"fields":{fields}}}"#);
        ("application/json", body)
    };
    let decoder = SyncDecoder {
        consent_from: vec![no_is_opt_out("Newsletter")],
        ..decoder()
    };
    for ((content_type, body), is_noted) in [
        (form("fields[Newsletter]=no"), false),
        (form("fields[Newsletter]=no&fields[name]=Ada"), false),
        (form("fields[Newsletter][]=no"), false),
        (form("fields[Newsletter][value]=no"), false),
        (
            form("fields[Newsletter][value]=no&fields[Newsletter][type]=text"),
            false,
        ),
        (form("fields[0][Newsletter]=no&fields[1][Topic]=x"), false),
        (form("fields[0][Name]=Newsletter&fields[0][Value]=no"), false),
        (
            form("fields[0][NAME]=Newsletter&fields[0][VALUE]=no&fields[0][TYPE]=text"),
            false,
        ),
        (form("fields[0][label]=Newsletter&fields[0][value]=no"), false),
        (
            form("fields[id]=5&fields[name]=Newsletter&fields[value]=no"),
            false,
        ),
        (json(r#"{"Newsletter":"no"}"#), false),
        (json(r#"{"Newsletter":"no","Topics":["a","b"]}"#), false),
        (json(r#"[{"Newsletter":"no"}]"#), false),
        (json(r#"[{"Newsletter":"no","name":"Ada"}]"#), true),
        (json(r#"{"Newsletter":["no"]}"#), false),
    ] {
        let Decoded::Event(event) = decoder.decode(&envelope(content_type, "", &body)) else {
            panic!("{body}")
        };
        assert_eq!(event.consent.len(), 1, "{body}: {event:?}");
        assert_eq!(!event.notes.is_empty(), is_noted, "{body}: {:?}", event.notes);
        assert!(event.fields.contains_key("Newsletter"), "{body}: {event:?}");
    }
    for (content_type, body) in [
        form("fields[0][value]=no"),
        form("fields[0][key]=Newsletter&fields[0][value]=no"),
        form("fields[0][id]=5&fields[0][name]=Newsletter&fields[0][text]=no"),
        form("fields[0]=no"),
        form("fields=no"),
        json(r#"[["Newsletter","no"]]"#),
    ] {
        let Decoded::Event(event) = decoder.decode(&envelope(content_type, "", &body)) else {
            panic!("{body}")
        };
        assert!(event.notes[0].starts_with("fields: 1 "), "{body}: {event:?}");
    }
}

#[test]
fn a_field_in_another_case_does_not_hide_an_opt_out() {
    let decoder = SyncDecoder {
        consent_from: vec![no_is_opt_out("Newsletter")],
        ..decoder()
    };
    for form in [
        "Newsletter=yes&NEWSLETTER=no",
        "newsletter=no&Newsletter=yes",
        "fields[0][name]=Newsletter&fields[0][value]=yes&fields[1][name]=NEWSLETTER&fields[1][value]=no",
        "fields[Newsletter]=yes&contact[newsletter]=no",
    ] {
        let event = event_of(&decoder, &format!("contact[email]=ada@example.org&{form}"));
        let facts: Vec<_> = event.consent.iter().map(|fact| fact.what.as_str()).collect();
        assert!(facts.contains(&"unsubscribed"), "{form}: {facts:?}");
        assert!(
            event.notes.iter().any(|note| note.contains("the opt-out counts")),
            "{form}: {:?}",
            event.notes
        );
    }
}

#[test]
fn an_empty_place_or_a_placeholder_does_not_hide_the_next_place() {
    for (body, expected) in [
        (
            r#"{"contact":{"email":""},"email":"d@example.org"}"#,
            "d@example.org",
        ),
        (
            r#"{"contact":{"email":"N/A"},"email":"d@example.org"}"#,
            "d@example.org",
        ),
        (
            r#"{"contact":{"email":null,"Email":"d@example.org"}}"#,
            "d@example.org",
        ),
        (
            r#"{"contact":{"email":"unknown"},"email":"","mail":"d@example.org"}"#,
            "d@example.org",
        ),
        (r#"{"contact":{"id":"0"},"contact_id":"7"}"#, "7"),
        (r#"{"contact":{"id":"null","ID":"7"}}"#, "7"),
        (
            r#"{"contact":{"email":"d@example.org"},"email":"e@example.org"}"#,
            "d@example.org",
        ),
    ] {
        let event = event("application/json", "", body);
        let who: Vec<_> = event.identities.iter().map(Identity::value).collect();
        assert_eq!(who, [expected], "{body}");
    }
}

#[test]
fn only_a_source_with_consent_rules_may_bring_an_opt_out() {
    let ruled = SyncDecoder {
        consent_from: vec![no_is_opt_out("Newsletter")],
        ..decoder()
    };
    for body in [BODY, "contact[email]=ada@example.org&fields[Newsletter]=no"] {
        let envelope = envelope(FORM, "", body);
        assert!(!decoder().may_opt_out(&envelope), "{body}");
        assert!(ruled.may_opt_out(&envelope), "{body}");
    }
}

#[test]
fn the_parameters_of_a_get_are_renamed_like_all_others() {
    let query = "id=7&email=ann@example.org&first_name=Ann&city=Bonn&mobile=030+123456";
    let decoded = decoder().decode(&envelope("", query, ""));
    let event = decoded.event().unwrap();
    let who: Vec<&str> = event.identities.iter().map(Identity::value).collect();
    assert_eq!(who, ["ann@example.org", "7"]);
    for (name, value) in [
        ("firstName", "Ann"),
        ("locality", "Bonn"),
        ("phone", "030 123456"),
    ] {
        assert_eq!(event.fields.get(name), Some(&json!(value)), "{name}");
    }
    assert!(!event.fields.contains_key("id"));
    for query in [
        "id=7&first_name=Ann",
        "phone=030+123456",
        "contact[phone]=030123456",
    ] {
        let decoded = decoder().decode(&envelope("", query, ""));
        let named = decoded.event().map(|event| event.identities.len());
        assert_eq!(named, Some(1), "{query}");
    }
}

#[test]
#[rustfmt::skip] // One case per line reads as a table.
fn fields_are_read_by_their_names_and_by_their_numbers() {
    for (content_type, body) in [
        (FORM, "contact[id]=7&fields[First Name]=Jane&fields[125]=Bonn"),
        (FORM, r#"contact[id]=7&fields={"First Name":"Jane","125":"Bonn"}"#),
        ("application/json", r#"{"contact":{"id":7},"fields":{"First Name":"Jane","125":"Bonn"}}"#),
        (FORM, r#"contact={"id":7}&fields=[{"name":"First Name","value":"Jane"},{"id":"125","value":"Bonn"}]"#),
    ] {
        let decoded = decoder().decode(&envelope(content_type, "", body));
        let event = decoded.event().unwrap();
        assert_eq!(event.fields.get("firstName"), Some(&json!("Jane")), "{body}");
        assert_eq!(event.fields.get("Field 125"), Some(&json!("Bonn")), "{body}");
        assert!(event.notes.is_empty(), "{body} {:?}", event.notes);
    }
    let decoded = decoder().decode(&envelope(FORM, "", "contact[id]=7&fields[]=lost&fields[]=Array"));
    assert_eq!(decoded.event().unwrap().notes.len(), 2);
}

#[test]
fn several_contacts_are_taken_each_on_its_own_or_not_at_all() {
    let two =
        r#"[{"contact":{"id":1,"email":"ann@example.org"}},{"contact":{"id":2},"fields":{"City":"Bonn"}}]"#;
    for (content_type, body) in [
        ("application/json", two),
        (FORM, "contact[0][id]=1&contact[1][id]=2"),
    ] {
        match decoder().decode(&envelope(content_type, "", body)) {
            Decoded::Dead { reason, .. } => assert!(reason.starts_with("2 records in one message")),
            other => panic!("{other:?}"),
        }
    }
    let each = SyncDecoder {
        each: Some(".".to_owned()),
        ..decoder()
    };
    let Decoded::Parts(parts) = each.decode(&envelope("application/json", "", two)) else {
        panic!("no parts")
    };
    let events: Vec<&Event> = parts.iter().map(|(_, part)| part.event().unwrap()).collect();
    assert_eq!([events[0].identities.len(), events[1].identities.len()], [2, 1]);
    assert_eq!(events[1].fields["locality"], json!("Bonn"));
}

#[test]
fn list_fields_with_the_same_meaning_are_all_kept() {
    let rows = "contact[id]=7&fields[0][id]=1&fields[0][name]=Mobile&fields[0][value]=1&fields[1][id]=2\
        &fields[1][name]=phone&fields[1][value]=2&fields[2][id]=3&fields[2][name]=tags&fields[2][value]=a";
    let decoded = decoder().decode(&envelope(FORM, "", rows));
    let event = decoded.event().unwrap();
    assert_eq!(
        (
            &event.fields["Mobile"],
            &event.fields["phone"],
            &event.fields["tags"]
        ),
        (&json!("1"), &json!("2"), &json!("a"))
    );
    assert!(event.notes.iter().any(|note| note.contains("fields.NAME")));
}
