//! PHP-FPM behind a socket, and as much of FastCGI as one request takes.

use std::{
    io::{Read, Write},
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::server::{SETTINGS, Server, wait_for_line};

/// Kinds of records, and the role that is asked for.
const BEGIN_REQUEST: u8 = 1;
const END_REQUEST: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const RESPONDER: u8 = 1;
/// The most bytes that one record holds.
const LONGEST: usize = 0xffff;

/// Ends the server when the standard input closes, which it does however the test ends: killed itself, PHP-FPM would
/// leave its workers behind.
const GUARD: &str = r#""$@" & read -r _; kill "$!"; wait "$!""#;

pub struct Fpm {
    guard: Child,
    folder: tempfile::TempDir,
}

impl Fpm {
    pub fn start(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("index.php"), script).unwrap();
        let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
        let user = if is_root {
            "user = root\ngroup = root\n"
        } else {
            ""
        };
        let socket = folder.path().join("socket");
        let config = format!(
            "[global]\nerror_log = /proc/self/fd/2\n[www]\n{user}listen = {}\npm = static\npm.max_children = 1\n",
            socket.display()
        );
        let config_file = folder.path().join("fpm.conf");
        std::fs::write(&config_file, config).unwrap();
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(program())
            .args(["--nodaemonize", "--force-stderr", "--allow-to-run-as-root"])
            .args(SETTINGS)
            .arg("--fpm-config")
            .arg(config_file)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for_line(guard.stderr.take().unwrap(), "ready to handle connections");
        Self { guard, folder }
    }
}

/// Debian has its version in the name: `/usr/sbin/php-fpm8.2`.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
    let is_fpm = |file: &Path| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("php-fpm")
    };
    files
        .map(|file| file.path())
        .find(|file| is_fpm(file) && file.is_file())
        .expect("no PHP-FPM here: run ./test, which installs it, or set CAUSEWAY_SKIP_PHP=1")
}

impl Server for Fpm {
    fn send(&self, method: &str, query: &str, content_type: &str, body: &[u8]) -> String {
        let script = self.folder.path().join("index.php");
        let length = body.len().to_string();
        let params = [
            ("SCRIPT_FILENAME", script.to_str().unwrap()),
            ("SCRIPT_NAME", "/index.php"),
            ("REQUEST_METHOD", method),
            ("REQUEST_URI", &format!("/?{query}")),
            ("QUERY_STRING", query),
            ("CONTENT_TYPE", content_type),
            ("CONTENT_LENGTH", &length),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("GATEWAY_INTERFACE", "CGI/1.1"),
        ];
        let mut request = Vec::new();
        record(&mut request, BEGIN_REQUEST, &[0, RESPONDER, 0, 0, 0, 0, 0, 0]);
        stream(&mut request, PARAMS, &pairs(&params));
        stream(&mut request, STDIN, body);
        let mut socket = UnixStream::connect(self.folder.path().join("socket")).unwrap();
        // PHP answers a body that is too long for it without reading all of it.
        let mut sender = socket.try_clone().unwrap();
        let feeder = std::thread::spawn(move || drop(sender.write_all(&request)));
        let answer = String::from_utf8(answer(&mut socket)).unwrap();
        drop(socket);
        feeder.join().unwrap();
        let (head, text) = answer.split_once("\r\n\r\n").expect("an answer");
        assert!(!head.contains("Status: "), "{head}");
        text.to_owned()
    }
}

/// A stream: records, and an empty one at its end.
fn stream(request: &mut Vec<u8>, kind: u8, content: &[u8]) {
    for part in content.chunks(LONGEST) {
        record(request, kind, part);
    }
    record(request, kind, &[]);
}

/// Version 1, of the request 1, without padding.
fn record(request: &mut Vec<u8>, kind: u8, content: &[u8]) {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    request.extend([1, kind, 0, 1, high, low, 0, 0]);
    request.extend(content);
}

/// Each with both lengths in front; one above 127 takes four bytes with the first bit set.
fn pairs(params: &[(&str, &str)]) -> Vec<u8> {
    let length = |text: &str| {
        let length = u32::try_from(text.len()).unwrap();
        match u8::try_from(length) {
            Ok(short) if short < 0x80 => vec![short],
            _ => (length | 0x8000_0000).to_be_bytes().to_vec(),
        }
    };
    params
        .iter()
        .flat_map(|(name, value)| {
            [
                length(name),
                length(value),
                name.as_bytes().to_vec(),
                value.as_bytes().to_vec(),
            ]
        })
        .flatten()
        .collect()
}

/// What the script printed, to the end of the request.
fn answer(socket: &mut UnixStream) -> Vec<u8> {
    let mut printed = Vec::new();
    loop {
        let mut head = [0; 8];
        socket.read_exact(&mut head).expect("a record");
        let [_, kind, _, _, high, low, padding, _] = head;
        let mut content = vec![0; usize::from(u16::from_be_bytes([high, low]))];
        socket.read_exact(&mut content).unwrap();
        socket.read_exact(&mut vec![0; usize::from(padding)]).unwrap();
        match kind {
            STDOUT => printed.extend(content),
            END_REQUEST => return printed,
            _ => {}
        }
    }
}

impl Drop for Fpm {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        self.guard.wait().ok();
    }
}
