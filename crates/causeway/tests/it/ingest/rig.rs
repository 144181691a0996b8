//! A listener on a free port, a fake inbox, and a client that sends any bytes.

use std::{
    collections::HashMap,
    fmt::Write as _,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use causeway::config::Generation;
use causeway::web::{
    self, Limits,
    health::{Health, Reason},
    ingest::{Config, Ingest, Listener},
    intake::{Intake, IntakeMetrics},
};
use causeway_core::{
    clock::Timestamp,
    envelope::Envelope,
    id::InboxId,
    mapping::Tables,
    source::{Accept, Stop},
    store::{Accepted, StoreError},
};
use causeway_testkit::clock::TestClock;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
};

pub const TOKEN: &str = "Zx9-test-token-of-24-char";
pub const BASE: &str = "preset = \"sync-to-third-party\"\ntoken = \"Zx9-test-token-of-24-char\"\n";

/// A fake store that keeps the accepted envelopes.
pub struct Inbox {
    pub rows: Mutex<Vec<Envelope>>,
    seen: Mutex<HashMap<[u8; 16], InboxId>>,
    pub broken: Mutex<Option<fn() -> StoreError>>,
    /// Each call of `accept` takes one permit when it starts to wait…
    pub entered: Semaphore,
    /// …and needs one of these to finish, unless it is closed.
    pub gate: Semaphore,
}

#[async_trait]
impl Accept for Inbox {
    async fn accept(&self, envelopes: Vec<Envelope>) -> Result<Vec<Accepted>, StoreError> {
        self.entered.add_permits(1);
        if let Ok(permit) = self.gate.acquire().await {
            permit.forget();
        }
        if let Some(error) = *self.broken.lock().unwrap() {
            return Err(error());
        }
        let mut accepted = Vec::new();
        for envelope in envelopes {
            let mut seen = self.seen.lock().unwrap();
            let next = InboxId(i64::try_from(seen.len()).unwrap() + 1);
            let duplicate = seen.contains_key(&envelope.dedup.key);
            let id = *seen.entry(envelope.dedup.key).or_insert(next);
            accepted.push(Accepted { id, duplicate });
            self.rows.lock().unwrap().push(envelope);
        }
        Ok(accepted)
    }
}

#[derive(Default)]
pub struct Counted {
    pub answers: Mutex<Vec<(String, u16, &'static str)>>,
    pub broken: Mutex<Vec<&'static str>>,
}

impl IntakeMetrics for Counted {
    fn answered(&self, source: &str, status: u16, reason: &'static str, _: Duration) {
        self.answers
            .lock()
            .unwrap()
            .push((source.to_owned(), status, reason));
    }
    fn connection_broken(&self, reason: &'static str) {
        self.broken.lock().unwrap().push(reason);
    }
}

pub struct Rig {
    pub addr: SocketAddr,
    pub inbox: Arc<Inbox>,
    pub clock: Arc<TestClock>,
    pub counted: Arc<Counted>,
    pub ingest: Arc<Ingest>,
    pub red: Arc<Mutex<Vec<Reason>>>,
    pub stop: Stop,
    pub ended: JoinHandle<()>,
}

pub fn config(toml: &str) -> Result<Config, String> {
    Config::parse(&toml.parse().unwrap()).map_err(|error| error.to_string())
}

pub fn listener(toml: &str) -> Result<Listener, String> {
    Listener::new("forms".into(), &config(toml)?, Path::new("."), &Tables::default())
        .map_err(|error| error.to_string())
}

/// `toml` holds the keys of the one listener.
pub async fn start(toml: &str) -> Rig {
    let rig = start_gated(toml).await;
    rig.inbox.gate.close();
    rig
}

/// Like [`start`], but `accept` waits for `inbox.gate`.
pub async fn start_gated(toml: &str) -> Rig {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = socket.local_addr().unwrap();
    let inbox = Arc::new(Inbox {
        rows: Mutex::default(),
        seen: Mutex::default(),
        broken: Mutex::default(),
        entered: Semaphore::new(0),
        gate: Semaphore::new(0),
    });
    let clock = Arc::new(TestClock::default());
    let counted = Arc::new(Counted::default());
    let red = Arc::new(Mutex::new(Vec::new()));
    let stop = Stop::new();
    let ingest = Ingest::new(
        vec![listener(toml).unwrap()],
        Arc::new(Intake {
            accept: inbox.clone(),
            clock: clock.clone(),
            metrics: counted.clone(),
            store_wait: Duration::from_millis(300),
        }),
    )
    .unwrap();
    let reasons = red.clone();
    let health = Health {
        warnings: Arc::new(|| Box::pin(async { Vec::new() })),
        red: Arc::new(move || {
            let reasons = reasons.lock().unwrap().clone();
            Box::pin(async move { reasons })
        }),
        generation: Arc::new(|| Generation {
            generation: 1,
            since: Timestamp::UNIX_EPOCH,
        }),
        metrics: Arc::new(|| Box::pin(async { "causeway_up 1\n".to_owned() })),
    };
    let limits = Limits {
        head_timeout: Duration::from_millis(400),
        grace: Duration::from_secs(5),
        ..Limits::default()
    };
    let ended = tokio::spawn(web::serve(
        vec![(socket, ingest.routes().merge(health.routes()).into())],
        limits,
        counted.clone(),
        stop.clone(),
    ));
    Rig {
        addr,
        inbox,
        clock,
        counted,
        ingest,
        red,
        stop,
        ended,
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Rig {
    /// Sends the bytes and reads until the other side closes. No status line: status 0.
    pub async fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.open(bytes).await;
        read(&mut stream).await
    }

    pub async fn open(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        // The server may have closed early; only its response counts.
        drop(stream.write_all(bytes).await);
        stream
    }

    /// A request in the usual form; `headers` are whole lines.
    pub async fn send(&self, method: &str, target: &str, headers: &[&str], body: &str) -> Answer {
        self.raw(request(method, target, headers, body).as_bytes()).await
    }

    pub async fn post(&self, headers: &[&str], body: &str) -> Answer {
        self.send("POST", &format!("/in/{TOKEN}"), headers, body).await
    }

    pub fn stored(&self) -> Vec<Envelope> {
        self.inbox.rows.lock().unwrap().clone()
    }

    pub fn last_reason(&self) -> &'static str {
        self.counted.answers.lock().unwrap().last().unwrap().2
    }
}

pub fn request(method: &str, target: &str, headers: &[&str], body: &str) -> String {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: hub.example.org\r\nConnection: close\r\n");
    for line in headers {
        text.push_str(line);
        text.push_str("\r\n");
    }
    if !body.is_empty() {
        write!(text, "Content-Length: {}\r\n", body.len()).unwrap();
    }
    text.push_str("\r\n");
    text.push_str(body);
    text
}

pub async fn read(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let reading = stream.read_to_end(&mut bytes);
    let ended = tokio::time::timeout(Duration::from_secs(20), reading).await;
    // A reset after the response counts as a close.
    assert!(ended.is_ok(), "no answer, and not closed either");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    Answer {
        status: head
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse().ok())
            .unwrap_or(0),
        head: head.to_lowercase(),
        body: body.to_owned(),
    }
}
