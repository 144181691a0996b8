//! Hostile and broken requests. Each gets a response or a closed connection, each is counted with a reason, and the next valid
//! request is served.

use std::fmt::Write as _;

use tokio::{io::AsyncWriteExt, task::JoinSet};

use super::rig::{BASE, Rig, TOKEN, read, start};

const LIMITS: &str = "limits = { body_timeout_s = 1 }";

/// The bytes after the request line, and the expected status (0 = only closed) and counted reason.
type Case = (&'static str, Vec<u8>, u16, &'static str);

fn post(lines: &str, body: &str) -> Vec<u8> {
    let length = if body.is_empty() {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    with(&format!("{lines}{length}"), body)
}

fn with(lines: &str, rest: &str) -> Vec<u8> {
    format!("POST /in/{TOKEN} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n{rest}").into_bytes()
}

fn line(request_line: &str) -> Vec<u8> {
    format!("{request_line}\r\nHost: x\r\nConnection: close\r\n\r\n").into_bytes()
}

fn chunked(rest: &str) -> Vec<u8> {
    with("Transfer-Encoding: chunked\r\n", rest)
}

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const JSON: &str = "Content-Type: application/json\r\n";
const XML: &str = "Content-Type: application/xml\r\n";

/// Heads that are not HTTP, or too large.
#[rustfmt::skip] // One case a line reads as a table.
fn heads() -> Vec<Case> {
    let many = (0..500).fold(String::new(), |mut all, n| {
        write!(all, "X-{n}: y\r\n").unwrap();
        all
    });
    let query = "q".repeat(60_000);
    vec![
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), 400, "malformed"),
        ("another protocol", b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec(), 400, "malformed"),
        ("HTTP/2 without asking", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), 0, "malformed"),
        ("a version that does not exist", line(&format!("POST /in/{TOKEN} HTTP/9.9")), 400, "malformed"),
        ("no version", line(&format!("POST /in/{TOKEN}")), 400, "malformed"),
        ("one header of 1 MB", post(&format!("X-Big: {}\r\n", "y".repeat(1_000_000)), "a=1"), 431, "head_too_large"),
        ("500 headers", post(&many, "a=1"), 431, "head_too_large"),
        ("a query of 60 kB", line(&format!("GET /in/{TOKEN}?{query} HTTP/1.1")), 431, "head_too_large"),
        ("a path of 60 kB", line(&format!("GET /{query} HTTP/1.1")), 431, "head_too_large"),
        ("a header without colon", post("X-Nothing\r\n", "a=1"), 400, "malformed"),
        ("a NUL in a header", post("X-Nul: a\0b\r\n", "a=1"), 400, "malformed"),
        ("a folded header", post("X-Fold: a\r\n b\r\n", "a=1"), 400, "malformed"),
        ("a space before the colon", post("Content-Length : 3\r\n", ""), 400, "malformed"),
        ("a NUL in the path", b"GET /in/\0 HTTP/1.1\r\n\r\n".to_vec(), 400, "malformed"),
        ("an empty head", b"\r\n\r\n\r\n\r\n".to_vec(), 0, "head_timeout"),
        ("a head that never ends", format!("POST /in/{TOKEN} HTTP/1.1\r\nX-Slow: ").into_bytes(), 0, "head_timeout"),
    ]
}

/// Bodies with a wrong length.
#[rustfmt::skip] // One case a line reads as a table.
fn lengths() -> Vec<Case> {
    vec![
        ("more announced than sent", with("Content-Length: 50\r\n", "a=1"), 408, "slow_body"),
        ("a body that never starts", with("Content-Length: 3\r\n", ""), 408, "slow_body"),
        ("a length over the limit", with("Content-Length: 99999999999\r\n", "a=1"), 413, "body"),
        ("a length over every number", with("Content-Length: 99999999999999999999999\r\n", "a=1"), 400, "malformed"),
        ("a negative length", with("Content-Length: -1\r\n", "a=1"), 400, "malformed"),
        ("a length in hex", with("Content-Length: 0x3\r\n", "a=1"), 400, "malformed"),
        ("two lengths", with("Content-Length: 3\r\nContent-Length: 5\r\n", "a=1"), 400, "malformed"),
        ("length and chunks", with("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "3\r\na=1\r\n0\r\n\r\n"), 200, "ok"),
        ("an unknown transfer", with("Transfer-Encoding: cow\r\n", "a=1"), 400, "malformed"),
        ("a chunk size that is no number", chunked("zz\r\na=1\r\n0\r\n\r\n"), 400, "broken_body"),
        ("a chunk size over every number", chunked("ffffffffffffffffff\r\na=1"), 400, "broken_body"),
        ("a chunk longer than it says", chunked("1\r\na=1\r\n0\r\n\r\n"), 400, "broken_body"),
        ("chunks that never end", chunked("3\r\na=1\r\n"), 408, "slow_body"),
        ("a chunk extension bomb", chunked(&format!("3;{}\r\na=1\r\n0\r\n\r\n", "x".repeat(100_000))), 400, "broken_body"),
        ("a trailer bomb", chunked(&format!("3\r\na=1\r\n0\r\nX: {}\r\n\r\n", "x".repeat(100_000))), 400, "broken_body"),
        ("chunks over the limit", chunked(&format!("{:x}\r\n{}\r\n0\r\n\r\n", 3 << 20, "x".repeat(3 << 20))), 413, "body"),
    ]
}

/// Complete but hostile bodies.
#[rustfmt::skip] // One case a line reads as a table.
fn bodies() -> Vec<Case> {
    let keys = (0..10_000).fold(String::new(), |mut all, n| {
        write!(all, "k{n}={n}&").unwrap();
        all
    });
    vec![
        ("10 000 keys", post(FORM, &keys), 200, "ok"),
        ("30 000 keys", post(FORM, &keys.repeat(3)), 413, "pairs"),
        ("nothing but separators", post(FORM, &"&".repeat(100_000)), 200, "ok"),
        ("200 brackets", post(FORM, &format!("a{}=1", "[b]".repeat(200))), 413, "depth"),
        ("200 brackets, escaped", post(FORM, &format!("a{}=1", "%5Bb%5D".repeat(200))), 413, "depth"),
        ("brackets that never close", post(FORM, &format!("a{}=1", "[".repeat(100_000))), 413, "depth"),
        ("JSON 100 000 deep", post(JSON, &"[".repeat(100_000)), 413, "depth"),
        ("JSON 100 000 deep, type not given", post("", &"{\"a\":".repeat(100_000)), 413, "depth"),
        ("JSON that ends early", post(JSON, r#"{"transactionid":"#), 200, "ok"),
        ("JSON with a number of 100 000 digits", post(JSON, &format!("{{\"transactionid\":{}}}", "9".repeat(100_000))), 200, "ok"),
        ("a NUL in a name", post(FORM, "contact%00[id]=5&a\0b=1"), 200, "ok"),
        ("invalid UTF-8", [with("Content-Length: 6\r\n", "a="), vec![0xff, 0xfe, 0xc3, 0x28]].concat(), 200, "ok"),
        ("escapes that are none", post(FORM, "%=%&%zz=%4&%%%=1"), 200, "ok"),
        ("no body", post(FORM, ""), 400, "no_data"),
        ("compressed", post("Content-Encoding: gzip\r\n", "\x1f\u{8b}"), 415, "unsupported_media"),
        ("a picture", post("Content-Type: image/png\r\n", "PNG"), 415, "unsupported_media"),
        ("two content types", post(&format!("{FORM}{JSON}"), "a=1"), 200, "ok"),
        ("a content type of 20 kB", post(&format!("Content-Type: {}\r\n", "x".repeat(20_000)), "a=1"), 200, "ok"),
        ("multipart whose boundary never comes", post("Content-Type: multipart/form-data; boundary=x\r\n", "--y"), 200, "ok"),
        ("a length that is less than what follows", with("Content-Length: 3\r\n", "a=1GARBAGE"), 200, "ok"),
    ]
}

/// Hostile documents. One over a limit is refused as in a form; an invalid one is stored as dead.
#[rustfmt::skip] // One case a line reads as a table.
fn documents() -> Vec<Case> {
    let bomb = (1..10).fold("<!DOCTYPE a [<!ENTITY e0 'ha'>".to_owned(), |mut all, n| {
        write!(all, "<!ENTITY e{n} '{}'>", format!("&e{};", n - 1).repeat(10)).unwrap();
        all
    });
    let utf16: Vec<u8> = "\u{feff}<?xml version='1.0' encoding='UTF-16'?><a>b</a>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let names = (0..30_000).fold(String::new(), |mut all, n| {
        write!(all, "<k{n}/>").unwrap();
        all
    });
    let bytes = |body: &[u8]| [with(&format!("{XML}Content-Length: {}\r\n", body.len()), ""), body.to_vec()].concat();
    vec![
        ("an entity bomb", post(XML, &format!("{bomb}]><a>&e9;</a>")), 200, "ok"),
        ("an entity that is a file", post(XML, "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>"), 200, "ok"),
        ("a document type elsewhere", post(XML, "<!DOCTYPE a SYSTEM 'http://127.0.0.1:1/a.dtd'><a/>"), 200, "ok"),
        ("an entity of nobody's", post(XML, "<a>&nbsp;</a>"), 200, "ok"),
        ("100 000 elements deep", post(XML, &"<a>".repeat(100_000)), 413, "depth"),
        ("100 000 elements deep, type not given", post("", &"<a>".repeat(100_000)), 413, "depth"),
        ("lists as deep as their elements", post(XML, &format!("{}x{}", "<a><b/><b>".repeat(32), "</b></a>".repeat(32))), 200, "ok"),
        ("lists that make it too deep", post(XML, &format!("{}x{}", "<a><c/><b/><b>".repeat(32), "</b></a>".repeat(32))), 413, "depth"),
        ("30 000 elements", post(XML, &format!("<a>{names}</a>")), 413, "pairs"),
        ("30 000 attributes", post(XML, &format!("<a>{}</a>", "<b c='1'/>".repeat(15_000))), 413, "pairs"),
        ("30 000 attributes of one element", post(XML, &format!("<a {}/>", names.replace('<', " ").replace("/>", "='1'"))), 413, "pairs"),
        ("XML over the limit of bytes", post(XML, &format!("<a>{}</a>", "x".repeat(2 << 20))), 413, "body"),
        ("another encoding declared", post(XML, "<?xml version='1.0' encoding='EBCDIC-CP-US'?><a>b</a>"), 200, "ok"),
        ("UTF-16", bytes(&utf16), 200, "ok"),
        ("UTF-8 that is none", bytes(b"<a>\xff\xfe\xc3\x28</a>"), 200, "ok"),
        ("a NUL", bytes(b"<a>\0<b c='\0'/></a>"), 200, "ok"),
        ("a NUL by its number", post(XML, "<a>&#0;</a>"), 200, "ok"),
        ("a document that ends early", post(XML, "<contact><id>5</"), 200, "ok"),
        ("no end of a comment", post(XML, &format!("<!--{}", "-".repeat(100_000))), 200, "ok"),
        ("XML that is none", post(XML, "a=1"), 200, "ok"),
    ]
}

/// Request targets that try to reach another path.
#[rustfmt::skip] // One case a line reads as a table.
fn targets() -> Vec<Case> {
    vec![
        ("out of the folder", line("GET /in/../../etc/passwd HTTP/1.1"), 404, ""),
        ("out of the folder, escaped", line("GET /in/..%2f..%2fetc%2fpasswd HTTP/1.1"), 404, "not_found"),
        ("the token in another case", line(&format!("GET /in/{}?a=1 HTTP/1.1", TOKEN.to_lowercase())), 404, "not_found"),
        ("the token and a NUL", line(&format!("GET /in/{TOKEN}%00?a=1 HTTP/1.1")), 404, "not_found"),
        ("two slashes", line(&format!("GET //in/{TOKEN}?a=1 HTTP/1.1")), 200, "ok"),
        ("another host's address", line(&format!("GET http://other.example.org/in/{TOKEN}?a=1 HTTP/1.1")), 200, "ok"),
        ("a tunnel", line("CONNECT other.example.org:443 HTTP/1.1"), 404, ""),
        ("everything", line("OPTIONS * HTTP/1.1"), 404, ""),
        ("a method that does not exist", line(&format!("SPLICE /in/{TOKEN} HTTP/1.1")), 405, "method"),
        ("a page that only answers GET", line("DELETE /livez HTTP/1.1"), 405, ""),
        ("an upgrade", post("Connection: upgrade\r\nUpgrade: websocket\r\n", "a=1"), 200, "ok"),
        ("a 100-continue for too much", with("Expect: 100-continue\r\nContent-Length: 99999999\r\n", ""), 413, "body"),
    ]
}

async fn is_alive(rig: &Rig) {
    let answer = rig.post(&[], "honest=1").await;
    assert_eq!(answer.status, 200);
}

async fn try_all(cases: Vec<Case>) {
    let mut tries = JoinSet::new();
    for case in cases {
        tries.spawn(try_one(case));
    }
    let wrong: Vec<_> = tries.join_all().await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The differences from the expectation.
async fn try_one((what, bytes, status, reason): Case) -> Option<String> {
    let rig = start(&format!("{BASE}{LIMITS}")).await;
    let answer = rig.raw(&bytes).await;
    let mut reasons: Vec<_> = rig
        .counted
        .answers
        .lock()
        .unwrap()
        .iter()
        .map(|one| one.2)
        .collect();
    is_alive(&rig).await;
    reasons.extend(rig.counted.broken.lock().unwrap().iter());
    let stored = rig.stored().len();
    // The inbox has the requests with status 200 and the valid one, and nothing else.
    let is_right = answer.status == status
        && (reason.is_empty() || reasons.contains(&reason))
        && stored == 1 + usize::from(status == 200);
    (!is_right).then(|| format!("{what}: {} {reasons:?}, {stored} stored", answer.status))
}

#[tokio::test]
async fn hostile_heads_are_answered_or_cut() {
    try_all(heads()).await;
}

#[tokio::test]
async fn hostile_lengths_are_answered_or_cut() {
    try_all(lengths()).await;
}

#[tokio::test]
async fn hostile_bodies_are_answered() {
    try_all(bodies()).await;
}

#[tokio::test]
async fn hostile_documents_are_answered() {
    try_all(documents()).await;
}

#[tokio::test]
async fn hostile_targets_are_answered() {
    try_all(targets()).await;
}

#[tokio::test]
async fn a_caller_that_disconnects_early_affects_nobody() {
    for cut in [1, 20, 90, 120, 130] {
        let rig = start(&format!("{BASE}{LIMITS}")).await;
        let bytes = post(FORM, "contact[id]=5");
        let mut stream = rig.open(&bytes[..cut.min(bytes.len() - 1)]).await;
        stream.shutdown().await.unwrap();
        read(&mut stream).await;
        drop(stream);
        is_alive(&rig).await;
        assert_eq!(rig.stored().len(), 1, "{cut}");
    }
}

#[tokio::test]
async fn a_hundred_slow_callers_do_not_hold_up_the_next() {
    let rig = start(&format!("{BASE}{LIMITS}")).await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        slow.push(rig.open(b"POST /in/").await);
    }
    is_alive(&rig).await;
    for stream in &mut slow {
        assert_eq!(read(stream).await.status, 0, "cut when the head took too long");
    }
}
