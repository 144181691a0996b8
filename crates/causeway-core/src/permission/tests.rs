//! Tests of the sentence for every state, policy and obstacle.

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::{
    consent::{CHANGES, Change, ConsentFact, Terms, What},
    contact::Contact,
    delivery::Kind,
    event::{EventKind, Organisation},
    id::{ContactId, DeliveryId},
    store::{DeliveryRow, LedgerRow, MessageRow},
};

const ANN: &str = "ann@example.org";
const OLD: &str = "old@example.org";
const READER: Reader<'_> = Reader {
    asked: Some(ANN),
    show: str::to_owned,
};
const ALL_POLICIES: [Policy; 4] = [
    Policy::All,
    Policy::WithConsent,
    Policy::OptIn,
    Policy::DoubleOptIn,
];

/// 14 Nov 2026, 09:12 UTC, and this number of days later.
fn day(days: i64) -> Timestamp {
    let first: Timestamp = "2026-11-14T09:12:00Z".parse().unwrap();
    first + SignedDuration::from_hours(days * 24)
}

fn message(id: i64, campaign: Option<&str>) -> MessageRow {
    MessageRow {
        id: InboxId(id),
        source: "forms".into(),
        received_at: day(0),
        event: Some(EventKind::Action.as_str().to_owned()),
        campaign: campaign.map(str::to_owned),
        action_type: campaign.map(|_| "petition".to_owned()),
        organisation: None,
    }
}

/// A contact with these facts, one each day, from messages 4711 and up. The first one came from a petition.
fn person(facts: &[What], address: Option<&str>) -> ContactView {
    let mut contact = Contact {
        gave_data: true,
        ..Contact::default()
    };
    if let Some(address) = address {
        contact.set_fields(&[("email".to_owned(), address.into())].into(), day(0));
        contact.add_address(address, day(0));
    }
    let mut ledger = Vec::new();
    for (number, what) in (0..).zip(facts) {
        let mut fact = ConsentFact::new(EMAIL, what.clone(), day(number), "a rule");
        fact.address = address.map(str::to_owned);
        contact.add_consent(&fact);
        let inbox_id = InboxId(4711 + number);
        ledger.push(LedgerRow { fact, inbox_id });
    }
    let consent_state = contact.consent_states(address, &Terms::default());
    ContactView {
        id: ContactId(1),
        workspace: "default".into(),
        identities: Vec::new(),
        contact,
        consent_state,
        given: Vec::new(),
        ledger,
        others: Vec::new(),
        click_grace: Terms::default().click_grace,
        actions: Vec::new(),
        engagements: Vec::new(),
        deliveries: Vec::new(),
        inbox: Vec::new(),
        messages: vec![message(4711, Some("bees")), message(4712, None)],
        erasing_since: None,
        envelopes: Vec::new(),
    }
}

fn rule(policy: Policy) -> DestinationRule {
    DestinationRule {
        policy,
        ..DestinationRule::new("crm")
    }
}

fn given(change: Change, address: &str) -> GivenRow {
    GivenRow {
        destination: "crm".into(),
        address: address.to_owned(),
        since: day(0),
        last_sent: day(9),
        change,
        received: Some(day(9)),
        unconfirmed: None,
    }
}

fn withdrawal(state: &str) -> DeliveryRow {
    DeliveryRow {
        id: DeliveryId(12),
        inbox_id: InboxId(4712),
        contact_id: Some(ContactId(1)),
        destination: "crm".into(),
        source: "forms".into(),
        kind: Kind::Withdrawal.as_str().to_owned(),
        state: state.to_owned(),
        attempts: 0,
        due_at: None,
        planned_at: day(10),
        finished_at: (state != "waiting").then(|| day(10)),
        reason: None,
        remote_id: None,
        address: None,
        by_hand: state == "skipped",
    }
}

fn sentence(view: &ContactView, rule: &DestinationRule) -> String {
    of(view, rule, Scope::Contact, READER).sentence
}

/// The sentence without its last part, which says what was sent.
fn reason(view: &ContactView, rule: &DestinationRule) -> String {
    let sentence = sentence(view, rule);
    let (reason, sent) = sentence.rsplit_once("; ").expect("two parts");
    assert_eq!(sent, "nothing was sent so far.");
    reason.to_owned()
}

const NO: &str = "Not sent to crm: ";
const YES: &str = "May be sent to crm: ";
const WHATEVER: &str = "May be sent to crm, which requires no consent: ";
const WITH_FORM: &str = "May be sent to crm: gave their data on a form and ";
const FIRST: &str = "on 14 Nov 2026, 09:12 UTC (petition 'bees', message 4711)";
const SECOND: &str = "on 15 Nov 2026, 09:12 UTC (source forms, message 4712)";

/// Facts, and how the sentence begins and continues under each policy, in the order of [`ALL_POLICIES`].
type Case = (Vec<What>, [(&'static str, String); 4]);

/// States that neither end nor allow anything.
fn neutral() -> Vec<Case> {
    let page = "proca/7".to_owned();
    let same = |words: &str| [WHATEVER, WITH_FORM, NO, NO].map(|lead| (lead, words.to_owned()));
    let nothing = || same("said nothing about e-mail");
    vec![
        (vec![], nothing()),
        (vec![What::DoubleOptInOnPage { page }], nothing()),
        (vec![What::Declined], same(&format!("declined e-mail {FIRST}"))),
        (
            vec![What::NotAsked],
            same(&format!("was not asked about e-mail {FIRST}")),
        ),
    ]
}

fn opt_ins() -> Vec<Case> {
    let agreed = format!("opted in to e-mail {FIRST}");
    let unconfirmed = format!("{agreed}, and has not confirmed it by mail yet");
    let single = format!("{agreed}, but did not confirm it by mail");
    let confirmed = format!("confirmed e-mail by the link in a mail {SECOND}");
    let (all, with_form) = ((WHATEVER, agreed.clone()), (WITH_FORM, agreed.clone()));
    vec![
        (
            vec![What::OptInPending],
            [
                all.clone(),
                with_form.clone(),
                (NO, unconfirmed.clone()),
                (NO, unconfirmed),
            ],
        ),
        (
            vec![What::OptIn],
            [all, with_form, (YES, agreed.clone()), (NO, single)],
        ),
        (
            vec![What::OptIn, What::DoubleOptIn],
            [WHATEVER, WITH_FORM, YES, YES].map(|lead| (lead, confirmed.clone())),
        ),
    ]
}

fn opt_outs() -> Vec<Case> {
    [
        (What::Unsubscribed, "opted out of e-mail"),
        (What::Complained, "reported mail as spam"),
        (What::Bounced, "the address bounced"),
        (What::Blocked, "the address was blocked by its provider"),
        (What::Inactive, "the address was reported inactive"),
    ]
    .into_iter()
    .map(|(what, words)| {
        let words = format!("{words} {SECOND}");
        let expected = [WHATEVER, NO, NO, NO].map(|lead| (lead, words.clone()));
        (vec![What::OptIn, what], expected)
    })
    .collect()
}

#[test]
fn each_state_has_a_reason_under_each_policy() {
    for (facts, expected) in [neutral(), opt_ins(), opt_outs()].concat() {
        let view = person(&facts, Some(ANN));
        for (policy, (lead, words)) in ALL_POLICIES.into_iter().zip(expected) {
            assert_eq!(
                reason(&view, &rule(policy)),
                format!("{lead}{words}"),
                "{facts:?} under {policy:?}"
            );
        }
    }
}

/// The sentence and the gate never contradict each other.
#[test]
fn the_sentence_agrees_with_the_gate() {
    let sets: [&[What]; 7] = [
        &[],
        &[What::Declined],
        &[What::OptInPending],
        &[What::OptIn],
        &[What::DoubleOptIn],
        &[What::OptIn, What::Unsubscribed],
        &[What::OptIn, What::Inactive],
    ];
    for facts in sets {
        for gave_data in [true, false] {
            let mut view = person(facts, Some(ANN));
            view.contact.gave_data = gave_data;
            for policy in ALL_POLICIES {
                let rule = rule(policy);
                let permission = of(&view, &rule, Scope::Contact, READER);
                let gate = rule.gate(Kind::Record, permission.consent, gave_data);
                assert_eq!(
                    permission.may_be_sent,
                    gate == crate::rules::Gate::Send,
                    "{facts:?} under {policy:?}"
                );
                let lead = if permission.may_be_sent { "May be" } else { "Not" };
                assert!(permission.sentence.starts_with(lead), "{}", permission.sentence);
                for internal in ["opted_in", "skipped", "record", "standing", "_"] {
                    assert!(
                        !permission.sentence.contains(internal),
                        "{internal}: {}",
                        permission.sentence
                    );
                }
            }
        }
    }
}

#[test]
fn the_last_part_says_what_was_sent() {
    let at = "on 23 Nov 2026, 09:12 UTC";
    let words = [
        format!("last sent {at}, as subscribed"),
        format!("the withdrawal was sent {at}"),
        format!("the withdrawal for the suppressed address was sent {at}"),
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
    assert!(in_use.ends_with(&format!("; last sent {at}.")), "{in_use}");
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
    ends(&view, "the withdrawal was sent on 25 Nov 2026, 09:12 UTC.");
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
}

#[test]
fn a_destination_that_left_the_configuration_has_a_sentence() {
    let mut view = person(&[What::OptIn], Some(ANN));
    view.given = vec![given(Change::Subscribe, ANN)];
    let mut rules = Rules::default();
    let sentences = |view: &ContactView, rules: &Rules| -> Vec<String> {
        let all = of_all(view, rules, Scope::Contact, READER);
        all.into_iter().map(|one| one.sentence).collect()
    };
    assert_eq!(
        sentences(&view, &rules),
        [
            "crm is not in the configuration: last sent on 23 Nov 2026, 09:12 UTC, as subscribed; no opt-out reaches \
             it."
        ]
    );
    let mut renamed = DestinationRule::new("other");
    renamed.renamed_from = Some("crm".into());
    rules.destinations.insert("other".into(), renamed.into());
    assert_eq!(sentences(&view, &rules).len(), 1);
    rules.destinations.clear();
    view.given[0].change = Change::Unsubscribe;
    assert_eq!(sentences(&view, &rules), [""; 0], "it was sent the opt-out");
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

#[test]
fn obstacles_have_an_order() {
    let sandbox = DestinationRule {
        sandbox: true,
        ..rule(Policy::All)
    };
    let mut view = person(&[What::OptIn], Some(ANN));
    assert_eq!(
        reason(&view, &sandbox),
        "Not sent to crm: it takes test contacts only"
    );
    view.erasing_since = Some(day(2));
    assert_eq!(
        reason(&view, &rule(Policy::All)),
        "Not sent to crm: is to be erased, as asked on 16 Nov 2026, 09:12 UTC"
    );
    view.workspace = "default~sandbox".into();
    assert_eq!(
        reason(&view, &rule(Policy::All)),
        "Not sent to crm: this is a test contact"
    );
    view.erasing_since = None;
    assert!(of(&view, &sandbox, Scope::Contact, READER).may_be_sent);
    view.workspace = "second".into();
    assert_eq!(
        reason(&view, &rule(Policy::All)),
        "Not sent to crm: the contact is in the workspace second, and the destination in default"
    );
    let mut stranger = person(&[What::OptIn], Some(ANN));
    stranger.contact.gave_data = false;
    assert_eq!(
        reason(&stranger, &rule(Policy::WithConsent)),
        "Not sent to crm: has not given their data on a form"
    );
}

#[test]
fn a_filter_counts_after_consent_and_names_its_values() {
    let filtered = |campaigns: &[&str]| {
        let mut rule = rule(Policy::OptIn);
        rule.filter.campaigns = Some(campaigns.iter().map(|name| (*name).to_owned()).collect());
        rule
    };
    let view = person(&[What::OptIn], Some(ANN));
    let reason_in = |rule: &DestinationRule, scope| of(&view, rule, scope, READER).sentence;
    assert!(of(&view, &filtered(&["bees"]), Scope::Contact, READER).may_be_sent);
    for (campaigns, scope, words) in [
        (
            &["trees"][..],
            Scope::Contact,
            "it takes only the campaign 'trees', and no message of this person matches;",
        ),
        (
            &["trees"],
            Scope::Message(InboxId(4711)),
            "it takes only the campaign 'trees', and the campaign of this message is 'bees';",
        ),
        (
            &["bees"],
            Scope::Message(InboxId(4712)),
            "it takes only the campaign 'bees', and this message has no campaign;",
        ),
        (
            &["a", "b", "c", "d", "e", "f", "g"],
            Scope::Contact,
            "it takes only the campaigns 'a', 'b', 'c', 'd', 'e' and 2 more, and no message of this person matches;",
        ),
        (
            &[],
            Scope::Contact,
            "it takes no campaign, and no message of this person matches;",
        ),
    ] {
        let sentence = reason_in(&filtered(campaigns), scope);
        assert!(
            sentence.starts_with(&format!("Not sent to crm: {words}")),
            "{sentence}"
        );
    }
    // A pruned message is not excluded.
    assert!(of(&view, &filtered(&["trees"]), Scope::Message(InboxId(1)), READER).may_be_sent);
    let opted_out = person(&[What::Unsubscribed], Some(ANN));
    assert!(reason(&opted_out, &filtered(&["trees"])).contains("opted out"));
    let mut by_automations = rule(Policy::OptIn);
    by_automations.takes = Takes::Automations;
    assert!(reason(&view, &by_automations).starts_with("May be sent to crm, by automations only: opted in"));
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

#[test]
fn names_chosen_by_senders_are_cleaned_for_the_terminal() {
    let mut view = person(&[What::OptIn], Some(ANN));
    let long = format!("\u{1b}[2J{}", "x".repeat(100));
    view.messages[0].campaign = Some(long);
    view.messages[0].action_type = Some("donation".to_owned());
    view.messages[0].organisation = Some(Organisation {
        external_id: "12".to_owned(),
        name: None,
        title: Some("Rivers\n".to_owned()),
    });
    let sentence = sentence(&view, &rule(Policy::OptIn));
    let shown = format!("campaign '[2J{}…'", "x".repeat(77));
    assert!(sentence.contains(&shown), "{sentence}");
    let evidence = Evidence::new(&view, &view.ledger[0]);
    assert_eq!(
        about(&evidence).expect("words"),
        format!("{shown}, organisation 'Rivers' (12)")
    );
    // The message was pruned.
    view.messages.clear();
    assert!(reason(&view, &rule(Policy::OptIn)).ends_with("09:12 UTC (message 4711)"));
}

#[test]
fn purposes_have_their_usual_words() {
    for (purpose, words) in [
        ("email", "opted out of e-mail"),
        ("phone", "opted out of calls"),
        ("sms", "opted out of text messages"),
        ("post", "opted out of letters"),
        ("ads", "opted out of advertising"),
        ("events", "opted out of 'events'"),
    ] {
        assert_eq!(fact(&What::Unsubscribed, purpose), words);
    }
    assert_eq!(
        fact(&What::Bounced, "phone"),
        "the address bounced, which ended calls"
    );
}
