//! `causeway reload` and SIGHUP: the configuration changes while the hub runs.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use causeway::hub::{Hub, Options};
use causeway_testkit::fake_api::{FakeApi, Reply};
use serde_json::{Value, json};

use crate::running::{Home, Running, exchange};

const TOKEN: &str = "token-of-24-characters-asks";

/// A listener, and two web hooks. `crm` has this mapping.
fn config(api: &FakeApi, fields: &str) -> String {
    format!(
        "[source.platform]\nkind = 'listener'\npreset = 'sync-to-third-party'\ntoken = '{TOKEN}'\nnamespace = 'p'\n\
         sync = {{ consent = 'opt_in' }}\n\
         [destination.crm]\nkind = 'webhook'\nurl = '{}'\nallow_private = true\nfields = {{ change = 'change', {fields} }}\n\
         [destination.other]\nkind = 'webhook'\nurl = '{}'\nallow_private = true\n",
        api.url("/crm"),
        api.url("/other")
    )
}

fn write(home: &Home, config: &str) {
    let http = "[http]\nlisten = '127.0.0.1:0'\nconsole = '127.0.0.1:0'\n";
    home.write("causeway.toml", format!("{http}{config}"));
}

async fn signs(hub: &Running, number: u32) {
    let body = form(number);
    let answer = hub
        .post(TOKEN, "application/x-www-form-urlencoded", body.as_bytes())
        .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

fn form(number: u32) -> String {
    format!("transactionid={number}&contact[email]=person{number}@example.org&contact[first_name]=P{number}")
}

async fn ready(hub: &Running) -> Value {
    let page = hub.page("/readyz").await;
    let body = page.split("\r\n\r\n").nth(1).expect("a body");
    serde_json::from_str(body).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_mapping_is_in_force_without_a_restart() {
    let api = FakeApi::start().await;
    api.reply(Reply::status(200));
    let home = Home::new(&config(&api, "name = 'contact.nickname'"));
    let mut hub = home.serve();
    signs(&hub, 1).await;
    let dead = || home.json(&["audit", "--json"])["destinations"]["crm"]["dead"].clone();
    home.until("the delivery is dead", || dead() == json!(1)).await;
    assert_eq!(ready(&hub).await["configuration"]["generation"], json!(1));

    write(&home, &config(&api, "name = 'contact.firstName'"));
    let warned = ready(&hub).await;
    assert!(
        warned["warnings"].to_string().contains("causeway reload"),
        "{warned}"
    );
    let doctor = home.run(&["doctor"]).out;
    assert!(doctor.contains("WARN  hub: generation 1"), "{doctor}");

    let said = home.ok(&["reload"]);
    assert_eq!(said, "Generation 2 of the configuration is in force.\n");
    let now = ready(&hub).await;
    assert_eq!(now["configuration"]["generation"], json!(2));
    assert!(now["warnings"].is_null(), "{now}");
    assert!(home.run(&["doctor"]).out.contains("ok    hub: generation 2"));
    home.ok(&["delivery", "retry", "--destination", "crm", "--state", "dead"]);
    home.settled(1).await;
    let sent = api.requests();
    let to_crm: Vec<_> = sent.iter().filter(|request| request.path == "/crm").collect();
    assert_eq!(to_crm.len(), 1);
    assert_eq!(to_crm[0].json()["name"], json!("P1"));
    assert!(home.ok(&["reload"]).contains("Nothing has changed: generation 2"));
    assert!(hub.is_running());
    hub.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_file_changes_nothing() {
    let api = FakeApi::start().await;
    api.reply(Reply::status(200));
    let good = config(&api, "name = 'contact.firstName'");
    let home = Home::new(&good);
    let mut hub = home.serve();
    for (wrong, part) in [
        ("[destination.crm", "causeway.toml"),
        (
            "[destination.crm]\nkind = 'webhook'\nurl = 'https://hooks.example.org/'\nfields = { a = 'contact.' }",
            "fields.a",
        ),
    ] {
        write(&home, wrong);
        let said = home.run(&["reload"]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains(part), "{said:?}");
        hub.hang_up();
        home.until("the hub refused it", || {
            let log = home.read("serve.log");
            log.contains("the old one stays in force")
        })
        .await;
    }
    // What only a restart can change.
    home.write(
        "causeway.toml",
        format!("[http]\nlisten = '127.0.0.1:9'\nconsole = '127.0.0.1:0'\n{good}"),
    );
    let said = home.run(&["reload"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.err.contains("http.listen") && said.err.contains("restart"),
        "{said:?}"
    );
    write(&home, &good);
    assert_eq!(ready(&hub).await["configuration"]["generation"], json!(1));
    signs(&hub, 1).await;
    home.settled(1).await;
    assert_eq!(api.requests().len(), 2);
    assert!(hub.is_running());
    hub.stop();
    assert!(home.run(&["reload"]).err.contains("no hub runs"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halted_destination_goes_on_and_sources_come_and_go() {
    let api = FakeApi::start().await;
    api.compute_at("/crm", |request| {
        let is_right = request.header("authorization") == Some("Bearer right");
        Reply::status(if is_right { 200 } else { 401 })
    });
    api.compute_at("/other", |_| Reply::status(200));
    let with = |more: &str| {
        let config = config(&api, "name = 'contact.firstName'");
        config.replace("[destination.other]", &format!("{more}\n[destination.other]"))
    };
    let auth = "headers = { Authorization = { file = 'token' } }";
    let home = Home::new(&with(auth));
    home.write("token", "Bearer wrong");
    let hub = home.serve();
    for number in 1..=3 {
        signs(&hub, number).await;
    }
    let is_halted = || {
        home.json(&["delivery", "list", "--json"])
            .to_string()
            .contains("401")
    };
    home.until("crm refuses", is_halted).await;
    home.until("crm is halted", || home.read("serve.log").contains("is halted"))
        .await;

    // Only the secret in the file is another one.
    home.write("token", "Bearer right");
    home.ok(&["reload"]);
    home.settled(3).await;

    let events = "[source.site]\nkind = 'events'\ntokens = ['another-token-of-24-chars']\n";
    write(&home, &format!("{events}{}", with(auth)));
    home.ok(&["reload"]);
    let body = r#"{"type":"goal","key":"k1","contact":{"email":"eve@example.org"}}"#;
    let post = format!(
        "POST /v1/events HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nAuthorization: Bearer another-token-of-24-chars\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(&hub.listener, post.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    write(&home, &with(auth));
    home.ok(&["reload"]);
    let answer = exchange(&hub.listener, post.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    // The old section could not be made any more, and need not.
    std::fs::remove_file(home.path("token")).expect("it is there");
    write(&home, &with(""));
    home.ok(&["reload"]);
    hub.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_reloads_under_load_lose_nothing_and_repeat_nothing() {
    const RELOADS: u32 = 200;
    drop(rustls::crypto::ring::default_provider().install_default());
    let api = Arc::new(FakeApi::start().await);
    api.compute(|_| Reply::status(200).after(Duration::from_millis(3)));
    let home = Home::new(&config(&api, "name = 'contact.firstName', reload = '=0'"));
    let path = home.path("causeway.toml");
    let config_of = || causeway::config::load(&path).expect("a configuration");
    let mut hub = Hub::start(config_of(), Options::default()).await.expect("a hub");
    let listener = hub.listener.to_string();
    let (done, mut is_done) = tokio::sync::watch::channel(false);
    let sending = tokio::spawn(async move {
        let mut number = 0;
        while !*is_done.borrow_and_update() {
            number += 1;
            let body = form(number);
            let head = format!(
                "POST /in/{TOKEN} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nContent-Type: \
                 application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let answer = exchange(&listener, head.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        number
    });
    for reload in 1..=RELOADS {
        write(
            &home,
            &config(&api, &format!("name = 'contact.firstName', reload = '={reload}'")),
        );
        let reloaded = hub.reload().await.expect("it is reloaded");
        assert_eq!((reloaded.generation, reloaded.has_changed), (reload + 1, true));
        let names: Vec<&str> = reloaded.destinations.iter().map(|name| &**name).collect();
        assert_eq!((names, reloaded.sources.len()), (vec!["crm"], 0));
    }
    done.send(true).expect("it is sending");
    let sent = sending.await.expect("all were accepted");
    let limit = Instant::now() + Duration::from_mins(1);
    let expected = usize::try_from(sent).expect("a number") * 2;
    while api.requests().len() < expected && Instant::now() < limit {
        tokio::task::yield_now().await;
    }
    hub.stop(std::future::pending()).await;
    let mut calls: BTreeMap<(String, String), u32> = BTreeMap::new();
    for request in api.requests() {
        let key = request.header("idempotency-key").expect("a key").to_owned();
        *calls.entry((request.path.clone(), key)).or_default() += 1;
    }
    assert_eq!(calls.len(), expected, "of {sent} messages");
    let repeated: Vec<_> = calls.iter().filter(|(_, count)| **count > 1).collect();
    assert!(repeated.is_empty(), "{repeated:?}");
}
