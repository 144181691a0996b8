//! One server process with its log and its temporary folder. It ends with the test process in every case.

use std::fs::{File, Permissions};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How often a condition is checked while waiting for it.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running child in its own process group. Dropping it kills the whole group.
///
/// A test that is itself killed drops nothing. Therefore a guard (a shell that waits for the end of a pipe
/// held only by this process) kills the group and removes the folder when this process is gone, however it
/// ended.
pub struct Process {
    name: String,
    child: Child,
    guard: Child,
    guard_pipe: Option<ChildStdin>,
    log: PathBuf,
    last_signal: &'static str,
}

impl Process {
    /// Starts `command` with its output in `log` (emptied first). If this process dies without dropping the
    /// value, `folder` is removed, too.
    pub fn spawn(name: &str, mut command: Command, log: &Path, folder: Option<&Path>) -> Self {
        let out = File::create(log).unwrap_or_else(|error| panic!("making {}: {error}", log.display()));
        let err = out
            .try_clone()
            .unwrap_or_else(|error| panic!("sharing {}: {error}", log.display()));
        command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("starting {name}: {error}"));
        let mut guard = Command::new("sh")
            .args([
                "-c",
                r#"read -r _ || { kill -s KILL -- "-$1"; [ -z "$2" ] || rm -rf -- "$2"; }"#,
                "guard",
            ])
            .arg(child.id().to_string())
            .arg(folder.map_or("".as_ref(), Path::as_os_str))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A group of its own, so that a signal to the test's group does not kill the guard first.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("starting the guard of {name}: {error}"));
        let guard_pipe = guard.stdin.take();
        Self {
            name: name.to_owned(),
            child,
            guard,
            guard_pipe,
            log: log.to_owned(),
            last_signal: "KILL",
        }
    }

    /// Makes dropping send `signal` instead of `KILL`, for a server that must end its own children. If it
    /// does not end, it is killed.
    #[must_use]
    pub fn end_by(mut self, signal: &'static str) -> Self {
        self.last_signal = signal;
        self
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The process's output so far, standard output and standard error.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal (`KILL`, `TERM`, `STOP`, `CONT`, `HUP`) to the whole group.
    pub fn signal(&self, signal: &str) {
        let group = format!("-{}", self.child.id());
        // An error means that the group is gone already, which is what most callers want.
        let _gone = Command::new("sh")
            .args(["-c", r#"kill -s "$1" -- "$2""#, "signal", signal, &group])
            .stderr(Stdio::null())
            .status();
    }

    /// Kills the group at once (`SIGKILL`) and waits until the child has ended. A second call does nothing.
    pub fn kill(&mut self) {
        self.end("KILL", Duration::MAX);
    }

    /// Asks the group to stop (`SIGTERM`), and kills it if it has not stopped within `limit`.
    pub fn stop(&mut self, limit: Duration) {
        self.end("TERM", limit);
    }

    fn end(&mut self, signal: &str, limit: Duration) {
        let Some(mut pipe) = self.guard_pipe.take() else {
            return;
        };
        self.signal(signal);
        let start = Instant::now();
        while self.is_running() {
            if start.elapsed() > limit {
                self.signal("KILL");
            }
            std::thread::sleep(LOOK_EVERY);
        }
        // The leader has ended; this ends the processes that it left behind.
        self.signal("KILL");
        // A guard that has ended needs no dismissal.
        let _gone = pipe.write_all(b"\n");
        drop(pipe);
        let _ended = self.guard.wait();
    }

    /// Waits until a server accepts connections on `port` of loopback.
    pub fn wait_for_port(&mut self, port: u16, limit: Duration) {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        self.wait_for(&format!("port {port}"), limit, |_| {
            TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
        });
    }

    /// Waits until the log has a line that contains `text`.
    pub fn wait_for_line(&mut self, text: &str, limit: Duration) {
        self.wait_for(text, limit, |process| process.log().contains(text));
    }

    /// Waits until `is_ready` holds. Fails the test, with the end of the log, when the process ends or the
    /// time is up.
    pub fn wait_for(&mut self, what: &str, limit: Duration, is_ready: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_ready(self) {
            let is_running = self.is_running();
            if !is_running || start.elapsed() > limit {
                let why = if is_running {
                    "is not ready in time"
                } else {
                    "has ended"
                };
                panic!(
                    "{} {why} (waited for: {what}). Its log ends with:\n{}",
                    self.name,
                    tail(&self.log())
                );
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end(self.last_signal, Duration::from_secs(10));
    }
}

/// Finds a program in `PATH`, then in `folders` (absolute; the last part may be `*/bin` for versioned
/// packages). Fails the test if it is missing.
pub fn program(name: &str, folders: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    for folder in folders {
        match folder.strip_suffix("/*/bin") {
            Some(parent) => {
                let versions = std::fs::read_dir(parent).into_iter().flatten().flatten();
                places.extend(versions.map(|version| version.path().join("bin")));
            }
            None => places.push(PathBuf::from(folder)),
        }
    }
    let found = places
        .into_iter()
        .map(|place| place.join(name))
        .find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed: run ./test, which installs it"))
}

/// Runs a command to its end and returns its output. Fails the test if the command fails.
pub fn run(mut command: Command) -> String {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("starting {program}: {error}; ./test installs what is missing"));
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program} failed ({}): {}{}",
        output.status,
        tail(&out),
        tail(&String::from_utf8_lossy(&output.stderr))
    );
    out
}

/// Creates a temporary folder that `user` (see [`server_user`]) owns and every user may enter.
pub(crate) fn folder(name: &str, user: Option<(u32, u32)>) -> TempDir {
    let folder = tempfile::Builder::new()
        .prefix(&format!("causeway-{name}-"))
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .unwrap_or_else(|error| panic!("making a temporary folder: {error}"));
    if let Some((uid, gid)) = user {
        std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid))
            .unwrap_or_else(|error| panic!("giving {} to {name}: {error}", folder.path().display()));
    }
    folder
}

/// The user and group for a database server. As root it is the user that the server's package created,
/// because both databases refuse to run as root. Otherwise it is `None`: the present user.
pub(crate) fn server_user(name: &str) -> Option<(u32, u32)> {
    let own = std::fs::metadata("/proc/self").ok()?;
    if std::os::unix::fs::MetadataExt::uid(&own) != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = users.lines().find_map(|line| {
        let mut parts = line.split(':');
        if parts.next() != Some(name) {
            return None;
        }
        Some((parts.nth(1)?.parse().ok()?, parts.next()?.parse().ok()?))
    });
    Some(found.unwrap_or_else(|| panic!("there is no user {name}: run ./test, which installs its server")))
}

/// Makes a command run as the user of [`server_user`], with its working and temporary files in `folder`,
/// because the usual folders may be closed to that user.
pub(crate) fn run_as(command: &mut Command, user: Option<(u32, u32)>, folder: &Path) {
    command
        .current_dir(folder)
        .env("TMPDIR", folder)
        .env("HOME", folder);
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(25)..)
        .unwrap_or_default()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> (Process, TempDir) {
        let folder = folder("shell", None);
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let process = Process::spawn("shell", command, &folder.path().join("log"), Some(folder.path()));
        (process, folder)
    }

    /// A killed process may stay in the process table as a zombie until its new parent has read its status.
    fn is_alive(id: &str) -> bool {
        std::fs::read_to_string(format!("/proc/{}/stat", id.trim())).is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn dropping_a_process_ends_what_it_started() {
        let (mut process, _folder) = shell("sleep 1000 & echo child=$!; echo up; wait");
        process.wait_for_line("up", START);
        let log = process.log();
        let child = log
            .lines()
            .find_map(|line| line.strip_prefix("child="))
            .expect("a number")
            .to_owned();
        assert!(is_alive(&child));
        drop(process);
        let start = Instant::now();
        while is_alive(&child) {
            assert!(start.elapsed() < START, "{child} still runs");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_process_that_ignores_the_request_to_stop_is_killed() {
        let (mut process, _folder) = shell("trap '' TERM; echo up; while :; do sleep 1000; done");
        process.wait_for_line("up", START);
        process.stop(Duration::ZERO);
        assert!(!process.is_running());
    }

    #[test]
    #[should_panic(expected = "has ended (waited for: up). Its log ends with:\nno room")]
    fn a_process_that_ends_early_fails_the_wait_with_its_log() {
        let (mut process, _folder) = shell("echo no room; exit 3");
        process.wait_for_line("up", START);
    }

    #[test]
    #[should_panic(expected = "no-such-program is not installed: run ./test, which installs it")]
    fn a_missing_program_is_named_with_the_way_to_get_it() {
        program("no-such-program", &["/usr/sbin", "/usr/lib/postgresql/*/bin"]);
    }

    const START: Duration = Duration::from_secs(20);
}
