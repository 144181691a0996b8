//! Opens a database file: the settings of a connection, and the migrations of the schema.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, TransactionBehavior, config::DbConfig};

use crate::sqlite::base::error::Error;

/// In order; `user_version` is the number of migrations that were run. Never change one that was released:
/// add another.
const MIGRATIONS: [&str; VERSION as usize] = [
    include_str!("../../../migrations/sqlite/0001_start.sql"),
    include_str!("../../../migrations/sqlite/0002_automations.sql"),
    include_str!("../../../migrations/sqlite/0003_erasure.sql"),
    include_str!("../../../migrations/sqlite/0004_source_urls.sql"),
    include_str!("../../../migrations/sqlite/0005_timer_chain.sql"),
    include_str!("../../../migrations/sqlite/0006_automation_names.sql"),
    include_str!("../../../migrations/sqlite/0007_addresses.sql"),
    include_str!("../../../migrations/sqlite/0008_repeats.sql"),
    include_str!("../../../migrations/sqlite/0010_after_erasure.sql"),
    include_str!("../../../migrations/sqlite/0011_purpose_of_given.sql"),
    include_str!("../../../migrations/sqlite/0012_withdrawals_first.sql"),
    include_str!("../../../migrations/sqlite/0013_engagement_seen.sql"),
    include_str!("../../../migrations/sqlite/0014_one_index_for_keys.sql"),
    include_str!("../../../migrations/sqlite/0015_plain_names.sql"),
    include_str!("../../../migrations/sqlite/0016_withdrawals_from_their_index.sql"),
    include_str!("../../../migrations/sqlite/0017_unclear_opt_outs.sql"),
    include_str!("../../../migrations/sqlite/0018_busy_attempts.sql"),
    include_str!("../../../migrations/sqlite/0019_memory.sql"),
];

pub(crate) const VERSION: u32 = 18;

/// How long to wait for the write lock, which another process (a command beside the hub) may hold.
pub(crate) const BUSY: Duration = Duration::from_secs(5);

/// Which migrations the opening of a database may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Steps {
    /// All that are missing. Only the process that serves may do that: the schema must not change under a
    /// running hub.
    All,
    /// Creates a new database, and refuses an older one.
    OfNew,
}

pub(crate) fn writer(path: &Path, steps: Steps) -> Result<Connection, Error> {
    // Only one thread uses the connection, so SQLite needs no lock around each call.
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY)?;
    // Query plans must not depend on bound values. Otherwise statements are compiled again whenever a value
    // changes.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Applies to new files. A form takes 2.5 kB and a message 1.5 kB. With pages of 4 kB half of each page
    // would be written for nothing.
    connection.pragma_update(None, "page_size", 8192)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // Invariant: what was committed is on disk; otherwise nothing may be acknowledged.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "journal_size_limit", 67_108_864)?;
    // Erased data leaves no bytes behind in free space.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "cache_size", -32_768)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.set_prepared_statement_cache_capacity(160);
    migrate(&mut connection, steps)?;
    Ok(connection)
}

/// A connection for a rehearsal. Its caller always rolls back. Without a path it opens an empty database in
/// memory.
pub(crate) fn rehearsal(path: Option<&Path>) -> Result<Connection, Error> {
    let Some(path) = path else {
        let mut connection = Connection::open_in_memory()?;
        migrate(&mut connection, Steps::OfNew)?;
        return Ok(connection);
    };
    require_current(path)?;
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    Ok(connection)
}

/// A read-only connection.
pub(crate) fn reader(path: &Path) -> Result<Connection, Error> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "cache_size", -4_096)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Fails unless the database at `path` has this program's schema. Writes nothing.
pub(crate) fn require_current(path: &Path) -> Result<(), Error> {
    let found: u32 = reader(path)?.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found == VERSION {
        return Ok(());
    }
    Err(other_schema(found))
}

fn other_schema(found: u32) -> Error {
    Error::Refused(if found > VERSION {
        format!(
            "the database has schema {found} and this program knows {VERSION}: it was written by a newer version"
        )
    } else {
        format!(
            "the database has schema {found} and this program needs {VERSION}: stop the hub if an older version \
             runs, and bring the database up to date with `causeway store migrate` or by starting `causeway serve`"
        )
    })
}

fn migrate(connection: &mut Connection, steps: Steps) -> Result<(), Error> {
    // Checked without the lock first, so that a command need not wait for a busy hub.
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found == VERSION {
        return Ok(());
    }
    // Two processes may open a new file at once. The one that gets the lock second finds the migrations done.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let is_allowed = found == 0 || found == VERSION || steps == Steps::All;
    if found > VERSION || !is_allowed {
        return Err(other_schema(found));
    }
    for step in MIGRATIONS.iter().skip(found as usize) {
        transaction.execute_batch(step)?;
    }
    if found < VERSION {
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// To accept a change: `CAUSEWAY_UPDATE_SCHEMA=1 cargo test -p causeway-store schema`.
    #[test]
    fn the_migrations_make_the_schema_that_is_checked_in() {
        let folder = tempfile::tempdir().unwrap();
        let connection = writer(&folder.path().join("a.db"), Steps::All).unwrap();
        let mut statement = connection
            .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type DESC, name")
            .unwrap();
        let dump = statement
            .query_map([], |row| row.get::<_, String>(0))
            .unwrap()
            .fold(String::new(), |mut dump, sql| {
                writeln!(dump, "{};\n", sql.unwrap()).unwrap();
                dump
            });
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/sqlite.sql");
        if std::env::var_os("CAUSEWAY_UPDATE_SCHEMA").is_some() {
            std::fs::write(&file, &dump).unwrap();
        }
        assert_eq!(dump, std::fs::read_to_string(file).unwrap());
    }

    #[test]
    fn timers_from_before_chains_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let old = Connection::open(&path).unwrap();
        for step in &MIGRATIONS[..4] {
            old.execute_batch(step).unwrap();
        }
        old.pragma_update(None, "user_version", 4).unwrap();
        old.execute_batch(
            "INSERT INTO timer (due_at, workspace_id, contact_id, inbox_id, automation, due)
             VALUES (1, 1, 1, 1, 'later', '{\"step\":0}')",
        )
        .unwrap();
        drop(old);
        let now = writer(&path, Steps::All).unwrap();
        let sql = "SELECT hops, chain FROM timer WHERE automation = 'later'";
        let found: (i64, Option<String>) = now
            .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!(found, (0, None));
    }

    #[test]
    fn keys_from_before_they_began_with_the_senders_id_are_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let old = Connection::open(&path).unwrap();
        for step in &MIGRATIONS[..12] {
            old.execute_batch(step).unwrap();
        }
        old.pragma_update(None, "user_version", 12).unwrap();
        old.execute_batch(
            "INSERT INTO inbox (source_id, dedup, sender_id, key, received_at, state, bytes) VALUES
             (1, x'00ff00ff00ff00fe8081828384858687', x'c0000102030405ff09090909090909aa', x'01', 0, 'done', 0),
             (1, x'10ff00ff00ff00fe8081828384858687', NULL, x'02', 0, 'done', 0),
             (1, NULL, x'c0000102030405ff09090909090909aa', x'03', 0, 'done', 0)",
        )
        .unwrap();
        drop(old);
        let now = writer(&path, Steps::All).unwrap();
        let mut statement = now
            .prepare("SELECT typeof(dedup), coalesce(hex(dedup), '') FROM inbox ORDER BY id")
            .unwrap();
        let found: Vec<(String, String)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let expected = [
            ("blob", "C0000102030405FF8081828384858687"),
            ("blob", "10FF00FF00FF00FE8081828384858687"),
            ("null", ""),
        ];
        assert_eq!(
            found,
            expected.map(|(kind, key)| (kind.to_owned(), key.to_owned()))
        );
    }

    #[test]
    fn a_database_of_a_newer_version_is_refused_with_both_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        writer(&path, Steps::All)
            .unwrap()
            .pragma_update(None, "user_version", VERSION + 1)
            .unwrap();
        let refused = writer(&path, Steps::All).unwrap_err().text();
        assert!(refused.contains(&(VERSION + 1).to_string()), "{refused}");
        assert!(refused.contains("newer version"), "{refused}");
    }

    #[test]
    fn only_the_process_that_serves_migrates_an_older_database() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        writer(&path, Steps::OfNew)
            .unwrap()
            .pragma_update(None, "user_version", VERSION - 1)
            .unwrap();
        for refused in [
            writer(&path, Steps::OfNew).unwrap_err(),
            rehearsal(Some(&path)).unwrap_err(),
            require_current(&path).unwrap_err(),
        ] {
            let refused = refused.text();
            assert!(refused.contains("causeway store migrate"), "{refused}");
        }
    }
}
