//! The longest time from an opt-out's 200 to the last request that started after it and still subscribed the person:
//! on a quiet hub, and with many messages waiting to be processed.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::ensure;
use serde_json::{Value, json};

use crate::{
    Bench, http,
    hub::{Hub, Settings, TOKEN},
    report::{Check, Section},
    servers::{self, Recorder},
};

/// People who opt in and out at once.
const PEOPLE: u64 = 500;
/// Events in one request of the backlog.
const AT_ONCE: u64 = 1_000;

pub async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let recorder = servers::recorder().await?;
    let tables = format!(
        "[source.site]\nkind = \"events\"\ntokens = [\"{TOKEN}\"]\n[destination.list]\nkind = \"webhook\"\nconsent = \"opt_in\"\n\
         url = \"http://127.0.0.1:{}/\"\nallow_private = true\nfields = {{ email = \"contact.email\", change = \"change\" }}\n",
        recorder.port()
    );
    let hub = Hub::start(&Settings {
        program: &bench.args.program,
        work: &bench.args.work,
        tables,
    })
    .await?;

    bench.note("opt_out: quiet");
    let mut answered = HashMap::new();
    for person in 0..PEOPLE {
        say(&hub, &[event("quiet", person, "opt_in")]).await?;
        say(&hub, &[event("quiet", person, "unsubscribed")]).await?;
        answered.insert(address("quiet", person), Instant::now());
    }
    settle(&hub).await?;
    let quiet = Late::of(&recorder, &answered);

    bench.note(&format!("opt_out: {} messages waiting", bench.args.backlog));
    let mut answered = HashMap::new();
    for first in (0..bench.args.backlog).step_by(usize::try_from(AT_ONCE)?) {
        let last = (first + AT_ONCE).min(bench.args.backlog);
        let events: Vec<Value> = (first..last)
            .map(|person| event("crowd", person, "opt_in"))
            .collect();
        say(&hub, &events).await?;
    }
    let waiting = hub.figure("inbox_waiting").await?;
    for person in 0..PEOPLE.min(bench.args.backlog) {
        // People of the whole backlog: some are processed and delivered, others are not.
        let person = person * (bench.args.backlog / PEOPLE.min(bench.args.backlog));
        say(&hub, &[event("crowd", person, "unsubscribed")]).await?;
        answered.insert(address("crowd", person), Instant::now());
    }
    settle(&hub).await?;
    let behind = Late::of(&recorder, &answered);
    hub.stop(&bench.args.program)?;

    let checks = vec![
        Check::at_most("longest after a 200, quiet hub", quiet.longest_ms, 0.0, 0.0, "ms"),
        Check::at_most(
            &format!("longest after a 200, {} messages to process", bench.args.backlog),
            behind.longest_ms,
            1_000.0,
            100.0,
            "ms",
        ),
    ];
    let notes = vec![
        format!(
            "Quiet: {} of {PEOPLE} people had a request after their opt-out.",
            quiet.people
        ),
        format!(
            "With a backlog ({waiting} messages waiting at the first opt-out): {} of {} people.",
            behind.people,
            answered.len()
        ),
    ];
    Ok(Section {
        title: "From an opt-out's 200 to the last request that started after it".to_owned(),
        series: Vec::new(),
        checks,
        notes,
    })
}

/// Requests that started after the opt-out was answered.
struct Late {
    people: usize,
    longest_ms: f64,
}

impl Late {
    fn of(recorder: &Recorder, answered: &HashMap<String, Instant>) -> Self {
        let mut late = HashMap::new();
        for (address, started) in recorder.subscriptions() {
            if let Some(answer) = answered.get(&address)
                && started > *answer
            {
                let longest: &mut Duration = late.entry(address).or_default();
                *longest = (*longest).max(started - *answer);
            }
        }
        let longest = late.values().max().copied().unwrap_or_default();
        Self {
            people: late.len(),
            longest_ms: longest.as_secs_f64() * 1_000.0,
        }
    }
}

fn address(group: &str, person: u64) -> String {
    format!("{group}{person}@example.org")
}

fn event(group: &str, person: u64, what: &str) -> Value {
    json!({ "type": "consent", "contact": { "email": address(group, person) }, "what": what })
}

async fn say(hub: &Hub, events: &[Value]) -> anyhow::Result<()> {
    let body = Value::from(events).to_string();
    let head = format!("Authorization: Bearer {TOKEN}\r\n");
    let status = http::post_with(
        hub.listener,
        "/v1/events",
        "application/json",
        &head,
        body.as_bytes(),
    )
    .await?;
    ensure!(status == 200, "the events were answered with {status}");
    Ok(())
}

/// Waits until nothing is left to be processed or delivered.
async fn settle(hub: &Hub) -> anyhow::Result<()> {
    let mut quiet = 0;
    while quiet < 5 {
        let left = hub.figure("inbox_waiting").await? + hub.figure("waiting").await?;
        quiet = if left == 0 { quiet + 1 } else { 0 };
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
