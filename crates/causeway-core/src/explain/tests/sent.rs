//! What the destination was sent, and for which address.

use super::*;

#[test]
fn the_last_part_says_what_was_sent() {
    let at = "on 23 Nov 2026, 09:12 UTC";
    let words = [
        format!("last sent {at}, as subscribed"),
        format!("last sent {at}, as unsubscribed"),
        format!("last sent {at}, as suppressed"),
        format!("the removal was sent {at}"),
    ];
    let mut view = person(&[What::OptIn], Some(ANN));
    for (change, words) in CHANGES.into_iter().zip(words) {
        view.given = vec![given(change, ANN)];
        let sentence = sentence(&view, &rule(Policy::OptIn));
        assert!(
            sentence.ends_with(&format!("message 4711); {words}.")),
            "{sentence}"
        );
    }
    // First the address in use, then the one that was sent last.
    view.given = vec![given(Change::None, OLD)];
    let other = sentence(&view, &rule(Policy::OptIn));
    assert!(
        other.ends_with(&format!("; last sent {at} for {OLD}.")),
        "{other}"
    );
    view.given.push(given(Change::None, ANN));
    let in_use = sentence(&view, &rule(Policy::OptIn));
    assert!(in_use.contains(&format!("; last sent {at}; ")), "{in_use}");
}

/// A person changed the address, and the destination was never sent a withdrawal for the former one.
#[test]
fn other_addresses_that_the_destination_still_has_are_named() {
    let mut view = person(&[What::OptIn], Some(ANN));
    let at = "on 23 Nov 2026, 09:12 UTC";
    for (change, words) in CHANGES.into_iter().zip([
        format!("; it also has {OLD}, as subscribed, sent on 23 Nov 2026, 09:12 UTC."),
        format!("; last sent {at}."),
        format!("; last sent {at}."),
        format!("; last sent {at}."),
    ]) {
        view.given = vec![given(change, OLD), given(Change::None, ANN)];
        let sentence = sentence(&view, &rule(Policy::OptIn));
        assert!(sentence.ends_with(&words), "{change:?}: {sentence}");
    }
    view.given = vec![given(Change::None, OLD), given(Change::None, ANN)];
    let plain = sentence(&view, &rule(Policy::OptIn));
    assert!(
        plain.ends_with(&format!("; it also has {OLD}, sent on 23 Nov 2026, 09:12 UTC.")),
        "{plain}"
    );
    // What it has may be about another user of the mailbox.
    view.given[0].shared = true;
    let shared = sentence(&view, &rule(Policy::OptIn));
    assert!(!shared.contains("it also has"), "{shared}");
    // The withdrawal for it is under way.
    view.given = vec![given(Change::Subscribe, OLD), given(Change::None, ANN)];
    let withdrawn = of(&view, &rule(Policy::OptIn), Scope::Contact, READER);
    let withdrawn = Permission {
        withdrawals: vec![Withdrawal {
            delivery: DeliveryId(11),
            state: "waiting".to_owned(),
            address: Some(OLD.to_owned()),
            by_hand: false,
            is_void: false,
            reason: None,
        }],
        ..withdrawn
    };
    let sentence = words::sentence(&withdrawn, &Names::new(&view, READER));
    assert!(!sentence.contains("it also has"), "{sentence}");
}

/// A request starts before its response is known, and may never have arrived.
#[test]
fn only_confirmed_deliveries_are_said_to_be_sent() {
    let mut view = person(&[What::OptIn], Some(ANN));
    let (early, late) = ("on 15 Nov 2026, 09:12 UTC", "on 23 Nov 2026, 09:12 UTC");
    for (received, unconfirmed, words) in [
        (None, None, "nothing was sent so far".to_owned()),
        (
            None,
            Some(day(9)),
            format!("may have been sent {late}, as subscribed, but nothing confirms that it arrived"),
        ),
        (
            Some(day(1)),
            Some(day(9)),
            format!(
                "last sent {early}; may have been sent again {late}, but nothing confirms that it arrived"
            ),
        ),
        // The last attempt failed before a request was made.
        (Some(day(1)), None, format!("last sent {early}, as subscribed")),
    ] {
        view.given = vec![GivenRow {
            received,
            unconfirmed,
            ..given(Change::Subscribe, ANN)
        }];
        let sentence = sentence(&view, &rule(Policy::OptIn));
        assert!(
            sentence.ends_with(&format!("message 4711); {words}.")),
            "{sentence}"
        );
    }
}

#[test]
fn the_address_is_named_if_the_question_is_about_another_one() {
    let view = person(&[What::OptIn], Some(ANN));
    let by = |view: &ContactView, asked: Option<&str>| {
        let show = |_: &str| "a•••".to_owned();
        of(view, &rule(Policy::OptIn), Scope::Contact, Reader { asked, show }).sentence
    };
    // There is only one address.
    assert!(by(&view, None).starts_with("May be sent to crm: "));
    assert!(by(&view, Some(ANN)).starts_with("May be sent to crm: "));
    assert!(by(&view, Some(OLD)).starts_with("May be sent to crm for a•••: "));
    let mut view = view;
    view.given = vec![given(Change::Subscribe, OLD)];
    assert!(by(&view, None).starts_with("May be sent to crm for a•••: "));
    assert!(by(&view, Some(OLD)).ends_with("last sent on 23 Nov 2026, 09:12 UTC, as subscribed."));
    assert!(by(&view, Some(ANN)).ends_with("last sent on 23 Nov 2026, 09:12 UTC for a•••, as subscribed."));
}

#[test]
fn what_another_destination_was_sent_does_not_count() {
    let mut view = person(&[What::OptIn], Some(ANN));
    view.given = vec![GivenRow {
        destination: "newsletter".into(),
        ..given(Change::Subscribe, ANN)
    }];
    let sentence = sentence(&view, &rule(Policy::OptIn));
    assert!(sentence.ends_with("; nothing was sent so far."), "{sentence}");
}

#[test]
fn a_delivery_without_an_address_is_no_second_address() {
    let mut view = person(&[What::OptIn], Some(ANN));
    view.given = vec![given(Change::Subscribe, "")];
    let reader = Reader {
        asked: None,
        ..READER
    };
    let sentence = of(&view, &rule(Policy::OptIn), Scope::Contact, reader).sentence;
    assert!(sentence.starts_with(YES), "{sentence}");
}
