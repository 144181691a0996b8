use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
#[rustfmt::skip] // One case per line reads as a table.
fn small_deviations_with_a_clear_meaning_are_read() {
    for (text, value, note) in [
        ("\u{feff}{\"a\":1}", json!({"a": 1}), ""),
        (r#"{"a":1,"b":2,"a":3}"#, json!({"a": 3, "b": 2}), "JSON: 1 members that occur twice; the last one counts"),
        (r#"{"a":NaN,"b":-Infinity,"c":[Infinity,1],"d":undefined}"#, json!({"c": [null, 1]}),
            "JSON: 4 values NaN, Infinity or undefined, which say nothing, were left out"),
        (r#"{"a":[1,2,],"b":{"c":1 , },}"#, json!({"a": [1, 2], "b": {"c": 1}}), "JSON: 3 extra commas were ignored"),
        ("{\"a\":\"x\ty\r\nz\u{1}\"}", json!({"a": "x\ty\r\nz\u{1}"}), "JSON: 4 line ends or tabs inside a text were taken as they are"),
        (r#"{"a":"it\'s"}"#, json!({"a": "it's"}), "JSON: 1 escaped single quotes were taken as quotes"),
        (r#"{"a":"x\ud83d"}"#, json!({"a": "x\u{fffd}"}), "JSON: 1 halves of a surrogate pair; they were replaced, \
             and a known value stays"),
        (r#"{"a":"\ude00\ud83d\u0041\ud83d\ud83d\ude00"}"#, json!({"a": "\u{fffd}\u{fffd}A\u{fffd}😀"}),
            "JSON: 3 halves of a surrogate pair; they were replaced, and a known value stays"),
        (r#"{"a":"\u00e9\"\\\/\b\f\n\r\t"}"#, json!({"a": "é\"\\/\u{8}\u{c}\n\r\t"}), ""),
        (" [ ] ", json!([]), ""),
        (r#"{"a":{},"b":-0.5e+3,"c":null,"d":true,"e":false}"#,
            serde_json::from_str(r#"{"a":{},"b":-0.5e+3,"c":null,"d":true,"e":false}"#).unwrap(), ""),
    ] {
        let (seen, notes) = read(text, 64).unwrap();
        assert_eq!((seen, notes.join("|").as_str()), (value, note), "{text}");
    }
}

#[test]
#[rustfmt::skip] // One case per line reads as a table.
fn unclear_json_is_refused_with_its_position() {
    for (text, line, column) in [
        ("", 1, 1),
        ("{\n \"é\": x}", 2, 7),
        ("{\"a\":1", 1, 7),
        ("{\"a\" 1}", 1, 6),
        ("{\"a\":\"never ends", 1, 6),
        ("{\"a\":1}}", 1, 8),
        ("{a:1}", 1, 2),
        ("{'a':1}", 1, 2),
        ("[1,,2]", 1, 4),
        ("[,1]", 1, 2),
        ("[01]", 1, 2),
        ("[1.]", 1, 4),
        ("[1e]", 1, 4),
        ("[+1]", 1, 2),
        ("[-]", 1, 2),
        ("[nullx]", 1, 2),
        (r#"["\x41"]"#, 1, 3),
        (r#"["\u00g1"]"#, 1, 3),
        (r#"["\u+123"]"#, 1, 3),
        (r#"["\"#, 1, 3),
        ("NaN", 1, 4),
    ] {
        match read(text, 64).unwrap_err() {
            JsonError::Malformed { line: at_line, column: at_column, .. } => {
                assert_eq!((at_line, at_column), (line, column), "{text}");
            }
            error @ JsonError::TooDeep(_) => panic!("{error}"),
        }
    }
    assert_eq!(read(&"[".repeat(100_000), 64).unwrap_err(), JsonError::TooDeep(64));
    assert!(read(&format!("{}{}", "[".repeat(65), "]".repeat(65)), 64).is_ok());
}

#[test]
fn the_items_of_a_broken_list_are_separated() {
    for (list, items) in [
        (
            r#" [ {"a":"],"}, {"b":[1,2] x}, {"c":1} ] "#,
            vec![r#"{"a":"],"}"#, r#"{"b":[1,2] x}"#, r#"{"c":1}"#],
        ),
        (
            r#"[{"a":1},{"b":"no end}]"#,
            vec![r#"{"a":1}"#, r#"{"b":"no end}]"#],
        ),
        (r#"[{"a":1},,] x"#, vec![r#"{"a":1}"#, "x"]),
        ("[]", vec![]),
    ] {
        let seen: Vec<&str> = super::items(list.as_bytes())
            .unwrap()
            .into_iter()
            .map(|item| std::str::from_utf8(item).unwrap().trim())
            .collect();
        assert_eq!(seen, items, "{list}");
    }
    assert_eq!(items(b"{}"), None);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec((".{0,4}", inner), 0..5).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    /// Strict JSON gives the same value as with `serde_json`.
    #[test]
    fn strict_json_is_read_without_a_note(value in value(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let strict: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(read(&text, 64).unwrap(), (strict, Vec::new()));
    }

    /// The reader accepts whatever `serde_json` accepts, and fails only with an error.
    #[test]
    fn any_text_is_read_or_refused(text in r#"[\[\]{}",:\\ 0-9a-fu.eE+truenlNI\n-]{0,40}"#) {
        let ours = read(&text, 64);
        if let Ok(strict) = serde_json::from_str::<Value>(&text) {
            prop_assert_eq!(ours.unwrap().0, strict);
        }
    }
}
