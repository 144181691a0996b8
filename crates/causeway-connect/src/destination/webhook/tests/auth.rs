//! `auth`: each way to show who sends a request.

use causeway_core::mapping::Tables;
use causeway_testkit::{
    destination_contract::delivery,
    fake_api::{FakeApi, Reply},
};
use serde_json::json;

use super::*;

async fn sent(auth: &str) -> Request {
    let api = FakeApi::start().await;
    let more = format!("auth = {auth}\ncontent = 'form'\nfields = {{ a = '=b' }}");
    let result = connect(&api.url(""), &more)
        .deliver(&[delivery(1)])
        .await
        .remove(0);
    assert_eq!(result.outcome.as_str(), "delivered");
    api.requests().remove(0)
}

#[tokio::test]
async fn a_secret_goes_into_a_header_or_the_query() {
    let request = sent("{ header = { name = 'X-Api-Key', value = 'sesame' } }").await;
    assert_eq!(request.header("x-api-key"), Some("sesame"));
    let request = sent("{ query = { name = 'api key', value = 'se&same' } }").await;
    assert_eq!(request.query, "api+key=se%26same");
}

/// Computed with `printf '1767225600.a=b' | openssl dgst -sha256 -hmac sesame`, and so on.
#[tokio::test]
async fn the_body_and_the_time_are_signed() {
    let request = sent(
        "{ hmac = { secret = 'sesame', message = '{timestamp}.{body}', header = 'X-Sign', \
         value = 't={timestamp},v1={digest}', timestamp_header = 'X-Time' } }",
    )
    .await;
    assert_eq!(request.header("x-time"), Some("1767225600"));
    assert_eq!(request.header("x-sign"), Some(SIGNED_WITH_TIME));
    let request = sent("{ hmac = { secret = 'sesame', digest = 'base64', algorithm = 'sha512' } }").await;
    assert_eq!(request.header("x-signature"), Some(BODY_SHA512_BASE64));
    let hex =
        sent("{ hmac = { secret = '736573616d65', secret_is = 'hex', message = '{method} {path}' } }").await;
    assert_eq!(hex.header("x-signature"), Some(METHOD_AND_PATH));
}

/// The API of a petition site: a digest of the number of half minutes since 1970.
#[tokio::test]
async fn a_token_may_change_with_the_time() {
    let request = sent(
        "{ hmac = { secret = 'sesame', message = '{period}', period_s = 30, header = 'Authorization', \
         value = 'Token token=\"partner:{digest}\"' } }",
    )
    .await;
    assert_eq!(request.header("authorization"), Some(PERIOD));
}

#[tokio::test]
async fn a_token_is_fetched_and_renewed_once_when_it_is_refused() {
    let api = FakeApi::start().await;
    let tokens = |name: &str| {
        Reply::json(
            200,
            &json!({ "access_token": name, "token_type": "Bearer", "expires_in": 3600 }),
        )
    };
    api.script("/token", [tokens("one"), tokens("two")]);
    api.compute_at("/hook", |request| match request.header("authorization") {
        Some("Bearer two") => Reply::status(200),
        _ => Reply::status(401),
    });
    let more = format!(
        "oauth = {{ token_url = '{}', client_id = 'hub', client_secret = 'sesame', scope = 'write' }}",
        api.url("/token")
    );
    let hook = connect(&api.url(""), &more);
    for _ in 0..2 {
        let result = hook.deliver(&[delivery(1)]).await.remove(0);
        assert_eq!(result.outcome.as_str(), "delivered", "{result:?}");
    }
    let paths: Vec<String> = api.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/token", "/hook", "/token", "/hook", "/hook"]);
    assert!(api.requests()[0].text().contains("grant_type=client_credentials"));
    // Refused for good, and without a token.
    api.reply_at("/token", Reply::json(401, &json!({ "error": "invalid_client" })));
    let hook = connect(&api.url(""), &more);
    assert_eq!(hook.deliver(&[delivery(1)]).await[0].outcome.as_str(), "halt");
    assert!(preview(&api.url(""), &more).contains("authorization: ***"));
    let both = format!("{more}\nauth = {{ bearer = 'b' }}");
    let error = (KIND.parse)(&Tables::default(), &table(&api.url(""), &both)).unwrap_err();
    assert_eq!(error.key, "oauth");
}

#[tokio::test]
async fn what_was_sent_is_kept_without_the_secret_in_the_address() {
    let api = FakeApi::start().await;
    let more = "auth = { query = { name = 'key', value = 'se same' } }\nfields = { a = '=b' }";
    let result = connect(&api.url(""), more)
        .deliver(&[delivery(1)])
        .await
        .remove(0);
    let kept = result.request.unwrap();
    assert!(
        kept.contains("/hook?key=***") && kept.ends_with(r#"{"a":"b"}"#),
        "{kept}"
    );
    let each = format!("each = {{}}\n{more}");
    let results = connect(&api.url(""), &each)
        .deliver(&[delivery(1), delivery(2)])
        .await;
    for result in results {
        let kept = result.request.unwrap();
        assert!(
            kept.contains("key=***") && kept.ends_with(r#"[{"a":"b"}]"#),
            "{kept}"
        );
    }
}

#[test]
fn invalid_settings_are_refused_by_key() {
    let url = "url = 'https://hooks.example.org/'\n";
    for (text, key) in [
        ("{ header = { name = 'X A', value = 'sesame' } }", "auth.header"),
        ("{ query = { name = '', value = 'sesame' } }", "auth.query.name"),
        (
            "{ query = { name = 'a', value = 'sesame' }, bearer = 'b' }",
            "auth",
        ),
        (
            "{ hmac = { secret = '', message = '{body}' } }",
            "auth.hmac.secret",
        ),
        (
            "{ hmac = { secret = 'sesame', secret_is = 'hex' } }",
            "auth.hmac.secret",
        ),
        (
            "{ hmac = { secret = 'sesame', message = '{boddy}' } }",
            "auth.hmac.message",
        ),
        (
            "{ hmac = { secret = 'sesame', message = '{body' } }",
            "auth.hmac.message",
        ),
        (
            "{ hmac = { secret = 'sesame', message = '{digest}' } }",
            "auth.hmac.message",
        ),
        (
            "{ hmac = { secret = 'sesame', value = 'v1' } }",
            "auth.hmac.value",
        ),
        (
            "{ hmac = { secret = 'sesame', period_s = 0 } }",
            "auth.hmac.period_s",
        ),
    ] {
        let table = toml::from_str(&format!("{url}auth = {text}")).unwrap();
        let error = (KIND.parse)(&Tables::default(), &table).unwrap_err();
        assert_eq!(error.key, key, "{text}: {error}");
        assert!(!error.to_string().contains("sesame"), "{error}");
    }
}

const SIGNED_WITH_TIME: &str =
    "t=1767225600,v1=8b3c2591de6dbe630302ea0ff03a92e78f334e5e62a77818836022f1326a9c62";
const BODY_SHA512_BASE64: &str =
    "UJPrs/v3Wji3CdTgQZ8uK7iPxVEe6X4KbZIOWdHRyvy7TFNcSaMts6+TFD8o7QYFaTv7ciz7qDSdbHJda9mXRw==";
const METHOD_AND_PATH: &str = "2d4647a5ec61ec47a9479f739457b7b2c8a18ffa403ba03ad324070e006b9062";
const PERIOD: &str =
    "Token token=\"partner:541fcf7a83f289bea1527f0e694859aa7c63dff271c6eeddb917ce5ece45d91b\"";
