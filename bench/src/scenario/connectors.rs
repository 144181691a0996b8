//! Ten thousand waiting people → vendors' APIs in memory that answer in 50 ms: requests, limits, processor time.

mod accounts;
mod drain;

use anyhow::Context as _;
use causeway_testkit::vendors::{FakeVendor, Vendor};

use self::{
    accounts::{Account, Slow, brevo, google, hubspot, hubspot_subscriptions, meta, salesforce},
    drain::Drained,
};
use crate::{
    Bench,
    report::{Check, Run, Section, Series, median},
};

/// The most processor time of the hub for a record, in microseconds, where calls are shared.
const MICROSECONDS: f64 = 60.0;

pub async fn run(bench: &Bench) -> anyhow::Result<Section> {
    let (mut series, mut checks) = (Vec::new(), Vec::new());
    let mut add = |(one, its_checks): (Series, Vec<Check>)| {
        series.push(one);
        checks.extend(its_checks);
    };
    add(measure(bench, &hubspot()).await?);
    add(measure(bench, &hubspot_subscriptions()).await?);
    add(measure(bench, &salesforce()).await?);
    add(measure(bench, &meta()).await?);
    add(measure(bench, &google()).await?);
    add(measure(bench, &brevo()).await?);
    Ok(Section {
        title: "Waiting people → vendors' APIs".to_owned(),
        series,
        checks,
        notes: vec![format!(
            "Each API answers in {} ms, in the process of the benchmark. CPU is that of the hub. \
             Of counts the worst run is shown, of the others the median.",
            accounts::ANSWERS_IN.as_millis()
        )],
    })
}

async fn measure<V: Vendor>(bench: &Bench, account: &Account<V>) -> anyhow::Result<(Series, Vec<Check>)> {
    let mut runs = Vec::new();
    for run in 1..=bench.args.runs {
        bench.note(&format!("connectors, {}, run {run}", account.title));
        let (vendor, keys) = (account.make)();
        let vendor = FakeVendor::start(Slow::new(vendor)).await;
        let drained = drain::drain(bench, account, &vendor, &keys).await;
        runs.push(drained.with_context(|| account.title.to_owned())?);
    }
    let mut series = Series::new(&format!(
        "**causeway** → {}, {} people, `batch = {}`",
        account.title, account.people, account.batch
    ));
    series.runs = runs.iter().map(|drained| drained.run).collect();
    Ok((series, checks(account, &runs)))
}

fn checks<V>(account: &Account<V>, runs: &[Drained]) -> Vec<Check> {
    let title = account.title;
    let most = |count: fn(&Drained) -> usize| number(runs.iter().map(count).max().unwrap_or(usize::MAX));
    let median_of = |figure: &dyn Fn(&Run) -> f64| median(runs.iter().map(|one| figure(&one.run)).collect());
    let at_most = |what: &str, measured, must, unit| {
        Check::at_most(&format!("{title}: {what}"), measured, must, must, unit)
    };
    let fewest = account.fewest;
    let mut checks = vec![
        at_most(
            &format!("requests ÷ the fewest possible ({fewest})"),
            most(|one| one.requests) / number(fewest),
            1.1,
            "×",
        ),
        at_most(
            "calls beyond its limit, and other errors",
            most(|one| one.refused),
            0.0,
            "",
        ),
    ];
    if account.is_read_again {
        let again = most(|one| one.again);
        checks.push(at_most("requests for the same people again", again, 0.0, ""));
    }
    if let Some(per_s) = account.calls_per_s {
        let possible = per_s * number(account.people) / number(fewest);
        let part = median_of(&|run: &Run| run.per_s) / possible * 100.0;
        let what = format!("{title}: rate ÷ what limit and batch allow ({possible:.0} people a second)");
        checks.push(Check::at_least(&what, part, 90.0, 90.0, "%"));
    }
    if account.batch > 1 {
        let micros = median_of(&|run: &Run| run.cpu_s.unwrap_or(f64::NAN) * 10.0);
        checks.push(at_most("processor time of a record", micros, MICROSECONDS, "µs"));
    }
    checks
}

#[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
fn number(number: usize) -> f64 {
    number as f64
}
