//! What a platform's contact triggers, and which destinations it reaches.

use super::*;
use crate::encode::sync::Group;

const ID: &str = "7";

/// A contact as a platform sends it each time: the same fields, and the given rows.
fn sync(rows: &[(EngagementKind, &str, Option<&str>)]) -> Event {
    let mut event = event(EventKind::ContactSync);
    event.identities.push(Identity::ForeignId {
        namespace: "platform".into(),
        id: ID.to_owned(),
    });
    event.fields.insert("city".to_owned(), json!("Brno"));
    event
        .fields
        .insert("list_field_ids:platform".to_owned(), json!({ "city": "125" }));
    event.engagements = rows
        .iter()
        .map(|(kind, key, date)| Engagement {
            kind: *kind,
            key: (*key).to_owned(),
            name: Some(format!("Name of {key}")),
            at: date.map(at),
            raw_at: None,
            count: None,
            score: None,
        })
        .collect();
    event
}

fn archive(takes: Takes) -> Arc<DestinationRule> {
    let mut rule = DestinationRule::new("archive");
    rule.policy = crate::consent::Policy::All;
    rule.takes = takes;
    Arc::new(rule)
}

#[test]
fn a_platforms_unchanged_contact_is_delivered_unless_the_destination_takes_changes_only() {
    for (takes, is_sent) in [
        (Takes::All, true),
        (Takes::Changes, false),
        (Takes::Automations, false),
        (Takes::Confirmations, false),
    ] {
        let mut world = World::new(Vec::new());
        world.given = true;
        world.rules.destinations.insert("archive".into(), archive(takes));
        world.take(&sync(&[]));
        let again = world.take(&sync(&[]));
        assert_eq!(sent(&again) == ["archive"], is_sent, "{takes:?}: {again:?}");
        let why = match takes {
            Takes::All => "crm: takes only what automations send",
            Takes::Changes => "archive: takes only changes, and the message says nothing new",
            Takes::Automations => "archive, crm: takes only what automations send",
            Takes::Confirmations => "archive: takes only actions that wait for a confirmation",
        };
        assert!(again.decision.contains(why), "{}", again.decision);
        let mut news = sync(&[]);
        news.fields.insert("city".to_owned(), json!("Praha"));
        assert_eq!(
            sent(&world.take(&news)) == ["archive"],
            matches!(takes, Takes::All | Takes::Changes),
            "{takes:?}"
        );
    }
}

#[test]
fn a_row_of_a_file_and_a_flood_trigger_nothing() {
    let mut world = World::new(vec![automation("it", Trigger::Synced(None), to_crm())]);
    world.given = true;
    world
        .rules
        .destinations
        .insert("archive".into(), archive(Takes::All));
    let mut row = sync(&[]);
    row.imported = true;
    assert_eq!(sent(&world.take(&row)), ["archive", "crm"], "the first time");
    let again = world.take(&row);
    assert_eq!(sent(&again), ["crm"], "an automation may still send it");
    assert!(
        again.decision.contains("archive: it is a row of a file"),
        "{}",
        again.decision
    );
    world.is_flooded = true;
    let flood = world.take(&sync(&[]));
    assert_eq!(sent(&flood), [] as [&str; 0], "and it triggers nothing");
    assert!(
        flood.decision.contains("10 times within an hour"),
        "{}",
        flood.decision
    );
    let mut news = sync(&[]);
    news.fields.insert("city".to_owned(), json!("Praha"));
    assert_eq!(sent(&world.take(&news)), ["archive", "crm"]);
}

/// A platform sends a field that allows mail with each contact, and its rules date it from then.
#[test]
fn consent_that_is_only_renewed_is_no_news() {
    let mut world = World::new(Vec::new());
    world.given = true;
    world
        .rules
        .destinations
        .insert("archive".into(), archive(Takes::Changes));
    let says = |what: What, day: u8| {
        let mut event = sync(&[]);
        let when = at(&format!("2026-03-{day:02}T00:00:00Z"));
        event.consent = vec![ConsentFact::new(EMAIL, what, when, "a test")];
        event
    };
    for (what, day, is_news) in [
        (What::OptIn, 1, true),
        (What::OptIn, 2, false),
        (What::Unsubscribed, 3, true),
        (What::OptIn, 4, true),
        (What::DoubleOptIn, 4, true),
    ] {
        let plan = world.take(&says(what.clone(), day));
        assert_eq!(!sent(&plan).is_empty(), is_news, "{what:?} {day}");
    }
}

#[test]
fn a_new_id_of_a_platform_alone_is_news() {
    let mut world = World::new(Vec::new());
    world.given = true;
    world
        .rules
        .destinations
        .insert("archive".into(), archive(Takes::Changes));
    world.take(&sync(&[]));
    assert_eq!(sent(&world.take(&sync(&[]))), [] as [&str; 0]);
    world.has_new_id = true;
    assert_eq!(sent(&world.take(&sync(&[]))), ["archive"]);
}

#[test]
fn a_trigger_names_a_group_and_a_row_of_it() {
    let cart = (EngagementKind::Automation, "77", None);
    let group = |group, row: Option<&str>| {
        Trigger::Synced(Some(SyncTrigger {
            group,
            row: row.map(|row| Pattern(row.to_owned())),
        }))
    };
    for (trigger, starts) in [
        (Trigger::Synced(None), true),
        (group(Group::AutomationTriggered, None), true),
        (group(Group::AutomationTriggered, Some("77")), true),
        (group(Group::AutomationTriggered, Some("Name of 7*")), true),
        (group(Group::AutomationTriggered, Some("78")), false),
        (group(Group::GoalsReached, None), false),
        (group(Group::PagesVisited, None), false),
        (group(Group::Fields, Some("city")), true),
        (group(Group::Fields, Some("125")), true),
        (group(Group::Fields, Some("country")), false),
        (group(Group::Contact, Some(ID)), true),
        (group(Group::LeadStatus, Some("Cold")), true),
        (group(Group::LeadStatus, Some("Warm")), false),
    ] {
        let name = format!("{trigger:?}");
        let mut world = World::new(vec![automation("it", trigger, to_crm())]);
        let mut event = sync(&[cart]);
        event.fields.insert("lead_status".to_owned(), json!("Cold"));
        for time in ["the first", "the second"] {
            assert_eq!(
                verdict(&world.take(&event), "it").is_some(),
                starts,
                "{name}, {time} time"
            );
        }
        assert_eq!(
            verdict(&world.take(&signed("bees")), "it"),
            None,
            "{name}: no sync"
        );
    }
}

#[test]
fn a_new_row_of_a_group_triggers_once() {
    let mut world = World::new(vec![
        automation(
            "cart",
            Trigger::Engaged(EngagementKind::Automation, None),
            to_crm(),
        ),
        automation(
            "rule",
            Trigger::Engaged(EngagementKind::LeadScore, None),
            tag("scored"),
        ),
    ]);
    let first = (EngagementKind::Automation, "77", Some("2026-03-01T08:00:00Z"));
    let second = (EngagementKind::Automation, "77", Some("2026-03-02T08:00:00Z"));
    assert_eq!(sent(&world.take(&sync(&[first]))), ["crm"]);
    assert_eq!(
        sent(&world.take(&sync(&[first]))),
        [] as [&str; 0],
        "the history comes each time"
    );
    assert_eq!(sent(&world.take(&sync(&[first, second]))), ["crm"]);
    let plan = world.take(&sync(&[(EngagementKind::LeadScore, "5", None)]));
    assert!(verdict(&plan, "rule").is_some());
}

#[test]
fn a_browser_becomes_a_created_contact_when_it_gets_an_identity() {
    let mut created = automation("it", Trigger::ContactCreated, to_crm());
    created.once = true;
    let mut world = World::new(vec![created]);
    let mut visit = did(EngagementKind::PageVisit, "https://example.org");
    visit.fields.clear();
    visit.identities = vec![Identity::visitor("site", "v1".to_owned())];
    assert_eq!(verdict(&world.take(&visit), "it"), None, "nobody is known");
    world.is_named = false;
    assert_eq!(sent(&world.take(&sync(&[]))), ["crm"]);
    world.is_named = true;
    assert_eq!(verdict(&world.take(&sync(&[])), "it"), None);
}

#[test]
fn a_signature_is_no_change_of_an_email_status() {
    let says = |what: What, second: i64| {
        let mut event = signed("bees");
        event.consent = vec![ConsentFact::new(
            EMAIL,
            what,
            Timestamp::from_second(1_772_000_000 + second).unwrap(),
            "test",
        )];
        event
    };
    let named = |word: &str| Trigger::EmailStatus(Some(BTreeSet::from([word.to_owned()])));
    let mut world = World::new(vec![
        automation("any", Trigger::EmailStatus(None), to_crm()),
        automation("opt_in", named("opt_in"), to_crm()),
    ]);
    let plan = world.take(&says(What::OptIn, 0));
    assert_eq!(
        (verdict(&plan, "any"), verdict(&plan, "opt_in").is_some()),
        (None, true)
    );
    let plan = world.take(&says(What::OptIn, 1));
    assert_eq!(
        (verdict(&plan, "any"), verdict(&plan, "opt_in")),
        (None, None),
        "as before"
    );
    for (what, second, starts) in [
        (What::DoubleOptIn, 2, true),
        (What::DoubleOptIn, 3, false),
        (What::Bounced, 1_000, true),
        (What::Bounced, 1_001, false),
    ] {
        let name = format!("{what:?} {second}");
        let plan = world.take(&says(what, second));
        assert_eq!(verdict(&plan, "any").is_some(), starts, "{name}");
    }
    let mut sms = says(What::Unsubscribed, 2_000);
    sms.consent[0].purpose = "sms".to_owned();
    assert_eq!(verdict(&world.take(&sms), "any"), None, "no address is meant");
}
