//! Messages that say nothing new: a platform's contact as it was before, and an action that is processed again.

use causeway_core::{
    consent::{Policy, What},
    delivery::Kind,
    event::{DeadCode, Decoded, Engagement, EngagementKind, Event},
    id::InboxId,
    rules::{DestinationRule, Takes},
    store::InboxFilter,
};

use super::{Bench, Open};
use crate::builders::{SOURCE, at, rules, signed, status, synced};

/// A destination that is sent everybody.
fn everybody(name: &str) -> DestinationRule {
    DestinationRule {
        policy: Policy::All,
        ..DestinationRule::new(name)
    }
}

/// Ada as a platform knows her.
fn ada(seconds: i64) -> Event {
    synced("ada", &[("city", "Bern")], at(seconds))
}

/// The platform says that Ada visited a page.
fn visits(page: &str, seconds: i64) -> Event {
    let mut event = ada(seconds);
    event.engagements = vec![Engagement {
        kind: EngagementKind::PageVisit,
        key: page.to_owned(),
        name: None,
        at: Some(at(0)),
        raw_at: None,
        count: None,
        score: None,
    }];
    event
}

async fn take_and_deliver(bench: &mut Bench, event: Event, seconds: i64) -> (InboxId, Vec<InboxId>) {
    let row = bench.take(event, seconds).await;
    (row, bench.deliver_all("crm", seconds).await)
}

/// The platform may react to what the destination does with the contact, and the destination to the platform.
pub async fn an_unchanged_contact_is_sent_ten_times_within_an_hour(open: Open) {
    // The first of ten messages counts up to an hour after it. Messages of another kind do not count.
    for (first, again, is_sent) in [(1, 3_601, false), (1, 3_602, true), (3_000, 3_600, false)] {
        let name = format!("again-{first}-{again}");
        let mut bench = Bench::with_rules(open.clone(), &name, rules(vec![everybody("crm")])).await;
        let click = status("ada", What::DoubleOptIn, at(first - 1));
        take_and_deliver(&mut bench, click, first - 1).await;
        for seconds in first..first + 10 {
            let (row, sent) = take_and_deliver(&mut bench, ada(seconds), seconds).await;
            assert_eq!(sent, [row], "{name}: at {seconds}");
        }
        let (_, sent) = take_and_deliver(&mut bench, ada(again), again).await;
        assert_eq!(!sent.is_empty(), is_sent, "{name}");
        bench.assert_balanced().await;
    }
}

pub async fn a_known_engagement_is_no_news(open: Open) {
    let changes = DestinationRule {
        takes: Takes::Changes,
        ..everybody("crm")
    };
    let mut bench = Bench::new(open, vec![changes]).await;
    for (page, seconds, is_news) in [("/a", 0, true), ("/a", 1, false), ("/b", 2, true)] {
        let (row, sent) = take_and_deliver(&mut bench, visits(page, seconds), seconds).await;
        assert_eq!(sent.contains(&row), is_news, "{page} at {seconds}");
    }
}

/// The rest of the message could not be read at first. Its action is not known from another message.
pub async fn an_action_that_is_processed_again_is_sent_to_a_new_destination(open: Open) {
    let mut bench = Bench::new(open, vec![everybody("crm")]).await;
    let action = || Box::new(signed("ada", "1", What::OptIn, at(0)));
    let partial = Decoded::Partial {
        event: action(),
        code: DeadCode::KeyMissing,
        reason: "no such key".to_owned(),
    };
    let (row, _) = bench.take_from(SOURCE, partial, 0).await;
    assert_eq!(bench.deliver_all("crm", 1).await, [row]);
    bench
        .set_rules(rules(vec![everybody("crm"), everybody("archive")]))
        .await;
    assert_eq!(bench.store().replay(InboxFilter::default()).await.unwrap(), 1);
    let again = vec![(row, Decoded::Event(action()))];
    bench.store().process(again, at(2)).await.unwrap();
    assert_eq!(bench.deliver_all("crm", 3).await, []);
    let claimed = bench.claim("archive", 3).await.deliveries;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].record.kind, Kind::Record);
}

pub async fn engagements_are_sent_where_the_history_is_asked_for(open: Open) {
    let with_history = DestinationRule {
        history: true,
        ..everybody("archive")
    };
    let mut bench = Bench::new(open, vec![everybody("crm"), with_history]).await;
    bench.take(visits("/a", 0), 0).await;
    for (destination, count) in [("crm", 0), ("archive", 1)] {
        let claimed = bench.claim(destination, 1).await.deliveries;
        assert_eq!(claimed[0].record.engagements.len(), count, "{destination}");
    }
}
