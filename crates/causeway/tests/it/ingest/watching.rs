//! Health pages, the graceful stop, and personal data in logs.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use causeway::web::health::Reason;

use super::rig::{BASE, TOKEN, read, request, start, start_gated};

#[tokio::test]
async fn health_pages_list_the_problems() {
    let rig = start(BASE).await;
    assert_eq!(rig.send("GET", "/livez", &[], "").await.body, r#"{"live":true}"#);
    let ready = rig.send("GET", "/readyz", &[], "").await;
    assert_eq!(
        (ready.status, ready.body.as_str()),
        (
            200,
            r#"{"ready":true,"reasons":[],"configuration":{"generation":1,"since":"1970-01-01T00:00:00Z"}}"#
        )
    );
    rig.red.lock().unwrap().push(Reason {
        part: "source.proca".to_owned(),
        reason: "the queue is missing".to_owned(),
    });
    let red = rig.send("GET", "/readyz", &[], "").await;
    assert_eq!(red.status, 503);
    assert_eq!(
        red.body,
        r#"{"ready":false,"reasons":[{"part":"source.proca","reason":"the queue is missing"}],"configuration":{"generation":1,"since":"1970-01-01T00:00:00Z"}}"#
    );
    assert_eq!(rig.send("GET", "/livez", &[], "").await.status, 200);
    assert_eq!(rig.send("GET", "/metrics", &[], "").await.body, "causeway_up 1\n");
}

#[tokio::test]
async fn a_stop_finishes_the_request_in_progress_and_accepts_no_more() {
    let rig = start_gated(BASE).await;
    let bytes = request("POST", &format!("/in/{TOKEN}"), &[], "a=1");
    // The connection would stay open after the response if the stop did not close it.
    let mut stream = rig
        .open(bytes.replace("Connection: close\r\n", "").as_bytes())
        .await;
    let mut idle = rig.open(b"").await;
    rig.inbox.entered.acquire().await.unwrap().forget();
    rig.stop.cancel();
    assert_eq!(read(&mut idle).await.status, 0, "idle connections are closed");
    rig.inbox.gate.add_permits(1);
    let answer = read(&mut stream).await;
    assert_eq!((answer.status, rig.stored().len()), (200, 1));
    rig.ended.await.unwrap();
    assert!(tokio::net::TcpStream::connect(rig.addr).await.is_err());
}

/// Everything that is logged, in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_names_the_source_and_neither_token_nor_person() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let rig = start(&format!(
        "{BASE}basic = {{ user = \"hub\", password = \"Geheim-77\" }}"
    ))
    .await;
    let right = "Authorization: Basic aHViOkdlaGVpbS03Nw==";
    let body = "contact[email]=nobody.known@example.org&contact[phone]=+4400000";
    rig.post(&[right], body).await;
    rig.post(&["Authorization: Basic aHViOm5vcGU="], body).await;
    rig.post(&[right, "Content-Type: image/png"], body).await;
    rig.send(
        "GET",
        &format!("/in/{TOKEN}?email=nobody.known@example.org"),
        &[right],
        "",
    )
    .await;
    rig.send("POST", "/in/guessed-token-that-is-wrong", &[], body)
        .await;
    rig.raw(b"nobody.known@example.org / HTTP/9\r\n\r\n").await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for word in [
        "accept{source=\"forms\"",
        "inbox.id=1",
        "reason=\"basic_wrong\"",
        "unsupported_media",
    ] {
        assert!(text.contains(word), "{word} is missing in:\n{text}");
    }
    for secret in [
        TOKEN,
        "guessed-token",
        "Geheim",
        "aHVi",
        "nobody.known",
        "4400000",
        "hub.example",
    ] {
        assert!(!text.contains(secret), "{secret} is in:\n{text}");
    }
}
