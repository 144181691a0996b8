//! The receivers of web hooks. They misbehave by a plan, and keep the last change of each address, like a newsletter tool.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value as Json;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use crate::{
    dice::{Dice, hash, mix},
    http::{Closed, Full, answer, read},
};

/// A request with an address.
#[derive(Debug, Clone)]
pub struct Call {
    pub destination: String,
    pub address: String,
    /// `subscribe`, `unsubscribe`, `suppress`, `remove`, `none`; empty if the destination cannot express it.
    pub change: String,
    pub key: String,
    pub started: Instant,
}

/// All changes. The newest one of an address at a destination counts.
#[derive(Debug, Clone)]
pub struct StoredChange {
    pub destination: String,
    pub address: String,
    pub is_subscribed: bool,
}

#[derive(Default)]
struct Data {
    calls: Vec<Call>,
    kept: Vec<StoredChange>,
    attempts: HashMap<(String, String), u32>,
    /// Requests that could not be parsed, which is an error of this program.
    strange: Vec<String>,
}

/// Several receivers that share their data; each can be down for a while.
pub struct Receivers {
    data: Arc<Mutex<Data>>,
    is_well: Arc<AtomicBool>,
    ports: Vec<Port>,
}

struct Port {
    address: SocketAddr,
    is_down: watch::Sender<bool>,
    task: AbortHandle,
}

/// The response to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Good,
    /// Accepts it after a while, if the caller is still connected.
    Slow,
    /// 429 or 500, and not accepted.
    Refuse(u16),
    /// Accepted, but an error as response.
    TakeAndFail,
    /// Accepted, but no response within the time-out.
    TakeAndHang,
    /// The connection is closed, before or after it was accepted.
    Close {
        is_taken: bool,
    },
}

const SLOW: Duration = Duration::from_millis(150);
/// Longer than the destinations' `timeout_s`.
const HANG: Duration = Duration::from_millis(1_300);
/// Maximum number of failing attempts of one delivery; much fewer than its schedule has.
const MAX_FAILURES: u32 = 4;

impl Receivers {
    pub async fn start(count: usize, seed: u64, is_well: bool) -> anyhow::Result<Self> {
        let data = Arc::default();
        let is_well = Arc::new(AtomicBool::new(is_well));
        let mut ports = Vec::new();
        for _ in 0..count {
            let listener = TcpListener::bind("127.0.0.1:0")
                .await
                .context("opening a receiver")?;
            let address = listener.local_addr().context("reading its address")?;
            let (is_down, look) = watch::channel(false);
            let service = Service {
                data: Arc::clone(&data),
                is_well: Arc::clone(&is_well),
                seed,
            };
            let task = tokio::spawn(serve(listener, address, service, look)).abort_handle();
            ports.push(Port {
                address,
                is_down,
                task,
            });
        }
        Ok(Self { data, is_well, ports })
    }

    pub fn urls(&self) -> Vec<String> {
        self.ports
            .iter()
            .map(|port| format!("http://{}", port.address))
            .collect()
    }

    /// Refuses new connections and breaks open ones, or accepts connections again.
    pub fn set_down(&self, port: usize, is_down: bool) {
        if let Some(port) = self.ports.get(port) {
            port.is_down.send_replace(is_down);
        }
    }

    /// From now on every call succeeds.
    pub fn heal(&self) {
        self.is_well.store(true, Ordering::Relaxed);
        (0..self.ports.len()).for_each(|port| self.set_down(port, false));
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn calls(&self) -> Vec<Call> {
        self.data().calls.clone()
    }

    pub fn kept(&self) -> Vec<StoredChange> {
        self.data().kept.clone()
    }

    pub fn strange(&self) -> Vec<String> {
        self.data().strange.clone()
    }
}

impl Drop for Receivers {
    fn drop(&mut self) {
        self.ports.iter().for_each(|port| port.task.abort());
    }
}

#[derive(Clone)]
struct Service {
    data: Arc<Mutex<Data>>,
    is_well: Arc<AtomicBool>,
    seed: u64,
}

async fn serve(
    listener: TcpListener,
    address: SocketAddr,
    service: Service,
    mut is_down: watch::Receiver<bool>,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        if *is_down.borrow_and_update() {
            listener = None;
            connections.abort_all();
            if is_down.changed().await.is_err() {
                return;
            }
            continue;
        }
        let open = if let Some(open) = listener.take() {
            open
        } else if let Ok(open) = TcpListener::bind(address).await {
            open
        } else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        tokio::select! {
            accepted = open.accept() => {
                if let Ok((stream, _)) = accepted {
                    let service = service.clone();
                    let answer = service_fn(move |request| service.clone().answer(request));
                    let _nagle = stream.set_nodelay(true);
                    connections.spawn(async move {
                        let _broken = hyper::server::conn::http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), answer)
                            .await;
                    });
                }
                while connections.try_join_next().is_some() {}
            }
            changed = is_down.changed() => if changed.is_err() { return },
        }
        listener = Some(open);
    }
}

impl Service {
    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full>, Closed> {
        let started = Instant::now();
        let (head, body) = request.into_parts();
        let destination = head.uri.path().trim_matches('/').to_owned();
        let query = head.uri.query().unwrap_or_default().to_owned();
        let content_type = head
            .headers
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let header = head
            .headers
            .get("idempotency-key")
            .and_then(|value| value.to_str().ok());
        let key = header.unwrap_or_default().to_owned();
        let body = read(body).await?;
        let (address, change) = parse(&content_type, &query, &body);
        // A person with only an id has no address to mail.
        let address = address.filter(|address| !address.is_empty());
        if address.is_none() && names_nobody(&content_type, &query, &body) {
            return Ok(answer(200, "{}"));
        }
        let Some(address) = address else {
            self.data().strange.push(format!(
                "{destination} {query} {}",
                String::from_utf8_lossy(&body)
            ));
            return Ok(answer(200, "{}"));
        };
        let call = Call {
            destination,
            address: mailbox(&address),
            change: change.unwrap_or_default(),
            key,
            started,
        };
        let manner = self.manner(&call);
        self.data().calls.push(call.clone());
        match manner {
            Manner::Good => {
                self.keep(&call);
                Ok(answer(200, "{}"))
            }
            Manner::Slow => {
                // If the connection ends, this future is dropped, and nothing is kept.
                tokio::time::sleep(SLOW).await;
                self.keep(&call);
                Ok(answer(200, "{}"))
            }
            Manner::Refuse(status) => Ok(answer(status, "{}")),
            Manner::TakeAndFail => {
                self.keep(&call);
                Ok(answer(500, "{}"))
            }
            Manner::TakeAndHang => {
                self.keep(&call);
                tokio::time::sleep(HANG).await;
                Err(Closed)
            }
            Manner::Close { is_taken } => {
                if is_taken {
                    self.keep(&call);
                }
                Err(Closed)
            }
        }
    }

    /// The behaviour depends only on the delivery and the number of the attempt.
    fn manner(&self, call: &Call) -> Manner {
        let mut data = self.data();
        let attempt = data
            .attempts
            .entry((call.destination.clone(), call.key.clone()))
            .or_default();
        *attempt += 1;
        if self.is_well.load(Ordering::Relaxed) || *attempt > MAX_FAILURES {
            return Manner::Good;
        }
        let mut dice = Dice::new(mix(&[
            self.seed,
            hash(&call.address),
            hash(&call.destination),
            u64::from(*attempt),
        ]));
        dice.weighted(&[
            (78, Manner::Good),
            (4, Manner::Slow),
            (3, Manner::Refuse(429)),
            (5, Manner::Refuse(500)),
            (3, Manner::TakeAndFail),
            (1, Manner::TakeAndHang),
            (3, Manner::Close { is_taken: false }),
            (3, Manner::Close { is_taken: true }),
        ])
    }

    fn keep(&self, call: &Call) {
        // A receiver that gets only addresses treats each as a subscription.
        let is_subscribed = match call.change.as_str() {
            "subscribe" | "" => true,
            "none" => return,
            _ => false,
        };
        self.data().kept.push(StoredChange {
            destination: call.destination.clone(),
            address: call.address.clone(),
            is_subscribed,
        });
    }
}

/// The address and the change of a request, in every format of the destinations.
fn parse(content_type: &str, query: &str, body: &[u8]) -> (Option<String>, Option<String>) {
    if content_type.starts_with("application/json") {
        let json: Json = serde_json::from_slice(body).unwrap_or_default();
        let text = |value: &Json| value.as_str().map(str::to_owned);
        let address = text(&json["email"]).or_else(|| text(&json["contact"]["email"]));
        return (address, text(&json["change"]));
    }
    let body = String::from_utf8_lossy(body);
    let pairs: Vec<(String, String)> = query.split('&').chain(body.split('&')).filter_map(pair).collect();
    let find = |names: &[&str]| {
        pairs
            .iter()
            .find(|(name, _)| names.contains(&name.as_str()))
            .map(|(_, value)| value.clone())
    };
    (find(&["email", "contact[email]"]), find(&["change"]))
}

/// A valid request without an address.
fn names_nobody(content_type: &str, query: &str, body: &[u8]) -> bool {
    if content_type.starts_with("application/json") {
        return serde_json::from_slice::<Json>(body).is_ok_and(|json| {
            json.is_object() && json["email"].is_null() && json["contact"]["email"].is_null()
        });
    }
    let (_, change) = parse(content_type, query, body);
    change.is_some()
}

fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced)
            .decode_utf8_lossy()
            .into_owned()
    };
    Some((decode(name), decode(value)))
}

/// The mailbox of an address.
pub fn mailbox(address: &str) -> String {
    address
        .chars()
        .filter(char::is_ascii_graphic)
        .collect::<String>()
        .to_lowercase()
}
