//! An empty database of each sort, and direct access to it.

use std::{path::PathBuf, sync::Arc};

use causeway_core::clock::{Clock, Timestamp};
use causeway_testkit::rig;
use tempfile::TempDir;

use crate::config::Context;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Postgres,
    MariaDb,
    Sqlite,
}

pub(super) struct Database {
    pub sort: Sort,
    pub url: String,
    pub context: Context,
    dir: TempDir,
}

struct NoClock;

#[async_trait::async_trait]
impl Clock for NoClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    async fn sleep_until(&self, _: Timestamp) {}
}

impl Database {
    pub(super) fn postgres() -> Self {
        Self::new(Sort::Postgres, rig::postgres::shared().create_database())
    }

    pub(super) fn mariadb() -> Self {
        Self::new(Sort::MariaDb, rig::mariadb::shared().create_database())
    }

    pub(super) fn sqlite() -> Self {
        let database = Self::new(Sort::Sqlite, "sqlite:people.db".to_owned());
        // Only `destination create` makes a file.
        database.run("PRAGMA user_version = 1");
        database
    }

    pub(super) fn new(sort: Sort, url: String) -> Self {
        let dir = TempDir::new().unwrap();
        let context = Context {
            name: "people".into(),
            clock: Arc::new(NoClock),
            dir: dir.path().to_owned(),
            tables: causeway_core::mapping::Tables::default(),
            vault: crate::vault::NoVault::shared(),
        };
        Self {
            sort,
            url,
            context,
            dir,
        }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.dir.path().join("people.db")
    }

    /// Runs SQL past the destination. Returns one line per row, with columns separated by `|`.
    pub(super) fn run(&self, sql: &str) -> String {
        let out = match self.sort {
            Sort::Postgres => rig::postgres::shared().execute(&self.url, sql),
            Sort::MariaDb => {
                let name = self.url.rsplit('/').next().unwrap();
                rig::mariadb::shared().execute(name, sql).replace('\t', "|")
            }
            Sort::Sqlite => self.run_sqlite(sql),
        };
        out.trim_end().to_owned()
    }

    fn run_sqlite(&self, sql: &str) -> String {
        use rusqlite::types::ValueRef;
        let connection = rusqlite::Connection::open(self.file()).unwrap();
        let mut out = String::new();
        for sql in sql.split(";\n").filter(|sql| !sql.trim().is_empty()) {
            let mut statement = connection.prepare(sql).unwrap();
            let width = statement.column_count();
            let mut rows = statement.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let cells: Vec<String> = (0..width)
                    .map(|at| match row.get_ref(at).unwrap() {
                        ValueRef::Null => String::new(),
                        ValueRef::Integer(value) => value.to_string(),
                        ValueRef::Real(value) => value.to_string(),
                        ValueRef::Text(text) | ValueRef::Blob(text) => {
                            String::from_utf8(text.to_vec()).unwrap()
                        }
                    })
                    .collect();
                out.push_str(&cells.join("|"));
                out.push('\n');
            }
        }
        out
    }

    /// How this database prints true or false.
    pub(super) fn boolean(&self, value: bool) -> &'static str {
        match (self.sort, value) {
            (Sort::Postgres, true) => "t",
            (Sort::Postgres, false) => "f",
            (_, true) => "1",
            (_, false) => "0",
        }
    }

    pub(super) fn count(&self, table: &str) -> usize {
        self.run(&format!("SELECT count(*) FROM {table}"))
            .parse()
            .unwrap()
    }
}
