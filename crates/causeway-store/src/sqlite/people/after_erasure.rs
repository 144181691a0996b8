//! Messages that name an erased person. [`causeway_core::after_erasure`] describes the rules.
//!
//! For an erased person the store keeps keyed hashes of the identities. Each hash has the time of the erasure
//! and the time of the newest opt-out that was turned away since.

use causeway_core::{
    after_erasure::{Judgement, PastErasure, judge},
    clock::Timestamp,
    contact::Identity,
    event::Event,
    id::Name,
    store::{InboxState, Processed},
};
use rusqlite::{OptionalExtension, params};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ContactRowId, InboxRowId, SourceRowId, WorkspaceRowId},
        rows::{at, ms},
        tx::Tx,
    },
    inbox::process::{Row, end},
    people::{
        contact,
        erase::{erase_key, erased_hash, mark_log},
        erased_user, erasure, shared,
    },
};

/// `inbox.code` of a skipped message that was turned away.
const TURNED_AWAY: &str = "after_erasure";
/// `inbox.code` of a skipped message that waits until the person's erasure is finished.
const POSTPONED: &str = "erasing";

/// Counters.
pub(crate) const TURNED_AWAY_COUNT: &str = "turned_away";
pub(crate) const BEGAN_ANEW_COUNT: &str = "began_anew";

/// What happens to an event because of erased people.
pub(crate) enum Decision {
    /// The event names no erased person.
    Unconcerned,
    /// This part of the event counts.
    Anew(Box<Event>),
    /// The event does not count, now or later.
    Ended(Processed),
}

pub(crate) fn decide(
    tx: &mut Tx<'_>,
    row: &Row,
    workspace: WorkspaceRowId,
    event: &Event,
) -> Result<Decision, Error> {
    if !row.anyone_erased || event.follow_up.is_some() {
        return Ok(Decision::Unconcerned);
    }
    let workspace_name = tx.state.names.name(workspace)?;
    let Some(named) = named(tx, &workspace_name, event)? else {
        return Ok(Decision::Unconcerned);
    };
    if is_of_another_user(tx, workspace, event, &named)? {
        return Ok(Decision::Unconcerned);
    }
    let found = contact::find(tx, workspace, &event.identities)?;
    let is_being_erased = is_being_erased(tx, &found)?;
    let erased = PastErasure {
        is_known: !found.is_empty() && !is_being_erased,
        ..named.erased
    };
    let received_at = tx
        .connection
        .prepare_cached("SELECT received_at FROM inbox WHERE id = ?1")?
        .query_row([row.id], |row| row.get(0).map(at))?;
    let policy = tx.state.rules.after_erasure;
    match judge(event, received_at, policy, &erased) {
        Judgement::Anew(_) if is_being_erased => {
            let mut processed = postpone(tx, row)?;
            erased_user::opt_out_others(tx, row, workspace, &named.addresses, event, &mut processed)?;
            Ok(Decision::Ended(processed))
        }
        Judgement::Anew(event) => {
            if !erased.is_known {
                tx.state.counters.add(row.source, BEGAN_ANEW_COUNT, 1);
            }
            Ok(Decision::Anew(event))
        }
        Judgement::TurnedAway { reason, opted_out_at } => {
            if let Some(opted_out_at) = opted_out_at {
                named.remember_opt_out(tx, opted_out_at)?;
            }
            let mut processed = turn_away(tx, row, &reason)?;
            erased_user::opt_out_others(tx, row, workspace, &named.addresses, event, &mut processed)?;
            Ok(Decision::Ended(processed))
        }
    }
}

/// The hashes of erased identities that an event names.
struct Named {
    hashes: Vec<[u8; 16]>,
    /// The erased e-mail addresses that the event names.
    addresses: Vec<String>,
    erased: PastErasure,
}

fn named(tx: &Tx<'_>, workspace: &Name, event: &Event) -> Result<Option<Named>, Error> {
    let key = erase_key(tx)?;
    let is_named = event.identities.iter().any(|identity| !identity.is_visitor());
    let mut named: Option<Named> = None;
    for identity in &event.identities {
        // Another person may use the browser of an erased person, so a visitor id is no evidence beside a
        // name.
        if is_named && identity.is_visitor() {
            continue;
        }
        let hash = erased_hash(
            &key,
            workspace,
            identity.kind(),
            identity.namespace(),
            identity.value(),
        );
        let found: Option<(i64, Option<i64>)> = tx
            .connection
            .prepare_cached("SELECT at, opted_out_at FROM erased WHERE hash = ?1")?
            .query_row([hash], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((erased_at, opted_out_at)) = found else {
            continue;
        };
        let named = named.get_or_insert_with(|| Named {
            hashes: Vec::new(),
            addresses: Vec::new(),
            erased: PastErasure {
                at: at(erased_at),
                opted_out_at: None,
                is_known: false,
            },
        });
        named.hashes.push(hash);
        if let Identity::Email { address } = identity {
            named.addresses.push(address.clone());
        }
        named.erased.at = named.erased.at.max(at(erased_at));
        named.erased.opted_out_at = named.erased.opted_out_at.max(opted_out_at.map(at));
    }
    Ok(named)
}

/// Whether the message names the erased person only by a mailbox, while an id in it belongs to another user of
/// that mailbox.
fn is_of_another_user(
    tx: &mut Tx<'_>,
    workspace: WorkspaceRowId,
    event: &Event,
    named: &Named,
) -> Result<bool, Error> {
    if named.addresses.len() < named.hashes.len() {
        return Ok(false);
    }
    let mut users = Vec::new();
    for address in &named.addresses {
        users.extend(shared::others(tx, workspace, address, &[])?);
    }
    for identity in event
        .identities
        .iter()
        .filter(|identity| identity.is_of_contact())
    {
        let owner = contact::find_one(tx, workspace, identity)?;
        if owner.is_some_and(|owner| users.contains(&owner)) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Named {
    fn remember_opt_out(&self, tx: &Tx<'_>, opted_out_at: Timestamp) -> Result<(), Error> {
        for hash in &self.hashes {
            tx.connection
                .prepare_cached(
                    "UPDATE erased SET opted_out_at = max(coalesce(opted_out_at, ?2), ?2) WHERE hash = ?1",
                )?
                .execute(params![hash, ms(opted_out_at)])?;
        }
        Ok(())
    }
}

fn is_being_erased(tx: &Tx<'_>, contacts: &[ContactRowId]) -> Result<bool, Error> {
    for contact in contacts {
        if erasure::is_being_erased(tx, *contact)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Skips the message and deletes its body. Its key is freed, so that it is judged again if its sender sends
/// it again.
fn turn_away(tx: &mut Tx<'_>, row: &Row, reason: &str) -> Result<Processed, Error> {
    tx.connection
        .prepare_cached("DELETE FROM inbox_body WHERE id = ?1")?
        .execute([row.id])?;
    mark_log(tx)?;
    let reason = format!("{reason}. Its body is deleted: to have it after all, let the sender send it again");
    let mut processed = end(tx, row, InboxState::Skipped, None, Some(&reason))?;
    tx.connection
        .prepare_cached("UPDATE inbox SET code = ?2, dedup = NULL WHERE id = ?1")?
        .execute(params![row.id, TURNED_AWAY])?;
    tx.state.counters.add(row.source, TURNED_AWAY_COUNT, 1);
    processed.turned_away = true;
    Ok(processed)
}

/// Skips the message until the erasure is finished: the person signed again, but the contact that is being
/// erased still owns the identities. [`release`] then has the message processed.
fn postpone(tx: &mut Tx<'_>, row: &Row) -> Result<Processed, Error> {
    const REASON: &str = "dated after the request to erase this person, which is not finished (`causeway contact leaving`): \
         processed when it is, as a new contact";
    let processed = end(tx, row, InboxState::Skipped, None, Some(REASON))?;
    tx.connection
        .prepare_cached("UPDATE inbox SET code = ?2 WHERE id = ?1")?
        .execute(params![row.id, POSTPONED])?;
    Ok(processed)
}

/// Has postponed messages processed after an erasure is finished. A message that waits for the erasure of
/// another person is postponed again.
pub(crate) fn release(tx: &mut Tx<'_>) -> Result<(), Error> {
    let rows: Vec<(InboxRowId, SourceRowId)> = tx
        .connection
        .prepare_cached(
            "SELECT id, source_id FROM inbox WHERE code = 'erasing' AND state = 'skipped'
             AND EXISTS (SELECT 1 FROM inbox_body WHERE id = inbox.id)",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (id, source) in rows {
        tx.connection
            .prepare_cached(
                "UPDATE inbox SET state = 'new', code = NULL, reason = NULL, processed_at = NULL WHERE id = ?1",
            )?
            .execute([id])?;
        tx.state.counters.add(source, InboxState::Skipped.as_str(), -1);
        tx.state.counters.add(source, InboxState::New.as_str(), 1);
    }
    Ok(())
}
