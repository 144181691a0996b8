mod vendor;

use std::sync::Arc;

use causeway_core::destination::{Destination, Progress, Results};
use causeway_testkit::{
    destination_contract::{self, Contract, delivery},
    fake_api::{FakeApi, Reply, Request},
};
use serde_json::json;

use super::*;
use crate::config::Context;
use crate::destination::tests::support::{self, outcomes, subscriber};

const STATUSES: &str = "/communication-preferences/2026-09/statuses/person1%40example.org";
const UPSERT: &str = "/crm/objects/2026-09/contacts/batch/upsert";

fn context() -> Context {
    support::context("hubspot")
}

fn connect(api: &str, more: &str) -> Box<dyn Destination> {
    // Nobody moves the test's clock, so the calls must not wait for it.
    let keys = format!(
        "token = 'secret'\nbase_url = '{api}'\nallow_private = true\ncalls_per_10_s = 1000000\n{more}"
    );
    (KIND.connect)(&context(), &toml::from_str(&keys).unwrap()).unwrap()
}

fn withdrawal(change: Change) -> Delivery {
    support::withdrawal(1, change)
}

fn inputs(request: &Request) -> Vec<Value> {
    request.json()["inputs"].as_array().unwrap().clone()
}

/// Answers an upsert as HubSpot does, in the reverse order.
fn upserted(request: &Request) -> Reply {
    let one = |(at, input): (usize, &Value)| json!({ "id": (70_000 + at).to_string(), "objectWriteTraceId": input["objectWriteTraceId"], "properties": input["properties"] });
    let mut results: Vec<Value> = inputs(request).iter().enumerate().map(one).collect();
    results.reverse();
    Reply::json(200, &json!({ "status": "COMPLETE", "results": results }))
}

fn paths(api: &FakeApi) -> Vec<String> {
    support::calls(api, "")
}

#[tokio::test]
async fn keeps_the_destination_contract() {
    destination_contract::run(&Contract {
        connect: &|url| connect(url, ""),
        accept: &|api| api.compute_at(UPSERT, upserted),
        batch: 3,
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_one_call_and_each_contact_gets_its_own_id() {
    let api = FakeApi::start().await;
    api.compute_at(UPSERT, upserted);
    let batch: Vec<Delivery> = (1..=100).map(delivery).collect();
    let results = connect(&api.url(""), "").deliver(&batch).await;
    assert_eq!(api.requests().len(), 1);
    let first = &inputs(&api.requests()[0])[0];
    assert_eq!(
        (&first["idProperty"], &first["id"]),
        (&json!("email"), &json!("person1@example.org"))
    );
    assert_eq!(first["properties"]["lastname"], "Példa, \"jr\"");
    let remote_id = |at: usize| match &results[at].outcome {
        Outcome::Delivered { remote_id } => remote_id.clone().unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (remote_id(0), remote_id(99)),
        ("70000".to_owned(), "70099".to_owned())
    );
}

#[tokio::test]
async fn a_limit_ends_what_was_started_and_gives_back_the_others() {
    let api = FakeApi::start().await;
    api.compute_at(UPSERT, upserted);
    api.reply(Reply::json(429, &json!({ "policyName": "TEN_SECONDLY_ROLLING" })));
    let connected = connect(&api.url(""), "subscription = 7");
    let progress = async |batch: Vec<Delivery>| {
        let results = Results::new(batch.len());
        connected.deliver_into(&batch, &results).await;
        let shown = results.take().into_iter().map(|progress| match progress {
            Progress::NotStarted => "not started",
            Progress::Started(_) => "started",
            Progress::Ended(result) => result.outcome.as_str(),
        });
        shown.collect::<Vec<_>>()
    };
    // All were written in one call. The first call about a subscription is refused.
    let agreed = (1..=3).map(|number| subscriber(number, "2026-03-01T09:30:00Z"));
    assert_eq!(progress(agreed.collect()).await, ["busy"; 3]);
    let left = (1..=3).map(|number| support::withdrawal(number, Change::Unsubscribe));
    let expected = ["busy", "not started", "not started"];
    assert_eq!(progress(left.collect()).await, expected);
}

#[tokio::test]
async fn who_is_in_no_result_of_a_batch_of_subscriptions_is_asked_about_alone() {
    let api = FakeApi::start().await;
    let batch_write = "/communication-preferences/2026-09/statuses/batch/write";
    api.compute_at(batch_write, |request| {
        let results: Vec<Value> = inputs(request)
            .iter()
            .filter(|input| input["subscriberIdString"] != "person2@example.org")
            .map(|input| json!({ "subscriberIdString": input["subscriberIdString"], "status": "UNSUBSCRIBED" }))
            .collect();
        Reply::json(207, &json!({ "status": "COMPLETE", "results": results, "numErrors": 1, "errors": [{ "status": "error" }] }))
    });
    let one = "/communication-preferences/2026-09/statuses/person2%40example.org";
    api.reply_at(one, Reply::json(400, &json!({ "category": "VALIDATION_ERROR" })));
    let connected = connect(&api.url(""), "subscription = 7\nbatch_statuses = true");
    let batch: Vec<Delivery> = (1..=3)
        .map(|number| support::withdrawal(number, Change::Unsubscribe))
        .collect();
    let results = connected.deliver(&batch).await;
    assert_eq!(outcomes(&results), ["delivered", "reject", "delivered"]);
    assert_eq!(
        paths(&api),
        [format!("POST {batch_write}"), format!("POST {one}")]
    );
    // A page of something in between confirms nothing.
    for answer in [
        Reply::status(200).body("<html>log in first</html>"),
        Reply::json(200, &json!({})),
        Reply::json(200, &json!({ "results": [] })),
    ] {
        let api = FakeApi::start().await;
        api.reply(answer);
        let connected = connect(&api.url(""), "subscription = 7\nbatch_statuses = true");
        assert_eq!(outcomes(&connected.deliver(&batch).await), ["retry"; 3]);
    }
}

#[tokio::test]
async fn one_contact_that_spoils_a_batch_is_found_and_the_others_arrive() {
    let api = FakeApi::start().await;
    api.compute_at(UPSERT, |request| {
        if request.text().contains("person37@example.org") {
            let detail = json!({ "code": "INVALID_EMAIL", "message": "person37@example.org is invalid", "context": { "propertyName": ["email"] } });
            return Reply::json(400, &json!({ "category": "VALIDATION_ERROR", "errors": [detail] }));
        }
        upserted(request)
    });
    let batch: Vec<Delivery> = (1..=100).map(delivery).collect();
    let results = connect(&api.url(""), "").deliver(&batch).await;
    let refused: Vec<usize> = (0..100)
        .filter(|at| results[*at].outcome.as_str() != "delivered")
        .collect();
    assert_eq!(refused, [36]);
    assert_eq!(
        results[36].outcome,
        Outcome::Reject {
            reason: "answered 400: VALIDATION_ERROR, INVALID_EMAIL email".to_owned()
        }
    );
    assert!(api.requests().len() <= 15, "{}", api.requests().len());
}

#[tokio::test]
async fn results_and_errors_of_one_batch_belong_to_their_contacts() {
    let api = FakeApi::start().await;
    let error = json!({ "category": "VALIDATION_ERROR", "context": { "objectWriteTraceId": ["0"] } });
    let result = json!({ "id": "70002", "properties": { "email": "PERSON2@example.org" } });
    api.script(
        UPSERT,
        [Reply::json(
            207,
            &json!({ "status": "COMPLETE", "results": [result], "errors": [error] }),
        )],
    );
    let results = connect(&api.url(""), "")
        .deliver(&[delivery(1), delivery(2), delivery(3)])
        .await;
    assert_eq!(
        outcomes(&results),
        ["reject", "delivered", "retry"],
        "the third is in neither list"
    );
}

#[tokio::test]
async fn an_answer_that_says_nothing_is_asked_again_one_by_one() {
    let api = FakeApi::start().await;
    let nothing = Reply::json(200, &json!({ "status": "COMPLETE", "results": [], "errors": [] }));
    api.script(UPSERT, [nothing]);
    api.compute_at(UPSERT, upserted);
    let results = connect(&api.url(""), "")
        .deliver(&[delivery(1), delivery(2)])
        .await;
    assert_eq!(outcomes(&results), ["delivered", "delivered"]);
    assert_eq!(api.requests().len(), 3);
}

#[tokio::test]
async fn two_contacts_with_one_address_are_never_in_one_batch() {
    let api = FakeApi::start().await;
    api.compute_at(UPSERT, upserted);
    let mut other = delivery(1);
    other.record.contact.fields.get_mut("email").unwrap().value = "Person1@Example.org".into();
    connect(&api.url(""), "")
        .deliver(&[delivery(1), other, delivery(2)])
        .await;
    let sizes: Vec<usize> = api
        .requests()
        .iter()
        .map(|request| inputs(request).len())
        .collect();
    assert_eq!(sizes, [2, 1]);
}

#[tokio::test]
async fn a_person_who_unsubscribed_there_stays_so_unless_they_agreed_later() {
    for (status, timestamp, writes, note) in [
        ("UNSUBSCRIBED", "2026-03-02T00:00:00Z", false, true),
        ("UNSUBSCRIBED", "2026-02-01T00:00:00Z", true, false),
        ("UNSUBSCRIBED", "not a time", false, true),
        ("NOT_SPECIFIED", "", true, false),
        ("SUBSCRIBED", "2026-02-01T00:00:00Z", false, false),
    ] {
        let api = FakeApi::start().await;
        api.compute_at(UPSERT, upserted);
        let ours = json!({ "subscriptionId": 7, "status": status, "timestamp": timestamp });
        let other = json!({ "subscriptionId": "8", "status": "SUBSCRIBED" });
        api.compute_at(STATUSES, move |request| match &*request.method {
            "GET" => Reply::json(200, &json!({ "results": [other, ours] })),
            _ => Reply::json(200, &json!({})),
        });
        let hubspot = connect(&api.url(""), "subscription = 7");
        let results = hubspot.deliver(&[subscriber(1, "2026-03-01T09:30:00Z")]).await;
        assert_eq!(outcomes(&results), ["delivered"]);
        assert_eq!(results[0].notes.len(), usize::from(note), "{status} {timestamp}");
        let written: Vec<Value> = api
            .requests()
            .iter()
            .filter(|request| request.method == "POST" && request.path == STATUSES)
            .map(Request::json)
            .collect();
        assert_eq!(written.len(), usize::from(writes), "{status} {timestamp}");
        if let [written] = &written[..] {
            assert_eq!(
                (&written["statusState"], &written["subscriptionId"]),
                (&json!("SUBSCRIBED"), &json!(7))
            );
            assert_eq!(
                written["legalBasisExplanation"],
                "Opt-in on 2026-03-01, by proca, campaign rivers"
            );
        }
    }
}

#[tokio::test]
async fn an_opt_out_is_written_first_and_needs_no_contact() {
    let api = FakeApi::start().await;
    api.compute_at(UPSERT, upserted);
    let mut with_data = delivery(1);
    with_data.record.change = Change::Unsubscribe;
    let hubspot = connect(&api.url(""), "subscription = 7");
    assert_eq!(outcomes(&hubspot.deliver(&[with_data]).await), ["delivered"]);
    assert_eq!(
        paths(&api),
        [format!("POST {STATUSES}"), format!("POST {UPSERT}")]
    );
    for change in [Change::Unsubscribe, Change::Suppress] {
        api.reset();
        assert_eq!(
            outcomes(&hubspot.deliver(&[withdrawal(change)]).await),
            ["delivered"]
        );
        assert_eq!(paths(&api), [format!("POST {STATUSES}")]);
        assert_eq!(api.requests()[0].json()["statusState"], "UNSUBSCRIBED");
        // Without a subscription type, they leave all.
        api.reset();
        connect(&api.url(""), "").deliver(&[withdrawal(change)]).await;
        assert_eq!(paths(&api), [format!("POST {STATUSES}/unsubscribe-all")]);
        assert_eq!(api.requests()[0].query, "channel=EMAIL");
        // A person who is not there needs no opt-out.
        api.reset();
        api.reply(Reply::json(404, &json!({ "category": "OBJECT_NOT_FOUND" })));
        assert_eq!(
            outcomes(&hubspot.deliver(&[withdrawal(change)]).await),
            ["delivered"]
        );
    }
}

#[tokio::test]
async fn an_erasure_deletes_the_contact_for_good() {
    let api = FakeApi::start().await;
    api.reply(Reply::status(204));
    let hubspot = connect(&api.url(""), "lists = ['412']");
    assert_eq!(
        outcomes(&hubspot.deliver(&[withdrawal(Change::Remove)]).await),
        ["delivered"]
    );
    assert_eq!(paths(&api), ["POST /crm/objects/2026-09/contacts/gdpr-delete"]);
    assert_eq!(
        api.requests()[0].json(),
        json!({ "objectId": "person1@example.org", "idProperty": "email" })
    );
}

#[tokio::test]
async fn a_contact_that_has_the_address_is_adopted_unless_it_has_another_key() {
    for (owner, adopted) in [
        (json!(null), true),
        (json!(""), true),
        (json!("HU"), true),
        (json!("another"), false),
    ] {
        let api = FakeApi::start().await;
        let conflict =
            json!({ "category": "CONFLICT", "message": "Contact already exists. Existing ID: 70211" });
        api.reply_at(UPSERT, Reply::json(409, &conflict));
        api.reply_at(
            "/crm/objects/2026-09/contacts/70211",
            Reply::json(
                200,
                &json!({ "id": "70211", "properties": { "causeway_id": owner, "email": "x@example.org", "hs_additional_emails": "Person1@example.org" } }),
            ),
        );
        let hubspot = connect(&api.url(""), "key = { causeway_id = 'contact.country' }");
        let results = hubspot.deliver(&[delivery(1)]).await;
        assert_eq!(
            outcomes(&results),
            [if adopted { "delivered" } else { "reject" }],
            "{owner}"
        );
        let patched = api
            .requests()
            .into_iter()
            .find(|request| request.method == "PATCH");
        assert_eq!(patched.is_some(), adopted);
        if let Some(patched) = patched {
            let properties = &patched.json()["properties"];
            assert_eq!(
                (&properties["causeway_id"], &properties["firstname"]),
                (&json!("HU"), &json!("Ada"))
            );
        }
    }
}

#[tokio::test]
async fn people_are_added_to_lists_by_their_ids_and_an_action_is_one_event() {
    let api = FakeApi::start().await;
    api.compute_at(UPSERT, upserted);
    let more = "lists = ['412', '9']\nevent = { name = 'pe1_action' }";
    let hubspot = connect(&api.url(""), more);
    let agreed = "2026-03-01T09:30:00Z";
    let batch = [subscriber(1, agreed), subscriber(2, agreed)];
    assert_eq!(
        outcomes(&hubspot.deliver(&batch).await),
        ["delivered", "delivered"]
    );
    let first = api.requests();
    assert_eq!(
        paths(&api)[1..],
        [
            "PUT /crm/lists/2026-09/412/memberships/add",
            "PUT /crm/lists/2026-09/9/memberships/add",
            "POST /events/custom/2026-09/send/batch"
        ]
    );
    assert_eq!(first[1].json(), json!(["70000", "70001"]));
    let event = &inputs(&first[3])[0];
    assert_eq!(
        (&event["objectId"], &event["eventName"]),
        (&json!("70000"), &json!("pe1_action"))
    );
    assert_eq!(
        event["properties"],
        json!({ "campaign": "rivers", "action_type": "petition" })
    );
    // The same delivery again is the same event.
    hubspot.deliver(&batch).await;
    assert_eq!(inputs(&api.requests()[7])[0]["uuid"], event["uuid"]);
    assert_ne!(inputs(&first[3])[1]["uuid"], event["uuid"]);
    // A contact that was merged or deleted meanwhile is found again by the next attempt.
    api.reply_at(
        "/crm/lists/2026-09/9/memberships/add",
        Reply::json(200, &json!({ "recordIdsMissing": ["70001"] })),
    );
    assert_eq!(outcomes(&hubspot.deliver(&batch).await), ["delivered", "retry"]);
}

#[tokio::test]
async fn limits_stop_all_calls_for_as_long_as_they_last() {
    for (policy, seconds) in [("TEN_SECONDLY_ROLLING", 10), ("SECONDLY", 1), ("DAILY", 3_600)] {
        let api = FakeApi::start().await;
        api.reply(Reply::json(429, &json!({ "policyName": policy })));
        let results = connect(&api.url(""), "")
            .deliver(&[delivery(1), delivery(2)])
            .await;
        assert_eq!(outcomes(&results), ["busy", "busy"]);
        let after = Some(std::time::Duration::from_secs(seconds));
        assert!(
            matches!(&results[0].outcome, Outcome::Busy { after: asked, .. } if *asked == after),
            "{policy}"
        );
        assert_eq!(api.requests().len(), 1);
    }
    // The last call that is allowed says so.
    let api = FakeApi::start().await;
    api.compute_at(UPSERT, |request| {
        let headers = [
            ("x-hubspot-ratelimit-remaining", "0"),
            ("x-hubspot-ratelimit-interval-milliseconds", "10000"),
        ];
        headers.iter().fold(upserted(request), |reply, (name, value)| {
            reply.header(name, value)
        })
    });
    let results = connect(&api.url(""), "").deliver(&[delivery(1)]).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    assert_eq!(results[0].rest, Some(std::time::Duration::from_secs(10)));
}

#[tokio::test]
async fn a_wrong_mapping_or_a_missing_scope_halts_with_what_to_do() {
    let api = FakeApi::start().await;
    let detail = json!({ "code": "PROPERTY_DOESNT_EXIST", "context": { "propertyName": ["shoe_size"] } });
    api.reply(Reply::json(
        400,
        &json!({ "category": "VALIDATION_ERROR", "errors": [detail] }),
    ));
    let hubspot = connect(&api.url(""), "fields = { shoe_size = '=7' }");
    let results = hubspot.deliver(&[delivery(1)]).await;
    let reason = results[0].outcome.reason().unwrap();
    assert!(
        reason.contains("PROPERTY_DOESNT_EXIST shoe_size; correct `fields`"),
        "{reason}"
    );
    let scopes = json!({ "category": "MISSING_SCOPES", "context": { "requiredGranularScopes": ["crm.objects.contacts.write"] } });
    api.reply(Reply::json(403, &scopes));
    let results = hubspot.deliver(&[delivery(1), delivery(2)]).await;
    assert_eq!(outcomes(&results), ["halt", "halt"]);
    assert!(
        results[0]
            .outcome
            .reason()
            .unwrap()
            .ends_with("a scope: crm.objects.contacts.write")
    );
}

#[test]
fn a_preview_shows_every_request_that_would_be_sent() {
    let keys = "token = 'secret'\nsubscription = 7\nlists = ['412']\nevent = { name = 'pe1_action' }";
    let batch = [
        subscriber(1, "2026-03-01T09:30:00Z"),
        withdrawal(Change::Unsubscribe),
    ];
    let shown = (KIND.preview)(&context(), &toml::from_str(keys).unwrap(), &batch).unwrap();
    insta::assert_snapshot!(
        shown
            .into_iter()
            .map(Result::unwrap)
            .collect::<Vec<_>>()
            .join("\n\n----\n\n")
    );
}

#[tokio::test]
async fn only_a_readable_response_proves_that_nobody_unsubscribed() {
    for answer in [
        Reply::status(200).body("<html>maintenance</html>"),
        Reply::json(200, &json!({ "results": [] })).cut(),
        Reply::json(200, &json!({ "status": "PENDING", "results": [] })),
        Reply::json(200, &json!({})),
        Reply::status(200),
    ] {
        let api = FakeApi::start().await;
        api.compute_at(UPSERT, upserted);
        api.reply_at(STATUSES, answer);
        let hubspot = connect(&api.url(""), "subscription = 7");
        let results = hubspot.deliver(&[subscriber(1, "2026-03-01T09:30:00Z")]).await;
        assert_eq!(outcomes(&results), ["retry"]);
        assert!(!paths(&api).contains(&format!("POST {STATUSES}")));
    }
}

#[tokio::test]
async fn a_page_of_something_in_between_confirms_nothing() {
    for answer in [
        Reply::status(200).body("<html>log in first</html>"),
        Reply::status(200),
        Reply::json(200, &json!({ "results": [] })).cut(),
    ] {
        let api = FakeApi::start().await;
        api.reply(answer);
        for more in ["", "subscription = 7"] {
            let hubspot = connect(&api.url(""), more);
            for change in [Change::Unsubscribe, Change::Suppress, Change::Remove] {
                assert_eq!(outcomes(&hubspot.deliver(&[withdrawal(change)]).await), ["retry"]);
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_address_of_the_api_confirms_no_opt_out() {
    let api = FakeApi::start().await;
    api.reply(Reply::json(404, &json!({ "message": "resource not found" })));
    let hubspot = connect(&api.url(""), "subscription = 7");
    for change in [Change::Unsubscribe, Change::Remove] {
        assert_eq!(outcomes(&hubspot.deliver(&[withdrawal(change)]).await), ["halt"]);
    }
    let wrong = toml::from_str("token = 'secret'\napi_version = '2026-9'").unwrap();
    let tables = causeway_core::mapping::Tables::default();
    let error = (KIND.parse)(&tables, &wrong).unwrap_err();
    assert!(error.to_string().contains("is not a version"), "{error}");
}

#[tokio::test]
async fn nobody_elses_contact_is_adopted() {
    let api = FakeApi::start().await;
    // The value of another unique property, and a value that somebody typed into a form.
    let other = "Cannot set PropertyValueCoordinates{propertyName=member_number, value=7} on 1. 70211 already has that value.";
    for message in [other, "Property values were not valid: Existing ID: 70211"] {
        let refused = json!({ "category": "VALIDATION_ERROR", "message": message });
        api.reply_at(UPSERT, Reply::json(400, &refused));
        let owner = json!({ "id": "70211", "properties": { "email": "another@example.org" } });
        api.reply_at("/crm/objects/2026-09/contacts/70211", Reply::json(200, &owner));
        let hubspot = connect(&api.url(""), "key = { causeway_id = 'contact.country' }");
        assert_eq!(
            outcomes(&hubspot.deliver(&[delivery(1)]).await),
            ["reject"],
            "{message}"
        );
        assert!(api.requests().iter().all(|request| request.method != "PATCH"));
    }
}

#[tokio::test]
async fn after_a_limit_or_a_halt_the_rest_of_the_batch_makes_no_call() {
    let opt_out = |number| {
        let mut delivery = delivery(number);
        delivery.record.kind = DeliveryKind::Withdrawal;
        delivery.record.change = Change::Unsubscribe;
        delivery
    };
    let batch: Vec<Delivery> = (1..=20).map(opt_out).collect();
    for (status, body, expected) in [
        (429, json!({ "policyName": "DAILY" }), "busy"),
        (403, json!({ "category": "MISSING_SCOPES" }), "halt"),
    ] {
        let api = FakeApi::start().await;
        api.reply(Reply::json(status, &body));
        let results = connect(&api.url(""), "subscription = 7").deliver(&batch).await;
        assert_eq!(outcomes(&results), [expected; 20]);
        assert_eq!(api.requests().len(), 1);
    }
    // A mapping that is wrong for everybody is no fault of one contact.
    let api = FakeApi::start().await;
    let detail = json!({ "code": "PROPERTY_DOESNT_EXIST", "context": { "propertyName": ["x"] } });
    let refused = json!({ "category": "VALIDATION_ERROR", "errors": [detail] });
    api.reply(Reply::json(400, &refused));
    let batch: Vec<Delivery> = (1..=20).map(delivery).collect();
    assert_eq!(
        outcomes(&connect(&api.url(""), "").deliver(&batch).await),
        ["halt"; 20]
    );
    assert_eq!(api.requests().len(), 1);
}

#[tokio::test]
async fn calls_of_their_own_do_not_split_the_calls_that_are_shared() {
    let api = FakeApi::start().await;
    api.compute_at(UPSERT, upserted);
    api.reply(Reply::json(200, &json!({ "results": [] })));
    let hubspot = connect(&api.url(""), "subscription = 7\nlists = ['412']");
    let agreed = |number| subscriber(number, "2026-03-01T09:30:00Z");
    let batch: Vec<Delivery> = (1..=5).map(agreed).collect();
    assert_eq!(outcomes(&hubspot.deliver(&batch).await), ["delivered"; 5]);
    let calls = paths(&api);
    let of_list = calls
        .iter()
        .filter(|path| path.ends_with("memberships/add"))
        .count();
    assert_eq!((of_list, calls.len()), (1, 12), "{calls:?}");
}

#[tokio::test]
async fn people_who_did_not_agree_are_on_no_list_and_a_known_action_is_no_second_event() {
    let api = FakeApi::start().await;
    api.compute_at(UPSERT, upserted);
    let hubspot = connect(&api.url(""), "lists = ['412']\nevent = { name = 'pe1_action' }");
    let mut again = delivery(1);
    again.record.kind = DeliveryKind::Contact;
    let mut opted_out = delivery(2);
    opted_out.record.change = Change::Unsubscribe;
    opted_out.record.kind = DeliveryKind::Contact;
    hubspot.deliver(&[again, opted_out]).await;
    let calls = paths(&api);
    let is_more = |path: &String| path.contains("lists") || path.contains("events");
    assert!(!calls.iter().any(is_more), "{calls:?}");
}
