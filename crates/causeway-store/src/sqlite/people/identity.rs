//! Finds the contacts that a message is about.
//!
//! Invariants: two ids of one platform are two people, even if they share an address; the address then has
//! one consent. An id that comes with a third address is no evidence that its owner moved again: the message
//! counts for its address alone, and a person is asked to check.

use std::collections::BTreeSet;

use causeway_core::{
    contact::{Identity, normal_email},
    event::Event,
    id::{ContactId, InboxId},
    store::Conflict,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ContactRowId, WorkspaceRowId},
        rows::{at, ms, name},
        tx::Tx,
    },
    inbox::process::Row,
    people::{contact, erasure},
};

/// An id that came with this many addresses is not used with another one.
const MAX_ADDRESSES: usize = 2;
/// Contacts that are noted for one id with too many addresses. An id with this many names nobody.
const MAX_CONFLICT_CONTACTS: u32 = 20;

/// What follows from an event's identities.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    /// All contacts that the event names, ascending. Several are merged, because they turn out to be one
    /// person.
    pub contacts: Vec<ContactRowId>,
    /// The identities that the contact gets.
    pub own: Vec<Identity>,
    /// Whether a platform's id is among them that no contact had.
    pub has_new_id: bool,
    /// Whether an id or a reference led to a contact. A browser does not count.
    pub by_id: bool,
    /// An address that other contacts use, too. It merges nobody.
    pub shared: Option<String>,
    /// Ids that came with too many addresses.
    pub passed_over: Vec<Identity>,
    /// The decisions, for the trace.
    pub notes: Vec<String>,
}

pub(crate) fn resolve(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: WorkspaceRowId,
    event: &Event,
) -> Result<Resolved, Error> {
    let mut resolved = Resolved::default();
    let mut identities = with_owners(tx, workspace, event)?;
    remove_conflicting_ids(tx, row, workspace, &mut identities, &mut resolved)?;
    let is_named = identities.iter().any(|(identity, _)| !identity.is_visitor());
    // Ids come first, because an address is weaker evidence.
    let mut found: BTreeSet<ContactRowId> = BTreeSet::new();
    let by_kind = |wants_email: bool| {
        identities
            .iter()
            .filter(move |(identity, _)| is_address(identity) == wants_email)
    };
    for (identity, owner) in by_kind(false) {
        let is_platforms = matches!(identity, Identity::ForeignId { .. }) && !identity.is_visitor();
        resolved.has_new_id |= is_platforms && owner.is_none();
        if let Some(id) = *owner {
            // Two people may use one browser, which must not merge them. A visitor joins the contact only
            // while it has no name.
            let is_others = is_named
                && identity.is_visitor()
                && !found.contains(&id)
                && contact::has_identity(tx.connection, id)?;
            if !is_others {
                found.insert(id);
                resolved.by_id |= !identity.is_visitor();
            }
        }
        resolved.own.push((*identity).clone());
    }
    let foreign: Vec<&Identity> = identities
        .iter()
        .map(|(identity, _)| *identity)
        .filter(|identity| matches!(identity, Identity::ForeignId { .. }) && !identity.is_visitor())
        .collect();
    let has_id = by_kind(false).any(|(identity, _)| !identity.is_visitor());
    for (identity, owner) in by_kind(true) {
        let address = identity.value();
        let is_nobodys = has_id && tx.state.rules.shared_addresses.fit(address);
        let mut owner = owner.filter(|owner| !found.contains(owner));
        if let (Some(first), true) = (owner, found.is_empty())
            && let Some(user) = present_user(tx, workspace, address, first)?
        {
            resolved.notes.push(format!(
                "{first} was the first to use the address and has moved: it names another contact that uses it now"
            ));
            owner = Some(user);
        }
        let is_anothers = match owner {
            // No contact is merged with one that is being erased.
            Some(owner) => {
                is_another_person(tx, owner, &foreign, &found)?
                    || (!found.is_empty() && erasure::is_being_erased(tx, owner)?)
            }
            None => false,
        };
        if is_nobodys || is_anothers {
            share(tx, workspace, address, owner)?;
            resolved.shared = Some(address.to_owned());
            resolved.notes.push(
                "the address is shared: its consent counts for everybody who uses it, and the people stay apart".to_owned(),
            );
        } else {
            if is_in_use(tx, workspace, address, owner)? {
                resolved.shared = Some(address.to_owned());
            }
            found.extend(owner);
            resolved.own.push((*identity).clone());
        }
    }
    resolved.contacts = found.into_iter().collect();
    Ok(resolved)
}

fn is_address(identity: &Identity) -> bool {
    matches!(identity, Identity::Email { .. })
}

/// The event's identities, each with the contact that it names.
fn with_owners<'e>(
    tx: &mut Tx<'_>,
    workspace: WorkspaceRowId,
    event: &'e Event,
) -> Result<Vec<(&'e Identity, Option<ContactRowId>)>, Error> {
    event
        .identities
        .iter()
        .map(|identity| Ok((identity, contact::find_one(tx, workspace, identity)?)))
        .collect()
}

/// Removes ids that came with too many addresses.
fn remove_conflicting_ids(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: WorkspaceRowId,
    identities: &mut Vec<(&Identity, Option<ContactRowId>)>,
    resolved: &mut Resolved,
) -> Result<(), Error> {
    let addresses: Vec<(&Identity, Option<ContactRowId>)> = identities
        .iter()
        .filter(|(identity, _)| is_address(identity))
        .copied()
        .collect();
    if addresses.is_empty() {
        return Ok(());
    }
    let mut kept = Vec::with_capacity(identities.len());
    for (identity, owner) in identities.drain(..) {
        if identity.is_of_contact()
            && let Some(owner) = owner
            && has_other_addresses(tx, owner, &addresses)?
        {
            note_conflict(tx, row, workspace, identity, owner)?;
            resolved.notes.push(format!(
                "the id of {} came with a third address: it is not used, see `causeway contact conflicts`",
                identity.namespace()
            ));
            resolved.passed_over.push(identity.clone());
            continue;
        }
        kept.push((identity, owner));
    }
    *identities = kept;
    Ok(())
}

/// Whether the contact has as many addresses as one id may come with, and none of them is among `addresses`.
fn has_other_addresses(
    tx: &Tx<'_>,
    contact: ContactRowId,
    addresses: &[(&Identity, Option<ContactRowId>)],
) -> Result<bool, Error> {
    // Usually the contact is recognised by the address.
    if addresses.iter().any(|(_, owner)| *owner == Some(contact)) {
        return Ok(false);
    }
    let Some(known) = contact::read(tx.connection, contact)? else {
        return Ok(false);
    };
    let mut all: BTreeSet<String> = known.addresses.keys().map(ToString::to_string).collect();
    all.extend(known.text("email").and_then(normal_email));
    Ok(all.len() >= MAX_ADDRESSES && !addresses.iter().any(|(address, _)| all.contains(address.value())))
}

/// Notes that a message counted for this contact although its ids were passed over.
pub(crate) fn note_conflict_contact(
    tx: &mut Tx<'_>,
    workspace: WorkspaceRowId,
    passed_over: &[Identity],
    contact: ContactRowId,
) -> Result<(), Error> {
    for id in passed_over {
        let namespace = tx.state.names.namespace(tx.connection, id.namespace())?;
        tx.connection
            .prepare_cached(
                "INSERT INTO conflict_contact (workspace_id, namespace_id, value, contact_id)
                 SELECT ?1, ?2, ?3, ?4 WHERE ?5 > (SELECT count(*) FROM conflict_contact
                     WHERE workspace_id = ?1 AND namespace_id = ?2 AND value = ?3)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                workspace,
                namespace,
                id.value(),
                contact,
                MAX_CONFLICT_CONTACTS
            ])?;
    }
    Ok(())
}

/// The contacts that messages with this id counted for because of their addresses. Empty for an id that came
/// with too many addresses to name anybody.
pub(crate) fn conflict_contacts(
    tx: &mut Tx<'_>,
    workspace: WorkspaceRowId,
    id: &Identity,
) -> Result<Vec<ContactRowId>, Error> {
    let Some(namespace) = tx.state.names.find_namespace(id.namespace()) else {
        return Ok(Vec::new());
    };
    let found: Vec<ContactRowId> = tx
        .connection
        .prepare_cached(
            "SELECT contact_id FROM conflict_contact WHERE workspace_id = ?1 AND namespace_id = ?2 AND value = ?3",
        )?
        .query_map(params![workspace, namespace, id.value()], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let is_nobodys = found.len() >= usize::try_from(MAX_CONFLICT_CONTACTS).unwrap_or(usize::MAX);
    Ok(if is_nobodys { Vec::new() } else { found })
}

fn note_conflict(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: WorkspaceRowId,
    identity: &Identity,
    contact: ContactRowId,
) -> Result<(), Error> {
    let namespace = tx.state.names.namespace(tx.connection, identity.namespace())?;
    tx.connection
        .prepare_cached(
            "INSERT INTO identity_conflict (workspace_id, namespace_id, value, contact_id, messages, first_at, last_at,
                                            last_inbox)
             VALUES (?1, ?2, ?3, ?4, 1, ?5, ?5, ?6)
             ON CONFLICT DO UPDATE SET messages = messages + 1, last_at = excluded.last_at,
                                       last_inbox = excluded.last_inbox",
        )?
        .execute(params![
            workspace,
            namespace,
            identity.value(),
            contact,
            ms(row.now),
            row.id
        ])?;
    tracing::warn!(
        inbox.id = row.id.0,
        namespace = identity.namespace(),
        "one id came with a third address; it is not used: `causeway contact conflicts`"
    );
    Ok(())
}

/// Whether the owner of an address is a different person from the one that these ids name or led to.
fn is_another_person(
    tx: &Tx<'_>,
    owner: ContactRowId,
    foreign: &[&Identity],
    found: &BTreeSet<ContactRowId>,
) -> Result<bool, Error> {
    let ids_of = |contact: ContactRowId| -> Result<Vec<Identity>, Error> {
        let mut all = contact::identities(tx.connection, contact)?;
        all.retain(|identity| matches!(identity, Identity::ForeignId { .. }) && !identity.is_visitor());
        Ok(all)
    };
    let theirs = ids_of(owner)?;
    let differs = |other: &Identity| {
        theirs
            .iter()
            .any(|own| own.namespace() == other.namespace() && own.value() != other.value())
            && !theirs.contains(other)
    };
    if foreign.iter().any(|identity| differs(identity)) {
        return Ok(true);
    }
    for contact in found {
        if ids_of(*contact)?.iter().any(differs) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The contact that an address names in place of its owner: if the owner has moved to another address, and
/// others still use this one, the oldest of them. `None` if the owner is meant.
fn present_user(
    tx: &Tx<'_>,
    workspace: WorkspaceRowId,
    address: &str,
    owner: ContactRowId,
) -> Result<Option<ContactRowId>, Error> {
    if !tx.state.any_shared.get() {
        return Ok(None);
    }
    let others = users(tx, workspace, address)?;
    if others.is_empty() {
        return Ok(None);
    }
    let uses = |contact: ContactRowId| -> Result<bool, Error> {
        let known = contact::read(tx.connection, contact)?;
        Ok(known.is_some_and(|known| known.address().as_deref() == Some(address)))
    };
    if uses(owner)? {
        return Ok(None);
    }
    for other in others {
        if other != owner && uses(other)? && !erasure::is_being_erased(tx, other)? {
            return Ok(Some(other));
        }
    }
    Ok(None)
}

/// Whether others use the address, and the contact that is recognised by it is not noted among them.
fn is_in_use(
    tx: &Tx<'_>,
    workspace: WorkspaceRowId,
    address: &str,
    owner: Option<ContactRowId>,
) -> Result<bool, Error> {
    if !tx.state.any_shared.get() {
        return Ok(false);
    }
    let users = users(tx, workspace, address)?;
    Ok(!users.is_empty() && owner.is_none_or(|owner| !users.contains(&owner)))
}

/// Notes that the address has several users. Its first owner is one of them.
fn share(
    tx: &Tx<'_>,
    workspace: WorkspaceRowId,
    address: &str,
    owner: Option<ContactRowId>,
) -> Result<(), Error> {
    if let Some(owner) = owner {
        add_user(tx, workspace, address, owner)?;
    }
    Ok(())
}

pub(crate) fn add_user(
    tx: &Tx<'_>,
    workspace: WorkspaceRowId,
    address: &str,
    contact: ContactRowId,
) -> Result<bool, Error> {
    tx.state.any_shared.set(true);
    Ok(tx
        .connection
        .prepare_cached(
            "INSERT INTO shared_address (workspace_id, address, contact_id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )?
        .execute(params![workspace, address, contact])?
        > 0)
}

/// The contacts that use a shared address; empty for an address of one contact alone.
pub(crate) fn users(
    tx: &Tx<'_>,
    workspace: WorkspaceRowId,
    address: &str,
) -> Result<Vec<ContactRowId>, Error> {
    Ok(tx
        .connection
        .prepare_cached(
            "SELECT contact_id FROM shared_address WHERE workspace_id = ?1 AND address = ?2 ORDER BY contact_id",
        )?
        .query_map(params![workspace, address], |row| row.get(0))?
        .collect::<Result<_, _>>()?)
}

/// These contacts and all who share a mailbox with one of them.
pub(crate) fn with_sharers(tx: &Tx<'_>, contacts: &[ContactRowId]) -> Result<BTreeSet<ContactRowId>, Error> {
    let mut all: BTreeSet<ContactRowId> = contacts.iter().copied().collect();
    if !tx.state.any_shared.get() {
        return Ok(all);
    }
    for contact in contacts {
        let mut statement = tx.connection.prepare_cached(
            "SELECT theirs.contact_id FROM shared_address AS own
             JOIN shared_address AS theirs USING (workspace_id, address) WHERE own.contact_id = ?1",
        )?;
        let mut rows = statement.query([contact])?;
        while let Some(row) = rows.next()? {
            all.insert(row.get(0)?);
        }
    }
    Ok(all)
}

/// Whether any address is shared, read from the file.
pub(crate) fn is_any_shared(connection: &Connection) -> Result<bool, Error> {
    Ok(connection
        .prepare_cached("SELECT 1 FROM shared_address WHERE workspace_id > 0 LIMIT 1")?
        .query_row([], |_| Ok(()))
        .optional()?
        .is_some())
}

/// The latest first.
pub(crate) fn conflicts(connection: &Connection) -> Result<Vec<Conflict>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT workspace.name, namespace.name, value, contact_id, messages, first_at, last_at, last_inbox
         FROM identity_conflict
         JOIN name workspace ON workspace.id = identity_conflict.workspace_id
         JOIN name namespace ON namespace.id = identity_conflict.namespace_id
         ORDER BY last_at DESC LIMIT 1000",
    )?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(Conflict {
            workspace: name(row, 0)?,
            namespace: name(row, 1)?,
            id: row.get(2)?,
            contact: ContactId(row.get(3)?),
            messages: u64::try_from(row.get::<_, i64>(4)?).unwrap_or(0),
            first_at: at(row.get(5)?),
            last_at: at(row.get(6)?),
            last: InboxId(row.get(7)?),
        });
    }
    Ok(all)
}
