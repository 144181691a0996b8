//! What events say about people and their consent, and what destinations receive of it.

use causeway_core::{
    consent::{Change, Policy, What},
    contact::Identity,
    delivery::{Kind, Next},
    event::{Engagement, EngagementKind, Event, EventKind},
    rules::DestinationRule,
};

use super::{Bench, Open};
use crate::builders::{INSTANCE, at, email, fact, signed, status};

/// A visit of a page by the browser `visitor`, with or without a name.
fn visit(visitor: &str, name: Option<&str>, page: &str, seconds: i64) -> Event {
    let mut event = Event::new(EventKind::Engagement, INSTANCE.into(), at(seconds));
    event.identities = name.map(email).into_iter().collect();
    if let Some(name) = name {
        event
            .fields
            .insert("email".to_owned(), format!("{name}@example.org").into());
    }
    event
        .identities
        .push(Identity::visitor(INSTANCE, visitor.to_owned()));
    event.engagements = vec![Engagement {
        kind: EngagementKind::PageVisit,
        key: page.to_owned(),
        name: None,
        at: Some(at(seconds)),
        raw_at: None,
        count: None,
        score: None,
    }];
    event
}

fn everybody() -> DestinationRule {
    let mut rule = DestinationRule::new("crm");
    rule.policy = Policy::All;
    rule
}

async fn pages(bench: &Bench, name: &str) -> Vec<String> {
    let person = bench.person(name).await;
    person.engagements.into_iter().map(|visit| visit.key).collect()
}

pub async fn a_visitor_becomes_the_contact_that_gives_a_name(open: Open) {
    let messages = [
        visit("v1", None, "/a", 0),
        visit("v1", None, "/b", 1),
        visit("v1", Some("ada"), "/c", 2),
        visit("v1", None, "/d", 3),
    ];
    for (number, order) in [[0, 1, 2, 3], [2, 0, 1, 3], [3, 2, 1, 0]].into_iter().enumerate() {
        let rules = crate::builders::rules(vec![everybody()]);
        let mut bench = Bench::with_rules(open.clone(), &format!("visitor-{number}"), rules).await;
        for index in order {
            bench.take(messages[index].clone(), 10).await;
        }
        let mut seen = pages(&bench, "ada").await;
        seen.sort();
        assert_eq!(seen, ["/a", "/b", "/c", "/d"], "in the order {order:?}");
        assert_eq!(bench.person("ada").await.identities.len(), 2);
        bench.assert_balanced().await;
    }
}

pub async fn a_browser_of_two_people_does_not_merge_them(open: Open) {
    let mut bench = Bench::new(open, vec![everybody()]).await;
    bench.take(visit("v1", Some("ada"), "/a", 0), 0).await;
    bench.take(visit("v1", Some("ben"), "/b", 1), 1).await;
    bench.take(visit("v1", None, "/c", 2), 2).await;
    assert_eq!(pages(&bench, "ada").await, ["/a", "/c"]);
    assert_eq!(pages(&bench, "ben").await, ["/b"]);
    // Ada is erased. The other user of the browser stays known, and later visits are new.
    let ada = bench.person("ada").await.id;
    bench.store().erase(ada, at(3)).await.unwrap();
    bench.take(visit("v1", None, "/d", 4), 4).await;
    bench.take(visit("v1", Some("ben"), "/e", 5), 5).await;
    assert_eq!(pages(&bench, "ben").await, ["/b", "/d", "/e"]);
    bench.assert_balanced().await;
}

pub async fn a_visitor_without_a_name_is_sent_nowhere(open: Open) {
    let mut bench = Bench::new(open, vec![everybody()]).await;
    let mut tagged = visit("v1", None, "/a", 0);
    tagged.fields.insert("tag:curious".to_owned(), true.into());
    bench.take(tagged, 0).await;
    assert_eq!(bench.deliver_all("crm", 1).await, []);
    let mut named = visit("v1", Some("ada"), "/b", 2);
    named.consent = vec![fact(What::OptIn, at(2))];
    let message = bench.take(named, 2).await;
    assert_eq!(bench.deliver_all("crm", 3).await, [message]);
    // Later visits of the browser belong to Ada.
    let mut tagged = visit("v1", None, "/c", 4);
    tagged.fields.insert("tag:keen".to_owned(), true.into());
    let message = bench.take(tagged, 4).await;
    assert_eq!(bench.deliver_all("crm", 5).await, [message]);
    let person = bench.person("ada").await;
    assert_eq!(person.contact.tags().collect::<Vec<_>>(), ["curious", "keen"]);
    assert!(person.contact.gave_data);
    bench.take(signed("ada", "1", What::OptIn, at(6)), 6).await;
    bench.assert_balanced().await;
}

/// Delivers what is due for `ada` at the destination. Returns the kind of each delivery and its change of
/// consent.
async fn changes_sent(bench: &Bench, destination: &str, seconds: i64) -> Vec<(Kind, Change)> {
    let mut sent = Vec::new();
    for delivery in bench.claim(destination, seconds).await.deliveries {
        sent.push((delivery.record.kind, delivery.record.change));
        assert_eq!(
            delivery.record.to_json()["change"],
            delivery.record.change.as_str()
        );
        bench.end(&delivery, Next::Delivered, seconds).await;
    }
    sent
}

pub async fn each_opt_out_reaches_a_destination_as_the_right_change(open: Open) {
    for (number, (what, change)) in [
        (What::Unsubscribed, Change::Unsubscribe),
        (What::Bounced, Change::Suppress),
        (What::Blocked, Change::Suppress),
        (What::Complained, Change::Suppress),
        (What::Inactive, Change::Suppress),
    ]
    .into_iter()
    .enumerate()
    {
        let mut all = everybody();
        all.name = "archive".into();
        let mut confirmed = DestinationRule::new("confirmed");
        confirmed.policy = Policy::DoubleOptIn;
        let rules = crate::builders::rules(vec![DestinationRule::new("crm"), confirmed, all]);
        let mut bench = Bench::with_rules(open.clone(), &format!("no-{number}"), rules).await;
        bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
        assert_eq!(
            changes_sent(&bench, "crm", 1).await,
            [(Kind::Record, Change::Subscribe)]
        );
        assert_eq!(changes_sent(&bench, "confirmed", 1).await, []);
        assert_eq!(
            changes_sent(&bench, "archive", 1).await,
            [(Kind::Record, Change::Subscribe)]
        );
        bench.take(status("ada", What::DoubleOptIn, at(2)), 2).await;
        // The action was held back until the click.
        let expected = [(Kind::Record, Change::Subscribe)];
        assert_eq!(changes_sent(&bench, "confirmed", 3).await, expected);
        for destination in ["crm", "confirmed", "archive"] {
            let expected = [(Kind::Contact, Change::Subscribe)];
            assert_eq!(
                changes_sent(&bench, destination, 3).await,
                expected,
                "{destination}"
            );
        }
        bench.take(status("ada", what.clone(), at(4)), 4).await;
        for destination in ["crm", "confirmed"] {
            let expected = [(Kind::Withdrawal, change)];
            assert_eq!(
                changes_sent(&bench, destination, 5).await,
                expected,
                "{what:?} at {destination}"
            );
        }
        assert_eq!(
            changes_sent(&bench, "archive", 5).await,
            [(Kind::Withdrawal, change)],
            "{what:?}"
        );
        // An opt-in on a form ends an opt-out, but not a suppression.
        bench.take(signed("ada", "2", What::OptIn, at(6)), 6).await;
        let expected: &[_] = match change {
            Change::Unsubscribe => &[(Kind::Record, Change::Subscribe)],
            _ => &[],
        };
        assert_eq!(changes_sent(&bench, "crm", 7).await, expected, "{what:?}");
        // The click ends both, unless it comes so soon that a mail scanner may have made it.
        let click = 8 + 300;
        bench
            .take(status("ada", What::DoubleOptIn, at(click)), click)
            .await;
        // After a suppression the click releases the action of the form's opt-in, which was held back.
        let kind = match change {
            Change::Unsubscribe => Kind::Contact,
            _ => Kind::Record,
        };
        let expected = [(kind, Change::Subscribe)];
        assert_eq!(changes_sent(&bench, "crm", click + 1).await, expected, "{what:?}");
        bench.assert_balanced().await;
    }
}

pub async fn a_change_that_cannot_be_received_is_skipped_with_that_reason(open: Open) {
    let mut adds = DestinationRule::new("adds");
    adds.supported_changes = vec![Change::Subscribe];
    let mut audience = DestinationRule::new("audience");
    audience.supported_changes = vec![Change::Subscribe, Change::Remove];
    let mut bench = Bench::new(open, vec![adds, audience]).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    for destination in ["adds", "audience"] {
        assert_eq!(
            changes_sent(&bench, destination, 1).await,
            [(Kind::Record, Change::Subscribe)]
        );
    }
    let id = bench.take(status("ada", What::Bounced, at(2)), 2).await;
    assert_eq!(changes_sent(&bench, "adds", 3).await, []);
    assert_eq!(
        changes_sent(&bench, "audience", 3).await,
        [(Kind::Withdrawal, Change::Remove)]
    );
    let trace = bench.store().trace(id).await.unwrap().unwrap();
    let skipped = &trace.deliveries[0].delivery;
    assert_eq!(
        (&*skipped.destination, skipped.state.as_str()),
        ("adds", "skipped")
    );
    let reason = skipped.reason.as_deref().unwrap();
    assert_eq!(
        reason,
        "consent: this destination cannot receive suppress (only subscribe); update it by hand"
    );
    bench.assert_balanced().await;
}

pub async fn each_purpose_has_a_consent_of_its_own(open: Open) {
    let mut calls = DestinationRule::new("calls");
    calls.purpose = "phone".into();
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm"), calls]).await;
    let mut event = signed("ada", "1", What::Declined, at(0));
    let mut by_phone = fact(What::OptIn, at(0));
    "phone".clone_into(&mut by_phone.purpose);
    event.consent.push(by_phone.clone());
    bench.take(event, 0).await;
    assert_eq!(changes_sent(&bench, "crm", 1).await, []);
    assert_eq!(
        changes_sent(&bench, "calls", 1).await,
        [(Kind::Record, Change::Subscribe)]
    );
    // An opt-out of e-mail is no opt-out of calls. The record for calls shows the consent state for calls.
    bench.take(status("ada", What::Unsubscribed, at(2)), 2).await;
    assert_eq!(
        changes_sent(&bench, "calls", 3).await,
        [(Kind::Contact, Change::Subscribe)]
    );
    let mut no_calls = status("ada", What::Unsubscribed, at(4));
    "phone".clone_into(&mut no_calls.consent[0].purpose);
    bench.take(no_calls, 4).await;
    assert_eq!(
        changes_sent(&bench, "calls", 5).await,
        [(Kind::Withdrawal, Change::Unsubscribe)]
    );
    let person = bench.person("ada").await;
    assert_eq!(
        person.consent_state.keys().collect::<Vec<_>>(),
        ["email", "phone"]
    );
    assert_eq!(person.ledger.len(), 4);
    bench.assert_balanced().await;
}

pub async fn deliveries_planned_before_an_opt_out_are_not_sent_after_it(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.take(signed("ada", "2", What::OptIn, at(1)), 1).await;
    bench.take(status("ada", What::Unsubscribed, at(2)), 2).await;
    // Nothing was sent yet, so only the opt-out goes out.
    assert_eq!(
        changes_sent(&bench, "crm", 3).await,
        [(Kind::Withdrawal, Change::Unsubscribe)]
    );
    assert_eq!(changes_sent(&bench, "crm", 4).await, []);
    // An opt-out that arrives late, dated before the opt-in, changes nothing.
    bench.take(signed("ben", "3", What::OptIn, at(10)), 10).await;
    bench.take(status("ben", What::Unsubscribed, at(9)), 11).await;
    let first = [(Kind::Record, Change::Subscribe)];
    assert_eq!(changes_sent(&bench, "crm", 12).await, first);
    bench.assert_balanced().await;
}

pub async fn a_stale_retry_never_subscribes_again(open: Open) {
    for (number, escape_after) in [1, 5].into_iter().enumerate() {
        let mut rule = DestinationRule::new("crm");
        rule.escape_after = escape_after;
        let rules = crate::builders::rules(vec![rule]);
        let mut bench = Bench::with_rules(open.clone(), &format!("stale-{number}"), rules).await;
        bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
        let first = bench.claim("crm", 1).await.deliveries;
        bench.end(&first[0], Next::Waiting { due_at: at(100) }, 1).await;
        // The first may have arrived all the same. So the withdrawal is sent, and passes the failed delivery.
        bench.take(status("ada", What::Unsubscribed, at(2)), 2).await;
        assert_eq!(
            changes_sent(&bench, "crm", 3).await,
            [(Kind::Withdrawal, Change::Unsubscribe)]
        );
        assert_eq!(
            changes_sent(&bench, "crm", 101).await,
            [],
            "escape_after = {escape_after}"
        );
        let trace = bench
            .store()
            .trace(first[0].record.inbox_id)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(trace.deliveries[0].delivery.state, "skipped");
        bench.assert_balanced().await;
    }
}

pub async fn an_opt_out_does_not_overtake_a_delivery_in_flight(open: Open) {
    for (number, escape_after) in [1, 5].into_iter().enumerate() {
        let mut rule = DestinationRule::new("crm");
        rule.escape_after = escape_after;
        let rules = crate::builders::rules(vec![rule]);
        let mut bench = Bench::with_rules(open.clone(), &format!("way-{number}"), rules).await;
        bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
        let failed = bench.claim("crm", 1).await.deliveries;
        bench.end(&failed[0], Next::Waiting { due_at: at(2) }, 1).await;
        let slow = bench.claim("crm", 2).await.deliveries;
        bench.take(status("ada", What::Unsubscribed, at(3)), 3).await;
        assert_eq!(
            changes_sent(&bench, "crm", 4).await,
            [],
            "escape_after = {escape_after}"
        );
        let claimed = bench.claim("crm", 4).await;
        assert!(claimed.deliveries.is_empty() && claimed.next_due.is_some());
        bench.end(&slow[0], Next::Delivered, 5).await;
        assert_eq!(
            changes_sent(&bench, "crm", 6).await,
            [(Kind::Withdrawal, Change::Unsubscribe)]
        );
        bench.assert_balanced().await;
    }
}
