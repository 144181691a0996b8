//! Tests of which messages clear a field.

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::super::{
    at_format::AtFormat,
    body::{Limits, Spelling},
    events::EventsDecoder,
    generic::{GenericDecoder, Paths},
    placeholders::{Emptied, Placeholders},
    sync::{ArrivalConsent, SyncDecoder},
};
use crate::{
    envelope::{Dedup, Envelope, Meta},
    event::{Decode, Decoded, Event},
};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

fn placeholders(empty: Emptied, null: Emptied) -> Placeholders {
    Placeholders::default().with_emptied(empty, null)
}

fn read(decoder: &dyn Decode, content_type: &str, body: &str) -> Event {
    let event = decoder.decode(&Envelope {
        source: "platform".into(),
        dedup: Dedup::dated([0; 16]),
        received_at: "2026-11-20T12:00:00Z".parse().unwrap(),
        meta: Meta {
            content_type: Some(content_type.to_owned()),
            ..Meta::default()
        },
        body: body.as_bytes().to_vec().into(),
    });
    match event {
        Decoded::Event(event) => *event,
        other => panic!("{other:?}"),
    }
}

fn sync(empty: Emptied, null: Emptied) -> SyncDecoder {
    SyncDecoder {
        placeholders: placeholders(empty, null),
        namespace: "platform".into(),
        time_zone: TimeZone::UTC,
        consent: ArrivalConsent::None,
        consent_from: Vec::new(),
        limits: Limits::default(),
        spelling: Spelling::default(),
        each: None,
    }
}

/// The value of a field; `None` if the message does not contain the field.
fn of<'e>(event: &'e Event, name: &str) -> Option<&'e Value> {
    event.fields.get(name)
}

#[test]
fn an_empty_list_field_is_cleared_if_the_source_says_so() {
    let body = "contact[id]=7&contact[email]=ann@example.org&contact[phone]=&contact[shoe]=\
                &fields[0][id]=12&fields[0][name]=First+Name&fields[0][value]=\
                &fields[1][id]=13&fields[1][name]=Colour&fields[2][name]=Size\
                &fields[3][id]=14&fields[3][name]=Note&fields[3][value]=NULL&extra=";
    let cleared = read(&sync(Emptied::Clear, Emptied::Clear), FORM, body);
    for name in ["phone", "firstName", "Colour", "shoe", "extra"] {
        assert_eq!(of(&cleared, name), Some(&Value::Null), "{name}");
    }
    for name in ["Size", "Note", "profile_url"] {
        assert_eq!(
            of(&cleared, name),
            None,
            "{name} does not say that it was emptied"
        );
    }
    assert_eq!(of(&cleared, "email"), Some(&json!("ann@example.org")));
    assert_eq!(
        cleared.fields["list_field_ids:platform"]["Colour"], "13",
        "its number is kept"
    );
    let kept = read(&sync(Emptied::Keep, Emptied::Clear), FORM, body);
    let names: Vec<&String> = kept.fields.keys().collect();
    assert_eq!(
        names,
        ["email", "list_field_ids:platform"],
        "an empty text changes nothing by default"
    );
    let body = "contact[id]=7&contact[phone]=&fields[0][id]=12&fields[0][name]=Phone&fields[0][value]=030";
    let filled = read(&sync(Emptied::Clear, Emptied::Clear), FORM, body);
    assert_eq!(
        of(&filled, "phone"),
        Some(&json!("030")),
        "the value in the list wins"
    );
}

#[test]
fn null_in_json_clears_by_itself() {
    let body = r#"{"contact":{"id":"7","email":null,"phone":null},"fields":[{"id":"12","name":"City","value":null},
        {"id":"13","name":"Street","value":""},{"id":"14","name":"Topics","value":[]}]}"#;
    let cleared = read(&sync(Emptied::Keep, Emptied::Clear), JSON, body);
    assert_eq!(of(&cleared, "phone"), Some(&Value::Null));
    assert_eq!(of(&cleared, "locality"), Some(&Value::Null));
    for name in ["street", "Topics", "email"] {
        assert_eq!(of(&cleared, name), None, "{name}");
    }
    let kept = read(&sync(Emptied::Keep, Emptied::Keep), JSON, body);
    assert_eq!(of(&kept, "phone").or(of(&kept, "locality")), None);
    let lists = read(&sync(Emptied::Clear, Emptied::Clear), JSON, body);
    assert_eq!(of(&lists, "Topics"), Some(&Value::Null), "no box is ticked now");
}

#[test]
fn any_json_and_events_clear_by_null_but_never_an_address() {
    let generic = |empty| GenericDecoder {
        namespace: "crm".into(),
        time_zone: TimeZone::UTC,
        consent: ArrivalConsent::None,
        consent_from: Vec::new(),
        paths: Paths::default(),
        time_format: AtFormat::Plain,
        placeholders: placeholders(empty, Emptied::Clear),
        limits: Limits::default(),
        spelling: Spelling::default(),
    };
    let body = r#"{"contact_id":"7","email":null,"phone":null,"city":"","firstName":"Ann","first_name":null,"note":"N/A"}"#;
    let event = read(&generic(Emptied::Keep), JSON, body);
    assert_eq!(of(&event, "phone"), Some(&Value::Null));
    for name in ["email", "locality", "note", "first_name"] {
        assert_eq!(of(&event, name), None, "{name}");
    }
    assert_eq!(
        of(&event, "firstName"),
        Some(&json!("Ann")),
        "a value under another spelling wins"
    );
    let event = read(&generic(Emptied::Clear), JSON, body);
    assert_eq!(of(&event, "locality"), Some(&Value::Null));

    let events = EventsDecoder {
        namespace: "site".into(),
        proca: "proca".into(),
        placeholders: Placeholders::default(),
    };
    let body = r#"{"type":"contact","contact":{"email":"ann@example.org"},"fields":{"phone":null,"city":"","zip":"NULL"}}"#;
    let event = read(&events, JSON, body);
    assert_eq!(of(&event, "phone"), Some(&Value::Null));
    assert_eq!(of(&event, "locality").or(of(&event, "postcode")), None);
}
