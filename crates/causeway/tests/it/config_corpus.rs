//! Replays the fuzz corpus of the configuration in the default run.

#[path = "../../../../fuzz/properties/config.rs"]
mod properties;

#[test]
fn the_properties_of_the_configuration_hold_over_the_corpus() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/config");
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder).expect("the corpus") {
        let text = std::fs::read_to_string(entry.expect("a file").path()).expect("text");
        properties::hold(&text);
        // A file that is cut anywhere must not panic either.
        for end in text.char_indices().map(|(at, _)| at).step_by(97) {
            properties::hold(text.get(..end).unwrap_or_default());
        }
        replayed += 1;
    }
    assert!(replayed >= 10, "the corpus is there");
}
