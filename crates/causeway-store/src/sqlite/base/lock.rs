//! Which process serves from a database: the one that holds the lock of the file beside it.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::sqlite::base::error::Error;

/// How long a start tries to get the lock. A command that calls [`is_served`] holds it for an instant.
const PATIENCE: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The lock of a process that serves. The operating system releases it when the process ends, however it
/// ends.
pub(crate) fn take(database: &Path) -> Result<File, Error> {
    let file = open(database)?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if began.elapsed() < PATIENCE => thread::sleep(LOOK_EVERY),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Refused(
                    "another process serves from this database; stop it first, or give this one a data_dir of its own"
                        .to_owned(),
                ));
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
}

/// Whether a process serves from the database at `path` now.
pub fn is_served(path: &Path) -> bool {
    // The lock is shared and released at once, so two processes that ask at the same time do not take each
    // other for the one that serves.
    path.exists() && !open(path).is_ok_and(|file| file.try_lock_shared().is_ok())
}

fn open(database: &Path) -> Result<File, Error> {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    Ok(File::create(PathBuf::from(name))?)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn asking_whether_the_database_is_served_blocks_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        File::create(&path).unwrap();
        // One process asks, and none serves.
        let asked = open(&path).unwrap();
        asked.try_lock_shared().unwrap();
        assert!(!is_served(&path));

        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    is_served(&path);
                }
            });
            scope.spawn(move || drop(asked));
            let taken: Vec<bool> = (0..50).map(|_| take(&path).is_ok()).collect();
            is_over.store(true, Ordering::Relaxed);
            assert!(!taken.contains(&false), "{taken:?}");
        });
        let serves = take(&path).unwrap();
        assert!(is_served(&path));
        drop(serves);
        assert!(!is_served(&path));
    }
}
