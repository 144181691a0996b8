use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

fn read_all(text: &str) -> Result<Value, XmlError> {
    read(text, 10, 1_000)
}

#[test]
fn written_values_are_read_back() {
    let value = json!({
        "transactionid": "1", "contact": { "id": "7", "email": "jane+x@example.org" }, "campaigns-opened": [{ "id": "1" }, { "id": "2" }],
        "one": ["x"], "none": "", "Favourite colour": "a&b <c> \"d\" ]]> é 😀", "item": { "entry": "é" }, "xmlish": "x", "7": "y",
        "lines": " a\r\n\tb ", "nested": [["a"], ["b", "c"]], "a\"\n&b": "z",
    });
    let text = write("sync", value.as_object().unwrap());
    assert_eq!(read_all(&text).unwrap(), value);
}

#[test]
fn the_shape_is_the_documented_one() {
    let value = json!({ "contact": { "id": 7, "email": "a@example.org" }, "fields": [{ "name": "Shoe size", "value": 42 }, { "name": "b", "value": null }], "First Name": true });
    insta::assert_snapshot!(write("sync", value.as_object().unwrap()), @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <sync><contact><id>7</id><email>a@example.org</email></contact><fields><item><name>Shoe size</name><value>42</value></item><item><name>b</name><value></value></item></fields><entry name="First Name">1</entry></sync>
    "#);
}

#[test]
fn documents_of_other_programs_are_read() {
    for (text, expected) in [
        ("<a/>", json!("")),
        ("<a> x </a>", json!(" x ")),
        ("\u{feff}<a>x</a>", json!("x")),
        (
            "<?xml version='1.0' encoding='utf-8'?><!-- c --><a><?p?><b>1</b>\n<c/></a>\n",
            json!({ "b": "1", "c": "" }),
        ),
        (
            "<r><fields><field><id>1</id></field><field><id>2</id></field></fields></r>",
            json!({ "fields": [{ "id": "1" }, { "id": "2" }] }),
        ),
        (
            "<r><f id='1' name='a &amp; b'>v&#233;</f><f id='2'/><o/></r>",
            json!({ "f": [{ "id": "1", "name": "a & b", "value": "vé" }, { "id": "2" }], "o": "" }),
        ),
        (
            "<s:r xmlns:s='u' s:x='1'><s:b><![CDATA[<1>]]>&lt;2</s:b><c>3</c></s:r>",
            json!({ "b": "<1><2", "c": "3" }),
        ),
    ] {
        assert_eq!(read_all(text).unwrap(), expected, "{text}");
    }
}

#[test]
fn harmful_and_invalid_documents_are_refused() {
    use XmlError::{DocumentType, Encoding, Entity, Malformed, TooDeep, TooMany};
    for (text, fits) in [
        (
            "",
            (|error| matches!(error, Malformed(_))) as fn(&XmlError) -> bool,
        ),
        ("<a>", |error| matches!(error, Malformed(_))),
        ("<a></b>", |error| matches!(error, Malformed(_))),
        ("<a/><b/>", |error| matches!(error, Malformed(_))),
        ("<a/>x", |error| matches!(error, Malformed(_))),
        ("x<a/>", |error| matches!(error, Malformed(_))),
        ("<a b=1/>", |error| matches!(error, Malformed(_))),
        ("<a>&#0;</a>", |error| matches!(error, Malformed(_))),
        ("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", |error| {
            *error == DocumentType
        }),
        ("<!DOCTYPE a [<!ENTITY x 'xxxxxxxxxx'>]><a>&x;</a>", |error| {
            *error == DocumentType
        }),
        ("<a>&x;</a>", |error| matches!(error, Entity(_))),
        ("<a b='&x;'/>", |error| matches!(error, Entity(_))),
        ("<?xml version='1.0' encoding='ISO-8859-1'?><a/>", |error| {
            *error == Encoding
        }),
        (&"<a>".repeat(13), |error| *error == TooDeep(10)),
        (&format!("<r>{}</r>", "<a b='1'/>".repeat(501)), |error| {
            *error == TooMany(1_000)
        }),
    ] {
        let error = read_all(text).unwrap_err();
        assert!(fits(&error), "{text}: {error:?}");
    }
}

#[test]
fn lists_from_repeated_names_count_as_levels() {
    let nested = |n: usize| format!("{}x{}", "<a><c/><b/><b>".repeat(n), "</b></a>".repeat(n));
    // The root, and at each step an object and a list.
    assert!(read_all(&nested(4)).is_ok());
    assert_eq!(read_all(&nested(5)), Err(XmlError::TooDeep(10)));
    let flat = "<a>1</a><b/>".repeat(40);
    assert!(read_all(&format!("<r>{flat}</r>")).is_ok());
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = "[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\u{fffe}\u{ffff}]{1,8}".prop_map(Value::from);
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Value::from),
            // Two or more members: with a single member, a list and an object look the same.
            prop::collection::btree_map("\\PC{1,6}", inner, 2..4)
                .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn any_value_comes_back(value in value()) {
        let members: Map<_, _> = [("a".to_owned(), value), ("b".to_owned(), "x".into())].into_iter().collect();
        let text = write("r", &members);
        prop_assert_eq!(read_all(&text).unwrap(), Value::Object(members));
    }

    #[test]
    fn no_text_does_harm(text in "(\\PC|<[a-c]|>|</|/>|&|;|\"|'|=|<!|\\]\\]>|<\\?|-->|\n){0,40}") {
        read_all(&text).ok();
    }
}
