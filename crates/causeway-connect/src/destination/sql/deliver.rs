//! The destination itself: connections, what is known of the tables, and a batch in one transaction.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use causeway_core::{
    delivery::Delivery,
    destination::{CheckError, Destination, Ending, Outcome},
};
use tokio::sync::Semaphore;

use super::{
    coerce::Column,
    config::{Settings, Table},
    link::{Described, Link, Trouble},
    plan::{Plan, Row, plan},
    statement::{self, Dialect},
};

/// The columns of each table, in the order of its mapping.
type Shape = Arc<Vec<Vec<Column>>>;

pub(super) struct Sql {
    name: Arc<str>,
    settings: Settings,
    /// Connections without a transaction, for the next to use.
    idle: Mutex<Vec<Link>>,
    shape: Mutex<Option<Shape>>,
    /// SQLite has one writer; whoever waits here does not run into its time-out.
    gate: Semaphore,
}

/// More than that are closed after use.
const MOST_IDLE: usize = 16;
/// How often a batch that lost against another transaction is tried again at once.
const MOST_CONFLICTS: u32 = 4;

/// What is new in this call and need not be got anew.
#[derive(Default)]
struct Fresh {
    link: bool,
    shape: bool,
}

impl Sql {
    pub(super) fn new(name: Arc<str>, settings: Settings) -> Self {
        let permits = match settings.target.dialect() {
            Dialect::Sqlite => 1,
            Dialect::Postgres | Dialect::Mysql => Semaphore::MAX_PERMITS,
        };
        Self {
            name,
            settings,
            idle: Mutex::default(),
            shape: Mutex::default(),
            gate: Semaphore::new(permits),
        }
    }

    /// Makes the tables that are missing; changes none that is there. The database must exist (a SQLite file need not).
    pub(super) async fn create(&self) -> Result<(), CheckError> {
        self.try_create().await.map_err(Trouble::into_check_error)
    }

    async fn try_create(&self) -> Result<(), Trouble> {
        let mut link = Link::connect(&self.settings.target, true).await?;
        for table in &self.settings.tables {
            link.run(&statement::create(link.dialect(), table)).await?;
        }
        Ok(())
    }

    async fn try_check(&self) -> Result<(), Trouble> {
        let mut link = Link::connect(&self.settings.target, false)
            .await
            .map_err(|trouble| self.hinted(trouble))?;
        self.read_shape(&mut link).await?;
        for table in &self.settings.tables {
            link.run(&statement::explain(link.dialect(), table)).await?;
        }
        Ok(())
    }

    async fn try_deliver(&self, batch: &[Delivery], fresh: &mut Fresh) -> Result<Vec<Ending>, Trouble> {
        let reused = if fresh.link { None } else { lock(&self.idle).pop() };
        let mut link = if let Some(link) = reused {
            link
        } else {
            fresh.link = true;
            let link = Link::connect(&self.settings.target, false).await;
            link.map_err(|trouble| self.hinted(trouble))?
        };
        let known = if fresh.shape {
            None
        } else {
            lock(&self.shape).clone()
        };
        let mut shape = if let Some(shape) = known {
            shape
        } else {
            fresh.shape = true;
            self.read_shape(&mut link).await?
        };
        let mut plan = self.plan(&shape, batch);
        let rejects = plan
            .ended
            .iter()
            .flatten()
            .any(|end| matches!(end, Outcome::Reject { .. }));
        if rejects && !fresh.shape {
            // Somebody may have widened the column meanwhile.
            fresh.shape = true;
            shape = self.read_shape(&mut link).await?;
            plan = self.plan(&shape, batch);
        }
        let Plan { waves, ended } = plan;
        let mut endings: Vec<Option<Ending>> = ended.into_iter().map(|end| end.map(Ending::from)).collect();
        if waves.iter().any(|waves| !waves.is_empty()) {
            write(&mut link, &self.settings.tables, &shape, &waves, &mut endings).await?;
        }
        let mut idle = lock(&self.idle);
        if idle.len() < MOST_IDLE {
            idle.push(link);
        }
        Ok(endings
            .into_iter()
            .map(|ending| ending.unwrap_or_else(|| Outcome::Delivered { remote_id: None }.into()))
            .collect())
    }

    fn plan(&self, shape: &Shape, batch: &[Delivery]) -> Plan {
        plan(&self.settings.tables, shape, batch, self.settings.truncate)
    }

    /// Asks the database for its columns, and remembers the answer.
    async fn read_shape(&self, link: &mut Link) -> Result<Shape, Trouble> {
        *lock(&self.shape) = None;
        let mut shape = Vec::new();
        for table in &self.settings.tables {
            let described = link.describe(&table.name).await?;
            let columns = fit(link.dialect(), table, &described).map_err(Trouble::Halt);
            shape.push(columns.map_err(|trouble| self.hinted(trouble))?);
        }
        let shape = Arc::new(shape);
        *lock(&self.shape) = Some(shape.clone());
        Ok(shape)
    }

    /// Says how to get a table that is missing.
    fn hinted(&self, trouble: Trouble) -> Trouble {
        match trouble {
            Trouble::Halt(reason) if reason.starts_with("there is no ") => Trouble::Halt(format!(
                "{reason}; make it, or run `causeway destination create {}`",
                self.name
            )),
            other => other,
        }
    }
}

/// Looks the mapped columns up. The error tells what is missing.
fn fit(dialect: Dialect, table: &Table, described: &Described) -> Result<Vec<Column>, String> {
    if described.columns.is_empty() {
        return Err(format!("there is no table {}", table.name));
    }
    let mut columns = Vec::new();
    let mut missing = Vec::new();
    for (name, _) in &table.columns {
        match described
            .columns
            .iter()
            .find(|column| dialect.same(&column.name, name))
        {
            Some(column) => columns.push(column.clone()),
            None => missing.push(name.as_str()),
        }
    }
    if !missing.is_empty() {
        return Err(format!(
            "table {} has no column {}; add it, or list the columns to write in `columns`",
            table.name,
            missing.join(", ")
        ));
    }
    let is_key = |index: &Vec<String>| {
        index.len() == table.key.len()
            && table
                .key
                .iter()
                .all(|key| index.iter().any(|column| dialect.same(column, key)))
    };
    if !described.unique.iter().any(is_key) {
        let (name, key) = (&table.name, table.key.join(", "));
        return Err(format!(
            "table {name} has no unique index on exactly ({key}), so a repeat would make a second row; make one: \
             CREATE UNIQUE INDEX {}_key ON {name} ({key})",
            table.name.table
        ));
    }
    Ok(columns)
}

#[async_trait]
impl Destination for Sql {
    /// Connects, looks for tables, columns and unique indexes, and lets the database plan the statements, which
    /// needs the rights to run them.
    async fn check(&self) -> Result<(), CheckError> {
        self.try_check().await.map_err(Trouble::into_check_error)
    }

    /// Writes the batch in one transaction. A row that cannot be stored is left out and its delivery rejected; when
    /// the database fails, nothing is stored and every delivery has the same ending.
    async fn deliver(&self, batch: &[Delivery]) -> Vec<Ending> {
        // The semaphore is never closed.
        let _permit = self.gate.acquire().await.ok();
        let mut fresh = Fresh::default();
        let mut conflicts = 0;
        loop {
            let trouble = match self.try_deliver(batch, &mut fresh).await {
                Ok(endings) => return endings,
                Err(trouble) => trouble,
            };
            match &trouble {
                // A restart of the server breaks all connections: the others are as old as this one.
                Trouble::Broken(_) if !fresh.link => {
                    lock(&self.idle).clear();
                    fresh.link = true;
                }
                // The table may have been altered since we looked.
                Trouble::Halt(_) if !fresh.shape => fresh.shape = true,
                Trouble::Conflict(_) if conflicts < MOST_CONFLICTS => conflicts += 1,
                _ => {
                    if matches!(trouble, Trouble::Halt(_)) {
                        *lock(&self.shape) = None;
                    }
                    let ending = trouble.ending();
                    return batch.iter().map(|_| ending.clone()).collect();
                }
            }
        }
    }
}

/// Writes all rows in one transaction. First without savepoints, since mostly all is well; when a row is refused, from
/// the start and with care.
async fn write(
    link: &mut Link,
    tables: &[Table],
    shape: &Shape,
    waves: &[Vec<Vec<Row>>],
    endings: &mut [Option<Ending>],
) -> Result<(), Trouble> {
    for careful in [false, true] {
        link.begin().await?;
        let result = write_tables(link, tables, shape, waves, endings, careful).await;
        match result {
            Ok(()) => return link.run("COMMIT").await,
            Err(Trouble::Row { .. }) if !careful => link.run("ROLLBACK").await?,
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(())
}

async fn write_tables(
    link: &mut Link,
    tables: &[Table],
    shape: &Shape,
    waves: &[Vec<Vec<Row>>],
    endings: &mut [Option<Ending>],
    careful: bool,
) -> Result<(), Trouble> {
    for ((table, columns), waves) in tables.iter().zip(shape.iter()).zip(waves) {
        for wave in waves {
            // An action whose contact was refused is not written.
            let rows: Vec<Row> = wave
                .iter()
                .filter(|row| endings.get(row.delivery).is_some_and(Option::is_none))
                .cloned()
                .collect();
            for piece in rows.chunks(link.most_rows()) {
                if careful {
                    write_halving(link, table, columns, piece, endings).await?;
                } else {
                    link.upsert(table, columns, piece).await?;
                }
            }
        }
    }
    Ok(())
}

/// Halves what is refused until the bad rows stand alone.
async fn write_halving(
    link: &mut Link,
    table: &Table,
    columns: &[Column],
    rows: &[Row],
    endings: &mut [Option<Ending>],
) -> Result<(), Trouble> {
    let savepoints = link.needs_savepoints();
    let mut waiting = vec![rows];
    while let Some(rows) = waiting.pop() {
        if savepoints {
            link.run("SAVEPOINT causeway").await?;
        }
        let result = link.upsert(table, columns, rows).await;
        match &result {
            Ok(()) if savepoints => link.run("RELEASE SAVEPOINT causeway").await?,
            Err(Trouble::Row { .. }) if savepoints => {
                link.run("ROLLBACK TO SAVEPOINT causeway; RELEASE SAVEPOINT causeway")
                    .await?;
            }
            _ => {}
        }
        match (result, rows) {
            (Ok(()), _) => {}
            (Err(trouble @ Trouble::Row { .. }), [row]) => {
                if let Some(ending) = endings.get_mut(row.delivery) {
                    *ending = Some(trouble.ending());
                }
            }
            (Err(Trouble::Row { .. }), rows) => {
                let (first, second) = rows.split_at_checked(rows.len() / 2).unwrap_or((rows, &[]));
                waiting.push(second);
                waiting.push(first);
            }
            (Err(trouble), _) => return Err(trouble),
        }
    }
    Ok(())
}

/// A panic while it was held can at worst have left an older list.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
