//! The sender's requests, unchanged.

use std::fmt::Write as _;

use serde_json::Value;

use super::people::{Person, generated, known_everywhere, of_charsets, sparse};
use crate::running::Home;

/// Names of formats with the keys of their web hooks.
const WHOLE: [(&str, &str); 11] = [
    ("form", "content = 'form'\nsync = 'all'"),
    (
        "raw",
        "content = 'form'\nsync = 'all'\npayload = { raw_brackets = true, empty_groups = 'send' }",
    ),
    (
        "iso-dates",
        "content = 'form'\nsync = 'all'\npayload = { date_format = 'c', lead_status = 'list' }",
    ),
    (
        "key",
        "content = 'form'\nsync = 'all'\npayload = { transaction = 'key' }",
    ),
    ("json", "content = 'json'\nsync = 'all'"),
    (
        "json-empty",
        "content = 'json'\nsync = 'all'\npayload = { empty_groups = 'send', lead_status = 'list' }",
    ),
    ("xml", "content = 'xml'\nsync = 'all'"),
    (
        "xml-empty",
        "content = 'xml'\nsync = 'all'\npayload = { empty_groups = 'send', lead_status = 'list' }",
    ),
    ("query", "content = 'query'\nsync = 'all'"),
    (
        "query-raw",
        "content = 'query'\nsync = 'all'\npayload = { raw_brackets = true, empty_groups = 'send' }",
    ),
    // Written in the usual order, whatever the order of the list.
    (
        "disorder",
        "content = 'form'\nsync = ['lead-status', 'lead-score', 'webhooks-triggered', 'goals-reached', \
        'automation-triggered', 'pages-visited', 'links-clicked', 'campaigns-opened', 'fields', 'contact', 'transactionid']",
    ),
];

/// A group that is sent alone with `contact`, and its kind of engagement.
const GROUPS: [(&str, &str); 9] = [
    ("fields", ""),
    ("campaigns-opened", "email_open"),
    ("links-clicked", "link_click"),
    ("pages-visited", "page_visit"),
    ("automation-triggered", "automation"),
    ("goals-reached", "goal"),
    ("webhooks-triggered", "popup"),
    ("lead-score", "lead_score"),
    ("lead-status", ""),
];
const CONTENTS: [&str; 4] = ["form", "json", "xml", "query"];

/// The engagements of 2022 are past the usual retention.
const KEEP: &str = "[retention]\nengagement_days = 0\n";

/// All formats with their keys.
fn ways() -> Vec<(String, String)> {
    let whole = WHOLE.map(|(way, keys)| (way.to_owned(), keys.to_owned()));
    let alone = GROUPS.iter().flat_map(|(group, _)| {
        CONTENTS.map(|content| {
            let keys = format!("content = '{content}'\nsync = ['contact', '{group}']");
            (format!("{group}-{content}"), keys)
        })
    });
    whole.into_iter().chain(alone).collect()
}

fn receiver(ways: &[(String, String)]) -> String {
    let mut config = KEEP.to_owned();
    for (way, _) in ways {
        write!(
            config,
            "[source.{way}]\nkind = 'listener'\npreset = 'sync-to-third-party'\nnamespace = 'platform'\nworkspace = '{way}'\n\
             token = 'receiver-of-the-way-{way}'\nempty = 'clear'\nsync = {{ time_zone = 'Europe/Berlin' }}\n"
        )
        .expect("a text grows");
    }
    config
}

fn sender(ways: &[(String, String)], receiver: &str) -> String {
    let mut config = format!(
        "{KEEP}[source.platform]\nkind = 'listener'\npreset = 'sync-to-third-party'\ntoken = 'sender-sender-sender-0000'\n\
         empty = 'clear'\nsync = {{ time_zone = 'Europe/Berlin' }}\n"
    );
    for (way, keys) in ways {
        write!(
            config,
            "[destination.{way}]\nkind = 'webhook'\nurl = 'http://{receiver}/in/receiver-of-the-way-{way}'\nallow_private = true\n\
             consent = 'all'\ntime_zone = 'Europe/Berlin'\n{keys}\n"
        )
        .expect("a text grows");
    }
    config
}

/// The contact of a receiver that got only `contact` and this group.
fn only(known: &Value, (group, kind): (&str, &str)) -> Value {
    let of_contact = ["email", "phone", "profile_url"];
    let of_status = ["lead_score", "lead_status"];
    let mut known = known.clone();
    let fields = known["fields"].as_object_mut().expect("fields");
    fields.retain(|name, _| match group {
        "fields" => !of_status.contains(&name.as_str()),
        "lead-status" => of_contact.contains(&name.as_str()) || of_status.contains(&name.as_str()),
        _ => of_contact.contains(&name.as_str()),
    });
    let rows = known["engagements"].as_array_mut().expect("rows");
    rows.retain(|row| row["kind"] == kind);
    known
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_receives_what_another_hub_sends_in_every_format() {
    let ways = ways();
    let receiving = Home::new(&receiver(&ways));
    let receiver = receiving.serve();
    let sending = Home::new(&sender(&ways, &receiver.listener));
    let sender = sending.serve();
    let mut people: Vec<Person> = of_charsets();
    people.extend(generated(12));
    people.push(sparse());
    for person in &people {
        sender
            .post_json("sender-sender-sender-0000", &person.message)
            .await;
    }
    sending.settled(people.len() as u64).await;
    receiving.settled((people.len() * ways.len()) as u64).await;
    let mut wrong = Vec::new();
    for person in &people {
        let meant = known_everywhere(&sending, &person.email)["default"].clone();
        let seen = known_everywhere(&receiving, &person.email);
        for (way, _) in &ways {
            let group = GROUPS
                .into_iter()
                .find(|(group, _)| way.strip_prefix(group).is_some_and(|rest| rest.starts_with('-')));
            let meant = group.map_or_else(|| meant.clone(), |group| only(&meant, group));
            let known = seen.get(way).cloned().unwrap_or_default();
            if known != meant {
                wrong.push(format!("{} by {way}\nknown {known}\nmeant {meant}", person.email));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n"));
    sender.stop();
    receiver.stop();
}
