//! Who a message at a shared mailbox is about, and what a contact brings along to a mailbox that others use.

use causeway_core::{
    consent::{Change, EMAIL, What},
    delivery::Kind,
    event::{Event, EventKind},
    rules::DestinationRule,
};

use super::{
    Bench, Open,
    addresses::{LATER, contact_with, of, platform, sent},
    mailboxes::joins,
};
use crate::builders::{INSTANCE, at, email, fact};

/// A contact of the platform, with an opt-out.
pub(super) fn leaves(number: &str, name: &str, seconds: i64) -> Event {
    let mut event = platform(number, name, "Ada", seconds);
    event.consent = vec![fact(What::Unsubscribed, at(seconds))];
    event
}

/// A message that names an address and no id.
pub(super) fn by_address(name: &str, what: What, seconds: i64) -> Event {
    let address = format!("{name}@example.org");
    let mut event = Event::new(EventKind::Engagement, INSTANCE.into(), at(seconds));
    event.identities = vec![email(name)];
    event.fields = [("email".to_owned(), address.into())].into();
    event.consent = vec![fact(what, at(seconds))];
    event
}

pub(super) async fn state(bench: &Bench, number: &str) -> &'static str {
    contact_with(bench, number).await.consent_state[EMAIL].as_str()
}

pub async fn a_message_at_a_mailbox_is_about_a_contact_who_uses_it_now(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(joins("71", "family", 0), 0).await;
    bench.take(platform("72", "family", "Lena", 10), 10).await;
    // The first user moves, and opts out there.
    bench.take(joins("71", "own", 20), 20).await;
    sent(&bench, "crm", 21).await;
    bench.take(leaves("71", "own", 30), 30).await;
    sent(&bench, "crm", 31).await;
    bench.take(by_address("family", What::OptIn, 40), 40).await;
    // Her earlier message was held back until now.
    assert_eq!(
        sent(&bench, "crm", 41).await,
        [Kind::Record, Kind::Contact].map(|kind| of(kind, Change::Subscribe, "family"))
    );
    assert_eq!(state(&bench, "71").await, "unsubscribed");
    assert_eq!(state(&bench, "72").await, "opted_in");
    bench.take(platform("71", "own", "Kai", 50), 50).await;
    assert_eq!(sent(&bench, "crm", 51).await, []);
    // Nor does an opt-out there concern the one who has left.
    bench.take(joins("71", "own", 60), 60).await;
    sent(&bench, "crm", 61).await;
    bench.take(by_address("family", What::Unsubscribed, 70), 70).await;
    assert_eq!(
        sent(&bench, "crm", 71).await,
        [of(Kind::Withdrawal, Change::Unsubscribe, "family")]
    );
    assert_eq!(state(&bench, "71").await, "opted_in");
    bench.assert_balanced().await;
}

pub async fn an_opt_in_elsewhere_does_not_end_the_opt_out_of_another_user(open: Open) {
    for joins_late in [false, true] {
        let name = format!("late-{joins_late}");
        let rules = crate::builders::rules(vec![DestinationRule::new("crm")]);
        let mut bench = Bench::with_rules(open.clone(), &name, rules).await;
        bench.take(joins("71", "family", 0), 0).await;
        bench.take(leaves("71", "family", 10), 10).await;
        bench.take(joins("72", "own", 20), 20).await;
        sent(&bench, "crm", 21).await;
        bench.take(platform("72", "family", "Lena", 30), 30).await;
        assert_eq!(state(&bench, "71").await, "unsubscribed", "{name}");
        assert_eq!(state(&bench, "72").await, "unsubscribed", "{name}");
        let changes = sent(&bench, "crm", 31).await;
        assert!(
            changes.iter().all(|(_, change, _)| *change != Change::Subscribe),
            "{changes:?}"
        );
        // An opt-in for this mailbox does, even if it arrives after other messages.
        let (joined, when) = if joins_late { (15, 40) } else { (40, 40) };
        bench.take(joins("72", "family", joined), when).await;
        assert_eq!(state(&bench, "71").await, "opted_in", "{name}");
        assert_eq!(state(&bench, "72").await, "opted_in", "{name}");
        // At an address of their own the contact is who opted in there.
        bench.take(platform("72", "other", "Lena", 50), 50).await;
        assert_eq!(state(&bench, "72").await, "opted_in", "{name}");
        bench.assert_balanced().await;
    }
}

pub async fn an_earlier_opt_in_at_a_mailbox_ends_an_opt_out_that_arrives_later(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(platform("71", "family", "Ada", 0), 0).await;
    bench.take(joins("72", "family", 20), 20).await;
    // Dated before the opt-in, received after it.
    bench.take(leaves("71", "family", 10), 30).await;
    assert_eq!(state(&bench, "71").await, "opted_in");
    assert_eq!(state(&bench, "72").await, "opted_in");
    bench.assert_balanced().await;
}

pub async fn an_opt_out_elsewhere_comes_along_to_a_mailbox(open: Open) {
    for (opted_in, expected) in [(10, "unsubscribed"), (25, "opted_in")] {
        let name = format!("opted-in-{opted_in}");
        let rules = crate::builders::rules(vec![DestinationRule::new("crm")]);
        let mut bench = Bench::with_rules(open.clone(), &name, rules).await;
        bench.take(joins("71", "own", 0), 0).await;
        bench.take(leaves("71", "own", 20), 20).await;
        bench.take(joins("72", "family", opted_in), 25).await;
        sent(&bench, "crm", 26).await;
        bench.take(platform("71", "family", "Kai", 30), 30).await;
        assert_eq!(state(&bench, "71").await, expected, "{name}");
        assert_eq!(state(&bench, "72").await, expected, "{name}");
        let withdrawals = sent(&bench, "crm", 31)
            .await
            .iter()
            .filter(|(kind, _, _)| *kind == Kind::Withdrawal)
            .count();
        assert_eq!(withdrawals, usize::from(expected == "unsubscribed"), "{name}");
        bench.assert_balanced().await;
    }
}

pub async fn a_withdrawal_of_a_former_address_survives_an_opt_in_with_another(open: Open) {
    // An opt-in at the former address ends the opt-out there if it is later. A click has to be later by more than
    // the grace.
    let opts_in = |name: &str, seconds| joins("71", name, seconds);
    let clicks = |seconds| {
        let mut event = joins("71", "old", seconds);
        event.consent = vec![fact(What::DoubleOptIn, at(seconds))];
        event
    };
    for (case, again, is_withdrawn) in [
        ("elsewhere", opts_in("new", 30), true),
        ("there", opts_in("old", 30), false),
        ("at-once", opts_in("old", 20), true),
        ("clicks-soon", clicks(30), true),
        ("clicks-later", clicks(LATER), false),
    ] {
        let name = format!("again-{case}");
        let rules = crate::builders::rules(vec![DestinationRule::new("crm")]);
        let mut bench = Bench::with_rules(open.clone(), &name, rules).await;
        bench.take(joins("71", "old", 0), 0).await;
        sent(&bench, "crm", 1).await;
        bench.take(joins("71", "new", 10), 10).await;
        sent(&bench, "crm", 11).await;
        // The destination takes nothing between the opt-out and the new opt-in.
        bench.take(leaves("71", "new", 20), 20).await;
        bench.take(again, LATER).await;
        bench.take(joins("71", "new", LATER + 1), LATER + 1).await;
        let withdrawn: Vec<_> = sent(&bench, "crm", LATER + 2)
            .await
            .into_iter()
            .filter(|(kind, _, _)| *kind == Kind::Withdrawal)
            .collect();
        let expected = [of(Kind::Withdrawal, Change::Unsubscribe, "old")];
        assert_eq!(withdrawn, expected[..usize::from(is_withdrawn)], "{name}");
        let consent_state = contact_with(&bench, "71").await.consent_state[EMAIL];
        assert!(consent_state.is_subscribed(), "{name}: {consent_state:?}");
        bench.assert_balanced().await;
    }
}

pub async fn a_destination_that_was_absent_is_sent_the_withdrawal_of_a_former_address(open: Open) {
    let with_crm = || crate::builders::rules(vec![DestinationRule::new("crm")]);
    let mut bench = Bench::with_rules(open, "absent", with_crm()).await;
    bench.take(joins("71", "old", 0), 0).await;
    sent(&bench, "crm", 1).await;
    bench.take(joins("71", "new", 10), 10).await;
    sent(&bench, "crm", 11).await;
    bench.set_rules(crate::builders::rules(vec![])).await;
    bench.take(leaves("71", "new", 20), 20).await;
    bench.take(joins("71", "new", 30), 30).await;
    bench.set_rules(with_crm()).await;
    assert_eq!(
        sent(&bench, "crm", 31).await,
        [of(Kind::Withdrawal, Change::Unsubscribe, "old")]
    );
    bench.assert_balanced().await;
}

/// An opt-in at any address of the person ends the opt-out for the address in use.
pub async fn a_destination_that_was_absent_is_sent_no_withdrawal_of_the_address_in_use(open: Open) {
    let with_crm = || crate::builders::rules(vec![DestinationRule::new("crm")]);
    let mut bench = Bench::with_rules(open, "absent", with_crm()).await;
    bench.take(joins("71", "own", 0), 0).await;
    sent(&bench, "crm", 1).await;
    bench.set_rules(crate::builders::rules(vec![])).await;
    bench.take(leaves("71", "own", 20), 20).await;
    bench.take(joins("71", "old", 30), 30).await;
    bench.take(platform("71", "own", "Ada", 40), 40).await;
    bench.set_rules(with_crm()).await;
    sent(&bench, "crm", 41).await;
    let deliveries = contact_with(&bench, "71").await.deliveries;
    assert!(
        deliveries.iter().all(|row| row.kind != "withdrawal"),
        "{deliveries:?}"
    );
    assert_eq!(state(&bench, "71").await, "opted_in");
    bench.assert_balanced().await;
}

pub async fn a_withdrawal_of_a_former_address_that_cannot_be_received_is_planned_once(open: Open) {
    let mute = || {
        crate::builders::rules(vec![DestinationRule {
            supported_changes: vec![Change::Subscribe],
            ..DestinationRule::new("crm")
        }])
    };
    let mut bench = Bench::with_rules(open, "mute", mute()).await;
    bench.take(joins("71", "old", 0), 0).await;
    sent(&bench, "crm", 1).await;
    bench.take(joins("71", "new", 10), 10).await;
    sent(&bench, "crm", 11).await;
    bench.take(leaves("71", "new", 20), 20).await;
    bench.take(joins("71", "new", 30), 30).await;
    sent(&bench, "crm", 31).await;
    let before = contact_with(&bench, "71").await.deliveries.len();
    // The hub starts twice, once without the destination.
    bench.set_rules(crate::builders::rules(vec![])).await;
    bench.set_rules(mute()).await;
    sent(&bench, "crm", 41).await;
    assert_eq!(contact_with(&bench, "71").await.deliveries.len(), before);
    bench.assert_balanced().await;
}

/// The opt-in of another user ended while the destination was away, or had another purpose.
pub async fn a_destination_that_was_absent_learns_that_a_consent_ended(open: Open) {
    let with_crm = || crate::builders::rules(vec![DestinationRule::new("crm")]);
    let of_calls = DestinationRule {
        purpose: "phone".into(),
        ..DestinationRule::new("crm")
    };
    for (name, meanwhile) in [("absent", vec![]), ("of-calls", vec![of_calls])] {
        learns(Bench::with_rules(open.clone(), name, with_crm()).await, meanwhile).await;
    }
}

async fn learns(mut bench: Bench, meanwhile: Vec<DestinationRule>) {
    bench.take(joins("71", "family", 0), 0).await;
    bench.take(platform("72", "family", "Bert", 1), 1).await;
    sent(&bench, "crm", 2).await;
    bench.set_rules(crate::builders::rules(meanwhile)).await;
    bench.take(joins("71", "own", 10), 10).await;
    bench
        .set_rules(crate::builders::rules(vec![DestinationRule::new("crm")]))
        .await;
    assert!(
        sent(&bench, "crm", 20)
            .await
            .contains(&of(Kind::Withdrawal, Change::Unsubscribe, "family"))
    );
    bench.assert_balanced().await;
}
