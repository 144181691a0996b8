//! Replays the fuzz corpus of the mappings in the default run, also with its pieces recombined.

use proptest::prelude::*;

#[path = "../../../../fuzz/properties/mapping.rs"]
mod properties;

fn corpus() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/mapping");
    let entries = std::fs::read_dir(folder).unwrap();
    let read = entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    read.collect()
}

#[test]
fn the_properties_of_mappings_hold_over_the_corpus() {
    let corpus = corpus();
    assert!(corpus.len() >= 20, "the corpus is there");
    for text in corpus {
        properties::hold(&text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_properties_of_mappings_hold_over_recombined_pieces(
        pieces in prop::collection::vec((any::<prop::sample::Index>(), any::<u16>(), 1_usize..40), 1..6)
    ) {
        let corpus = corpus();
        let mut text = String::new();
        for (which, from, length) in pieces {
            let whole: Vec<char> = which.get(&corpus).chars().collect();
            let from = usize::from(from) % whole.len();
            text.extend(whole.iter().skip(from).take(length));
        }
        properties::hold(&text);
    }
}
