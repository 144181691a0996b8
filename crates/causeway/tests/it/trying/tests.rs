//! `causeway test`: its output for tests that pass, fail, or are invalid.

use serde_json::Value;

use super::home;

fn failing(test: &str) -> String {
    let home = home(&format!("[[test]]\nname = 'it'\n{test}"));
    let said = home.run(&["test"]);
    assert_eq!(said.code, 1, "{test}: {said:?}");
    assert!(said.out.ends_with("0 passed, 1 failed\n"), "{said:?}");
    assert!(said.err.is_empty(), "{said:?}");
    said.out
}

const CONFIRMS: &str = "before = [{ file = 'signed.json' }]\nmessage = { file = 'confirmed.json' }\n";

#[test]
fn tests_pass_without_any_secret_and_leave_nothing_behind() {
    let home = home(&format!(
        "[[test]]\nname = 'waits for the click'\nmessage = {{ file = 'signed.json' }}\n\
         expect = [{{ destination = 'archive', kind = 'record', contains = {{ contact = {{ email = 'ada@example.org' }} }} }}]\n\
         expect_skipped = [{{ destination = 'newsletter', reason = 'consent' }}]\n\
         [[test]]\nname = 'confirmed'\nat = 2026-01-03T00:00:00Z\n{CONFIRMS}others = true\n\
         expect_contact = {{ firstName = 'ada', consent = {{ email = {{ state = 'double_opted_in' }} }} }}\n\
         [[test.expect]]\ndestination = 'newsletter'\nbody = {{ NAME = 'ada', EMAIL = 'ada@example.org' }}\n\
         request = 'authorization: ***'\ndue = '0s'\n\
         [[test]]\nname = 'a test action'\nmessage = {{ file = 'signed.json', set = {{ 'action.testing' = true }} }}\n\
         expect_message_skipped = 'test'\nexpect_none = true\n\
         [[test]]\nname = 'of what was never spoken'\n{CONFIRMS}others = true\n\
         expect_contact = {{ consent = {{ phone = {{ state = 'unknown', subscribed = false }} }} }}\n\
         [[test]]\nname = 'broken'\nmessage = '{{'\nexpect_dead = 'malformed: ends too early'\n"
    ));
    let out = home.ok(&["test"]);
    assert!(out.ends_with("5 passed, 0 failed\n"), "{out}");
    assert!(out.contains("ok   waits for the click\n"), "{out}");
    assert!(!home.path("causeway-data").exists() && !home.path("archive.jsonl").exists());
    let out = home.ok(&["test", "CONFIRMED"]);
    assert!(out.contains("1 passed"), "only that one: {out}");
    let said = home.run(&["test", "confirmd"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("did you mean \"confirmed\"?"), "{said:?}");
}

#[test]
fn differences_from_the_expectation_are_reported() {
    for (test, says) in [
        (
            "expect = [{ destination = 'newsletter', body = { EMAIL = 'eve@example.org', NAME = 'ada' } }]\nothers = true",
            &[
                "newsletter: the body differs",
                "-   \"EMAIL\": \"eve@example.org\"",
                "+   \"EMAIL\": \"ada@example.org\"",
            ][..],
        ),
        (
            "expect = [{ destination = 'newsletter', contains = { NAME = 'Eve' } }]\nothers = true",
            &[
                "does not contain",
                "-   \"NAME\": \"Eve\"",
                "+   \"NAME\": \"ada\"",
            ],
        ),
        (
            "expect = [{ destination = 'newsletter' }]",
            &["archive: a contact is sent, but none was expected (others = true allows it)"],
        ),
        (
            "expect_none = true",
            &["newsletter: a contact is sent, but none was expected"],
        ),
        (
            "expect = [{ destination = 'newsletter', kind = 'withdrawal' }]\nothers = true",
            &["newsletter: expected a withdrawal, but a contact is sent"],
        ),
        (
            "expect = [{ destination = 'newsletter', lacks = ['EMAIL'] }]\nothers = true",
            &["newsletter: expected no `EMAIL`, but it is"],
        ),
        (
            "expect = [{ destination = 'newsletter', request = 'PUT ' }]\nothers = true",
            &[
                "the request does not contain",
                "+ POST https://no-such-secret-hook.dummy.example.org/***",
            ],
        ),
        (
            "expect = [{ destination = 'newsletter', due = '2h' }]\nothers = true",
            &["newsletter: is sent at another time"],
        ),
        (
            "expect = [{ destination = 'newsletter', dead = 'too long' }]\nothers = true",
            &["newsletter: expected to be dead (too long), but it would be sent"],
        ),
        (
            "expect_skipped = [{ destination = 'newsletter' }]",
            &["newsletter: expected to be skipped, but it is sent"],
        ),
        (
            "expect_contact = { consent = { email = { state = 'suppressed' } } }",
            &["the contact differs", "+       \"state\": \"double_opted_in\""],
        ),
        (
            "expect_dead = 'no'",
            &["expected: the message is dead (no); actual: it is done"],
        ),
        (
            "expect_message_skipped = 'test'",
            &["expected: the message is skipped (test); actual: it is done"],
        ),
    ] {
        let out = failing(&format!("{CONFIRMS}{test}"));
        for part in says {
            assert!(out.contains(part), "{test}\ndoes not say {part:?}:\n{out}");
        }
    }
}

#[test]
fn a_missing_delivery_is_reported_with_the_reason() {
    for (test, says) in [
        (
            "message = { file = 'signed.json' }\nexpect = [{ destination = 'newsletter' }]\nothers = true",
            "newsletter: nothing is sent: it is skipped, consent: ",
        ),
        (
            "message = { file = 'signed.json' }\nexpect_skipped = [{ destination = 'newsletter', reason = 'phase of the moon' }]",
            "newsletter: is skipped for another reason",
        ),
        (
            "message = '{'\nexpect = [{ destination = 'newsletter' }]",
            "the message is dead",
        ),
        (
            "message = { file = 'none.json' }\nexpect_none = true",
            "none.json",
        ),
        (
            "before = ['{']\nmessage = { file = 'signed.json' }\nexpect_contact = {}",
            "message 1 of `before` is dead",
        ),
    ] {
        let out = failing(test);
        assert!(out.contains(says), "{test}\ndoes not say {says:?}:\n{out}");
    }
}

#[test]
fn a_configuration_with_no_or_invalid_tests_is_wrong_usage() {
    let said = home("").run(&["test"]);
    assert_eq!(
        (said.code, said.err.contains("has no [[test]]")),
        (2, true),
        "{said:?}"
    );
    let home = home("[[test]]\nname = 'it'\nmessage = '{}'\nexpect = [{ destination = 'newsleter' }]\n");
    for command in [&["test"][..], &["config", "check"]] {
        let said = home.run(command);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains("did you mean `newsletter`?"), "{said:?}");
    }
    let json = failing_json();
    assert_eq!(
        (&json["passed"], &json["failed"]),
        (&0.into(), &1.into()),
        "{json}"
    );
    assert_eq!(
        json["tests"][0]["failures"][0]["what"],
        "newsletter: the body differs"
    );
}

fn failing_json() -> Value {
    let home = home(&format!(
        "[[test]]\nname = 'it'\n{CONFIRMS}others = true\nexpect = [{{ destination = 'newsletter', body = {{}} }}]\n"
    ));
    let said = home.run(&["test", "--json"]);
    assert_eq!(said.code, 1, "{said:?}");
    serde_json::from_str(&said.out).expect("JSON")
}
