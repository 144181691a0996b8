//! Steps with a delay, steps over a limit, and steps that fail.

use super::*;

#[test]
fn a_delayed_step_comes_back_unless_its_stop_condition_is_true() {
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
fn over_its_hourly_limit_an_automation_waits_for_an_hour_with_room() {
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
fn a_value_that_fails_leaves_everything_as_it_was() {
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
fn a_condition_sees_what_an_earlier_automation_changed() {
    let sees = |name: &str| {
        when(
            automation(name, Trigger::Action(None), to_crm()),
            "contact.city == 'Brno' and 'new' in contact.tags and 'city' in changed and lead.score == 7 and lead.status == 'Warm' \
             and contact.city[:2] == 'Br'",
        )
    };
    let city = Does::SetFields(vec![("city".to_owned(), Term::read(&json!("=Brno")).unwrap())]);
    let points = Does::AddScore(Points {
        known: 7.0,
        anonymous: 0.0,
    });
    let mut moves = automation("moves", Trigger::Action(None), vec![city, points]);
    moves
        .then
        .extend(tag("new").into_iter().map(|does| Step { does, delay: None }));
    let mut world = World::scored(
        vec![sees("before"), moves, sees("after")],
        vec![("Cold", 5.0), ("Warm", 9.0)],
    );
    let mut first = event(EventKind::ContactSync);
    first.fields.insert("city".to_owned(), json!("Praha"));
    world.take(&first);
    let plan = world.take(&signed("bees"));
    assert_eq!(verdict(&plan, "before"), Some(&Verdict::ConditionFalse));
    assert_eq!(
        verdict(&plan, "after"),
        Some(&Verdict::Ran(vec!["to crm".to_owned()]))
    );
    assert_eq!(
        world.contact().text("city"),
        Some("Brno"),
        "the scope gives the contact back"
    );
    assert_eq!(
        plan.explained.values["contact.city"],
        json!("Praha"),
        "the value when it was first read"
    );
}
