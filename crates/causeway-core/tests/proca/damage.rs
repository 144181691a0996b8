//! Damaged messages: cut off anywhere, or with a member of any other type. Each is decoded, and no reason
//! reveals the content.

use causeway_core::event::{Decode, Decoded};
use serde_json::{Value, json};

use crate::message::{decoder, envelope, sample};

fn samples() -> Vec<(String, Value)> {
    let folder = format!("{}/../../samples/messages", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let name = name.strip_suffix(".json").unwrap().to_owned();
            let body = serde_json::from_str(&sample(&name)).unwrap();
            (name, body)
        })
        .collect()
}

/// The reason of a dead or skipped message.
fn reason(ending: &Decoded) -> &str {
    match ending {
        Decoded::Dead { reason, .. } | Decoded::Partial { reason, .. } | Decoded::Skip { reason } => reason,
        Decoded::Event(_) | Decoded::Parts(_) => "",
    }
}

fn assert_reveals_nothing(words: &str) {
    let inside = [
        "bruce",
        "Bruce",
        "Wayne",
        "example",
        "harvey",
        "SECRETCODE",
        "_1j--",
        "gIGC",
        "ref-of",
    ];
    for secret in inside {
        assert!(!words.contains(secret), "{words}");
    }
}

#[test]
fn a_message_that_is_cut_off_anywhere_is_dead() {
    let decoder = decoder();
    for (name, body) in samples() {
        let text = body.to_string();
        for end in (0..text.len()).step_by(5) {
            let ending = decoder.decode(&envelope(&text.as_bytes()[..end]));
            assert!(matches!(ending, Decoded::Dead { .. }), "{name} up to {end}");
            assert_reveals_nothing(reason(&ending));
        }
    }
}

#[test]
fn a_member_of_any_other_type_gives_an_event_or_a_reason_that_reveals_nothing() {
    let decoder = decoder();
    let others = [
        Value::Null,
        json!(true),
        json!(-1.5e300),
        json!("bruce@example.org"),
        json!("QQ"),
        json!([]),
        json!(["bruce@example.org", {}]),
        json!({}),
        json!({ "bruce@example.org": [null] }),
    ];
    let mut count = 0;
    for (_, body) in samples() {
        for path in paths(&body, "") {
            for other in &others {
                let mut damaged = body.clone();
                *damaged.pointer_mut(&path).unwrap() = other.clone();
                let ending = decoder.decode(&envelope(damaged.to_string()));
                assert_reveals_nothing(reason(&ending));
                if let Decoded::Event(event) = ending {
                    assert_reveals_nothing(&event.notes.join(" "));
                }
                count += 1;
            }
        }
    }
    assert!(count > 3_000, "{count}");
}

/// JSON pointers to everything inside.
fn paths(value: &Value, here: &str) -> Vec<String> {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, member)| (name.clone(), member))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(n, item)| (n.to_string(), item))
            .collect(),
        _ => Vec::new(),
    };
    members
        .into_iter()
        .flat_map(|(name, member)| {
            let path = format!("{here}/{}", name.replace('~', "~0").replace('/', "~1"));
            let inside = paths(member, &path);
            std::iter::once(path).chain(inside)
        })
        .collect()
}
