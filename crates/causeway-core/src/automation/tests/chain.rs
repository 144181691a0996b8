//! Automations that trigger each other through delayed steps.

use super::*;

/// A day after `from` was added, removes it and adds `to`.
fn swap(name: &str, from: &str, to: &str) -> Automation {
    let day = Some(Duration::from_hours(24));
    let mut swap = automation(name, Trigger::TagAdded(Some(from.to_owned())), vec![]);
    swap.then = [Does::RemoveTag(from.to_owned()), Does::AddTag(to.to_owned())]
        .map(|does| Step { does, delay: day })
        .into();
    swap
}

/// Fires each timer when it is due, until none is left or `most` have fired.
fn fire_timers(world: &mut World, first: Plan, most: usize) -> Vec<Plan> {
    let mut plans = vec![first];
    let mut next = 0;
    let mut fired = 0;
    while let Some(timers) = plans.get(next).map(|plan| plan.timers.clone()) {
        for timer in timers {
            fired += 1;
            if fired > most {
                return plans;
            }
            let back = back(world, &timer);
            plans.push(world.take(&back));
        }
        next += 1;
    }
    plans
}

/// The event of a fired timer, as the store makes it.
fn back(world: &mut World, timer: &Timer) -> Event {
    world.now = world.now.max(timer.due_at);
    let mut event = Event::new(EventKind::Schedule, "~automations".into(), timer.due_at);
    event.follow_up = Some(Box::new(FollowUp {
        workspace: "default".into(),
        contact: ContactId(1),
        about: None,
        destination: None,
        automation: Some((timer.automation.clone(), timer.due)),
        hops: timer.hops,
        chain: timer.chain.clone(),
    }));
    event
}

/// A new time, so that the tag is news.
fn tagged(world: &mut World, tag: &str) -> Event {
    let mut event = event(EventKind::Engagement);
    event.at = world.now;
    event.fields.insert(format!("tag:{tag}"), json!(true));
    event
}

fn verdicts(plans: &[Plan], name: &str) -> Vec<String> {
    let all = plans.iter().filter_map(|plan| verdict(plan, name));
    all.map(ToString::to_string).collect()
}

#[test]
fn two_automations_that_trigger_each_other_through_delays_stop() {
    let mut world = World::new(vec![swap("one", "a", "b"), swap("two", "b", "a")]);
    let start = tagged(&mut world, "a");
    let first = world.take(&start);
    let plans = fire_timers(&mut world, first, 50);
    assert!(plans.len() < 10, "{}", plans.len());
    let last = verdicts(&plans, "one").pop().unwrap();
    assert_eq!(last, "stopped: it started itself again through two");
    assert_eq!(verdicts(&plans, "two").len(), 3, "started once, and two steps");
    assert_eq!(world.contact().tags().collect::<Vec<_>>(), ["a"]);

    // A new message by the contact starts the chain anew.
    world.now = world.now.saturating_add(Duration::from_hours(1)).unwrap();
    let mut off = event(EventKind::Engagement);
    off.at = world.now;
    off.fields.insert("tag:a".to_owned(), json!(false));
    world.take(&off);
    world.now = world.now.saturating_add(Duration::from_hours(1)).unwrap();
    let again = tagged(&mut world, "a");
    let plan = world.take(&again);
    assert_eq!(plan.timers.len(), 2);
    assert!(plan.timers.iter().all(|timer| timer.chain.is_empty()));
}

#[test]
fn a_long_chain_without_a_circle_runs_to_its_end() {
    let tags: Vec<String> = (0..30).map(|number| format!("t{number}")).collect();
    let steps = tags.windows(2).map(|pair| swap(&pair[0], &pair[0], &pair[1]));
    let mut world = World::new(steps.collect());
    let start = tagged(&mut world, "t0");
    let first = world.take(&start);
    fire_timers(&mut world, first, 1_000);
    assert_eq!(world.contact().tags().collect::<Vec<_>>(), ["t29"]);
}

#[test]
fn a_postponed_run_is_part_of_the_chain() {
    let limited = |name: &str, from: &str, to: &str| {
        let mut limited = automation(
            name,
            Trigger::TagAdded(Some(from.to_owned())),
            vec![Does::RemoveTag(from.to_owned()), Does::AddTag(to.to_owned())],
        );
        limited.per_hour = Some(1);
        limited
    };
    let mut world = World::new(vec![limited("one", "a", "b"), limited("two", "b", "a")]);
    // The limit is reached for ever, so that every run is postponed.
    world.last_hour = Some((i64::from(u32::MAX), 1));
    let start = tagged(&mut world, "a");
    let first = world.take(&start);
    let plans = fire_timers(&mut world, first, 50);
    assert_eq!(
        verdicts(&plans, "one").pop().unwrap(),
        "stopped: it started itself again through two"
    );
}

/// Responses are counted through delays, too.
#[test]
fn a_delayed_step_keeps_counting_responses() {
    let mut later = automation("later", Trigger::FieldChanged("city".to_owned()), vec![]);
    later.then = vec![Step {
        does: Does::Deliver(vec!["crm".into()]),
        delay: Some(Duration::from_hours(1)),
    }];
    let mut world = World::new(vec![later]);
    world.take(&event(EventKind::Engagement));
    let mut answer = Event::new(EventKind::Response, "crm".into(), at(NOW));
    answer.fields.insert("city".to_owned(), json!("Bern"));
    answer.follow_up = Some(Box::new(FollowUp {
        workspace: "default".into(),
        contact: ContactId(1),
        about: None,
        destination: Some("other".into()),
        automation: None,
        hops: 2,
        chain: Vec::new(),
    }));
    let plan = world.take(&answer);
    assert_eq!(plan.timers[0].hops, 2);
}

fn found(automations: &[Automation]) -> Vec<Vec<String>> {
    let circles = circles(automations).into_iter();
    circles
        .map(|circle| circle.iter().map(ToString::to_string).collect())
        .collect()
}

#[test]
fn circles_are_found_in_the_configuration_alone() {
    let circle = [swap("one", "a", "b"), swap("two", "b", "a")];
    assert_eq!(found(&circle), [["one", "two"]]);
    let three = [swap("1", "a", "b"), swap("2", "b", "c"), swap("3", "c", "a")];
    assert_eq!(found(&three), [["1", "2", "3"]]);

    // Through an automation without delay.
    let set = |field: &str| Does::SetFields(vec![(field.to_owned(), Term::read(&json!("at")).unwrap())]);
    let on = |field: &str| Trigger::FieldChanged(field.to_owned());
    let wait = |mut automation: Automation| {
        for step in &mut automation.then {
            step.delay = Some(Duration::from_secs(1));
        }
        automation
    };
    let by_way = [
        wait(automation("first", on("a"), vec![set("b")])),
        automation("at once", on("b"), vec![set("c")]),
        wait(automation("last", on("c"), vec![set("a")])),
    ];
    assert_eq!(found(&by_way), [["first", "last"]]);
    let any = wait(automation("any", Trigger::ContactUpdated, vec![set("a")]));
    let other = wait(automation("other", Trigger::ContactUpdated, vec![set("b")]));
    assert_eq!(found(&[any, other]), [["any", "other"]]);
}

#[test]
fn a_chain_that_ends_by_itself_is_no_circle() {
    let set = |field: &str| Does::SetFields(vec![(field.to_owned(), Term::read(&json!("at")).unwrap())]);
    let now = |name: &str, from: &str, to: &str| {
        automation(name, Trigger::FieldChanged(from.to_owned()), vec![set(to)])
    };
    assert_eq!(
        found(&[now("one", "a", "b"), now("two", "b", "a")]).len(),
        0,
        "no delay"
    );

    let mut one = now("one", "a", "b");
    one.then[0].delay = Some(Duration::from_secs(1));
    assert_eq!(found(&[one.clone(), now("two", "b", "a")]).len(), 0, "one delay");

    let mut itself = now("itself", "a", "a");
    itself.then[0].delay = Some(Duration::from_secs(1));
    assert_eq!(
        found(&[itself]).len(),
        0,
        "its own delayed step does not trigger it"
    );

    let mut single = swap("two", "b", "a");
    single.once = true;
    assert_eq!(found(&[swap("one", "a", "b"), single]).len(), 0, "once");

    let keeps = |name: &str, from: &str, to: &str| {
        let mut keeps = swap(name, from, to);
        keeps.then.remove(0);
        keeps
    };
    let kept = [keeps("one", "a", "b"), keeps("two", "b", "a")];
    assert_eq!(found(&kept).len(), 0, "tags are never removed");
}

#[test]
fn echoes_and_long_chains_of_responses_are_not_delivered() {
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
    assert_eq!(
        sent(&world.take(&own)),
        [] as [&str; 0],
        "not to the destination that responded"
    );

    let mut echo = event(EventKind::ContactSync);
    echo.via = vec!["other".to_owned(), "us".to_owned()];
    echo.fields.insert("city".to_owned(), json!("Zlín"));
    let plan = world.take(&echo);
    assert_eq!(sent(&plan), [] as [&str; 0]);
    assert!(plan.decision.contains("an echo"), "{}", plan.decision);
    assert_eq!(world.contact().text("city"), Some("Zlín"));
}

#[test]
fn a_stored_row_without_a_chain_can_be_read() {
    let text = r#"{"workspace":"default","contact":1,"about":7,"automation":["later",{"step":1}],"hops":0}"#;
    let row: FollowUp = serde_json::from_str(text).unwrap();
    assert_eq!(row.automation, Some(("later".into(), Due::Step(1))));
    assert!(row.chain.is_empty());
}
