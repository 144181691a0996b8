//! PHP as it receives requests: its own web server, `php -S`, and PHP-FPM.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
};

use super::{fpm::Fpm, php::DUMP};

/// Answers each request with what a script prints.
pub trait Server: Send + Sync {
    fn send(&self, method: &str, query: &str, content_type: &str, body: &[u8]) -> String;
}

/// Both servers with the same script, by name.
pub fn both(php: &str, answer: &str) -> [(&'static str, Box<dyn Server>); 2] {
    let script = format!("<?php {DUMP} header('Content-Type: text/plain'); {answer}");
    [
        ("php -S", Box::new(BuiltIn::start(php, &script))),
        ("PHP-FPM", Box::new(Fpm::start(&script))),
    ]
}

/// Without any setting of this machine.
pub const SETTINGS: [&str; 3] = ["-n", "-d", "display_errors=0"];

struct BuiltIn {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl BuiltIn {
    fn start(php: &str, script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("index.php");
        std::fs::write(&file, script).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut child = Command::new(php)
            .args(SETTINGS)
            .args(["-S", &format!("127.0.0.1:{port}")])
            .arg(&file)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let log = child.stderr.take().unwrap();
        wait_for_line(log, "started");
        Self {
            child,
            port,
            _folder: folder,
        }
    }
}

/// Reads a server's log to the line that says that it listens, and goes on reading: a full pipe would stop the server.
pub fn wait_for_line(log: impl Read + Send + 'static, text: &str) {
    let mut log = BufReader::new(log);
    let (mut line, mut seen) = (String::new(), String::new());
    while !line.contains(text) {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended at once: {seen}");
        seen.push_str(&line);
    }
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
}

impl Server for BuiltIn {
    fn send(&self, method: &str, query: &str, content_type: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let head = format!(
            "{method} /?{query} HTTP/1.0\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, text) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
        assert!(
            head.starts_with("HTTP/1.0 200") || head.starts_with("HTTP/1.1 200"),
            "{head}"
        );
        text.to_owned()
    }
}

impl Drop for BuiltIn {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
