//! Points and the ranges of statuses.

use super::*;

#[test]
fn points_count_once_for_the_same_cause_and_ranges_give_the_status() {
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
            status: Some("Cold".to_owned()),
            owner: Owner::Hub,
        }
    );
    world.take(&open("1", "09"));
    assert_eq!(
        lead(&world).score,
        Some(json!(30)),
        "the same mail again gives no points"
    );
    let plan = world.take(&open("2", "10"));
    assert_eq!(
        lead(&world),
        Lead {
            score: Some(json!(60)),
            status: Some("Warm".to_owned()),
            owner: Owner::Hub,
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
            status: None,
            owner: Owner::Hub,
        }
    );
}

/// Dates of platforms have no fractions of a second.
#[test]
fn two_visits_in_one_second_give_points_twice() {
    let visited = Trigger::Engaged(EngagementKind::PageVisit, None);
    let ten = || {
        vec![Does::AddScore(Points {
            known: 10.0,
            anonymous: 10.0,
        })]
    };
    let mut world = World::scored(
        vec![
            automation("visit", visited, ten()),
            automation("action", Trigger::Action(None), ten()),
        ],
        Vec::new(),
    );
    let lead = |world: &World| {
        world
            .rules
            .of_workspace("default")
            .scoring
            .lead(world.contact())
            .score
    };
    world.take(&did(EngagementKind::PageVisit, "https://example.org/a"));
    world.take(&did(EngagementKind::PageVisit, "https://example.org/b"));
    world.take(&did(EngagementKind::PageVisit, "https://example.org/b"));
    assert_eq!(lead(&world), Some(json!(20)));
    for id in ["1", "2"] {
        let mut event = signed("petition");
        if let Some(action) = &mut event.action {
            action.external_id = id.to_owned();
        }
        world.take(&event);
    }
    assert_eq!(lead(&world), Some(json!(40)));
}
