use std::time::Duration;

use causeway_testkit::vendors::mailchimp::{LIST, MergeField, MergeType, hash};
use serde_json::json;

use super::{ADA, Account};

const PUT: &str = "lists.setListMember";
const TAGS: &str = "lists.updateListMemberTags";

#[tokio::test]
async fn a_member_is_put_read_listed_and_changed() {
    let mut account = Account::start().await;
    let body = json!({ "email_address": "Ada@Example.org", "status_if_new": "subscribed", "language": "hu",
        "merge_fields": { "FNAME": "Ada", "LNAME": "Byron", "SHOE": "7" }, "timestamp_opt": "2026-01-01T08:05:00Z",
        "tags": ["ignored"] });
    let put = account.get(PUT, json!([LIST, hash(ADA), body])).await;
    assert_eq!(
        (&put["status"], &put["full_name"]),
        (&json!("subscribed"), &json!("Ada Byron"))
    );
    assert_eq!(
        (&put["tags_count"], &put["timestamp_opt"]),
        (&json!(0), &json!("2026-01-01T08:05:00+00:00"))
    );
    assert!(
        put["merge_fields"]["SHOE"].is_null(),
        "a list has its own fields only"
    );
    // The path takes the hash, the address and the id of the contact.
    for path in [
        hash(ADA),
        ADA.to_owned(),
        put["contact_id"].as_str().unwrap().to_owned(),
    ] {
        let read = account.get("lists.getListMember", json!([LIST, path])).await;
        assert_eq!(
            (&read["email_address"], &read["language"]),
            (&json!("Ada@Example.org"), &json!("hu"))
        );
    }
    account.with(|mailchimp| mailchimp.clock.advance(Duration::from_mins(1)));
    let changed = json!({ "merge_fields": { "LNAME": "" } });
    let changed = account
        .get("lists.updateListMember", json!([LIST, hash(ADA), changed]))
        .await;
    assert_eq!(changed["full_name"], "Ada");
    assert_ne!(changed["last_changed"], put["last_changed"]);
    account.add("bert@example.org", "unsubscribed").await;
    let all = account
        .get(
            "lists.getListMembersInfo",
            json!([LIST, { "count": 1, "offset": 1 }]),
        )
        .await;
    assert_eq!(
        (&all["total_items"], all["members"].as_array().unwrap().len()),
        (&json!(2), 1)
    );
    let only = json!([LIST, hash(ADA), { "fields": ["status", "merge_fields.FNAME"] }]);
    let read = account.call("lists.getListMember", only).await;
    assert_eq!(
        read["value"],
        json!({ "status": "subscribed", "merge_fields": { "FNAME": "Ada" } })
    );
    let list = account.get("lists.getList", json!([LIST])).await;
    assert_eq!(
        (
            &list["stats"]["member_count"],
            &list["stats"]["unsubscribe_count"]
        ),
        (&json!(1), &json!(1))
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_member_is_named() {
    let mut account = Account::start().await;
    let put = |body| json!([LIST, hash(ADA), body]);
    for (body, field) in [
        (json!({ "status_if_new": "subscribed" }), "email_address"),
        (json!({ "email_address": ADA }), "status_if_new"),
        (
            json!({ "email_address": ADA, "status_if_new": "archived" }),
            "status_if_new",
        ),
        (
            json!({ "email_address": ADA, "status_if_new": "subscribed", "language": "de_AT" }),
            "language",
        ),
        (
            json!({ "email_address": ADA, "status_if_new": "subscribed", "timestamp_opt": "soon" }),
            "timestamp_opt",
        ),
        // The bare tag, not its path.
        (
            json!({ "email_address": ADA, "status_if_new": "subscribed", "merge_fields": { "BIRTHDAY": "spring" } }),
            "BIRTHDAY",
        ),
    ] {
        let problem = account.fail(400, PUT, put(body)).await;
        assert_eq!(
            (&problem["title"], &problem["errors"][0]["field"]),
            (&json!("Invalid Resource"), &json!(field))
        );
    }
    let other = json!({ "email_address": "bert@example.org", "status_if_new": "subscribed" });
    account.fail(400, PUT, put(other)).await;
    account.with(|mailchimp| {
        mailchimp.list().fakes.insert("fake@example.org".to_owned());
        mailchimp.list().busy.insert("busy@example.org".to_owned());
    });
    for (email, text) in [
        ("bad@", "valid email address"),
        ("fake@example.org", "looks fake or invalid"),
        ("busy@example.org", "a lot of lists very recently"),
    ] {
        let body = json!({ "email_address": email, "status": "subscribed" });
        let problem = account
            .fail(400, "lists.addListMember", json!([LIST, body]))
            .await;
        assert!(problem["detail"].as_str().unwrap().contains(text), "{problem}");
    }
}

#[tokio::test]
async fn a_required_field_can_be_skipped_and_half_an_address_is_lost() {
    let mut account = Account::start().await;
    account.with(|mailchimp| {
        let field = MergeField {
            name: "Party".to_owned(),
            kind: MergeType::Text,
            is_required: true,
        };
        mailchimp.list().merge_fields.insert("PARTY".to_owned(), field);
    });
    let half = json!({ "addr1": "Rue Haute 1", "city": "Brussels", "zip": "1000" });
    let body =
        json!({ "email_address": ADA, "status_if_new": "subscribed", "merge_fields": { "ADDRESS": half } });
    let problem = account
        .fail(400, PUT, json!([LIST, hash(ADA), body.clone()]))
        .await;
    let fields: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| &error["field"])
        .collect();
    assert_eq!(fields, ["ADDRESS", "PARTY"]);
    let skipped = json!([LIST, hash(ADA), body, { "skip_merge_validation": true }]);
    assert_eq!(account.get(PUT, skipped).await["merge_fields"]["ADDRESS"], "");
    let whole =
        json!({ "addr1": "Rue Haute 1", "city": "Brussels", "state": "-", "zip": "1000", "country": "BE" });
    let body = json!({ "merge_fields": { "ADDRESS": whole, "PARTY": "x" } });
    let member = account
        .get("lists.updateListMember", json!([LIST, hash(ADA), body]))
        .await;
    assert_eq!(member["merge_fields"]["ADDRESS"], whole);
}

#[tokio::test]
async fn tags_interests_permissions_and_events_are_written() {
    let mut account = Account::start().await;
    account.with(|mailchimp| {
        let list = mailchimp.list();
        list.has_permissions = true;
        list.permissions.insert("62f1".to_owned(), "By e-mail".to_owned());
        list.interests
            .insert("9143cf3bd1".to_owned(), "Rivers".to_owned());
    });
    account.add(ADA, "subscribed").await;
    let tags = json!({ "tags": [{ "name": "rivers", "status": "active" }, { "name": "old", "status": "inactive" }] });
    account.get(TAGS, json!([LIST, hash(ADA), tags])).await;
    account
        .get(
            TAGS,
            json!([LIST, hash(ADA), { "tags": [{ "name": "Rivers", "status": "active" }] }]),
        )
        .await;
    let read = account
        .get("lists.getListMemberTags", json!([LIST, hash(ADA)]))
        .await;
    assert_eq!(
        (&read["tags"][0]["name"], &read["total_items"]),
        (&json!("rivers"), &json!(1))
    );
    account
        .fail(
            400,
            TAGS,
            json!([LIST, hash(ADA), { "tags": [{ "name": "x", "status": "on" }] }]),
        )
        .await;
    let body = json!({ "interests": { "9143cf3bd1": true },
        "marketing_permissions": [{ "marketing_permission_id": "62f1", "enabled": true }] });
    let member = account
        .get("lists.updateListMember", json!([LIST, hash(ADA), body]))
        .await;
    assert_eq!(member["interests"], json!({ "9143cf3bd1": true }));
    assert_eq!(member["marketing_permissions"][0]["enabled"], true);
    let unknown = json!({ "interests": { "0": true } });
    account
        .fail(400, "lists.updateListMember", json!([LIST, hash(ADA), unknown]))
        .await;
    let event = json!({ "name": "signed", "properties": { "campaign": "rivers" }, "is_syncing": true });
    for _ in 0..2 {
        account
            .get("lists.createListMemberEvent", json!([LIST, hash(ADA), event]))
            .await;
    }
    let events = account
        .get("lists.getListMemberEvents", json!([LIST, hash(ADA)]))
        .await;
    assert_eq!(events["total_items"], 2, "a repeat is a second event");
    assert_eq!(events["events"][0]["properties"]["campaign"], "rivers");
    let wrong = json!({ "name": "signed", "properties": { "amount": 3 } });
    account
        .fail(
            400,
            "lists.createListMemberEvent",
            json!([LIST, hash(ADA), wrong]),
        )
        .await;
    let categories = account
        .get("lists.getListInterestCategories", json!([LIST]))
        .await;
    let category = categories["categories"][0]["id"].clone();
    let interests = account
        .get("lists.listInterestCategoryInterests", json!([LIST, category]))
        .await;
    assert_eq!(interests["interests"][0]["name"], "Rivers");
    let fields = account
        .get("lists.getListMergeFields", json!([LIST, { "count": 100 }]))
        .await;
    assert_eq!(fields["total_items"], 5);
    let found = account
        .get("lists.tagSearch", json!([LIST, { "name": "riv" }]))
        .await;
    assert_eq!(found["tags"][0]["name"], "rivers");
}
