//! Names from the configuration, and the small numbers that rows store in their place.

use std::collections::HashMap;

use causeway_core::id::Name;
use rusqlite::{Connection, params};

use crate::sqlite::base::{
    error::Error,
    ids::{DestinationRowId, NameRowId, NamespaceRowId, SourceRowId, WorkspaceRowId},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NameKind {
    Workspace,
    Source,
    Destination,
    Namespace,
}

impl NameKind {
    fn as_str(self) -> &'static str {
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
    workspaces: HashMap<Name, NameRowId>,
    sources: HashMap<Name, NameRowId>,
    destinations: HashMap<Name, NameRowId>,
    namespaces: HashMap<Name, NameRowId>,
    automations: HashMap<Name, i64>,
    /// The automations in the order of their numbers, which start with 1.
    numbered: Vec<Name>,
    by_id: HashMap<NameRowId, Name>,
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

    /// The number of a workspace. This and the next three methods give a new name a new number.
    pub(crate) fn workspace(&mut self, connection: &Connection, name: &str) -> Result<WorkspaceRowId, Error> {
        let id = self.id(connection, NameKind::Workspace, name)?;
        Ok(WorkspaceRowId(id.0))
    }

    pub(crate) fn source(&mut self, connection: &Connection, name: &str) -> Result<SourceRowId, Error> {
        let id = self.id(connection, NameKind::Source, name)?;
        Ok(SourceRowId(id.0))
    }

    pub(crate) fn destination(
        &mut self,
        connection: &Connection,
        name: &str,
    ) -> Result<DestinationRowId, Error> {
        let id = self.id(connection, NameKind::Destination, name)?;
        Ok(DestinationRowId(id.0))
    }

    pub(crate) fn namespace(&mut self, connection: &Connection, name: &str) -> Result<NamespaceRowId, Error> {
        let id = self.id(connection, NameKind::Namespace, name)?;
        Ok(NamespaceRowId(id.0))
    }

    fn id(&mut self, connection: &Connection, kind: NameKind, name: &str) -> Result<NameRowId, Error> {
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

    /// Gives the number of the destination `old` to `new`. Does nothing if `old` is unknown, or `new` is known
    /// already.
    pub(crate) fn rename_destination(
        &mut self,
        connection: &Connection,
        old: &str,
        new: &Name,
    ) -> Result<(), Error> {
        let (Some(id), None) = (self.find_destination(old), self.find_destination(new)) else {
            return Ok(());
        };
        connection
            .prepare_cached("UPDATE name SET name = ?2 WHERE id = ?1")?
            .execute(params![id, new])?;
        *self = Self::load(connection)?;
        Ok(())
    }

    /// The number of a workspace, unless the name is unknown.
    pub(crate) fn find_workspace(&self, name: &str) -> Option<WorkspaceRowId> {
        self.find(NameKind::Workspace, name)
            .map(|id| WorkspaceRowId(id.0))
    }

    pub(crate) fn find_destination(&self, name: &str) -> Option<DestinationRowId> {
        self.find(NameKind::Destination, name)
            .map(|id| DestinationRowId(id.0))
    }

    pub(crate) fn find_namespace(&self, name: &str) -> Option<NamespaceRowId> {
        self.find(NameKind::Namespace, name)
            .map(|id| NamespaceRowId(id.0))
    }

    fn find(&self, kind: NameKind, name: &str) -> Option<NameRowId> {
        match kind {
            NameKind::Workspace => &self.workspaces,
            NameKind::Source => &self.sources,
            NameKind::Destination => &self.destinations,
            NameKind::Namespace => &self.namespaces,
        }
        .get(name)
        .copied()
    }

    pub(crate) fn name(&self, id: impl Into<NameRowId>) -> Result<Name, Error> {
        self.by_id
            .get(&id.into())
            .cloned()
            .ok_or(Error::Broken("the number of a name"))
    }

    fn put(&mut self, kind: NameKind, name: Name, id: NameRowId) {
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
