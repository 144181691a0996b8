//! Writes messages as their senders do, and decodes them with the decoders under test.

use std::sync::Arc;

use causeway_core::{
    clock::Timestamp,
    consent::{EMAIL, What},
    decode::{
        at_format::AtFormat,
        body::Limits,
        consent_from::ConsentFrom,
        events::EventsDecoder,
        placeholders::{Emptied, Placeholders},
        proca::{OptInMode, ProcaDecoder, Testing},
        sync::{ArrivalConsent, SyncDecoder},
    },
    envelope::{Dedup, Envelope, Meta},
    event::{Decode, Decoded},
    keystore::SharedKeystore,
};

use crate::history::{EMAILS, Kind, Message, OWN_PAGES, PLATFORM_IDS, REFERENCES};

pub const OWN_ORG: u32 = 1;
const PARTNER_ORG: u32 = 2;

/// Seconds after a fixed moment.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_323_045 + second).unwrap()
}

pub struct Decoders {
    queue: ProcaDecoder,
    queue_that_waits: ProcaDecoder,
    platform: SyncDecoder,
    joined: SyncDecoder,
    site: EventsDecoder,
}

/// Written to the millisecond, because an opt-out with a time in whole seconds counts from the end of its
/// second.
pub fn exact(second: i64) -> String {
    format!("{:.3}", at(second))
}

fn says(field: &str, purpose: &str, at_field: Option<&str>) -> ConsentFrom {
    ConsentFrom {
        field: field.to_owned(),
        purpose: purpose.to_owned(),
        words: vec![
            ("yes".to_owned(), What::OptIn),
            ("no".to_owned(), What::Unsubscribed),
        ],
        at_field: at_field.map(str::to_owned),
        at_format: AtFormat::Plain,
    }
}

impl Decoders {
    pub fn new() -> Self {
        let queue = |opt_in| ProcaDecoder {
            placeholders: Placeholders::default(),
            namespace: "proca".into(),
            own_orgs: [OWN_ORG.to_string()].into(),
            keystore: Arc::new(SharedKeystore::default()),
            testing: Testing::Skip,
            opt_in,
            purpose: EMAIL.into(),
            consent_from: vec![says("calls", "phone", None)],
        };
        let platform = |consent| SyncDecoder {
            placeholders: Placeholders::default().with_emptied(Emptied::Clear, Emptied::Clear),
            namespace: "platform".into(),
            time_zone: jiff::tz::TimeZone::UTC,
            consent,
            consent_from: vec![
                says("Newsletter", EMAIL, None),
                says("Calls", "phone", Some("Calls since")),
            ],
            limits: Limits::default(),
            spelling: causeway_core::decode::body::Spelling::default(),
            each: None,
        };
        Self {
            queue: queue(OptInMode::Single),
            queue_that_waits: queue(OptInMode::DoubleOptIn),
            platform: platform(ArrivalConsent::None),
            joined: platform(ArrivalConsent::OptIn),
            site: EventsDecoder {
                placeholders: Placeholders::default(),
                namespace: "platform".into(),
                proca: "proca".into(),
            },
        }
    }

    /// The source that brings the message, and its decoded form.
    pub fn read(&self, message: &Message) -> (&'static str, Decoded) {
        let (source, reader): (_, &dyn Decode) = match message.kind {
            Kind::SyncForm | Kind::SyncJson => ("platform", &self.platform),
            Kind::Joined => ("joined", &self.joined),
            Kind::Consent | Kind::Contact | Kind::PageVisit => ("site", &self.site),
            _ if message.waits_for_click => ("queue_that_waits", &self.queue_that_waits),
            _ => ("queue", &self.queue),
        };
        let is_form = matches!(message.kind, Kind::SyncForm | Kind::Joined);
        let content_type = if is_form {
            "application/x-www-form-urlencoded"
        } else {
            "application/json"
        };
        let received_at = if is_form || message.kind == Kind::SyncJson {
            message.at
        } else {
            1_000_000
        };
        let decoded = reader.decode(&Envelope {
            source: source.into(),
            dedup: Dedup::dated([0; 16]),
            received_at: at(received_at),
            meta: Meta {
                content_type: Some(content_type.to_owned()),
                ..Meta::default()
            },
            body: body(message).into_bytes().into(),
        });
        (source, decoded)
    }
}

/// A JSON text, or null.
fn json(text: Option<&str>) -> String {
    text.map_or_else(|| "null".to_owned(), |text| format!("\"{text}\""))
}

/// The address as a person may type it.
fn email(message: &Message) -> Option<String> {
    let address = EMAILS[message.who.email?];
    Some(if message.action.is_multiple_of(3) {
        format!(" {} ", address.to_uppercase())
    } else {
        address.to_owned()
    })
}

fn reference(message: &Message) -> Option<&'static str> {
    Some(REFERENCES[message.who.reference?])
}

fn body(message: &Message) -> String {
    match message.kind {
        Kind::ActionV1 => action_v1(message),
        Kind::ActionV2 | Kind::Confirm | Kind::Test | Kind::System => action_v2(message),
        Kind::EmailStatus => email_status(message),
        Kind::SyncForm | Kind::Joined => sync_form(message),
        Kind::SyncJson => sync_json(message),
        Kind::Consent | Kind::Contact | Kind::PageVisit => site_event(message),
        Kind::CampaignUpdated => r#"{"schema":"proca:event:2","eventType":"campaign_updated","campaignId":3,
            "timestamp":"2026-01-02T03:04:05Z","campaign":{"name":"save_bees","config":{}}}"#
            .to_owned(),
        Kind::ConfirmCreated => r#"{"schema":"proca:event:2","eventType":"confirm_created",
            "timestamp":"2026-01-02T03:04:05Z","confirm":{"operation":"launch_page","code":"1"}}"#
            .to_owned(),
        Kind::Unknown => format!(
            r#"{{"schema":"proca:action:9","contact":{{"email":{}}}}}"#,
            json(email(message).as_deref())
        ),
        Kind::Broken => action_v2(message)[..40].to_owned(),
    }
}

const CAMPAIGN: &str = r#""campaignId":3,"campaign":{"name":"save_bees","title":"Bees","externalId":null,"contactSchema":"basic"}"#;

/// The members about action, page and campaign that all Proca messages have.
fn action(message: &Message, custom_fields: &str) -> String {
    let calls = message
        .phone
        .map_or_else(String::new, |word| format!(r#""calls":"{word}""#));
    format!(
        r#""actionId":{},"actionPageId":{},{CAMPAIGN},"actionPage":{{"name":"save_bees/de","locale":"de"}},
        "tracking":null,"action":{{"actionType":"register","{custom_fields}":{{{calls}}},"createdAt":"{}","testing":{}}}"#,
        message.action,
        message.page,
        at(message.later),
        message.kind == Kind::Test,
    )
}

fn org(message: &Message) -> String {
    let is_own = OWN_PAGES.contains(&message.page);
    let id = if is_own { OWN_ORG } else { PARTNER_ORG };
    format!(r#""orgId":{id},"org":{{"name":"acme","title":"ACME"}}"#)
}

fn contact_and_privacy(message: &Message) -> String {
    let opt_in = message
        .opt_in
        .map_or_else(|| "null".to_owned(), |yes| yes.to_string());
    let changed = message.status.map(|_| at(message.later).to_string());
    format!(
        r#""contact":{{"firstName":"{}","email":{},"contactRef":{},"dupeRank":0,"area":null}},"personalInfo":null,
        "privacy":{{"withConsent":{},"optIn":{opt_in},"givenAt":"{}","emailStatus":{},"emailStatusChanged":{}}}"#,
        message.first_name,
        json(email(message).as_deref()),
        json(reference(message)),
        message.with_consent && message.kind != Kind::EmailStatus,
        at(message.at),
        json(message.status),
        json(changed.as_deref()),
    )
}

fn action_v2(message: &Message) -> String {
    let stage = match message.kind {
        Kind::Confirm if message.with_consent => "supporter_confirm",
        Kind::Confirm => "action_confirm",
        Kind::System => "system",
        _ => "deliver",
    };
    format!(
        r#"{{"schema":"proca:action:2","stage":"{stage}",{},{},{}}}"#,
        org(message),
        action(message, "customFields"),
        contact_and_privacy(message)
    )
}

fn action_v1(message: &Message) -> String {
    let opt_in = message
        .opt_in
        .map_or_else(|| "null".to_owned(), |yes| yes.to_string());
    let privacy = if message.with_consent {
        format!(r#"{{"communication":{opt_in},"givenAt":"{}"}}"#, at(message.at))
    } else {
        "null".to_owned()
    };
    format!(
        r#"{{"schema":"proca:action:1","stage":"deliver",{},{},"privacy":{privacy},"contact":{{"ref":{},"firstName":"{}",
        "email":{},"payload":"{{\"firstName\":\"{}\"}}"}}}}"#,
        org(message),
        action(message, "fields"),
        json(reference(message)),
        message.first_name,
        json(email(message).as_deref()),
        message.first_name,
    )
}

fn email_status(message: &Message) -> String {
    format!(
        r#"{{"schema":"proca:event:2","eventType":"email_status","timestamp":"{}",{},"supporter":{{{}}}}}"#,
        at(message.later),
        action(message, "customFields"),
        contact_and_privacy(message)
    )
}

/// The list fields of a platform's contact: label and value.
fn list_fields(message: &Message) -> Vec<(&'static str, String)> {
    let mut fields = vec![("First Name", message.first_name.to_owned())];
    if let Some(yes) = message.opt_in {
        fields.push(("Newsletter", if yes { "yes" } else { "no" }.to_owned()));
    }
    if let Some(word) = message.phone {
        fields.push(("Calls", word.to_owned()));
        fields.push(("Calls since", exact(message.later)));
    }
    fields
}

fn platform_id(message: &Message) -> Option<&'static str> {
    Some(PLATFORM_IDS[message.who.platform_id?])
}

fn sync_json(message: &Message) -> String {
    let rows: Vec<String> = list_fields(message)
        .iter()
        .map(|(name, value)| match value.as_str() {
            "" => format!(r#"{{"name":"{name}","value":null}}"#),
            value => format!(r#"{{"name":"{name}","value":"{value}"}}"#),
        })
        .collect();
    format!(
        r#"{{"contact":{{"id":{},"email":{}}},"fields":[{}]}}"#,
        json(platform_id(message)),
        json(email(message).as_deref()),
        rows.join(",")
    )
}

fn sync_form(message: &Message) -> String {
    let text = |text: String| text.replace(' ', "+").replace('@', "%40").replace(':', "%3A");
    let mut pairs = vec!["transactionid=0".to_owned()];
    pairs.extend(platform_id(message).map(|id| format!("contact%5Bid%5D={id}")));
    pairs.extend(email(message).map(|email| format!("contact%5Bemail%5D={}", text(email))));
    for (number, (name, value)) in list_fields(message).into_iter().enumerate() {
        pairs.push(format!(
            "fields%5B{number}%5D%5Bname%5D={}",
            text(name.to_owned())
        ));
        pairs.push(format!("fields%5B{number}%5D%5Bvalue%5D={}", text(value)));
    }
    pairs.join("&")
}

fn site_event(message: &Message) -> String {
    let contact = format!(
        r#"{{"email":{},"contactRef":{},"id":{}}}"#,
        json(email(message).as_deref()),
        json(reference(message)),
        json(platform_id(message))
    );
    let rest = match message.kind {
        Kind::Consent => format!(
            r#""type":"consent","what":"{}","purpose":"{}""#,
            message.word,
            purpose(message)
        ),
        Kind::Contact => r#""type":"contact""#.to_owned(),
        _ => r#""type":"page_visit","key":"https://example.org/whales""#.to_owned(),
    };
    let fields = if message.kind == Kind::Contact {
        let name = Some(message.first_name).filter(|name| !name.is_empty());
        format!(r#","fields":{{"first_name":{}}}"#, json(name))
    } else {
        String::new()
    };
    format!(
        r#"{{{rest},"contact":{contact},"at":"{}"{fields}}}"#,
        exact(message.at)
    )
}

pub fn purpose(message: &Message) -> &'static str {
    if message.is_about_phone { "phone" } else { EMAIL }
}
