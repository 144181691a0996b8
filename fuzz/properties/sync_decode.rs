//! What must hold for every request that a listener keeps, by its two presets that take any shape. The first line is the content
//! type, the second the query, the rest the body.

use causeway_core::{
    clock::Timestamp,
    decode::{
        at_format::AtFormat,
        body::{self, Limits},
        generic::{GenericDecoder, Paths},
        placeholders::Placeholders,
        sync::{ArrivalConsent, SyncDecoder, dedup},
    },
    envelope::{Dedup, Envelope, Meta},
    event::{Decode, Decoded, Event},
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
        limits: LIMITS,
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
    };
    decodes(&sync, &envelope);
    decodes(&generic, &envelope);
}

fn decodes(decoder: &dyn Decode, envelope: &Envelope) {
    let first = decoder.decode(envelope);
    assert_eq!(first, decoder.decode(envelope), "a function of the bytes");
    match first {
        Decoded::Event(event) => makes_sense(&event, envelope.received_at),
        Decoded::Dead { reason, .. } => assert!(!reason.is_empty()),
        other => panic!("nobody asked for it: {other:?}"),
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
