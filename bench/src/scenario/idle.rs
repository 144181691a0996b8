//! How much a hub with nothing to do takes.

use std::time::Duration;

use crate::{
    Bench,
    hub::{self, Hub, Settings},
    report::{Check, Section},
};

pub async fn run(bench: &Bench) -> anyhow::Result<Section> {
    bench.note("idle");
    let args = &bench.args;
    let tables = format!("{}{}", hub::form_source(), hub::NULL);
    let hub = Hub::start(&Settings {
        program: &args.program,
        work: &args.work,
        tables,
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = hub.usage();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let usage = hub.usage();
    let start = hub.start.as_secs_f64() * 1_000.0;
    hub.stop(&args.program)?;
    Ok(Section {
        title: "Idle".to_owned(),
        series: Vec::new(),
        checks: vec![Check::at_most(
            "resident when idle",
            usage.resident_mb,
            40.0,
            20.0,
            "MB",
        )],
        notes: vec![format!(
            "Ready {start:.0} ms after its start with an empty store; {:.2} % of one processor when idle.",
            (usage.cpu_s - before.cpu_s) * 10.0
        )],
    })
}
