//! Listener addresses, each minted for one sync of a platform.

use causeway_core::{
    clock::Timestamp,
    store::{SourceUrl, UrlChange},
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::sqlite::{
    base::{
        error::Error,
        rows::{at, ms},
        tx::Tx,
    },
    upkeep::age::Aged,
};

pub(crate) fn change(
    tx: &mut Tx<'_>,
    source: &str,
    label: &str,
    change: UrlChange,
    now: Timestamp,
) -> Result<bool, Error> {
    let mut known = tx.connection.prepare_cached(
        "SELECT 1 FROM source_url WHERE source = ?1 AND label = ?2 AND (valid_until IS NULL OR (?3 AND valid_until > ?4))",
    )?;
    // A rotated address that is still valid can be revoked, too.
    let revokes = change == UrlChange::Revoke;
    let exists = known
        .query_row(params![source, label, revokes, ms(now)], |_| Ok(()))
        .optional()?
        .is_some();
    let (hash, until) = match change {
        UrlChange::Mint { hash } if !exists => (Some(hash), None),
        UrlChange::Rotate { hash, old_until } if exists => (Some(hash), Some(old_until)),
        UrlChange::Revoke if exists => (None, Some(now)),
        _ => return Ok(false),
    };
    if let Some(until) = until {
        tx.connection
            .prepare_cached(
                "UPDATE source_url SET valid_until = ?3
                 WHERE source = ?1 AND label = ?2 AND (valid_until IS NULL OR valid_until > ?3)",
            )?
            .execute(params![source, label, ms(until)])?;
    }
    if let Some(hash) = hash {
        tx.connection
            .prepare_cached("INSERT INTO source_url (hash, source, label, made_at) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![hash, source, label, ms(now)])?;
    }
    Ok(true)
}

/// Deletes addresses that ended before; all at once, as there are few.
pub(crate) fn prune(tx: &Tx<'_>, _after: (), before_ms: i64) -> Result<Aged<()>, Error> {
    let gone = tx
        .connection
        .prepare_cached("DELETE FROM source_url WHERE valid_until < ?1")?
        .execute([before_ms])?;
    Ok((u64::try_from(gone).unwrap_or(0), None))
}

pub(crate) fn all(connection: &Connection) -> Result<Vec<SourceUrl>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT hash, source, label, made_at, valid_until FROM source_url ORDER BY source, label, made_at",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(SourceUrl {
            hash: row.get(0)?,
            source: row.get::<_, String>(1)?.into(),
            label: row.get(2)?,
            made_at: at(row.get(3)?),
            valid_until: row.get::<_, Option<i64>>(4)?.map(at),
        })
    })?;
    rows.map(|row| row.map_err(Error::from)).collect()
}
