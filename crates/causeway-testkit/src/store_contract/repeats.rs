//! A message is a duplicate only if no other message of its contact was accepted since, processed or not.

use causeway_core::{
    consent::What,
    contact::Identity,
    envelope::{Dedup, Envelope, Memory, Part, digest},
    event::{DeadCode, Decoded, Event, EventKind},
    id::InboxId,
    rules::DestinationRule,
    store::{Accepted, InboxState, Processed, Retention},
};

use super::{Bench, Open};
use crate::builders::{INSTANCE, SOURCE, add_source, at, email, envelope, fact, rules, synced};

const WINDOW_MS: i64 = 100_000;
const DAY: i64 = 86_400;

async fn bench(open: Open, name: &str) -> Bench {
    let mut rules = rules(vec![DestinationRule::new("crm")]);
    add_source(&mut rules, "form", "default");
    Bench::with_rules(open, name, rules).await
}

/// A contact with consent, as a platform sends it, without a date of its own.
fn says(who: &str, what: What, seconds: i64) -> Decoded {
    let mut event = synced(who, &[], at(seconds));
    event.consent = vec![fact(what, at(seconds))];
    Decoded::Event(Box::new(event))
}

/// The message for `says`: the same words give the same bytes.
fn message(source: &str, who: &str, what: &What, seconds: i64) -> Envelope {
    let mut message = envelope(source, &format!("{who} {}", what.as_str()), at(seconds));
    message.dedup.memory = Memory::Window(WINDOW_MS);
    message
}

/// The same message with a sender's id.
fn with_id(mut message: Envelope, id: &str) -> Envelope {
    message.dedup.id = Some(digest(&[id.as_bytes()]));
    message.dedup.key = digest(&[id.as_bytes(), &message.dedup.key]);
    message
}

async fn accept(bench: &Bench, message: Envelope) -> Accepted {
    bench.store().accept(vec![message]).await.unwrap()[0]
}

/// Accepts the message, and processes it at once unless it was certainly a duplicate.
async fn take(bench: &Bench, message: Envelope, decoded: Decoded, seconds: i64) -> Option<Processed> {
    let accepted = accept(bench, message).await;
    if accepted.duplicate {
        return None;
    }
    let batch = vec![(accepted.id, decoded)];
    bench.store().process(batch, at(seconds)).await.unwrap().pop()
}

async fn consent_state(bench: &Bench, who: &str) -> &'static str {
    bench.person(who).await.consent_state["email"].as_str()
}

async fn notes(bench: &Bench, id: InboxId) -> String {
    bench.store().trace(id).await.unwrap().unwrap().notes.join("; ")
}

/// Sends each message a second after the one before. Processes them one by one, or all together at the end.
async fn history(bench: &Bench, facts: &[(&str, &str, What)], together: bool) {
    let mut waiting = Vec::new();
    for (seconds, (source, who, what)) in (0..).zip(facts) {
        let accepted = accept(bench, message(source, who, what, seconds)).await;
        if !accepted.duplicate {
            waiting.push((accepted.id, says(who, what.clone(), seconds)));
        }
        if !together {
            let batch = std::mem::take(&mut waiting);
            bench.store().process(batch, at(seconds)).await.unwrap();
        }
    }
    bench.store().process(waiting, at(60)).await.unwrap();
    bench.assert_balanced().await;
}

pub async fn opt_out_opt_in_opt_out_are_three_messages(open: Open) {
    use What::{OptIn, Unsubscribed};
    for together in [false, true] {
        let bench = bench(open.clone(), &format!("together-{together}")).await;
        let facts = [
            (SOURCE, "ada", Unsubscribed),
            (SOURCE, "ben", Unsubscribed),
            (SOURCE, "ada", OptIn),
            // From another source.
            ("form", "ben", OptIn),
            (SOURCE, "ada", Unsubscribed),
            (SOURCE, "ben", Unsubscribed),
            // Once more: these are duplicates.
            (SOURCE, "ben", Unsubscribed),
            (SOURCE, "ada", Unsubscribed),
        ];
        history(&bench, &facts, together).await;
        assert_eq!(
            consent_state(&bench, "ada").await,
            "unsubscribed",
            "together: {together}"
        );
        assert_eq!(
            consent_state(&bench, "ben").await,
            "unsubscribed",
            "together: {together}"
        );
        let audit = bench.store().audit().await.unwrap();
        assert_eq!(audit.sources[SOURCE].duplicate, 2, "together: {together}");
    }
}

pub async fn a_message_of_another_user_of_the_mailbox_counts_as_in_between(open: Open) {
    use What::{OptIn, Unsubscribed};
    let bench = bench(open, "mailbox").await;
    // Two ids of one platform with one address. The two opt-outs have the same bytes.
    for (seconds, id, what, bytes) in [
        (0, "71", OptIn, "first"),
        (1, "72", OptIn, "second"),
        (2, "71", Unsubscribed, "opt-out"),
        (3, "72", OptIn, "third"),
        (4, "71", Unsubscribed, "opt-out"),
    ] {
        let mut event = synced("family", &[("email", "family@example.org")], at(seconds));
        event.consent = vec![fact(what.clone(), at(seconds))];
        event.identities.push(Identity::ForeignId {
            namespace: INSTANCE.into(),
            id: id.to_owned(),
        });
        let message = message(SOURCE, bytes, &what, seconds);
        take(&bench, message, Decoded::Event(Box::new(event)), seconds).await;
    }
    for id in ["71", "72"] {
        let people = bench.store().find_contacts(id).await.unwrap();
        assert_eq!(people.len(), 1, "{id}");
        let view = bench.store().contact(people[0]).await.unwrap().unwrap();
        assert_eq!(view.consent_state["email"].as_str(), "unsubscribed", "{id}");
    }
    bench.assert_balanced().await;
}

pub async fn a_late_retry_of_an_opt_in_does_not_undo_an_opt_out(open: Open) {
    use What::{OptIn, Unsubscribed};
    for together in [false, true] {
        let bench = bench(open.clone(), &format!("together-{together}")).await;
        let facts = [
            (SOURCE, "ada", OptIn),
            ("form", "ada", Unsubscribed),
            (SOURCE, "ada", OptIn),
        ];
        history(&bench, &facts, together).await;
        assert_eq!(
            consent_state(&bench, "ada").await,
            "unsubscribed",
            "together: {together}"
        );
        let notes = notes(&bench, InboxId(3)).await;
        assert!(notes.contains("its opt-in does not"), "{notes}");
    }
    // After the window the same words are a new message.
    let bench = bench(open, "later").await;
    for (what, seconds) in [(OptIn, 0), (Unsubscribed, 1), (OptIn, 2), (OptIn, 200)] {
        let sent = message(SOURCE, "ada", &what, seconds);
        take(&bench, sent, says("ada", what, seconds), seconds).await;
    }
    assert_eq!(consent_state(&bench, "ada").await, "opted_in");
}

pub async fn a_message_in_between_may_have_any_source_and_kind(open: Open) {
    let bench = bench(open, "store").await;
    let engaged = |fields: &[(&str, &str)], consent: Option<What>| {
        let mut event = Event::new(EventKind::Engagement, "proca".into(), at(1));
        event.identities = vec![email("ada")];
        event.fields.insert("email".to_owned(), "ada@example.org".into());
        for (name, value) in fields {
            event.fields.insert((*name).to_owned(), (*value).into());
        }
        event.consent = consent.map(|what| fact(what, at(1))).into_iter().collect();
        Decoded::Event(Box::new(event))
    };
    let opt_out = || message(SOURCE, "ada", &What::Unsubscribed, 2);
    let again = async || {
        take(&bench, opt_out(), says("ada", What::Unsubscribed, 2), 2)
            .await
            .is_some()
    };
    assert!(again().await);
    // A visit changes nothing that the message said.
    take(&bench, envelope("form", "visit", at(1)), engaged(&[], None), 1).await;
    assert!(!again().await);
    for (number, between) in [
        engaged(&[], Some(What::OptIn)),
        engaged(&[("phone", "030 1")], None),
        Decoded::Event(Box::new(synced("ada", &[("phone", "030 2")], at(1)))),
    ]
    .into_iter()
    .enumerate()
    {
        take(
            &bench,
            envelope("form", &format!("between {number}"), at(1)),
            between,
            1,
        )
        .await;
        assert!(again().await, "after number {number}");
        assert!(!again().await, "twice after number {number}");
    }
    // A message of another person does not matter.
    take(
        &bench,
        envelope("form", "ben", at(1)),
        says("ben", What::OptIn, 1),
        1,
    )
    .await;
    assert!(!again().await);
    // The contact of an unreadable message is not known.
    let dead = Decoded::Dead {
        code: DeadCode::KeyMissing,
        reason: "no such key".to_owned(),
    };
    take(&bench, envelope("form", "dead", at(1)), dead, 1).await;
    assert!(again().await);
    bench.assert_balanced().await;
}

pub async fn a_possible_duplicate_is_decided_when_it_is_processed(open: Open) {
    let mut bench = bench(open, "store").await;
    let first = accept(&bench, message(SOURCE, "ada", &What::OptIn, 0)).await;
    let other = accept(&bench, message(SOURCE, "ben", &What::OptIn, 1)).await;
    let repeat = accept(&bench, message(SOURCE, "ada", &What::OptIn, 2)).await;
    assert!(!repeat.duplicate, "nobody knows yet");
    let trace = bench.store().trace(repeat.id).await.unwrap().unwrap();
    assert_eq!((trace.inbox.state, trace.duplicate_of), (InboxState::New, None));
    bench.reopen().await;
    let batch = [(first, "ada"), (other, "ben"), (repeat, "ada")]
        .map(|(row, who)| (row.id, says(who, What::OptIn, 0)));
    let processed = bench.store().process(batch.to_vec(), at(3)).await.unwrap();
    let states: Vec<_> = processed.iter().map(|row| row.state).collect();
    assert_eq!(
        states,
        [InboxState::Done, InboxState::Done, InboxState::Duplicate]
    );
    assert!(processed[2].planned.is_empty());
    let trace = bench.store().trace(repeat.id).await.unwrap().unwrap();
    assert_eq!((trace.duplicate_of, trace.envelope), (Some(first.id), None));
    // From now on it is certain.
    let again = accept(&bench, message(SOURCE, "ada", &What::OptIn, 4)).await;
    assert_eq!(
        again,
        Accepted {
            id: first.id,
            duplicate: true
        }
    );
    bench.assert_balanced().await;
}

pub async fn a_duplicate_does_not_extend_the_window(open: Open) {
    let bench = bench(open, "store").await;
    let mut waiting = Vec::new();
    for (who, seconds) in [("ada", 0), ("ben", 1), ("ada", 90), ("ben", 91)] {
        let accepted = accept(&bench, message(SOURCE, who, &What::OptIn, seconds)).await;
        waiting.push((accepted.id, says(who, What::OptIn, seconds)));
    }
    let processed = bench.store().process(waiting, at(92)).await.unwrap();
    assert_eq!(processed[2].state, InboxState::Duplicate);
    let later = accept(&bench, message(SOURCE, "ada", &What::OptIn, 101)).await;
    assert!(!later.duplicate, "a hundred seconds after the first message");
    let batch = vec![(later.id, says("ada", What::OptIn, 101))];
    let processed = bench.store().process(batch, at(102)).await.unwrap();
    assert_eq!(processed[0].state, InboxState::Done);
    bench.assert_balanced().await;
}

pub async fn an_id_with_other_content_is_another_message(open: Open) {
    use What::{OptIn, Unsubscribed};
    let bench = bench(open, "store").await;
    let send = async |who: &str, what: What, seconds: i64| {
        let sent = with_id(message(SOURCE, who, &what, seconds), "1");
        take(&bench, sent, says(who, what, seconds), seconds).await
    };
    send("ada", OptIn, 0).await;
    let second = send("ada", Unsubscribed, 1).await.unwrap();
    assert_eq!(consent_state(&bench, "ada").await, "unsubscribed");
    let notes = notes(&bench, second.id).await;
    assert!(
        notes.contains("message 1 the same id with other content"),
        "{notes}"
    );
    assert!(send("ada", Unsubscribed, 2).await.is_none(), "a repeat");
    // An id that names several messages identifies none: the earlier message may be a late retry.
    send("ada", OptIn, 3).await;
    assert_eq!(consent_state(&bench, "ada").await, "unsubscribed");
    send("ben", Unsubscribed, 4).await;
    send("ben", OptIn, 5).await;
    assert_eq!(consent_state(&bench, "ben").await, "opted_in");
    send("ben", Unsubscribed, 6).await;
    assert_eq!(consent_state(&bench, "ben").await, "unsubscribed");
    bench.assert_balanced().await;
}

pub async fn a_message_repeated_under_its_id_counts_only_for_its_opt_out(open: Open) {
    use What::{OptIn, Unsubscribed};
    let bench = bench(open, "store").await;
    let sent = |who: &str, what: What, phone: &str, seconds: i64| {
        let id = format!("{who} {}", what.as_str());
        let envelope = with_id(message(SOURCE, who, &what, seconds), &id);
        let mut event = synced(who, &[("phone", phone)], at(seconds));
        event.consent = vec![fact(what, at(seconds))];
        (envelope, Decoded::Event(Box::new(event)))
    };
    for (who, first, second, last) in [
        ("ada", Unsubscribed, OptIn, "unsubscribed"),
        ("ben", OptIn, Unsubscribed, "unsubscribed"),
    ] {
        let (envelope, event) = sent(who, first.clone(), "030 1", 0);
        let first_row = take(&bench, envelope, event, 0).await.unwrap();
        let (envelope, event) = sent(who, second, "030 2", 1);
        take(&bench, envelope, event, 1).await;
        // However much later, its id identifies it.
        let (envelope, event) = sent(who, first.clone(), "030 1", 50 * DAY);
        let again = take(&bench, envelope, event, 50 * DAY).await.unwrap();
        assert_eq!(consent_state(&bench, who).await, last);
        let person = bench.person(who).await;
        assert_eq!(
            person.contact.fields["phone"].value, "030 2",
            "earlier deliveries are not sent again"
        );
        let expected = match first {
            OptIn => InboxState::Duplicate,
            _ => InboxState::Done,
        };
        assert_eq!(again.state, expected);
        if expected == InboxState::Done {
            let notes = notes(&bench, again.id).await;
            assert!(notes.contains(&format!("message {}", first_row.id)), "{notes}");
        }
    }
    bench.assert_balanced().await;
}

pub async fn a_dead_message_that_is_sent_again_is_read_again(open: Open) {
    let bench = bench(open, "store").await;
    let dead = || Decoded::Dead {
        code: DeadCode::Unknown,
        reason: "nobody is named".to_owned(),
    };
    let sent = |seconds| message(SOURCE, "ada", &What::Unsubscribed, seconds);
    let first = take(&bench, sent(0), dead(), 0).await.unwrap();
    let again = take(&bench, sent(1), dead(), 1).await.unwrap();
    assert_eq!(
        (first.state, again.state),
        (InboxState::Dead, InboxState::Duplicate)
    );
    // The configuration was corrected meanwhile.
    let read = take(&bench, sent(2), says("ada", What::Unsubscribed, 2), 2)
        .await
        .unwrap();
    assert_eq!(read.state, InboxState::Done);
    assert_eq!(consent_state(&bench, "ada").await, "unsubscribed");
    bench.assert_balanced().await;
}

pub async fn a_signed_request_is_recognised_after_its_row_was_pruned(open: Open) {
    use What::{OptIn, Unsubscribed};
    let bench = bench(open, "store").await;
    let signed = |what: &What, seconds: i64| {
        let mut message = message(SOURCE, "ada", what, seconds);
        message.dedup.memory = Memory::ForGood;
        message
    };
    let send = async |what: What, seconds: i64| {
        take(
            &bench,
            signed(&what, seconds),
            says("ada", what, seconds),
            seconds,
        )
        .await
    };
    send(OptIn, 0).await;
    assert!(send(OptIn, 50 * DAY).await.is_none(), "within its row's life");
    // The newest rows are kept.
    take(
        &bench,
        envelope("form", "ben", at(50 * DAY)),
        says("ben", OptIn, 50 * DAY),
        50 * DAY,
    )
    .await;
    let retention = Retention {
        history_days: Some(1),
        ..Retention::default()
    };
    // Its delivery keeps the row.
    bench.deliver_all("crm", 50 * DAY).await;
    send(Unsubscribed, 60 * DAY).await;
    bench.deliver_all("crm", 60 * DAY).await;
    let pruned = bench.store().prune(retention, at(70 * DAY)).await.unwrap();
    assert!(pruned.inbox > 0, "{pruned:?}");
    assert!(bench.store().trace(InboxId(1)).await.unwrap().is_none());
    let again = send(OptIn, 80 * DAY).await.unwrap();
    assert_eq!(consent_state(&bench, "ada").await, "unsubscribed");
    assert_eq!(again.planned, []);
    bench.assert_balanced().await;
}

pub async fn messages_of_an_erased_person_do_not_count_again(open: Open) {
    let bench = bench(open, "store").await;
    let opt_in = |seconds| message(SOURCE, "ada", &What::OptIn, seconds);
    take(&bench, opt_in(0), says("ada", What::OptIn, 0), 0).await;
    accept(&bench, message(SOURCE, "ben", &What::OptIn, 1)).await;
    // It is undecided while the person is erased.
    let again = accept(&bench, opt_in(2)).await;
    assert!(!again.duplicate);
    let ada = bench.person("ada").await.id;
    bench.store().erase(ada, at(3)).await.unwrap();
    let rows = bench.store().fetch_new(InboxId(0), 10).await.unwrap();
    let body = &rows.last().unwrap().1.body;
    assert!(!body.is_empty(), "it can still be read");
    let batch = vec![
        (InboxId(2), says("ben", What::OptIn, 1)),
        (again.id, says("ada", What::OptIn, 2)),
    ];
    let processed = bench.store().process(batch, at(4)).await.unwrap();
    assert_eq!(processed[1].state, InboxState::Duplicate);
    assert_eq!(bench.store().find_contacts("ada@example.org").await.unwrap(), []);
    let trace = bench.store().trace(again.id).await.unwrap().unwrap();
    assert!(trace.envelope.is_none(), "nothing of the person stays");
    bench.assert_balanced().await;
}

/// A message with one record for each of these.
fn batch(facts: &[(&str, What)], seconds: i64) -> (Envelope, Vec<(Envelope, Decoded)>) {
    let words: Vec<String> = facts
        .iter()
        .map(|(who, what)| format!("{who} {}", what.as_str()))
        .collect();
    let message = message_of(&words.join(", "), seconds);
    let parts = (1_u32..).zip(facts).map(|(number, (who, what))| {
        let mut part = message_of(&format!("{number} of {}", words.join(", ")), seconds);
        part.meta.part = Some(Box::new(Part {
            of: InboxId(0),
            number,
            around: serde_json::Map::default(),
            plus_is_space: false,
            notes: Vec::new(),
        }));
        (part, says(who, what.clone(), seconds))
    });
    (message, parts.collect())
}

fn message_of(words: &str, seconds: i64) -> Envelope {
    let mut message = envelope(SOURCE, words, at(seconds));
    message.dedup = Dedup::window(digest(&[words.as_bytes()]), WINDOW_MS);
    message
}

async fn state(bench: &Bench, id: InboxId) -> InboxState {
    bench.store().trace(id).await.unwrap().unwrap().inbox.state
}

pub async fn each_record_of_a_message_is_a_message_of_its_own(open: Open) {
    use What::{OptIn, Unsubscribed};
    let bench = bench(open, "parts").await;
    let (first, parts) = batch(&[("ada", OptIn), ("ben", Unsubscribed), ("ada", OptIn)], 0);
    let id = accept(&bench, first.clone()).await.id;
    let processed = bench
        .store()
        .process(vec![(id, Decoded::Parts(parts.clone()))], at(1))
        .await
        .unwrap();
    let states: Vec<InboxState> = processed.iter().map(|row| row.state).collect();
    assert_eq!(states, [InboxState::Done; 4]);
    assert_eq!(processed[0].id, id);
    assert_eq!(
        (
            consent_state(&bench, "ada").await,
            consent_state(&bench, "ben").await
        ),
        ("opted_in", "unsubscribed")
    );
    let trace = bench.store().trace(id).await.unwrap().unwrap();
    assert_eq!(trace.inbox.reason.as_deref(), Some("3 records: messages 2 to 4"));
    assert!(
        trace.envelope.is_none(),
        "all that it said is in its parts, and erased with them"
    );
    let part = bench.store().trace(processed[2].id).await.unwrap().unwrap();
    assert_eq!(part.about, Some(id));
    assert_eq!(part.envelope.unwrap().meta.part.unwrap().of, id);
    bench.assert_balanced().await;
    // The same once more, with nothing in between, is a duplicate as a whole.
    let again = accept(&bench, first).await;
    assert!(!again.duplicate, "it was not read yet");
    let processed = bench
        .store()
        .process(vec![(again.id, Decoded::Parts(parts))], at(2))
        .await
        .unwrap();
    assert_eq!(processed.len(), 1);
    assert_eq!(state(&bench, again.id).await, InboxState::Duplicate);
    bench.assert_balanced().await;
}

/// Rows that were accepted between a message and its processing have smaller numbers than its parts, but
/// count as later.
pub async fn messages_between_a_message_and_its_parts_count_as_later(open: Open) {
    use What::{OptIn, Unsubscribed};
    let bench = bench(open, "between").await;
    let facts = [("ada", Unsubscribed), ("ben", OptIn)];
    let (first, parts) = batch(&facts, 0);
    let first = accept(&bench, first).await.id;
    let opt_in = accept(&bench, message("form", "ada", &OptIn, 1)).await.id;
    let both = vec![(first, Decoded::Parts(parts)), (opt_in, says("ada", OptIn, 1))];
    bench.store().process(both, at(2)).await.unwrap();
    assert_eq!(consent_state(&bench, "ada").await, "opted_in");
    // The same bytes as the first. This is the second opt-out, which must not be taken for the first.
    let (second, parts) = batch(&facts, 3);
    let second = accept(&bench, second).await.id;
    bench
        .store()
        .process(vec![(second, Decoded::Parts(parts))], at(4))
        .await
        .unwrap();
    assert_eq!(consent_state(&bench, "ada").await, "unsubscribed");
    assert_eq!(consent_state(&bench, "ben").await, "opted_in");
    bench.assert_balanced().await;
}

pub async fn a_record_that_cannot_be_read_is_dead_alone(open: Open) {
    let bench = bench(open, "dead").await;
    let (message, mut parts) = batch(&[("ada", What::OptIn), ("ben", What::OptIn)], 0);
    parts[1].1 = Decoded::Dead {
        code: DeadCode::Unknown,
        reason: "nobody is named".to_owned(),
    };
    let id = accept(&bench, message).await.id;
    let processed = bench
        .store()
        .process(vec![(id, Decoded::Parts(parts))], at(1))
        .await
        .unwrap();
    let states: Vec<InboxState> = processed.iter().map(|row| row.state).collect();
    assert_eq!(states, [InboxState::Done, InboxState::Done, InboxState::Dead]);
    assert_eq!(consent_state(&bench, "ada").await, "opted_in");
    bench.assert_balanced().await;
}
