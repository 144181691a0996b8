//! From a Proca queue, a platform's forms and a sign-up link to a web hook, a database and a file.

use causeway_testkit::{
    fake_api::FakeApi,
    rig::{postgres, rabbit, topology},
};

use crate::running::{Home, blocking, signature, status, sum};

const PLATFORM: &str = "platform-token-of-24-chars";
const SIGNUPS: &str = "signups-token-of-24-charss";

fn config(org: u32, hook: &str) -> String {
    format!(
        r#"
[source.proca]
kind = "proca"
url = {{ env = "PROCA_AMQP_URL" }}
queue = "cus.{org}.deliver"
consent = "single"

[source.platform]
kind = "listener"
preset = "sync-to-third-party"
token = "{PLATFORM}"

[source.signups]
kind = "listener"
preset = "generic"
token = "{SIGNUPS}"
generic = {{ consent = "opt_in" }}

[destination.hook]
kind = "webhook"
url = "{hook}"
allow_private = true
consent = "all"

[destination.members]
kind = "sql"
url = {{ env = "MEMBERS_DB_URL" }}
contacts = {{ table = "contacts" }}
consent = "opt_in"

[destination.archive]
kind = "file"
path = "archive.csv"
consent = "all"
"#
    )
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one story, in its order")]
async fn every_message_reaches_the_allowed_destinations_and_the_books_balance() {
    let topology = topology::declare_unique().await;
    let org = topology.org();
    let broker = blocking(move || rabbit::shared().add_customer(org)).await;
    let database = blocking(|| postgres::shared().create_database()).await;
    let api = FakeApi::start().await;
    let home = Home::new(&config(org, &api.url("/hook")))
        .with("PROCA_AMQP_URL", &broker)
        .with("MEMBERS_DB_URL", &database);
    let members =
        || postgres::shared().execute(&database, "SELECT email, subscribed FROM contacts ORDER BY 1");

    home.ok(&["config", "check"]);
    home.ok(&["destination", "create", "members"]);
    let doctor = home.ok(&["doctor"]);
    assert_eq!(doctor.matches("ok  ").count(), 8, "{doctor}");

    let hub = home.serve();
    for (id, name, opt_in) in [(1, "ann", Some(true)), (2, "bob", None), (3, "cem", Some(false))] {
        let body = signature(org, id, name, opt_in).to_string();
        topology
            .publish_action("petition.clean_rivers", body.as_bytes())
            .await;
    }
    let form = "transactionid=17&contact%5Bid%5D=5&contact%5Bemail%5D=dee%40example.org&fields%5B0%5D%5Bid%5D=125&fields%5B0%5D%5Bname%5D=First+Name&fields%5B0%5D%5Bvalue%5D=Dee";
    for _ in 0..2 {
        let answer = hub
            .post(PLATFORM, "application/x-www-form-urlencoded", form.as_bytes())
            .await;
        assert!(answer.contains(r#"{"status":"ok","reference":""#), "{answer}");
    }
    let answer = hub
        .get(&format!("{SIGNUPS}?email=eve%40example.org&firstName=Eve"))
        .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    home.settled(6).await;

    let mut addresses: Vec<String> = api
        .requests()
        .iter()
        .map(|request| {
            request.json()["contact"]["email"]
                .as_str()
                .expect("an address")
                .to_owned()
        })
        .collect();
    addresses.sort();
    assert_eq!(
        addresses,
        ["ann", "bob", "cem", "dee", "eve"].map(|name| format!("{name}@example.org"))
    );
    assert_eq!(
        home.read("archive.csv").lines().count(),
        6,
        "a header and five records"
    );
    assert_eq!(members(), "ann@example.org|t\neve@example.org|t\n");
    assert_eq!(topology.waiting(&topology.queue("deliver")).await, 0);
    assert_eq!(topology.waiting(&topology.fail_queue()).await, 0);

    // Bob confirms by mail, Ann unsubscribes.
    for (id, name, what) in [(2, "bob", "double_opt_in"), (1, "ann", "unsub")] {
        let body = status(id, name, what).to_string();
        topology
            .publish_event("supporter.email_status", body.as_bytes())
            .await;
    }
    home.settled(8).await;
    assert_eq!(
        members(),
        "ann@example.org|f\nbob@example.org|t\neve@example.org|t\n"
    );

    let audit = home.json(&["audit", "--json"]);
    for books in ["sources", "destinations"] {
        let books = audit[books].as_object().expect("books");
        assert!(books.values().all(|book| book["difference"] == 0), "{audit}");
    }
    assert_eq!(sum(&audit["sources"], "duplicate"), 1);
    let trace = home.ok(&["trace", "--email", "Ann@Example.org"]);
    for part in [
        "opted_in",
        "→ members: delivered (record)",
        "→ members: delivered (withdrawal)",
    ] {
        assert!(trace.contains(part), "{part:?} is not in {trace}");
    }
    let shown = home.ok(&["contact", "show", "ann@example.org"]);
    assert!(shown.contains("email: unsubscribed"), "{shown}");
    let export = home.json(&["contact", "export", "ann@example.org"]);
    assert!(
        export.to_string().contains("proca:action:2"),
        "the messages as they came: {export}"
    );

    let unsure = home.run(&["contact", "erase", "ann@example.org"]);
    assert_eq!(unsure.code, 2, "{unsure:?}");
    let leaves = home.ok(&["contact", "erase", "ann@example.org", "--yes"]);
    assert!(leaves.contains("is asked to remove the person"), "{leaves}");
    assert!(leaves.contains("backups"), "{leaves}");
    home.until("she is erased", || {
        home.run(&["contact", "show", "ann@example.org"]).code == 1
    })
    .await;
    assert_eq!(home.ok(&["contact", "leaving"]).trim(), "No erasure is pending.");
    // A later message about an erased person is not sent.
    let before = api.requests().len();
    topology
        .publish_action(
            "petition.clean_rivers",
            signature(org, 9, "ann", Some(true)).to_string().as_bytes(),
        )
        .await;
    home.settled(10).await;
    assert_eq!(api.requests().len(), before);
    assert_eq!(home.run(&["audit"]).code, 0);
    hub.stop();
}
