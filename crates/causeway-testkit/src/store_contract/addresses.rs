//! Addresses and the people behind them: facts of an address, facts of a person, and what each destination
//! was given under which address.

use std::collections::BTreeSet;

use causeway_core::{
    consent::{Change, ConsentState, Policy, Suppression, What},
    contact::Identity,
    delivery::{Kind, Next},
    event::Event,
    rules::{DestinationRule, Filter},
};

use super::{Bench, Open};
use crate::builders::{INSTANCE, at, email, fact, rules, signed, status, synced};

/// After the time within which a click after an opt-out does not count.
pub(super) const LATER: i64 = 1_000;

pub(super) fn id(number: &str) -> Identity {
    Identity::ForeignId {
        namespace: INSTANCE.into(),
        id: number.to_owned(),
    }
}

/// A platform's contact with this id and address.
pub(super) fn platform(number: &str, name: &str, first_name: &str, seconds: i64) -> Event {
    let address = format!("{name}@example.org");
    let mut event = synced(
        name,
        &[("email", &address), ("firstName", first_name)],
        at(seconds),
    );
    event.identities.push(id(number));
    event
}

/// Kind, change and address of the deliveries that go out next, in order.
pub(super) async fn sent(bench: &Bench, destination: &str, seconds: i64) -> Vec<(Kind, Change, String)> {
    let mut sent = Vec::new();
    loop {
        let claimed = bench.claim(destination, seconds).await.deliveries;
        if claimed.is_empty() {
            return sent;
        }
        for delivery in claimed {
            let record = &delivery.record;
            sent.push((
                record.kind,
                record.change,
                record.email().unwrap_or_default().to_owned(),
            ));
            bench.end(&delivery, Next::Delivered, seconds).await;
        }
    }
}

pub(super) fn of(kind: Kind, change: Change, name: &str) -> (Kind, Change, String) {
    (kind, change, format!("{name}@example.org"))
}

pub(super) async fn contact_with(bench: &Bench, number: &str) -> causeway_core::store::ContactView {
    let found = bench.store().find_contacts(number).await.unwrap();
    assert_eq!(found.len(), 1, "contacts with the id {number}");
    bench.store().contact(found[0]).await.unwrap().unwrap()
}

pub async fn a_complaint_stays_with_its_address(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    let mut joined = platform("71", "old", "Ada", 0);
    joined.consent = vec![fact(What::OptIn, at(0))];
    bench.take(joined, 0).await;
    assert_eq!(
        sent(&bench, "crm", 1).await,
        [of(Kind::Record, Change::Subscribe, "old")]
    );
    bench.take(platform("71", "new", "Ada", 10), 10).await;
    assert_eq!(
        sent(&bench, "crm", 11).await,
        [of(Kind::Record, Change::Subscribe, "new")]
    );
    // It concerns the old address. The new one is sent again afterwards, for destinations with one row per
    // person.
    bench.take(status("old", What::Complained, at(20)), 20).await;
    assert_eq!(
        sent(&bench, "crm", 21).await,
        [
            of(Kind::Withdrawal, Change::Suppress, "old"),
            of(Kind::Contact, Change::Subscribe, "new")
        ]
    );
    assert!(contact_with(&bench, "71").await.consent_state["email"].is_subscribed());
    // A click in a mail to the new address does not reactivate the old one.
    bench
        .take(status("new", What::DoubleOptIn, at(LATER)), LATER)
        .await;
    sent(&bench, "crm", LATER + 1).await;
    bench
        .take(platform("71", "old", "Ada", LATER + 10), LATER + 10)
        .await;
    let person = contact_with(&bench, "71").await;
    assert_eq!(
        person.consent_state["email"],
        ConsentState::Suppressed {
            since: at(20),
            why: Suppression::Complained
        }
    );
    assert_eq!(sent(&bench, "crm", LATER + 11).await, []);
    // A click in a mail to the old address does.
    bench
        .take(status("old", What::DoubleOptIn, at(2 * LATER)), 2 * LATER)
        .await;
    assert_eq!(
        sent(&bench, "crm", 2 * LATER + 1).await,
        [
            of(Kind::Record, Change::Subscribe, "old"),
            of(Kind::Contact, Change::Subscribe, "old")
        ]
    );
    bench.assert_balanced().await;
}

pub async fn an_opt_out_reaches_every_address_that_was_given(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    for (name, seconds) in [("one", 0), ("two", 10)] {
        let mut event = platform("71", name, "Ada", seconds);
        event.consent = vec![fact(What::OptIn, at(seconds))];
        bench.take(event, seconds).await;
        bench.deliver_all("crm", seconds + 1).await;
    }
    let mut no = platform("71", "two", "Ada", 20);
    no.consent = vec![fact(What::Unsubscribed, at(20))];
    bench.take(no, 20).await;
    let expected = [
        of(Kind::Withdrawal, Change::Unsubscribe, "one"),
        of(Kind::Withdrawal, Change::Unsubscribe, "two"),
    ];
    assert_eq!(sent(&bench, "crm", 21).await, expected);
    // It was received, so the same opt-out again has no effect.
    bench.take(status("two", What::Unsubscribed, at(30)), 30).await;
    assert_eq!(sent(&bench, "crm", 31).await, []);
    bench.assert_balanced().await;
}

/// The destination's present filters and policy do not matter.
pub async fn an_opt_out_reaches_destinations_given_the_person_by_earlier_rules(open: Open) {
    for (number, policy) in [
        Policy::All,
        Policy::WithConsent,
        Policy::OptIn,
        Policy::DoubleOptIn,
    ]
    .into_iter()
    .enumerate()
    {
        let before = DestinationRule::new("crm");
        let mut bench =
            Bench::with_rules(open.clone(), &format!("rules-{number}"), rules(vec![before])).await;
        bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
        bench.deliver_all("crm", 1).await;
        let mut after = DestinationRule::new("crm");
        after.policy = policy;
        let none = || Some(BTreeSet::from(["none such".to_owned()]));
        after.filter = Filter {
            sources: none(),
            campaigns: none(),
            action_types: none(),
            ..Filter::default()
        };
        bench.set_rules(rules(vec![after])).await;
        assert_eq!(
            sent(&bench, "crm", 2).await,
            [],
            "new rules alone withdraw nobody"
        );
        bench.take(status("ada", What::Unsubscribed, at(3)), 3).await;
        assert_eq!(
            sent(&bench, "crm", 4).await,
            [of(Kind::Withdrawal, Change::Unsubscribe, "ada")],
            "{policy:?}"
        );
        // A bounce outweighs the opt-out, and is sent, too.
        bench.take(status("ada", What::Bounced, at(5)), 5).await;
        assert_eq!(
            sent(&bench, "crm", 6).await,
            [of(Kind::Withdrawal, Change::Suppress, "ada")],
            "{policy:?}"
        );
        bench.assert_balanced().await;
    }
}

/// The opt-in sufficed when the destination was given the person, and is void now.
pub async fn a_decline_reaches_destinations_given_the_person_by_an_earlier_policy(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.deliver_all("crm", 1).await;
    let mut stricter = DestinationRule::new("crm");
    stricter.policy = Policy::DoubleOptIn;
    bench.set_rules(rules(vec![stricter])).await;
    bench.take(synced("ada", &[("city", "Bern")], at(2)), 2).await;
    assert_eq!(
        sent(&bench, "crm", 3).await,
        [],
        "a stricter policy withdraws nobody"
    );
    // A fact of the same submission, about another organisation.
    bench.take(signed("ada", "2", What::Declined, at(0)), 4).await;
    assert_eq!(
        sent(&bench, "crm", 5).await,
        [of(Kind::Withdrawal, Change::Unsubscribe, "ada")]
    );
    bench.assert_balanced().await;
}

pub async fn a_withdrawal_never_waits_behind_another_delivery(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    let first = bench.claim("crm", 1).await.deliveries;
    let week = 7 * 86_400;
    bench.end(&first[0], Next::Waiting { due_at: at(week) }, 1).await;
    bench.take(signed("ada", "2", What::OptIn, at(2)), 2).await;
    bench.take(status("ada", What::Unsubscribed, at(3)), 3).await;
    assert_eq!(
        sent(&bench, "crm", 4).await,
        [of(Kind::Withdrawal, Change::Unsubscribe, "ada")]
    );
    assert_eq!(sent(&bench, "crm", week + 1).await, []);
    bench.assert_balanced().await;
}

pub async fn a_withdrawal_that_cannot_be_expressed_is_recorded_as_skipped(open: Open) {
    let mut mute = DestinationRule::new("crm");
    mute.policy = Policy::All;
    mute.supported_changes = vec![Change::Subscribe];
    let mut bench = Bench::new(open, vec![mute]).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.deliver_all("crm", 1).await;
    let id = bench.take(status("ada", What::Unsubscribed, at(2)), 2).await;
    assert_eq!(sent(&bench, "crm", 3).await, []);
    let trace = bench.store().trace(id).await.unwrap().unwrap();
    let row = &trace.deliveries[0].delivery;
    assert_eq!((row.kind.as_str(), row.state.as_str()), ("withdrawal", "skipped"));
    assert!(
        row.reason.as_deref().unwrap().contains("update it by hand"),
        "{row:?}"
    );
    // The same message again makes no second entry.
    let again = bench.take(status("ada", What::Unsubscribed, at(4)), 4).await;
    let trace = bench.store().trace(again).await.unwrap().unwrap();
    assert!(
        trace
            .deliveries
            .iter()
            .all(|row| row.delivery.kind != "withdrawal")
    );
}

pub async fn a_click_releases_deliveries_held_back(open: Open) {
    let mut confirmed = DestinationRule::new("crm");
    confirmed.policy = Policy::DoubleOptIn;
    confirmed.filter.action_types = Some(BTreeSet::from(["register".to_owned()]));
    let mut bench = Bench::new(open, vec![confirmed]).await;
    bench.take(signed("ada", "1", What::OptInPending, at(0)), 0).await;
    assert_eq!(sent(&bench, "crm", 1).await, []);
    bench.take(status("ada", What::DoubleOptIn, at(2)), 2).await;
    assert_eq!(
        sent(&bench, "crm", 3).await,
        [
            of(Kind::Record, Change::Subscribe, "ada"),
            of(Kind::Contact, Change::Subscribe, "ada")
        ]
    );
    bench.assert_balanced().await;
}

pub async fn two_ids_of_one_platform_are_two_people_with_one_mailbox(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    let mut maria = platform("71", "family", "Maria", 0);
    let mut may_call = fact(What::OptIn, at(0));
    "phone".clone_into(&mut may_call.purpose);
    maria.consent = vec![may_call, fact(What::OptIn, at(0))];
    bench.take(maria, 0).await;
    let mut lena = platform("72", "family", "Lena", 10);
    let mut no_calls = fact(What::Unsubscribed, at(10));
    "phone".clone_into(&mut no_calls.purpose);
    lena.consent = vec![no_calls];
    bench.take(lena, 10).await;
    let (maria, lena) = (contact_with(&bench, "71").await, contact_with(&bench, "72").await);
    assert_ne!(maria.id, lena.id);
    assert_eq!(
        (
            maria.contact.text("firstName"),
            maria.consent_state["phone"].as_str()
        ),
        (Some("Maria"), "opted_in")
    );
    assert_eq!(
        (
            lena.contact.text("firstName"),
            lena.consent_state["phone"].as_str()
        ),
        (Some("Lena"), "unsubscribed")
    );
    // It is one mailbox: Maria's opt-in holds for it, and so does Lena's opt-out.
    assert_eq!(lena.consent_state["email"].as_str(), "opted_in");
    sent(&bench, "crm", 11).await;
    let mut lena = platform("72", "family", "Lena", 20);
    lena.consent = vec![fact(What::Unsubscribed, at(20))];
    bench.take(lena, 20).await;
    let expected = vec![of(Kind::Withdrawal, Change::Unsubscribe, "family"); 2];
    assert_eq!(sent(&bench, "crm", 21).await, expected, "for each of the two");
    // Lena gets an address of her own, so her opt-out concerns that one.
    let mut maria = platform("71", "family", "Maria", 30);
    maria.consent = vec![fact(What::OptIn, at(30))];
    bench.take(maria, 30).await;
    let mut lena = platform("72", "lena", "Lena", 31);
    lena.consent = vec![fact(What::OptIn, at(31))];
    bench.take(lena, 31).await;
    sent(&bench, "crm", 32).await;
    let mut lena = platform("72", "lena", "Lena", 40);
    lena.consent = vec![fact(What::Unsubscribed, at(40))];
    bench.take(lena, 40).await;
    let maria = contact_with(&bench, "71").await;
    assert_eq!(maria.consent_state["email"].as_str(), "opted_in");
    // The mailbox that Lena no longer uses is Maria's.
    assert_eq!(
        sent(&bench, "crm", 41).await,
        [of(Kind::Withdrawal, Change::Unsubscribe, "lena")]
    );
    bench.assert_balanced().await;
}

pub async fn placeholder_addresses_merge_nobody(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    for number in 0..5 {
        let event = platform(&number.to_string(), "noemail", &format!("P{number}"), number);
        bench.take(event, number).await;
    }
    let people: BTreeSet<_> = {
        let mut all = BTreeSet::new();
        for number in 0..5 {
            all.insert(contact_with(&bench, &number.to_string()).await.id);
        }
        all
    };
    assert_eq!(people.len(), 5);
}

pub async fn an_id_with_a_third_address_raises_an_alarm_and_merges_nobody(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    for (name, seconds) in [("eve", 0), ("fay", 1)] {
        bench.take(platform("5", name, name, seconds), seconds).await;
    }
    let known = contact_with(&bench, "5").await;
    let third = bench.take(platform("5", "gil", "gil", 2), 2).await;
    assert_ne!(bench.person("gil").await.id, known.id);
    assert_eq!(
        contact_with(&bench, "5").await.contact.text("firstName"),
        Some("fay")
    );
    let trace = bench.store().trace(third).await.unwrap().unwrap();
    assert!(
        trace.notes.iter().any(|note| note.contains("third address")),
        "{:?}",
        trace.notes
    );
    let conflicts = bench.store().conflicts().await.unwrap();
    assert_eq!(conflicts.len(), 1);
    assert_eq!(
        (
            conflicts[0].id.as_str(),
            conflicts[0].contact,
            conflicts[0].messages
        ),
        ("5", known.id, 1)
    );
    // A message that names the id alone is still about its owner.
    let mut alone = platform("5", "eve", "Eve", 3);
    alone.identities = vec![id("5")];
    bench.take(alone, 3).await;
    assert_eq!(
        contact_with(&bench, "5").await.contact.text("firstName"),
        Some("Eve")
    );
    bench.assert_balanced().await;
}

/// A contact may have several ids; the one that the message came with is sent.
pub async fn a_record_carries_the_id_it_came_with(open: Open) {
    let mut all = DestinationRule::new("crm");
    all.policy = Policy::All;
    let mut bench = Bench::new(open, vec![all]).await;
    let mut by_visitor = Event::new(
        causeway_core::event::EventKind::ContactSync,
        INSTANCE.into(),
        at(0),
    );
    by_visitor.identities = vec![id("9"), email("ada")];
    bench.take(by_visitor, 0).await;
    let mut second = Event::new(
        causeway_core::event::EventKind::ContactSync,
        INSTANCE.into(),
        at(1),
    );
    second.identities = vec![id("9")];
    second.fields.insert("city".to_owned(), "Bern".into());
    bench.take(second, 1).await;
    let claimed = bench.claim("crm", 2).await.deliveries;
    assert_eq!(claimed[0].record.to_json()["contact"]["ids"][INSTANCE], "9");
}
