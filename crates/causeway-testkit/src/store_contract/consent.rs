//! What events say of people and their consent, and what destinations hear of it.

use causeway_core::{
    consent::{Policy, What},
    contact::Identity,
    event::{Engagement, EngagementKind, Event, EventKind},
    rules::DestinationRule,
};

use super::{Bench, Open};
use crate::builders::{INSTANCE, at, email, fact, signed};

/// A visit of a page, by the browser `visitor` and maybe somebody with a name.
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

pub async fn a_visitor_becomes_whoever_gives_a_name(open: Open) {
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

pub async fn a_browser_that_two_people_use_does_not_make_them_one(open: Open) {
    let mut bench = Bench::new(open, vec![everybody()]).await;
    bench.take(visit("v1", Some("ada"), "/a", 0), 0).await;
    bench.take(visit("v1", Some("ben"), "/b", 1), 1).await;
    bench.take(visit("v1", None, "/c", 2), 2).await;
    assert_eq!(pages(&bench, "ada").await, ["/a", "/c"]);
    assert_eq!(pages(&bench, "ben").await, ["/b"]);
    // Ada asks to be forgotten; whoever else sits at that browser goes on being known.
    let ada = bench.person("ada").await.id;
    bench.store().erase(ada, at(3)).await.unwrap();
    bench.take(visit("v1", None, "/d", 4), 4).await;
    bench.take(visit("v1", Some("ben"), "/e", 5), 5).await;
    assert_eq!(pages(&bench, "ben").await, ["/b", "/e"]);
    bench.assert_balanced().await;
}

pub async fn a_visitor_without_a_name_is_told_to_nobody(open: Open) {
    let mut bench = Bench::new(open, vec![everybody()]).await;
    let mut tagged = visit("v1", None, "/a", 0);
    tagged.fields.insert("tag:curious".to_owned(), true.into());
    bench.take(tagged, 0).await;
    assert_eq!(bench.deliver_all("crm", 1).await, []);
    let mut named = visit("v1", Some("ada"), "/b", 2);
    named.consent = vec![fact(What::OptIn, at(2))];
    let told = bench.take(named, 2).await;
    assert_eq!(bench.deliver_all("crm", 3).await, [told]);
    // What it does later is hers.
    let mut tagged = visit("v1", None, "/c", 4);
    tagged.fields.insert("tag:keen".to_owned(), true.into());
    let told = bench.take(tagged, 4).await;
    assert_eq!(bench.deliver_all("crm", 5).await, [told]);
    let person = bench.person("ada").await;
    assert_eq!(person.contact.tags().collect::<Vec<_>>(), ["curious", "keen"]);
    assert!(person.contact.gave_data);
    bench.take(signed("ada", "1", What::OptIn, at(6)), 6).await;
    bench.assert_balanced().await;
}
