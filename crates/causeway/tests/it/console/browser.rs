//! A headless Chromium, driven by its DevTools protocol over two pipes: JSON texts that end with a zero byte.

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
};

pub(super) struct Browser {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    session: Value,
    last: u64,
    /// Errors and policy violations that the page caused.
    pub(super) complaints: Vec<String>,
    _profile: tempfile::TempDir,
    _child: Child,
}

impl Browser {
    /// Starts the browser on an empty page.
    pub(super) async fn start() -> Self {
        let profile = tempfile::tempdir().expect("a folder");
        // The protocol uses the descriptors 3 and 4.
        let mut child = Command::new("sh")
            .args([
                "-c",
                "command -v chromium >/dev/null || exit 127; exec chromium \"$@\" 3<&0 4>&1",
                "sh",
            ])
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .args(["--remote-debugging-pipe", "--window-size=1440,1000"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("a shell");
        let mut browser = Self {
            input: child.stdin.take().expect("its input"),
            output: BufReader::new(child.stdout.take().expect("its output")),
            session: Value::Null,
            last: 0,
            complaints: Vec::new(),
            _profile: profile,
            _child: child,
        };
        let target = browser
            .call("Target.createTarget", json!({ "url": "about:blank" }))
            .await["targetId"]
            .clone();
        let attach = json!({ "targetId": target, "flatten": true });
        browser.session = browser.call("Target.attachToTarget", attach).await["sessionId"].clone();
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.call(domain, json!({})).await;
        }
        browser
    }

    pub(super) async fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url })).await;
    }

    /// Waits until the expression is true on the page.
    pub(super) async fn wait_for(&mut self, expression: &str) {
        let mut look = tokio::time::interval(Duration::from_millis(100));
        for _ in 0..300 {
            look.tick().await;
            if self.value(expression).await == Value::Bool(true) {
                return;
            }
        }
        let page = self.value("document.body.innerText").await;
        panic!("{expression} did not become true: {page}\n{:?}", self.complaints);
    }

    pub(super) async fn value(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true });
        self.call("Runtime.evaluate", asked).await["result"]["value"].clone()
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        let text = format!("{message}\0");
        let missing = "chromium does not answer: run ./test, which installs it";
        self.input.write_all(text.as_bytes()).await.expect(missing);
        loop {
            let mut answer = Vec::new();
            let reading = self.output.read_until(0, &mut answer);
            let read = tokio::time::timeout(Duration::from_mins(1), reading).await;
            assert!(matches!(read, Ok(Ok(1..))), "{missing}");
            answer.pop();
            let answer: Value = serde_json::from_slice(&answer).expect("JSON");
            if answer["id"] == self.last {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            let is_complaint = match answer["method"].as_str() {
                Some("Runtime.exceptionThrown" | "Runtime.consoleAPICalled") => true,
                // The test requests a page that does not exist; the browser reports it as an error.
                Some("Log.entryAdded") => answer["params"]["entry"]["source"] != "network",
                _ => false,
            };
            if is_complaint {
                self.complaints.push(answer["params"].to_string());
            }
        }
    }
}
