//! `causeway config diff`: the effect of another configuration.

use std::{net::TcpListener, os::unix::fs::PermissionsExt as _};

use serde_json::Value;

use super::{REMOTE, files, home, hub_with, setting};
use crate::running::{signature, status};

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
    // A connection would be in the backlog of this listener.
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
        out.contains("newsletter · changed · message 1 from proca · a•••@e•••.org"),
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
        same.contains("0 messages and 0 people would be affected"),
        "{same}"
    );

    assert_eq!(before, files(&home.path("causeway-data")), "nothing is stored");
    assert!(listener.accept().is_err(), "nobody connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn config_diff_runs_earlier_messages_and_counts_deleted_ones() {
    let config = setting(REMOTE).replace("consent = 'double_opt_in'", "consent = 'single'");
    let home = hub_with(&[("ada", Some(true)), ("eve", Some(true))], &config).await;
    home.write(
        "new.toml",
        config.replace("[destination.archive]", "[destination.attic]"),
    );
    // As if both had arrived ten days ago, and the body of the second had been pruned.
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
    // Ada signed before and now opts out. Only with the earlier message there is something to withdraw.
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
    // The archive was sent her data under both policies, so both send it the withdrawal.
    let archive = |said: &Value| said["counts"]["destinations"]["archive"].clone();
    let with = archive(&sent(&[]));
    assert_eq!(
        (&with["old"], &with["new"], &with["changed"]),
        (&1.into(), &1.into(), &0.into()),
        "{with}"
    );
    let without = sent(&["--no-earlier"]);
    assert_eq!(archive(&without)["new"], 0, "{without}");
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

#[tokio::test(flavor = "multi_thread")]
async fn config_diff_leaves_no_copy_behind_when_it_is_interrupted() {
    let config = setting(REMOTE).replace("consent = 'double_opt_in'", "consent = 'single'");
    let home = hub_with(&[("ada", Some(true))], &config).await;
    let mut lines = String::new();
    for number in 1..=400 {
        let name = format!("person{number}");
        lines.push_str(&signature(12, 10 + number, &name, Some(true)).to_string());
        lines.push('\n');
    }
    home.write("more.jsonl", lines);
    home.ok(&["import", "more.jsonl", "--source", "proca"]);
    let data = home.path("causeway-data");
    let copies = || -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(&data)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path());
        entries
            .filter(|path| path.to_string_lossy().contains("causeway-trial-"))
            .collect()
    };
    let diff = home.start(&["config", "diff", "causeway.toml", "causeway.toml"], "diff.log");
    home.until("it has made its copies", || {
        copies()
            .iter()
            .any(|copy| std::fs::read_dir(copy).is_ok_and(|all| all.count() >= 3))
    })
    .await;
    for copy in copies() {
        assert_eq!(
            std::fs::metadata(&copy).expect("a folder").permissions().mode() & 0o777,
            0o700
        );
    }
    diff.signal("INT");
    home.until("it has ended", || copies().is_empty()).await;
    assert!(diff.log().contains("stopped by a signal"), "{}", diff.log());
    // The next start removes the folder of a killed command.
    let mut killed = home.start(
        &["config", "diff", "causeway.toml", "causeway.toml"],
        "killed.log",
    );
    home.until("it has made its copies", || !copies().is_empty())
        .await;
    killed.kill();
    assert!(!copies().is_empty());
    home.serve().stop();
    assert_eq!(copies(), Vec::<std::path::PathBuf>::new());
}
