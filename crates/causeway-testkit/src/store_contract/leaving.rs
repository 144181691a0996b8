//! Erasures, and the retention of the parts of the store.

use causeway_core::{
    after_erasure::AfterErasure,
    consent::{Change, ConsentState, Policy, What},
    delivery::{Delivery, Kind, Next},
    event::{DeadCode, Decoded, Engagement, EngagementKind},
    id::InboxId,
    rules::{DestinationRule, Takes},
    store::{DeliveryFilter, InboxState, Retention},
};

use super::{
    Bench, Open,
    addresses::{of, sent},
};
use crate::builders::{at, rules, signed, status, synced};

const DAY: i64 = 86_400;

/// A CRM, an archive that can only be added to, and a list that the person is not on.
fn three() -> Vec<DestinationRule> {
    let mut archive = DestinationRule::new("archive");
    archive.policy = Policy::All;
    archive.supported_changes = vec![Change::Subscribe];
    let mut confirmed = DestinationRule::new("confirmed");
    confirmed.policy = Policy::DoubleOptIn;
    vec![DestinationRule::new("crm"), archive, confirmed]
}

async fn one(bench: &Bench, destination: &str, seconds: i64) -> Delivery {
    let mut claimed = bench.claim(destination, seconds).await.deliveries;
    assert_eq!(claimed.len(), 1);
    claimed.remove(0)
}

/// The destination still has the person, and somebody must know whom to remove.
pub async fn a_person_stays_while_a_destination_refuses_the_removal(open: Open) {
    let mut bench = Bench::new(open, three()).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.deliver_all("crm", 1).await;
    let ada = bench.person("ada").await.id;
    bench
        .store()
        .begin_erasure(ada, at(7 * DAY), at(5))
        .await
        .unwrap();
    let last = one(&bench, "crm", 6).await;
    bench.end(&last, Next::Dead, 6).await;
    assert_eq!(bench.store().finish_erasures(at(7)).await.unwrap(), 0);
    assert_eq!(bench.store().erasures().await.unwrap()[0].open, 1);
    let again = bench
        .store()
        .retry_deliveries(DeliveryFilter::default(), at(8))
        .await
        .unwrap();
    assert_eq!(again, 1);
    let last = one(&bench, "crm", 9).await;
    assert_eq!(last.record.change, Change::Remove);
    bench.end(&last, Next::Dead, 9).await;
    // The deadline ends the wait.
    assert_eq!(bench.store().finish_erasures(at(7 * DAY)).await.unwrap(), 1);
    bench.assert_balanced().await;
}

/// Somebody has to remove the person there by hand.
pub async fn a_destination_that_left_the_configuration_still_has_an_erased_person(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.deliver_all("crm", 1).await;
    bench.set_rules(rules(vec![])).await;
    let ada = bench.person("ada").await.id;
    let start = bench
        .store()
        .begin_erasure(ada, at(7 * DAY), at(5))
        .await
        .unwrap();
    assert_eq!(start.asked, []);
    let (name, reason) = &start.not_asked[0];
    assert_eq!(&**name, "crm");
    assert!(reason.contains("no longer has this destination"), "{reason}");
    assert_eq!(bench.store().finish_erasures(at(6)).await.unwrap(), 0);
    let removals = bench.store().erasures().await.unwrap().remove(0).removals;
    assert_eq!((removals.len(), &*removals[0].destination), (1, "crm"));
    bench.assert_balanced().await;
    // Without the wait, too, it is named.
    let erased = bench.store().erase(ada, at(7)).await.unwrap();
    assert_eq!(erased.unsent, ["crm".into()]);
}

/// Somebody has all dead deliveries tried again.
pub async fn a_delivery_from_before_the_erasure_is_not_tried_again(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.deliver_all("crm", 1).await;
    bench.take(signed("ada", "2", What::OptIn, at(2)), 2).await;
    let dead = one(&bench, "crm", 3).await;
    bench.end(&dead, Next::Dead, 4).await;
    let ada = bench.person("ada").await.id;
    let store = bench.store();
    store.begin_erasure(ada, at(7 * DAY), at(5)).await.unwrap();
    let again = store.retry_deliveries(DeliveryFilter::default(), at(6)).await;
    assert_eq!(again.unwrap(), 1);
    let removal = one(&bench, "crm", 7).await;
    assert_eq!(removal.record.change, Change::Remove);
    bench.end(&removal, Next::Delivered, 8).await;
    let claimed = bench.claim("crm", 9).await;
    assert_eq!((claimed.skipped, claimed.deliveries.len()), (1, 0));
    bench.assert_balanced().await;
}

#[expect(clippy::too_many_lines, reason = "one story in its order")]
pub async fn destinations_are_sent_removals_before_a_person_is_erased(open: Open) {
    let mut bench = Bench::new(open, three()).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.deliver_all("crm", 1).await;
    bench.deliver_all("archive", 1).await;
    // A delivery that keeps failing, with an update behind it: neither is sent any more.
    bench.take(signed("ada", "2", What::OptIn, at(2)), 2).await;
    let failing = one(&bench, "crm", 3).await;
    bench
        .end(&failing, Next::Waiting { due_at: at(9 * DAY) }, 3)
        .await;
    bench.take(synced("ada", &[("city", "Bern")], at(4)), 4).await;
    let ada = bench.person("ada").await.id;

    let start = bench
        .store()
        .begin_erasure(ada, at(7 * DAY), at(5))
        .await
        .unwrap();
    assert_eq!(start.asked, [("crm".into(), Change::Remove)]);
    assert_eq!(start.not_asked.len(), 1);
    assert_eq!(&*start.not_asked[0].0, "archive");
    assert!(start.not_asked[0].1.contains("cannot receive remove"));
    assert_eq!(
        bench
            .store()
            .begin_erasure(ada, at(9 * DAY), at(6))
            .await
            .unwrap(),
        start
    );
    // New messages are not applied, and the person is not erased before the CRM has confirmed.
    let late = bench.take(signed("ada", "3", What::OptIn, at(4)), 7).await;
    let trace = bench.store().trace(late).await.unwrap().unwrap();
    assert_eq!((trace.inbox.state, trace.envelope), (InboxState::Skipped, None));
    // Ada signs again. The message waits, with its body, until the erasure is finished.
    let again = signed("ada", "4", What::OptIn, at(7));
    let waits = bench.take(again.clone(), 7).await;
    let trace = bench.store().trace(waits).await.unwrap().unwrap();
    assert_eq!(trace.inbox.state, InboxState::Skipped);
    assert!(trace.envelope.is_some() && trace.contact_id.is_none());
    assert_eq!(bench.store().finish_erasures(at(7)).await.unwrap(), 0);
    bench.reopen().await;
    let leaving = bench.store().erasures().await.unwrap();
    assert_eq!(
        (leaving.len(), leaving[0].contact, leaving[0].at_latest),
        (1, ada, at(7 * DAY))
    );

    let last = one(&bench, "crm", 8).await;
    assert_eq!(
        (last.record.kind, last.record.change),
        (Kind::Withdrawal, Change::Remove)
    );
    assert!(matches!(
        last.record.consent_state_for("email"),
        ConsentState::Unsubscribed { .. }
    ));
    assert_eq!(last.record.email(), Some("ada@example.org"));
    assert_eq!(
        last.record.contact.fields.len(),
        1,
        "only the address of the person"
    );
    assert!(last.record.action.is_none());
    assert_eq!(bench.deliver_all("archive", 8).await, []);
    bench.end(&last, Next::Delivered, 8).await;
    bench.assert_balanced().await;
    // The archive cannot receive the removal, so it still has Ada until a person has deleted her there.
    assert_eq!(bench.store().finish_erasures(at(9)).await.unwrap(), 0);
    let removals = bench.store().erasures().await.unwrap().remove(0).removals;
    assert_eq!(removals.len(), 1);
    assert_eq!(
        (&*removals[0].destination, removals[0].state.as_str()),
        ("archive", "skipped")
    );
    let done = DeliveryFilter {
        ids: vec![removals[0].delivery],
        ..DeliveryFilter::default()
    };
    bench
        .store()
        .discard_deliveries(done, "done by hand", at(9))
        .await
        .unwrap();
    assert_eq!(bench.store().finish_erasures(at(9)).await.unwrap(), 1);
    assert_eq!(bench.store().find_contacts("ada@example.org").await.unwrap(), []);
    assert_eq!(bench.store().erasures().await.unwrap(), []);
    assert_eq!(bench.store().finish_erasures(at(10)).await.unwrap(), 0);
    let rows = bench.store().fetch_new(InboxId(0), 10).await.unwrap();
    assert_eq!(rows.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [waits]);
    let decoded = Decoded::Event(Box::new(again));
    bench
        .store()
        .process(vec![(waits, decoded)], at(10))
        .await
        .unwrap();
    let anew = bench.person("ada").await;
    assert_ne!(anew.id, ada);
    assert_eq!((anew.actions.len(), anew.inbox), (1, vec![waits]));
    let removal = bench.store().trace(last.record.inbox_id).await.unwrap().unwrap();
    assert_eq!(removal.contact_id, None);
    assert!(
        removal
            .deliveries
            .iter()
            .any(|one| one.delivery.state == "delivered")
    );
    bench.assert_balanced().await;
}

/// At the deadline somebody must learn where the person still is.
pub async fn an_erasure_names_the_destinations_that_cannot_receive_the_removal(open: Open) {
    let mut bench = Bench::new(open, three()).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.deliver_all("crm", 1).await;
    bench.deliver_all("archive", 1).await;
    let ada = bench.person("ada").await.id;
    bench
        .store()
        .begin_erasure(ada, at(7 * DAY), at(5))
        .await
        .unwrap();
    bench.deliver_all("crm", 6).await;
    assert_eq!(bench.store().finish_erasures(at(6 * DAY)).await.unwrap(), 0);
    let erased = bench.store().erase(ada, at(7 * DAY)).await.unwrap();
    let unsent: Vec<&str> = erased.unsent.iter().map(|name| &**name).collect();
    assert_eq!(unsent, ["archive"]);
    bench.assert_balanced().await;
}

pub async fn a_person_is_erased_at_the_deadline_without_confirmation(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    bench.deliver_all("crm", 1).await;
    let ada = bench.person("ada").await.id;
    bench
        .store()
        .begin_erasure(ada, at(7 * DAY), at(2))
        .await
        .unwrap();
    let last = one(&bench, "crm", 3).await;
    bench.end(&last, Next::Waiting { due_at: at(20 * DAY) }, 3).await;
    assert_eq!(bench.store().finish_erasures(at(6 * DAY)).await.unwrap(), 0);
    assert_eq!(bench.store().finish_erasures(at(7 * DAY)).await.unwrap(), 1);
    assert_eq!(bench.deliver_all("crm", 21 * DAY).await, []);
    bench.assert_balanced().await;
}

/// Nobody can send it any more, and nobody could find out later.
pub async fn an_erasure_names_the_destinations_that_an_opt_out_has_not_reached(open: Open) {
    let others = ["delivered", "waiting", "dead", "recovered"];
    let mut bench = Bench::new(open, others.map(DestinationRule::new).to_vec()).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    for destination in others {
        bench.deliver_all(destination, 1).await;
    }
    bench.take(status("ada", What::Unsubscribed, at(2)), 2).await;
    for (destination, next) in [
        ("delivered", Next::Delivered),
        ("waiting", Next::Waiting { due_at: at(900) }),
        ("dead", Next::Dead),
        ("recovered", Next::Dead),
    ] {
        let opt_out = one(&bench, destination, 3).await;
        bench.end(&opt_out, next, 3).await;
    }
    bench.take(status("ada", What::Unsubscribed, at(4)), 4).await;
    let filter = DeliveryFilter {
        destination: Some("recovered".into()),
        ..DeliveryFilter::default()
    };
    bench.store().retry_deliveries(filter, at(5)).await.unwrap();
    bench.deliver_all("recovered", 6).await;
    let ada = bench.person("ada").await.id;
    let erased = bench.store().erase(ada, at(7)).await.unwrap();
    let unsent: Vec<&str> = erased.unsent.iter().map(|name| &**name).collect();
    assert_eq!(unsent, ["dead", "waiting"]);
    bench.assert_balanced().await;
}

pub async fn a_person_that_no_destination_has_is_erased_at_once(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(signed("ada", "1", What::Declined, at(0)), 0).await;
    let ada = bench.person("ada").await.id;
    let start = bench
        .store()
        .begin_erasure(ada, at(7 * DAY), at(2))
        .await
        .unwrap();
    assert_eq!((start.asked, start.not_asked), (vec![], vec![]));
    // The caller has nothing to wait for.
    bench.store().erase(ada, at(2)).await.unwrap();
    bench.take(status("ada", What::OptIn, at(1)), 3).await;
    assert_eq!(bench.store().find_contacts("ada@example.org").await.unwrap(), []);
    bench.assert_balanced().await;
}

pub async fn a_removal_does_not_overtake_a_delivery_in_flight(open: Open) {
    let mut rule = DestinationRule::new("crm");
    rule.escape_after = 1;
    let mut bench = Bench::new(open, vec![rule]).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    let slow = one(&bench, "crm", 1).await;
    let ada = bench.person("ada").await.id;
    bench
        .store()
        .begin_erasure(ada, at(7 * DAY), at(2))
        .await
        .unwrap();
    assert_eq!(bench.claim("crm", 3).await.deliveries, []);
    bench.end(&slow, Next::Delivered, 4).await;
    let last = one(&bench, "crm", 5).await;
    assert_eq!(last.record.change, Change::Remove);
    bench.end(&last, Next::Delivered, 5).await;
    assert_eq!(bench.store().finish_erasures(at(6)).await.unwrap(), 1);
    bench.assert_balanced().await;
}

pub async fn an_unreadable_message_is_erased_with_its_person(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    let dead = |code| Decoded::Dead {
        code,
        reason: "not JSON".to_owned(),
    };
    let sealed = r#"{"personalInfo":{"payload":"a","nonce":"b"}}"#;
    let mut ids = Vec::new();
    for (number, (body, decoded)) in [
        ("x=1&email=ADA%40example.org", dead(DeadCode::Malformed)),
        (r#"{"who":"ada\u0040example.org"}"#, dead(DeadCode::Unknown)),
        ("payload=YWRhQGV4YW1wbGUub3Jn", dead(DeadCode::Malformed)),
        (
            "who: Ada@Example.ORG",
            Decoded::Skip {
                reason: "a test".to_owned(),
            },
        ),
        ("ben@example.org", dead(DeadCode::Malformed)),
        ("nada@example.org", dead(DeadCode::Malformed)),
        (sealed, dead(DeadCode::KeyMissing)),
        ("PK\u{3}\u{4}", dead(DeadCode::Malformed)),
    ]
    .into_iter()
    .enumerate()
    {
        let mut message = crate::builders::envelope(crate::builders::SOURCE, &format!("bad {number}"), at(1));
        message.body = body.as_bytes().to_vec().into();
        let id = bench.store().accept(vec![message]).await.unwrap()[0].id;
        bench.store().process(vec![(id, decoded)], at(2)).await.unwrap();
        ids.push(id);
    }
    // A message whose only content is a query, and one that came after the request.
    let mut query = crate::builders::envelope(crate::builders::SOURCE, "query", at(1));
    query.body = Vec::new().into();
    query.meta.query = Some("Adresse=ada%40example.org".to_owned());
    let mut later = crate::builders::envelope(crate::builders::SOURCE, "later", at(9));
    later.body = b"ada@example.org".to_vec().into();
    for message in [query, later] {
        let id = bench.store().accept(vec![message]).await.unwrap()[0].id;
        let decoded = dead(DeadCode::Malformed);
        bench.store().process(vec![(id, decoded)], at(9)).await.unwrap();
        ids.push(id);
    }
    let ada = bench.person("ada").await.id;
    let erased = bench.store().erase(ada, at(3)).await.unwrap();
    let named = [ids[0], ids[1], ids[2], ids[3], ids[8]];
    assert_eq!(erased.unread.named, named);
    assert_eq!(
        (&erased.unread.sealed[..], &erased.unread.binary[..]),
        (&ids[6..7], &ids[7..8])
    );
    assert_eq!((erased.unread.searched, erased.envelopes), (9, 6));
    for id in ids {
        let trace = bench.store().trace(id).await.unwrap().unwrap();
        assert_eq!(trace.envelope.is_none(), named.contains(&id), "{id}");
        // Without a body there is nothing to replay.
        let is_dead = trace.inbox.state == InboxState::Dead;
        assert_eq!(is_dead, !named.contains(&id), "{id}");
    }
    bench.assert_balanced().await;
}

pub async fn a_message_dated_after_an_erasure_makes_a_new_contact(open: Open) {
    let mut bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    let ada = bench.person("ada").await.id;
    bench.store().erase(ada, at(10)).await.unwrap();
    bench.reopen().await;
    // Late messages: one came before the erasure whatever its date, and one has an earlier date.
    bench.take(signed("ada", "3", What::OptIn, at(20)), 8).await;
    let late = bench.take(signed("ada", "2", What::OptIn, at(9)), 20).await;
    let trace = bench.store().trace(late).await.unwrap().unwrap();
    assert_eq!((trace.inbox.state, trace.envelope), (InboxState::Skipped, None));
    assert!(trace.inbox.reason.unwrap().contains("send it again"));
    assert_eq!(bench.store().find_contacts("ada@example.org").await.unwrap(), []);
    // An action of her own. The consent repeated in it is from before the erasure, and does not count.
    let mut share = signed("ada", "4", What::OptIn, at(12));
    share.consent[0].at = at(1);
    let (share, processed) = bench
        .take_from(crate::builders::SOURCE, Decoded::Event(Box::new(share)), 20)
        .await;
    assert!(!processed.turned_away);
    let trace = bench.store().trace(share).await.unwrap().unwrap();
    assert!(
        trace
            .notes
            .iter()
            .any(|note| note.contains("makes a new contact")),
        "{:?}",
        trace.notes
    );
    let anew = bench.person("ada").await;
    assert_eq!((anew.actions.len(), anew.ledger.len()), (1, 0));
    assert_eq!(bench.deliver_all("crm", 21).await, []);
    bench.take(signed("ada", "5", What::OptIn, at(13)), 22).await;
    // With the action that was held back.
    assert_eq!(bench.deliver_all("crm", 23).await.len(), 2);
    // An older message stays out, although Ada is known again.
    let late = bench.take(signed("ada", "6", What::OptIn, at(3)), 24).await;
    assert_eq!(bench.person("ada").await.actions.len(), 2);
    let counts = bench.store().overview(at(25)).await.unwrap().sources[crate::builders::SOURCE].clone();
    assert_eq!(
        (counts.turned_away, counts.turned_away_lately, counts.began_anew),
        (3, 3, 1)
    );
    let counts = bench.store().overview(at(8 * DAY)).await.unwrap().sources[crate::builders::SOURCE].clone();
    assert_eq!((counts.turned_away, counts.turned_away_lately), (3, 0));
    // A message that is sent again is judged again.
    let trace = bench.store().trace(late).await.unwrap().unwrap();
    assert_eq!(trace.inbox.state, InboxState::Skipped);
    let again = crate::builders::envelope(crate::builders::SOURCE, "message 6", at(26));
    let again = bench.store().accept(vec![again]).await.unwrap();
    assert!(!again[0].duplicate);
    bench.assert_balanced().await;
}

pub async fn the_same_form_after_an_erasure_is_no_duplicate(open: Open) {
    use causeway_core::envelope::Dedup;

    let bench = Bench::new(open, vec![DestinationRule::new("crm")]).await;
    let form = |second: i64, id: Option<u8>| {
        let mut message = crate::builders::envelope(crate::builders::SOURCE, "", at(second));
        message.dedup = Dedup {
            id: id.map(|id| [id; 16]),
            ..Dedup::window([id.unwrap_or(9); 16], 1_000_000_000)
        };
        message
    };
    for (second, id) in [(0, None), (1, Some(7))] {
        let accepted = bench.store().accept(vec![form(second, id)]).await.unwrap();
        let signs = synced("ada", &[("city", "Bern")], at(second));
        let decoded = Decoded::Event(Box::new(signs));
        bench
            .store()
            .process(vec![(accepted[0].id, decoded)], at(second))
            .await
            .unwrap();
    }
    let ada = bench.person("ada").await.id;
    bench.store().erase(ada, at(10)).await.unwrap();
    // A message with an id is a late retry.
    let retry = bench.store().accept(vec![form(11, Some(7))]).await.unwrap();
    assert!(retry[0].duplicate);
    let again = bench.store().accept(vec![form(12, None)]).await.unwrap();
    assert!(!again[0].duplicate);
    let signs = Decoded::Event(Box::new(synced("ada", &[("city", "Bern")], at(12))));
    bench
        .store()
        .process(vec![(again[0].id, signs)], at(12))
        .await
        .unwrap();
    bench.person("ada").await;
    bench.assert_balanced().await;
}

pub async fn an_opt_out_after_an_erasure_is_not_lost(open: Open) {
    use causeway_core::consent::ConsentState;

    // The opt-out answers an old mail. It may come before or after the new signature.
    for opt_out_first in [true, false] {
        let store = format!("first {opt_out_first}");
        let rules = rules(vec![DestinationRule::new("crm")]);
        let mut bench = Bench::with_rules(open.clone(), &store, rules).await;
        bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
        let ada = bench.person("ada").await.id;
        bench.store().erase(ada, at(10)).await.unwrap();
        let answer = |what, when| {
            let mut event = status("ada", what, at(when));
            event.acted_at = Some(at(1));
            event
        };
        bench.take(answer(What::DoubleOptIn, 11), 11).await;
        let opt_out = answer(What::Unsubscribed, 14);
        if opt_out_first {
            bench.take(opt_out.clone(), 14).await;
        }
        assert_eq!(bench.store().find_contacts("ada@example.org").await.unwrap(), []);
        bench.take(signed("ada", "2", What::OptIn, at(13)), 15).await;
        if !opt_out_first {
            bench.take(opt_out, 16).await;
        }
        let consent_state =
            |view: &causeway_core::store::ContactView| view.consent_state.get("email").copied();
        let opted_in = matches!(
            consent_state(&bench.person("ada").await),
            Some(ConsentState::OptedIn { .. })
        );
        assert!(!opted_in, "first: {opt_out_first}");
        // The destination may know Ada from before, so it receives the opt-out and nothing else.
        for delivery in bench.claim("crm", 17).await.deliveries {
            assert_eq!(delivery.record.change, Change::Unsubscribe);
            bench.end(&delivery, Next::Delivered, 17).await;
        }
        bench.take(signed("ada", "3", What::OptIn, at(18)), 18).await;
        let opted_in = matches!(
            consent_state(&bench.person("ada").await),
            Some(ConsentState::OptedIn { .. })
        );
        assert!(opted_in, "first: {opt_out_first}");
        bench.assert_balanced().await;
    }
}

pub async fn refused_people_stay_out_after_their_erasure(open: Open) {
    let mut refusing = rules(vec![DestinationRule::new("crm")]);
    refusing.after_erasure = AfterErasure::Refuse;
    let mut bench = Bench::with_rules(open, "store", refusing).await;
    bench.take(signed("ada", "1", What::OptIn, at(0)), 0).await;
    let ada = bench.person("ada").await.id;
    bench.store().erase(ada, at(10)).await.unwrap();
    let event = || Decoded::Event(Box::new(signed("ada", "2", What::OptIn, at(20))));
    let (_, processed) = bench.take_from(crate::builders::SOURCE, event(), 20).await;
    assert!(processed.turned_away);
    assert_eq!(bench.store().find_contacts("ada@example.org").await.unwrap(), []);
    bench.set_rules(rules(vec![DestinationRule::new("crm")])).await;
    let (_, processed) = bench.take_from(crate::builders::SOURCE, event(), 21).await;
    assert!(!processed.turned_away);
    assert_eq!(bench.person("ada").await.actions.len(), 1);
    bench.assert_balanced().await;
}

pub async fn each_part_is_kept_for_its_retention(open: Open) {
    let mut bench = Bench::with_rules(open, "store", rules(vec![DestinationRule::new("crm")])).await;
    let visit = |day: Option<i64>| Engagement {
        kind: EngagementKind::PageVisit,
        key: format!("/{day:?}"),
        name: None,
        at: day.map(|day| at(day * DAY)),
        raw_at: None,
        count: None,
        score: None,
    };
    for (number, day) in [0, 10, 20].into_iter().enumerate() {
        let mut event = signed("ada", &number.to_string(), What::OptIn, at(day * DAY));
        event.engagements = vec![visit(Some(day)), visit(None)];
        bench.take(event, day * DAY).await;
        bench.deliver_all("crm", day * DAY).await;
    }
    let none = bench
        .store()
        .prune(Retention::default(), at(40 * DAY))
        .await
        .unwrap();
    assert_eq!((none.answers, none.engagements, none.actions), (0, 0, 0));
    let retention = Retention {
        answer_days: Some(25),
        engagement_days: Some(25),
        action_days: Some(35),
        ..Retention::default()
    };
    let pruned = bench
        .store()
        .prune(retention.clone(), at(40 * DAY))
        .await
        .unwrap();
    assert_eq!((pruned.answers, pruned.engagements, pruned.actions), (2, 2, 1));
    let person = bench.person("ada").await;
    assert_eq!((person.actions.len(), person.engagements.len()), (2, 2));
    let excerpts: Vec<bool> = {
        let mut all = Vec::new();
        for id in &person.inbox {
            let trace = bench.store().trace(*id).await.unwrap().unwrap();
            all.push(trace.deliveries[0].attempts[0].excerpt.is_some());
        }
        all
    };
    assert_eq!(excerpts, [false, false, true]);
    let again = bench
        .store()
        .prune(retention.clone(), at(40 * DAY))
        .await
        .unwrap();
    assert_eq!((again.answers, again.engagements, again.actions), (0, 0, 0));
    // The next run continues where this one stopped.
    let later = bench.store().prune(retention, at(50 * DAY)).await.unwrap();
    assert_eq!((later.answers, later.engagements, later.actions), (1, 1, 1));
    bench.assert_balanced().await;
}

/// Platforms send the whole history each time.
pub async fn deleted_engagements_are_recognised_when_they_are_sent_again(open: Open) {
    let mut news = DestinationRule::new("crm");
    news.policy = Policy::All;
    news.takes = Takes::Changes;
    let mut bench = Bench::with_rules(open, "store", rules(vec![news])).await;
    let history = |name: &str, message: i64, count: i64| {
        let mut event = synced(name, &[], at(message));
        event.engagements = vec![Engagement {
            kind: EngagementKind::PageVisit,
            key: format!("/{name}"),
            name: None,
            at: Some(at(5)),
            raw_at: None,
            count: Some(count),
            score: None,
        }];
        event
    };
    let later = 40 * DAY;
    for name in ["ada", "bea"] {
        bench.take(history(name, 5, 2), 5).await;
    }
    bench.deliver_all("crm", 6).await;
    let retention = Retention {
        engagement_days: Some(25),
        ..Retention::default()
    };
    let pruned = bench.store().prune(retention.clone(), at(later)).await.unwrap();
    assert_eq!(pruned.engagements, 2);
    bench.take(history("ada", later, 2), later).await;
    assert_eq!(sent(&bench, "crm", later + 1).await, [], "it was known");
    bench.take(history("ada", later, 3), later + 2).await;
    let news = [of(Kind::Record, Change::None, "ada")];
    assert_eq!(sent(&bench, "crm", later + 3).await, news, "once more since");

    // After the merge, the engagements of both are known.
    bench.store().prune(retention, at(later + 4)).await.unwrap();
    let mut both = synced("bea", &[], at(later + 5));
    both.identities.extend(history("ada", 0, 0).identities);
    bench.take(both, later + 5).await;
    sent(&bench, "crm", later + 6).await;
    bench.take(history("bea", later + 7, 2), later + 7).await;
    assert_eq!(sent(&bench, "crm", later + 8).await, []);
    bench.assert_balanced().await;
}
