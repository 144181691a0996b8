mod confirmations;
mod no_delivery;

use std::sync::{Arc, LazyLock};

use serde_json::json;

use super::*;
use crate::consent::Policy;

const ADA: &str = "ada@example.org";
const BEN: &str = "ben@example.org";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn reference() -> Identity {
    Identity::ContactRef {
        namespace: "proca".into(),
        reference: "ref-1".to_owned(),
    }
}

fn fact(what: What, second: i64, address: Option<&str>) -> ConsentFact {
    ConsentFact {
        address: address.map(str::to_owned),
        ..ConsentFact::new(EMAIL, what, at(second), "a test")
    }
}

/// An event about the contact of this address that says nothing new.
fn event(kind: EventKind, address: &str) -> Event {
    let mut event = Event::new(kind, "proca".into(), at(50));
    event.identities = vec![
        reference(),
        Identity::Email {
            address: address.to_owned(),
        },
    ];
    event
}

fn contact(address: &str) -> Contact {
    let mut contact = Contact::default();
    let fields = BTreeMap::from([("email".to_owned(), json!(address))]);
    contact.set_fields(&fields, at(0));
    contact.add_address(address, at(0));
    contact.add_address_of(&[reference()], address, at(0));
    contact
}

/// A destination that is sent everybody and everything new.
fn crm() -> DestinationRule {
    let mut crm = DestinationRule::new("crm");
    crm.policy = Policy::All;
    crm
}

fn planned(event: &Event, contacts: &[Contact], shared: &[ConsentFact]) -> Plan {
    planned_for(crm(), &[], event, contacts, shared)
}

fn planned_for(
    crm: DestinationRule,
    given: &[Given],
    event: &Event,
    contacts: &[Contact],
    shared: &[ConsentFact],
) -> Plan {
    let known = Known {
        given: &|_| given.to_vec(),
        shared,
        ..known(contacts)
    };
    planned_by(&[crm], event, &known)
}

/// Nothing but these contacts.
fn known(contacts: &[Contact]) -> Known<'_> {
    static TERMS: LazyLock<Terms> = LazyLock::new(Terms::default);
    Known {
        contacts,
        action_is_known: false,
        terms: &TERMS,
        given: &|_| Vec::new(),
        shared: &[],
        knows: &|_| false,
        has_new_id: false,
        is_named: &|| true,
        is_flooded: &|| false,
        last_hour: &|_| None,
        about: &About::default,
    }
}

fn planned_by(destinations: &[DestinationRule], event: &Event, known: &Known<'_>) -> Plan {
    let destinations = destinations
        .iter()
        .map(|rule| (rule.name.clone(), Arc::new(rule.clone())));
    let rules = Rules {
        destinations: destinations.collect(),
        hub: "us".into(),
        ..Rules::default()
    };
    plan(&Case {
        source: "queue",
        workspace: "default",
        event,
        known,
        rules: &rules,
        now: at(60),
        arrival: 1,
    })
}

fn kinds(plan: &Plan) -> Vec<Kind> {
    plan.deliveries.iter().map(|planned| planned.kind).collect()
}

#[test]
fn a_merge_is_news_even_if_the_event_says_nothing_else() {
    let nothing_new = event(EventKind::Engagement, ADA);
    assert_eq!(kinds(&planned(&nothing_new, &[contact(ADA)], &[])), []);
    let merged = planned(&nothing_new, &[contact(ADA), Contact::default()], &[]);
    assert_eq!(kinds(&merged), [Kind::Contact]);
    assert!(merged.contact_changed);
}

#[test]
fn a_merged_contact_is_written_whatever_old_facts_come_with_it() {
    let mut known = contact(ADA);
    known.add_consent(&fact(What::Unsubscribed, 9, Some(ADA)));
    let old = fact(What::Unsubscribed, 5, Some(ADA));
    let mut status = event(EventKind::EmailStatus, ADA);
    let contacts = [known, Contact::default()];
    assert!(planned(&status, &contacts, std::slice::from_ref(&old)).contact_changed);
    status.consent = vec![old];
    assert!(planned(&status, &contacts, &[]).contact_changed);
    assert!(!planned(&status, &contacts[..1], &[]).contact_changed);
}

#[test]
fn one_new_fact_is_news_whatever_old_fact_follows_it() {
    let mut known = contact(ADA);
    known.add_consent(&fact(What::Unsubscribed, 9, Some(ADA)));
    let mut status = event(EventKind::EmailStatus, ADA);
    let old = fact(What::Unsubscribed, 5, Some(ADA));
    status.consent = vec![old.clone()];
    assert_eq!(kinds(&planned(&status, &[known.clone()], &[])), []);
    status.consent = vec![fact(What::DoubleOptIn, 20, Some(ADA)), old];
    let plan = planned(&status, &[known], &[]);
    assert_eq!(kinds(&plan), [Kind::Contact]);
    assert_eq!(plan.consent.len(), 2, "the ledger holds both");
}

#[test]
fn a_new_fact_of_another_user_of_the_mailbox_is_news_whatever_old_fact_follows_it() {
    let mut known = contact(ADA);
    let consent = known.consent.entry(EMAIL.to_owned()).or_default();
    consent.add_shared(&What::Blocked, at(5), ADA);
    let nothing_new = event(EventKind::Engagement, ADA);
    let old = fact(What::Blocked, 5, Some(ADA));
    let contacts = [known];
    assert_eq!(
        kinds(&planned(&nothing_new, &contacts, std::slice::from_ref(&old))),
        []
    );
    let shared = [fact(What::Bounced, 9, Some(ADA)), old];
    let plan = planned(&nothing_new, &contacts, &shared);
    assert_eq!(kinds(&plan), [Kind::Contact]);
    assert_eq!(plan.consent, [], "the ledger holds only what the person said");
}

#[test]
fn a_fact_that_a_visitor_brings_names_no_place() {
    let mut visit = event(EventKind::Engagement, ADA);
    visit.identities = vec![Identity::visitor("shop", "7".to_owned())];
    visit.consent = vec![fact(What::Declined, 5, None)];
    let plan = planned(&visit, &[], &[]);
    assert_eq!(plan.consent, [fact(What::Declined, 5, None)]);
    visit.identities.push(reference());
    let plan = planned(&visit, &[], &[]);
    let of_reference = of_id(&reference());
    assert_eq!(plan.consent, [fact(What::Declined, 5, Some(&of_reference))]);
}

#[test]
fn a_contact_moves_when_an_address_in_use_changes() {
    let mut sync = event(EventKind::ContactSync, BEN);
    sync.fields.insert("email".to_owned(), json!(BEN));
    for (contacts, has_moved) in [
        (vec![], false),
        (vec![contact(BEN)], false),
        (vec![contact(ADA)], true),
        (vec![contact(BEN), contact(ADA)], true),
    ] {
        assert_eq!(planned(&sync, &contacts, &[]).has_moved, has_moved);
    }
}

#[test]
fn the_withdrawal_of_a_former_address_is_followed_by_the_address_in_use() {
    let given = [ADA, BEN].map(given_to);
    let mut known = contact(ADA);
    known.add_address(BEN, at(0));
    known.add_consent(&fact(What::OptIn, 1, None));
    known.add_consent(&fact(What::Bounced, 5, Some(BEN)));
    let nothing_new = event(EventKind::Engagement, ADA);
    let plan = |known: &Contact| {
        let crm = DestinationRule::new("crm");
        planned_for(crm, &given, &nothing_new, std::slice::from_ref(known), &[])
    };
    let both = plan(&known);
    assert_eq!(kinds(&both), [Kind::Withdrawal, Kind::Contact]);
    assert_eq!(both.deliveries[0].address.as_deref(), Some(BEN));
    assert_eq!(both.deliveries[1].address, None);
    known.add_consent(&fact(What::Unsubscribed, 6, None));
    assert_eq!(
        kinds(&plan(&known)),
        [Kind::Withdrawal; 2],
        "nor may the other be used"
    );
}

#[test]
fn a_destination_that_cannot_show_an_opt_out_is_not_sent_the_message_that_brings_it() {
    let is_sent = |known: &Contact, facts: Vec<ConsentFact>| {
        let mut crm = crm();
        crm.supported_changes = vec![Change::Subscribe];
        let mut status = event(EventKind::EmailStatus, ADA);
        status.consent = facts;
        status.fields.insert("city".to_owned(), json!("Brno"));
        let plan = planned_for(crm, &[], &status, std::slice::from_ref(known), &[]);
        assert_eq!(kinds(&plan), [Kind::Contact]);
        plan.deliveries[0].gate == Gate::Send
    };
    let known = contact(ADA);
    let of_another_purpose = ConsentFact::new("sms", What::NotAsked, at(20), "a test");
    let opt_out = fact(What::Unsubscribed, 20, Some(ADA));
    assert!(!is_sent(&known, vec![opt_out.clone(), of_another_purpose]));
    let mut left = known;
    left.add_consent(&opt_out);
    assert!(is_sent(&left, vec![]), "it was an earlier message");
    assert!(is_sent(&left, vec![fact(What::Declined, 10, Some(ADA))]));
    let of_sms = ConsentFact::new("sms", What::Unsubscribed, at(30), "a test");
    assert!(is_sent(&left, vec![of_sms]));
}

#[test]
fn a_browser_alone_is_sent_nowhere_and_a_browser_with_an_id_is() {
    let visitor = Identity::visitor("shop", "7".to_owned());
    for (identities, expected) in [
        (vec![visitor.clone()], vec![]),
        (vec![visitor, reference()], vec![Kind::Contact]),
    ] {
        let mut visit = event(EventKind::Engagement, ADA);
        visit.identities = identities;
        assert_eq!(kinds(&planned(&visit, &[], &[])), expected);
    }
}

fn given_to(address: &str) -> Given {
    Given {
        address: Some(address.to_owned()),
        change: Change::Subscribe,
        withdrawal_is_open: false,
        is_shared: false,
        purpose: None,
    }
}

/// The number of withdrawals for a destination that was given the contact.
fn withdrawn(rule: &DestinationRule, before: &[Contact], after: &Contact, given: Given) -> usize {
    let terms = Terms::default();
    withdrawals(rule, before, &terms, after, &terms, &[given]).len()
}

#[test]
fn a_destination_that_cannot_receive_a_withdrawal_gets_one_that_a_person_sees_and_no_second() {
    let mut mute = DestinationRule::new("crm");
    mute.supported_changes = vec![Change::Subscribe];
    let with = |what| {
        let mut contact = contact(ADA);
        contact.add_consent(&fact(what, 5, Some(ADA)));
        contact
    };
    let (agreed, left, declined) = (with(What::OptIn), with(What::Unsubscribed), with(What::Declined));
    for (before, after, expected) in [
        (vec![agreed.clone()], &left, 1),
        (vec![left.clone()], &left, 0),
        (vec![agreed, left.clone()], &left, 0),
        // This is no opt-out, and nothing ended.
        (vec![declined.clone()], &declined, 0),
    ] {
        assert_eq!(
            withdrawn(&mute, &before, after, given_to(ADA)),
            expected,
            "{before:?}"
        );
    }
}

#[test]
fn another_purpose_and_another_mailbox_need_an_opt_out_to_be_withdrawn() {
    let rule = DestinationRule::new("crm");
    let (mut before, mut after) = (contact(ADA), contact(ADA));
    for contact in [&mut before, &mut after] {
        contact.add_address(BEN, at(0));
    }
    for purpose in [EMAIL, "sms"] {
        before.add_consent(&ConsentFact::new(purpose, What::OptIn, at(5), "a test"));
    }
    let of_sms = Given {
        purpose: Some("sms".into()),
        ..given_to(ADA)
    };
    let of_others = Given {
        is_shared: true,
        ..given_to(BEN)
    };
    let before = [before];
    assert_eq!(withdrawn(&rule, &before, &after, given_to(ADA)), 1);
    assert_eq!(withdrawn(&rule, &before, &after, of_sms.clone()), 0);
    assert_eq!(withdrawn(&rule, &before, &after, of_others.clone()), 0);
    for purpose in [EMAIL, "sms"] {
        after.add_consent(&ConsentFact::new(purpose, What::Unsubscribed, at(9), "a test"));
    }
    assert_eq!(withdrawn(&rule, &before, &after, of_sms), 1);
    assert_eq!(withdrawn(&rule, &before, &after, of_others), 1);
}

#[test]
fn the_decision_gives_the_states_before_and_after_and_the_facts_of_each_purpose() {
    let mut status = event(EventKind::EmailStatus, ADA);
    let of_sms = |what| ConsentFact::new("sms", what, at(6), "a form");
    status.consent = vec![fact(What::Unsubscribed, 5, Some(ADA)), of_sms(What::OptIn)];
    let mut subscribed = contact(ADA);
    subscribed.add_consent(&fact(What::OptIn, 1, Some(ADA)));
    subscribed.add_consent(&of_sms(What::Declined));
    for (contacts, email, sms) in [
        (vec![], "no contact", "no contact"),
        (vec![subscribed.clone()], "opted_in", "not_subscribed"),
        (
            vec![subscribed, contact(ADA)],
            "opted_in and unknown",
            "not_subscribed and unknown",
        ),
    ] {
        let decision = planned(&status, &contacts, &[]).decision;
        let sms_after = if contacts.is_empty() {
            "opted_in"
        } else {
            "not_subscribed"
        };
        let of_sms = if sms == sms_after {
            format!("sms: stays {sms}, with")
        } else {
            format!("sms: {sms} → {sms_after}, because of")
        };
        let expected = format!(
            "email: {email} → unsubscribed, because of unsubscribed at {} (a test); {of_sms} opt_in at {} (a form)",
            at(5),
            at(6)
        );
        assert_eq!(decision, expected);
    }
}
