//! The destination: its connections, what is known about the tables, and a batch in one transaction.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use causeway_core::{
    delivery::Delivery,
    destination::{AttemptResult, CheckError, Destination, Outcome},
};
use tokio::sync::Semaphore;

use super::{
    config::{Settings, Table},
    create::create,
    journal::{Journal, Wire},
    link::{Described, Link, SqlError},
    plan::{Plan, plan},
    statement::{Dialect, Relation, TableName, explain},
    write::{Place, write},
};

/// The description of each table by the database.
type Shape = Arc<Vec<Relation>>;

pub(super) struct Sql {
    name: Arc<str>,
    settings: Settings,
    /// Connections without a transaction, for reuse.
    idle: Mutex<Vec<Link>>,
    shape: Mutex<Option<Shape>>,
    /// Remarks about the tables.
    remarks: Mutex<Vec<String>>,
    /// SQLite has one writer. A batch that waits here does not run into its time-out.
    gate: Semaphore,
}

/// Further connections are closed after use.
const MAX_IDLE: usize = 16;
/// How often a batch that lost against another transaction is retried at once.
const MAX_CONFLICTS: u32 = 4;

/// What was opened or read during this call, and need not be renewed again.
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
            remarks: Mutex::default(),
            gate: Semaphore::new(permits),
        }
    }

    /// Creates the missing tables and changes no existing one. The database must exist (except for a SQLite
    /// file).
    pub(super) async fn create(&self) -> Result<(), CheckError> {
        self.try_create().await.map_err(SqlError::into_check_error)
    }

    async fn try_create(&self) -> Result<(), SqlError> {
        let mut link = Link::connect(&self.settings.target, true).await?;
        for table in &self.settings.tables {
            link.run(&create(link.dialect(), table)).await?;
        }
        Ok(())
    }

    async fn try_check(&self) -> Result<(), SqlError> {
        let mut link = Link::connect(&self.settings.target, false)
            .await
            .map_err(|error| self.hinted(error))?;
        let shape = self.read_shape(&mut link).await?;
        link.begin().await?;
        for (table, relation) in self.settings.tables.iter().zip(shape.iter()) {
            for statement in explain(relation, table) {
                link.run(&statement).await?;
            }
        }
        link.run("ROLLBACK").await?;
        let relayed = Link::remark_on(&self.settings.target).await;
        let remarks = self.settings.target.remark().into_iter().chain(relayed);
        lock(&self.remarks).extend(remarks);
        Ok(())
    }

    async fn try_deliver(
        &self,
        batch: &[Delivery],
        fresh: &mut Fresh,
        journal: &mut Journal,
    ) -> Result<Vec<AttemptResult>, SqlError> {
        journal.restart();
        let reused = if fresh.link { None } else { lock(&self.idle).pop() };
        let mut link = if let Some(link) = reused {
            link
        } else {
            fresh.link = true;
            let link = Link::connect(&self.settings.target, false).await;
            link.map_err(|error| self.hinted(error))?
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
        let places: Vec<Place<'_>> = self
            .settings
            .tables
            .iter()
            .zip(shape.iter())
            .map(|(table, relation)| Place { table, relation })
            .collect();
        let mut wire = Wire {
            link: &mut link,
            journal,
        };
        let results = write(&mut wire, &places, &plan).await?;
        let mut idle = lock(&self.idle);
        if idle.len() < MAX_IDLE {
            idle.push(link);
        }
        Ok(results)
    }

    fn plan(&self, shape: &Shape, batch: &[Delivery]) -> Plan {
        plan(&self.settings.tables, shape, batch, self.settings.truncate)
    }

    /// Asks the database for its columns, and stores the answer.
    async fn read_shape(&self, link: &mut Link) -> Result<Shape, SqlError> {
        *lock(&self.shape) = None;
        let (mut shape, mut remarks) = (Vec::new(), Vec::new());
        for table in &self.settings.tables {
            let described = link.describe(&table.name).await?;
            if described.is_guarded {
                remarks.push(guarded(table));
            }
            let relation = fit(link.dialect(), table, described).map_err(SqlError::Halt);
            let relation = relation.map_err(|error| self.hinted(error))?;
            remarks.extend(remarks_on(table, &relation));
            shape.push(relation);
        }
        let mut known = lock(&self.remarks);
        if *known != remarks {
            for remark in &remarks {
                tracing::warn!(destination = %self.name, "{remark}");
            }
            *known = remarks;
        }
        drop(known);
        let shape = Arc::new(shape);
        *lock(&self.shape) = Some(shape.clone());
        Ok(shape)
    }

    /// Adds to the error for a missing table how to create it.
    fn hinted(&self, error: SqlError) -> SqlError {
        match error {
            SqlError::Halt(reason) if reason.starts_with("there is no ") => SqlError::Halt(format!(
                "{reason}; create it, or run `causeway destination create {}`",
                self.name
            )),
            other => other,
        }
    }
}

/// Finds the mapped columns. The error names what is missing.
fn fit(dialect: Dialect, table: &Table, described: Described) -> Result<Relation, String> {
    if described.columns.is_empty() {
        return Err(format!("there is no table {}", table.name));
    }
    let mut columns = Vec::new();
    let mut missing = Vec::new();
    for mapped in &table.columns {
        match described
            .columns
            .iter()
            .find(|column| dialect.same(&column.name, &mapped.name))
        {
            Some(column) => columns.push(column.clone()),
            None => missing.push(mapped.name.as_str()),
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
    if !described.is_view && !described.unique.iter().any(is_key) {
        let (name, key) = (&table.name, table.key.join(", "));
        return Err(format!(
            "table {name} has no unique index on exactly ({key}), so a repeat would make a second row; make one: \
             CREATE UNIQUE INDEX {}_key ON {name} ({key})",
            table.name.table
        ));
    }
    Ok(Relation {
        dialect,
        name: TableName {
            schema: described.schema.or_else(|| table.name.schema.clone()),
            table: table.name.table.clone(),
        },
        columns,
        is_view: described.is_view,
    })
}

/// The remark about a table with row security.
fn guarded(table: &Table) -> String {
    format!(
        "{} has row security: a row that its policies hide from this database user counts as missing, so an opt-out of \
         such a contact is skipped; let the policies show this user all rows that the hub has to change",
        table.name
    )
}

/// Remarks about a table that works, but may surprise.
fn remarks_on(table: &Table, relation: &Relation) -> Vec<String> {
    let keys = table.columns.iter().zip(&relation.columns);
    let keys = keys.filter(|(mapped, _)| mapped.is_key);
    let mut remarks: Vec<String> = keys
        .filter_map(|(mapped, column)| {
            let why = column.loose.as_ref()?;
            Some(format!(
                "key column {:?} of {} compares loosely ({why}): a record whose key differs from the stored one in more \
                 than the case of an e-mail address is rejected, and the row not changed",
                mapped.name, table.name
            ))
        })
        .collect();
    if relation.is_view {
        remarks.push(format!(
            "{} is a view or foreign table: its rows must be unique by ({}), which cannot be checked here",
            table.name,
            table.key.join(", ")
        ));
    }
    remarks
}

#[async_trait]
impl Destination for Sql {
    /// Connects, looks for tables, columns and unique indexes, and lets the database plan the statements,
    /// which requires the rights to run them.
    async fn check(&self) -> Result<(), CheckError> {
        self.try_check().await.map_err(SqlError::into_check_error)
    }

    fn remarks(&self) -> Vec<String> {
        lock(&self.remarks).clone()
    }

    /// Writes the batch in one transaction. A row that cannot be stored is left out, and its delivery is
    /// rejected. If the database fails, nothing is stored, and every delivery has the same outcome.
    async fn deliver(&self, batch: &[Delivery]) -> Vec<AttemptResult> {
        // The semaphore is never closed.
        let _permit = self.gate.acquire().await.ok();
        let mut journal = Journal::new(&self.settings.target, batch.len());
        let mut fresh = Fresh::default();
        let mut conflicts = 0;
        loop {
            let error = match self.try_deliver(batch, &mut fresh, &mut journal).await {
                Ok(results) => return journal.add_to(results),
                Err(error) => error,
            };
            match &error {
                // A restart of the server breaks all connections: the other idle ones are as old as this one.
                SqlError::Broken(_) if !fresh.link => {
                    lock(&self.idle).clear();
                    fresh.link = true;
                }
                // The table may have been altered since its description was read.
                SqlError::Halt(_) if !fresh.shape => fresh.shape = true,
                SqlError::Conflict(_) if conflicts < MAX_CONFLICTS => conflicts += 1,
                _ => {
                    if matches!(error, SqlError::Halt(_)) {
                        *lock(&self.shape) = None;
                    }
                    let result = error.attempt_result();
                    return journal.add_to(batch.iter().map(|_| result.clone()).collect());
                }
            }
        }
    }
}

/// A panic while it was locked can at worst have left an older list.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
