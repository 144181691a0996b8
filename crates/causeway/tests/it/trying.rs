//! Trying things out: `causeway test`, `causeway preview`, `causeway config diff`. None of them sends or changes anything.

use std::{collections::BTreeMap, net::TcpListener, path::Path};

use serde_json::Value;

use crate::running::{Home, Said, signature, status};

/// A queue, a newsletter that needs a confirmed address, and an archive of everything.
fn setting(newsletter: &str) -> String {
    format!(
        "[source.proca]\nkind = 'proca'\nurl = {{ env = 'NO_SUCH_SECRET_URL' }}\nqueue = 'cus.12.deliver'\nconsent = 'double_opt_in'\n\
         [destination.newsletter]\nkind = 'webhook'\n{newsletter}\n\
         [destination.newsletter.fields]\nEMAIL = 'contact.email'\nNAME = 'contact.firstName'\n\
         [destination.archive]\nkind = 'file'\npath = 'archive.jsonl'\nconsent = 'all'\n"
    )
}

const REMOTE: &str =
    "url = { env = 'NO_SUCH_SECRET_HOOK' }\nauth = { bearer = { env = 'NO_SUCH_SECRET_TOKEN' } }";

fn home(tests: &str) -> Home {
    let home = Home::new(&format!("{}{tests}", setting(REMOTE)));
    home.write("signed.json", signature(12, 1, "ada", Some(true)).to_string());
    home.write("confirmed.json", status(1, "ada", "double_opt_in").to_string());
    home
}

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
         expect_left_alone = 'test'\nexpect_none = true\n\
         [[test]]\nname = 'broken'\nmessage = '{{'\nexpect_dead = 'malformed: ends too early'\n"
    ));
    let out = home.ok(&["test"]);
    assert!(out.ends_with("4 passed, 0 failed\n"), "{out}");
    assert!(out.contains("ok   waits for the click\n"), "{out}");
    assert!(!home.path("causeway-data").exists() && !home.path("archive.jsonl").exists());
    let out = home.ok(&["test", "CONFIRMED"]);
    assert!(out.contains("1 passed"), "only that one: {out}");
    let said = home.run(&["test", "confirmd"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("did you mean \"confirmed\"?"), "{said:?}");
}

#[test]
fn what_is_not_as_expected_is_told() {
    for (test, says) in [
        (
            "expect = [{ destination = 'newsletter', body = { EMAIL = 'eve@example.org', NAME = 'ada' } }]\nothers = true",
            &[
                "newsletter: the body is another",
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
            &["archive: a contact is sent, and none was expected (others = true allows it)"],
        ),
        (
            "expect_none = true",
            &["newsletter: a contact is sent, and none was expected"],
        ),
        (
            "expect = [{ destination = 'newsletter', kind = 'withdrawal' }]\nothers = true",
            &["newsletter: a withdrawal was expected, and a contact is sent"],
        ),
        (
            "expect = [{ destination = 'newsletter', lacks = ['EMAIL'] }]\nothers = true",
            &["newsletter: `EMAIL` was not expected"],
        ),
        (
            "expect = [{ destination = 'newsletter', request = 'PUT ' }]\nothers = true",
            &[
                "the request does not contain",
                "+ POST https://no-such-secret-hook.stand-in.example.org/***",
            ],
        ),
        (
            "expect = [{ destination = 'newsletter', due = '2h' }]\nothers = true",
            &["newsletter: is sent at another time"],
        ),
        (
            "expect = [{ destination = 'newsletter', dead = 'too long' }]\nothers = true",
            &["newsletter: would be sent, and was expected to be dead (too long)"],
        ),
        (
            "expect_skipped = [{ destination = 'newsletter' }]",
            &["newsletter: is sent, and was expected to be skipped"],
        ),
        (
            "expect_contact = { consent = { email = { state = 'suppressed' } } }",
            &["the contact is another", "+       \"state\": \"double_opted_in\""],
        ),
        (
            "expect_dead = 'no'",
            &["the message cannot be read, was expected (no); it is done"],
        ),
        (
            "expect_left_alone = 'test'",
            &["the message is left alone, was expected (test); it is done"],
        ),
    ] {
        let out = failing(&format!("{CONFIRMS}{test}"));
        for part in says {
            assert!(out.contains(part), "{test}\ndoes not say {part:?}:\n{out}");
        }
    }
}

#[test]
fn what_does_not_happen_is_told_with_the_reason() {
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
            "the message cannot be read",
        ),
        (
            "message = { file = 'none.json' }\nexpect_none = true",
            "none.json",
        ),
        (
            "before = ['{']\nmessage = { file = 'signed.json' }\nexpect_contact = {}",
            "message 1 of `before` cannot be read",
        ),
    ] {
        let out = failing(test);
        assert!(out.contains(says), "{test}\ndoes not say {says:?}:\n{out}");
    }
}

#[test]
fn a_configuration_without_tests_and_one_with_a_wrong_one_are_wrong_usage() {
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
        "newsletter: the body is another"
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

/// Every file of a folder with its bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.path().is_file())
        .map(|entry| {
            let name = entry.file_name().into_string().expect("a name");
            (name, std::fs::read(entry.path()).expect("a file"))
        })
        .filter(|(name, _)| !name.ends_with("-shm"))
        .collect()
}

/// A hub that has processed what people did. Its destinations are refused connections, so that all deliveries wait.
async fn hub_with(people: &[(&str, Option<bool>)], config: &str) -> Home {
    let home = Home::new(config)
        .with("NO_SUCH_SECRET_URL", "amqp://u:p@127.0.0.1:1/v")
        .with("NO_SUCH_SECRET_HOOK", "https://hook.invalid/")
        .with("NO_SUCH_SECRET_TOKEN", "real-token");
    let mut lines = String::new();
    for (id, (name, opt_in)) in (1..).zip(people) {
        lines.push_str(&signature(12, id, name, *opt_in).to_string());
        lines.push('\n');
    }
    home.write("people.jsonl", lines);
    home.ok(&["import", "people.jsonl", "--source", "proca"]);
    let hub = home.serve();
    home.until("all is processed", || {
        let audit = home.json(&["audit", "--json"]);
        crate::running::sum(&audit["sources"], "done") >= u64::try_from(people.len()).expect("few")
    })
    .await;
    hub.stop();
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn preview_shows_the_request_of_now_and_why_it_would_not_be_sent() {
    let config = setting(REMOTE).replace("consent = 'double_opt_in'", "consent = 'single'");
    let home = hub_with(&[("ada", Some(true)), ("eve", Some(false))], &config).await;
    let before = files(&home.path("causeway-data"));
    let out = home.ok(&[
        "preview",
        "--destination",
        "newsletter",
        "--email",
        "ADA@example.org",
    ]);
    for part in [
        "record 1, action, as a record",
        "→ newsletter (webhook) would be sent:\nPOST https://hook.invalid/***",
        "authorization: ***",
        r#"{"EMAIL":"ada@example.org","NAME":"ada"}"#,
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(!out.contains("real-token"), "{out}");
    let out = home.ok(&["preview", "--destination", "newsletter", "--record", "2"]);
    assert!(out.contains("not sent: consent: "), "{out}");
    assert!(
        out.contains("is skipped"),
        "what became of the real one is told: {out}"
    );
    let json = home.json(&["preview", "--destination", "archive", "--record", "2", "--json"]);
    assert_eq!(json["sent"], true, "{json}");
    let refused: [(&[&str], i32, &str); 6] = [
        (
            &["--destination", "newsleter", "--record", "1"],
            2,
            "did you mean `newsletter`?",
        ),
        (&["--destination", "newsletter"], 2, "--email"),
        (
            &["--destination", "newsletter", "--email", "bob@example.org"],
            1,
            "nobody is known",
        ),
        (&["--destination", "newsletter", "--record", "99"], 1, "record 99"),
        (
            &[
                "--destination",
                "newsletter",
                "--email",
                "ada@example.org",
                "--workspace",
                "other",
            ],
            1,
            "somebody is in default",
        ),
        (&["--record", "1"], 2, "--destination"),
    ];
    for (arguments, code, says) in refused {
        let said: Said = home.run(&[&["preview"], arguments].concat());
        assert_eq!(said.code, code, "{arguments:?}: {said:?}");
        assert!(said.err.contains(says), "{arguments:?}: {said:?}");
        assert!(
            !said.err.contains('@') || code == 2,
            "errors end up in logs: {said:?}"
        );
    }
    assert_eq!(before, files(&home.path("causeway-data")), "preview only reads");
}

#[tokio::test(flavor = "multi_thread")]
async fn preview_names_the_filter_that_leaves_an_event_out_and_tells_a_withdrawal() {
    let config = format!(
        "{}[destination.other]\nkind = 'null'\nconsent = 'all'\ncampaigns = ['save_bees']\n",
        setting(REMOTE).replace("consent = 'double_opt_in'", "consent = 'single'")
    );
    let config = config.replace(
        "[destination.archive]\nkind = 'file'\npath = 'archive.jsonl'\nconsent = 'all'",
        "[destination.archive]\nkind = 'file'\npath = 'archive.jsonl'\nconsent = 'opt_in'",
    );
    let home = hub_with(&[("ada", Some(true))], &config).await;
    let out = home.ok(&["preview", "--destination", "other", "--email", "ada@example.org"]);
    assert!(
        out.contains("not sent: `campaigns` leaves it out: it is \"clean_rivers\""),
        "{out}"
    );
    // The archive has the person, who then says no while the archive is paused.
    home.write("no.json", status(1, "ada", "unsub").to_string());
    home.ok(&["delivery", "pause", "archive"]);
    home.ok(&["send", "no.json", "--source", "proca"]);
    let hub = home.serve();
    home.until("it is processed", || {
        crate::running::sum(&home.json(&["audit", "--json"])["sources"], "done") >= 2
    })
    .await;
    hub.stop();
    let json = home.json(&[
        "preview",
        "--destination",
        "archive",
        "--email",
        "ada@example.org",
        "--json",
    ]);
    assert_eq!(
        (&json["kind"], &json["sent"]),
        (&"withdrawal".into(), &false.into()),
        "{json}"
    );
    assert!(
        json["reasons"][0]
            .as_str()
            .expect("a reason")
            .contains("archive is paused"),
        "{json}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn config_diff_counts_what_would_change_and_sends_and_stores_nothing() {
    let config = setting(REMOTE).replace("consent = 'double_opt_in'", "consent = 'single'");
    let home = hub_with(
        &[
            ("ada", Some(true)),
            ("eve", Some(false)),
            ("bob", Some(true)),
            ("cy", None),
        ],
        &config,
    )
    .await;
    // Whoever connected would be in the backlog of this listener.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener
        .set_nonblocking(true)
        .expect("it can be asked without waiting");
    let address = listener.local_addr().expect("an address");
    let new = config
        .replace(
            REMOTE,
            &format!("url = 'http://{address}/hook'\nallow_private = true\nconsent = 'with_consent'"),
        )
        .replace("NAME = 'contact.firstName'", "NAME = 'contact.lastName'")
        .replace("[destination.archive]", "[destination.attic]");
    home.write("new.toml", new);
    let before = files(&home.path("causeway-data"));
    let diff = |more: &[&str]| home.ok(&[&["config", "diff", "causeway.toml", "new.toml"], more].concat());
    let json: Value = serde_json::from_str(&diff(&["--json", "--limit", "1"])).expect("JSON");
    let counts = &json["counts"];
    assert_eq!(counts["records"], 4, "{json}");
    assert_eq!(counts["destinations"]["newsletter"]["old"], 2, "{json}");
    assert_eq!(counts["destinations"]["newsletter"]["new"], 4, "{json}");
    assert_eq!(counts["destinations"]["newsletter"]["added"], 2, "{json}");
    assert_eq!(counts["destinations"]["newsletter"]["changed"], 2, "{json}");
    assert_eq!(counts["destinations"]["archive"]["removed"], 4, "{json}");
    assert_eq!(counts["destinations"]["attic"]["added"], 4, "{json}");
    assert_eq!(
        (&counts["records_changed"], &counts["people_changed"]),
        (&4.into(), &4.into())
    );
    let skipped = counts["destinations"]["newsletter"]["skipped"]
        .as_object()
        .expect("reasons");
    assert_eq!(
        skipped
            .values()
            .map(|of| of["old"].as_u64().expect("a count"))
            .sum::<u64>(),
        2
    );
    assert_eq!(
        json["samples"].as_array().expect("samples").len(),
        4,
        "one of each sort: {json}"
    );
    let text = json.to_string();
    assert!(
        !text.contains("ada@") && !text.contains("Testperson"),
        "masked: {text}"
    );

    let out = diff(&[]);
    assert!(
        out.contains("newsletter · changed · record 1 from proca · a•••@e•••.org"),
        "{out}"
    );
    assert!(out.contains("+   \"NAME\": \"T•••\""), "{out}");
    let out = diff(&["--show-personal"]);
    assert!(
        out.contains("-   \"NAME\": \"ada\"") && out.contains("+   \"NAME\": \"Testperson\""),
        "{out}"
    );

    let same = home.ok(&["config", "diff", "causeway.toml", "causeway.toml"]);
    assert!(
        same.contains("0 records and 0 people would be concerned"),
        "{same}"
    );

    assert_eq!(before, files(&home.path("causeway-data")), "nothing is stored");
    assert!(listener.accept().is_err(), "nobody connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn config_diff_runs_what_came_earlier_and_tells_what_is_gone() {
    let config = setting(REMOTE).replace("consent = 'double_opt_in'", "consent = 'single'");
    let home = hub_with(&[("ada", Some(true)), ("eve", Some(true))], &config).await;
    home.write(
        "new.toml",
        config.replace("[destination.archive]", "[destination.attic]"),
    );
    // As if both had come ten days ago, and the body of the second had been pruned.
    {
        let db = rusqlite::Connection::open(home.path("causeway-data/causeway.db")).expect("the store");
        let ten_days = 10 * 86_400_000_i64;
        db.execute("UPDATE inbox SET received_at = received_at - ?1", [ten_days])
            .expect("older");
        db.execute("DELETE FROM inbox_body WHERE id = 2", [])
            .expect("pruned");
    }
    let counts = |more: &[&str]| {
        let arguments = [&["config", "diff", "causeway.toml", "new.toml", "--json"], more].concat();
        home.json(&arguments)["counts"].clone()
    };
    let week = counts(&[]);
    assert_eq!(
        (&week["records"], &week["earlier"], &week["not_available"]),
        (&0.into(), &1.into(), &0.into())
    );
    let month = counts(&["--last", "30d"]);
    assert_eq!(
        (&month["records"], &month["not_available"]),
        (&1.into(), &1.into())
    );
    // Who signed before and now says no: only whoever runs the earlier record knows that there is something to withdraw.
    home.write("no.json", status(1, "ada", "unsub").to_string());
    home.ok(&["send", "no.json", "--source", "proca"]);
    home.write(
        "strict.toml",
        config.replace(
            "path = 'archive.jsonl'\nconsent = 'all'",
            "path = 'archive.jsonl'\nconsent = 'opt_in'",
        ),
    );
    let sent = |more: &[&str]| {
        let arguments = [
            &[
                "config",
                "diff",
                "causeway.toml",
                "strict.toml",
                "--json",
                "--limit",
                "9",
            ],
            more,
        ]
        .concat();
        home.json(&arguments)
    };
    let with = sent(&[]);
    assert_eq!(with["counts"]["destinations"]["archive"]["changed"], 1, "{with}");
    assert!(
        with["samples"][0]["new"]["why"]
            .as_str()
            .expect("a text")
            .starts_with("withdrawal"),
        "{with}"
    );
    let without = sent(&["--no-earlier"]);
    assert_eq!(
        without["counts"]["destinations"]["archive"]["changed"], 0,
        "{without}"
    );
    assert_eq!(without["counts"]["earlier"], 0, "{without}");
}

#[test]
fn config_diff_says_what_is_missing() {
    let home = home("");
    home.write("new.toml", setting(REMOTE));
    let said = home.run(&["config", "diff", "causeway.toml", "new.toml"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("there is no store at"), "{said:?}");
    assert!(!home.path("causeway-data").exists());
    let said = home.run(&["config", "diff", "causeway.toml", "none.toml"]);
    assert_eq!((said.code, said.err.contains("none.toml")), (2, true), "{said:?}");
    let said = home.run(&["config", "diff", "causeway.toml", "new.toml", "--last", "soon"]);
    assert_eq!((said.code, said.err.contains("7d, 12h")), (2, true), "{said:?}");
}

/// A reminder two days after the signature, unless the person said no meanwhile.
fn with_automation(delay: &str) -> String {
    format!(
        "{}[destination.reminder]\nkind = 'webhook'\nurl = 'https://reminder.example.org/'\ntakes = 'automations'\n\
         fields = {{ EMAIL = 'contact.email' }}\n\
         [[automation]]\nname = 'Remind'\non = {{ action = 'petition' }}\nwhen = \"campaign.name == 'clean_rivers'\"\n\
         stop = 'not consent.email.subscribed'\nthen = [{{ deliver = 'reminder', delay = '{delay}' }}]\n",
        single()
    )
}

/// Who signs and ticks the box has agreed.
fn single() -> String {
    setting(REMOTE)
        .replace("consent = 'double_opt_in'", "consent = 'single'")
        .replace("NAME = ", "SUBSCRIBED = 'consent.email.subscribed'\nNAME = ")
}

#[test]
fn a_test_lets_time_pass_for_what_automations_put_off() {
    let home = Home::new(&format!(
        "{}[[test]]\nname = 'after two days'\nmessage = {{ file = 'signed.json' }}\nothers = true\n\
         expect = [{{ destination = 'reminder', due = '2 days', body = {{ EMAIL = 'ada@example.org' }} }}]\n\
         [[test]]\nname = 'not at once'\nmessage = {{ file = 'signed.json' }}\n\
         expect = [{{ destination = 'newsletter' }}, {{ destination = 'archive' }}]\n\
         [[test]]\nname = 'not after a no'\nbefore = [{{ file = 'signed.json' }}]\nmessage = {{ file = 'no.json' }}\nwait = '3 days'\n\
         expect = [{{ destination = 'newsletter', kind = 'withdrawal' }}, {{ destination = 'archive' }}]\n",
        with_automation("2 days")
    ));
    home.write("signed.json", signature(12, 1, "ada", Some(true)).to_string());
    home.write("no.json", status(1, "ada", "unsub").to_string());
    let out = home.ok(&["test"]);
    assert!(out.ends_with("3 passed, 0 failed\n"), "{out}");
    // Three days pass without the stop condition: the reminder goes out although the person said no, or would but for consent.
    let config = home.read("causeway.toml");
    home.write(
        "causeway.toml",
        config.replace("delay = '2 days'", "delay = '5 days'"),
    );
    let said = home.run(&["test", "after two days"]);
    assert_eq!(said.code, 1, "{said:?}");
    for part in [
        "reminder: nothing is sent",
        "automation Remind: ran",
        "waits until",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    home.write("causeway.toml", config.replace("'clean_rivers'", "'save_bees'"));
    let said = home.run(&["test", "after two days"]);
    assert!(
        said.out
            .contains("automation Remind: did not run: its condition does not hold")
            && said
                .out
                .contains("its condition saw campaign.name = \"clean_rivers\""),
        "{}",
        said.out
    );
}

/// The complete configurations on the page about tests do what they say.
#[test]
fn the_tests_in_the_documentation_pass() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/testing.md")).expect("the page");
    let mut run = 0;
    for block in page.split("```toml\n").skip(1) {
        let (config, _) = block.split_once("```").expect("an end");
        if !config.contains("[[test]]") {
            continue;
        }
        let home = Home::new(config);
        std::os::unix::fs::symlink(root.join("samples"), home.path("samples")).expect("a link");
        let said = home.run(&["test"]);
        assert!(
            said.code == 0 && said.out.ends_with(" passed, 0 failed\n"),
            "{config}\n{said:?}"
        );
        run += 1;
    }
    assert_eq!(run, 2);
}

/// Sent by the clock: on Mondays, and on birthdays.
const CLOCKED: &str = "[destination.weekly]\nkind = 'webhook'\nurl = 'https://weekly.example.org/'\ntakes = 'automations'\n\
     fields = { EMAIL = 'contact.email' }\n\
     [[automation]]\nname = 'Mondays'\non = { schedule = 'weekly', weekday = 'monday', at = '09:00' }\n\
     when = \"'paused' not in contact.tags\"\nthen = [{ deliver = 'weekly' }, { add_tag = 'greeted' }]\n\
     [[automation]]\nname = 'A day before'\non = { date_reached = 'until', days = -1, at = '12:00' }\n\
     then = [{ deliver = 'weekly' }, { add_tag = 'paused', delay = '1 h' }]\n\
     [[automation]]\nname = 'Until'\non = 'contact_created'\nthen = [{ set_field = { until = \"'2026-01-10'\" } }]\n";

#[test]
fn a_test_lets_the_clock_start_automations() {
    let at = "at = 2026-01-01T08:00:00Z\nmessage = { file = 'signed.json' }";
    let config = format!(
        "{}{CLOCKED}[[test]]\nname = 'not yet'\n{at}\nwait = '4 days 59 min'\n\
         expect = [{{ destination = 'newsletter' }}, {{ destination = 'archive' }}]\n\
         [[test]]\nname = 'Monday, and a day before; then it is paused'\n{at}\nwait = '30 days'\n\
         expect_contact = {{ tags = ['greeted', 'paused'] }}\n\
         others = true\nexpect = [{{ destination = 'weekly', due = '2026-01-05T09:00:00Z', body = {{ EMAIL = 'ada@example.org' }} }},\n\
         {{ destination = 'weekly', due = '2026-01-09T12:00:00Z' }}]\n\
         [[test]]\nname = 'between two messages'\nat = 2026-01-06T08:00:00Z\nbefore = [{{ file = 'signed.json' }}]\n\
         message = {{ file = 'again.json', after = '24 hours' }}\nexpect_contact = {{ tags = ['greeted'] }}\n",
        single()
    );
    let home = Home::new(&config);
    home.write("signed.json", signature(12, 1, "ada", Some(true)).to_string());
    home.write("again.json", signature(12, 2, "ada", Some(true)).to_string());
    let said = home.run(&["test"]);
    assert!(said.out.ends_with("3 passed, 0 failed\n"), "{said:?}");

    // A turn that came before there was anybody is nobody's.
    home.write("causeway.toml", config.replace("'24 hours'", "'22 hours'"));
    assert_eq!(home.run(&["test", "between"]).code, 1);
    // What the clock started is explained, too.
    home.write("causeway.toml", config.replace("'paused' not in", "'greeted' in"));
    let said = home.run(&["test", "a day before"]);
    assert_eq!(said.code, 1);
    let line = "2026-01-05T09:00:00Z: automation Mondays: did not run: its condition does not hold";
    assert!(said.out.contains(line), "{}", said.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn config_diff_lets_the_clock_start_automations_in_both() {
    let daily = |hour: u32, who: &str| {
        format!(
            "{}[destination.daily]\nkind = 'webhook'\nurl = 'https://daily.example.org/'\ntakes = 'automations'\nconsent = 'all'\n\
             fields = {{ EMAIL = 'contact.email' }}\n\
             [[automation]]\nname = 'Daily'\non = {{ schedule = 'daily', at = '{hour:02}:00' }}\n{who}\nthen = [{{ deliver = 'daily' }}]\n",
            single()
        )
    };
    let home = hub_with(&[("ada", Some(true)), ("eve", Some(false))], &daily(9, "")).await;
    {
        let db = rusqlite::Connection::open(home.path("causeway-data/causeway.db")).expect("the store");
        let days = 3 * 86_400_000_i64;
        db.execute("UPDATE inbox SET received_at = received_at - ?1", [days])
            .expect("older");
    }
    home.write("later.toml", daily(10, ""));
    home.write("fewer.toml", daily(9, "when = \"consent.email.subscribed\""));
    let diff = |new: &str| {
        let all = home.json(&["config", "diff", "causeway.toml", new, "--json"]);
        (
            all["counts"]["destinations"]["daily"].clone(),
            all["changes"].clone(),
        )
    };
    let (daily, changes) = diff("causeway.toml");
    assert_eq!((&daily["old"], &daily["new"]), (&6.into(), &6.into()), "{daily}");
    assert_eq!(changes, false);
    let (daily, _) = diff("later.toml");
    let moved = daily["changed"].as_u64().expect("a count") + daily["added"].as_u64().expect("a count");
    assert!(daily["old"] == 6 && moved >= 4, "each at another time: {daily}");
    let (daily, _) = diff("fewer.toml");
    assert_eq!(
        (&daily["old"], &daily["removed"]),
        (&6.into(), &3.into()),
        "{daily}"
    );
    assert_eq!(
        (&daily["new"], &daily["changed"]),
        (&3.into(), &0.into()),
        "{daily}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn config_diff_lets_automations_have_their_turns_in_both() {
    let home = hub_with(
        &[("ada", Some(true)), ("eve", Some(false))],
        &with_automation("2 days"),
    )
    .await;
    {
        let db = rusqlite::Connection::open(home.path("causeway-data/causeway.db")).expect("the store");
        let days = 3 * 86_400_000_i64;
        db.execute("UPDATE inbox SET received_at = received_at - ?1", [days])
            .expect("older");
    }
    home.write("later.toml", with_automation("4 days"));
    home.write("hours.toml", with_automation("1 h"));
    let diff = |new: &str| home.json(&["config", "diff", "causeway.toml", new, "--json"]);
    let same = diff("causeway.toml");
    assert_eq!(
        same["counts"]["destinations"]["reminder"]["old"], 1,
        "the turn came: {same}"
    );
    assert_eq!(
        (&same["changes"], &same["counts"]["people_changed"]),
        (&false.into(), &0.into())
    );
    let later = diff("later.toml");
    let reminder = &later["counts"]["destinations"]["reminder"];
    assert_eq!(
        (&reminder["removed"], &reminder["added"]),
        (&1.into(), &0.into()),
        "{later}"
    );
    assert_eq!(later["changes"], true, "{later}");
    let hours = diff("hours.toml");
    let reminder = &hours["counts"]["destinations"]["reminder"];
    assert_eq!(
        (&reminder["old"], &reminder["new"]),
        (&1.into(), &1.into()),
        "{hours}"
    );
    assert_eq!(hours["changes"], true, "another time is a change: {hours}");
}
