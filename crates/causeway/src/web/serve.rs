//! Accepts connections and serves HTTP/1 with limits on headers, time and the number of connections, and with a graceful
//! stop, so that no caller can block the hub. axum's own loop has none of these limits.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::{Router, body::Body, extract::ConnectInfo, http::Uri};
use causeway_core::source::Stop;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::{error::Refusal, intake::IntakeMetrics};

/// The limits for one caller and for all callers together.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Maximum number of connections; further ones wait in the system's queue.
    pub connections: usize,
    /// How long a request's head may take to arrive, and how long a connection may be idle.
    pub head_timeout: Duration,
    /// The longest head, which is request line and headers.
    pub head_bytes: usize,
    /// How long requests in progress may take once the program stops.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 800,
            head_timeout: Duration::from_secs(30),
            head_bytes: 32 * 1024,
            grace: Duration::from_secs(8),
        }
    }
}

/// The read buffer of a connection; hyper requires at least 8 KiB.
const BUFFER_BYTES: usize = 64 * 1024;
/// How long to wait if the system cannot accept a connection (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The pages of a socket, which a reload replaces. A request in progress ends with the pages with which it began.
#[derive(Clone)]
pub struct Pages(Arc<ArcSwap<Router>>);

impl From<Router> for Pages {
    fn from(router: Router) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(router.fallback(not_found))))
    }
}

impl Pages {
    pub fn replace(&self, router: Router) {
        self.0.store(Arc::new(router.fallback(not_found)));
    }

    fn now(&self) -> Router {
        Router::clone(&self.0.load())
    }
}

/// Serves each socket with its pages until `stop`. Then requests in progress may finish within `limits.grace`.
pub async fn serve(
    sites: Vec<(TcpListener, Pages)>,
    limits: Limits,
    metrics: Arc<dyn IntakeMetrics>,
    stop: Stop,
) {
    let connections = TaskTracker::new();
    let slots = Arc::new(Semaphore::new(limits.connections));
    let abort = Stop::new();
    let mut loops = tokio::task::JoinSet::new();
    for (socket, pages) in sites {
        let site = Site {
            pages,
            limits,
            metrics: Arc::clone(&metrics),
            stop: stop.clone(),
            abort: abort.clone(),
        };
        loops.spawn(accept_all(socket, site, Arc::clone(&slots), connections.clone()));
    }
    while loops.join_next().await.is_some() {}
    connections.close();
    if tokio::time::timeout(limits.grace, connections.wait())
        .await
        .is_err()
    {
        warn!(
            open = connections.len(),
            "Requests were still in progress at the end and were cut off."
        );
        abort.cancel();
        connections.wait().await;
    }
}

/// The response for unknown paths. It equals the response for an unknown token.
async fn not_found() -> Refusal {
    Refusal::NotFound
}

#[derive(Clone)]
struct Site {
    pages: Pages,
    limits: Limits,
    metrics: Arc<dyn IntakeMetrics>,
    stop: Stop,
    abort: Stop,
}

async fn accept_all(socket: TcpListener, site: Site, slots: Arc<Semaphore>, connections: TaskTracker) {
    loop {
        let next = tokio::select! {
            () = site.stop.cancelled() => return,
            next = accept(&socket, &slots) => next,
        };
        match next {
            Ok((stream, peer, slot)) => {
                connections.spawn(speak(stream, peer, site.clone(), slot));
            }
            Err(error) => {
                warn!(%error, "Could not accept a connection.");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn accept(
    socket: &TcpListener,
    slots: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots)
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, peer) = socket.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer, slot))
}

async fn speak(stream: TcpStream, peer: SocketAddr, site: Site, _slot: OwnedSemaphorePermit) {
    let pages = site.pages;
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        if let Some(plain) = without_doubled_slash(request.uri()) {
            let sent = std::mem::replace(request.uri_mut(), plain);
            request.extensions_mut().insert(SentUri(sent));
        }
        let router = TowerToHyperService::new(pages.now());
        let answer = hyper::service::Service::call(&router, request.map(Body::new));
        async move { answer.await.map_err(|never: Infallible| never) }
    });
    let connection = http1::Builder::new()
        // A client that closes its sending side after the request still waits for the response.
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(site.limits.head_timeout)
        .max_header_size(site.limits.head_bytes)
        .max_buf_size(BUFFER_BYTES.max(site.limits.head_bytes))
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = site.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = site.abort.cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        let reason = reason(&error);
        debug!(reason, "A connection broke.");
        site.metrics.connection_broken(reason);
    }
}

/// The URI as the caller sent it, if the router got a normalised one. Signatures are over this URI.
#[derive(Debug, Clone)]
pub(super) struct SentUri(pub Uri);

/// `//in/TOKEN` as `/in/TOKEN`. Senders produce it from a base URL that ends with a slash.
fn without_doubled_slash(uri: &Uri) -> Option<Uri> {
    let sent = uri.path_and_query()?.as_str();
    let plain = sent.trim_start_matches('/');
    if sent.len() - plain.len() < 2 {
        return None;
    }
    format!("/{plain}").parse().ok()
}

fn reason(error: &hyper::Error) -> &'static str {
    if error.is_timeout() {
        "head_timeout"
    } else if error.is_parse_too_large() {
        "head_too_large"
    } else if error.is_parse() {
        "malformed"
    } else if error.is_incomplete_message() {
        "incomplete"
    } else {
        "other"
    }
}
