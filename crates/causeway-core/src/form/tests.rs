use serde_json::json;

use super::*;
use rows::ROWS;

#[path = "rows.rs"]
mod rows;

const STRICT: Mode = Mode::StrictPhp { get: true };
const STRICT_POST: Mode = Mode::StrictPhp { get: false };
const LENIENT: Mode = Mode::Lenient {
    max_pairs: 20_000,
    max_depth: 64,
};

fn read(input: &[u8], mode: Mode) -> Parsed {
    parse(input, mode).unwrap()
}

/// The result as PHP's JSON. Like `json_encode`, it prints a list at the top as an array.
fn strict(input: &[u8]) -> String {
    to_json(Value::Array(read(input, STRICT).root), &mut 0).to_string()
}

#[test]
fn every_measured_row_is_read_as_php_reads_it() {
    for (input, expected) in ROWS {
        assert_eq!(strict(input.as_bytes()), *expected, "{input}");
    }
}

#[test]
fn the_integer_keys_of_text_digits_and_of_numbers_are_the_same() {
    for (text, key) in [
        ("0", Key::Int(0)),
        ("-7", Key::Int(-7)),
        ("9223372036854775807", Key::Int(i64::MAX)),
        ("-9223372036854775808", Key::Int(i64::MIN)),
    ] {
        assert_eq!(Key::new(text.as_bytes()), key);
    }
    for text in [
        "",
        "-",
        "-0",
        "00",
        "+1",
        "1 ",
        "9223372036854775808",
        "-9223372036854775809",
    ] {
        assert_eq!(
            Key::new(text.as_bytes()),
            Key::Text(text.as_bytes().into()),
            "{text}"
        );
    }
}

#[test]
fn invalid_utf8_is_kept_as_bytes_and_counted_when_converted_to_json() {
    let root = read(b"a=%ff&b=%C3%A9&%fe=1", STRICT).root;
    assert_eq!(root.get(&Key::new(b"a")), Some(&Value::text([0xff])));
    let mut not_utf8 = 0;
    let json = array_to_json(root, &mut not_utf8);
    assert_eq!((json.get("a"), not_utf8), (Some(&json!("\u{fffd}")), 2));
}

#[test]
fn strict_queries_keep_1000_pairs_and_strict_bodies_1001() {
    let pairs = |n: usize, sep: &str| (0..n).map(|i| format!("k{i}=1")).collect::<Vec<_>>().join(sep);
    for (input, mode, kept, lost) in [
        (pairs(1000, "&"), STRICT, 1000, 0),
        (pairs(1003, "&"), STRICT, 1000, 3),
        (pairs(1003, "&"), STRICT_POST, 1001, 2),
        // Empty pieces count only in a body.
        (pairs(1003, "&&"), STRICT, 1000, 3),
        (pairs(1003, "&&"), STRICT_POST, 501, 502),
    ] {
        let parsed = read(input.as_bytes(), mode);
        assert_eq!(
            (parsed.root.len(), parsed.report.over_limit),
            (kept, lost),
            "{mode:?}"
        );
    }
}

#[test]
fn strict_drops_a_whole_variable_that_is_nested_too_deep() {
    let deep = |n: usize| format!("a{}=1", "[x]".repeat(n));
    let kept = read(deep(64).as_bytes(), STRICT).root;
    assert_eq!(kept.len(), 1);
    assert_eq!(
        strict(format!("a[ok]=1&b=2&{}", deep(65)).as_bytes()),
        r#"{"b":"2"}"#
    );
    assert_eq!(
        strict(format!("a[ok]=1&b=2&{}&a[c]=3", deep(65)).as_bytes()),
        r#"{"b":"2","a":{"c":"3"}}"#
    );
    let opened_only = format!("a[ok]=1&a{}[=1", "[x]".repeat(64));
    assert_eq!(strict(opened_only.as_bytes()), "[]");
}

#[test]
fn lenient_refuses_input_over_its_limits_and_loses_nothing_below_them() {
    let mode = Mode::Lenient {
        max_pairs: 3,
        max_depth: 2,
    };
    assert_eq!(read(b"a=1&b=2&&&c=3", mode).root.len(), 3);
    assert_eq!(
        parse(b"a=1&b=2&c=3&d=4", mode),
        Err(FormError::TooManyPairs { limit: 3 })
    );
    assert_eq!(parse(b"a[b][c][d]=1", mode), Err(FormError::TooDeep { limit: 2 }));
    let many: Vec<String> = (0..5000).map(|i| format!("visits[{i}]=1")).collect();
    let parsed = read(many.join("&").as_bytes(), LENIENT);
    assert_eq!(
        parsed.report,
        Report {
            pairs: 5000,
            ..Report::default()
        }
    );
}

#[test]
fn lenient_sorts_lists_that_are_out_of_order_and_strict_does_not() {
    let input = b"f[1][n]=b&f[0][n]=a&f[0][v][1]=y&f[0][v][0]=x&g[1]=p&g[2]=q";
    let parsed = read(input, LENIENT);
    assert_eq!(parsed.report.sorted, 2);
    assert_eq!(
        to_json(Value::Array(parsed.root), &mut 0),
        json!({"f": [{"n": "a", "v": ["x", "y"]}, {"n": "b"}], "g": {"1": "p", "2": "q"}})
    );
    assert!(strict(input).starts_with(r#"{"f":{"1""#));
}

#[test]
fn the_report_counts_what_was_changed() {
    for (input, mangled, dropped, overwritten) in [
        ("a=1&b[c]=2&d[]=3", 0, 0, 0),
        ("a.b=1", 1, 0, 0),
        ("+a=1", 1, 0, 0),
        ("a[b]c=1", 1, 0, 0),
        ("a[b][c=1", 1, 0, 0),
        ("a%00b=1", 1, 0, 0),
        ("=1&[x]=2", 0, 2, 0),
        ("a=1&a=2", 0, 0, 1),
        ("a=1&a[b]=2", 0, 0, 1),
        ("a[b]=1&a=2", 0, 0, 1),
        ("a[9223372036854775807]=1&a[]=2&a[][b]=3", 0, 2, 0),
    ] {
        let report = read(input.as_bytes(), LENIENT).report;
        assert_eq!(
            (report.mangled, report.dropped, report.overwritten),
            (mangled, dropped, overwritten),
            "{input}"
        );
    }
}

#[test]
fn parts_of_a_multipart_body_follow_the_same_rules() {
    let mut builder = Builder::new(LENIENT);
    for (name, value) in [
        ("contact[email]", "jane+x@example.org"),
        ("a b", "%41"),
        ("f[]", "1"),
    ] {
        builder.push_pair(name.as_bytes(), value.into()).unwrap();
    }
    let json = to_json(Value::Array(builder.finish().root), &mut 0);
    assert_eq!(
        json,
        json!({"contact": {"email": "jane+x@example.org"}, "a_b": "%41", "f": ["1"]})
    );

    let mut body = String::new();
    append_pair(&mut body, b"contact[email]", b"jane+x@example.org");
    append_pair(&mut body, b"f[]", "é &".as_bytes());
    assert_eq!(
        body,
        "contact%5Bemail%5D=jane%2Bx%40example.org&f%5B%5D=%C3%A9+%26"
    );
}

fn emitted(json: &serde_json::Value, options: EmitOptions) -> Result<String, EmitError> {
    emit(&array_from_json(json.as_object().unwrap()), options)
}

#[test]
fn values_are_printed_as_http_build_query_prints_them() {
    let plain = EmitOptions::default();
    let rfc3986 = EmitOptions {
        space: Space::Percent20,
        ..plain
    };
    let raw = EmitOptions {
        raw_brackets: true,
        ..plain
    };
    let blank = EmitOptions {
        empty_groups: EmptyGroups::Blank,
        ..plain
    };
    for (json, options, expected) in [
        (
            json!({"a": "x y~*!()'é-_."}),
            plain,
            "a=x+y%7E%2A%21%28%29%27%C3%A9-_.",
        ),
        (json!({"a": "x y~*"}), rfc3986, "a=x%20y~%2A"),
        (
            json!({"a": {"b c": ["p", {"q": "r"}]}}),
            plain,
            "a%5Bb+c%5D%5B0%5D=p&a%5Bb+c%5D%5B1%5D%5Bq%5D=r",
        ),
        (
            json!({"a": {"b c": ["p", "["]}}),
            raw,
            "a[b+c][0]=p&a[b+c][1]=%5B",
        ),
        (
            json!({"a": null, "b": [], "c": {}, "d": ["x", null, "y"]}),
            plain,
            "d%5B0%5D=x&d%5B2%5D=y",
        ),
        (json!({"a": null, "b": [], "c": {"d": {}}}), blank, "b=&c%5Bd%5D="),
        (json!({"a": true, "b": false, "c": ""}), plain, "a=1&b=0&c="),
        (
            json!({"a": 1, "b": -7, "c": 1.0, "d": 0.1, "e": -2.5}),
            plain,
            "a=1&b=-7&c=1&d=0.1&e=-2.5",
        ),
        (
            json!({"a": 1e25, "b": 1e13, "c": 1e14, "d": 1e-4, "e": 1.5e-5}),
            plain,
            "a=1.0E%2B25&b=10000000000000&c=1.0E%2B14&d=0.0001&e=1.5E-5",
        ),
        // PHP would round these numbers to 14 digits.
        (
            json!({"a": 0.123_456_789_012_345_6, "b": u64::MAX}),
            plain,
            "a=0.1234567890123456&b=18446744073709551615",
        ),
    ] {
        assert_eq!(emitted(&json, options).as_deref(), Ok(expected), "{json}");
    }
}

#[test]
fn names_that_php_would_read_as_others_are_refused() {
    for (json, error) in [
        (
            json!({"First Name": "x"}),
            r#"form name "First Name" holds a space, which PHP reads as _; rename it"#,
        ),
        (
            json!({" a": "x"}),
            r#"form name " a" holds a space, which PHP reads as _; rename it"#,
        ),
        (
            json!({"a.b": "x"}),
            r#"form name "a.b" holds a dot, which PHP reads as _; rename it"#,
        ),
        (
            json!({"a[b": "x"}),
            r#"form name "a[b" holds a [, which PHP reads as the start of an index; rename it"#,
        ),
        (json!({"": "x"}), r#"form name "" is empty; rename it"#),
        (
            json!({"a": {"": "x"}}),
            r#"an index below form name "a" is blank, which PHP reads as append; rename it"#,
        ),
        (
            json!({"a": {"b]": "x"}}),
            r#"an index below form name "a" holds a ], where PHP ends the index; rename it"#,
        ),
    ] {
        assert_eq!(
            emitted(&json, EmitOptions::default()).unwrap_err().to_string(),
            error
        );
    }
    let mut deep = json!("x");
    for _ in 0..65 {
        deep = json!([deep]);
    }
    let error = emitted(&json!({"a": deep}), EmitOptions::default()).unwrap_err();
    assert_eq!(error, EmitError::TooDeep { name: "a".into() });
}

#[test]
fn names_that_php_would_read_as_others_can_be_left_out() {
    let mut deep = json!("x");
    for _ in 0..65 {
        deep = json!([deep]);
    }
    let hostile = json!({
        "contact": { "email": "ann@example.org", "a]b": "x", "\u{0}": "x", " ": { "c": "x" }, "d": deep, "[": "y" },
        "e.f": "x", "change": "unsubscribe",
    });
    let mut problems = Vec::new();
    let printed = emit_what_fits(
        &array_from_json(hostile.as_object().unwrap()),
        EmitOptions::default(),
        &mut problems,
    );
    assert_eq!(
        printed,
        "contact%5Bemail%5D=ann%40example.org&contact%5B%5B%5D=y&change=unsubscribe"
    );
    assert_eq!(problems.len(), 5, "{problems:?}");
}

#[test]
fn twenty_thousand_hostile_pairs_stay_cheap() {
    // Quadratic handling would take minutes here. These shapes are the worst for maps, appends and lists.
    let shapes: [fn(usize) -> String; 4] = [
        |i| format!("k{i}=1"),
        |i| format!("a[{}]=1", i * 7919 % 20_011),
        |i| format!("a[-{i}]=1"),
        |i| format!("a[][{i}]=1"),
    ];
    for shape in shapes {
        let body: Vec<String> = (0..20_000).map(shape).collect();
        let parsed = read(body.join("&").as_bytes(), LENIENT);
        assert_eq!(parsed.report.pairs, 20_000);
    }
}
