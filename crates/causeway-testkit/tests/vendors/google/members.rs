use causeway_testkit::vendors::google::{ACCOUNT, Misuse, hash};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};

use super::{Rig, destination, member};

#[tokio::test]
async fn people_are_added_and_removed_by_any_of_their_identifiers() {
    let mut rig = Rig::start().await;
    let address = json!({
        "givenName": hash("zoe"), "familyName": hash("demooneil"), "regionCode": "BE", "postalCode": "1060",
    });
    let zoe = json!({ "userData": { "userIdentifiers": [
        { "emailAddress": hash("zoedemo@gmail.com") }, { "phoneNumber": hash("+32470123456") }, { "address": address },
    ] } });
    rig.add(&[zoe, member("ada@example.org"), member("eve@example.org")])
        .await;
    assert_eq!(rig.people(), 3);
    // The same person again, with another address.
    let again = json!({ "userData": { "userIdentifiers": [
        { "phoneNumber": hash("+32470123456") }, { "emailAddress": hash("zoe@example.org") },
    ] } });
    rig.add(&[again]).await;
    assert_eq!((rig.people(), rig.has("zoe@example.org")), (3, true));

    let answer = rig
        .ok(
            "remove",
            json!({ "body": rig.removing(&[member("ada@example.org")]) }),
        )
        .await;
    let status = rig.status(answer["requestId"].as_str().unwrap()).await;
    assert_eq!(status["requestStatus"], "SUCCESS");
    assert_eq!(
        status["audienceMembersRemovalStatus"]["userDataRemovalStatus"]["recordCount"],
        "1"
    );
    assert_eq!((rig.people(), rig.has("ada@example.org")), (2, false));
    // Whoever is removed by one identifier stays with the others.
    rig.ok(
        "remove",
        json!({ "body": rig.removing(&[member("zoe@example.org")]) }),
    )
    .await;
    assert_eq!((rig.people(), rig.has("zoedemo@gmail.com")), (2, true));
    rig.google.with(|google| assert_eq!(google.misuses, []));
}

#[tokio::test]
async fn hashes_may_be_base64_and_are_the_vectors() {
    let mut rig = Rig::start().await;
    for (value, expected) in [
        (
            "zoedemo@gmail.com",
            "cc83ab1fd238bd5d532cfe208062b3290e46554a3458e6d1cea243a0762939ba",
        ),
        (
            "alexz@example.com",
            "509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a",
        ),
        (
            "+18005550100",
            "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30",
        ),
    ] {
        assert_eq!(hash(value), expected);
    }
    let digest = HEXLOWER.decode(hash("zoedemo@gmail.com").as_bytes()).unwrap();
    let mut body = rig.adding(&[
        json!({ "userData": { "userIdentifiers": [{ "emailAddress": BASE64.encode(&digest) }] } }),
    ]);
    body["encoding"] = "BASE64".into();
    assert!(
        body.to_string()
            .contains("zIOrH9I4vV1TLP4ggGKzKQ5GVUo0WObRzqJDoHYpObo=")
    );
    rig.ok("ingest", json!({ "body": body })).await;
    assert!(rig.has("zoedemo@gmail.com"));
    rig.add(&[member("")]).await;
    rig.google
        .with(|google| assert_eq!(google.misuses, [Misuse::HashOfNothing]));
}

#[tokio::test]
async fn one_wrong_member_refuses_all_and_is_named() {
    let mut rig = Rig::start().await;
    let mut members: Vec<Value> = (0..20)
        .map(|number| member(&format!("person{number}@example.org")))
        .collect();
    members[12]["userData"]["userIdentifiers"][0]["emailAddress"] = "abcd".into();
    members[14]["userData"]["userIdentifiers"][0]["emailAddress"] = "ada@example.org".into();
    let found = rig.violations("ingest", rig.adding(&members)).await;
    let at =
        |number: usize| format!("audience_members[{number}].user_data.user_identifiers[0].email_address");
    assert_eq!(
        found,
        [
            ("INVALID_SHA256_FORMAT".to_owned(), at(12)),
            ("INVALID_HEX_ENCODING".to_owned(), at(14)),
        ]
    );
    assert_eq!(rig.people(), 0);
    // Lists of errors may be cut off, and written in another case.
    rig.google.with(|google| {
        google.most_violations = 1;
        google.camel_fields = true;
    });
    let found = rig.violations("ingest", rig.adding(&members)).await;
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].1,
        "audienceMembers[12].userData.userIdentifiers[0].emailAddress"
    );
}

#[tokio::test]
async fn limits_and_required_fields_are_checked() {
    type Change = fn(&mut Value);
    let mut rig = Rig::start().await;
    let wrong: [(Change, &str); 14] = [
        (
            |body| drop(body.as_object_mut().unwrap().remove("encoding")),
            "REQUIRED_FIELD_MISSING",
        ),
        (
            |body| body["audienceMembers"] = json!([]),
            "REQUIRED_FIELD_MISSING",
        ),
        (|body| body["destinations"] = json!([]), "REQUIRED_FIELD_MISSING"),
        (
            |body| drop(body.as_object_mut().unwrap().remove("termsOfService")),
            "TERMS_AND_CONDITIONS_NOT_SIGNED",
        ),
        (
            |body| body["termsOfService"]["customerMatchTermsOfServiceStatus"] = "REJECTED".into(),
            "TERMS_AND_CONDITIONS_NOT_SIGNED",
        ),
        (
            |body| body["audienceMembers"] = vec![member("ada@example.org"); 10_001].into(),
            "TOO_MANY_AUDIENCE_MEMBERS",
        ),
        (
            |body| {
                let identifiers = vec![json!({ "emailAddress": hash("ada@example.org") }); 11];
                body["audienceMembers"][0]["userData"]["userIdentifiers"] = identifiers.into();
            },
            "TOO_MANY_USER_IDENTIFIERS",
        ),
        (
            |body| body["destinations"] = vec![destination(ACCOUNT, 7); 11].into(),
            "TOO_MANY_DESTINATIONS",
        ),
        (
            |body| body["audienceMembers"][1] = json!({ "mobileData": { "mobileIds": ["a-1"] } }),
            "MULTIPLE_DATA_TYPES_NOT_ALLOWED",
        ),
        (
            |body| body["audienceMembers"][0] = json!({}),
            "INVALID_AUDIENCE_MEMBER",
        ),
        (
            |body| body["audienceMembers"][0]["userData"]["userIdentifiers"] = json!([]),
            "NO_IDENTIFIERS_PROVIDED",
        ),
        (
            |body| body["destinations"][0]["productDestinationId"] = "list 42".into(),
            "INVALID_USER_LIST_ID",
        ),
        (
            |body| body["destinations"][0]["operatingAccount"]["accountId"] = "123-456-7890".into(),
            "INVALID_NUMBER_FORMAT",
        ),
        (
            |body| {
                let address = json!({
                    "givenName": hash("a"), "familyName": hash("b"), "regionCode": "be", "postalCode": "1",
                });
                body["audienceMembers"][0]["userData"]["userIdentifiers"][0] = json!({ "address": address });
            },
            "INVALID_REGION_CODE",
        ),
    ];
    for (change, reason) in wrong {
        let mut body = rig.adding(&[member("ada@example.org"), member("eve@example.org")]);
        change(&mut body);
        let found = rig.violations("ingest", body).await;
        assert_eq!(found[0].0, reason, "{found:?}");
    }
    let body = rig.adding(&vec![member("ada@example.org"); 10_000]);
    rig.ok("ingest", json!({ "body": body })).await;
}

#[tokio::test]
async fn what_a_person_must_do_first_is_named_in_two_ways() {
    let mut rig = Rig::start().await;
    for names_fields in [false, true] {
        for reason in [
            "EU_POLITICAL_ADVERTISING_DECLARATION_REQUIRED",
            "TERMS_AND_CONDITIONS_NOT_SIGNED",
            "NOT_ALLOWLISTED",
        ] {
            rig.google.with(|google| {
                google.names_fields = names_fields;
                let account = google.accounts.get_mut(ACCOUNT).unwrap();
                account.has_eu_declaration = !reason.starts_with("EU");
                account.has_terms = !reason.starts_with("TERMS");
                account.is_allowlisted = !reason.starts_with("NOT");
            });
            let body = json!({ "body": rig.adding(&[member("ada@example.org")]) });
            let error = rig.err("ingest", body).await;
            if names_fields {
                assert_eq!(
                    (&error["code"], &error["violations"][0][1]),
                    (&json!(400), &json!(reason))
                );
            } else {
                assert_eq!((&error["code"], &error["reason"]), (&json!(403), &json!(reason)));
            }
        }
    }
}

#[tokio::test]
async fn everybody_or_those_of_an_earlier_time_are_removed() {
    let mut rig = Rig::start().await;
    rig.add(&[member("ada@example.org"), member("eve@example.org")])
        .await;
    rig.advance_minutes(10);
    let start = rig.google.with(|google| google.now());
    rig.add(&[member("eve@example.org"), member("bob@example.org")])
        .await;
    let mut body = json!({ "destinations": [destination(ACCOUNT, rig.list)], "removeAsOfTime": start });
    let answer = rig.ok("remove_all", json!({ "body": body })).await;
    let status = rig.status(answer["requestId"].as_str().unwrap()).await;
    assert_eq!(status["requestStatus"], "SUCCESS");
    assert_eq!((rig.people(), rig.has("ada@example.org")), (2, false));

    body["removeAsOfTime"] = "2030-01-01T00:00:00Z".into();
    let found = rig.violations("remove_all", body.clone()).await;
    assert_eq!(found[0].0, "INVALID_REMOVE_AS_OF_TIME");
    body.as_object_mut().unwrap().remove("removeAsOfTime");
    rig.advance_minutes(1);
    rig.ok("remove_all", json!({ "body": body })).await;
    assert_eq!(rig.people(), 0);
}

#[tokio::test]
async fn a_trial_checks_everything_and_changes_nothing() {
    let mut rig = Rig::start().await;
    let mut body = rig.adding(&[member("ada@example.org")]);
    body["validateOnly"] = true.into();
    let answer = rig.ok("ingest", json!({ "body": body })).await;
    assert_eq!(rig.people(), 0);
    let error = rig.err("status", json!({ "id": answer["requestId"] })).await;
    assert_eq!(error["violations"][0][1], "INVALID_REQUEST_ID");
    body["destinations"][0]["productDestinationId"] = "7".into();
    let error = rig.err("ingest", json!({ "body": body })).await;
    assert_eq!(error["reason"], "INVALID_USER_LIST_ID");
}
