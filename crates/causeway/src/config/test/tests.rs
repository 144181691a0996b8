use std::path::Path;

const BASE: &str = "[source.in]\nkind = 'listener'\npreset = 'generic'\ntoken = 'token-of-more-than-22-chars'\n\
    [destination.out]\nkind = 'null'\n";

fn error(test: &str) -> String {
    let config = format!("{BASE}[[test]]\n{test}");
    let errors = crate::config::parse(Path::new("c.toml"), &config).expect_err(test);
    errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_test_that_cannot_be_meant_is_refused_with_its_line() {
    for (test, says) in [
        (
            "name = 'a'\nmessage = 'x'",
            "c.toml:7: [test a] `expect`: the test expects nothing",
        ),
        (
            "name = 'a'\nmesage = 'x'",
            "c.toml:9: [test a] `mesage`: unknown field",
        ),
        ("name = 'a'\nmesage = 'x'", "did you mean `message`?"),
        (
            "name = ' '\nmessage = 'x'\nexpect_none = true",
            "the name is empty: say what the test shows",
        ),
        (
            "name = 'a'\nmessage = {}\nexpect_none = true",
            "needs exactly one of",
        ),
        (
            "name = 'a'\nmessage = { text = 'x', file = 'y' }\nexpect_none = true",
            "needs exactly one of",
        ),
        (
            "name = 'a'\nmessage = { txt = 'x' }\nexpect_none = true",
            "did you mean `text`?",
        ),
        (
            "name = 'a'\nmessage = 'x'\nexpect = [{ destination = 'outt' }]",
            "there is no destination \"outt\" (did you mean `out`?",
        ),
        (
            "name = 'a'\nsource = 'inn'\nmessage = 'x'\nexpect_none = true",
            "c.toml:9: [test a] `source`: there is no source \"inn\"",
        ),
        (
            "name = 'a'\nmessage = 'x'\nexpect = [{ destination = 'out', kind = 'recrod' }]",
            "did you mean `record`?",
        ),
        (
            "name = 'a'\nmessage = 'x'\nexpect = [{ destination = 'out', due = 'soon' }]",
            "neither a time nor a duration",
        ),
        (
            "name = 'a'\nmessage = 'x'\nexpect = [{ destination = 'out' }]\nexpect_none = true",
            "contradicts `expect`",
        ),
        (
            "name = 'a'\nmessage = { text = 'x', after = '2h' }\nexpect_none = true",
            "`message.after`: no message comes before this one",
        ),
        (
            "name = 'a'\nbefore = ['y']\nmessage = { text = 'x', after = 'later' }\nexpect_none = true",
            "\"later\" is not a duration",
        ),
        (
            "name = 'a'\nbefore = ['y']\nmessage = { text = 'x', after = '-2h' }\nexpect_none = true",
            "is negative",
        ),
        (
            "name = 'a'\nbefore = ['y', { text = 'z', after = '1h', at = 2026-01-02T03:04:05Z }]\nmessage = 'x'\nexpect_none = true",
            "`before.1.after`: `at` already sets the time",
        ),
        (
            "name = 'a'\nat = 'noon'\nmessage = 'x'\nexpect_none = true",
            "is not a time",
        ),
    ] {
        let error = error(test);
        assert!(error.contains(says), "{test}\nsays {says:?}? {error}");
    }
}

#[test]
fn two_tests_have_two_names() {
    let one = "name = 'a'\nmessage = 'x'\nexpect_none = true\n";
    let error = error(&format!("{one}[[test]]\n{one}"));
    assert!(
        error.starts_with("c.toml:12: [test a] `name`: another test"),
        "{error}"
    );
}

#[test]
fn times_are_read_with_and_without_quotes_and_due_by_duration() {
    let text = format!(
        "{BASE}[[test]]\nname = 'a'\nat = 2026-01-02T03:04:05Z\nmessage = {{ text = 'x', at = '2026-01-02T03:04:05Z' }}\nexpect_none = true\n"
    );
    let config = crate::config::parse(Path::new("c.toml"), &text).unwrap();
    let read = &config.tests[0];
    assert_eq!(read.at, read.message.0.at);
    let at = read.at.unwrap().0;
    assert_eq!(
        super::due_at("2h", at).unwrap().to_string(),
        "2026-01-02T05:04:05Z"
    );
    assert_eq!(
        super::due_at("2 days", at).unwrap().to_string(),
        "2026-01-04T03:04:05Z"
    );
}
