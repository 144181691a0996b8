//! Servers to measure against: a simulated CRM, and a bare listener that shows the machine's limit.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use axum::{Router, body::Bytes, routing::post};
use tokio::task::JoinHandle;

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
