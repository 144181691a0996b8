//! Makes a consistent copy of the database while the hub runs.

use std::{
    fs::{self, File},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rusqlite::Connection;

use crate::sqlite::base::error::Error;

/// Writes to a temporary file beside `to`, and moves it there when it is complete and on disk. So a file
/// named `to` is always complete.
pub(crate) fn backup(connection: &Connection, to: &Path) -> Result<(), Error> {
    if to.exists() {
        return Err(exists());
    }
    let mut name = to.as_os_str().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = PathBuf::from(name);
    let written = write(connection, &part, to);
    if written.is_err() && part.exists() {
        // The reason for the failure matters more than what is left of the temporary file.
        drop(fs::remove_file(&part));
    }
    written
}

fn write(connection: &Connection, part: &Path, to: &Path) -> Result<(), Error> {
    let name = part
        .to_str()
        .ok_or_else(|| Error::Refused("the name of the file is not valid UTF-8".to_owned()))?;
    // SQLite accepts an empty file as the target. It is created here, so that no other user can read the
    // copy.
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(part)?;
    connection.execute("VACUUM INTO ?1", [name])?;
    File::open(part)?.sync_all()?;
    // `hard_link` fails if somebody created the file meanwhile; `rename` would replace it.
    match fs::hard_link(part, to) {
        Ok(()) => fs::remove_file(part)?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Err(exists()),
        Err(_) => fs::rename(part, to)?,
    }
    let folder = match to.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()?;
    Ok(())
}

fn exists() -> Error {
    Error::Refused("the file exists already".to_owned())
}
