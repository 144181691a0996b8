use causeway_testkit::vendors::google::{
    ACCOUNT, CLIENT_ID, CLIENT_SECRET, PERSON, REFRESH_TOKEN, SCOPE, TOKEN,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{Rig, destination, member};

/// The time of this machine.
#[expect(
    clippy::disallowed_methods,
    reason = "the client signs by it, whatever the test says"
)]
fn now_here() -> Timestamp {
    Timestamp::try_from(std::time::SystemTime::now()).unwrap()
}

#[tokio::test]
async fn the_gateway_refuses_tokens_and_says_why() {
    let mut rig = Rig::start().await;
    let find = || json!({ "account": ACCOUNT });
    rig.connect(json!({ "token": "unknown" })).await;
    let error = rig.err("find", find()).await;
    assert_eq!(
        (&error["code"], &error["raised"]),
        (&json!(401), &json!("Unauthorized"))
    );

    rig.connect(json!({})).await;
    let later = rig
        .google
        .with(|google| google.now() + SignedDuration::from_mins(1));
    rig.google
        .with(|google| google.tokens.get_mut(TOKEN).unwrap().expires = Some(later));
    rig.ok("find", find()).await;
    rig.advance_minutes(2);
    let error = rig.err("find", find()).await;
    assert_eq!(
        (&error["code"], &error["reason"]),
        (&json!(401), &json!("ACCESS_TOKEN_EXPIRED"))
    );

    rig.google.with(|google| {
        let token = google.tokens.get_mut(TOKEN).unwrap();
        token.expires = None;
        token.scopes = ["https://www.googleapis.com/auth/adwords".to_owned()].into();
    });
    let error = rig.err("find", find()).await;
    assert_eq!(
        (&error["code"], &error["reason"]),
        (&json!(403), &json!("ACCESS_TOKEN_SCOPE_INSUFFICIENT"))
    );
    assert_eq!(
        (&error["raised"], &error["domain"]),
        (&json!("Forbidden"), &json!("googleapis.com"))
    );

    rig.google.with(|google| {
        let token = google.tokens.get_mut(TOKEN).unwrap();
        token.scopes = [SCOPE.to_owned()].into();
        google.is_enabled = false;
    });
    assert_eq!(rig.err("find", find()).await["reason"], "SERVICE_DISABLED");
}

#[tokio::test]
async fn a_service_account_gets_a_token_for_an_hour_by_its_key() {
    let mut rig = Rig::start().await;
    // The client signs with the time of this machine.
    rig.clock.set(now_here());
    let base = rig.google.url();
    let key = rig.google.with(|google| google.key_file(&base));
    let granted = rig.ok("assertion", json!({ "key": key })).await;
    rig.connect(json!({ "token": granted["token"] })).await;
    rig.add(&[member("ada@example.org")]).await;
    rig.advance_minutes(61);
    let body = rig.adding(&[member("ada@example.org")]);
    let error = rig.err("ingest", json!({ "body": body })).await;
    assert_eq!(error["reason"], "ACCESS_TOKEN_EXPIRED");

    // A clock that is off.
    let error = rig.err("assertion", json!({ "key": key })).await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("reasonable timeframe"),
        "{error}"
    );
    rig.clock.set(now_here());
    let error = rig.err("assertion", json!({ "key": key, "scopes": [] })).await;
    assert!(
        error["message"].as_str().unwrap().contains("invalid_scope"),
        "{error}"
    );
    let mut other = key.clone();
    other["private_key_id"] = "of another key".into();
    let error = rig.err("assertion", json!({ "key": other })).await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("Invalid JWT Signature"),
        "{error}"
    );
    rig.google.with(|google| google.has_service_account = false);
    let error = rig.err("assertion", json!({ "key": key })).await;
    assert!(
        error["message"].as_str().unwrap().contains("account not found"),
        "{error}"
    );
}

#[tokio::test]
async fn a_person_who_connected_an_app_is_asked_again_after_revoking_it() {
    let mut rig = Rig::start().await;
    let arguments = |secret: &str, base: String| {
        json!({
            "base": base, "client_id": CLIENT_ID, "client_secret": secret, "refresh_token": REFRESH_TOKEN,
        })
    };
    let granted = rig
        .ok("refresh", arguments(CLIENT_SECRET, rig.google.url()))
        .await;
    // Google does not rotate refresh tokens.
    assert_eq!(granted["refresh_token"], REFRESH_TOKEN);
    rig.connect(json!({ "token": granted["token"] })).await;
    rig.add(&[member("ada@example.org")]).await;
    let error = rig.err("refresh", arguments("wrong", rig.google.url())).await;
    assert!(
        error["message"].as_str().unwrap().contains("invalid_client"),
        "{error}"
    );
    rig.google.with(|google| google.app.refresh_tokens.clear());
    let error = rig
        .err("refresh", arguments(CLIENT_SECRET, rig.google.url()))
        .await;
    assert_eq!(
        error["message"],
        "invalid_grant: Token has been expired or revoked."
    );
}

#[tokio::test]
async fn an_account_is_reached_directly_or_through_its_manager() {
    let mut rig = Rig::start().await;
    let other = rig.google.with(|google| {
        google.add_account("5550001111", "Hills", "eve@example.org");
        google.add_account("9876543210", "Manager", PERSON);
        google.add_list("5550001111", "hills")
    });
    let mut body = rig.adding(&[member("ada@example.org")]);
    body["destinations"] = json!([destination("5550001111", other)]);
    let error = rig.err("ingest", json!({ "body": body })).await;
    assert_eq!(
        (&error["code"], &error["reason"]),
        (&json!(403), &json!("PERMISSION_DENIED"))
    );

    body["destinations"][0]["loginAccount"] =
        json!({ "accountType": "GOOGLE_ADS", "accountId": "9876543210" });
    let error = rig.err("ingest", json!({ "body": body })).await;
    assert_eq!(error["reason"], "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH");
    rig.google.with(|google| {
        let account = google.accounts.get_mut("5550001111").unwrap();
        account.managers.insert("9876543210".to_owned());
    });
    rig.ok("ingest", json!({ "body": body })).await;
    // For lists, a header names the manager.
    let error = rig.err("find", json!({ "account": "5550001111" })).await;
    assert_eq!(error["reason"], "PERMISSION_DENIED");
    rig.connect(json!({ "login": "accountTypes/GOOGLE_ADS/accounts/9876543210" }))
        .await;
    assert_eq!(
        rig.ok("find", json!({ "account": "5550001111" })).await[0][0]["displayName"],
        "hills"
    );
}

#[tokio::test]
async fn quotas_are_announced_only_by_the_error() {
    let mut rig = Rig::start().await;
    rig.google.with(|google| google.ingestion.per_minute = 2);
    rig.add(&[member("ada@example.org")]).await;
    rig.add(&[member("eve@example.org")]).await;
    let body = json!({ "body": rig.adding(&[member("bob@example.org")]) });
    let error = rig.err("ingest", body.clone()).await;
    assert_eq!(
        (&error["code"], &error["reason"]),
        (&json!(429), &json!("RATE_LIMIT_EXCEEDED"))
    );
    assert_eq!(
        error["metadata"]["quota_limit"],
        "ingestionRequestsPerMinutePerProject"
    );
    assert!(error.get("delay").is_none());
    // Other services have quotas of their own.
    rig.ok("find", json!({ "account": ACCOUNT })).await;
    rig.advance_minutes(1);
    rig.ok("ingest", body.clone()).await;
    rig.google.with(|google| {
        google.ingestion.per_day = 3;
        google.ingestion.says_delay = true;
    });
    let error = rig.err("ingest", body).await;
    assert_eq!(
        (&error["metadata"]["quota_limit_value"], &error["delay"]),
        (&json!("3"), &json!(3_600))
    );
}
