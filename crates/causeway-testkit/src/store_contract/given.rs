//! What destinations were given about contacts that become one, and about contacts whose address comes later.

use causeway_core::{
    consent::{Change, Policy, What},
    contact::Identity,
    delivery::{Kind, Next},
    event::{Decoded, Event},
    rules::DestinationRule,
    store::DeliveryFilter,
};

use super::{
    Bench, Open,
    addresses::{of, sent},
};
use crate::builders::{SOURCE, at, contact_ref, email, fact, rules, signed};

const PHONE: &str = "phone";

/// A destination for calls. Consent to calls belongs to the person, whoever else uses the address.
fn calls() -> DestinationRule {
    DestinationRule {
        purpose: PHONE.into(),
        ..DestinationRule::new("crm")
    }
}

/// A form from `name@example.org` with these references, and what it says about calls.
fn form(references: &[&str], name: &str, what: What, seconds: i64) -> Event {
    let action = format!("{references:?} {seconds}");
    let mut event = signed(name, &action, What::NotAsked, at(seconds));
    event.identities = references
        .iter()
        .map(|reference| contact_ref(reference))
        .collect();
    event.identities.push(email(name));
    let mut about_calls = fact(what, at(seconds));
    PHONE.clone_into(&mut about_calls.purpose);
    event.consent = vec![about_calls];
    event
}

/// The same without an address.
fn without_address(mut event: Event) -> Event {
    event
        .identities
        .retain(|identity| !matches!(identity, Identity::Email { .. }));
    event.fields.remove("email");
    event
}

fn opt_out(name: &str) -> (Kind, Change, String) {
    of(Kind::Withdrawal, Change::Unsubscribe, name)
}

pub async fn an_address_that_comes_later_belongs_to_what_was_given_before(open: Open) {
    for has_address in [false, true] {
        let rules = rules(vec![calls()]);
        let mut bench = Bench::with_rules(open.clone(), &format!("later-{has_address}"), rules).await;
        let nameless = |what, seconds| without_address(form(&["ann"], "ann", what, seconds));
        let first = bench.take(nameless(What::OptIn, 0), 0).await;
        assert_eq!(sent(&bench, "crm", 1).await.len(), 1);
        if has_address {
            bench.take(form(&["ann"], "ann", What::OptIn, 2), 2).await;
            assert_eq!(sent(&bench, "crm", 3).await.len(), 1);
        }
        let address = if has_address { "ann@example.org" } else { "" };
        let trace = bench.store().trace(first).await.unwrap().unwrap();
        let person = bench.store().contact(trace.contact_id.unwrap()).await.unwrap();
        let given = person.unwrap().given;
        let addresses: Vec<&str> = given.iter().map(|row| row.address.as_str()).collect();
        assert_eq!(addresses, [address]);
        let no = Decoded::Event(Box::new(nameless(What::Unsubscribed, 4)));
        let (_, processed) = bench.take_from(SOURCE, no, 4).await;
        assert_eq!(processed.planned, ["crm".into()], "one withdrawal");
        let expected = (Kind::Withdrawal, Change::Unsubscribe, address.to_owned());
        assert_eq!(sent(&bench, "crm", 5).await, [expected]);
        bench.assert_balanced().await;
    }
}

/// The destination may still have the person, so the next opt-out is sent again.
pub async fn a_withdrawal_that_failed_was_not_received(open: Open) {
    let mut bench = Bench::new(open, vec![calls()]).await;
    bench.take(form(&["ann"], "ann", What::OptIn, 0), 0).await;
    assert_eq!(sent(&bench, "crm", 1).await.len(), 1);
    bench.take(form(&["ann"], "ann", What::Unsubscribed, 2), 2).await;
    let claimed = bench.claim("crm", 3).await.deliveries;
    bench.end(&claimed[0], Next::Dead, 3).await;
    bench.take(form(&["ann"], "ann", What::Unsubscribed, 4), 4).await;
    assert_eq!(sent(&bench, "crm", 5).await, [opt_out("ann")]);
    bench.assert_balanced().await;
}

/// The opt-out merges them, or follows the merge.
pub async fn an_opt_out_reaches_the_addresses_of_both_merged_contacts(open: Open) {
    for is_merged_before in [false, true] {
        let rules = rules(vec![calls()]);
        let mut bench = Bench::with_rules(open.clone(), &format!("each-{is_merged_before}"), rules).await;
        for (name, seconds) in [("ann", 0), ("bea", 1)] {
            bench
                .take(form(&[name], name, What::OptIn, seconds), seconds)
                .await;
        }
        assert_eq!(sent(&bench, "crm", 2).await.len(), 2);
        if is_merged_before {
            bench
                .take(form(&["ann", "bea"], "ann", What::NotAsked, 3), 3)
                .await;
            sent(&bench, "crm", 4).await;
        }
        bench
            .take(form(&["ann", "bea"], "ann", What::Unsubscribed, 5), 5)
            .await;
        let mut all = sent(&bench, "crm", 6).await;
        all.sort_by(|one, other| one.2.cmp(&other.2));
        assert_eq!(all, [opt_out("ann"), opt_out("bea")], "{is_merged_before}");
        bench.assert_balanced().await;
    }
}

/// Two people with one office address turn out to be one. The withdrawal of the first waits, or was received.
pub async fn a_withdrawal_for_one_of_two_merged_contacts_counts_only_once_sent(open: Open) {
    for is_received in [false, true] {
        let rules = rules(vec![calls()]);
        let mut bench = Bench::with_rules(open.clone(), &format!("merged-{is_received}"), rules).await;
        for (name, seconds) in [("ann", 0), ("bea", 1)] {
            bench
                .take(form(&[name], "info", What::OptIn, seconds), seconds)
                .await;
        }
        assert_eq!(sent(&bench, "crm", 2).await.len(), 2);
        bench.take(form(&["ann"], "info", What::Unsubscribed, 3), 3).await;
        if is_received {
            assert_eq!(sent(&bench, "crm", 4).await, [opt_out("info")]);
        }
        bench
            .take(form(&["ann", "bea"], "info", What::Unsubscribed, 5), 5)
            .await;
        // The destination may still believe that it may call the second.
        assert_eq!(sent(&bench, "crm", 6).await, [opt_out("info")], "{is_received}");
        bench.assert_balanced().await;
    }
}

/// The destination is sent everybody, and was sent the opt-in of one of them. A decline of the same moment makes
/// it void.
pub async fn an_opt_in_of_one_of_two_merged_contacts_is_withdrawn(open: Open) {
    let everybody = DestinationRule {
        policy: Policy::All,
        ..calls()
    };
    for (number, [ann, bea]) in [[What::NotAsked, What::OptIn], [What::OptIn, What::NotAsked]]
        .into_iter()
        .enumerate()
    {
        let rules = rules(vec![everybody.clone()]);
        let mut bench = Bench::with_rules(open.clone(), &format!("one-{number}"), rules).await;
        bench.take(form(&["ann"], "info", ann, 0), 0).await;
        bench.take(form(&["bea"], "info", bea, 0), 1).await;
        assert_eq!(bench.deliver_all("crm", 2).await.len(), 2);
        bench
            .take(form(&["ann", "bea"], "info", What::Declined, 0), 3)
            .await;
        let all = sent(&bench, "crm", 4).await;
        assert!(all.contains(&opt_out("info")), "{number}: {all:?}");
        bench.assert_balanced().await;
    }
}

/// One opt-out at an office address is withdrawn for both users. Then they turn out to be one person.
pub async fn of_two_withdrawals_of_one_message_a_merge_leaves_one(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    let about_mail = |references: &[&str], what: What, seconds: i64| {
        let mut event = form(references, "info", What::NotAsked, seconds);
        event.consent = vec![fact(what, at(seconds))];
        event
    };
    for (name, seconds) in [("ann", 0), ("bea", 1)] {
        bench
            .take(about_mail(&[name], What::OptIn, seconds), seconds)
            .await;
    }
    assert_eq!(sent(&bench, "crm", 2).await.len(), 2);
    bench.take(about_mail(&["ann"], What::Unsubscribed, 3), 3).await;
    bench
        .take(about_mail(&["ann", "bea"], What::NotAsked, 4), 4)
        .await;
    assert_eq!(sent(&bench, "crm", 5).await, [opt_out("info")]);
    assert_eq!(bench.store().dead_withdrawals().await.unwrap(), [].into());
    let all = bench
        .store()
        .deliveries(DeliveryFilter::default(), 100)
        .await
        .unwrap();
    let person = all.iter().find_map(|row| row.contact_id).unwrap();
    bench.store().erase(person, at(6)).await.unwrap();
    let all = bench
        .store()
        .deliveries(DeliveryFilter::default(), 100)
        .await
        .unwrap();
    assert!(
        all.iter()
            .all(|row| row.contact_id.is_none() && row.address.is_none()),
        "{all:?}"
    );
    bench.assert_balanced().await;
}
