//! Replays the fuzz corpus of the Proca decoder in the default run.

#[path = "../../../../fuzz/properties/proca_decode.rs"]
mod properties;

#[test]
fn the_properties_of_the_proca_decoder_hold_over_the_corpus() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/proca_decode");
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        properties::hold(&std::fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed >= 10, "the corpus is there");
}
