use causeway_core::consent::Suppression;

use super::*;

const PASSWORD: &str = "proca-asks-with-22-characters";

fn answerer(more: &str) -> Result<Answerer, ConfigError> {
    let keys = format!(
        "url = 'amqp://a:b@localhost/v'\nqueue = 'cus.12.deliver'\nconsent = 'single'\npurpose = 'phone'\n\
         details = {{ password = '{PASSWORD}'{more} }}"
    );
    let source = proca::Config::parse(&toml::from_str(&keys).unwrap())?;
    let details = source.details.clone().unwrap();
    Answerer::new(
        "proca".into(),
        "default".into(),
        &source,
        &details,
        Path::new("."),
    )
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_millisecond(1_767_323_045_123 + 1_000 * second).unwrap()
}

fn person(phone: ConsentState, email: ConsentState) -> BTreeMap<String, ConsentState> {
    BTreeMap::from([("phone".to_owned(), phone), (EMAIL.to_owned(), email)])
}

#[test]
fn the_answer_has_the_state_of_all_who_may_be_meant() {
    use ConsentState::{DoubleOptedIn, OptedIn, Pending, Suppressed, Unknown, Unsubscribed};
    let (since, later) = (at(0), at(60));
    let agreed = person(OptedIn { since }, DoubleOptedIn { since });
    let why = Suppression::Bounced;
    for (people, expected) in [
        (vec![], json!({})),
        (vec![person(Unknown, Unknown)], json!({})),
        (vec![person(Pending { since }, OptedIn { since })], json!({})),
        (
            vec![agreed.clone()],
            json!({ "optIn": true, "givenAt": "2026-01-02T03:04:05Z",
                "emailStatus": "double_opt_in", "emailStatusChanged": "2026-01-02T03:04:05Z" }),
        ),
        (
            vec![
                agreed.clone(),
                person(OptedIn { since: later }, OptedIn { since }),
            ],
            json!({ "optIn": true, "givenAt": "2026-01-02T03:05:05Z" }),
        ),
        (vec![agreed.clone(), BTreeMap::new()], json!({})),
        (
            vec![agreed, person(Unsubscribed { since }, Suppressed { since, why })],
            json!({ "optIn": false }),
        ),
    ] {
        let all = answerer(", opt_in = true").unwrap().privacy(&people);
        assert_eq!(Value::Object(all.clone()), expected, "{people:?}");
        // Without `opt_in`, Proca's own form keeps the last word.
        let mut expected = all;
        expected.remove("optIn");
        expected.remove("givenAt");
        assert_eq!(answerer("").unwrap().privacy(&people), expected, "{people:?}");
    }
}

#[test]
fn the_password_comes_as_proca_s_service_sends_it() {
    let shown = |lines: &[&str]| -> HeaderMap {
        let lines = lines.iter();
        lines
            .map(|line| (header::AUTHORIZATION, HeaderValue::from_str(line).unwrap()))
            .collect()
    };
    let basic = |pair: &str| format!("Basic {}", BASE64.encode(pair.as_bytes()));
    let right = basic(&format!("rivers:{PASSWORD}"));
    for (keys, lines, is_right) in [
        ("", vec![PASSWORD], true),
        ("", vec![&*right], false),
        ("", vec!["", PASSWORD], true),
        ("", vec![], false),
        (", user = 'rivers'", vec![&*right], true),
        (", user = 'rivers'", vec![PASSWORD], false),
        (", user = 'other'", vec![&*right], false),
        (", user = 'rivers'", vec!["Basic !"], false),
    ] {
        let checked = answerer(keys).unwrap().check(&shown(&lines));
        assert_eq!(checked.is_ok(), is_right, "{keys} {lines:?}");
    }
}

#[test]
fn weak_keys_are_refused() {
    for (keys, message) in [
        (", user = 'a:b'", "`details.user`"),
        (", per_s = 0", "`details.per_s`"),
        (", pers = 1", "`details.pers`"),
    ] {
        let error = answerer(keys).err().unwrap().to_string();
        assert!(error.starts_with(message), "{keys}: {error}");
    }
    let keys = "url = 'amqp://a:b@localhost/v'\nqueue = 'cus.12.deliver'\nconsent = 'single'\n\
                details = { password = 'too short' }";
    let source = proca::Config::parse(&toml::from_str(keys).unwrap()).unwrap();
    let details = source.details.clone().unwrap();
    let short = Answerer::new("a".into(), "default".into(), &source, &details, Path::new("."));
    assert!(short.err().unwrap().to_string().contains("22 random characters"));
}

#[test]
fn no_second_has_more_requests_than_twice_the_limit_and_the_clock_may_go_back() {
    let rate = Rate::new(10);
    let taken = |second: i64| (0..100).filter(|_| rate.take(at(second))).count();
    assert_eq!([0, 0, 1, 60, 30, 31].map(taken), [10, 0, 10, 10, 0, 10]);
}
