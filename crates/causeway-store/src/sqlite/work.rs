//! A command of the writer, and how its caller gets the answer.

use causeway_core::store::StoreError;
use tokio::sync::oneshot;

use super::{error::Error, writer::Tx};

/// A command, with the channel to its caller.
pub(super) trait Work: Send {
    /// Runs the command. It may run again after a rollback.
    fn run(&mut self, tx: &mut Tx<'_>) -> Went;
    /// Answers the caller, after the commit or with the error of the whole transaction.
    fn answer(self: Box<Self>, whole: Option<StoreError>);
}

/// The result of running a command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Went {
    Well,
    Failed,
    /// No other command can succeed on the database now.
    Unavailable,
}

pub(super) struct Asked<T, F> {
    pub work: F,
    pub result: Option<Result<T, Error>>,
    pub asker: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Work for Asked<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> Result<T, Error> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Went {
        match self.result.insert((self.work)(tx)) {
            Ok(_) => Went::Well,
            Err(fault) if fault.is_unavailable() => Went::Unavailable,
            Err(_) => Went::Failed,
        }
    }

    fn answer(self: Box<Self>, whole: Option<StoreError>) {
        let answer = match (whole, self.result) {
            (Some(error), _) => Err(error),
            (None, Some(result)) => result.map_err(StoreError::from),
            (None, None) => return,
        };
        // The caller may be gone; the work is done all the same.
        drop(self.asker.send(answer));
    }
}
