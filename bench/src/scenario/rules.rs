//! The cost of a hundred automations: processing alone, through the real store, without and with them.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Instant};

use anyhow::{Context as _, ensure};
use causeway_core::{
    automation::Scoring,
    clock::Timestamp,
    decode::{
        placeholders::Placeholders,
        proca::{OptInMode, ProcaDecoder, Testing},
    },
    envelope::{Dedup, Envelope, Meta, digest},
    event::Decode as _,
    id::InboxId,
    keystore::{Keystore, SharedKeystore},
    rules::{DEFAULT_WORKSPACE, DestinationRule, Rules, SourceRule, WorkspaceRule},
    store::{Store as _, Views as _},
};
use causeway_store::{Options, SqliteStore};

use super::hundred::{self, DESTINATIONS};
use crate::{
    Bench,
    messages::Messages,
    report::{Check, Run, Section, Series},
};

const ORG: u32 = 12;
const SOURCE: &str = "queue";
/// As many as the engine takes at once.
const BATCH: u32 = 200;
/// More of them only take longer.
const MOST: u64 = 20_000;

pub async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let count = bench.args.messages.min(MOST);
    let mut without = Series::new("no automations");
    let mut with = Series::new("**100 automations**");
    for run in 1..=bench.args.runs {
        bench.note(&format!("rules, run {run}"));
        without.runs.push(process(bench, count, false).await?);
        with.runs.push(process(bench, count, true).await?);
    }
    let checks = vec![Check::at_most(
        "time of a message with 100 automations, of that without",
        without.per_s() / with.per_s(),
        1.5,
        1.3,
        "×",
    )];
    Ok(Section {
        title: "Processing with automations".to_owned(),
        series: vec![without, with],
        checks,
        notes: vec![
            "Five destinations that take everything, so that both plan the same deliveries. Of the automations 60 listen to \
             actions, 20 to tags, fields and consent, 20 to engagements; each message makes eight of them do something."
                .to_owned(),
        ],
    })
}

/// Decodes everything first: what is measured is the deciding and writing.
async fn process(bench: &Bench, count: u64, with: bool) -> anyhow::Result<Run> {
    let folder = tempfile::tempdir_in(&bench.args.work)?;
    let store = open(&folder.path().join("rules.db"), with).await?;
    let decoder = decoder();
    let messages = Messages::plain(ORG);
    let first = bench.numbers(count);
    let mut batches = Vec::new();
    for start in (0..count).step_by(BATCH as usize) {
        let envelopes = (start..count.min(start + u64::from(BATCH)))
            .map(|number| Ok(envelope(messages.action(first + number)?)))
            .collect::<anyhow::Result<Vec<Envelope>>>()?;
        let events: Vec<_> = envelopes
            .iter()
            .map(|envelope| decoder.decode(envelope))
            .collect();
        let ids = store
            .accept(envelopes)
            .await?
            .into_iter()
            .map(|accepted| accepted.id);
        batches.push(ids.zip(events).collect::<Vec<_>>());
    }
    let now = Timestamp::now();
    let started = Instant::now();
    let mut planned = 0;
    for batch in batches {
        let processed = store.process(batch, now).await?;
        planned += processed.iter().map(|row| row.planned.len()).sum::<usize>();
    }
    let seconds = started.elapsed().as_secs_f64();
    let expected = usize::try_from(count)? * DESTINATIONS.len();
    ensure!(
        planned == expected,
        "{planned} deliveries were planned, not {expected}"
    );
    ensure_ran(&store, with).await?;
    #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
    let per_s = count as f64 / seconds;
    Ok(Run {
        per_s,
        ..Run::default()
    })
}

/// Fails if no automation ran, because then the measurement would show nothing.
async fn ensure_ran(store: &SqliteStore, with: bool) -> anyhow::Result<()> {
    let trace = store.trace(InboxId(1)).await?.context("the first record")?;
    let asked = trace.automations.unwrap_or_default().asked;
    let ran = asked
        .iter()
        .filter(|(_, verdict)| verdict.to_string().starts_with("ran"));
    let ran = ran.count();
    ensure!(
        ran == if with { 8 } else { 0 },
        "{ran} automations ran: {asked:?}"
    );
    Ok(())
}

async fn open(path: &Path, with: bool) -> anyhow::Result<Arc<SqliteStore>> {
    let source = SourceRule {
        name: SOURCE.into(),
        workspace: DEFAULT_WORKSPACE.into(),
        own_orgs: [ORG.to_string()].into(),
        namespace: "proca".into(),
    };
    let automations = if with { hundred::automations()? } else { Vec::new() };
    let workspace = WorkspaceRule::new(automations, Scoring::default());
    let rules = Rules {
        sources: BTreeMap::from([(source.name.clone(), source)]),
        destinations: DESTINATIONS
            .iter()
            .map(|name| DestinationRule::new(name))
            .map(|rule| (rule.name.clone(), rule.into()))
            .collect(),
        workspaces: BTreeMap::from([(DEFAULT_WORKSPACE.into(), workspace)]),
        ..Rules::default()
    };
    let store = causeway_store::open(path, Options { serve: true }).await?;
    store.set_rules(rules.into()).await?;
    Ok(store)
}

fn decoder() -> ProcaDecoder {
    ProcaDecoder {
        placeholders: Placeholders::default(),
        namespace: "proca".into(),
        own_orgs: [ORG.to_string()].into(),
        keystore: Arc::new(SharedKeystore::new(Keystore::default())),
        testing: Testing::default(),
        opt_in: OptInMode::default(),
        purpose: "email".into(),
        consent_from: Vec::new(),
    }
}

fn envelope(body: Vec<u8>) -> Envelope {
    Envelope {
        source: SOURCE.into(),
        dedup: Dedup::dated(digest(&[&body])),
        received_at: Timestamp::now(),
        meta: Meta::default(),
        body: body.into(),
    }
}
