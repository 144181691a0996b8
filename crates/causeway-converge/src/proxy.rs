//! A TCP proxy in front of a database server that can cut connections at any byte.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context as _;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
};

pub struct Proxy {
    pub port: u16,
    cuts: watch::Sender<u64>,
    task: AbortHandle,
}

impl Proxy {
    pub async fn start(target: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("opening a proxy")?;
        let port = listener.local_addr().context("reading its address")?.port();
        let (cuts, look) = watch::channel(0);
        let task = tokio::spawn(serve(listener, target, look)).abort_handle();
        Ok(Self { port, cuts, task })
    }

    /// Breaks all connections; new ones are accepted.
    pub fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, target: SocketAddr, mut cuts: watch::Receiver<u64>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(carry(stream, target));
                    while connections.try_join_next().is_some() {}
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            changed = cuts.changed() => {
                if changed.is_err() {
                    return;
                }
                connections.abort_all();
            }
        }
    }
}

async fn carry(mut near: TcpStream, target: SocketAddr) {
    if let Ok(mut far) = TcpStream::connect(target).await {
        let _nagle = (near.set_nodelay(true), far.set_nodelay(true));
        let _broken = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    }
}
