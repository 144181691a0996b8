//! Actions on a page. Nothing makes them unique.

use super::*;

const OWN: &str = "action = { page = '=9' }";

/// An account with a known supporter, and a page that takes actions.
pub async fn account_with_page() -> FakeApi {
    let api = account(&supporter("Y", "2026-02-01T00:00:00Z")).await;
    // Each person is found.
    api.compute_at(SUPPORTER, |request| {
        let email = request.query.replace("email=", "").replace("%40", "@");
        let email = email.split('&').next().unwrap_or_default().to_owned();
        Reply::json(
            200,
            &json!({ "supporterId": 7, "id": 7, "suppressed": false, "Email Address": email }),
        )
    });
    set(&api, TRANSACTIONS, Reply::json(200, &json!([])));
    let page = json!({ "id": 9, "campaignId": 90, "type": "dc", "subType": "PET", "campaignStatus": "live" });
    set(&api, PAGE, Reply::json(200, &page));
    set(&api, PROCESS, done());
    api
}

fn done() -> Reply {
    Reply::json(
        200,
        &json!({ "status": "Success", "id": "500", "supporterId": 7, "error": "" }),
    )
}

fn transaction(id: u64, campaign: u64, at: &Value) -> Value {
    json!({ "id": id, "campaignId": campaign, "type": "dc", "createdDate": at })
}

#[tokio::test]
async fn an_action_is_stored_with_the_person_in_one_call() {
    let api = account(&Value::Null).await;
    let page = json!({ "id": 9, "campaignId": 90, "type": "dc", "subType": "PET" });
    set(&api, PAGE, Reply::json(200, &page));
    set(&api, PROCESS, done());
    let own = "action = { page = '=9', fields = { txn1 = 'action.id', trackingId = 'campaign.name' } }\n\
               questions = { Comments = 'action.fields.comment' }";
    let connected = connect(&api.url(""), own);
    let mut batch = [
        subscriber(1, "2026-03-01T09:30:00Z"),
        subscriber(2, "2026-03-01T09:30:00Z"),
    ];
    batch[1].record.page.as_mut().unwrap().locale = Some("fr_CA".to_owned());
    let results = connected.deliver(&batch).await;
    assert_eq!(outcomes(&results), ["delivered"; 2], "{results:?}");
    // A new supporter has no transactions, and the page is read once.
    let expected = [
        "GET /supporter",
        "GET /page/9",
        "POST /page/9/process",
        "GET /supporter",
        "POST /page/9/process",
    ];
    assert_eq!(calls(&api), expected);
    let body = api.requests()[3].json();
    let expected = json!({
        "txn1": "1", "trackingId": "rivers", "suppressAutoResponder": true, "demo": false,
        "standardFieldNames": false,
        "supporter": {
            "Email Address": "person1@example.org", "First Name": "Ada", "Last Name": "Példa, \"jr\"", "Country": "HU",
            "questions": { "Comments": "Save\nthe river", "Accepts Email": "Y" },
        },
    });
    assert_eq!(body, expected);
    assert_eq!(last(&api)["locale"], "fr-CA");
    // What is remembered prevents the action from being stored again, whatever the account shows.
    let mut again = batch[0].clone();
    again.memory.clone_from(&results[0].memory);
    let api = account_with_page().await;
    let results = connect(&api.url(""), OWN).deliver(&[again]).await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    assert_eq!(calls(&api), ["GET /supporter", "PUT /supporter/7"]);
}

#[tokio::test]
async fn an_action_whose_answer_was_lost_is_found_by_page_and_time() {
    // The delivery is planned for 09:30.
    let [before, at] =
        ["2026-03-01T09:20:00Z", "2026-03-01T09:30:05Z"].map(|text| text.parse::<Timestamp>().unwrap());
    for (transactions, is_sent) in [
        (json!([]), true),
        (json!([transaction(500, 90, &at.as_millisecond().into())]), false),
        (json!([transaction(500, 90, &at.as_second().into())]), false),
        (
            json!([transaction(500, 90, &at.as_second().to_string().into())]),
            false,
        ),
        (json!([transaction(500, 91, &at.as_second().into())]), true),
        (json!([transaction(500, 90, &before.as_second().into())]), true),
        (json!([transaction(500, 90, &Value::Null)]), true),
        (json!([{ "type": "EMAIL", "broadcastId": 1536 }]), true),
    ] {
        let api = account_with_page().await;
        set(&api, TRANSACTIONS, Reply::json(200, &transactions));
        let results = connect(&api.url(""), OWN).deliver(&[delivery(1)]).await;
        assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
        let sent = calls(&api).contains(&"POST /page/9/process".to_owned());
        assert_eq!(sent, is_sent, "{transactions}");
        assert_eq!(calls(&api).contains(&"PUT /supporter/7".to_owned()), !is_sent);
        assert_eq!(results[0].notes.is_empty(), is_sent, "{results:?}");
    }
    // A transaction that is another action of the same person does not count.
    let api = account_with_page().await;
    let connected = connect(&api.url(""), OWN);
    let first = connected.deliver(&[delivery(1)]).await;
    let mut second = delivery(1);
    second.key = delivery(2).key;
    second.memory.clone_from(&first[0].memory);
    let known = json!([transaction(500, 90, &at.as_second().into())]);
    set(&api, TRANSACTIONS, Reply::json(200, &known));
    connected.deliver(&[second]).await;
    let sent = calls(&api);
    let sent = sent.iter().filter(|call| *call == "POST /page/9/process");
    assert_eq!(sent.count(), 2);
    // An unreadable list proves nothing.
    for (reply, outcome) in [
        (Reply::status(200).body("<html>"), "retry"),
        (Reply::json(200, &json!({})), "retry"),
        (Reply::status(204), "delivered"),
    ] {
        let api = account_with_page().await;
        set(&api, TRANSACTIONS, reply);
        let results = connect(&api.url(""), OWN).deliver(&[delivery(1)]).await;
        assert_eq!(outcomes(&results), [outcome], "{results:?}");
    }
}

#[tokio::test]
async fn a_transaction_that_shows_only_its_day_counts_from_the_second_attempt_on() {
    for (day, attempt, is_sent) in [
        ("2026-03-01T00:00:00Z", 1, true),
        ("2026-03-01T00:00:00Z", 2, false),
        ("2026-02-28T23:00:00Z", 2, false),
        ("2026-02-28T00:00:00Z", 2, true),
    ] {
        let api = account_with_page().await;
        let day: Timestamp = day.parse().unwrap();
        let shown = json!([transaction(500, 90, &day.as_second().into())]);
        set(&api, TRANSACTIONS, Reply::json(200, &shown));
        let mut delivery = delivery(1);
        delivery.attempt = attempt;
        let results = connect(&api.url(""), OWN).deliver(&[delivery]).await;
        assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
        let sent = calls(&api).contains(&"POST /page/9/process".to_owned());
        assert_eq!(sent, is_sent, "{day} {attempt}");
    }
}

#[tokio::test]
async fn an_opt_out_is_written_although_the_page_refuses_the_address() {
    let api = account_with_page().await;
    let out = supporter("N", "2026-03-01T10:00:00Z");
    api.compute_at(ONE, move |request| match &*request.method {
        "GET" => Reply::json(200, &out),
        _ => Reply::json(200, &json!({ "id": 7 })),
    });
    let error = "Email address not found or is not valid";
    for reply in [
        Reply::json(200, &json!({ "status": "error", "id": 0, "error": error })),
        refusal(400, error),
    ] {
        set(&api, PROCESS, reply);
        let mut leaving = delivery(1);
        leaving.record.change = Change::Unsubscribe;
        let results = connect(&api.url(""), OWN).deliver(&[leaving]).await;
        assert_eq!(outcomes(&results), ["reject"], "{results:?}");
        let put = api
            .requests()
            .into_iter()
            .rfind(|request| request.method == "PUT");
        let written = json!({ "questions": { "Accepts Email": "N" } });
        assert_eq!(put.unwrap().json(), written);
    }
}

#[tokio::test]
async fn a_page_that_refuses_leaves_the_person_written() {
    let error = |text: &str| Reply::json(200, &json!({ "status": "error", "id": 0, "error": text }));
    for (reply, attempt, outcome, reason, is_written) in [
        (error("try again"), 1, "retry", "status ERROR", false),
        (error("try again"), 3, "reject", "status ERROR", true),
        (
            error("Email address not found or is not valid"),
            1,
            "reject",
            "refuses the address",
            false,
        ),
        (
            refusal(404, "Unable to find an page"),
            1,
            "reject",
            "no such page",
            true,
        ),
        (refusal(400, "bad"), 1, "reject", "refuses the action", true),
        (
            Reply::json(200, &json!({ "status": "PENDING" })),
            1,
            "retry",
            "without",
            false,
        ),
        (Reply::json(200, &json!({})), 1, "retry", "without", false),
        (Reply::status(200), 1, "retry", "without", false),
        (refusal(429, "x"), 1, "busy", "too many calls", false),
        (
            Reply::status(502).body("<html>"),
            1,
            "retry",
            "answered 502",
            false,
        ),
    ] {
        let api = account_with_page().await;
        set(&api, PROCESS, reply);
        let mut delivery = subscriber(1, "2026-03-01T09:30:00Z");
        delivery.attempt = attempt;
        let results = connect(&api.url(""), OWN).deliver(&[delivery]).await;
        assert_eq!(outcomes(&results), [outcome], "{results:?}");
        let found = results[0].outcome.reason().unwrap();
        assert!(found.contains(reason), "{found}");
        assert_eq!(calls(&api).contains(&"PUT /supporter/7".to_owned()), is_written);
        if is_written {
            assert_eq!(last(&api)["questions"]["Accepts Email"], "Y");
        }
    }
}

#[tokio::test]
async fn pages_that_charge_or_write_to_targets_are_never_used() {
    for page in [
        json!({ "campaignId": 90, "type": "nd" }),
        json!({ "campaignId": 90, "type": "et" }),
        json!({ "campaignId": 90, "type": "dc", "subType": "UNSUB" }),
        json!({ "campaignId": 90 }),
    ] {
        let api = account_with_page().await;
        set(&api, PAGE, Reply::json(200, &page));
        let results = connect(&api.url(""), OWN).deliver(&[delivery(1)]).await;
        assert_eq!(outcomes(&results), ["reject"], "{results:?}");
        assert_eq!(
            calls(&api),
            ["GET /supporter", "GET /page/9", "PUT /supporter/7"],
            "{page}"
        );
    }
    let api = account_with_page().await;
    set(&api, PAGE, Reply::json(200, &json!({ "id": 9 })));
    let results = connect(&api.url(""), OWN).deliver(&[delivery(1)]).await;
    assert_eq!(outcomes(&results), ["retry"], "{results:?}");
    // A number that is none is refused before any call.
    let api = account_with_page().await;
    let own = "action = { page = 'campaign.name' }";
    let results = connect(&api.url(""), own).deliver(&[delivery(1)]).await;
    assert_eq!((outcomes(&results), api.requests().len()), (vec!["reject"], 0));
}
