use super::*;

#[tokio::test]
async fn a_number_that_brevo_refuses_keeps_nobody_off_the_list() {
    let duplicate = |code: &str, name: &str| {
        let metadata = json!({ "duplicate_identifiers": [name] });
        Reply::json(
            400,
            &json!({ "code": code, "message": "Unable to create contact", "metadata": metadata }),
        )
    };
    for (refusal, left_out) in [
        (error(400, "invalid_parameter", "Invalid phone number"), "SMS"),
        (duplicate("duplicate_parameter", "SMS"), "SMS"),
        (duplicate("invalid_parameter", "sms"), "SMS"),
        (duplicate("duplicate_parameter", "ext_id"), "EXT_ID"),
    ] {
        let api = FakeApi::start().await;
        accept(&api);
        api.script(CONTACTS, [refusal]);
        let keys = "fields = { SMS = '=+3612345678', FIRSTNAME = 'contact.firstName', EXT_ID = '=a' }";
        let result = one(&*connect(&api.url(""), keys), subscriber(1, SINCE)).await;
        assert_eq!(result.outcome.as_str(), "delivered");
        assert!(
            result.notes[0].starts_with(&format!("left out {left_out}")),
            "{result:?}"
        );
        let body = api.requests()[2].json();
        let has = |there: bool| there == (left_out == "EXT_ID");
        assert!(has(body["attributes"].get("SMS").is_some()), "{body}");
        assert!(has(body.get("ext_id").is_none()), "{body}");
        assert_eq!(body["listIds"], json!([12, 31]));
    }
}

#[tokio::test]
async fn a_refused_contact_ends_as_the_reason_demands() {
    let campaign = "campaign_lists = ['=77']";
    for (keys, refusal, outcome, reason) in [
        (
            "",
            error(400, "invalid_parameter", "List id 31 does not exist"),
            "halt",
            "`lists`",
        ),
        (
            campaign,
            error(400, "invalid_parameter", "List id 77 does not exist"),
            "reject",
            "campaign",
        ),
        (
            "",
            error(404, "document_not_found", "List ID does not exist"),
            "halt",
            "`lists`",
        ),
        (
            "",
            error(400, "invalid_parameter", "Invalid email address"),
            "reject",
            "invalid_parameter",
        ),
        (
            "",
            error(400, "invalid_parameter", "The domain is in a blacklist"),
            "reject",
            "invalid_parameter",
        ),
        ("", error(425, "account_in_process", ""), "retry", "425"),
        ("", error(402, "not_enough_credits", ""), "halt", "credits"),
        (
            "",
            error(403, "account_under_validation", ""),
            "halt",
            "account_under_validation",
        ),
        ("", Reply::status(400).body("<html>"), "retry", "in between"),
        ("", Reply::status(401).body("<html>"), "retry", "in between"),
        ("", Reply::status(404), "retry", "in between"),
    ] {
        let api = FakeApi::start().await;
        accept(&api);
        api.script(CONTACTS, [refusal]);
        let result = one(&*connect(&api.url(""), keys), subscriber(1, SINCE)).await;
        assert_eq!(result.outcome.as_str(), outcome, "{result:?}");
        assert!(result.outcome.reason().unwrap().contains(reason), "{result:?}");
    }
    // Somebody else creates the contact at the same moment.
    let api = FakeApi::start().await;
    accept(&api);
    let metadata = json!({ "duplicate_identifiers": ["email"] });
    let duplicate =
        json!({ "code": "duplicate_parameter", "message": "Contact already exist", "metadata": metadata });
    api.script(CONTACTS, [Reply::json(400, &duplicate)]);
    let result = one(&*connect(&api.url(""), ""), subscriber(1, SINCE)).await;
    assert_eq!(result.outcome.as_str(), "retry", "{result:?}");
}

#[tokio::test]
async fn a_page_of_something_in_between_confirms_nothing() {
    for answer in [
        Reply::status(200).body("<html>log in first</html>"),
        Reply::status(200),
        Reply::json(200, &contact(true, &json!([]), &json!([]), SINCE)).cut(),
    ] {
        let api = FakeApi::start().await;
        api.reply(answer);
        for change in [Change::Unsubscribe, Change::Suppress, Change::Remove] {
            let result = one(&*connect(&api.url(""), ""), withdrawal(change)).await;
            assert_eq!(result.outcome.as_str(), "retry", "{result:?}");
        }
        let brevo = connect(&api.url(""), "event = { name = 'signed' }");
        let result = one(&*brevo, subscriber(1, SINCE)).await;
        assert_eq!(
            (result.outcome.as_str(), calls(&api).last().map(String::as_str)),
            ("retry", Some("GET P"))
        );
        let results = brevo.deliver(&[delivery(1), delivery(2)]).await;
        assert_eq!(outcomes(&results), ["retry"; 2]);
    }
    // A 404 that is not about a contact means that the address of the API is wrong.
    let api = FakeApi::start().await;
    api.reply(error(404, "not_found", "no such path"));
    for change in [Change::Unsubscribe, Change::Remove] {
        let result = one(&*connect(&api.url(""), ""), withdrawal(change)).await;
        assert_eq!(result.outcome.as_str(), "halt");
    }
}

#[tokio::test]
async fn limits_last_until_brevo_counts_anew() {
    let api = FakeApi::start().await;
    api.reply(error(429, "too_many_requests", "").header("x-sib-ratelimit-reset", "7"));
    let result = one(&*connect(&api.url(""), ""), subscriber(1, SINCE)).await;
    assert!(
        matches!(result.outcome, Outcome::Busy { after: Some(after), .. } if after == Duration::from_secs(7)),
        "{result:?}"
    );
    for (reset, rest) in [("3", Some(Duration::from_secs(3))), ("1", None)] {
        let api = FakeApi::start().await;
        accept(&api);
        let last = Reply::json(201, &json!({ "id": 7 }))
            .header("x-sib-ratelimit-remaining", "0")
            .header("x-sib-ratelimit-reset", reset);
        api.script(CONTACTS, [last]);
        let result = one(&*connect(&api.url(""), ""), delivery(1)).await;
        assert_eq!((result.outcome.as_str(), result.rest), ("delivered", rest));
    }
}

#[test]
fn wrong_keys_are_named() {
    let tables = causeway_core::mapping::Tables::default();
    for (more, key) in [
        ("lists = []", "lists"),
        ("lists = [1]\napi_version = '3'", "api_version"),
        ("lists = [1]\ncalls_per_s = 0", "calls_per_s"),
        ("lists = [1]\nevent = { name = 'not a name' }", "event.name"),
        (
            "lists = [1]\nevent = { name = 'a', properties = { 'a b' = '=1' } }",
            "event.properties",
        ),
        (
            "lists = [1]\nevent = { name = 'a', properties = { causeway = '=1' } }",
            "event.properties.causeway",
        ),
        (
            "lists = [1]\nfields = { email = 'contact.email' }",
            "fields.email",
        ),
    ] {
        let table = toml::from_str(&format!("token = 'x'\n{more}")).unwrap();
        assert_eq!((KIND.parse)(&tables, &table).unwrap_err().key, key, "{more}");
    }
}

#[test]
fn a_preview_shows_every_request_that_would_be_sent() {
    let keys = "token = 'secret'\nlists = [12]\ncampaign_lists = ['=31']\nevent = { name = 'signed' }";
    let batch = [
        subscriber(1, SINCE),
        withdrawal(Change::Unsubscribe),
        withdrawal(Change::Remove),
    ];
    let shown = (KIND.preview)(&context(), &toml::from_str(keys).unwrap(), &batch).unwrap();
    let texts: Vec<String> = shown.into_iter().map(Result::unwrap).collect();
    insta::assert_snapshot!(texts.join("\n\n----\n\n"));
}
