//! What is measured. Contestants take turns within a run, so that a busy minute hits all of them.

mod connectors;
mod crm;
mod form;
mod hundred;
mod idle;
mod intake;
mod null;
mod opt_out;
mod queue;
mod rules;
mod waiting;

use anyhow::bail;

use crate::{Bench, report::Section};

pub async fn run(bench: &Bench, name: &str) -> anyhow::Result<Section> {
    match name {
        "idle" => idle::run(bench).await,
        "intake" => intake::run(bench).await,
        "null" => null::run(bench).await,
        "connectors" => connectors::run(bench).await,
        "crm" => crm::run(bench).await,
        "form" => form::run(bench).await,
        "sustained" => form::sustained(bench).await,
        "opt_out" => opt_out::run(bench).await,
        "rules" => rules::run(bench).await,
        "waiting" => waiting::run(bench).await,
        other => bail!("no scenario is called {other}: see bench/run --help"),
    }
}
