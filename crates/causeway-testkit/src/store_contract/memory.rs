//! What destinations remember about contacts, and results that they have later.

use causeway_core::{
    consent::{Change, What},
    contact::Identity,
    delivery::{Delivery, Next},
    event::Event,
    rules::DestinationRule,
    store::Attempt,
};
use serde_json::{Value, json};

use super::{Bench, Open, attempt};
use crate::builders::{at, contact_ref, email, signed, status};

async fn bench(open: Open) -> Bench {
    Bench::new(open, vec![DestinationRule::new("crm")]).await
}

/// The only delivery that is due.
async fn due(bench: &Bench, seconds: i64) -> Delivery {
    let mut claimed = bench.claim("crm", seconds).await.deliveries;
    assert_eq!(claimed.len(), 1, "at {seconds}: {claimed:?}");
    claimed.remove(0)
}

async fn end_with(bench: &Bench, delivery: &Delivery, memory: Value, seconds: i64) {
    let ended = Attempt {
        memory: Some(memory),
        ..attempt(delivery, Next::Delivered, at(seconds))
    };
    bench.store().record(vec![ended]).await.unwrap();
}

/// A form from `name@example.org` by the person with this reference.
fn by(reference: &str, name: &str, action: &str, seconds: i64) -> Event {
    let mut event = signed(name, action, What::OptIn, at(seconds));
    event.identities = vec![contact_ref(reference), email(name)];
    event
}

fn pending(ticket: &str, seconds: i64) -> Next {
    Next::Pending {
        ticket: ticket.to_owned(),
        due_at: at(seconds),
    }
}

pub async fn a_destination_gets_back_what_it_remembered_about_a_contact(open: Open) {
    let mut bench = bench(open).await;
    bench.take(by("ann", "ann", "1", 0), 0).await;
    let first = due(&bench, 1).await;
    assert_eq!(first.memory, None);
    end_with(&bench, &first, json!({ "id": "7" }), 1).await;
    bench.reopen().await;
    bench.take(by("ann", "ann", "2", 2), 2).await;
    bench.take(by("bea", "bea", "3", 2), 2).await;
    let claimed = bench.claim("crm", 3).await.deliveries;
    let memories: Vec<Option<Value>> = claimed.iter().map(|delivery| delivery.memory.clone()).collect();
    assert_eq!(memories, [Some(json!({ "id": "7" })), None]);
    // `None` changes nothing, and null forgets.
    bench.end(&claimed[0], Next::Delivered, 3).await;
    bench.end(&claimed[1], Next::Delivered, 3).await;
    bench.take(by("ann", "ann", "4", 4), 4).await;
    let third = due(&bench, 5).await;
    assert_eq!(third.memory, Some(json!({ "id": "7" })));
    end_with(&bench, &third, Value::Null, 5).await;
    bench.take(by("ann", "ann", "5", 6), 6).await;
    assert_eq!(due(&bench, 7).await.memory, None);
    bench.assert_balanced().await;
}

/// A withdrawal of the former address gets what was remembered at that address; the present one starts from it.
pub async fn what_is_remembered_belongs_to_an_address(open: Open) {
    let mut bench = bench(open).await;
    bench.take(by("ann", "ann.old", "1", 0), 0).await;
    let first = due(&bench, 1).await;
    end_with(&bench, &first, json!("old"), 1).await;
    bench.take(by("ann", "ann", "2", 2), 2).await;
    let second = due(&bench, 3).await;
    assert_eq!(second.memory, Some(json!("old")));
    end_with(&bench, &second, json!("new"), 3).await;
    let mut opt_out = status("ann", What::Unsubscribed, at(4));
    opt_out.identities.push(contact_ref("ann"));
    bench.take(opt_out, 4).await;
    let mut memories = Vec::new();
    loop {
        let claimed = bench.claim("crm", 5).await.deliveries;
        if claimed.is_empty() {
            break;
        }
        for delivery in claimed {
            assert_eq!(delivery.record.change, Change::Unsubscribe);
            memories.push((
                delivery.record.email().unwrap_or_default().to_owned(),
                delivery.memory.clone(),
            ));
            bench.end(&delivery, Next::Delivered, 5).await;
        }
    }
    memories.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(
        memories,
        [
            ("ann.old@example.org".to_owned(), Some(json!("old"))),
            ("ann@example.org".to_owned(), Some(json!("new"))),
        ]
    );
    bench.assert_balanced().await;
}

/// Two contacts become one; then the person is erased, and signs again.
pub async fn a_memory_follows_a_merge_and_ends_with_an_erasure(open: Open) {
    let mut bench = bench(open).await;
    for (name, action) in [("ann", "1"), ("bea", "2")] {
        bench.take(by(name, name, action, 0), 0).await;
        let first = due(&bench, 1).await;
        end_with(&bench, &first, json!(name), 1).await;
    }
    let mut both = by("ann", "bea", "3", 2);
    both.identities.push(contact_ref("bea"));
    bench.take(both, 2).await;
    let merged = due(&bench, 3).await;
    assert_eq!(merged.memory, Some(json!("bea")));
    bench.end(&merged, Next::Delivered, 3).await;
    let person = bench.person("bea").await;
    assert!(
        person
            .identities
            .iter()
            .filter(|identity| matches!(identity, Identity::ContactRef { .. }))
            .count()
            == 2
    );
    bench.store().erase(person.id, at(4)).await.unwrap();
    bench.take(by("bea", "bea", "4", 10), 10).await;
    assert_eq!(due(&bench, 11).await.memory, None);
    bench.assert_balanced().await;
}

pub async fn a_result_that_comes_later_is_looked_up_after_a_restart(open: Open) {
    let mut bench = bench(open).await;
    let id = bench.take(by("ann", "ann", "1", 0), 0).await;
    let first = due(&bench, 1).await;
    assert_eq!((first.ticket.clone(), first.attempt), (None, 1));
    bench.end(&first, pending("job-1", 60), 1).await;
    bench.reopen().await;
    assert!(
        bench.claim("crm", 59).await.deliveries.is_empty(),
        "it is looked up too early"
    );
    let second = due(&bench, 60).await;
    // The first attempt did not count, and neither does looking up.
    assert_eq!((second.ticket.as_deref(), second.attempt), (Some("job-1"), 1));
    assert_eq!(second.record.inbox_id, id);
    bench.end(&second, pending("job-1", 90), 60).await;
    // A failure while it is looked up keeps the ticket.
    let third = due(&bench, 90).await;
    bench.end(&third, Next::Waiting { due_at: at(120) }, 90).await;
    let fourth = due(&bench, 120).await;
    assert_eq!((fourth.ticket.as_deref(), fourth.attempt), (Some("job-1"), 2));
    // The result will never come, so it is sent again.
    let void = Attempt {
        ticket_is_void: true,
        ..attempt(&fourth, Next::Waiting { due_at: at(150) }, at(120))
    };
    bench.store().record(vec![void]).await.unwrap();
    let fifth = due(&bench, 150).await;
    assert_eq!(fifth.ticket, None);
    bench.end(&fifth, Next::Delivered, 150).await;
    bench.assert_balanced().await;
}

/// An opt-out does not wait for the result of what was sent before it.
pub async fn an_opt_out_does_not_wait_for_a_result(open: Open) {
    let mut bench = bench(open).await;
    bench.take(by("ann", "ann", "1", 0), 0).await;
    let first = due(&bench, 1).await;
    bench.end(&first, pending("job-1", 3_600), 1).await;
    let mut opt_out = status("ann", What::Unsubscribed, at(2));
    opt_out.identities.push(contact_ref("ann"));
    let withdrawal = bench.take(opt_out, 2).await;
    let claimed = due(&bench, 3).await;
    assert_eq!(
        (claimed.record.inbox_id, claimed.record.change),
        (withdrawal, Change::Unsubscribe)
    );
    bench.end(&claimed, Next::Delivered, 3).await;
    bench.assert_balanced().await;
}

/// What the destination has is no longer waiting to be sent, so a newer delivery does not replace it.
pub async fn a_newer_delivery_does_not_replace_one_whose_result_is_awaited(open: Open) {
    let rule = DestinationRule {
        coalesce: true,
        ..DestinationRule::new("crm")
    };
    let mut bench = Bench::new(open, vec![rule]).await;
    bench.take(by("ann", "ann", "1", 0), 0).await;
    let first = due(&bench, 1).await;
    bench.end(&first, pending("job-1", 10), 1).await;
    bench.take(by("ann", "ann", "2", 2), 2).await;
    let newest = bench.take(by("ann", "ann", "3", 3), 3).await;
    assert!(bench.claim("crm", 9).await.deliveries.is_empty());
    let again = due(&bench, 10).await;
    assert_eq!((again.id, again.ticket.as_deref()), (first.id, Some("job-1")));
    bench.end(&again, Next::Delivered, 10).await;
    // The newest of the others is sent.
    assert_eq!(due(&bench, 11).await.record.inbox_id, newest);
    bench.assert_balanced().await;
}

/// A person retries a delivery that died while its result was awaited.
pub async fn a_retried_delivery_is_sent_anew(open: Open) {
    let mut bench = bench(open).await;
    bench.take(by("ann", "ann", "1", 0), 0).await;
    let first = due(&bench, 1).await;
    bench.end(&first, pending("job-1", 10), 1).await;
    let second = due(&bench, 10).await;
    bench.end(&second, Next::Dead, 10).await;
    let filter = causeway_core::store::DeliveryFilter {
        destination: Some("crm".into()),
        state: Some("dead".to_owned()),
        ..Default::default()
    };
    bench.store().retry_deliveries(filter, at(11)).await.unwrap();
    let again = due(&bench, 12).await;
    assert_eq!((again.ticket, again.attempt), (None, 1));
    bench.assert_balanced().await;
}
