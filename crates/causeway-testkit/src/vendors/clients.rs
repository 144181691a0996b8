//! Runs the clients that vendors publish, by the scripts in `clients/`.
//!
//! The clients are in the folder that the environment variable `CAUSEWAY_VENDOR_CLIENTS` names; `clients/install FOLDER`
//! puts them there. A script reads one JSON value in each line, and answers with one.
#![expect(clippy::unwrap_used, reason = "test equipment: a failure is the test's")]

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// How long a command may take.
const DEADLINE: Duration = Duration::from_mins(1);

/// A running script. Ends when dropped.
pub struct Script {
    _process: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Script {
    /// A script for Node.js.
    pub fn node(name: &str, arguments: &[&str]) -> Self {
        let node = std::process::Command::new("node");
        Self::node_at(node, &installed().join("node_modules"), name, arguments)
    }

    /// A script for this Node.js, with the packages of this folder.
    pub fn node_at(node: std::process::Command, modules: &Path, name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::from(node);
        command.env("NODE_PATH", modules);
        Self::start(command.arg(script(name)).args(arguments))
    }

    /// A script for Python.
    pub fn python(name: &str) -> Self {
        let mut command = Command::new(installed().join("python/bin/python"));
        Self::start(command.arg("-B").arg(script(name)))
    }

    fn start(command: &mut Command) -> Self {
        let mut process = command
            .env_remove("HTTP_PROXY")
            .env_remove("http_proxy")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        Self {
            _process: process,
            input,
            output,
        }
    }

    /// Sends one value and returns the answer.
    pub async fn ask(&mut self, value: &Value) -> Value {
        let line = format!("{value}\n");
        self.input.write_all(line.as_bytes()).await.unwrap();
        let answer = timeout(DEADLINE, self.output.next_line()).await;
        let line = answer.unwrap().unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

/// Fails the test with the command that installs the clients.
#[expect(clippy::panic, reason = "test equipment: a failure is the test's")]
fn installed() -> PathBuf {
    let Some(folder) = std::env::var_os("CAUSEWAY_VENDOR_CLIENTS") else {
        panic!(
            "CAUSEWAY_VENDOR_CLIENTS is not set: run crates/causeway-testkit/clients/install FOLDER, and set it to FOLDER"
        );
    };
    folder.into()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}
