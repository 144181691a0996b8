//! Opt-ins, opt-outs, bounces and erasures.

use causeway_core::consent::ConsentState;

use super::*;

#[tokio::test]
async fn a_person_who_opted_out_there_stays_so_unless_they_agreed_later() {
    for (seen, written, noted) in [
        (Value::Null, Some("Y"), false),
        (supporter("Y", "2026-02-01T00:00:00Z"), None, false),
        (supporter("", ""), Some("Y"), false),
        (supporter("N", "2026-03-02T00:00:00Z"), None, true),
        (supporter("N", "2026-03-01T09:28:00Z"), None, true),
        (supporter("D", "2026-03-02T00:00:00Z"), None, true),
        (supporter("N", ""), None, true),
        (supporter("maybe", "2026-02-01T00:00:00Z"), None, true),
        (supporter("N", "2026-02-01T00:00:00Z"), Some("Y"), false),
    ] {
        let api = account(&seen).await;
        let results = connect(&api.url(""), "")
            .deliver(&[subscriber(1, "2026-03-01T09:30:00Z")])
            .await;
        assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
        assert_eq!(!results[0].notes.is_empty(), noted, "{:?}", results[0].notes);
        let query = &api.requests()[1].query;
        assert_eq!(query, "email=person1%40example.org&includeQuestions=true");
        assert_eq!(
            last(&api)["questions"]["Accepts Email"].as_str(),
            written,
            "{seen}"
        );
        assert_eq!(last(&api)["First Name"], "Ada");
    }
    // The other form of answers has no times, and other documents write numbers and truth as texts.
    let mut shown = supporter("N", "");
    shown["supporterId"] = "7".into();
    shown["questions"] = json!({ "Accepts Email": "N" });
    let mut suppressed = supporter("", "");
    suppressed["suppressed"] = "true".into();
    for seen in [shown, suppressed] {
        let api = account(&seen).await;
        let connected = connect(&api.url(""), "");
        let results = connected.deliver(&[subscriber(1, "2026-03-01T09:30:00Z")]).await;
        assert_eq!(
            (outcomes(&results), results[0].notes.len()),
            (vec!["delivered"], 1)
        );
        assert_eq!(last(&api).get("questions"), None);
    }
    // What cannot be read, and another person's record, prove nothing.
    let mut other = supporter("Y", "");
    other["Email Address"] = "eve@example.org".into();
    for reply in [
        Reply::json(200, &json!({})),
        Reply::json(200, &other),
        Reply::status(200),
        Reply::status(200).body("<html>Welcome</html>"),
    ] {
        let api = account(&Value::Null).await;
        set(&api, SUPPORTER, reply);
        let results = connect(&api.url(""), "")
            .deliver(&[subscriber(1, "2026-03-01T09:30:00Z")])
            .await;
        assert_eq!((outcomes(&results), calls(&api).len()), (vec!["retry"], 1));
    }
}

#[tokio::test]
async fn a_double_opt_in_is_given_to_confirmed_people_only() {
    let own = "double_opt_ins = ['News, confirmed']";
    let since: Timestamp = "2026-03-01T09:30:00Z".parse().unwrap();
    for (state, expected) in [
        (ConsentState::OptedIn { since }, json!({ "Accepts Email": "Y" })),
        (
            ConsentState::DoubleOptedIn { since },
            json!({ "Accepts Email": "Y", "News, confirmed": "Y" }),
        ),
    ] {
        let api = account(&Value::Null).await;
        let mut delivery = subscriber(1, "2026-03-01T09:30:00Z");
        delivery.record.consent_state.insert("email".to_owned(), state);
        connect(&api.url(""), own).deliver(&[delivery]).await;
        assert_eq!(last(&api)["questions"], expected);
    }
    // Somebody who agreed to something else is opted in nowhere.
    let api = account(&Value::Null).await;
    let mut delivery = subscriber(1, "2026-03-01T09:30:00Z");
    delivery.record.purpose = "phone".into();
    connect(&api.url(""), own).deliver(&[delivery]).await;
    assert_eq!(last(&api).get("questions"), None);
}

#[tokio::test]
async fn an_opt_out_is_written_and_read_again_and_creates_nobody() {
    let api = account(&supporter("Y", "2026-02-01T00:00:00Z")).await;
    let out = supporter("N", "2026-03-01T10:00:00Z");
    api.compute_at(ONE, move |request| match &*request.method {
        "GET" => Reply::json(200, &out),
        _ => Reply::json(200, &json!({ "id": 7 })),
    });
    let results = connect(&api.url(""), "")
        .deliver(&[withdrawal(Change::Unsubscribe)])
        .await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    assert_eq!(
        calls(&api),
        ["GET /supporter", "PUT /supporter/7", "GET /supporter/7"]
    );
    assert_eq!(
        api.requests()[2].json(),
        json!({ "questions": { "Accepts Email": "N" } })
    );
    // The own opt-out does not stand in the way of an opt-in a minute later.
    let mut back = subscriber(1, "2026-03-01T10:01:00Z");
    back.memory.clone_from(&results[0].memory);
    let api = account(&supporter("N", "2026-03-01T10:00:00Z")).await;
    connect(&api.url(""), "").deliver(&[back.clone()]).await;
    assert_eq!(last(&api)["questions"]["Accepts Email"], "Y");
    let api = account(&supporter("N", "2026-03-01T10:00:01Z")).await;
    connect(&api.url(""), "").deliver(&[back]).await;
    assert_eq!(last(&api).get("questions"), None);
    // An opt-out that the account does not show is not confirmed.
    let api = account(&supporter("Y", "2026-02-01T00:00:00Z")).await;
    let results = connect(&api.url(""), "")
        .deliver(&[withdrawal(Change::Unsubscribe)])
        .await;
    assert_eq!(outcomes(&results), ["retry"]);
    // One that is there keeps its time.
    let api = account(&supporter("N", "2026-02-01T00:00:00Z")).await;
    let results = connect(&api.url(""), "")
        .deliver(&[withdrawal(Change::Unsubscribe)])
        .await;
    assert_eq!((outcomes(&results), calls(&api).len()), (vec!["delivered"], 1));
    for change in [Change::Unsubscribe, Change::Suppress, Change::Remove] {
        for missing in [Reply::status(204), refusal(404, "Unable to find a supporter")] {
            let api = account(&Value::Null).await;
            set(&api, SUPPORTER, missing);
            let results = connect(&api.url(""), "").deliver(&[withdrawal(change)]).await;
            assert_eq!((outcomes(&results), calls(&api).len()), (vec!["delivered"], 1));
            assert!(results[0].notes[0].contains("no supporter"), "{results:?}");
        }
    }
}

#[tokio::test]
async fn an_opt_out_does_not_fail_because_of_the_data_beside_it() {
    let api = account(&supporter("Y", "2026-02-01T00:00:00Z")).await;
    let out = supporter("N", "2026-03-01T10:00:00Z");
    api.compute_at(ONE, move |request| match &*request.method {
        "GET" => Reply::json(200, &out),
        _ if request.text().contains("First Name") => refusal(400, "The first name is too long"),
        _ => Reply::json(200, &json!({ "id": 7 })),
    });
    let mut leaving = withdrawal(Change::Unsubscribe);
    leaving.record.kind = DeliveryKind::Contact;
    let results = connect(&api.url(""), "").deliver(&[leaving]).await;
    assert_eq!(outcomes(&results), ["reject"], "{results:?}");
    let reason = results[0].outcome.reason().unwrap();
    assert!(reason.contains("The opt-out is written"), "{reason}");
    let expected = [
        "GET /supporter",
        "PUT /supporter/7",
        "PUT /supporter/7",
        "GET /supporter/7",
    ];
    assert_eq!(calls(&api), expected);
    let written = json!({ "questions": { "Accepts Email": "N" } });
    assert_eq!(api.requests()[3].json(), written);
}

#[tokio::test]
async fn the_first_answer_of_a_person_is_causeway_s_own_too() {
    // The person had not answered; they opt out with data.
    let api = account(&supporter("", "")).await;
    let out = supporter("N", "2026-03-01T10:00:00Z");
    api.compute_at(ONE, move |request| match &*request.method {
        "GET" => Reply::json(200, &out),
        _ => Reply::json(200, &json!({ "id": 7 })),
    });
    let mut leaving = withdrawal(Change::Unsubscribe);
    leaving.record.kind = DeliveryKind::Contact;
    let results = connect(&api.url(""), "").deliver(&[leaving]).await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    let expected = ["GET /supporter", "PUT /supporter/7", "GET /supporter/7"];
    assert_eq!(calls(&api), expected);
    // They agree a minute later.
    let mut back = subscriber(1, "2026-03-01T10:01:00Z");
    back.memory.clone_from(&results[0].memory);
    let api = account(&supporter("N", "2026-03-01T10:00:00Z")).await;
    connect(&api.url(""), "").deliver(&[back]).await;
    assert_eq!(last(&api)["questions"]["Accepts Email"], "Y");
}

#[tokio::test]
async fn an_empty_404_is_believed_only_if_the_api_is_there() {
    for (proof, outcome) in [
        (
            Reply::json(200, &json!([{ "name": "Email Address" }])),
            "delivered",
        ),
        (Reply::status(404), "halt"),
        (Reply::status(200).body("<html>"), "retry"),
    ] {
        let api = account(&Value::Null).await;
        set(&api, SUPPORTER, Reply::status(404));
        set(&api, FIELDS, proof);
        let results = connect(&api.url(""), "")
            .deliver(&[withdrawal(Change::Unsubscribe)])
            .await;
        assert_eq!(outcomes(&results), [outcome], "{results:?}");
    }
    // A gateway's page proves nothing about a person.
    let api = account(&Value::Null).await;
    set(&api, SUPPORTER, Reply::status(404).body("<html>no route</html>"));
    let results = connect(&api.url(""), "")
        .deliver(&[withdrawal(Change::Unsubscribe)])
        .await;
    assert_eq!(outcomes(&results), ["halt"], "{results:?}");
}

#[tokio::test]
async fn bounces_are_suppressed_together_and_erasures_delete() {
    let api = account(&Value::Null).await;
    api.compute_at(SUPPORTER, |request| {
        let number = if request.query.contains("person2") { 8 } else { 7 };
        let email = format!("person{}@example.org", number - 6);
        Reply::json(
            200,
            &json!({ "supporterId": number, "suppressed": false, "Email Address": email }),
        )
    });
    set(&api, BULK, Reply::json(200, &json!(2)));
    let batch = [1, 2].map(|number| support::withdrawal(number, Change::Suppress));
    let results = connect(&api.url(""), "").deliver(&batch).await;
    assert_eq!(outcomes(&results), ["delivered"; 2], "{results:?}");
    assert_eq!(
        calls(&api),
        ["GET /supporter", "GET /supporter", "PUT /supporter/bulk"]
    );
    let expected = json!({ "field": "suppressed", "value": true, "campaigners": [7, 8] });
    assert_eq!(last(&api), expected);
    // If fewer were changed, each is tried alone.
    api.script(BULK, [0, 1, 0].map(|count| Reply::json(200, &json!(count))));
    let results = connect(&api.url(""), "").deliver(&batch).await;
    assert_eq!(outcomes(&results), ["delivered", "retry"], "{results:?}");
    let api = account(&supporter("Y", "2026-02-01T00:00:00Z")).await;
    let results = connect(&api.url(""), "")
        .deliver(&[withdrawal(Change::Remove)])
        .await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    assert_eq!(calls(&api), ["GET /supporter", "DELETE /supporter/7"]);
    assert_eq!(results[0].memory, Some(Value::Null));
    // The keys that keep more.
    let own = "on_suppress = 'opt_out'\non_remove = 'suppress'";
    for (change, expected) in [
        (Change::Suppress, vec!["PUT /supporter/7"]),
        (Change::Remove, vec!["PUT /supporter/7", "PUT /supporter/bulk"]),
    ] {
        let api = account(&supporter("Y", "2026-02-01T00:00:00Z")).await;
        let out = supporter("N", "2026-03-01T10:00:00Z");
        api.compute_at(ONE, move |request| match &*request.method {
            "GET" => Reply::json(200, &out),
            _ => Reply::json(200, &json!({ "id": 7 })),
        });
        let results = connect(&api.url(""), own).deliver(&[withdrawal(change)]).await;
        assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
        let mut puts = calls(&api);
        puts.retain(|call| call.starts_with("PUT"));
        assert_eq!(puts, expected);
    }
}
