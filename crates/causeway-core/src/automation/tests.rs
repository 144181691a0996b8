mod chain;

use std::{cell::RefCell, collections::BTreeSet, sync::Arc, time::Duration};

use jiff::{Timestamp, civil::Weekday, tz::TimeZone};
use serde_json::{Value, json};

use super::*;
use crate::{
    consent::{ConsentFact, EMAIL, OwnPages, What},
    contact::{Contact, Field, Identity},
    delivery::Kind,
    event::{Action, Campaign, Due, Engagement, Event, EventKind, FollowUp},
    id::ContactId,
    mapping::{Expression, Term},
    plan::{About, Case, Known, Plan, plan},
    rules::{DestinationRule, Gate, Rules, WorkspaceRule},
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const NOW: &str = "2026-03-04T09:30:00Z";

fn automation(name: &str, on: Trigger, then: Vec<Does>) -> Automation {
    Automation {
        name: name.into(),
        workspace: "default".into(),
        on: vec![on],
        when: None,
        stop: None,
        once: false,
        per_hour: None,
        then: then.into_iter().map(|does| Step { does, delay: None }).collect(),
    }
}

fn when(mut automation: Automation, text: &str) -> Automation {
    automation.when = Some(Expression::new(text).unwrap());
    automation
}

fn to_crm() -> Vec<Does> {
    vec![Does::Deliver(vec!["crm".into()])]
}

fn tag(name: &str) -> Vec<Does> {
    vec![Does::AddTag(name.to_owned())]
}

/// One contact, what is remembered of them, and the rules.
struct World {
    rules: Rules,
    contacts: Vec<Contact>,
    seen: RefCell<Vec<(EngagementKind, String, Option<Timestamp>)>>,
    last_hour: Option<(i64, u32)>,
    now: Timestamp,
}

impl World {
    fn new(automations: Vec<Automation>) -> Self {
        Self::scored(automations, Vec::new())
    }

    fn scored(automations: Vec<Automation>, statuses: Vec<(&str, f64)>) -> Self {
        let mut crm = DestinationRule::new("crm");
        crm.takes_all = false;
        crm.policy = crate::consent::Policy::All;
        let scoring = Scoring {
            own: true,
            statuses: statuses
                .into_iter()
                .map(|(name, ceiling)| Status {
                    name: name.to_owned(),
                    ceiling,
                })
                .collect(),
        };
        let workspace = WorkspaceRule::new(automations.into_iter().map(Arc::new).collect(), scoring);
        Self {
            rules: Rules {
                destinations: [("crm".into(), Arc::new(crm))].into(),
                workspaces: [("default".into(), workspace)].into(),
                hub: "us".into(),
                ..Rules::default()
            },
            contacts: Vec::new(),
            seen: RefCell::default(),
            last_hour: None,
            now: at(NOW),
        }
    }

    /// Decides, and keeps the contact and the engagements.
    fn take(&mut self, event: &Event) -> Plan {
        let has = |row: &Engagement| self.seen.borrow().contains(&(row.kind, row.key.clone(), row.at));
        let last_hour = self.last_hour;
        let about = || About {
            action: event.action.clone(),
            campaign: event.campaign.clone(),
            ..About::default()
        };
        let known = Known {
            contacts: &self.contacts,
            action_is_known: false,
            own_pages: &OwnPages::new(),
            was_given: &|_| false,
            knows: &has,
            last_hour: &|_| last_hour,
            about: &about,
        };
        let plan = plan(&Case {
            source: "queue",
            workspace: "default",
            event,
            known: &known,
            rules: &self.rules,
            now: self.now,
        });
        self.contacts = plan.contact.clone().into_iter().collect();
        let rows = event.engagements.iter().chain(&plan.scores);
        self.seen
            .borrow_mut()
            .extend(rows.map(|row| (row.kind, row.key.clone(), row.at)));
        plan
    }

    fn contact(&self) -> &Contact {
        self.contacts.first().unwrap()
    }
}

fn event(kind: EventKind) -> Event {
    let mut event = Event::new(kind, "proca".into(), at(NOW));
    event.identities = vec![Identity::Email {
        address: "ada@example.org".to_owned(),
    }];
    event.fields.insert("email".to_owned(), json!("ada@example.org"));
    event
}

fn signed(campaign: &str) -> Event {
    let mut event = event(EventKind::Action);
    event.action = Some(Action {
        external_id: "1".to_owned(),
        action_type: "register".to_owned(),
        created_at: at(NOW),
        custom_fields: json!({ "amount": 5 }).as_object().unwrap().clone(),
        donation: None,
        tracking: None,
        with_consent: true,
        dupe_rank: None,
        testing: false,
    });
    event.campaign = Some(Campaign {
        external_id: "204".to_owned(),
        name: campaign.to_owned(),
        title: None,
        crm_id: None,
        contact_schema: None,
        config: None,
    });
    event
}

fn did(kind: EngagementKind, key: &str) -> Event {
    let mut event = event(EventKind::Engagement);
    event.engagements = vec![Engagement {
        kind,
        key: key.to_owned(),
        name: None,
        at: Some(at(NOW)),
        raw_at: None,
        count: None,
        score: None,
    }];
    event
}

fn sent(plan: &Plan) -> Vec<&str> {
    let is_sent = |planned: &&crate::plan::Planned| planned.gate == Gate::Send;
    plan.deliveries
        .iter()
        .filter(is_sent)
        .map(|planned| &*planned.destination)
        .collect()
}

fn verdict<'a>(plan: &'a Plan, name: &str) -> Option<&'a Verdict> {
    let asked = &plan.explained.asked;
    asked
        .iter()
        .find(|(asked, _)| &**asked == name)
        .map(|(_, verdict)| verdict)
}

#[test]
fn an_action_starts_it_where_the_condition_holds_and_the_trace_says_what_it_saw() {
    let mut world = World::new(vec![
        when(
            automation("bees", Trigger::Action(None), to_crm()),
            "campaign.name == 'bees' and action.fields.amount > 3",
        ),
        when(
            automation("rivers", Trigger::Action(None), to_crm()),
            "campaign.name == 'rivers'",
        ),
        automation(
            "donors",
            Trigger::Action(Some(BTreeSet::from(["donate".to_owned()]))),
            to_crm(),
        ),
    ]);
    let plan = world.take(&signed("bees"));
    assert_eq!(sent(&plan), ["crm"]);
    assert_eq!(plan.deliveries[0].kind, Kind::Record);
    assert_eq!(
        verdict(&plan, "bees"),
        Some(&Verdict::Ran(vec!["to crm".to_owned()]))
    );
    assert_eq!(verdict(&plan, "rivers"), Some(&Verdict::ConditionFalse));
    assert_eq!(verdict(&plan, "donors"), None, "it listens to something else");
    assert_eq!(plan.explained.values["campaign.name"], json!("bees"));
    assert_eq!(plan.explained.values["action.fields.amount"], json!(5));

    let plan = world.take(&signed("forests"));
    assert_eq!(
        sent(&plan),
        [] as [&str; 0],
        "the destination takes only what automations send"
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn each_trigger_starts_on_what_it_names_and_on_nothing_else() {
    let text = |text: &str| Some(text.to_owned());
    let bounced = {
        let mut event = event(EventKind::EmailStatus);
        event.consent = vec![ConsentFact {
            purpose: EMAIL.to_owned(),
            what: What::Bounced,
            at: at(NOW),
            basis: "test".to_owned(),
        }];
        event
    };
    let with = |name: &str, value: Value| {
        let mut event = event(EventKind::Engagement);
        event.fields.insert(name.to_owned(), value);
        event
    };
    let consent = |to: &str| {
        Trigger::ConsentChanged(ConsentTrigger {
            purpose: text(EMAIL),
            to: Some(BTreeSet::from([to.to_owned()])),
        })
    };
    let clicked =
        |pattern: &str| Trigger::Engaged(EngagementKind::LinkClick, Some(Pattern(pattern.to_owned())));
    let click = did(EngagementKind::LinkClick, "https://example.org/give?x=1");
    let cases = vec![
        (
            Trigger::FieldChanged("city".to_owned()),
            with("city", json!("Brno")),
            true,
        ),
        (
            Trigger::FieldChanged("city".to_owned()),
            with("country", json!("CZ")),
            false,
        ),
        (Trigger::ContactUpdated, with("city", json!("Brno")), true),
        (
            Trigger::ContactUpdated,
            with("email", json!("ada@example.org")),
            false,
        ),
        (Trigger::ContactCreated, with("city", json!("Brno")), false),
        (Trigger::EmailStatus(None), bounced.clone(), true),
        (
            Trigger::EmailStatus(Some(BTreeSet::from(["bounced".to_owned()]))),
            bounced.clone(),
            true,
        ),
        (
            Trigger::EmailStatus(Some(BTreeSet::from(["blocked".to_owned()]))),
            bounced.clone(),
            false,
        ),
        (consent("suppressed"), bounced.clone(), true),
        (consent("unsubscribed"), bounced, false),
        (Trigger::TagAdded(text("vip")), with("tag:vip", json!(true)), true),
        (Trigger::TagAdded(None), with("tag:vip", json!(true)), true),
        (
            Trigger::TagAdded(text("vip")),
            with("tag:vip", json!(false)),
            false,
        ),
        (
            Trigger::TagAdded(text("vip")),
            with("tag:other", json!(true)),
            false,
        ),
        (
            Trigger::ListJoined(text("main")),
            with("list:main", json!(true)),
            true,
        ),
        (clicked("https://example.org/give*"), click.clone(), true),
        (clicked("https://example.org/give"), click.clone(), false),
        (
            Trigger::Engaged(EngagementKind::LinkClick, None),
            click.clone(),
            true,
        ),
        (Trigger::Engaged(EngagementKind::EmailOpen, None), click, false),
    ];
    for (trigger, event, starts) in cases {
        let name = format!("{trigger:?} on {:?}", event.fields);
        let mut world = World::new(vec![automation("it", trigger, to_crm())]);
        let mut first = self::event(EventKind::ContactSync);
        first.at = at("2026-03-01T00:00:00Z");
        first.fields.insert("city".to_owned(), json!("Praha"));
        world.take(&first);
        let plan = world.take(&event);
        assert_eq!(verdict(&plan, "it").is_some(), starts, "{name}");
        assert_eq!(!sent(&plan).is_empty(), starts, "{name}");
    }
    let mut world = World::new(vec![automation("it", Trigger::ContactCreated, to_crm())]);
    assert_eq!(sent(&world.take(&signed("bees"))), ["crm"]);
}

#[test]
fn a_repeated_engagement_starts_nothing() {
    let opened = Trigger::Engaged(EngagementKind::EmailOpen, None);
    let mut world = World::new(vec![automation("it", opened, to_crm())]);
    let open = did(EngagementKind::EmailOpen, "31");
    assert_eq!(sent(&world.take(&open)), ["crm"]);
    assert_eq!(sent(&world.take(&open)), [] as [&str; 0]);
}

#[test]
fn once_is_once_and_else_every_time() {
    let mut once = automation("once", Trigger::Action(None), to_crm());
    once.once = true;
    let mut world = World::new(vec![once]);
    assert_eq!(sent(&world.take(&signed("bees"))), ["crm"]);
    let plan = world.take(&signed("rivers"));
    assert_eq!(verdict(&plan, "once"), Some(&Verdict::RanBefore));
    assert_eq!(sent(&plan), [] as [&str; 0]);

    let mut world = World::new(vec![automation("always", Trigger::Action(None), to_crm())]);
    for _ in 0..2 {
        assert_eq!(sent(&world.take(&signed("bees"))), ["crm"]);
    }
}

#[test]
fn what_one_automation_changes_starts_another_and_that_ends() {
    let cycle = |name: &str, from: &str, to: &str| {
        automation(
            name,
            Trigger::TagAdded(Some(from.to_owned())),
            vec![Does::AddTag(to.to_owned()), Does::RemoveTag(from.to_owned())],
        )
    };
    let mut world = World::new(vec![
        cycle("two", "b", "a"),
        cycle("one", "a", "b"),
        automation("start", Trigger::Action(None), tag("a")),
    ]);
    let plan = world.take(&signed("bees"));
    let names: Vec<&str> = plan.explained.asked.iter().map(|(name, _)| &**name).collect();
    assert_eq!(
        names,
        ["start", "one", "two"],
        "each once, in the order in which they were started"
    );
    assert_eq!(world.contact().tags().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_step_with_a_delay_comes_back_and_stops_where_it_is_to() {
    let mut later = automation("later", Trigger::Action(None), vec![]);
    later.stop = Some(Expression::new("'gone' in contact.tags").unwrap());
    later.then = vec![
        Step {
            does: Does::AddTag("new".to_owned()),
            delay: None,
        },
        Step {
            does: Does::Deliver(vec!["crm".into()]),
            delay: Some(Duration::from_hours(48)),
        },
    ];
    let mut world = World::new(vec![later]);
    let plan = world.take(&signed("bees"));
    assert_eq!(sent(&plan), [] as [&str; 0]);
    let due_at = at("2026-03-06T09:30:00Z");
    assert_eq!(
        plan.timers,
        [Timer {
            automation: "later".into(),
            due: Due::Step(1),
            due_at,
            hops: 0,
            chain: Vec::new(),
        }]
    );

    let back = |step: u16| {
        let mut event = Event::new(EventKind::Schedule, "~automations".into(), due_at);
        event.follow_up = Some(Box::new(FollowUp {
            workspace: "default".into(),
            contact: ContactId(1),
            about: None,
            destination: None,
            automation: Some(("later".into(), Due::Step(step))),
            hops: 0,
            chain: Vec::new(),
        }));
        event
    };
    assert_eq!(sent(&world.take(&back(1))), ["crm"]);
    let plan = world.take(&back(7));
    assert_eq!(
        (sent(&plan), verdict(&plan, "later")),
        (vec![], Some(&Verdict::Gone))
    );
    let mut gone = event(EventKind::Engagement);
    gone.fields.insert("tag:gone".to_owned(), json!(true));
    world.take(&gone);
    let plan = world.take(&back(1));
    assert_eq!(
        (sent(&plan), verdict(&plan, "later")),
        (vec![], Some(&Verdict::Stopped))
    );
}

#[test]
fn beyond_the_limit_of_an_hour_it_waits_for_one_with_room() {
    let mut limited = automation("limited", Trigger::Action(None), to_crm());
    limited.per_hour = Some(2);
    limited.once = true;
    let hour = at(NOW).as_millisecond() / 3_600_000;
    for (last, admitted) in [
        (None, hour),
        (Some((hour - 5, 2)), hour),
        (Some((hour, 1)), hour),
        (Some((hour, 2)), hour + 1),
        (Some((hour + 3, 1)), hour + 3),
        (Some((hour + 3, 2)), hour + 4),
    ] {
        let mut world = World::new(vec![limited.clone()]);
        world.last_hour = last;
        let plan = world.take(&signed("bees"));
        assert_eq!(plan.admitted, [("limited".into(), admitted)], "{last:?}");
        assert_eq!(sent(&plan).is_empty(), admitted > hour, "{last:?}");
        assert_eq!(plan.timers.len(), usize::from(admitted > hour), "{last:?}");
        if let [timer] = plan.timers.as_slice() {
            assert_eq!(
                (timer.due, timer.due_at.as_millisecond()),
                (Due::Postponed, admitted * 3_600_000)
            );
            // Meanwhile it does not start a second time.
            let again = world.take(&signed("bees"));
            assert_eq!(verdict(&again, "limited"), Some(&Verdict::RanBefore));
            let mut back = Event::new(EventKind::Schedule, "~automations".into(), timer.due_at);
            back.follow_up = Some(Box::new(FollowUp {
                workspace: "default".into(),
                contact: ContactId(1),
                about: None,
                destination: None,
                automation: Some(("limited".into(), Due::Postponed)),
                hops: 0,
                chain: Vec::new(),
            }));
            assert_eq!(sent(&world.take(&back)), ["crm"], "{last:?}");
        }
    }
}

#[test]
fn values_that_cannot_be_worked_out_leave_everything_as_it_was() {
    let term = |text: &str| Term::read(&json!(text)).unwrap();
    let set = |fields: Vec<(&str, &str)>| {
        Does::SetFields(
            fields
                .into_iter()
                .map(|(name, text)| (name.to_owned(), term(text)))
                .collect(),
        )
    };
    let mut world = World::new(vec![
        automation(
            "broken",
            Trigger::Action(None),
            vec![
                Does::AddTag("x".to_owned()),
                set(vec![("a", "action.fields.missing")]),
            ],
        ),
        automation(
            "good",
            Trigger::Action(None),
            vec![set(vec![
                ("segment", "{{ campaign.name }}-friends"),
                ("sum", "action.fields.amount * 2"),
            ])],
        ),
    ]);
    let plan = world.take(&signed("bees"));
    assert!(
        matches!(verdict(&plan, "broken"), Some(Verdict::Failed(why)) if why.contains("set_field.a")),
        "{plan:?}"
    );
    assert_eq!(world.contact().tags().count(), 0);
    assert_eq!(world.contact().text("segment"), Some("bees-friends"));
    assert_eq!(world.contact().fields["sum"].value, json!(10));
}

#[test]
fn points_count_once_for_the_same_thing_and_their_ranges_have_names() {
    let points = |known, anonymous| vec![Does::AddScore(Points { known, anonymous })];
    let opened = Trigger::Engaged(EngagementKind::EmailOpen, None);
    let clicked = Trigger::Engaged(EngagementKind::LinkClick, None);
    let mut world = World::scored(
        vec![
            automation("open", opened, points(30.0, 1.0)),
            automation("click", clicked, points(-5.5, 0.0)),
            automation("warm", Trigger::StatusReached("Warm".to_owned()), to_crm()),
            automation("fifty", Trigger::ScoreReached(50.0), tag("fifty")),
        ],
        vec![("Cold", 50.0), ("Warm", 200.0)],
    );
    let open = |key: &str, hour: &str| {
        let mut event = did(EngagementKind::EmailOpen, key);
        event.at = at(&format!("2026-03-04T{hour}:00:00Z"));
        event
    };
    let lead = |world: &World| world.rules.of_workspace("default").scoring.lead(world.contact());
    world.take(&open("1", "09"));
    assert_eq!(
        lead(&world),
        Lead {
            score: Some(json!(30)),
            status: Some("Cold".to_owned())
        }
    );
    world.take(&open("1", "09"));
    assert_eq!(lead(&world).score, Some(json!(30)), "the same one again");
    let plan = world.take(&open("2", "10"));
    assert_eq!(
        lead(&world),
        Lead {
            score: Some(json!(60)),
            status: Some("Warm".to_owned())
        }
    );
    assert_eq!(sent(&plan), ["crm"]);
    assert_eq!(world.contact().tags().collect::<Vec<_>>(), ["fifty"]);
    let plan = world.take(&did(EngagementKind::LinkClick, "https://example.org"));
    assert_eq!(lead(&world).score, Some(json!(54.5)));
    assert_eq!(sent(&plan), [] as [&str; 0], "it is warm already");

    let mut world = World::scored(
        vec![automation(
            "open",
            Trigger::Engaged(EngagementKind::EmailOpen, None),
            points(30.0, 1.0),
        )],
        Vec::new(),
    );
    let mut visitor = did(EngagementKind::EmailOpen, "1");
    visitor.fields.clear();
    visitor.identities = vec![Identity::ForeignId {
        namespace: "site".into(),
        id: "v1".to_owned(),
    }];
    world.take(&visitor);
    assert_eq!(
        lead(&world),
        Lead {
            score: Some(json!(1)),
            status: None
        }
    );
}

#[test]
fn echoes_and_long_chains_of_answers_are_told_to_nobody() {
    let mut world = World::new(vec![automation("it", Trigger::ContactUpdated, to_crm())]);
    world.take(&signed("bees"));
    let answer = |city: &str, hops: u8| {
        let mut event = Event::new(EventKind::Response, "shop".into(), at(NOW));
        event.fields.insert("city".to_owned(), json!(city));
        event.follow_up = Some(Box::new(FollowUp {
            workspace: "default".into(),
            contact: ContactId(1),
            about: None,
            destination: Some("shop".into()),
            automation: None,
            hops,
            chain: Vec::new(),
        }));
        event
    };
    assert_eq!(sent(&world.take(&answer("Brno", 3))), ["crm"]);
    assert_eq!(
        sent(&world.take(&answer("Brno", 3))),
        [] as [&str; 0],
        "it says nothing new"
    );
    assert_eq!(sent(&world.take(&answer("Praha", 4))), [] as [&str; 0]);
    assert_eq!(world.contact().text("city"), Some("Praha"));

    let mut own = answer("Olomouc", 1);
    own.follow_up.as_mut().unwrap().destination = Some("crm".into());
    assert_eq!(sent(&world.take(&own)), [] as [&str; 0], "not to who said it");

    let mut echo = event(EventKind::ContactSync);
    echo.via = vec!["other".to_owned(), "us".to_owned()];
    echo.fields.insert("city".to_owned(), json!("Zlín"));
    let plan = world.take(&echo);
    assert_eq!(sent(&plan), [] as [&str; 0]);
    assert!(plan.decision.contains("an echo"), "{}", plan.decision);
    assert_eq!(world.contact().text("city"), Some("Zlín"));
}

#[test]
fn the_clock_comes_round_in_the_zone_that_it_is_of() {
    let rhythm = |every, time: &str| Rhythm {
        every,
        at: time.parse().unwrap(),
        zone: TimeZone::get("Europe/Brussels").unwrap(),
    };
    for (rhythm, now, latest) in [
        (
            rhythm(Every::Day, "09:00"),
            "2026-03-04T07:59:59Z",
            "2026-03-03T08:00:00Z",
        ),
        (
            rhythm(Every::Day, "09:00"),
            "2026-03-04T08:00:00Z",
            "2026-03-04T08:00:00Z",
        ),
        // Summer time starts on 29 March at 2 o'clock; 02:30 is not there on that day.
        (
            rhythm(Every::Day, "09:00"),
            "2026-03-29T12:00:00Z",
            "2026-03-29T07:00:00Z",
        ),
        (
            rhythm(Every::Day, "02:30"),
            "2026-03-29T12:00:00Z",
            "2026-03-29T01:30:00Z",
        ),
        (
            rhythm(Every::Week(Weekday::Monday), "09:00"),
            "2026-03-04T09:00:00Z",
            "2026-03-02T08:00:00Z",
        ),
        (
            rhythm(Every::Week(Weekday::Sunday), "09:00"),
            "2026-03-04T09:00:00Z",
            "2026-03-01T08:00:00Z",
        ),
        (
            rhythm(Every::Month(31), "00:00"),
            "2026-03-04T09:00:00Z",
            "2026-02-27T23:00:00Z",
        ),
        (
            rhythm(Every::Hour, "00:15"),
            "2026-03-04T09:14:00Z",
            "2026-03-04T08:15:00Z",
        ),
    ] {
        assert_eq!(rhythm.latest(at(now)), Some(at(latest)), "{rhythm:?} at {now}");
    }
}

#[test]
fn a_birthday_is_on_its_day_each_year_and_the_reminder_before_it() {
    let clocked = |days, yearly| {
        let on = Trigger::DateReached(Clocked {
            field: "birthDate".to_owned(),
            days,
            yearly,
            at: "09:00".parse().unwrap(),
            zone: TimeZone::UTC,
        });
        automation("birthday", on, to_crm())
    };
    let born = |date: &str| {
        let mut contact = Contact::default();
        let field = Field {
            value: json!(date),
            at: at(NOW),
        };
        contact.fields.insert("birthDate".to_owned(), field);
        contact
    };
    for (automation, date, turn, is_turn) in [
        (clocked(0, true), "1990-03-04", "2026-03-04T09:00:00Z", true),
        (clocked(0, true), "1990-03-04", "2026-03-05T09:00:00Z", false),
        (clocked(0, true), "04-03-1990", "2026-03-04T09:00:00Z", true),
        (clocked(0, true), "2030-03-04", "2026-03-04T09:00:00Z", false),
        (clocked(0, false), "1990-03-04", "2026-03-04T09:00:00Z", false),
        (clocked(0, false), "2026-03-04", "2026-03-04T09:00:00Z", true),
        (clocked(-7, true), "1990-01-02", "2025-12-26T09:00:00Z", true),
        (clocked(3, false), "2026-03-01", "2026-03-04T09:00:00Z", true),
        (clocked(0, true), "1992-02-29", "2026-02-28T09:00:00Z", true),
        (clocked(0, true), "1992-02-29", "2028-02-29T09:00:00Z", true),
        (clocked(0, true), "1992-02-29", "2028-02-28T09:00:00Z", false),
        (clocked(0, true), "soon", "2026-03-04T09:00:00Z", false),
    ] {
        let contact = born(date);
        let turn = at(turn);
        assert_eq!(automation.latest_turn(turn), Some(turn));
        assert_eq!(
            automation.is_turn_of(&contact, turn),
            is_turn,
            "{date} on {turn}: {automation:?}"
        );
    }
}

/// Each time that the clock comes round is the next of the one before it.
#[test]
fn the_next_turns_are_all_turns() {
    let start = at("2024-01-30T22:17:00Z");
    for zone in ["UTC", "Europe/Brussels", "America/St_Johns"] {
        for every in [
            Every::Hour,
            Every::Day,
            Every::Week(Weekday::Sunday),
            Every::Month(1),
            Every::Month(31),
        ] {
            for time in [
                jiff::civil::time(0, 0, 0, 0),
                jiff::civil::time(2, 30, 0, 0),
                jiff::civil::time(23, 45, 0, 0),
            ] {
                let zone = TimeZone::get(zone).unwrap();
                let rhythm = Rhythm {
                    every,
                    at: time,
                    zone,
                };
                let mut seen = BTreeSet::new();
                let mut now = start;
                for _ in 0..(400 * 96) {
                    now = now.saturating_add(Duration::from_mins(15)).unwrap();
                    seen.extend(rhythm.latest(now).filter(|turn| *turn > start));
                }
                let mut next = BTreeSet::new();
                let mut from = start;
                while let Some(turn) = rhythm.next(from).filter(|turn| *turn <= now) {
                    assert!(turn > from);
                    next.insert(turn);
                    from = turn;
                }
                assert_eq!(next, seen, "{rhythm:?}");
            }
        }
    }
}
