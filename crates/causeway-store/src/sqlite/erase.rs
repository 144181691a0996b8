//! Removes a person. What stays are rows without a person (so that the books balance) and keyed hashes of the
//! identities, so that nobody is brought back by what comes late.

use causeway_core::{clock::Timestamp, envelope::digest, id::ContactId, store::Erased};
use rusqlite::{Connection, OptionalExtension, params};

use super::{
    contact,
    fault::Fault,
    outbox::{self, End},
    recent::Recent,
    rows::ms,
    writer::Tx,
};

const REASON: &str = "the person was erased";

pub(crate) fn erase(tx: &mut Tx<'_>, asked: ContactId, now: Timestamp) -> Result<Erased, Fault> {
    let Some((id, workspace)) = living(tx, asked)? else {
        return Ok(Erased::default());
    };
    remember_hashes(tx, id, workspace, now)?;
    tx.state.recent = Recent::default();
    let mut erased = Erased {
        deliveries: end_deliveries(tx, id, now)?,
        ..Erased::default()
    };
    let connection = tx.connection;
    let run = |sql: &str| -> Result<u64, Fault> {
        Ok(u64::try_from(connection.prepare_cached(sql)?.execute([id])?).unwrap_or(0))
    };
    run("UPDATE attempt SET excerpt = NULL
         WHERE delivery_id IN (SELECT id FROM delivery WHERE contact_id = ?1)")?;
    run("UPDATE delivery SET contact_id = NULL, remote_id = NULL WHERE contact_id = ?1")?;
    // Duplicates of earlier versions may have bodies of their own. What waits to be processed is skipped then.
    run("DELETE FROM inbox_body WHERE id IN
         (SELECT id FROM inbox WHERE state = 'duplicate'
          AND duplicate_of IN (SELECT inbox_id FROM event WHERE contact_id = ?1))")?;
    erased.envelopes =
        run("DELETE FROM inbox_body WHERE id IN (SELECT inbox_id FROM event WHERE contact_id = ?1)")?;
    run(
        "UPDATE event SET contact_id = NULL, action_id = NULL, decision = NULL, notes = NULL, automations = NULL
         WHERE contact_id = ?1",
    )?;
    erased.actions = run("DELETE FROM action WHERE contact_id = ?1")?;
    erased.consent = run("DELETE FROM consent WHERE contact_id = ?1")?;
    run("DELETE FROM engagement WHERE contact_id = ?1")?;
    run("DELETE FROM identity WHERE contact_id = ?1")?;
    run("DELETE FROM timer WHERE contact_id = ?1")?;
    run("DELETE FROM erasure WHERE contact_id = ?1")?;
    // The empty row stays, so that its number is never given to somebody else.
    run("UPDATE contact SET doc = NULL WHERE id = ?1")?;
    mark_log(tx)?;
    Ok(erased)
}

/// The contact, or the one that it was merged into, with its workspace; `None` for nobody and for who was erased.
pub(crate) fn living(tx: &Tx<'_>, asked: ContactId) -> Result<Option<(i64, i64)>, Fault> {
    Ok(tx
        .connection
        .prepare_cached(
            "SELECT living.id, living.workspace_id FROM contact JOIN contact living
             ON living.id = coalesce(contact.merged_into, contact.id)
             WHERE contact.id = ?1 AND living.doc IS NOT NULL",
        )?
        .query_row([asked.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?)
}

/// Says that the log holds bytes of somebody who was erased, until it was emptied.
pub(crate) fn mark_log(tx: &Tx<'_>) -> Result<(), Fault> {
    tx.connection
        .prepare_cached("INSERT INTO meta (key, value) VALUES ('log_to_empty', 1) ON CONFLICT DO NOTHING")?
        .execute([])?;
    Ok(())
}

pub(crate) fn is_log_marked(connection: &Connection) -> Result<bool, Fault> {
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM meta WHERE key = 'log_to_empty')")?
        .query_row([], |row| row.get(0))?)
}

pub(crate) fn unmark_log(tx: &Tx<'_>) -> Result<(), Fault> {
    tx.connection
        .prepare_cached("DELETE FROM meta WHERE key = 'log_to_empty'")?
        .execute([])?;
    Ok(())
}

pub(crate) fn erase_key(tx: &Tx<'_>) -> Result<Vec<u8>, Fault> {
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

pub(crate) fn remember_hashes(tx: &Tx<'_>, id: i64, workspace: i64, now: Timestamp) -> Result<(), Fault> {
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
            .prepare_cached("INSERT INTO erased (hash, at) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
            .execute(params![hash, ms(now)])?;
    }
    Ok(())
}

fn end_deliveries(tx: &mut Tx<'_>, id: i64, now: Timestamp) -> Result<u64, Fault> {
    let open: Vec<i64> = tx
        .connection
        .prepare_cached("SELECT id FROM delivery WHERE contact_id = ?1 AND state IN ('waiting', 'blocked')")?
        .query_map([id], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut count = 0;
    for delivery in open {
        if let Some(row) = outbox::row(tx, delivery)? {
            outbox::set_end(tx, &row, &End::skipped(&row, REASON, ms(now)))?;
            count += 1;
        }
    }
    Ok(count)
}

/// Writes the log back and empties it: old pages in it still hold what was erased. Waits for readers; what one of
/// them keeps busy for longer goes with the next time.
pub(crate) fn empty_log(connection: &Connection) -> Result<bool, Fault> {
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(busy == 0)
}
