use causeway_testkit::vendors::salesforce::App;
use data_encoding::BASE64;
use serde_json::{Value, json};

use super::Org;

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

impl Org {
    /// Connects as the app, without a session.
    async fn connect(&mut self, secret: &str, refresh_token: Option<&str>) {
        let oauth2 = json!({ "clientId": "app", "clientSecret": secret });
        let mut connect = json!({ "oauth2": oauth2 });
        if let Some(token) = refresh_token {
            connect["refreshToken"] = token.into();
            connect["accessToken"] = "expired".into();
        }
        self.step(&json!({ "connect": connect })).await.unwrap();
    }

    async fn authorize(&mut self, grant: Value) -> Result<Value, Value> {
        self.step(&json!({ "call": "authorize", "with": [grant] })).await
    }
}

fn app() -> App {
    App::new("app", "secret")
}

fn client_credentials() -> Value {
    json!({ "grant_type": "client_credentials" })
}

#[tokio::test]
async fn client_credentials_open_a_session_on_the_orgs_own_host() {
    let mut org = Org::start().await;
    org.with(|salesforce| salesforce.access.apps.push(app()));
    org.connect("secret", None).await;
    let user = org.authorize(client_credentials()).await.unwrap();
    assert_eq!(user["organizationId"], "00DDn0000000001MAA");
    org.get("limits", json!([])).await;
    org.with(|salesforce| salesforce.access.is_login_host = true);
    let error = org.authorize(client_credentials()).await.unwrap_err();
    assert_eq!(
        (&error["name"], &error["message"]),
        (
            &json!("invalid_grant"),
            &json!("request not supported on this domain")
        )
    );
    org.connect("wrong", None).await;
    org.with(|salesforce| salesforce.access.is_login_host = false);
    let error = org.authorize(client_credentials()).await.unwrap_err();
    assert_eq!(error["name"], "invalid_client");
}

#[tokio::test]
async fn an_ended_session_is_renewed_by_the_refresh_token_which_is_replaced() {
    let mut org = Org::start().await;
    let token = org.with(|salesforce| {
        salesforce.access.apps.push(app());
        salesforce.access.new_refresh_token("app")
    });
    org.connect("secret", Some(&token)).await;
    // The client asks for a new session when its own has ended.
    org.get("limits", json!([])).await;
    let first = org.last["accessToken"].clone();
    assert_ne!(first, "expired");
    // The client keeps the old refresh token: using it again ends everything.
    org.with(|salesforce| salesforce.access.sessions.remove(first.as_str().unwrap()));
    let error = org
        .step(&json!({ "call": "limits", "with": [] }))
        .await
        .unwrap_err();
    assert_eq!(
        error["message"],
        "Unable to refresh session due to: expired access/refresh token"
    );
    let all_ended = org.with(|salesforce| {
        let mut tokens = salesforce.access.refresh_tokens.values();
        tokens.all(|(_, is_current)| !is_current)
    });
    assert!(all_ended);
}

#[tokio::test]
async fn a_refresh_during_another_one_is_refused_and_ends_nothing() {
    let mut org = Org::start().await;
    let token = org.with(|salesforce| {
        salesforce.access.apps.push(app());
        salesforce.access.concurrent_refreshes = 1;
        salesforce.access.new_refresh_token("app")
    });
    org.connect("secret", None).await;
    let refresh = json!({ "call": "oauth2.refreshToken", "with": [token] });
    let error = org.step(&refresh).await.unwrap_err();
    assert_eq!(
        (&error["name"], &error["message"]),
        (
            &json!("invalid_grant"),
            &json!("token request is already being processed")
        )
    );
    let renewed = org.step(&refresh).await.unwrap();
    assert_ne!(renewed["refresh_token"], token.as_str());
    assert!(renewed["issued_at"].is_string());
    assert_eq!(renewed["expires_in"], Value::Null);
}

#[tokio::test]
async fn a_signed_assertion_opens_a_session_for_an_approved_user() {
    let mut org = Org::start().await;
    let now = org.with(|salesforce| {
        salesforce.access.apps.push(app());
        salesforce.now().as_second()
    });
    // The assertion proves who it is: no secret is needed.
    org.connect("", None).await;
    let valid = json!({ "iss": "app", "sub": "sync@example.org", "aud": "https://login.salesforce.com", "exp": now + 120 });
    for (member, value, expected) in [
        ("sub", json!("sync@example.org"), Ok(())),
        ("exp", json!((now + 120).to_string()), Ok(())),
        (
            "sub",
            json!("other@example.org"),
            Err("user hasn't approved this consumer"),
        ),
        (
            "aud",
            json!("https://api.example.org"),
            Err("audience is invalid"),
        ),
        ("exp", json!(now + 600), Err("expired authorization code")),
        ("exp", json!(now), Err("expired authorization code")),
        ("iss", json!("nobody"), Err("client identifier invalid")),
    ] {
        let mut claims = valid.clone();
        claims[member] = value;
        let signed = org.step(&json!({ "assertion": claims })).await.unwrap();
        let key = BASE64.decode(signed["key"].as_str().unwrap().as_bytes()).unwrap();
        org.with(|salesforce| salesforce.access.apps[0].public_key = Some(key));
        let grant = json!({ "grant_type": JWT_BEARER, "assertion": signed["assertion"] });
        let result = org.authorize(grant).await;
        let message = result.map_err(|error| error["message"].as_str().unwrap().to_owned());
        assert_eq!(
            message.as_ref().map(|_| ()).map_err(String::as_str),
            expected,
            "{claims}"
        );
    }
    // Another key.
    let signed = org.step(&json!({ "assertion": valid })).await.unwrap();
    org.with(|salesforce| salesforce.access.apps[0].public_key = Some(vec![1, 2, 3]));
    let grant = json!({ "grant_type": JWT_BEARER, "assertion": signed["assertion"] });
    let error = org.authorize(grant).await.unwrap_err();
    assert_eq!(error["message"], "invalid assertion");
}

#[tokio::test]
async fn a_blocked_app_and_an_unknown_session_are_refused() {
    let mut org = Org::start().await;
    org.with(|salesforce| {
        salesforce.access.apps.push(App {
            blocked: true,
            ..app()
        });
        salesforce.access.end_sessions();
    });
    org.fail("INVALID_SESSION_ID", "limits", json!([])).await;
    org.connect("secret", None).await;
    let error = org.authorize(client_credentials()).await.unwrap_err();
    assert_eq!(error["name"], "OAUTH_APP_BLOCKED");
    org.step(&json!({ "connect": {} })).await.unwrap();
    org.fail("INVALID_AUTH_HEADER", "limits", json!([])).await;
}
