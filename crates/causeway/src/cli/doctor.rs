//! `causeway doctor`: tries everything that the configuration names.

mod consent_from;
mod flow;

use std::{sync::Arc, time::Duration};

use causeway_connect::config::Context as ConnectContext;
use causeway_core::{
    clock::{Clock, TOLERANCE, Timestamp},
    destination::CheckError,
    source::Remark,
    store::{GoneContact, Overview, StoreError, StoreHealth, Views},
};
use jiff::SignedDuration;

use super::{
    Failure,
    context::{Context, counted, say},
};
use crate::{
    clock::SystemClock,
    config::Config,
    hub::{left_behind_in_words, orphan_in_words, orphans},
    sources,
};

/// Opens the store if there is one, reads secrets and keystores, asks the broker for each queue and Proca's API where
/// `reconcile` names it, and has each destination prove address and credentials. Takes no message and sends none. Prints `ok` or
/// `BAD` for each, `WARN` and `note` for what you should know although it works; exit code 1 if one is bad.
/// What stands in the way of deliveries by the store is printed, too: a halted destination is bad, dead messages and deliveries are
/// warnings. For each rule of `consent_from` it says in how many of the last 200 messages the field was; `look` stands before one that
/// may be wrong.
#[derive(clap::Args)]
#[command(after_help = "Example: causeway doctor")]
pub(super) struct Args {
    /// Seconds to wait for each check.
    #[arg(long, default_value_t = 15)]
    timeout: u64,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let config = context.load()?;
    let timeout = Duration::from_secs(args.timeout);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut well = true;
    say(&format!("ok    configuration {}", config.path.display()));

    if let Err(none) = crate::hub::existing_store(&config) {
        say(&format!("ok    store: {none:#}"));
    } else {
        well &= store(context, &config).await?;
    }
    for (name, source) in &config.sources {
        let label = format!("source {name}");
        well &= match sources::prove(&config, name, source, &clock) {
            Ok(None) => told(&label, Ok(Ok(())), timeout),
            Ok(Some(source)) => {
                let mut remarks = Vec::new();
                let checked = tokio::time::timeout(timeout, source.check()).await;
                let checked = checked.map(|checked| checked.map(|found| remarks = found));
                let is_well = told(&label, checked, timeout);
                for remark in &remarks {
                    say_remark(&label, remark);
                }
                is_well
            }
            Err(error) => bad(&label, &config.error_in("source", name, error).to_string()),
        };
    }
    for (name, destination) in &config.destinations {
        let label = format!("destination {name}");
        let context = ConnectContext {
            name: Arc::clone(name),
            clock: Arc::clone(&clock),
            dir: config.dir.clone(),
            tables: config.lookups.clone(),
        };
        match (destination.kind.connect)(&context, &destination.table) {
            Ok(connected) => {
                well &= told(
                    &label,
                    tokio::time::timeout(timeout, connected.check()).await,
                    timeout,
                );
                for remark in connected.remarks() {
                    say(&format!("note  {label}: {remark}"));
                }
            }
            Err(error) => well = bad(&label, &config.error_in("destination", name, error).to_string()),
        }
    }
    if well { Ok(()) } else { Err(Failure::Said) }
}

fn told(
    label: &str,
    result: Result<Result<(), CheckError>, tokio::time::error::Elapsed>,
    timeout: Duration,
) -> bool {
    match result {
        Ok(Ok(())) => {
            say(&format!("ok    {label}"));
            true
        }
        Ok(Err(error)) => bad(label, &error.to_string()),
        Err(_) => bad(label, &format!("no answer within {} s", timeout.as_secs())),
    }
}

fn say_remark(label: &str, remark: &Remark) {
    let mark = if remark.is_warning { "WARN" } else { "note" };
    say(&format!("{mark}  {label}: {}", remark.text));
}

/// For how long a person that reconciliation found gone is listed.
const GONE_DAYS: i64 = 30;

/// People who are still here and no longer in the system that they came from.
async fn gone(views: &dyn Views) -> Result<(), StoreError> {
    let since = SystemClock.now() - SignedDuration::from_hours(24 * GONE_DAYS);
    for person in views.gone_contacts(since).await? {
        let GoneContact {
            source,
            contact,
            message,
            noticed_at,
        } = person;
        let text = format!(
            "contact {contact} is no longer in Proca (noticed at {noticed_at}, message {message}): opted out here; if they asked to \
             be erased, `causeway contact erase` erases them here, too, and `causeway trace {message}` shows who it is"
        );
        let remark = Remark {
            is_warning: true,
            text,
        };
        say_remark(&format!("source {source}"), &remark);
    }
    Ok(())
}

fn bad(label: &str, reason: &str) -> bool {
    say(&format!("BAD   {label}: {reason}"));
    false
}

/// Whether the clock agrees with what is stored, and with itself as far as the hub saw.
fn clock(health: &StoreHealth, now: Timestamp) -> bool {
    let ahead = health.newest.map(|newest| newest.duration_since(now));
    match (&health.clock_alarm, ahead) {
        (Some(alarm), _) if alarm.stands(now) => bad("clock", &alarm.to_string()),
        (_, Some(ahead)) if ahead > TOLERANCE => bad(
            "clock",
            &format!(
                "the newest entry of the store lies {:#} in the future: the system clock is behind, or was ahead when it was \
                 written. Set the clock right; a hub that runs then dates back what was dated ahead, and one that is stopped does so \
                 at its start",
                SignedDuration::from_secs(ahead.as_secs())
            ),
        ),
        _ => {
            say("ok    clock");
            true
        }
    }
}

/// No fault of the hub, and yet somebody may wait for an answer.
fn turned_away(overview: &Overview) {
    for (name, counts) in &overview.sources {
        let lately = counts.turned_away_lately;
        if lately > 0 {
            say(&format!(
                "note  source {name}: {lately} messages of the last 7 days name people who were erased and were turned away; \
                 `causeway trace NUMBER` shows why, the log and the console have the numbers"
            ));
        }
    }
}

/// A destination that still believes that it may use people's data, because it could not be reached or refused.
fn dead_withdrawals_in_words(name: &str, number: u64, is_configured: bool) -> String {
    let withdrawals = if number == 1 {
        "1 withdrawal (opt-out or suppression) was tried and given up".to_owned()
    } else {
        format!("{number} withdrawals (opt-outs and suppressions) were tried and given up")
    };
    let todo = if is_configured {
        format!("fix the cause, then causeway delivery retry --destination {name} --state dead")
    } else {
        format!(
            "it is not in the configuration: update it by hand, then causeway delivery discard --destination {name} --state dead \
             --why 'done by hand'"
        )
    };
    format!("{withdrawals}, and the destination has these people: {todo}")
}

async fn store(context: &Context, config: &Config) -> Result<bool, Failure> {
    Ok(match context.open_to_read(config).await {
        Ok(store) => match store.health().await {
            Ok(health) => {
                let path = config.store_path();
                say(&format!(
                    "ok    store {} ({} bytes)",
                    path.display(),
                    health.bytes
                ));
                let overview = store.overview(SystemClock.now()).await?;
                turned_away(&overview);
                let mut well = clock(&health, SystemClock.now());
                well &= flow::check(&overview, &|name| config.destinations.contains_key(name));
                for (name, waiting) in orphans(config, &*store, SystemClock.now()).await? {
                    well = bad(&format!("destination {name}"), &orphan_in_words(&name, waiting));
                }
                for (name, people) in store.left_behind(config.rules().places()).await? {
                    let reason = left_behind_in_words(&name, people, config.destinations.contains_key(&name));
                    well = bad(&format!("destination {name}"), &reason);
                }
                for (name, number) in store.by_hand().await? {
                    let reason = format!(
                        "{} that it cannot receive: update it by hand (causeway delivery list --state skipped --destination {name}), or repair the \
                         mapping and run causeway delivery retry --destination {name} --state skipped",
                        counted(number, "withdrawal", "withdrawals")
                    );
                    well = bad(&format!("destination {name}"), &reason);
                }
                for (name, number) in store.dead_withdrawals().await? {
                    let is_configured = config.destinations.contains_key(&name);
                    let reason = dead_withdrawals_in_words(&name, number, is_configured);
                    well = bad(&format!("destination {name}"), &reason);
                }
                let conflicts = u64::try_from(store.conflicts().await?.len()).unwrap_or(u64::MAX);
                if conflicts > 0 {
                    let reason = format!(
                        "{} came with three or more addresses: causeway contact conflicts",
                        counted(conflicts, "id", "ids")
                    );
                    well = bad("identities", &reason);
                }
                // Where there are none, it is said of the source.
                if let Ok(decoders) = sources::decoders(config) {
                    for source in config.sources.keys() {
                        let lines = consent_from::lines(source, &decoders, &*store).await?;
                        for line in &lines {
                            say(line);
                        }
                    }
                }
                for text in sources::abandoned(config, overview.sources.keys(), &store.namespaces().await?) {
                    say(&format!("WARN  identities: {text}"));
                }
                gone(&*store).await?;
                well
            }
            Err(error) => bad("store", &error.to_string()),
        },
        Err(Failure::Failed(error)) => bad("store", &format!("{error:#}")),
        Err(other) => return Err(other),
    })
}
