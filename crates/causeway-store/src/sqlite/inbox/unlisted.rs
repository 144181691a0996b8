//! Actions in the store that their system of origin no longer lists.

use causeway_core::{
    clock::Timestamp,
    contact::Identity,
    decode::proca::reconciled::{GONE, dated_status_of, finding_about, undated_status, undated_status_of},
    event::{Action, EventKind},
    id::{ContactId, InboxId},
    store::{GoneContact, UndatedStatus, Unlisted, UnlistedAction},
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ActionRowId, ContactRowId, InboxRowId},
        rows::{at, from_json, ms, name, text},
    },
    people::contact::identities,
};

/// Actions examined in one snapshot. There may be millions, and no other query should wait for all of them.
const CHUNK: u32 = 5_000;
/// Maximum number of contacts shown to a person.
const SHOWN: u32 = 100;

/// Some of these actions, and the row after which to go on; `None` at the end.
pub(crate) fn chunk(
    connection: &Connection,
    asked: &Unlisted,
    after: ActionRowId,
) -> Result<(Vec<UnlistedAction>, Option<ActionRowId>), Error> {
    let mut statement = connection.prepare_cached(
        "SELECT action.id, action.number, action.contact_id, action.planned_by, action.doc, namespace.name, coalesce(page.own, 0)
         FROM action JOIN name namespace ON namespace.id = action.namespace_id LEFT JOIN page ON page.id = action.page_id
         WHERE action.id > ?1 AND action.contact_id IS NOT NULL AND action.number IS NOT NULL
               AND action.source_id = (SELECT id FROM name WHERE kind = 'source' AND name = ?2)
         ORDER BY action.id LIMIT ?3",
    )?;
    let mut rows = statement.query(params![after, &*asked.source, CHUNK])?;
    let (mut found, mut seen, mut last) = (Vec::new(), 0, after);
    while let Some(row) = rows.next()? {
        seen += 1;
        last = row.get(0)?;
        let number: i64 = row.get(1)?;
        if asked.listed.contains(&number) {
            continue;
        }
        // An action that cannot be read is left out; the others are examined all the same.
        let Ok(action) = from_json::<Action>(text(row, 4)?) else {
            tracing::error!(
                action = number,
                "an action cannot be read; reconciliation leaves it out"
            );
            continue;
        };
        let is_in_time = action.created_at > asked.created_after && action.created_at <= asked.asked_at;
        if !is_in_time || (action.testing && !asked.include_testing) {
            continue;
        }
        let contact: ContactRowId = row.get(2)?;
        let was_listed = was_listed_before(connection, contact, last, asked.asked_at)?;
        let was_sent = was_sent_before(connection, row.get(3)?, asked.sent_before)?;
        if !(was_listed || was_sent) || has_finding(connection, contact, number)? {
            continue;
        }
        let (addresses, references) = names(connection, contact, text(row, 5)?)?;
        found.push(UnlistedAction {
            number,
            contact: contact.into(),
            addresses,
            references,
            was_listed,
            on_own_page: row.get(6)?,
            was_suppressed: was_suppressed(connection, contact, action.created_at)?,
            undated: undated(connection, contact, last, number)?,
        });
    }
    Ok((found, (seen == CHUNK).then_some(last)))
}

/// The contact's addresses, and its references in the namespace.
fn names(
    connection: &Connection,
    contact: ContactRowId,
    in_namespace: &str,
) -> Result<(Vec<String>, Vec<String>), Error> {
    let (mut addresses, mut references) = (Vec::new(), Vec::new());
    for identity in identities(connection, contact)? {
        match identity {
            Identity::Email { address } => addresses.push(address),
            Identity::ContactRef { namespace, reference } if &*namespace == in_namespace => {
                references.push(reference);
            }
            _ => {}
        }
    }
    Ok((addresses, references))
}

/// Whether the message was received before `time`. A message whose row was pruned counts as older.
fn was_sent_before(
    connection: &Connection,
    message: Option<InboxRowId>,
    time: Timestamp,
) -> Result<bool, Error> {
    let received: Option<i64> = connection
        .prepare_cached("SELECT received_at FROM inbox WHERE id = ?1")?
        .query_row([message], |row| row.get(0))
        .optional()?;
    Ok(received.is_none_or(|received| received < ms(time)))
}

/// Whether the contact's address was reported as suppressed since then.
fn was_suppressed(connection: &Connection, contact: ContactRowId, since: Timestamp) -> Result<bool, Error> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM consent WHERE contact_id = ?1 AND at >= ?2
                            AND what IN ('complained', 'bounced', 'blocked', 'inactive'))",
        )?
        .query_row(params![contact, ms(since)], |row| row.get(0))?)
}

/// Whether a list that was received before `time` brought the action.
fn was_listed_before(
    connection: &Connection,
    contact: ContactRowId,
    action: ActionRowId,
    time: Timestamp,
) -> Result<bool, Error> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM event JOIN inbox ON inbox.id = event.inbox_id
                                               JOIN inbox_body ON inbox_body.id = event.inbox_id
                            WHERE event.contact_id = ?1 AND event.action_id = ?2 AND inbox.received_at < ?3
                                  AND json_extract(inbox_body.meta, '$.routing_key') = 'reconciliation')",
        )?
        .query_row(params![contact, action, ms(time)], |row| row.get(0))?)
}

/// Whether the finding was reported already. A second report would have a later date, and end opt-ins given
/// since.
fn has_finding(connection: &Connection, contact: ContactRowId, number: i64) -> Result<bool, Error> {
    let start = finding_about(&number.to_string());
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM consent WHERE contact_id = ?1 AND substr(basis, 1, length(?2)) = ?2)",
        )?
        .query_row(params![contact, start], |row| row.get(0))?)
}

/// The last undated status that was reported of the action. It is read from the ledger, which has no
/// retention. A forgotten status would be reported again, with a later date.
fn undated(
    connection: &Connection,
    contact: ContactRowId,
    action: ActionRowId,
    number: i64,
) -> Result<Option<UndatedStatus>, Error> {
    let number = number.to_string();
    let reported: Option<(String, InboxRowId)> = connection
        .prepare_cached(
            "SELECT basis, inbox_id FROM consent WHERE contact_id = ?1 AND substr(basis, -length(?2)) = ?2
             ORDER BY inbox_id DESC LIMIT 1",
        )?
        .query_row(params![contact, undated_status_of(&number)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((basis, message)) = reported else {
        return Ok(None);
    };
    // A list that brought the action is recognised by its routing key. If that is past its retention, assume
    // that it was a list: an opt-out reported twice does less harm than one that is lost.
    let is_outdated: bool = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM consent WHERE contact_id = ?1 AND inbox_id > ?2
                            AND substr(basis, -length(?3)) = ?3)
                 OR EXISTS (SELECT 1 FROM event LEFT JOIN inbox_body ON inbox_body.id = event.inbox_id
                            WHERE event.contact_id = ?1 AND event.action_id = ?4 AND event.kind = ?5
                                  AND event.inbox_id > ?2
                                  AND (inbox_body.id IS NULL
                                       OR json_extract(inbox_body.meta, '$.routing_key') = 'reconciliation'))",
        )?
        .query_row(
            params![
                contact,
                message,
                dated_status_of(&number),
                action,
                EventKind::Action.as_str()
            ],
            |row| row.get(0),
        )?;
    Ok(undated_status(&basis).map(|status| UndatedStatus {
        status: status.to_owned(),
        message: message.into(),
        is_current: !is_outdated,
    }))
}

/// Contacts that were found to be gone, newest first.
pub(crate) fn gone(connection: &Connection, noticed_after: Timestamp) -> Result<Vec<GoneContact>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT consent.contact_id, name.name, max(consent.inbox_id), max(consent.at)
         FROM consent JOIN inbox ON inbox.id = consent.inbox_id JOIN name ON name.id = inbox.source_id
         WHERE consent.at > ?1 AND substr(consent.basis, -length(?2)) = ?2
         GROUP BY consent.contact_id, name.name ORDER BY 4 DESC LIMIT ?3",
    )?;
    let mut rows = statement.query(params![ms(noticed_after), GONE, SHOWN])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(GoneContact {
            contact: ContactId(row.get(0)?),
            source: name(row, 1)?,
            message: InboxId(row.get(2)?),
            noticed_at: at(row.get(3)?),
        });
    }
    Ok(all)
}
