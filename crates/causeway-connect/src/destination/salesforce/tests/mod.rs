mod bulk;
mod vendor;

use std::sync::Arc;

use causeway_core::{
    consent::{ConsentState, Suppression},
    destination::Destination,
};
use causeway_testkit::{
    clock::TestClock,
    destination_contract::{self, Contract, delivery},
    fake_api::{FakeApi, Reply, Request},
};
use serde_json::json;

use super::*;
use crate::config::Context;
use crate::destination::tests::support::{self, outcomes};

const QUERY: &str = "/services/data/v68.0/query";
const COLLECTION: &str = "/services/data/v68.0/composite/sobjects";
const UPSERT: &str = "/services/data/v68.0/composite/sobjects/Contact/Causeway_Id__c";

fn context() -> Context {
    support::context("salesforce")
}

fn connect(api: &str, more: &str) -> Box<dyn Destination> {
    let keys = format!("token = 'secret'\nbase_url = '{api}'\nallow_private = true\n{more}");
    (KIND.connect)(&context(), &toml::from_str(&keys).unwrap()).unwrap()
}

/// A person with this consent state.
fn person(number: i64, change: Change, state: ConsentState) -> Delivery {
    let mut delivery = delivery(number);
    delivery.record.change = change;
    delivery.record.consent_state.insert("email".to_owned(), state);
    delivery
}

fn subscriber(number: i64, since: &str) -> Delivery {
    let since = since.parse().unwrap();
    person(number, Change::Subscribe, ConsentState::OptedIn { since })
}

fn withdrawal(change: Change) -> Delivery {
    let since = "2026-03-02T08:00:00Z".parse().unwrap();
    let state = match change {
        Change::Suppress => ConsentState::Suppressed {
            since,
            why: Suppression::Bounced,
        },
        _ => ConsentState::Unsubscribed { since },
    };
    let mut delivery = person(1, change, state);
    delivery.record.kind = DeliveryKind::Withdrawal;
    delivery.record.action = None;
    delivery
}

fn found(rows: &Value) -> Reply {
    let total = rows.as_array().unwrap().len();
    Reply::json(200, &json!({ "totalSize": total, "done": true, "records": rows }))
}

/// A contact of the query.
fn row(id: &str, email: &str, opted_out: bool) -> Value {
    json!({ "Id": id, "Email": email, "HasOptedOutOfEmail": opted_out, "LastModifiedDate": "2026-02-01T00:00:00.000+0000" })
}

fn records(request: &Request) -> Vec<Value> {
    request.json()["records"].as_array().unwrap().clone()
}

fn saved(request: &Request) -> Reply {
    let rows = records(request);
    let one = |(at, row): (usize, &Value)| {
        let id = row
            .get("id")
            .cloned()
            .unwrap_or_else(|| format!("003new{at}").into());
        json!({ "id": id, "success": true, "errors": [] })
    };
    Reply::json(200, &rows.iter().enumerate().map(one).collect())
}

/// Finds these contacts, and saves whatever is sent.
fn accept(api: &FakeApi, rows: &Value) {
    api.reply_at(QUERY, found(rows));
    for path in [COLLECTION, UPSERT] {
        api.compute_at(path, saved);
    }
}

fn paths(api: &FakeApi) -> Vec<String> {
    let all = api.requests();
    all.iter()
        .map(|request| {
            format!(
                "{} {}",
                request.method,
                request.path.replace("/services/data/v68.0", "")
            )
        })
        .collect()
}

/// The records of which it is remembered that Causeway opted them out.
fn opted_out(result: &AttemptResult) -> Value {
    result.memory.as_ref().unwrap()["opted_out"].clone()
}

fn refusal(code: &str, message: &str) -> Value {
    json!({ "success": false, "errors": [{ "statusCode": code, "message": message, "fields": ["LastName"] }] })
}

#[tokio::test]
async fn keeps_the_destination_contract() {
    destination_contract::run(&Contract {
        connect: &|url| connect(url, ""),
        accept: &|api| accept(api, &json!([])),
        batch: 3,
    })
    .await;
}

#[tokio::test]
async fn a_batch_of_new_people_is_one_query_and_one_upsert() {
    let api = FakeApi::start().await;
    accept(&api, &json!([]));
    let batch: Vec<Delivery> = (1..=100).map(delivery).collect();
    let results = connect(&api.url(""), "").deliver(&batch).await;
    assert_eq!(outcomes(&results), ["delivered"; 100]);
    assert_eq!(
        paths(&api),
        ["GET /query", "PATCH /composite/sobjects/Contact/Causeway_Id__c"]
    );
    let rows = records(&api.requests()[1]);
    assert_eq!(rows[0]["LastName"], "Példa, \"jr\"");
    assert_eq!(rows[0]["Email"], "person1@example.org");
    assert_eq!(api.requests()[1].json()["allOrNone"], false);
    // Nobody agreed, and Salesforce mails whoever has not opted out.
    assert!(rows.iter().all(|row| row["HasOptedOutOfEmail"] == true));
    let id = |at: usize| match &results[at].outcome {
        Outcome::Delivered { remote_id } => remote_id.clone().unwrap(),
        other => panic!("{other:?}"),
    };
    assert_eq!((id(0), id(99)), ("003new0".to_owned(), "003new99".to_owned()));
    // Neither the address nor a reference can be read from the key.
    let key = rows[0]["Causeway_Id__c"].as_str().unwrap();
    assert!(key.starts_with("cw_") && key.len() == 27, "{key}");
}

#[test]
fn the_key_stays_when_the_address_changes() {
    let of = |ids: &[Identity], email: &str| {
        let mut record = delivery(1).record;
        record.identities = ids.to_vec();
        keys(&record, email)
    };
    let address = |text: &str| Identity::Email {
        address: text.to_owned(),
    };
    let reference = |text: &str| Identity::ContactRef {
        namespace: "proca".into(),
        reference: text.to_owned(),
    };
    let before = of(&[address("old@example.org"), reference("abc")], "old@example.org");
    let after = of(
        &[
            address("new@example.org"),
            address("old@example.org"),
            reference("abc"),
            reference("def"),
        ],
        "new@example.org",
    );
    assert_eq!(before[0], after[0]);
    // Without an id, the former address leads to the record.
    let bare = of(&[address("old@example.org")], "old@example.org");
    assert!(after.contains(&bare[0]));
    assert_ne!(bare[0], after[0]);
    let browser = Identity::visitor("web", "7".to_owned());
    assert_eq!(of(&[browser], "old@example.org"), bare);
}

#[tokio::test]
async fn an_opt_out_at_salesforce_stays_unless_the_person_agreed_later() {
    let at = |modified: &str, opted_out_at: Value| {
        json!({ "Id": "003a", "Email": "person1@example.org", "HasOptedOutOfEmail": true, "LastModifiedDate": modified,
            "Out__c": opted_out_at })
    };
    for (row, lifted) in [
        (at("2026-02-01T00:00:00.000+0000", json!(null)), true),
        (at("2026-03-01T09:29:00.000+0000", json!(null)), false),
        (at("2026-03-05T00:00:00.000+0000", json!(null)), false),
        (
            at(
                "2026-03-05T00:00:00.000+0000",
                json!("2026-02-01T00:00:00.000+0000"),
            ),
            true,
        ),
        (at("no time", json!(null)), false),
    ] {
        let api = FakeApi::start().await;
        accept(&api, &json!([row]));
        let more = "opt_out_date = 'Out__c'\nopt_in = { field = 'News__c', date = 'Since__c' }";
        let salesforce = connect(&api.url(""), more);
        let results = salesforce.deliver(&[subscriber(1, "2026-03-01T09:30:00Z")]).await;
        assert_eq!(outcomes(&results), ["delivered"]);
        let written = &records(&api.requests()[1])[0];
        assert_eq!(results[0].notes.is_empty(), lifted, "{row}: {results:?}");
        if lifted {
            assert_eq!(written["HasOptedOutOfEmail"], false);
            assert_eq!(
                (&written["News__c"], &written["Out__c"]),
                (&json!(true), &Value::Null)
            );
            assert_eq!(written["Since__c"], "2026-03-01T09:30:00Z");
        } else {
            assert_eq!(written.get("HasOptedOutOfEmail"), None);
            assert_eq!(written.get("News__c"), None);
        }
    }
}

#[tokio::test]
async fn an_opt_out_that_causeway_wrote_is_lifted_by_what_it_remembers() {
    let api = FakeApi::start().await;
    accept(&api, &json!([]));
    let salesforce = connect(&api.url(""), "");
    let results = salesforce.deliver(&[delivery(1)]).await;
    assert_eq!(opted_out(&results[0]), json!(["003new0"]));
    // The person confirms a minute later. Salesforce shows no difference to an opt-out of theirs.
    let mut row = row("003new0", "person1@example.org", true);
    row["LastModifiedDate"] = "2026-03-01T09:30:00.000+0000".into();
    accept(&api, &json!([row]));
    let mut confirmed = subscriber(1, "2026-03-01T09:31:00Z");
    let results = salesforce.deliver(&[confirmed.clone()]).await;
    assert_eq!(results[0].notes.len(), 1);
    confirmed.memory = Some(json!({ "opted_out": ["003new0"] }));
    let results = salesforce.deliver(&[confirmed]).await;
    assert_eq!(results[0].notes, Vec::<String>::new());
    assert_eq!(
        records(api.requests().last().unwrap())[0]["HasOptedOutOfEmail"],
        false
    );
    assert_eq!(opted_out(&results[0]), json!([]));
}

#[tokio::test]
async fn an_unchanged_contact_costs_no_call() {
    let api = FakeApi::start().await;
    accept(&api, &json!([]));
    let since = "2026-03-01T09:31:00Z";
    let renamed = || {
        let mut delivery = subscriber(1, since);
        let name = delivery.record.contact.fields.get_mut("firstName").unwrap();
        name.value = json!("Adele");
        delivery
    };
    let actions = "action = { object = 'Task', person = 'WhoId', fields = { Subject = 'action.type' } }";
    for (more, delivery, calls) in [
        ("", subscriber(1, since), 0),
        ("", renamed(), 2),
        ("", subscriber(1, "2026-03-01T09:32:00Z"), 2),
        ("", withdrawal(Change::Unsubscribe), 1),
        // Each action is written.
        (actions, subscriber(1, since), 3),
    ] {
        let salesforce = connect(&api.url(""), more);
        let first = salesforce.deliver(&[subscriber(1, since)]).await.remove(0);
        api.reset();
        accept(&api, &json!([]));
        let delivery = Delivery {
            memory: first.memory,
            ..delivery
        };
        let results = salesforce.deliver(&[delivery]).await;
        assert_eq!(api.requests().len(), calls, "{results:?}");
        let is_skipped = results[0].outcome.as_str() == "skip";
        assert_eq!(is_skipped, calls == 0, "{results:?}");
    }
}

#[tokio::test]
async fn nobody_is_opted_in_whose_state_is_another() {
    for state in [
        ConsentState::Unknown,
        ConsentState::NotSubscribed,
        ConsentState::Pending {
            since: Timestamp::UNIX_EPOCH,
        },
    ] {
        let api = FakeApi::start().await;
        accept(&api, &json!([]));
        let salesforce = connect(&api.url(""), "opt_in = { field = 'News__c' }");
        salesforce.deliver(&[person(1, Change::Subscribe, state)]).await;
        let written = &records(&api.requests()[1])[0];
        assert_eq!(
            (&written["HasOptedOutOfEmail"], &written["News__c"]),
            (&json!(true), &json!(false))
        );
    }
    // Whoever is there keeps what they have.
    let api = FakeApi::start().await;
    accept(&api, &json!([row("003a", "person1@example.org", false)]));
    connect(&api.url(""), "").deliver(&[delivery(1)]).await;
    assert_eq!(records(&api.requests()[1])[0].get("HasOptedOutOfEmail"), None);
}

#[tokio::test]
async fn an_opt_out_reaches_each_record_with_the_address_and_a_bounce_no_other() {
    let key = |address: &str| opaque(&["email", "", address]);
    let mut moved = row("003b", "new@example.org", false);
    moved["Causeway_Id__c"] = key("person1@example.org").into();
    let rows = json!([
        row("003a", "Person1@Example.org", false),
        moved,
        row("003c", "person1@example.org", true),
    ]);
    let api = FakeApi::start().await;
    accept(&api, &rows);
    let salesforce = connect(&api.url(""), "");
    let results = salesforce.deliver(&[withdrawal(Change::Unsubscribe)]).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    let marked: Vec<Value> = api.requests()[1..].iter().flat_map(records).collect();
    let ids: Vec<&Value> = marked.iter().map(|row| &row["id"]).collect();
    assert_eq!(ids, ["003a", "003b"]);
    assert!(marked.iter().all(|row| row["HasOptedOutOfEmail"] == true));
    assert!(api.requests()[1].header("sforce-duplicate-rule-header").is_some());
    // The new address of the record is one that Causeway knows: it has a withdrawal of its own, or none.
    api.reset();
    accept(&api, &rows);
    let mut former = withdrawal(Change::Unsubscribe);
    let own = Identity::Email {
        address: "new@example.org".to_owned(),
    };
    former.record.identities.push(own);
    salesforce.deliver(&[former]).await;
    let marked: Vec<Value> = api.requests()[1..].iter().flat_map(records).collect();
    assert_eq!(marked.len(), 1);
    // A bounce is about the address only.
    api.reset();
    accept(&api, &rows);
    salesforce.deliver(&[withdrawal(Change::Suppress)]).await;
    let marked: Vec<Value> = api.requests()[1..].iter().flat_map(records).collect();
    let ids: Vec<&Value> = marked.iter().map(|row| &row["id"]).collect();
    assert_eq!(ids, ["003a", "003c"]);
    assert_eq!(
        marked[0]["EmailBouncedReason"],
        "bounced (as reported to Causeway)"
    );
    assert_eq!(marked[0]["EmailBouncedDate"], "2026-03-02T08:00:00Z");
    assert_eq!(marked[0].get("HasOptedOutOfEmail"), None);
}

#[tokio::test]
async fn only_a_readable_result_shows_that_nobody_opted_out() {
    let incomplete = json!([{ "Id": "003a", "Email": "person1@example.org" }]);
    for answer in [
        Reply::status(200).body("<html>log in</html>"),
        Reply::status(200),
        found(&json!([])).cut(),
        found(&incomplete),
        Reply::json(200, &json!({})),
        Reply::json(200, &json!([])),
    ] {
        for delivery in [
            subscriber(1, "2026-03-01T09:30:00Z"),
            withdrawal(Change::Unsubscribe),
            withdrawal(Change::Remove),
        ] {
            let api = FakeApi::start().await;
            api.reply_at(QUERY, answer.clone());
            let results = connect(&api.url(""), "").deliver(&[delivery]).await;
            assert_eq!(outcomes(&results), ["retry"]);
            assert_eq!(api.requests().len(), 1);
        }
    }
    // The write is not confirmed either.
    let api = FakeApi::start().await;
    accept(&api, &json!([row("003a", "person1@example.org", false)]));
    for answer in [
        Reply::json(200, &json!([])),
        Reply::json(200, &json!([{ "success": true }])),
        Reply::status(204),
    ] {
        api.compute_at(COLLECTION, move |_| answer.clone());
        let results = connect(&api.url(""), "")
            .deliver(&[withdrawal(Change::Unsubscribe)])
            .await;
        assert_eq!(outcomes(&results), ["retry"]);
    }
}

/// Refuses these records, and saves the others.
fn refuse(api: &FakeApi, refused: &'static [&'static str], code: &'static str) {
    api.compute_at(COLLECTION, move |request| {
        let one = |row: &Value| match row["id"].as_str() {
            Some(id) if refused.contains(&id) => refusal(code, "x"),
            id => json!({ "id": id, "success": true, "errors": [] }),
        };
        Reply::json(200, &records(request).iter().map(one).collect())
    });
}

#[tokio::test]
async fn a_record_that_refuses_keeps_no_other_from_being_opted_out() {
    let rows = ["003a", "003b", "003c"].map(|id| row(id, "person1@example.org", false));
    for (code, outcome) in [
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "reject"),
        ("UNABLE_TO_LOCK_ROW", "retry"),
    ] {
        let since = "2026-03-02T08:00:00Z".parse().unwrap();
        let with_data = person(1, Change::Unsubscribe, ConsentState::Unsubscribed { since });
        for delivery in [withdrawal(Change::Unsubscribe), with_data] {
            let api = FakeApi::start().await;
            accept(&api, &json!(rows));
            refuse(&api, &["003b"], code);
            let results = connect(&api.url(""), "").deliver(&[delivery]).await;
            assert_eq!(outcomes(&results), [outcome], "{results:?}");
            let marked: Vec<Value> = api.requests()[1..].iter().flat_map(records).collect();
            let ids: Vec<&str> = marked.iter().filter_map(|row| row["id"].as_str()).collect();
            assert_eq!(ids[..3], ["003a", "003b", "003c"]);
        }
    }
}

#[tokio::test]
async fn an_opt_out_is_not_lost_with_data_that_is_refused() {
    let api = FakeApi::start().await;
    accept(&api, &json!([row("003a", "person1@example.org", false)]));
    api.compute_at(COLLECTION, |request| {
        let one = |row: &Value| match row.get("LastName") {
            Some(_) => refusal("DUPLICATES_DETECTED", "x"),
            None => json!({ "id": row["id"], "success": true, "errors": [] }),
        };
        Reply::json(200, &records(request).iter().map(one).collect())
    });
    let since = "2026-03-02T08:00:00Z".parse().unwrap();
    let opted_out = person(1, Change::Unsubscribe, ConsentState::Unsubscribed { since });
    let results = connect(&api.url(""), "").deliver(&[opted_out]).await;
    assert_eq!(outcomes(&results), ["reject"]);
    let marked = &records(&api.requests()[1])[0];
    assert_eq!(marked["HasOptedOutOfEmail"], true);
    assert_eq!(marked.get("LastName"), None);
    assert_eq!(results[0].memory, Some(json!({ "opted_out": ["003a"] })));
}

#[tokio::test]
async fn an_opt_out_that_was_lifted_there_is_not_remembered() {
    let api = FakeApi::start().await;
    accept(&api, &json!([row("003a", "person1@example.org", false)]));
    let mut agreed = subscriber(1, "2026-03-01T09:30:00Z");
    agreed.memory = Some(json!({ "opted_out": ["003a"] }));
    let results = connect(&api.url(""), "").deliver(&[agreed]).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    // A later opt-out at Salesforce is the person's own.
    assert_eq!(opted_out(&results[0]), json!([]));
}

#[tokio::test]
async fn who_cannot_be_erased_is_opted_out() {
    let mut own = row("003a", "person1@example.org", false);
    own["Causeway_Id__c"] = opaque(&["email", "", "person1@example.org"]).into();
    let rows = json!([own, row("003b", "person1@example.org", false)]);
    for more in ["", "on_remove = 'blank'"] {
        let api = FakeApi::start().await;
        accept(&api, &rows);
        api.compute_at(COLLECTION, |request| {
            let is_blank = request.text().contains("[erased]");
            if request.method == "DELETE" || is_blank {
                return Reply::json(200, &json!([refusal("DELETE_FAILED", "x")]));
            }
            saved(request)
        });
        let results = connect(&api.url(""), more)
            .deliver(&[withdrawal(Change::Remove)])
            .await;
        assert_eq!(outcomes(&results), ["reject"]);
        assert!(results[0].outcome.reason().unwrap().contains("on_remove"));
        let all = api.requests();
        let writes = all.iter().filter(|request| request.method == "PATCH");
        let marked: Vec<Value> = writes.flat_map(records).collect();
        let marked = marked.iter().filter(|row| row.get("LastName").is_none());
        let ids: Vec<&Value> = marked
            .filter(|row| row["HasOptedOutOfEmail"] == true)
            .map(|row| &row["id"])
            .collect();
        assert_eq!(ids, ["003b", "003a"], "{more}");
    }
}

#[tokio::test]
async fn a_page_that_refuses_one_record_stops_no_other() {
    for status in [400, 403] {
        let api = FakeApi::start().await;
        accept(&api, &json!([]));
        api.compute_at(UPSERT, move |request| {
            if request.text().contains("person3@example.org") {
                return Reply::status(status).body("<html>denied</html>");
            }
            saved(request)
        });
        let batch: Vec<Delivery> = (1..=4).map(delivery).collect();
        let results = connect(&api.url(""), "").deliver(&batch).await;
        assert_eq!(
            outcomes(&results),
            ["delivered", "delivered", "retry", "delivered"]
        );
    }
}

#[tokio::test]
async fn each_row_has_its_own_outcome() {
    let api = FakeApi::start().await;
    api.reply_at(QUERY, found(&json!([])));
    let rows = json!([
        { "id": "003a", "success": true, "errors": [] },
        refusal("REQUIRED_FIELD_MISSING", "x"),
        refusal("UNABLE_TO_LOCK_ROW", "x"),
        refusal("DUPLICATES_DETECTED", "Use one of these: person4@example.org"),
        refusal("DUPLICATE_VALUE", "x"),
        refusal("STORAGE_LIMIT_EXCEEDED", "x"),
        refusal("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "a trigger refused it"),
    ]);
    api.reply_at(UPSERT, Reply::json(200, &rows));
    let batch: Vec<Delivery> = (1..=7).map(delivery).collect();
    let results = connect(&api.url(""), "").deliver(&batch).await;
    assert_eq!(
        outcomes(&results),
        [
            "delivered",
            "reject",
            "retry",
            "reject",
            "retry",
            "retry",
            "reject"
        ]
    );
    assert_eq!(
        results[1].outcome.reason(),
        Some("refused: REQUIRED_FIELD_MISSING LastName")
    );
    for result in &results {
        assert!(
            !result.outcome.reason().unwrap_or_default().contains('@'),
            "{result:?}"
        );
    }
    // A trigger that cannot cope with so much gets less.
    let api = FakeApi::start().await;
    api.reply_at(QUERY, found(&json!([])));
    api.compute_at(UPSERT, |request| {
        if records(request).len() < 3 {
            return saved(request);
        }
        let error = refusal(
            "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
            "Too many SOQL queries: 101",
        );
        Reply::json(200, &records(request).iter().map(|_| error.clone()).collect())
    });
    let results = connect(&api.url(""), "").deliver(&batch).await;
    assert_eq!(outcomes(&results), ["delivered"; 7]);
}

#[tokio::test]
async fn a_row_that_spoils_a_call_is_found_and_a_wrong_mapping_halts() {
    let api = FakeApi::start().await;
    api.reply_at(QUERY, found(&json!([])));
    api.compute_at(UPSERT, |request| {
        if request.text().contains("person37@example.org") {
            let error = json!([{ "errorCode": "JSON_PARSER_ERROR", "message": "Cannot deserialize person37@example.org" }]);
            return Reply::json(400, &error);
        }
        saved(request)
    });
    let batch: Vec<Delivery> = (1..=100).map(delivery).collect();
    let results = connect(&api.url(""), "").deliver(&batch).await;
    let refused: Vec<usize> = (0..100)
        .filter(|at| results[*at].outcome.as_str() != "delivered")
        .collect();
    assert_eq!(refused, [36]);
    assert_eq!(
        results[36].outcome.reason(),
        Some("answered 400: JSON_PARSER_ERROR")
    );
    assert!(api.requests().len() <= 20, "{}", api.requests().len());
    let message = "No such column 'Shoe__c' on sobject of type Contact";
    let error = json!([{ "errorCode": "INVALID_FIELD", "message": message }]);
    api.reset();
    api.reply_at(QUERY, found(&json!([])));
    api.reply_at(UPSERT, Reply::json(400, &error));
    let results = connect(&api.url(""), "").deliver(&batch).await;
    assert_eq!(outcomes(&results), ["halt"; 100]);
    let reason = results[0].outcome.reason().unwrap();
    assert!(reason.contains("INVALID_FIELD Shoe__c"), "{reason}");
    assert_eq!(api.requests().len(), 2);
}

#[tokio::test]
async fn limits_stop_all_calls_for_as_long_as_they_last() {
    for (message, seconds) in [
        ("TotalRequests Limit exceeded.", 3_600),
        ("ConcurrentPerOrgLongTxn Limit exceeded.", 10),
    ] {
        let api = FakeApi::start().await;
        let error = json!([{ "errorCode": "REQUEST_LIMIT_EXCEEDED", "message": message }]);
        api.reply(Reply::json(403, &error));
        let batch: Vec<Delivery> = (1..=150).map(delivery).collect();
        let results = connect(&api.url(""), "").deliver(&batch).await;
        assert_eq!(outcomes(&results), ["busy"; 150]);
        let expected = Some(std::time::Duration::from_secs(seconds));
        assert!(matches!(&results[0].outcome, Outcome::Busy { after, .. } if *after == expected));
        assert_eq!(api.requests().len(), 1);
    }
    for (usage, rests) in [
        ("api-usage=899/1000", false),
        (
            "api-usage=900/1000; per-app-api-usage=17/250(appName=Causeway)",
            true,
        ),
        ("api-usage=1/0", false),
        ("nonsense", false),
    ] {
        let api = FakeApi::start().await;
        accept(&api, &json!([]));
        api.compute_at(UPSERT, move |request| {
            saved(request).header("sforce-limit-info", usage)
        });
        let results = connect(&api.url(""), "").deliver(&[delivery(1)]).await;
        assert_eq!(outcomes(&results), ["delivered"]);
        let expected = rests.then(|| std::time::Duration::from_mins(5));
        assert_eq!(results[0].rest, expected, "{usage}");
    }
}

#[test]
fn a_preview_shows_every_request_that_would_be_sent() {
    let keys = "base_url = 'https://example.my.salesforce.com'\noauth = { client_id = 'app', client_secret = 'secret' }\n\
                opt_in = { field = 'News__c', date = 'Since__c' }\ncampaign = { status = 'Responded' }\n\
                action = { object = 'Task', person = 'WhoId', fields = { Subject = 'action.type' } }";
    let batch = [
        subscriber(1, "2026-03-01T09:30:00Z"),
        withdrawal(Change::Unsubscribe),
        withdrawal(Change::Remove),
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

#[test]
fn wrong_keys_are_named() {
    let base = "base_url = 'https://example.my.salesforce.com'\ntoken = 'x'";
    for (keys, found) in [
        (
            "base_url = 'https://example.lightning.force.com'\ntoken = 'x'".to_owned(),
            "not the API",
        ),
        (
            "base_url = 'https://login.salesforce.com'\ntoken = 'x'".to_owned(),
            "not the API",
        ),
        (
            "base_url = 'https://example.my.salesforce.com'".to_owned(),
            "token",
        ),
        (format!("{base}\nkey = 'Id FROM User --'"), "not an API name"),
        (
            format!("{base}\nfields = {{ \"a'b\" = 'contact.phone' }}"),
            "not an API name",
        ),
        (
            format!("{base}\nfields = {{ HasOptedOutOfEmail = '=false' }}"),
            "Causeway writes",
        ),
        (format!("{base}\napi_version = '68'"), "not a version"),
        (format!("{base}\napi_usage_percent = 0"), "from 1 to 100"),
        (format!("{base}\nobject = 'Account'"), "Account"),
    ] {
        let table = toml::from_str(&keys).unwrap();
        let error = (KIND.parse)(&causeway_core::mapping::Tables::default(), &table).unwrap_err();
        assert!(error.to_string().contains(found), "{keys}: {error}");
    }
}
