use causeway_core::{clock::Timestamp, destination::Outcome};
use causeway_testkit::fake_api::{FakeApi, Reply};
use reqwest::header::{LOCATION, RETRY_AFTER};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

fn request(url: &str) -> HttpRequest {
    HttpRequest {
        method: Method::POST,
        url: Url::parse(url).unwrap(),
        url_is_secret: false,
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{}"),
    }
}

fn client(allow_private: bool) -> Client {
    Client::new(Options {
        allow_private,
        ..Options::default()
    })
    .unwrap()
}

fn now() -> Timestamp {
    "2026-03-01T10:00:00Z".parse().unwrap()
}

#[test]
fn a_status_means_the_same_everywhere() {
    let cases: &[(&[u16], &str)] = &[
        (&[200, 201, 202, 204, 299], "delivered"),
        (
            &[300, 301, 302, 303, 304, 307, 308, 401, 402, 403, 407, 426],
            "halt",
        ),
        (
            &[
                400, 404, 405, 406, 409, 410, 411, 412, 413, 414, 415, 418, 422, 431, 451, 499,
            ],
            "reject",
        ),
        (
            &[408, 421, 423, 425, 500, 501, 502, 503, 504, 520, 599, 600, 999],
            "retry",
        ),
        (&[429], "busy"),
    ];
    for (statuses, expected) in cases {
        for status in *statuses {
            let outcome = classify(*status, &HeaderMap::new(), now());
            assert_eq!(outcome.as_str(), *expected, "{status}");
            let named = outcome
                .reason()
                .is_none_or(|reason| reason.contains(&status.to_string()));
            assert!(named, "{status}: {outcome:?}");
        }
    }
}

#[test]
fn retry_after_is_seconds_or_a_moment() {
    let now_s = now().as_second();
    let cases = [
        ("120", Some(120.0)),
        (" 7 ", Some(7.0)),
        ("0", Some(0.0)),
        ("0.5", Some(0.5)),
        ("86400", Some(86_400.0)),
        // The three forms of RFC 9110.
        ("Sun, 01 Mar 2026 10:01:30 GMT", Some(90.0)),
        ("Sunday, 01-Mar-26 10:00:05 GMT", Some(5.0)),
        ("Sun Mar  1 10:00:09 2026", Some(9.0)),
        ("Sun, 01 Mar 2026 09:00:00 GMT", Some(0.0)),
        // Unix time.
        (&(now_s + 5).to_string(), Some(5.0)),
        (&format!("{}.25", now_s + 5), Some(5.25)),
        (&((now_s + 5) * 1_000).to_string(), Some(5.0)),
        (&(now_s - 5).to_string(), Some(0.0)),
        (&(now_s + 7 * 86_400).to_string(), Some(604_800.0)),
        // Values without a valid meaning.
        ("-5", None),
        ("+5", None),
        ("1e3", None),
        ("inf", None),
        ("5.", None),
        ("soon", None),
        ("", None),
        ("1000000000", None),
        ("99999999999999999999999999999999", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
    ];
    for (text, seconds) in cases {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]);
        let found = retry_after(&headers, now());
        if let Some(seconds) = seconds {
            assert_eq!(found, Ok(Some(Duration::from_secs_f64(seconds))), "{text}");
        } else {
            let note = found.unwrap_err();
            assert!(
                note.starts_with(&format!("ignored Retry-After {text:?}")),
                "{note}"
            );
        }
    }
    assert_eq!(retry_after(&HeaderMap::new(), now()), Ok(None));
}

#[tokio::test]
async fn an_ignored_or_shortened_retry_after_is_noted() {
    let api = FakeApi::start().await;
    for (header, note) in [
        ("60", None),
        (
            "soon",
            Some("answered 503 Service Unavailable; ignored Retry-After \"soon\""),
        ),
        (
            "86400",
            Some(
                "answered 503 Service Unavailable; asked for a wait of 86400 s, which is shortened to 3600 s",
            ),
        ),
    ] {
        api.reply(Reply::status(503).header("retry-after", header));
        let answer = client(true).send(&request(&api.url("/"))).await.unwrap();
        let reason = answer.attempt_result(now()).reason().unwrap();
        assert!(
            reason.starts_with(note.unwrap_or("answered 503 Service Unavailable")),
            "{header}: {reason}"
        );
        assert_eq!(reason.contains("; "), note.is_some(), "{header}: {reason}");
    }
}

#[test]
fn a_redirect_names_its_target_without_the_query() {
    let to = "https://www.example.org/path?email=ada@example.org";
    let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(to))]);
    let outcome = classify(301, &headers, now());
    let reason = outcome.reason().unwrap();
    assert!(
        reason.contains("https://www.example.org:") && !reason.contains("ada"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_private_address_is_not_even_connected_to() {
    let api = FakeApi::start().await;
    let by_name = format!("http://localhost:{}/", api.address().port());
    for url in [api.url("/"), by_name] {
        let error = client(false).send(&request(&url)).await.unwrap_err();
        assert!(matches!(error, SendError::Forbidden(_)), "{url}: {error:?}");
        assert!(matches!(error.outcome(), Outcome::Halt { .. }));
        let check = client(false).check(&Url::parse(&url).unwrap()).await;
        assert!(matches!(check, Err(CheckError::Refused(_))), "{url}: {check:?}");
    }
    assert_eq!(api.connections(), 0);
}

#[tokio::test]
async fn an_allowed_private_address_is_reached_by_number_and_by_name() {
    let api = FakeApi::start().await;
    let by_name = format!("http://localhost:{}/a?b=c", api.address().port());
    for url in [api.url("/a?b=c"), by_name] {
        assert_eq!(
            client(true).send(&request(&url)).await.unwrap().status,
            200,
            "{url}"
        );
        client(true).check(&Url::parse(&url).unwrap()).await.unwrap();
    }
    assert_eq!(api.requests().len(), 2, "check() sent a request");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let api = FakeApi::start().await;
    api.reply_at("/", Reply::status(307).header("location", &api.url("/there")));
    let answer = client(true).send(&request(&api.url("/"))).await.unwrap();
    assert_eq!((answer.status, api.requests().len()), (307, 1));
}

#[tokio::test]
async fn a_long_response_is_cut_and_its_excerpt_is_text() {
    let api = FakeApi::start().await;
    let cases: [(Vec<u8>, usize, bool, usize); 5] = [
        (vec![], 0, true, 0),
        (b"ok".to_vec(), 2, true, 2),
        (vec![b'x'; Answer::BODY_BYTES], Answer::BODY_BYTES, true, 2_048),
        (vec![b'x'; 5_000_000], Answer::BODY_BYTES, false, 2_048),
        // Each byte that is not UTF-8 becomes three.
        (vec![0xff; 3_000], 3_000, true, 2_046),
    ];
    for (body, kept, complete, excerpt) in cases {
        api.reply(Reply::status(500).body(body.clone()));
        let answer = client(true).send(&request(&api.url("/"))).await.unwrap();
        assert_eq!((answer.body.len(), answer.complete), (kept, complete));
        let result = answer.attempt_result(now());
        assert_eq!(result.excerpt.unwrap_or_default().len(), excerpt);
        assert_eq!((result.outcome.as_str(), result.status), ("retry", Some(500)));
    }
}

#[tokio::test]
async fn a_response_that_breaks_off_keeps_its_status() {
    let api = FakeApi::start().await;
    api.reply(Reply::status(201).body("{\"id\":").cut());
    let answer = client(true).send(&request(&api.url("/"))).await.unwrap();
    assert_eq!(
        (answer.status, answer.complete, answer.json()),
        (201, false, None)
    );
    assert_eq!(answer.body, b"{\"id\":");
}

#[tokio::test]
async fn a_response_that_stalls_keeps_its_status() {
    let api = FakeApi::start().await;
    api.reply(
        Reply::status(201)
            .body("{\"id\":1}")
            .trickle(Duration::from_mins(1)),
    );
    let impatient = Client::new(Options {
        allow_private: true,
        stalled: Duration::from_millis(50),
        ..Options::default()
    })
    .unwrap();
    let answer = impatient.send(&request(&api.url("/"))).await.unwrap();
    assert_eq!((answer.status, answer.complete), (201, false));
    assert_eq!(answer.attempt_result(now()).outcome.as_str(), "delivered");
}

#[tokio::test]
async fn errors_are_distinguished_in_words_that_name_only_the_host() {
    let api = FakeApi::start().await;
    api.reply_at("/close", Reply::close());
    api.reply_at("/garbage", Reply::raw("220 mail.example.org ESMTP\r\n"));
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tls = format!("https://{}/?key=sesame", plain.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(b"220 mail.example.org ESMTP\r\n").await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.ok();
    });
    let cases = [
        (
            api.url("/close?key=sesame"),
            "127.0.0.1 closed the connection, or answered something that is not HTTP",
        ),
        (
            api.url("/garbage?key=sesame"),
            "127.0.0.1 closed the connection, or answered something that is not HTTP",
        ),
        (
            format!("http://127.0.0.1:{port}/?key=sesame"),
            "127.0.0.1 refused the connection",
        ),
        (
            "http://nothing.invalid/?key=sesame".to_owned(),
            "the name nothing.invalid could not be resolved",
        ),
        (
            tls,
            "TLS with 127.0.0.1: received corrupt message of type InvalidContentType",
        ),
    ];
    for (url, reason) in cases {
        let error = client(true).send(&request(&url)).await.unwrap_err();
        assert_eq!(error, SendError::Unreachable(reason.to_owned()), "{url}");
    }
}

#[tokio::test]
async fn connections_are_used_again() {
    let api = FakeApi::start().await;
    let client = client(true);
    let request = request(&api.url("/"));
    for _ in 0..3 {
        let burst = (0..40).map(|_| client.send(&request));
        let answers = futures_util::future::join_all(burst).await;
        assert!(
            answers
                .iter()
                .all(|answer| answer.as_ref().is_ok_and(|answer| answer.status == 200))
        );
    }
    assert_eq!(api.requests().len(), 120);
    assert!(api.connections() <= 40, "{} connections", api.connections());
}

#[test]
fn implausible_urls_are_refused() {
    let cases = [
        ("https://example.org/hook?a=b", true, true),
        ("http://example.org/", false, true),
        ("http://10.0.0.1/", false, true),
        ("https://10.0.0.1/", false, true),
        ("https://ada:sesame@example.org/", false, false),
        ("ftp://example.org/", false, false),
        ("example.org/hook", false, false),
        ("/hook", false, false),
        ("", false, false),
    ];
    for (text, open, private) in cases {
        assert_eq!(read_url("url", text, false, false).is_ok(), open, "{text}");
        assert_eq!(read_url("url", text, true, false).is_ok(), private, "{text}");
    }
    assert!(read_url("url", "http://example.org/", false, true).is_ok());
    assert!(read_url("url", "http://10.0.0.1/", false, true).is_err());
}

#[test]
fn headers_that_http_does_not_allow_are_refused() {
    let cases = [
        ("x-a", "b", true),
        ("x-a", "b\r\nx-c: d", false),
        ("x a", "b", false),
        ("", "b", false),
        ("Host", "b", false),
    ];
    for (name, value, fine) in cases {
        assert_eq!(
            read_header("headers", name, value, true).is_ok(),
            fine,
            "{name}: {value}"
        );
    }
}

#[test]
fn a_preview_masks_secrets() {
    let mut request = request("https://example.org/secret/path?key=sesame");
    let (name, value) = read_header("headers", "X-Key", "sesame", true).unwrap();
    request.headers.insert(name, value);
    request.url_is_secret = true;
    assert_eq!(
        request.preview(),
        "POST https://example.org/***\nx-key: ***\n\n{}"
    );
}
