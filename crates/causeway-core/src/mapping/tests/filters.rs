//! The filters at the edges of what people type. docs/mapping.md has the usual cases.

use super::*;

/// Filters that take a text, with valid arguments.
const TEXT_FILTERS: [&str; 16] = [
    "ascii",
    "ascii('de')",
    "base64",
    "date_add(days=1)",
    "date_diff(at, 'days')",
    "digits",
    "family_name",
    "given_name",
    "hmac_sha256('key')",
    "major_units('EUR')",
    "minor_units('EUR')",
    "regex('a')",
    "regex_replace('a', 'b')",
    "slug",
    "urlencode",
    "unique",
];

#[test]
fn null_stays_null_and_a_missing_name_stays_an_error() {
    for filter in TEXT_FILTERS.iter().chain(&["object", "object('name', 'value')"]) {
        assert_eq!(
            eval(&format!("contact.street | {filter}")),
            Value::Null,
            "{filter}"
        );
        let error = error(&format!("contact.Nickname | {filter}"));
        assert!(error.contains("Nickname"), "{filter}: {error}");
    }
    assert_eq!(eval("contact.street is matching('.')"), json!(false));
}

#[test]
fn an_error_names_no_value() {
    for text in [
        "'secret' | date_add(days=1)",
        "'secret' | date_diff(at, 'days')",
        "at | date_diff('secret', 'days')",
        "'secret' | minor_units('EUR')",
        "'secret' | major_units('EUR')",
        "5 | minor_units('secret')",
        "'secret' | object",
        "[['secret']] | object",
        "contact.email | hmac_sha256('')",
        "contact.email | hmac_sha256(contact.street)",
    ] {
        let error = error(text);
        let shown = error.split(", at line").next().unwrap();
        assert!(
            !shown.contains("secret") && !shown.contains("ada@"),
            "{text}: {error}"
        );
    }
}

#[test]
fn a_fixed_argument_is_checked_before_there_is_a_record() {
    for (text, says) in [
        ("contact.email | regex('(')", "is not a regular expression"),
        (
            "contact.email | regex_replace('[', 'x')",
            "is not a regular expression",
        ),
        ("contact.email | regex('(?=x)')", "there are no look-arounds"),
        (
            "contact.email | regex('(.{1000}){1000}')",
            "is not a regular expression",
        ),
        (
            "contact.firstName | ascii('fr')",
            "no rules for the language \"fr\"",
        ),
        (
            "contact.email | hmac_sha256('k', encoding='base32')",
            "no encoding \"base32\"",
        ),
        (
            "contact.Size | minor_units('Euro')",
            "not a code of three letters",
        ),
        ("at | date_diff(at, 'fortnights')", "no unit \"fortnights\""),
        ("at | date_add(days=1, zone='Mars')", "no time zone \"Mars\""),
    ] {
        let error = Term::read(&text.into()).map(drop).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}

#[test]
fn patterns_cost_linear_time_and_grow_no_text_beyond_the_limit() {
    // Exponential for an engine that tries again.
    let hard = format!("'{}' | regex('^(a+)+$')", "a".repeat(5_000) + "b");
    assert_eq!(eval(&hard), Value::Null);
    let grown = format!(
        "'{}' | regex_replace('a', '{}')",
        "a".repeat(5_000),
        "b".repeat(1_000)
    );
    assert!(error(&grown).contains("too long"), "{}", error(&grown));
    assert_eq!(eval("'ab' | regex_replace('', '-')"), json!("-a-b-"));
    assert_eq!(eval("'ab' | regex_replace('(a)|(c)', '[$1$2]')"), json!("[a]b"));
    assert_eq!(eval("'b' | regex('(a)?b')"), Value::Null);
    assert_eq!(eval("'ŻÓŁW' | regex('(?i)żółw')"), json!("ŻÓŁW"));
    assert_eq!(eval("12345 | regex('[0-9]{3}')"), json!("123"));
}

#[test]
fn amounts_are_exact_and_ambiguous_ones_are_refused() {
    for (text, minor) in [
        ("'0.1'", 10),
        ("1.005", 101),
        ("'-3,5'", -350),
        ("'-0.005'", -1),
        ("4.35", 435),
        ("1e2", 10_000),
        ("' 7 '", 700),
    ] {
        assert_eq!(
            eval(&format!("{text} | minor_units('eur')")),
            json!(minor),
            "{text}"
        );
    }
    for text in [
        "'1,250'",
        "'1.250,00'",
        "'1,250.00'",
        "'€ 5'",
        "'5 EUR'",
        "'.5'",
        "'1e99'",
        "true",
        "[1]",
    ] {
        assert!(
            error(&format!("{text} | minor_units('EUR')")).contains("not an amount"),
            "{text}"
        );
        assert_eq!(
            eval(&format!("{text} | minor_units('EUR', default=0)")),
            json!(0),
            "{text}"
        );
    }
    assert_eq!(eval("'' | minor_units('EUR')"), Value::Null);
    assert_eq!(eval("-1 | major_units('EUR')"), json!(-0.01));
    assert_eq!(eval("1250 | major_units('JPY')"), json!(1250));
    assert_eq!(
        eval("'12.5' | minor_units('EUR') | major_units('EUR')"),
        json!(12.5)
    );
}

#[test]
fn dates_move_in_the_calendar_of_the_zone() {
    for (text, expected) in [
        // The clocks go forward in that night.
        (
            "'2026-03-28T12:00:00Z' | date_add(days=1)",
            json!("2026-03-29T12:00:00Z"),
        ),
        (
            "'2026-03-28T12:00:00Z' | date_add(days=1, zone='Europe/Berlin')",
            json!("2026-03-29T13:00:00+02:00"),
        ),
        ("'2024-02-29' | date_add(years=1)", json!("2025-02-28")),
        ("'2026-03-31' | date_add(months=-1)", json!("2026-02-28")),
        ("'2026-03-31' | date_add(hours=25)", json!("2026-04-01T01:00:00Z")),
        ("'2026-03-31' | date_add", json!("2026-03-31")),
        ("'N/A' | date_add(days=1)", Value::Null),
        ("'2008-03-05' | date_diff('2026-03-04', 'years')", json!(17)),
        (
            "'2008-03-04' | date_diff('2026-03-04T00:00:01Z', 'years')",
            json!(18),
        ),
        (
            "'2026-03-01T23:00:00Z' | date_diff('2026-03-02T22:00:00Z', 'days')",
            json!(0),
        ),
        (
            "'2026-03-01T23:00:00Z' | date_diff('2026-03-02T22:00:00Z', 'hours')",
            json!(23),
        ),
        ("'2026-03-01' | date_diff('2026-03-15', 'weeks')", json!(2)),
        (
            "'2026-03-01' | date_diff('soon', 'days', default=none)",
            Value::Null,
        ),
        (
            "'2026-03-01T23:30:00Z' | date_diff('2026-03-02', 'days', zone='Europe/Berlin')",
            json!(0),
        ),
    ] {
        assert_eq!(eval(text), expected, "{text}");
    }
    assert!(error("at | date_add(years=99999)").contains("too far"));
    assert!(!error("at | date_add(days='secret')").contains("secret"));
    assert!(!error("at | date_add(dayz=1)").is_empty());
    let late = error("'2026-03-01' | date_add(years=9000)");
    assert!(late.contains("out of range"), "{late}");
}

#[test]
fn lists_become_objects_and_lose_repetitions() {
    for (text, expected) in [
        (
            "[1, '1', 1, none, none, [2], [2]] | unique",
            json!([1, "1", null, [2]]),
        ),
        ("'one' | unique", json!(["one"])),
        ("[] | object", json!({})),
        (
            "[['a', 1], ['a', 2], [none, 3], ['', 4], [5, 6]] | object",
            json!({ "a": 2, "5": 6 }),
        ),
        (
            "[{'n': 'a', 'v': 1}, {'n': 'b'}, {'v': 2}] | object('n', 'v')",
            json!({ "a": 1, "b": null }),
        ),
        ("{'a': 1, 'b': 2} | items | object", json!({ "a": 1, "b": 2 })),
    ] {
        assert_eq!(eval(text), expected, "{text}");
    }
}

#[test]
fn letters_without_a_latin_form_are_left_out() {
    for (text, expected) in [
        ("'Zoe\u{308} ﬁ ①½' | ascii", json!("Zoe fi 112")),
        ("'Mu\u{308}ller' | ascii('de')", json!("Mueller")),
        ("'Иван 李 Ivan' | ascii", json!("  Ivan")),
        ("'“quoted” – it’s' | ascii", json!("\"quoted\" - it's")),
        ("'李' | slug", json!("")),
        ("'--A__B  c--' | slug", json!("a-b-c")),
        ("'٣ 3' | digits", json!("3")),
        ("'' | urlencode", json!("")),
        ("4711 | base64", json!("NDcxMQ==")),
    ] {
        assert_eq!(eval(text), expected, "{text}");
    }
}
