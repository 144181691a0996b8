//! Action Network, with the client of Parsons.

use std::sync::Arc;

use causeway_testkit::{
    clock::TestClock,
    vendors::{
        FakeVendor,
        actionnetwork::{ActionNetwork, Collection, PAGE, Status, TOKEN},
    },
};
use serde_json::{Value, json};

use crate::python::Script;

struct Rig {
    network: FakeVendor<ActionNetwork>,
    clock: Arc<TestClock>,
    client: Script,
}

impl Rig {
    async fn start(key: &str) -> Self {
        let clock = Arc::<TestClock>::default();
        let network = FakeVendor::start(ActionNetwork::new(Arc::<TestClock>::clone(&clock))).await;
        let mut client = Script::start("actionnetwork.py");
        let arguments = json!({ "url": network.url(), "key": key });
        client.run("start", arguments).await.unwrap();
        Self {
            network,
            clock,
            client,
        }
    }

    async fn ok(&mut self, command: &str, arguments: Value) -> Value {
        let result = self.client.run(command, arguments).await;
        result.unwrap_or_else(|error| panic!("{command}: {error}"))
    }
}

#[tokio::test]
async fn the_client_writes_and_reads_people_with_their_status() {
    let mut rig = Rig::start(TOKEN).await;
    let person = json!({
        "email_address": [{ "address": "ada@example.org", "status": "unsubscribed" }], "given_name": "Ada",
        "tags": ["supporter", "unknown"], "postal_addresses": [{ "postal_code": "1000" }], "speaks_en": "1",
        "shoe_size": "38",
    });
    let made = rig.ok("upsert_person", person).await;
    let id = made["identifiers"][0]
        .as_str()
        .unwrap()
        .split_once(':')
        .unwrap()
        .1
        .to_owned();
    assert_eq!(made["email_addresses"][0]["status"], "unsubscribed");
    assert_eq!(
        made["postal_addresses"][0]["country"], "US",
        "the default that connectors must avoid"
    );
    // Without a status a known person keeps theirs.
    rig.clock.advance(std::time::Duration::from_mins(1));
    let again = json!({ "email_address": "ADA@example.org", "family_name": "Byron" });
    let again = rig.ok("upsert_person", again).await;
    assert_eq!(again["email_addresses"][0]["status"], "unsubscribed");
    assert_eq!(
        (&again["given_name"], &again["family_name"]),
        (&json!("Ada"), &json!("Byron"))
    );
    assert_ne!(again["created_date"], again["modified_date"]);
    let status = json!([{ "status": "subscribed" }]);
    rig.ok(
        "update_person",
        json!({ "entry_id": id, "email_addresses": status }),
    )
    .await;
    let read = rig.ok("get_person", json!({ "person_id": id })).await;
    assert_eq!(read["email_addresses"][0]["status"], "subscribed");
    rig.network.with(|network| {
        let person = network.person("ada@example.org").unwrap();
        assert_eq!(person.status, Status::Subscribed);
        assert!(person.tags.contains("supporter") && person.tags.len() == 1);
        assert_eq!(
            (&*network.ignored_tags, &*network.dropped_fields),
            (&["unknown".to_owned()][..], &["shoe_size".to_owned()][..])
        );
    });
}

#[tokio::test]
async fn lists_have_pages_and_filters() {
    let mut rig = Rig::start(TOKEN).await;
    for number in 0..30 {
        let email = format!("o'person{number}@example.org");
        rig.ok("upsert_person", json!({ "email_address": email })).await;
    }
    let all = rig.ok("get_people", json!({})).await;
    assert_eq!(all.as_array().unwrap().len(), 30);
    let filter = "email_address eq 'o''person7@example.org'";
    let one = rig.ok("get_people", json!({ "filter": filter })).await;
    assert_eq!(one.as_array().unwrap().len(), 1, "{one}");
    rig.ok("add_tag", json!({ "name": "rivers" })).await;
    let tags = rig.ok("get_tags", json!({})).await;
    assert_eq!(tags.as_array().unwrap().len(), 2);
    assert!(
        rig.ok("get_custom_fields", json!({}))
            .await
            .to_string()
            .contains("speaks_en")
    );
}

#[tokio::test]
async fn submissions_belong_to_people_and_are_found_by_their_identifiers() {
    let mut rig = Rig::start(TOKEN).await;
    let made = rig
        .ok("upsert_person", json!({ "email_address": "ada@example.org" }))
        .await;
    let id = made["identifiers"][0]
        .as_str()
        .unwrap()
        .split_once(':')
        .unwrap()
        .1
        .to_owned();
    for _ in 0..2 {
        rig.ok("create_submission", json!({ "form_id": PAGE, "person_id": id }))
            .await;
    }
    let all = rig.ok("get_form_submissions", json!({ "form_id": PAGE })).await;
    assert_eq!(all.as_array().unwrap().len(), 2, "nothing makes them unique");
    assert_eq!(all[0]["action_network:person_id"], id.as_str());
    assert_eq!(
        rig.network
            .with(|network| network.actions(Collection::Forms).len()),
        2
    );
    let unknown = json!({ "form_id": "nothing", "person_id": id });
    let error = rig.client.run("create_submission", unknown).await.unwrap_err();
    assert!(error["message"].as_str().unwrap().contains("404"), "{error}");
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_repeated() {
    let mut rig = Rig::start("guessed").await;
    let error = rig.client.run("get_people", json!({})).await.unwrap_err();
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("403") && message.contains("not present guessed"),
        "{message}"
    );
}
