use serde_json::json;

use super::{ADA, Account};

#[tokio::test]
async fn events_belong_to_contacts_and_a_batch_names_the_refused_ones() {
    let mut account = Account::start().await;
    let id = account.add(ADA).await;
    let event = json!({ "event_name": "petition_signed", "identifiers": { "email_id": ADA },
        "event_properties": { "action_id": "17" } });
    account.get(204, "event.create_event", event.clone()).await;
    account.get(204, "event.create_event", event.clone()).await;
    let found = account
        .get(200, "event.get_events", json!({ "contact_id": id }))
        .await;
    assert_eq!(found["count"], 2, "a repeat is a second event");
    assert_eq!(found["events"][0]["event_properties"]["action_id"], "17");
    let wrong = json!({ "event_name": "not a name", "identifiers": { "email_id": ADA } });
    account
        .fail(400, "invalid_parameter", "event.create_event", wrong.clone())
        .await;
    let all = account
        .get(202, "event.create_batch_events", json!({ "events": [event] }))
        .await;
    assert_eq!(all["count"], 1);
    let some = account
        .get(
            207,
            "event.create_batch_events",
            json!({ "events": [wrong, event] }),
        )
        .await;
    assert_eq!(
        (&some["failed_events"], &some["errors"][0]["eventIndex"]),
        (&json!(1), &json!([0]))
    );
    assert_eq!(account.with(|brevo| brevo.events.len()), 4);
}

#[tokio::test]
async fn events_are_found_by_contact_name_and_day() {
    let mut account = Account::start().await;
    let (ada, bob) = (account.add(ADA).await, account.add("bob@example.org").await);
    for (email, name, date) in [
        (ADA, "signed", "2026-03-01T09:30:00Z"),
        (ADA, "signed", "2026-03-03T09:30:00Z"),
        (ADA, "shared", "2026-03-01T09:30:00Z"),
        ("bob@example.org", "signed", "2026-03-02T23:59:59Z"),
    ] {
        let event = json!({ "event_name": name, "event_date": date, "identifiers": { "email_id": email } });
        account
            .get(202, "event.create_batch_events", json!({ "events": [event] }))
            .await;
    }
    let days = json!({ "contact_id": [ada, bob], "event_name": "signed", "start_date": "2026-03-01",
        "end_date": "2026-03-02", "limit": 1_000 });
    let found = account.get(200, "event.get_events", days).await;
    assert_eq!(found["count"], 2);
    assert_eq!(found["events"][0]["contact_id"], bob, "the newest is the first");
    let half = json!({ "start_date": "2026-03-01" });
    account
        .fail(400, "missing_parameter", "event.get_events", half)
        .await;
}

#[tokio::test]
async fn a_confirmation_is_a_mail_each_time() {
    let mut account = Account::start().await;
    let list = account.with(|brevo| brevo.add_list("News"));
    let ask = json!({ "email": ADA, "include_list_ids": [list], "template_id": 2,
        "redirection_url": "https://example.org/thanks" });
    for _ in 0..2 {
        account.get(201, "contacts.create_doi_contact", ask.clone()).await;
    }
    assert_eq!(account.with(|brevo| brevo.confirmations[ADA]), 2);
    assert!(account.with(|brevo| brevo.contacts.is_empty()));
}
