//! Copies the write-ahead log back into the database file on a thread of its own. This takes about 20 ms,
//! and no commit should wait for it. Only the few pages that were written meanwhile are left to the writer,
//! so that the log can start again from its beginning.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use rusqlite::{Connection, OpenFlags};

use crate::sqlite::base::error::Error;

/// The log is copied back from this number of pages on. It is 24 MB, so that most changes of the same page
/// are copied once.
const START: usize = 3_000;
/// From this number of pages on the writer copies them itself, because the other thread does not keep up.
const LIMIT: usize = 8_000;
/// The writer copies at most this many pages.
const FEW: i64 = 200;
/// Rounds of the thread for one wake-up. Each round leaves fewer pages.
const ROUNDS: u32 = 4;

#[derive(Debug, Default)]
struct Log {
    /// Pages in the log after the last commit.
    pages: AtomicUsize,
    /// All pages but a few are copied.
    is_nearly_copied: AtomicBool,
    /// The last attempt failed.
    is_stuck: AtomicBool,
}

impl Log {
    /// Copies as many pages as possible. Returns the pages that are left, `None` when it could not be done
    /// now. Pages in the log are as safe as in the file, so no caller needs the error. A full disk is logged
    /// once, not at each commit.
    fn copy_back(&self, connection: &Connection) -> Option<i64> {
        match copy_back(connection) {
            Ok(left) => {
                self.is_stuck.store(false, Ordering::Relaxed);
                left
            }
            Err(error) => {
                if !self.is_stuck.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        reason = error.text(),
                        "The log could not be copied back into the database; it grows until it can."
                    );
                }
                None
            }
        }
    }
}

/// The writer's handle to the checkpoint thread.
pub(crate) struct Checkpointer {
    log: Arc<Log>,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts the thread. `writer` no longer checkpoints by itself.
    pub(crate) fn start(writer: &mut Connection, path: &Path) -> Result<Self, Error> {
        let connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "fullfsync", true)?;
        let log = Arc::new(Log::default());
        let counted = Arc::clone(&log);
        writer.wal_hook(Some(move |_: &mut _, pages| {
            counted
                .pages
                .store(usize::try_from(pages).unwrap_or_default(), Ordering::Relaxed);
            Ok(())
        }))?;
        let (wake, woken) = sync_channel(1);
        let shared = Arc::clone(&log);
        let thread = std::thread::Builder::new()
            .name("store-checkpoint".to_owned())
            .spawn(move || run(&connection, &shared, &woken))?;
        Ok(Self {
            log,
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    /// Called by the writer after each commit.
    pub(crate) fn after_commit(&self, writer: &Connection) {
        let pages = self.log.pages.load(Ordering::Relaxed);
        if pages < START {
            // The log may have started again by itself.
            self.log.is_nearly_copied.store(false, Ordering::Relaxed);
            return;
        }
        if pages >= LIMIT || self.log.is_nearly_copied.swap(false, Ordering::Relaxed) {
            self.log.copy_back(writer);
        } else if let Some(wake) = &self.wake {
            // A full channel means that the thread is awake already.
            wake.try_send(()).ok();
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn run(connection: &Connection, log: &Log, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        for _ in 0..ROUNDS {
            match log.copy_back(connection) {
                Some(left) if left <= FEW => {
                    log.is_nearly_copied.store(true, Ordering::Relaxed);
                    break;
                }
                Some(_) => {}
                None => break,
            }
        }
    }
}

/// Copies without waiting for any other connection. Returns the pages that are left in the log, `None` when
/// another connection is copying.
fn copy_back(connection: &Connection) -> Result<Option<i64>, Error> {
    let copied = connection
        .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")?
        .query_row([], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, i64>(2)?,
            ))
        })?;
    let (busy, pages, done) = copied;
    Ok((busy == 0).then_some(pages - done))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// A reader of the old state keeps the thread from copying everything, like commits beside it do.
    #[test]
    fn the_writer_copies_the_rest_and_the_log_is_reset() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut writer = Connection::open(&path).unwrap();
        writer
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x BLOB)")
            .unwrap();
        let checkpointer = Checkpointer::start(&mut writer, &path).unwrap();
        let log = &checkpointer.log;
        let commit = |pages: usize| {
            let bytes = i64::try_from(pages * 4_096).unwrap();
            let written = writer.execute("INSERT INTO t VALUES (zeroblob(?1))", [bytes]);
            written.unwrap();
            log.pages.load(Ordering::Relaxed)
        };
        assert!((START..LIMIT).contains(&commit(START)));
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
        commit(1);
        checkpointer.after_commit(&writer);
        let end = Instant::now() + Duration::from_mins(1);
        while !log.is_nearly_copied.load(Ordering::Relaxed) {
            assert!(Instant::now() < end, "the checkpoint thread copied nothing");
            std::thread::yield_now();
        }
        drop(reader);
        assert!(commit(1) > START);
        checkpointer.after_commit(&writer);
        assert!(commit(1) < 10);
        checkpointer.after_commit(&writer);
        assert!(!log.is_nearly_copied.load(Ordering::Relaxed));
    }
}
