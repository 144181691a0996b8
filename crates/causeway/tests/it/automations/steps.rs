//! Actions that start automations: conditions, tags, immediate and delayed deliveries, `once`, `per_hour` and `stop`.

use std::sync::Arc;

use causeway_testkit::fake_api::FakeApi;
use serde_json::Value;

use super::world::{SOURCES, World, hook};
use crate::running::{signature, status};

const START: &str = "2026-01-05T08:30:00Z";

async fn world(automations: &str) -> World {
    let api = Arc::new(FakeApi::start().await);
    let by_automation = "takes = 'automations'\nconsent = 'opt_in'";
    let config = [
        SOURCES,
        &hook(&api, "crm", by_automation),
        &hook(&api, "form", by_automation),
        &hook(&api, "archive", "takes = 'all'\nconsent = 'all'"),
        automations,
    ];
    World::start(&api, START, &config.concat()).await
}

fn signs(id: u32, name: &str) -> Value {
    signature(12, id, name, Some(true))
}

const WELCOME: &str = r#"
[[automation]]
name = "Welcome"
on = { action = "petition" }
when = "campaign.name == 'clean_rivers' and consent.email.subscribed"
once = true
then = [{ add_tag = "rivers" }, { deliver = "crm" }, { deliver = "form", delay = "2 days" }]
stop = "not consent.email.subscribed"

[[automation]]
name = "Of the bees"
on = { action = "petition" }
when = "campaign.name == 'bees'"
then = [{ deliver = "crm" }]

[[automation]]
name = "Tagged"
on = { tag_added = "rivers" }
then = [{ set_field = { segment = "{{ campaign.name }} of {{ contact.country }}" } }]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_step_runs_at_once_or_after_its_delay() {
    let mut world = world(WELCOME).await;
    let ann = world.acts(&signs(1, "ann")).await;
    let bob = world.acts(&signature(12, 2, "bob", Some(false))).await;
    let again = world.acts(&signs(3, "ann")).await;
    assert_eq!(
        world.summaries("crm"),
        ["record ann"],
        "only what automations send"
    );
    assert_eq!(world.summaries("form"), Vec::<String>::new(), "not yet");
    assert_eq!(
        world.summaries("archive"),
        ["record ann", "record bob", "record ann"]
    );
    // The immediate delivery contains the changes of the automations.
    let sent = &world.received("crm")[0]["contact"];
    assert_eq!(sent["tags"], serde_json::json!(["rivers"]), "{sent}");
    assert_eq!(sent["segment"], "clean_rivers of DE", "{sent}");

    let trace = world.trace(ann);
    for line in [
        "  automation Welcome: ran: tag +rivers; to crm; step 3 at 2026-01-07T08:30:00Z\n",
        "  automation Of the bees: did not run: its condition does not hold\n",
        "  automation Tagged: ran: set segment\n",
        "    values in the conditions\n",
        "      campaign.name = \"clean_rivers\"\n",
        "      consent.email.subscribed = true\n",
        "  automation Welcome: step 3 waits until 2026-01-07T08:30:00Z\n",
    ] {
        assert!(trace.contains(line), "{line}\n{trace}");
    }
    let trace = world.trace(bob);
    assert!(
        trace.contains("  automation Welcome: did not run: its condition does not hold\n"),
        "{trace}"
    );
    assert!(
        trace.contains("      consent.email.subscribed = false\n"),
        "{trace}"
    );
    let trace = world.trace(again);
    assert!(
        trace.contains(
            "  automation Welcome: did not run: it runs once for each contact, and has run already\n"
        ),
        "{trace}"
    );

    // A moment too early; then the hub is down when the timer is due.
    world.is_now("2026-01-07T08:29:59.999Z");
    world.acts(&signature(12, 4, "cem", Some(false))).await;
    assert_eq!(world.summaries("form"), Vec::<String>::new());
    world.stop().await;
    world.is_now("2026-01-07T09:00:00Z");
    world.serve().await;
    world.settles().await;
    assert_eq!(world.summaries("form"), ["contact ann"]);
    let [late] = world.follow_ups(ann)[..] else {
        panic!("{}", world.trace(ann));
    };
    let trace = world.trace(late);
    for line in [
        format!("  because of message {ann}\n"),
        "  automation Welcome: ran: to form\n".to_owned(),
    ] {
        assert!(trace.contains(&line), "{line}{trace}");
    }
    // It does not run again.
    world.stop().await;
    world.serve().await;
    world.is_now("2026-02-01T00:00:00Z");
    world.acts(&signs(5, "ann")).await;
    assert_eq!(
        (world.summaries("form").len(), world.summaries("crm").len()),
        (1, 1)
    );
    world.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_while_a_step_waits_cancels_it_and_sends_withdrawals() {
    let world = world(WELCOME).await;
    let ann = world.acts(&signs(1, "ann")).await;
    world.acts(&signs(2, "bob")).await;
    world.acts(&status(1, "ann", "unsub")).await;
    assert_eq!(
        world.summaries("crm"),
        ["record ann", "record bob", "withdrawal ann"],
        "it takes only automations, but receives the withdrawal"
    );
    world.is_now("2026-01-07T08:30:00Z");
    world.settles().await;
    assert_eq!(world.summaries("form"), ["contact bob"]);
    let [late] = world.follow_ups(ann)[..] else {
        panic!("{}", world.trace(ann));
    };
    let trace = world.trace(late);
    for line in [
        "  automation Welcome: stopped: its stop condition holds\n",
        "      consent.email.subscribed = false\n",
    ] {
        assert!(trace.contains(line), "{line}{trace}");
    }
    world.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_stop_the_present_consent_decides() {
    let world = world(
        "[[automation]]\nname = 'Later'\non = 'action'\nthen = [{ deliver = ['form', 'crm'], delay = '1 h' }]\n",
    )
    .await;
    world.acts(&signs(1, "ann")).await;
    world.acts(&signs(2, "bob")).await;
    world.acts(&status(1, "ann", "unsub")).await;
    world.is_now("2026-01-05T09:30:00Z");
    world.settles().await;
    assert_eq!(world.summaries("form"), ["contact bob"]);
    assert_eq!(
        world.summaries("crm"),
        ["contact bob"],
        "ann was never there: nothing to withdraw"
    );
    world.ends_well().await;
}

/// Two automations that start each other a day later, which is a warning.
const CIRCLE: &str = r#"
[[automation]]
name = "To sleep"
on = [{ action = "petition" }, { tag_added = "awake" }]
then = [
    { remove_tag = "awake", delay = "1 day" },
    { add_tag = "asleep", delay = "1 day" },
    { deliver = "crm", delay = "1 day" },
]

[[automation]]
name = "To wake"
on = { tag_added = "asleep" }
then = [
    { remove_tag = "asleep", delay = "1 day" },
    { add_tag = "awake", delay = "1 day" },
    { deliver = "form", delay = "1 day" },
]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn two_that_start_each_other_a_day_later_end_after_one_round() {
    let world = world(CIRCLE).await;
    let check = world.home.run(&["config", "check"]);
    assert_eq!(check.code, 0, "{check:?}");
    let warned = format!("{}{}", check.out, check.err);
    assert!(
        warned.contains(
            "[[automation]] \"To sleep\" → \"To wake\" → \"To sleep\": the delayed steps of each automation start the next"
        ),
        "{warned}"
    );

    world.acts(&signs(1, "ann")).await;
    for day in 6..=20 {
        world.is_now(&format!("2026-01-{day:02}T08:30:00Z"));
        world.settles().await;
    }
    assert_eq!(world.summaries("crm"), ["contact ann"]);
    assert_eq!(world.summaries("form"), ["contact ann"]);
    let traces = world.home.ok(&["trace", "--email", "ann@example.org"]);
    let stopped = "automation To sleep: stopped: it started itself again through To wake\n";
    assert_eq!(traces.matches(stopped).count(), 1, "{traces}");
    assert_eq!(
        world
            .home
            .json(&["trace", "--email", "ann@example.org", "--json"])
            .as_array()
            .unwrap()
            .len(),
        7
    );

    // A new action starts the loop again.
    world.acts(&signs(2, "ann")).await;
    world.is_now("2026-01-21T08:30:00Z");
    world.settles().await;
    assert_eq!(world.summaries("crm"), ["contact ann", "contact ann"]);
    world.ends_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_beyond_per_hour_wait_for_the_next_hour_with_room() {
    let mut world =
        world("[[automation]]\nname = 'Few'\non = 'action'\nper_hour = 2\nthen = [{ deliver = 'crm' }]\n")
            .await;
    let mut records = Vec::new();
    for (id, name) in (1..).zip(["ann", "bob", "cem", "dee", "eve"]) {
        records.push(world.acts(&signs(id, name)).await);
    }
    assert_eq!(world.summaries("crm"), ["record ann", "record bob"]);
    let trace = world.trace(records[4]);
    assert!(
        trace.contains("  automation Few: waits until 2026-01-05T10:00:00Z: `per_hour` is reached\n"),
        "{trace}"
    );
    world.is_now("2026-01-05T08:59:59Z");
    world.settles().await;
    assert_eq!(world.summaries("crm").len(), 2);
    // The limit survives a restart.
    world.stop().await;
    world.serve().await;
    world.is_now("2026-01-05T09:00:00Z");
    world.settles().await;
    let third = ["contact cem", "contact dee"];
    let mut summaries = world.summaries("crm").split_off(2);
    summaries.sort();
    assert_eq!(summaries, third);
    // The waiting ones have filled the hour.
    world.acts(&signs(6, "fay")).await;
    assert_eq!(world.summaries("crm").len(), 4);
    world.is_now("2026-01-05T10:00:00Z");
    world.settles().await;
    let mut summaries = world.summaries("crm").split_off(4);
    summaries.sort();
    assert_eq!(summaries, ["contact eve", "contact fay"]);
    world.is_now("2026-01-06T00:00:00Z");
    world.settles().await;
    assert_eq!(world.summaries("crm").len(), 6, "each once, and nobody is lost");
    world.ends_well().await;
}
