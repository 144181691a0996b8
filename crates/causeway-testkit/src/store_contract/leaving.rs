//! People who ask to be forgotten, and parts of what is kept that grow old.

use causeway_core::{
    consent::{Change, Policy, Standing, What},
    delivery::{Delivery, Kind, Next},
    event::{Engagement, EngagementKind},
    rules::DestinationRule,
    store::{InboxState, Retention},
};

use super::{Bench, Open};
use crate::builders::{at, rules, signed, status, synced};

const DAY: i64 = 86_400;

/// A CRM, an archive that can only be added to, and a list that the person is not on.
fn three() -> Vec<DestinationRule> {
    let mut archive = DestinationRule::new("archive");
    archive.policy = Policy::All;
    archive.expresses = vec![Change::Subscribe];
    let mut confirmed = DestinationRule::new("confirmed");
    confirmed.policy = Policy::DoubleOptIn;
    vec![DestinationRule::new("crm"), archive, confirmed]
}

async fn one(bench: &Bench, destination: &str, seconds: i64) -> Delivery {
    let mut claimed = bench.claim(destination, seconds).await.deliveries;
    assert_eq!(claimed.len(), 1);
    claimed.remove(0)
}

pub async fn destinations_are_told_before_a_person_is_erased(open: Open) {
    let mut bench = Bench::new(open, three()).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.deliver_all("crm", 1).await;
    bench.deliver_all("archive", 1).await;
    // One that keeps failing, and news behind it: neither is sent any more.
    bench.take(signed("ada", "2", What::OptIn, at(2)), 2).await;
    let failing = one(&bench, "crm", 3).await;
    bench
        .end(&failing, Next::Waiting { due_at: at(9 * DAY) }, 3)
        .await;
    bench.take(synced("ada", &[("city", "Bern")], at(4)), 4).await;
    let ada = bench.person("ada").await.id;

    let parting = bench
        .store()
        .begin_erasure(ada, at(7 * DAY), at(5))
        .await
        .unwrap();
    assert_eq!(parting.told, [("crm".into(), Change::Remove)]);
    assert_eq!(parting.untold.len(), 1);
    assert_eq!(&*parting.untold[0].0, "archive");
    assert!(parting.untold[0].1.contains("remove cannot be told there"));
    assert_eq!(
        bench
            .store()
            .begin_erasure(ada, at(9 * DAY), at(6))
            .await
            .unwrap(),
        parting
    );
    // Nothing new is taken in, and nobody is erased before the CRM heard of it.
    let late = bench.take(signed("ada", "3", What::OptIn, at(7)), 7).await;
    let trace = bench.store().trace(late).await.unwrap().unwrap();
    assert_eq!((trace.inbox.state, trace.envelope), (InboxState::Skipped, None));
    assert_eq!(bench.store().finish_erasures(at(7)).await.unwrap(), 0);
    bench.reopen().await;
    let leaving = bench.store().erasures().await.unwrap();
    assert_eq!(
        (leaving.len(), leaving[0].contact, leaving[0].at_latest),
        (1, ada, at(7 * DAY))
    );

    let last = one(&bench, "crm", 8).await;
    assert_eq!(
        (last.record.kind, last.record.change),
        (Kind::Withdrawal, Change::Remove)
    );
    assert!(matches!(
        last.record.standing_for("email"),
        Standing::Unsubscribed { .. }
    ));
    assert_eq!(last.record.email(), Some("ada@example.org"));
    assert_eq!(
        last.record.contact.fields.len(),
        1,
        "no more than the name of the person"
    );
    assert!(last.record.action.is_none());
    assert_eq!(bench.deliver_all("archive", 8).await, []);
    bench.end(&last, Next::Delivered, 8).await;
    bench.assert_balanced().await;
    assert_eq!(bench.store().finish_erasures(at(9)).await.unwrap(), 1);
    assert_eq!(bench.store().find_contacts("ada@example.org").await.unwrap(), []);
    assert_eq!(bench.store().erasures().await.unwrap(), []);
    assert_eq!(bench.store().finish_erasures(at(10)).await.unwrap(), 0);
    let told = bench.store().trace(last.record.inbox_id).await.unwrap().unwrap();
    assert_eq!(told.contact_id, None);
    assert!(
        told.deliveries
            .iter()
            .any(|one| one.delivery.state == "delivered")
    );
    bench.assert_balanced().await;
}

pub async fn who_cannot_be_told_in_time_is_erased_all_the_same(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.deliver_all("crm", 1).await;
    let ada = bench.person("ada").await.id;
    bench
        .store()
        .begin_erasure(ada, at(7 * DAY), at(2))
        .await
        .unwrap();
    let last = one(&bench, "crm", 3).await;
    bench.end(&last, Next::Waiting { due_at: at(20 * DAY) }, 3).await;
    assert_eq!(bench.store().finish_erasures(at(6 * DAY)).await.unwrap(), 0);
    assert_eq!(bench.store().finish_erasures(at(7 * DAY)).await.unwrap(), 1);
    assert_eq!(bench.deliver_all("crm", 21 * DAY).await, []);
    bench.assert_balanced().await;
}

pub async fn a_person_whom_nobody_was_given_is_erased_at_once(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(signed("ada", "1", What::Declined, at(0)), 0).await;
    let ada = bench.person("ada").await.id;
    let parting = bench
        .store()
        .begin_erasure(ada, at(7 * DAY), at(2))
        .await
        .unwrap();
    assert_eq!((parting.told, parting.untold), (vec![], vec![]));
    // Said by the caller, who has nothing to wait for.
    bench.store().erase(ada, at(2)).await.unwrap();
    bench.take(status("ada", What::OptIn, at(3)), 3).await;
    assert_eq!(bench.store().find_contacts("ada@example.org").await.unwrap(), []);
    bench.assert_balanced().await;
}

pub async fn the_last_word_does_not_overtake_what_is_on_its_way(open: Open) {
    let mut rule = DestinationRule::new("crm");
    rule.ordered = false;
    let mut bench = Bench::new(open, vec![rule]).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    let slow = one(&bench, "crm", 1).await;
    let ada = bench.person("ada").await.id;
    bench
        .store()
        .begin_erasure(ada, at(7 * DAY), at(2))
        .await
        .unwrap();
    assert_eq!(bench.claim("crm", 3).await.deliveries, []);
    bench.end(&slow, Next::Delivered, 4).await;
    let last = one(&bench, "crm", 5).await;
    assert_eq!(last.record.change, Change::Remove);
    bench.end(&last, Next::Delivered, 5).await;
    assert_eq!(bench.store().finish_erasures(at(6)).await.unwrap(), 1);
    bench.assert_balanced().await;
}

pub async fn a_message_that_nobody_could_read_goes_with_its_person(open: Open) {
    use causeway_core::event::{DeadCode, Decoded};

    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    let mut kept = Vec::new();
    for (number, body) in [
        "x=1&email=ADA%40example.org",
        "who: Ada@Example.ORG",
        "ben@example.org",
    ]
    .into_iter()
    .enumerate()
    {
        let mut message = crate::builders::envelope(crate::builders::SOURCE, &format!("bad {number}"), at(1));
        message.body = body.as_bytes().to_vec().into();
        let id = bench.store().accept(vec![message]).await.unwrap()[0].id;
        let dead = Decoded::Dead {
            code: DeadCode::Malformed,
            reason: "not JSON".to_owned(),
        };
        bench.store().process(vec![(id, dead)], at(2)).await.unwrap();
        kept.push(id);
    }
    let ada = bench.person("ada").await.id;
    let erased = bench.store().erase(ada, at(3)).await.unwrap();
    assert_eq!(erased.envelopes, 3);
    for (id, is_there) in kept.into_iter().zip([false, false, true]) {
        let trace = bench.store().trace(id).await.unwrap().unwrap();
        let body = trace
            .envelope
            .map(|envelope| envelope.body.len())
            .unwrap_or_default();
        assert_eq!(body > 0, is_there, "{id}");
    }
}

pub async fn each_part_is_kept_as_long_as_its_retention_says(open: Open) {
    let mut bench = Bench::with_rules(open, "store", rules(vec![DestinationRule::new("crm")])).await;
    let visit = |day: Option<i64>| Engagement {
        kind: EngagementKind::PageVisit,
        key: format!("/{day:?}"),
        name: None,
        at: day.map(|day| at(day * DAY)),
        raw_at: None,
        count: None,
        score: None,
    };
    for (number, day) in [0, 10, 20].into_iter().enumerate() {
        let mut event = signed("ada", &number.to_string(), What::OptIn, at(day * DAY));
        event.engagements = vec![visit(Some(day)), visit(None)];
        bench.take(event, day * DAY).await;
        bench.deliver_all("crm", day * DAY).await;
    }
    let none = bench
        .store()
        .prune(Retention::default(), at(40 * DAY))
        .await
        .unwrap();
    assert_eq!((none.answers, none.engagements, none.actions), (0, 0, 0));
    let retention = Retention {
        answer_days: Some(25),
        engagement_days: Some(25),
        action_days: Some(35),
        ..Retention::default()
    };
    let pruned = bench
        .store()
        .prune(retention.clone(), at(40 * DAY))
        .await
        .unwrap();
    assert_eq!((pruned.answers, pruned.engagements, pruned.actions), (2, 2, 1));
    let person = bench.person("ada").await;
    assert_eq!((person.actions.len(), person.engagements.len()), (2, 2));
    let excerpts: Vec<bool> = {
        let mut all = Vec::new();
        for id in &person.inbox {
            let trace = bench.store().trace(*id).await.unwrap().unwrap();
            all.push(trace.deliveries[0].attempts[0].excerpt.is_some());
        }
        all
    };
    assert_eq!(excerpts, [false, false, true]);
    let again = bench
        .store()
        .prune(retention.clone(), at(40 * DAY))
        .await
        .unwrap();
    assert_eq!((again.answers, again.engagements, again.actions), (0, 0, 0));
    // It goes on where it stopped.
    let later = bench.store().prune(retention, at(50 * DAY)).await.unwrap();
    assert_eq!((later.answers, later.engagements, later.actions), (1, 1, 1));
    bench.assert_balanced().await;
}
