//! Invariant 2: nothing that arrived is lost, and nothing counts twice.

use causeway_core::{
    consent::{ConsentFact, What, of_id},
    envelope::{Memory, Meta},
    event::{DeadCode, Decoded, Event, EventKind},
    id::InboxId,
    rules::DestinationRule,
    store::{InboxFilter, InboxState, Retention},
};

use super::{Bench, Open};
use crate::builders::{INSTANCE, SOURCE, at, contact_ref, envelope, fact, signed};

async fn bench(open: Open) -> Bench {
    Bench::new(open, vec![DestinationRule::new("crm")]).await
}

pub async fn a_message_is_accepted_once_however_often_it_comes(open: Open) {
    let bench = bench(open).await;
    let first = bench
        .store()
        .accept(vec![envelope(SOURCE, "a", at(0))])
        .await
        .unwrap();
    assert!(!first[0].duplicate);
    for seconds in 1..4 {
        let mut repeat = envelope(SOURCE, "a", at(seconds));
        repeat.body = "something else".into();
        let again = bench.store().accept(vec![repeat]).await.unwrap();
        assert!(again[0].duplicate);
        assert_eq!(again[0].id, first[0].id);
    }
    // Another source has keys of its own.
    let other = bench
        .store()
        .accept(vec![envelope("form", "a", at(0))])
        .await
        .unwrap();
    assert!(!other[0].duplicate);
    assert_eq!(bench.store().fetch_new(InboxId(0), 10).await.unwrap().len(), 2);
    bench.assert_balanced().await;
}

pub async fn a_message_twice_in_one_batch_is_a_duplicate(open: Open) {
    let bench = bench(open).await;
    let batch = ["a", "b", "a"].map(|key| envelope(SOURCE, key, at(0)));
    let accepted = bench.store().accept(batch.to_vec()).await.unwrap();
    let duplicates: Vec<bool> = accepted.iter().map(|one| one.duplicate).collect();
    assert_eq!(duplicates, [false, false, true]);
    assert_eq!(accepted[2].id, accepted[0].id);
    bench.assert_balanced().await;
}

pub async fn after_its_window_the_same_message_is_new(open: Open) {
    let bench = bench(open).await;
    let mut ids = Vec::new();
    for (seconds, duplicate) in [(0, false), (10, true), (11, false), (12, true), (5, true)] {
        let mut message = envelope(SOURCE, "form", at(seconds));
        message.dedup.memory = Memory::Window(10_000);
        let accepted = bench.store().accept(vec![message]).await.unwrap();
        assert_eq!(accepted[0].duplicate, duplicate, "after {seconds} s");
        ids.push(accepted[0].id);
    }
    assert_eq!(ids[1], ids[0]);
    assert_ne!(ids[2], ids[0]);
    assert_eq!(ids[3], ids[2]);
    bench.assert_balanced().await;
}

pub async fn waiting_messages_are_fetched_in_the_order_of_acceptance(open: Open) {
    let bench = bench(open).await;
    let mut accepted = Vec::new();
    for number in 0..10 {
        let source = if number % 3 == 0 { "form" } else { SOURCE };
        let message = envelope(source, &number.to_string(), at(100 - number));
        accepted.push(bench.store().accept(vec![message]).await.unwrap()[0].id);
    }
    let mut fetched = Vec::new();
    let mut after = InboxId(0);
    loop {
        let rows = bench.store().fetch_new(after, 3).await.unwrap();
        let Some(last) = rows.last() else { break };
        after = last.0;
        fetched.extend(rows.into_iter().map(|(id, _)| id));
    }
    assert_eq!(fetched, accepted);
}

pub async fn imported_messages_are_dated_by_the_begin_of_their_import(open: Open) {
    let bench = bench(open).await;
    let accept = async |text: &str, seconds, imported| {
        let mut message = envelope(SOURCE, text, at(seconds));
        message.meta.imported = imported;
        let id = bench.store().accept(vec![message]).await.unwrap()[0].id;
        let trace = bench.store().trace(id).await.unwrap().unwrap();
        trace.inbox.received_at
    };
    assert_eq!(accept("a form", 10, false).await, at(10));
    assert_eq!(accept("a clock that was set back", 5, false).await, at(10));
    assert_eq!(accept("a row", 5, true).await, at(5));
    assert_eq!(accept("another form", 11, false).await, at(11));
}

pub async fn unprocessed_messages_are_found_by_number(open: Open) {
    let bench = bench(open).await;
    let store = bench.store();
    let accept = async |text: &str| {
        let message = envelope(SOURCE, text, at(0));
        store.accept(vec![message]).await.unwrap()[0].id
    };
    accept("before").await;
    let start = store.unprocessed(None, 10).await.unwrap();
    assert_eq!(start.rows, []);
    let arrived = [accept("a").await, accept("b").await, accept("c").await];
    let first = store.unprocessed(Some(start.until), 2).await.unwrap();
    assert_eq!(first.rows, arrived[..2]);
    let rest = store.unprocessed(Some(first.until), 2).await.unwrap();
    assert_eq!(rest.rows, arrived[2..]);
    let none = store.unprocessed(Some(rest.until), 0).await.unwrap();
    assert_eq!(none.until, rest.until);
    bench.follow(1).await;
    let processed = store.unprocessed(Some(start.until), 10).await.unwrap();
    assert_eq!(processed.rows, []);
    assert_eq!(processed.until, arrived[2]);
    // Numbers of deleted rows are given again.
    let far = store
        .unprocessed(Some(InboxId(arrived[2].0 + 9)), 10)
        .await
        .unwrap();
    assert_eq!(far.until, arrived[2]);
}

pub async fn an_envelope_is_read_back_unchanged(open: Open) {
    let mut bench = bench(open).await;
    let mut message = envelope(SOURCE, "a", at(0));
    message.dedup.memory = Memory::Window(1_000);
    message.body = vec![0, 255, 10, 13].into();
    message.meta = Meta {
        content_type: Some("application/json".to_owned()),
        deaths: Some(3),
        ..Meta::default()
    };
    let id = bench.store().accept(vec![message.clone()]).await.unwrap()[0].id;
    bench.reopen().await;
    let fetched = bench.store().fetch_new(InboxId(0), 10).await.unwrap();
    assert_eq!(fetched, [(id, message.clone())]);
    let trace = bench.store().trace(id).await.unwrap().unwrap();
    assert_eq!(trace.envelope, Some(message));
}

pub async fn a_dead_row_keeps_its_code_and_is_replayed(open: Open) {
    let mut bench = bench(open).await;
    let dead = Decoded::Dead {
        code: DeadCode::KeyMissing,
        reason: "no such key".to_owned(),
    };
    let (id, processed) = bench.take_from(SOURCE, dead, 0).await;
    assert_eq!(processed.state, InboxState::Dead);
    let filter = InboxFilter {
        state: Some(InboxState::Dead),
        code: Some(DeadCode::KeyMissing),
        ..InboxFilter::default()
    };
    let listed = bench.store().inbox(filter.clone(), 10).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].reason.as_deref(), Some("no such key"));
    let other = InboxFilter {
        code: Some(DeadCode::Malformed),
        ..InboxFilter::default()
    };
    assert_eq!(bench.store().replay(other).await.unwrap(), 0);
    assert_eq!(bench.store().replay(filter).await.unwrap(), 1);
    assert_eq!(bench.store().fetch_new(InboxId(0), 10).await.unwrap()[0].0, id);
    let event = signed("ada", "1", What::OptIn, at(0));
    let done = vec![(id, Decoded::Event(Box::new(event)))];
    let processed = bench.store().process(done, at(1)).await.unwrap();
    assert_eq!(processed[0].state, InboxState::Done);
    assert_eq!(bench.deliver_all("crm", 2).await, [id]);
    bench.assert_balanced().await;
}

/// An opt-out whose personal data cannot be decrypted yet.
pub async fn the_readable_part_of_a_dead_row_is_applied_once(open: Open) {
    let mut bench = bench(open).await;
    let known = bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    assert_eq!(bench.deliver_all("crm", 1).await, [known]);
    let mut no = Event::new(EventKind::EmailStatus, INSTANCE.into(), at(2));
    no.identities = vec![contact_ref("ref-ada")];
    no.consent = vec![fact(What::Unsubscribed, at(2))];
    no.deliver = false;
    let partial = || Decoded::Partial {
        event: Box::new(no.clone()),
        code: DeadCode::KeyMissing,
        reason: "no such key".to_owned(),
    };
    let (id, processed) = bench.take_from(SOURCE, partial(), 2).await;
    assert_eq!(processed.state, InboxState::Dead);
    let trace = bench.store().trace(id).await.unwrap().unwrap();
    assert_eq!(trace.inbox.code.as_deref(), Some("key_missing"));
    let opt_out = ConsentFact {
        address: Some(of_id(&contact_ref("ref-ada"))),
        ..no.consent[0].clone()
    };
    assert_eq!(trace.consent, [opt_out]);
    assert_eq!(bench.deliver_all("crm", 3).await, [id], "the withdrawal");
    bench.assert_balanced().await;

    // Again without the key, and then with it.
    let filter = InboxFilter {
        code: Some(DeadCode::KeyMissing),
        ..InboxFilter::default()
    };
    assert_eq!(bench.store().replay(filter.clone()).await.unwrap(), 1);
    bench.store().process(vec![(id, partial())], at(4)).await.unwrap();
    assert_eq!(bench.store().replay(filter.clone()).await.unwrap(), 1);
    let mut whole = no.clone();
    whole.deliver = true;
    whole.fields.insert("firstName".to_owned(), "Ada".into());
    let read = vec![(id, Decoded::Event(Box::new(whole)))];
    let processed = bench.store().process(read, at(5)).await.unwrap();
    assert_eq!(processed[0].state, InboxState::Done);
    assert_eq!(
        bench.deliver_all("crm", 6).await,
        [],
        "the opt-out was sent already"
    );
    let trace = bench.store().trace(id).await.unwrap().unwrap();
    let contact = trace.contact_id.unwrap();
    let view = bench.store().contact(contact).await.unwrap().unwrap();
    assert_eq!(view.contact.text("firstName"), Some("Ada"));
    assert_eq!(view.ledger.len(), 2, "one line for each fact");
    bench.assert_balanced().await;
}

pub async fn a_skipped_row_keeps_its_reason(open: Open) {
    let mut bench = bench(open).await;
    let skip = Decoded::Skip {
        reason: "a staff account".to_owned(),
    };
    let (id, processed) = bench.take_from(SOURCE, skip, 0).await;
    assert_eq!(processed.state, InboxState::Skipped);
    let trace = bench.store().trace(id).await.unwrap().unwrap();
    assert_eq!(trace.inbox.reason.as_deref(), Some("a staff account"));
    assert_eq!(trace.inbox.processed_at, Some(at(0)));
    bench.assert_balanced().await;
}

pub async fn a_row_is_processed_once(open: Open) {
    let mut bench = bench(open).await;
    let event = signed("ada", "1", What::OptIn, at(0));
    let id = bench.take(event.clone(), 0).await;
    let again = vec![(id, Decoded::Event(Box::new(event)))];
    assert_eq!(bench.store().process(again, at(1)).await.unwrap(), []);
    assert_eq!(bench.deliver_all("crm", 2).await, [id]);
    bench.assert_balanced().await;
}

pub async fn accepted_rows_survive_a_restart(open: Open) {
    let mut bench = bench(open).await;
    let accepted = bench
        .store()
        .accept(vec![envelope(SOURCE, "a", at(0))])
        .await
        .unwrap();
    bench.reopen().await;
    assert_eq!(
        bench.store().fetch_new(InboxId(0), 10).await.unwrap()[0].0,
        accepted[0].id
    );
    let again = bench
        .store()
        .accept(vec![envelope(SOURCE, "a", at(1))])
        .await
        .unwrap();
    assert!(again[0].duplicate);
    bench.assert_balanced().await;
}

pub async fn a_dead_row_stays_until_it_is_discarded(open: Open) {
    const DAY: i64 = 86_400;
    let mut bench = bench(open).await;
    let dead = |reason: &str| Decoded::Dead {
        code: DeadCode::Malformed,
        reason: reason.to_owned(),
    };
    let (kept, _) = bench.take_from(SOURCE, dead("one"), 0).await;
    let (useless, _) = bench.take_from(SOURCE, dead("two"), 0).await;
    bench
        .take(signed("ada", "1", What::OptIn, at(50 * DAY)), 50 * DAY)
        .await;
    let retention = Retention {
        payload_days: Some(1),
        history_days: Some(1),
        ..Retention::default()
    };
    let store = bench.store().clone();
    let pruned = store.prune(retention.clone(), at(50 * DAY)).await.unwrap();
    assert_eq!((pruned.bodies, pruned.inbox), (0, 0));
    let filter = InboxFilter {
        ids: vec![useless],
        ..InboxFilter::default()
    };
    let discarded = store
        .discard_messages(filter.clone(), "no use", at(50 * DAY))
        .await;
    assert_eq!(discarded.unwrap(), 1);
    assert_eq!(
        store
            .discard_messages(filter, "again", at(50 * DAY))
            .await
            .unwrap(),
        0
    );
    let row = store.trace(useless).await.unwrap().unwrap().inbox;
    assert_eq!(
        (row.state, row.reason.as_deref()),
        (InboxState::Skipped, Some("no use"))
    );
    bench.assert_balanced().await;
    let pruned = store.prune(retention, at(52 * DAY)).await.unwrap();
    assert_eq!((pruned.bodies, pruned.inbox), (1, 1));
    assert!(store.trace(useless).await.unwrap().is_none());
    assert!(store.trace(kept).await.unwrap().unwrap().envelope.is_some());
    bench.assert_balanced().await;
}
