//! Digests of deleted engagements. When a platform sends its whole history again, engagements whose rows are
//! past their retention are recognised by them.
//!
//! Invariant: an engagement starts automations and gives points once, however long its row is kept.

use causeway_core::event::Engagement;
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use crate::sqlite::{
    base::{error::Error, ids::ContactRowId, rows::ms, tx::Tx},
    people::contact::NO_TIME,
};

/// Bytes of a digest. It only has to be unique within the history of one contact.
const BYTES: usize = 12;

/// Notes what is about to be deleted of these contacts: rows with a time before `before_ms`.
pub(crate) fn remember(
    tx: &Tx<'_>,
    after: ContactRowId,
    last: ContactRowId,
    before_ms: i64,
) -> Result<(), Error> {
    let mut old = tx.connection.prepare_cached(
        "SELECT contact_id, kind, key, at, coalesce(count, 0) FROM engagement
         WHERE contact_id > ?1 AND contact_id <= ?2 AND at < ?3 AND at <> ?4",
    )?;
    let mut note = tx.connection.prepare_cached(
        "INSERT INTO engagement_seen (contact_id, digest, count) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET count = max(count, excluded.count)",
    )?;
    let mut rows = old.query(params![after, last, before_ms, NO_TIME])?;
    while let Some(row) = rows.next()? {
        let (contact, at, count): (ContactRowId, i64, i64) = (row.get(0)?, row.get(3)?, row.get(4)?);
        let (kind, key) = (row.get_ref(1)?.as_str(), row.get_ref(2)?.as_str());
        let (Ok(kind), Ok(key)) = (kind, key) else {
            return Err(Error::Broken("the key of an engagement"));
        };
        note.execute(params![contact, digest(kind, key, at), count])?;
    }
    Ok(())
}

/// Whether a deleted row of the contact held this engagement, with at least this count.
pub(crate) fn is_seen(
    connection: &Connection,
    contact: ContactRowId,
    engagement: &Engagement,
) -> Result<bool, Error> {
    let digest = digest(
        engagement.kind.as_str(),
        &engagement.key,
        engagement.at.map_or(NO_TIME, ms),
    );
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM engagement_seen
                            WHERE contact_id = ?1 AND digest = ?2 AND count >= coalesce(?3, 0))",
        )?
        .query_row(params![contact, digest, engagement.count], |row| row.get(0))?)
}

/// Moves the digests of `from` to `into`.
pub(crate) fn merge(connection: &Connection, from: ContactRowId, into: ContactRowId) -> Result<(), Error> {
    connection
        .prepare_cached(
            "INSERT INTO engagement_seen (contact_id, digest, count)
             SELECT ?2, digest, count FROM engagement_seen WHERE contact_id = ?1
             ON CONFLICT DO UPDATE SET count = max(count, excluded.count)",
        )?
        .execute([from, into])?;
    connection
        .prepare_cached("DELETE FROM engagement_seen WHERE contact_id = ?1")?
        .execute([from])?;
    Ok(())
}

fn digest(kind: &str, key: &str, at: i64) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(kind);
    hash.update([0]);
    hash.update(at.to_be_bytes());
    hash.update(key);
    let mut digest = hash.finalize().to_vec();
    digest.truncate(BYTES);
    digest
}
