//! Names from the configuration, and the small numbers that rows store in their place.

use std::collections::HashMap;

use causeway_core::id::Name;
use rusqlite::{Connection, params};

use crate::sqlite::base::error::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameKind {
    Workspace,
    Source,
    Destination,
    Namespace,
}

impl NameKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Workspace => "workspace",
            Self::Source => "source",
            Self::Destination => "destination",
            Self::Namespace => "namespace",
        }
    }
}

#[derive(Default)]
pub(crate) struct Names {
    workspaces: HashMap<Name, i64>,
    sources: HashMap<Name, i64>,
    destinations: HashMap<Name, i64>,
    namespaces: HashMap<Name, i64>,
    automations: HashMap<Name, i64>,
    /// The automations in the order of their numbers, which start with 1.
    numbered: Vec<Name>,
    by_id: HashMap<i64, Name>,
}

impl Names {
    pub(crate) fn load(connection: &Connection) -> Result<Self, Error> {
        let mut all = Self::default();
        let mut statement = connection.prepare_cached("SELECT id, kind, name FROM name")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let kind = match row.get_ref(1)?.as_str().unwrap_or_default() {
                "workspace" => NameKind::Workspace,
                "source" => NameKind::Source,
                "destination" => NameKind::Destination,
                _ => NameKind::Namespace,
            };
            all.put(kind, row.get::<_, String>(2)?.into(), row.get(0)?);
        }
        let mut statement = connection.prepare_cached("SELECT id, name FROM automation_name ORDER BY id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            all.put_automation(row.get::<_, String>(1)?.into(), row.get(0)?);
        }
        Ok(all)
    }

    /// The number of a name; a new name gets a new number.
    pub(crate) fn id(&mut self, connection: &Connection, kind: NameKind, name: &str) -> Result<i64, Error> {
        if let Some(id) = self.find(kind, name) {
            return Ok(id);
        }
        connection
            .prepare_cached("INSERT INTO name (kind, name) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
            .execute(params![kind.as_str(), name])?;
        let id = connection
            .prepare_cached("SELECT id FROM name WHERE kind = ?1 AND name = ?2")?
            .query_row(params![kind.as_str(), name], |row| row.get(0))?;
        self.put(kind, name.into(), id);
        Ok(id)
    }

    /// The number of an automation's name. Automations have numbers of their own. `before` is the number that
    /// was looked up last: usually the next one is meant, and is found without a search.
    pub(crate) fn automation(
        &mut self,
        connection: &Connection,
        name: &Name,
        before: i64,
    ) -> Result<i64, Error> {
        let next = usize::try_from(before).ok().and_then(|at| self.numbered.get(at));
        if next == Some(name) {
            return Ok(before + 1);
        }
        if let Some(id) = self.automations.get(name) {
            return Ok(*id);
        }
        connection
            .prepare_cached("INSERT INTO automation_name (name) VALUES (?1) ON CONFLICT DO NOTHING")?
            .execute([name])?;
        let id = connection
            .prepare_cached("SELECT id FROM automation_name WHERE name = ?1")?
            .query_row([name], |row| row.get(0))?;
        self.put_automation(name.clone(), id);
        Ok(id)
    }

    fn put_automation(&mut self, name: Name, id: i64) {
        // Rows of this table are never deleted, so there are no gaps. Names after a gap would only be found
        // by a search.
        if usize::try_from(id).is_ok_and(|id| id == self.numbered.len() + 1) {
            self.numbered.push(name.clone());
        }
        self.automations.insert(name, id);
    }

    /// Gives the number of `old` to `new`. Does nothing if `old` is unknown, or `new` is known already.
    pub(crate) fn rename(
        &mut self,
        connection: &Connection,
        kind: NameKind,
        old: &str,
        new: &Name,
    ) -> Result<(), Error> {
        let (Some(id), None) = (self.find(kind, old), self.find(kind, new)) else {
            return Ok(());
        };
        connection
            .prepare_cached("UPDATE name SET name = ?2 WHERE id = ?1")?
            .execute(params![id, new])?;
        *self = Self::load(connection)?;
        Ok(())
    }

    pub(crate) fn find(&self, kind: NameKind, name: &str) -> Option<i64> {
        match kind {
            NameKind::Workspace => &self.workspaces,
            NameKind::Source => &self.sources,
            NameKind::Destination => &self.destinations,
            NameKind::Namespace => &self.namespaces,
        }
        .get(name)
        .copied()
    }

    pub(crate) fn name(&self, id: i64) -> Result<Name, Error> {
        self.by_id
            .get(&id)
            .cloned()
            .ok_or(Error::Broken("the number of a name"))
    }

    fn put(&mut self, kind: NameKind, name: Name, id: i64) {
        self.by_id.insert(id, name.clone());
        match kind {
            NameKind::Workspace => &mut self.workspaces,
            NameKind::Source => &mut self.sources,
            NameKind::Destination => &mut self.destinations,
            NameKind::Namespace => &mut self.namespaces,
        }
        .insert(name, id);
    }
}
