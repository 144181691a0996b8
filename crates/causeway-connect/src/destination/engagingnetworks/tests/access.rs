//! Sessions, limits and `doctor`.

use super::*;

#[tokio::test]
async fn a_session_is_renewed_before_its_end_and_once_when_it_is_refused() {
    let clock = Arc::new(TestClock::default());
    let api = account(&Value::Null).await;
    let context = Context {
        clock: Arc::<TestClock>::clone(&clock),
        ..context()
    };
    let connected = (KIND.connect)(&context, &table(&api.url(""), "")).unwrap();
    let log_ins = || {
        api.requests()
            .iter()
            .filter(|request| request.path == LOG_IN)
            .count()
    };
    for (minutes, expected) in [(0, 1), (57, 1), (2, 2)] {
        clock.advance(Duration::from_mins(minutes));
        let results = connected.deliver(&[delivery(1)]).await;
        assert_eq!((outcomes(&results), log_ins()), (vec!["delivered"], expected));
    }
    assert_eq!(api.requests()[0].text(), "api-user-token");
    assert_eq!(api.requests()[0].header("ens-auth-token"), None);
    assert_eq!(api.requests()[1].header("ens-auth-token"), Some("session"));
    // It may be ended before.
    api.script(
        SUPPORTER,
        [
            refusal(401, "Invalid ens-auth-token"),
            Reply::json(200, &json!({ "id": 7 })),
        ],
    );
    let results = connected.deliver(&[delivery(1)]).await;
    assert_eq!((outcomes(&results), log_ins()), (vec!["delivered"], 3));
    // The limit of the hour is a 401 as well, and no session helps against it.
    let used_up = "The user with username [api@example.org] has exceeded its api limit";
    set(&api, SUPPORTER, refusal(401, used_up));
    let results = connected.deliver(&[delivery(1)]).await;
    assert_eq!((outcomes(&results), log_ins()), (vec!["busy"], 3));
    // A session that is refused although it is new needs a person.
    set(&api, SUPPORTER, refusal(401, "Invalid ens-auth-token"));
    let results = connected.deliver(&[delivery(1), delivery(2)]).await;
    assert_eq!((outcomes(&results), log_ins()), (vec!["halt"; 2], 4));
}

#[tokio::test]
async fn both_forms_of_the_log_in_are_tried_and_the_right_one_is_kept() {
    let api = account(&Value::Null).await;
    api.compute_at(LOG_IN, |request| {
        let is_object = serde_json::from_slice::<Value>(&request.body).is_ok();
        if is_object && request.json()["ens-auth-token"] == "api-user-token" {
            return session(request);
        }
        refusal(401, &format!("Invalid api key [{}]", request.text()))
    });
    let connected = connect(&api.url(""), "");
    for expected in [2, 3] {
        connected.deliver(&[delivery(1)]).await;
        let log_ins = support::calls(&api, "/ens/service");
        let log_ins = log_ins.iter().filter(|call| *call == "POST /authenticate");
        assert_eq!(log_ins.count(), expected);
        api.script(SUPPORTER, [refusal(401, "Invalid ens-auth-token")]);
    }
}

#[tokio::test]
async fn lives_in_all_forms_are_understood() {
    for (expires, minutes, is_renewed) in [
        (json!(600_000), 7, false),
        (json!(600_000), 9, true),
        (json!("600000"), 7, false),
        (json!("2026-01-01T00:10:00Z"), 7, false),
        (json!("2026-01-01T00:10:00Z"), 9, true),
        (json!(1_767_226_200_000_u64), 7, false),
        (json!(1_767_226_200_000_u64), 9, true),
        (json!(null), 27, false),
        (json!(null), 29, true),
        (json!("soon"), 27, false),
        (json!(60_000), 1, true),
    ] {
        let clock = Arc::new(TestClock::default());
        let api = account(&Value::Null).await;
        let shown = expires.clone();
        api.compute_at(LOG_IN, move |_| {
            Reply::json(200, &json!({ "ens-auth-token": "session", "expires": shown }))
        });
        let context = Context {
            clock: Arc::<TestClock>::clone(&clock),
            ..context()
        };
        let connected = (KIND.connect)(&context, &table(&api.url(""), "")).unwrap();
        connected.deliver(&[delivery(1)]).await;
        clock.advance(Duration::from_mins(minutes));
        connected.deliver(&[delivery(1)]).await;
        let expected = if is_renewed { 4 } else { 3 };
        assert_eq!(api.requests().len(), expected, "{expires} after {minutes} min");
    }
}

#[tokio::test]
async fn a_log_in_that_fails_spends_no_attempt_and_says_why() {
    let unregistered =
        "Authentication call is being made from an unregistered source address for this ENS api key";
    for (reply, outcome, reason, calls) in [
        (
            refusal(401, "Invalid api key [api-user-token]"),
            "halt",
            "does not accept `token`",
            2,
        ),
        (refusal(401, unregistered), "halt", "address of this machine", 1),
        (
            refusal(
                401,
                "The user specified by api key [api-user-token] is not active",
            ),
            "halt",
            "is not active",
            1,
        ),
        (
            refusal(
                401,
                "The user with username [a@example.org] has exceeded its api limit",
            ),
            "busy",
            "used up its calls",
            1,
        ),
        (
            refusal(429, "x").header("retry-after", "7"),
            "busy",
            "answered 429",
            1,
        ),
        (Reply::status(503).body("<html>"), "busy", "answered 503", 1),
        (Reply::status(200).body("<html>"), "busy", "without a session", 1),
        (Reply::status(403).body("<html>"), "busy", "answered 403", 1),
        (Reply::status(404).body("<html>"), "halt", "check `base_url`", 1),
    ] {
        let api = account(&Value::Null).await;
        set(&api, LOG_IN, reply);
        let results = connect(&api.url(""), "").deliver(&[delivery(1)]).await;
        assert_eq!(
            (outcomes(&results), api.requests().len()),
            (vec![outcome], calls),
            "{results:?}"
        );
        let found = results[0].outcome.reason().unwrap();
        assert!(found.contains(reason), "{found}");
        let all = format!("{results:?}");
        assert!(!all.contains("api-user-token") && !found.contains('@'), "{all}");
    }
}

#[tokio::test]
async fn actions_wait_for_their_own_limit_and_other_calls_do_not() {
    let clock = Arc::new(TestClock::default());
    let api = actions::account_with_page().await;
    let context = Context {
        clock: Arc::<TestClock>::clone(&clock),
        ..context()
    };
    let mut own = table(&api.url(""), "action = { page = '=9' }");
    // The second action waits for five minutes, and the time by which calls may arrive earlier than they were sent.
    own.insert("page_calls_per_5_min".to_owned(), 1.into());
    let connected = (KIND.connect)(&context, &own).unwrap();
    let first = connected.deliver(&[delivery(1)]).await;
    assert_eq!(outcomes(&first), ["delivered"], "{first:?}");
    let mut contact = delivery(2);
    contact.record.kind = DeliveryKind::Contact;
    assert_eq!(outcomes(&connected.deliver(&[contact]).await), ["delivered"]);
    let second = [delivery(3)];
    let waiting = connected.deliver(&second);
    let moving = async {
        clock
            .has_sleeper("2026-01-01T00:05:00.25Z".parse().unwrap())
            .await;
        clock.advance(Duration::from_millis(300_250));
    };
    let (results, ()) = tokio::join!(waiting, moving);
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
}

/// An account with usual fields, three questions and a page of this type.
async fn described(kind: &str) -> FakeApi {
    let fields = json!([
        { "name": "Email", "property": "emailAddress" }, { "name": "First Name" }, { "name": "Last Name" },
        { "name": "City" }, { "name": "Postcode" }, { "name": "Country" },
    ]);
    let questions = json!([
        { "name": "Accepts Email", "type": "OPT" }, { "name": "Double", "type": "CONF" },
        { "name": "Comments", "type": "GEN" },
    ]);
    let mut page = json!({ "id": 9, "campaignId": 90, "name": "Rivers", "campaignStatus": "close" });
    page["type"] = kind.into();
    let api = account(&Value::Null).await;
    set(&api, FIELDS, Reply::json(200, &fields));
    set(&api, QUESTIONS, Reply::json(200, &questions));
    set(&api, PAGE, Reply::json(200, &page));
    set(
        &api,
        "/ens/service/page/8",
        refusal(404, "Unable to find an page"),
    );
    api
}

#[tokio::test]
async fn doctor_names_what_is_wrong() {
    for (more, kind, expected) in [
        ("fields = { Shoe = '=x' }", "dc", "no field \"Shoe\""),
        ("double_opt_ins = ['Shoe']", "dc", "no question \"Shoe\""),
        ("double_opt_ins = ['Comments']", "dc", "no opt-in"),
        ("questions = { Double = '=Y' }", "dc", "only consent may answer"),
        ("questions = { Shoe = '=Y' }", "dc", "no question \"Shoe\""),
        ("action = { page = '=9' }", "nd", "may charge people"),
        ("action = { page = '=9' }", "et", "write to targets"),
        ("action = { page = '=8' }", "dc", "no page 8"),
    ] {
        let api = described(kind).await;
        let connected = connect(&api.url(""), &format!("email_field = 'Email'\n{more}"));
        let error = connected.check().await.unwrap_err().to_string();
        assert!(error.contains(expected), "{more}: {error}");
    }
    let api = described("dc").await;
    let error = connect(&api.url(""), "").check().await.unwrap_err().to_string();
    assert!(error.contains("name for the address is \"Email\""), "{error}");
    let own = "email_field = 'Email'\naction = { page = '=9' }\nquestions = { Comments = '=x' }";
    let connected = connect(&api.url(""), own);
    connected.check().await.unwrap();
    let remark = "page 9 is \"Rivers\", close, which may not take actions";
    assert_eq!(connected.remarks(), [remark]);
    let mut requests = api.requests();
    requests.retain(|request| request.path != LOG_IN);
    assert!(requests.iter().all(|request| request.method == "GET"));
}

#[tokio::test]
async fn doctor_knows_missing_rights_from_a_wrong_address() {
    for (reply, expected) in [
        (
            refusal(401, "ApiUser does not have adequate permissions"),
            "may not read this",
        ),
        (Reply::status(200).body("<html>"), "check `base_url`"),
        (Reply::status(404).body("<html>"), "check `base_url`"),
        (refusal(403, "x"), "refuses the API user"),
    ] {
        let api = described("dc").await;
        set(&api, FIELDS, reply);
        let error = connect(&api.url(""), "").check().await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
