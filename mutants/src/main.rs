//! Changes the rules of consent in small ways and checks that a test notices each change.
//!
//! All changed versions (mutants) are compiled into one build, and an environment variable chooses the active
//! one, so that hundreds of them need one build.

mod compile;
mod find;
mod render;
mod results;
mod run;
mod table;
mod tree;
mod values;

use std::{
    collections::{HashMap, HashSet},
    io::IsTerminal,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Mutex,
    time::{Duration, Instant},
};

use clap::Parser;

use crate::{
    find::{Key, Mutant},
    results::{Accepted, Outcome, Results},
    run::Runner,
    table::PARTS,
    tree::Tree,
};

#[derive(Parser)]
#[command(
    name = "mutants/run",
    about = "Changes the rules of consent in small ways and checks that a test notices."
)]
struct Options {
    /// Only mutants whose file or function contains one of these.
    filter: Vec<String>,
    /// Lists the mutants and runs nothing.
    #[arg(long)]
    list: bool,
    /// Keeps the mutants that were killed before, although the code or the tests have changed since.
    #[arg(long)]
    survivors: bool,
    /// Leaves out the tests that take long. With `--survivors` they run later.
    #[arg(long)]
    quick: bool,
    /// Mutants tested at once; default: one for each processor.
    #[arg(long)]
    workers: Option<usize>,
    /// Waits before each mutant while this file exists, so that a measurement has the machine for itself.
    #[arg(long)]
    wait_for: Option<PathBuf>,
    /// Where the copy of the workspace, its build and the results go.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/target/work"))]
    work: PathBuf,
}

fn main() -> ExitCode {
    match check(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn is_chosen(options: &Options, key: &Key) -> bool {
    let filter = &options.filter;
    filter.is_empty()
        || filter
            .iter()
            .any(|part| key.file.contains(&**part) || key.function.contains(&**part))
}

fn check(options: &Options) -> anyhow::Result<bool> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let from = own.parent().unwrap_or(own);
    let tree = Tree::read(from, options.work.join("tree"))?;
    if options.list {
        let all = tree.write(&HashSet::new())?.mutants;
        for (_, mutant) in all.iter().filter(|(_, mutant)| is_chosen(options, &mutant.key)) {
            println!("{mutant}");
        }
        return Ok(true);
    }
    let accepted = results::accepted(&own.join("accepted.toml"))?;
    let mut results = open_results(options, &tree)?;
    let (target, known) = (
        options.work.join("target"),
        options.work.join("uncompilable.json"),
    );
    let (mutated, dropped, binaries) =
        compile::build(&tree, (&target, &known), |key| is_chosen(options, key))?;
    let all: Vec<(usize, Mutant)> = mutated
        .mutants
        .into_iter()
        .filter(|(_, mutant)| !dropped.contains(&mutant.key) && is_chosen(options, &mutant.key))
        .collect();
    let open: Vec<&(usize, Mutant)> = all
        .iter()
        .filter(|(_, mutant)| !results.known.contains_key(&mutant.key))
        .collect();
    println!("{} mutants, {} of them to be tested", all.len(), open.len());
    if !open.is_empty() {
        let mut runner = Runner::new(&tree.root, binaries)?;
        let workers = options
            .workers
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let parts = open.iter().map(|(part, _)| *part).collect();
        runner.learn(&parts, workers, options.quick, &options.work.join("reach.json"))?;
        test(&runner, &open, workers, (options, &mut results))?;
    }
    let accepted: Vec<Accepted> = accepted
        .into_iter()
        .filter(|accepted| is_chosen(options, &accepted.key))
        .collect();
    Ok(report(&all, &results, &accepted))
}

/// Results are continued if nothing has changed since.
fn open_results(options: &Options, tree: &Tree) -> anyhow::Result<Results> {
    std::fs::create_dir_all(&options.work)?;
    let path = options.work.join("hash");
    let hash = tree.hash();
    let is_same = std::fs::read_to_string(&path).is_ok_and(|known| known == hash);
    if !is_same && !options.survivors {
        let _ = std::fs::remove_file(options.work.join("uncompilable.json"));
    }
    let results = Results::open(&options.work.join("results.tsv"), |outcome| {
        is_same || (options.survivors && !outcome.lives())
    })?;
    std::fs::write(&path, hash)?;
    Ok(results)
}

fn test(
    runner: &Runner,
    open: &[&(usize, Mutant)],
    workers: usize,
    (options, results): (&Options, &mut Results),
) -> anyhow::Result<()> {
    let start = Instant::now();
    let state = Mutex::new((results, HashMap::<&str, usize>::new(), Duration::ZERO));
    let is_terminal = std::io::stderr().is_terminal();
    run::each(workers, open, |worker, (part, mutant)| {
        while options.wait_for.as_ref().is_some_and(|file| file.exists()) {
            std::thread::sleep(Duration::from_secs(1));
        }
        let (outcome, by) = runner.try_one(PARTS[*part].stages, mutant.id, worker)?;
        let mut state = state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (results, counts, shown) = &mut *state;
        results.add(&mutant.key, outcome, &by)?;
        *counts.entry(outcome.as_str()).or_default() += 1;
        if outcome.lives() {
            eprintln!(
                "{}{}: {mutant}",
                if is_terminal { "\r\x1b[K" } else { "" },
                outcome.as_str()
            );
        }
        let done: usize = counts.values().sum();
        let took = start.elapsed();
        if is_terminal || took > *shown + Duration::from_secs(30) || done == open.len() {
            *shown = took;
            let count = |outcome: Outcome| counts.get(outcome.as_str()).copied().unwrap_or(0);
            eprint!(
                "{}{done} of {}: {} killed, {} timed out, {} survived, {} unreached, {} s{}",
                if is_terminal { "\r\x1b[K" } else { "" },
                open.len(),
                count(Outcome::Killed),
                count(Outcome::TimedOut),
                count(Outcome::Survived),
                count(Outcome::Unreached),
                took.as_secs(),
                if is_terminal && done < open.len() {
                    ""
                } else {
                    "\n"
                },
            );
        }
        Ok(())
    })
}

/// Prints the survivors; returns whether each is accepted, and each accepted one survived.
fn report(all: &[(usize, Mutant)], results: &Results, accepted: &[Accepted]) -> bool {
    let reasons: HashMap<&Key, &str> = accepted
        .iter()
        .map(|accepted| (&accepted.key, &*accepted.reason))
        .collect();
    let mut unexplained = 0;
    let mut explained = 0;
    for (_, mutant) in all {
        let Some(outcome) = results.known.get(&mutant.key).filter(|outcome| outcome.lives()) else {
            continue;
        };
        if reasons.contains_key(&mutant.key) {
            explained += 1;
        } else {
            unexplained += 1;
            println!("{}: {mutant}", outcome.as_str());
        }
    }
    let alive: HashSet<&Key> = all
        .iter()
        .map(|(_, mutant)| &mutant.key)
        .filter(|key| results.known.get(*key).is_some_and(|outcome| outcome.lives()))
        .collect();
    let exist: HashSet<&Key> = all.iter().map(|(_, mutant)| &mutant.key).collect();
    let mut stale = 0;
    for Accepted { key, .. } in accepted.iter().filter(|accepted| !alive.contains(&accepted.key)) {
        stale += 1;
        let why = if exist.contains(key) {
            "is killed now"
        } else {
            "no longer exists"
        };
        println!(
            "accepted.toml: {} {}: {} ({}): {why}",
            key.file, key.function, key.mutation, key.ordinal
        );
    }
    println!(
        "{} mutants: {} killed, {explained} survivors explained, {unexplained} not, {stale} explanations without survivor",
        all.len(),
        all.len() - explained - unexplained
    );
    unexplained == 0 && stale == 0
}
