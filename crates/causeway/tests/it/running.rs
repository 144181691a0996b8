//! The real program with a configuration of its own, and messages of invented people for it.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use causeway_testkit::{rig::process::Process, wait::becomes};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Much longer than any step takes. It only ends a test that hangs.
const LIMIT: Duration = Duration::from_secs(90);

/// A folder with a configuration, and its environment variables.
pub struct Home {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// The output of a command, and its exit code.
#[derive(Debug)]
pub struct CommandOutput {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// `causeway serve` in a [`Home`]. Killed when dropped.
pub struct Running {
    process: Process,
    pub listener: String,
    pub console: String,
}

impl Home {
    /// With free ports for listener and console.
    pub fn new(config: &str) -> Self {
        let home = Self {
            folder: tempfile::tempdir().expect("a folder"),
            variables: Vec::new(),
        };
        let http = "[http]\nlisten = \"127.0.0.1:0\"\nconsole = \"127.0.0.1:0\"\n";
        home.write("causeway.toml", format!("{http}{config}"));
        home
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("a file");
    }

    /// The text of a file; empty if it does not exist (yet).
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
        command
            .current_dir(self.folder.path())
            .env_remove("CAUSEWAY_CONFIG")
            .env_remove("CAUSEWAY_LOG")
            .env_remove("CAUSEWAY_LOG_FORMAT")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> CommandOutput {
        self.run_with(arguments, b"")
    }

    /// Runs a command with this standard input.
    pub fn run_with(&self, arguments: &[&str], input: &[u8]) -> CommandOutput {
        let mut command = self.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        // A command that does not read its input may close the pipe.
        drop(child.stdin.take().expect("a pipe").write_all(input));
        let output = child.wait_with_output().expect("the program ends");
        CommandOutput {
            code: output.status.code().expect("an exit code"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// The output of a command that must succeed.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
        said.out
    }

    /// The JSON output of a command.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let out = self.ok(arguments);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}"))
    }

    /// Starts a command that will be interrupted, with its output in this file.
    pub fn start(&self, arguments: &[&str], log: &str) -> Process {
        let command = self.command(arguments);
        Process::spawn("causeway", command, &self.path(log), Some(self.folder.path()))
    }

    /// Runs the hub, and returns when it listens.
    pub fn serve(&self) -> Running {
        self.serve_at("info")
    }

    pub fn serve_at(&self, level: &str) -> Running {
        let mut command = self.command(&["serve", "--log-format", "json"]);
        command.env("CAUSEWAY_LOG", level);
        let log = self.path("serve.log");
        let mut process = Process::spawn("causeway", command, &log, Some(self.folder.path()));
        process.wait_for_line("causeway runs", LIMIT);
        let log = process.log();
        let line = log
            .lines()
            .find(|line| line.contains("causeway runs"))
            .expect("the line");
        let line: Value = serde_json::from_str(line).expect("a log line is JSON");
        let field = |name: &str| line["fields"][name].as_str().expect("an address").to_owned();
        Running {
            listener: field("listener"),
            console: field("console"),
            process,
        }
    }

    /// Waits until this number of messages arrived, and all their deliveries have ended.
    pub async fn settled(&self, received: u64) {
        self.until(&format!("{received} messages are settled"), || {
            let audit = self.json(&["audit", "--json"]);
            sum(&audit["sources"], "received") >= received
                && sum(&audit["sources"], "new") == 0
                && sum(&audit["destinations"], "waiting") == 0
        })
        .await;
    }

    /// Waits until `is_so`; on failure prints the state of the hub.
    pub async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        if !becomes(LIMIT, async || is_so()).await {
            let (audit, list) = (self.run(&["audit"]).out, self.run(&["delivery", "list"]).out);
            panic!(
                "waited too long until {what}\n{audit}\n{list}\n{}",
                self.read("serve.log")
            );
        }
    }

    /// The trace of a message.
    pub fn trace(&self, id: u64) -> Value {
        self.json(&["trace", &id.to_string(), "--json"])[0].clone()
    }
}

/// A figure of all sources, or of all destinations, of an audit.
pub fn sum(books: &Value, figure: &str) -> u64 {
    let books = books.as_object().expect("the books");
    books.values().filter_map(|book| book[figure].as_u64()).sum()
}

impl Running {
    /// The log so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    pub fn hang_up(&self) {
        self.process.signal("HUP");
    }

    /// Stops the program like a service manager. Fails the test unless it ended in time.
    pub fn stop(mut self) -> String {
        self.process.stop(Duration::from_secs(30));
        let log = self.process.log();
        assert!(
            log.contains(r#""message":"causeway stopped","in_time":true"#),
            "{log}"
        );
        log
    }

    /// Posts a body to `/in/TOKEN` and returns the whole response.
    pub async fn post(&self, token: &str, content_type: &str, body: &[u8]) -> String {
        let head = format!(
            "POST /in/{token} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        exchange(&self.listener, &[head.as_bytes(), body].concat()).await
    }

    pub async fn post_json(&self, token: &str, body: &Value) {
        let answer = self
            .post(token, "application/json", body.to_string().as_bytes())
            .await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// `target` begins with the token and may have a query.
    pub async fn get(&self, target: &str) -> String {
        get(&self.listener, &format!("/in/{target}")).await
    }

    /// A page of the console's side: `/metrics`, `/readyz`.
    pub async fn page(&self, path: &str) -> String {
        get(&self.console, path).await
    }
}

pub async fn get(address: &str, target: &str) -> String {
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    exchange(address, request.as_bytes()).await
}

/// The response to a whole request. It must end with the connection.
pub async fn exchange(address: &str, request: &[u8]) -> String {
    let mut stream = tokio::net::TcpStream::connect(address)
        .await
        .expect("a connection");
    stream.write_all(request).await.expect("the request is sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("the answer is read");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Runs blocking code (starting servers, `rabbitmqctl`) outside the asynchronous test.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("the blocking part ends well")
}

/// A Proca action of organisation `org`: NAME@example.org signs, with this answer about the newsletter.
pub fn signature(org: u32, id: u32, name: &str, opt_in: Option<bool>) -> Value {
    let at = "2026-01-02T03:04:05Z";
    json!({
        "schema": "proca:action:2", "stage": "deliver", "actionId": id, "actionPageId": 7, "campaignId": 3, "orgId": org,
        "org": { "name": "rivers", "title": "Rivers" },
        "campaign": { "name": "clean_rivers", "title": "Clean rivers", "externalId": null, "contactSchema": "basic" },
        "actionPage": { "name": "clean_rivers/en", "locale": "en", "thankYouTemplate": null,
            "thankYouTemplateRef": null, "supporterConfirmTemplate": null },
        "action": { "actionType": "petition", "customFields": {}, "createdAt": at, "testing": false },
        "contact": { "firstName": name, "lastName": "Testperson", "email": format!("{name}@example.org"),
            "contactRef": format!("ref-of-{name}"), "dupeRank": 0, "area": "DE", "country": "DE", "postcode": "10115" },
        "personalInfo": null,
        "privacy": { "withConsent": true, "optIn": opt_in, "givenAt": at, "emailStatus": null, "emailStatusChanged": null },
        "tracking": { "source": "unknown", "medium": "unknown", "campaign": "unknown", "content": "",
            "location": "https://act.example.org/rivers" }
    })
}

/// A status of NAME@example.org's address, one hour after the signature `id`.
pub fn status(id: u32, name: &str, status: &str) -> Value {
    let at = "2026-01-02T04:04:05Z";
    let action = signature(0, id, name, Some(true));
    json!({
        "schema": "proca:event:2", "eventType": "email_status", "timestamp": at, "actionId": id, "actionPageId": 7,
        "campaignId": 3, "campaign": action["campaign"], "actionPage": action["actionPage"], "action": action["action"],
        "supporter": { "contact": action["contact"], "personalInfo": null,
            "privacy": { "withConsent": false, "optIn": true, "givenAt": "2026-01-02T03:04:05Z", "emailStatus": status,
                "emailStatusChanged": at } },
        "tracking": null
    })
}
