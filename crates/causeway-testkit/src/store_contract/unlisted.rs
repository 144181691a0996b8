//! Queries of reconciliation: actions in the store that their system of origin no longer lists.

use std::sync::Arc;

use causeway_core::{
    consent::What,
    decode::proca::{
        RECONCILIATION,
        reconciled::{GONE, dated_status_of, finding_about, undated_status_of},
    },
    envelope::{Envelope, Meta},
    event::{Decoded, Event},
    id::InboxId,
    store::{UndatedStatus, Unlisted, UnlistedAction},
};

use super::{Bench, Open};
use crate::builders::{OWN_ORG, SOURCE, at, envelope, page, rules, signed, status};

const HOUR: i64 = 3_600;

/// A query at three o'clock, with these numbers in the list.
fn asked(listed: &[i64]) -> Unlisted {
    Unlisted {
        source: SOURCE.into(),
        listed: Arc::new(listed.iter().copied().collect()),
        created_after: at(0),
        asked_at: at(3 * HOUR),
        sent_before: at(2 * HOUR),
        include_testing: false,
    }
}

async fn numbers(bench: &Bench, asked: Unlisted) -> Vec<i64> {
    let unlisted = bench.store().unlisted(asked).await.unwrap();
    unlisted.iter().map(|action| action.number).collect()
}

fn opted_in(name: &str, action: &str, seconds: i64) -> Event {
    signed(name, action, What::OptIn, at(seconds))
}

/// A finding of reconciliation about an action.
fn finding(name: &str, action: &str, ending: &str, seconds: i64) -> Event {
    let mut event = status(name, What::Unsubscribed, at(seconds));
    event.consent[0].basis = finding_about(action) + ending;
    event
}

pub async fn actions_that_are_no_longer_listed_are_found(open: Open) {
    let mut bench = Bench::with_rules(open, "store", rules(Vec::new())).await;
    bench.take(opted_in("ann", "1", 60), 60).await;
    let mut on_own_page = opted_in("ben", "2", 60);
    on_own_page.page = Some(page("8", Some(OWN_ORG)));
    bench.take(on_own_page, 60).await;
    // Sent a moment ago, so Proca may list it later.
    bench.take(opted_in("cem", "3", 60), 2 * HOUR + 1).await;
    // Before the list begins, and after the list was requested.
    bench.take(opted_in("dia", "4", -60), 60).await;
    bench.take(opted_in("eve", "5", 4 * HOUR), 60).await;
    let mut test = opted_in("fay", "6", 60);
    if let Some(action) = &mut test.action {
        action.testing = true;
    }
    bench.take(test, 60).await;
    bench.take(opted_in("guy", "no-number", 60), 60).await;
    assert_eq!(numbers(&bench, asked(&[1, 2, 3, 4, 5])).await, [0; 0]);
    let person = bench.person("ann").await;
    assert_eq!(
        bench.store().unlisted(asked(&[2])).await.unwrap(),
        [UnlistedAction {
            was_suppressed: false,
            number: 1,
            contact: person.id,
            addresses: vec!["ann@example.org".to_owned()],
            references: vec!["ref-ann".to_owned()],
            was_listed: false,
            on_own_page: false,
            undated: None,
        }]
    );
    for (what, when, expected) in [
        (What::Bounced, 59, false),
        (What::Unsubscribed, 61, false),
        (What::Bounced, 60, true),
    ] {
        bench.take(status("ann", what.clone(), at(when)), 70).await;
        let unlisted = bench.store().unlisted(asked(&[2])).await.unwrap();
        assert_eq!(unlisted[0].was_suppressed, expected, "{what:?} at {when}");
    }
    let with_tests = Unlisted {
        include_testing: true,
        ..asked(&[1, 2])
    };
    assert_eq!(numbers(&bench, with_tests).await, [6]);
    let of_another = Unlisted {
        source: "another".into(),
        ..asked(&[])
    };
    assert_eq!(numbers(&bench, of_another).await, [0; 0]);

    // An earlier list had it, so Proca had listed it by then.
    let listed = Envelope {
        meta: Meta {
            routing_key: Some(RECONCILIATION.to_owned()),
            ..Meta::default()
        },
        ..envelope(SOURCE, "listed", at(2 * HOUR + 2))
    };
    let accepted = bench.store().accept(vec![listed]).await.unwrap();
    let again = Decoded::Event(Box::new(opted_in("cem", "3", 60)));
    bench
        .store()
        .process(vec![(accepted[0].id, again)], at(2 * HOUR + 3))
        .await
        .unwrap();
    let unlisted = bench.store().unlisted(asked(&[1])).await.unwrap();
    let about = unlisted
        .iter()
        .map(|one| (one.number, one.was_listed, one.on_own_page));
    assert_eq!(about.collect::<Vec<_>>(), [(2, false, true), (3, true, false)]);

    // It is found once. Another action of the same person is a separate case.
    bench
        .take(finding("ann", "1", "is rejected", 3 * HOUR), 3 * HOUR)
        .await;
    assert_eq!(numbers(&bench, asked(&[2, 3])).await, [0; 0]);
    bench.take(opted_in("ann", "11", 61), 61).await;
    assert_eq!(numbers(&bench, asked(&[2, 3])).await, [11]);
}

/// A finding of reconciliation about an address, from an action that is not listed.
fn status_found(name: &str, what: What, word: &str, ending: &str, seconds: i64) -> Event {
    let mut event = status(name, what, at(seconds));
    event.consent[0].basis = format!("reconciliation, proca email_status: {word} (row 21){ending}");
    event
}

pub async fn a_status_without_a_date_is_remembered_until_the_action_changes(open: Open) {
    async fn undated(bench: &Bench) -> Vec<Option<(String, InboxId, bool)>> {
        let unlisted = bench.store().unlisted(asked(&[])).await.unwrap();
        let undated = unlisted.into_iter().map(|action| action.undated);
        undated
            .map(|undated| {
                undated.map(
                    |UndatedStatus {
                         status,
                         message,
                         is_current,
                     }| (status, message, is_current),
                )
            })
            .collect()
    }
    let mut bench = Bench::with_rules(open, "store", rules(Vec::new())).await;
    for action in ["1", "11"] {
        bench.take(opted_in("ann", action, 60), 60).await;
    }
    assert_eq!(undated(&bench).await, [None, None]);
    let ending = undated_status_of("1");
    let unsub = status_found("ann", What::Unsubscribed, "unsub", &ending, 70);
    let first = bench.take(unsub, 70).await;
    // What the person says elsewhere has no effect on it.
    bench.take(opted_in("ann", "12", 80), 80).await;
    bench.reopen().await;
    let reported = Some(("unsub".to_owned(), first, true));
    assert_eq!(undated(&bench).await, [reported, None, None]);

    // A list brought the action again, so the address worked in between.
    let listed = Envelope {
        meta: Meta {
            routing_key: Some(RECONCILIATION.to_owned()),
            ..Meta::default()
        },
        ..envelope(SOURCE, "listed", at(90))
    };
    let accepted = bench.store().accept(vec![listed]).await.unwrap();
    let confirmed = signed("ann", "1", What::DoubleOptIn, at(60));
    let again = vec![(accepted[0].id, Decoded::Event(Box::new(confirmed)))];
    bench.store().process(again, at(90)).await.unwrap();
    assert_eq!(undated(&bench).await[0], Some(("unsub".to_owned(), first, false)));

    let bounced = status_found("ann", What::Bounced, "bounce", &ending, 100);
    let second = bench.take(bounced, 100).await;
    assert_eq!(
        undated(&bench).await[0],
        Some(("bounce".to_owned(), second, true))
    );
    let blocked = status_found("ann", What::Blocked, "blocked", &dated_status_of("11"), 95);
    bench.take(blocked, 110).await;
    assert_eq!(
        undated(&bench).await[0],
        Some(("bounce".to_owned(), second, true))
    );
    let blocked = status_found("ann", What::Blocked, "blocked", &dated_status_of("1"), 96);
    bench.take(blocked, 120).await;
    assert_eq!(
        undated(&bench).await[0],
        Some(("bounce".to_owned(), second, false))
    );
}

pub async fn contacts_that_are_gone_are_listed(open: Open) {
    let mut bench = Bench::with_rules(open, "store", rules(Vec::new())).await;
    for name in ["ann", "ben"] {
        bench.take(opted_in(name, name, 60), 60).await;
    }
    bench.take(finding("ann", "1", "is rejected", 70), 70).await;
    let message: InboxId = bench.take(finding("ben", "2", GONE, 80), 80).await;
    let gone = bench.store().gone_contacts(at(75)).await.unwrap();
    let person = bench.person("ben").await;
    assert_eq!(gone.len(), 1);
    assert_eq!(
        (gone[0].contact, gone[0].message, gone[0].noticed_at),
        (person.id, message, at(80))
    );
    assert_eq!(&*gone[0].source, SOURCE);
    assert_eq!(bench.store().gone_contacts(at(80)).await.unwrap(), []);
}
