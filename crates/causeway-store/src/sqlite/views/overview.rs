//! Counts and ages, without counting rows.

use causeway_core::{
    clock::Timestamp,
    id::Name,
    store::{DestinationCounts, Overview, SourceCounts},
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::sqlite::{
    base::{
        counters::{LAST_DELIVERED, LAST_RECEIVED},
        error::Error,
        ids::{DestinationRowId, NameRowId, SourceRowId},
        rows::{at, ms, name},
    },
    people::after_erasure::{BEGAN_ANEW_COUNT, TURNED_AWAY_COUNT},
    upkeep::redate,
    views::queries::lanes,
};

/// How long a message that was turned away after an erasure is shown as recent.
const LATELY_MS: i64 = 7 * 86_400_000;

pub(crate) fn overview(connection: &Connection, now: Timestamp) -> Result<Overview, Error> {
    let mut overview = Overview::default();
    let mut lanes = lanes(connection)?;
    for (connector, name) in connectors(connection)? {
        match connector {
            Connector::Source(id) => {
                overview.sources.insert(name, source(connection, id, ms(now))?);
            }
            Connector::Destination(id) => {
                let mut counts = destination(connection, id)?;
                counts.lane = lanes.remove(&name).unwrap_or_default();
                overview.destinations.insert(name, counts);
            }
        }
    }
    overview.clock_alarm = redate::alarm(connection)?;
    Ok(overview)
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Connector {
    Source(SourceRowId),
    Destination(DestinationRowId),
}

/// All sources and destinations, with their names.
pub(crate) fn connectors(connection: &Connection) -> Result<Vec<(Connector, Name)>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT id, kind = 'source', name FROM name WHERE kind IN ('source', 'destination')",
    )?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let connector = if row.get(1)? {
            Connector::Source(row.get(0)?)
        } else {
            Connector::Destination(row.get(0)?)
        };
        all.push((connector, name(row, 2)?));
    }
    Ok(all)
}

/// The counters of one name.
pub(crate) struct Counts(Vec<(String, i64)>);

impl Counts {
    pub(crate) fn read(connection: &Connection, id: impl Into<NameRowId>) -> Result<Self, Error> {
        let counts = connection
            .prepare_cached("SELECT what, value FROM counter WHERE name_id = ?1")?
            .query_map([id.into()], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        Ok(Self(counts))
    }

    pub(crate) fn get(&self, what: &str) -> i64 {
        self.find(what).unwrap_or(0)
    }

    fn find(&self, what: &str) -> Option<i64> {
        self.0
            .iter()
            .find(|(name, _)| name == what)
            .map(|(_, value)| *value)
    }

    fn natural(&self, what: &str) -> u64 {
        u64::try_from(self.get(what)).unwrap_or(0)
    }
}

fn source(connection: &Connection, id: SourceRowId, now_ms: i64) -> Result<SourceCounts, Error> {
    let counts = Counts::read(connection, id)?;
    let oldest_new: Option<i64> = connection
        .prepare_cached(
            "SELECT received_at FROM inbox WHERE source_id = ?1 AND state = 'new' ORDER BY id LIMIT 1",
        )?
        .query_row([id], |row| row.get(0))
        .optional()?;
    Ok(SourceCounts {
        received: counts.natural("received"),
        new: counts.natural("new"),
        done: counts.natural("done"),
        skipped: counts.natural("skipped"),
        dead: counts.natural("dead"),
        duplicate: counts.natural("duplicate"),
        oldest_new_at: oldest_new.map(at),
        last_received_at: counts.find(LAST_RECEIVED).map(at),
        turned_away: counts.natural(TURNED_AWAY_COUNT),
        turned_away_lately: turned_away_since(connection, id, now_ms - LATELY_MS)?,
        began_anew: counts.natural(BEGAN_ANEW_COUNT),
    })
}

fn turned_away_since(connection: &Connection, source: SourceRowId, since_ms: i64) -> Result<u64, Error> {
    let count: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM inbox WHERE code = 'after_erasure' AND source_id = ?1 AND processed_at >= ?2",
        )?
        .query_row(params![source, since_ms], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

fn destination(connection: &Connection, id: DestinationRowId) -> Result<DestinationCounts, Error> {
    let counts = Counts::read(connection, id)?;
    // A delivery that was never tried is due as of when it was planned, so the first due row is the oldest of
    // these. Deliveries that were tried and wait for a retry have an index of their own.
    let oldest: Option<i64> = connection
        .prepare_cached(
            "SELECT min(planned_at) FROM (
                 SELECT * FROM (SELECT planned_at FROM delivery WHERE destination_id = ?1 AND state = 'waiting'
                                ORDER BY due_at, id LIMIT 1)
                 UNION ALL
                 SELECT * FROM (SELECT planned_at FROM delivery INDEXED BY delivery_retrying
                                WHERE destination_id = ?1 AND state = 'waiting' AND attempts > 0
                                ORDER BY id LIMIT 1))",
        )?
        .query_row([id], |row| row.get(0))?;
    Ok(DestinationCounts {
        planned: counts.natural("planned"),
        waiting: counts.natural("waiting"),
        retrying: counts.natural("retrying"),
        delivered: counts.natural("delivered"),
        skipped: counts.natural("skipped"),
        dead: counts.natural("dead"),
        oldest_waiting_at: oldest.map(at),
        last_delivered_at: counts.find(LAST_DELIVERED).map(at),
        lane: causeway_core::store::LaneState::default(),
    })
}
