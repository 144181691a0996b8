//! A small HTTP/1.1 client for loopback, and the load generator on top of it. Written by hand so that it takes as
//! little as possible from the two processors that the measured server needs: one buffer a connection, no header is
//! parsed but `Content-Length`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::messages::Form;

/// One request on a connection of its own; gives status and body.
pub async fn get(port: u16, path: &str) -> anyhow::Result<(u16, String)> {
    let mut connection = Connection::open(port).await?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    connection.stream.write_all(head.as_bytes()).await?;
    let mut all = Vec::new();
    connection.stream.read_to_end(&mut all).await?;
    let text = String::from_utf8_lossy(&all);
    let (head, body) = text.split_once("\r\n\r\n").context("an answer without a head")?;
    Ok((status(head.as_bytes())?, body.to_owned()))
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))
            .await
            .context("connecting")?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(8_192),
        })
    }

    /// Sends a whole request and reads the whole answer; gives its status.
    async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("the server closed the connection");
            }
            if let Some(head) = find(&self.buffer, b"\r\n\r\n") {
                let length = content_length(self.buffer.get(..head).unwrap_or_default())?;
                while self.buffer.len() < head + 4 + length {
                    if self.stream.read_buf(&mut self.buffer).await? == 0 {
                        bail!("the server closed the connection");
                    }
                }
                return status(&self.buffer);
            }
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn status(head: &[u8]) -> anyhow::Result<u16> {
    let digits = head.get(9..12).context("an answer without a status")?;
    Ok(std::str::from_utf8(digits)?.parse()?)
}

fn content_length(head: &[u8]) -> anyhow::Result<usize> {
    let name = b"\r\ncontent-length:";
    let at = head
        .windows(name.len())
        .position(|window| window.eq_ignore_ascii_case(name));
    let at = at.context("an answer without Content-Length")? + name.len();
    let line = head
        .get(at..)
        .unwrap_or_default()
        .split(|byte| *byte == b'\r')
        .next();
    Ok(std::str::from_utf8(line.unwrap_or_default())?.trim().parse()?)
}

/// What a load showed.
pub struct Load {
    pub answered: u64,
    pub refused: u64,
    pub seconds: f64,
    /// The time of each answer with 200, in milliseconds, ascending.
    waits: Vec<f32>,
}

impl Load {
    #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.seconds
    }

    /// `part` of 0.99 gives the time within which 99 of 100 were answered.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a list"
    )]
    pub fn within_ms(&self, part: f64) -> f64 {
        let at = ((self.waits.len() as f64 * part) as usize).min(self.waits.len().saturating_sub(1));
        self.waits.get(at).copied().map_or(f64::NAN, f64::from)
    }
}

/// Posts forms on `connections` connections for `time`, each sending the next when it has its answer. `numbers` gives
/// every post another person.
pub async fn post_forms(
    port: u16,
    path: &str,
    connections: usize,
    time: Duration,
    numbers: &Arc<AtomicU64>,
) -> anyhow::Result<Load> {
    let stop = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let (stop, numbers, path) = (Arc::clone(&stop), Arc::clone(numbers), path.to_owned());
        tasks.push(tokio::spawn(async move {
            post_until(port, &path, &stop, &numbers).await
        }));
    }
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    let mut load = Load {
        answered: 0,
        refused: 0,
        seconds: 0.0,
        waits: Vec::new(),
    };
    for task in tasks {
        let (waits, refused) = task.await.context("a connection of the load")??;
        load.waits.extend(waits);
        load.refused += refused;
    }
    load.seconds = started.elapsed().as_secs_f64();
    load.answered = u64::try_from(load.waits.len())?;
    load.waits.sort_by(f32::total_cmp);
    Ok(load)
}

async fn post_until(
    port: u16,
    path: &str,
    stop: &AtomicBool,
    numbers: &AtomicU64,
) -> anyhow::Result<(Vec<f32>, u64)> {
    let mut connection = Connection::open(port).await?;
    let mut form = Form::new()?;
    let length = form.of(0)?.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    let mut request = head.into_bytes();
    let body_at = request.len();
    let (mut waits, mut refused) = (Vec::with_capacity(100_000), 0);
    while !stop.load(Ordering::Relaxed) {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        request.truncate(body_at);
        request.extend_from_slice(form.of(number)?);
        let sent = Instant::now();
        match connection.exchange(&request).await? {
            200 => waits.push(sent.elapsed().as_secs_f32() * 1_000.0),
            _ => refused += 1,
        }
    }
    Ok((waits, refused))
}

/// One post on a connection of its own; gives the status.
pub async fn post(port: u16, path: &str, content_type: &str, body: &[u8]) -> anyhow::Result<u16> {
    post_with(port, path, content_type, "", body).await
}

/// The same with further header lines, each with its end.
pub async fn post_with(
    port: u16,
    path: &str,
    content_type: &str,
    headers: &str,
    body: &[u8],
) -> anyhow::Result<u16> {
    let mut connection = Connection::open(port).await?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.exchange(&[head.as_bytes(), body].concat()).await
}
