//! Many records in one request.

use causeway_core::{consent::Change, mapping::Tables};
use causeway_testkit::{
    destination_contract::{self, Contract, delivery},
    fake_api::{FakeApi, Reply, Request},
};
use serde_json::{Value, json};

use super::*;
use crate::destination::tests::support::outcomes;

const FIELDS: &str = "fields = { email = 'contact.email', change = 'change' }";

fn batch(count: i64) -> Vec<Delivery> {
    (1..=count).map(delivery).collect()
}

/// The numbers of the people in a request.
fn people(request: &Request) -> Vec<u64> {
    let body = request.json();
    let list = body.get("people").unwrap_or(&body).as_array().unwrap().clone();
    let number = |record: &Value| {
        let email = record["email"].as_str().unwrap();
        email["person".len()..]
            .split('@')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    };
    list.iter().map(number).collect()
}

#[tokio::test]
async fn keeps_the_destination_contract() {
    for (more, answer) in [
        ("each = {}", json!({})),
        (
            "each = { at = 'people', results = 'results', success = 'ok', key = 'key' }",
            json!({ "results": [{ "ok": true }, { "ok": true }, { "ok": 1 }] }),
        ),
    ] {
        destination_contract::run(&Contract {
            connect: &|url| connect(url, more),
            accept: &|api| api.reply(Reply::json(200, &answer)),
            batch: 3,
        })
        .await;
    }
}

#[tokio::test]
async fn the_body_is_a_list_or_has_one_beside_constant_members() {
    let api = FakeApi::start().await;
    connect(&api.url(""), &format!("each = {{}}\n{FIELDS}"))
        .deliver(&batch(2))
        .await;
    let list = json!([
        { "email": "person1@example.org", "change": "none" },
        { "email": "person2@example.org", "change": "none" },
    ]);
    assert_eq!(api.requests().len(), 1);
    assert_eq!(api.requests()[0].json(), list);
    let key = api.requests()[0].header("idempotency-key").unwrap().to_owned();
    assert!(key.starts_with("cw_") && key != delivery(1).key.0, "{key}");

    api.reset();
    let each = format!(
        "each = {{ at = 'data.people', members = {{ data = {{ list = 7 }}, v = 2 }}, key = 'k' }}\n{FIELDS}"
    );
    connect(&api.url(""), &each).deliver(&batch(1)).await;
    let record = json!({ "email": "person1@example.org", "change": "none", "k": delivery(1).key.0 });
    assert_eq!(
        api.requests()[0].json(),
        json!({ "data": { "list": 7, "people": [record] }, "v": 2 })
    );
    // A record alone has its own key.
    assert_eq!(
        api.requests()[0].header("idempotency-key"),
        Some(&*delivery(1).key.0)
    );

    api.reset();
    let form = format!("content = 'form'\neach = {{ at = 'people' }}\n{FIELDS}");
    connect(&api.url(""), &form).deliver(&batch(2)).await;
    assert!(
        api.requests()[0]
            .text()
            .contains("people%5B1%5D%5Bemail%5D=person2%40example.org"),
        "{}",
        api.requests()[0].text()
    );
}

#[tokio::test]
async fn each_record_has_its_own_result() {
    let api = FakeApi::start().await;
    let order = json!({ "results": [
        { "ok": true, "id": 11 },
        { "ok": false, "error": { "code": "BAD_NAME", "text": "cannot accept person2@example.org" } },
        { "ok": true, "id": "c" },
    ] });
    let by_key = json!({ "results": [
        { "address": "PERSON3@example.org", "ok": true, "id": "c" },
        { "address": "person1@example.org", "ok": true, "id": 11 },
        { "address": "person2@example.org", "ok": false, "error": { "code": "BAD_NAME" } },
    ] });
    let own_status = json!({ "results": [
        { "s": 201, "id": 11 }, { "s": 422, "error": { "code": "BAD_NAME" } }, { "s": "200", "id": "c" },
    ] });
    let common = "results = 'results', error = 'error.code', id = 'id'";
    for (each, answer) in [
        (format!("{common}, success = 'ok'"), order),
        (
            format!("{common}, success = 'ok', match = {{ record = 'email', result = 'address' }}"),
            by_key,
        ),
        (format!("{common}, status = 's'"), own_status),
    ] {
        api.reply(Reply::json(200, &answer));
        let hook = connect(&api.url(""), &format!("each = {{ {each} }}\n{FIELDS}"));
        let results = hook.deliver(&batch(3)).await;
        assert_eq!(outcomes(&results), ["delivered", "reject", "delivered"], "{each}");
        let id = |index: usize| match &results[index].outcome {
            Outcome::Delivered { remote_id } => remote_id.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!((id(0).as_deref(), id(2).as_deref()), (Some("11"), Some("c")));
        let reason = results[1].outcome.reason().unwrap();
        assert!(reason.contains("BAD_NAME") && !reason.contains('@'), "{reason}");
        assert!(results[1].excerpt.as_ref().unwrap().contains("BAD_NAME"));
    }
}

#[tokio::test]
async fn a_list_of_errors_names_only_the_refused_records() {
    let api = FakeApi::start().await;
    api.reply(Reply::json(
        207,
        &json!({ "errors": [{ "batch_index": 1, "reason": "invalid" }] }),
    ));
    let each = "each = { at = 'batch', errors = 'errors', index = 'batch_index', error = 'reason' }";
    let hook = connect(&api.url(""), &format!("{each}\n{FIELDS}"));
    let results = hook.deliver(&batch(3)).await;
    assert_eq!(outcomes(&results), ["delivered", "reject", "delivered"]);
    assert!(results[1].outcome.reason().unwrap().ends_with("(invalid)"));
    api.reply(Reply::json(200, &json!({})));
    assert_eq!(outcomes(&hook.deliver(&batch(2)).await), ["delivered"; 2]);
}

#[tokio::test]
async fn a_response_that_confirms_nothing_is_no_success() {
    let api = FakeApi::start().await;
    let hook = connect(
        &api.url(""),
        &format!("each = {{ results = 'results', success = 'ok' }}\n{FIELDS}"),
    );
    for reply in [
        Reply::status(200).body("<html>Back soon</html>"),
        Reply::status(204),
        Reply::json(200, &json!({ "results": null })),
        // Which of the three has no result?
        Reply::json(200, &json!({ "results": [{ "ok": true }, { "ok": true }] })),
    ] {
        api.reply(reply.clone());
        let results = hook.deliver(&batch(3)).await;
        assert_eq!(outcomes(&results), ["retry"; 3], "{reply:?}");
        assert_eq!(api.requests().len(), 1, "it was divided: {reply:?}");
        api.reset();
    }
}

/// Refuses every request that has one of these people in it.
fn refuse(api: &FakeApi, bad: &'static [u64], status: u16) {
    api.compute(move |request| {
        if people(request).iter().any(|person| bad.contains(person)) {
            Reply::json(status, &json!({ "error": "one of them is wrong" }))
        } else {
            Reply::json(200, &json!({}))
        }
    });
}

#[tokio::test]
async fn a_refused_batch_is_halved_until_the_bad_record_is_alone() {
    let api = FakeApi::start().await;
    refuse(&api, &[5, 12], 422);
    let hook = connect(&api.url(""), &format!("each = {{}}\n{FIELDS}"));
    let results = hook.deliver(&batch(16)).await;
    for (index, result) in results.iter().enumerate() {
        let expected = if [5, 12].contains(&(index + 1)) {
            "reject"
        } else {
            "delivered"
        };
        assert_eq!(result.outcome.as_str(), expected, "{index}");
    }
    let mut accepted: Vec<u64> = Vec::new();
    for request in api.requests() {
        let people = people(&request);
        if !people.iter().any(|person| [5, 12].contains(person)) {
            accepted.extend(people);
        }
    }
    accepted.sort_unstable();
    let expected: Vec<u64> = (1..=16).filter(|person| ![5, 12].contains(person)).collect();
    assert_eq!(accepted, expected, "nobody is sent twice");
    assert!(api.requests().len() < 16, "{} requests", api.requests().len());
}

#[tokio::test]
async fn a_record_that_makes_the_receiver_fail_is_found_at_the_second_attempt() {
    let api = FakeApi::start().await;
    refuse(&api, &[3], 500);
    let hook = connect(&api.url(""), &format!("each = {{}}\n{FIELDS}"));
    assert_eq!(outcomes(&hook.deliver(&batch(4)).await), ["retry"; 4]);
    assert_eq!(api.requests().len(), 1);
    let mut again = batch(4);
    for delivery in &mut again {
        delivery.attempt = 2;
    }
    let results = hook.deliver(&again).await;
    assert_eq!(
        outcomes(&results),
        ["delivered", "delivered", "retry", "delivered"]
    );
}

#[tokio::test]
async fn what_was_delivered_before_a_call_is_cut_off_stays_delivered() {
    let api = FakeApi::start().await;
    api.compute(|request| match people(request).as_slice() {
        all if all.len() > 2 => Reply::status(422),
        [1, 2] => Reply::status(200),
        _ => Reply::hang(),
    });
    let hook = connect(&api.url(""), &format!("each = {{}}\n{FIELDS}"));
    let (batch, results) = (batch(8), Results::new(8));
    tokio::select! {
        () = hook.deliver_into(&batch, &results) => panic!("it hangs"),
        _ = api.wait_for(4) => {}
    }
    let progress = results.take();
    assert!(matches!(progress[0], Progress::Ended(_)) && matches!(progress[1], Progress::Ended(_)));
    assert_eq!(progress[2..4], [const { Progress::Started(None) }; 2]);
    assert_eq!(progress[4..], [const { Progress::NotStarted }; 4]);
}

#[tokio::test]
async fn a_record_that_cannot_be_made_does_not_spoil_the_others() {
    let api = FakeApi::start().await;
    let mut all = batch(3);
    for (delivery, age) in all.iter_mut().zip(["30", "old", "31"]) {
        let age = causeway_core::contact::Field::new(json!(age), delivery.planned_at);
        delivery.record.contact.fields.insert("age".to_owned(), age);
    }
    let fields = "fields = { email = 'contact.email', age = 'contact.age | int', change = 'change' }";
    let hook = connect(&api.url(""), &format!("each = {}\n{fields}", "{}"));
    let results = hook.deliver(&all).await;
    assert_eq!(outcomes(&results), ["delivered", "reject", "delivered"]);
    assert_eq!(people(&api.requests()[0]), [1, 3]);
}

#[tokio::test]
async fn long_bodies_are_divided_before_they_are_sent() {
    let api = FakeApi::start().await;
    let hook = connect(&api.url(""), &format!("each = {{ bytes = 150 }}\n{FIELDS}"));
    assert_eq!(outcomes(&hook.deliver(&batch(8)).await), ["delivered"; 8]);
    assert!(api.requests().len() >= 4);
    assert!(api.requests().iter().all(|request| request.body.len() <= 150));
}

#[tokio::test]
async fn a_limit_or_wrong_credentials_end_the_batch_and_the_rest_is_not_sent() {
    let api = FakeApi::start().await;
    for (status, outcome) in [(429, "busy"), (401, "halt")] {
        api.reset();
        api.compute(move |request| match people(request).len() {
            4 => Reply::status(422),
            _ => Reply::status(status),
        });
        let hook = connect(&api.url(""), &format!("each = {{}}\n{FIELDS}"));
        let (batch, results) = (batch(4), Results::new(4));
        hook.deliver_into(&batch, &results).await;
        let progress = results.take();
        for ended in &progress[..2] {
            assert!(matches!(ended, Progress::Ended(result) if result.outcome.as_str() == outcome));
        }
        assert_eq!(progress[2..], [Progress::NotStarted, Progress::NotStarted]);
        assert_eq!(api.requests().len(), 2);
    }
}

#[tokio::test]
async fn changes_with_requests_of_their_own_are_sent_apart() {
    let api = FakeApi::start().await;
    let more = format!(
        "each = {{}}\n{FIELDS}\n[on.unsubscribe]\nurl = '{0}/off'\n[on.remove]\nmethod = 'DELETE'\nurl = '{0}/people/[#EMAIL#]'",
        api.url("")
    );
    let mut all = batch(5);
    all[1].record.change = Change::Unsubscribe;
    all[2].record.change = Change::Suppress;
    all[4].record.change = Change::Remove;
    let results = connect(&api.url(""), &more).deliver(&all).await;
    assert_eq!(outcomes(&results), ["delivered"; 5]);
    let sent: Vec<(String, String)> = api
        .requests()
        .iter()
        .map(|request| (format!("{} {}", request.method, request.path), request.text()))
        .collect();
    assert_eq!(sent.len(), 3, "{sent:?}");
    assert_eq!(sent[0].0, "POST /hook");
    assert_eq!(people(&api.requests()[0]), [1, 4]);
    assert_eq!(
        (sent[1].0.as_str(), people(&api.requests()[1])),
        ("POST /off", vec![2, 3])
    );
    assert_eq!(
        sent[2],
        ("DELETE /people/person5%40example.org".to_owned(), String::new())
    );
}

#[tokio::test]
async fn without_each_a_batch_is_sent_several_at_a_time() {
    let api = FakeApi::start().await;
    api.reply(Reply::hang());
    let hook = connect(&api.url(""), "");
    let (batch, results) = (batch(40), Results::new(40));
    tokio::select! {
        () = hook.deliver_into(&batch, &results) => panic!("it hangs"),
        _ = api.wait_for(16) => {}
    }
    let started = results
        .take()
        .into_iter()
        .filter(|progress| *progress == Progress::Started(None));
    assert_eq!(started.count(), 16);
}

#[test]
fn an_impossible_combination_is_refused_by_key() {
    let url = "url = 'https://hooks.example.org/'\n";
    for (text, key) in [
        ("each = { at = 'a[]' }", "each.at"),
        ("content = 'form'\neach = {}", "each.at"),
        ("each = { members = { a = 1 } }", "each.members"),
        ("each = { at = 'a.b', members = { a = 1 } }", "each.members"),
        (
            "each = { results = 'a', errors = 'b', success = 'c' }",
            "each.errors",
        ),
        ("each = { results = 'a' }", "each.success"),
        ("each = { success = 'a' }", "each.results"),
        ("each = { errors = 'a' }", "each.index"),
        ("each = { results = 'a..b', success = 'c' }", "each.results"),
        (
            "each = { results = 'a', success = 'c', index = 'i', match = { record = 'a', result = 'b' } }",
            "each.match",
        ),
        ("content = 'query'\neach = { at = 'a' }", "each"),
        ("each = {}\nupdate = { crm_id = 'id' }", "each"),
        (
            "each = {}\nfind = { url = 'https://hooks.example.org/?e=[#EMAIL#]', id = 'id' }",
            "each",
        ),
        ("each = {}\nheaders = { X = '[#EMAIL#]' }", "each"),
        ("each = { resutls = 'a' }", "each.resutls"),
    ] {
        let table = toml::from_str(&format!("{url}{text}")).unwrap();
        let error = (KIND.parse)(&Tables::default(), &table).unwrap_err();
        assert_eq!(error.key, key, "{text}: {error}");
    }
}
