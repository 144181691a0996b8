//! Withdrawals that the destination has not received.

use super::*;

#[test]
fn a_withdrawal_that_has_not_arrived_is_named() {
    let mut view = person(&[What::OptIn, What::Unsubscribed], Some(ANN));
    view.given = vec![given(Change::Subscribe, ANN)];
    for (state, words) in [
        ("waiting", "the opt-out is waiting to be sent."),
        ("blocked", "the opt-out is waiting to be sent."),
        ("dead", "the opt-out could not be delivered (delivery 12)."),
        (
            "skipped",
            "the opt-out could not be sent, so update it by hand (delivery 12).",
        ),
        ("delivered", "as subscribed."),
    ] {
        view.deliveries = vec![withdrawal(state)];
        for policy in [Policy::All, Policy::OptIn] {
            let sentence = sentence(&view, &rule(policy));
            assert!(sentence.ends_with(words), "{state}: {sentence}");
        }
    }
}

#[test]
fn an_open_withdrawal_stays_until_a_later_one_is_received() {
    let by_hand = "the opt-out could not be sent, so update it by hand (delivery 12).";
    let mut view = person(&[What::OptIn, What::Unsubscribed], Some(ANN));
    // After the withdrawal, the destination was sent the contact again.
    view.given = vec![GivenRow {
        last_sent: day(11),
        received: Some(day(11)),
        ..given(Change::Subscribe, ANN)
    }];
    view.deliveries = vec![withdrawal("skipped")];
    let ends = |view: &ContactView, words: &str| {
        let sentence = sentence(view, &rule(Policy::All));
        assert!(sentence.ends_with(words), "{sentence}");
    };
    ends(&view, by_hand);
    let later = DeliveryRow {
        id: DeliveryId(13),
        ..withdrawal("delivered")
    };
    view.deliveries.push(later.clone());
    ends(&view, "as subscribed.");
    // A delivery for another address does not settle it.
    view.deliveries[1].address = Some(OLD.to_owned());
    ends(&view, by_hand);
    // The opt-out was received in a record that says so.
    view.deliveries.pop();
    view.given[0].change = Change::Unsubscribe;
    ends(&view, "last sent on 25 Nov 2026, 09:12 UTC, as unsubscribed.");
    // The person opted in again, so the destination must no longer be updated.
    let mut view = person(&[What::OptIn, What::Unsubscribed, What::OptIn], Some(ANN));
    view.given = vec![given(Change::Subscribe, ANN)];
    view.deliveries = vec![withdrawal("skipped")];
    ends(
        &view,
        "an earlier withdrawal was not delivered and no longer applies, so discard it (delivery 12).",
    );
}

#[test]
fn a_withdrawal_that_was_done_by_hand_is_named_as_such() {
    let mut view = person(&[What::OptIn, What::Unsubscribed], Some(ANN));
    view.given = vec![given(Change::Subscribe, ANN)];
    view.deliveries = vec![DeliveryRow {
        by_hand: false,
        reason: Some("done by hand".to_owned()),
        ..withdrawal("skipped")
    }];
    let discarded = sentence(&view, &rule(Policy::OptIn));
    assert!(
        discarded.ends_with("the opt-out was not sent (delivery 12: 'done by hand')."),
        "{discarded}"
    );
    // A later delivery was sent.
    view.given[0].last_sent = day(11);
    let later = sentence(&view, &rule(Policy::OptIn));
    assert!(later.ends_with("as subscribed."), "{later}");
}

#[test]
fn all_open_withdrawals_are_named_with_their_addresses() {
    let mut view = person(&[What::OptIn, What::Unsubscribed], Some(ANN));
    view.given = vec![given(Change::Subscribe, ANN), given(Change::Subscribe, OLD)];
    let former = DeliveryRow {
        id: DeliveryId(11),
        address: Some(OLD.to_owned()),
        ..withdrawal("skipped")
    };
    view.deliveries = vec![withdrawal("skipped"), former];
    let sentence = sentence(&view, &rule(Policy::OptIn));
    assert!(
        sentence.ends_with("update it by hand (deliveries 11 for old@example.org, 12)."),
        "{sentence}"
    );
}

/// The person may have been opted in when they asked for erasure.
#[test]
fn a_refused_removal_is_still_named() {
    let mut view = person(&[What::OptIn], Some(ANN));
    view.given = vec![given(Change::Subscribe, ANN)];
    view.erasing_since = Some(day(9));
    for (state, words) in [
        ("waiting", "the removal is waiting to be sent."),
        ("dead", "the removal could not be delivered (delivery 12)."),
    ] {
        view.deliveries = vec![withdrawal(state)];
        let sentence = sentence(&view, &rule(Policy::OptIn));
        assert!(sentence.ends_with(words), "{sentence}");
    }
}

fn row(id: i64, state: &str, address: &str) -> DeliveryRow {
    DeliveryRow {
        id: DeliveryId(id),
        address: Some(address.to_owned()),
        ..withdrawal(state)
    }
}

/// One that ended without being sent, and that nobody has to do by hand.
fn ended(id: i64) -> DeliveryRow {
    DeliveryRow {
        by_hand: false,
        ..row(id, "skipped", ANN)
    }
}

/// A person who opted out, after the destination was given both addresses.
fn opted_out(deliveries: Vec<DeliveryRow>) -> ContactView {
    let mut view = person(&[What::OptIn, What::Unsubscribed], Some(ANN));
    view.given = vec![given(Change::Subscribe, ANN), given(Change::Subscribe, OLD)];
    view.deliveries = deliveries;
    view
}

/// The deliveries that are named as not received.
fn open(view: &ContactView) -> Vec<i64> {
    let permission = of(view, &rule(Policy::OptIn), Scope::Contact, READER);
    let withdrawals = permission.withdrawals.iter();
    withdrawals.map(|withdrawal| withdrawal.delivery.0).collect()
}

#[test]
fn other_deliveries_are_no_open_withdrawals_of_the_destination() {
    let elsewhere = DeliveryRow {
        destination: "newsletter".into(),
        ..row(11, "dead", ANN)
    };
    let record = DeliveryRow {
        kind: Kind::Record.as_str().to_owned(),
        ..row(12, "dead", ANN)
    };
    assert_eq!(open(&opted_out(vec![elsewhere, record])), [] as [i64; 0]);
}

#[test]
fn only_what_was_received_later_for_the_same_address_settles_a_withdrawal() {
    let dead = || row(12, "dead", ANN);
    for (other, expected) in [
        (row(11, "delivered", ANN), vec![12]),
        (row(13, "dead", ANN), vec![12, 13]),
        (row(13, "delivered", OLD), vec![12]),
        (row(13, "delivered", ANN), vec![]),
    ] {
        let view = opted_out(vec![other.clone(), dead()]);
        assert_eq!(open(&view), expected, "{other:?}");
    }
    // What the destination was given holds longer than the delivery.
    let mut view = opted_out(vec![row(12, "dead", OLD)]);
    view.given[0] = GivenRow {
        last_sent: day(11),
        ..given(Change::Unsubscribe, ANN)
    };
    assert_eq!(open(&view), [12], "the opt-out of another address was received");
    for (last_sent, expected) in [(day(9), vec![12]), (day(10), vec![]), (day(11), vec![])] {
        view.given[1] = GivenRow {
            last_sent,
            ..given(Change::Unsubscribe, OLD)
        };
        assert_eq!(open(&view), expected, "it ended on {}", day(10));
    }
    // The person was on the destination's list before this hub.
    view.given.clear();
    assert_eq!(open(&view), [12]);
}

#[test]
fn a_withdrawal_that_ended_without_being_sent_is_named_until_a_newer_one_is() {
    for (others, expected) in [
        (vec![], vec![12]),
        (vec![row(11, "dead", ANN)], vec![11, 12]),
        (vec![row(13, "dead", ANN)], vec![13]),
        (vec![row(13, "dead", OLD)], vec![12, 13]),
    ] {
        let view = opted_out([others.clone(), vec![ended(12)]].concat());
        assert_eq!(open(&view), expected, "{others:?}");
    }
}

#[test]
fn a_withdrawal_that_ended_without_being_sent_is_named_until_the_contact_is_sent_again() {
    let mut view = opted_out(vec![ended(12)]);
    for (last_sent, expected) in [(day(9), vec![12]), (day(10), vec![12]), (day(11), vec![])] {
        view.given[0].last_sent = last_sent;
        assert_eq!(open(&view), expected, "it ended on {}", day(10));
    }
    view.given.clear();
    assert_eq!(open(&view), [12], "it was never given the person");
    let mut subscribed = person(&[What::OptIn], Some(ANN));
    subscribed.deliveries = vec![ended(12)];
    assert_eq!(
        open(&subscribed),
        [] as [i64; 0],
        "there is nothing to withdraw any more"
    );
}

#[test]
fn a_waiting_withdrawal_is_named_with_its_address_unless_there_are_several() {
    let old = row(11, "waiting", OLD);
    let ann = row(12, "waiting", ANN);
    for (deliveries, words) in [
        (
            vec![old.clone()],
            "; the opt-out for old@example.org is waiting to be sent.",
        ),
        (vec![ann.clone()], "; the opt-out is waiting to be sent."),
        (vec![old, ann], "; the opt-out is waiting to be sent."),
    ] {
        let sentence = sentence(&opted_out(deliveries), &rule(Policy::OptIn));
        assert!(sentence.ends_with(words), "{sentence}");
    }
}
