//! Deletes the parts that have a retention of their own: responses of destinations, engagements and actions.
//! Like `prune`, it deletes a small chunk in each transaction.

use causeway_core::event::Action;
use rusqlite::{OptionalExtension, params};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ActionRowId, ContactRowId, DeliveryRowId, InboxRowId},
        rows::{from_json, ms},
        tx::Tx,
    },
    people::{contact::NO_TIME, seen},
    upkeep::prune::has_young,
};

/// Rows examined in one transaction.
const CHUNK: u16 = 500;
/// Contacts whose engagements are examined in one transaction.
const CONTACTS: u16 = 100;
/// Key in `meta`: the delivery up to which responses were deleted. Earlier ones need not be examined again.
const ANSWERS_UP_TO: &str = "answers_up_to";

/// Number of deleted rows, and the row after which the next chunk starts; `None` at the end.
pub(crate) type Aged<Id> = (u64, Option<Id>);

/// Where the last run stopped.
pub(crate) fn answers_start(tx: &Tx<'_>) -> Result<DeliveryRowId, Error> {
    Ok(tx
        .connection
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([ANSWERS_UP_TO], |row| row.get(0))
        .optional()?
        .unwrap_or(DeliveryRowId(0)))
}

/// Deletes excerpts of responses, up to the first that is too young.
pub(crate) fn answers(
    tx: &Tx<'_>,
    after: DeliveryRowId,
    before_ms: i64,
) -> Result<Aged<DeliveryRowId>, Error> {
    let rows: Vec<(DeliveryRowId, i64)> = tx
        .connection
        .prepare_cached(
            "SELECT delivery_id, max(started_at) FROM attempt WHERE delivery_id > ?1
             GROUP BY delivery_id ORDER BY delivery_id LIMIT ?2",
        )?
        .query_map(params![after, CHUNK], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let old = rows.iter().take_while(|(_, started_at)| *started_at < before_ms);
    let Some(last) = old.last().map(|(delivery, _)| *delivery) else {
        return Ok((0, None));
    };
    let gone = tx
        .connection
        .prepare_cached(
            "UPDATE attempt SET excerpt = NULL, request = NULL
             WHERE delivery_id > ?1 AND delivery_id <= ?2 AND (excerpt IS NOT NULL OR request IS NOT NULL)",
        )?
        .execute([after, last])?;
    tx.connection
        .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?
        .execute(params![ANSWERS_UP_TO, last])?;
    let is_more =
        rows.len() == usize::from(CHUNK) && rows.last().is_some_and(|(delivery, _)| *delivery == last);
    Ok((u64::try_from(gone).unwrap_or(0), is_more.then_some(last)))
}

/// Deletes old engagements. Engagements without a time are kept.
pub(crate) fn engagements(
    tx: &Tx<'_>,
    after: ContactRowId,
    before_ms: i64,
) -> Result<Aged<ContactRowId>, Error> {
    let contacts: Vec<ContactRowId> = tx
        .connection
        .prepare_cached(
            "SELECT DISTINCT contact_id FROM engagement WHERE contact_id > ?1 ORDER BY contact_id LIMIT ?2",
        )?
        .query_map(params![after, CONTACTS], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let Some(last) = contacts.last().copied() else {
        return Ok((0, None));
    };
    seen::remember(tx, after, last, before_ms)?;
    let gone = tx
        .connection
        .prepare_cached(
            "DELETE FROM engagement WHERE contact_id > ?1 AND contact_id <= ?2 AND at < ?3 AND at <> ?4",
        )?
        .execute(params![after, last, before_ms, NO_TIME])?;
    let next = (contacts.len() == usize::from(CONTACTS)).then_some(last);
    Ok((u64::try_from(gone).unwrap_or(0), next))
}

/// Deletes actions by the time at which they were taken, up to the first that is too young. An action whose
/// deliveries are still open or recent is kept.
pub(crate) fn actions(tx: &Tx<'_>, after: ActionRowId, before_ms: i64) -> Result<Aged<ActionRowId>, Error> {
    type Found = (ActionRowId, Option<InboxRowId>, String);
    let rows: Vec<Found> = tx
        .connection
        .prepare_cached("SELECT id, planned_by, doc FROM action WHERE id > ?1 ORDER BY id LIMIT ?2")?
        .query_map(params![after, CHUNK], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<_, _>>()?;
    let mut next = (rows.len() == usize::from(CHUNK)).then(|| rows.last().map_or(after, |row| row.0));
    // The newest row stays, so that its number is never given again.
    let newest: ActionRowId = tx
        .connection
        .prepare_cached("SELECT coalesce(max(id), 0) FROM action")?
        .query_row([], |row| row.get(0))?;
    let mut gone = 0;
    for (id, planned_by, doc) in rows {
        let Ok(action) = from_json::<Action>(&doc) else {
            tracing::error!(
                action.id = id.0,
                "an action cannot be read, so that its age is not known; it stays"
            );
            continue;
        };
        if ms(action.created_at) >= before_ms {
            next = None;
            break;
        }
        let is_needed = match planned_by {
            Some(inbox) => has_young(tx, inbox, before_ms)?,
            None => false,
        };
        if is_needed || id == newest {
            continue;
        }
        tx.connection
            .prepare_cached("UPDATE event SET action_id = NULL WHERE inbox_id = ?1")?
            .execute([planned_by])?;
        tx.connection
            .prepare_cached("DELETE FROM action WHERE id = ?1")?
            .execute([id])?;
        gone += 1;
    }
    Ok((gone, next))
}
