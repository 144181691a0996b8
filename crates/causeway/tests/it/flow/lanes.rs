//! Deliveries that fail, wait, and are retried.

use causeway_testkit::fake_api::{FakeApi, Reply};
use serde_json::{Value, json};

use crate::running::{Home, Running, signature, status};

const TOKEN: &str = "proca-token-of-24-characters";
const ORG: u32 = 12;

/// Proca's messages by HTTP, to one web hook.
fn home(hook: &str, more: &str) -> Home {
    Home::new(&format!(
        "[source.proca]\nkind = 'listener'\npreset = 'proca'\ntoken = '{TOKEN}'\nproca = {{ own_orgs = [{ORG}], consent = 'single' }}\n\
         [destination.hook]\nkind = 'webhook'\nurl = '{hook}'\nallow_private = true\n{more}\n"
    ))
}

async fn send(hub: &Running, body: &Value) {
    hub.post_json(TOKEN, body).await;
}

fn keys(api: &FakeApi) -> Vec<String> {
    let requests = api.requests();
    let key =
        |request: &causeway_testkit::fake_api::Request| request.header("idempotency-key").map(str::to_owned);
    requests.iter().filter_map(key).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_delivery_is_retried_under_the_same_key() {
    let api = FakeApi::start().await;
    let home = home(&api.url("/hook"), "consent = 'all'");
    let hub = home.serve();
    api.reply(Reply::json(422, &json!({ "error": "postcode" })));
    send(&hub, &signature(ORG, 1, "ann", Some(true))).await;
    home.settled(1).await;
    let dead = home.json(&["delivery", "list", "--state", "dead", "--json"]);
    assert_eq!(dead.as_array().map(Vec::len), Some(1), "{dead}");
    assert!(
        dead[0]["reason"].as_str().expect("a reason").contains("422"),
        "{dead}"
    );

    // A dead delivery does not block later ones.
    api.reply(Reply::status(200));
    send(&hub, &signature(ORG, 2, "ann", Some(true))).await;
    home.settled(2).await;
    assert_eq!(
        home.ok(&["delivery", "retry", "--state", "dead"]),
        "1 delivery is due now\n"
    );
    api.wait_for(3).await;
    home.settled(2).await;
    let keys = keys(&api);
    assert_eq!(keys[0], keys[2], "the same delivery has the same key");
    assert_ne!(keys[0], keys[1]);
    assert_eq!(
        home.json(&["delivery", "list", "--state", "dead", "--json"]),
        json!([])
    );
    assert_eq!(home.run(&["audit"]).code, 0);
    hub.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_delivery_is_not_sent_after_an_opt_out() {
    let api = FakeApi::start().await;
    let home = home(&api.url("/hook"), "consent = 'opt_in'");
    let hub = home.serve();
    assert!(home.ok(&["delivery", "pause", "hook"]).contains("is paused"));
    home.until("the lane has seen it", || hub.log().contains(r#""paused":true"#))
        .await;
    send(&hub, &signature(ORG, 1, "ann", Some(true))).await;
    send(&hub, &signature(ORG, 2, "bob", Some(true))).await;
    send(&hub, &status(1, "ann", "unsub")).await;
    home.until("all three are processed", || {
        let audit = home.json(&["audit", "--json"]);
        audit["sources"]["proca"]["done"] == 3
    })
    .await;
    assert_eq!(api.requests().len(), 0, "paused");
    home.ok(&["delivery", "resume", "hook"]);
    home.settled(3).await;
    let sent: Vec<Value> = api
        .requests()
        .iter()
        .map(causeway_testkit::fake_api::Request::json)
        .collect();
    let records: Vec<&Value> = sent.iter().filter(|sent| sent["type"] == "record").collect();
    assert_eq!(records.len(), 1, "{sent:?}");
    assert_eq!(records[0]["contact"]["email"], "bob@example.org");
    let trace = home.trace(1);
    assert_eq!(trace["deliveries"][0]["delivery"]["state"], "skipped", "{trace}");
    assert!(
        trace["deliveries"][0]["delivery"]["reason"].is_string(),
        "{trace}"
    );
    assert_eq!(home.run(&["audit"]).code, 0);
    hub.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_prints_the_request_and_makes_neither_a_row_nor_a_request() {
    let api = FakeApi::start().await;
    let home = home(&api.url("/hook"), "consent = 'all'");
    let hub = home.serve();
    let body = signature(ORG, 1, "ann", Some(true)).to_string();
    home.write("message.json", &body);
    let before = home.json(&["audit", "--json"]);
    for file in ["message.json", "-"] {
        let said = home.run_with(&["send", file, "--dry-run"], body.as_bytes());
        assert_eq!(said.code, 0, "{said:?}");
        assert!(
            said.out.contains("POST http://127.0.0.1") && said.out.contains("ann@example.org"),
            "{said:?}"
        );
    }
    assert_eq!(home.json(&["audit", "--json"]), before);
    assert_eq!(home.run(&["trace", "1"]).code, 1, "there is no record");
    assert_eq!(api.connections(), 0);
    // Without --dry-run the message is delivered, once.
    let sent = home.ok(&["send", "message.json"]);
    assert!(sent.contains("→ hook: delivered"), "{sent}");
    let again = home.ok(&["send", "message.json"]);
    assert!(again.contains("arrived before"), "{again}");
    assert_eq!(api.requests().len(), 1);
    // For an erased person it prints that nothing would be stored.
    home.ok(&["contact", "erase", "ann@example.org", "--yes"]);
    home.until("she is erased", || {
        home.run(&["contact", "show", "ann@example.org"]).code != 0
    })
    .await;
    let later = signature(ORG, 2, "ann", Some(true)).to_string();
    let said = home.run_with(&["send", "-", "--dry-run"], later.as_bytes());
    assert!(
        said.out
            .contains("the message would be skipped: names a person who was erased"),
        "{said:?}"
    );
    hub.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_uses_the_same_keys() {
    let api = FakeApi::start().await;
    let original = home(&api.url("/hook"), "consent = 'all'\nretry_s = [0.1, 0.1, 3600]");
    let hub = original.serve();
    api.reply(Reply::status(200));
    send(&hub, &signature(ORG, 1, "ann", Some(true))).await;
    original.settled(1).await;
    original.ok(&["delivery", "pause", "hook"]);
    original
        .until("the lane has seen it", || hub.log().contains(r#""paused":true"#))
        .await;
    for id in 2..20 {
        send(&hub, &signature(ORG, id, &format!("person{id}"), Some(true))).await;
    }
    original.ok(&["backup", "copy.db"]);
    let over = original.run(&["backup", "copy.db"]);
    assert_eq!(over.code, 2, "a backup never overwrites: {over:?}");
    original.ok(&["delivery", "resume", "hook"]);
    original.settled(19).await;
    hub.stop();
    let before = keys(&api);

    let restored = home(&api.url("/hook"), "consent = 'all'");
    std::fs::create_dir(restored.path("causeway-data")).expect("a folder");
    std::fs::copy(
        original.path("copy.db"),
        restored.path("causeway-data/causeway.db"),
    )
    .expect("a copy");
    let hub = restored.serve();
    restored.ok(&["delivery", "resume", "hook"]);
    restored.settled(19).await;
    assert_eq!(restored.run(&["audit"]).code, 0);
    let again = keys(&api).split_off(before.len());
    assert_eq!(
        again.len(),
        18,
        "what the copy holds as delivered is not sent again"
    );
    assert!(
        again.iter().all(|key| before.contains(key)),
        "a repeat has the key of the first"
    );
    // A duplicate is still recognised.
    send(&hub, &signature(ORG, 1, "ann", Some(true))).await;
    restored.settled(20).await;
    assert_eq!(keys(&api).len(), before.len() + 18);
    hub.stop();
}

/// Deliveries of a renamed or removed destination must be visible, and can be discarded.
#[tokio::test(flavor = "multi_thread")]
async fn deliveries_of_a_removed_destination_are_reported_and_can_be_discarded() {
    let api = FakeApi::start().await;
    let home = home(&api.url("/hook"), "consent = 'all'");
    home.ok(&["delivery", "pause", "hook"]);
    let hub = home.serve();
    send(&hub, &signature(ORG, 1, "ann", Some(true))).await;
    home.until("the delivery is planned", || {
        crate::running::sum(&home.json(&["audit", "--json"])["destinations"], "waiting") == 1
    })
    .await;
    hub.stop();
    let config = std::fs::read_to_string(home.path("causeway.toml")).expect("the configuration");
    home.write(
        "causeway.toml",
        config.replace("[destination.hook]", "[destination.crm]"),
    );

    let said = home.run(&["doctor", "--timeout", "1"]);
    assert!(
        said.code == 1 && said.out.contains("BAD   destination hook: 1 deliveries wait"),
        "{said:?}"
    );
    let hub = home.serve();
    assert!(
        hub.log().contains("the configuration has no [destination.hook]"),
        "{}",
        hub.log()
    );
    hub.stop();
    let list = ["delivery", "list", "--destination", "hook", "--json"];
    assert_eq!(home.json(&list)[0]["state"], "waiting");
    let said = home.ok(&["delivery", "discard", "--destination", "hook"]);
    assert!(said.starts_with("1 delivery discarded"), "{said}");
    assert_eq!(home.run(&["delivery", "retry", "--destination", "hook"]).code, 2);
    assert_eq!(home.run(&["delivery", "list", "--destination", "none"]).code, 2);
    assert_eq!(home.json(&list)[0]["state"], "skipped");
    assert!(
        !home
            .run(&["doctor", "--timeout", "1"])
            .out
            .contains("destination hook")
    );
}

/// No opt-out reaches the destination, and no waiting delivery would show it.
#[tokio::test(flavor = "multi_thread")]
async fn people_at_a_removed_destination_are_reported_until_it_is_forgotten() {
    let api = FakeApi::start().await;
    let home = home(&api.url("/hook"), "consent = 'all'");
    let hub = home.serve();
    send(&hub, &signature(ORG, 1, "ann", Some(true))).await;
    home.settled(1).await;
    hub.stop();
    let refused = home.run(&["destination", "forget", "hook"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    let config = std::fs::read_to_string(home.path("causeway.toml")).expect("the configuration");
    home.write(
        "causeway.toml",
        config.replace("[destination.hook]", "[destination.crm]"),
    );

    let warning = "destination hook: 1 person is still there";
    let said = home.run(&["doctor", "--timeout", "1"]);
    assert!(said.code == 1 && said.out.contains(warning), "{said:?}");
    let hub = home.serve();
    assert!(hub.log().contains(warning), "{}", hub.log());
    hub.stop();
    let said = home.ok(&["destination", "forget", "hook"]);
    assert!(said.starts_with("1 person is forgotten"), "{said}");
    let said = home.run(&["doctor", "--timeout", "1"]);
    assert!(!said.out.contains("destination hook"), "{said:?}");
    assert_eq!(home.run(&["destination", "forget", "hook"]).code, 2);
}
