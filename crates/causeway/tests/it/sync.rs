//! The sync action between real programs: created URLs, and the contact afterwards.

use std::time::Duration;

use causeway_testkit::wait::becomes;
use serde_json::{Value, json};

use crate::running::{Home, Running};

/// The token of a created URL: the text after the last slash of the first line with one.
fn token(said: &str) -> String {
    let line = said.lines().next().expect("a line");
    assert!(line.starts_with("https://hub.example.org/in/"), "{said}");
    line.rsplit('/').next().expect("a token").to_owned()
}

/// Waits until a post to the URL gets this status.
async fn answered(hub: &Running, token: &str, status: &str) {
    let form = "application/x-www-form-urlencoded";
    let wanted = format!("HTTP/1.1 {status}");
    let in_time = becomes(Duration::from_secs(20), async || {
        let answer = hub.post(token, form, b"contact[email]=jane@example.org").await;
        answer.starts_with(&wanted)
    });
    assert!(in_time.await, "never answered {status}\n{}", hub.log());
}

#[tokio::test]
async fn a_url_is_created_rotated_and_revoked_while_the_hub_runs() {
    let home = Home::new(
        "public_url = \"https://hub.example.org/\"\n[source.platform]\nkind = \"listener\"\npreset = \"sync-to-third-party\"\n",
    );
    let hub = home.serve();
    let first = token(&home.ok(&["source", "url", "platform", "--label", "newsletter"]));
    assert!(first.len() >= 22);
    answered(&hub, &first, "200").await;
    let again = home.run(&["source", "url", "platform", "--label", "newsletter"]);
    assert!(
        again.code == 2 && again.err.contains("source rotate platform newsletter"),
        "{again:?}"
    );

    let second = token(&home.ok(&[
        "source",
        "rotate",
        "platform",
        "newsletter",
        "--keep-minutes",
        "5",
    ]));
    answered(&hub, &second, "200").await;
    answered(&hub, &first, "200").await;
    let third = token(&home.ok(&["source", "rotate", "platform", "newsletter"]));
    answered(&hub, &third, "200").await;
    answered(&hub, &second, "404").await;
    answered(&hub, &first, "404").await;

    let list = home.ok(&["source", "urls"]);
    assert!(list.lines().count() == 3 && list.contains("works\n"), "{list}");
    home.ok(&["source", "revoke", "platform", "newsletter"]);
    answered(&hub, &third, "404").await;
    assert_eq!(home.run(&["source", "revoke", "platform", "newsletter"]).code, 2);
    assert_eq!(home.run(&["source", "url", "no-such-source"]).code, 2);
    assert_eq!(home.run(&["source", "url", "platform", "--label", "a b"]).code, 2);
    // Neither the list nor the log nor the database file contains the URL.
    let database = std::fs::read(home.path("causeway-data/causeway.db")).expect("the database");
    let log = hub.stop();
    for token in [&first, &second, &third] {
        let bytes = token.as_bytes();
        assert!(!list.contains(token.as_str()) && !log.contains(token.as_str()));
        assert!(!database.windows(bytes.len()).any(|window| window == bytes));
    }
}

/// The contact in a workspace, without the hub's own times and numbers.
pub fn known(home: &Home, workspace: &str, email: &str) -> Value {
    without_own_marks(&home.json(&["contact", "export", email, "--workspace", workspace])[0])
}

/// The parts of an export that the sender sent, without the hub's own times and numbers.
pub fn without_own_marks(person: &Value) -> Value {
    let values: serde_json::Map<String, Value> = person["contact"]["fields"]
        .as_object()
        .unwrap_or_else(|| panic!("{person}"))
        .iter()
        .map(|(name, field)| (name.clone(), field["v"].clone()))
        .collect();
    let mut engagements = person["engagements"].clone();
    if let Some(rows) = engagements.as_array_mut() {
        // A form cannot distinguish a missing name from an empty one, and its dates have minutes only.
        rows.sort_by_key(|row| format!("{}{}{}", row["kind"], row["at"], row["key"]));
    }
    json!({ "fields": values, "identities": person["identities"], "engagements": engagements })
}
