use causeway_testkit::vendors::google::{Course, Misuse};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Rig, member};

#[tokio::test]
async fn nothing_is_in_the_list_before_the_request_was_processed() {
    let mut rig = Rig::start().await;
    rig.google.with(|google| {
        google.processing_takes = SignedDuration::from_mins(45);
        google.match_rate = "MATCH_RATE_RANGE_51_TO_60";
    });
    let id = rig
        .add(&[member("ada@example.org"), member("eve@example.org")])
        .await;
    assert_eq!(rig.status(&id).await["requestStatus"], "PROCESSING");
    assert_eq!(rig.people(), 0);
    rig.advance_minutes(45);
    let status = rig.status(&id).await;
    assert_eq!((&status["requestStatus"], rig.people()), (&json!("SUCCESS"), 2));
    assert_eq!(
        status["audienceMembersIngestionStatus"]["userDataIngestionStatus"],
        json!({ "recordCount": "2", "userIdentifierCount": "2", "uploadMatchRateRange": "MATCH_RATE_RANGE_51_TO_60" })
    );
    assert_eq!(
        status["destination"]["operatingAccount"]["accountId"],
        "1234567890"
    );
    let error = rig
        .err("status", json!({ "id": "00000000-0000-0000-0000-000000000000" }))
        .await;
    assert_eq!(error["violations"][0][1], "INVALID_REQUEST_ID");
    rig.advance_minutes(51 * 24 * 60);
    let error = rig.err("status", json!({ "id": id })).await;
    assert_eq!(error["violations"][0][1], "REQUEST_TOO_OLD");
}

#[tokio::test]
async fn members_without_both_consents_fail_and_are_only_counted() {
    let mut rig = Rig::start().await;
    let with = |address: &str, consent: Value| {
        let mut member = member(address);
        member["consent"] = consent;
        member
    };
    let mut body = rig.adding(&[
        member("ada@example.org"),
        with("eve@example.org", json!({ "adUserData": "CONSENT_GRANTED" })),
        with(
            "bob@example.org",
            json!({ "adUserData": "CONSENT_DENIED", "adPersonalization": "CONSENT_GRANTED" }),
        ),
    ]);
    body["consent"] = json!({ "adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED" });
    let answer = rig.ok("ingest", json!({ "body": body })).await;
    let status = rig.status(answer["requestId"].as_str().unwrap()).await;
    assert_eq!(status["requestStatus"], "PARTIAL_SUCCESS");
    // What a member leaves open is taken from the request.
    assert_eq!(
        status["errorInfo"]["errorCounts"],
        json!([{ "recordCount": "1", "reason": "PROCESSING_ERROR_REASON_DENIED_CONSENT" }])
    );
    assert_eq!((rig.people(), rig.has("bob@example.org")), (2, false));

    body["audienceMembers"] = json!([member("dan@example.org")]);
    body.as_object_mut().unwrap().remove("consent");
    let answer = rig.ok("ingest", json!({ "body": body })).await;
    let status = rig.status(answer["requestId"].as_str().unwrap()).await;
    assert_eq!(status["requestStatus"], "FAILED");
    assert_eq!(
        status["errorInfo"]["errorCounts"][0]["reason"],
        "PROCESSING_ERROR_REASON_NO_CONSENT"
    );
}

#[tokio::test]
async fn a_test_decides_how_processing_ends() {
    let mut rig = Rig::start().await;
    rig.google.with(|google| {
        google.courses = [
            Course::Errors(vec![("PROCESSING_ERROR_REASON_INTERNAL_ERROR", 1)]),
            Course::Errors(vec![("PROCESSING_ERROR_REASON_INVALID_FORMAT", 2)]),
            Course::Warnings(vec![("PROCESSING_WARNING_REASON_INTERNAL_ERROR", 1)]),
            Course::Failed,
            Course::Unknown,
        ]
        .into();
    });
    let people = [member("ada@example.org"), member("eve@example.org")];
    for (expected, left, reason) in [
        (
            "PARTIAL_SUCCESS",
            1,
            json!("PROCESSING_ERROR_REASON_INTERNAL_ERROR"),
        ),
        ("FAILED", 1, json!("PROCESSING_ERROR_REASON_INVALID_FORMAT")),
        ("SUCCESS", 2, Value::Null),
        ("FAILED", 2, Value::Null),
        // The client leaves out what is zero.
        ("", 2, Value::Null),
    ] {
        let id = rig.add(&people).await;
        let status = rig.status(&id).await;
        assert_eq!(status["requestStatus"].as_str().unwrap_or_default(), expected);
        assert_eq!(
            (rig.people(), &status["errorInfo"]["errorCounts"][0]["reason"]),
            (left, &reason)
        );
        if expected == "SUCCESS" {
            assert_eq!(status["warningInfo"]["warningCounts"][0]["recordCount"], "1");
        }
    }
}

#[tokio::test]
async fn requests_that_are_processed_together_may_change_their_order() {
    let mut rig = Rig::start().await;
    rig.google.with(|google| {
        google.takes = [60, 30].map(SignedDuration::from_mins).into();
    });
    rig.add(&[member("ada@example.org")]).await;
    let body = rig.removing(&[member("ada@example.org")]);
    rig.ok("remove", json!({ "body": body })).await;
    rig.advance_minutes(61);
    rig.google
        .with(|google| assert_eq!(google.misuses, [Misuse::RemovedWhileAdding]));
    // Any call lets time pass.
    rig.ok("find", json!({ "account": "1234567890" })).await;
    assert!(rig.has("ada@example.org"), "the removal came first");
}
