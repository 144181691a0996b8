//! What must hold for every item that somebody posts to the events address.

use causeway_core::{
    clock::Timestamp,
    decode::{
        events::{EventsDecoder, dedup},
        placeholders::Placeholders,
    },
    envelope::{Dedup, Envelope, Meta},
    event::{Decode, Decoded, Event},
};
use serde_json::Value;

/// Panics when a property is broken.
pub fn hold(body: &[u8]) {
    let decoder = EventsDecoder {
        placeholders: Placeholders::default(),
        namespace: "site".into(),
        proca: "proca".into(),
    };
    let now: Timestamp = "2026-05-01T10:00:00Z".parse().expect("a time");
    let decode = |body: Vec<u8>| {
        decoder.decode(&Envelope {
            source: "site".into(),
            dedup: Dedup::dated([0; 16]),
            received_at: now,
            meta: Meta::default(),
            body: body.into(),
        })
    };
    let Ok(item) = serde_json::from_slice::<Value>(body) else {
        assert!(
            matches!(decode(body.to_vec()), Decoded::Dead { .. }),
            "no JSON, and no item"
        );
        return;
    };
    // The sender is answered at once. Decoding the stored bytes later must give the same event or reason.
    let at_once = decoder.item(&item, now);
    let kept = decode(item.to_string().into_bytes());
    match (at_once, kept) {
        (Ok(at_once), Decoded::Event(kept)) => {
            assert_eq!(at_once, *kept, "at once and from the store");
            makes_sense(&at_once, now);
            assert_eq!(
                dedup(&item, &at_once, now, 60_000),
                dedup(&backwards(&item), &at_once, now, 60_000),
                "in whatever order it is written"
            );
        }
        (Err(at_once), Decoded::Dead { reason, .. }) => {
            assert!(!at_once.is_empty() && at_once == reason, "{at_once} and {reason}");
        }
        (at_once, kept) => panic!("at once {at_once:?}, from the store {kept:?}"),
    }
}

fn makes_sense(event: &Event, now: Timestamp) {
    assert!(event.names_somebody() && event.at <= now);
    let says = event.fields.keys().any(|name| name != "email")
        || event.identities.len() > 1
        || !event.engagements.is_empty()
        || !event.consent.is_empty();
    assert!(says, "{event:?}");
    // Null clears a field.
    assert!(event.fields.values().all(|value| *value != ""), "{event:?}");
}

fn backwards(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .rev()
            .map(|(name, value)| (name.clone(), backwards(value)))
            .collect(),
        Value::Array(items) => items.iter().map(backwards).collect(),
        other => other.clone(),
    }
}
