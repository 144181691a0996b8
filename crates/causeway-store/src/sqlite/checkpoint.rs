//! Copies the log back into the file on a thread of its own: it takes some 20 ms, and nobody's commit should wait for it.
//! Only the few pages that were written meanwhile are left to the writer, so that the log can begin anew.

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

use super::fault::Fault;

/// Pages in the log from which on it is copied back: 24 MB, rarely enough to gather changes of the same page.
const START: usize = 3_000;
/// Pages from which on the writer copies them itself: the other thread does not keep up.
const LIMIT: usize = 8_000;
/// The maximum of pages that the writer may be asked to copy.
const FEW: i64 = 200;
/// Each time fewer pages are left.
const ROUNDS: u32 = 4;

#[derive(Debug, Default)]
struct Log {
    /// Pages in it after the last commit.
    pages: AtomicUsize,
    /// All but a few are copied.
    is_nearly_copied: AtomicBool,
    /// The last attempt failed.
    is_stuck: AtomicBool,
}

impl Log {
    /// Copies what it can. Pages that are left; `None` when it could not be done now. What stays in the log is as safe
    /// there, so nobody else needs to know; a full disk is logged once, not at each commit.
    fn copy_back(&self, connection: &Connection) -> Option<i64> {
        match copy_back(connection) {
            Ok(left) => {
                self.is_stuck.store(false, Ordering::Relaxed);
                left
            }
            Err(fault) => {
                if !self.is_stuck.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        reason = fault.text(),
                        "The log could not be copied back into the database; it grows until it can."
                    );
                }
                None
            }
        }
    }
}

/// The writer's side.
pub(crate) struct Checkpointer {
    log: Arc<Log>,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// From now on `writer` leaves its log to this.
    pub(crate) fn start(writer: &mut Connection, path: &Path) -> Result<Self, Fault> {
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

    /// What the writer does after each commit.
    pub(crate) fn after_commit(&self, writer: &Connection) {
        let pages = self.log.pages.load(Ordering::Relaxed);
        if pages < START {
            // It may have begun anew by itself.
            self.log.is_nearly_copied.store(false, Ordering::Relaxed);
            return;
        }
        if pages >= LIMIT || self.log.is_nearly_copied.swap(false, Ordering::Relaxed) {
            self.log.copy_back(writer);
        } else if let Some(wake) = &self.wake {
            // It is awake already when the channel is full.
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

/// Waits for nobody. Pages that are left in the log; `None` when another connection is at it.
fn copy_back(connection: &Connection) -> Result<Option<i64>, Fault> {
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

    /// A reader of what was there before keeps the other thread from copying all, as commits beside it do.
    #[test]
    fn the_writer_copies_the_rest_and_the_log_begins_anew() {
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
            assert!(Instant::now() < end, "the other thread copies nothing");
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
