//! A private PostgreSQL server: fresh data folder, loopback only, no passwords, nothing synced to disk.

use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::process::{self, Process};
use super::{START_LIMIT, port, setting, unique_number};

const BINARIES: [&str; 1] = ["/usr/lib/postgresql/*/bin"];

/// A PostgreSQL server, own or shared. Dropping an own one kills it and removes its data.
pub struct Postgres {
    /// Without the database: `postgres://postgres@127.0.0.1:PORT`.
    base_url: String,
    own: Option<(Process, TempDir)>,
}

/// The server that `./test` started; without it, one per process, started at the first call.
pub fn shared() -> &'static Postgres {
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    SHARED.get_or_init(|| match setting("CAUSEWAY_TEST_PG") {
        Some(base_url) => Postgres {
            base_url: base_url.trim_end_matches('/').to_owned(),
            own: None,
        },
        None => start(),
    })
}

/// Starts a server and waits until it answers.
pub fn start() -> Postgres {
    let (user, port) = (process::server_user("postgres"), port::free());
    let folder = process::folder("postgres", user);
    let data = folder.path().join("data");

    let mut initdb = Command::new(process::program("initdb", &BINARIES));
    initdb.arg("--pgdata").arg(&data);
    initdb.args([
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
    ]);
    process::run_as(&mut initdb, user, folder.path());
    process::run(initdb);

    let mut server = Command::new(process::program("postgres", &BINARIES));
    server.arg("-D").arg(&data);
    for option in [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "fsync=off",
        "synchronous_commit=off",
        "full_page_writes=off",
        "shared_buffers=64MB",
        "max_connections=200",
        "timezone=UTC",
    ] {
        server.args(["-c", option]);
    }
    server.args(["-p", &port.to_string()]);
    process::run_as(&mut server, user, folder.path());
    let mut server = Process::spawn(
        "postgres",
        server,
        &folder.path().join("server.log"),
        Some(folder.path()),
    );
    server.wait_for_line("database system is ready to accept connections", START_LIMIT);
    Postgres {
        base_url: format!("postgres://postgres@127.0.0.1:{port}"),
        own: Some((server.end_by("QUIT"), folder)),
    }
}

impl Postgres {
    /// The URL of the database that every server has.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    pub fn port(&self) -> u16 {
        let port = self.base_url.rsplit(':').next();
        port.and_then(|port| port.parse().ok())
            .unwrap_or_else(|| panic!("{} names no port", self.base_url))
    }

    pub fn url_of(&self, database: &str) -> String {
        format!("{}/{database}", self.base_url)
    }

    /// Creates an empty database that no other test uses, and returns its URL.
    pub fn create_database(&self) -> String {
        let name = format!("test_{}", unique_number());
        self.execute(&self.url(), &format!("CREATE DATABASE {name}"));
        self.url_of(&name)
    }

    /// Runs SQL with `psql` and returns the rows, one per line, without headings, columns separated by `|`.
    pub fn execute(&self, url: &str, sql: &str) -> String {
        let mut psql = Command::new(process::program("psql", &BINARIES));
        psql.args([
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--set=ON_ERROR_STOP=1",
        ]);
        psql.args(["--dbname", url, "--command", sql]);
        process::run(psql)
    }

    /// The variables that make [`shared`] in another process use this server.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![("CAUSEWAY_TEST_PG", self.base_url.clone())]
    }

    /// The process of an own server, to freeze or kill it.
    pub fn process(&mut self) -> &mut Process {
        let own = self.own.as_mut().map(|(process, _)| process);
        own.unwrap_or_else(|| panic!("the shared server is not ours to stop: use postgres::start()"))
    }
}
