//! Keeps a file whole: complete records only, one header, on disk before a delivery counts as delivered, and
//! one writer at a time.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufReader, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use causeway_core::clock::Timestamp;

use super::{
    layout::{Format, KEY, Layout, Row, read_header},
    recent::Recent,
    scan::scan,
};

/// Maximum bytes of a partial record that are cut off from the end of a file. A longer tail was hardly
/// written by us, so such a file is put aside unchanged.
const MAX_CUT_BYTES: u64 = 1 << 20;

/// Why nothing was written. The text names the file, and nothing of the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WriteError {
    /// May succeed the next time: the disk is full, the file is locked.
    Temporary(String),
    /// Lasts until a person acts: not permitted, not a file.
    Permanent(String),
}

/// The file that is open for writing, if any, and the keys that were written last.
pub(super) struct Writer {
    open: Option<Open>,
    recent: Recent,
    /// Replaced in tests that need a full disk.
    pub write: fn(&mut File, &[u8]) -> io::Result<()>,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            open: None,
            recent: Recent::default(),
            write: |file, bytes| file.write_all(bytes),
        }
    }
}

/// When a file is put aside, and with which time in its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rotation {
    pub bytes: u64,
    pub now: Timestamp,
}

/// What a batch writes. Empty if the file could not be opened.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// The first line of the file, if it has a header.
    pub header: Vec<u8>,
    /// The line of each row; `None` if it is in the file already.
    pub lines: Vec<Option<Vec<u8>>>,
}

struct Open {
    path: PathBuf,
    file: File,
    header: Vec<String>,
    /// The file is complete and on disk up to here.
    good_bytes: u64,
}

impl Writer {
    /// Writes the rows that are not in the file yet, all or none. Afterwards they are on disk. Notes in `sent` what is
    /// written, also if that fails.
    pub fn append(
        &mut self,
        path: &Path,
        layout: &Layout,
        rows: &[Row],
        rotation: Rotation,
        sent: &mut Sent,
    ) -> Result<(), WriteError> {
        let Rotation { bytes: most, now } = rotation;
        let named = |error: &io::Error| write_error(path, error);
        // Somebody may have moved the file away or edited it.
        let mut open = match self.open.take().filter(|open| open.is_at(path)) {
            Some(open) => open,
            None => self.open(path, layout, now).map_err(|error| named(&error))?,
        };
        let mut keys = HashSet::new();
        let (mut bytes, mut added) = (Vec::new(), Vec::new());
        sent.header = layout.print_header(&open.header);
        for row in rows {
            let mut line = None;
            if !self.recent.contains(&row.key) && keys.insert(row.key.as_str()) {
                let printed = layout.print(std::slice::from_ref(row), &open.header);
                bytes.extend_from_slice(&printed);
                added.push(row.key.as_str());
                line = Some(printed);
            }
            sent.lines.push(line);
        }
        let head_bytes = sent.header.len() as u64;
        let full = open.good_bytes.saturating_add(bytes.len() as u64) > most;
        if full && open.good_bytes > head_bytes {
            let header = open.header.clone();
            open = open
                .put_aside(now)
                .and_then(|()| Open::create(path, layout, header))
                .map_err(|error| named(&error))?;
        }
        if !bytes.is_empty() {
            open.append(&bytes, self.write).map_err(|error| named(&error))?;
        }
        for key in added {
            self.recent.add(key);
        }
        self.open = Some(open);
        Ok(())
    }

    /// Opens the existing file, cuts off a partial record at its end, and checks its header.
    fn open(&mut self, path: &Path, layout: &Layout, now: Timestamp) -> io::Result<Open> {
        let file = match OpenOptions::new().read(true).append(true).open(path) {
            Ok(file) => lock(file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Open::create(path, layout, layout.columns().to_vec());
            }
            Err(error) => return Err(error),
        };
        if !file.metadata()?.is_file() {
            return Err(not_plain());
        }
        let found = scan(BufReader::with_capacity(1 << 16, &file), layout.format)?;
        let mut open = Open {
            path: path.to_owned(),
            file,
            header: layout.columns().to_vec(),
            good_bytes: found.whole_bytes,
        };
        // A killed program's writes may not be on disk yet, and are about to count as delivered.
        open.file.sync_all()?;
        self.recent.add_all(&found.keys);
        if found.all_bytes - found.whole_bytes > MAX_CUT_BYTES {
            open.put_aside(now)?;
            return Open::create(path, layout, layout.columns().to_vec());
        }
        open.cut()?;
        if layout.format == Format::Jsonl {
            return Ok(open);
        }
        let Some(first) = found.first else {
            open.append(&layout.print_header(&open.header), |file, bytes| {
                file.write_all(bytes)
            })?;
            return Ok(open);
        };
        let header = read_header(&first);
        let ours = header.first().is_some_and(|name| name == KEY);
        let missing: Vec<String> = layout
            .columns()
            .iter()
            .filter(|name| !header.contains(name))
            .cloned()
            .collect();
        if ours && missing.is_empty() {
            open.header = header;
            return Ok(open);
        }
        // A different header needs a new file, because a file has one header. Known columns keep their
        // places.
        open.put_aside(now)?;
        let header = if ours {
            [header, missing].concat()
        } else {
            layout.columns().to_vec()
        };
        Open::create(path, layout, header)
    }
}

impl Open {
    fn create(path: &Path, layout: &Layout, header: Vec<String>) -> io::Result<Self> {
        let dir = path.parent().unwrap_or(Path::new(""));
        create_folders(dir, &mut sync_dir)?;
        // It holds personal data, so only the owner may read it.
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let mut open = Self {
            path: path.to_owned(),
            file: lock(file)?,
            good_bytes: 0,
            header,
        };
        open.append(&layout.print_header(&open.header), |file, bytes| {
            file.write_all(bytes)
        })?;
        sync_dir(dir)?;
        Ok(open)
    }

    /// Whether the open file is still the file at this path, and unchanged since the last write.
    fn is_at(&self, path: &Path) -> bool {
        let (Ok(there), Ok(here)) = (fs::metadata(path), self.file.metadata()) else {
            return false;
        };
        let same = self.path == path && (there.dev(), there.ino()) == (here.dev(), here.ino());
        same && here.len() == self.good_bytes
    }

    /// Writes once and syncs to disk. If that fails, the written part is removed again. Otherwise a later
    /// reader would find it in memory, and take it to be on disk.
    fn append(&mut self, bytes: &[u8], write: fn(&mut File, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let written = write(&mut self.file, bytes).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // If this fails as well, the next opening cuts off the partial record.
            self.cut().ok();
            return Err(error);
        }
        self.good_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Renames `people.csv` to `people-20260301T093000Z.csv`.
    fn put_aside(self, now: Timestamp) -> io::Result<()> {
        let path = &self.path;
        let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let (stem, extension) = (part(path.file_stem()), part(path.extension()));
        let dot = if extension.is_empty() { "" } else { "." };
        let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut aside = path.with_file_name(format!("{stem}-{time}{dot}{extension}"));
        for number in 2_u32.. {
            if !aside.try_exists()? {
                break;
            }
            aside = path.with_file_name(format!("{stem}-{time}-{number}{dot}{extension}"));
        }
        fs::rename(path, &aside)?;
        sync_dir(path.parent().unwrap_or(Path::new("")))
    }

    fn cut(&self) -> io::Result<()> {
        if self.file.metadata()?.len() != self.good_bytes {
            self.file.set_len(self.good_bytes)?;
            self.file.sync_all()?;
        }
        Ok(())
    }
}

/// Makes created and renamed files durable. An empty path is the current folder.
/// Creates the missing folders, and syncs the folder that each is in: otherwise a power cut could lose the folder with
/// files that counted as delivered.
fn create_folders(dir: &Path, sync: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    if dir.as_os_str().is_empty() || dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().unwrap_or(Path::new(""));
    create_folders(parent, sync)?;
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync(parent),
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    File::open(dir)?.sync_all()
}

fn lock(file: File) -> io::Result<File> {
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(io::Error::new(io::ErrorKind::ResourceBusy, "locked")),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Checks whether the file can be written or created, without changing an existing one.
pub(super) fn check(path: &Path) -> Result<(), WriteError> {
    let named = |error: &io::Error| write_error(path, error);
    // Checked before opening: opening a pipe would wait for a reader.
    match fs::metadata(path) {
        Ok(there) if !there.is_file() && !there.is_dir() => return Err(named(&not_plain())),
        Ok(_) => {
            let opened = OpenOptions::new().append(true).open(path);
            return opened.map(|_| ()).map_err(|error| named(&error));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(named(&error)),
    }
    // The nearest existing folder; the others will be created.
    let dir = path
        .ancestors()
        .skip(1)
        .find(|dir| dir.as_os_str().is_empty() || dir.exists());
    let trial = dir
        .unwrap_or(Path::new(""))
        .join(format!(".causeway-check-{}", std::process::id()));
    File::create_new(&trial)
        .and_then(|_| fs::remove_file(&trial))
        .map_err(|error| named(&error))
}

fn not_plain() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a plain file")
}

fn write_error(path: &Path, error: &io::Error) -> WriteError {
    use io::ErrorKind::{
        InvalidInput, IsADirectory, NotADirectory, PermissionDenied, ReadOnlyFilesystem, ResourceBusy,
    };
    let at = path.display();
    match error.kind() {
        ResourceBusy => WriteError::Temporary(format!(
            "{at} is being written to by another process or destination"
        )),
        InvalidInput => WriteError::Permanent(format!("{at} is not a plain file")),
        kind @ (PermissionDenied | ReadOnlyFilesystem | NotADirectory | IsADirectory) => {
            WriteError::Permanent(format!("writing {at}: {kind}"))
        }
        kind => WriteError::Temporary(format!("writing {at}: {kind}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_is_synced_in_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        let (top, deep) = (dir.path(), dir.path().join("a/b"));
        let mut synced = Vec::new();
        let mut note = |dir: &Path| -> io::Result<()> {
            synced.push(dir.to_owned());
            sync_dir(dir)
        };
        create_folders(&deep, &mut note).unwrap();
        create_folders(&deep, &mut note).unwrap();
        // A file in the place of a folder.
        fs::write(top.join("c"), "").unwrap();
        assert!(create_folders(&top.join("c/d"), &mut note).is_err());
        assert!(deep.is_dir());
        assert_eq!(synced.get(..2), Some(&[top.to_owned(), top.join("a")][..]));
    }
}
