//! What must hold for every text that somebody writes into a mapping; also run over the corpus by the tests of the core.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use causeway_core::{
    automation::Lead,
    consent::Change,
    contact::{Contact, Field, Identity},
    delivery::Kind,
    event::{Action, Campaign},
    id::InboxId,
    mapping::{Expression, MappingError, Scope, Tables, Template, Term, limit},
    record::Record,
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// In every value of the person's; so it must be in no error.
const PRIVATE: &str = "q9zx";

static SCOPES: LazyLock<[Scope; 2]> = LazyLock::new(|| {
    let whole = record();
    let bare = Record {
        kind: Kind::Contact,
        action: None,
        campaign: None,
        ..whole.clone()
    };
    [whole, bare].map(|record| Scope::of(Arc::new(record)))
});

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let table = json!({ "DE": "central", "PL": 2 }).as_object().cloned();
    Tables::new(BTreeMap::from([(
        "regions".to_owned(),
        table.unwrap_or_default(),
    )]))
});

fn record() -> Record {
    let at = Timestamp::UNIX_EPOCH;
    let fields = json!({
        "firstName": PRIVATE, "phone": format!("030 {PRIVATE}"), "country": "DE", "birthDate": "1990-03-04",
        "Topics": [PRIVATE, "b"], "Size": 42, "tag:vip": true, "lead_score": 1.5,
    });
    let fields = fields.as_object().cloned().unwrap_or_default();
    Record {
        workspace: "default".into(),
        source: "proca".into(),
        inbox_id: InboxId(1),
        kind: Kind::Record,
        event: "action".to_owned(),
        event_at: at,
        contact: Contact {
            fields: fields
                .into_iter()
                .map(|(name, value)| (name, Field::new(value, at)))
                .collect(),
            ..Contact::default()
        },
        identities: vec![Identity::Email {
            address: format!("{PRIVATE}@example.org"),
        }],
        action: Some(Action {
            external_id: "1".to_owned(),
            action_type: "petition".to_owned(),
            created_at: at,
            custom_fields: json!({ "why": PRIVATE }).as_object().cloned().unwrap_or_default(),
            donation: None,
            tracking: Some(json!({ "source": "mail" })),
            with_consent: true,
            dupe_rank: None,
            testing: false,
        }),
        campaign: Some(Campaign {
            external_id: "2".to_owned(),
            name: "bees".to_owned(),
            title: None,
            crm_id: Some(3),
            contact_schema: None,
            config: None,
        }),
        page: None,
        consent_state: BTreeMap::new(),
        purpose: "email".into(),
        change: Change::None,
        lead: Lead {
            score: Some(json!(12)),
            ..Lead::default()
        },
        engagements: Vec::new(),
        settings: json!({ "list": "main" }).as_object().cloned().unwrap_or_default(),
        via: Vec::new(),
    }
}

/// Panics when a property is broken.
pub fn hold(text: &str) {
    // A text can be repeated up to what the engine allows, which is much for a machine that tries thousands a second.
    if text.contains("**") || text.bytes().filter(|byte| *byte == b'*').count() > 1 {
        return;
    }
    match Term::with(&Value::from(text), &TABLES, &["changed"]) {
        Ok(term) => {
            for scope in &*SCOPES {
                judge(text, &term.eval(scope));
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(expression) = Expression::read(text, &TABLES) {
        for scope in &*SCOPES {
            let (value, holds) = (expression.eval(scope), expression.is_true(scope));
            if let (Ok(value), Ok(holds)) = (&value, &holds) {
                assert_eq!(is_true(value), *holds, "{text} gives {value}");
            }
            assert!(value.is_err() || holds.is_ok(), "{text}: {holds:?}");
        }
    }
    if let Ok(template) = Template::read(text, &TABLES) {
        for scope in &*SCOPES {
            let rendered = template.render(scope);
            assert!(rendered.as_ref().map_or(0, String::len) <= limit::TEXT);
            judge(text, &rendered.map(Value::from));
        }
    }
}

fn judge(text: &str, given: &Result<Value, MappingError>) {
    match given {
        Ok(value) => {
            let mut left = limit::VALUES;
            assert!(is_within(value, &mut left), "larger than allowed: {text}");
        }
        Err(error) => {
            let private = error.to_string().contains(PRIVATE) && !text.contains(PRIVATE);
            assert!(!private, "{text}: {error}");
        }
    }
}

fn is_within(value: &Value, left: &mut usize) -> bool {
    let Some(rest) = left.checked_sub(1) else {
        return false;
    };
    *left = rest;
    match value {
        Value::String(text) => text.len() <= limit::TEXT,
        Value::Array(items) => items.iter().all(|item| is_within(item, left)),
        Value::Object(members) => members.values().all(|member| is_within(member, left)),
        _ => true,
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}
