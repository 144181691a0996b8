//! Invented people and their actions: envelopes and events for tests.

use bytes::Bytes;
use causeway_core::{
    clock::Timestamp,
    consent::{ConsentFact, EMAIL, What},
    contact::Identity,
    envelope::{Dedup, Envelope, Meta, digest},
    event::{Action, Campaign, Event, EventKind, Organisation, Page},
    id::Name,
    rules::{DestinationRule, Rules, SourceRule},
};

/// The namespace, the organisation and the source that builders use.
pub const INSTANCE: &str = "proca";
pub const OWN_ORG: &str = "12";
pub const SOURCE: &str = "queue";

/// A fixed moment and `seconds` after it.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600_i64.saturating_add(seconds)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A message with the key `key` and a body that says so.
pub fn envelope(source: &str, key: &str, received_at: Timestamp) -> Envelope {
    Envelope {
        source: source.into(),
        dedup: Dedup::dated(digest(&[key.as_bytes()])),
        received_at,
        meta: Meta::default(),
        body: Bytes::from(format!("{{\"message\":\"{key}\"}}")),
    }
}

pub fn email(name: &str) -> Identity {
    Identity::Email {
        address: format!("{name}@example.org"),
    }
}

pub fn contact_ref(reference: &str) -> Identity {
    Identity::ContactRef {
        namespace: INSTANCE.into(),
        reference: reference.to_owned(),
    }
}

pub fn fact(what: What, at: Timestamp) -> ConsentFact {
    ConsentFact::new(EMAIL, what, at, "a test")
}

/// `name` signed, with the form's fields and the fact `what` about e-mail.
pub fn signed(name: &str, action: &str, what: What, when: Timestamp) -> Event {
    let mut event = Event::new(EventKind::Action, INSTANCE.into(), when);
    event.identities = vec![email(name), contact_ref(&format!("ref-{name}"))];
    event
        .fields
        .insert("email".to_owned(), format!("{name}@example.org").into());
    event.fields.insert("firstName".to_owned(), name.into());
    event.consent = vec![fact(what, when)];
    event.action = Some(Action {
        external_id: action.to_owned(),
        action_type: "register".to_owned(),
        created_at: when,
        custom_fields: serde_json::Map::new(),
        donation: None,
        tracking: None,
        with_consent: true,
        dupe_rank: Some(0),
        testing: false,
    });
    event.campaign = Some(Campaign {
        external_id: "204".to_owned(),
        name: "clean_air".to_owned(),
        title: Some("Clean air".to_owned()),
        crm_id: None,
        contact_schema: None,
        config: None,
    });
    event.page = Some(page("7", None));
    event
}

/// A fact about the address or the consent of `name`.
pub fn status(name: &str, what: What, when: Timestamp) -> Event {
    let mut event = Event::new(EventKind::EmailStatus, INSTANCE.into(), when);
    event.identities = vec![email(name)];
    event.consent = vec![fact(what, when)];
    event
}

/// A contact as a platform sends it.
pub fn synced(name: &str, fields: &[(&str, &str)], when: Timestamp) -> Event {
    let mut event = Event::new(EventKind::ContactSync, INSTANCE.into(), when);
    event.identities = vec![email(name)];
    for (field, value) in fields {
        event.fields.insert((*field).to_owned(), (*value).into());
    }
    event
}

pub fn page(id: &str, owner: Option<&str>) -> Page {
    Page {
        external_id: id.to_owned(),
        name: Some(format!("page-{id}")),
        locale: None,
        org: owner.map(|org| Organisation {
            external_id: org.to_owned(),
            name: None,
            title: None,
        }),
    }
}

/// One source and these destinations, in one workspace.
pub fn rules(destinations: Vec<DestinationRule>) -> Rules {
    let mut rules = Rules::default();
    add_source(&mut rules, SOURCE, "default");
    for rule in destinations {
        rules.destinations.insert(rule.name.clone(), rule.into());
    }
    rules
}

pub fn add_source(rules: &mut Rules, name: &str, workspace: &str) {
    let name: Name = name.into();
    let rule = SourceRule {
        name: name.clone(),
        workspace: workspace.into(),
        own_orgs: [OWN_ORG.to_owned()].into(),
        namespace: INSTANCE.into(),
    };
    rules.sources.insert(name, rule);
}
