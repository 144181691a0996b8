//! A command of the writer, and how its caller gets the answer.

use causeway_core::store::StoreError;
use tokio::sync::oneshot;

use crate::sqlite::base::{error::Error, tx::Tx};

/// A command, with the channel to its caller.
pub(crate) trait Work: Send {
    /// Runs the command. It may run again after a rollback.
    fn run(&mut self, tx: &mut Tx<'_>) -> RunResult;
    /// Answers the caller, after the commit or with the error of the whole transaction.
    fn answer(self: Box<Self>, whole: Option<StoreError>);
}

/// The result of running a command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunResult {
    Done,
    Failed,
    /// No other command can succeed on the database now.
    Unavailable,
}

pub(crate) struct Request<T, F> {
    pub work: F,
    pub result: Option<Result<T, Error>>,
    pub reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Work for Request<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> Result<T, Error> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> RunResult {
        match self.result.insert((self.work)(tx)) {
            Ok(_) => RunResult::Done,
            Err(error) if error.is_unavailable() => RunResult::Unavailable,
            Err(_) => RunResult::Failed,
        }
    }

    fn answer(self: Box<Self>, whole: Option<StoreError>) {
        let answer = match (whole, self.result) {
            (Some(error), _) => Err(error),
            (None, Some(result)) => result.map_err(StoreError::from),
            (None, None) => return,
        };
        // The caller may be gone; the work is done all the same.
        drop(self.reply.send(answer));
    }
}
