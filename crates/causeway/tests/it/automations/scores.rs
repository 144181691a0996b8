//! Points and ranges, from what a site tells of people.

use std::sync::Arc;

use causeway_testkit::fake_api::FakeApi;
use serde_json::{Value, json};

use super::world::{SOURCES, World, hook};

const RULES: &str = r#"
[destination.crm.fields]
email = "contact.email"
score = "lead.score"
status = "lead.status"
tags = "contact.tags"
subscribed = "consent.email.subscribed"

[[score]]
name = "Opened a mail"
on = "email_opened"
points = 30

[[score]]
name = "Visited a page"
on = { page_visited = "https://example.org/give*" }
when = "event == 'engagement'"
points = 20
points_anonymous = 5

[[score]]
name = "Unsubscribed"
on = { email_status = "unsubscribed" }
points = -100
once = true

[[status]]
name = "Cold"
ceiling = 50

[[status]]
name = "Warm"
ceiling = 200

[[automation]]
name = "Warm people"
on = { status_reached = "Warm" }
then = [{ add_tag = "warm" }, { deliver = "crm" }]

[[automation]]
name = "Hot people"
on = { score_reached = 90 }
when = "'warm' in contact.tags"
then = [{ deliver = "crm" }]
"#;

fn opened(mail: &str, at: &str) -> Value {
    json!({ "type": "email_open", "key": mail, "at": at, "contact": { "email": "ann@example.org" } })
}

#[tokio::test(flavor = "multi_thread")]
async fn points_of_events_add_up_once_each_and_a_range_that_is_reached_starts_automations() {
    let api = Arc::new(FakeApi::start().await);
    let crm = hook(&api, "crm", "takes = 'automations'\nconsent = 'opt_in'");
    let world = World::start(&api, "2026-01-05T08:30:00Z", &format!("{SOURCES}{crm}{RULES}")).await;
    world
        .tells(
            &json!({ "type": "consent", "what": "opt_in", "at": "2026-01-01T00:00:00Z",
                        "contact": { "email": "ann@example.org" } }),
        )
        .await;
    let first = world.tells(&opened("m-1", "2026-01-02T10:00:00Z")).await;
    assert!(
        world
            .trace(first)
            .contains("  automation Opened a mail: ran: score +30 = 30\n"),
        "{}",
        world.trace(first)
    );
    // The same opening, told again in another message.
    world
        .tells(
            &json!({ "type": "email_open", "id": "again", "key": "m-1", "at": "2026-01-02T10:00:00Z",
                        "contact": { "email": "ann@example.org" } }),
        )
        .await;
    assert_eq!(world.told("crm"), [] as [Value; 0]);
    // A visitor's page counts less, and comes to her when it turns out that it was she.
    world
        .tells(&json!({ "type": "page_visit", "key": "https://example.org/give/now", "at": "2026-01-02T11:00:00Z",
                        "contact": { "visitor": "b-81f2" } }))
        .await;
    world
        .tells(
            &json!({ "type": "page_visit", "key": "https://example.org/about", "at": "2026-01-02T11:01:00Z",
                        "contact": { "visitor": "b-81f2" } }),
        )
        .await;
    assert_eq!(world.told("crm"), [] as [Value; 0], "35 points");
    world
        .tells(&json!({ "type": "contact", "contact": { "visitor": "b-81f2", "email": "ann@example.org" } }))
        .await;
    let second = world.tells(&opened("m-2", "2026-01-03T10:00:00Z")).await;
    let trace = world.trace(second);
    for line in [
        "  automation Opened a mail: ran: score +30 = 65\n",
        "  automation Warm people: ran: tag +warm; to crm\n",
    ] {
        assert!(trace.contains(line), "{line}{trace}");
    }
    let sent = |score: i64, status: &str| json!({ "email": "ann@example.org", "score": score, "status": status, "tags": ["warm"], "subscribed": true });
    assert_eq!(world.told("crm"), [sent(65, "Warm")]);
    world.tells(&opened("m-3", "2026-01-04T10:00:00Z")).await;
    assert_eq!(world.told("crm")[1..], [sent(95, "Warm")]);
    // Over the last ceiling she stays in the last range; neither mark is reached again.
    world.tells(&opened("m-4", "2026-01-04T11:00:00Z")).await;
    assert_eq!(world.told("crm").len(), 2);
    let unsubscribed = json!({ "type": "consent", "what": "unsubscribed", "at": "2026-01-04T12:00:00Z",
                               "contact": { "email": "ann@example.org" } });
    let gone = world.tells(&unsubscribed).await;
    assert!(
        world
            .trace(gone)
            .contains("  automation Unsubscribed: ran: score -100 = 25\n"),
        "{}",
        world.trace(gone)
    );
    assert_eq!(
        world.told("crm").len(),
        3,
        "the withdrawal, though no automation sends it"
    );
    world.ends_well().await;
}
