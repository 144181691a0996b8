//! Real PHP: its built-in web server with one router script, and single scripts on the command line.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::process::{self, Process};
use super::{START_LIMIT, port};

/// `php -S` with a router script. Dropping it ends the server and removes the folder.
pub struct Php {
    port: u16,
    server: Process,
    folder: TempDir,
}

/// Serves every request with `router`, the text of a PHP file (with its `<?php`).
pub fn serve(router: &str) -> Php {
    let (folder, port) = (process::folder("php", None), port::free());
    let script = folder.path().join("router.php");
    std::fs::write(&script, router).unwrap_or_else(|error| panic!("writing {}: {error}", script.display()));
    let mut command = php();
    command
        .current_dir(folder.path())
        .arg("-S")
        .arg(format!("127.0.0.1:{port}"))
        .arg(&script);
    let mut server = Process::spawn(
        "php",
        command,
        &folder.path().join("server.log"),
        Some(folder.path()),
    );
    server.wait_for_port(port, START_LIMIT);
    Php { port, server, folder }
}

/// Runs a script (with its `<?php`) that reads `input` from standard input, and returns its output.
pub fn run(script: &str, input: &[u8]) -> Vec<u8> {
    let folder = process::folder("php", None);
    let path = folder.path().join("script.php");
    std::fs::write(&path, script).unwrap_or_else(|error| panic!("writing {}: {error}", path.display()));
    let child = php()
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn();
    let mut child = child.unwrap_or_else(|error| panic!("starting php: {error}"));
    let pipe = child.stdin.take();
    // Input is written while output is read, because with much of both the pipes fill up.
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            if let Some(mut pipe) = pipe {
                // A script may close the pipe without reading its input.
                let _closed = pipe.write_all(input);
            }
        });
        child.wait_with_output()
    });
    let output = output.unwrap_or_else(|error| panic!("running php: {error}"));
    assert!(
        output.status.success(),
        "php failed: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    output.stdout
}

/// PHP with its default settings and the extensions of its packages, without this machine's settings.
fn php() -> Command {
    let mut command = Command::new(process::program("php", &["/usr/bin"]));
    command.args(["-d", "display_errors=stderr", "-d", "error_reporting=-1"]);
    command
}

impl Php {
    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the router script, its working directory.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn process(&mut self) -> &mut Process {
        &mut self.server
    }
}
