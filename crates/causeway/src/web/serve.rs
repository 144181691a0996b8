//! Takes connections and speaks HTTP/1 on them, so that no caller can hold us up: limits on headers, time and the
//! number of connections, and a graceful end. axum's own loop sets none of these.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

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

use super::{error::Refusal, ingest::IngestMetrics};

/// What one caller, and all together, may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; more wait in the system's queue.
    pub connections: usize,
    /// How long a request's head may take, and how long a connection may be idle.
    pub head_timeout: Duration,
    /// The longest head: address and headers.
    pub head_bytes: usize,
    /// How long requests under way may take to finish once the program stops.
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

/// How much of a connection is read ahead; hyper wants at least 8 KiB.
const BUFFER_BYTES: usize = 64 * 1024;
/// How long to wait when the system gives no more connections (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves each socket with its router until `stop`, then lets what is under way finish within `limits.grace`.
pub async fn serve(
    sites: Vec<(TcpListener, Router)>,
    limits: Limits,
    metrics: Arc<dyn IngestMetrics>,
    stop: Stop,
) {
    let connections = TaskTracker::new();
    let slots = Arc::new(Semaphore::new(limits.connections));
    let abort = Stop::new();
    let mut loops = tokio::task::JoinSet::new();
    for (socket, router) in sites {
        let site = Site {
            router: router.fallback(not_found),
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
            "Requests were still under way at the end and were cut."
        );
        abort.cancel();
        connections.wait().await;
    }
}

/// Answers for every path that nobody serves, in the same words as for an unknown token.
async fn not_found() -> Refusal {
    Refusal::NotFound
}

#[derive(Clone)]
struct Site {
    router: Router,
    limits: Limits,
    metrics: Arc<dyn IngestMetrics>,
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
                warn!(%error, "A connection could not be taken.");
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
    let router = TowerToHyperService::new(site.router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        if let Some(plain) = without_doubled_slash(request.uri()) {
            let sent = std::mem::replace(request.uri_mut(), plain);
            request.extensions_mut().insert(SentUri(sent));
        }
        let answer = hyper::service::Service::call(&router, request.map(Body::new));
        async move { answer.await.map_err(|never: Infallible| never) }
    });
    let connection = http1::Builder::new()
        // Who closes their side behind the request still wants the answer.
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

/// The address as the caller sent it, where another one was looked up in its place: signatures are over this one.
#[derive(Debug, Clone)]
pub(super) struct SentUri(pub Uri);

/// `//in/TOKEN` as `/in/TOKEN`: what comes of a base address that ends with a slash.
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
