//! Builds Proca messages, and the decoder for them. Times are seconds after a fixed moment.

use std::sync::Arc;

use causeway_core::{
    clock::Timestamp,
    decode::{
        placeholders::Placeholders,
        proca::{OptInMode, ProcaDecoder, Testing},
    },
    envelope::{Dedup, Envelope, Meta},
    event::{DeadCode, Decode, Decoded, Event},
    keystore::{Keystore, SharedKeystore},
};
use serde_json::{Value, json};

pub const OWN_ORG: u32 = 1;
pub const OWN_PAGE: u32 = 7;
pub const PARTNER_ORG: u32 = 2;
pub const PARTNER_PAGE: u32 = 8;

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_323_045 + second).unwrap()
}

pub fn decoder() -> ProcaDecoder {
    let keystore = Keystore::parse(&sample("../keystore")).unwrap();
    ProcaDecoder {
        placeholders: Placeholders::default(),
        namespace: "proca".into(),
        own_orgs: [OWN_ORG.to_string()].into(),
        keystore: Arc::new(SharedKeystore::new(keystore)),
        testing: Testing::Skip,
        opt_in: OptInMode::Single,
        purpose: "email".into(),
        consent_from: Vec::new(),
    }
}

pub fn envelope(body: impl Into<Vec<u8>>) -> Envelope {
    Envelope {
        source: "queue".into(),
        dedup: Dedup::dated([0; 16]),
        received_at: at(1_000_000),
        meta: Meta::default(),
        body: body.into().into(),
    }
}

pub fn read(decoder: &ProcaDecoder, body: &Value) -> Decoded {
    decoder.decode(&envelope(body.to_string()))
}

pub fn event(decoder: &ProcaDecoder, body: &Value) -> Event {
    match read(decoder, body) {
        Decoded::Event(event) => *event,
        other => panic!("not an event: {other:?}"),
    }
}

pub fn dead(decoded: Decoded) -> (DeadCode, String) {
    match decoded {
        Decoded::Dead { code, reason } => (code, reason),
        other => panic!("not dead: {other:?}"),
    }
}

/// `samples/messages/NAME.json`
pub fn sample(name: &str) -> String {
    let path = format!(
        "{}/../../samples/messages/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub fn sample_json(name: &str) -> Value {
    serde_json::from_str(&sample(name)).unwrap()
}

/// An invented supporter's message. Tests change single members.
#[derive(Debug, Clone)]
pub struct Message {
    pub kind: Kind,
    pub action: u32,
    pub page: u32,
    pub email: Option<String>,
    pub reference: Option<String>,
    pub first_name: String,
    pub opt_in: Option<bool>,
    pub with_consent: bool,
    pub status: Option<&'static str>,
    pub given: i64,
    pub status_changed: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Action,
    /// Stage `supporter_confirm`.
    Confirm,
    EmailStatus,
}

pub fn action(id: u32, opt_in: Option<bool>, given: i64) -> Message {
    Message {
        kind: Kind::Action,
        action: id,
        page: OWN_PAGE,
        email: Some("bruce@example.org".to_owned()),
        reference: Some("ref-of-bruce".to_owned()),
        first_name: "Bruce".to_owned(),
        opt_in,
        with_consent: true,
        status: None,
        given,
        status_changed: given,
    }
}

pub fn status(status: &'static str, opt_in: Option<bool>, changed: i64) -> Message {
    Message {
        kind: Kind::EmailStatus,
        with_consent: false,
        status: Some(status),
        status_changed: changed,
        ..action(1, opt_in, 0)
    }
}

impl Message {
    pub fn on(self, page: u32) -> Self {
        Self { page, ..self }
    }

    pub fn with_status(self, status: &'static str) -> Self {
        Self {
            status: Some(status),
            ..self
        }
    }

    pub fn org(&self) -> u32 {
        if self.page == OWN_PAGE {
            OWN_ORG
        } else {
            PARTNER_ORG
        }
    }

    pub fn json(&self) -> Value {
        let (given, changed) = (at(self.given).to_string(), at(self.status_changed).to_string());
        let changed = self.status.map(|_| changed);
        let privacy = json!({ "withConsent": self.with_consent, "optIn": self.opt_in, "givenAt": given,
            "emailStatus": self.status, "emailStatusChanged": changed });
        let contact = json!({ "firstName": self.first_name, "email": self.email,
            "contactRef": self.reference, "dupeRank": 0, "area": null });
        let action =
            json!({ "actionType": "register", "customFields": {}, "createdAt": given, "testing": false });
        let campaign =
            json!({ "name": "save_bees", "title": "Bees", "externalId": null, "contactSchema": "basic" });
        let page = json!({ "name": "save_bees/de", "locale": "de" });
        match self.kind {
            Kind::Action | Kind::Confirm => json!({
                "schema": "proca:action:2",
                "stage": if self.kind == Kind::Action { "deliver" } else { "supporter_confirm" },
                "actionId": self.action, "actionPageId": self.page, "campaignId": 3, "orgId": self.org(),
                "org": { "name": "acme", "title": "ACME" }, "campaign": campaign, "actionPage": page,
                "action": action, "contact": contact, "personalInfo": null, "privacy": privacy,
                "tracking": null,
            }),
            Kind::EmailStatus => json!({
                "schema": "proca:event:2", "eventType": "email_status", "timestamp": at(self.status_changed).to_string(),
                "actionId": self.action, "actionPageId": self.page, "campaignId": 3, "campaign": campaign,
                "actionPage": page, "action": action, "tracking": null,
                "supporter": { "contact": contact, "privacy": privacy, "personalInfo": null },
            }),
        }
    }
}
