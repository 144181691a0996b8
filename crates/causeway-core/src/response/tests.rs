use serde_json::json;

use super::*;
use crate::{contact::Contact, id::InboxId};

fn record(fields: &Value) -> Record {
    let at = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut contact = Contact::default();
    contact.set_fields(&fields.as_object().unwrap().clone().into_iter().collect(), at);
    Record {
        workspace: "default".into(),
        source: "platform".into(),
        inbox_id: InboxId(1),
        kind: crate::delivery::Kind::Record,
        event: "contact_sync".to_owned(),
        event_at: at,
        contact,
        identities: Vec::new(),
        action: None,
        campaign: None,
        page: None,
        consent_state: BTreeMap::new(),
        purpose: "email".into(),
        change: crate::consent::Change::None,
        lead: crate::automation::Lead::default(),
        engagements: Vec::new(),
        settings: serde_json::Map::new(),
        via: Vec::new(),
    }
}

fn row(path: &str, kind: Option<Kind>) -> Row {
    Row {
        field: "f".to_owned(),
        path: Path::parse(path).unwrap(),
        kind,
        if_null: None,
    }
}

#[test]
fn responses_are_read_by_their_type_and_by_their_look() {
    for (media, body, expected) in [
        (
            "application/json",
            r#"{"crm_id":"C-9"}"#,
            json!({ "crm_id": "C-9" }),
        ),
        (
            "text/html; charset=UTF-8",
            " {\"crm_id\":\"C-9\"}\n",
            json!({ "crm_id": "C-9" }),
        ),
        ("", "[1]", json!([1])),
        (
            "application/x-www-form-urlencoded",
            "crm_id=C+9&a[b]=1",
            json!({ "crm_id": "C 9", "a": { "b": "1" } }),
        ),
        (
            "text/plain",
            "crm_id=C-9&ok=1",
            json!({ "crm_id": "C-9", "ok": "1" }),
        ),
        (
            "text/xml",
            "<r><crm-id>C-9</crm-id></r>",
            json!({ "crm-id": "C-9" }),
        ),
        ("", "<r><a>1</a></r>", json!({ "a": "1" })),
        ("text/plain", "C-9\r\n", json!("C-9")),
        ("text/plain", "12", json!(12)),
        ("text/plain", "all = fine", json!("all = fine")),
        ("application/json", "no JSON", json!("no JSON")),
        (
            "text/html",
            "<!DOCTYPE html><p>Hello",
            json!("<!DOCTYPE html><p>Hello"),
        ),
    ] {
        assert_eq!(
            read(Some(media), body.as_bytes()),
            Ok(Some(expected)),
            "{media} {body}"
        );
    }
    assert_eq!((read(None, b" \n"), read(None, b"")), (Ok(None), Ok(None)));
}

#[test]
fn letters_are_read_by_their_charset_or_not_at_all() {
    let text = |text: &str| Ok(Some(json!(text)));
    for (media, body, expected) in [
        ("text/plain; charset=iso-8859-1", &b"Ren\xe9"[..], text("René")),
        ("text/plain;Charset=\"ISO-8859-1\"", b"Ren\xe9", text("René")),
        ("text/plain; charset=windows-1252", b"5 \x80", text("5 €")),
        (
            "text/plain; charset=windows-1252",
            b"\x81",
            Err(Unreadable::Charset),
        ),
        ("text/plain; charset=iso-8859-1", "René".as_bytes(), text("René")),
        ("text/plain; charset=utf-8", b"Ren\xe9", Err(Unreadable::NotUtf8)),
        ("text/plain", b"Ren\xe9", Err(Unreadable::NotUtf8)),
        (
            "application/json",
            b"{\"a\":\"Ren\xe9\"}",
            Err(Unreadable::NotUtf8),
        ),
        (
            "application/json; charset=latin1",
            b"{\"a\":\"Ren\xe9\"}",
            Ok(Some(json!({ "a": "René" }))),
        ),
        ("text/xml", b"<r><a>Ren\xe9</a></r>", Err(Unreadable::NotUtf8)),
        (
            "text/xml",
            "<?xml version='1.0' encoding='ISO-8859-5'?><r><a>Яна</a></r>".as_bytes(),
            Err(Unreadable::Charset),
        ),
        (
            "text/xml",
            b"<?xml version='1.0' encoding='ISO-8859-5'?><r><a>x</a></r>",
            Ok(Some(json!({ "a": "x" }))),
        ),
        (
            "text/xml; charset=ISO-8859-1",
            b"<?xml version='1.0' encoding='ISO-8859-1'?>\n<r><a>Ren\xe9</a></r>",
            Ok(Some(json!({ "a": "René" }))),
        ),
        (
            "application/x-www-form-urlencoded",
            b"a=Ren%E9",
            Err(Unreadable::NotUtf8),
        ),
        ("text/plain", b"a=Ren%E9", Err(Unreadable::NotUtf8)),
        ("text/plain; charset=shift_jis", b"C-9", text("C-9")),
        (
            "text/plain; charset=shift_jis",
            b"\x83\x65",
            Err(Unreadable::Charset),
        ),
        (
            "text/plain; charset=utf-16le",
            b"C\0-\x009\0",
            Err(Unreadable::Charset),
        ),
    ] {
        assert_eq!(read(Some(media), body), expected, "{media} {body:?}");
    }
}

#[test]
fn paths_lead_to_members_items_and_all_of_a_list() {
    let answer = json!({
        "id": 7, "a.b": "dotted", "data": { "people": [{ "id": "x", "n": null }, { "id": "y" }], "gaps": { "0": "p", "2": "q" } },
        "tags": ["a", " ", 2, true, null, ["z"]], "none": null, "blank": " ", "empty": [],
    });
    let value = |value: Value| Found::Value(value);
    for (path, expected) in [
        ("id", value(json!(7))),
        ("a.b", value(json!("dotted"))),
        ("data.people[1].id", value(json!("y"))),
        ("data.people.1.id", value(json!("y"))),
        ("data.people[].id", value(json!("x,y"))),
        ("data.gaps[2]", value(json!("q"))),
        ("data.gaps[]", value(json!("p,q"))),
        ("tags[]", value(json!("a,2,true"))),
        ("tags[0]", value(json!("a"))),
        ("data.people[].n", Found::Nothing),
        ("none", Found::Nothing),
        ("blank", Found::Nothing),
        ("empty", Found::Nothing),
        ("empty[]", Found::Missing),
        ("data.people[2].id", Found::Missing),
        ("id.x", Found::Missing),
        ("nothing", Found::Missing),
    ] {
        assert_eq!(find(&Path::parse(path).unwrap(), &answer), expected, "{path}");
    }
    assert_eq!(
        find(&Path::parse(".").unwrap(), &json!("C-9")),
        value(json!("C-9"))
    );
    assert_eq!(
        find(&Path::parse("[0].id").unwrap(), &json!([{ "id": 1 }])),
        value(json!(1))
    );
}

#[test]
fn values_become_what_the_field_holds() {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let written = |known: Value, value: Value, kind| {
        let record = record(&if known.is_null() {
            json!({})
        } else {
            json!({ "f": known })
        });
        let mut notes = Vec::new();
        let mut made = writes(
            &[row("v", kind)],
            &json!({ "v": value }),
            &record,
            &zone,
            &mut notes,
        );
        assert!(made.is_empty() || notes.is_empty());
        assert!(notes.iter().all(|note| note.contains("`f`")));
        (made.remove("f"), !notes.is_empty())
    };
    let is = |value: Value| (Some(value), false);
    let (unchanged, refused) = ((None, false), (None, true));
    for (known, value, kind, expected) in [
        (json!(null), json!("C-9"), None, is(json!("C-9"))),
        (json!(null), json!(7), None, is(json!(7))),
        (json!(null), json!(["a", "b"]), None, is(json!(["a", "b"]))),
        (json!(null), json!({ "x": 1 }), None, refused.clone()),
        // Like the known value.
        (json!("7"), json!(7), None, unchanged.clone()),
        (json!(7), json!("7"), None, unchanged.clone()),
        (json!(7), json!("8"), None, is(json!(8))),
        (json!(true), json!("yes"), None, unchanged.clone()),
        (json!(7), json!("eight"), None, is(json!("eight"))),
        // By the type of the row.
        (json!(null), json!(7), Some(Kind::Text), is(json!("7"))),
        (json!(null), json!(" 7.50 "), Some(Kind::Number), is(json!(7.5))),
        (json!(null), json!("seven"), Some(Kind::Number), refused.clone()),
        (json!(null), json!("Off"), Some(Kind::Boolean), is(json!(false))),
        (json!(null), json!(2), Some(Kind::Boolean), refused.clone()),
        (
            json!(null),
            json!("05/26/2022"),
            Some(Kind::Date),
            is(json!("2022-05-26")),
        ),
        (
            json!(null),
            json!("2022-05-26 05:40 PM"),
            Some(Kind::Date),
            is(json!("2022-05-26T15:40:00Z")),
        ),
        (json!(null), json!("soon"), Some(Kind::Date), refused.clone()),
        (json!(null), json!("x".repeat(70_000)), None, refused),
        // Null and empty values.
        (json!("x"), json!(null), None, unchanged.clone()),
        (json!("x"), json!(""), None, unchanged),
    ] {
        assert_eq!(
            written(known.clone(), value.clone(), kind),
            expected,
            "{known} {value} {kind:?}"
        );
    }
}

#[test]
fn null_writes_the_value_of_the_row() {
    let row = Row {
        if_null: Some(json!("nobody")),
        ..row("owner", None)
    };
    let writes = |answer| {
        writes(
            std::slice::from_ref(&row),
            &answer,
            &record(&json!({})),
            &TimeZone::UTC,
            &mut Vec::new(),
        )
    };
    assert_eq!(
        writes(json!({ "owner": null })),
        BTreeMap::from([("f".to_owned(), json!("nobody"))])
    );
    assert_eq!(writes(json!({ "other": 1 })), BTreeMap::new());
}

#[test]
fn a_path_that_leads_nowhere_is_noted_until_the_contact_has_the_value() {
    let notes = |known: Value, answer: Value| {
        let mut notes = Vec::new();
        let rows = [row("data.id", None)];
        writes(&rows, &answer, &record(&known), &TimeZone::UTC, &mut notes);
        notes
    };
    let nested = json!({ "data": { "person": { "id": 7 } } });
    assert_eq!(
        notes(json!({}), nested.clone()),
        ["`f` is not updated: the response has nothing at `data.id`"]
    );
    assert_eq!(notes(json!({ "f": "7" }), nested), [] as [&str; 0]);
    assert_eq!(
        notes(json!({}), json!({ "data": { "id": null } })),
        [] as [&str; 0]
    );
}
