//! ActiveCampaign, with activecampaign-python.

use std::sync::Arc;

use causeway_testkit::{
    clock::TestClock,
    vendors::{
        FakeVendor,
        activecampaign::{ActiveCampaign, TOKEN},
    },
};
use serde_json::{Value, json};

use crate::python::Script;

struct Rig {
    account: FakeVendor<ActiveCampaign>,
    client: Script,
}

impl Rig {
    async fn start() -> Self {
        let mut account = ActiveCampaign::new(Arc::new(TestClock::default()));
        // Nobody moves the clock.
        account.limit = None;
        let account = FakeVendor::start(account).await;
        let mut client = Script::start("active_campaign.py");
        let arguments = json!({ "url": account.url(), "key": TOKEN });
        client.run("start", arguments).await.unwrap();
        Self { account, client }
    }

    async fn call(&mut self, method: &str, args: Value) -> Value {
        let result = self.client.run(method, json!({ "args": args })).await;
        result.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    async fn search(&mut self, method: &str, params: Value) -> Value {
        let result = self.client.run(method, json!({ "params": params })).await;
        result.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// The id of a new contact.
    async fn contact(&mut self, email: &str) -> String {
        let made = self
            .call(
                "contacts.create_a_contact",
                json!([{ "contact": { "email": email } }]),
            )
            .await;
        made["contact"]["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_contact_is_created_once_and_changed() {
    let mut rig = Rig::start().await;
    let id = rig.contact("Ada@Example.org").await;
    let again = json!([{ "contact": { "email": "ada@example.org", "firstName": "Ada" } }]);
    let refused = rig.call("contacts.create_a_contact", again.clone()).await;
    assert_eq!(refused["errors"][0]["code"], "duplicate");
    let synced = rig.call("contacts.create_or_update_contact", again).await;
    assert_eq!(synced["contact"]["id"], *id);
    let changed = json!([id, { "contact": { "phone": "+32 470 12 34 56" } }]);
    rig.call("contacts.update_a_contact", changed).await;
    let found = rig.call("contacts.retrieve_a_contact", json!([id])).await;
    let contact = &found["contact"];
    assert_eq!(
        (&contact["email"], &contact["firstName"], &contact["phone"]),
        (
            &json!("ada@example.org"),
            &json!("Ada"),
            &json!("+32 470 12 34 56")
        )
    );
    rig.call("contacts.delete_a_contact", json!([id])).await;
    let gone = rig.call("contacts.retrieve_a_contact", json!([id])).await;
    assert_eq!(
        gone["message"],
        format!("No Result found for Subscriber with id {id}")
    );
}

#[tokio::test]
async fn contacts_are_found_by_address_and_read_in_pages() {
    let mut rig = Rig::start().await;
    for number in 1..=25 {
        rig.contact(&format!("person{number}@example.org")).await;
    }
    let found = rig
        .search(
            "contacts.list_all_contacts",
            json!({ "email": "person7@example.org" }),
        )
        .await;
    assert_eq!(found["contacts"].as_array().unwrap().len(), 1);
    assert_eq!(found["meta"]["total"], "1");
    let mut seen = Vec::new();
    for offset in [0, 20, 40] {
        let page = rig
            .search("contacts.list_all_contacts", json!({ "offset": offset }))
            .await;
        assert_eq!(page["meta"]["total"], "25");
        let rows = page["contacts"].as_array().unwrap().clone();
        seen.extend(rows.into_iter().map(|row| row["email"].clone()));
    }
    assert_eq!(seen.len(), 25, "20 rows make a page");
}

#[tokio::test]
async fn a_status_is_set_for_each_list_and_revives_whoever_left() {
    let mut rig = Rig::start().await;
    let id = rig.contact("ada@example.org").await;
    let list = rig.account.with(|account| account.add_list("News"));
    let known = rig.call("lists.retrieve_a_list", json!([list])).await;
    assert_eq!(known["list"]["name"], "News");
    for (status, left) in [(1, false), (2, true), (1, false)] {
        let body = json!([{ "contactList": { "list": list, "contact": id, "status": status } }]);
        let set = rig.call("contacts.update_list_status_for_a_contact", body).await;
        let shown = &set["contactList"];
        assert_eq!(shown["status"], status.to_string());
        assert_eq!(shown["udate"].is_string(), left);
    }
    for (list, contact, message) in [
        (json!(9_999), json!(id), "No Result found for List with id 9999"),
        (
            json!(list),
            json!(9_999),
            "No Result found for Subscriber with id 9999",
        ),
    ] {
        let body = json!([{ "contactList": { "list": list, "contact": contact, "status": 1 } }]);
        let refused = rig.call("contacts.update_list_status_for_a_contact", body).await;
        assert_eq!(refused["message"], message);
    }
}

#[tokio::test]
async fn tags_go_by_number_and_a_name_exists_once() {
    let mut rig = Rig::start().await;
    let id = rig.contact("ada@example.org").await;
    let made = rig
        .call(
            "tags.create_a_tag",
            json!([{ "tag": { "tag": "rivers", "tagType": "contact" } }]),
        )
        .await;
    let tag = made["tag"]["id"].clone();
    let again = rig
        .call("tags.create_a_tag", json!([{ "tag": { "tag": "Rivers" } }]))
        .await;
    assert_eq!(again["message"], "Could not process request");
    assert!(again["error"].as_str().unwrap().starts_with("Duplicate entry"));
    let body = json!([{ "contactTag": { "contact": id, "tag": tag } }]);
    let first = rig.call("contacts.add_a_tag_to_contact", body.clone()).await;
    let second = rig.call("contacts.add_a_tag_to_contact", body).await;
    assert_eq!(first, second, "the link is the same");
    let links = rig.call("contacts.retrieve_contact_tags", json!([id])).await;
    assert_eq!(links["contactTags"].as_array().unwrap().len(), 1);
    let link = links["contactTags"][0]["id"].clone();
    rig.call("contacts.remove_a_tag_from_a_contact", json!([link]))
        .await;
    assert!(
        rig.account
            .with(|account| account.tags_of("ada@example.org").is_empty())
    );
    // A search looks at all tags, but shows a page of them.
    for number in 0..30 {
        rig.account
            .with(|account| account.add_tag_named(&format!("tag {number}")));
    }
    let page = rig.search("tags.list_all_tags", json!({ "search": "tag" })).await;
    assert_eq!(page["tags"].as_array().unwrap().len(), 20);
    assert_eq!(page["meta"]["total"], "30");
}

#[tokio::test]
async fn fields_that_do_not_exist_are_passed_over() {
    let mut rig = Rig::start().await;
    let field = rig.account.with(|account| account.add_field("Signed on"));
    let known = rig.call("contacts.retrieve_a_custom_field", json!([field])).await;
    assert_eq!(known["field"]["title"], "Signed on");
    let values = json!([{ "field": field, "value": "2026-11-19" }, { "field": "9999", "value": "x" }]);
    let body = json!([{ "contact": { "email": "ada@example.org", "fieldValues": values } }]);
    let synced = rig.call("contacts.create_or_update_contact", body).await;
    assert_eq!(synced["fieldValues"].as_array().unwrap().len(), 1);
    let id = synced["contact"]["id"].clone();
    let values = rig
        .call("contacts.retrieve_a_contacts_field_values", json!([id]))
        .await;
    assert_eq!(values["fieldValues"][0]["value"], "2026-11-19");
}

#[tokio::test]
async fn a_record_is_known_by_the_id_of_its_writer() {
    let mut rig = Rig::start().await;
    let id = rig.contact("ada@example.org").await;
    rig.account
        .with(|account| account.add_schema("s1", &["campaign"]));
    let record = |field: &str, campaign: &str, contact: Value| {
        json!(["s1", { "record": {
            "externalId": "a1",
            "fields": [{ "id": field, "value": campaign }],
            "relationships": { "primary-contact": contact },
        } }])
    };
    // Both forms of the relationship are in the vendor's reference.
    for (campaign, contact) in [("rivers", json!([id])), ("bees", json!(id))] {
        rig.call(
            "customobjects.create_or_update_record",
            record("campaign", campaign, contact),
        )
        .await;
    }
    let found = rig
        .call(
            "customobjects.retrieve_a_record_by_external_id",
            json!(["s1", "a1"]),
        )
        .await;
    assert_eq!(found["record"]["fields"][0]["value"], "bees");
    for (field, contact) in [("shoe", json!([id])), ("campaign", json!([9_999]))] {
        let refused = rig
            .call(
                "customobjects.create_or_update_record",
                record(field, "x", contact),
            )
            .await;
        assert!(refused["errors"].is_array(), "{refused}");
    }
}
