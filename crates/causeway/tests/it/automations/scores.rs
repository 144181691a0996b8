//! Points and statuses from a site's events.

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
async fn each_event_gives_points_once_and_a_reached_status_starts_automations() {
    let api = Arc::new(FakeApi::start().await);
    let crm = hook(&api, "crm", "takes = 'automations'\nconsent = 'opt_in'");
    let world = World::start(&api, "2026-01-05T08:30:00Z", &format!("{SOURCES}{crm}{RULES}")).await;
    world
        .send_events(
            &json!({ "type": "consent", "what": "opt_in", "at": "2026-01-01T00:00:00Z",
                        "contact": { "email": "ann@example.org" } }),
        )
        .await;
    let first = world.send_events(&opened("m-1", "2026-01-02T10:00:00Z")).await;
    assert!(
        world
            .trace(first)
            .contains("  automation Opened a mail: ran: score +30 = 30\n"),
        "{}",
        world.trace(first)
    );
    // The same opening, reported again in another message.
    world
        .send_events(
            &json!({ "type": "email_open", "id": "again", "key": "m-1", "at": "2026-01-02T10:00:00Z",
                        "contact": { "email": "ann@example.org" } }),
        )
        .await;
    assert_eq!(world.received("crm"), [] as [Value; 0]);
    // A page visited anonymously gives fewer points, which she gets when the visitor is identified.
    world
        .send_events(&json!({ "type": "page_visit", "key": "https://example.org/give/now", "at": "2026-01-02T11:00:00Z",
                        "contact": { "visitor": "b-81f2" } }))
        .await;
    world
        .send_events(
            &json!({ "type": "page_visit", "key": "https://example.org/about", "at": "2026-01-02T11:01:00Z",
                        "contact": { "visitor": "b-81f2" } }),
        )
        .await;
    assert_eq!(world.received("crm"), [] as [Value; 0], "35 points");
    world
        .send_events(
            &json!({ "type": "contact", "contact": { "visitor": "b-81f2", "email": "ann@example.org" } }),
        )
        .await;
    let second = world.send_events(&opened("m-2", "2026-01-03T10:00:00Z")).await;
    let trace = world.trace(second);
    for line in [
        "  automation Opened a mail: ran: score +30 = 65\n",
        "  automation Warm people: ran: tag +warm; to crm\n",
    ] {
        assert!(trace.contains(line), "{line}{trace}");
    }
    let sent = |score: i64, status: &str| json!({ "email": "ann@example.org", "score": score, "status": status, "tags": ["warm"], "subscribed": true });
    assert_eq!(world.received("crm"), [sent(65, "Warm")]);
    world.send_events(&opened("m-3", "2026-01-04T10:00:00Z")).await;
    assert_eq!(world.received("crm")[1..], [sent(95, "Warm")]);
    // Above the last ceiling she keeps the last status, and no status is reached again.
    world.send_events(&opened("m-4", "2026-01-04T11:00:00Z")).await;
    assert_eq!(world.received("crm").len(), 2);
    let unsubscribed = json!({ "type": "consent", "what": "unsubscribed", "at": "2026-01-04T12:00:00Z",
                               "contact": { "email": "ann@example.org" } });
    let gone = world.send_events(&unsubscribed).await;
    assert!(
        world
            .trace(gone)
            .contains("  automation Unsubscribed: ran: score -100 = 25\n"),
        "{}",
        world.trace(gone)
    );
    assert_eq!(
        world.received("crm").len(),
        3,
        "the withdrawal, though no automation sends it"
    );
    world.ends_well().await;
}
