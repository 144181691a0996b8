//! Erases a person. What remains are rows without a person, so that the books balance, and keyed hashes of
//! the identities, so that late messages do not bring the person back (`after_erasure`).

use std::time::Duration;

use causeway_core::{
    clock::Timestamp,
    envelope::digest,
    id::{ContactId, Name},
    store::Erased,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ContactRowId, DeliveryRowId, DestinationRowId, WorkspaceRowId},
        rows::ms,
        schema::BUSY,
        tx::Tx,
    },
    outbox::{
        delivery::{self, End},
        given,
        recent::Recent,
    },
    people::{after_erasure, contact, erased_user, identity},
};

const REASON: &str = "the person was erased";

/// Erases the contact. Messages dated up to `asked_at` are turned away from now on.
pub(crate) fn erase(
    tx: &mut Tx<'_>,
    asked: ContactId,
    asked_at: Timestamp,
    now: Timestamp,
) -> Result<Erased, Error> {
    let Some((id, workspace)) = living(tx.connection, asked)? else {
        return Ok(Erased::default());
    };
    remember_hashes(tx, id, workspace, asked_at)?;
    hand_over_ids(tx, id, workspace)?;
    forget_keys(tx, id)?;
    tx.state.recent = Recent::default();
    erased_user::take_back(tx, workspace, id, now)?;
    erased_user::send_again_if_unanswered(tx, id, now)?;
    let mut erased = Erased {
        given: not_asked(tx, id, workspace)?,
        unsent: undelivered_withdrawals(tx, id)?,
        deliveries: end_deliveries(tx, id, now)?,
        ..Erased::default()
    };
    let connection = tx.connection;
    let run = |sql: &str| -> Result<u64, Error> {
        Ok(u64::try_from(connection.prepare_cached(sql)?.execute([id])?).unwrap_or(0))
    };
    run("UPDATE attempt SET excerpt = NULL, request = NULL
         WHERE delivery_id IN (SELECT id FROM delivery WHERE contact_id = ?1)")?;
    // Nothing remains to be done by hand for an erased person, because nobody can name them.
    run(
        "UPDATE delivery SET contact_id = NULL, remote_id = NULL, address = '', gated = 0 WHERE contact_id = ?1",
    )?;
    run("DELETE FROM given WHERE contact_id = ?1")?;
    run("DELETE FROM memory WHERE contact_id = ?1")?;
    run("DELETE FROM shared_address WHERE contact_id = ?1")?;
    run("DELETE FROM conflict_contact WHERE contact_id = ?1")?;
    run("DELETE FROM identity_conflict WHERE contact_id = ?1")?;
    // Duplicates stored by earlier versions may have bodies of their own. Messages that still wait to be
    // processed are skipped later.
    run("DELETE FROM inbox_body WHERE id IN
         (SELECT id FROM inbox WHERE state = 'duplicate'
          AND duplicate_of IN (SELECT inbox_id FROM event WHERE contact_id = ?1))")?;
    erased.envelopes =
        run("DELETE FROM inbox_body WHERE id IN (SELECT inbox_id FROM event WHERE contact_id = ?1)")?;
    run(
        "UPDATE event SET contact_id = NULL, action_id = NULL, decision = NULL, notes = NULL, automations = NULL, ids = NULL
         WHERE contact_id = ?1",
    )?;
    erased.actions = run("DELETE FROM action WHERE contact_id = ?1")?;
    erased.consent = run("DELETE FROM consent WHERE contact_id = ?1")?;
    run("DELETE FROM engagement WHERE contact_id = ?1")?;
    run("DELETE FROM engagement_seen WHERE contact_id = ?1")?;
    run("DELETE FROM identity WHERE contact_id = ?1")?;
    run("DELETE FROM timer WHERE contact_id = ?1")?;
    run("DELETE FROM erasure WHERE contact_id = ?1")?;
    // The empty row stays, so that its number is never given to another contact.
    run("UPDATE contact SET doc = NULL WHERE id = ?1")?;
    after_erasure::release(tx)?;
    mark_log(tx)?;
    Ok(erased)
}

/// An id that came with the addresses of others is as much theirs: the first of them has it from now on. An opt-out
/// by that id still reaches them.
fn hand_over_ids(tx: &mut Tx<'_>, id: ContactRowId, workspace: WorkspaceRowId) -> Result<(), Error> {
    let key = erase_key(tx)?;
    let workspace_name = tx.state.names.name(workspace)?;
    for identity in contact::identities(tx.connection, id)? {
        let all = identity::conflict_contacts(tx, workspace, &identity)?;
        let Some(heir) = all.into_iter().find(|other| *other != id) else {
            continue;
        };
        let namespace = contact::namespace_id(tx, &identity)?;
        for sql in [
            "UPDATE identity SET contact_id = ?4
             WHERE workspace_id = ?1 AND namespace_id = ?2 AND value = ?3 AND kind = ?5",
            "UPDATE identity_conflict SET contact_id = ?4
             WHERE workspace_id = ?1 AND namespace_id = ?2 AND value = ?3 AND ?5 <> ''",
            "DELETE FROM conflict_contact
             WHERE workspace_id = ?1 AND namespace_id = ?2 AND value = ?3 AND contact_id = ?4 AND ?5 <> ''",
        ] {
            tx.connection.prepare_cached(sql)?.execute(params![
                workspace,
                namespace,
                identity.value(),
                heir,
                identity.kind()
            ])?;
        }
        let hash = erased_hash(
            &key,
            &workspace_name,
            identity.kind(),
            identity.namespace(),
            identity.value(),
        );
        tx.connection
            .prepare_cached("DELETE FROM erased WHERE hash = ?1")?
            .execute([hash])?;
    }
    Ok(())
}

/// Forgets the keys of messages without a sender's id. Such a message is recognised by its content alone. A
/// person who signs again may send the same form, which must not count as a duplicate of one from before the
/// erasure.
pub(crate) fn forget_keys(tx: &Tx<'_>, id: ContactRowId) -> Result<(), Error> {
    tx.connection
        .prepare_cached(
            "UPDATE inbox SET dedup = NULL
             WHERE id IN (SELECT inbox_id FROM event WHERE contact_id = ?1)
               AND sender_id IS NULL AND window_ms < 9223372036854775807",
        )?
        .execute([id])?;
    Ok(())
}

/// Destinations that have the person and were not asked to remove them. Once an erasure has begun, every such
/// destination was asked.
fn not_asked(tx: &Tx<'_>, id: ContactRowId, workspace: WorkspaceRowId) -> Result<Vec<Name>, Error> {
    let began: bool = tx
        .connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM erasure WHERE contact_id = ?1)")?
        .query_row([id], |row| row.get(0))?;
    let mut names = Vec::new();
    if !began {
        let workspace = tx.state.names.name(workspace)?;
        for holder in given::holders(tx, id, &workspace)? {
            names.push(Name::clone(&holder.rule.name));
        }
    }
    Ok(names)
}

/// Destinations that a withdrawal or a removal of the person has not reached. A dead one, or a removal that the
/// destination cannot receive, counts unless a later one for the same address was delivered.
fn undelivered_withdrawals(tx: &Tx<'_>, id: ContactRowId) -> Result<Vec<Name>, Error> {
    let destinations: Vec<DestinationRowId> = tx
        .connection
        .prepare_cached(
            "SELECT DISTINCT destination_id FROM delivery
             WHERE contact_id = ?1 AND kind = 'withdrawal' AND (state IN ('waiting', 'blocked') OR ((state = 'dead'
               OR (state = 'skipped' AND gated = 1
                   AND inbox_id IN (SELECT inbox_id FROM erasure WHERE contact_id = ?1)))
               AND NOT EXISTS (SELECT 1 FROM delivery AS later
                               WHERE later.contact_id = ?1 AND later.kind = 'withdrawal' AND later.state = 'delivered'
                                 AND later.destination_id = delivery.destination_id
                                 AND later.address = delivery.address AND later.id > delivery.id)))",
        )?
        .query_map([id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut names = destinations
        .into_iter()
        .map(|destination| tx.state.names.name(destination))
        .collect::<Result<Vec<_>, _>>()?;
    names.sort_unstable();
    Ok(names)
}

/// The contact, or the one that it was merged into, with its workspace; `None` for an unknown or erased
/// contact.
pub(crate) fn living(
    connection: &Connection,
    asked: ContactId,
) -> Result<Option<(ContactRowId, WorkspaceRowId)>, Error> {
    Ok(connection
        .prepare_cached(
            "SELECT living.id, living.workspace_id FROM contact JOIN contact living
             ON living.id = coalesce(contact.merged_into, contact.id)
             WHERE contact.id = ?1 AND living.doc IS NOT NULL",
        )?
        .query_row([asked.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// Notes that the write-ahead log holds bytes of an erased person, until the log is emptied.
pub(crate) fn mark_log(tx: &Tx<'_>) -> Result<(), Error> {
    tx.connection
        .prepare_cached("INSERT INTO meta (key, value) VALUES ('log_to_empty', 1) ON CONFLICT DO NOTHING")?
        .execute([])?;
    Ok(())
}

pub(crate) fn is_log_marked(connection: &Connection) -> Result<bool, Error> {
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM meta WHERE key = 'log_to_empty')")?
        .query_row([], |row| row.get(0))?)
}

pub(crate) fn unmark_log(tx: &Tx<'_>) -> Result<(), Error> {
    tx.connection
        .prepare_cached("DELETE FROM meta WHERE key = 'log_to_empty'")?
        .execute([])?;
    Ok(())
}

pub(crate) fn erase_key(tx: &Tx<'_>) -> Result<Vec<u8>, Error> {
    Ok(tx
        .connection
        .prepare_cached("SELECT value FROM meta WHERE key = 'erase_key'")?
        .query_row([], |row| row.get(0))?)
}

pub(crate) fn erased_hash(key: &[u8], workspace: &str, kind: &str, namespace: &str, value: &str) -> [u8; 16] {
    digest(&[
        key,
        workspace.as_bytes(),
        kind.as_bytes(),
        namespace.as_bytes(),
        value.as_bytes(),
    ])
}

pub(crate) fn remember_hashes(
    tx: &Tx<'_>,
    id: ContactRowId,
    workspace: WorkspaceRowId,
    now: Timestamp,
) -> Result<(), Error> {
    let key = erase_key(tx)?;
    let workspace = tx.state.names.name(workspace)?;
    for identity in contact::identities(tx.connection, id)? {
        let hash = erased_hash(
            &key,
            &workspace,
            identity.kind(),
            identity.namespace(),
            identity.value(),
        );
        tx.connection
            .prepare_cached(
                "INSERT INTO erased (hash, at) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET at = max(at, excluded.at)",
            )?
            .execute(params![hash, ms(now)])?;
    }
    Ok(())
}

fn end_deliveries(tx: &mut Tx<'_>, id: ContactRowId, now: Timestamp) -> Result<u64, Error> {
    let open: Vec<DeliveryRowId> = tx
        .connection
        .prepare_cached("SELECT id FROM delivery WHERE contact_id = ?1 AND state IN ('waiting', 'blocked')")?
        .query_map([id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut count = 0;
    for delivery in open {
        if let Some(row) = delivery::row(tx, delivery)? {
            delivery::set_end(tx, &row, &End::skipped(&row, REASON, ms(now)))?;
            count += 1;
        }
    }
    Ok(count)
}

/// Copies the log back and empties it, because old pages in it still hold erased data. It waits for no
/// reader, since the writer runs it. While a reader is active the log stays, and a later try empties it.
pub(crate) fn empty_log(connection: &Connection) -> Result<bool, Error> {
    connection.busy_timeout(Duration::ZERO)?;
    let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    connection.busy_timeout(BUSY)?;
    match busy {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => Ok(false),
        busy => Ok(busy? == 0),
    }
}
