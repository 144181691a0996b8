//! Opt-outs that several people may have given, because the message names only a mailbox or an id of several
//! addresses.

use std::collections::BTreeMap;

use causeway_core::{
    after_erasure::AfterErasure,
    consent::{EMAIL, What},
    event::Event,
    id::InboxId,
    rules::DestinationRule,
};

use super::{
    Bench, Open,
    addresses::{contact_with, id, platform, sent},
    mailboxes::{joins, status_of},
    newcomers::{by_address, leaves, state},
};
use crate::builders::{at, contact_ref, email, rules};

const WEEK: i64 = 7 * 86_400;

/// The message does not say who of the users opted out.
pub async fn an_opt_out_that_names_only_a_mailbox_counts_as_each_users_own(open: Open) {
    for (is_late, moves_at) in [(false, 40), (true, 40), (true, 30)] {
        let name = format!("late-{is_late}-{moves_at}");
        let rules = rules(vec![DestinationRule::new("crm")]);
        let mut bench = Bench::with_rules(open.clone(), &name, rules).await;
        for number in ["71", "72", "73"] {
            bench.take(joins(number, "family", 0), 0).await;
        }
        // This one left before the opt-out, and the other one after it.
        bench.take(platform("73", "elsewhere", "Kai", 20), 20).await;
        let opt_out = by_address("family", What::Unsubscribed, 30);
        let leaves = platform("72", "own", "Lena", moves_at);
        for (event, when) in if is_late {
            [(leaves, 41), (opt_out, 42)]
        } else {
            [(opt_out, 31), (leaves, 41)]
        } {
            bench.take(event, when).await;
        }
        for (number, expected) in [("71", "unsubscribed"), ("72", "unsubscribed"), ("73", "opted_in")] {
            assert_eq!(state(&bench, number).await, expected, "{name}: {number}");
        }
        let ledger = contact_with(&bench, "72").await.ledger;
        let opt_out = ledger.iter().find(|row| row.fact.what == What::Unsubscribed);
        assert!(opt_out.is_some(), "{name}: {ledger:?}");
        sent(&bench, "crm", 51).await;
        bench.take(joins("72", "own", 60), 60).await;
        assert_eq!(state(&bench, "72").await, "opted_in", "{name}");
        assert_eq!(state(&bench, "71").await, "unsubscribed", "{name}");
        bench.assert_balanced().await;
    }
}

/// Proca's events carry a reference, which may be one that never came before.
pub async fn an_unknown_reference_does_not_say_which_user_opted_out(open: Open) {
    for (reference, expected) in [("unknown", "unsubscribed"), ("of-71", "opted_in")] {
        let rules = rules(vec![DestinationRule::new("crm")]);
        let mut bench = Bench::with_rules(open.clone(), reference, rules).await;
        let mut first = joins("71", "family", 0);
        first.identities.push(contact_ref("of-71"));
        bench.take(first, 0).await;
        bench.take(joins("72", "family", 0), 0).await;
        let mut opt_out = by_address("family", What::Unsubscribed, 10);
        opt_out.identities.push(contact_ref(reference));
        bench.take(opt_out, 10).await;
        bench.take(platform("72", "own", "Bert", 20), 20).await;
        assert_eq!(state(&bench, "72").await, expected, "{reference}");
        assert_eq!(state(&bench, "71").await, "unsubscribed", "{reference}");
        bench.assert_balanced().await;
    }
}

/// The consent to calls is not shared, but the opt-out may be of any user.
pub async fn an_opt_out_of_calls_that_names_only_a_mailbox_counts_for_each_user(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    let of_calls = |mut event: Event| {
        for fact in &mut event.consent {
            "phone".clone_into(&mut fact.purpose);
        }
        event
    };
    for number in ["71", "72"] {
        bench.take(joins(number, "family", 0), 0).await;
        bench.take(of_calls(joins(number, "family", 1)), 1).await;
    }
    bench
        .take(of_calls(by_address("family", What::Unsubscribed, 10)), 10)
        .await;
    for number in ["71", "72"] {
        let states = contact_with(&bench, number).await.consent_state;
        assert_eq!(states["phone"].as_str(), "unsubscribed", "{number}");
        assert_eq!(states[EMAIL].as_str(), "opted_in", "{number}");
    }
    bench.assert_balanced().await;
}

/// An opt-out that names the person by id is nobody else's, although it holds at the mailbox.
pub async fn an_opt_out_by_id_is_not_the_own_one_of_another_user(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(joins("71", "family", 0), 0).await;
    bench.take(joins("72", "family", 0), 0).await;
    bench.take(leaves("71", "family", 10), 10).await;
    assert_eq!(state(&bench, "72").await, "unsubscribed");
    bench.take(platform("72", "own", "Lena", 20), 20).await;
    assert_eq!(state(&bench, "72").await, "opted_in");
    bench.assert_balanced().await;
}

/// Bert and Cleo were taken for one person when somebody at their mailbox opted out.
pub async fn a_split_leaves_each_an_opt_out_that_either_may_have_given(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(joins("71", "family", 0), 0).await;
    let mut both = platform("72", "family", "Bert", 1);
    both.identities.push(id("73"));
    let mut read = BTreeMap::new();
    for event in [both, joins("72", "family", 2), joins("73", "family", 3)] {
        read.insert(bench.take(event.clone(), 3).await, event);
    }
    bench.take(by_address("family", What::Unsubscribed, 30), 30).await;
    let one = contact_with(&bench, "72").await.id;
    assert_eq!(contact_with(&bench, "73").await.id, one);
    let taken = [id("73")].into();
    let split = bench.store().split(one, taken, read, at(50)).await.unwrap();
    assert!(split.is_some());
    for number in ["72", "73"] {
        bench.take(platform(number, number, "Moved", 60), 60).await;
        let person = contact_with(&bench, number).await;
        assert_eq!(
            person.consent_state[EMAIL].as_str(),
            "unsubscribed",
            "{number} at {:?}",
            person.contact.text("email")
        );
    }
    bench.assert_balanced().await;
}

pub async fn an_unclear_opt_out_counts_for_each_user_in_any_order(open: Open) {
    let events = || {
        [
            joins("71", "family", 0),
            joins("72", "family", 10),
            by_address("family", What::Unsubscribed, 30),
        ]
    };
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let name = format!("order-{order:?}");
        let rules = rules(vec![DestinationRule::new("crm")]);
        let mut bench = Bench::with_rules(open.clone(), &name, rules).await;
        for number in order {
            bench.take(events()[number].clone(), 35).await;
        }
        for (number, own) in [("71", "ann"), ("72", "bert")] {
            bench.take(platform(number, own, "Moved", 40), 40).await;
            assert_eq!(state(&bench, number).await, "unsubscribed", "{name}: {number}");
        }
        // Who began to use the mailbox only later did not opt out.
        for (number, came, expected) in [("73", 31, "opted_in"), ("74", 30, "unsubscribed")] {
            bench.take(joins(number, number, 5), 41).await;
            bench.take(platform(number, "family", "Cleo", came), 41).await;
            bench.take(platform(number, number, "Cleo", 42), 42).await;
            assert_eq!(state(&bench, number).await, expected, "{name}: {number}");
        }
        bench.assert_balanced().await;
    }
}

pub async fn an_opt_out_by_an_id_of_several_addresses_counts_in_any_order(open: Open) {
    for is_early in [false, true] {
        let name = format!("early-{is_early}");
        let rules = rules(vec![DestinationRule::new("crm")]);
        let mut bench = Bench::with_rules(open.clone(), &name, rules).await;
        let opt_out = || status_of("71", What::Unsubscribed, 30);
        bench.take(joins("71", "a1", 0), 35).await;
        if is_early {
            bench.take(opt_out(), 35).await;
        }
        for (address, seconds) in [("a2", 10), ("a3", 20)] {
            bench.take(joins("71", address, seconds), 35).await;
        }
        // It came with the id only after the opt-out.
        bench.take(joins("71", "a4", 31), 36).await;
        if !is_early {
            bench.take(opt_out(), 37).await;
        }
        let a3 = bench.person("a3").await.consent_state[EMAIL];
        assert_eq!(a3.as_str(), "unsubscribed", "{name}");
        assert!(
            bench.person("a4").await.consent_state[EMAIL].is_subscribed(),
            "{name}"
        );
        bench.assert_balanced().await;
    }
}

/// Nothing shows that the mailbox has two users before the contact is split.
pub async fn a_split_after_an_unclear_opt_out_opts_out_both(open: Open) {
    for takes_address in [false, true] {
        let name = format!("takes-address-{takes_address}");
        let rules = rules(vec![DestinationRule::new("crm")]);
        let mut bench = Bench::with_rules(open.clone(), &name, rules).await;
        let mut read: BTreeMap<InboxId, Event> = BTreeMap::new();
        let mut ben = joins("72", "family", 1);
        let of_form = causeway_core::contact::Identity::ForeignId {
            namespace: "form".into(),
            id: "72".to_owned(),
        };
        ben.identities = vec![email("family"), of_form.clone()];
        for event in [joins("71", "family", 0), ben.clone()] {
            read.insert(bench.take(event.clone(), 2).await, event);
        }
        let opt_out = by_address("family", What::Unsubscribed, 30);
        read.insert(bench.take(opt_out.clone(), 30).await, opt_out);
        let one = contact_with(&bench, "71").await.id;
        let mut taken = std::collections::BTreeSet::from([of_form.clone()]);
        if takes_address {
            taken.insert(email("family"));
        }
        let split = bench
            .store()
            .split(one, taken, read, at(40))
            .await
            .unwrap()
            .unwrap();
        for contact in [split.kept, split.new] {
            let view = bench.store().contact(contact).await.unwrap().unwrap();
            let is_own = view.ledger.iter().any(|row| row.fact.what == What::Unsubscribed);
            assert!(is_own, "{name}: {:?}", view.identities);
        }
        bench.assert_balanced().await;
    }
}

/// The opt-out may be of either, also when it is turned away because of the erased one.
pub async fn an_unclear_opt_out_counts_for_those_who_share_with_an_erased_person(open: Open) {
    for policy in [AfterErasure::Accept, AfterErasure::Refuse] {
        for is_pending in [false, true] {
            let name = format!("{policy:?}-{is_pending}");
            let mut rules = rules(vec![DestinationRule::new("crm")]);
            rules.after_erasure = policy;
            let mut bench = Bench::with_rules(open.clone(), &name, rules).await;
            bench.take(joins("71", "family", 0), 0).await;
            bench.take(joins("72", "family", 1), 1).await;
            bench.take(joins("73", "ben", 1), 1).await;
            sent(&bench, "crm", 2).await;
            let ann = contact_with(&bench, "71").await.id;
            bench.store().begin_erasure(ann, at(WEEK), at(20)).await.unwrap();
            if !is_pending {
                sent(&bench, "crm", 21).await;
                bench.store().finish_erasures(at(22)).await.unwrap();
            }
            bench.take(by_address("family", What::Unsubscribed, 10), 30).await;
            // The id is erased, and the address is another person's.
            bench.take(leaves("71", "ben", 10), 31).await;
            bench.take(platform("72", "bert", "Bert", 40), 40).await;
            assert_eq!(state(&bench, "72").await, "unsubscribed", "{name}");
            assert_eq!(state(&bench, "73").await, "unsubscribed", "{name}");
            bench.assert_balanced().await;
        }
    }
}

/// The id came with the addresses of the others, too.
pub async fn an_opt_out_by_an_id_reaches_the_others_after_its_owner_is_erased(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    for (address, seconds) in [("a1", 0), ("a2", 1), ("a3", 2), ("a4", 3)] {
        bench.take(joins("71", address, seconds), seconds).await;
    }
    sent(&bench, "crm", 4).await;
    let owner = bench.person("a1").await.id;
    bench.store().erase(owner, at(10)).await.unwrap();
    bench.take(status_of("71", What::Unsubscribed, 20), 20).await;
    for address in ["a3", "a4"] {
        let state = bench.person(address).await.consent_state[EMAIL];
        assert_eq!(state.as_str(), "unsubscribed", "{address}");
    }
    bench.assert_balanced().await;
}
