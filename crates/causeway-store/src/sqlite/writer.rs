//! The one thread that writes. It takes what is pending, runs each command in a savepoint, commits once with
//! full durability, and only then answers: while one transaction syncs, the next batch gathers.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    thread::JoinHandle,
};

use causeway_core::store::StoreError;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{fault::Fault, state::State};

/// Commands that may wait; who comes then waits outside.
const WAITING_COMMANDS: usize = 256;
/// Rows in one transaction: enough to share a sync, few enough that nobody waits long for it.
const ROWS_PER_TRANSACTION: usize = 4_000;
/// The same for other commands while urgent ones wait.
const ROWS_WHILE_URGENT: usize = 200;
/// So many transactions of urgent commands for one of others, while both wait.
const URGENT_TURNS: u32 = 8;

pub(crate) struct Tx<'a> {
    pub connection: &'a Connection,
    pub state: &'a mut State,
}

type Answer = Box<dyn FnOnce(Option<StoreError>) + Send>;

/// Without a transaction it only says how to answer.
type Work = Box<dyn FnOnce(Option<&mut Tx<'_>>) -> Ended + Send>;

enum Run {
    InTransaction(Work),
    /// Between transactions.
    Alone(Box<dyn FnOnce(&Connection) + Send>),
}

/// How a command ended. `answer` is called after the commit, with the error that hit the whole transaction.
struct Ended {
    failed: bool,
    unavailable: bool,
    answer: Answer,
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
    pub(crate) fn start(connection: Connection) -> Result<Self, Fault> {
        let (sender, receiver) = mpsc::channel(WAITING_COMMANDS);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || Loop::new(connection).run(receiver))?;
        Ok(Self {
            commands: Some(sender),
            thread: Some(thread),
        })
    }

    /// Runs `work` in the next transaction; answers after its commit. `rows` is about how many it writes.
    pub(crate) async fn write<T, F>(&self, rows: usize, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, Fault> + Send + 'static,
    {
        self.enqueue(false, rows, work).await
    }

    /// The same before everything that is not urgent.
    pub(crate) async fn write_urgently<T, F>(&self, rows: usize, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, Fault> + Send + 'static,
    {
        self.enqueue(true, rows, work).await
    }

    async fn enqueue<T, F>(&self, is_urgent: bool, rows: usize, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, Fault> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let run = Run::InTransaction(Box::new(move |tx| {
            let result = match tx {
                Some(tx) => work(tx),
                None => Err(Fault::Refused("not run".to_owned())),
            };
            Ended {
                failed: result.is_err(),
                unavailable: result.as_ref().is_err_and(Fault::is_unavailable),
                answer: Box::new(move |whole| {
                    let answer = match whole {
                        Some(error) => Err(error),
                        None => result.map_err(StoreError::from),
                    };
                    // Who asked may have gone: the work is done all the same.
                    drop(sender.send(answer));
                }),
            }
        }));
        self.send(Command { is_urgent, rows, run }).await?;
        receiver.await.map_err(|_| stopped())?
    }

    /// Runs `work` between two transactions.
    pub(crate) async fn alone<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
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
    /// Waits for what was asked before, and for the file to be closed.
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

/// What the thread has taken from the channel and not yet run.
#[derive(Default)]
struct Pending {
    /// Somebody outside waits for the answer: a broker or a caller.
    urgent: VecDeque<Command>,
    other: VecDeque<Command>,
    /// Transactions of urgent commands since the last of others.
    urgent_turns: u32,
}

/// What to run next.
enum Turn {
    Transaction(Vec<Work>),
    Alone(Box<dyn FnOnce(&Connection) + Send>),
}

impl Pending {
    /// Takes what waits, without growing past a channel's worth; waits if there is nothing at all. False at the end.
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

    /// Urgent commands go first, in transactions of their own, so that nobody outside waits for processing; every so
    /// often the others have their turn, so that processing goes on under any load.
    fn next(&mut self) -> Turn {
        let others_turn =
            self.urgent.is_empty() || (self.urgent_turns >= URGENT_TURNS && !self.other.is_empty());
        let most = if self.urgent.is_empty() {
            ROWS_PER_TRANSACTION
        } else {
            ROWS_WHILE_URGENT
        };
        if others_turn {
            self.urgent_turns = 0;
            transaction_of(&mut self.other, most)
        } else {
            self.urgent_turns += 1;
            transaction_of(&mut self.urgent, ROWS_PER_TRANSACTION)
        }
    }
}

/// The first command and those behind it, up to about `most` rows, or up to one that runs alone.
fn transaction_of(commands: &mut VecDeque<Command>, most: usize) -> Turn {
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
            Run::Alone(run) if batch.is_empty() => return Turn::Alone(run),
            Run::Alone(_) => {
                commands.push_front(command);
                break;
            }
        }
    }
    Turn::Transaction(batch)
}

struct Loop {
    connection: Connection,
    state: State,
}

impl Loop {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            state: State::default(),
        }
    }

    fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut pending = Pending::default();
        while pending.gather(&mut commands) {
            match pending.next() {
                Turn::Transaction(batch) => self.transaction(batch),
                Turn::Alone(run) => {
                    if catch_unwind(AssertUnwindSafe(|| run(&self.connection))).is_err() {
                        tracing::error!("A command of the store panicked.");
                    }
                }
            }
        }
        if let Err((_, error)) = self.connection.close() {
            tracing::error!(%error, "The database could not be closed.");
        }
    }

    fn transaction(&mut self, batch: Vec<Work>) {
        let mut ended = Vec::with_capacity(batch.len());
        let mut result = self.begin();
        for work in batch {
            if result.is_err() {
                ended.push(work(None));
                continue;
            }
            match self.command(work) {
                Ok(Some(command)) => {
                    if command.unavailable {
                        result = Err(Fault::Refused("the database could not write".to_owned()));
                    }
                    ended.push(command);
                }
                Ok(None) => {}
                Err(fault) => result = Err(fault),
            }
        }
        match result.and_then(|()| self.commit()) {
            Ok(()) => {
                self.state.leases.commit();
                for command in ended {
                    (command.answer)(None);
                }
            }
            Err(fault) => self.fail(&fault, ended),
        }
    }

    fn begin(&mut self) -> Result<(), Fault> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        self.state.refresh(&self.connection)
    }

    /// Runs one command in a savepoint. `None` when it panicked: its caller sees a closed channel.
    fn command(&mut self, work: Work) -> Result<Option<Ended>, Fault> {
        let connection = &self.connection;
        connection.prepare_cached("SAVEPOINT command")?.execute([])?;
        let leases = self.state.leases.mark();
        let mut tx = Tx {
            connection,
            state: &mut self.state,
        };
        let ended = catch_unwind(AssertUnwindSafe(|| work(Some(&mut tx)))).ok();
        if ended.as_ref().is_some_and(|ended| ended.unavailable) {
            return Ok(ended);
        }
        if ended.as_ref().is_none_or(|ended| ended.failed) {
            self.state.leases.undo_since(leases);
            self.state.counters.forget_since(0);
            connection.prepare_cached("ROLLBACK TO command")?.execute([])?;
            self.state.reload(connection)?;
        }
        self.state.counters.command_done();
        connection.prepare_cached("RELEASE command")?.execute([])?;
        Ok(ended)
    }

    fn commit(&mut self) -> Result<(), Fault> {
        self.state.counters.flush(&self.connection)?;
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    /// Nothing of the transaction counts: everyone is told so.
    fn fail(&mut self, fault: &Fault, ended: Vec<Ended>) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "A transaction could not be rolled back.");
        }
        self.state.leases.undo_since(0);
        self.state.counters.clear();
        self.state.distrust();
        tracing::warn!(
            reason = fault.text(),
            "The store could not commit; nothing was changed."
        );
        for command in ended {
            (command.answer)(Some(StoreError::Unavailable(fault.text())));
        }
    }
}
