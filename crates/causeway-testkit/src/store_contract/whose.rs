//! To whom a fact belongs: addresses that several people use, clicks that do not count, changed settings, and
//! split contacts.

use std::{collections::BTreeMap, time::Duration};

use causeway_core::{
    consent::{Change, What},
    contact::Identity,
    delivery::{Kind, Next},
    event::{Event, EventKind},
    id::{ContactId, InboxId},
    rules::DestinationRule,
};

use super::{
    Bench, Open,
    addresses::{contact_with, id, of, platform, sent},
    mailboxes::{joins, status_of},
};
use crate::builders::{at, contact_ref, email, fact, rules, signed, status};

/// Somebody else used the office's address before the contact that is recognised by it.
pub async fn facts_of_other_users_count_for_a_person_found_by_an_office_address(open: Open) {
    let form = |first_name: &str, seconds: i64| {
        let mut event = platform("0", "info", first_name, seconds);
        event.identities = vec![email("info")];
        event
    };
    for ends in ["no", "moves"] {
        let rules = rules(vec![DestinationRule::new("crm")]);
        let mut bench = Bench::with_rules(open.clone(), ends, rules).await;
        bench.take(joins("72", "info", 0), 0).await;
        bench.take(form("Cid", 1), 1).await;
        let all = sent(&bench, "crm", 2).await;
        let given = of(Kind::Record, Change::Subscribe, "info");
        assert_eq!(all, [given.clone(), given], "{ends}");
        match ends {
            "no" => bench.take(status_of("72", What::Unsubscribed, 10), 10).await,
            _ => bench.take(platform("72", "own", "Cid", 10), 10).await,
        };
        let all = sent(&bench, "crm", 11).await;
        let taken_back = of(Kind::Withdrawal, Change::Unsubscribe, "info");
        let expected = if ends == "no" { 2 } else { 1 };
        let count = all.iter().filter(|one| **one == taken_back).count();
        assert!(count >= expected, "{ends}: {all:?}");
        bench.take(form("Cida", 20), 20).await;
        let all = sent(&bench, "crm", 21).await;
        assert!(
            all.iter()
                .all(|(_, change, address)| *change != Change::Subscribe || !address.contains("info")),
            "nobody who uses the address agreed: {ends}: {all:?}"
        );
        bench.assert_balanced().await;
    }
}

/// Proca derives a reference from name and address, so two references at an office's address are two people.
pub async fn two_references_at_an_office_address_are_two_people(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    let signs = |reference: &str, action: &str, seconds: i64| {
        let mut event = signed("noemail", action, What::NotAsked, at(seconds));
        event.identities = vec![email("noemail"), contact_ref(reference)];
        event.fields.insert("firstName".to_owned(), reference.into());
        event
    };
    let mut numbers = Vec::new();
    for (number, reference) in (0..).zip(["ann", "bob"]) {
        let inbox = bench.take(signs(reference, reference, number), number).await;
        let trace = bench.store().trace(inbox).await.unwrap().unwrap();
        numbers.push(trace.contact_id);
    }
    assert_ne!(numbers[0], numbers[1]);
    bench.assert_balanced().await;
}

/// The click comes so soon after the user's opt-out at another address that it does not count for this user.
pub async fn a_click_that_does_not_count_for_a_user_counts_for_no_other(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(joins("71", "old", 0), 0).await;
    bench.take(platform("71", "family", "Ada", 1), 1).await;
    bench.take(platform("73", "family", "Cid", 2), 2).await;
    sent(&bench, "crm", 3).await;
    bench.take(status("old", What::Unsubscribed, at(10)), 10).await;
    bench.take(status("family", What::DoubleOptIn, at(11)), 11).await;
    for number in ["71", "73"] {
        let consent_state = contact_with(&bench, number)
            .await
            .consent_state
            .get("email")
            .copied();
        assert!(
            consent_state.is_none_or(|consent_state| !consent_state.is_subscribed()),
            "{number}: {consent_state:?}"
        );
    }
    let all = sent(&bench, "crm", 12).await;
    assert!(
        all.iter().all(|(_, change, _)| *change != Change::Subscribe),
        "{all:?}"
    );
    bench.assert_balanced().await;
}

pub async fn a_longer_click_grace_withdraws_the_affected_people(open: Open) {
    let with_grace = |seconds: u64| {
        let mut rules = rules(vec![DestinationRule::new("crm")]);
        rules.click_grace = Duration::from_secs(seconds);
        rules
    };
    let mut bench = Bench::with_rules(open, "grace", with_grace(60)).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    sent(&bench, "crm", 1).await;
    bench
        .take(status("ada", What::Unsubscribed, at(3_600)), 3_600)
        .await;
    bench
        .take(status("ada", What::DoubleOptIn, at(3_720)), 3_720)
        .await;
    let all = sent(&bench, "crm", 3_721).await;
    assert_eq!(all.last().map(|one| one.1), Some(Change::Subscribe), "{all:?}");
    bench.set_rules(with_grace(300)).await;
    assert_eq!(
        sent(&bench, "crm", 3_722).await,
        [of(Kind::Withdrawal, Change::Unsubscribe, "ada")]
    );
    bench.set_rules(with_grace(60)).await;
    let all = sent(&bench, "crm", 3_723).await;
    assert_eq!(all.last().map(|one| one.1), Some(Change::Subscribe), "{all:?}");
    bench.assert_balanced().await;
}

/// A withdrawal waits for an address that belongs to the other person after the split.
pub async fn a_split_ends_withdrawals_for_the_address_of_the_other(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    let mut read: BTreeMap<InboxId, Event> = BTreeMap::new();
    let mut bob = signed("bob", "1", What::OptIn, at(1));
    bob.identities = vec![email("bob")];
    let mut both = bob.clone();
    both.at = at(2);
    both.identities.push(id("5"));
    for (event, seconds) in [(joins("5", "ann", 0), 0), (bob, 1), (both, 2)] {
        read.insert(bench.take(event.clone(), seconds).await, event);
    }
    sent(&bench, "crm", 3).await;
    let no = status_of("5", What::Unsubscribed, 10);
    read.insert(bench.take(no.clone(), 10).await, no);
    let due_at = at(30);
    for delivery in bench.claim("crm", 11).await.deliveries {
        bench.end(&delivery, Next::Waiting { due_at }, 11).await;
    }
    let one = contact_with(&bench, "5").await;
    let taken = [Identity::Email {
        address: "bob@example.org".to_owned(),
    }];
    let split = bench.store().split(one.id, taken.into(), read, at(12)).await;
    assert!(split.unwrap().is_some());
    assert!(bench.person("bob").await.consent_state["email"].is_subscribed());
    let mut last = None;
    for seconds in [13, 31, 32] {
        let all = sent(&bench, "crm", seconds).await;
        last = all
            .into_iter()
            .rfind(|(_, _, address)| address.contains("bob"))
            .or(last);
    }
    assert!(
        last.as_ref()
            .is_none_or(|(_, change, _)| *change == Change::Subscribe),
        "{last:?}"
    );
    bench.assert_balanced().await;
}

/// The opt-out link is in a mail to the former address. Using it does not show that the person uses that
/// address again.
pub async fn an_opt_out_at_a_former_address_brings_nobody_back_there(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(joins("71", "old", 0), 0).await;
    sent(&bench, "crm", 0).await;
    bench.take(joins("71", "new", 1), 1).await;
    sent(&bench, "crm", 2).await;
    let mut no = platform("71", "old", "Ada", 10);
    no.kind = EventKind::Engagement;
    no.consent = vec![fact(What::Unsubscribed, at(10))];
    bench.take(no, 10).await;
    let person = contact_with(&bench, "71").await;
    assert_eq!(person.contact.text("email"), Some("new@example.org"));
    let all = sent(&bench, "crm", 11).await;
    for address in ["old", "new"] {
        let withdrawal = of(Kind::Withdrawal, Change::Unsubscribe, address);
        assert!(all.contains(&withdrawal), "{address}: {all:?}");
    }
    bench.assert_balanced().await;
}

/// Bob signs, and the office writes about him under the id of another person.
async fn two_people_as_one(bench: &mut Bench) -> BTreeMap<InboxId, Event> {
    let mut signs = signed("bob", "1", What::OptIn, at(0));
    signs.identities = vec![email("bob")];
    let mut both = signed("bob", "2", What::OptIn, at(1));
    both.identities = vec![email("bob"), id("5")];
    let mut read = BTreeMap::new();
    for (event, seconds) in [(signs, 0), (both, 1)] {
        read.insert(bench.take(event.clone(), seconds).await, event);
    }
    read
}

/// The signature goes to a new contact, which is returned.
async fn split_bob_off(bench: &Bench, read: BTreeMap<InboxId, Event>) -> ContactId {
    let one = contact_with(bench, "5").await.id;
    let taken = [email("bob")].into();
    let split = bench.store().split(one, taken, read, at(10)).await.unwrap();
    split.unwrap().new
}

pub async fn a_split_leaves_no_delivery_behind(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    let read = two_people_as_one(&mut bench).await;
    let rows: Vec<InboxId> = read.keys().copied().collect();
    split_bob_off(&bench, read).await;
    // The office's message waited behind the signature, which is now about somebody else.
    assert_eq!(bench.deliver_all("crm", 11).await, rows);
    bench.assert_balanced().await;
}

pub async fn an_opt_out_after_a_split_does_not_overtake_a_delivery_in_flight(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    let read = two_people_as_one(&mut bench).await;
    let signature = bench.claim("crm", 2).await.deliveries;
    assert_eq!(signature.len(), 1);
    let bob = split_bob_off(&bench, read).await;
    let no = bench.take(status("bob", What::Unsubscribed, at(20)), 20).await;
    let is_withdrawn = async |seconds| {
        let claimed = bench.claim("crm", seconds).await.deliveries;
        let mut records = claimed.iter().map(|delivery| &delivery.record);
        records.any(|record| record.inbox_id == no && record.contact.id == Some(bob))
    };
    assert!(!is_withdrawn(21).await, "the signature is in flight");
    bench.end(&signature[0], Next::Delivered, 22).await;
    assert!(is_withdrawn(23).await);
}
