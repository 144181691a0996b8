//! Automations that start each other over steps that wait.

use super::*;

/// Takes `from` off and puts `to` on, a day after `from` was put on.
fn swap(name: &str, from: &str, to: &str) -> Automation {
    let day = Some(Duration::from_hours(24));
    let mut swap = automation(name, Trigger::TagAdded(Some(from.to_owned())), vec![]);
    swap.then = [Does::RemoveTag(from.to_owned()), Does::AddTag(to.to_owned())]
        .map(|does| Step { does, delay: day })
        .into();
    swap
}

/// Gives the timers back, each at its time, until none is left or so many came.
fn play(world: &mut World, first: Plan, most: usize) -> Vec<Plan> {
    let mut plans = vec![first];
    let mut next = 0;
    let mut rang = 0;
    while let Some(timers) = plans.get(next).map(|plan| plan.timers.clone()) {
        for timer in timers {
            rang += 1;
            if rang > most {
                return plans;
            }
            let back = back(world, &timer);
            plans.push(world.take(&back));
        }
        next += 1;
    }
    plans
}

/// As the store gives it back.
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

/// At another moment, so that what it says is newer.
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
fn two_that_start_each_other_over_delays_come_to_an_end() {
    let mut world = World::new(vec![swap("one", "a", "b"), swap("two", "b", "a")]);
    let start = tagged(&mut world, "a");
    let first = world.take(&start);
    let plans = play(&mut world, first, 50);
    assert!(plans.len() < 10, "{}", plans.len());
    let last = verdicts(&plans, "one").pop().unwrap();
    assert_eq!(last, "stopped: it started itself again through two");
    assert_eq!(verdicts(&plans, "two").len(), 3, "started once, and two steps");
    assert_eq!(world.contact().tags().collect::<Vec<_>>(), ["a"]);

    // What somebody says anew starts it anew.
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
fn a_long_way_without_a_repeat_goes_to_its_end() {
    let tags: Vec<String> = (0..30).map(|number| format!("t{number}")).collect();
    let steps = tags.windows(2).map(|pair| swap(&pair[0], &pair[0], &pair[1]));
    let mut world = World::new(steps.collect());
    let start = tagged(&mut world, "t0");
    let first = world.take(&start);
    play(&mut world, first, 1_000);
    assert_eq!(world.contact().tags().collect::<Vec<_>>(), ["t29"]);
}

#[test]
fn what_waits_for_an_hour_with_room_is_part_of_the_chain() {
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
    // Full for ever: everything waits.
    world.last_hour = Some((i64::from(u32::MAX), 1));
    let start = tagged(&mut world, "a");
    let first = world.take(&start);
    let plans = play(&mut world, first, 50);
    assert_eq!(
        verdicts(&plans, "one").pop().unwrap(),
        "stopped: it started itself again through two"
    );
}

/// Answers are counted, over delays, too.
#[test]
fn a_step_that_waited_goes_on_counting_answers() {
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
fn circles_are_seen_without_a_contact() {
    let circle = [swap("one", "a", "b"), swap("two", "b", "a")];
    assert_eq!(found(&circle), [["one", "two"]]);
    let three = [swap("1", "a", "b"), swap("2", "b", "c"), swap("3", "c", "a")];
    assert_eq!(found(&three), [["1", "2", "3"]]);

    // By way of one that does it at once.
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
fn what_comes_to_an_end_by_itself_is_no_circle() {
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
    assert_eq!(found(&[itself]).len(), 0, "it is not started by what it put off");

    let mut single = swap("two", "b", "a");
    single.once = true;
    assert_eq!(found(&[swap("one", "a", "b"), single]).len(), 0, "once");

    let keeps = |name: &str, from: &str, to: &str| {
        let mut keeps = swap(name, from, to);
        keeps.then.remove(0);
        keeps
    };
    let kept = [keeps("one", "a", "b"), keeps("two", "b", "a")];
    assert_eq!(found(&kept).len(), 0, "tags stay on");
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
fn rows_of_before_there_were_chains_can_be_read() {
    let text = r#"{"workspace":"default","contact":1,"about":7,"automation":["later",{"step":1}],"hops":0}"#;
    let row: FollowUp = serde_json::from_str(text).unwrap();
    assert_eq!(row.automation, Some(("later".into(), Due::Step(1))));
    assert!(row.chain.is_empty());
}
