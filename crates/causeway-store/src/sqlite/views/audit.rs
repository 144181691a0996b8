//! The books: compares the counts of what arrived with the rows that exist.

use std::{collections::HashMap, hash::Hash};

use causeway_core::{
    id::Name,
    store::{Audit, DestinationBooks, Gap, InboxState, SourceBooks},
};
use rusqlite::{Connection, types::FromSql};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{DestinationRowId, SourceRowId},
        rows::{DeliveryState, name},
    },
    upkeep::prune::{pruned_delivery, pruned_inbox},
    views::overview::{Connector, Counts, connectors},
};

/// Maximum number of gaps in one report.
const GAPS: u32 = 100;

/// The number of rows, by source or destination, and by state.
type RowCounts<Id> = HashMap<(Id, String), i64>;

pub(crate) fn audit(connection: &Connection) -> Result<Audit, Error> {
    let inbox = count(
        connection,
        "SELECT source_id, state, count(*) FROM inbox GROUP BY source_id, state",
    )?;
    let delivery = count(
        connection,
        "SELECT destination_id, state, count(*) FROM delivery GROUP BY destination_id, state",
    )?;
    let mut audit = Audit {
        gaps: gaps(connection)?,
        ..Audit::default()
    };
    for (connector, name) in connectors(connection)? {
        match connector {
            Connector::Source(id) => {
                let counts = Counts::read(connection, id)?;
                audit.sources.insert(name, source(id, &counts, &inbox));
            }
            Connector::Destination(id) => {
                let counts = Counts::read(connection, id)?;
                audit
                    .destinations
                    .insert(name, destination(id, &counts, &delivery));
            }
        }
    }
    Ok(audit)
}

fn count<Id: FromSql + Eq + Hash>(connection: &Connection, sql: &str) -> Result<RowCounts<Id>, Error> {
    Ok(connection
        .prepare(sql)?
        .query_map([], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?
        .collect::<Result<_, _>>()?)
}

fn source(id: SourceRowId, counts: &Counts, rows: &RowCounts<SourceRowId>) -> SourceBooks {
    let of = |state: InboxState| {
        rows.get(&(id, state.as_str().to_owned())).copied().unwrap_or(0) + counts.get(pruned_inbox(state))
    };
    let mut books = SourceBooks {
        received: counts.get("received"),
        new: of(InboxState::New),
        done: of(InboxState::Done),
        skipped: of(InboxState::Skipped),
        dead: of(InboxState::Dead),
        duplicate: of(InboxState::Duplicate),
        difference: 0,
    };
    books.difference =
        books.received - (books.new + books.done + books.skipped + books.dead + books.duplicate);
    books
}

fn destination(
    id: DestinationRowId,
    counts: &Counts,
    rows: &RowCounts<DestinationRowId>,
) -> DestinationBooks {
    let in_rows = |state: DeliveryState| rows.get(&(id, state.as_str().to_owned())).copied().unwrap_or(0);
    let of = |state: DeliveryState| in_rows(state) + counts.get(pruned_delivery(state));
    let mut books = DestinationBooks {
        planned: counts.get("planned"),
        waiting: of(DeliveryState::Waiting) + in_rows(DeliveryState::Blocked),
        delivered: of(DeliveryState::Delivered),
        skipped: of(DeliveryState::Skipped),
        dead: of(DeliveryState::Dead),
        difference: 0,
    };
    books.difference = books.planned - (books.waiting + books.delivered + books.skipped + books.dead);
    books
}

/// Gaps in the action numbers of one instance. Several sources may bring them; a number is missing only if no
/// source brought it.
fn gaps(connection: &Connection) -> Result<Vec<Gap>, Error> {
    let mut statement = connection.prepare(
        "SELECT name.name, before + 1, number - 1
         FROM (SELECT source_id, number,
                      lag(number) OVER (PARTITION BY namespace_id, workspace_id ORDER BY number) AS before
               FROM action WHERE number IS NOT NULL) step
         JOIN name ON name.id = step.source_id
         WHERE before IS NOT NULL AND number > before + 1
         ORDER BY number DESC LIMIT ?1",
    )?;
    let mut rows = statement.query([GAPS])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let source: Name = name(row, 0)?;
        all.push(Gap {
            source,
            from: row.get(1)?,
            to: row.get(2)?,
        });
    }
    Ok(all)
}
