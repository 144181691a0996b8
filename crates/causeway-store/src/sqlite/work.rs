//! A command of the writer, and how its caller gets the answer.

use causeway_core::store::StoreError;
use tokio::sync::oneshot;

use super::{fault::Fault, writer::Tx};

/// A command: what to do, and who waits for what came of it.
pub(super) trait Work: Send {
    /// May be called again after a rollback.
    fn run(&mut self, tx: &mut Tx<'_>) -> Went;
    /// Called after the commit, or with the error that hit the whole transaction.
    fn answer(self: Box<Self>, whole: Option<StoreError>);
}

/// How running a command went.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Went {
    Well,
    Failed,
    /// No other command can count on the database now.
    Unavailable,
}

pub(super) struct Asked<T, F> {
    pub work: F,
    pub result: Option<Result<T, Fault>>,
    pub asker: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Work for Asked<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> Result<T, Fault> + Send,
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
        // Who asked may have gone: the work is done all the same.
        drop(self.asker.send(answer));
    }
}
