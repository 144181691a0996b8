//! The sync action between real programs: addresses that were minted for it, and a hub that receives a hub in every way that a
//! web hook can write.

use std::{fmt::Write as _, time::Duration};

use causeway_testkit::wait::becomes;
use serde_json::{Value, json};

use crate::running::{Home, Running};

/// What stands behind the last slash of the first line that has one: the token of a minted address.
fn token(said: &str) -> String {
    let line = said.lines().next().expect("a line");
    assert!(line.starts_with("https://hub.example.org/in/"), "{said}");
    line.rsplit('/').next().expect("a token").to_owned()
}

/// Waits until posts to the address are answered so.
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
async fn an_address_is_minted_exchanged_and_revoked_while_the_hub_runs() {
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
    // Whoever reads the list, the log or the database file has no address.
    let database = std::fs::read(home.path("causeway-data/causeway.db")).expect("the database");
    let log = hub.stop();
    for token in [&first, &second, &third] {
        let bytes = token.as_bytes();
        assert!(!list.contains(token.as_str()) && !log.contains(token.as_str()));
        assert!(!database.windows(bytes.len()).any(|window| window == bytes));
    }
}

/// Two campaigns opened, a link clicked, pages, a goal and scores, as a platform sends them.
const SENT: &str = "transactionid=123456789&contact[id]=8812&contact[email]=jane.doe%2Bx@example.com&contact[phone]=%2B15551234\
&contact[profile_url]=https://app.example.org/c/8812&fields[0][id]=125&fields[0][name]=First Name&fields[0][value]=Jane %26 Zo%C3%AB\
&fields[1][id]=126&fields[1][name]=Interests&fields[1][value][0]=a&fields[1][value][1]=b\
&campaigns-opened[0][id]=31&campaigns-opened[0][name]=May&campaigns-opened[0][open_date]=2022-05-26 05:40 PM\
&campaigns-opened[1][id]=32&campaigns-opened[1][name]=June&campaigns-opened[1][open_date]=2022-06-26 05:40 AM\
&links-clicked[0][url]=https://e.example.org/?a%3D1%26b%3D2&links-clicked[0][clicks]=3\
&pages-visited[0][page]=https://e.example.org/p&pages-visited[0][visit_date]=2022-05-26 05:41 PM\
&automation-triggered[0][id]=7&automation-triggered[0][name]=Welcome&automation-triggered[0][trigger_date]=2022-05-26 05:41 PM\
&goals-reached[0][id]=2&goals-reached[0][name]=Donation&goals-reached[0][reach_date]=2022-05-26 05:42 PM\
&webhooks-triggered[0][id]=4&webhooks-triggered[0][name]=Exit poll&webhooks-triggered[0][trigger_date]=2022-05-26 05:42 PM\
&lead-score[0][id]=5&lead-score[0][name]=Opened&lead-score[0][score]=10&lead-score[0][score_date]=2022-05-26 05:42 PM\
&lead-status[score]=10&lead-status[label]=Cold Lead";

/// Content, and what else the sender has to be told for it.
const WAYS: [(&str, &str); 4] = [
    ("form", "payload = { raw_brackets = true }"),
    ("json", ""),
    ("xml", "payload = { empty_groups = \"send\" }"),
    ("query", ""),
];

/// What people did in 2022 is past the usual retention.
const KEEP: &str = "[retention]\nengagement_days = 0\n";

fn receiver() -> String {
    let mut config = KEEP.to_owned();
    for (way, _) in WAYS {
        write!(
            config,
            "[source.{way}]\nkind = \"listener\"\npreset = \"sync-to-third-party\"\nnamespace = \"platform\"\nworkspace = \"{way}\"\n\
             token = \"receiver-of-the-way-{way}-0000\"\nsync = {{ time_zone = \"Europe/Berlin\" }}\n"
        ).expect("a text grows");
    }
    config
}

fn sender(receiver: &str) -> String {
    let mut config = format!(
        "{KEEP}[source.platform]\nkind = \"listener\"\npreset = \"sync-to-third-party\"\ntoken = \"sender-sender-sender-0000\"\n",
    );
    for (way, more) in WAYS {
        write!(
            config,
            "[destination.{way}]\nkind = \"webhook\"\nurl = \"http://{receiver}/in/receiver-of-the-way-{way}-0000\"\nallow_private = true\n\
             consent = \"all\"\ncontent = \"{way}\"\nsync = \"all\"\ntime_zone = \"Europe/Berlin\"\n{more}\n"
        ).expect("a text grows");
    }
    config
}

/// What a hub knows of the person in a workspace, without its own times and numbers.
pub fn known(home: &Home, workspace: &str) -> Value {
    let person = home.json(&[
        "contact",
        "export",
        "jane.doe+x@example.com",
        "--workspace",
        workspace,
    ])[0]
        .take();
    let values: serde_json::Map<String, Value> = person["contact"]["fields"]
        .as_object()
        .unwrap_or_else(|| panic!("{person}"))
        .iter()
        .map(|(name, field)| (name.clone(), field["v"].clone()))
        .collect();
    let mut engagements = person["engagements"].clone();
    if let Some(rows) = engagements.as_array_mut() {
        // A form has no difference between no name and an empty one; of dates it has minutes.
        rows.sort_by_key(|row| format!("{}{}{}", row["kind"], row["at"], row["key"]));
    }
    json!({ "fields": values, "identities": person["identities"], "engagements": engagements })
}

#[tokio::test]
async fn a_hub_that_receives_a_hub_knows_the_same_whatever_way_it_was_written() {
    let receiving = Home::new(&receiver());
    let receiver = receiving.serve();
    let sending = Home::new(&sender(&receiver.listener));
    let sender = sending.serve();
    let answer = sender
        .post(
            "sender-sender-sender-0000",
            "application/x-www-form-urlencoded",
            SENT.as_bytes(),
        )
        .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    sending.settled(1).await;
    receiving.settled(4).await;
    let expected = known(&sending, "default");
    assert_eq!(
        expected["engagements"].as_array().map(Vec::len),
        Some(8),
        "{expected}"
    );
    assert_eq!(expected["fields"]["firstName"], "Jane & Zoë");
    for (way, _) in WAYS {
        assert_eq!(known(&receiving, way), expected, "{way}");
    }
    sender.stop();
    receiver.stop();
}
