//! Tests that every page renders strictly and escaped, and makes the data for the samples of the pages.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use causeway_core::{
    automation::{Explained, Verdict},
    consent::{ConsentFact, ConsentState, Suppression, What},
    contact::{Contact, Identity},
    envelope::{Dedup, Envelope, Meta},
    event::{Action, Due, Organisation},
    id::{ActionId, ContactId, DeliveryId, IdempotencyKey, InboxId, Name},
    rules::{DestinationRule, Rules},
    source::SourceState,
    store::{
        AttemptRow, ContactView, DeliveryRow, DeliveryTrace, DestinationCounts, InboxRow, InboxState,
        LaneState, LedgerRow, MessageRow, Overview, SourceCounts, TimerRow, Trace,
    },
};
use jiff::Timestamp;
use serde_json::json;

use super::{
    Connector, ConsoleConfig,
    attention::ByHand,
    live::Moment,
    pages::{Notice, deliveries::Deliveries, message::Message, messages::Messages, overview},
    picture::{Picture, picture},
    render::{Frame, Page, Renderer},
};

const HOSTILE: &str = "<script>alert(1)</script>";

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_767_225_600).unwrap()
}

pub(crate) fn delivery(state: &str, text: &str) -> DeliveryRow {
    DeliveryRow {
        id: DeliveryId(5),
        inbox_id: InboxId(4),
        contact_id: None,
        destination: text.into(),
        source: text.into(),
        kind: text.to_owned(),
        state: state.to_owned(),
        attempts: 2,
        due_at: Some(now()),
        planned_at: now(),
        finished_at: (state == "delivered").then(now),
        reason: (state != "blocked").then(|| text.to_owned()),
        remote_id: Some(text.to_owned()),
        address: None,
        by_hand: false,
    }
}

pub(crate) fn inbox(state: InboxState, text: &str) -> InboxRow {
    InboxRow {
        id: InboxId(4),
        source: text.into(),
        state,
        received_at: now(),
        processed_at: (state == InboxState::Done).then(now),
        code: (state == InboxState::Dead).then(|| text.to_owned()),
        reason: Some(text.to_owned()),
        bytes: 1_500,
    }
}

/// An empty trace, and a message in each state with hostile text in every text field.
pub(crate) fn traces() -> Vec<(Trace, Option<ContactView>)> {
    let bare = Trace {
        inbox: inbox(InboxState::New, "petitions"),
        envelope: None,
        duplicate_of: None,
        workspace: "default".into(),
        event: None,
        event_at: None,
        decision: None,
        notes: Vec::new(),
        contact_id: None,
        merged: Vec::new(),
        action: None,
        consent: Vec::new(),
        automations: None,
        timers: Vec::new(),
        about: None,
        follow_ups: Vec::new(),
        via: Vec::new(),
        deliveries: Vec::new(),
    };
    let mut all = vec![(bare.clone(), None)];
    for state in InboxState::ALL {
        let full = Trace {
            inbox: inbox(state, HOSTILE),
            envelope: Some(envelope()),
            duplicate_of: Some(InboxId(3)),
            workspace: HOSTILE.into(),
            event: Some(HOSTILE.to_owned()),
            event_at: Some(now()),
            decision: Some(HOSTILE.to_owned()),
            notes: vec![HOSTILE.to_owned()],
            contact_id: Some(ContactId(7)),
            merged: vec![ContactId(8), ContactId(9)],
            action: Some((ActionId(1), action())),
            consent: vec![ConsentFact::new(HOSTILE, What::OptIn, now(), HOSTILE)],
            automations: Some(Explained {
                values: [(HOSTILE.into(), HOSTILE.into())].into(),
                asked: vec![
                    (HOSTILE.into(), Verdict::Ran(vec![HOSTILE.to_owned()])),
                    (HOSTILE.into(), Verdict::Failed(HOSTILE.into())),
                ],
            }),
            timers: vec![TimerRow {
                automation: HOSTILE.into(),
                due: Due::Step(1),
                due_at: now(),
            }],
            about: Some(InboxId(2)),
            follow_ups: vec![InboxId(4), InboxId(5)],
            via: vec![HOSTILE.to_owned()],
            deliveries: ["waiting", "delivered", "dead"].map(sent).into(),
        };
        all.push((full, Some(contact())));
    }
    let nothing_to_send = Trace {
        inbox: inbox(InboxState::Done, "petitions"),
        ..bare
    };
    all.push((nothing_to_send, None));
    all
}

fn envelope() -> Envelope {
    let meta = Meta {
        imported: false,
        again: false,
        late: None,
        part: None,
        content_type: Some(HOSTILE.to_owned()),
        method: Some(HOSTILE.to_owned()),
        query: Some(format!("{HOSTILE}=1")),
        routing_key: Some(HOSTILE.to_owned()),
        via: vec![HOSTILE.to_owned()],
        deaths: Some(2),
        note: Some(HOSTILE.to_owned()),
    };
    Envelope {
        source: HOSTILE.into(),
        dedup: Dedup::dated([1; 16]),
        received_at: now(),
        meta,
        body: json!({ HOSTILE: { "type": HOSTILE } })
            .to_string()
            .into_bytes()
            .into(),
    }
}

fn action() -> Action {
    Action {
        external_id: HOSTILE.to_owned(),
        action_type: HOSTILE.to_owned(),
        created_at: now(),
        custom_fields: json!({ HOSTILE: 1 }).as_object().cloned().unwrap(),
        donation: None,
        tracking: None,
        with_consent: true,
        dupe_rank: None,
        testing: true,
    }
}

pub(crate) fn contact() -> ContactView {
    let mut contact = Contact::default();
    contact.set_fields(&BTreeMap::from([(HOSTILE.to_owned(), json!(HOSTILE))]), now());
    let why = Suppression::Bounced;
    ContactView {
        given: Vec::new(),
        id: ContactId(7),
        workspace: HOSTILE.into(),
        identities: vec![
            Identity::Email {
                address: HOSTILE.to_owned(),
            },
            Identity::ForeignId {
                namespace: HOSTILE.into(),
                id: HOSTILE.to_owned(),
            },
        ],
        contact,
        consent_state: [(HOSTILE.to_owned(), ConsentState::Suppressed { since: now(), why })].into(),
        others: Vec::new(),
        click_grace: std::time::Duration::ZERO,
        ledger: vec![LedgerRow {
            fact: ConsentFact::new(HOSTILE, What::Bounced, now(), HOSTILE),
            inbox_id: InboxId(4),
        }],
        actions: Vec::new(),
        engagements: Vec::new(),
        deliveries: Vec::new(),
        inbox: Vec::new(),
        messages: vec![MessageRow {
            id: InboxId(4),
            source: HOSTILE.into(),
            received_at: now(),
            event: Some(HOSTILE.to_owned()),
            campaign: Some(HOSTILE.to_owned()),
            action_type: Some(HOSTILE.to_owned()),
            organisation: Some(Organisation {
                external_id: HOSTILE.to_owned(),
                name: Some(HOSTILE.to_owned()),
                title: None,
            }),
        }],
        erasing_since: None,
        envelopes: Vec::new(),
    }
}

/// A destination in the workspace of [`contact`].
pub(crate) fn rules() -> Rules {
    let mut rule = DestinationRule::new(HOSTILE);
    rule.workspace = HOSTILE.into();
    rule.purpose = HOSTILE.into();
    Rules {
        destinations: [(HOSTILE.into(), rule.into())].into(),
        ..Rules::default()
    }
}

fn sent(state: &str) -> DeliveryTrace {
    let attempt = AttemptRow {
        number: 1,
        started_at: now(),
        took_ms: 12,
        outcome: HOSTILE.to_owned(),
        reason: Some(HOSTILE.to_owned()),
        status: Some(503),
        excerpt: Some(HOSTILE.to_owned()),
        request: Some(HOSTILE.to_owned()),
    };
    DeliveryTrace {
        delivery: delivery(state, HOSTILE),
        key: IdempotencyKey(HOSTILE.to_owned()),
        attempts: if state == "waiting" {
            Vec::new()
        } else {
            vec![attempt]
        },
    }
}

fn moment(second: i64, name: &str) -> Arc<Moment> {
    let n = second.unsigned_abs();
    let source = SourceCounts {
        received: 100 + n * 10,
        new: 2,
        done: 90 + n * 10,
        dead: 8,
        oldest_new_at: Some(now()),
        ..SourceCounts::default()
    };
    let lane = LaneState {
        paused: false,
        halted: Some(name.to_owned()),
    };
    let destination = DestinationCounts {
        planned: 50,
        waiting: 30,
        delivered: 10 + n,
        dead: 5,
        lane,
        ..DestinationCounts::default()
    };
    let mut moment = Moment {
        at: Timestamp::from_second(now().as_second() + second).unwrap(),
        overview: Overview {
            sources: [(Name::from(name), source)].into(),
            destinations: [(Name::from(name), destination)].into(),
            clock_alarm: None,
        },
        states: [(
            Name::from(name),
            SourceState::Failing {
                reason: name.to_owned(),
            },
        )]
        .into(),
        by_hand: ByHand::default(),
        warnings: vec![(name.into(), name.to_owned())],
        is_stale: true,
        ..Moment::default()
    };
    moment
        .dead
        .inbox
        .insert((name.into(), "key_missing".to_owned()), 8);
    moment
        .dead
        .deliveries
        .entry(name.into())
        .or_default()
        .insert(name.to_owned(), 5);
    Arc::new(moment)
}

/// No sample; one sample; a minute of a hub with problems.
pub(crate) fn pictures() -> Vec<Picture> {
    let config = ConsoleConfig {
        sources: vec![Connector {
            name: "quiet".into(),
            kind: HOSTILE.to_owned(),
            workspace: HOSTILE.into(),
        }],
        ..ConsoleConfig::default()
    };
    let minute: VecDeque<_> = (0..61).map(|second| moment(second, HOSTILE)).collect();
    vec![
        picture(
            &VecDeque::from([Arc::new(Moment::default())]),
            &ConsoleConfig::default(),
        ),
        picture(&VecDeque::from([moment(0, HOSTILE)]), &config),
        picture(&minute, &config),
    ]
}

#[test]
fn deliveries_of_a_removed_destination_need_a_person() {
    let ring = VecDeque::from([moment(0, "crm")]);
    let commands = |config: &ConsoleConfig| -> Vec<String> {
        let all = picture(&ring, config).attention.into_iter();
        all.filter_map(|item| item.command)
            .filter(|command| command.contains(" delivery "))
            .collect()
    };
    assert_eq!(
        commands(&ConsoleConfig::default()),
        [
            "causeway delivery discard --destination crm",
            "causeway delivery discard --destination crm --state dead",
        ]
    );
    let configured = ConsoleConfig {
        destinations: vec![Connector {
            name: "crm".into(),
            kind: "webhook".to_owned(),
            workspace: "default".into(),
        }],
        ..ConsoleConfig::default()
    };
    assert_eq!(
        commands(&configured),
        [
            "causeway delivery resume crm",
            "causeway delivery retry --destination crm --state dead",
        ]
    );
}

#[test]
fn messages_turned_away_after_an_erasure_need_a_person_for_a_week() {
    let titles = |lately: u64| -> Vec<String> {
        let mut moment = (*moment(0, "crm")).clone();
        for counts in moment.overview.sources.values_mut() {
            (counts.turned_away, counts.turned_away_lately) = (7, lately);
        }
        let all = picture(&VecDeque::from([Arc::new(moment)]), &ConsoleConfig::default()).attention;
        let about = |title: &String| title.contains("after an erasure");
        all.into_iter().map(|item| item.title).filter(about).collect()
    };
    assert_eq!(titles(3), ["3 messages turned away after an erasure from crm"]);
    assert!(titles(0).is_empty());
}

fn check<P: Page>(renderer: &Renderer) {
    let samples = P::samples();
    assert!(
        samples.len() > 1,
        "{}: samples without and with everything",
        P::TEMPLATE
    );
    for page in samples {
        let frame = Frame {
            here: "overview",
            theme: Some("dark"),
            attention: 2,
            configuration: "configuration 1, since 2026-03-01 12:00 UTC".to_owned(),
        };
        let html = renderer
            .page(&frame, &page)
            .unwrap_or_else(|error| panic!("{}: {error:?}", P::TEMPLATE));
        assert!(
            !html.contains("<script>"),
            "{}: hostile text is not escaped:\n{html}",
            P::TEMPLATE
        );
        // The content security policy blocks these, so a page with them would look broken.
        for inline in [" style=", " onclick=", "<style", "javascript:"] {
            assert!(!html.contains(inline), "{}: {inline}", P::TEMPLATE);
        }
        assert!(html.trim_end().ends_with("</html>"), "{}", P::TEMPLATE);
    }
}

#[test]
fn every_page_renders_strictly_and_escaped() {
    let renderer = Renderer::new(None).unwrap();
    check::<Notice>(&renderer);
    check::<overview::Overview>(&renderer);
    check::<Deliveries>(&renderer);
    check::<Messages>(&renderer);
    check::<Message>(&renderer);
}

#[test]
fn rates_come_from_the_last_seconds() {
    let all = pictures();
    let key = |name: &str| format!("s/{HOSTILE}/{name}");
    assert_eq!(all[1].figures[&key("rate")], "0");
    assert_eq!(all[2].figures[&key("rate")], "10");
    assert_eq!(all[2].marks[&key("flow")], "brisk");
    assert_eq!(all[2].figures[&format!("d/{HOSTILE}/rate")], "1.0");
    assert_eq!(all[2].figures[&key("received")], "700");
}

#[test]
fn books_that_do_not_balance_are_said_so() {
    let all = pictures();
    assert_eq!(all[0].marks["t/books"], "good");
    // 50 planned, and 30 waiting + 70 delivered + 5 dead.
    assert_eq!(all[2].figures[&format!("d/{HOSTILE}/difference")], "-55");
    assert_eq!(all[2].figures[&format!("s/{HOSTILE}/difference")], "0");
    assert_eq!(all[2].marks["t/books"], "bad");
}

#[test]
fn problems_are_listed_worst_first() {
    let all = pictures();
    assert!(all[0].attention.is_empty());
    let minute: VecDeque<_> = (0..61).map(|second| moment(second, HOSTILE)).collect();
    let configured = ConsoleConfig {
        destinations: vec![Connector {
            name: HOSTILE.into(),
            kind: "webhook".to_owned(),
            workspace: "default".into(),
        }],
        ..ConsoleConfig::default()
    };
    let attention = picture(&minute, &configured).attention;
    let titles: Vec<_> = attention
        .iter()
        .map(|item| (item.level, item.title.as_str()))
        .collect();
    let named = |text: &str| format!("{text}{HOSTILE}");
    assert_eq!(
        titles,
        [
            ("bad", "The store does not answer"),
            ("bad", format!("{HOSTILE} is halted").as_str()),
            ("bad", named("8 messages dead from ").as_str()),
            ("bad", named("5 deliveries dead at ").as_str()),
            ("warn", format!("{HOSTILE} fails").as_str()),
            ("warn", format!("{HOSTILE} needs attention").as_str()),
        ]
    );
}
