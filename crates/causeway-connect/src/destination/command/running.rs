//! A program that runs: what it was sent, and the tasks that read what it writes.

use std::{
    io,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use causeway_core::{
    clock::{Clock, Timestamp},
    destination::CheckError,
    id::Name,
};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::{Mutex as AsyncMutex, oneshot},
    task::AbortHandle,
};
use tracing::info;

use super::{
    answer,
    config::Program,
    line,
    lines::Lines,
    shared::{End, Shared},
    stderr,
};

/// How long a program that closed its output may take to end, and how long its last lines are waited for.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Why the program does not run.
#[derive(Debug)]
pub(super) enum StartError {
    /// Only a person can change that.
    ForGood(String),
    ForNow(String),
}

/// Dropping it kills the program's process group.
pub(super) struct Running {
    pub shared: Arc<Shared>,
    stdin: AsyncMutex<ChildStdin>,
    tasks: [AbortHandle; 2],
}

impl Running {
    pub fn start(program: &Program, name: &Name, clock: &Arc<dyn Clock>) -> Result<Arc<Self>, StartError> {
        let mut child = spawn(program).map_err(|error| {
            let why = format!("starting {}: {error}", program.path.display());
            match error.kind() {
                io::ErrorKind::NotFound
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::ArgumentListTooLong => StartError::ForGood(why),
                // "Exec format error": a script without its first line.
                _ if error.raw_os_error() == Some(8) => StartError::ForGood(why),
                _ => StartError::ForNow(why),
            }
        })?;
        let lost = || StartError::ForNow("the program ended at once".to_owned());
        let id = child.id().ok_or_else(lost)?;
        let stdin = child.stdin.take().ok_or_else(lost)?;
        let stdout = child.stdout.take().ok_or_else(lost)?;
        let stderr = child.stderr.take().ok_or_else(lost)?;
        let shared = Arc::new(Shared::new(id, Arc::clone(name), Arc::clone(clock)));
        info!(destination = &**name, pid = id, "the program was started");
        let log = tokio::spawn(stderr::log(stderr, Arc::clone(name), Arc::clone(clock)));
        let watch = tokio::spawn(watch(child, stdout, Arc::clone(&shared)));
        Ok(Arc::new(Self {
            shared,
            stdin: AsyncMutex::new(stdin),
            tasks: [log.abort_handle(), watch.abort_handle()],
        }))
    }

    /// How it ended; `None` while it runs.
    pub fn end(&self) -> Option<End> {
        self.shared.lock().end.clone()
    }

    /// Writes whole lines. If the call is dropped, the program must be killed, because it may have read half a line.
    pub async fn write(&self, lines: &str) -> io::Result<()> {
        let mut stdin = self.stdin.lock().await;
        stdin.write_all(lines.as_bytes()).await?;
        stdin.flush().await
    }

    /// Asks whether the program can do its work.
    pub async fn check(&self, deadline: Timestamp) -> Result<(), CheckError> {
        let (sender, receiver) = oneshot::channel();
        self.shared.lock().checking = Some(sender);
        let answered = async {
            // If the program ended, the receiver learns it, too.
            let _written = self.write(&format!("{}\n", line::check())).await;
            receiver.await
        };
        let answered = tokio::select! {
            answered = answered => answered,
            () = self.shared.clock.sleep_until(deadline) => {
                let why = format!("the program did not answer the check in time{}", self.shared.odd());
                return Err(CheckError::Unavailable(why));
            }
        };
        match answered {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) if why.is_empty() => Err(CheckError::Refused(
                "the program answered the check with an error".to_owned(),
            )),
            Ok(Err(why)) => Err(CheckError::Refused(why)),
            Err(_) => Err(CheckError::Refused(self.shared.lost())),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.group.kill();
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn spawn(program: &Program) -> io::Result<Child> {
    Command::new(&program.path)
        .args(&program.arguments)
        .env_clear()
        .envs(program.env.iter().map(|(name, value)| (name, value.reveal())))
        .current_dir(&program.folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Reads answers until the program ends, and then ends what it left behind.
async fn watch(mut child: Child, stdout: ChildStdout, shared: Arc<Shared>) {
    let mut lines = Lines::new(stdout, answer::MOST_BYTES);
    let status = loop {
        tokio::select! {
            biased;
            line = lines.next() => match line {
                Ok(Some(line)) => shared.read(line),
                Ok(None) | Err(_) => break None,
            },
            status = child.wait() => break Some(status),
        }
    };
    let later = shared
        .clock
        .now()
        .saturating_add(LAST_LINES)
        .unwrap_or(Timestamp::MAX);
    let is_late = shared.clock.sleep_until(later);
    let status = if let Some(status) = status {
        // A process that the program started may hold its output open.
        shared.group.finish();
        let rest = async {
            while let Ok(Some(line)) = lines.next().await {
                shared.read(line);
            }
        };
        tokio::select! {
            () = rest => {}
            () = is_late => {}
        }
        Some(status)
    } else {
        tokio::select! {
            status = child.wait() => Some(status),
            () = is_late => None,
        }
    };
    let reason = match status {
        Some(Ok(status)) => ended(status),
        Some(Err(error)) => format!("the program ended: {error}"),
        None => "the program closed its standard output, and was killed".to_owned(),
    };
    shared.group.finish();
    shared.close(&reason);
}

fn ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("the program ended with exit status {code}"),
        (None, Some(signal)) => format!("the program was ended by signal {signal}"),
        (None, None) => "the program ended".to_owned(),
    }
}
