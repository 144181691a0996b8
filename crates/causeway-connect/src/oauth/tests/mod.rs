//! Tokens from an endpoint that is scripted by the RFCs 6749, 7523 and 7636.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use causeway_core::{clock::Clock, secret::Secret};
use causeway_testkit::{
    clock::TestClock,
    fake_api::{FakeApi, Reply, Request},
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{Access, App, Assertion, Config, Defaults, Failure, Grant, Settings};
use crate::{
    config::Context,
    http::{Client, Options},
    vault::{NoVault, Vault, memory::Memory},
};

/// A token endpoint whose tokens are numbered: it gives `access-1`, `access-2` and so on, for an hour.
struct Endpoint {
    api: FakeApi,
    clock: Arc<TestClock>,
    vault: Arc<Memory>,
}

impl Endpoint {
    async fn start(rotates: bool) -> Self {
        let api = FakeApi::start().await;
        let number = Mutex::new(0);
        api.compute_at("/token", move |_| {
            let mut number = number.lock().unwrap_or_else(PoisonError::into_inner);
            *number += 1;
            let mut answer = json!({ "access_token": format!("access-{number}"), "expires_in": 3600 });
            if rotates {
                answer["refresh_token"] = json!(format!("refresh-{number}"));
            }
            Reply::json(200, &answer)
        });
        Self {
            api,
            clock: Arc::default(),
            vault: Arc::default(),
        }
    }

    fn access(&self, grant: Grant) -> Access {
        let settings = Settings {
            token_url: self.api.url("/token").parse().unwrap(),
            grant,
        };
        let options = Options {
            allow_private: true,
            ..Options::default()
        };
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let vault = Arc::clone(&self.vault) as Arc<dyn Vault>;
        Access::new(
            "crm".into(),
            settings,
            Client::new(options).unwrap(),
            clock,
            vault,
        )
    }

    fn refreshing(&self) -> Access {
        self.access(Grant::Refresh {
            app: app(),
            first: Some(Secret::new("refresh-0")),
        })
    }

    fn forms(&self) -> Vec<BTreeMap<String, String>> {
        self.api.requests().iter().map(form).collect()
    }
}

/// What the vault keeps for the destination.
fn sealed(vault: &Memory) -> Value {
    vault
        .get("crm")
        .map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
}

fn form(request: &Request) -> BTreeMap<String, String> {
    form_urlencoded::parse(&request.body).into_owned().collect()
}

fn app() -> App {
    App {
        id: "app".to_owned(),
        secret: Some(Secret::new("sesame &")),
        in_header: false,
    }
}

fn credentials(in_header: bool) -> Grant {
    Grant::ClientCredentials {
        app: App { in_header, ..app() },
        scope: Some("contacts".to_owned()),
        more: vec![("audience".to_owned(), "crm".to_owned())],
    }
}

async fn token(access: &Access) -> String {
    access.token(None).await.unwrap().reveal().to_owned()
}

#[tokio::test]
async fn a_token_is_used_until_shortly_before_its_end() {
    let endpoint = Endpoint::start(false).await;
    let access = endpoint.access(credentials(false));
    assert_eq!(token(&access).await, "access-1");
    endpoint.clock.advance(Duration::from_secs(3_539));
    assert_eq!(token(&access).await, "access-1");
    endpoint.clock.advance(Duration::from_secs(1));
    assert_eq!(token(&access).await, "access-2");
    // One that the vendor rejected is not returned again.
    let rejected = Secret::new("access-2");
    assert_eq!(
        access.token(Some(&rejected)).await.unwrap(),
        Secret::new("access-3")
    );
    // A call that began with an older token does not renew once more.
    assert_eq!(
        access.token(Some(&rejected)).await.unwrap(),
        Secret::new("access-3")
    );
    assert_eq!(endpoint.forms().len(), 3);
}

#[tokio::test]
async fn an_app_names_itself_in_the_form_or_in_the_header() {
    let endpoint = Endpoint::start(false).await;
    token(&endpoint.access(credentials(false))).await;
    token(&endpoint.access(credentials(true))).await;
    let (requests, forms) = (endpoint.api.requests(), endpoint.forms());
    let expected = [
        ("audience", "crm"),
        ("client_id", "app"),
        ("client_secret", "sesame &"),
        ("grant_type", "client_credentials"),
        ("scope", "contacts"),
    ];
    let expected: BTreeMap<_, _> = expected
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    assert_eq!(forms[0], expected);
    assert_eq!(requests[0].header("authorization"), None);
    assert!(!forms[1].contains_key("client_secret"));
    // base64 of `app:sesame+%26`.
    assert_eq!(
        requests[1].header("authorization"),
        Some("Basic YXBwOnNlc2FtZSslMjY=")
    );
}

#[tokio::test]
async fn many_that_need_a_token_cause_one_renewal() {
    let endpoint = Endpoint::start(false).await;
    let access = endpoint.access(credentials(false));
    let tokens = (0..50).map(|_| access.token(None));
    for token in futures_util::future::join_all(tokens).await {
        assert_eq!(token.unwrap(), Secret::new("access-1"));
    }
    assert_eq!(endpoint.forms().len(), 1);
}

#[tokio::test]
async fn a_refresh_token_that_changes_is_kept_before_the_token_is_used() {
    let endpoint = Endpoint::start(true).await;
    let access = endpoint.refreshing();
    assert_eq!(token(&access).await, "access-1");
    let sealed = sealed(&endpoint.vault);
    assert_eq!(
        (&sealed["refresh_token"], &sealed["access_token"]),
        (&json!("refresh-1"), &json!("access-1"))
    );
    // Another process, or the same after a restart, uses the token that is there.
    let other = endpoint.refreshing();
    assert_eq!(token(&other).await, "access-1");
    endpoint.clock.advance(Duration::from_hours(1));
    assert_eq!(token(&other).await, "access-2");
    assert_eq!(token(&access).await, "access-2");
    let sent: Vec<String> = endpoint
        .forms()
        .iter()
        .map(|form| form["refresh_token"].clone())
        .collect();
    // The token of the configuration is used once: the vendor may accept it only once.
    assert_eq!(sent, ["refresh-0", "refresh-1"]);
}

#[tokio::test]
async fn two_processes_never_renew_at_the_same_time() {
    let endpoint = Endpoint::start(true).await;
    let (one, other) = (endpoint.refreshing(), endpoint.refreshing());
    let (first, second) = tokio::join!(one.token(None), other.token(None));
    let mut outcomes = [first, second];
    outcomes.sort_by_key(Result::is_err);
    assert_eq!(outcomes[0], Ok(Secret::new("access-1")));
    let waits = Failure::Later(
        "another process renews the token".to_owned(),
        Some(Duration::from_secs(2)),
    );
    assert!(
        outcomes[1] == Err(waits.clone()) || outcomes[1] == Ok(Secret::new("access-1")),
        "{outcomes:?}"
    );
    assert_eq!(endpoint.forms().len(), 1);
    // A process that died in the middle does not hold up the others for ever.
    let mut sealed = sealed(&endpoint.vault);
    sealed["renewing_until"] = json!((endpoint.clock.now() + Duration::from_secs(45)).to_string());
    sealed["access_token"] = Value::Null;
    let secret = Secret::new(sealed.to_string());
    let version = endpoint.vault.read("crm").await.unwrap().unwrap().version;
    endpoint.vault.replace("crm", version, &secret).await.unwrap();
    let third = endpoint.refreshing();
    assert_eq!(third.token(None).await, Err(waits));
    endpoint.clock.advance(Duration::from_secs(46));
    assert_eq!(token(&third).await, "access-2");
}

#[tokio::test]
async fn a_renewal_is_finished_although_its_delivery_was_given_up() {
    let endpoint = Endpoint::start(true).await;
    let access = endpoint.refreshing();
    let waiting = tokio::spawn({
        let access = access.clone();
        async move { access.token(None).await }
    });
    endpoint.api.wait_for(1).await;
    waiting.abort();
    assert_eq!(token(&access).await, "access-1");
    assert_eq!(sealed(&endpoint.vault)["refresh_token"], "refresh-1");
    assert_eq!(endpoint.forms().len(), 1);
}

#[tokio::test]
async fn a_refresh_token_is_not_lost_while_the_disk_is_full() {
    let endpoint = Endpoint::start(true).await;
    let access = endpoint.refreshing();
    let vault = Arc::clone(&endpoint.vault);
    endpoint.api.compute_at("/token", move |request| {
        vault.is_full(true);
        let number = if form(request)["refresh_token"] == "refresh-0" { 1 } else { 2 };
        let answer = json!({ "access_token": format!("access-{number}"), "refresh_token": format!("refresh-{number}") });
        Reply::json(200, &answer)
    });
    let full = Failure::Later("the token could not be kept: the disk is full".to_owned(), None);
    assert_eq!(access.token(None).await, Err(full.clone()));
    assert_eq!(access.token(None).await, Err(full));
    endpoint.vault.is_full(false);
    // What the response brought is kept first; the access token beside it is good.
    assert_eq!(token(&access).await, "access-1");
    assert_eq!(sealed(&endpoint.vault)["refresh_token"], "refresh-1");
    assert_eq!(endpoint.forms().len(), 1);
}

#[tokio::test]
async fn a_refusal_says_what_to_do_and_an_outage_is_tried_again() {
    let refusal = |text: &str| Failure::Refused(text.to_owned());
    let later =
        |text: &str, after: Option<u64>| Failure::Later(text.to_owned(), after.map(Duration::from_secs));
    let invalid = json!({ "error": "invalid_grant", "error_description": "expired access/refresh token of jane@example.org" });
    let cases = [
        (
            Reply::json(400, &invalid),
            refusal(
                "the sign-in has ended or was withdrawn (invalid_grant): run `causeway connect crm`, or make new credentials",
            ),
        ),
        (
            Reply::json(401, &json!({ "error": "invalid_client" })),
            refusal(
                "the token endpoint refused the credentials (invalid_client): check the app's id, its secret and its rights",
            ),
        ),
        (
            Reply::status(401),
            refusal("the token endpoint answered 401: check the app's id and secret"),
        ),
        // Salesforce, while it handles another renewal.
        (
            Reply::json(
                400,
                &json!({ "error": "invalid_grant", "error_description": "token request is already being processed" }),
            ),
            later("the token endpoint handles another renewal", Some(2)),
        ),
        (
            Reply::json(503, &json!({ "error": "temporarily_unavailable" })),
            later("the token endpoint answered 503", None),
        ),
        (
            Reply::status(429).header("retry-after", "7"),
            later("the token endpoint answered 429", Some(7)),
        ),
        // A page of a proxy, and an answer without a token.
        (
            Reply::status(200).body("<h1>Sign in to the network</h1>"),
            later("the token endpoint answered 200 without a token", None),
        ),
        (
            Reply::json(200, &json!({ "access_token": "" })),
            later("the token endpoint answered 200 without a token", None),
        ),
        (
            Reply::status(403).body("<h1>Forbidden</h1>"),
            later("the token endpoint answered 403", None),
        ),
    ];
    for (reply, expected) in cases {
        let endpoint = Endpoint::start(true).await;
        endpoint.api.script("/token", [reply]);
        let access = endpoint.refreshing();
        assert_eq!(access.token(None).await, Err(expected));
        // The refresh token is still there, and the next attempt may use it at once.
        assert_eq!(token(&access).await, "access-1");
        let sent: Vec<String> = endpoint
            .forms()
            .iter()
            .map(|form| form["refresh_token"].clone())
            .collect();
        assert_eq!(sent, ["refresh-0", "refresh-0"]);
    }
}

#[tokio::test]
async fn without_a_sign_in_the_command_for_it_is_named() {
    let endpoint = Endpoint::start(true).await;
    let access = endpoint.access(Grant::Refresh {
        app: app(),
        first: None,
    });
    assert_eq!(
        access.token(None).await,
        Err(Failure::Refused(
            "nobody has signed in yet: run `causeway connect crm`".to_owned()
        ))
    );
    assert!(endpoint.forms().is_empty());
}

#[tokio::test]
async fn an_assertion_is_signed_as_the_standard_says() {
    let endpoint = Endpoint::start(false).await;
    let pem = Secret::new(include_str!("key.pem"));
    let mut assertion = Assertion::new(
        "key",
        &pem,
        "issuer".to_owned(),
        "https://login.example.org".to_owned(),
    )
    .unwrap();
    assertion.subject = Some("admin@example.org".to_owned());
    assertion.scope = Some("contacts".to_owned());
    assertion.key_id = Some("k1".to_owned());
    let public = ring::signature::RsaKeyPair::from_pkcs8(
        rustls::pki_types::PrivatePkcs8KeyDer::from(der()).secret_pkcs8_der(),
    )
    .unwrap();
    let public = ring::signature::KeyPair::public_key(&public).as_ref().to_vec();
    token(&endpoint.access(Grant::Jwt(Box::new(assertion)))).await;
    let form = endpoint.forms().remove(0);
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let parts: Vec<&str> = form["assertion"].split('.').collect();
    let read = |part: &str| -> Value {
        serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap()
    };
    assert_eq!(
        read(parts[0]),
        json!({ "alg": "RS256", "typ": "JWT", "kid": "k1" })
    );
    let now = endpoint.clock.now().as_second();
    let claims = json!({
        "iss": "issuer", "sub": "admin@example.org", "aud": "https://login.example.org", "scope": "contacts",
        "iat": now, "exp": now + 3600,
    });
    assert_eq!(read(parts[1]), claims);
    let signature = BASE64URL_NOPAD.decode(parts[2].as_bytes()).unwrap();
    ring::signature::UnparsedPublicKey::new(&ring::signature::RSA_PKCS1_2048_8192_SHA256, public)
        .verify(format!("{}.{}", parts[0], parts[1]).as_bytes(), &signature)
        .unwrap();
}

fn der() -> Vec<u8> {
    let text: String = include_str!("key.pem")
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    data_encoding::BASE64.decode(text.as_bytes()).unwrap()
}

#[test]
fn a_key_of_another_kind_is_refused_with_a_hint() {
    for pem in [
        "",
        "secret",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ] {
        let error = Assertion::new("oauth.key", &Secret::new(pem), String::new(), String::new())
            .err()
            .unwrap();
        assert!(
            error.to_string().contains("-----BEGIN PRIVATE KEY-----"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_person_signs_in_with_a_proof_that_only_this_program_has() {
    let endpoint = Endpoint::start(true).await;
    let config: Config =
        toml::from_str("client_id = 'app'\ngrant = 'refresh_token'\nclient_secret = 'sesame'").unwrap();
    let defaults = Defaults {
        token_url: Some(endpoint.api.url("/token").parse().unwrap()),
        authorize_url: Some("https://login.example.org/authorize?tenant=1".parse().unwrap()),
        scope: Some("contacts offline".to_owned()),
        sign_in: vec![("access_type", "offline")],
        ..Defaults::default()
    };
    let context = Context {
        name: "crm".into(),
        clock: Arc::clone(&endpoint.clock) as Arc<dyn Clock>,
        dir: std::env::temp_dir(),
        tables: causeway_core::mapping::Tables::default(),
        vault: NoVault::shared(),
    };
    let sign_in = config.sign_in(&defaults, &context, true).unwrap();
    let started = sign_in.start("http://127.0.0.1:9999/callback").unwrap();
    let query: BTreeMap<String, String> = started.url.query_pairs().into_owned().collect();
    assert_eq!(query["tenant"], "1");
    assert_eq!(query["response_type"], "code");
    assert_eq!(query["redirect_uri"], "http://127.0.0.1:9999/callback");
    assert_eq!(query["access_type"], "offline");
    assert_eq!(query["state"], started.state);
    let options = Options {
        allow_private: true,
        ..Options::default()
    };
    let client = Client::new(options).unwrap();
    let now = endpoint.clock.now();
    sign_in
        .finish(&started, "code-1", (&client, &*endpoint.vault), "crm", now)
        .await
        .unwrap();
    let form = endpoint.forms().remove(0);
    assert_eq!(
        (form["code"].as_str(), form["grant_type"].as_str()),
        ("code-1", "authorization_code")
    );
    // S256: the challenge is the digest of the verifier.
    let digest = <sha2::Sha256 as sha2::Digest>::digest(form["code_verifier"].as_bytes());
    assert_eq!(query["code_challenge"], BASE64URL_NOPAD.encode(&digest));
    assert_eq!(sealed(&endpoint.vault)["refresh_token"], "refresh-1");
    // The hub uses the sign-in without another call.
    let access = endpoint.access(Grant::Refresh {
        app: app(),
        first: None,
    });
    assert_eq!(token(&access).await, "access-1");
}
