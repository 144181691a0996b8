use serde_json::json;

use super::*;
use causeway_testkit::clock::TestClock;

fn send(google: &mut Google, method: &str, path: &str, query: &str, body: &Value) -> (u16, Value) {
    let request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: vec![("authorization".to_owned(), format!("Bearer {TOKEN}"))],
        body: body.to_string().into(),
    };
    let reply = google.answer(&request);
    (
        reply.code(),
        serde_json::from_slice(reply.content()).unwrap_or_default(),
    )
}

fn google() -> (Google, Value) {
    let mut google = Google::new(Arc::new(TestClock::default()));
    let list = google.add_list(ACCOUNT, "list 42");
    let body = json!({
        "destinations": [{
            "operatingAccount": { "accountType": "GOOGLE_ADS", "accountId": ACCOUNT },
            "productDestinationId": list.to_string(),
        }],
        "audienceMembers": [{ "userData": { "userIdentifiers": [{ "emailAddress": hash("ada@example.org") }] } }],
        "consent": { "adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED" },
        "encoding": "HEX",
        "termsOfService": { "customerMatchTermsOfServiceStatus": "ACCEPTED" },
    });
    (google, body)
}

const INGEST: &str = "/v1/audienceMembers:ingest";

#[test]
fn names_are_camel_or_snake_and_enums_names_or_numbers() {
    let (mut google, body) = google();
    let snake = body
        .to_string()
        .replace("audienceMembers", "audience_members")
        .replace("userData", "user_data")
        .replace("\"HEX\"", "1")
        .replace("\"GOOGLE_ADS\"", "1");
    let snake: Value = serde_json::from_str(&snake).unwrap();
    for body in [body, snake] {
        let (status, answer) = send(&mut google, "POST", INGEST, "", &body);
        assert_eq!(status, 200, "{answer}");
        let query = format!("requestId={}", answer["requestId"].as_str().unwrap());
        let path = "/v1/requestStatus:retrieve";
        let (_, names) = send(&mut google, "GET", path, &query, &json!(null));
        assert_eq!(
            names["requestStatusPerDestination"][0]["requestStatus"],
            "SUCCESS"
        );
        let query = format!("{query}&$alt=json;enum-encoding=int");
        let (_, numbers) = send(&mut google, "GET", path, &query, &json!(null));
        let status = &numbers["requestStatusPerDestination"][0];
        assert_eq!(
            (
                &status["requestStatus"],
                &status["destination"]["operatingAccount"]["accountType"]
            ),
            (&json!(1), &json!(1))
        );
        let counts = &status["audienceMembersIngestionStatus"]["userDataIngestionStatus"];
        assert_eq!(
            (&counts["recordCount"], &counts["uploadMatchRateRange"]),
            (&json!("1"), &json!(1))
        );
    }
}

#[test]
fn the_gateway_refuses_what_is_in_no_message() {
    let (mut google, body) = google();
    let identifier = |one: Value| json!({ "userData": { "userIdentifiers": [one] } });
    for (change, found) in [
        (
            json!({ "audienceMembers": [identifier(json!({ "addressInfo": {} }))] }),
            "Unknown name \"addressInfo\" at 'audience_members[0].user_data.user_identifiers[0]'",
        ),
        (
            json!({ "members": [] }),
            "Unknown name \"members\": Cannot find field.",
        ),
        (
            json!({ "consent": { "adUserData": "GRANTED" } }),
            "Invalid value at 'consent.ad_user_data'",
        ),
        (json!({ "encoding": 7 }), "Invalid value at 'encoding'"),
        (json!({ "validateOnly": "yes" }), "'validate_only' (TYPE_BOOL)"),
        (json!({ "destinations": {} }), "'destinations' (repeated)"),
        (
            json!({ "audienceMembers": [identifier(json!({ "emailAddress": "a", "phoneNumber": "b" }))] }),
            "oneof field 'identifier' is already set",
        ),
    ] {
        let mut body = body.clone();
        body.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let (status, answer) = send(&mut google, "POST", INGEST, "", &body);
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(status == 400 && message.contains(found), "{message}");
        // No reason: only what the gateway found.
        assert_eq!(
            answer["error"]["details"][0]["@type"],
            "type.googleapis.com/google.rpc.BadRequest"
        );
    }
    let (status, answer) = send(&mut google, "POST", INGEST, "", &Value::Null);
    assert_eq!(
        (status, &answer["error"]["status"]),
        (400, &json!("INVALID_ARGUMENT"))
    );
    assert!(google.requests.is_empty());
    let mut null = body;
    null["validateOnly"] = Value::Null;
    assert_eq!(send(&mut google, "POST", INGEST, "", &null).0, 200);
}

#[test]
fn lost_answers_took_effect_and_the_page_shows_no_whole_hash() {
    let (mut google, body) = google();
    google.loses_answers = 1;
    assert_eq!(send(&mut google, "POST", INGEST, "", &body).0, 502);
    let list = *google.accounts[ACCOUNT].lists.keys().next().unwrap();
    assert!(google.list(ACCOUNT, list).has_email("ada@example.org"));
    let page = google.page();
    assert!(page.contains("list 42") && page.contains("1 people"), "{page}");
    assert!(!page.contains(&hash("ada@example.org")));
    google.courses.push_back(Course::New("QUEUED"));
    let (_, answer) = send(&mut google, "POST", INGEST, "", &body);
    let query = format!("requestId={}", answer["requestId"].as_str().unwrap());
    let (_, status) = send(
        &mut google,
        "GET",
        "/v1/requestStatus:retrieve",
        &query,
        &json!(null),
    );
    assert_eq!(
        status["requestStatusPerDestination"][0]["requestStatus"],
        "QUEUED"
    );
}
