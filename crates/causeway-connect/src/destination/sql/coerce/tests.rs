//! Which value fits which kind of column, and how a misfit is described.

use serde_json::json;

use super::*;

const INT2: Kind = Kind::Integer {
    least: -32_768,
    most: 32_767,
};
const INT8: Kind = Kind::Integer {
    least: i64::MIN as i128,
    most: i64::MAX as i128,
};
const UINT8: Kind = Kind::Integer {
    least: 0,
    most: u64::MAX as i128,
};

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn a_value_that_fits_becomes_what_the_column_holds() {
    let text = |text: &str| Cell::Text(text.to_owned());
    let table = [
        (json!("a\0b 'q' \n 🌍"), Kind::Text(None), text("ab 'q' \n 🌍")),
        (json!(12), Kind::Text(None), text("12")),
        (json!({"a": [1, "\0"]}), Kind::Text(None), text(r#"{"a":[1,""]}"#)),
        (
            json!("žluť"),
            Kind::Text(Some(Limit::Characters(4))),
            text("žluť"),
        ),
        (json!(" 42 "), INT2, Cell::Integer(42)),
        (json!(42.0), INT2, Cell::Integer(42)),
        (json!("1e3"), INT2, Cell::Integer(1000)),
        (json!(true), INT2, Cell::Integer(1)),
        (json!(""), INT2, Cell::Null),
        (json!(null), INT2, Cell::Null),
        (json!(u64::MAX), UINT8, text("18446744073709551615")),
        (json!(i64::MIN), INT8, Cell::Integer(i64::MIN)),
        (
            json!("+12.50"),
            Kind::Decimal {
                whole_digits: Some(2),
            },
            text("12.50"),
        ),
        (
            json!("-0012.5"),
            Kind::Decimal {
                whole_digits: Some(2),
            },
            text("-12.5"),
        ),
        (
            json!("1.5e-3"),
            Kind::Decimal {
                whole_digits: Some(0),
            },
            text("0.0015"),
        ),
        (
            json!("12.5e3"),
            Kind::Decimal { whole_digits: None },
            text("12500"),
        ),
        (json!("2.5"), Kind::Float, Cell::Float(2.5)),
        (json!("Yes"), Kind::Boolean, Cell::Boolean(true)),
        (json!(0), Kind::Boolean, Cell::Boolean(false)),
        (json!("1990-02-03"), Kind::Date, text("1990-02-03")),
        (json!("2026-01-01T00:30:00+02:00"), Kind::Date, text("2025-12-31")),
        (
            json!("2026-01-01T00:30:00+02:00"),
            Kind::DateTime,
            text("2025-12-31 22:30:00"),
        ),
        (
            json!("2026-01-01 10:00:00.5"),
            Kind::DateTime,
            text("2026-01-01 10:00:00.500000"),
        ),
        (
            json!("2026-01-01T10:00:00Z"),
            Kind::TimestampTz,
            text("2026-01-01 10:00:00+00"),
        ),
        (json!(1_700_000_000), Kind::DateTime, text("2023-11-14 22:13:20")),
        (
            json!(1_700_000_000_000_i64),
            Kind::DateTime,
            text("2023-11-14 22:13:20"),
        ),
        (
            json!("{0123456789ABCDEF0123456789abcdef}"),
            Kind::Uuid,
            text("01234567-89ab-cdef-0123-456789abcdef"),
        ),
        (json!({"a\0": "\0x"}), Kind::Json, text(r#"{"a":"x"}"#)),
        (json!("x"), Kind::Json, text("\"x\"")),
        (
            json!(["a\"b\\", null, 1]),
            Kind::Array,
            text(r#"{"a\"b\\",NULL,"1"}"#),
        ),
        (json!("x"), Kind::Array, text(r#"{"x"}"#)),
    ];
    for (value, kind, expected) in table {
        assert_eq!(fit(&value, kind, false), Ok(expected), "{value} as {kind:?}");
    }
}

#[test]
fn a_value_that_does_not_fit_is_described_and_not_repeated() {
    let table = [
        (json!("robin"), INT2, "text that is not a number"),
        (json!(["robin"]), INT2, "a list that is not a number"),
        (
            json!("1.5"),
            INT2,
            "a number with a fraction, where a whole number is needed",
        ),
        (
            json!(40_000),
            INT2,
            "a number that is not between -32768 and 32767",
        ),
        (json!("1e999999999"), INT2, "text that is not a number"),
        (
            json!("123.4"),
            Kind::Decimal {
                whole_digits: Some(2),
            },
            "a number with 3 digits before the point, and the limit is 2",
        ),
        (json!("NaN"), Kind::Float, "text that is not a number"),
        (json!("robin"), Kind::Boolean, "text that is not yes or no"),
        (json!("31.12.1990"), Kind::Date, "text that is not a date"),
        (json!("robin"), Kind::Uuid, "text that is not a UUID"),
        (
            json!("robin"),
            Kind::Text(Some(Limit::Characters(4))),
            "text of 5 characters, and the limit is 4",
        ),
        (
            json!("žluť"),
            Kind::Text(Some(Limit::Bytes(5))),
            "text of 6 bytes, and the limit is 5",
        ),
    ];
    for (value, kind, expected) in table {
        assert_eq!(
            fit(&value, kind, false),
            Err(expected.to_owned()),
            "{value} as {kind:?}"
        );
    }
}

#[test]
fn text_is_cut_between_characters_when_that_is_allowed() {
    for (limit, expected) in [
        (Limit::Characters(3), "žlu"),
        (Limit::Bytes(1), ""),
        (Limit::Bytes(3), "žl"),
    ] {
        assert_eq!(limited("žluť".to_owned(), Some(limit), true).unwrap(), expected);
    }
}
