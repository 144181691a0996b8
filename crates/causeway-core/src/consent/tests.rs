use super::*;
use crate::contact::Identity;

const ADA: &str = "ada@example.org";
const BEN: &str = "ben@example.org";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn on_page() -> What {
    What::DoubleOptInOnPage {
        page: "proca/7".to_owned(),
    }
}

fn every() -> Vec<What> {
    PLAIN.into_iter().chain([on_page()]).collect()
}

#[test]
fn each_sort_of_fact_allows_ends_or_does_neither() {
    for what in every() {
        let expected = match what.as_str() {
            "opt_in" | "opt_in_pending" => (true, false, false, false),
            "double_opt_in" | "double_opt_in_on_page" => (true, true, false, false),
            "declined" | "not_asked" => (false, false, false, false),
            "unsubscribed" => (false, false, false, true),
            _ => (false, false, true, true),
        };
        let found = (
            what.is_opt_in(),
            what.is_click(),
            what.is_suppression(),
            what.is_opt_out(),
        );
        assert_eq!(found, expected, "{what:?}");
        let again = What::plain(what.as_str());
        assert_eq!(again, (what != on_page()).then_some(what));
    }
}

#[test]
fn a_purpose_is_a_short_word_of_small_letters() {
    for (text, expected) in [
        ("email", Some("email")),
        (" sms ", Some("sms")),
        ("b2b-mail_x", Some("b2b-mail_x")),
        ("", None),
        ("9mail", None),
        ("-mail", None),
        ("Email", None),
        ("e mail", None),
        ("é", None),
    ] {
        assert_eq!(purpose(text).as_deref(), expected, "{text:?}");
    }
    assert!(purpose(&"a".repeat(64)).is_some());
    assert!(purpose(&"a".repeat(65)).is_none());
}

#[test]
fn a_place_is_an_address_or_an_id() {
    let id = Identity::ForeignId {
        namespace: "shop".into(),
        id: "7".to_owned(),
    };
    assert_eq!(id_in_place(&of_id(&id)), Some("shop/7"));
    assert_eq!(id_in_place(ADA), None);
}

/// What a message repeats is no news. What only looks like it is.
#[test]
fn a_fact_is_held_once_it_was_added_and_for_its_place_only() {
    for what in every() {
        for place in [None, Some(ADA), Some("id:shop/7")] {
            let mut consent = Consent::default();
            assert!(!consent.holds(&what, at(5), place), "{what:?} {place:?}");
            assert!(consent.add(&what, at(5), place), "{what:?} {place:?}");
            assert!(consent.holds(&what, at(5), place), "{what:?} {place:?}");
            assert!(!consent.add(&what, at(5), place), "{what:?} {place:?}");
            assert!(!consent.add(&what, at(4), place) || matches!(what, What::OptIn | What::Declined));
            assert!(!consent.holds(&what, at(6), place), "{what:?} {place:?}");
            let is_of_place = what.is_suppression() || what.is_click() || what == What::Unsubscribed;
            assert_eq!(
                consent.holds(&what, at(5), Some(BEN)),
                !is_of_place,
                "{what:?} {place:?}"
            );
            let mut same = consent.clone();
            assert!(!same.join(&consent), "{what:?} {place:?}");
        }
        // Somebody else said it of the same mailbox.
        let mut shared = Consent::default();
        assert!(shared.add_shared(&what, at(5), ADA));
        assert_eq!(
            shared.holds(&what, at(5), Some(ADA)),
            what.is_suppression(),
            "{what:?}"
        );
    }
}

#[test]
fn at_equal_times_the_opt_out_and_the_suppression_count() {
    let terms = Terms::default();
    let here = At {
        address: Some(ADA),
        since: Some(at(5)),
        ids: None,
    };
    let mut consent = Consent::default();
    consent.add(&What::OptIn, at(5), None);
    consent.add(&What::Unsubscribed, at(5), None);
    assert_eq!(
        consent.state(here, &terms),
        ConsentState::Unsubscribed { since: at(5) }
    );
    // It names no address, and counts for the one that was known by then.
    let mut consent = Consent::default();
    consent.add(&What::OptIn, at(9), None);
    consent.add(&What::Bounced, at(5), None);
    let why = Suppression::Bounced;
    assert_eq!(
        consent.state(here, &terms),
        ConsentState::Suppressed { since: at(5), why }
    );
    let later = At {
        since: Some(at(6)),
        ..here
    };
    assert_eq!(
        consent.state(later, &terms),
        ConsentState::OptedIn { since: at(9) }
    );
}

#[test]
fn a_join_reports_news_of_each_sort_once() {
    for (what, place) in every()
        .into_iter()
        .flat_map(|what| [(what.clone(), None), (what, Some(ADA))])
    {
        let mut other = Consent::default();
        other.add(&what, at(5), place);
        let mut consent = Consent::default();
        assert!(consent.join(&other), "{what:?}");
        assert_eq!(consent, other, "{what:?}");
        assert!(!consent.join(&other), "{what:?}");
        for (news, place) in every()
            .into_iter()
            .flat_map(|what| [(what.clone(), None), (what, Some(BEN))])
        {
            let mut newer = other.clone();
            newer.add(&news, at(9), place);
            let mut joined = other.clone();
            assert!(joined.join(&newer), "{news:?} beside {what:?}");
            assert_eq!(joined, newer, "{news:?} beside {what:?}");
        }
    }
}

#[test]
fn an_opt_out_of_another_user_of_the_mailbox_is_news_when_the_person_says_it() {
    let mut consent = Consent::default();
    assert!(consent.add_shared(&What::Unsubscribed, at(5), ADA));
    assert!(consent.add(&What::Unsubscribed, at(5), Some(ADA)));
    assert!(!consent.add(&What::Unsubscribed, at(5), Some(ADA)));
}

/// A scanner may have followed the link in the very mail that the person complained about.
#[test]
fn a_click_soon_after_a_complaint_is_no_agreement_at_another_address() {
    let terms = Terms::default();
    let grace = i64::try_from(terms.click_grace.as_secs()).expect("seconds");
    let elsewhere = At {
        address: Some(BEN),
        since: Some(at(grace * 3)),
        ids: None,
    };
    let id = "id:shop/7";
    for (complained, clicked, seconds, counts) in [
        (Some(ADA), Some(ADA), 0, false),
        (Some(ADA), Some(ADA), grace, false),
        (Some(ADA), Some(ADA), grace + 1, true),
        (Some(ADA), Some(ADA), -1, true),
        // The mail to the other address is another mail.
        (Some(ADA), Some(BEN), 1, true),
        // The address of the mail is not known.
        (Some(ADA), None, 1, false),
        (Some(ADA), Some(id), 1, false),
        (None, Some(ADA), 1, false),
        (None, Some(ADA), grace + 1, true),
        (Some(id), Some(ADA), 1, true),
        (Some(id), Some(id), 1, false),
        (Some(id), None, 1, false),
    ] {
        let mut consent = Consent::default();
        consent.add(&What::Complained, at(10), complained);
        consent.add(&What::DoubleOptIn, at(10 + seconds), clicked);
        let state = consent.state(elsewhere, &terms);
        assert_eq!(
            state.is_subscribed(),
            counts,
            "complaint about {complained:?}, click for {clicked:?} {seconds} s later: {state:?}"
        );
    }
    // One of two mails of that moment was to another address, about which nobody complained.
    let mut consent = Consent::default();
    consent.add(&What::Complained, at(10), Some(ADA));
    consent.add(&What::DoubleOptIn, at(12), Some(ADA));
    consent.add(&What::DoubleOptIn, at(12), Some(BEN));
    assert_eq!(
        consent.state(elsewhere, &terms),
        ConsentState::DoubleOptedIn { since: at(12) }
    );
    // The facts of a mailbox alone, as its other users see them.
    let mailbox = |consent: &Consent| consent.addresses[BEN].state(At::default(), &terms);
    assert_eq!(mailbox(&consent), ConsentState::DoubleOptedIn { since: at(12) });
    consent.add(&What::Complained, at(12), Some(BEN));
    assert!(!mailbox(&consent).is_subscribed());
    // Nor does an earlier click elsewhere make this one an agreement.
    let mut consent = Consent::default();
    consent.add(&What::DoubleOptIn, at(2), Some(BEN));
    consent.add(&What::Complained, at(10), Some(ADA));
    consent.add(&What::DoubleOptIn, at(12), Some(ADA));
    assert!(!consent.state(elsewhere, &terms).is_subscribed());
    // What was agreed to before still holds there.
    let mut consent = Consent::default();
    consent.add(&What::OptIn, at(1), None);
    consent.add(&What::Complained, at(10), Some(ADA));
    consent.add(&What::DoubleOptIn, at(11), Some(ADA));
    assert_eq!(
        consent.state(elsewhere, &terms),
        ConsentState::OptedIn { since: at(1) }
    );
}

/// An opt-in that ends nobody's opt-out is not kept by address.
#[test]
fn an_own_opt_in_at_a_mailbox_is_kept_once_another_user_opted_out() {
    let mut consent = Consent::default();
    consent.add(&What::DoubleOptIn, at(1), Some(ADA));
    consent.add(&What::OptIn, at(7), Some(ADA));
    assert!(consent.holds(&What::OptIn, at(7), Some(ADA)));
    assert!(consent.addresses[ADA].own_opt_in.is_empty());
    consent.add_shared(&What::Unsubscribed, at(5), ADA);
    assert!(!consent.holds(&What::OptIn, at(7), Some(ADA)));
    assert!(consent.add(&What::OptIn, at(7), Some(ADA)));
    assert!(consent.holds(&What::OptIn, at(7), Some(ADA)));
    assert!(!consent.holds(&What::OptIn, at(8), Some(ADA)));
    assert!(consent.add(&What::Declined, at(9), Some(ADA)));
    assert!(consent.holds(&What::Declined, at(9), Some(ADA)));
    assert_eq!(consent.addresses[ADA].own_opt_in.newest(), Some(at(7)));
}

#[test]
fn an_own_opt_in_at_the_time_of_a_decline_does_not_end_the_opt_out_of_another_user() {
    let here = At {
        address: Some(ADA),
        ..At::default()
    };
    for (declined, is_ended) in [(6, true), (7, false)] {
        let mut consent = Consent::default();
        consent.add_shared(&What::Unsubscribed, at(5), ADA);
        consent.add(&What::OptIn, at(7), Some(ADA));
        consent.add(&What::Declined, at(declined), Some(ADA));
        // The contact's newest opt-in of all is at another address.
        consent.add(&What::OptIn, at(9), Some(BEN));
        let state = consent.state(here, &Terms::default());
        assert_eq!(state.is_opt_out(), !is_ended, "declined at {declined}: {state:?}");
    }
}

#[test]
fn the_newest_click_and_the_newest_suppression_of_all_ids_of_the_address_count() {
    let terms = Terms::default();
    let here = At {
        address: Some(ADA),
        ..At::default()
    };
    let why = Suppression::Bounced;
    for (one, two) in [(3, 9), (9, 3)] {
        let mut clicked = Consent::default();
        clicked.add(&What::Bounced, at(5), Some(ADA));
        clicked.add(&What::DoubleOptIn, at(one), Some("id:shop/1"));
        clicked.add(&What::DoubleOptIn, at(two), Some("id:shop/2"));
        assert_eq!(
            clicked.state(here, &terms),
            ConsentState::DoubleOptedIn { since: at(9) }
        );
        // The click came with an id of another address.
        let ids = ["id:shop/1", "id:shop/2"].map(|id| (id.into(), [(BEN.into(), at(0))].into()));
        let ids = AddressesOfIds::from(ids);
        let at_other = At {
            ids: Some(&ids),
            ..here
        };
        assert_eq!(
            clicked.state(at_other, &terms),
            ConsentState::Suppressed { since: at(5), why }
        );
        let mut bounced = Consent::default();
        bounced.add(&What::Bounced, at(one), Some("id:shop/1"));
        bounced.add(&What::Bounced, at(two), Some("id:shop/2"));
        bounced.add(&What::DoubleOptIn, at(5), Some(ADA));
        assert_eq!(
            bounced.state(here, &terms),
            ConsentState::Suppressed { since: at(9), why }
        );
    }
}
