//! Runs the real program beside a test: starts, kills and stops it, sends messages to it, and checks its books.
//!
//! [`messages`] makes and sends messages, [`books`] compares the stored and delivered data with them, and [`setting`] has the
//! sources and destinations of several tests.

pub mod books;
pub mod messages;
pub mod setting;

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use causeway_testkit::rig::port;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::timeout,
};

/// Much longer than any step takes. It only ends a test that hangs.
pub const LIMIT: Duration = Duration::from_mins(3);
/// The interval of polling.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// The token of the listener that every configuration here has.
const TOKEN: &str = "a-token-that-nobody-guesses";

/// A folder with a configuration, and sometimes a program that runs on it. Dropping it kills the program.
pub struct Live {
    folder: TempDir,
    listen: u16,
    console: u16,
    child: Option<Child>,
    client: reqwest::Client,
}

impl Live {
    /// `hub` are the keys of `[hub]`, `rest` are sources and destinations besides the listener `post`, which reads
    /// Proca's messages.
    pub fn new(hub: &str, rest: &str) -> Self {
        // The HTTP client requires a TLS provider even for plain HTTP. Another test may have installed it.
        drop(rustls::crypto::ring::default_provider().install_default());
        let folder = tempfile::tempdir().expect("a folder");
        let (listen, console) = (port::free(), port::free());
        let text = format!(
            "[hub]\ndata_dir = 'data'\n{hub}\n[http]\nlisten = '127.0.0.1:{listen}'\nconsole = '127.0.0.1:{console}'\n\
             [source.post]\nkind = 'listener'\npreset = 'proca'\ntoken = '{TOKEN}'\n\
             proca = {{ own_orgs = [12], consent = 'single' }}\n{rest}"
        );
        std::fs::write(folder.path().join("causeway.toml"), text).expect("the configuration is written");
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(30));
        Self {
            folder,
            listen,
            console,
            child: None,
            client: client.build().expect("a client"),
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn sender(&self) -> Sender {
        Sender {
            client: self.client.clone(),
            url: format!("http://127.0.0.1:{}/in/{TOKEN}", self.listen),
        }
    }

    fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
        command.arg("--config").arg(self.folder().join("causeway.toml"));
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    fn log_file(&self) -> PathBuf {
        self.folder().join("log")
    }

    /// Starts the program without waiting.
    pub fn spawn(&mut self) {
        let mut command = self.program();
        command.arg("serve");
        self.spawn_as(command);
    }

    /// Starts a command that becomes the program. Its output is appended to the log.
    pub fn spawn_as(&mut self, mut command: Command) {
        assert!(self.child.is_none(), "it runs already");
        let log: File = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("a log");
        let other = log.try_clone().expect("the same log");
        let child = command.stdout(log).stderr(other).kill_on_drop(true).spawn();
        self.child = Some(child.expect("the program starts"));
    }

    /// Starts the program and waits until it responds.
    pub async fn start(&mut self) {
        self.spawn();
        self.is_live().await;
    }

    pub async fn is_live(&mut self) {
        let url = format!("http://127.0.0.1:{}/livez", self.console);
        let client = self.client.clone();
        self.becomes("it answers", async |_| {
            client
                .get(&url)
                .send()
                .await
                .is_ok_and(|answer| answer.status() == 200)
        })
        .await;
    }

    pub fn id(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).expect("it runs")
    }

    /// Kills the program at once, like a power cut, and waits until it has ended.
    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.expect("it can be killed");
        }
    }

    /// Sends a signal such as `TERM`.
    pub async fn signal(&self, signal: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status().await;
        assert!(sent.expect("kill runs").success(), "{signal} was not sent");
    }

    /// Waits until the program has ended by itself.
    pub async fn ends(&mut self, limit: Duration) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        let Ok(status) = timeout(limit, child.wait()).await else {
            panic!("it runs on after {limit:?}\n{}", self.log());
        };
        status.expect("a status")
    }

    /// Stops the program gracefully.
    pub async fn stop(&mut self) {
        self.signal("TERM").await;
        let status = self.ends(Duration::from_secs(15)).await;
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }

    /// The end of the log, for a failed test.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.log_file()).unwrap_or_default();
        let tail = log.get(log.len().saturating_sub(6_000)..).unwrap_or_default();
        String::from_utf8_lossy(tail).into_owned()
    }

    /// Runs another command of the program. Returns its exit code and its JSON output.
    pub async fn ask(&self, args: &[&str]) -> (Option<i32>, Value) {
        let output = self
            .program()
            .args(args)
            .arg("--json")
            .output()
            .await
            .expect("it runs");
        let printed = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!(
                "{args:?} printed no JSON ({error}): {}",
                String::from_utf8_lossy(&output.stderr)
            )
        });
        (output.status.code(), printed)
    }

    /// Polls until the condition is true. Fails the test after [`LIMIT`].
    pub async fn becomes(&mut self, what: &str, mut is_so: impl AsyncFnMut(&Self) -> bool) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        let started = std::time::Instant::now();
        while !is_so(self).await {
            look.tick().await;
            let ended = self
                .child
                .as_mut()
                .and_then(|child| child.try_wait().expect("a status"));
            assert!(
                ended.is_none(),
                "not so: {what}; it has ended: {ended:?}\n{}",
                self.log()
            );
            assert!(
                started.elapsed() < LIMIT,
                "not so in time: {what}\n{}",
                self.log()
            );
        }
    }

    /// Waits until this number of messages was accepted, without duplicates.
    pub async fn has_taken(&mut self, count: usize) {
        let count = i64::try_from(count).expect("a count");
        self.becomes("everything is accepted", async |live| {
            let (_, audit) = live.ask(&["audit"]).await;
            let sources = audit["sources"].as_object().expect("sources");
            let of = |books: &Value, key: &str| books[key].as_i64().expect("a count");
            let taken = sources
                .values()
                .map(|books| of(books, "received") - of(books, "duplicate"));
            taken.sum::<i64>() >= count
        })
        .await;
    }

    /// Waits until no delivery waits except at these destinations.
    pub async fn is_drained(&mut self, but: &[&str]) {
        let but: Vec<String> = but.iter().map(|&name| name.to_owned()).collect();
        self.becomes("everything is delivered", async |live| {
            let (_, audit) = live.ask(&["audit"]).await;
            let none = |books: &Value, key: &str| books[key].as_i64() == Some(0);
            let sources = audit["sources"].as_object().expect("sources");
            let destinations = audit["destinations"].as_object().expect("destinations");
            sources.values().all(|books| none(books, "new"))
                && destinations
                    .iter()
                    .all(|(name, books)| but.contains(name) || none(books, "waiting"))
        })
        .await;
    }
}

/// Posts to the listener.
#[derive(Clone)]
pub struct Sender {
    client: reqwest::Client,
    url: String,
}

impl Sender {
    /// The status, or `None` without a response.
    pub async fn post(&self, body: &str) -> Option<u16> {
        let request = self
            .client
            .post(&self.url)
            .header("content-type", "application/json");
        let answer = request.body(body.to_owned()).send().await.ok()?;
        Some(answer.status().as_u16())
    }

    /// Posts until the status is 200, as a platform does.
    pub async fn post_until_taken(&self, body: &str) {
        let mut again = tokio::time::interval(LOOK_EVERY);
        while self.post(body).await != Some(200) {
            again.tick().await;
        }
    }
}
