//! What must hold for any input of the form parser; also run over the corpus by the tests of the core.

use causeway_core::form::{
    Array, EmitOptions, EmptyGroups, FormError, Mode, Space, Value, array_from_json, array_to_json, emit,
    parse,
};

const LIMITS: Mode = Mode::Lenient {
    max_pairs: 20_000,
    max_depth: 64,
};

/// Panics when a property is broken.
pub fn hold(input: &[u8]) {
    for get in [false, true] {
        let strict = parse(input, Mode::StrictPhp { get }).expect("PHP refuses nothing");
        assert!(strict.root.len() <= 1001);
        prints_and_reads_back(&strict.root, Mode::StrictPhp { get: false });
    }
    match parse(input, LIMITS) {
        Err(FormError::TooManyPairs { .. } | FormError::TooDeep { .. }) => {}
        Ok(parsed) => {
            let json = array_to_json(parsed.root.clone(), &mut 0);
            drop(array_from_json(&json));
            prints_and_reads_back(&parsed.root, LIMITS);
        }
    }
}

/// PHP has no sign for an empty array; printed as empty text, everything comes back.
fn prints_and_reads_back(root: &Array, mode: Mode) {
    let root_again = blanked(root.clone());
    for (raw_brackets, space) in [
        (true, Space::Plus),
        (false, Space::Plus),
        (false, Space::Percent20),
    ] {
        let options = EmitOptions {
            empty_groups: EmptyGroups::Blank,
            raw_brackets,
            space,
        };
        let printed = emit(root, options).expect("what was read has names that can be read");
        let again = parse(printed.as_bytes(), mode).expect("not larger than before");
        assert_eq!(again.root, root_again, "{printed}");
    }
}

fn blanked(array: Array) -> Array {
    let values = array.into_entries().map(|(key, value)| match value {
        Value::Array(inner) if inner.is_empty() => (key, Value::text("")),
        Value::Array(inner) => (key, Value::Array(blanked(inner))),
        text @ Value::Text(_) => (key, text),
    });
    values.collect()
}
