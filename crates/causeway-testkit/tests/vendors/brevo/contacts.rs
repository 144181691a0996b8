use causeway_testkit::vendors::brevo::{Limits, faults};
use serde_json::json;

use super::{ADA, Account};

const CREATE: &str = "contacts.create_contact";
const UPDATE: &str = "contacts.update_contact";

#[tokio::test]
async fn a_contact_is_created_updated_read_and_deleted() {
    let mut account = Account::start().await;
    let list = account.with(|brevo| brevo.add_list("News"));
    let attributes =
        json!({ "FIRSTNAME": "Ada", "lastname": "Byron", "SHOE": "7", "SMS": "+32 470 12 34 56" });
    let body = json!({ "email": "Ada@Example.org", "attributes": attributes, "list_ids": [list], "update_enabled": true,
        "ext_id": "proca:9f1c" });
    let id = account.get(201, CREATE, body.clone()).await["id"].clone();
    assert!(account.get(204, CREATE, body.clone()).await.is_null());
    let mut with_id = body.clone();
    with_id["get_id"] = json!(true);
    assert_eq!(account.get(200, CREATE, with_id).await["id"], id);
    let found = account.read(ADA).await;
    assert_eq!((&found["id"], &found["listIds"]), (&id, &json!([list])));
    let values = &found["attributes"];
    assert_eq!(
        (&values["FIRSTNAME"], &values["LASTNAME"]),
        (&json!("Ada"), &json!("Byron"))
    );
    assert_eq!(
        (&values["SMS"], values.get("SHOE")),
        (&json!("32470123456"), None)
    );
    for (identifier, kind) in [
        ("proca:9f1c", "ext_id"),
        ("+32470123456", "phone_id"),
        (ADA, "email_id"),
    ] {
        let named = json!({ "identifier": identifier, "identifier_type": kind });
        assert_eq!(
            account.get(200, "contacts.get_contact_info", named).await["id"],
            id
        );
    }
    let change = json!({ "identifier": ADA, "attributes": { "LASTNAME": "" }, "unlink_list_ids": [list] });
    account.get(204, UPDATE, change).await;
    let found = account.read(ADA).await;
    assert_eq!(
        (&found["listIds"], found["attributes"].get("LASTNAME")),
        (&json!([]), None)
    );
    account
        .get(204, "contacts.delete_contact", json!({ "identifier": ADA }))
        .await;
    let gone = json!({ "identifier": ADA });
    account
        .fail(
            404,
            "document_not_found",
            "contacts.get_contact_info",
            gone.clone(),
        )
        .await;
    account
        .fail(404, "document_not_found", UPDATE, gone.clone())
        .await;
    account
        .fail(404, "document_not_found", "contacts.delete_contact", gone)
        .await;
}

#[tokio::test]
async fn identifiers_are_one_contacts_and_a_bad_number_rejects_the_contact() {
    let mut account = Account::start().await;
    account.add(ADA).await;
    let again = account
        .fail(400, "duplicate_parameter", CREATE, json!({ "email": ADA }))
        .await;
    assert_eq!(again["metadata"]["duplicate_identifiers"], json!(["email"]));
    let phone = json!({ "SMS": "+32470123456" });
    account
        .get(204, UPDATE, json!({ "identifier": ADA, "attributes": phone }))
        .await;
    let other = json!({ "email": "bert@example.org", "attributes": phone, "update_enabled": true });
    // Another contact has the number.
    account.add("bert@example.org").await;
    let taken = account
        .fail(400, "duplicate_parameter", CREATE, other.clone())
        .await;
    assert_eq!(taken["metadata"]["duplicate_identifiers"], json!(["SMS"]));
    account.with(|brevo| brevo.duplicates_are_invalid = true);
    account.fail(400, "invalid_parameter", CREATE, other).await;
    for attributes in [json!({ "SMS": "0470 123" }), json!({ "SMS": "none" })] {
        let body = json!({ "email": "cora@example.org", "attributes": attributes });
        let error = account.fail(400, "invalid_parameter", CREATE, body).await;
        assert_eq!(error["message"], "Invalid phone number");
    }
    account.fail(400, "missing_parameter", CREATE, json!({})).await;
    account
        .fail(400, "invalid_parameter", CREATE, json!({ "email": "bad@" }))
        .await;
    account
        .fail(
            400,
            "invalid_parameter",
            CREATE,
            json!({ "email": "d@example.org", "list_ids": [99] }),
        )
        .await;
}

#[tokio::test]
async fn a_block_stays_until_it_is_lifted_and_a_new_address_lifts_it() {
    let mut account = Account::start().await;
    account.add(ADA).await;
    account.with(|brevo| brevo.unsubscribe(ADA, None));
    account
        .get(204, CREATE, json!({ "email": ADA, "update_enabled": true }))
        .await;
    let found = account.read(ADA).await;
    assert_eq!(found["emailBlacklisted"], true);
    let times = &found["statistics"]["unsubscriptions"]["userUnsubscription"];
    assert_eq!(times[0]["eventTime"], "2026-01-01T00:00:00.000Z");
    account
        .get(
            204,
            UPDATE,
            json!({ "identifier": ADA, "email_blacklisted": false }),
        )
        .await;
    assert_eq!(account.read(ADA).await["emailBlacklisted"], false);
    account
        .get(
            204,
            UPDATE,
            json!({ "identifier": ADA, "email_blacklisted": true }),
        )
        .await;
    let found = account.read(ADA).await;
    assert!(found["statistics"]["unsubscriptions"]["adminUnsubscription"][0]["eventTime"].is_string());
    let renamed = json!({ "identifier": ADA, "attributes": { "EMAIL": "new@example.org" } });
    account.get(204, UPDATE, renamed).await;
    assert_eq!(account.read("new@example.org").await["emailBlacklisted"], false);
    account.with(|brevo| {
        brevo.bounce("new@example.org");
        brevo.complain("new@example.org");
    });
    assert_eq!(account.read("new@example.org").await["emailBlacklisted"], true);
}

#[tokio::test]
async fn lists_have_pages_and_each_address_its_own_result() {
    let mut account = Account::start().await;
    for name in 0..12 {
        account.with(|brevo| brevo.add_list(&name.to_string()));
    }
    let page = account
        .get(200, "contacts.get_lists", json!({ "limit": 50, "offset": 10 }))
        .await;
    assert_eq!(
        (&page["count"], page["lists"].as_array().unwrap().len()),
        (&json!(12), 2)
    );
    account
        .fail(400, "out_of_range", "contacts.get_lists", json!({ "limit": 51 }))
        .await;
    let list = account
        .get(
            201,
            "contacts.create_list",
            json!({ "name": "News", "folder_id": 1 }),
        )
        .await["id"]
        .clone();
    account.add(ADA).await;
    let emails = json!({ "emails": [ADA, "unknown@example.org"] });
    let added = json!({ "list_id": list, "request": emails });
    let result = account
        .get(201, "contacts.add_contact_to_list", added.clone())
        .await;
    assert_eq!(
        result["contacts"],
        json!({ "success": [ADA], "failure": ["unknown@example.org"] })
    );
    account
        .fail(
            400,
            "invalid_parameter",
            "contacts.add_contact_to_list",
            added.clone(),
        )
        .await;
    let members = account
        .get(200, "contacts.get_contacts_from_list", json!({ "list_id": list }))
        .await;
    assert_eq!(members["contacts"][0]["email"], ADA);
    // An addition brings back who left the list.
    let number = list.as_u64().unwrap();
    account.with(|brevo| brevo.unsubscribe(ADA, Some(number)));
    assert_eq!(account.read(ADA).await["listUnsubscribed"], json!([list]));
    account
        .get(201, "contacts.add_contact_to_list", added.clone())
        .await;
    assert!(account.read(ADA).await.get("listUnsubscribed").is_none());
    account.get(201, "contacts.remove_contact_from_list", added).await;
    let one = account
        .get(200, "contacts.get_list", json!({ "list_id": list }))
        .await;
    assert_eq!(one["totalSubscribers"], 0);
    account
        .fail(
            404,
            "document_not_found",
            "contacts.get_list",
            json!({ "list_id": 999 }),
        )
        .await;
}

#[tokio::test]
async fn one_unknown_contact_fails_an_update_of_several() {
    let mut account = Account::start().await;
    account.add(ADA).await;
    let row = |email: &str| json!({ "email": email, "attributes": { "FIRSTNAME": "Ada" } });
    let both = json!({ "contacts": [row("unknown@example.org"), row(ADA)] });
    let error = account
        .fail(404, "document_not_found", "contacts.update_batch_contacts", both)
        .await;
    assert!(
        error["message"].as_str().unwrap().contains("indexes 0 do not"),
        "{error}"
    );
    assert!(account.read(ADA).await["attributes"].get("FIRSTNAME").is_none());
    account
        .get(
            204,
            "contacts.update_batch_contacts",
            json!({ "contacts": [row(ADA)] }),
        )
        .await;
    assert_eq!(account.read(ADA).await["attributes"]["FIRSTNAME"], "Ada");
}

#[tokio::test]
async fn attributes_are_made_and_values_of_another_type_are_ignored() {
    let mut account = Account::start().await;
    let made = json!({ "attribute_category": "normal", "attribute_name": "OPTIN_DATE", "type": "date" });
    account.get(201, "contacts.create_attribute", made.clone()).await;
    account
        .fail(400, "duplicate_parameter", "contacts.create_attribute", made)
        .await;
    let all = account.get(200, "contacts.get_attributes", json!({})).await;
    assert!(
        all["attributes"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["name"] == "OPTIN_DATE")
    );
    let body =
        |value: &str| json!({ "email": ADA, "attributes": { "OPTIN_DATE": value }, "update_enabled": true });
    account.get(201, CREATE, body("in spring")).await;
    assert!(account.read(ADA).await["attributes"].get("OPTIN_DATE").is_none());
    account.get(204, CREATE, body("2026-11-19")).await;
    assert_eq!(account.read(ADA).await["attributes"]["OPTIN_DATE"], "2026-11-19");
}

#[tokio::test]
async fn keys_addresses_and_limits_are_checked() {
    let mut account = Account::start().await;
    account.with(|brevo| brevo.limits = Limits::general());
    let mut refused = 0;
    for _ in 0..12 {
        let answer = account.client.run("contacts.get_lists", json!({})).await;
        refused +=
            usize::from(answer.is_err_and(|error| {
                error["status"] == 429 && error["headers"]["x-sib-ratelimit-reset"] == "1"
            }));
    }
    assert_eq!((refused, account.with(|brevo| brevo.limits.refused())), (2, 2));
    account.with(|brevo| brevo.clock.advance(std::time::Duration::from_secs(1)));
    account.get(200, "contacts.get_lists", json!({})).await;
    account.brevo.fail([
        faults::limited(30),
        faults::in_process(),
        faults::under_validation(),
        faults::no_credits(),
    ]);
    for status in [429, 425, 403, 402] {
        let error = account
            .client
            .run("contacts.get_lists", json!({}))
            .await
            .unwrap_err();
        assert_eq!(error["status"], status);
    }
    account.use_key("wrong").await;
    account
        .fail(401, "unauthorized", "contacts.get_lists", json!({}))
        .await;
    account.use_key(causeway_testkit::vendors::brevo::KEY).await;
    account.with(|brevo| brevo.knows_address = false);
    let error = account
        .fail(401, "unauthorized", "contacts.get_lists", json!({}))
        .await;
    assert!(error["message"].as_str().unwrap().contains("IP address"));
}
