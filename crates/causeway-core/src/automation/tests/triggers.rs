//! What triggers automations.

use super::*;

#[test]
fn an_action_triggers_if_the_condition_is_true_and_the_trace_shows_the_values() {
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
fn each_trigger_fires_for_what_it_names_and_nothing_else() {
    let text = |text: &str| Some(text.to_owned());
    let bounced = {
        let mut event = event(EventKind::EmailStatus);
        event.consent = vec![ConsentFact::new(EMAIL, What::Bounced, at(NOW), "test")];
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
fn an_event_that_only_adds_details_triggers_nothing() {
    let mut world = World::new(vec![automation("it", Trigger::Action(None), to_crm())]);
    let mut details = signed("bees");
    details.deliver = false;
    let plan = world.take(&details);
    assert_eq!(verdict(&plan, "it"), None);
    assert_eq!(plan.deliveries, []);
}

#[test]
fn a_person_who_comes_with_a_browser_is_a_created_contact() {
    let mut world = World::new(vec![automation("it", Trigger::ContactCreated, to_crm())]);
    let mut both = event(EventKind::ContactSync);
    both.identities.push(Identity::visitor("site", "v1".to_owned()));
    assert_eq!(sent(&world.take(&both)), ["crm"]);
}

/// So the store is not asked whether the contact has an id.
#[test]
fn a_contact_with_an_address_or_with_data_is_not_created_again() {
    let with_address = event(EventKind::Engagement);
    let mut with_data = event(EventKind::ContactSync);
    with_data.identities = vec![Identity::ContactRef {
        namespace: "proca".into(),
        reference: "ref-1".to_owned(),
    }];
    with_data.fields.clear();
    for event in [with_address, with_data] {
        let mut world = World::new(vec![automation("it", Trigger::ContactCreated, to_crm())]);
        world.take(&event);
        let contact = world.contact();
        assert_ne!(
            contact.gave_data,
            contact.text("email").is_some(),
            "only one of them"
        );
        world.is_named = false;
        assert_eq!(verdict(&world.take(&event), "it"), None);
    }
}

#[test]
fn a_repeated_engagement_triggers_nothing() {
    let opened = Trigger::Engaged(EngagementKind::EmailOpen, None);
    let mut world = World::new(vec![automation("it", opened, to_crm())]);
    let open = did(EngagementKind::EmailOpen, "31");
    assert_eq!(sent(&world.take(&open)), ["crm"]);
    assert_eq!(sent(&world.take(&open)), [] as [&str; 0]);
}

#[test]
fn an_automation_with_once_runs_once_and_others_every_time() {
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
fn a_change_by_one_automation_triggers_another_and_the_chain_ends() {
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
        "each once, in the order in which they were triggered"
    );
    assert_eq!(world.contact().tags().collect::<Vec<_>>(), ["a"]);
}
