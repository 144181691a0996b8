//! The other users of a mailbox when one of its users is erased.

use causeway_core::{
    consent::{Change, Policy, What},
    delivery::{Kind, Next},
    event::{Decoded, Event},
    id::{ContactId, InboxId},
    rules::DestinationRule,
    store::InboxState,
};

use super::{
    Bench, Open,
    addresses::{contact_with, of, platform, sent},
    mailboxes::joins,
};
use crate::builders::{SOURCE, at, fact, rules, status};

const DAY: i64 = 86_400;

async fn begin(bench: &Bench, contact: ContactId, seconds: i64) {
    let store = bench.store();
    store
        .begin_erasure(contact, at(7 * DAY), at(seconds))
        .await
        .unwrap();
}

/// The platform's contact with this id opts out.
fn leaves(number: &str, seconds: i64) -> Event {
    let mut event = platform(number, "family", "Ben", seconds);
    event.consent = vec![fact(What::Unsubscribed, at(seconds))];
    event
}

async fn consent_state(bench: &Bench, number: &str) -> &'static str {
    let person = contact_with(bench, number).await;
    person
        .consent_state
        .get("email")
        .map_or("unknown", |state| state.as_str())
}

async fn state(bench: &Bench, id: InboxId) -> InboxState {
    bench.store().trace(id).await.unwrap().unwrap().inbox.state
}

pub async fn opt_ins_of_an_erased_user_of_a_mailbox_count_for_nobody(open: Open) {
    for (name, at_once, owner) in [
        ("owner at once", true, "51"),
        ("owner", false, "51"),
        ("other at once", true, "52"),
        ("other", false, "52"),
    ] {
        let mut bench = Bench::with_rules(open.clone(), name, rules(vec![DestinationRule::new("crm")])).await;
        let silent = |seconds| platform("52", "family", "Ben", seconds);
        if owner == "51" {
            bench.take(joins("51", "family", 0), 0).await;
            bench.take(silent(1), 1).await;
        } else {
            bench.take(silent(0), 0).await;
            bench.take(joins("51", "family", 1), 1).await;
        }
        assert_eq!(consent_state(&bench, "52").await, "opted_in");
        assert!(
            sent(&bench, "crm", 2)
                .await
                .contains(&of(Kind::Record, Change::Subscribe, "family"))
        );
        bench.take(silent(3), 3).await;
        sent(&bench, "crm", 4).await;
        let erased = contact_with(&bench, "51").await.id;
        if at_once {
            bench.store().erase(erased, at(10)).await.unwrap();
        } else {
            begin(&bench, erased, 10).await;
        }
        assert_eq!(consent_state(&bench, "52").await, "unknown", "{name}");
        // A later update of the other user changes nothing.
        let mut news = silent(11);
        news.fields.insert("city".to_owned(), "Bern".into());
        bench.take(news, 11).await;
        let all = sent(&bench, "crm", 12).await;
        assert!(
            all.iter().all(|(_, change, _)| *change != Change::Subscribe),
            "{name}: {all:?}"
        );
        let withdrawal = of(Kind::Withdrawal, Change::Unsubscribe, "family");
        assert!(all.contains(&withdrawal), "{name}: {all:?}");
        bench.store().finish_erasures(at(13)).await.unwrap();
        let mut news = silent(20);
        news.fields.insert("city".to_owned(), "Basel".into());
        bench.take(news, 20).await;
        let all = sent(&bench, "crm", 21).await;
        assert!(
            all.iter().all(|(_, change, _)| *change != Change::Subscribe),
            "{name}: {all:?}"
        );
        assert_eq!(consent_state(&bench, "52").await, "unknown", "{name}");
        bench.assert_balanced().await;
    }
}

pub async fn facts_that_forbid_mail_to_a_mailbox_outlive_their_user(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(joins("51", "family", 0), 0).await;
    bench.take(joins("52", "family", 1), 1).await;
    bench.take(platform("53", "family", "Cid", 2), 2).await;
    // The second user confirms, and this counts for the third.
    let mut clicks = platform("52", "family", "Ben", 3);
    clicks.consent = vec![fact(What::DoubleOptIn, at(3))];
    bench.take(clicks, 3).await;
    let first = contact_with(&bench, "51").await.id;
    bench.store().erase(first, at(10)).await.unwrap();
    for number in ["52", "53"] {
        assert_eq!(consent_state(&bench, number).await, "double_opted_in", "{number}");
    }
    let mut bounces = platform("52", "family", "Ben", 20);
    bounces.consent = vec![fact(What::Bounced, at(20))];
    bench.take(bounces, 20).await;
    let second = contact_with(&bench, "52").await.id;
    bench.store().erase(second, at(30)).await.unwrap();
    assert_eq!(consent_state(&bench, "53").await, "suppressed");
    let third = contact_with(&bench, "53").await;
    let state = &third.contact.consent["email"].addresses["family@example.org"];
    assert!(
        state.opt_in.is_empty() && state.double_opt_in.is_none(),
        "{state:?}"
    );
    bench.assert_balanced().await;
}

/// A mailbox of two users who both opted in. The erasure of the first is pending, since the destination does
/// not answer.
async fn pending(open: &Open, name: &str) -> Bench {
    let mut bench = Bench::with_rules(open.clone(), name, rules(vec![DestinationRule::new("crm")])).await;
    bench.take(joins("51", "family", 0), 0).await;
    bench.take(joins("52", "family", 1), 1).await;
    sent(&bench, "crm", 2).await;
    let first = contact_with(&bench, "51").await.id;
    begin(&bench, first, 10).await;
    let last = bench.claim("crm", 10).await.deliveries;
    assert_eq!(last.len(), 1);
    let later = Next::Waiting { due_at: at(DAY) };
    bench.end(&last[0], later, 10).await;
    bench
}

pub async fn messages_of_other_users_count_while_a_user_is_being_erased(open: Open) {
    let mut bench = pending(&open, "own id").await;
    // Dated before the request, and received late.
    let mut late = platform("52", "family", "Benno", 5);
    late.fields.insert("city".to_owned(), "Bern".into());
    let id = bench.take(late, 11).await;
    assert_eq!(state(&bench, id).await, InboxState::Done);
    assert_eq!(
        contact_with(&bench, "52").await.contact.text("city"),
        Some("Bern")
    );
    sent(&bench, "crm", 11).await;
    let id = bench.take(leaves("52", 12), 12).await;
    assert_eq!(state(&bench, id).await, InboxState::Done);
    assert_eq!(consent_state(&bench, "52").await, "unsubscribed");
    assert_eq!(
        sent(&bench, "crm", 13).await,
        [of(Kind::Withdrawal, Change::Unsubscribe, "family")]
    );
    bench.assert_balanced().await;
    bench.store().finish_erasures(at(7 * DAY)).await.unwrap();
    assert_eq!(consent_state(&bench, "52").await, "unsubscribed");
    assert_eq!(
        contact_with(&bench, "52").await.contact.text("city"),
        Some("Bern")
    );
    bench.assert_balanced().await;
}

pub async fn an_opt_out_of_the_address_counts_at_once_while_a_user_is_being_erased(open: Open) {
    // A message dated before the request is turned away; one dated after it waits. The others have opted out
    // in either case.
    for when in [5, 12] {
        let mut bench = pending(&open, &format!("dated {when}")).await;
        let opt_in = bench
            .take(status("family", What::DoubleOptIn, at(when)), 12)
            .await;
        assert_eq!(consent_state(&bench, "52").await, "opted_in");
        let event = Decoded::Event(Box::new(status("family", What::Unsubscribed, at(when))));
        let (id, processed) = bench.take_from(SOURCE, event, 12).await;
        assert_eq!(state(&bench, id).await, InboxState::Skipped, "{when}");
        assert_eq!(state(&bench, opt_in).await, InboxState::Skipped, "{when}");
        assert_eq!(processed.planned.len(), 1, "{when}");
        let second = contact_with(&bench, "52").await.id;
        assert_eq!(processed.contacts, [second], "{when}");
        assert_eq!(consent_state(&bench, "52").await, "unsubscribed", "{when}");
        assert_eq!(
            sent(&bench, "crm", 13).await,
            [of(Kind::Withdrawal, Change::Unsubscribe, "family")]
        );
        bench.assert_balanced().await;
    }
}

pub async fn other_users_of_a_mailbox_are_sent_again_after_the_removal(open: Open) {
    for (name, erased, stays) in [("owner", "51", "52"), ("other", "52", "51")] {
        let mut bench = Bench::with_rules(open.clone(), name, rules(vec![DestinationRule::new("crm")])).await;
        bench.take(joins("51", "family", 0), 0).await;
        bench.take(joins("52", "family", 1), 1).await;
        sent(&bench, "crm", 2).await;
        let id = contact_with(&bench, erased).await.id;
        begin(&bench, id, 10).await;
        let removal = of(Kind::Withdrawal, Change::Remove, "family");
        assert_eq!(sent(&bench, "crm", 11).await, [removal], "{name}");
        let again = of(Kind::Contact, Change::Subscribe, "family");
        assert_eq!(sent(&bench, "crm", 12).await, [again], "{name}");
        assert_eq!(bench.store().finish_erasures(at(13)).await.unwrap(), 1);
        let given = contact_with(&bench, stays).await.given;
        assert_eq!(given.len(), 1);
        assert_eq!((given[0].change, given[0].last_sent), (Change::Subscribe, at(12)));
        assert_eq!(sent(&bench, "crm", 14).await, []);
        bench.take(leaves(stays, 20), 20).await;
        assert_eq!(
            sent(&bench, "crm", 21).await,
            [of(Kind::Withdrawal, Change::Unsubscribe, "family")]
        );
        bench.assert_balanced().await;
    }
}

/// The destination may have removed the mailbox before the deadline.
pub async fn other_users_are_sent_again_after_an_unanswered_removal(open: Open) {
    let bench = pending(&open, "store").await;
    assert_eq!(bench.store().finish_erasures(at(7 * DAY)).await.unwrap(), 1);
    assert_eq!(
        sent(&bench, "crm", 7 * DAY + 1).await,
        [of(Kind::Contact, Change::Subscribe, "family")]
    );
    bench.assert_balanced().await;
}

pub async fn nothing_is_left_to_do_by_hand_for_an_erased_person(open: Open) {
    let mut archive = DestinationRule::new("archive");
    archive.policy = Policy::All;
    archive.supported_changes = vec![Change::Subscribe];
    let mut bench = Bench::new(open, vec![archive]).await;
    bench.take(joins("51", "family", 0), 0).await;
    sent(&bench, "archive", 1).await;
    bench.take(leaves("51", 2), 2).await;
    sent(&bench, "archive", 3).await;
    let person = contact_with(&bench, "51").await.id;
    begin(&bench, person, 10).await;
    assert_eq!(
        bench.store().by_hand(std::sync::Arc::default()).await.unwrap(),
        [("archive".into(), 2)].into()
    );
    bench.store().erase(person, at(11)).await.unwrap();
    assert_eq!(
        bench.store().by_hand(std::sync::Arc::default()).await.unwrap(),
        [].into()
    );
    bench.assert_balanced().await;
}
