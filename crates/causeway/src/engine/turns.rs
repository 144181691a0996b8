//! Fires timers and runs scheduled automations. Both become inbox rows. Invariant: a kill at any moment loses nothing and
//! runs nothing twice.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use causeway_core::{
    automation::Automation,
    clock::Timestamp,
    decode::follow_up::{self, AUTOMATIONS},
    event::{Due, FollowUp},
    id::ContactId,
    source::Stop,
    store::StoreError,
};

use super::Engine;

const EVERY: Duration = Duration::from_secs(1);
/// Timers per transaction, and contacts per query.
const BATCH: u32 = 500;
/// A scheduled run that was missed by more than this, because the hub was down, is left out.
const TOO_LATE: Duration = Duration::from_hours(24);

pub(super) async fn run(engine: Arc<Engine>, stop: Stop) {
    while !stop.is_cancelled() {
        // Taken before the query, so that a timer that becomes due during it does not wait for another round.
        let next = engine.clock.now().saturating_add(EVERY).unwrap_or(Timestamp::MAX);
        if let Err(error) = fire_due_timers(&engine, &stop).await {
            tracing::error!(%error, "could not fire timers of automations; trying again");
        }
        let settings = engine.settings.load_full();
        for automation in &settings.clocked {
            if let Err(error) = turn(&engine, automation, &stop).await {
                tracing::error!(automation = %automation.name, %error, "a scheduled automation could not run; trying \
                     again");
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = engine.clock.sleep_until(next) => {}
        }
    }
}

async fn fire_due_timers(engine: &Engine, stop: &Stop) -> Result<(), StoreError> {
    while !stop.is_cancelled() {
        let now = engine.clock.now();
        if engine.views.next_timer().await?.is_none_or(|due| due > now) {
            return Ok(());
        }
        engine.store.fire_due_timers(BATCH, now).await?;
        engine.wake.inbox.notify_one();
    }
    Ok(())
}

/// Stores a row for each contact of a scheduled run. Rows stored before a kill are recognised as duplicates.
async fn turn(engine: &Engine, automation: &Automation, stop: &Stop) -> Result<(), StoreError> {
    let now = engine.clock.now();
    let Some(turn) = automation.latest_run(now) else {
        return Ok(());
    };
    let (workspace, name) = (&*automation.workspace, &*automation.name);
    let before = engine.views.last_run(workspace, name).await?;
    // An automation that is new in the configuration begins with its next scheduled time.
    let is_due = before.is_some_and(|before| before < turn);
    if is_due && now.duration_since(turn).unsigned_abs() <= TOO_LATE {
        let mut after = ContactId(0);
        loop {
            if stop.is_cancelled() || engine.disk_is_low() {
                return Ok(());
            }
            let contacts = engine.views.contacts(workspace, after, BATCH).await?;
            let Some((last, _)) = contacts.last() else {
                break;
            };
            after = *last;
            let rows: Vec<_> = contacts
                .iter()
                .filter(|(_, contact)| automation.is_due_for(contact, turn))
                .map(|(id, _)| turn_row(automation, *id, turn, now))
                .collect();
            if !rows.is_empty() {
                engine.store.accept(rows).await?;
                engine.wake.inbox.notify_one();
            }
        }
    }
    if before.is_none_or(|before| before < turn) {
        engine.store.set_last_run(workspace, name, turn).await?;
    }
    Ok(())
}

/// The row of this contact in a scheduled run.
pub(crate) fn turn_row(
    automation: &Automation,
    contact: ContactId,
    turn: Timestamp,
    now: Timestamp,
) -> causeway_core::envelope::Envelope {
    let follow_up = FollowUp {
        workspace: automation.workspace.clone(),
        contact,
        about: None,
        destination: None,
        automation: Some((automation.name.clone(), Due::Clock)),
        hops: 0,
        chain: Vec::new(),
    };
    let once: [&[u8]; 4] = [
        automation.workspace.as_bytes(),
        automation.name.as_bytes(),
        &turn.as_millisecond().to_be_bytes(),
        &contact.0.to_be_bytes(),
    ];
    follow_up::envelope(AUTOMATIONS, follow_up, BTreeMap::new(), &once, now)
}
