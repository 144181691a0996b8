//! The real Directus, with a SQLite file in a temporary folder.
//!
//! It is in the folder that the environment variable `CAUSEWAY_DIRECTUS` names; `clients/directus/install FOLDER` puts it
//! there, and `./test --long` runs that.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use tempfile::TempDir;

use super::{
    port,
    process::{self, Process},
};
use crate::vendors::clients::Script;

/// The static token of the administrator.
pub const ADMIN_TOKEN: &str = "token-of-the-administrator";

/// It loads some 1500 packages, which takes a minute on a machine that has other work.
const START_LIMIT: Duration = Duration::from_mins(5);

/// A running Directus. Dropping it ends the process and removes its folder.
pub struct Directus {
    port: u16,
    _server: Process,
    _folder: TempDir,
}

/// Makes the database, and starts the server.
pub fn start() -> Directus {
    let (folder, port) = (process::folder("directus", None), port::free());
    let command = |name: &str| {
        let mut command = node();
        command
            .arg(installed().join("node_modules/directus/cli.js"))
            .arg(name)
            .current_dir(folder.path())
            .env("HOST", "127.0.0.1")
            .env("PORT", port.to_string())
            .env("PUBLIC_URL", format!("http://127.0.0.1:{port}"))
            .env("DB_CLIENT", "sqlite3")
            .env("DB_FILENAME", folder.path().join("directus.db"))
            .env("STORAGE_LOCAL_ROOT", folder.path().join("uploads"))
            .env("EXTENSIONS_PATH", folder.path().join("extensions"))
            .env("KEY", "a-key-for-tests")
            .env("SECRET", "a-secret-for-tests-that-is-long-enough")
            .env("ADMIN_EMAIL", "admin@example.org")
            .env("ADMIN_PASSWORD", "password-of-the-administrator")
            .env("ADMIN_TOKEN", ADMIN_TOKEN)
            .env("TELEMETRY", "false")
            .env("SERVE_APP", "false")
            .env("WEBSOCKETS_ENABLED", "false")
            .env("LOG_LEVEL", "warn");
        command
    };
    process::run(command("bootstrap"));
    let log = folder.path().join("directus.log");
    let mut server = Process::spawn("directus", command("start"), &log, Some(folder.path()));
    server.wait_for("/server/health", START_LIMIT, |_| is_healthy(port));
    Directus {
        port,
        _server: server,
        _folder: folder,
    }
}

impl Directus {
    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Directus' own SDK, as the administrator.
    pub fn sdk(&self) -> Script {
        let modules = installed().join("node_modules");
        Script::node_at(node(), &modules, "directus/sdk.js", &[&self.url(), ADMIN_TOKEN])
    }
}

/// The Node.js that was installed with it.
fn node() -> Command {
    Command::new(installed().join("bin/node"))
}

fn installed() -> PathBuf {
    match super::setting("CAUSEWAY_DIRECTUS") {
        Some(folder) => folder.into(),
        None => panic!(
            "CAUSEWAY_DIRECTUS is not set: run crates/causeway-testkit/clients/directus/install FOLDER, and set it to \
             FOLDER"
        ),
    }
}

/// Whether it answers, and all that it needs works.
fn is_healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"GET /server/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}
