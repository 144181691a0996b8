//! Commands of a person: retry, discard, replay, pause.

use causeway_core::{
    clock::Timestamp,
    delivery::Kind,
    store::{DeliveryFilter, Discarded, InboxFilter, InboxState, LaneState},
};
use rusqlite::{ToSql, params};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{DeliveryRowId, InboxRowId, SourceRowId},
        rows::{DeliveryState, ms},
        tx::Tx,
    },
    outbox::delivery::{self, End},
};

pub(crate) fn set_lane(tx: &mut Tx<'_>, destination: &str, state: &LaneState) -> Result<(), Error> {
    let id = tx.state.names.destination(tx.connection, destination)?;
    tx.connection
        .prepare_cached(
            "INSERT INTO lane (destination_id, paused, halted) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET paused = excluded.paused, halted = excluded.halted",
        )?
        .execute(params![id, state.paused, state.halted])?;
    Ok(())
}

/// SQL conditions and their values, joined by AND.
#[derive(Default)]
pub(crate) struct Where {
    conditions: Vec<String>,
    pub values: Vec<Box<dyn ToSql>>,
}

impl Where {
    fn and(&mut self, condition: &str, value: impl ToSql + 'static) {
        self.values.push(Box::new(value));
        let number = self.values.len();
        self.conditions
            .push(condition.replace('?', &format!("?{number}")));
    }

    fn one_of(&mut self, column: &str, ids: impl Iterator<Item = i64>) {
        let ids: Vec<i64> = ids.collect();
        if !ids.is_empty() {
            let ids = serde_json::Value::from(ids).to_string();
            self.and(&format!("{column} IN (SELECT value FROM json_each(?))"), ids);
        }
    }

    pub(crate) fn sql(&self) -> String {
        if self.conditions.is_empty() {
            "1".to_owned()
        } else {
            self.conditions.join(" AND ")
        }
    }
}

/// The conditions for `delivery d`. `states` applies when the filter names no state.
pub(crate) fn delivery_where(filter: &DeliveryFilter, states: &[DeliveryState]) -> Where {
    let mut all = Where::default();
    all.one_of("d.id", filter.ids.iter().map(|id| id.0));
    if let Some(destination) = &filter.destination {
        all.and(
            "d.destination_id = (SELECT id FROM name WHERE kind = 'destination' AND name = ?)",
            destination.to_string(),
        );
    }
    if let Some(state) = &filter.state {
        all.and("d.state = ?", state.clone());
    } else if !states.is_empty() {
        let words: Vec<String> = states
            .iter()
            .map(|state| format!("'{}'", state.as_str()))
            .collect();
        all.conditions.push(format!("d.state IN ({})", words.join(", ")));
    }
    if let Some(reason) = &filter.reason {
        all.and("instr(d.reason, ?) > 0", reason.clone());
    }
    if let Some(contact) = filter.contact {
        all.and("d.contact_id = ?", contact.0);
    }
    if let Some(before) = filter.before {
        all.and("d.id < ?", before.0);
    }
    if filter.without_withdrawals {
        all.and("d.kind <> ?", Kind::Withdrawal.as_str());
    }
    all
}

/// The conditions for `inbox i`.
pub(crate) fn inbox_where(filter: &InboxFilter) -> Where {
    let mut all = Where::default();
    all.one_of("i.id", filter.ids.iter().map(|id| id.0));
    if let Some(source) = &filter.source {
        all.and(
            "i.source_id = (SELECT id FROM name WHERE kind = 'source' AND name = ?)",
            source.to_string(),
        );
    }
    if let Some(state) = filter.state {
        all.and("i.state = ?", state.as_str());
    }
    if let Some(code) = filter.code {
        all.and("i.code = ?", code.as_str());
    }
    if let Some(before) = filter.before {
        all.and("i.id < ?", before.0);
    }
    all
}

fn chosen(
    tx: &Tx<'_>,
    filter: &DeliveryFilter,
    states: &[DeliveryState],
) -> Result<Vec<DeliveryRowId>, Error> {
    let chosen = delivery_where(filter, states);
    let sql = format!("SELECT d.id FROM delivery d WHERE {} ORDER BY d.id", chosen.sql());
    let ids = tx
        .connection
        .prepare(&sql)?
        .query_map(rusqlite::params_from_iter(chosen.values.iter()), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(ids)
}

/// Retries deliveries. Without ids only dead ones are retried; named deliveries are also retried when they
/// are skipped or waiting. A delivered one is sent again only if the filter names that state.
pub(crate) fn retry(tx: &mut Tx<'_>, filter: &DeliveryFilter, now: Timestamp) -> Result<u64, Error> {
    let states: &[DeliveryState] = if filter.ids.is_empty() {
        &[DeliveryState::Dead]
    } else {
        &[
            DeliveryState::Dead,
            DeliveryState::Skipped,
            DeliveryState::Waiting,
        ]
    };
    let mut count = 0;
    for id in chosen(tx, filter, states)? {
        let Some(row) = delivery::row(tx, id)? else {
            continue;
        };
        match row.state {
            // It is sent when those before it have ended.
            DeliveryState::Blocked => continue,
            DeliveryState::Waiting => {
                tx.connection
                    .prepare_cached("UPDATE delivery SET due_at = ?2, attempts = 0 WHERE id = ?1")?
                    .execute(params![id, ms(now)])?;
                tx.state
                    .counters
                    .moved(row.destination, Some((row.state, row.attempts)), (row.state, 0));
            }
            // The contact was erased, so there is nothing to send.
            _ if row.contact.is_none() => continue,
            _ => delivery::reopen(tx, &row, Some(now))?,
        }
        count += 1;
    }
    Ok(count)
}

pub(crate) fn discard(
    tx: &mut Tx<'_>,
    filter: &DeliveryFilter,
    reason: &str,
    now: Timestamp,
) -> Result<Discarded, Error> {
    let states = [
        DeliveryState::Waiting,
        DeliveryState::Blocked,
        DeliveryState::Dead,
    ];
    let named: &[DeliveryState] = if filter.ids.is_empty() { &states } else { &[] };
    let withdrawals_left = withdrawals_left(tx, filter, &states)?;
    let mut count = 0;
    for id in chosen(tx, filter, named)? {
        // Read now, because ending the one before may have unblocked this one.
        let Some(row) = delivery::row(tx, id)? else {
            continue;
        };
        if states.contains(&row.state) {
            delivery::end(tx, &row, &End::skipped(&row, reason, ms(now)))?;
            count += 1;
        } else if row.state == DeliveryState::Skipped
            && row.kind == Kind::Withdrawal
            && !filter.ids.is_empty()
        {
            // A person did by hand what the destination cannot receive.
            delivery::set_end(tx, &row, &End::skipped(&row, reason, ms(now)))?;
            count += 1;
        }
    }
    Ok(Discarded {
        deliveries: count,
        withdrawals_left,
    })
}

/// The number of withdrawals in these states that the filter leaves out only because they are withdrawals.
fn withdrawals_left(tx: &Tx<'_>, filter: &DeliveryFilter, states: &[DeliveryState]) -> Result<u64, Error> {
    if !filter.without_withdrawals {
        return Ok(0);
    }
    let all = DeliveryFilter {
        without_withdrawals: false,
        ..filter.clone()
    };
    let mut count = 0;
    for id in chosen(tx, &all, states)? {
        let row = delivery::row(tx, id)?;
        let is_left = row.is_some_and(|row| row.kind == Kind::Withdrawal && states.contains(&row.state));
        count += u64::from(is_left);
    }
    Ok(count)
}

/// Has messages processed again. A message without a body cannot be read again and stays as it is.
pub(crate) fn replay(tx: &mut Tx<'_>, filter: &InboxFilter) -> Result<u64, Error> {
    let chosen = inbox_where(filter);
    let sql = format!(
        "SELECT i.id, i.source_id, i.state FROM inbox i
         WHERE {} AND i.state IN ('dead', 'skipped') AND EXISTS (SELECT 1 FROM inbox_body WHERE id = i.id)
         ORDER BY i.id",
        chosen.sql()
    );
    let rows: Vec<(InboxRowId, SourceRowId, String)> = tx
        .connection
        .prepare(&sql)?
        .query_map(rusqlite::params_from_iter(chosen.values.iter()), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<_, _>>()?;
    let mut count = 0;
    for (id, source, state) in rows {
        let state = crate::sqlite::base::rows::inbox_state(&state)?;
        tx.connection
            .prepare_cached(
                "UPDATE inbox SET state = 'new', code = NULL, reason = NULL, processed_at = NULL WHERE id = ?1",
            )?
            .execute([id])?;
        // Without this the message would be classed as late once more.
        tx.connection
            .prepare_cached(
                "UPDATE inbox_body SET meta = json_set(meta, '$.late.replayed', json('true'))
                 WHERE id = ?1 AND json_type(meta, '$.late') IS NOT NULL",
            )?
            .execute([id])?;
        tx.state.counters.add(source, state.as_str(), -1);
        tx.state.counters.add(source, InboxState::New.as_str(), 1);
        count += 1;
    }
    Ok(count)
}

pub(crate) fn discard_messages(
    tx: &mut Tx<'_>,
    filter: &InboxFilter,
    reason: &str,
    now: Timestamp,
) -> Result<u64, Error> {
    let chosen = inbox_where(filter);
    let sql = format!(
        "SELECT i.id, i.source_id FROM inbox i WHERE {} AND i.state = 'dead' ORDER BY i.id",
        chosen.sql()
    );
    let rows: Vec<(InboxRowId, SourceRowId)> = tx
        .connection
        .prepare(&sql)?
        .query_map(rusqlite::params_from_iter(chosen.values.iter()), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<Result<_, _>>()?;
    let mut count = 0;
    for (id, source) in rows {
        tx.connection
            .prepare_cached(
                "UPDATE inbox SET state = 'skipped', code = NULL, reason = ?2, processed_at = ?3 WHERE id = ?1",
            )?
            .execute(params![id, reason, ms(now)])?;
        tx.state.counters.add(source, InboxState::Dead.as_str(), -1);
        tx.state.counters.add(source, InboxState::Skipped.as_str(), 1);
        count += 1;
    }
    Ok(count)
}
