//! Checks that each example of docs/mapping.md gives the documented result.

use super::*;
use crate::mapping::{
    filters::{FILTERS, FUNCTIONS, TESTS},
    names::members,
    scope::Part,
};

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/mapping.md");
    std::fs::read_to_string(path).unwrap()
}

fn blocks(page: &str, language: &str) -> Vec<String> {
    let open = format!("```{language}\n");
    let parts = page.split(open.as_str()).skip(1);
    parts
        .map(|part| part.split("```").next().unwrap().to_owned())
        .collect()
}

fn tables() -> Tables {
    let regions = json!({ "DE": "central", "AT": "central", "PL": "east" });
    Tables::new(BTreeMap::from([(
        "regions".to_owned(),
        regions.as_object().unwrap().clone(),
    )]))
}

/// The examples: expression and result.
fn examples(page: &str) -> Vec<(String, Value)> {
    let blocks = blocks(page, "mapping");
    let lines = blocks.iter().flat_map(|block| block.lines());
    lines
        .map(|line| {
            let (text, value) = line.rsplit_once(" → ").unwrap_or_else(|| panic!("{line}"));
            let value = serde_json::from_str(value).unwrap_or_else(|error| panic!("{line}: {error}"));
            (text.to_owned(), value)
        })
        .collect()
}

#[test]
fn every_example_gives_its_documented_result() {
    let examples = examples(&page());
    assert!(
        examples.len() > 100,
        "only {} examples were found",
        examples.len()
    );
    let mut wrong = Vec::new();
    for (text, expected) in examples {
        let term = Term::with(&Value::from(text.as_str()), &tables(), &[]);
        let given = term
            .and_then(|term| term.eval(&scope()))
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        if given != expected {
            wrong.push(format!("{text} → {given}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_record_on_the_page_is_the_one_of_the_examples() {
    let shown: Value = serde_json::from_str(&blocks(&page(), "json")[0]).unwrap();
    assert_eq!(shown, record().to_json());
}

#[test]
fn every_filter_function_and_test_is_on_the_page_with_an_example() {
    let page = page();
    let texts: Vec<String> = examples(&page).into_iter().map(|(text, _)| text).collect();
    for filter in FILTERS {
        let used = |text: &String| {
            text.split('|')
                .skip(1)
                .any(|part| part.trim().split(['(', ' ']).next() == Some(filter))
        };
        assert!(texts.iter().any(used), "no example of {filter}");
        assert!(page.contains(&format!("`{filter}")), "{filter} is not explained");
    }
    for function in FUNCTIONS {
        assert!(texts.iter().any(|text| text.contains(&format!("{function}("))));
    }
    for test in TESTS {
        assert!(page.contains(&format!("`{test}")), "the test {test} is not named");
    }
}

#[test]
fn every_name_is_on_the_page() {
    let page = page();
    for root in ROOTS {
        assert!(page.contains(&format!("`{root}")), "{root}");
    }
    for part in [
        Part::Contact,
        Part::Action,
        Part::Donation,
        Part::Tracking,
        Part::Campaign,
        Part::Organisation,
        Part::Engagement,
        Part::Lead,
    ] {
        for name in members(&part) {
            assert!(
                page.contains(name),
                "{part:?} has {name}, which is not on the page"
            );
        }
    }
}

#[test]
fn the_limits_on_the_page_are_those_in_the_code() {
    let page = page();
    let sentence = format!(
        "An evaluation may take at most {} steps. The result may be a text of at most {} KiB, or a list or object of at \
         most {} values in {} levels. An expression or template may have at most {} KiB.",
        limit::FUEL,
        limit::TEXT / 1024,
        limit::VALUES,
        limit::DEPTH,
        limit::SOURCE / 1024
    );
    assert!(page.replace('\n', " ").contains(&sentence), "{sentence}");
}
