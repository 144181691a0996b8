use causeway_testkit::vendors::mailchimp::{LIST, Mailchimp, Status, hash};
use serde_json::{Value, json};

use super::{ADA, Account};

fn put(more: &Value) -> Value {
    let mut body = json!({ "email_address": ADA, "status_if_new": "subscribed" });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    json!([LIST, hash(ADA), body])
}

fn status(mailchimp: &mut Mailchimp) -> Option<Status> {
    mailchimp.status(ADA)
}

#[tokio::test]
async fn only_a_status_changes_a_member_that_is_there() {
    let mut account = Account::start().await;
    for written in ["unsubscribed", "cleaned", "pending", "transactional"] {
        account.with(|mailchimp| mailchimp.list().members.clear());
        account.add(ADA, written).await;
        let kept = account.get("lists.setListMember", put(&json!({}))).await;
        assert_eq!(kept["status"], written);
    }
    account.with(|mailchimp| mailchimp.list().members.clear());
    account.add(ADA, "unsubscribed").await;
    let problem = account
        .fail(
            400,
            "lists.addListMember",
            json!([LIST, { "email_address": ADA, "status": "subscribed" }]),
        )
        .await;
    assert_eq!(problem["title"], "Member Exists");
    // What the API took back, the API can give again.
    let back = account
        .get("lists.setListMember", put(&json!({ "status": "subscribed" })))
        .await;
    assert_eq!(back["status"], "subscribed");
    let transactional = json!([LIST, hash(ADA), { "status": "transactional" }]);
    account.fail(400, "lists.updateListMember", transactional).await;
}

#[tokio::test]
async fn a_person_who_unsubscribed_comes_back_only_by_themselves() {
    let mut account = Account::start().await;
    account.add(ADA, "subscribed").await;
    let leave: [fn(&mut Mailchimp); 3] = [
        |mailchimp| {
            let now = mailchimp.clock.now();
            mailchimp.list().unsubscribe(ADA, now);
        },
        |mailchimp| {
            let now = mailchimp.clock.now();
            mailchimp.list().complain(ADA, now);
        },
        |mailchimp| {
            let now = mailchimp.clock.now();
            mailchimp.list().bounce(ADA, now);
        },
    ];
    for leave in leave {
        account.with(leave);
        let problem = account
            .fail(
                400,
                "lists.setListMember",
                put(&json!({ "status": "subscribed" })),
            )
            .await;
        assert_eq!(problem["title"], "Member In Compliance State");
        let problem = account
            .fail(
                400,
                "lists.updateListMember",
                json!([LIST, hash(ADA), { "status": "subscribed" }]),
            )
            .await;
        assert!(problem["detail"].as_str().unwrap().starts_with(ADA));
        let asked = account
            .get("lists.setListMember", put(&json!({ "status": "pending" })))
            .await;
        assert_eq!(asked["status"], "pending");
        account.with(|mailchimp| {
            let now = mailchimp.clock.now();
            mailchimp.list().sign_up(ADA, now);
        });
    }
    assert_eq!(account.with(|mailchimp| mailchimp.member(ADA).confirmations), 3);
    assert_eq!(account.with(status), Some(Status::Subscribed));
}

#[tokio::test]
async fn an_archived_member_comes_back_with_a_status_only() {
    let mut account = Account::start().await;
    account.add(ADA, "subscribed").await;
    account
        .get("lists.deleteListMember", json!([LIST, hash(ADA)]))
        .await;
    account
        .fail(405, "lists.deleteListMember", json!([LIST, hash(ADA)]))
        .await;
    let all = account.get("lists.getListMembersInfo", json!([LIST])).await;
    assert_eq!(all["total_items"], 0);
    assert_eq!(account.read(ADA).await["status"], "archived");
    assert_eq!(
        account.get("lists.setListMember", put(&json!({}))).await["status"],
        "archived"
    );
    let back = account
        .get("lists.setListMember", put(&json!({ "status": "unsubscribed" })))
        .await;
    assert_eq!(back["status"], "unsubscribed");
    account.with(|mailchimp| {
        let now = mailchimp.clock.now();
        mailchimp.list().archive(ADA, now);
    });
    // Adding is how it comes back as subscribed, whatever it was before.
    assert_eq!(account.add(ADA, "subscribed").await["status"], "subscribed");
    account.with(|mailchimp| {
        let now = mailchimp.clock.now();
        mailchimp.list().unsubscribe(ADA, now);
        mailchimp.list().archive(ADA, now);
    });
    account
        .fail(
            400,
            "lists.addListMember",
            json!([LIST, { "email_address": ADA, "status": "subscribed" }]),
        )
        .await;
}

#[tokio::test]
async fn a_member_deleted_for_good_cannot_be_written_again() {
    let mut account = Account::start().await;
    account.add(ADA, "subscribed").await;
    account
        .get("lists.deleteListMemberPermanent", json!([LIST, hash(ADA)]))
        .await;
    account
        .fail(404, "lists.getListMember", json!([LIST, hash(ADA)]))
        .await;
    account
        .fail(404, "lists.deleteListMemberPermanent", json!([LIST, hash(ADA)]))
        .await;
    for written in ["subscribed", "pending", "transactional"] {
        let body = put(&json!({ "status_if_new": written }));
        let problem = account.fail(400, "lists.setListMember", body).await;
        assert_eq!(problem["title"], "Forgotten Email Not Subscribed");
    }
    account.with(|mailchimp| {
        let now = mailchimp.clock.now();
        mailchimp.list().sign_up(ADA, now);
    });
    assert_eq!(account.read(ADA).await["status"], "subscribed");
}

#[tokio::test]
async fn a_changed_address_has_another_hash_and_the_same_contact() {
    let mut account = Account::start().await;
    let contact = account.add(ADA, "subscribed").await["contact_id"].clone();
    account.with(|mailchimp| {
        let now = mailchimp.clock.now();
        mailchimp.list().change_address(ADA, "new@example.org", now);
    });
    account
        .fail(404, "lists.getListMember", json!([LIST, hash(ADA)]))
        .await;
    let read = account.get("lists.getListMember", json!([LIST, contact])).await;
    assert_eq!(read["email_address"], "new@example.org");
    account.add(ADA, "subscribed").await;
    let taken = json!([LIST, hash(ADA), { "email_address": "new@example.org" }]);
    account.fail(400, "lists.updateListMember", taken).await;
}
