//! Folders for private copies of people's data.
//!
//! Invariant: only the owner can read such a folder. It is removed when it is dropped; the next command removes folders of
//! killed processes.

use std::{
    fs::{File, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::Duration,
};

use tempfile::TempDir;

const PREFIX: &str = "causeway-trial-";
/// A file in each folder that its process keeps locked. The system releases the lock however the process ends.
const IN_USE: &str = "in-use";
/// The file's name until it is locked, because another process may sweep at any moment.
const NOT_YET_LOCKED: &str = "in-use.new";
/// A folder without the lock file is being created. After this time its process must have been killed.
const MAKING: Duration = Duration::from_mins(1);

/// A private folder, see the module.
pub struct PrivateFolder {
    folder: TempDir,
    _in_use: File,
}

impl PrivateFolder {
    /// Creates a folder in `parent`, and removes the unused ones there.
    pub fn make(parent: &Path) -> io::Result<Self> {
        sweep(parent);
        let folder = private(tempfile::Builder::new().prefix(PREFIX), parent)?;
        let unlocked = folder.path().join(NOT_YET_LOCKED);
        let in_use = File::create(&unlocked)?;
        in_use.lock()?;
        std::fs::rename(unlocked, folder.path().join(IN_USE))?;
        Ok(Self {
            folder,
            _in_use: in_use,
        })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Creates a subfolder.
    pub(super) fn room(&self) -> io::Result<TempDir> {
        private(&mut tempfile::Builder::new(), self.path())
    }
}

fn private(builder: &mut tempfile::Builder<'_, '_>, parent: &Path) -> io::Result<TempDir> {
    builder
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(parent)
}

/// Removes the folders in `parent` whose process has ended. A failed removal is repeated by the next sweep.
pub fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if is_ours && is_left_behind(&entry.path()) {
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
}

fn is_left_behind(folder: &Path) -> bool {
    match File::open(folder.join(IN_USE)) {
        Ok(file) => file.try_lock().is_ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => std::fs::symlink_metadata(folder)
            .and_then(|folder| folder.modified())
            .is_ok_and(|made| made.elapsed().is_ok_and(|age| age > MAKING)),
        // Another user's folder.
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_folder_is_swept_by_another_process_while_it_is_made() {
        let parent = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        PrivateFolder::make(parent.path()).unwrap().room().unwrap();
                    }
                });
            }
        });
    }

    #[test]
    fn a_folder_is_private_and_the_folder_of_a_killed_process_is_swept() {
        let parent = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let left = parent.path().join("causeway-trial-left");
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join(IN_USE), "").unwrap();
        let half_made = parent.path().join("causeway-trial-new");
        std::fs::create_dir(&half_made).unwrap();
        let other = parent.path().join("backup");
        std::fs::create_dir(&other).unwrap();

        let used = PrivateFolder::make(parent.path()).unwrap();
        let room = used.room().unwrap();
        assert_eq!((mode(used.path()), mode(room.path())), (0o700, 0o700));
        assert!(!left.exists());
        sweep(parent.path());
        assert!(used.path().exists() && half_made.exists() && other.exists());
        let hour_ago = std::fs::metadata(&half_made).unwrap().modified().unwrap() - Duration::from_hours(1);
        File::open(&half_made).unwrap().set_modified(hour_ago).unwrap();
        let path = used.path().to_owned();
        drop(room);
        drop(used);
        assert!(!path.exists());
        sweep(parent.path());
        assert!(!half_made.exists() && other.exists());
    }
}
