//! The only thread that writes. It takes the pending commands, runs them in one transaction, commits once
//! with full durability, and only then answers. While one transaction syncs, the next batch gathers. If
//! one of the commands fails, everything is rolled back and run again with a savepoint for each.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    thread::JoinHandle,
};

use causeway_core::store::StoreError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::sqlite::base::{
    checkpoint::Checkpointer,
    error::Error,
    state::State,
    tx::Tx,
    work::{Request, RunResult, Work},
};

/// Commands in the queue; further callers wait to enqueue theirs.
const WAITING_COMMANDS: usize = 256;
/// Rows in one transaction: enough to share a sync, few enough for a short wait.
const ROWS_PER_TRANSACTION: usize = 4_000;
/// The same limit for other commands while urgent ones wait.
const ROWS_WHILE_URGENT: usize = 200;
/// While both queues wait, run one ordinary transaction per this many urgent ones.
const URGENT_PER_ORDINARY: u32 = 8;

enum Run {
    InTransaction(Box<dyn Work>),
    /// Runs between transactions.
    Alone(Box<dyn FnOnce(&Connection) + Send>),
}

struct Command {
    is_urgent: bool,
    rows: usize,
    run: Run,
}

pub(crate) struct Writer {
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(mut connection: Connection, path: &Path) -> Result<Self, Error> {
        let (sender, receiver) = mpsc::channel(WAITING_COMMANDS);
        let checkpointer = Checkpointer::start(&mut connection, path)?;
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || Loop::new(connection, checkpointer).run(receiver))?;
        Ok(Self {
            commands: Some(sender),
            thread: Some(thread),
        })
    }

    /// Runs `work` in the next transaction, and answers after its commit. `rows` is about how many rows it
    /// writes. If another command of the transaction fails, `work` is rolled back and run again.
    pub(crate) async fn write<T, F>(&self, rows: usize, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    {
        self.enqueue(false, rows, work).await
    }

    /// Does the same as [`Self::write`], before all commands that are not urgent.
    pub(crate) async fn write_urgently<T, F>(&self, rows: usize, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    {
        self.enqueue(true, rows, work).await
    }

    async fn enqueue<T, F>(&self, is_urgent: bool, rows: usize, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    {
        let (reply, receiver) = oneshot::channel();
        let run = Run::InTransaction(Box::new(Request {
            work,
            result: None,
            reply,
        }));
        self.send(Command { is_urgent, rows, run }).await?;
        receiver.await.map_err(|_| stopped())?
    }

    /// Runs `work` between two transactions.
    pub(crate) async fn alone<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let run = Run::Alone(Box::new(move |connection| {
            drop(sender.send(work(connection).map_err(StoreError::from)));
        }));
        self.send(Command {
            is_urgent: false,
            rows: 0,
            run,
        })
        .await?;
        receiver.await.map_err(|_| stopped())?
    }

    async fn send(&self, command: Command) -> Result<(), StoreError> {
        match &self.commands {
            Some(commands) => commands.send(command).await.map_err(|_| stopped()),
            None => Err(stopped()),
        }
    }
}

impl Drop for Writer {
    /// Waits until pending commands have run and the file is closed.
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn stopped() -> StoreError {
    StoreError::Failed("the writer has stopped".to_owned())
}

/// Commands that the thread has taken from the channel and not run yet.
#[derive(Default)]
struct Pending {
    /// Somebody outside the hub waits for the answer: a broker or a caller.
    urgent: VecDeque<Command>,
    other: VecDeque<Command>,
    /// Urgent transactions since the last ordinary one.
    urgent_in_a_row: u32,
}

/// What to run next.
enum Job {
    Transaction(Vec<Box<dyn Work>>),
    Alone(Box<dyn FnOnce(&Connection) + Send>),
}

impl Pending {
    /// Takes pending commands, at most a channel's worth, and waits if there are none. Returns false at the
    /// end.
    fn gather(&mut self, commands: &mut mpsc::Receiver<Command>) -> bool {
        if self.urgent.is_empty() && self.other.is_empty() {
            match commands.blocking_recv() {
                Some(command) => self.take(command),
                None => return false,
            }
        }
        while self.urgent.len() + self.other.len() < WAITING_COMMANDS
            && let Ok(command) = commands.try_recv()
        {
            self.take(command);
        }
        true
    }

    fn take(&mut self, command: Command) {
        if command.is_urgent {
            &mut self.urgent
        } else {
            &mut self.other
        }
        .push_back(command);
    }

    /// Urgent commands go first, in transactions of their own, so that no sender waits for processing. After
    /// some of them an ordinary transaction runs, so that processing goes on under any load.
    fn next(&mut self) -> Job {
        let is_ordinary_due =
            self.urgent.is_empty() || (self.urgent_in_a_row >= URGENT_PER_ORDINARY && !self.other.is_empty());
        let most = if self.urgent.is_empty() {
            ROWS_PER_TRANSACTION
        } else {
            ROWS_WHILE_URGENT
        };
        if is_ordinary_due {
            self.urgent_in_a_row = 0;
            transaction_of(&mut self.other, most)
        } else {
            self.urgent_in_a_row += 1;
            transaction_of(&mut self.urgent, ROWS_PER_TRANSACTION)
        }
    }
}

/// The first command and those behind it, up to about `most` rows, or up to one that runs alone.
fn transaction_of(commands: &mut VecDeque<Command>, most: usize) -> Job {
    let mut batch = Vec::new();
    let mut rows = 0;
    while rows < most
        && let Some(command) = commands.pop_front()
    {
        match command.run {
            Run::InTransaction(work) => {
                rows += command.rows;
                batch.push(work);
            }
            Run::Alone(run) if batch.is_empty() => return Job::Alone(run),
            Run::Alone(_) => {
                commands.push_front(command);
                break;
            }
        }
    }
    Job::Transaction(batch)
}

struct Loop {
    connection: Connection,
    checkpointer: Checkpointer,
    state: State,
}

impl Loop {
    fn new(connection: Connection, checkpointer: Checkpointer) -> Self {
        Self {
            connection,
            checkpointer,
            state: State::default(),
        }
    }

    fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut pending = Pending::default();
        while pending.gather(&mut commands) {
            match pending.next() {
                Job::Transaction(batch) => self.transaction(batch),
                Job::Alone(run) => {
                    if catch_unwind(AssertUnwindSafe(|| run(&self.connection))).is_err() {
                        tracing::error!("A command of the store panicked.");
                    }
                }
            }
        }
        // The last connection that closes the file empties the log.
        drop(self.checkpointer);
        if let Err((_, error)) = self.connection.close() {
            tracing::error!(%error, "The database could not be closed.");
        }
    }

    fn transaction(&mut self, mut batch: Vec<Box<dyn Work>>) {
        match self.all_at_once(&mut batch) {
            Ok(true) => self.answer(batch),
            Ok(false) => {
                self.roll_back();
                self.one_by_one(batch);
            }
            Err(error) => self.fail(&error, batch),
        }
    }

    /// Runs all commands without savepoints, which would copy each page that a command changes. Returns
    /// whether all succeeded.
    fn all_at_once(&mut self, batch: &mut [Box<dyn Work>]) -> Result<bool, Error> {
        self.begin()?;
        for work in batch {
            let mut tx = Tx {
                connection: &self.connection,
                state: &mut self.state,
            };
            let result = catch_unwind(AssertUnwindSafe(|| work.run(&mut tx)));
            if !matches!(result, Ok(RunResult::Done)) {
                return Ok(false);
            }
            self.state.counters.command_done();
        }
        self.commit()?;
        Ok(true)
    }

    fn one_by_one(&mut self, batch: Vec<Box<dyn Work>>) {
        let mut done = Vec::with_capacity(batch.len());
        let mut result = self.begin();
        for mut work in batch {
            if result.is_ok() {
                match self.command(&mut *work) {
                    Ok(Some(RunResult::Unavailable)) => {
                        result = Err(Error::Refused("the database could not write".to_owned()));
                    }
                    Ok(Some(_)) => {}
                    // The command panicked; its caller gets a closed channel.
                    Ok(None) => continue,
                    Err(error) => result = Err(error),
                }
            }
            done.push(work);
        }
        match result.and_then(|()| self.commit()) {
            Ok(()) => self.answer(done),
            Err(error) => self.fail(&error, done),
        }
    }

    fn answer(&mut self, done: Vec<Box<dyn Work>>) {
        self.state.leases.commit();
        for work in done {
            work.answer(None);
        }
        self.checkpointer.after_commit(&self.connection);
    }

    fn begin(&mut self) -> Result<(), Error> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        self.state.refresh(&self.connection)
    }

    /// Runs one command in a savepoint. `None` when it panicked.
    fn command(&mut self, work: &mut dyn Work) -> Result<Option<RunResult>, Error> {
        let connection = &self.connection;
        connection.prepare_cached("SAVEPOINT command")?.execute([])?;
        let leases = self.state.leases.mark();
        let mut tx = Tx {
            connection,
            state: &mut self.state,
        };
        let result = catch_unwind(AssertUnwindSafe(|| work.run(&mut tx))).ok();
        if result == Some(RunResult::Unavailable) {
            return Ok(result);
        }
        if result != Some(RunResult::Done) {
            self.state.leases.undo_since(leases);
            self.state.counters.forget_since(0);
            connection.prepare_cached("ROLLBACK TO command")?.execute([])?;
            self.state.reload(connection)?;
        }
        self.state.counters.command_done();
        connection.prepare_cached("RELEASE command")?.execute([])?;
        Ok(result)
    }

    fn commit(&mut self) -> Result<(), Error> {
        self.state.counters.flush(&self.connection)?;
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    /// Rolls back the transaction, and answers every command with the error.
    fn fail(&mut self, error: &Error, done: Vec<Box<dyn Work>>) {
        self.roll_back();
        tracing::warn!(
            reason = error.text(),
            "The store could not commit; nothing was changed."
        );
        for work in done {
            work.answer(Some(StoreError::Unavailable(error.text())));
        }
    }

    fn roll_back(&mut self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "A transaction could not be rolled back.");
        }
        self.state.leases.undo_since(0);
        self.state.counters.clear();
        self.state.invalidate();
    }
}
