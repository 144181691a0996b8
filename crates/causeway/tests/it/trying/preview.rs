//! `causeway preview`: the request about a person that would be sent now.

use super::{REMOTE, files, hub_with, setting};
use crate::running::{CommandOutput, status};

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
        "message 1, action, as a record\nMay be sent to newsletter: opted in to e-mail on 2 Jan 2026, 03:04 UTC (petition 'clean_rivers', message 1); ",
        "→ newsletter (webhook) would be sent:\nPOST https://hook.invalid/***",
        "authorization: ***",
        r#"{"EMAIL":"ada@example.org","NAME":"ada"}"#,
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(!out.contains("real-token"), "{out}");
    let out = home.ok(&["preview", "--destination", "newsletter", "--message", "2"]);
    assert!(
        out.contains("Not sent to newsletter: declined e-mail on 2 Jan 2026, 03:04 UTC (petition 'clean_rivers', message 2)"),
        "{out}"
    );
    assert!(
        out.contains("is skipped"),
        "the state of the real delivery is shown: {out}"
    );
    let json = home.json(&["preview", "--destination", "archive", "--message", "2", "--json"]);
    assert_eq!(json["sent"], true, "{json}");
    let sentence = json["sentence"].as_str().expect("a sentence");
    assert!(
        sentence.starts_with("May be sent to archive, which requires no consent: declined e-mail"),
        "{json}"
    );
    assert_eq!(json["permission"]["because"]["message"], 2, "{json}");
    let refused: [(&[&str], i32, &str); 6] = [
        (
            &["--destination", "newsleter", "--message", "1"],
            2,
            "did you mean `newsletter`?",
        ),
        (&["--destination", "newsletter"], 2, "--email"),
        (
            &["--destination", "newsletter", "--email", "bob@example.org"],
            1,
            "no contact has",
        ),
        (
            &["--destination", "newsletter", "--message", "99"],
            1,
            "message 99",
        ),
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
            "one does in default",
        ),
        (&["--message", "1"], 2, "--destination"),
    ];
    for (arguments, code, says) in refused {
        let said: CommandOutput = home.run(&[&["preview"], arguments].concat());
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
async fn preview_names_the_filter_that_excludes_an_event_and_shows_a_withdrawal() {
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
        out.contains("Not sent to other: it takes only the campaign 'save_bees', and the campaign of this message is 'clean_rivers'"),
        "{out}"
    );
    // The archive has the person, who then opts out while the archive is paused.
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

/// A stricter policy withdraws nobody.
#[tokio::test(flavor = "multi_thread")]
async fn preview_claims_no_withdrawal_after_the_policy_became_stricter() {
    let config = setting(REMOTE)
        .replace("consent = 'double_opt_in'", "consent = 'single'")
        .replace(
            "[destination.archive]\nkind = 'file'\npath = 'archive.jsonl'\nconsent = 'all'",
            "[destination.archive]\nkind = 'file'\npath = 'archive.jsonl'\nconsent = 'opt_in'",
        );
    let home = hub_with(&[("ada", Some(true))], &config).await;
    let hub = home.serve();
    home.until("the archive has her", || {
        crate::running::sum(&home.json(&["audit", "--json"])["destinations"], "delivered") == 1
    })
    .await;
    hub.stop();
    let config = home.read("causeway.toml");
    let stricter = config.replace("consent = 'opt_in'", "consent = 'double_opt_in'");
    assert_ne!(config, stricter);
    home.write("causeway.toml", stricter);
    let ask = [
        "preview",
        "--destination",
        "archive",
        "--email",
        "ada@example.org",
        "--json",
    ];
    let json = home.json(&ask);
    assert_eq!(
        (&json["kind"], &json["sent"]),
        (&"record".into(), &false.into()),
        "{json}"
    );
    let note = json["notes"][0].as_str().expect("a note");
    assert!(
        note.starts_with("the destination has the person and keeps them"),
        "{json}"
    );
}
