use causeway_testkit::vendors::meta::{APP_ID, APP_SECRET, Meta, TOKEN, Terms, Token, html_502, proof};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{ACT, Rig};

fn account() -> Value {
    json!({ "id": ACT, "fields": ["name", "account_id"] })
}

#[tokio::test]
async fn the_token_and_the_proof_of_the_secret_are_checked() {
    let mut rig = Rig::start().await;
    rig.meta.with(|meta| meta.app.requires_proof = true);
    assert_eq!(rig.ok("account", account()).await["account_id"], "1234567890");

    rig.connect(json!({ "secret": null })).await;
    let error = rig.err("account", account()).await;
    assert_eq!(
        (&error["code"], &error["type"]),
        (&100.into(), &"GraphMethodException".into())
    );
    rig.meta.with(|meta| meta.app.requires_proof = false);
    rig.ok("account", account()).await;

    rig.connect(json!({ "secret": "of another app" })).await;
    assert_eq!(rig.code("account", account()).await, (100.into(), Value::Null));

    rig.connect(json!({ "token": "unknown" })).await;
    let error = rig.err("account", account()).await;
    assert_eq!((&error["code"], &error["status"]), (&190.into(), &400.into()));
}

#[test]
fn proofs_match_the_vectors() {
    let secret = "s3cr3t-app-key";
    let token = "EAAB-test-token";
    let plain = "80c6c40ea6c322ac6324d9508ba89b6d0cc251822e330cf6868a3d9a897d8bda";
    assert_eq!(proof(secret, token, None), plain);
    let timed = "f331ed73bae5d22a6ab3a1aa8a94cde3dd5a56fb7947ade524528c1c823f9c9e";
    assert_eq!(proof(secret, token, Some("1795132800")), timed);
}

#[tokio::test]
async fn a_token_expires_and_can_be_ended() {
    let mut rig = Rig::start().await;
    rig.meta.with(|meta| {
        let soon = meta.now() + SignedDuration::from_hours(1);
        meta.token_mut().expires = Some(soon);
    });
    rig.ok("account", account()).await;
    rig.advance_minutes(60);
    assert_eq!(rig.code("account", account()).await, (190.into(), 463.into()));
    rig.meta.with(|meta| {
        *meta.token_mut() = Token::of("1234567890");
        meta.token_mut().ended = Some(460);
    });
    assert_eq!(rig.code("account", account()).await, (190.into(), 460.into()));
}

#[tokio::test]
async fn the_app_asks_what_a_token_can_do() {
    let mut rig = Rig::idle().await;
    rig.connect(json!({ "token": format!("{APP_ID}|{APP_SECRET}") }))
        .await;
    let debug = json!({ "token": TOKEN });
    let data = rig.ok("debug", debug.clone()).await["data"].clone();
    assert_eq!(
        (&data["is_valid"], &data["expires_at"]),
        (&true.into(), &0.into())
    );
    assert_eq!(data["scopes"], json!(["ads_management", "ads_read"]));
    rig.meta.with(|meta| meta.token_mut().ended = Some(458));
    let data = rig.ok("debug", debug).await["data"].clone();
    assert_eq!(
        (&data["is_valid"], &data["error"]["subcode"]),
        (&false.into(), &458.into())
    );
}

#[tokio::test]
async fn scopes_and_accounts_limit_a_token() {
    let mut rig = Rig::start().await;
    let id = rig.audience().await;
    let change = |change: fn(&mut Meta)| rig.meta.with(change);
    change(|meta| {
        meta.token_mut().scopes.remove("ads_management");
    });
    let read = json!({ "id": id, "fields": ["name"] });
    rig.ok("read", read.clone()).await;
    assert_eq!(
        rig.code("delete", json!({ "id": id })).await,
        (200.into(), Value::Null)
    );
    rig.meta.with(|meta| meta.token_mut().accounts.clear());
    assert_eq!(rig.code("account", account()).await, (200.into(), Value::Null));
    assert_eq!(rig.code("read", read).await, (100.into(), 33.into()));
}

#[tokio::test]
async fn retired_versions_are_refused() {
    let mut rig = Rig::start().await;
    rig.connect(json!({ "version": "v24.0" })).await;
    let error = rig.err("account", account()).await;
    assert_eq!(error["code"], 2635);
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .ends_with("latest version: v26.0.")
    );
    rig.meta.with(|meta| meta.upgrades_retired_versions = true);
    rig.ok("account", account()).await;
    rig.connect(json!({ "version": "v25.0" })).await;
    rig.ok("account", account()).await;
    rig.connect(json!({ "version": "v27.0" })).await;
    assert_eq!(rig.code("account", account()).await.0, 2500);
}

#[tokio::test]
async fn terms_must_be_accepted() {
    let mut rig = Rig::start().await;
    let id = rig.audience().await;
    let terms = json!({ "id": ACT, "fields": ["tos_accepted"] });
    assert_eq!(
        rig.ok("account", terms.clone()).await["tos_accepted"]["custom_audience_tos"],
        1
    );
    assert_eq!(
        rig.ok("terms", json!({ "id": ACT }))
            .await
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let params =
        json!({ "name": "list 43", "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY" });
    let create = json!({ "account": ACT, "params": params });
    for (terms, code) in [
        (Terms::Missing, (json!(200), json!(1_870_090))),
        (Terms::Missing1870034, (json!(200), json!(1_870_034))),
        (Terms::Missing2655, (json!(2655), Value::Null)),
        (Terms::Missing2663, (json!(2663), Value::Null)),
    ] {
        rig.meta.with(|meta| meta.account_mut().terms = terms);
        assert_eq!(rig.code("create", create.clone()).await, code);
    }
    assert_eq!(rig.ok("account", terms).await["tos_accepted"], json!({}));
    rig.meta.with(|meta| meta.account_mut().terms = Terms::Missing);
    let error = rig.err("add", super::emails(&id, &["zoe@example.org"])).await;
    assert!(
        error["text"].as_str().unwrap().contains("tos/?act=1234567890"),
        "{error}"
    );
}

/// Other clients must not copy this: the page has no word that the client takes for an error.
#[tokio::test]
async fn the_client_takes_a_page_of_html_for_success() {
    let mut rig = Rig::start().await;
    let id = rig.audience().await;
    rig.meta.fail([html_502()]);
    let result = rig.ok("add", super::emails(&id, &["zoe@example.org"])).await;
    assert!(
        result["body"].as_str().unwrap().starts_with("<!DOCTYPE html>"),
        "{result}"
    );
    rig.meta
        .with(|meta| assert_eq!(meta.audience(&id).members.people(), 0));
}
