//! A fake HTTP API on a free loopback port: it sends scripted responses, misbehaves on request, and records
//! the requests.
//!
//! It speaks HTTP/1.1 by hand, because a real server would not send garbage, hang, or break off in the
//! middle.
#![expect(clippy::unwrap_used, reason = "test equipment: a failure is the test's")]

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream, tcp::OwnedWriteHalf},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// How long [`FakeApi::wait_for`] waits before it fails the test.
const DEADLINE: Duration = Duration::from_secs(20);

/// A response.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
    after: Duration,
    manner: Manner,
}

#[derive(Debug, Clone, PartialEq)]
enum Manner {
    Whole,
    /// Never responds; the connection stays open until the caller closes it.
    Hang,
    /// Closes the connection without a response.
    Close,
    /// Sends the body in place of an HTTP response and closes.
    Raw,
    /// Announces more bytes than it sends, and closes.
    Cut,
    /// Sends the head, then one byte of the body at a time with this pause.
    Trickle(Duration),
}

impl Reply {
    /// The status and the body, for a response that has others in it.
    pub(crate) fn status_and_body(&self) -> (u16, &[u8]) {
        (self.status, &self.body)
    }

    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
            after: Duration::ZERO,
            manner: Manner::Whole,
        }
    }

    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::status(status)
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    pub fn hang() -> Self {
        Self {
            manner: Manner::Hang,
            ..Self::status(200)
        }
    }

    pub fn close() -> Self {
        Self {
            manner: Manner::Close,
            ..Self::status(200)
        }
    }

    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self {
            manner: Manner::Raw,
            ..Self::status(200)
        }
        .body(bytes)
    }

    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            ..self
        }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn content(&self) -> &[u8] {
        &self.body
    }

    /// Waits before it responds.
    #[must_use]
    pub fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    /// Breaks off before the announced end of the body.
    #[must_use]
    pub fn cut(self) -> Self {
        Self {
            manner: Manner::Cut,
            ..self
        }
    }

    #[must_use]
    pub fn trickle(self, pause: Duration) -> Self {
        Self {
            manner: Manner::Trickle(pause),
            ..self
        }
    }

    /// The status.
    pub fn code(&self) -> u16 {
        self.status
    }

    fn bytes(&self) -> Vec<u8> {
        if self.manner == Manner::Raw {
            return self.body.to_vec();
        }
        let more = if self.manner == Manner::Cut { 100 } else { 0 };
        let length = self.body.len() + more;
        let mut head = vec![
            format!("HTTP/1.1 {} X", self.status),
            format!("content-length: {length}"),
        ];
        head.extend(
            self.headers
                .iter()
                .map(|(name, value)| format!("{name}: {value}")),
        );
        let head = head.join("\r\n") + "\r\n\r\n";
        [head.as_bytes(), &self.body].concat()
    }
}

/// A request that was received.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    /// As sent, without the `?`; empty if there is none.
    pub query: String,
    /// Names in lower case, in the order in which they were sent.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(have, _)| have.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Fails the test if the body is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The API. Stops when dropped.
pub struct FakeApi {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    state: Mutex<State>,
    received: watch::Sender<usize>,
}

type Compute = dyn Fn(&Request) -> Reply + Send + Sync;

struct State {
    default: Reply,
    by_path: HashMap<String, Reply>,
    scripts: HashMap<String, VecDeque<Reply>>,
    /// Path → the function that makes the response from the request.
    computed: HashMap<String, Arc<Compute>>,
    /// Makes the response on all other paths.
    computed_elsewhere: Option<Arc<Compute>>,
    requests: Vec<Request>,
    connections: usize,
}

impl FakeApi {
    /// Answers 200 with `{}` to every request until configured otherwise.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                default: Reply::json(200, &serde_json::json!({})),
                by_path: HashMap::new(),
                scripts: HashMap::new(),
                computed: HashMap::new(),
                computed_elsewhere: None,
                requests: Vec::new(),
                connections: 0,
            }),
            received: watch::Sender::new(0),
        });
        let server = tokio::spawn(serve(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            server,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `path` starts with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sends this response from now on, wherever nothing more specific is set.
    pub fn reply(&self, reply: Reply) {
        self.state().default = reply;
    }

    /// Sends this response on one path from now on.
    pub fn reply_at(&self, path: &str, reply: Reply) {
        self.state().by_path.insert(path.to_owned(), reply);
    }

    /// Sends on one path the response that `compute` makes, unless a script is set.
    pub fn compute_at(&self, path: &str, compute: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        self.state().computed.insert(path.to_owned(), Arc::new(compute));
    }

    /// Sends the response that `compute` makes, on every path for which nothing is set.
    pub fn compute(&self, compute: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        self.state().computed_elsewhere = Some(Arc::new(compute));
    }

    /// Sends these responses on one path, each once and in this order; then the usual response again.
    pub fn script(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        self.state()
            .scripts
            .entry(path.to_owned())
            .or_default()
            .extend(replies);
    }

    /// Drops all settings and all recorded requests.
    pub fn reset(&self) {
        let mut state = self.state();
        state.default = Reply::json(200, &serde_json::json!({}));
        state.by_path.clear();
        state.scripts.clear();
        state.computed.clear();
        state.computed_elsewhere = None;
        state.requests.clear();
        self.shared.received.send_replace(0);
    }

    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// The number of connections accepted.
    pub fn connections(&self) -> usize {
        self.state().connections
    }

    /// Waits until it received at least `count` requests (since the start, or since [`FakeApi::reset`]).
    /// Fails the test if that takes too long.
    pub async fn wait_for(&self, count: usize) -> Vec<Request> {
        let mut received = self.shared.received.subscribe();
        let enough = received.wait_for(|received| *received >= count);
        let in_time = tokio::time::timeout(DEADLINE, enough).await.is_ok();
        let requests = self.requests();
        assert!(in_time, "waited for {count} requests, {} came", requests.len());
        requests
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for FakeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the request and chooses the response.
    fn receive(&self, request: Request) -> Reply {
        let mut state = self.state();
        let path = request.path.clone();
        let scripted = state.scripts.get_mut(&path).and_then(VecDeque::pop_front);
        let computed = state.computed.get(&path).cloned();
        let reply = scripted
            .or_else(|| computed.map(|compute| compute(&request)))
            .or_else(|| state.by_path.get(&path).cloned())
            .or_else(|| state.computed_elsewhere.as_ref().map(|compute| compute(&request)));
        state.requests.push(request);
        let reply = reply.unwrap_or_else(|| state.default.clone());
        let count = state.requests.len();
        drop(state);
        self.received.send_replace(count);
        reply
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // Aborting this future drops the set and with it all connections.
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        shared.state().connections += 1;
        let shared = Arc::clone(&shared);
        // A caller that disconnects in the middle is part of the tests.
        connections.spawn(async move { converse(stream, &shared).await.ok() });
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    while let Some(request) = read_request(&mut read).await? {
        let reply = shared.receive(request);
        if reply.after > Duration::ZERO {
            tokio::time::sleep(reply.after).await;
        }
        match reply.manner {
            Manner::Whole => write.write_all(&reply.bytes()).await?,
            Manner::Trickle(pause) => trickle(&mut write, &reply, pause).await?,
            Manner::Raw | Manner::Cut => return write.write_all(&reply.bytes()).await,
            Manner::Close => return Ok(()),
            Manner::Hang => return read.read_to_end(&mut Vec::new()).await.map(|_| ()),
        }
    }
    Ok(())
}

async fn trickle(write: &mut OwnedWriteHalf, reply: &Reply, pause: Duration) -> std::io::Result<()> {
    let bytes = reply.bytes();
    let (head, body) = bytes.split_at(bytes.len() - reply.body.len());
    write.write_all(head).await?;
    for byte in body {
        tokio::time::sleep(pause).await;
        write.write_all(&[*byte]).await?;
    }
    Ok(())
}

/// `None` when the caller has closed the connection.
async fn read_request(read: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<Option<Request>> {
    let first = read_line(read).await?;
    let mut words = first.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Ok(None);
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: Vec::new(),
        body: Bytes::new(),
    };
    loop {
        let line = read_line(read).await?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        request
            .headers
            .push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut body = Vec::new();
    if let Some(length) = request.header("content-length") {
        body.resize(length.parse().unwrap(), 0);
        read.read_exact(&mut body).await?;
    } else if request.header("transfer-encoding").is_some() {
        loop {
            let size = usize::from_str_radix(&read_line(read).await?, 16).unwrap();
            let start = body.len();
            body.resize(start + size, 0);
            read.read_exact(body.get_mut(start..).unwrap_or_default()).await?;
            read_line(read).await?;
            if size == 0 {
                break;
            }
        }
    }
    request.body = body.into();
    Ok(Some(request))
}

async fn read_line(read: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<String> {
    let mut line = String::new();
    read.read_line(&mut line).await?;
    Ok(line.trim_end().to_owned())
}
