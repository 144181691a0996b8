//! Facts about an address that do not name it, or that come from another user of it; and renamed
//! destinations.

use std::collections::BTreeSet;

use causeway_core::{
    consent::{Change, EMAIL, Policy, Terms, What},
    contact::Identity,
    delivery::Kind,
    event::{Event, EventKind},
    id::Name,
    rules::{DEFAULT_WORKSPACE, DestinationRule, Filter},
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

/// A fact about the address of a contact that only its id names.
pub(super) fn status_of(number: &str, what: What, seconds: i64) -> Event {
    let mut event = Event::new(EventKind::EmailStatus, INSTANCE.into(), at(seconds));
    event.identities = vec![id(number)];
    event.consent = vec![fact(what, at(seconds))];
    event
}

pub async fn a_bounce_without_an_address_ends_by_a_click_at_the_address(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(joins("71", "old", 0), 0).await;
    bench.take(joins("71", "new", 5), 5).await;
    bench.take(status_of("71", What::Bounced, 10), 10).await;
    let click = |name| status(name, What::DoubleOptIn, at(LATER));
    bench.take(click("old"), LATER).await;
    let person = contact_with(&bench, "71").await;
    assert_eq!(person.contact.text("email"), Some("new@example.org"));
    assert_eq!(
        person.consent_state["email"].as_str(),
        "suppressed",
        "the click shows that the old address works"
    );
    bench.take(click("new"), LATER + 1).await;
    assert!(contact_with(&bench, "71").await.consent_state["email"].is_subscribed());
}

pub async fn a_bounce_without_an_address_holds_for_all_users_of_the_mailbox(open: Open) {
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
            contact_with(&bench, "72").await.consent_state["email"].as_str(),
            "suppressed"
        );
        bench.assert_balanced().await;
    }
}

pub async fn an_opt_out_reaches_destinations_given_the_mailbox_with_a_former_user(open: Open) {
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
    // Another contact uses the mailbox, and the first one moves away. The destination is not sent either.
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
    assert!(contact_with(&bench, "71").await.consent_state["email"].is_subscribed());
    bench.assert_balanced().await;
}

pub async fn consent_to_calls_stays_with_the_person_and_not_with_a_former_mailbox(open: Open) {
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
        assert!(person.consent_state["email"].is_subscribed(), "{order:?}");
    }
}

pub async fn a_value_dated_in_the_future_is_dated_by_its_arrival(open: Open) {
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
    // A delivery that was in flight is claimed again under the same key.
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
        let consent_state = &contact_with(&bench, number).await.consent_state["email"];
        assert_eq!(consent_state.as_str(), "unsubscribed", "{number}");
    }
}

/// Only one of two users was given. That user opts out for the mailbox, and moves away before the destination
/// was sent it.
pub async fn an_opt_out_reaches_destinations_given_the_mailbox_with_a_leaving_user(open: Open) {
    for moves_first in [false, true] {
        let name = format!("moves-first-{moves_first}");
        let mut bench = Bench::with_rules(open.clone(), &name, rules(Vec::new())).await;
        bench.take(joins("71", "family", 0), 0).await;
        bench.take(joins("72", "family", 1), 1).await;
        bench.set_rules(rules(vec![DestinationRule::new("crm")])).await;
        bench.take(platform("71", "family", "Ada Ann", 2), 2).await;
        assert_eq!(
            sent(&bench, "crm", 3).await,
            [of(Kind::Record, Change::Subscribe, "family")]
        );
        let mut leaves = platform("71", "family", "Ada Ann", 10);
        leaves.kind = EventKind::EmailStatus;
        leaves.consent = vec![fact(What::Unsubscribed, at(10))];
        let moves = joins("71", "own", 12);
        if moves_first {
            bench.take(moves, 12).await;
            bench.take(leaves, 13).await;
        } else {
            bench.take(leaves, 12).await;
            bench.take(moves, 13).await;
        }
        let all = sent(&bench, "crm", 14).await;
        let withdrawal = of(Kind::Withdrawal, Change::Unsubscribe, "family");
        assert!(all.contains(&withdrawal), "{name}: {all:?}");
        bench.assert_balanced().await;
    }
}

/// A contact moves to an address that another contact also has, and opts out at the former one.
pub async fn an_opt_out_at_a_former_address_reaches_both_mailboxes(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(joins("71", "old", 0), 0).await;
    bench.take(platform("72", "other", "Bea", 1), 1).await;
    bench.take(platform("71", "other", "Ada", 2), 2).await;
    let all = sent(&bench, "crm", 3).await;
    assert!(
        all.iter()
            .any(|(_, change, address)| *change == Change::Subscribe && address.contains("other")),
        "{all:?}"
    );
    let mut no = platform("71", "old", "Ada", 10);
    no.consent = vec![fact(What::Unsubscribed, at(10))];
    bench.take(no, 10).await;
    let all = sent(&bench, "crm", 11).await;
    for address in ["old", "other"] {
        let withdrawal = of(Kind::Withdrawal, Change::Unsubscribe, address);
        assert!(all.contains(&withdrawal), "{address}: {all:?}");
    }
}

pub async fn a_report_about_a_former_address_does_not_bring_it_back(open: Open) {
    let kinds = [
        EventKind::EmailStatus,
        EventKind::Engagement,
        EventKind::ContactSync,
    ];
    for (number, kind) in kinds.into_iter().enumerate() {
        let name = format!("report-{number}");
        let rules = rules(vec![DestinationRule::new("crm")]);
        let mut bench = Bench::with_rules(open.clone(), &name, rules).await;
        bench.take(joins("71", "old", 0), 0).await;
        bench.take(joins("71", "new", 1), 1).await;
        let mut report = platform("71", "old", "Ada", 10);
        report.kind = kind;
        report.consent = vec![fact(What::Bounced, at(10))];
        bench.take(report, 10).await;
        let person = contact_with(&bench, "71").await;
        assert_eq!(person.contact.text("email"), Some("new@example.org"), "{kind:?}");
        assert!(person.consent_state["email"].is_subscribed(), "{kind:?}");
    }
}

/// The office knows the person by one address and the site by another. The site reports that its mail was
/// blocked.
pub async fn facts_by_an_id_count_for_the_addresses_that_came_with_it(open: Open) {
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
    let consent_state = |name: &str| {
        let address = format!("{name}@example.org");
        person.consent_state_at(EMAIL, Some(&address), &terms)
    };
    assert_eq!(consent_state("new").as_str(), "suppressed");
    assert_eq!(consent_state("old").as_str(), "opted_in");
}

/// The destination was absent when the opt-out came, or had another purpose, or comes back under another
/// name.
pub async fn an_opt_out_reaches_a_destination_that_was_absent_meanwhile(open: Open) {
    let for_calls = || DestinationRule {
        purpose: "phone".into(),
        ..DestinationRule::new("crm")
    };
    let cases = [
        ("put back", None, DestinationRule::new("crm")),
        ("renamed", None, renamed()),
        ("for calls", Some(for_calls()), for_calls()),
        ("for mail again", Some(for_calls()), DestinationRule::new("crm")),
    ];
    for (number, (case, meanwhile, back)) in cases.into_iter().enumerate() {
        let at_first = rules(vec![DestinationRule::new("crm")]);
        let mut bench = Bench::with_rules(open.clone(), &format!("back-{number}"), at_first).await;
        bench.take(joins("71", "ada", 0), 0).await;
        bench.take(joins("72", "ben", 1), 1).await;
        sent(&bench, "crm", 2).await;
        let is_there = meanwhile.is_some();
        bench.set_rules(rules(meanwhile.into_iter().collect())).await;
        bench.take(status_of("71", What::Unsubscribed, 10), 10).await;
        let mut all = Vec::new();
        if is_there {
            all = sent(&bench, "crm", 11).await;
        }
        let name = back.name.clone();
        bench.set_rules(rules(vec![back])).await;
        all.extend(sent(&bench, &name, 12).await);
        let expected = [of(Kind::Withdrawal, Change::Unsubscribe, "ada")];
        assert_eq!(all, expected, "{case}");
        bench.assert_balanced().await;
    }
}

/// The destination is sent everybody and cannot receive an opt-out: the form with the opt-out would look like
/// any other.
pub async fn a_destination_that_cannot_receive_opt_outs_is_not_sent_the_message(open: Open) {
    let mute = DestinationRule {
        policy: Policy::All,
        supported_changes: Vec::new(),
        ..DestinationRule::new("crm")
    };
    let mut bench = Bench::new(open, vec![mute]).await;
    bench.take(joins("71", "ada", 0), 0).await;
    assert_eq!(sent(&bench, "crm", 1).await.len(), 1);
    for seconds in [10, 20] {
        let mut no = platform("71", "ada", "Ada", seconds);
        no.fields.insert("city".to_owned(), seconds.into());
        no.consent = vec![fact(What::Unsubscribed, at(seconds))];
        bench.take(no, seconds).await;
        assert_eq!(sent(&bench, "crm", seconds + 1).await, []);
    }
    let by_hand = bench.store().by_hand(std::sync::Arc::default()).await.unwrap();
    assert_eq!(by_hand, [("crm".into(), 1)].into());
    bench.assert_balanced().await;
}

/// Bob's record at the platform once came with Jane's address.
pub async fn a_split_gives_nobody_the_address_of_the_other(open: Open) {
    let email = |name: &str| Identity::Email {
        address: format!("{name}@example.org"),
    };
    let cases: [(&str, Vec<Identity>); 3] = [
        ("the id", vec![id("72")]),
        ("the address", vec![email("jane")]),
        ("id and address", vec![id("72"), email("bob")]),
    ];
    for (number, (case, taken)) in cases.into_iter().enumerate() {
        let name = format!("split-{number}");
        let rules = rules(vec![DestinationRule::new("crm")]);
        let mut bench = Bench::with_rules(open.clone(), &name, rules).await;
        let mut jane = platform("72", "jane", "Jane", 2);
        jane.identities = vec![email("jane")];
        jane.consent = vec![fact(What::OptIn, at(2))];
        let mut no = jane.clone();
        no.at = at(4);
        no.consent = vec![fact(What::Unsubscribed, at(4))];
        let events = [
            (joins("72", "bob", 1), 1),
            (jane, 2),
            (platform("72", "jane", "Bob", 3), 3),
            (no, 4),
        ];
        let mut read = std::collections::BTreeMap::new();
        for (event, seconds) in events {
            let inbox = bench.take(event.clone(), seconds).await;
            read.insert(inbox, event);
        }
        sent(&bench, "crm", 5).await;
        let one = contact_with(&bench, "72").await;
        let taken = taken.into_iter().collect();
        let split = bench.store().split(one.id, taken, read, at(6)).await.unwrap();
        assert!(split.is_some(), "{case}");
        let all = sent(&bench, "crm", 7).await;
        assert!(
            !all.contains(&of(Kind::Contact, Change::Subscribe, "jane")),
            "{case}: {all:?}"
        );
        let bob = contact_with(&bench, "72").await;
        assert_eq!(bob.contact.text("email"), Some("bob@example.org"), "{case}");
        assert!(bob.consent_state["email"].is_subscribed(), "{case}");
        let jane = bench.person("jane").await;
        assert_eq!(jane.contact.text("email"), Some("jane@example.org"), "{case}");
        assert_eq!(jane.consent_state["email"].as_str(), "unsubscribed", "{case}");
        // The next deliveries of each go to their own address.
        bench.take(status_of("72", What::OptIn, 20), 20).await;
        let all = sent(&bench, "crm", 21).await;
        assert!(
            all.iter()
                .all(|(_, change, address)| *change != Change::Subscribe || !address.contains("jane")),
            "{case}: {all:?}"
        );
        bench.assert_balanced().await;
    }
}

/// An address that came only with the id moves along, so no identity would be left.
pub async fn a_split_that_would_leave_no_identity_is_refused(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    let event = joins("71", "ada", 0);
    let inbox = bench.take(event.clone(), 0).await;
    let one = contact_with(&bench, "71").await;
    let split = bench
        .store()
        .split(one.id, [id("71")].into(), [(inbox, event)].into(), at(1))
        .await
        .unwrap();
    assert!(split.is_none());
    let after = contact_with(&bench, "71").await;
    assert_eq!((after.id, after.contact), (one.id, one.contact));
}

pub async fn people_of_a_workspace_that_a_destination_left_are_reported(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(joins("71", "ada", 0), 0).await;
    sent(&bench, "crm", 2).await;
    let left = async || {
        let here = vec![("crm".into(), "elsewhere".into())];
        bench.store().left_behind(here).await.unwrap()
    };
    assert!(left().await.is_empty());
    let moved = DestinationRule {
        workspace: "elsewhere".into(),
        ..DestinationRule::new("crm")
    };
    bench.store().set_rules(rules(vec![moved]).into()).await.unwrap();
    assert_eq!(left().await, [("crm".into(), 1)].into());
    let forgotten = bench.store().forget_destination("crm", Some("elsewhere".into()));
    assert_eq!(forgotten.await.unwrap(), 1);
    assert!(left().await.is_empty());
}

pub async fn a_removed_destination_with_people_is_reported_until_it_is_forgotten(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(joins("71", "ada", 0), 0).await;
    bench.take(joins("72", "ben", 1), 1).await;
    sent(&bench, "crm", 2).await;
    bench.take(status_of("72", What::Unsubscribed, 3), 3).await;
    sent(&bench, "crm", 4).await;
    let left = async |configured: &[&str]| {
        let place = |name: &&str| (Name::from(*name), Name::from(DEFAULT_WORKSPACE));
        let configured = configured.iter().map(place).collect();
        bench.store().left_behind(configured).await.unwrap()
    };
    assert!(left(&["crm"]).await.is_empty());
    let expected = [("crm".into(), 1)];
    assert_eq!(left(&[]).await, expected.into(), "ben was withdrawn");
    // The hub still has it, whatever configuration the command reads.
    let error = bench.store().forget_destination("crm", None).await.unwrap_err();
    assert!(
        error.to_string().contains("last ran with the destination crm"),
        "{error}"
    );
    bench.store().set_rules(rules(vec![]).into()).await.unwrap();
    assert_eq!(bench.store().forget_destination("crm", None).await.unwrap(), 2);
    assert_eq!(
        bench.store().forget_destination("unknown", None).await.unwrap(),
        0
    );
    assert!(left(&[]).await.is_empty());
}

/// Ben was sent under both names.
pub async fn a_rename_declared_too_late_still_brings_the_opt_outs(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(joins("71", "ada", 0), 0).await;
    bench.take(joins("72", "ben", 0), 0).await;
    sent(&bench, "crm", 1).await;
    let mut unexplained = renamed();
    unexplained.renamed_from = None;
    bench.set_rules(rules(vec![unexplained])).await;
    bench.take(platform("72", "ben", "Ben", 5), 5).await;
    assert_eq!(
        sent(&bench, "newsletter", 6).await,
        [of(Kind::Record, Change::Subscribe, "ben")]
    );
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

pub async fn what_arrived_under_a_former_name_stays_confirmed(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(joins("71", "ada", 0), 0).await;
    sent(&bench, "crm", 1).await;
    let mut unexplained = renamed();
    unexplained.renamed_from = None;
    bench.set_rules(rules(vec![unexplained.clone()])).await;
    // The later configuration no longer says what the name was before.
    for rule in [renamed(), unexplained] {
        bench.set_rules(rules(vec![rule])).await;
        let given = contact_with(&bench, "71").await.given;
        assert_eq!(given.len(), 1);
        assert_eq!(
            (&*given[0].destination, given[0].unconfirmed),
            ("newsletter", None)
        );
    }
}
