//! A contact as `expect_contact` names it.

use causeway_core::{
    clock::Timestamp, contact::Contact, delivery::Kind, id::InboxId, record::Record, store::ContactView,
};
use serde_json::{Map, Value};

/// Fields, `tags`, `lists`, `ids`, and `consent` by purpose: the words that records use, too.
pub fn as_json(view: ContactView) -> Value {
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
        standing: view.standing,
        change: causeway_core::consent::Change::None,
        lead: causeway_core::automation::Lead::default(),
        engagements: Vec::new(),
        settings: Map::new(),
        via: Vec::new(),
    };
    let mut whole = record.to_json();
    let mut part = |name: &str| whole.get_mut(name).map(Value::take).unwrap_or_default();
    let (contact, consent) = (part("contact"), part("consent"));
    match contact {
        Value::Object(mut contact) => {
            contact.insert("consent".to_owned(), consent);
            Value::Object(contact)
        }
        other => other,
    }
}
