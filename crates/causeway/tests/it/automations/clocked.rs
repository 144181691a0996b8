//! Scheduled automations run once per contact and scheduled time, even if the hub was stopped, killed or down.

use std::sync::Arc;

use causeway_testkit::fake_api::FakeApi;
use serde_json::json;

use super::world::{SOURCES, World, hook};

const RULES: &str = r#"
[[automation]]
name = "Daily"
on = { schedule = "daily", at = "09:00" }
when = "contact.country == 'DE'"
then = [{ deliver = "office" }]

[[automation]]
name = "Birthday"
on = { date_reached = "birthDate", yearly = true, days = -1, at = "07:00", time_zone = "Europe/Brussels" }
then = [{ deliver = "cards" }]
"#;

async fn world() -> World {
    let api = Arc::new(FakeApi::start().await);
    let keys = "takes = 'automations'\nconsent = 'all'";
    let config = [
        SOURCES,
        &hook(&api, "office", keys),
        &hook(&api, "cards", keys),
        RULES,
    ];
    let world = World::start(&api, "2026-01-05T08:30:00Z", &config.concat()).await;
    for (name, country, born) in [
        ("ann", "DE", "1990-01-08"),
        ("bob", "FR", "1985-03-01"),
        ("cem", "DE", "2000-06-30"),
    ] {
        world
            .send_events(
                &json!({ "type": "contact", "contact": { "email": format!("{name}@example.org") },
                            "fields": { "country": country, "birthDate": born } }),
            )
            .await;
    }
    world
}

/// Sorted, because contacts of the same run have no order.
fn sorted_summaries(world: &World, hook: &str) -> Vec<String> {
    let mut all = world.summaries(hook);
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_run_happens_once_per_contact_whatever_happens_to_the_hub() {
    let mut world = world().await;
    // A new automation begins with its next scheduled time, not with yesterday's.
    world.has_turned("Daily", "2026-01-04T09:00:00Z").await;
    assert_eq!(world.came("~automations").await, (0, 0));
    world.is_now("2026-01-05T09:00:00Z");
    world.has_turned("Daily", "2026-01-05T09:00:00Z").await;
    assert_eq!(sorted_summaries(&world, "office"), ["contact ann", "contact cem"]);
    let bob = world.newest_of("bob");
    assert!(
        world
            .trace(bob)
            .contains("  automation Daily: did not run: its condition does not hold\n"),
        "{}",
        world.trace(bob)
    );

    // Killed after it stored the rows of the run, and before it stored that the run is complete.
    world.stop().await;
    let database =
        rusqlite::Connection::open(world.home.path("causeway-data/causeway.db")).expect("the store");
    let undone = database
        .execute(
            "UPDATE last_run SET at = at - 86400000 WHERE automation = 'Daily'",
            [],
        )
        .expect("a change");
    assert_eq!(undone, 1);
    drop(database);
    world.is_now("2026-01-05T09:30:00Z");
    world.serve().await;
    world.has_turned("Daily", "2026-01-05T09:00:00Z").await;
    assert_eq!(world.came("~automations").await, (6, 3), "all three are repeats");
    assert_eq!(world.summaries("office").len(), 2);

    // Down at the next scheduled time: the run is made up for once.
    world.stop().await;
    world.is_now("2026-01-06T15:00:00Z");
    world.serve().await;
    world.has_turned("Daily", "2026-01-06T09:00:00Z").await;
    assert_eq!(world.summaries("office").len(), 4);
    world.stop().await;
    world.serve().await;
    world.is_now("2026-01-07T08:59:59Z");
    world
        .send_events(&json!({ "type": "tag", "tag": "x", "contact": { "email": "ann@example.org" } }))
        .await;
    assert_eq!(world.summaries("office").len(), 4);

    // Down for days: only the newest run is made up for.
    world.stop().await;
    world.is_now("2026-01-12T08:00:00Z");
    world.serve().await;
    world.has_turned("Daily", "2026-01-11T09:00:00Z").await;
    assert_eq!(world.summaries("office").len(), 6);
    world.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_is_reached_each_year_in_the_zone_of_its_place() {
    let mut world = world().await;
    world.has_turned("Birthday", "2026-01-05T06:00:00Z").await;
    for day in [5, 6] {
        world.is_now(&format!("2026-01-0{day}T23:00:00Z"));
        world
            .has_turned("Birthday", &format!("2026-01-0{day}T06:00:00Z"))
            .await;
    }
    assert_eq!(world.summaries("cards"), Vec::<String>::new());
    world.is_now("2026-01-07T06:00:00Z");
    world.has_turned("Birthday", "2026-01-07T06:00:00Z").await;
    assert_eq!(
        world.summaries("cards"),
        ["contact ann"],
        "the day before, at seven in Brussels"
    );
    world.stop().await;
    world.serve().await;
    // In summer seven in Brussels is five in UTC.
    world.is_now("2026-06-29T04:59:59Z");
    world.has_turned("Birthday", "2026-06-28T05:00:00Z").await;
    assert_eq!(world.summaries("cards").len(), 1);
    world.is_now("2026-06-29T05:00:00Z");
    world.has_turned("Birthday", "2026-06-29T05:00:00Z").await;
    assert_eq!(world.summaries("cards"), ["contact ann", "contact cem"]);
    world.is_now("2027-01-07T06:30:00Z");
    world.has_turned("Birthday", "2027-01-07T06:00:00Z").await;
    assert_eq!(
        world.summaries("cards"),
        ["contact ann", "contact cem", "contact ann"]
    );
    world.ends_well().await;
}
