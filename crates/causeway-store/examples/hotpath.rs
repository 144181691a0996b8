//! Rows per second of each stage of the hot path, one after the other, in one process.
//!
//! `cargo run --release -p causeway-store --example hotpath -- [RECORDS] [FOLDER] [proca|form] [one|five|hundred]`
//!
//! The last argument is what follows from a message: a delivery to one destination, to five, or to five
//! beside a hundred automations.
//!
//! Where times would be noisy, count instructions instead: build with `--profile profiling` and run with
//! `valgrind --tool=callgrind`, with a few thousand messages.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement reads the clock and prints its results"
)]

use std::{error::Error, sync::Arc, time::Instant};

#[path = "../../../bench/src/scenario/hundred.rs"]
mod hundred;

use causeway_core::{
    automation::Scoring,
    clock::Timestamp,
    decode::{
        body::Limits,
        placeholders::Placeholders,
        proca::{OptInMode, ProcaDecoder, Testing},
        sync::{ArrivalConsent, SyncDecoder},
    },
    delivery::Next,
    envelope::Meta,
    event::Decode,
    id::InboxId,
    keystore::{Keystore, SharedKeystore},
    rules::{DEFAULT_WORKSPACE, DestinationRule, Rules, WorkspaceRule},
    store::{Claim, Store, Views},
};
use causeway_store::{Options, SqliteStore, open};
use causeway_testkit::{
    builders::{INSTANCE, OWN_ORG, SOURCE, at, envelope, rules},
    store_contract::attempt,
};
use jiff::tz::TimeZone;

/// The engine's batch size.
const BATCH: u32 = 200;
type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let records: usize = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let folder = tempfile::tempdir_in(arguments.next().unwrap_or_else(|| ".".to_owned()))?;
    let path = folder.path().join("hotpath.db");
    let store = open(&path, Options { serve: true }).await?;
    let feed = match arguments.next().as_deref() {
        None | Some("proca") => Feed::proca(),
        Some("form") => Feed::form(),
        Some(other) => return Err(format!("{other} is neither proca nor form").into()),
    };
    store
        .set_rules(follows(arguments.next().as_deref())?.into())
        .await?;

    stage("accept", records, accept(&store, records, &feed)).await?;
    stage("decode + process", records, process(&store, &*feed.decoder)).await?;
    memory("with all of them waiting");
    let now = Instant::now();
    for _ in 0..100 {
        let claimed = store.claim(claim(1)).await?;
        let given: Vec<_> = claimed.deliveries.iter().map(|delivery| delivery.id).collect();
        store.release(given, at(0)).await?;
    }
    println!(
        "claim and release of one: {:.0} µs",
        now.elapsed().as_secs_f64() * 10_000.0
    );
    stage("claim + record", records, deliver(&store)).await?;
    let now = Instant::now();
    store.overview(Timestamp::now()).await?;
    println!("overview: {:.1} ms", now.elapsed().as_secs_f64() * 1_000.0);
    println!("file: {} MB", std::fs::metadata(&path)?.len() / 1_000_000);
    Ok(())
}

fn follows(what: Option<&str>) -> Result<Rules, Box<dyn Error>> {
    let five = || hundred::DESTINATIONS.map(DestinationRule::new).to_vec();
    Ok(match what {
        None | Some("one") => rules(vec![DestinationRule::new("crm")]),
        Some("five") => rules(five()),
        Some("hundred") => {
            let workspace = WorkspaceRule::new(hundred::automations()?, Scoring::default());
            Rules {
                workspaces: [(DEFAULT_WORKSPACE.into(), workspace)].into(),
                ..rules(five())
            }
        }
        Some(other) => return Err(format!("{other} is none of one, five and hundred").into()),
    })
}

async fn stage(name: &str, records: usize, work: impl Future<Output = Outcome>) -> Outcome {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    work.await?;
    let seconds = start.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
    let rate = records as f64 / seconds;
    println!(
        "{name}: {rate:.0} rows/s, {seconds:.1} s, {:.1} s of CPU",
        cpu_seconds() - cpu
    );
    Ok(())
}

/// The messages, and the decoder that reads them.
struct Feed {
    body: fn(usize) -> String,
    meta: Meta,
    decoder: Arc<dyn Decode>,
}

impl Feed {
    fn proca() -> Self {
        Self {
            body: action,
            meta: Meta::default(),
            decoder: Arc::new(ProcaDecoder {
                placeholders: Placeholders::default(),
                namespace: INSTANCE.into(),
                own_orgs: [OWN_ORG.to_owned()].into(),
                keystore: Arc::new(SharedKeystore::new(Keystore::default())),
                testing: Testing::default(),
                opt_in: OptInMode::default(),
                purpose: "email".into(),
                consent_from: Vec::new(),
            }),
        }
    }

    fn form() -> Self {
        Self {
            body: form,
            meta: Meta {
                content_type: Some("application/x-www-form-urlencoded".to_owned()),
                method: Some("POST".to_owned()),
                ..Meta::default()
            },
            decoder: Arc::new(SyncDecoder {
                placeholders: Placeholders::default(),
                namespace: SOURCE.into(),
                time_zone: TimeZone::UTC,
                consent: ArrivalConsent::OptIn,
                consent_from: Vec::new(),
                limits: Limits::default(),
                spelling: causeway_core::decode::body::Spelling::default(),
                each: None,
            }),
        }
    }
}

/// An action of about 1.5 kB, as Proca sends it.
fn action(number: usize) -> String {
    let comment = "For the bees, and for those who live from them. ".repeat(8);
    format!(
        r#"{{"schema":"proca:action:2","stage":"deliver","actionId":{number},"actionPageId":7,"campaignId":3,"orgId":{OWN_ORG},
"org":{{"name":"bees","title":"Friends of Bees"}},
"campaign":{{"name":"save_the_bees","title":"Save the bees","externalId":null,"contactSchema":"basic"}},
"actionPage":{{"name":"save_the_bees/en","locale":"en","thankYouTemplate":null,"thankYouTemplateRef":null,"supporterConfirmTemplate":null}},
"action":{{"actionType":"petition","createdAt":"2026-01-02T03:04:05Z","testing":false,
"customFields":{{"emailProvider":"example.org","comment":"{comment}"}}}},
"contact":{{"firstName":"Ada","lastName":"Berg{number}","email":"supporter{number}@example.org","country":"DE","postcode":"10115",
"area":"DE","contactRef":"reference-of-person-{number:020}","dupeRank":0}},"personalInfo":null,
"privacy":{{"withConsent":true,"optIn":true,"givenAt":"2026-01-02T03:04:05Z","emailStatus":null,"emailStatusChanged":null}},
"tracking":{{"source":"newsletter","medium":"email","campaign":"spring","content":"","location":"https://act.example.org/bees"}}}}"#
    )
}

/// Groups of rows in a platform's form post: name, number of rows, and the rest of each row after the first
/// two brackets.
const GROUPS: [(&str, usize, &str); 8] = [
    (
        "fields",
        4,
        "[id]=12#&@[name]=Favourite+Colour&@[value]=Green+as+a+meadow",
    ),
    (
        "campaigns-opened",
        2,
        "[id]=3#&@[name]=Spring+news&@[open_date]=2026-05-26+05%3A40+PM",
    ),
    (
        "links-clicked",
        2,
        "[url]=https%3A%2F%2Fact.example.org%2F%3Fpage%3D1%26from%3Dmail&@[clicks]=3",
    ),
    (
        "pages-visited",
        2,
        "[page]=https%3A%2F%2Fact.example.org%2Fbees&@[visit_date]=2026-05-26+05%3A41+PM",
    ),
    (
        "automation-triggered",
        2,
        "[id]=8#&@[name]=Welcome&@[trigger_date]=2026-05-26+05%3A42+PM",
    ),
    (
        "goals-reached",
        1,
        "[id]=4#&@[name]=Signed&@[reach_date]=2026-05-26+05%3A43+PM",
    ),
    (
        "webhooks-triggered",
        2,
        "[id]=6#&@[name]=Exit+pop-up&@[trigger_date]=2026-05-26+05%3A44+PM",
    ),
    (
        "lead-score",
        1,
        "[id]=5#&@[name]=Opened&@[score]=10&@[score_date]=2026-05-26+05%3A45+PM",
    ),
];

/// The eleven groups, about 2.5 kB, with the brackets encoded as `http_build_query` does.
fn form(number: usize) -> String {
    let mut body = format!(
        "transactionid={number}&contact[id]={number}&contact[email]=supporter{number}%40example.org\
         &contact[phone]=%2B15551234&contact[profile_url]=https%3A%2F%2Fapp.example.org%2Fc%2F{number}\
         &lead-status[score]=10&lead-status[label]=Cold+Lead"
    );
    for (group, count, members) in GROUPS {
        for row in 0..count {
            let start = format!("{group}[{row}]");
            body.push_str(
                &format!("&@{members}")
                    .replace('@', &start)
                    .replace('#', &row.to_string()),
            );
        }
    }
    body.replace('[', "%5B").replace(']', "%5D")
}

async fn accept(store: &SqliteStore, records: usize, feed: &Feed) -> Outcome {
    for start in (0..records).step_by(BATCH as usize) {
        let batch = (start..records.min(start + BATCH as usize))
            .map(|number| {
                let mut message = envelope(SOURCE, &format!("message {number}"), at(0));
                message.body = (feed.body)(number).into();
                message.meta = feed.meta.clone();
                message
            })
            .collect();
        store.accept(batch).await?;
    }
    Ok(())
}

async fn process(store: &SqliteStore, decoder: &dyn Decode) -> Outcome {
    let mut after = InboxId(0);
    loop {
        let rows = store.fetch_new(after, BATCH).await?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        after = last.0;
        let batch = rows
            .into_iter()
            .map(|(id, envelope)| (id, decoder.decode(&envelope)))
            .collect();
        store.process(batch, at(1)).await?;
    }
}

fn claim(limit: u32) -> Claim {
    Claim {
        first: Vec::new(),
        destination: "crm".into(),
        limit,
        leased_until: at(60),
        now: at(2),
    }
}

async fn deliver(store: &SqliteStore) -> Outcome {
    loop {
        let claimed = store.claim(claim(BATCH)).await?.deliveries;
        if claimed.is_empty() {
            return Ok(());
        }
        let attempts = claimed
            .iter()
            .map(|delivery| attempt(delivery, Next::Delivered, at(3)))
            .collect();
        store.record(attempts).await?;
    }
}

fn memory(when: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap_or("");
    println!(
        "{when}: {}",
        resident.split_whitespace().collect::<Vec<_>>().join(" ")
    );
}

/// CPU time of all threads of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum();
    ticks / 100.0
}
