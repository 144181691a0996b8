//! A destination that comes later is sent the people who came before it, through the same rules as everybody.

use serde_json::{Value, json};

use crate::running::{Home, Running};

const TOKEN: &str = "token-of-24-characters-plat";

fn config(more: &str) -> String {
    format!(
        "[http]\nlisten = \"127.0.0.1:0\"\nconsole = \"127.0.0.1:0\"\n\
         [source.form]\nkind = 'listener'\npreset = 'generic'\ntoken = '{TOKEN}'\n\
         generic = {{ consent_from = [{{ field = 'newsletter', opt_in = ['yes'], unsubscribed = ['no'] }}] }}\n\
         [destination.old]\nkind = 'file'\npath = 'old.jsonl'\nconsent = 'all'\n{more}"
    )
}

const NEW: &str = "[destination.new]\nkind = 'file'\npath = 'new.jsonl'\nconsent = 'opt_in'\n\
                   fields = { email = 'contact.email', name = 'contact.firstName', change = 'change' }\n";

async fn signs(hub: &Running, number: u64, name: &str, consent: &str) {
    let record = json!({ "contact_id": format!("c-{name}"), "email": format!("{name}@example.org"), "first_name": name,
                         "newsletter": consent, "transactionid": format!("t{number}") });
    hub.post_json(TOKEN, &record).await;
}

/// The records at the new destination, in the order of addresses.
fn records(home: &Home) -> Vec<Value> {
    let text = home.read("new.jsonl");
    let mut all: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect();
    all.sort_by_key(|record| record["email"].as_str().unwrap_or_default().to_owned());
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_came_before_are_sent_once_and_only_if_they_agree() {
    let home = Home::new("");
    home.write("causeway.toml", config(""));
    let hub = home.serve();
    for (number, name, consent) in [
        (1, "ann", "yes"),
        (2, "ben", "no"),
        (3, "cora", "yes"),
        (4, "dan", "yes"),
        (5, "dan", "no"),
    ] {
        signs(&hub, number, name, consent).await;
    }
    home.settled(5).await;
    hub.stop();
    home.write("causeway.toml", config(NEW));
    let hub = home.serve();
    signs(&hub, 6, "eva", "yes").await;
    home.settled(6).await;
    let counted = home.ok(&["backfill", "new", "--dry-run"]);
    for line in [
        "2 deliveries would be planned; nothing was changed.",
        "5  people looked at",
        "1  people left out: the destination was sent them already",
        "2  people left out: their consent is not enough for it",
    ] {
        assert!(counted.contains(line), "{counted}");
    }
    assert_eq!(records(&home).len(), 1);
    let planned = home.ok(&["backfill", "new", "--per-minute", "60000"]);
    assert!(planned.starts_with("2 deliveries planned"), "{planned}");
    home.until("the people have arrived", || records(&home).len() == 3)
        .await;
    let mut arrived = records(&home);
    for record in &mut arrived {
        record.as_object_mut().expect("a record").remove("delivery");
    }
    let expected = ["ann", "cora", "eva"]
        .map(|name| json!({ "email": format!("{name}@example.org"), "name": name, "change": "subscribe" }));
    assert_eq!(arrived, expected);
    // A repetition plans nothing, whatever has been delivered meanwhile.
    let again = home.ok(&["backfill", "new"]);
    assert!(again.starts_with("No delivery was planned."), "{again}");
    hub.stop();
    let nobody = home.ok(&["backfill", "new", "--campaign", "rivers", "--dry-run"]);
    assert!(nobody.starts_with("0 deliveries would be planned"), "{nobody}");
    let wrong = home.run(&["backfill", "crm"]);
    assert_eq!(wrong.code, 2);
    assert!(
        wrong
            .err
            .contains("there is no destination \"crm\"; there are: new, old"),
        "{wrong:?}"
    );
}
