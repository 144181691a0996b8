//! The short way round the engine gives what the engine gives: a value, or an error. Each byte stands for a word, so that nearly
//! every input is nearly a condition.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use causeway_core::{
    automation::Lead,
    consent::Change,
    contact::{Contact, Field},
    delivery::Kind,
    event::{Action, Campaign},
    id::InboxId,
    mapping::{Expression, Scope},
    record::Record,
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// A byte and its word; other bytes take one by their number.
const WORDS: &[(u8, &str)] = &[
    (b'n', "campaign.name"),
    (b't', "action.type"),
    (b'e', "contact.email"),
    (b'c', "contact.country"),
    (b'g', "contact.tags"),
    (b'l', "contact.lists"),
    (b'm', "contact.Missing"),
    (b'q', "contact['Favourite colour']"),
    (b'z', "contact.Size"),
    (b'h', "contact"),
    (b'a', "action"),
    (b'f', "action.fields.why"),
    (b'T', "action.testing"),
    (b's', "settings.list"),
    (b'o', "settings.o"),
    (b'i', "settings.big"),
    (b'u', "settings.f"),
    (b'v', "event"),
    (b'k', "kind"),
    (b'L', "lead.score"),
    (b'w', "at"),
    (b'x', "nobody"),
    (b'B', "'bees'"),
    (b'D', "\"DE\""),
    (b'E', "''"),
    (b'Q', "'a\\'b'"),
    (b'0', "0"),
    (b'1', "1"),
    (b'4', "42"),
    (b'.', "1.5"),
    (b'9', "18446744073709551615"),
    (b'-', "-"),
    (b'Y', "true"),
    (b'N', "false"),
    (b'_', "none"),
    (b'=', "=="),
    (b'!', "!="),
    (b'<', "<"),
    (b'>', ">="),
    (b'~', "not"),
    (b'&', "and"),
    (b'|', "or"),
    (b'@', "in"),
    (b'?', "if"),
    (b':', "else"),
    (b'd', "is defined"),
    (b'(', "("),
    (b')', ")"),
    (b'[', "["),
    (b']', "]"),
    (b',', ","),
    (b'p', "|"),
    (b'W', "lower"),
    (b'F', "default('x')"),
    (b'P', "length"),
    (b'S', "[0]"),
    (b'M', ".deep"),
    (b'+', "+"),
];

static SCOPES: LazyLock<Vec<Scope>> = LazyLock::new(|| {
    let whole = record();
    let bare = Record {
        kind: Kind::Contact,
        action: None,
        campaign: None,
        contact: Contact::default(),
        ..whole.clone()
    };
    let withdrawal = Record {
        kind: Kind::Withdrawal,
        ..bare.clone()
    };
    [whole, bare, withdrawal]
        .map(|record| Scope::of(Arc::new(record)))
        .into()
});

/// Panics when a property is broken.
pub fn hold(input: &[u8]) {
    let Some(input) = input.get(..input.len().min(64)) else {
        return;
    };
    let words: Vec<&str> = input.iter().map(|byte| word(*byte)).collect();
    let text = words.join(" ");
    let Ok(expression) = Expression::new(&text) else {
        return;
    };
    for scope in &*SCOPES {
        assert_eq!(
            expression.is_true(scope),
            expression.is_true_by_engine(scope),
            "{text} for {:?}",
            scope.record().kind
        );
    }
}

fn word(byte: u8) -> &'static str {
    let meant = WORDS.iter().find(|(sign, _)| *sign == byte);
    let (_, word) = meant.unwrap_or(&WORDS[usize::from(byte) % WORDS.len()]);
    word
}

fn record() -> Record {
    let at = Timestamp::UNIX_EPOCH;
    let members = |value: Value| value.as_object().cloned().unwrap_or_default();
    let fields = members(json!({
        "email": "ann@example.org", "country": "DE", "Favourite colour": "red", "Size": 42, "tag:bees": true, "list:DE": true,
    }));
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
        identities: Vec::new(),
        action: Some(Action {
            external_id: "1".to_owned(),
            action_type: "petition".to_owned(),
            created_at: at,
            custom_fields: members(json!({ "why": "a'b" })),
            donation: None,
            tracking: None,
            with_consent: true,
            dupe_rank: None,
            testing: false,
        }),
        campaign: Some(Campaign {
            external_id: "2".to_owned(),
            name: "bees".to_owned(),
            title: None,
            crm_id: None,
            contact_schema: None,
            config: None,
        }),
        page: None,
        consent_state: BTreeMap::new(),
        purpose: "email".into(),
        change: Change::None,
        lead: Lead {
            score: Some(json!(12)),
            status: None,
            ..Lead::default()
        },
        engagements: Vec::new(),
        settings: members(json!({ "list": "main", "o": {}, "big": u64::MAX, "f": 1.5 })),
        via: Vec::new(),
    }
}
