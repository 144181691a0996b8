//! The broker and the database servers that all batches of a run share.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::Context as _;
use causeway_testkit::rig::{mariadb, postgres, rabbit, topology, unique_number};
use lapin::{
    BasicProperties, Channel, Connection,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::FieldTable,
};

use crate::{
    config::{Keys, Servers},
    feature::{Feature, Features},
    proxy::Proxy,
    world::Server,
};

/// The private servers that the histories need, and the tested program.
pub struct Rig {
    pub program: PathBuf,
    pub keys: Keys,
    pub broker: Option<Broker>,
    pub postgres: Option<Database>,
    pub mariadb: Option<Database>,
    orgs: AtomicU32,
}

/// A database behind a proxy that can break its connections.
pub struct Database {
    /// The URL for the hub, through the proxy.
    pub url: String,
    /// For the test's own connection: a URL (PostgreSQL) or a name (MariaDB).
    pub direct: String,
    pub proxy: Proxy,
}

/// Two virtual hosts of one broker, as two Proca servers.
pub struct Broker {
    live: Host,
    staging: Host,
}

struct Host {
    url: String,
    channel: Channel,
    _connection: Connection,
}

impl Rig {
    pub async fn start(program: PathBuf, features: &Features) -> anyhow::Result<Self> {
        let sample = std::process::Command::new(&program)
            .args(["config", "sample"])
            .output()
            .with_context(|| format!("running {}", program.display()))?;
        let keys = Keys::new(String::from_utf8_lossy(&sample.stdout).into_owned());
        let broker = if features.has(Feature::Queue) {
            Some(Broker::start().await?)
        } else {
            None
        };
        let postgres = if features.has(Feature::Postgres) {
            Some(start_postgres().await?)
        } else {
            None
        };
        let mariadb = if features.has(Feature::MariaDb) {
            Some(start_mariadb().await?)
        } else {
            None
        };
        // Other processes of the same test run get other numbers. Each history uses a hundred numbers.
        let orgs = AtomicU32::new(unique_number() % 1_000_000 * 1000);
        Ok(Self {
            program,
            keys,
            broker,
            postgres,
            mariadb,
            orgs,
        })
    }

    /// The first of a hundred unused numbers of organisations.
    pub fn orgs(&self) -> u32 {
        self.orgs.fetch_add(100, Ordering::Relaxed)
    }

    pub fn servers(&self) -> Servers {
        let url = |database: &Option<Database>| {
            database
                .as_ref()
                .map_or_else(String::new, |database| database.url.clone())
        };
        Servers {
            live: self
                .broker
                .as_ref()
                .map_or_else(String::new, |broker| broker.live.url.clone()),
            staging: self
                .broker
                .as_ref()
                .map_or_else(String::new, |broker| broker.staging.url.clone()),
            postgres: url(&self.postgres),
            mariadb: url(&self.mariadb),
            receivers: Vec::new(),
            api: String::new(),
            ..Servers::default()
        }
    }

    /// Breaks the connections to the databases.
    pub fn cut(&self) {
        self.postgres
            .iter()
            .chain(&self.mariadb)
            .for_each(|database| database.proxy.cut());
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context("starting a server")
}

/// Puts a proxy in front of the server of a URL.
async fn behind_proxy(url: &str) -> anyhow::Result<(String, Proxy)> {
    let (head, rest) = url.split_once('@').context("no user in the URL")?;
    let (server, database) = rest.split_once('/').context("no database in the URL")?;
    let target: SocketAddr = server.parse().context("the server's address")?;
    let proxy = Proxy::start(target).await?;
    Ok((format!("{head}@127.0.0.1:{}/{database}", proxy.port), proxy))
}

async fn start_postgres() -> anyhow::Result<Database> {
    let direct = blocking(|| postgres::shared().create_database()).await?;
    let (url, proxy) = behind_proxy(&direct).await?;
    Ok(Database { url, direct, proxy })
}

async fn start_mariadb() -> anyhow::Result<Database> {
    let url = blocking(|| mariadb::shared().create_database()).await?;
    let direct = url.rsplit('/').next().unwrap_or_default().to_owned();
    let (url, proxy) = behind_proxy(&url).await?;
    Ok(Database { url, direct, proxy })
}

impl Broker {
    async fn start() -> anyhow::Result<Self> {
        let name = format!("staging{}", unique_number());
        let made = name.clone();
        let url = blocking(move || {
            let rabbit = rabbit::shared();
            rabbit.ctl(&["add_vhost", &made]);
            rabbit.ctl(&["set_permissions", "-p", &made, "proca", ".*", ".*", ".*"]);
            rabbit.url()
        })
        .await?;
        let (server, _) = url.rsplit_once('/').context("no virtual host in the URL")?;
        let staging = Host::connect(format!("{server}/{name}")).await?;
        Ok(Self {
            live: Host::connect(url).await?,
            staging,
        })
    }

    fn host(&self, server: Server) -> &Host {
        match server {
            Server::Live => &self.live,
            Server::Staging => &self.staging,
        }
    }

    pub async fn declare(&self, server: Server, queue: &str) -> anyhow::Result<()> {
        let options = QueueDeclareOptions {
            durable: true,
            ..Default::default()
        };
        let declared = self
            .host(server)
            .channel
            .queue_declare(queue.into(), options, FieldTable::default())
            .await;
        declared.map(|_| ()).context("declaring a queue")
    }

    pub async fn delete(&self, server: Server, queue: &str) -> anyhow::Result<()> {
        let deleted = self
            .host(server)
            .channel
            .queue_delete(queue.into(), QueueDeleteOptions::default())
            .await;
        deleted.map(|_| ()).context("deleting a queue")
    }

    /// Publishes a message, and returns when the broker has confirmed it.
    pub async fn publish(&self, server: Server, queue: &str, body: &[u8]) -> anyhow::Result<()> {
        let properties = BasicProperties::default().with_delivery_mode(2);
        let channel = &self.host(server).channel;
        let sent = channel
            .basic_publish(
                "".into(),
                queue.into(),
                BasicPublishOptions::default(),
                body,
                properties,
            )
            .await;
        sent.context("publishing")?
            .await
            .context("waiting for the broker")?;
        Ok(())
    }

    /// The number of messages in a queue that were not handed out.
    pub async fn depth(&self, server: Server, queue: &str) -> anyhow::Result<u32> {
        let options = QueueDeclareOptions {
            passive: true,
            ..Default::default()
        };
        let found = self
            .host(server)
            .channel
            .queue_declare(queue.into(), options, FieldTable::default())
            .await;
        Ok(found.context("asking for a queue")?.message_count())
    }
}

impl Host {
    async fn connect(url: String) -> anyhow::Result<Self> {
        let connection = topology::connect(&url).await;
        let channel = connection.create_channel().await.context("opening a channel")?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await
            .context("confirm mode")?;
        Ok(Self {
            url,
            channel,
            _connection: connection,
        })
    }
}
