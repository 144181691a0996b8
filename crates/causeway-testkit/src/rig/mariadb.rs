//! A private MariaDB server: fresh data folder, loopback only, one user with a password, no syncing to disk.

use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::process::{self, Process};
use super::{START_LIMIT, port, setting, unique_number};

const BINARIES: [&str; 2] = ["/usr/sbin", "/usr/bin"];

/// A MariaDB server, own or shared. Dropping an own one kills it and removes its data.
pub struct MariaDb {
    /// Without the database: `mysql://causeway:causeway@127.0.0.1:PORT`.
    base_url: String,
    own: Option<(Process, TempDir)>,
}

/// The server that `./test` started; without it, one per process, started at the first call.
pub fn shared() -> &'static MariaDb {
    static SHARED: OnceLock<MariaDb> = OnceLock::new();
    SHARED.get_or_init(|| match setting("CAUSEWAY_TEST_MYSQL") {
        Some(base_url) => MariaDb {
            base_url: base_url.trim_end_matches('/').to_owned(),
            own: None,
        },
        None => start(),
    })
}

/// Starts a server and waits until it answers.
pub fn start() -> MariaDb {
    start_with(&[])
}

/// Starts a server with further options, such as `--ssl-cert=FILE`.
pub fn start_with(options: &[String]) -> MariaDb {
    let (user, port) = (process::server_user("mysql"), port::free());
    let folder = process::folder("mariadb", user);
    let path = |name: &str| folder.path().join(name).display().to_string();

    let mut install = Command::new(process::program("mariadb-install-db", &BINARIES));
    install.args([
        "--no-defaults",
        "--skip-test-db",
        "--auth-root-authentication-method=normal",
    ]);
    install.arg(format!("--datadir={}", path("data")));
    process::run_as(&mut install, user, folder.path());
    process::run(install);

    // The only user that can connect by TCP, created while the server starts. It has a password because
    // clients differ in how they handle a user without one.
    let init = path("init.sql");
    let grant = "GRANT ALL ON *.* TO 'causeway'@'127.0.0.1' IDENTIFIED BY 'causeway' WITH GRANT OPTION;\n";
    std::fs::write(&init, grant).unwrap_or_else(|error| panic!("writing {init}: {error}"));

    let mut server = Command::new(process::program("mariadbd", &BINARIES));
    server.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve"]);
    server.args([
        "--character-set-server=utf8mb4",
        "--innodb-flush-log-at-trx-commit=0",
        "--max-connections=200",
    ]);
    server.args([
        "--innodb-buffer-pool-size=64M",
        "--innodb-flush-method=nosync",
        "--default-time-zone=+00:00",
    ]);
    for (option, value) in [
        ("datadir", path("data")),
        ("socket", path("socket")),
        ("pid-file", path("pid")),
        ("init-file", init),
        ("port", port.to_string()),
    ] {
        server.arg(format!("--{option}={value}"));
    }
    server.args(options);
    process::run_as(&mut server, user, folder.path());
    let mut server = Process::spawn(
        "mariadbd",
        server,
        &folder.path().join("server.log"),
        Some(folder.path()),
    );
    server.wait_for_line("ready for connections", START_LIMIT);
    server.wait_for_port(port, START_LIMIT);
    MariaDb {
        base_url: format!("mysql://causeway:causeway@127.0.0.1:{port}"),
        own: Some((server, folder)),
    }
}

impl MariaDb {
    /// The URL of the database that every server has.
    pub fn url(&self) -> String {
        self.url_of("mysql")
    }

    pub fn url_of(&self, database: &str) -> String {
        format!("{}/{database}", self.base_url)
    }

    /// Creates an empty database that no other test uses, and returns its URL.
    pub fn create_database(&self) -> String {
        let name = format!("test_{}", unique_number());
        self.execute("mysql", &format!("CREATE DATABASE {name}"));
        self.url_of(&name)
    }

    /// Runs SQL in a database with the `mariadb` client and returns the rows, one per line, without headings,
    /// columns separated by tabs.
    pub fn execute(&self, database: &str, sql: &str) -> String {
        let port = self.base_url.rsplit(':').next().unwrap_or_default();
        let mut client = Command::new(process::program("mariadb", &BINARIES));
        client.args([
            "--no-defaults",
            "--batch",
            "--skip-column-names",
            "--host=127.0.0.1",
        ]);
        client.args([
            "--user=causeway",
            "--password=causeway",
            "--default-character-set=utf8mb4",
        ]);
        client.args(["--port", port, "--database", database, "--execute", sql]);
        process::run(client)
    }

    /// The variables that make [`shared`] in another process use this server.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![("CAUSEWAY_TEST_MYSQL", self.base_url.clone())]
    }

    /// The process of an own server, to freeze or kill it.
    pub fn process(&mut self) -> &mut Process {
        let own = self.own.as_mut().map(|(process, _)| process);
        own.unwrap_or_else(|| panic!("the shared server is not ours to stop: use mariadb::start()"))
    }
}
