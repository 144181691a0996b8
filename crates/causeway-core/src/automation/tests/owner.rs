//! Whose points count, and that bundling rows into messages makes no difference to them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    encode::sync::{Options, model},
    id::{IdempotencyKey, InboxId},
    mapping::omission::Omissions,
    record::Record,
    shortcode,
};

fn points(known: f64) -> Vec<Does> {
    vec![Does::AddScore(Points {
        known,
        anonymous: 1.0,
    })]
}

fn row(kind: EngagementKind, key: &str, day: Option<u8>, count: Option<i64>) -> Engagement {
    Engagement {
        kind,
        key: key.to_owned(),
        name: None,
        at: day.map(|day| at(&format!("2026-02-{:02}T08:00:00Z", day + 1))),
        raw_at: None,
        count,
        score: None,
    }
}

fn sync(rows: Vec<Engagement>) -> Event {
    let mut event = event(EventKind::ContactSync);
    event.engagements = rows;
    event
}

fn scoring_world() -> World {
    let engaged = |kind| Trigger::Engaged(kind, None);
    let mut once = automation("once", engaged(EngagementKind::PageVisit), points(100.0));
    once.once = true;
    World::scored(
        vec![
            automation("visit", engaged(EngagementKind::PageVisit), points(5.0)),
            automation("click", engaged(EngagementKind::LinkClick), points(-3.0)),
            automation("goal", engaged(EngagementKind::Goal), points(20.0)),
            once,
        ],
        Vec::new(),
    )
}

fn total(world: &World) -> String {
    world.contact().points.to_string()
}

#[test]
fn one_message_with_three_visits_gives_the_points_of_three_messages() {
    let visits: Vec<Engagement> = (0..3)
        .map(|day| row(EngagementKind::PageVisit, "https://example.org", Some(day), None))
        .collect();
    let (mut together, mut apart) = (scoring_world(), scoring_world());
    together.take(&sync(visits.clone()));
    for visit in &visits {
        apart.take(&sync(vec![visit.clone()]));
    }
    assert_eq!([total(&together), total(&apart)], ["115", "115"]);
    // Each click that a platform counts, and then the history again.
    together.take(&sync(vec![row(EngagementKind::LinkClick, "a", None, Some(2))]));
    let all = [visits, vec![row(EngagementKind::LinkClick, "a", None, Some(3))]].concat();
    let plan = together.take(&sync(all.clone()));
    assert_eq!(total(&together), "106", "three clicks for three points less each");
    assert_eq!(
        verdict(&plan, "click"),
        Some(&Verdict::Ran(vec!["score -3 = 106".to_owned()]))
    );
    together.take(&sync(all));
    assert_eq!(total(&together), "106");
}

#[test]
fn of_two_rows_about_one_link_the_one_with_more_clicks_counts() {
    for (counts, clicks) in [([3, 5], 5), ([5, 3], 5), ([3, 250], 100)] {
        let rows = counts.map(|count| row(EngagementKind::LinkClick, "a", None, Some(count)));
        let plan = scoring_world().take(&sync(rows.to_vec()));
        assert_eq!(plan.scores.len(), clicks, "{counts:?}");
    }
}

proptest! {
    /// The total is the same however rows are spread over messages, in any order, and sent again.
    #[test]
    fn points_do_not_depend_on_bundling_or_order(
        rows in prop::collection::vec((0_u8..3, 0_u8..3, prop::option::of(0_u8..3), 1_i64..4), 1..8),
        bundles in prop::collection::vec(prop::collection::vec(0_usize..8, 1..5), 1..8),
        seed in 0_usize..1000,
    ) {
        let rows: Vec<Engagement> = rows
            .iter()
            .map(|(kind, key, day, count)| {
                let key = format!("k{key}");
                match kind {
                    0 => row(EngagementKind::PageVisit, &key, *day, None),
                    1 => row(EngagementKind::LinkClick, &key, None, Some(*count)),
                    _ => row(EngagementKind::Goal, &key, *day, None),
                }
            })
            .collect();
        let mut together = scoring_world();
        together.take(&sync(rows.clone()));
        let mut apart = scoring_world();
        for bundle in &bundles {
            apart.take(&sync(bundle.iter().filter_map(|place| rows.get(*place).cloned()).collect()));
        }
        let mut rest = rows.clone();
        rest.rotate_left(seed % rows.len());
        for row in rest {
            apart.take(&sync(vec![row]));
        }
        prop_assert_eq!(total(&together), total(&apart));
        let keys = |world: &World| {
            let seen = world.seen.borrow();
            let own = seen.iter().filter(|row| row.key.starts_with(OWN_SCORE) && !row.key.starts_with("rule:once"));
            own.map(|row| (row.key.clone(), row.at)).collect::<BTreeSet<_>>()
        };
        prop_assert_eq!(keys(&together), keys(&apart));
    }
}

fn record(world: &World, lead: Lead) -> Record {
    Record {
        workspace: "default".into(),
        source: "platform".into(),
        inbox_id: InboxId(1),
        kind: Kind::Record,
        event: "contact_sync".to_owned(),
        event_at: at(NOW),
        contact: world.contact().clone(),
        identities: Vec::new(),
        action: None,
        campaign: None,
        page: None,
        consent_state: BTreeMap::new(),
        purpose: "email".into(),
        change: Change::None,
        lead,
        engagements: world.seen.borrow().clone(),
        settings: serde_json::Map::new(),
        via: Vec::new(),
    }
}

#[test]
fn triggers_and_payload_use_the_owner_of_the_score() {
    let automations = || {
        vec![
            automation(
                "click",
                Trigger::Engaged(EngagementKind::LinkClick, None),
                points(60.0),
            ),
            automation("fifty", Trigger::ScoreReached(50.0), tag("fifty")),
            automation("warm", Trigger::StatusReached("Warm".to_owned()), tag("warm")),
        ]
    };
    let statuses = || vec![("Cold", 50.0), ("Warm", 200.0)];
    let mut platform = sync(vec![Engagement {
        score: Some(55.0),
        ..row(EngagementKind::LeadScore, "5", None, None)
    }]);
    platform.fields.insert("lead_score".to_owned(), json!(55));
    let clicked = sync(vec![row(EngagementKind::LinkClick, "a", None, Some(1))]);
    for owner in [Owner::Platform, Owner::Hub] {
        let mut world = World::scored(automations(), statuses());
        let workspace = world.rules.workspaces.get_mut("default").unwrap();
        workspace.scoring.owner = owner;
        let is_platform = owner == Owner::Platform;
        let ran = |plan: &Plan| (verdict(plan, "fifty").is_some(), verdict(plan, "warm").is_some());
        let plan = world.take(&platform);
        assert_eq!(
            ran(&plan),
            (is_platform, is_platform),
            "{owner:?}, the platform's 55"
        );
        let plan = world.take(&clicked);
        assert_eq!(ran(&plan), (!is_platform, !is_platform), "{owner:?}, 60 of ours");
        let lead = world.rules.of_workspace("default").scoring.lead(world.contact());
        let expected = if is_platform { 55 } else { 60 };
        assert_eq!(
            (lead.score.clone(), lead.status.as_deref()),
            (Some(json!(expected)), Some("Warm"))
        );

        let record = record(&world, lead);
        let payload = model(&record, &IdempotencyKey("key".to_owned()), &Options::default());
        let [hit] = &payload.lead_score[..] else {
            panic!("{owner:?}: {:?}", payload.lead_score)
        };
        assert_eq!(hit.id.as_deref(), Some(if is_platform { "5" } else { "click" }));
        assert_eq!(payload.lead_status.score, Some(expected.to_string()));
        let rules = shortcode::Rules::default();
        let text = shortcode::expand(
            &shortcode::parse("[#LEAD SCORE#] [#LEAD STATUS#]"),
            &shortcode::Names::new(&record, &rules),
            shortcode::Place::Plain,
            &mut shortcode::Report::new(&mut Omissions::of(&record)),
        );
        assert_eq!(text.unwrap(), format!("{expected} Warm"));
    }
}
