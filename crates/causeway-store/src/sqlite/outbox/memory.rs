//! What destinations remember about contacts, each in a form of its own. The store only keeps it: by address, because a
//! withdrawal of a former address must find what was sent about that address.

use causeway_core::destination::AttemptResult;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

use crate::sqlite::base::{
    error::Error,
    ids::{ContactRowId, DestinationRowId},
};

/// At this address; otherwise what changed last at another address of the contact.
pub(crate) fn of(
    connection: &Connection,
    contact: ContactRowId,
    destination: DestinationRowId,
    address: &str,
) -> Result<Option<Value>, Error> {
    let found: Option<String> = connection
        .prepare_cached(
            "SELECT value FROM memory WHERE contact_id = ?1 AND destination_id = ?2
             ORDER BY address = ?3 DESC, changed_at DESC LIMIT 1",
        )?
        .query_row(params![contact, destination, address], |row| row.get(0))
        .optional()?;
    // A value that cannot be read is as good as none: destinations must do without their memory anyway.
    Ok(found.and_then(|text| serde_json::from_str(&text).ok()))
}

/// Replaces what is remembered at this address; `null` forgets it.
pub(crate) fn remember(
    connection: &Connection,
    contact: ContactRowId,
    destination: DestinationRowId,
    address: &str,
    value: &Value,
    at_ms: i64,
) -> Result<(), Error> {
    let text = value.to_string();
    if value.is_null() || text.len() > AttemptResult::MEMORY_BYTES {
        connection
            .prepare_cached(
                "DELETE FROM memory WHERE contact_id = ?1 AND destination_id = ?2 AND address = ?3",
            )?
            .execute(params![contact, destination, address])?;
        return Ok(());
    }
    connection
        .prepare_cached(
            "INSERT INTO memory (contact_id, destination_id, address, value, changed_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at",
        )?
        .execute(params![contact, destination, address, text, at_ms])?;
    Ok(())
}

/// What was remembered about `from` becomes remembered about `into`. At the same address the newer value stays.
pub(crate) fn merge(connection: &Connection, from: ContactRowId, into: ContactRowId) -> Result<(), Error> {
    copy(connection, from, into)?;
    connection
        .prepare_cached("DELETE FROM memory WHERE contact_id = ?1")?
        .execute([from])?;
    Ok(())
}

pub(crate) fn copy(connection: &Connection, from: ContactRowId, into: ContactRowId) -> Result<(), Error> {
    connection
        .prepare_cached(
            "INSERT INTO memory (contact_id, destination_id, address, value, changed_at)
             SELECT ?2, destination_id, address, value, changed_at FROM memory WHERE contact_id = ?1
             ON CONFLICT DO UPDATE SET
                value = CASE WHEN excluded.changed_at > changed_at THEN excluded.value ELSE value END,
                changed_at = max(changed_at, excluded.changed_at)",
        )?
        .execute([from, into])?;
    Ok(())
}

/// Forgets what was sent about an address that is another contact's.
pub(crate) fn forget_address(
    connection: &Connection,
    contact: ContactRowId,
    address: &str,
) -> Result<(), Error> {
    connection
        .prepare_cached("DELETE FROM memory WHERE contact_id = ?1 AND address = ?2")?
        .execute(params![contact, address])?;
    Ok(())
}

/// The destination has a new name.
pub(crate) fn follow_name(
    connection: &Connection,
    old: DestinationRowId,
    new: DestinationRowId,
) -> Result<(), Error> {
    connection
        .prepare_cached("UPDATE OR IGNORE memory SET destination_id = ?2 WHERE destination_id = ?1")?
        .execute([old, new])?;
    connection
        .prepare_cached("DELETE FROM memory WHERE destination_id = ?1")?
        .execute([old])?;
    Ok(())
}
