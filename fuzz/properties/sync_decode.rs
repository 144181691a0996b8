//! What must hold for every request that a listener keeps, by its two presets that take any shape. The first line is the content
//! type, the second the query, the rest the body.

use causeway_core::{
    clock::Timestamp,
    decode::{
        at_format::AtFormat,
        body::{self, Limits, Spelling},
        generic::{GenericDecoder, Paths},
        placeholders::Placeholders,
        sync::{ArrivalConsent, SyncDecoder, dedup},
    },
    envelope::{Dedup, Envelope, Meta},
    event::{Decode, Decoded, Event},
    id::InboxId,
};
use jiff::tz::TimeZone;

const LIMITS: Limits = Limits {
    body_bytes: 1 << 20,
    pairs: 20_000,
    depth: 64,
};

/// Panics when a property is broken.
pub fn hold(input: &[u8]) {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (content_type, query, body) = (line(), line(), line());
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        (!text.is_empty()).then(|| text.into_owned())
    };
    let envelope = Envelope {
        source: "platform".into(),
        dedup: Dedup::dated([0; 16]),
        received_at: "2026-05-01T10:00:00Z".parse().expect("a time"),
        meta: Meta {
            content_type: text(content_type),
            query: text(query),
            ..Meta::default()
        },
        body: body.to_vec().into(),
    };
    if let Ok(read) = body::read(&envelope.meta, &envelope.body, LIMITS) {
        dedup(&read.value);
    }
    let sync = SyncDecoder {
        placeholders: Placeholders::default(),
        namespace: "platform".into(),
        time_zone: TimeZone::UTC,
        consent: ArrivalConsent::None,
        consent_from: Vec::new(),
        each: None,
        limits: LIMITS,
        spelling: Spelling::default(),
    };
    let generic = GenericDecoder {
        time_format: AtFormat::Plain,
        placeholders: Placeholders::default(),
        namespace: "platform".into(),
        time_zone: TimeZone::UTC,
        consent: ArrivalConsent::None,
        consent_from: Vec::new(),
        paths: Paths::default(),
        limits: LIMITS,
        spelling: Spelling::default(),
    };
    decodes(&sync, &envelope);
    decodes(&generic, &envelope);
    for each in [".", "a", "contact"] {
        let each = Some(each.to_owned());
        let paths = Paths {
            each: each.clone(),
            ..Paths::default()
        };
        decodes(&SyncDecoder { each, ..sync.clone() }, &envelope);
        decodes(
            &GenericDecoder {
                paths,
                ..generic.clone()
            },
            &envelope,
        );
    }
}

fn decodes(decoder: &dyn Decode, envelope: &Envelope) {
    let first = decoder.decode(envelope);
    assert_eq!(first, decoder.decode(envelope), "a function of the bytes");
    match first {
        Decoded::Event(event) => makes_sense(&event, envelope.received_at),
        Decoded::Dead { reason, .. } | Decoded::Skip { reason } => assert!(!reason.is_empty()),
        Decoded::Parts(parts) => {
            for (part, decoded) in parts {
                let again = decoder.decode(&part);
                assert_eq!(
                    decoded.part_of(InboxId(0)),
                    again,
                    "a part is kept as it was read"
                );
            }
        }
        other @ Decoded::Partial { .. } => panic!("nobody asked for it: {other:?}"),
    }
}

fn makes_sense(event: &Event, now: Timestamp) {
    assert!(event.names_somebody() && event.consent.is_empty(), "{event:?}");
    assert!(
        event.at <= now,
        "a time that has not come would win over all that follow"
    );
    for (name, value) in &event.fields {
        assert!(!value.is_null() && *value != "", "{name}: {value}");
        // A field is kept as JSON, and that is only read back up to a depth.
        let kept: Option<serde_json::Value> = serde_json::from_str(&value.to_string()).ok();
        assert_eq!(kept.as_ref(), Some(value), "{name}");
    }
}
