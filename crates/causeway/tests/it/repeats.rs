//! Duplicates in the real program: a repeated message is none if another message about the contact came in between.

use std::{collections::BTreeMap, sync::Arc};

use causeway_testkit::fake_api::FakeApi;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::running::{Home, Running, exchange, sum};

const FORM: &str = "forms-token-of-24-characters";
const PLATFORM: &str = "platform-token-of-24-chars";
const SITE: &str = "site-token-of-24-characters";

/// The number of people who opt out, in and out again.
const PEOPLE: usize = 200;
/// The number of messages in the backlog meanwhile.
const BACKLOG: usize = 5_000;

fn home(hook: &str) -> Home {
    Home::new(&format!(
        "[source.forms]\nkind = 'listener'\npreset = 'generic'\ntoken = '{FORM}'\n\
         generic = {{ consent_from = [{{ field = 'newsletter', opt_in = ['yes'], unsubscribed = ['no'] }}] }}\n\
         [source.platform]\nkind = 'listener'\npreset = 'sync-to-third-party'\ntoken = '{PLATFORM}'\n\
         sync = {{ consent_from = [{{ field = 'Newsletter', opt_in = ['yes'], unsubscribed = ['no'] }}] }}\n\
         [source.site]\nkind = 'events'\ntokens = ['{SITE}']\n\
         [destination.hook]\nkind = 'webhook'\nurl = '{hook}'\nallow_private = true\nconsent = 'opt_in'\n"
    ))
}

/// The sources.
#[derive(Clone)]
struct Ways {
    listener: String,
}

impl Ways {
    async fn form(&self, who: &str, newsletter: &str) -> Value {
        let body = format!("email={who}@example.org&newsletter={newsletter}");
        self.post(&format!("/in/{FORM}"), "", &body).await
    }

    async fn sync(&self, transaction: &str, who: &str, newsletter: &str) -> Value {
        let body = format!(
            "transactionid={transaction}&contact[id]=7{who}&contact[email]={who}@example.org\
             &fields[0][name]=Newsletter&fields[0][value]={newsletter}"
        );
        self.post(&format!("/in/{PLATFORM}"), "", &body).await
    }

    async fn events(&self, items: &Value) -> Value {
        let token = format!("Authorization: Bearer {SITE}\r\n");
        self.post("/v1/events", &token, &items.to_string()).await
    }

    async fn post(&self, path: &str, headers: &str, body: &str) -> Value {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
            body.len()
        );
        let answer = exchange(&self.listener, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        serde_json::from_str(body).expect("JSON")
    }
}

fn ways(hub: &Running) -> Ways {
    Ways {
        listener: hub.listener.clone(),
    }
}

fn consent(who: &str, what: &str) -> Value {
    json!({ "type": "consent", "contact": { "email": format!("{who}@example.org") }, "what": what })
}

/// Sends an opt-out, an opt-in and an opt-out to one of the sources.
async fn waver(ways: &Ways, round: &str, number: usize) {
    let who = format!("{round}-{number}");
    let (no, yes) = (|| consent(&who, "unsubscribed"), || consent(&who, "opt_in"));
    match number % 5 {
        0 => {
            ways.form(&who, "no").await;
            ways.form(&who, "yes").await;
            ways.form(&who, "no").await;
        }
        1 => {
            ways.form(&who, "no").await;
            ways.events(&yes()).await;
            ways.form(&who, "no").await;
        }
        2 => {
            ways.events(&no()).await;
            ways.events(&yes()).await;
            ways.events(&no()).await;
        }
        3 => {
            ways.events(&no()).await;
            ways.form(&who, "yes").await;
            ways.events(&no()).await;
        }
        _ => {
            ways.sync("1", &who, "no").await;
            ways.sync("1", &who, "yes").await;
            ways.sync("1", &who, "no").await;
        }
    }
}

/// The last change that the receiver got about each person.
fn last_changes(api: &FakeApi) -> BTreeMap<String, String> {
    api.requests()
        .iter()
        .map(|request| {
            let record = request.json();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (text(&record["contact"]["email"]), text(&record["change"]))
        })
        .collect()
}

/// All people at the same time, each at their own pace.
async fn everybody_wavers(hub: &Running, round: &'static str) {
    let ways = Arc::new(ways(hub));
    let mut people = JoinSet::new();
    for lane in 0..20 {
        let ways = Arc::clone(&ways);
        people.spawn(async move {
            for number in (lane..PEOPLE).step_by(20) {
                waver(&ways, round, number).await;
            }
        });
    }
    while let Some(ended) = people.join_next().await {
        ended.expect("a person");
    }
}

fn nobody_is_subscribed(home: &Home, api: &FakeApi, round: &str) {
    let subscribed: Vec<_> = last_changes(api)
        .into_iter()
        .filter(|(_, change)| change == "subscribe")
        .collect();
    assert_eq!(subscribed, [], "{} of {PEOPLE}", subscribed.len());
    for number in 0..5 {
        let address = format!("{round}-{number}@example.org");
        let standing = home.json(&["contact", "consent", &address, "--json"]);
        assert_eq!(
            standing[0]["consent_state"]["email"]["state"], "unsubscribed",
            "{address}"
        );
    }
    assert_eq!(home.run(&["audit"]).code, 0, "the books balance");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_opt_out_counts_on_an_idle_hub_and_behind_a_backlog() {
    let api = FakeApi::start().await;
    let home = home(&api.url("/hook"));
    let hub = home.serve();
    everybody_wavers(&hub, "idle").await;
    let sent = 3 * PEOPLE as u64;
    home.settled(sent).await;
    nobody_is_subscribed(&home, &api, "idle");
    let ways = ways(&hub);
    for batch in 0..BACKLOG / 500 {
        let visits: Vec<Value> = (0..500)
            .map(|number| {
                let visitor = format!("visitor {batch} {number}");
                json!({ "type": "page_visit", "key": "/a", "contact": { "visitor": visitor } })
            })
            .collect();
        ways.events(&Value::from(visits)).await;
    }
    everybody_wavers(&hub, "behind").await;
    home.settled(2 * sent + BACKLOG as u64).await;
    nobody_is_subscribed(&home, &api, "behind");
    hub.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_opt_in_after_an_opt_out_does_not_subscribe() {
    let api = FakeApi::start().await;
    let home = home(&api.url("/hook"));
    let hub = home.serve();
    let ways = ways(&hub);
    ways.form("ada", "yes").await;
    ways.sync("71", "ben", "yes").await;
    home.settled(2).await;
    ways.events(&consent("ada", "unsubscribed")).await;
    ways.form("ben", "no").await;
    home.settled(4).await;
    ways.form("ada", "yes").await;
    ways.sync("71", "ben", "yes").await;
    home.settled(6).await;
    for name in ["ada", "ben"] {
        let address = format!("{name}@example.org");
        assert_eq!(last_changes(&api)[&address], "unsubscribe");
        let standing = home.json(&["contact", "consent", &address, "--json"]);
        assert_eq!(standing[0]["consent_state"]["email"]["state"], "unsubscribed");
    }
    let trace = home.ok(&["trace", "5"]);
    assert!(trace.contains("its opt-in does not"), "{trace}");
    assert_eq!(home.trace(6)["inbox"]["state"], "duplicate", "its id says so");
    hub.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_constant_id_does_not_make_other_messages_duplicates() {
    let api = FakeApi::start().await;
    let home = home(&api.url("/hook"));
    let hub = home.serve();
    let ways = ways(&hub);
    for transaction in ["1", "null"] {
        let who = format!("of-{transaction}");
        ways.sync(transaction, &who, "yes").await;
        ways.sync(transaction, &who, "no").await;
        home.until("the opt-out is sent", || {
            last_changes(&api)
                .get(&format!("{who}@example.org"))
                .map(String::as_str)
                == Some("unsubscribe")
        })
        .await;
    }
    let trace = home.ok(&["trace", "2"]);
    assert!(trace.contains("the same id with other content"), "{trace}");
    for (who, what) in [
        ("dan", "opt_in"),
        ("dan", "unsubscribed"),
        ("eve", "unsubscribed"),
    ] {
        let mut item = consent(who, what);
        item["id"] = "1".into();
        let answer = ways.events(&item).await;
        assert_eq!(answer["events"][0]["status"], "accepted", "{who} {what}");
    }
    home.settled(7).await;
    for name in ["dan", "eve"] {
        let standing = home.json(&["contact", "consent", &format!("{name}@example.org"), "--json"]);
        assert_eq!(
            standing[0]["consent_state"]["email"]["state"], "unsubscribed",
            "{name}"
        );
    }
    let audit = home.json(&["audit", "--json"]);
    assert_eq!(sum(&audit["sources"], "duplicate"), 0, "{audit}");
    hub.stop();
}
