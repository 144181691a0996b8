//! A private PgBouncer in front of a PostgreSQL server: loopback only, no passwords.

use std::process::Command;

use tempfile::TempDir;

use super::{
    START_LIMIT, port,
    postgres::Postgres,
    process::{self, Process},
};

const BINARIES: [&str; 1] = ["/usr/sbin"];

/// Dropping it kills the pooler and removes its files.
pub struct PgBouncer {
    base_url: String,
    _process: Process,
    _folder: TempDir,
}

/// Starts a pooler with this `pool_mode` and `pool_size` connections for each database, and waits until it
/// answers.
pub fn start(server: &Postgres, pool_mode: &str, pool_size: u32) -> PgBouncer {
    // PgBouncer refuses to run as root.
    let (user, port) = (process::server_user("postgres"), port::free());
    let folder = process::folder("pgbouncer", user);
    let file = folder.path().join("pgbouncer.ini");
    let config = format!(
        "[databases]\n* = host=127.0.0.1 port={} user=postgres\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
         pool_mode = {pool_mode}\ndefault_pool_size = {pool_size}\nmax_client_conn = 200\n",
        server.port()
    );
    std::fs::write(&file, config).unwrap_or_else(|error| panic!("writing {}: {error}", file.display()));
    let mut command = Command::new(process::program("pgbouncer", &BINARIES));
    command.arg(&file);
    process::run_as(&mut command, user, folder.path());
    let log = folder.path().join("pgbouncer.log");
    let mut process = Process::spawn("pgbouncer", command, &log, Some(folder.path()));
    process.wait_for_port(port, START_LIMIT);
    PgBouncer {
        base_url: format!("postgres://postgres@127.0.0.1:{port}"),
        _process: process,
        _folder: folder,
    }
}

impl PgBouncer {
    /// The URL of the same database through the pooler.
    pub fn url_of(&self, url: &str) -> String {
        let database = url.rsplit('/').next().unwrap_or_default();
        format!("{}/{database}", self.base_url)
    }
}
