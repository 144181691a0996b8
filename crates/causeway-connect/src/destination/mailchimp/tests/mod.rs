mod histories;
mod vendor;

use std::{sync::Arc, time::Duration};

use causeway_core::destination::{AttemptResult, Destination};
use causeway_testkit::{
    destination_contract::{self, Contract, delivery},
    fake_api::{FakeApi, Reply, Request},
    vendors::mailchimp::hash,
};
use serde_json::json;

use super::*;
use crate::config::Context;
use crate::destination::tests::support::{self, outcomes, subscriber};

const SINCE: &str = "2026-03-01T09:30:00Z";

fn context() -> Context {
    support::context("mailchimp")
}

fn connect(api: &str, more: &str) -> Box<dyn Destination> {
    let keys = format!("token = 'secret'\nlist = 'l1'\nbase_url = '{api}'\nallow_private = true\n{more}");
    (KIND.connect)(&context(), &toml::from_str(&keys).unwrap()).unwrap()
}

fn member() -> String {
    format!("/3.0/lists/l1/members/{}", hash("person1@example.org"))
}

fn withdrawal(change: Change) -> Delivery {
    support::withdrawal(1, change)
}

fn suppressed(why: Suppression) -> Delivery {
    let mut delivery = withdrawal(Change::Suppress);
    let since = SINCE.parse().unwrap();
    let state = ConsentState::Suppressed { since, why };
    delivery.record.consent_state.insert("email".to_owned(), state);
    delivery
}

fn problem(status: u16, title: &str, detail: &str) -> Reply {
    let body = json!({ "title": title, "status": status, "detail": detail });
    Reply::status(status)
        .header("content-type", "application/problem+json")
        .body(body.to_string())
}

/// Answers a write as Mailchimp does.
fn written(request: &Request) -> Reply {
    let body = request.json();
    let status = body.get("status").or(body.get("status_if_new")).unwrap();
    Reply::json(200, &json!({ "id": "h", "contact_id": "c1", "status": status }))
}

/// Nobody is a member yet, and all is accepted.
fn accept(api: &FakeApi) {
    api.compute(|request| match &*request.method {
        "GET" if request.path.ends_with("/events") => Reply::json(200, &json!({ "events": [] })),
        "GET" if request.path.contains("/members/") => problem(404, "Resource Not Found", ""),
        "GET" => Reply::json(200, &json!({ "id": "l1" })),
        "PUT" | "PATCH" => written(request),
        _ => Reply::status(204),
    });
}

/// The member is there with this status; writes succeed.
fn with_member(api: &FakeApi, status: &str, changed: &str) {
    let there = json!({ "status": status, "last_changed": changed });
    api.compute_at(&member(), move |request| match &*request.method {
        "GET" => Reply::json(200, &there),
        _ => written(request),
    });
}

fn calls(api: &FakeApi) -> Vec<String> {
    let all = api.requests();
    let base = "/3.0/lists/l1";
    let all = all.iter();
    all.map(|request| {
        let below = request.path.replace(&member(), "M");
        format!("{} {}", request.method, below.replace(base, "L"))
    })
    .collect()
}

async fn one(destination: &dyn Destination, delivery: Delivery) -> AttemptResult {
    destination.deliver(&[delivery]).await.remove(0)
}

#[tokio::test]
async fn keeps_the_destination_contract() {
    destination_contract::run(&Contract {
        connect: &|url| connect(url, "event = { name = 'signed' }"),
        accept: &accept,
        batch: 2,
    })
    .await;
}

#[tokio::test]
async fn a_person_who_agreed_is_read_and_then_written() {
    let api = FakeApi::start().await;
    accept(&api);
    let keys = "tags = ['=proca', 'campaign.name']\ninterests = ['9143cf3bd1']\nmarketing_permissions = ['62f1']\n\
                event = { name = 'signed' }";
    let result = one(&*connect(&api.url(""), keys), subscriber(1, SINCE)).await;
    let remote_id = Some("c1".to_owned());
    assert_eq!(result.outcome, Outcome::Delivered { remote_id });
    assert_eq!(
        calls(&api),
        ["GET M", "PUT M", "POST M/tags", "GET M/events", "POST M/events"]
    );
    let sent = api.requests();
    assert_eq!(sent[1].query, "skip_merge_validation=true");
    assert_eq!(
        sent[1].json(),
        json!({
            "email_address": "person1@example.org", "status_if_new": "subscribed",
            "merge_fields": { "FNAME": "Ada", "LNAME": "Példa, \"jr\"" }, "language": "hu",
            "interests": { "9143cf3bd1": true },
            "marketing_permissions": [{ "marketing_permission_id": "62f1", "enabled": true }],
            "timestamp_signup": SINCE, "timestamp_opt": SINCE,
        })
    );
    assert_eq!(
        sent[2].json(),
        json!({ "tags": [{ "name": "proca", "status": "active" }, { "name": "rivers", "status": "active" }],
            "is_syncing": true })
    );
    let event = sent[4].json();
    assert_eq!(
        (&event["name"], &event["is_syncing"], &event["occurred_at"]),
        (&json!("signed"), &json!(true), &json!(SINCE))
    );
    assert_eq!(event["properties"]["action_type"], "petition");
}

#[tokio::test]
async fn a_member_who_left_comes_back_only_by_a_newer_opt_in() {
    let (before, after) = ("2026-03-01T09:20:00+00:00", "2026-03-02T00:00:00+00:00");
    for (status, changed, written, sent) in [
        ("subscribed", after, true, None),
        ("pending", after, true, Some("subscribed")),
        ("transactional", after, true, Some("subscribed")),
        ("unsubscribed", before, true, Some("subscribed")),
        ("cleaned", before, true, Some("subscribed")),
        ("archived", before, true, Some("subscribed")),
        ("unsubscribed", after, false, None),
        ("cleaned", after, false, None),
        ("archived", after, false, None),
        // Within the time in which scanners follow links.
        ("unsubscribed", "2026-03-01T09:26:00+00:00", false, None),
        ("unsubscribed", "not a time", false, None),
        ("of a new sort", before, false, None),
    ] {
        let api = FakeApi::start().await;
        accept(&api);
        with_member(&api, status, changed);
        let keys = "tags = ['=proca']\nevent = { name = 'signed' }";
        let result = one(&*connect(&api.url(""), keys), subscriber(1, SINCE)).await;
        assert_eq!(result.outcome.as_str(), "delivered", "{status}");
        let puts: Vec<Value> = api
            .requests()
            .iter()
            .filter(|request| request.method == "PUT")
            .map(Request::json)
            .collect();
        assert_eq!(puts.len(), usize::from(written), "{status} {changed}");
        assert_eq!(result.notes.is_empty(), written, "{status} {changed}: {result:?}");
        let Some(put) = puts.first() else {
            assert_eq!(calls(&api), ["GET M"], "a member who left is not touched");
            continue;
        };
        assert_eq!(put.get("status").and_then(Value::as_str), sent, "{status}");
        // The time of an earlier opt-in stays.
        assert_eq!(put.get("timestamp_opt").is_some(), sent.is_some(), "{status}");
    }
}

#[tokio::test]
async fn nobody_is_subscribed_without_consent() {
    for (keys, status) in [("", "transactional"), ("others = 'unsubscribed'", "unsubscribed")] {
        let api = FakeApi::start().await;
        accept(&api);
        let mailchimp = connect(
            &api.url(""),
            &format!("interests = ['a1']\nmarketing_permissions = ['62f1']\n{keys}"),
        );
        // The word alone is not enough: the consent state for the purpose decides.
        let mut only_the_word = delivery(1);
        only_the_word.record.change = Change::Subscribe;
        let mut of_another_purpose = subscriber(1, SINCE);
        of_another_purpose.record.purpose = "sms".into();
        for delivery in [delivery(1), only_the_word, of_another_purpose] {
            api.reset();
            accept(&api);
            assert_eq!(one(&*mailchimp, delivery).await.outcome.as_str(), "delivered");
            assert_eq!(calls(&api), ["PUT M"]);
            let body = api.requests()[0].json();
            assert_eq!(body["status_if_new"], status);
            for absent in ["status", "interests", "marketing_permissions", "timestamp_opt"] {
                assert!(body.get(absent).is_none(), "{body}");
            }
        }
    }
}

#[tokio::test]
async fn an_opt_out_is_written_before_anything_else() {
    let api = FakeApi::start().await;
    accept(&api);
    with_member(&api, "subscribed", SINCE);
    let mailchimp = connect(&api.url(""), "marketing_permissions = ['62f1']");
    let mut with_data = delivery(1);
    with_data.record.change = Change::Unsubscribe;
    assert_eq!(one(&*mailchimp, with_data).await.outcome.as_str(), "delivered");
    assert_eq!(calls(&api), ["GET M", "PATCH M", "PUT M"]);
    let put = api.requests()[2].json();
    assert_eq!(
        (&put["status_if_new"], put.get("status")),
        (&json!("unsubscribed"), None)
    );
    assert!(put.get("marketing_permissions").is_none());
    let taken = json!({ "marketing_permission_id": "62f1", "enabled": false });
    for (delivery, status) in [
        (withdrawal(Change::Unsubscribe), "unsubscribed"),
        (suppressed(Suppression::Bounced), "cleaned"),
        (suppressed(Suppression::Blocked), "cleaned"),
        (suppressed(Suppression::Complained), "unsubscribed"),
        (suppressed(Suppression::Inactive), "unsubscribed"),
        (withdrawal(Change::Suppress), "unsubscribed"),
    ] {
        api.reset();
        with_member(&api, "subscribed", SINCE);
        assert_eq!(
            one(&*mailchimp, delivery.clone()).await.outcome.as_str(),
            "delivered"
        );
        assert_eq!(calls(&api), ["GET M", "PATCH M"]);
        let sent = &api.requests()[1];
        assert_eq!(
            sent.json(),
            json!({ "status": status, "marketing_permissions": [taken] })
        );
        assert_eq!(sent.query, "skip_merge_validation=true");
        // A word or a permission that the audience does not have stops no opt-out, and neither does a failed look.
        let refused = problem(400, "Invalid Resource", "");
        api.script(&member(), [refused.clone(), refused]);
        assert_eq!(one(&*mailchimp, delivery).await.outcome.as_str(), "delivered");
        assert_eq!(api.requests()[4].json(), json!({ "status": "unsubscribed" }));
    }
}

#[tokio::test]
async fn an_opt_out_of_somebody_who_left_or_is_no_member_changes_nothing() {
    let api = FakeApi::start().await;
    let mailchimp = connect(&api.url(""), "");
    for (status, expected) in [
        ("unsubscribed", vec!["GET M"]),
        ("cleaned", vec!["GET M"]),
        // Somebody may bring the member back later, with the subscription that it had.
        ("archived", vec!["GET M", "PATCH M"]),
        ("pending", vec!["GET M", "PATCH M"]),
        ("transactional", vec!["GET M", "PATCH M"]),
    ] {
        api.reset();
        with_member(&api, status, SINCE);
        let result = one(&*mailchimp, withdrawal(Change::Unsubscribe)).await;
        assert_eq!(result.outcome.as_str(), "delivered");
        assert_eq!(calls(&api), expected, "{status}");
    }
    api.reset();
    accept(&api);
    let result = one(&*mailchimp, withdrawal(Change::Unsubscribe)).await;
    assert_eq!(result.outcome.as_str(), "delivered");
    assert_eq!(result.notes, ["the person is no member there"]);
    assert_eq!(calls(&api), ["GET M", "GET L"]);
}

#[tokio::test]
async fn a_subscription_that_causeway_took_away_itself_comes_back_with_any_newer_opt_in() {
    let there = |status: &str, at: &str, reason: &str| {
        let mut member = json!({ "status": status, "last_changed": at, "contact_id": "c1" });
        member["unsubscribe_reason"] = reason.into();
        member
    };
    let (at, admin) = ("2026-03-05T00:00:00+00:00", "N/A (Unsubscribed by admin)");
    let api = FakeApi::start().await;
    accept(&api);
    let before = there("subscribed", "2026-01-01T00:00:00+00:00", "");
    let ours = there("unsubscribed", at, admin);
    api.script(&member(), [Reply::json(200, &before), Reply::json(200, &ours)]);
    let mailchimp = connect(&api.url(""), "");
    let result = one(&*mailchimp, withdrawal(Change::Unsubscribe)).await;
    let memory = result.memory.unwrap();
    for (seen, remembered, written) in [
        (ours.clone(), Some(memory.clone()), true),
        (ours.clone(), None, false),
        (
            there("unsubscribed", "2026-03-05T00:00:01+00:00", admin),
            Some(memory.clone()),
            false,
        ),
        (
            there("unsubscribed", at, "I no longer want these"),
            Some(memory.clone()),
            false,
        ),
        (there("archived", at, admin), Some(memory.clone()), false),
        (
            ours.clone(),
            Some(json!({ "hash": "another", "left": ours })),
            false,
        ),
        (ours.clone(), Some(json!("of an older version")), false),
    ] {
        api.reset();
        accept(&api);
        api.script(&member(), [Reply::json(200, &seen)]);
        let mut delivery = subscriber(1, SINCE);
        delivery.memory.clone_from(&remembered);
        let result = one(&*mailchimp, delivery).await;
        assert_eq!(
            calls(&api).contains(&"PUT M".to_owned()),
            written,
            "{seen} {remembered:?}: {result:?}"
        );
    }
    // A member who had left before is nobody's to bring back.
    api.reset();
    api.script(
        &member(),
        [
            Reply::json(200, &there("archived", at, "")),
            Reply::json(200, &ours),
        ],
    );
    let result = one(&*mailchimp, withdrawal(Change::Unsubscribe)).await;
    assert!(result.memory.unwrap().get("left").is_none());
}

#[tokio::test]
async fn a_person_who_changed_the_address_there_is_found_by_the_contact() {
    let contact = "/3.0/lists/l1/members/c1";
    let memory = Some(json!({ "hash": hash("person1@example.org"), "contact": "c1" }));
    let api = FakeApi::start().await;
    for (status, expected) in [
        (
            "subscribed",
            vec!["GET M", "GET L/members/c1", "PATCH L/members/c1"],
        ),
        ("unsubscribed", vec!["GET M", "GET L/members/c1"]),
    ] {
        api.reset();
        accept(&api);
        let there = json!({ "status": status, "last_changed": "2026-03-05T00:00:00+00:00" });
        api.reply_at(contact, Reply::json(200, &there));
        let mut delivery = subscriber(1, SINCE);
        delivery.memory.clone_from(&memory);
        assert_eq!(
            one(&*connect(&api.url(""), ""), delivery).await.outcome.as_str(),
            "delivered"
        );
        assert_eq!(calls(&api), expected);
        if let Some(patch) = api.requests().get(2) {
            assert!(
                patch.json().get("email_address").is_none(),
                "their choice of the address stays"
            );
        }
    }
    api.reset();
    accept(&api);
    api.script(contact, [Reply::json(200, &json!({ "status": "subscribed" }))]);
    let mut opt_out = withdrawal(Change::Unsubscribe);
    opt_out.memory.clone_from(&memory);
    one(&*connect(&api.url(""), ""), opt_out).await;
    assert_eq!(calls(&api), ["GET M", "GET L/members/c1", "PATCH L/members/c1"]);
    let mut erasure = withdrawal(Change::Remove);
    erasure.memory = memory;
    api.script(
        &format!("{}/actions/delete-permanent", member()),
        [problem(404, "Resource Not Found", "")],
    );
    let result = one(&*connect(&api.url(""), ""), erasure).await;
    assert_eq!(
        (result.outcome.as_str(), result.memory),
        ("delivered", Some(Value::Null))
    );
    assert_eq!(
        calls(&api).last().unwrap(),
        "POST L/members/c1/actions/delete-permanent"
    );
}

#[tokio::test]
async fn what_is_known_of_a_person_is_written_to_the_contact_without_a_second_member() {
    let contact = "/3.0/lists/l1/members/c1";
    let there = Reply::json(200, &json!({ "status": "subscribed", "contact_id": "c1" }));
    let gone = problem(404, "Resource Not Found", "");
    let mut opt_out = delivery(1);
    opt_out.record.change = Change::Unsubscribe;
    let api = FakeApi::start().await;
    for (mut delivery, answer, expected) in [
        (delivery(1), there, vec!["PATCH L/members/c1"]),
        (delivery(1), gone.clone(), vec!["PATCH L/members/c1", "PUT M"]),
        (
            opt_out,
            gone,
            vec![
                "GET M",
                "GET L/members/c1",
                "GET L",
                "PATCH L/members/c1",
                "PUT M",
            ],
        ),
    ] {
        api.reset();
        accept(&api);
        api.reply_at(contact, answer);
        delivery.memory = Some(json!({ "hash": hash("person1@example.org"), "contact": "c1" }));
        let result = one(&*connect(&api.url(""), ""), delivery).await;
        assert_eq!(
            (result.outcome.as_str(), calls(&api)),
            ("delivered", expected.into_iter().map(str::to_owned).collect())
        );
        assert_eq!(result.memory.unwrap()["contact"], "c1");
        let sent = api.requests().last().unwrap().json();
        assert!(sent.get("status").is_none(), "{sent}");
    }
    // The id of an answer that had none but the address's is looked for once.
    api.reset();
    accept(&api);
    let mut opt_out = withdrawal(Change::Unsubscribe);
    let hash = hash("person1@example.org");
    opt_out.memory = Some(json!({ "hash": hash, "contact": hash }));
    let result = one(&*connect(&api.url(""), ""), opt_out).await;
    assert_eq!(
        (result.outcome.as_str(), calls(&api)),
        ("delivered", vec!["GET M".to_owned(), "GET L".to_owned()])
    );
}

#[tokio::test]
async fn an_erasure_deletes_or_archives() {
    let api = FakeApi::start().await;
    accept(&api);
    let delete = connect(&api.url(""), "");
    assert_eq!(
        one(&*delete, withdrawal(Change::Remove)).await.outcome.as_str(),
        "delivered"
    );
    assert_eq!(calls(&api), ["POST M/actions/delete-permanent"]);
    let archive = connect(&api.url(""), "on_remove = 'archive'");
    let subscribed = Reply::json(200, &json!({ "status": "subscribed" }));
    let unsubscribed = Reply::json(200, &json!({ "status": "unsubscribed" }));
    for (answers, expected) in [
        // Whoever brings the member back later must not subscribe it by that.
        (
            vec![subscribed.clone(), unsubscribed.clone(), Reply::status(204)],
            vec!["GET M", "PATCH M", "DELETE M"],
        ),
        (
            vec![unsubscribed.clone(), Reply::status(204)],
            vec!["GET M", "DELETE M"],
        ),
        (
            vec![subscribed, unsubscribed, problem(405, "Method Not Allowed", "")],
            vec!["GET M", "PATCH M", "DELETE M"],
        ),
        (
            vec![problem(404, "Resource Not Found", "")],
            vec!["GET M", "GET L"],
        ),
    ] {
        api.reset();
        accept(&api);
        api.script(&member(), answers);
        assert_eq!(
            one(&*archive, withdrawal(Change::Remove)).await.outcome.as_str(),
            "delivered"
        );
        assert_eq!(calls(&api), expected);
    }
    // Deleted by somebody else meanwhile.
    api.reset();
    accept(&api);
    let path = format!("{}/actions/delete-permanent", member());
    api.script(&path, [problem(404, "Resource Not Found", "")]);
    assert_eq!(
        one(&*delete, withdrawal(Change::Remove)).await.outcome.as_str(),
        "delivered"
    );
    assert_eq!(calls(&api).last().unwrap(), "GET L");
}

#[tokio::test]
async fn a_wrong_list_confirms_nothing() {
    let api = FakeApi::start().await;
    api.reply(problem(404, "Resource Not Found", ""));
    let changes = [Change::Unsubscribe, Change::Suppress, Change::Remove];
    let mut batch: Vec<Delivery> = changes.map(withdrawal).into();
    batch.extend([subscriber(1, SINCE), delivery(1)]);
    for delivery in batch {
        let result = one(&*connect(&api.url(""), ""), delivery).await;
        assert_eq!(result.outcome.as_str(), "halt");
        assert!(
            result
                .outcome
                .reason()
                .unwrap()
                .contains("no audience l1; check `list`")
        );
    }
}

#[tokio::test]
async fn a_page_of_something_in_between_confirms_nothing() {
    for answer in [
        Reply::status(200).body("<html>log in first</html>"),
        Reply::status(200),
        Reply::json(200, &json!({ "status": "unsubscribed" })).cut(),
        Reply::json(200, &json!([{ "status": "unsubscribed" }])),
        Reply::json(200, &json!({ "status": "ok" })),
        Reply::json(200, &json!({ "status": "error", "message": "try later" })),
        Reply::status(400).body("<html>bad request</html>"),
        // The opt-out was not carried out.
        Reply::json(200, &json!({ "status": "subscribed", "id": "another" })),
    ] {
        let api = FakeApi::start().await;
        api.reply(answer);
        for change in [Change::Unsubscribe, Change::Suppress, Change::Remove] {
            let result = one(&*connect(&api.url(""), ""), withdrawal(change)).await;
            assert_eq!(result.outcome.as_str(), "retry", "{result:?}");
        }
    }
    for answer in [
        Reply::status(200).body("<html></html>"),
        Reply::status(200),
        Reply::json(200, &json!({})),
        Reply::json(200, &json!({ "status": "ok" })),
    ] {
        let api = FakeApi::start().await;
        api.reply(answer);
        let result = one(&*connect(&api.url(""), ""), subscriber(1, SINCE)).await;
        assert_eq!(
            (result.outcome.as_str(), calls(&api)),
            ("retry", vec!["GET M".to_owned()])
        );
    }
}

#[tokio::test]
async fn only_mailchimp_itself_says_that_a_member_is_missing_or_unsubscribed() {
    let subscribed = Reply::json(200, &json!({ "status": "subscribed" }));
    let unsubscribed = Reply::json(200, &json!({ "status": "unsubscribed" }));
    for (keys, delivery, answers) in [
        (
            "",
            withdrawal(Change::Unsubscribe),
            vec![Reply::status(404).body("<html>")],
        ),
        (
            "",
            withdrawal(Change::Unsubscribe),
            vec![Reply::json(404, &json!({ "message": "no route" }))],
        ),
        (
            "",
            withdrawal(Change::Suppress),
            vec![subscribed.clone(), Reply::json(200, &json!({ "status": "ok" }))],
        ),
        (
            "on_remove = 'archive'",
            withdrawal(Change::Remove),
            vec![subscribed, unsubscribed, Reply::status(404).body("<html>")],
        ),
        ("", subscriber(1, SINCE), vec![Reply::status(404).body("<html>")]),
    ] {
        let api = FakeApi::start().await;
        accept(&api);
        api.script(&member(), answers);
        let result = one(&*connect(&api.url(""), keys), delivery).await;
        assert_eq!(result.outcome.as_str(), "retry", "{result:?}");
    }
    let api = FakeApi::start().await;
    accept(&api);
    let left = Reply::json(200, &json!({ "status": "unsubscribed" }));
    api.script(&member(), [left, Reply::status(405).body("<html>")]);
    let archive = connect(&api.url(""), "on_remove = 'archive'");
    let result = one(&*archive, withdrawal(Change::Remove)).await;
    assert_eq!(result.outcome.as_str(), "reject", "{result:?}");
}

#[tokio::test]
async fn each_refusal_has_its_own_meaning() {
    let forgotten = "person1@example.org was permanently deleted and cannot be re-imported.";
    for (title, detail, expected, after) in [
        ("Forgotten Email Not Subscribed", "", "skip", None),
        ("Some New Title", forgotten, "skip", None),
        (
            "Invalid Resource",
            "person1@example.org looks fake or invalid",
            "reject",
            None,
        ),
        (
            "Invalid Resource",
            "has signed up to a lot of lists very recently",
            "retry",
            Some(3_600),
        ),
        (
            "Bad Request",
            "Your plan's contact limit is reached",
            "retry",
            Some(3_600),
        ),
        ("Invalid Resource", "Invalid interest ID: 'a1'.", "halt", None),
    ] {
        let api = FakeApi::start().await;
        accept(&api);
        let (title, detail) = (title.to_owned(), detail.to_owned());
        api.compute_at(&member(), move |request| match &*request.method {
            "GET" => problem(404, "Resource Not Found", ""),
            _ => problem(400, &title, &detail),
        });
        let result = one(&*connect(&api.url(""), "tags = ['=proca']"), subscriber(1, SINCE)).await;
        assert_eq!(result.outcome.as_str(), expected, "{result:?}");
        assert!(!result.reason().unwrap().contains('@'), "{result:?}");
        assert_eq!(calls(&api), ["GET M", "PUT M"]);
        if let Outcome::Retry { after: asked, .. } = result.outcome {
            assert_eq!(asked, after.map(Duration::from_secs));
        }
    }
}

#[tokio::test]
async fn a_compliance_state_is_left_or_asked_as_configured() {
    let refused = "person1@example.org is already a list member in compliance state due to unsubscribe";
    for (keys, state, sent, note) in [
        ("", "opted_in", vec![Some("subscribed")], true),
        ("opt_in = 'pending'", "opted_in", vec![Some("pending")], false),
        (
            "opt_in = 'pending'",
            "double_opted_in",
            vec![Some("subscribed"), Some("pending")],
            false,
        ),
    ] {
        let api = FakeApi::start().await;
        accept(&api);
        api.compute_at(&member(), move |request| match &*request.method {
            "GET" => Reply::json(
                200,
                &json!({ "status": "unsubscribed", "last_changed": "2026-01-01T00:00:00+00:00" }),
            ),
            _ if request.json()["status"] == "subscribed" => {
                problem(400, "Member In Compliance State", refused)
            }
            _ => written(request),
        });
        let mut delivery = subscriber(1, SINCE);
        if state == "double_opted_in" {
            let since = SINCE.parse().unwrap();
            let confirmed = ConsentState::DoubleOptedIn { since };
            delivery
                .record
                .consent_state
                .insert("email".to_owned(), confirmed);
        }
        let result = one(&*connect(&api.url(""), keys), delivery).await;
        assert_eq!(result.outcome.as_str(), "delivered", "{result:?}");
        assert_eq!(!result.notes.is_empty(), note, "{result:?}");
        let requests = api.requests();
        let statuses: Vec<Option<String>> = requests[1..]
            .iter()
            .map(|request| request.json()["status"].as_str().map(str::to_owned))
            .collect();
        let sent: Vec<Option<String>> = sent.into_iter().map(|status| status.map(str::to_owned)).collect();
        assert_eq!(statuses, sent);
    }
}

#[tokio::test]
async fn people_are_asked_once_if_opt_ins_are_pending() {
    let api = FakeApi::start().await;
    accept(&api);
    let mailchimp = connect(&api.url(""), "opt_in = 'pending'");
    one(&*mailchimp, subscriber(1, SINCE)).await;
    let body = api.requests()[1].json();
    assert_eq!(
        (&body["status_if_new"], body.get("timestamp_opt")),
        (&json!("pending"), None)
    );
    api.reset();
    with_member(&api, "pending", SINCE);
    one(&*mailchimp, subscriber(1, SINCE)).await;
    assert!(
        api.requests()[1].json().get("status").is_none(),
        "another status would send another mail"
    );
}

#[tokio::test]
async fn a_value_that_mailchimp_refuses_keeps_nobody_off_the_list() {
    for field in ["BIRTHDAY", "merge_fields.BIRTHDAY"] {
        let api = FakeApi::start().await;
        accept(&api);
        api.compute_at(&member(), move |request| match &*request.method {
            "GET" => problem(404, "Resource Not Found", ""),
            _ if request.json()["merge_fields"].get("BIRTHDAY").is_some() => {
                let errors = json!([{ "field": field, "message": "Birthday must be month/day" }]);
                Reply::json(400, &json!({ "title": "Invalid Resource", "errors": errors }))
            }
            _ => written(request),
        });
        let keys = "fields = { FNAME = 'contact.firstName', BIRTHDAY = '=in spring' }";
        let result = one(&*connect(&api.url(""), keys), subscriber(1, SINCE)).await;
        assert_eq!(result.outcome.as_str(), "delivered");
        assert_eq!(result.notes, ["left out BIRTHDAY: Mailchimp refuses the value"]);
        assert_eq!(
            api.requests()[2].json()["merge_fields"],
            json!({ "FNAME": "Ada" })
        );
    }
}

#[tokio::test]
async fn an_event_is_sent_once_whatever_became_of_the_answer() {
    let api = FakeApi::start().await;
    accept(&api);
    let events = format!("{}/events", member());
    let mailchimp = connect(&api.url(""), "event = { name = 'signed' }");
    let sent = subscriber(1, SINCE);
    let key = sent.key.0.clone();
    one(&*mailchimp, sent.clone()).await;
    assert_eq!(
        api.requests().last().unwrap().json()["properties"]["causeway"],
        *key
    );
    let known = json!({ "events": [{ "name": "signed", "properties": { "causeway": key } }] });
    api.reset();
    accept(&api);
    api.reply_at(&events, Reply::json(200, &known));
    assert_eq!(one(&*mailchimp, sent).await.outcome.as_str(), "delivered");
    assert_eq!(calls(&api), ["GET M", "PUT M", "GET M/events"]);
    // A known action that arrives again is no event.
    let mut again = subscriber(1, SINCE);
    again.record.kind = DeliveryKind::Contact;
    api.reset();
    accept(&api);
    one(&*mailchimp, again).await;
    assert_eq!(calls(&api), ["GET M", "PUT M"]);
}

#[tokio::test]
async fn limits_stop_all_calls_and_forbidden_parts_stop_nobody_else() {
    for (answer, expected, seconds) in [
        (problem(429, "Too Many Requests", ""), "busy", Some(10)),
        (
            Reply::status(429)
                .body("<html></html>")
                .header("retry-after", "7"),
            "busy",
            Some(7),
        ),
        (Reply::status(403), "busy", Some(30)),
        (Reply::status(403).body("<html>"), "busy", Some(30)),
        (problem(403, "User Disabled", ""), "halt", None),
        (problem(403, "Wrong Datacenter", ""), "halt", None),
        (problem(401, "API Key Invalid", ""), "halt", None),
    ] {
        let api = FakeApi::start().await;
        api.reply(answer);
        let results = connect(&api.url(""), "")
            .deliver(&[subscriber(1, SINCE), delivery(2)])
            .await;
        assert_eq!(outcomes(&results), [expected; 2]);
        assert_eq!(api.requests().len(), 1);
        if let Outcome::Busy { after, .. } = &results[0].outcome {
            assert_eq!(*after, seconds.map(Duration::from_secs));
        }
    }
    let api = FakeApi::start().await;
    accept(&api);
    api.reply_at(&format!("{}/tags", member()), problem(403, "Forbidden", ""));
    let mailchimp = connect(&api.url(""), "tags = ['=proca']");
    let results = mailchimp
        .deliver(&[subscriber(1, SINCE), subscriber(2, SINCE)])
        .await;
    assert_eq!(outcomes(&results), ["reject", "delivered"]);
}

#[test]
fn wrong_keys_are_named() {
    let tables = causeway_core::mapping::Tables::default();
    for (more, key) in [
        ("list = 'the list'", "list"),
        ("list = 'l1'\ndata_center = 'example.org/'", "data_center"),
        ("list = 'l1'\napi_version = 'v3'", "api_version"),
        ("list = 'l1'\ninterests = ['Rivers and lakes']", "interests"),
        ("list = 'l1'\nevent = { name = 'x' }", "event.name"),
        (
            "list = 'l1'\nevent = { name = 'xy', properties = { causeway = '=1' } }",
            "event.properties.causeway",
        ),
        (
            "list = 'l1'\nfields = { EMAIL = 'contact.email' }",
            "fields.EMAIL",
        ),
        ("list = 'l1'\ntags = ['campaign.nmae']", "tags.0"),
    ] {
        let table = toml::from_str(&format!("token = 'x'\n{more}")).unwrap();
        assert_eq!((KIND.parse)(&tables, &table).unwrap_err().key, key, "{more}");
    }
    // A key names its data centre, and nothing else becomes a part of the host.
    for (token, more, expected) in [
        ("0123-us21", "", Ok("https://us21.api.mailchimp.com/3.0")),
        (
            "0123-us21",
            "data_center = 'eu1'",
            Ok("https://eu1.api.mailchimp.com/3.0"),
        ),
        (
            "0123-us21",
            "base_url = 'https://proxy.example.org/mc/'",
            Ok("https://proxy.example.org/mc/3.0"),
        ),
        (
            "oauth",
            "data_center = 'us6'",
            Ok("https://us6.api.mailchimp.com/3.0"),
        ),
        ("0123-example.org/", "", Err("token")),
        ("oauth", "", Err("token")),
    ] {
        let table = toml::from_str(&format!("token = '{token}'\nlist = 'l1'\n{more}")).unwrap();
        let access = Settings::parse(&table, &tables)
            .unwrap()
            .access(&context(), false);
        let found = access.as_ref().map(|access| access.base.as_str());
        assert_eq!(
            found.map_err(|error| error.key.as_str()),
            expected,
            "{token} {more}"
        );
    }
}

#[test]
fn a_preview_shows_every_request_that_would_be_sent() {
    let keys = "token = 'dummy-run-token'\nlist = '57afe96172'\ntags = ['=proca', 'campaign.name']\n\
                marketing_permissions = ['62f1']\nevent = { name = 'signed' }";
    let batch = [
        subscriber(1, SINCE),
        withdrawal(Change::Unsubscribe),
        withdrawal(Change::Remove),
    ];
    let shown = (KIND.preview)(&context(), &toml::from_str(keys).unwrap(), &batch).unwrap();
    let texts: Vec<String> = shown.into_iter().map(Result::unwrap).collect();
    assert!(!texts.concat().contains("dummy-run-token"));
    insta::assert_snapshot!(texts.join("\n\n----\n\n"));
}
