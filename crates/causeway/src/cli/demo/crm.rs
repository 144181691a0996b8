//! A simulated CRM: accepts contacts, and sometimes fails as real ones do.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::json;

pub(super) struct Crm {
    pub address: SocketAddr,
    pub calls: Arc<Calls>,
}

/// The calls so far.
#[derive(Default)]
pub(super) struct Calls {
    pub all: AtomicU64,
    pub refused: AtomicU64,
    keys: Mutex<HashSet<String>>,
}

impl Calls {
    /// The number of records in the CRM: different idempotency keys of accepted calls.
    pub(super) fn records(&self) -> usize {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

pub(super) async fn start() -> anyhow::Result<Crm> {
    let calls = Arc::new(Calls::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = Router::new()
        .route("/contacts", post(contacts))
        .with_state(Arc::clone(&calls));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the simulated CRM stopped");
        }
    });
    Ok(Crm { address, calls })
}

/// In a hundred calls, 4 get status 500, 2 get status 429 and 1 gets status 400.
async fn contacts(State(calls): State<Arc<Calls>>, headers: HeaderMap) -> Response {
    let call = calls.all.fetch_add(1, Ordering::Relaxed);
    let refuse = |status: StatusCode, text: &'static str| {
        calls.refused.fetch_add(1, Ordering::Relaxed);
        (status, text)
    };
    match call % 100 {
        7 | 31 | 58 | 83 => {
            refuse(StatusCode::INTERNAL_SERVER_ERROR, "<html>something broke</html>").into_response()
        }
        19 | 71 => {
            let (status, text) = refuse(StatusCode::TOO_MANY_REQUESTS, "too many calls");
            (status, [("retry-after", "1")], text).into_response()
        }
        46 => refuse(StatusCode::BAD_REQUEST, "this contact is invalid").into_response(),
        _ => {
            let key = headers
                .get("idempotency-key")
                .and_then(|key| key.to_str().ok())
                .unwrap_or_default()
                .to_owned();
            let mut keys = calls.keys.lock().unwrap_or_else(PoisonError::into_inner);
            keys.insert(key);
            json!({ "id": format!("C-{}", keys.len()) })
                .to_string()
                .into_response()
        }
    }
}
