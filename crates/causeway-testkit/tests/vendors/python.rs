//! A script in `clients` that runs commands with a vendor's client for Python.

use std::{env, path::PathBuf, process::Stdio, time::Duration};

use serde_json::{Value, json};
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
    pub fn start(name: &str) -> Self {
        let folder = env::var_os("CAUSEWAY_VENDOR_CLIENTS").map(PathBuf::from).expect(
            "CAUSEWAY_VENDOR_CLIENTS is not set: run crates/causeway-testkit/clients/install FOLDER, \
             and set it to FOLDER",
        );
        let script = format!("{}/clients/{name}", env!("CARGO_MANIFEST_DIR"));
        let mut process = Command::new(folder.join("python/bin/python"))
            .arg("-B")
            .arg(script)
            .env_remove("HTTP_PROXY")
            .env_remove("http_proxy")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect(
                "no Python in CAUSEWAY_VENDOR_CLIENTS: run crates/causeway-testkit/clients/install again",
            );
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        Self {
            _process: process,
            input,
            output,
        }
    }

    /// Runs a command. The error is what the client raised.
    pub async fn run(&mut self, command: &str, arguments: Value) -> Result<Value, Value> {
        let line = json!([command, arguments]).to_string() + "\n";
        self.input.write_all(line.as_bytes()).await.unwrap();
        let line = timeout(DEADLINE, self.output.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("{command} takes too long"));
        let line = line
            .unwrap()
            .unwrap_or_else(|| panic!("the script ended at {command}"));
        let mut result: Value = serde_json::from_str(&line).unwrap();
        match result.get_mut("error") {
            Some(error) => Err(error.take()),
            None => Ok(result["ok"].take()),
        }
    }
}
