use super::*;

const EVENT: &str = "event = { name = 'signed' }";

/// A delivery whose event an earlier attempt may have sent.
fn repeated(number: i64) -> Delivery {
    let mut delivery = delivery(number);
    delivery.attempt = 2;
    delivery
}

#[tokio::test]
async fn events_of_a_batch_are_one_call() {
    let api = FakeApi::start().await;
    accept(&api);
    let brevo = connect(&api.url(""), EVENT);
    let batch: Vec<Delivery> = (1..=3).map(delivery).collect();
    assert_eq!(outcomes(&brevo.deliver(&batch).await), ["delivered"; 3]);
    assert_eq!(
        calls(&api),
        [
            "POST /contacts",
            "POST /contacts",
            "POST /contacts",
            "POST /events/batch"
        ]
    );
    let events = api.requests()[3].json()["events"].clone();
    for (at, delivery) in batch.iter().enumerate() {
        assert_eq!(
            events[at]["event_properties"]["causeway"],
            delivery.key.0.as_str()
        );
    }
}

#[tokio::test]
async fn each_event_of_a_batch_has_its_own_result() {
    let partly = |failed: u64, errors: Value| {
        Reply::json(
            207,
            &json!({ "status": "partial", "total_events": 3, "successful_events": 3 - failed,
                "failed_events": failed, "errors": errors }),
        )
    };
    for (answer, expected) in [
        (
            partly(1, json!([{ "eventIndex": [1], "message": "x" }])),
            ["delivered", "reject", "delivered"],
        ),
        (
            partly(2, json!([{ "eventIndex": [0, 2] }])),
            ["reject", "delivered", "reject"],
        ),
        (
            partly(1, json!([{ "message": "x" }])),
            ["retry", "retry", "retry"],
        ),
        (
            partly(2, json!([{ "eventIndex": [2] }])),
            ["retry", "retry", "reject"],
        ),
        (
            Reply::json(202, &json!({ "message": "x", "count": 2 })),
            ["retry", "retry", "retry"],
        ),
        (Reply::status(204), ["retry", "retry", "retry"]),
    ] {
        let api = FakeApi::start().await;
        accept(&api);
        let batch: Vec<Delivery> = (1..=3).map(delivery).collect();
        let is_about_one = answer.code() == 207;
        api.script("/v3/events/batch", [answer]);
        let results = connect(&api.url(""), EVENT).deliver(&batch).await;
        assert_eq!(outcomes(&results), expected);
        // The errors of the response may name other people.
        let shows = results.iter().any(|result| result.excerpt.is_some());
        assert!(!(is_about_one && shows), "{results:?}");
    }
}

#[tokio::test]
async fn an_event_that_spoils_the_batch_ends_alone() {
    let api = FakeApi::start().await;
    accept(&api);
    let is_bad = |request: &Request| request.text().contains("person2@example.org");
    for path in ["/v3/events/batch", "/v3/events"] {
        api.compute_at(path, move |request| {
            if is_bad(request) {
                return error(400, "invalid_parameter", "no");
            }
            if !request.path.ends_with("batch") {
                return Reply::status(204);
            }
            let count = request.json()["events"].as_array().unwrap().len();
            Reply::json(202, &json!({ "message": "x", "count": count }))
        });
    }
    let batch: Vec<Delivery> = (1..=4).map(delivery).collect();
    let results = connect(&api.url(""), EVENT).deliver(&batch).await;
    assert_eq!(
        outcomes(&results),
        ["delivered", "reject", "delivered", "delivered"]
    );
}

#[tokio::test]
async fn an_event_that_may_be_there_is_looked_for() {
    let api = FakeApi::start().await;
    accept(&api);
    let brevo = connect(&api.url(""), EVENT);
    let there = json!([{ "event_properties": { "causeway": repeated(1).key.0 } }]);
    api.reply_at(
        "/v3/events",
        Reply::json(200, &json!({ "events": there, "count": 1 })),
    );
    let results = brevo.deliver(&[repeated(1), repeated(2)]).await;
    // The other event is sent, to a fake that does not confirm it.
    assert_eq!(outcomes(&results), ["delivered", "retry"]);
    let calls = calls(&api);
    assert_eq!(calls[2..], ["GET /events", "POST /events"]);
    let query = &api.requests()[2].query;
    assert_eq!(
        query,
        "contact_id=7&event_name=signed&startDate=2026-02-28&endDate=2026-03-02&limit=1000"
    );
    // One from before the start may have been sent by the program that ran then.
    api.reset();
    accept(&api);
    let mut older = delivery(1);
    older.planned_at = "2025-12-31T23:59:00Z".parse().unwrap();
    one(&*brevo, older).await;
    assert_eq!(
        support::calls(&api, "/v3"),
        ["POST /contacts", "GET /events", "POST /events"]
    );
}

#[tokio::test]
async fn a_look_that_fails_holds_up_nothing_else() {
    let limited = || error(429, "too_many_requests", "").header("x-sib-ratelimit-reset", "1800");
    let api = FakeApi::start().await;
    accept(&api);
    let brevo = connect(&api.url(""), EVENT);
    api.script("/v3/events", [limited()]);
    let results = brevo.deliver(&[repeated(1), delivery(2)]).await;
    assert_eq!(outcomes(&results), ["retry", "delivered"]);
    assert!(
        matches!(results[0].outcome, Outcome::Retry { after: Some(after), .. } if after == Duration::from_mins(30)),
        "{results:?}"
    );
    api.script("/v3/events", [error(403, "permission_denied", "")]);
    let result = one(&*brevo, repeated(1)).await;
    assert_eq!(result.outcome.as_str(), "delivered");
    assert!(result.notes[0].contains("could not look"), "{result:?}");
}

#[tokio::test]
async fn a_plan_without_events_holds_up_no_opt_out() {
    let api = FakeApi::start().await;
    accept(&api);
    api.reply_at("/v3/events", error(403, "permission_denied", ""));
    let brevo = connect(&api.url(""), EVENT);
    let results = brevo
        .deliver(&[delivery(1), support::withdrawal(2, Change::Unsubscribe)])
        .await;
    assert_eq!(outcomes(&results), ["reject", "delivered"]);
}
