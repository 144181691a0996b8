//! What became of an address, said without naming it or by somebody else who uses it; and destinations with a new name.

use std::collections::BTreeSet;

use causeway_core::{
    consent::{Change, EMAIL, Terms, What},
    contact::Identity,
    delivery::Kind,
    event::{Event, EventKind},
    id::Name,
    rules::{DestinationRule, Filter},
};

use super::{
    Bench, Open,
    addresses::{LATER, contact_with, id, of, platform, sent},
};
use crate::builders::{INSTANCE, at, fact, rules, signed, status};

/// A platform's contact that opts in.
pub(super) fn joins(number: &str, name: &str, seconds: i64) -> Event {
    let mut event = platform(number, name, "Ada", seconds);
    event.consent = vec![fact(What::OptIn, at(seconds))];
    event
}

/// Says what became of the address of somebody of whom only the id is given.
fn status_of(number: &str, what: What, seconds: i64) -> Event {
    let mut event = Event::new(EventKind::EmailStatus, INSTANCE.into(), at(seconds));
    event.identities = vec![id(number)];
    event.consent = vec![fact(what, at(seconds))];
    event
}

pub async fn a_bounce_that_names_no_address_ends_by_a_click_at_the_address(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(joins("71", "old", 0), 0).await;
    bench.take(joins("71", "new", 5), 5).await;
    bench.take(status_of("71", What::Bounced, 10), 10).await;
    let click = |name| status(name, What::DoubleOptIn, at(LATER));
    bench.take(click("old"), LATER).await;
    let person = contact_with(&bench, "71").await;
    assert_eq!(person.contact.text("email"), Some("new@example.org"));
    assert_eq!(
        person.standing["email"].as_str(),
        "suppressed",
        "the click says that the old address works"
    );
    bench.take(click("new"), LATER + 1).await;
    assert!(contact_with(&bench, "71").await.standing["email"].is_subscribed());
}

pub async fn a_bounce_that_names_no_address_holds_for_everybody_who_uses_it(open: Open) {
    for bounce_first in [false, true] {
        let name = format!("bounce-first-{bounce_first}");
        let rules = rules(vec![DestinationRule::new("crm")]);
        let mut bench = Bench::with_rules(open.clone(), &name, rules).await;
        bench.take(joins("71", "family", 0), 0).await;
        if bounce_first {
            bench.take(status_of("71", What::Bounced, 10), 10).await;
            bench.take(joins("72", "family", 20), 20).await;
            let all = sent(&bench, "crm", 21).await;
            assert!(
                all.iter().all(|(_, change, _)| *change != Change::Subscribe),
                "{all:?}"
            );
        } else {
            bench.take(joins("72", "family", 5), 5).await;
            sent(&bench, "crm", 6).await;
            bench.take(status_of("71", What::Bounced, 10), 10).await;
            let expected = vec![of(Kind::Withdrawal, Change::Suppress, "family"); 2];
            assert_eq!(sent(&bench, "crm", 11).await, expected);
        }
        assert_eq!(
            contact_with(&bench, "72").await.standing["email"].as_str(),
            "suppressed"
        );
        bench.assert_balanced().await;
    }
}

pub async fn an_opt_out_for_a_mailbox_reaches_who_was_given_it_by_a_former_user(open: Open) {
    let mut rule = DestinationRule::new("crm");
    rule.filter = Filter {
        campaigns: Some(BTreeSet::from(["clean_air".to_owned()])),
        ..Filter::default()
    };
    let mut bench = Bench::new(open, vec![rule]).await;
    let mut first = signed("family", "1", What::OptIn, at(0));
    first.identities.push(id("71"));
    bench.take(first, 0).await;
    assert_eq!(
        sent(&bench, "crm", 1).await,
        [of(Kind::Record, Change::Subscribe, "family")]
    );
    // Another uses the mailbox, and the first moves on. The destination hears of neither.
    bench.take(joins("72", "family", 10), 10).await;
    bench.take(joins("71", "own", 30), 30).await;
    assert_eq!(sent(&bench, "crm", 31).await, []);
    let mut leaves = platform("72", "family", "Lena", 40);
    leaves.consent = vec![fact(What::Unsubscribed, at(25))];
    bench.take(leaves, 40).await;
    assert_eq!(
        sent(&bench, "crm", 41).await,
        [of(Kind::Withdrawal, Change::Unsubscribe, "family")]
    );
    assert!(contact_with(&bench, "71").await.standing["email"].is_subscribed());
    bench.assert_balanced().await;
}

pub async fn calls_belong_to_the_person_and_not_to_a_mailbox_that_they_left(open: Open) {
    let mut rule = DestinationRule::new("calls");
    rule.purpose = "phone".into();
    rule.filter = Filter {
        campaigns: Some(BTreeSet::from(["clean_air".to_owned()])),
        ..Filter::default()
    };
    let mut bench = Bench::new(open, vec![rule]).await;
    let about_calls = |what, seconds| {
        let mut fact = fact(what, at(seconds));
        "phone".clone_into(&mut fact.purpose);
        vec![fact]
    };
    let mut first = signed("family", "1", What::NotAsked, at(0));
    first.identities.push(id("71"));
    first.consent = about_calls(What::OptIn, 0);
    bench.take(first, 0).await;
    assert_eq!(
        sent(&bench, "calls", 1).await,
        [of(Kind::Record, Change::Subscribe, "family")]
    );
    bench.take(platform("72", "family", "Lena", 10), 10).await;
    bench.take(platform("71", "own", "Ada", 20), 20).await;
    let mut ends = platform("71", "own", "Ada", 30);
    ends.consent = about_calls(What::Unsubscribed, 30);
    bench.take(ends, 30).await;
    assert_eq!(
        sent(&bench, "calls", 31).await,
        [of(Kind::Withdrawal, Change::Unsubscribe, "family")]
    );
    bench.assert_balanced().await;
}

pub async fn a_bounce_does_not_bring_an_old_address_back(open: Open) {
    for order in [[0, 1, 2], [2, 0, 1], [0, 2, 1]] {
        let rules = rules(vec![DestinationRule::new("crm")]);
        let mut bench = Bench::with_rules(open.clone(), &format!("order-{order:?}"), rules).await;
        let mut bounce = status("old", What::Bounced, at(20));
        bounce.identities.push(id("71"));
        bounce.fields.insert("email".to_owned(), "old@example.org".into());
        let all = [joins("71", "old", 0), joins("71", "new", 10), bounce];
        for index in order {
            bench.take(all[index].clone(), 30).await;
        }
        let person = contact_with(&bench, "71").await;
        assert_eq!(person.contact.text("email"), Some("new@example.org"), "{order:?}");
        assert!(person.standing["email"].is_subscribed(), "{order:?}");
    }
}

pub async fn a_value_dated_in_the_future_counts_from_when_it_came(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(platform("71", "ada", "Of tomorrow", 86_400), 0).await;
    bench.take(platform("71", "ada", "Of today", 10), 10).await;
    assert_eq!(
        contact_with(&bench, "71").await.contact.text("firstName"),
        Some("Of today")
    );
}

fn renamed() -> DestinationRule {
    let mut rule = DestinationRule::new("newsletter");
    rule.renamed_from = Some("crm".into());
    rule
}

pub async fn a_renamed_destination_is_the_same_destination(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(joins("71", "ada", 0), 0).await;
    sent(&bench, "crm", 1).await;
    bench.take(joins("72", "ben", 2), 2).await;
    let before = bench.claim("crm", 3).await.deliveries;
    bench.set_rules(rules(vec![renamed()])).await;
    bench.reopen().await;
    bench.set_rules(rules(vec![renamed()])).await;
    // What was on its way comes again under the same key.
    let after = bench.claim("newsletter", 1_000).await.deliveries;
    assert_eq!(after.len(), 1);
    assert_eq!(
        (after[0].id, &after[0].key),
        (before[0].id, &before[0].key),
        "one delivery"
    );
    let mut leaves = platform("71", "ada", "Ada", 1_010);
    leaves.consent = vec![fact(What::Unsubscribed, at(1_010))];
    bench.take(leaves, 1_010).await;
    assert_eq!(
        sent(&bench, "newsletter", 1_011).await,
        [of(Kind::Withdrawal, Change::Unsubscribe, "ada")]
    );
    bench.assert_balanced().await;
}

pub async fn an_opt_out_by_an_id_alone_counts_for_the_mailbox(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(platform("71", "family", "Ada", 0), 0).await;
    bench.take(joins("72", "family", 1), 1).await;
    sent(&bench, "crm", 2).await;
    bench.take(status_of("72", What::Unsubscribed, 10), 10).await;
    let all = sent(&bench, "crm", 11).await;
    assert!(
        all.contains(&of(Kind::Withdrawal, Change::Unsubscribe, "family")),
        "{all:?}"
    );
    bench.take(platform("71", "family", "Ada Ann", 20), 20).await;
    bench.take(platform("73", "family", "Bea", 21), 21).await;
    let all = sent(&bench, "crm", 22).await;
    assert!(
        all.iter().all(|(_, change, _)| *change != Change::Subscribe),
        "{all:?}"
    );
    for number in ["71", "72", "73"] {
        let standing = &contact_with(&bench, number).await.standing["email"];
        assert_eq!(standing.as_str(), "unsubscribed", "{number}");
    }
}

/// The office knows the person by one address and the site by another; the site says that its mail did not arrive.
pub async fn what_an_id_says_of_its_address_counts_for_the_addresses_that_came_with_it(open: Open) {
    let office = || Identity::ForeignId {
        namespace: "office".into(),
        id: "5".to_owned(),
    };
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    let mut of_office = joins("1", "old", 10);
    of_office.identities[0] = office();
    bench.take(of_office, 10).await;
    bench.take(joins("71", "new", 20), 20).await;
    let mut both = platform("71", "new", "Ada", 21);
    both.identities.push(office());
    bench.take(both, 21).await;
    // Dated before either address was known.
    bench.take(status_of("71", What::Blocked, 5), 30).await;
    let person = contact_with(&bench, "71").await.contact;
    let terms = Terms::default();
    let standing = |name: &str| {
        let address = format!("{name}@example.org");
        person.standing_at(EMAIL, Some(&address), &terms)
    };
    assert_eq!(standing("new").as_str(), "suppressed");
    assert_eq!(standing("old").as_str(), "opted_in");
}

pub async fn a_destination_that_left_with_people_is_named_until_it_is_forgotten(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(joins("71", "ada", 0), 0).await;
    bench.take(joins("72", "ben", 1), 1).await;
    sent(&bench, "crm", 2).await;
    bench.take(status_of("72", What::Unsubscribed, 3), 3).await;
    sent(&bench, "crm", 4).await;
    let left = async |configured: &[&str]| {
        let configured = configured.iter().map(|name| Name::from(*name)).collect();
        bench.store().left_behind(configured).await.unwrap()
    };
    assert!(left(&["crm"]).await.is_empty());
    let expected = [("crm".into(), 1)];
    assert_eq!(left(&[]).await, expected.into(), "ben was taken back");
    assert_eq!(bench.store().forget_destination("crm").await.unwrap(), 2);
    assert_eq!(bench.store().forget_destination("unknown").await.unwrap(), 0);
    assert!(left(&[]).await.is_empty());
}

pub async fn a_name_that_is_explained_too_late_still_brings_the_opt_outs(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(joins("71", "ada", 0), 0).await;
    sent(&bench, "crm", 1).await;
    let mut unexplained = renamed();
    unexplained.renamed_from = None;
    bench.set_rules(rules(vec![unexplained])).await;
    let mut leaves = status_of("71", What::Unsubscribed, 10);
    leaves.deliver = false;
    bench.take(leaves, 10).await;
    assert_eq!(sent(&bench, "newsletter", 11).await, []);
    bench.set_rules(rules(vec![renamed()])).await;
    assert_eq!(
        sent(&bench, "newsletter", 12).await,
        [of(Kind::Withdrawal, Change::Unsubscribe, "ada")]
    );
    bench.assert_balanced().await;
}
