use std::time::Duration;

use causeway_testkit::vendors::hubspot::{App, SCOPES, TOKEN, Token};
use serde_json::{Value, json};

use super::Account;

const LIST: &str = "crm.contacts.basicApi.getPage";
const CREATE: &str = "oauth.tokensApi.create";

#[tokio::test]
async fn an_unknown_token_and_an_old_one_are_refused() {
    let mut account = Account::start().await;
    account.with(|hubspot| {
        let expires = Some(hubspot.clock.now());
        hubspot.tokens.insert(
            "old".to_owned(),
            Token {
                expires,
                ..Token::key()
            },
        );
        hubspot.clock.advance(Duration::from_secs(90));
    });
    account.use_token("unknown").await;
    assert_eq!(
        account.fail(401, LIST, json!([])).await["category"],
        "INVALID_AUTHENTICATION"
    );
    account.use_token("old").await;
    let error = account.fail(401, LIST, json!([])).await;
    assert_eq!(error["category"], "EXPIRED_AUTHENTICATION");
    assert_eq!(
        error["message"],
        "The OAuth token used to make this call expired 90 second(s) ago."
    );
    assert_eq!(
        error["context"]["expire time"],
        json!(["2026-01-01T00:00:00.000Z"])
    );
}

#[tokio::test]
async fn a_missing_scope_is_named() {
    let mut account = Account::start().await;
    account.with(|hubspot| {
        let token = Token::key()
            .without("crm.objects.contacts.write")
            .without("crm.lists.read");
        hubspot.tokens.insert(TOKEN.to_owned(), token);
    });
    account.get(LIST, json!([])).await;
    let error = account
        .fail(
            403,
            "crm.contacts.basicApi.create",
            json!([{ "properties": {}, "associations": [] }]),
        )
        .await;
    assert_eq!(error["category"], "MISSING_SCOPES");
    let scopes = &error["errors"][0]["context"]["requiredGranularScopes"];
    assert_eq!(scopes, &json!(["crm.objects.contacts.write"]));
    account.fail(403, "crm.lists.listsApi.remove", json!(["1"])).await;
}

#[tokio::test]
async fn an_app_gets_tokens_and_loses_them() {
    let mut account = Account::start().await;
    account.with(|hubspot| {
        hubspot.apps.push(App {
            client_id: "cid".to_owned(),
            client_secret: "secret".to_owned(),
            scopes: SCOPES.map(str::to_owned).into(),
            codes: ["code-1".to_owned()].into(),
            refresh_tokens: [].into(),
        });
    });
    let by_code = json!([
        "authorization_code",
        "code-1",
        "https://hub.example.org/cb",
        "cid",
        "secret"
    ]);
    let tokens = account.get(CREATE, by_code.clone()).await;
    assert_eq!(tokens["expiresIn"], 1800);
    assert_eq!(
        account.fail(400, CREATE, by_code).await["status"],
        "BAD_AUTH_CODE"
    );
    let refresh = json!([
        "refresh_token",
        null,
        null,
        "cid",
        "secret",
        tokens["refreshToken"]
    ]);
    let tokens = account.get(CREATE, refresh.clone()).await;
    let access = tokens["accessToken"].as_str().unwrap().to_owned();
    account.use_token(&access).await;
    account.get(LIST, json!([])).await;

    account.with(|hubspot| hubspot.clock.advance(Duration::from_mins(30)));
    assert_eq!(
        account.fail(401, LIST, json!([])).await["category"],
        "EXPIRED_AUTHENTICATION"
    );
    account.with(|hubspot| hubspot.apps[0].refresh_tokens.clear());
    let error = account.fail(400, CREATE, refresh).await;
    assert_eq!(
        (&error["error"], &error["status"]),
        (&json!("invalid_grant"), &json!("BAD_REFRESH_TOKEN"))
    );
    let error = account
        .fail(
            400,
            CREATE,
            json!(["refresh_token", null, null, "other", "secret", "x"]),
        )
        .await;
    assert_eq!(error["error"], "invalid_client");
}

#[tokio::test]
async fn old_versions_of_the_api_are_gone() {
    let mut account = Account::start().await;
    for path in [
        "/crm/v3/objects/contacts",
        "/crm/objects/2026-03/contacts",
        "/events/2026-09/send",
    ] {
        assert_eq!(
            account.request("GET", path, Value::Null).await.status,
            404,
            "{path}"
        );
    }
    let details = account
        .request("GET", "/account-info/2026-09/details", Value::Null)
        .await;
    assert_eq!(details.raw["portalId"], 12_345_678);
}
