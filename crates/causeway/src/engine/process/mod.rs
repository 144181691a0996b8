//! Process: reads new inbox rows, decodes them, and has the store write the results. Messages that may be an opt-out go first
//! ([`super::freshness`]).
//!
//! The next batch is decoded while the batch before is committed. Rows need no lease: a row that was not committed is still
//! `new` and is read again.

mod one_by_one;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_core::{
    clock::Timestamp,
    envelope::{Envelope, Late},
    event::{DeadCode, Decoded, Decoders},
    id::{InboxId, Name},
    source::Stop,
    store::{InboxState, Processed, StoreError},
};
use jiff::SignedDuration;
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::{Engine, pressure::is_behind};

/// Rows per transaction: large enough that the sync does not count, small enough to plan in some 10 ms.
const BATCH: u32 = 200;
/// Rows per transaction while intake is crowded: a sender's commit waits for at most this number of rows.
const SMALL_BATCH: u32 = 50;
/// How often the loop polls without a wake-up. Only messages of other processes (`causeway import`) wait that long.
const POLL: Duration = Duration::from_millis(100);
/// After this number of full batches the loop begins again at the oldest row, so that replayed rows do not wait for the end
/// of the backlog.
const RESTART_AFTER: u32 = 50;

/// Maximum number of consecutive urgent batches. Then the oldest rows follow; otherwise a stream of opt-outs would block them.
const URGENT_RUN: u32 = 4;

/// The reason why the opt-ins of a repeated import do not count.
const IMPORTED_BEFORE: &str = "the same file was imported before: its opt-ins are not counted again, because people may have \
     opted out since; `causeway import --again` counts them";

const LATE: &str = "it was signed long before or after it arrived, and replayed: its opt-ins do not count, because the person may have \
     opted out in between";

type Commit = JoinHandle<Result<Vec<Processed>, StoreError>>;

#[expect(
    clippy::too_many_lines,
    reason = "one loop whose steps share the batch in flight"
)]
pub(super) async fn run(engine: Arc<Engine>, stop: Stop) {
    let mut after = InboxId(0);
    let mut commit: Option<Commit> = None;
    let mut urgent_in_flight = false;
    let mut full_batches = 0;
    let mut urgent_run = 0;
    let mut worked = Duration::ZERO;
    let mut behind = false;
    while !stop.is_cancelled() {
        let is_asked = || engine.freshness.is_asked();
        let crowded = !behind && engine.pressure.give_way(worked, is_asked, &stop).await;
        let since = Instant::now();
        worked = Duration::ZERO;
        let limit = if crowded { SMALL_BATCH } else { BATCH };
        let newest = engine.freshness.newest();
        let urgent = if urgent_run < URGENT_RUN {
            engine.freshness.take_urgent(limit)
        } else {
            Vec::new()
        };
        let is_urgent = !urgent.is_empty();
        urgent_run = if is_urgent { urgent_run + 1 } else { 0 };
        if urgent_in_flight && !is_urgent {
            // The inbox is read from its start below, and would return the rows that are being committed again.
            urgent_in_flight = false;
            after = match finish(&engine, commit.take()).await {
                Finished::Committed => after,
                Finished::Unavailable => {
                    wait(&engine, &stop).await;
                    InboxId(0)
                }
                Finished::Failed => one_by_one::oldest(&engine, &stop).await,
            };
        }
        let fetched = if is_urgent {
            engine.store.fetch_rows(urgent.clone()).await
        } else {
            engine.store.fetch_new(after, limit).await
        };
        let rows = match fetched {
            Ok(rows) => rows,
            Err(error) => {
                tracing::error!(%error, "could not read the inbox; trying again");
                engine.freshness.give_back_urgent();
                wait(&engine, &stop).await;
                continue;
            }
        };
        let more = rows.len() == usize::try_from(limit).unwrap_or(usize::MAX);
        let now = engine.clock.now();
        behind = rows
            .first()
            .is_some_and(|(_, oldest)| is_behind(oldest.received_at, now));
        let last = rows.last().map(|(id, _)| *id);
        let origins = origins(&rows);
        let gone: Vec<InboxId> = urgent
            .into_iter()
            .filter(|id| !origins.contains_key(id))
            .collect();
        let decoded = decode(&engine, rows).await;
        match finish(&engine, commit.take()).await {
            Finished::Committed => {}
            // The rows just read may follow rows that were not committed: begin again, in order.
            Finished::Unavailable => {
                after = InboxId(0);
                wait(&engine, &stop).await;
                continue;
            }
            Finished::Failed => {
                after = one_by_one::oldest(&engine, &stop).await;
                continue;
            }
        }
        // These rows were processed or dead before they were read. Only now the contacts of the last commit are known.
        engine.answers.look_again(&gone);
        engine.freshness.processed(gone.into_iter(), [].into_iter());
        let Some(last) = last else {
            if is_urgent {
                continue;
            }
            if after == InboxId(0) {
                engine.freshness.nothing_waits(newest);
                wait(&engine, &stop).await;
            }
            after = InboxId(0);
            continue;
        };
        commit = Some(tokio::spawn(write(Arc::clone(&engine), decoded, origins)));
        if is_urgent {
            urgent_in_flight = true;
            worked = since.elapsed();
            continue;
        }
        after = last;
        full_batches += 1;
        worked = since.elapsed();
        if !more || full_batches >= RESTART_AFTER {
            full_batches = 0;
            after = match finish(&engine, commit.take()).await {
                Finished::Committed => InboxId(0),
                Finished::Unavailable => {
                    wait(&engine, &stop).await;
                    InboxId(0)
                }
                Finished::Failed => one_by_one::oldest(&engine, &stop).await,
            };
        }
    }
    finish(&engine, commit).await;
}

enum Finished {
    Committed,
    /// Nothing was changed; a retry may succeed.
    Unavailable,
    /// Nothing was changed, and a retry would fail again.
    Failed,
}

async fn finish(engine: &Engine, commit: Option<Commit>) -> Finished {
    let Some(commit) = commit else {
        return Finished::Committed;
    };
    let result = commit.await.unwrap_or_else(|error| {
        Err(StoreError::Failed(format!(
            "processing ended unexpectedly: {error}"
        )))
    });
    match result {
        Ok(processed) => {
            wake(engine, &processed);
            Finished::Committed
        }
        Err(error @ StoreError::Unavailable(_)) => {
            tracing::error!(%error, "could not commit processed rows; trying again");
            engine.freshness.give_back_urgent();
            Finished::Unavailable
        }
        Err(error @ StoreError::Failed(_)) => {
            tracing::error!(%error, "could not commit processed rows; searching for the row that fails");
            engine.freshness.give_back_urgent();
            Finished::Failed
        }
    }
}

async fn write(
    engine: Arc<Engine>,
    decoded: Vec<(InboxId, Decoded)>,
    origins: HashMap<InboxId, Name>,
) -> Result<Vec<Processed>, StoreError> {
    engine.require_clock()?;
    let span = tracing::debug_span!("process", rows = decoded.len());
    let happened = happened(&decoded);
    let written = engine.store.process(decoded, engine.clock.now());
    let processed = written.instrument(span).await?;
    let ids: Vec<InboxId> = origins.keys().copied().collect();
    let contacts = processed.iter().flat_map(|row| row.contacts.iter().copied());
    engine.freshness.processed(ids.into_iter(), contacts);
    engine.answers.processed(&processed);
    count_and_warn(&engine, &processed, &origins, &happened);
    Ok(processed)
}

/// Wakes the lanes that have new deliveries.
fn wake(engine: &Engine, processed: &[Processed]) {
    let planned: BTreeSet<&Name> = processed.iter().flat_map(|row| &row.planned).collect();
    for destination in planned {
        engine.wake.lane(destination);
    }
}

/// Inbox row → source.
fn origins(rows: &[(InboxId, Envelope)]) -> HashMap<InboxId, Name> {
    rows.iter()
        .map(|(id, envelope)| (*id, Name::clone(&envelope.source)))
        .collect()
}

/// Inbox row → when the event happened.
fn happened(decoded: &[(InboxId, Decoded)]) -> HashMap<InboxId, Timestamp> {
    let at = |decoded: &Decoded| decoded.event().map(|event| event.at);
    decoded
        .iter()
        .filter_map(|(id, decoded)| Some((*id, at(decoded)?)))
        .collect()
}

fn count_and_warn(
    engine: &Engine,
    processed: &[Processed],
    origins: &HashMap<InboxId, Name>,
    happened: &HashMap<InboxId, Timestamp>,
) {
    let now = engine.clock.now();
    warn_of_turned_away(processed, origins);
    for row in processed {
        let Some(source) = origins.get(&row.id) else {
            continue;
        };
        let lag = happened
            .get(&row.id)
            .map(|at| now.duration_since(*at).as_secs_f64());
        engine.metrics.processed(source, row.state, lag);
        if row.state == InboxState::Duplicate {
            engine.metrics.repeated(source);
        }
        for destination in &row.skipped {
            engine.metrics.skipped(destination, 1);
        }
        if row.state == InboxState::Dead {
            tracing::warn!(inbox.id = row.id.0, source = %source, "message {} is dead; `causeway trace {}` shows why", row.id, row.id);
        }
    }
}

/// Warns of messages that name erased people, because somebody may have signed again. One warning per source and batch: a
/// backlog may hold thousands.
fn warn_of_turned_away(processed: &[Processed], origins: &HashMap<InboxId, Name>) {
    let mut last: BTreeMap<&Name, (u64, InboxId)> = BTreeMap::new();
    for row in processed.iter().filter(|row| row.turned_away) {
        if let Some(source) = origins.get(&row.id) {
            let (count, id) = last.entry(source).or_insert((0, row.id));
            *count += 1;
            *id = row.id;
        }
    }
    for (source, (count, id)) in last {
        tracing::warn!(source = %source, count, inbox.id = id.0, "{count} messages from {source} name people who were erased and are turned away; `causeway trace {id}` shows why");
    }
}

async fn decode(engine: &Engine, rows: Vec<(InboxId, Envelope)>) -> Vec<(InboxId, Decoded)> {
    if rows.is_empty() {
        return Vec::new();
    }
    let decoders = engine.decoders.load_full();
    let ids: Vec<InboxId> = rows.iter().map(|(id, _)| *id).collect();
    let decoded = tokio::task::spawn_blocking(move || {
        rows.into_iter()
            .map(|(id, envelope)| (id, decode_one(&decoders, &envelope)))
            .collect()
    });
    decoded.await.unwrap_or_else(|error| {
        let reason = format!("decoding ended unexpectedly: {error}");
        ids.into_iter()
            .map(|id| {
                (
                    id,
                    Decoded::Dead {
                        code: DeadCode::Internal,
                        reason: reason.clone(),
                    },
                )
            })
            .collect()
    })
}

/// Decodes one message. Invariant: a decoder that panics affects only its message.
pub(crate) fn decode_one(decoders: &Decoders, envelope: &Envelope) -> Decoded {
    let Some(decoder) = decoders.get(&envelope.source) else {
        let reason = format!(
            "the source {} is not in the configuration (any more)",
            envelope.source
        );
        return Decoded::Dead {
            code: DeadCode::Unknown,
            reason,
        };
    };
    let late = envelope.meta.late;
    let envelope = &*late.map_or(Cow::Borrowed(envelope), |late| {
        Cow::Owned(as_of_signing(envelope, late))
    });
    let read = std::panic::catch_unwind(AssertUnwindSafe(|| decoder.decode(envelope)));
    read.map_or_else(
        |_| Decoded::Dead {
            code: DeadCode::Internal,
            reason: "the decoder panicked: please report this as a bug".to_owned(),
        },
        |decoded| {
            let event = decoded.come_through(&envelope.meta.via);
            let event = if envelope.meta.imported {
                event.of_file()
            } else {
                event
            };
            match late {
                _ if envelope.meta.again => event.without_opt_ins(IMPORTED_BEFORE),
                Some(late) if late.replayed => event.without_opt_ins(LATE),
                Some(late) => event.only_opt_outs(DeadCode::Late, &|any| late_in_words(late.by_s, any)),
                None => event,
            }
        },
    )
}

/// Dates a message that was signed long before it arrived to its signature, unless it has a date of its own, so that it does
/// not override facts since then.
fn as_of_signing(envelope: &Envelope, late: Late) -> Envelope {
    let mut envelope = envelope.clone();
    let by = SignedDuration::from_secs(late.by_s.max(0));
    if let Ok(signed_at) = envelope.received_at.checked_sub(by) {
        envelope.received_at = signed_at;
    }
    envelope
}

fn late_in_words(by_s: i64, any_opt_outs: bool) -> String {
    let seconds = i64::try_from(by_s.unsigned_abs()).unwrap_or(i64::MAX);
    let length = match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    };
    let side = if by_s < 0 { "after" } else { "before" };
    let (counts, rest) = if any_opt_outs {
        ("only its opt-outs count", "the rest")
    } else {
        ("it had no effect", "it")
    };
    format!(
        "the signature is valid but was made {length} {side} the message arrived, which `tolerance_s` does not allow: {counts}; \
         `causeway replay` processes {rest} without its opt-ins"
    )
}

async fn wait(engine: &Engine, stop: &Stop) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = engine.wake.inbox.notified() => {}
        () = engine.clock.sleep_until(later(engine, POLL)) => {}
    }
}

fn later(engine: &Engine, wait: Duration) -> Timestamp {
    engine.clock.now().saturating_add(wait).unwrap_or(Timestamp::MAX)
}
