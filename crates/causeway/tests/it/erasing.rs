//! Erasing people from the command line: whom a number names, what stays behind, and what comes afterwards.

use serde_json::json;

use crate::running::{Home, Running};

const PLATFORM: &str = "token-of-24-characters-plat";
const OTHER: &str = "token-of-24-characters-othr";

fn home(hub: &str) -> Home {
    Home::new(&format!(
        "[hub]\n{hub}\n\
         [source.platform]\nkind = 'listener'\npreset = 'generic'\ntoken = '{PLATFORM}'\ngeneric = {{ time = 'at' }}\n\
         [source.other]\nkind = 'listener'\npreset = 'generic'\ntoken = '{OTHER}'\n\
         [destination.out]\nkind = 'file'\npath = 'out.jsonl'\nconsent = 'all'\nfields = {{ email = 'contact.email', change = 'change' }}\n"
    ))
}

async fn signs(hub: &Running, token: &str, id: &str, name: &str) {
    let record = json!({ "contact_id": id, "email": format!("{name}@example.org") });
    hub.post_json(token, &record).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_two_people_have_names_neither_of_them() {
    let home = home("");
    let hub = home.serve();
    signs(&hub, PLATFORM, "8812", "ann").await;
    signs(&hub, OTHER, "8812", "ben").await;
    home.settled(2).await;
    for command in [
        &["contact", "show", "8812"][..],
        &["contact", "export", "8812"],
        &["contact", "erase", "8812", "--yes", "--now"],
        &["trace", "--email", "8812"],
        &["preview", "--destination", "out", "--email", "8812"],
    ] {
        let refused = home.run(command);
        assert_eq!(
            (refused.code, refused.out.as_str()),
            (2, ""),
            "{command:?}: {refused:?}"
        );
        assert!(
            ["several people", "other:8812", "platform:8812"]
                .iter()
                .all(|words| refused.err.contains(words)),
            "{refused:?}"
        );
    }
    let export = home.json(&["contact", "export", "platform:8812"]);
    assert_eq!(export.as_array().map(Vec::len), Some(1));
    assert!(!export.to_string().contains("ben@example.org"), "{export}");
    let said = home.ok(&["contact", "erase", "platform:8812", "--yes", "--now"]);
    // What it does not reach is said, with the line.
    assert!(said.contains("out is NOT asked to remove the person"), "{said}");
    assert!(said.contains("out.jsonl names the person in line 1;"), "{said}");
    assert!(said.contains("Backups"), "{said}");
    assert_eq!(home.run(&["contact", "show", "ann@example.org"]).code, 1);
    // The number is unambiguous by now.
    assert!(home.ok(&["contact", "show", "8812"]).contains("ben@example.org"));
    hub.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_again_is_taken_in_and_what_is_turned_away_is_said() {
    let home = home("");
    let hub = home.serve();
    signs(&hub, PLATFORM, "1", "ann").await;
    home.settled(1).await;
    home.ok(&["contact", "erase", "ann@example.org", "--yes", "--now"]);
    let late = json!({ "email": "ann@example.org", "at": "2026-01-01T00:00:00Z", "city": "Bern" });
    hub.post_json(PLATFORM, &late).await;
    home.settled(2).await;
    assert_eq!(home.run(&["contact", "show", "ann@example.org"]).code, 1);
    let trace = home.trace(2);
    let reason = trace["inbox"]["reason"].as_str().expect("a reason");
    assert!(
        reason.contains("dated 2026-01-01T00:00:00Z, before that"),
        "{reason}"
    );
    let metrics = hub.page("/metrics").await;
    assert!(
        metrics.contains(r#"causeway_after_erasure{source="platform",what="turned_away"} 1"#),
        "{metrics}"
    );
    assert!(
        hub.log().contains("people who were erased and are turned away"),
        "{}",
        hub.log()
    );
    let doctor = home.run(&["doctor"]).out;
    assert!(
        doctor.contains("source platform: 1 messages of the last 7 days"),
        "{doctor}"
    );
    signs(&hub, PLATFORM, "1", "ann").await;
    home.settled(3).await;
    assert!(
        home.ok(&["contact", "show", "platform:1"])
            .contains("ann@example.org")
    );
    assert_eq!(home.run(&["audit"]).code, 0);
    hub.stop();

    let home = self::home("after_erasure = 'refuse'");
    let hub = home.serve();
    signs(&hub, PLATFORM, "1", "ann").await;
    home.settled(1).await;
    home.ok(&["contact", "erase", "ann@example.org", "--yes", "--now"]);
    signs(&hub, PLATFORM, "2", "ann").await;
    home.settled(2).await;
    assert_eq!(home.run(&["contact", "show", "ann@example.org"]).code, 1);
    let reason = home.trace(2)["inbox"]["reason"].to_string();
    assert!(reason.contains("after_erasure"), "{reason}");
    hub.stop();
}
