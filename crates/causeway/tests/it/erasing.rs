//! Erasing people by the command line: ambiguous names, remaining data, and later messages.

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
async fn an_id_that_two_people_have_names_neither_of_them() {
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
    // The command prints the data that it does not reach, with the line.
    assert!(said.contains("out is NOT asked to remove the person"), "{said}");
    assert!(said.contains("out.jsonl names the person in line 1;"), "{said}");
    assert!(
        !said.contains("One more line follows"),
        "nothing more is sent: {said}"
    );
    assert!(said.contains("backups"), "{said}");
    assert_eq!(home.run(&["contact", "show", "ann@example.org"]).code, 1);
    // The id is unambiguous now.
    assert!(home.ok(&["contact", "show", "8812"]).contains("ben@example.org"));
    hub.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_signature_is_accepted_and_an_old_one_reported_as_turned_away() {
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

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_several_people_use_names_all_of_them_or_nobody() {
    let home = home("shared_addresses = ['noemail@*']");
    let hub = home.serve();
    for (id, name) in [
        ("63", "noemail"),
        ("64", "noemail"),
        ("65", "family"),
        ("66", "family"),
    ] {
        signs(&hub, PLATFORM, id, name).await;
    }
    // One of the people leaves. The address then names the remaining one.
    signs(&hub, PLATFORM, "65", "own").await;
    home.settled(5).await;
    for (name, ids) in [
        ("noemail", ["platform:63", "platform:64"]),
        ("family", ["platform:65", "platform:66"]),
    ] {
        let address = format!("{name}@example.org");
        let listed = format!("give one of {}", ids.join(", "));
        for command in [
            &["contact", "erase", &address, "--yes", "--now"][..],
            &["contact", "export", &address],
            &["contact", "split", &address, "--take", ids[0], "--yes"],
            &["preview", "--destination", "out", "--email", &address],
        ] {
            let refused = home.run(command);
            assert_eq!(
                (refused.code, refused.out.as_str()),
                (2, ""),
                "{command:?}: {refused:?}"
            );
            assert!(refused.err.contains(&listed), "{command:?}: {refused:?}");
            assert_eq!(
                refused.err.contains("--all-users"),
                command[1] == "erase",
                "{refused:?}"
            );
        }
        let shown = home.ok(&["contact", "show", &address]);
        assert!(shown.starts_with("2 people use this address"), "{shown}");
        for id in ids {
            assert!(shown.contains(&format!("foreign_id   {id}")), "{shown}");
        }
        let consent = home.ok(&["contact", "consent", &address]);
        assert!(consent.starts_with("2 people use this address"), "{consent}");
        let accounts = home.json(&["contact", "consent", &address, "--json"]);
        assert_eq!(accounts.as_array().map(Vec::len), Some(2));
    }
    let traces = |address: &str| {
        let traces = home.json(&["trace", "--email", address, "--json"]);
        let ids = traces.as_array().expect("traces").iter();
        ids.map(|trace| trace["inbox"]["id"].as_i64().expect("a number"))
            .collect::<Vec<_>>()
    };
    assert_eq!(traces("noemail@example.org"), [1, 2]);
    assert_eq!(traces("family@example.org"), [3, 4, 5]);
    assert_eq!(traces("own@example.org"), [3, 5]);
    // An id names one person, and `email:` names the owner of the address.
    home.ok(&["contact", "erase", "platform:66", "--yes", "--now"]);
    assert!(
        home.ok(&["contact", "show", "platform:65"])
            .contains("own@example.org")
    );
    home.ok(&["contact", "erase", "email:family@example.org", "--yes", "--now"]);
    assert_eq!(home.run(&["contact", "show", "family@example.org"]).code, 1);
    home.ok(&[
        "contact",
        "erase",
        "noemail@example.org",
        "--yes",
        "--now",
        "--all-users",
    ]);
    assert_eq!(home.run(&["contact", "show", "noemail@example.org"]).code, 1);
    hub.stop();
}

/// People with the same address share a row in a table whose key is the address.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_two_people_share_comes_back_for_the_one_who_stays() {
    let home = Home::new(&format!(
        "[source.platform]\nkind = 'listener'\npreset = 'generic'\ntoken = '{PLATFORM}'\n\
         generic = {{ consent_from = [{{ field = 'mail', opt_in = ['yes'], unsubscribed = ['no'] }}] }}\n\
         [destination.members]\nkind = 'sql'\nurl = 'sqlite:members.db'\nconsent = 'opt_in'\n\
         [destination.members.contacts]\ntable = 'people'\nkey = ['email']\n\
         columns = {{ email = 'contact.email', ok = 'consent.email.subscribed' }}\n"
    ));
    let people = rusqlite::Connection::open(home.path("members.db")).expect("a database");
    people
        .execute_batch("CREATE TABLE people (email TEXT PRIMARY KEY, ok INTEGER)")
        .expect("a table");
    let rows = || {
        let mut all = people.prepare("SELECT email, ok FROM people").expect("a table");
        let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.expect("rows")
            .collect::<Result<Vec<(String, i64)>, _>>()
            .expect("texts")
    };
    let family = |ok| vec![("family@example.org".to_owned(), ok)];
    let hub = home.serve();
    let says = async |id: &str, mail: &str| {
        let record = json!({ "contact_id": id, "email": "family@example.org", "mail": mail });
        hub.post_json(PLATFORM, &record).await;
    };
    says("51", "yes").await;
    says("52", "yes").await;
    home.settled(2).await;
    assert_eq!(rows(), family(1));
    home.ok(&["contact", "erase", "platform:51", "--yes"]);
    home.until("the person is erased", || {
        home.run(&["contact", "show", "platform:51"]).code == 1
    })
    .await;
    home.settled(2).await;
    assert_eq!(rows(), family(1));
    let consent = home.ok(&["contact", "consent", "platform:52"]);
    assert!(consent.contains("May be sent to members"), "{consent}");
    says("52", "no").await;
    home.settled(5).await;
    assert_eq!(rows(), family(0));
    let consent = home.ok(&["contact", "consent", "platform:52"]);
    assert!(consent.contains(", as unsubscribed."), "{consent}");
    assert_eq!(home.run(&["audit"]).code, 0);
    hub.stop();
}

/// Otherwise nobody sees that the destination still has the person.
#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_waits_for_a_person_where_a_destination_cannot_receive_it() {
    let api = causeway_testkit::fake_api::FakeApi::start().await;
    let home = Home::new(&format!(
        "[source.platform]\nkind = 'listener'\npreset = 'generic'\ntoken = '{PLATFORM}'\n\
         [destination.old_crm]\nkind = 'webhook'\nurl = '{}'\nallow_private = true\nconsent = 'all'\n\
         [destination.old_crm.fields]\nmail = 'contact.email'\n",
        api.url("/crm")
    ));
    let hub = home.serve();
    signs(&hub, PLATFORM, "71", "ann").await;
    home.settled(1).await;
    home.until("she was sent", || {
        crate::running::sum(&home.json(&["audit", "--json"])["destinations"], "delivered") == 1
    })
    .await;
    let printed = home.ok(&["contact", "erase", "platform:71", "--yes"]);
    assert!(
        printed.contains("old_crm is NOT asked")
            && printed.contains("waits until you have deleted the person"),
        "{printed}"
    );
    let leaving = home.json(&["contact", "leaving", "--json"]);
    let removal = &leaving[0]["removals"][0];
    assert_eq!(
        (&removal["destination"], &removal["state"]),
        (&json!("old_crm"), &json!("skipped"))
    );
    let number = removal["delivery"].to_string();
    let discard = format!("`causeway delivery discard {number} --why 'done by hand'`");
    let printed = home.ok(&["contact", "leaving"]);
    assert!(
        printed.contains("old_crm cannot receive the removal") && printed.contains(&discard),
        "{printed}"
    );
    let doctor = home.run(&["doctor", "--timeout", "1"]).out;
    assert!(
        doctor.contains("BAD   destination old_crm: 1 person who asked to be erased is still there"),
        "{doctor}"
    );
    home.ok(&["delivery", "discard", &number, "--why", "done by hand"]);
    home.until("she is erased", || {
        home.run(&["contact", "show", "platform:71"]).code == 1
    })
    .await;
    hub.stop();
}

#[test]
fn a_destination_that_never_existed_cannot_be_forgotten() {
    let home = home("");
    home.serve().stop();
    let refused = home.run(&["destination", "forget", "nonsense"]);
    assert_eq!(refused.code, 2);
    assert!(
        refused
            .err
            .contains("there is no former destination \"nonsense\"")
            && refused.err.contains("forgotten: none"),
        "{refused:?}"
    );
    let refused = home.run(&["destination", "forget", "out"]);
    assert!(refused.err.contains("out receives all opt-outs"), "{refused:?}");
}
