//! Replays the fuzz corpora that no other test of the default run replays.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::path::Path;

#[path = "../../../fuzz/properties/condition.rs"]
mod condition;
#[path = "../../../fuzz/properties/events_decode.rs"]
mod events_decode;
#[path = "../../../fuzz/properties/php_date.rs"]
mod php_date;
#[path = "../../../fuzz/properties/response.rs"]
mod response;
#[path = "../../../fuzz/properties/sync_decode.rs"]
mod sync_decode;
#[path = "../../../fuzz/properties/xml.rs"]
mod xml;

/// Runs each input whole, and cut off at regular distances.
fn replay(target: &str, hold: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus") {
        let input = std::fs::read(entry.expect("an entry").path()).expect("an input");
        hold(&input);
        for end in (0..input.len()).step_by(7) {
            hold(input.get(..end).unwrap_or_default());
        }
        replayed += 1;
    }
    assert!(replayed >= 10, "the corpus is there");
}

#[test]
fn conditions_are_the_same_with_and_without_the_engine_over_the_corpus() {
    replay("condition", condition::hold);
}

#[test]
fn the_properties_of_events_hold_over_the_corpus() {
    replay("events_decode", events_decode::hold);
}

#[test]
fn the_properties_of_date_patterns_hold_over_the_corpus() {
    replay("php_date", |input| {
        php_date::hold(&String::from_utf8_lossy(input));
    });
}

#[test]
fn the_properties_of_responses_hold_over_the_corpus() {
    replay("response", response::hold);
}

#[test]
fn the_properties_of_a_listeners_messages_hold_over_the_corpus() {
    replay("sync_decode", sync_decode::hold);
}

#[test]
fn the_properties_of_xml_hold_over_the_corpus() {
    replay("xml", xml::hold);
}
