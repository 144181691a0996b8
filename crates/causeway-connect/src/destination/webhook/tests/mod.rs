mod auth;
mod configuration;
mod directus;
mod each;
mod requests;
mod samples;
mod sync;
mod withdrawal;

use std::path::PathBuf;

use std::sync::Arc;

use causeway_core::{
    destination::{AttemptResult, Destination, Outcome, Progress, Results},
    mapping::Tables,
};
use causeway_testkit::{
    clock::TestClock,
    destination_contract::{self, Contract, delivery},
    fake_api::{FakeApi, Reply, Request},
};
use serde_json::json;

use super::*;
use crate::config::Context;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn context() -> Context {
    Context {
        name: "hook".into(),
        clock: Arc::new(TestClock::default()),
        dir: PathBuf::new(),
        tables: Tables::default(),
        vault: crate::vault::NoVault::shared(),
    }
}

fn table(api: &str, more: &str) -> toml::Table {
    toml::from_str(&format!("url = '{api}/hook'\nallow_private = true\n{more}")).unwrap()
}

fn connect(api: &str, more: &str) -> Box<dyn Destination> {
    (KIND.connect)(&context(), &table(api, more)).unwrap()
}

fn preview(api: &str, more: &str) -> String {
    let previews = (KIND.preview)(&context(), &table(api, more), &[delivery(1)]).unwrap();
    previews.into_iter().next().unwrap().unwrap()
}

/// The request that arrives, and the result of the delivery.
async fn deliver(api: &FakeApi, more: &str) -> (Request, AttemptResult) {
    api.reset();
    api.reply(Reply::json(200, &json!({ "id": 7 })));
    let mut results = connect(&api.url(""), more).deliver(&[delivery(1)]).await;
    (api.requests().remove(0), results.remove(0))
}

#[tokio::test]
async fn keeps_the_destination_contract() {
    for more in ["batch = 1", "content = 'form'", "content = 'query'"] {
        let more = more.replace("batch = 1", "");
        destination_contract::run(&Contract {
            connect: &|url| connect(url, &more),
            accept: &|_| {},
            batch: 2,
        })
        .await;
    }
}

#[tokio::test]
async fn the_whole_record_arrives_as_json() {
    let api = FakeApi::start().await;
    let (request, result) = deliver(&api, "").await;
    assert_eq!(
        (
            request.method.as_str(),
            request.path.as_str(),
            request.query.as_str()
        ),
        ("POST", "/hook", "")
    );
    assert_eq!(request.json(), delivery(1).record.to_json());
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(
        request.header("idempotency-key"),
        Some(delivery(1).key.0.as_str())
    );
    assert_eq!(request.header("webhook-signature"), None);
    let remote_id = Some("7".to_owned());
    assert_eq!(result.outcome, Outcome::Delivered { remote_id });
    assert_eq!(
        (result.status, result.excerpt.as_deref()),
        (Some(200), Some(r#"{"id":7}"#))
    );
}

#[tokio::test]
async fn mapped_fields_arrive_in_each_form() {
    let api = FakeApi::start().await;
    let fields = "fields = { EMAIL = 'contact.email', N = 'contact.lastName', 'c[t][0]' = '=a b', ok = 'action.withConsent', no = 'contact.street' }";
    let pairs = "EMAIL=person1%40example.org&N=P%C3%A9lda%2C+%22jr%22&c%5Bt%5D%5B0%5D=a+b&ok=1";

    let (request, _) = deliver(&api, &format!("method = 'PATCH'\n{fields}")).await;
    let expected = json!({ "EMAIL": "person1@example.org", "N": "Példa, \"jr\"", "c": { "t": ["a b"] }, "ok": true, "no": null });
    assert_eq!((request.method.as_str(), request.json()), ("PATCH", expected));

    let (request, _) = deliver(&api, &format!("content = 'form'\n{fields}")).await;
    assert_eq!(
        (request.method.as_str(), request.text().as_str()),
        ("POST", pairs)
    );
    assert_eq!(
        request.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );

    let (request, _) = deliver(&api, &format!("content = 'query'\n{fields}")).await;
    assert_eq!(
        (
            request.method.as_str(),
            request.query.as_str(),
            request.text().as_str()
        ),
        ("GET", pairs, "")
    );
}

#[tokio::test]
async fn a_query_is_added_to_the_one_in_the_url() {
    let api = FakeApi::start().await;
    api.reply(Reply::status(204));
    let config = format!(
        "url = '{}'\nallow_private = true\ncontent = 'query'\nfields = {{ e = '=x' }}",
        api.url("/in?list=3")
    );
    let destination = (KIND.connect)(&context(), &toml::from_str(&config).unwrap()).unwrap();
    destination.deliver(&[delivery(1)]).await;
    assert_eq!(api.requests()[0].query, "list=3&e=x");
}

#[tokio::test]
async fn credentials_and_headers_are_sent() {
    let api = FakeApi::start().await;
    let (request, _) = deliver(
        &api,
        "auth = { basic = { user = 'ada', password = 'sesame' } }\nheaders = { X-Team = 'rivers' }",
    )
    .await;
    assert_eq!(request.header("authorization"), Some("Basic YWRhOnNlc2FtZQ=="));
    assert_eq!(request.header("x-team"), Some("rivers"));
    let (request, _) = deliver(&api, "auth = { bearer = 'sesame' }\nidempotency_header = ''").await;
    assert_eq!(request.header("authorization"), Some("Bearer sesame"));
    assert_eq!(request.header("idempotency-key"), None);
}

#[tokio::test]
async fn each_attempt_is_signed_again_under_the_same_id() {
    let api = FakeApi::start().await;
    let clock = Arc::new(TestClock::default());
    let context = Context {
        clock: Arc::<TestClock>::clone(&clock),
        ..context()
    };
    let sign = format!("sign = {{ secrets = ['{SECRET}', '{SECRET}'] }}");
    let destination = (KIND.connect)(&context, &table(&api.url(""), &sign)).unwrap();
    destination.deliver(&[delivery(1)]).await;
    clock.advance(std::time::Duration::from_secs(5));
    destination.deliver(&[delivery(1)]).await;
    let requests = api.requests();
    let key = crate::signature::SigningKey::new(&causeway_core::secret::Secret::new(SECRET)).unwrap();
    for (request, second) in requests.iter().zip([1_767_225_600, 1_767_225_605]) {
        let at = causeway_core::clock::Timestamp::from_second(second).unwrap();
        let id = request.header("webhook-id").unwrap();
        assert_eq!(id, delivery(1).key.0);
        assert_eq!(
            request.header("webhook-timestamp"),
            Some(second.to_string().as_str())
        );
        let one = crate::signature::sign_standard_webhooks(std::slice::from_ref(&key), id, at, &request.body);
        assert_eq!(
            request.header("webhook-signature"),
            Some(format!("{one} {one}").as_str())
        );
    }
    assert_ne!(
        requests[0].header("webhook-signature"),
        requests[1].header("webhook-signature")
    );
}

#[tokio::test]
async fn the_response_decides_the_outcome() {
    let api = FakeApi::start().await;
    let delivered = |id: Option<&str>| Outcome::Delivered {
        remote_id: id.map(str::to_owned),
    };
    let success = "success_path = 'result.ok'";
    let cases = [
        (
            "",
            Reply::json(200, &json!({ "id": "abc" })),
            delivered(Some("abc")),
        ),
        (
            "",
            Reply::json(201, &json!({ "id": { "x": 1 } })),
            delivered(None),
        ),
        ("", Reply::status(204), delivered(None)),
        ("", Reply::status(200).body("<html>fine</html>"), delivered(None)),
        (
            "remote_id_path = 'data.0.uid'",
            Reply::json(200, &json!({ "data": [{ "uid": 12 }] })),
            delivered(Some("12")),
        ),
        (
            success,
            Reply::json(200, &json!({ "result": { "ok": true }, "id": 1 })),
            delivered(Some("1")),
        ),
        (
            success,
            Reply::json(200, &json!({ "result": { "ok": false } })),
            Outcome::Reject {
                reason: "answered 200, but `result.ok` in the response is not true".to_owned(),
            },
        ),
        (
            success,
            Reply::status(200).body("<html>Back soon</html>"),
            Outcome::Retry {
                reason: "answered 200 without the JSON that `success_path` needs".to_owned(),
                after: None,
            },
        ),
        (
            "",
            Reply::status(410),
            Outcome::Halt {
                reason: "answered 410 Gone: the receiver wants no further deliveries".to_owned(),
            },
        ),
        (
            "",
            Reply::status(404),
            Outcome::Halt {
                reason:
                    "answered 404 Not Found: check `url` and `method`, which are the same for every record"
                        .to_owned(),
            },
        ),
    ];
    for (more, reply, expected) in cases {
        api.reply(reply.clone());
        let results = connect(&api.url(""), more).deliver(&[delivery(1)]).await;
        assert_eq!(results[0].outcome, expected, "{more} {reply:?}");
    }
}

#[test]
fn a_preview_is_the_request_with_secrets_masked() {
    let more = format!(
        "content = 'form'\nauth = {{ bearer = 'sesame' }}\nsign = {{ secrets = ['{SECRET}'] }}\nheaders = {{ X-Team = 'rivers' }}\nfields = {{ EMAIL = 'contact.email' }}"
    );
    insta::assert_snapshot!(preview("https://hooks.example.org", &more), @r"
    POST https://hooks.example.org/hook
    content-type: application/x-www-form-urlencoded
    accept: application/json, */*;q=0.5
    x-team: rivers
    authorization: ***
    idempotency-key: cw_gbvydy2evczayfb25ephbc37wq
    webhook-id: cw_gbvydy2evczayfb25ephbc37wq
    webhook-timestamp: 1767225600
    webhook-signature: ***

    EMAIL=person1%40example.org
    ");
}

#[tokio::test]
async fn a_preview_shows_what_is_sent() {
    let api = FakeApi::start().await;
    let (request, _) = deliver(&api, "").await;
    let shown = preview(&api.url(""), "");
    let (head, body) = shown.split_once("\n\n").unwrap();
    assert_eq!(body, request.text());
    for line in head.lines().skip(1) {
        let (name, value) = line.split_once(": ").unwrap();
        assert_eq!(request.header(name), Some(value), "{name}");
    }
}

#[test]
fn a_configuration_that_cannot_work_is_refused_by_key() {
    let url = "url = 'https://hooks.example.org'\n";
    let cases = [
        ("url = 'https://10.0.0.1/'", "url"),
        ("url = 'http://hooks.example.org/'", "url"),
        ("url = 'https://ada:sesame@hooks.example.org/'", "url"),
        ("", "url"),
        ("url = { env = 'HOOK' }\nurll = 1", "urll"),
        (&format!("{url}method = 'GET'"), "method"),
        (&format!("{url}method = 'TRACE'"), "method"),
        (&format!("{url}method = 'POST'\ncontent = 'query'"), "content"),
        (&format!("{url}auth = {{}}"), "auth"),
        (
            &format!("{url}auth = {{ bearer = 'a', basic = {{ user = 'a', password = 'b' }} }}"),
            "auth",
        ),
        (&format!("{url}auth = {{ bearer = \"a\\nb\" }}"), "auth.bearer"),
        (
            &format!("{url}auth = {{ basic = {{ user = 'a:b', password = 'b' }} }}"),
            "auth.basic.user",
        ),
        (&format!("{url}sign = {{ secrets = [] }}"), "sign.secrets"),
        (&format!("{url}sign = {{ secrets = ['sesame'] }}"), "sign.secrets"),
        (&format!("{url}headers = {{ Host = 'a' }}"), "headers.Host"),
        (&format!("{url}headers = {{ 'X A' = 'a' }}"), "headers.X A"),
        (&format!("{url}idempotency_header = 'a b'"), "idempotency_header"),
        (&format!("{url}fields = {{ a = 'b..c' }}"), "fields.a"),
        (
            &format!("{url}fields = {{ a = 'at', 'a[b]' = 'at' }}"),
            "fields.a[b]",
        ),
        (
            &format!("{url}content = 'form'\nfields = {{ 'a.b' = 'at' }}"),
            "fields",
        ),
        (
            &format!("{url}content = 'query'\nfields = {{ 'a b' = 'at' }}"),
            "fields",
        ),
        (&format!("{url}success_path = ''"), "success_path"),
    ];
    for (text, key) in cases {
        let error = (KIND.parse)(&Tables::default(), &toml::from_str(text).unwrap()).unwrap_err();
        assert!(
            error.key == key || error.message.contains(&format!("`{key}`")),
            "{text}: {error:?}"
        );
        assert!(!error.to_string().contains("sesame"), "{error}");
    }
    let secrets =
        "url = { env = 'A' }\nauth = { bearer = { file = 'b' } }\nsign = { secrets = [{ env = 'C' }] }";
    (KIND.parse)(&Tables::default(), &toml::from_str(secrets).unwrap()).unwrap();
}
