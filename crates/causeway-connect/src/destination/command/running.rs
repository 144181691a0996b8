//! A program that runs: what it was sent, and the tasks that read what it writes.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
use tracing::{info, warn};

use super::{
    answer::{self, Answer, Said},
    config::Program,
    group::Group,
    line,
    lines::{Line, Lines},
    stderr,
};

/// How many keys are remembered to recognise a second answer.
const MOST_ANSWERED: usize = 1_000;

/// How long a program that closed its output may take to end, and how long its last lines are waited for.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Why the program does not run.
#[derive(Debug)]
pub(super) enum StartError {
    /// Only a person can change that.
    ForGood(String),
    ForNow(String),
}

/// How the program ended.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub reason: String,
    pub at: Timestamp,
    /// Deliveries were lost with it.
    pub is_failure: bool,
    pub has_answered: bool,
}

/// Dropping it kills the program's process group.
pub(super) struct Running {
    shared: Arc<Shared>,
    stdin: AsyncMutex<ChildStdin>,
    tasks: [AbortHandle; 2],
}

struct Shared {
    group: Group,
    destination: Name,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Key → where the answer goes.
    in_flight: BTreeMap<String, oneshot::Sender<Answer>>,
    answered: VecDeque<String>,
    has_answered: bool,
    checking: Option<oneshot::Sender<Result<(), String>>>,
    /// Lines that are no answers, and what was wrong with the last one.
    odd: (u64, &'static str),
    end: Option<End>,
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
        let shared = Arc::new(Shared {
            group: Group::new(id),
            destination: Arc::clone(name),
            clock: Arc::clone(clock),
            state: Mutex::default(),
        });
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

    /// Kills the program. What is in flight is lost, for this reason.
    pub fn kill(&self, reason: &str, is_failure: bool) {
        // The lock keeps others from starting the next program before this one is gone.
        let mut state = self.shared.lock();
        self.shared.group.kill();
        self.shared.end(&mut state, reason, is_failure);
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
            Err(_) => Err(CheckError::Refused(self.lost())),
        }
    }

    /// Why nothing was answered.
    fn lost(&self) -> String {
        let end = self
            .end()
            .map_or_else(|| "the program ended".to_owned(), |end| end.reason);
        end + &self.shared.odd()
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
    shared.end(&mut shared.lock(), &reason, true);
}

fn ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("the program ended with exit status {code}"),
        (None, Some(signal)) => format!("the program was ended by signal {signal}"),
        (None, None) => "the program ended".to_owned(),
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, line: Line) {
        let mut state = self.lock();
        match answer::read(line) {
            Said::Nothing => {}
            Said::Answer { key, answer } => match state.in_flight.remove(&key) {
                Some(sender) => {
                    state.has_answered = true;
                    // If the call was dropped, nobody waits any more.
                    let _unread = sender.send(answer);
                    state.answered.push_back(key);
                    if state.answered.len() > MOST_ANSWERED {
                        state.answered.pop_front();
                    }
                }
                None if state.answered.contains(&key) => {
                    self.note(&mut state, "a second answer for a delivery; the first one counts");
                }
                None => self.note(&mut state, "a `key` that is not in flight"),
            },
            Said::Checked(result) => match state.checking.take() {
                Some(sender) => drop(sender.send(result)),
                None => self.note(&mut state, "the answer to a check that is not in flight"),
            },
            Said::Unreadable(why) => self.note(&mut state, why),
        }
    }

    /// Counts a line that is no answer. The log gets the 1st, 2nd, 4th, 8th, …
    fn note(&self, state: &mut State, why: &'static str) {
        state.odd = (state.odd.0.saturating_add(1), why);
        if state.odd.0.is_power_of_two() {
            let (destination, lines) = (&*self.destination, state.odd.0);
            warn!(
                destination,
                lines, "the program wrote a line that is no answer: {why}"
            );
        }
    }

    /// What is known about lines that are no answers.
    fn odd(&self) -> String {
        match self.lock().odd {
            (0, _) => String::new(),
            (count, why) => format!("; it wrote {count} lines that are no answers, the last one: {why}"),
        }
    }

    /// Releases all who wait. The first reason counts.
    fn end(&self, state: &mut State, reason: &str, is_failure: bool) {
        let is_failure = is_failure && (!state.in_flight.is_empty() || state.checking.is_some());
        state.in_flight.clear();
        state.checking = None;
        if state.end.is_some() {
            return;
        }
        let (destination, pid) = (&*self.destination, self.group.id());
        info!(destination, pid, "{reason}");
        state.end = Some(End {
            reason: reason.to_owned(),
            at: self.clock.now(),
            is_failure,
            has_answered: state.has_answered,
        });
    }
}

/// Deliveries that the program was sent. If it is dropped before they were answered, the program is killed.
pub(super) struct InFlight {
    running: Arc<Running>,
    receivers: VecDeque<(String, oneshot::Receiver<Answer>)>,
}

impl InFlight {
    /// `None` if the program has ended.
    pub fn new(running: Arc<Running>, keys: impl Iterator<Item = String>) -> Option<Self> {
        let mut receivers = VecDeque::new();
        {
            let mut state = running.shared.lock();
            if state.end.is_some() {
                return None;
            }
            for key in keys {
                let (sender, receiver) = oneshot::channel();
                // The hub never has two deliveries with one key. If it had, the first would be retried.
                state.in_flight.insert(key.clone(), sender);
                receivers.push_back((key, receiver));
            }
        }
        Some(Self { running, receivers })
    }

    /// The answers in the order of the keys. `Err` says why there is none.
    pub async fn answers(mut self, lines: &str, deadline: Timestamp) -> Vec<Result<Answer, String>> {
        let clock = Arc::clone(&self.running.shared.clock);
        let mut answers = Vec::new();
        let exchange = async {
            // If the program ended, the receivers learn it, too.
            let _written = self.running.write(lines).await;
            while let Some((_, receiver)) = self.receivers.front_mut() {
                let answer = receiver.await;
                answers.push(answer);
                self.receivers.pop_front();
            }
        };
        let is_late = tokio::select! {
            () = exchange => false,
            () = clock.sleep_until(deadline) => true,
        };
        if is_late {
            self.running
                .kill("the program did not answer in time, and was killed", true);
            // Each sender has sent or is gone.
            for (_, receiver) in std::mem::take(&mut self.receivers) {
                answers.push(receiver.await);
            }
        }
        answers
            .into_iter()
            .map(|answer| answer.map_err(|_| self.running.lost()))
            .collect()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let is_waiting = {
            let state = self.running.shared.lock();
            self.receivers
                .iter()
                .any(|(key, _)| state.in_flight.contains_key(key))
        };
        if is_waiting {
            // The hub gave up. That is no failure of the program, so it is started again at once.
            self.running
                .kill("the call was given up, and the program was killed", false);
        }
    }
}
