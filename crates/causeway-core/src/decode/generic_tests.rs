use serde_json::json;

use super::*;

const NOW: &str = "2026-11-20T12:00:00Z";

fn decode(paths: Paths, value: Value) -> Decoded {
    let decoder = GenericDecoder {
        namespace: "crm".into(),
        time_zone: TimeZone::get("Europe/Berlin").unwrap(),
        consent: ArrivalConsent::None,
        consent_from: Vec::new(),
        paths,
        limits: Limits::default(),
    };
    let body = Body {
        value,
        format: body::Format::Json,
        notes: Vec::new(),
    };
    decoder.decode_body(body, NOW.parse().unwrap())
}

fn event(paths: Paths, value: Value) -> Event {
    match decode(paths, value) {
        Decoded::Event(event) => *event,
        other => panic!("{other:?}"),
    }
}

fn who(event: &Event) -> Vec<&str> {
    event.identities.iter().map(Identity::value).collect()
}

#[test]
fn common_names_are_guessed() {
    for (value, expected) in [
        (json!({"email": "Jane@example.org"}), vec!["jane@example.org"]),
        (
            json!({"E-Mail": "jane@example.org", "id": "evt_1"}),
            vec!["jane@example.org"],
        ),
        (
            json!({"Email Address": "jane@example.org", "contact_id": 7}),
            vec!["jane@example.org", "7"],
        ),
        (
            json!({"contact": {"email": "jane@example.org", "id": 7}}),
            vec!["jane@example.org", "7"],
        ),
        (
            json!({"data": {"email": "jane@example.org", "id": 7}}),
            vec!["jane@example.org"],
        ),
        (json!({"user": {"id": "u-1"}}), vec!["u-1"]),
        (json!([{"mail": "jane@example.org"}]), vec!["jane@example.org"]),
    ] {
        assert_eq!(who(&event(Paths::default(), value.clone())), expected, "{value}");
    }
}

#[test]
fn paths_win_over_guesses() {
    let paths = Paths {
        email: Some("people[1].mail.work".into()),
        id: Some("people.1.ref".into()),
        fields: Some("people[1].fields".into()),
        time: Some("meta.when".into()),
    };
    let value = json!({
        "email": "other@example.org",
        "meta": {"when": "2022-05-26 05:40 PM"},
        "people": [{}, {"mail": {"work": "jane@example.org"}, "ref": "r1",
            "fields": [{"id": 1, "name": "City", "value": "Bonn"}, {"name": "Empty", "value": ""}]}],
    });
    let event = event(paths, value);
    assert_eq!(who(&event), ["jane@example.org", "r1"]);
    assert_eq!(
        json!(event.fields),
        json!({"locality": "Bonn", "email": "jane@example.org"})
    );
    assert_eq!(event.at.to_string(), "2022-05-26T15:40:00Z");
    assert_eq!(event.kind, EventKind::ContactSync);
}

#[test]
fn without_a_path_the_whole_record_becomes_fields() {
    let value =
        json!({"email": "JANE@example.org", "city": "Bonn", "none": null, "blank": " ", "list": ["a"]});
    let event = event(Paths::default(), value);
    assert_eq!(
        json!(event.fields),
        json!({"email": "jane@example.org", "list": ["a"], "locality": "Bonn"})
    );
}

#[test]
fn times_are_read_and_never_lie_in_the_future() {
    for (time, expected, noted) in [
        (json!("2026-11-01T10:00:00+01:00"), "2026-11-01T09:00:00Z", false),
        (json!(1_700_000_000), "2023-11-14T22:13:20Z", false),
        (json!("1700000000123"), "2023-11-14T22:13:20.123Z", false),
        (json!("2026-11-20T12:00:30Z"), NOW, false),
        (json!("2027-01-01T00:00:00Z"), NOW, true),
        (json!("soon"), NOW, true),
        (json!("N/A"), NOW, false),
        (json!(null), NOW, false),
    ] {
        let event = event(
            Paths::default(),
            json!({"email": "jane@example.org", "timestamp": time}),
        );
        assert_eq!(
            (event.at.to_string().as_str(), event.notes.len() == 1),
            (expected, noted),
            "{time}"
        );
    }
}

#[test]
fn a_record_about_nobody_is_dead_and_says_why() {
    for (value, code) in [
        (json!({"id": 7, "name": "Jane"}), DeadCode::Unknown),
        (json!({"email": "not an address"}), DeadCode::Unknown),
        (
            json!([{"email": "a@example.org"}, {"email": "b@example.org"}]),
            DeadCode::Malformed,
        ),
        (json!("text"), DeadCode::Malformed),
    ] {
        let Decoded::Dead { code: seen, reason } = decode(Paths::default(), value) else {
            panic!("must be dead");
        };
        assert_eq!(seen, code);
        assert!(!reason.contains("address\""), "{reason}");
    }
}
