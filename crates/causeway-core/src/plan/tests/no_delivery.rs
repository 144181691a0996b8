//! Why a destination gets no delivery.

use super::*;
use crate::{event::FollowUp, id::ContactId, rules::Filter};

fn takes(name: &str, takes: Takes) -> DestinationRule {
    DestinationRule {
        policy: Policy::All,
        takes,
        ..DestinationRule::new(name)
    }
}

/// A destination with a filter.
fn only(name: &str, filter: Filter) -> DestinationRule {
    DestinationRule {
        filter,
        ..takes(name, Takes::All)
    }
}

fn bees() -> Filter {
    Filter {
        campaigns: Some(["bees".to_owned()].into()),
        ..Filter::default()
    }
}

/// The end of the trace's decision, for a contact that each destination was given.
fn why(destinations: &[DestinationRule], event: &Event, is_flooded: bool) -> Option<String> {
    let mut ada = contact(ADA);
    ada.gave_data = true;
    let contacts = [ada];
    let given = Given {
        change: Change::None,
        ..given_to(ADA)
    };
    let known = Known {
        given: &|_| vec![given.clone()],
        is_flooded: &|| is_flooded,
        ..known(&contacts)
    };
    let decision = planned_by(destinations, event, &known).decision;
    let why = decision.strip_prefix("says nothing about consent").unwrap();
    why.strip_prefix("; ").map(str::to_owned)
}

fn follow_up(kind: EventKind, destination: Option<&str>) -> Event {
    let mut event = event(kind, ADA);
    event.follow_up = Some(Box::new(FollowUp {
        workspace: "default".into(),
        contact: ContactId(1),
        about: None,
        destination: destination.map(Name::from),
        automation: None,
        hops: 1,
        chain: Vec::new(),
    }));
    event
}

#[test]
fn a_filter_is_named_by_the_key_that_excludes_the_message() {
    let names = |name: &str| Some([name.to_owned()].into());
    let none = Filter::default;
    for (filter, expected) in [
        (
            Filter {
                sources: names("shop"),
                ..none()
            },
            "its `sources` exclude this message",
        ),
        (bees(), "its `campaigns` exclude this message"),
        (
            Filter {
                action_types: names("petition"),
                ..none()
            },
            "its `action_types` exclude this message",
        ),
        (
            Filter {
                forms_only: true,
                ..none()
            },
            "its `forms_only` excludes this message",
        ),
    ] {
        let mut share = event(EventKind::Action, ADA);
        share.action = Some(Action {
            external_id: "1".to_owned(),
            action_type: "share".to_owned(),
            created_at: at(50),
            custom_fields: serde_json::Map::new(),
            donation: None,
            tracking: None,
            with_consent: false,
            dupe_rank: None,
            testing: false,
        });
        let why = why(&[only("crm", filter)], &share, false);
        assert_eq!(why, Some(format!("not sent to crm: {expected}")));
    }
}

#[test]
fn an_event_is_explained_only_if_no_destination_gets_it() {
    let both = [takes("all", Takes::All), only("bees", bees())];
    let mut visit = event(EventKind::Engagement, ADA);
    let nothing_new =
        "not sent to bees: its `campaigns` exclude this message; all: the message says nothing new";
    assert_eq!(why(&both, &visit, false).as_deref(), Some(nothing_new));
    visit.fields.insert("city".to_owned(), json!("Brno"));
    assert_eq!(why(&both, &visit, false), None);
    let excluded = "not sent to bees: its `campaigns` exclude this message";
    assert_eq!(why(&both[1..], &visit, false).as_deref(), Some(excluded));
}

#[test]
fn a_contact_of_a_platform_is_explained_for_each_destination_that_does_not_get_it() {
    let all = [
        takes("all", Takes::All),
        takes("automated", Takes::Automations),
        only("bees", bees()),
    ];
    let mut sync = event(EventKind::ContactSync, ADA);
    sync.fields.insert("city".to_owned(), json!("Brno"));
    let expected = "not sent to bees: its `campaigns` exclude this message; \
                    automated: takes only what automations send";
    assert_eq!(why(&all, &sync, false).as_deref(), Some(expected));
    assert_eq!(why(&all[..1], &sync, false), None);
}

#[test]
fn a_contact_of_a_platform_that_says_nothing_new_is_explained_by_what_the_destination_takes() {
    let both = [takes("all", Takes::All), takes("changes", Takes::Changes)];
    let mut sync = event(EventKind::ContactSync, ADA);
    let only_changes = "takes only changes, and the message says nothing new";
    let expected = format!("not sent to changes: {only_changes}");
    assert_eq!(why(&both, &sync, false), Some(expected));
    let loops = "says nothing new, and the contact came 10 times within an hour: a destination may be writing to \
                 the platform that sends it";
    let expected = format!("not sent to all: {loops}; changes: {only_changes}");
    assert_eq!(why(&both, &sync, true), Some(expected));
    sync.imported = true;
    let expected = "not sent to all, changes: it is a row of a file, and says nothing new";
    assert_eq!(why(&both, &sync, true).as_deref(), Some(expected));
}

#[test]
fn a_destination_is_not_said_to_miss_its_own_response() {
    let both = [takes("all", Takes::All), takes("other", Takes::All)];
    let response = follow_up(EventKind::Response, Some("all"));
    let expected = "not sent to other: the message says nothing new";
    assert_eq!(why(&both, &response, false).as_deref(), Some(expected));
    assert_eq!(why(&both[..1], &response, false), None);
}

#[test]
fn what_a_schedule_sends_nowhere_needs_no_explanation() {
    let due = follow_up(EventKind::Schedule, None);
    assert_eq!(why(&[takes("all", Takes::All)], &due, false), None);
    let response = follow_up(EventKind::Response, None);
    let nowhere = "nothing to send: the workspace has no destination";
    assert_eq!(why(&[], &response, false).as_deref(), Some(nowhere));
}
