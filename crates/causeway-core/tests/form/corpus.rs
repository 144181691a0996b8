//! Replays the fuzz corpus of the form parser in the default run.

#[path = "../../../../fuzz/properties/form_parse.rs"]
mod properties;

#[test]
fn the_properties_of_the_form_parser_hold_over_the_corpus() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/form_parse");
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let input = std::fs::read(entry.unwrap().path()).unwrap();
        properties::hold(&input);
        replayed += 1;
    }
    assert!(replayed >= 10, "the corpus is there");
}
