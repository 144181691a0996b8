use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::*;
use crate::{
    consent::{ConsentState, Suppression},
    contact::{Contact, Field, Identity},
    delivery::Kind,
    event::{Action, Campaign, Engagement, EngagementKind, Organisation, Page},
    id::InboxId,
    record::Record,
};

mod docs;
mod engine;
mod filters;
mod names;
mod refusals;

fn at(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}

/// A record in which every part is filled.
#[expect(clippy::too_many_lines, reason = "one literal")]
fn record() -> Record {
    let contact = json!({
        "email": "ada@example.org", "firstName": "Ada", "lastName": "Nowak", "phone": "030 1234567",
        "country": "DE", "postcode": "10115", "birthDate": "1990-03-04",
        "Favourite colour": "sea green", "Size": 42, "Topics": ["rivers", "bees"],
        "tag:vip": true, "tag:old": false, "tag:press": true, "list:main": true,
        "list_field_ids:platform": { "Favourite colour": "125", "Nickname": "126" },
    });
    let fields = contact.as_object().unwrap().iter().map(|(name, value)| {
        let field = Field::new(value.clone(), at("2024-05-01T10:00:00Z"));
        (name.clone(), field)
    });
    let engagement = |kind, key: &str, name: &str, count| Engagement {
        kind,
        key: key.to_owned(),
        name: Some(name.to_owned()),
        at: Some(at("2024-05-02T08:00:00Z")),
        raw_at: None,
        count,
        score: None,
    };
    Record {
        workspace: "default".into(),
        source: "proca".into(),
        inbox_id: InboxId(7),
        kind: Kind::Record,
        event: "action".to_owned(),
        event_at: at("2024-05-03T12:30:00Z"),
        contact: Contact {
            fields: fields.collect(),
            ..Contact::default()
        },
        identities: vec![
            Identity::Email {
                address: "ada@example.org".to_owned(),
            },
            Identity::ContactRef {
                namespace: "proca".into(),
                reference: "abc_1".to_owned(),
            },
            Identity::ForeignId {
                namespace: "crm".into(),
                id: "900".to_owned(),
            },
        ],
        action: Some(Action {
            external_id: "55".to_owned(),
            action_type: "petition".to_owned(),
            created_at: at("2024-05-03T12:29:00Z"),
            custom_fields: json!({ "why": "for the bees", "amount": 5, "my-field": "x" })
                .as_object()
                .unwrap()
                .clone(),
            donation: None,
            tracking: Some(json!({ "source": "mail", "medium": "newsletter", "campaign": null })),
            with_consent: true,
            dupe_rank: Some(2),
            testing: false,
        }),
        campaign: Some(Campaign {
            external_id: "204".to_owned(),
            name: "bees".to_owned(),
            title: Some("Save the bees".to_owned()),
            crm_id: None,
            contact_schema: None,
            config: None,
        }),
        page: Some(Page {
            external_id: "9".to_owned(),
            name: Some("bees/de".to_owned()),
            locale: Some("de_AT".to_owned()),
            org: Some(Organisation {
                external_id: "3".to_owned(),
                name: Some("rivers".to_owned()),
                title: None,
            }),
        }),
        purpose: "email".into(),
        consent_state: BTreeMap::from([
            (
                "email".to_owned(),
                ConsentState::DoubleOptedIn {
                    since: at("2024-05-03T12:30:00Z"),
                },
            ),
            (
                "sms".to_owned(),
                ConsentState::Suppressed {
                    since: at("2024-05-01T00:00:00Z"),
                    why: Suppression::Blocked,
                },
            ),
        ]),
        change: crate::consent::Change::Subscribe,
        lead: crate::automation::Lead {
            score: Some(json!(12)),
            status: Some("Warm".to_owned()),
            ..crate::automation::Lead::default()
        },
        engagements: vec![
            engagement(EngagementKind::EmailOpen, "1", "Spring letter", None),
            engagement(EngagementKind::LinkClick, "https://example.org/a", "a", Some(3)),
            engagement(EngagementKind::EmailOpen, "2", "May letter", None),
        ],
        settings: json!({ "list": "L1", "tags": ["x"], "form": null })
            .as_object()
            .unwrap()
            .clone(),
        via: Vec::new(),
    }
}

/// A record without action, campaign and page, such as that of a bounce.
fn bare() -> Record {
    Record {
        kind: Kind::Contact,
        event: "email_status".to_owned(),
        contact: Contact::default(),
        identities: vec![Identity::Email {
            address: "ada@example.org".to_owned(),
        }],
        action: None,
        campaign: None,
        page: None,
        consent_state: BTreeMap::new(),
        purpose: "email".into(),
        engagements: Vec::new(),
        lead: crate::automation::Lead::default(),
        ..record()
    }
}

fn scope() -> Scope {
    Scope::of(Arc::new(record()))
}

fn eval_in(scope: &Scope, text: &str) -> Result<Value, MappingError> {
    Expression::new(text)?.eval(scope)
}

fn eval(text: &str) -> Value {
    eval_in(&scope(), text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn error(text: &str) -> String {
    match eval_in(&scope(), text) {
        Ok(value) => panic!("{text} gives {value}"),
        Err(error) => error.to_string(),
    }
}

/// A sender's fields called `tags`, `lists` or `ids` are kept beside ours, under `contact.fields`.
#[test]
fn fields_with_reserved_names_shadow_nothing() {
    let mut record = record();
    let sent = |value: Value| Field::new(value, at("2024-05-01T10:00:00Z"));
    for name in ["tags", "lists", "ids"] {
        record.contact.fields.insert(name.to_owned(), sent(json!("vip")));
    }
    let whole = record.to_json();
    let contact = &whole["contact"];
    assert_eq!(
        (&contact["tags"], &contact["lists"], &contact["ids"]),
        (&json!(["press", "vip"]), &json!(["main"]), &json!({"crm": "900"}))
    );
    assert_eq!(
        contact["fields"],
        json!({"tags": "vip", "lists": "vip", "ids": "vip"})
    );
    // A sender's text does not become a list. A sender's list does, if we know of none.
    for name in ["tag:vip", "tag:press", "list:main"] {
        record.contact.fields.remove(name);
    }
    assert_eq!(record.to_json()["contact"].get("tags"), None);
    record
        .contact
        .fields
        .insert("tags".to_owned(), sent(json!(["a"])));
    assert_eq!(record.to_json()["contact"]["tags"], json!(["a"]));
}
