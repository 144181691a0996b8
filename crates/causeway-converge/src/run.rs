//! Runs all batches.

use std::{
    fmt,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use crate::{
    check::{self, Counts, Finding},
    dice::mix,
    drive::{self, Batch, Plan},
    feature::Features,
    generate, print,
    rig::Rig,
    shrink,
    world::History,
};

/// The options of a run.
#[derive(Debug, Clone)]
pub struct Options {
    pub program: PathBuf,
    pub histories: usize,
    pub seed: u64,
    /// Number of histories of the seed to skip.
    pub from: usize,
    /// Histories in one hub.
    pub batch: usize,
    pub features: Features,
    /// Only the histories of these seeds; all if empty.
    pub replay: Vec<u64>,
    /// Keep the hub's folder of a batch with findings, and print its path.
    pub keep: bool,
    /// Also check each request at the time of its start; not reliable on a busy machine.
    pub is_timed: bool,
    /// Failing histories to shrink.
    pub shrink: usize,
}

/// The result of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    pub histories: usize,
    pub counts: Counts,
    /// Seeds of failing histories, and their findings.
    pub findings: Vec<(u64, Finding)>,
    /// Minimal histories, printed.
    pub shrunk: Vec<String>,
    /// Errors of whole batches: books that do not balance, deliveries that never end.
    pub troubles: Vec<String>,
    pub time: Duration,
}

/// Runs all histories. `say` gets lines of progress.
pub async fn run(options: &Options, say: &dyn Fn(&str)) -> anyhow::Result<Outcome> {
    let started = Instant::now();
    let rig = Rig::start(options.program.clone(), &options.features).await?;
    say(&format!(
        "servers started in {:.1} s",
        started.elapsed().as_secs_f64()
    ));
    let seeds = seeds(options);
    let mut outcome = Outcome::default();
    for (number, part) in seeds.chunks(options.batch.max(1)).enumerate() {
        let began = Instant::now();
        let histories: Vec<History> = part
            .iter()
            .map(|seed| generate::history(*seed, &options.features))
            .collect();
        let plan = Plan {
            seed: part[0],
            features: options.features.clone(),
            is_rough: true,
        };
        let folder = tempfile::tempdir().context("making a folder")?;
        let batch = drive::run(&rig, &histories, &plan, folder.path()).await?;
        let before = outcome.findings.len();
        for (history, seen) in histories.iter().zip(&batch.seen) {
            let (mut findings, counts) = check::check(history, seen, &batch);
            findings.retain(|finding| options.is_timed || finding.kind != check::Kind::ForbiddenRequest);
            outcome.counts.add(counts);
            outcome
                .findings
                .extend(findings.into_iter().map(|finding| (history.seed, finding)));
        }
        outcome.histories += histories.len();
        for (history, seen) in histories.iter().zip(&batch.seen) {
            let found = outcome.findings.iter().find(|(seed, _)| *seed == history.seed);
            if let Some((_, finding)) = found
                && outcome.shrunk.len() < options.shrink
                && !seen.sent.is_empty()
            {
                say(&format!(
                    "history {}: {finding}\n    looking for a smaller one",
                    history.seed
                ));
                match shrink::shrink(&rig, history, finding, &options.features).await? {
                    Some(small) => outcome.shrunk.push(print::small(&small, &rig.keys)),
                    None => say("    it did not come again"),
                }
            }
        }
        let wrong = troubles(&batch);
        for (seed, finding) in &outcome.findings[before..] {
            say(&format!("history {seed}: {finding}"));
        }
        let found = outcome.findings.len() - before;
        let is_wrong = found > 0 || !wrong.is_empty();
        outcome.troubles.extend(wrong);
        say(&format!(
            "batch {}: {} histories, {} messages, {} requests, {} processes of the hub, \
             {} comparisons with the API, {found} findings, \
             {:.1} s (lag {} ms)",
            number + 1,
            histories.len(),
            histories
                .iter()
                .map(|history| history.messages.len())
                .sum::<usize>(),
            batch.seen.iter().map(|seen| seen.calls.len()).sum::<usize>(),
            batch.starts.len(),
            batch.looks,
            began.elapsed().as_secs_f64(),
            batch.lag.as_millis(),
        ));
        if is_wrong && options.keep {
            say(&format!("kept: {}", folder.keep().display()));
        }
    }
    outcome.time = started.elapsed();
    Ok(outcome)
}

fn seeds(options: &Options) -> Vec<u64> {
    if !options.replay.is_empty() {
        return options.replay.clone();
    }
    (options.from..options.from + options.histories)
        .map(|number| mix(&[options.seed, number as u64]) >> 16)
        .collect()
}

/// The errors of a whole batch.
fn troubles(batch: &Batch) -> Vec<String> {
    let books = batch
        .books
        .iter()
        .map(|books| format!("the books do not balance: {books}"));
    let unsettled = batch
        .unsettled
        .iter()
        .map(|waiting| format!("still waiting: {waiting}"));
    let strange = batch
        .strange
        .iter()
        .take(3)
        .map(|strange| format!("unreadable request: {strange}"));
    let unlooked = batch
        .unlooked
        .iter()
        .map(|source| format!("never compared with Proca's API by the last process of the hub: {source}"));
    let held = batch.seen.iter().flat_map(|seen| &seen.held);
    let strangers = held
        .filter(|(_, held)| held.strangers > 0)
        .map(|(key, held)| format!("{key} has {} people whom no message named", held.strangers));
    books
        .chain(strangers)
        .chain(unsettled)
        .chain(unlooked)
        .chain(strange)
        .collect()
}

impl Outcome {
    pub fn is_good(&self) -> bool {
        self.findings.is_empty() && self.troubles.is_empty()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for trouble in &self.troubles {
            writeln!(out, "{trouble}")?;
        }
        for small in &self.shrunk {
            writeln!(out, "{small}")?;
        }
        let Counts {
            allowed,
            forbidden,
            open,
            required,
            calls,
            messages,
        } = self.counts;
        write!(
            out,
            "{} histories in {:.0} s: {messages} messages, {calls} requests; \
             of the addresses at destinations {allowed} allowed ({required} of them required), \
             {forbidden} forbidden, {open} not decided by the documents; {} findings",
            self.histories,
            self.time.as_secs_f64(),
            self.findings.len()
        )
    }
}
