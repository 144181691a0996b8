use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map, Value, json};

use super::*;
use crate::{
    contact::{Contact, Identity},
    decode::{
        body::{Limits, read},
        placeholders::Placeholders,
        sync::{ArrivalConsent, SyncDecoder, SyncPayload},
    },
    delivery::Kind,
    envelope::Meta,
    event::{Decoded, Engagement, EngagementKind, Event},
    form,
    id::{ContactId, IdempotencyKey, InboxId},
    record::Record,
    xml,
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn key() -> IdempotencyKey {
    IdempotencyKey::derive("default", "platform", &[1; 16], "crm", "record")
}

fn row(kind: EngagementKind, key: &str, name: Option<&str>, at_minute: Option<i64>) -> Engagement {
    Engagement {
        kind,
        key: key.to_owned(),
        name: name.map(str::to_owned),
        at: at_minute.map(|minute| Timestamp::from_second(1_653_579_600 + minute * 60).unwrap()),
        raw_at: None,
        count: None,
        score: None,
    }
}

/// A record with at least one row in every group.
fn record() -> Record {
    use EngagementKind::{Automation, EmailOpen, Goal, LeadScore, LinkClick, PageVisit, Popup};
    let fields = json!({
        "email": "jane.doe+x@example.com", "phone": "+15551234", "profile_url": "https://app.example.org/c/8812",
        "firstName": "Jane", "Interests": ["Rivers & lakes", "Wolves"], "Member": true, "Shoe size": 42,
        "lead_score": 10, "lead_status": "Cold Lead", "tag:vip": true,
        "list_field_ids:platform": { "firstName": "125", "Shoe size": "1204" },
    });
    let mut contact = Contact {
        id: Some(ContactId(3)),
        ..Contact::default()
    };
    contact.set_fields(
        &fields.as_object().unwrap().clone().into_iter().collect(),
        at("2022-05-26T15:00:00Z"),
    );
    let score = Engagement {
        score: Some(10.0),
        ..row(LeadScore, "5", Some("Opened"), Some(3))
    };
    let less = Engagement {
        score: Some(-2.5),
        ..row(LeadScore, "6", Some("Unsubscribed"), Some(4))
    };
    let clicks = |count, minute| Engagement {
        count,
        ..row(LinkClick, "https://e.example.org/?a=1&b=2", None, minute)
    };
    let unread = Engagement {
        raw_at: Some("last week".to_owned()),
        ..row(PageVisit, "https://e.example.org/q", None, None)
    };
    let lead = crate::automation::Scoring::default().lead(&contact);
    Record {
        workspace: "default".into(),
        source: "platform".into(),
        inbox_id: InboxId(1),
        kind: Kind::Record,
        event: "contact_sync".to_owned(),
        event_at: at("2022-05-26T15:00:00Z"),
        contact,
        identities: vec![
            Identity::ForeignId {
                namespace: "another".into(),
                id: "1".to_owned(),
            },
            Identity::ForeignId {
                namespace: "platform".into(),
                id: "8812".to_owned(),
            },
        ],
        action: None,
        campaign: None,
        page: None,
        consent_state: BTreeMap::new(),
        purpose: "email".into(),
        change: crate::consent::Change::None,
        lead,
        engagements: vec![
            clicks(Some(3), None),
            unread,
            row(EmailOpen, "31", Some("May"), Some(0)),
            row(PageVisit, "https://e.example.org/p", None, Some(1)),
            row(Automation, "7", Some("Welcome"), Some(1)),
            row(Goal, "2", Some("Donation"), Some(2)),
            row(Popup, "4", Some("Exit poll"), Some(2)),
            clicks(None, Some(2)),
            score,
            less,
        ],
        settings: Map::new(),
        via: Vec::new(),
    }
}

fn sent(record: &Record, options: &Options) -> Map<String, Value> {
    members(&model(record, &key(), options), options).unwrap()
}

fn as_form(members: &Map<String, Value>) -> String {
    form::emit(&form::array_from_json(members), form::EmitOptions::default()).unwrap()
}

#[test]
fn every_group_has_its_documented_keys_in_the_documented_order() {
    let options = Options {
        zone: TimeZone::get("Europe/Berlin").unwrap(),
        ..Options::default()
    };
    insta::assert_snapshot!(as_form(&sent(&record(), &options)).replace('&', "\n&"));
}

#[test]
fn numbers_are_numbers_in_json_and_ids_are_texts() {
    let sent = Value::from(sent(&record(), &Options::default()));
    assert_eq!(
        sent["links-clicked"],
        json!([{ "url": "https://e.example.org/?a=1&b=2", "clicks": 4 }])
    );
    assert_eq!(sent["lead-score"][1]["score"], json!(-2.5));
    assert_eq!(sent["lead-status"], json!({ "score": 10, "label": "Cold Lead" }));
    assert_eq!(sent["contact"]["id"], json!("8812"));
    let names: Vec<&str> = sent.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, Group::ALL.map(Group::as_str));
}

#[test]
fn any_subset_is_sent_in_the_documented_order() {
    let groups = vec![Group::LeadStatus, Group::Contact];
    let options = Options {
        groups,
        status: StatusShape::List,
        ..Options::default()
    };
    let sent = sent(&record(), &options);
    assert_eq!(sent.keys().collect::<Vec<_>>(), ["contact", "lead-status"]);
    assert_eq!(
        sent["lead-status"],
        json!([{ "score": 10, "label": "Cold Lead" }])
    );
    assert!(!options.needs_history() && Options::default().needs_history());
}

#[test]
fn the_transaction_id_is_stable_for_a_delivery_and_differs_between_deliveries() {
    let number = |key: &IdempotencyKey| {
        let options = Options::default();
        model(&record(), key, &options).transactionid.unwrap()
    };
    let other = IdempotencyKey::derive("default", "platform", &[2; 16], "crm", "record");
    assert_eq!(number(&key()), number(&key()));
    assert_ne!(number(&key()), number(&other));
    assert!(number(&other).len() == 18 && number(&other).parse::<i64>().is_ok());
    let options = Options {
        transaction: Transaction::Key,
        ..Options::default()
    };
    assert_eq!(model(&record(), &key(), &options).transactionid, Some(key().0));
}

#[test]
fn a_contact_without_a_platforms_number_has_our_number() {
    let mut unknown = record();
    unknown.identities.clear();
    assert_eq!(sent(&unknown, &Options::default())["contact"]["id"], "3");
    let options = Options {
        contact_id: ContactIdOf::Hub,
        ..Options::default()
    };
    assert_eq!(sent(&record(), &options)["contact"]["id"], "3");
}

#[test]
fn configured_numbers_and_labels_of_fields_override_the_platforms() {
    let options = Options {
        groups: vec![Group::Fields],
        field_ids: BTreeMap::from([
            ("Shoe size".to_owned(), "9".to_owned()),
            ("Member".to_owned(), "10".to_owned()),
        ]),
        field_names: BTreeMap::from([("firstName".to_owned(), "Vorname".to_owned())]),
        ..Options::default()
    };
    let fields = sent(&record(), &options)["fields"].clone();
    assert_eq!(
        fields,
        json!([
            { "id": "Interests", "name": "Interests", "value": ["Rivers & lakes", "Wolves"] },
            { "id": "10", "name": "Member", "value": true },
            { "id": "9", "name": "Shoe size", "value": 42 },
            { "id": "125", "name": "Vorname", "value": "Jane" },
        ])
    );
}

#[test]
fn empty_groups_are_absent_or_empty_as_configured() {
    let mut bare = record();
    bare.engagements.clear();
    bare.contact.fields.clear();
    bare.lead = crate::automation::Lead::default();
    bare.identities = vec![Identity::Email {
        address: "jane@example.org".to_owned(),
    }];
    assert_eq!(
        sent(&bare, &Options::default()).keys().collect::<Vec<_>>(),
        ["transactionid", "contact"]
    );
    let options = Options {
        empty: Empty::Send,
        ..Options::default()
    };
    let sent = sent(&bare, &options);
    assert_eq!(sent.len(), 11);
    assert_eq!((&sent["fields"], &sent["lead-status"]), (&json!([]), &json!([])));
    assert_eq!(
        sent["contact"],
        json!({ "id": "3", "email": "jane@example.org", "phone": "", "profile_url": "" })
    );
    let emit = form::EmitOptions {
        empty_groups: form::EmptyGroups::Blank,
        ..form::EmitOptions::default()
    };
    let printed = form::emit(&form::array_from_json(&sent), emit).unwrap();
    assert!(printed.ends_with("&fields=&campaigns-opened=&links-clicked=&pages-visited=&automation-triggered=&goals-reached=&webhooks-triggered=&lead-score=&lead-status="), "{printed}");
}

/// A record with `per_group` rows of each kind of history.
fn long(per_group: i64, fields: usize) -> Record {
    use EngagementKind::{Automation, EmailOpen, Goal, LeadScore, LinkClick, PageVisit, Popup};
    let mut long = record();
    let kinds = [
        EmailOpen, LinkClick, PageVisit, Automation, Goal, Popup, LeadScore,
    ];
    long.engagements = (0..per_group)
        .flat_map(|n| kinds.map(|kind| row(kind, &format!("k{n}"), Some("x"), Some(n))))
        .collect();
    long.contact.fields.clear();
    long.lead = crate::automation::Lead::default();
    let more = (0..fields).map(|n| (format!("field {n}"), json!("x"))).collect();
    long.contact.set_fields(&more, at("2022-05-26T15:00:00Z"));
    long
}

#[test]
fn the_newest_rows_up_to_the_cap_are_sent_oldest_first() {
    let options = Options {
        caps: BTreeMap::from([(Group::PagesVisited, 2)]),
        ..Options::default()
    };
    let sent = sent(&long(200, 0), &options);
    let pages: Vec<&Value> = sent["pages-visited"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["page"])
        .collect();
    assert_eq!(pages, ["k198", "k199"]);
    let opened = sent["campaigns-opened"].as_array().unwrap();
    assert_eq!((opened.len(), &opened[49]["id"]), (50, &json!("k199")));
}

#[test]
fn php_reads_everything_that_the_default_limits_allow() {
    assert!(Options::default().variables() + 150 <= PHP_VARIABLES);
    assert_eq!(warning(&Options::default(), true), None);
    let sent = sent(&long(1_000, 50), &Options::default());
    let strict = form::Mode::StrictPhp { get: true };
    let parsed = form::parse(as_form(&sent).as_bytes(), strict).unwrap();
    assert_eq!(parsed.root, form::array_from_json(&sent));
}

#[test]
fn history_rows_are_left_out_if_there_are_too_many_variables() {
    let caps = Group::ALL
        .into_iter()
        .filter(|group| group.is_history())
        .map(|group| (group, 5_000))
        .collect();
    let options = Options {
        caps,
        max_variables: Some(PHP_VARIABLES),
        ..Options::default()
    };
    let sent = sent(&long(500, 200), &options);
    let printed = as_form(&sent);
    let variables = printed.split('&').count();
    assert!((990..=1_000).contains(&variables), "{variables}");
    let opened = sent["campaigns-opened"].as_array().unwrap();
    assert_eq!(
        (
            opened[opened.len() - 1]["id"].as_str(),
            sent["fields"].as_array().unwrap().len()
        ),
        (Some("k499"), 200)
    );
    assert!(
        warning(&options, true)
            .unwrap()
            .contains("left out to stay within 1000")
    );
    assert_eq!(warning(&options, false), None);
    let none = Options {
        max_variables: None,
        ..options.clone()
    };
    assert!(
        warning(&none, true)
            .unwrap()
            .contains("set `max_variables = 1000`")
    );

    let too_many = members(&model(&long(1, 400), &key(), &options), &options).unwrap_err();
    assert_eq!(
        too_many,
        TooMany {
            variables: 1_207 - 2,
            limit: 1_000
        }
    );
}

/// Reads a body as a listener does, and decodes it.
fn received(meta: &Meta, body: &[u8]) -> (SyncPayload, Event) {
    let decoder = SyncDecoder {
        placeholders: Placeholders::default(),
        namespace: "platform".into(),
        time_zone: TimeZone::get("Europe/Berlin").unwrap(),
        consent: ArrivalConsent::None,
        consent_from: Vec::new(),
        limits: Limits::default(),
        spelling: crate::decode::body::Spelling::default(),
        each: None,
    };
    let body = read(meta, body, Limits::default()).unwrap();
    let payload = SyncPayload::from_value(body.value.as_object().unwrap().clone(), &mut Vec::new());
    let Decoded::Event(event) = decoder.decode_body(body, at("2022-05-27T00:00:00Z")) else {
        panic!("not decoded");
    };
    assert_eq!(
        event.notes,
        ["pages-visited: 1 dates could not be read and are kept as text"]
    );
    (payload, *event)
}

#[test]
fn a_hub_that_receives_a_hub_has_the_same_contact_and_history() {
    let options = Options {
        zone: TimeZone::get("Europe/Berlin").unwrap(),
        date_format: "Y-m-d H:i:s".to_owned(),
        ..Options::default()
    };
    let mut original = record();
    // A form has neither numbers nor booleans. With texts alone, all four forms give the same.
    original.contact.fields.remove("Member");
    original.contact.fields.remove("Shoe size");
    let payload = model(&original, &key(), &options);
    let sent = members(&payload, &options).unwrap();
    let meta = |media: &str| Meta {
        content_type: Some(media.to_owned()),
        ..Meta::default()
    };
    let form = as_form(&sent);
    let ways = [
        (
            meta("application/x-www-form-urlencoded"),
            form.clone().into_bytes(),
        ),
        (meta("application/json"), serde_json::to_vec(&sent).unwrap()),
        (meta("application/xml"), xml::write(XML_ROOT, &sent).into_bytes()),
        (
            Meta {
                query: Some(form),
                ..Meta::default()
            },
            Vec::new(),
        ),
    ];
    for (meta, body) in ways {
        let (read, event) = received(&meta, &body);
        assert_eq!(read, payload, "{meta:?}");
        for name in [
            "email",
            "phone",
            "profile_url",
            "firstName",
            "Interests",
            "lead_status",
        ] {
            assert_eq!(
                event.fields[name], original.contact.fields[name].value,
                "{name} {meta:?}"
            );
        }
        assert_eq!(event.fields["lead_score"], json!(10));
        let of = |kind| {
            let rows = event.engagements.iter().filter(move |row| row.kind == kind);
            rows.cloned().collect::<Vec<_>>()
        };
        for kind in [
            EngagementKind::EmailOpen,
            EngagementKind::Goal,
            EngagementKind::LeadScore,
            EngagementKind::PageVisit,
        ] {
            let expected: Vec<_> = original
                .engagements
                .iter()
                .filter(|row| row.kind == kind)
                .cloned()
                .collect();
            assert_eq!(of(kind).len(), expected.len());
            for (got, expected) in of(kind).iter().zip(&expected) {
                assert_eq!(
                    (&got.key, got.at, got.score),
                    (&expected.key, expected.at, expected.score),
                    "{meta:?}"
                );
            }
        }
        assert_eq!(of(EngagementKind::LinkClick)[0].count, Some(4));
    }
}
