//! Replays the fuzz corpus of the shortcodes in the default run.

#![expect(clippy::expect_used, reason = "a test may stop at the first surprise")]

#[path = "../../../fuzz/properties/shortcode.rs"]
mod properties;

#[test]
fn the_properties_of_shortcodes_hold_over_the_corpus() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/shortcode");
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let input = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        properties::hold(&input);
        replayed += 1;
    }
    assert!(replayed >= 10, "the corpus is there");
}
