//! The stored messages, and the responses to the senders.

use causeway_core::{envelope::Memory, store::StoreError};
use tokio::io::AsyncWriteExt;

use super::rig::{BASE, TOKEN, listener, read, request, start, start_gated};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
const JSON: &str = "Content-Type: application/json";

#[tokio::test]
async fn a_response_is_sent_after_the_request_is_stored() {
    let rig = start_gated(BASE).await;
    let target = format!("/in/{TOKEN}");
    let mut stream = rig
        .open(request("POST", &target, &[FORM], "contact[id]=5").as_bytes())
        .await;
    rig.inbox.entered.acquire().await.unwrap().forget();
    assert!(rig.stored().is_empty());
    let early = stream.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock);
    rig.inbox.gate.add_permits(1);
    let answer = read(&mut stream).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, r#"{"status":"ok","reference":"1"}"#)
    );
    assert!(answer.head.contains("content-type: application/json"));
    assert_eq!(rig.stored().len(), 1);
}

#[tokio::test]
async fn every_method_and_type_is_stored_unchanged() {
    // method, query, header, body
    for (method, query, header, body) in [
        ("GET", "?email=ann%40example.org&a[]=1", "X-Nothing: 1", ""),
        ("POST", "", FORM, "contact[email]=ann@example.org&"),
        ("POST", "?from=query", FORM, "contact%5Bid%5D=5"),
        (
            "POST",
            "",
            "content-type: Application/JSON; charset=utf-8",
            r#"{"contact":{"id":5}}"#,
        ),
        ("POST", "", "X-Nothing: 1", r#"{"contact":{"id":5}}"#),
        ("POST", "?only=query", "X-Nothing: 1", ""),
        ("POST", "", "Content-Type: text/plain", "a=1"),
        ("POST", "", "Content-Type: application/xml", "<contact/>"),
        // No sender would repeat these, so they are stored and shown as dead.
        ("POST", "", JSON, r#"{"broken":"#),
        ("POST", "", JSON, "\0\u{1}"),
        ("POST", "", "Content-Type: multipart/form-data", "no boundary"),
        ("POST", "", "Content-Type: nonsense", "%%%"),
    ] {
        let rig = start(BASE).await;
        let answer = rig
            .send(method, &format!("/in/{TOKEN}{query}"), &[header], body)
            .await;
        assert_eq!(answer.status, 200, "{method} {query} {header} {body}");
        let stored = rig.stored();
        assert_eq!(stored.len(), 1);
        assert_eq!(stored[0].body, body.as_bytes());
        assert_eq!(&*stored[0].source, "forms");
        assert_eq!(stored[0].meta.method.as_deref(), Some(method));
        assert_eq!(stored[0].meta.query.as_deref(), query.strip_prefix('?'));
        let kept = stored[0].meta.content_type.as_deref();
        let sent = header
            .split_once(": ")
            .filter(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        assert_eq!(kept, sent.map(|(_, value)| value));
    }
}

#[tokio::test]
async fn a_duplicate_gets_the_response_of_the_first() {
    let rig = start(BASE).await;
    let body = "transactionid=7&contact[id]=5&fields[0][id]=1";
    let first = rig.post(&[FORM], body).await;
    rig.post(&[FORM], "transactionid=8&contact[id]=5").await;
    let again = rig.post(&[FORM], body).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    assert_eq!(rig.last_reason(), "duplicate");
    // The same transaction with other content is another message, in any notation.
    for (header, body) in [
        (JSON, r#"{"transactionid":7,"contact":{"id":5}}"#),
        (
            XML,
            "\u{feff}<s><transactionid>7</transactionid><contact><id>5</id></contact></s>",
        ),
        (FORM, "\u{feff}transactionid=7&contact[id]=5"),
    ] {
        let other = rig.post(&[header], body).await;
        assert_eq!(other.status, 200, "{body}");
        assert_ne!(other.body, first.body, "{body}");
        assert_eq!(rig.last_reason(), "ok");
        let stored = rig.stored();
        assert_eq!(stored[0].dedup.id, stored.last().unwrap().dedup.id, "{body}");
    }
}

#[tokio::test]
async fn a_sender_s_id_is_remembered_for_good_and_bare_bytes_for_a_while() {
    let rig = start(BASE).await;
    rig.post(&[FORM], "transactionid=7").await;
    rig.post(&[FORM], "contact[id]=5").await;
    let ten_minutes = Memory::Window(600_000);
    let known: Vec<_> = rig
        .stored()
        .iter()
        .map(|row| (row.dedup.id.is_some(), row.dedup.memory))
        .collect();
    assert_eq!(known, [(true, ten_minutes), (false, ten_minutes)]);
    let rig = start(&format!("{BASE}dedup_window_s = 60")).await;
    rig.post(&[FORM], "contact[id]=5").await;
    assert_eq!(rig.stored()[0].dedup.memory, Memory::Window(60_000));
    let proca = "proca = { own_orgs = [12], consent = \"single\" }";
    let rig = start(&format!(
        "{}{proca}",
        BASE.replace("sync-to-third-party", "proca")
    ))
    .await;
    rig.post(&[JSON], r#"{"schema":"proca:action:2"}"#).await;
    assert_eq!(rig.stored()[0].dedup.memory, Memory::Dated);
}

#[tokio::test]
async fn a_connection_serves_several_requests() {
    let rig = start(BASE).await;
    let mut all = String::new();
    for number in 0..3 {
        let one = request("POST", &format!("/in/{TOKEN}"), &[FORM], &format!("n={number}"));
        // The last request has `Connection: close`.
        all.push_str(&if number < 2 {
            one.replace("Connection: close\r\n", "")
        } else {
            one
        });
    }
    let answer = rig.raw(all.as_bytes()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body.matches("HTTP/1.1 200").count(), 2);
    assert_eq!(rig.stored().len(), 3);
}

#[tokio::test]
async fn a_sender_that_closes_its_sending_side_gets_the_response() {
    let rig = start_gated(BASE).await;
    let mut stream = rig
        .open(request("POST", &format!("/in/{TOKEN}"), &[FORM], "a=1").as_bytes())
        .await;
    stream.shutdown().await.unwrap();
    rig.inbox.entered.acquire().await.unwrap().forget();
    rig.inbox.gate.add_permits(1);
    assert_eq!(read(&mut stream).await.status, 200);
}

#[tokio::test]
async fn probes_are_answered_when_enabled_and_store_nothing() {
    for (probes, head, get) in [(true, 200, 200), (false, 405, 400)] {
        let rig = start(&format!("{BASE}probes = {probes}")).await;
        let target = format!("/in/{TOKEN}");
        assert_eq!(rig.send("HEAD", &target, &[], "").await.status, head);
        assert_eq!(rig.send("GET", &target, &[], "").await.status, get);
        // A body is announced, but empty.
        let chunked = format!(
            "GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        );
        assert_eq!(rig.raw(chunked.as_bytes()).await.status, get);
        // A request with data is not a probe.
        assert_eq!(rig.send("GET", &target, &[FORM], "a=1").await.status, 200);
        assert_eq!(rig.stored().len(), 1);
    }
}

#[tokio::test]
async fn an_empty_request_is_refused() {
    let rig = start(BASE).await;
    for body in ["", " ", "\r\n\t"] {
        let answer = rig.post(&[FORM], body).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.body, r#"{"status":"error","error":"no data"}"#);
    }
}

#[tokio::test]
async fn other_methods_get_405_with_the_allowed_ones() {
    let rig = start(BASE).await;
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        let answer = rig.send(method, &format!("/in/{TOKEN}"), &[], "").await;
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.head.contains("allow: get, head, post"), "{}", answer.head);
    }
    assert!(rig.stored().is_empty());
}

#[tokio::test]
async fn an_unavailable_store_gives_503_with_retry_after() {
    let broken: [fn() -> StoreError; 2] = [
        || StoreError::Unavailable("the disk is full".to_owned()),
        || StoreError::Failed("a bug".to_owned()),
    ];
    for error in broken {
        let rig = start(BASE).await;
        *rig.inbox.broken.lock().unwrap() = Some(error);
        let answer = rig.post(&[FORM], "a=1").await;
        assert_eq!(answer.status, 503);
        assert!(answer.head.contains("retry-after: 5"));
        assert!(!answer.body.contains("disk") && !answer.body.contains("bug"));
        *rig.inbox.broken.lock().unwrap() = None;
        assert_eq!(rig.post(&[FORM], "a=1").await.status, 200);
    }
}

#[tokio::test]
async fn a_slow_store_gives_503_with_retry_after() {
    let rig = start_gated(BASE).await;
    let answer = rig.post(&[FORM], "a=1").await;
    assert_eq!((answer.status, rig.last_reason()), (503, "unavailable"));
}

#[tokio::test]
async fn one_source_cannot_exceed_its_concurrency() {
    let hubspot = "signature = { scheme = \"hubspot-v3\", secrets = \"s\", public_url = \"https://hub.example.org\" }\n";
    for (more, status) in [("", 429), (hubspot, 503)] {
        let toml = format!("{BASE}{more}limits = {{ concurrency = 1, body_timeout_s = 5 }}");
        let rig = start(&toml).await;
        // The first request holds the only slot while its body is incomplete.
        let head = format!(
            "POST /in/{TOKEN} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\na"
        );
        let mut first = rig.open(head.as_bytes()).await;
        // It is unknown when the first request gets the slot, so the second is repeated until it is refused.
        let answer = loop {
            let answer = rig.post(&[FORM], "b=1").await;
            if rig.last_reason() == "busy" {
                break answer;
            }
        };
        assert_eq!(answer.status, status);
        assert!(answer.head.contains("retry-after: 1"));
        first.write_all(b"=1").await.unwrap();
        let finished = read(&mut first).await.status;
        assert_ne!(finished, status, "the first is not refused for being busy");
    }
}

const XML: &str = "Content-Type: text/xml";
const PARTS: &str = "Content-Type: multipart/form-data; boundary=x";

fn part(name: &str) -> String {
    format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n1\r\n")
}

#[tokio::test]
async fn a_request_over_a_limit_is_refused_and_not_stored() {
    let toml = format!("{BASE}limits = {{ body_kb = 1, pairs = 3, depth = 2 }}");
    for (header, body, reason) in [
        (FORM, format!("a={}", "x".repeat(2000)), "body"),
        (FORM, "a=1&b=1&c=1&d=1".to_owned(), "pairs"),
        (FORM, "a[b][c][d]=1".to_owned(), "depth"),
        (FORM, "a%5Bb%5D%5Bc%5D%5bd%5D=1".to_owned(), "depth"),
        (JSON, "[[[[]]]]".to_owned(), "depth"),
        (JSON, "[1,2,3,4]".to_owned(), "pairs"),
        (XML, "<r><a/><b/><c d='1'/></r>".to_owned(), "pairs"),
        (XML, "<r><a><b><c><d/></c></b></a></r>".to_owned(), "depth"),
        (
            PARTS,
            part("a") + &part("b") + &part("c") + &part("d") + "--x--",
            "pairs",
        ),
        (PARTS, part("a[b][c][d]") + "--x--", "depth"),
    ] {
        let rig = start(&toml).await;
        let answer = rig.post(&[header], &body).await;
        assert_eq!((answer.status, rig.last_reason()), (413, reason));
        assert!(rig.stored().is_empty());
    }
    let rig = start(&toml).await;
    let chunked = format!(
        "POST /in/{TOKEN} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        format!("320\r\n{}\r\n", "x".repeat(800)).repeat(2)
    );
    assert_eq!(rig.raw(chunked.as_bytes()).await.status, 413);
    assert_eq!(rig.post(&[FORM], "a=1&b[c][d]=2&e=3").await.status, 200);
}

#[tokio::test]
async fn a_body_that_is_not_text_is_unsupported() {
    let rig = start(BASE).await;
    for header in [
        "Content-Type: image/png",
        "Content-Type: Application/PDF",
        "Content-Encoding: gzip",
        "Content-Encoding: br",
    ] {
        let answer = rig.post(&[header], "a=1").await;
        assert_eq!(answer.status, 415, "{header}");
        assert!(answer.head.contains("accept-encoding: identity"));
    }
    assert_eq!(rig.post(&["Content-Encoding: identity"], "a=1").await.status, 200);
}

#[test]
fn unsafe_or_useless_credentials_are_refused() {
    for (toml, part) in [
        ("preset = \"generic\"\ntoken = \"short\"", "fewer than 22"),
        (
            "preset = \"generic\"\ntoken = \"a/b-is-not-good-in-a-path\"",
            "may only have letters",
        ),
        ("preset = \"generic\"\ntoken = []", "empty"),
        ("preset = \"generic\"\ntoken = [\"\"]", "empty"),
        ("preset = \"other\"\ntoken = \"x\"", "other"),
        ("preset = \"generic\"\ntoken = \"x\"\nunknown = 1", "unknown"),
        ("preset = \"proca\"\ntoken = \"x\"", "proca"),
        (
            "preset = \"proca\"\ntoken = \"x\"\nproca = { own_orgs = [], consent = \"single\" }",
            "proca.own_orgs",
        ),
        (
            "preset = \"proca\"\ntoken = \"x\"\nproca = { own_orgs = [1], consent = \"single\", purpose = \"By Mail\" }",
            "`proca.purpose`: must be one word",
        ),
        ("preset = \"generic\"\ntoken = \"x\"\nsync = {}", "another preset"),
    ] {
        let error = listener(toml).map(|_| ()).unwrap_err();
        assert!(error.contains(part), "{toml}: {error}");
    }
    for (more, part) in [
        ("allow_ips = [\"nowhere\"]", "nowhere"),
        ("limits = { body_kb = 0 }", "body_kb"),
        ("limits = { depth = 101 }", "must be 1 to 100"),
        (
            "header_secret = { name = \"x y\", secrets = \"s\" }",
            "header_secret.name",
        ),
        ("header_secret = { name = \"x\", secrets = \"\" }", "empty"),
        ("basic = { user = \"a:b\", password = \"s\" }", "colon"),
        (
            "basic = { user = \"a\", password = \"s\" }\nheader_secret = { name = \"Authorization\", secrets = \"s\" }",
            "basic",
        ),
    ] {
        let error = listener(&format!("{BASE}{more}")).map(|_| ()).unwrap_err();
        assert!(error.contains(part), "{more}: {error}");
    }
    assert!(listener("preset = \"generic\"\ntoken = \"hs\"\ninsecure_token = true").is_ok());
}

#[tokio::test]
async fn the_same_multipart_is_a_duplicate_whatever_its_boundary() {
    let rig = start(BASE).await;
    let part = |disposition: &str, value: &str| {
        format!("--{{}}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{value}\r\n")
    };
    let template = [
        part("name=\"transactionid\"", "7"),
        part("name=\"contact[email]\"", "ann+x@example.org"),
        part("name=\"photo\"; filename=\"me.png\"", "PNG & more=data"),
        part("name=\"none\"; filename=\"\"", ""),
        part("name=\"fields[0][value]\"", "a=b&c\r\nd"),
        "--{}--\r\n".to_owned(),
    ]
    .concat();
    for boundary in ["one", "another"] {
        let header = format!("Content-Type: multipart/form-data; boundary={boundary}");
        let answer = rig.post(&[&header], &template.replace("{}", boundary)).await;
        assert_eq!((answer.status, answer.body.contains("\"1\"")), (200, true));
    }
    assert_eq!(rig.last_reason(), "duplicate");
    let stored = &rig.stored()[0];
    assert_eq!(stored.body, template.replace("{}", "one"), "as it came");
    assert!(stored.dedup.id.is_some());
}
