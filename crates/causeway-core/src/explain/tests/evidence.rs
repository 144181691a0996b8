//! Which fact of the ledger a state follows from.

use super::*;

#[test]
fn a_repeated_opt_out_names_the_first_and_the_last() {
    let again = |facts: &[What]| reason(&person(facts, Some(ANN)), &rule(Policy::OptIn));
    assert_eq!(
        again(&[What::Unsubscribed, What::Declined, What::Unsubscribed]),
        format!(
            "Not sent to crm: opted out of e-mail {FIRST}, and last on 16 Nov 2026, 09:12 UTC (message 4713)"
        )
    );
    // The first opt-out was undone in between.
    assert_eq!(
        again(&[What::Unsubscribed, What::OptIn, What::Unsubscribed]),
        "Not sent to crm: opted out of e-mail on 16 Nov 2026, 09:12 UTC (message 4713)"
    );
}

#[test]
fn a_click_within_the_grace_says_why_it_does_not_count() {
    let mut view = person(&[What::OptIn, What::Unsubscribed, What::DoubleOptIn], Some(ANN));
    let no_effect = |view: &ContactView| Evidence::new(view, &view.ledger[2]).no_effect;
    assert_eq!(no_effect(&view), None, "a day later");
    view.ledger[2].fact.at = day(1) + SignedDuration::from_secs(300);
    assert_eq!(
        no_effect(&view).as_deref(),
        Some("within 5 minutes of the opt-out, so it does not undo it")
    );
    view.ledger[2].fact.at = day(1) + SignedDuration::from_secs(301);
    assert_eq!(no_effect(&view), None, "later");
    view.ledger[2].fact.at = day(1) - SignedDuration::from_secs(1);
    assert_eq!(no_effect(&view), None, "before it");
    view.ledger[2].fact.at = day(1);
    assert_eq!(
        no_effect(&view).as_deref(),
        Some("within 5 minutes of the opt-out, so it does not undo it"),
        "the opt-out wins a tie"
    );
    view.ledger[1].fact.what = What::Complained;
    assert_eq!(
        no_effect(&view).as_deref(),
        Some("within 5 minutes of the complaint, so it does not undo it")
    );
}

#[test]
fn a_complaint_concerns_clicks_for_its_address_and_the_latest_reason_is_given() {
    let at = |seconds| day(0) + SignedDuration::from_secs(seconds);
    let mut view = person(
        &[What::Unsubscribed, What::Complained, What::DoubleOptIn],
        Some(ANN),
    );
    for (row, seconds) in view.ledger.iter_mut().zip([0, 60, 120]) {
        row.fact.at = at(seconds);
    }
    let id = "id:shop/7";
    for (complained, clicked, reason) in [
        (Some(ANN), Some(ANN), "complaint"),
        (None, Some(ANN), "complaint"),
        (Some(OLD), None, "complaint"),
        (Some(OLD), Some(id), "complaint"),
        (Some(OLD), Some(ANN), "opt-out"),
        (Some(id), Some(ANN), "opt-out"),
    ] {
        view.ledger[1].fact.address = complained.map(str::to_owned);
        view.ledger[2].fact.address = clicked.map(str::to_owned);
        let no_effect = Evidence::new(&view, &view.ledger[2]).no_effect;
        let expected = format!("within 5 minutes of the {reason}, so it does not undo it");
        assert_eq!(no_effect, Some(expected), "{complained:?} {clicked:?}");
    }
}

#[test]
fn the_grace_is_given_in_minutes_if_it_is_whole_minutes() {
    let mut view = person(&[What::Unsubscribed, What::DoubleOptIn], Some(ANN));
    view.ledger[1].fact.at = day(0);
    for (seconds, words) in [
        (1, "1 second"),
        (30, "30 seconds"),
        (60, "1 minute"),
        (90, "90 seconds"),
        (3600, "60 minutes"),
    ] {
        view.click_grace = std::time::Duration::from_secs(seconds);
        let no_effect = Evidence::new(&view, &view.ledger[1]).no_effect;
        let expected = format!("within {words} of the opt-out, so it does not undo it");
        assert_eq!(no_effect, Some(expected));
    }
}

/// The message of the fact that the sentence names.
fn because(view: &ContactView) -> Option<InboxId> {
    let because = of(view, &rule(Policy::OptIn), Scope::Contact, READER).because;
    because.map(|evidence| evidence.message)
}

#[test]
fn the_fact_behind_a_state_has_its_purpose_its_sort_its_time_and_if_possible_its_address() {
    let bounced = ConsentFact {
        address: Some(ANN.to_owned()),
        ..ConsentFact::new(EMAIL, What::Bounced, day(1), "a rule")
    };
    let of_old = ConsentFact {
        address: Some(OLD.to_owned()),
        ..bounced.clone()
    };
    let others = [
        ConsentFact {
            purpose: "sms".to_owned(),
            ..bounced.clone()
        },
        ConsentFact {
            what: What::Inactive,
            ..bounced.clone()
        },
        ConsentFact {
            at: day(3),
            ..of_old.clone()
        },
        of_old,
    ];
    for fact in others {
        let mut view = person(&[What::OptIn, What::Bounced], Some(ANN));
        assert_eq!(because(&view), Some(InboxId(4712)));
        let row = LedgerRow {
            fact,
            inbox_id: InboxId(4713),
        };
        view.ledger.push(row.clone());
        assert_eq!(because(&view), Some(InboxId(4712)), "{row:?}");
    }
    // The newest of several facts that have no date in the state.
    let declined = person(&[What::Declined, What::NotAsked, What::Declined], Some(ANN));
    assert_eq!(because(&declined), Some(InboxId(4713)));
}

/// The message of the first opt-out, if the last one repeats it.
fn first(view: &ContactView) -> Option<InboxId> {
    let first = of(view, &rule(Policy::OptIn), Scope::Contact, READER).first;
    first.map(|evidence| evidence.message)
}

#[test]
fn the_first_opt_out_is_the_first_after_the_last_consent() {
    use What::{Bounced, DoubleOptIn, OptIn, Unsubscribed};
    for (facts, expected) in [
        (vec![Unsubscribed], None),
        (vec![Unsubscribed, Unsubscribed, Unsubscribed], Some(4711)),
        (vec![Unsubscribed, OptIn, Unsubscribed, Unsubscribed], Some(4713)),
        (vec![Unsubscribed, DoubleOptIn, Unsubscribed], None),
        (vec![Unsubscribed, OptIn, Unsubscribed, OptIn, Unsubscribed], None),
        (vec![Bounced, Bounced], Some(4711)),
        // A form does not lift a suppression, and a click does.
        (vec![Bounced, OptIn, Bounced], Some(4711)),
        (vec![Bounced, DoubleOptIn, Bounced], None),
        // An opt-out and a bounce do not repeat each other.
        (vec![Unsubscribed, Bounced], None),
    ] {
        let view = person(&facts, Some(ANN));
        assert_eq!(first(&view), expected.map(InboxId), "{facts:?}");
    }
}

#[test]
fn what_did_not_undo_an_opt_out_leaves_it_the_first() {
    for (what, at) in [
        (What::OptIn, day(0)),
        (What::DoubleOptIn, day(0) + SignedDuration::from_secs(300)),
        (What::OptIn, day(2)),
    ] {
        let mut view = person(&[What::Unsubscribed, what, What::Unsubscribed], Some(ANN));
        view.ledger[1].fact.at = at;
        assert_eq!(first(&view), Some(InboxId(4711)), "{:?}", view.ledger[1].fact);
    }
    let mut view = person(&[What::Bounced, What::DoubleOptIn, What::Bounced], Some(ANN));
    view.ledger[1].fact.at = day(0);
    assert_eq!(first(&view), Some(InboxId(4711)), "only a later click lifts it");
}

#[test]
fn an_opt_out_belongs_to_the_person_and_a_bounce_to_its_address() {
    for (what, expected) in [(What::Unsubscribed, Some(InboxId(4711))), (What::Bounced, None)] {
        let mut view = person(&[what.clone(), what], Some(ANN));
        view.ledger[0].fact.address = Some(OLD.to_owned());
        assert_eq!(first(&view), expected);
    }
}

#[test]
fn a_shared_mailbox_and_a_missing_address_are_named() {
    let mut view = person(&[What::OptIn], Some(ANN));
    let consent = view.contact.consent.get_mut(EMAIL).expect("consent");
    consent.add_shared(&What::Unsubscribed, day(5), ANN);
    view.consent_state = view.contact.consent_states(Some(ANN), &Terms::default());
    let permission = of(&view, &rule(Policy::OptIn), Scope::Contact, READER);
    assert!(permission.said_by_another);
    assert_eq!(
        reason(&view, &rule(Policy::OptIn)),
        "Not sent to crm: opted out of e-mail on 19 Nov 2026, 09:12 UTC (another contact with the same address)"
    );
    let mut fact = ConsentFact::new(EMAIL, What::Unsubscribed, day(5), "a rule");
    fact.address = Some(ANN.to_owned());
    view.others = vec![LedgerRow {
        fact,
        inbox_id: InboxId(17),
    }];
    assert!(of(&view, &rule(Policy::OptIn), Scope::Contact, READER).said_by_another);
    assert!(
        reason(&view, &rule(Policy::OptIn)).ends_with("(another contact with the same address, message 17)")
    );
    let nameless = person(&[What::OptIn], None);
    assert!(reason(&nameless, &rule(Policy::OptIn)).ends_with("message 4711), and has no e-mail address"),);
}
