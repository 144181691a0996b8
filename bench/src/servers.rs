//! Servers to measure against: a simulated CRM, and a bare listener that shows the machine's limit.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::{Router, body::Bytes, routing::post};
use tokio::{sync::Semaphore, task::JoinHandle};

/// Runs until it is dropped.
pub struct Server {
    pub port: u16,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A CRM that answers with the id of the contact after `wait`, as JSON.
pub async fn crm(wait: Duration) -> anyhow::Result<Server> {
    let answer = move |_body: Bytes| async move {
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        ([("content-type", "application/json")], r#"{"id":"C-1"}"#)
    };
    serve(Router::new().route("/contacts", post(answer))).await
}

/// A CRM with few workers, each of which needs its time for a request. Other requests wait in line.
pub struct Narrow {
    pub server: Server,
    line: Arc<Line>,
}

#[derive(Debug)]
struct Line {
    workers: Semaphore,
    seen: AtomicUsize,
    present: AtomicUsize,
    most: AtomicUsize,
    /// The same, of later requests.
    most_later: AtomicUsize,
    answered: AtomicUsize,
    /// Requests before the later ones.
    early: usize,
}

/// What a [`Narrow`] CRM saw.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub requests: usize,
    /// Whoever sent the others closed the connection before the answer.
    pub answered: usize,
    /// The most requests that were there at the same time.
    pub most: usize,
    pub most_later: usize,
}

/// A request that is there: in line, or with a worker.
struct Present<'a>(&'a Line);

impl<'a> Present<'a> {
    fn new(line: &'a Line) -> Self {
        let number = line.seen.fetch_add(1, Ordering::Relaxed);
        let present = line.present.fetch_add(1, Ordering::Relaxed) + 1;
        line.most.fetch_max(present, Ordering::Relaxed);
        if number >= line.early {
            line.most_later.fetch_max(present, Ordering::Relaxed);
        }
        Self(line)
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        self.0.present.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Narrow {
    pub fn seen(&self) -> Seen {
        let line = &self.line;
        Seen {
            requests: line.seen.load(Ordering::Relaxed),
            answered: line.answered.load(Ordering::Relaxed),
            most: line.most.load(Ordering::Relaxed),
            most_later: line.most_later.load(Ordering::Relaxed),
        }
    }
}

/// `early`: the number of requests after which the line should be short.
pub async fn narrow_crm(workers: usize, work: Duration, early: usize) -> anyhow::Result<Narrow> {
    let line = Arc::new(Line {
        workers: Semaphore::new(workers),
        seen: AtomicUsize::new(0),
        present: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
        most_later: AtomicUsize::new(0),
        answered: AtomicUsize::new(0),
        early,
    });
    let shared = Arc::clone(&line);
    let answer = move |_body: Bytes| {
        let line = Arc::clone(&shared);
        async move {
            let _present = Present::new(&line);
            if let Ok(_worker) = line.workers.acquire().await {
                tokio::time::sleep(work).await;
            }
            line.answered.fetch_add(1, Ordering::Relaxed);
            ([("content-type", "application/json")], r#"{"id":"C-1"}"#)
        }
    };
    let server = serve(Router::new().route("/contacts", post(answer))).await?;
    Ok(Narrow { server, line })
}

/// A newsletter tool that notes when each request started that subscribed somebody.
pub struct Recorder {
    server: Server,
    subscriptions: Arc<Mutex<Vec<(String, Instant)>>>,
}

impl Recorder {
    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// Addresses and starts of requests.
    pub fn subscriptions(&self) -> Vec<(String, Instant)> {
        self.subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

pub async fn recorder() -> anyhow::Result<Recorder> {
    let subscriptions = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&subscriptions);
    let answer = move |body: Bytes| async move {
        let started = Instant::now();
        let record: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        if record["change"] == "subscribe" {
            let address = record["email"].as_str().unwrap_or_default().to_owned();
            notes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((address, started));
        }
        "{}"
    };
    let server = serve(Router::new().route("/", post(answer))).await?;
    Ok(Recorder {
        server,
        subscriptions,
    })
}

/// Reads and drops the body.
pub async fn bare() -> anyhow::Result<Server> {
    serve(Router::new().route("/in", post(|_body: Bytes| async { r#"{"status":"ok"}"# }))).await
}

async fn serve(routes: Router) -> anyhow::Result<Server> {
    let socket = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await;
    let socket = socket.context("listening")?;
    let port = socket.local_addr()?.port();
    let task = tokio::spawn(async move {
        // It ends only with this program. A failure shows as a failed run.
        let _ended = axum::serve(socket, routes).await;
    });
    Ok(Server { port, task })
}
