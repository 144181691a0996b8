//! Actions that wait for a confirmation go to the destinations that confirm, and nothing else does.

use super::*;
use crate::{event::Action, rules::Filter};

fn action(id: &str) -> Action {
    serde_json::from_value(json!({
        "external_id": id, "action_type": "petition", "created_at": "2026-01-02T03:04:05Z", "with_consent": true,
    }))
    .unwrap()
}

fn waiting(kind: EventKind) -> Event {
    let mut waiting = event(kind, ADA);
    waiting.action = Some(action("101"));
    waiting.deliver = false;
    waiting
}

fn confirm() -> DestinationRule {
    DestinationRule {
        takes: Takes::Confirmations,
        supported_changes: Vec::new(),
        policy: Policy::All,
        ..DestinationRule::new("confirm")
    }
}

/// The destinations that get something.
fn sent_to(event: &Event, destinations: &[DestinationRule], contacts: &[Contact]) -> Vec<String> {
    let plan = planned_by(destinations, event, &known(contacts));
    let sent = plan
        .deliveries
        .iter()
        .filter(|planned| planned.gate == Gate::Send);
    sent.map(|planned| format!("{} {}", planned.kind.as_str(), planned.destination))
        .collect()
}

#[test]
fn only_destinations_that_confirm_get_waiting_actions_and_they_get_nothing_else() {
    let both = [confirm(), crm()];
    for kind in [EventKind::SupporterConfirm, EventKind::ActionConfirm] {
        let waiting = waiting(kind);
        assert_eq!(sent_to(&waiting, &both, &[]), ["record confirm"], "{kind:?}");
        assert_eq!(sent_to(&waiting, &[crm()], &[]), [""; 0], "{kind:?}");
        // The person is not asked: whether they may be mailed is another question.
        let mut ada = contact(ADA);
        ada.add_consent(&fact(What::Unsubscribed, 1, Some(ADA)));
        assert_eq!(sent_to(&waiting, &both, &[ada]), ["record confirm"], "{kind:?}");
    }
    let mut delivered = event(EventKind::Action, ADA);
    delivered.action = Some(action("101"));
    assert_eq!(sent_to(&delivered, &both, &[]), ["record crm"]);
    let mut opts_out = event(EventKind::EmailStatus, ADA);
    opts_out.consent = vec![fact(What::Unsubscribed, 60, Some(ADA))];
    let sent = sent_to(&opts_out, &both, &[contact(ADA)]);
    assert!(sent.iter().all(|sent| sent.ends_with(" crm")), "{sent:?}");
}

#[test]
fn a_waiting_action_gives_no_data_and_obeys_the_filters() {
    let mut waiting = waiting(EventKind::SupporterConfirm);
    let plan = planned_by(&[confirm()], &waiting, &known(&[]));
    assert!(!plan.contact.unwrap().gave_data);
    let filtered = DestinationRule {
        filter: Filter {
            action_types: Some(["letter".to_owned()].into()),
            ..Filter::default()
        },
        ..confirm()
    };
    assert_eq!(sent_to(&waiting, &[filtered], &[]), [""; 0]);
    let plan = planned_by(&[crm()], &waiting, &known(&[]));
    assert!(
        plan.decision.contains("no destination of kind proca"),
        "{}",
        plan.decision
    );
    // Without its number nobody can confirm it.
    waiting.action = None;
    assert_eq!(sent_to(&waiting, &[confirm()], &[]), [""; 0]);
}
