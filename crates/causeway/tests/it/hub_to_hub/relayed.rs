//! The sender's requests after a relay has parsed and rewritten them: groups and members in another order, texts in each
//! person's charset, and a form also as multipart. The relay is in Python, so its parsers and codecs are independent of ours.

use std::{fmt::Write as _, process::Command};

use causeway_testkit::{fake_api::FakeApi, rig::process::run};
use data_encoding::BASE64;
use serde_json::{Value, json};

use super::people::{known_everywhere, of_charsets};
use crate::running::{Home, blocking};

/// The format of the sender, by the path that it posts to.
const SENT: [(&str, &str); 4] = [
    ("form", "content = 'form'"),
    ("json", "content = 'json'"),
    ("xml", "content = 'xml'"),
    ("query", "content = 'query'"),
];
/// The format that the relay writes…
const WAYS: [&str; 6] = ["form", "multipart", "json", "json-escaped", "xml", "query"];
/// …and the order: as sent, reversed, or mixed.
const ORDERS: [&str; 3] = ["same", "reverse", "mixed"];

const KEEP: &str = "[retention]\nengagement_days = 0\n";

fn receiver() -> String {
    let mut config = KEEP.to_owned();
    for way in WAYS {
        for order in ORDERS {
            write!(
                config,
                "[source.{way}-{order}]\nkind = 'listener'\npreset = 'sync-to-third-party'\nnamespace = 'platform'\n\
                 workspace = '{way}-{order}'\ntoken = 'receiver-of-the-way-{way}-{order}'\nempty = 'clear'\n\
                 sync = {{ time_zone = 'Europe/Berlin' }}\n"
            )
            .expect("a text grows");
        }
    }
    config
}

fn sender(api: &FakeApi) -> String {
    let mut config = format!(
        "{KEEP}[source.platform]\nkind = 'listener'\npreset = 'sync-to-third-party'\ntoken = 'sender-sender-sender-0000'\n\
         empty = 'clear'\nsync = {{ time_zone = 'Europe/Berlin' }}\n"
    );
    for (way, keys) in SENT {
        write!(
            config,
            "[destination.{way}]\nkind = 'webhook'\nurl = '{}'\nallow_private = true\nconsent = 'all'\nsync = 'all'\n\
             time_zone = 'Europe/Berlin'\n{keys}\n",
            api.url(&format!("/{way}"))
        )
        .expect("a text grows");
    }
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_the_order_nor_the_charset_changes_what_is_received() {
    let api = FakeApi::start().await;
    let sending = Home::new(&sender(&api));
    let sender = sending.serve();
    let people = of_charsets();
    for person in &people {
        sender
            .post_json("sender-sender-sender-0000", &person.message)
            .await;
    }
    sending.settled(people.len() as u64).await;
    let requests: Vec<Value> = api
        .requests()
        .iter()
        .map(|request| {
            let body = BASE64.encode(&request.body);
            json!({ "way": request.path.trim_start_matches('/'), "query": request.query, "body": body })
        })
        .collect();
    assert_eq!(requests.len(), people.len() * SENT.len());

    let receiving = Home::new(&receiver());
    let receiver = receiving.serve();
    receiving.write("relay.py", include_str!("relay.py"));
    receiving.write("requests.json", json!(requests).to_string());
    let mut relay = Command::new("/usr/bin/python3");
    relay
        .arg("relay.py")
        .arg(format!("http://{}/in/receiver-of-the-way-", receiver.listener))
        .current_dir(receiving.path(""));
    let relayed = people.len() * WAYS.len() * ORDERS.len();
    let printed = blocking(move || run(relay)).await;
    assert_eq!(printed, "200\n".repeat(relayed), "{}", receiver.log());
    receiving.settled(relayed as u64).await;
    let mut wrong = Vec::new();
    for person in &people {
        let meant = known_everywhere(&sending, &person.email)["default"].clone();
        let seen = known_everywhere(&receiving, &person.email);
        assert_eq!(seen.len(), WAYS.len() * ORDERS.len(), "{}", person.email);
        for (way, known) in seen.iter().filter(|(_, known)| **known != meant) {
            wrong.push(format!("{} by {way}\nknown {known}\nmeant {meant}", person.email));
        }
    }
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n"));
    sender.stop();
    receiver.stop();
}
