//! Corrects the times that the hub stamped while its clock was ahead. Times in the future are moved back, so
//! that new facts are newer than the ones before them.
//!
//! Invariant: the order of a contact's facts stays the same, and no time lies in the future afterwards. Each
//! step handles a range of rows in a transaction of its own. A step that is done twice changes nothing the
//! second time.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use causeway_core::{clock::ClockAlarm, contact::Contact, store::Redated};
use rusqlite::{Connection, OptionalExtension, params};

use crate::sqlite::{
    base::{
        counters::{LAST_DELIVERED, LAST_RECEIVED},
        error::Error,
        ids::ContactRowId,
        rows::{at, from_json, to_json},
        tx::Tx,
    },
    inbox::facts::Facts,
    outbox::recent::Recent,
    people::contact,
};

/// Row numbers in one transaction.
const RANGE: i64 = 2_000;

/// How future times are moved back, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shift {
    pub now: i64,
    /// How far the clock was ahead, as far as is known: at least the distance of the newest row.
    pub back: i64,
    /// The last time of receipt by the right clock. No time is moved before it.
    pub floor: i64,
}

impl Shift {
    pub(crate) fn new(tx: &Tx<'_>, back: i64, now: i64) -> Result<Self, Error> {
        let floor: Option<i64> = tx
            .connection
            .prepare_cached("SELECT received_at FROM inbox WHERE received_at <= ?1 ORDER BY id DESC LIMIT 1")?
            .query_row([now], |row| row.get(0))
            .optional()?;
        Ok(Self {
            now,
            back,
            floor: floor.unwrap_or(i64::MIN),
        })
    }

    fn of(&self, at: i64) -> i64 {
        if at > self.now {
            at.saturating_sub(self.back).max(self.floor).min(self.now)
        } else {
            at
        }
    }

    /// New times in the same order, each later than the one before: after the floor if there is room, and not
    /// after now.
    fn in_order(&self, times: &BTreeSet<i64>) -> BTreeMap<i64, i64> {
        let mut moved = BTreeMap::new();
        let mut before = self.floor;
        for time in times {
            before = self.of(*time).max(before.saturating_add(1));
            moved.insert(*time, before);
        }
        let mut latest = self.now;
        for new in moved.values_mut().rev() {
            *new = latest.min(*new);
            latest = *new - 1;
        }
        moved
    }
}

/// The parts in the order in which they are corrected. Timers and deliveries come first, since they are found
/// by times that are moved later. Messages come before contacts, so that those processed meanwhile have the
/// right time.
pub(crate) const PARTS: [Part; 9] = [
    Part::Rows {
        table: "timer",
        id: "id",
        sql: "UPDATE timer SET due_at = due_at - :back WHERE id > :after AND id <= :upto AND due_at > :now
              AND EXISTS (SELECT 1 FROM inbox
                          WHERE id = timer.inbox_id AND max(received_at, coalesce(processed_at, 0)) > :now)",
    },
    Part::Rows {
        table: "delivery",
        id: "id",
        sql: "UPDATE delivery SET
                due_at = CASE WHEN due_at > :now AND (planned_at > :now OR EXISTS (
                                  SELECT 1 FROM attempt WHERE delivery_id = delivery.id AND started_at > :now))
                              THEN max(due_at - :back, :now) ELSE due_at END,
                planned_at = CASE WHEN planned_at > :now
                                  THEN min(max(planned_at - :back, :floor), :now) ELSE planned_at END,
                finished_at = CASE WHEN finished_at > :now
                                   THEN min(max(finished_at - :back, :floor), :now) ELSE finished_at END
              WHERE id > :after AND id <= :upto AND (due_at > :now OR planned_at > :now OR finished_at > :now)",
    },
    Part::Rows {
        table: "attempt",
        id: "delivery_id",
        sql: "UPDATE attempt SET started_at = min(max(started_at - :back, :floor), :now)
              WHERE delivery_id > :after AND delivery_id <= :upto AND started_at > :now",
    },
    Part::Rows {
        table: "inbox",
        id: "id",
        sql: "UPDATE inbox SET
                received_at = CASE WHEN received_at > :now
                                   THEN min(max(received_at - :back, :floor), :now) ELSE received_at END,
                processed_at = CASE WHEN processed_at > :now
                                    THEN min(max(processed_at - :back, :floor), :now) ELSE processed_at END
              WHERE id > :after AND id <= :upto AND (received_at > :now OR processed_at > :now)",
    },
    Part::Contacts,
    Part::Entities("campaign"),
    Part::Entities("page"),
    // Events without a contact.
    Part::Rows {
        table: "event",
        id: "inbox_id",
        sql: "UPDATE event SET at = min(max(at - :back, :floor), :now)
              WHERE inbox_id > :after AND inbox_id <= :upto AND at > :now AND contact_id IS NULL",
    },
    Part::Small,
];

/// Small tables, corrected in one step. `:now`, `:back` and `:floor` are the values of [`Shift`], here and
/// above.
const SMALL: [&str; 10] = [
    "UPDATE given SET since = min(max(since - :back, :floor), :now), last_sent = min(max(last_sent - :back, :floor), :now)
     WHERE last_sent > :now",
    "UPDATE memory SET changed_at = min(max(changed_at - :back, :floor), :now) WHERE changed_at > :now",
    "UPDATE identity_conflict SET first_at = min(max(first_at - :back, :floor), :now),
                                  last_at = min(max(last_at - :back, :floor), :now)
     WHERE last_at > :now",
    "UPDATE last_run SET at = min(max(at - :back, :floor), :now) WHERE at > :now",
    "UPDATE erasure SET asked_at = min(max(asked_at - :back, :floor), :now), at_latest = at_latest - :back
     WHERE asked_at > :now",
    "UPDATE erased SET at = min(max(at - :back, :floor), :now) WHERE at > :now",
    "UPDATE source_url SET made_at = min(max(made_at - :back, :floor), :now) WHERE made_at > :now",
    "UPDATE source_url SET valid_until = max(valid_until - :back, :floor) WHERE valid_until > :now",
    "UPDATE import SET began_at = min(max(began_at - :back, :floor), :now),
                       finished_at = min(max(finished_at - :back, :floor), :now)
     WHERE began_at > :now",
    // This comes last: the counters show whether something is left to correct.
    "UPDATE counter SET value = min(max(value - :back, :floor), :now)
     WHERE what IN ('last_received_at', 'last_delivered_at') AND value > :now",
];

/// A part of the database.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    /// `sql` moves the times of the rows with numbers above `:after`, up to `:upto`.
    Rows {
        table: &'static str,
        id: &'static str,
        sql: &'static str,
    },
    Contacts,
    /// Campaigns or pages.
    Entities(&'static str),
    Small,
}

impl Part {
    pub(crate) fn count(self, redated: &mut Redated, rows: u64) {
        let Redated {
            contacts,
            messages,
            deliveries,
            timers,
        } = redated;
        match self {
            Self::Contacts => *contacts += rows,
            Self::Rows { table: "inbox", .. } => *messages += rows,
            Self::Rows {
                table: "delivery", ..
            } => *deliveries += rows,
            Self::Rows { table: "timer", .. } => *timers += rows,
            Self::Rows { .. } | Self::Entities(_) | Self::Small => {}
        }
    }
}

/// Corrects one range of a part. Returns how many rows changed, and where the next range starts, `None` at
/// the end.
pub(crate) fn range(
    tx: &mut Tx<'_>,
    shift: Shift,
    part: Part,
    after: i64,
) -> Result<(u64, Option<i64>), Error> {
    let (table, id) = match part {
        Part::Rows { table, id, .. } => (table, id),
        Part::Contacts => ("contact", "id"),
        Part::Entities(table) => (table, "id"),
        Part::Small => {
            for sql in SMALL {
                execute(tx, sql, shift, 0, 0)?;
            }
            tx.state.newest = tx.state.newest.min(shift.now);
            return Ok((0, None));
        }
    };
    let last: Option<i64> = tx
        .connection
        .prepare_cached(&format!("SELECT max({id}) FROM {table}"))?
        .query_row([], |row| row.get(0))?;
    let upto = after.saturating_add(RANGE);
    let changed = match part {
        Part::Rows { sql, .. } => execute(tx, sql, shift, after, upto)?,
        Part::Contacts => contacts(tx, shift, after, upto)?,
        Part::Entities(table) => entities(tx, shift, table, after, upto)?,
        Part::Small => 0,
    };
    let is_more = last.is_some_and(|last| last > upto);
    Ok((u64::try_from(changed).unwrap_or(0), is_more.then_some(upto)))
}

/// Binds only the parameters that the statement has.
fn execute(tx: &Tx<'_>, sql: &str, shift: Shift, after: i64, upto: i64) -> Result<usize, Error> {
    let mut statement = tx.connection.prepare_cached(sql)?;
    for (name, value) in [
        (":now", shift.now),
        (":back", shift.back),
        (":floor", shift.floor),
        (":after", after),
        (":upto", upto),
    ] {
        if let Some(index) = statement.parameter_index(name)? {
            statement.raw_bind_parameter(index, value)?;
        }
    }
    Ok(statement.raw_execute()?)
}

fn contacts(tx: &mut Tx<'_>, shift: Shift, after: i64, upto: i64) -> Result<usize, Error> {
    let concerned: Vec<ContactRowId> = tx
        .connection
        .prepare_cached(
            "SELECT id FROM contact WHERE id > ?1 AND id <= ?2 AND doc IS NOT NULL
             AND (updated_at > ?3 OR EXISTS (SELECT 1 FROM consent WHERE contact_id = contact.id AND at > ?3)
                  OR EXISTS (SELECT 1 FROM event WHERE contact_id = contact.id AND at > ?3))",
        )?
        .query_map([after, upto, shift.now], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for id in &concerned {
        match one_contact(tx, shift, *id) {
            // The other contacts are corrected all the same.
            Err(error) if error.is_of_one_row() => {
                tracing::error!(
                    contact.id = id.0,
                    reason = error.text(),
                    "contact {id} cannot be read: its future dates stay"
                );
            }
            done => done?,
        }
    }
    Ok(concerned.len())
}

/// Moves all times of one contact and keeps their order, to the millisecond.
fn one_contact(tx: &mut Tx<'_>, shift: Shift, id: ContactRowId) -> Result<(), Error> {
    let Some(mut contact) = contact::read(tx.connection, id)? else {
        return Ok(());
    };
    let mut times: BTreeSet<i64> = tx
        .connection
        .prepare_cached(
            "SELECT at FROM consent WHERE contact_id = ?1 AND at > ?2
             UNION SELECT at FROM engagement WHERE contact_id = ?1 AND at > ?2
             UNION SELECT at FROM event WHERE contact_id = ?1 AND at > ?2",
        )?
        .query_map(params![id, shift.now], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    contact.map_times(&mut |time| {
        let ms = time.as_millisecond();
        if ms > shift.now {
            times.insert(ms);
        }
        time
    });
    let moved = shift.in_order(&times);
    contact.map_times(&mut |time| moved.get(&time.as_millisecond()).map_or(time, |ms| at(*ms)));
    tx.connection
        .prepare_cached(
            "UPDATE contact SET doc = ?2, created_at = min(created_at, ?3), updated_at = min(updated_at, ?3) WHERE id = ?1",
        )?
        .execute(params![id, contact::to_doc(&contact)?, shift.now])?;
    for (before, after) in &moved {
        let note = format!("; re-dated: the hub's clock was ahead and showed {}", at(*before));
        tx.connection
            .prepare_cached(
                "UPDATE OR REPLACE consent SET at = ?3, basis = basis || ?4 WHERE contact_id = ?1 AND at = ?2",
            )?
            .execute(params![id, before, after, note])?;
        for sql in [
            "UPDATE OR REPLACE engagement SET at = ?3 WHERE contact_id = ?1 AND at = ?2",
            "UPDATE event SET at = ?3 WHERE contact_id = ?1 AND at = ?2",
        ] {
            tx.connection
                .prepare_cached(sql)?
                .execute(params![id, before, after])?;
        }
    }
    tx.state.recent = Recent::default();
    Ok(())
}

/// Corrects campaigns and pages. A value dated in the future would hide newer values until that time.
fn entities(tx: &mut Tx<'_>, shift: Shift, table: &str, after: i64, upto: i64) -> Result<usize, Error> {
    tx.state.facts.flush(tx.connection)?;
    tx.state.facts = Facts::default();
    let docs: Vec<(i64, String)> = tx
        .connection
        .prepare_cached(&format!("SELECT id, doc FROM {table} WHERE id > ?1 AND id <= ?2"))?
        .query_map([after, upto], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut changed = 0;
    for (id, doc) in docs {
        // Unreadable documents are reported elsewhere.
        let Ok(fields) = from_json(&doc) else { continue };
        let mut entity = Contact {
            fields,
            ..Contact::default()
        };
        let mut is_ahead = false;
        entity.map_times(&mut |time| {
            is_ahead |= time.as_millisecond() > shift.now;
            at(shift.of(time.as_millisecond()))
        });
        if is_ahead {
            tx.connection
                .prepare_cached(&format!("UPDATE {table} SET doc = ?2 WHERE id = ?1"))?
                .execute(params![id, to_json(&entity.fields)?])?;
            changed += 1;
        }
    }
    Ok(changed)
}

/// The newest time that the hub stamped, in milliseconds: when a message was received or a delivery
/// succeeded.
pub(crate) fn newest(connection: &Connection) -> Result<Option<i64>, Error> {
    Ok(connection
        .prepare_cached("SELECT max(value) FROM counter WHERE what IN (?1, ?2)")?
        .query_row([LAST_RECEIVED, LAST_DELIVERED], |row| row.get(0))?)
}

const ALARM: &str = "clock_alarm";

pub(crate) fn alarm(connection: &Connection) -> Result<Option<ClockAlarm>, Error> {
    let text: Option<String> = connection
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([ALARM], |row| row.get(0))
        .optional()?;
    text.map(|text| from_json(&text)).transpose()
}

pub(crate) fn set_alarm(tx: &Tx<'_>, alarm: Option<ClockAlarm>) -> Result<(), Error> {
    match alarm {
        Some(alarm) => tx
            .connection
            .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?
            .execute(params![ALARM, to_json(&alarm)?])?,
        None => tx
            .connection
            .prepare_cached("DELETE FROM meta WHERE key = ?1")?
            .execute([ALARM])?,
    };
    Ok(())
}
