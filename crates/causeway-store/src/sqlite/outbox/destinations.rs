//! Follows destinations as the configuration adds, changes, removes and restores them.
//!
//! Invariant: an opt-out that arrives while a destination is absent, or has another purpose, still reaches it
//! later. Opt-outs that can no longer reach a destination are counted, for a person to see ([`left_behind`]).

use std::collections::{BTreeMap, BTreeSet};

use causeway_core::{clock::Timestamp, id::Name, rules::Rules};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ContactRowId, DestinationRowId, InboxRowId, WorkspaceRowId},
        rows::{from_json, text, to_json},
        tx::Tx,
    },
    outbox::{
        given,
        replan::{self, Change},
    },
    people::contact,
};

/// The workspace and purpose of a destination when the rules were last set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    workspace: Name,
    purpose: Name,
    /// The destination was in other workspaces before, and was given people there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    has_moved: bool,
    /// The destination was not in the configuration.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_away: bool,
    /// The names that it had before. Deliveries may still have them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    formerly: BTreeSet<Name>,
}

type Places = BTreeMap<Name, Place>;

fn places(connection: &Connection) -> Result<Places, Error> {
    let noted: Option<String> = connection
        .prepare_cached("SELECT value FROM meta WHERE key = 'destinations'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    noted.map_or_else(|| Ok(Places::new()), |noted| from_json(&noted))
}

/// The former names of destinations that were renamed.
pub(crate) fn former_names(connection: &Connection) -> Result<BTreeMap<Name, BTreeSet<Name>>, Error> {
    let places = places(connection)?;
    let is_free = |name: &Name| places.get(name).is_none_or(|place| place.is_away);
    let former = |place: &Place| {
        place
            .formerly
            .iter()
            .filter(|name| is_free(name))
            .cloned()
            .collect()
    };
    Ok(places
        .iter()
        .map(|(name, place)| (name.clone(), former(place)))
        .collect())
}

/// Interns the names of the destinations and notes their workspaces and purposes. Returns the contacts whose
/// opt-outs may have missed a destination, because it was renamed, was absent, or had another purpose.
pub(crate) fn follow(tx: &mut Tx<'_>, rules: &Rules) -> Result<BTreeSet<ContactRowId>, Error> {
    let before = places(tx.connection)?;
    let mut after = Places::new();
    let mut behind = BTreeSet::new();
    for rule in rules.destinations.values() {
        if let Some(old) = &rule.renamed_from {
            given::follow_name(tx, rule, old)?;
        }
        let id = tx.state.names.destination(tx.connection, &rule.name)?;
        let known = before
            .get(&rule.name)
            .or_else(|| before.get(rule.renamed_from.as_ref()?));
        let mut place = Place {
            workspace: rule.own_workspace(),
            purpose: rule.purpose.clone(),
            has_moved: known.is_some_and(|known| known.has_moved),
            is_away: false,
            formerly: known.map(|known| known.formerly.clone()).unwrap_or_default(),
        };
        place.formerly.extend(rule.renamed_from.clone());
        if let Some(known) = known {
            place.has_moved |= known.workspace != place.workspace;
            if known.purpose != place.purpose {
                tx.connection
                    .prepare_cached(
                        "UPDATE given SET purpose = ?2 WHERE destination_id = ?1 AND purpose = ''",
                    )?
                    .execute(params![id, &*known.purpose])?;
            }
        }
        if before.get(&rule.name) != Some(&place) {
            behind.extend(may_have_ended(tx.connection, id)?);
        }
        after.insert(rule.name.clone(), place);
    }
    let names_so_far: BTreeSet<&Name> = rules
        .destinations
        .values()
        .filter_map(|rule| rule.renamed_from.as_ref())
        .collect();
    for (name, place) in before {
        if !names_so_far.contains(&name) {
            let away = Place {
                is_away: true,
                ..place
            };
            after.entry(name).or_insert(away);
        }
    }
    tx.connection
        .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES ('destinations', ?1)")?
        .execute([to_json(&after)?])?;
    Ok(behind)
}

/// Contacts whose data the destination has and whose consent may have ended: all that it has as subscribed, and
/// those who opted out themselves or share a mailbox.
fn may_have_ended(
    connection: &Connection,
    destination: DestinationRowId,
) -> Result<Vec<ContactRowId>, Error> {
    let contacts = connection
        .prepare_cached(
            "SELECT DISTINCT contact_id FROM given WHERE destination_id = ?1 AND change IN ('none', 'subscribe')
             AND (change = 'subscribe'
                  OR EXISTS (SELECT 1 FROM consent WHERE consent.contact_id = given.contact_id
                          AND what IN ('unsubscribed', 'complained', 'bounced', 'blocked', 'inactive'))
                  OR EXISTS (SELECT 1 FROM shared_address WHERE shared_address.contact_id = given.contact_id))",
        )?
        .query_map([destination], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(contacts)
}

/// Plans the contact's withdrawals that destinations with the contact's data have not received yet.
pub(crate) fn plan_missing_withdrawals(
    tx: &mut Tx<'_>,
    id: ContactRowId,
    now: Timestamp,
) -> Result<(), Error> {
    let Some(contact) = contact::read(tx.connection, id)? else {
        return Ok(());
    };
    let newest: Option<(InboxRowId, WorkspaceRowId)> = tx
        .connection
        .prepare_cached(
            "SELECT inbox_id, workspace_id FROM event WHERE contact_id = ?1 ORDER BY inbox_id DESC LIMIT 1",
        )?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((inbox, workspace)) = newest else {
        return Ok(());
    };
    let terms = tx.state.terms_of(workspace);
    let change = Change {
        contact: id,
        before: (&contact, &terms),
        after: (&contact, &terms),
    };
    replan::after_change(tx, workspace, inbox, &change, now)?;
    Ok(())
}

/// Counts people whom no opt-out reaches at a destination: all people of destinations that are not configured
/// (by name and workspace), and people of a workspace that a destination left.
pub(crate) fn left_behind(
    connection: &Connection,
    configured: &[(Name, Name)],
) -> Result<BTreeMap<Name, u64>, Error> {
    let places = places(connection)?;
    let mut all = BTreeMap::new();
    let mut names = connection.prepare_cached("SELECT id, name FROM name WHERE kind = 'destination'")?;
    let mut rows = names.query([])?;
    while let Some(row) = rows.next()? {
        let (id, name) = (row.get::<_, DestinationRowId>(0)?, Name::from(text(row, 1)?));
        let workspace = configured.iter().find(|(configured, _)| *configured == name);
        let workspace = workspace.map(|(_, workspace)| &**workspace);
        if workspace.is_some() && !places.get(&name).is_some_and(|place| place.has_moved) {
            continue;
        }
        let people: i64 = connection
            .prepare_cached(
                "SELECT count(DISTINCT contact_id) FROM given JOIN contact ON contact.id = given.contact_id
                 JOIN name ON name.id = contact.workspace_id
                 WHERE destination_id = ?1 AND change IN ('none', 'subscribe') AND name.name IS NOT ?2",
            )?
            .query_row(params![id, workspace], |row| row.get(0))?;
        if people > 0 {
            all.insert(name, people.unsigned_abs());
        }
    }
    Ok(all)
}

/// Forgets what a destination was given, except for people of the workspace `kept`. Returns the number of
/// people.
pub(crate) fn forget(tx: &Tx<'_>, destination: &Name, kept: Option<&Name>) -> Result<u64, Error> {
    let Some(id) = tx.state.names.find_destination(destination) else {
        return Ok(0);
    };
    if kept.is_none()
        && places(tx.connection)?
            .get(destination)
            .is_some_and(|place| !place.is_away)
    {
        return Err(Error::Refused(format!(
            "the hub on this store last ran with the destination {destination}: start it with the configuration that \
             no longer has it, then forget its people"
        )));
    }
    let kept = kept.and_then(|workspace| tx.state.names.find_workspace(workspace));
    let forgotten = "FROM given WHERE destination_id = ?1
         AND contact_id NOT IN (SELECT id FROM contact WHERE workspace_id IS ?2)";
    let people: i64 = tx
        .connection
        .prepare_cached(&format!("SELECT count(DISTINCT contact_id) {forgotten}"))?
        .query_row(params![id, kept], |row| row.get(0))?;
    tx.connection
        .prepare_cached(&format!("DELETE {forgotten}"))?
        .execute(params![id, kept])?;
    tx.connection
        .prepare_cached(
            "DELETE FROM memory WHERE destination_id = ?1
             AND contact_id NOT IN (SELECT id FROM contact WHERE workspace_id IS ?2)",
        )?
        .execute(params![id, kept])?;
    Ok(people.unsigned_abs())
}
