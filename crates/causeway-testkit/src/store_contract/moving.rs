//! People who leave a shared mailbox, ids that came with too many addresses, and which deliveries go first.

use std::collections::BTreeMap;

use causeway_core::{
    consent::{Change, What},
    contact::Identity,
    delivery::Kind,
    event::Event,
    id::InboxId,
    rules::DestinationRule,
    store::Claim,
};

use super::{
    Bench, Open,
    addresses::{contact_with, of, platform, sent},
    mailboxes::{joins, status_of},
};
use crate::builders::{at, contact_ref, email, fact, rules, signed, status};

/// Whether the mailbox may be used for the person with this id.
async fn may_mail(bench: &Bench, number: &str) -> bool {
    contact_with(bench, number).await.consent_state["email"].is_subscribed()
}

fn says(number: &str, name: &str, what: What, seconds: i64) -> Event {
    let mut event = platform(number, name, "Ada", seconds);
    event.consent = vec![fact(what, at(seconds))];
    event
}

pub async fn a_user_who_leaves_a_mailbox_takes_their_opt_ins_along(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(joins("71", "family", 0), 0).await;
    bench.take(platform("72", "family", "Bob", 5), 5).await;
    assert!(may_mail(&bench, "72").await);
    sent(&bench, "crm", 6).await;
    bench.take(platform("71", "own", "Ada", 10), 10).await;
    assert!(may_mail(&bench, "71").await && !may_mail(&bench, "72").await);
    let all = sent(&bench, "crm", 11).await;
    assert!(
        all.contains(&of(Kind::Withdrawal, Change::Unsubscribe, "family")),
        "{all:?}"
    );
    bench.take(platform("72", "family", "Bo", 20), 20).await;
    let all = sent(&bench, "crm", 21).await;
    assert!(
        all.iter().all(|(_, change, _)| *change != Change::Subscribe),
        "no user of the mailbox has opted in: {all:?}"
    );
    // Back again, with the facts from there.
    bench.take(platform("71", "family", "Ada", 30), 30).await;
    assert!(may_mail(&bench, "72").await);
    bench.assert_balanced().await;
}

pub async fn an_opt_out_elsewhere_takes_back_the_opt_in_at_a_mailbox(open: Open) {
    for (number, of_other) in [What::Declined, What::Unsubscribed, What::OptIn]
        .into_iter()
        .enumerate()
    {
        let rules = rules(vec![DestinationRule::new("crm")]);
        let mut bench = Bench::with_rules(open.clone(), &format!("elsewhere-{number}"), rules).await;
        bench.take(joins("71", "family", 0), 0).await;
        bench.take(says("72", "family", of_other.clone(), 5), 5).await;
        bench.take(joins("71", "family", 7), 7).await;
        sent(&bench, "crm", 8).await;
        bench.take(platform("71", "own", "Ada", 10), 10).await;
        sent(&bench, "crm", 11).await;
        bench.take(status("own", What::Unsubscribed, at(20)), 20).await;
        sent(&bench, "crm", 21).await;
        bench.take(platform("72", "family", "Bo", 30), 30).await;
        let all = sent(&bench, "crm", 31).await;
        let is_sent = all.contains(&of(Kind::Record, Change::Subscribe, "family"));
        assert_eq!(is_sent, of_other == What::OptIn, "{of_other:?}: {all:?}");
        assert_eq!(may_mail(&bench, "72").await, of_other == What::OptIn);
        bench.assert_balanced().await;
    }
}

pub async fn facts_by_an_id_are_about_the_mailbox_that_its_owner_uses(open: Open) {
    for (number, what) in [What::OptIn, What::Unsubscribed].into_iter().enumerate() {
        let rules = rules(vec![DestinationRule::new("crm")]);
        let mut bench = Bench::with_rules(open.clone(), &format!("used-{number}"), rules).await;
        let is_opt_in = what == What::OptIn;
        bench.take(joins("71", "family", 0), 0).await;
        bench.take(platform("72", "family", "Bob", 5), 5).await;
        bench.take(platform("72", "bob", "Bob", 10), 10).await;
        if is_opt_in {
            bench.take(says("71", "family", What::Unsubscribed, 20), 20).await;
        }
        sent(&bench, "crm", 21).await;
        bench.take(status_of("72", what, 30), 30).await;
        let all = sent(&bench, "crm", 31).await;
        let is_about_family = |(_, change, address): &(Kind, Change, String)| {
            address == "family@example.org" && (*change == Change::Subscribe) == is_opt_in
        };
        if is_opt_in {
            assert!(!all.iter().any(is_about_family), "{all:?}");
        }
        assert_eq!(may_mail(&bench, "71").await, !is_opt_in);
        assert_eq!(may_mail(&bench, "72").await, is_opt_in);
        bench.assert_balanced().await;
    }
}

pub async fn a_bounce_by_an_id_holds_for_a_mailbox_that_its_owner_left(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(joins("72", "family", 0), 0).await;
    bench.take(joins("71", "family", 1), 1).await;
    bench.take(joins("71", "own", 10), 10).await;
    // It bounced before the move.
    bench.take(status_of("71", What::Bounced, 5), 20).await;
    assert_eq!(
        contact_with(&bench, "72").await.consent_state["email"].as_str(),
        "suppressed"
    );
    bench.assert_balanced().await;
}

pub async fn facts_from_before_a_mailbox_was_shared_hold_for_its_users(open: Open) {
    for (number, is_merge) in [true, false].into_iter().enumerate() {
        let rules = rules(vec![DestinationRule::new("crm")]);
        let mut bench = Bench::with_rules(open.clone(), &format!("before-{number}"), rules).await;
        bench.take(joins("71", "family", 0), 0).await;
        bench.take(joins("72", "family", 1), 1).await;
        sent(&bench, "crm", 2).await;
        // The bounce of a contact whose address is not known yet.
        let mut bounce = status_of("73", What::Bounced, 5);
        let mut later = platform("73", "family", "Eve", 10);
        if is_merge {
            bounce.identities = vec![contact_ref("eve")];
            later.identities = vec![email("family"), contact_ref("eve")];
        }
        bench.take(bounce, 5).await;
        bench.take(later, 10).await;
        for number in ["71", "72"] {
            let person = contact_with(&bench, number).await;
            assert_eq!(person.consent_state["email"].as_str(), "suppressed", "{number}");
        }
        let all = sent(&bench, "crm", 11).await;
        assert!(
            all.iter().all(|(_, change, _)| *change != Change::Subscribe),
            "{all:?}"
        );
        bench.assert_balanced().await;
    }
}

pub async fn an_opt_out_by_an_id_counts_for_every_address_that_it_came_with(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    for (name, seconds) in [("a", 0), ("b", 5), ("c", 10)] {
        bench.take(joins("71", name, seconds), seconds).await;
        sent(&bench, "crm", seconds + 1).await;
    }
    bench.take(status_of("71", What::Unsubscribed, 20), 20).await;
    let mut all = sent(&bench, "crm", 21).await;
    all.sort_by(|one, other| one.2.cmp(&other.2));
    let expected = ["a", "b", "c"].map(|name| of(Kind::Withdrawal, Change::Unsubscribe, name));
    assert_eq!(all, expected);
    bench.assert_balanced().await;
}

/// Strangers whose form sends the same id for each of them must not opt out one another.
pub async fn an_opt_out_by_an_id_that_everybody_has_counts_for_nobody_else(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    for number in 0..30 {
        bench
            .take(joins("web", &format!("p{number}"), number), number)
            .await;
    }
    sent(&bench, "crm", 40).await;
    bench.take(status_of("web", What::Unsubscribed, 50), 50).await;
    let all = sent(&bench, "crm", 51).await;
    assert!(
        all.iter()
            .all(|(_, _, address)| ["p0@example.org", "p1@example.org"].contains(&address.as_str())),
        "{all:?}"
    );
    bench.assert_balanced().await;
}

pub async fn a_reference_that_comes_with_a_third_address_merges_nobody(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    for number in 0..4 {
        let name = format!("k{number}");
        let action = number.to_string();
        bench
            .take(signed(&name, &action, What::OptIn, at(number)), number)
            .await;
    }
    for number in 0..4 {
        let name = format!("k{number}");
        let mut event = signed(&name, &format!("s{number}"), What::NotAsked, at(10 + number));
        event.identities = vec![email(&name), contact_ref("constant")];
        bench.take(event, 10 + number).await;
    }
    bench.take(status("k3", What::Unsubscribed, at(20)), 20).await;
    bench.take(signed("k0", "again", What::OptIn, at(30)), 30).await;
    assert!(!bench.person("k3").await.consent_state["email"].is_subscribed());
    assert!(bench.person("k2").await.consent_state["email"].is_subscribed());
    let conflicts = bench.store().conflicts().await.unwrap();
    assert_eq!(conflicts.len(), 1);
    assert_eq!((conflicts[0].id.as_str(), conflicts[0].messages), ("constant", 2));
    bench.assert_balanced().await;
}

pub async fn a_withdrawal_is_claimed_before_everything_else(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    sent(&bench, "crm", 1).await;
    for number in 0..5 {
        let name = format!("p{number}");
        bench.take(signed(&name, &name, What::OptIn, at(10)), 10).await;
    }
    bench.take(status("ada", What::Unsubscribed, at(20)), 20).await;
    let claim = Claim {
        first: Vec::new(),
        destination: "crm".into(),
        limit: 1,
        leased_until: at(100),
        now: at(30),
    };
    let claimed = bench.store().claim(claim.clone()).await.unwrap();
    assert_eq!(claimed.deliveries[0].record.kind, Kind::Withdrawal);
    // It is not claimed twice, and the others follow.
    let claimed = bench.store().claim(Claim { limit: 10, ..claim }).await.unwrap();
    assert_eq!(claimed.deliveries.len(), 5);
}

/// Two people who were merged by one id: each may be sent what they were sent, and nothing of the other.
pub async fn a_split_divides_what_destinations_were_given(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    let mut read: BTreeMap<InboxId, Event> = BTreeMap::new();
    for (event, seconds) in [
        (joins("41", "carl", 0), 0),
        (platform("41", "dora", "Dora", 5), 5),
    ] {
        read.insert(bench.take(event.clone(), seconds).await, event);
        sent(&bench, "crm", seconds + 1).await;
    }
    let one = contact_with(&bench, "41").await;
    let dora = Identity::Email {
        address: "dora@example.org".to_owned(),
    };
    let split = bench.store().split(one.id, [dora].into(), read, at(10)).await;
    assert!(split.unwrap().is_some());
    let carl = contact_with(&bench, "41").await;
    assert_eq!(carl.contact.text("email"), Some("carl@example.org"));
    assert!(carl.consent_state["email"].is_subscribed());
    let dora = bench.person("dora").await;
    assert_eq!(dora.contact.text("email"), Some("dora@example.org"));
    assert_eq!(dora.consent_state.get("email"), None);
    let all = sent(&bench, "crm", 11).await;
    let expected = [
        of(Kind::Contact, Change::Subscribe, "carl"),
        of(Kind::Withdrawal, Change::Unsubscribe, "dora"),
    ];
    assert!(
        expected.iter().all(|one| all.contains(one)) && all.len() == 2,
        "{all:?}"
    );
    // Consent of one no longer counts for the other.
    bench.take(status("dora", What::Unsubscribed, at(20)), 20).await;
    assert_eq!(sent(&bench, "crm", 21).await, []);
    bench.take(platform("41", "carl", "Carlo", 30), 30).await;
    assert_eq!(
        sent(&bench, "crm", 31).await,
        [of(Kind::Record, Change::Subscribe, "carl")]
    );
    bench.assert_balanced().await;
}
