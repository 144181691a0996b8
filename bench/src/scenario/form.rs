//! Form post → committed → 200 on 64 connections: in short bursts, and for a minute with everything behind it at work.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use crate::{
    Bench,
    http::{self, Load},
    hub::{self, Hub, Settings},
    peers::Php,
    report::{Check, Run, Section, Series},
    servers,
    usage::Usage,
};

const CONNECTIONS: usize = 64;

pub async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let time = Duration::from_secs(bench.args.form_s);
    let mut bare = Series::new("bare axum, stores nothing");
    let mut php = Series::new("nginx + PHP-FPM + SQLite FULL");
    let mut hub = Series::new("**causeway, answered after commit**");
    for run in 1..=bench.args.runs {
        bench.note(&format!("form, run {run}"));
        let server = servers::bare().await?;
        bare.runs.push(figures(
            &http::post_forms(server.port, "/in", CONNECTIONS, time, &numbers()).await?,
            None,
        ));
        drop(server);
        php.runs.push(of_php(bench, time).await?);
        let (load, usage, _) = of_hub(bench, time).await?;
        hub.runs.push(figures(&load, Some(usage)));
    }
    let rate = hub.per_s();
    let checks = vec![
        Check::at_least(
            "form → committed → 200, beside PHP",
            rate / php.per_s(),
            10.0,
            10.0,
            "×",
        ),
        Check::at_most("p99", hub.of(|run| run.p99_ms), 25.0, 25.0, "ms"),
        Check::at_least("… of bare axum", 100.0 * rate / bare.per_s(), 40.0, 60.0, "%"),
        Check::at_most(
            "CPU per 100 k, form intake",
            hub.of(|run| run.cpu_s),
            8.0,
            5.0,
            "s",
        ),
        Check::at_most("peak resident", hub.of(|run| run.peak_mb), 120.0, 80.0, "MB"),
    ];
    Ok(Section {
        title: format!("Form post → committed → 200, {CONNECTIONS} connections"),
        series: vec![bare, php, hub],
        checks,
        notes: vec!["The hub processes and delivers (to null) beside the intake, and its CPU includes what it did of that until the last answer.".to_owned()],
    })
}

/// The same for long, until everything is delivered.
pub async fn sustained(bench: &Bench) -> anyhow::Result<Section> {
    bench.note("sustained");
    let time = Duration::from_secs(bench.args.sustained_s);
    let mut php = Series::new("nginx + PHP-FPM + SQLite FULL");
    php.runs.push(of_php(bench, time).await?);
    let (load, _, drained) = of_hub(bench, time).await?;
    #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
    let answered = load.answered as f64;
    let mut burst = Series::new("**causeway, answered after commit**");
    burst.runs.push(figures(&load, None));
    let whole = answered / (load.seconds + drained.behind.as_secs_f64());
    let mut hub = Series::new("**causeway, processed and delivered**");
    hub.runs.push(Run {
        per_s: whole,
        cpu_s: Some(drained.usage.cpu_s * 100_000.0 / answered),
        peak_mb: Some(drained.usage.peak_mb),
        ..Run::default()
    });
    let checks = vec![
        Check::at_least(
            "sustained, all delivered, beside PHP",
            whole / php.per_s(),
            3.0,
            3.0,
            "×",
        ),
        Check::at_least("sustained, all delivered", whole, 5_500.0, 8_000.0, "/s"),
        Check::at_most(
            "CPU per 100 k, form to null",
            drained.usage.cpu_s * 100_000.0 / answered,
            16.0,
            12.0,
            "s",
        ),
        Check::at_most("peak resident", drained.usage.peak_mb, 120.0, 80.0, "MB"),
    ];
    let notes = vec![format!(
        "The last delivery came {:.1} s after the last answer; the rate counts until then.",
        drained.behind.as_secs_f64()
    )];
    Ok(Section {
        title: format!("Forms for {} s, null destination", time.as_secs()),
        series: vec![php, burst, hub],
        checks,
        notes,
    })
}

async fn of_php(bench: &Bench, time: Duration) -> anyhow::Result<Run> {
    let folder = bench.args.bench.join("php");
    let php = Php::start(
        &folder.join("listener.php"),
        &folder.join("schema.sql"),
        &bench.args.work,
    )?;
    let before = php.usage();
    let load = http::post_forms(php.port, "/", CONNECTIONS, time, &numbers()).await?;
    let mut usage = php.usage();
    usage.cpu_s -= before.cpu_s;
    anyhow::ensure!(
        php.contacts()? >= load.answered,
        "PHP answered more than it stored"
    );
    anyhow::ensure!(load.refused == 0, "PHP refused {} posts", load.refused);
    Ok(figures(&load, Some(usage)))
}

/// How a hub ended its work.
struct Drained {
    behind: Duration,
    usage: Usage,
}

async fn of_hub(bench: &Bench, time: Duration) -> anyhow::Result<(Load, Usage, Drained)> {
    let args = &bench.args;
    let tables = format!("{}{}", hub::form_source(), hub::NULL);
    let hub = Hub::start(&Settings {
        program: &args.program,
        work: &args.work,
        tables,
    })
    .await?;
    let load = http::post_forms(
        hub.listener,
        &format!("/in/{}", hub::TOKEN),
        CONNECTIONS,
        time,
        &numbers(),
    )
    .await?;
    let (usage, ended) = (hub.usage(), Instant::now());
    anyhow::ensure!(load.refused == 0, "the hub refused {} posts", load.refused);
    hub.wait_for("delivered_total", load.answered).await?;
    let drained = Drained {
        behind: ended.elapsed(),
        usage: hub.usage(),
    };
    hub.stop(&args.program)?;
    Ok((load, usage, drained))
}

/// Each server has an empty store, so each begins with the first person.
fn numbers() -> Arc<AtomicU64> {
    Arc::new(AtomicU64::new(1))
}

#[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
fn figures(load: &Load, usage: Option<Usage>) -> Run {
    Run {
        per_s: load.rate(),
        cpu_s: usage.map(|usage| usage.cpu_s * 100_000.0 / load.answered as f64),
        peak_mb: usage.map(|usage| usage.peak_mb),
        p50_ms: Some(load.within_ms(0.5)),
        p99_ms: Some(load.within_ms(0.99)),
    }
}
