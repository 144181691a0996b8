//! Tests of the sentence for every state, policy and obstacle.

mod evidence;
mod names;
mod obstacles;
mod sent;
mod withdrawals;

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
        shared: false,
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
