//! Timers of automations and responses of destinations: they come back as inbox rows.

use std::{sync::Arc, time::Duration};

use causeway_core::{
    automation::{Automation, Does, Owner, Points, Scoring, Step, Trigger, Verdict},
    consent::What,
    contact::Identity,
    delivery::{Kind, Next},
    event::{Decoded, Due, EngagementKind, Event, EventKind},
    id::InboxId,
    mapping::Expression,
    rules::{DestinationRule, Rules, Takes, WorkspaceRule},
    store::{Attempt, InboxFilter, InboxState},
};
use serde_json::json;

use super::{Bench, Open, attempt};
use crate::builders::{INSTANCE, add_source, at, email, rules, signed};

fn automation(name: &str, on: Trigger, then: Vec<Step>) -> Automation {
    Automation {
        name: name.into(),
        workspace: "default".into(),
        on: vec![on],
        when: None,
        stop: None,
        once: false,
        per_hour: None,
        then,
    }
}

fn now(does: Does) -> Step {
    Step { does, delay: None }
}

fn later(does: Does, seconds: u64) -> Step {
    Step {
        does,
        delay: Some(Duration::from_secs(seconds)),
    }
}

fn to(destination: &str) -> Does {
    Does::Deliver(vec![destination.into()])
}

/// `crm` gets what automations send, `archive` gets everything.
fn world(automations: Vec<Automation>) -> Rules {
    let mut crm = DestinationRule::new("crm");
    crm.takes = Takes::Automations;
    let mut rules = rules(vec![crm, DestinationRule::new("archive")]);
    let scoring = Scoring {
        owner: Owner::Hub,
        statuses: Vec::new(),
    };
    let automations = automations.into_iter().map(Arc::new).collect();
    rules
        .workspaces
        .insert("default".into(), WorkspaceRule::new(automations, scoring));
    rules
}

fn welcome() -> Automation {
    automation(
        "welcome",
        Trigger::Action(None),
        vec![now(Does::AddTag("new".to_owned())), later(to("crm"), 100)],
    )
}

fn yes(name: &str, action: &str, seconds: i64) -> Event {
    signed(name, action, What::OptIn, at(seconds))
}

pub async fn a_timer_fires_once_across_a_restart(open: Open) {
    let mut bench = Bench::with_rules(open, "store", world(vec![welcome()])).await;
    let first = bench.take(yes("ada", "1", 0), 0).await;
    assert_eq!(bench.claimed("archive", 1).await, [first]);
    assert_eq!(bench.claimed("crm", 99).await, []);
    let trace = bench.store().trace(first).await.unwrap().unwrap();
    assert_eq!(
        (trace.timers[0].due, trace.timers[0].due_at),
        (Due::Step(1), at(100))
    );
    assert_eq!(bench.store().next_timer().await.unwrap(), Some(at(100)));
    assert_eq!(bench.store().fire_due_timers(10, at(99)).await.unwrap(), 0);

    bench.reopen().await;
    assert_eq!(bench.store().fire_due_timers(10, at(100)).await.unwrap(), 1);
    // As after a kill before the row was processed.
    bench.reopen().await;
    assert_eq!(bench.store().fire_due_timers(10, at(101)).await.unwrap(), 0);
    let rows = bench.follow(101).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    let back = rows.first().unwrap();
    let claimed = bench.claim("crm", 102).await.deliveries;
    assert_eq!((claimed.len(), claimed[0].record.inbox_id), (1, *back));
    let record = &claimed[0].record;
    assert_eq!((record.kind, record.event.as_str()), (Kind::Contact, "schedule"));
    assert_eq!(
        record.action.as_ref().unwrap().external_id,
        "1",
        "of the message that started it"
    );
    assert_eq!(record.campaign.as_ref().unwrap().name, "clean_air");
    let trace = bench.store().trace(*back).await.unwrap().unwrap();
    assert_eq!(trace.about, Some(first));
    let explained = trace.automations.unwrap();
    assert_eq!(
        explained.asked,
        [("welcome".into(), Verdict::Ran(vec!["to crm".to_owned()]))]
    );
    let trace = bench.store().trace(first).await.unwrap().unwrap();
    assert_eq!((trace.follow_ups, trace.timers), (vec![*back], vec![]));
}

pub async fn a_timed_step_has_the_source_of_its_message(open: Open) {
    let mut rules = world(vec![welcome()]);
    add_source(&mut rules, "second", "default");
    let mut bench = Bench::with_rules(open, "store", rules).await;
    let message = Decoded::Event(Box::new(yes("ada", "1", 0)));
    bench.take_from("second", message, 0).await;
    let at_once = bench.claim("archive", 1).await.deliveries;
    assert_eq!(&*at_once[0].record.source, "second");
    assert_eq!(bench.store().fire_due_timers(10, at(100)).await.unwrap(), 1);
    bench.follow(101).await;
    let later = bench.claim("crm", 102).await.deliveries;
    assert_eq!(&*later[0].record.source, "second");
}

pub async fn consent_is_checked_when_a_timed_step_is_planned(open: Open) {
    let mut bench = Bench::with_rules(open, "store", world(vec![welcome()])).await;
    bench.take(yes("ada", "1", 0), 0).await;
    let gone = crate::builders::status("ada", What::Unsubscribed, at(50));
    bench.take(gone, 50).await;
    bench.store().fire_due_timers(10, at(100)).await.unwrap();
    let back = bench.follow(101).await;
    assert_eq!(bench.claimed("crm", 102).await, []);
    let trace = bench.store().trace(back[0]).await.unwrap().unwrap();
    assert_eq!(trace.deliveries[0].delivery.state, "skipped");
}

pub async fn erasing_a_person_deletes_their_timers(open: Open) {
    let mut bench = Bench::with_rules(open, "store", world(vec![welcome()])).await;
    bench.take(yes("ada", "1", 0), 0).await;
    bench.take(yes("bob", "2", 0), 0).await;
    let ada = bench.store().find_contacts("ada@example.org").await.unwrap()[0];
    let bob = bench.store().find_contacts("bob@example.org").await.unwrap()[0];
    bench.store().erase(ada, at(10)).await.unwrap();
    assert_eq!(bench.store().fire_due_timers(10, at(100)).await.unwrap(), 1);
    // Bob is erased after his timer fired and before its row is processed.
    bench.store().erase(bob, at(101)).await.unwrap();
    let back = bench.follow(102).await;
    let trace = bench.store().trace(back[0]).await.unwrap().unwrap();
    assert_eq!(trace.inbox.state, InboxState::Skipped);
    assert!(trace.envelope.is_none(), "its body is gone, too");
}

pub async fn a_merge_moves_timers_and_points(open: Open) {
    let points = Does::AddScore(Points {
        known: 10.0,
        anonymous: 10.0,
    });
    let scores = automation("score", Trigger::Action(None), vec![now(points)]);
    let mut bench = Bench::with_rules(open, "store", world(vec![welcome(), scores])).await;
    bench.take(yes("ada", "1", 0), 0).await;
    bench.take(yes("countess", "2", 0), 0).await;
    let mut both = Event::new(EventKind::EmailStatus, INSTANCE.into(), at(20));
    both.identities = vec![email("ada"), email("countess")];
    bench.take(both, 20).await;
    let found = bench.store().find_contacts("ada@example.org").await.unwrap();
    assert_eq!(
        found,
        bench.store().find_contacts("countess@example.org").await.unwrap()
    );
    let view = bench.store().contact(found[0]).await.unwrap().unwrap();
    // Both got points at the same moment, by the same rule, for different actions: these are two rows.
    let rows = view
        .engagements
        .iter()
        .filter(|row| row.kind == EngagementKind::LeadScore);
    let sum: f64 = rows.filter_map(|row| row.score).sum();
    assert!(
        (view.contact.points - sum).abs() < 1e-9,
        "{} and {sum}",
        view.contact.points
    );
    assert!((sum - 20.0).abs() < 1e-9, "{sum}");
    assert_eq!(bench.store().fire_due_timers(10, at(100)).await.unwrap(), 2);
    let back = bench.follow(101).await;
    assert_eq!(back.len(), 2);
    for row in back {
        let trace = bench.store().trace(row).await.unwrap().unwrap();
        assert_eq!(
            (trace.inbox.state, trace.contact_id),
            (InboxState::Done, Some(found[0]))
        );
    }
}

pub async fn runs_above_the_hourly_limit_wait_for_the_next_hour(open: Open) {
    let mut limited = automation("limited", Trigger::Action(None), vec![now(to("crm"))]);
    limited.per_hour = Some(2);
    let mut bench = Bench::with_rules(open, "store", world(vec![limited])).await;
    for (number, name) in ["ada", "bob", "cleo", "dan", "eve"].iter().enumerate() {
        bench.take(yes(name, &number.to_string(), 0), 0).await;
    }
    // at(0) is the start of an hour.
    for (hour, rang, sent) in [(0, 0, 2), (1, 2, 2), (2, 1, 1), (3, 0, 0)] {
        let start = hour * 3_600;
        assert_eq!(
            bench.store().fire_due_timers(10, at(start)).await.unwrap(),
            rang,
            "hour {hour}"
        );
        bench.follow(start + 1).await;
        let claimed = bench.claim("crm", start + 2).await.deliveries;
        assert_eq!(claimed.len(), sent, "hour {hour}");
        let delivered = claimed
            .iter()
            .map(|delivery| attempt(delivery, Next::Delivered, at(start + 3)));
        bench.store().record(delivered.collect()).await.unwrap();
    }
}

pub async fn a_step_that_fails_when_its_timer_fires_is_dead_and_can_be_replayed(open: Open) {
    let mut broken = welcome();
    broken.stop = Some(Expression::new("contact.plan == 'b'").unwrap());
    let mut bench = Bench::with_rules(open, "store", world(vec![broken])).await;
    bench.take(yes("ada", "1", 0), 0).await;
    bench.store().fire_due_timers(10, at(100)).await.unwrap();
    let back = bench.follow(101).await;
    let trace = bench.store().trace(back[0]).await.unwrap().unwrap();
    assert_eq!(
        (trace.inbox.state, trace.inbox.code.as_deref()),
        (InboxState::Dead, Some("automation"))
    );
    assert_eq!(bench.claimed("crm", 102).await, []);
    bench.set_rules(world(vec![welcome()])).await;
    let dead = InboxFilter {
        state: Some(InboxState::Dead),
        ..InboxFilter::default()
    };
    assert_eq!(bench.store().replay(dead).await.unwrap(), 1);
    assert_eq!(bench.follow(103).await, back);
    assert_eq!(bench.claimed("crm", 104).await, back);
}

fn answered(delivery: &causeway_core::delivery::Delivery, city: &str) -> Attempt {
    let mut attempt = attempt(delivery, Next::Delivered, at(5));
    attempt.writes.insert("city".to_owned(), json!(city));
    attempt
}

pub async fn a_response_is_a_row_of_its_own_and_goes_to_other_destinations_only(open: Open) {
    let mut bench = Bench::with_rules(
        open,
        "store",
        rules(vec![DestinationRule::new("crm"), DestinationRule::new("archive")]),
    )
    .await;
    let first = bench.take(yes("ada", "1", 0), 0).await;
    let crm = bench.claim("crm", 1).await.deliveries;
    bench
        .store()
        .record(vec![answered(&crm[0], "Brno")])
        .await
        .unwrap();
    // The result of `record` was lost, so it is called again.
    bench
        .store()
        .record(vec![answered(&crm[0], "Brno")])
        .await
        .unwrap();
    bench.reopen().await;
    let rows = bench.follow(10).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    let row = rows.first().unwrap();
    let trace = bench.store().trace(*row).await.unwrap().unwrap();
    assert_eq!(
        (trace.event.as_deref(), trace.about),
        (Some("response"), Some(first))
    );
    assert_eq!(bench.claimed("crm", 11).await, []);
    let archive = bench.claim("archive", 11).await.deliveries;
    assert_eq!(
        archive[0].record.contact.text("city"),
        Some("Brno"),
        "the first delivery carries the present values"
    );
    bench
        .store()
        .record(vec![answered(&archive[0], "Brno")])
        .await
        .unwrap();
    assert_eq!(bench.follow(12).await, [], "the response holds only known values");
    let second = bench.claim("archive", 13).await.deliveries;
    assert_eq!(
        (second[0].record.inbox_id, second[0].record.kind),
        (*row, Kind::Contact)
    );
    let audit = bench.store().audit().await.unwrap();
    assert!(
        audit.sources.values().all(|books| books.difference == 0),
        "{audit:?}"
    );
}

pub async fn a_chain_of_responses_ends(open: Open) {
    let mut bench = Bench::with_rules(
        open,
        "store",
        rules(vec![DestinationRule::new("crm"), DestinationRule::new("archive")]),
    )
    .await;
    bench.take(yes("ada", "1", 0), 0).await;
    let mut answers = 0;
    for round in 0..50_i64 {
        let mut attempts = Vec::new();
        for name in ["crm", "archive"] {
            let claimed = bench.claim(name, 10 * round + 20).await.deliveries;
            attempts.extend(
                claimed
                    .iter()
                    .map(|delivery| answered(delivery, &format!("{name} {round}"))),
            );
        }
        if attempts.is_empty() {
            break;
        }
        bench.store().record(attempts).await.unwrap();
        answers += bench.follow(10 * round + 25).await.len();
    }
    assert!((3..=30).contains(&answers), "{answers}");
    assert_eq!(bench.follow(600).await, [] as [InboxId; 0]);
    let overview = bench.store().overview(at(700)).await.unwrap();
    assert!(
        overview.destinations.values().all(|counts| counts.waiting == 0),
        "{overview:?}"
    );
}

pub async fn a_trace_explains_automations_until_the_person_is_erased(open: Open) {
    let mut picky = automation("picky", Trigger::Action(None), vec![now(to("crm"))]);
    picky.when = Some(Expression::new("contact.firstName == 'Bob'").unwrap());
    let mut bench = Bench::with_rules(open, "store", world(vec![picky])).await;
    let row = bench.take(yes("ada", "1", 0), 0).await;
    let trace = bench.store().trace(row).await.unwrap().unwrap();
    let explained = trace.automations.unwrap();
    assert_eq!(explained.asked, [("picky".into(), Verdict::ConditionFalse)]);
    assert_eq!(explained.values["contact.firstName"], json!("ada"));
    bench
        .store()
        .erase(trace.contact_id.unwrap(), at(5))
        .await
        .unwrap();
    let trace = bench.store().trace(row).await.unwrap().unwrap();
    assert_eq!(trace.automations, None);
}

pub async fn a_condition_reads_the_campaign_and_the_action(open: Open) {
    let mut picky = automation("picky", Trigger::Action(None), vec![now(to("crm"))]);
    let condition = "campaign.name == 'clean_air' and action.type == 'register'";
    picky.when = Some(Expression::new(condition).unwrap());
    let mut bench = Bench::with_rules(open, "store", world(vec![picky])).await;
    let row = bench.take(yes("ada", "1", 0), 0).await;
    assert_eq!(bench.claimed("crm", 1).await, [row]);
}

/// By more than a browser.
pub async fn a_contact_is_created_once(open: Open) {
    let greeting = automation(
        "greeting",
        Trigger::ContactCreated,
        vec![now(Does::AddTag("new".to_owned()))],
    );
    let mut bench = Bench::with_rules(open, "store", world(vec![greeting])).await;
    let visitor = || Identity::visitor(INSTANCE, "browser".to_owned());
    let platform = || Identity::ForeignId {
        namespace: INSTANCE.into(),
        id: "71".to_owned(),
    };
    for (number, (identities, is_created)) in [
        (vec![visitor()], false),
        (vec![visitor(), platform()], true),
        (vec![platform()], false),
    ]
    .into_iter()
    .enumerate()
    {
        let mut event = Event::new(EventKind::Engagement, INSTANCE.into(), at(0));
        event.identities = identities;
        event.fields.insert("visits".to_owned(), number.into());
        let row = bench.take(event, 0).await;
        let trace = bench.store().trace(row).await.unwrap().unwrap();
        let asked = trace.automations.map_or(0, |explained| explained.asked.len());
        assert_eq!(asked, usize::from(is_created), "message {number}");
    }
}

pub async fn schedules_and_pages_of_contacts_are_kept_by_workspace(open: Open) {
    let mut bench = Bench::with_rules(open, "store", world(Vec::new())).await;
    for name in ["ada", "bob", "cleo"] {
        bench.take(yes(name, name, 0), 0).await;
    }
    let store = bench.store();
    let first = store
        .contacts("default", causeway_core::id::ContactId(0), 2)
        .await
        .unwrap();
    assert_eq!(first.len(), 2);
    let rest = store.contacts("default", first[1].0, 2).await.unwrap();
    assert_eq!(
        (rest.len(), rest[0].1.text("email")),
        (1, Some("cleo@example.org"))
    );
    assert_eq!(
        store
            .contacts("other", causeway_core::id::ContactId(0), 2)
            .await
            .unwrap(),
        []
    );
    assert_eq!(store.last_run("default", "weekly").await.unwrap(), None);
    store.set_last_run("default", "weekly", at(100)).await.unwrap();
    store.set_last_run("default", "weekly", at(50)).await.unwrap();
    bench.reopen().await;
    assert_eq!(
        bench.store().last_run("default", "weekly").await.unwrap(),
        Some(at(100))
    );
    assert_eq!(bench.store().last_run("other", "weekly").await.unwrap(), None);
}

pub async fn a_record_carries_the_hubs_that_it_came_through(open: Open) {
    let mut bench = Bench::with_rules(open, "store", rules(vec![DestinationRule::new("crm")])).await;
    let mut event = yes("ada", "1", 0);
    event.via = vec!["other".to_owned()];
    bench.take(event, 0).await;
    let sent = bench.claim("crm", 1).await.deliveries;
    let via = &sent[0].record.via;
    assert_eq!(
        (via.len(), via[0].as_str(), via[1].is_empty()),
        (2, "other", false)
    );
    let us = &via[1];
    // A message that comes back through this hub is an echo.
    let mut echo = yes("ada", "2", 10);
    echo.via = vec![us.clone(), "third".to_owned()];
    bench.take(echo, 10).await;
    bench
        .store()
        .record(vec![attempt(&sent[0], Next::Delivered, at(11))])
        .await
        .unwrap();
    assert_eq!(bench.claimed("crm", 12).await, []);
}
