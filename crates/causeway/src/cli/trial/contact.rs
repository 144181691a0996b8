//! A contact in the form of `expect_contact`.

use causeway_core::{
    clock::Timestamp, consent::EMAIL, contact::Contact, delivery::Kind, id::InboxId, record::Record,
    store::ContactView,
};
use serde_json::{Map, Value, json};

/// Fields, `tags`, `lists`, `ids`, and `consent` by purpose, in the words of records. A purpose in `asked_for` without any
/// fact has the same consent state as in mappings.
pub fn as_json(view: ContactView, asked_for: &Value) -> Value {
    let record = Record {
        workspace: view.workspace,
        source: "".into(),
        inbox_id: InboxId(0),
        kind: Kind::Contact,
        event: String::new(),
        event_at: Timestamp::UNIX_EPOCH,
        contact: Contact::clone(&view.contact),
        identities: view.identities,
        action: None,
        campaign: None,
        page: None,
        consent_state: view.consent_state,
        purpose: EMAIL.into(),
        change: causeway_core::consent::Change::None,
        lead: causeway_core::automation::Lead::default(),
        engagements: Vec::new(),
        settings: Map::new(),
        via: Vec::new(),
    };
    let mut whole = record.to_json();
    let mut part = |name: &str| whole.get_mut(name).map(Value::take).unwrap_or_default();
    let (contact, mut consent) = (part("contact"), part("consent"));
    if let (Value::Object(known), Some(Value::Object(asked_for))) = (&mut consent, asked_for.get("consent")) {
        for purpose in asked_for.keys() {
            known
                .entry(purpose)
                .or_insert_with(|| json!({ "state": "unknown", "subscribed": false }));
        }
    }
    match contact {
        Value::Object(mut contact) => {
            contact.insert("consent".to_owned(), consent);
            Value::Object(contact)
        }
        other => other,
    }
}
