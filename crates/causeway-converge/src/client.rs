//! A minimal HTTP client that sends one request after the other over one connection.

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A connection to a local port that is reopened after an error.
pub struct Client {
    port: u16,
    stream: Option<TcpStream>,
}

impl Client {
    pub fn new(port: u16) -> Self {
        Self { port, stream: None }
    }

    /// Sends a request and returns status and body. After an error the next call opens a new connection.
    pub async fn send(&mut self, head: &str, body: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => TcpStream::connect(("127.0.0.1", self.port))
                .await
                .context("connecting")?,
        };
        let head = format!("{head}Host: hub\r\nContent-Length: {}\r\n\r\n", body.len());
        stream
            .write_all(&[head.as_bytes(), body].concat())
            .await
            .context("sending")?;
        let (status, answer, is_open) = read(&mut stream).await?;
        if is_open {
            self.stream = Some(stream);
        }
        Ok((status, answer))
    }
}

async fn read(stream: &mut TcpStream) -> anyhow::Result<(u16, Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    let mut part = vec![0; 16_384];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let status = head
                .split(' ')
                .nth(1)
                .and_then(|text| text.parse().ok())
                .context("no status")?;
            let field = |name: &str| {
                let line = head
                    .lines()
                    .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                line.map(str::trim).map(str::to_owned)
            };
            let length: Option<usize> = field("content-length").and_then(|text| text.parse().ok());
            let body = bytes.split_off(end + 4);
            let is_open = field("connection").as_deref() != Some("close");
            return match length {
                Some(length) => Ok((status, rest(stream, body, length).await?, is_open)),
                None => Ok((status, to_the_end(stream, body).await?, false)),
            };
        }
        let count = stream.read(&mut part).await.context("reading")?;
        if count == 0 {
            bail!("the connection was closed");
        }
        bytes.extend_from_slice(&part[..count]);
    }
}

async fn rest(stream: &mut TcpStream, mut body: Vec<u8>, length: usize) -> anyhow::Result<Vec<u8>> {
    let have = body.len().min(length);
    body.resize(length, 0);
    stream
        .read_exact(&mut body[have..])
        .await
        .context("reading the body")?;
    Ok(body)
}

async fn to_the_end(stream: &mut TcpStream, mut body: Vec<u8>) -> anyhow::Result<Vec<u8>> {
    stream.read_to_end(&mut body).await.context("reading the body")?;
    Ok(body)
}

/// A GET on a separate connection.
pub async fn get(port: u16, target: &str) -> anyhow::Result<(u16, String)> {
    let head = format!("GET {target} HTTP/1.1\r\nConnection: close\r\n");
    let (status, body) = Client::new(port).send(&head, b"").await?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
