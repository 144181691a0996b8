//! `causeway test`: runs the `[[test]]` blocks of the configuration.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use causeway_core::{clock::Clock, nearest::nearest};
use serde_json::json;

use super::{
    Failure,
    context::{Context, print_json, print_line, until_signal},
};
use crate::{
    cli::trial::{
        difference::{painted, render},
        folder::PrivateFolder,
        test::{Verdict, run as run_test},
    },
    clock::SystemClock,
    config::{Config, Test},
};

/// Runs the [[test]] blocks of the configuration. Each processes its messages by the real rules on a separate store and
/// compares the result with `expect`. Nothing is sent, the hub's store is not touched, and no secret is needed.
#[derive(clap::Args)]
#[command(
    after_help = "Example: causeway test\n         causeway --config samples/configs/01-petition-newsletter.toml test\n         causeway test 'no consent' --json"
)]
pub(super) struct Args {
    /// Only tests whose name contains one of these.
    names: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    until_signal(run_tests(context, args)).await
}

async fn run_tests(context: &Context, args: Args) -> Result<(), Failure> {
    let config = context.load()?;
    let tests = chosen(&config, &args.names)?;
    // The system's temporary folder is private enough: people in tests are invented, and a data folder need not exist.
    let folder = PrivateFolder::make(&std::env::temp_dir()).context("making a folder for the tests")?;
    let now = SystemClock.now();
    let colour = colour();
    let mut verdicts = Vec::new();
    for test in tests {
        let verdict = run_test(&config, test, now, &folder).await;
        if !args.json {
            print(&verdict, colour);
        }
        verdicts.push(verdict);
    }
    let failed = verdicts.iter().filter(|verdict| !verdict.passed).count();
    let passed = verdicts.len() - failed;
    if args.json {
        print_json(&json!({ "passed": passed, "failed": failed, "tests": verdicts }))?;
    } else {
        let text = format!("{passed} passed, {failed} failed");
        print_line(&painted(&text, if failed == 0 { "32" } else { "31" }, colour));
    }
    if failed == 0 {
        Ok(())
    } else {
        Err(Failure::Reported)
    }
}

fn chosen<'a>(config: &'a Config, names: &[String]) -> Result<Vec<&'a Test>, Failure> {
    if config.tests.is_empty() {
        return Err(Failure::Usage(format!(
            "{} has no [[test]]; docs/testing.md shows how to write one",
            config.path.display()
        )));
    }
    let folded = |text: &str| text.to_lowercase();
    for name in names {
        let is_there = |test: &Test| folded(&test.name).contains(&folded(name));
        if !config.tests.iter().any(is_there) {
            let known = || config.tests.iter().map(|test| test.name.as_str());
            let meant = nearest(name, known()).map_or_else(
                || format!("there are: {}", known().collect::<Vec<_>>().join(", ")),
                |meant| format!("did you mean {meant:?}?"),
            );
            return Err(Failure::Usage(format!("no test is called {name:?}; {meant}")));
        }
    }
    let is_chosen = |test: &&Test| {
        names.is_empty()
            || names
                .iter()
                .any(|name| folded(&test.name).contains(&folded(name)))
    };
    Ok(config.tests.iter().filter(is_chosen).collect())
}

fn print(verdict: &Verdict, colour: bool) {
    let mark = if verdict.passed {
        painted("ok  ", "32", colour)
    } else {
        painted("FAIL", "31", colour)
    };
    print_line(&format!("{mark} {}", verdict.name));
    for failure in &verdict.failures {
        print_line(&format!("     {}", failure.what));
        if let (Some(expected), Some(actual)) = (&failure.expected, &failure.actual) {
            for line in render(expected, actual, colour).lines() {
                print_line(&format!("       {line}"));
            }
        }
    }
}

/// Whether standard output is a terminal that shows colours.
pub(super) fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}
