use causeway_testkit::vendors::mailchimp::{LIST, Status};
use serde_json::{Value, json};

use super::{ADA, Account};

const BATCH: &str = "lists.batchListMembers";

fn rows(addresses: &[&str]) -> Vec<Value> {
    let addresses = addresses.iter();
    addresses
        .map(|email| json!({ "email_address": email, "status": "subscribed", "tags": ["spa"] }))
        .collect()
}

#[tokio::test]
async fn each_member_of_a_batch_has_its_own_result() {
    let mut account = Account::start().await;
    account.add("known@example.org", "unsubscribed").await;
    account.add("left@example.org", "subscribed").await;
    account.with(|mailchimp| {
        let now = mailchimp.clock.now();
        mailchimp.list().unsubscribe("left@example.org", now);
    });
    let members = rows(&[
        ADA,
        "bad@",
        "known@example.org",
        "left@example.org",
        "Ada@example.org",
    ]);
    let kept = account
        .get(
            BATCH,
            json!([LIST, { "members": members, "update_existing": false }]),
        )
        .await;
    assert_eq!(
        (&kept["total_created"], &kept["error_count"]),
        (&json!(1), &json!(4))
    );
    assert_eq!(kept["new_members"][0]["tags_count"], 0, "a batch ignores tags");
    let codes: Vec<_> = kept["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| &error["error_code"])
        .collect();
    assert_eq!(
        codes,
        [
            "ERROR_GENERIC",
            "ERROR_CONTACT_EXISTS",
            "ERROR_CONTACT_EXISTS",
            "ERROR_GENERIC"
        ]
    );
    // Here the status that is sent wins, except over the person's own.
    let update =
        json!([LIST, { "members": members, "update_existing": true }, { "skip_duplicate_check": true }]);
    let updated = account.get(BATCH, update).await;
    assert_eq!(
        (&updated["total_updated"], &updated["error_count"]),
        (&json!(2), &json!(2))
    );
    let known = account.with(|mailchimp| mailchimp.status("known@example.org"));
    assert_eq!(known, Some(Status::Subscribed));
    assert_eq!(
        account.with(|mailchimp| mailchimp.status("left@example.org")),
        Some(Status::Unsubscribed)
    );
    let many = rows(&[ADA; 501]);
    account.fail(400, BATCH, json!([LIST, { "members": many }])).await;
}
