//! `causeway doctor`: checks everything that the configuration names.

mod consent_from;
mod flow;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use causeway_connect::{config::Context as ConnectContext, vault::Vault};
use causeway_core::{
    clock::{Clock, TOLERANCE, Timestamp},
    destination::CheckError,
    id::Name,
    source::Remark,
    store::{Erasure, GoneContact, Overview, StoreError, StoreHealth, Views},
};
use causeway_store::Served;
use jiff::SignedDuration;

use super::{
    Failure,
    context::{Context, counted, print_line},
};
use crate::{
    clock::SystemClock,
    config::{Config, file_differs, whole_path},
    hub::{orphan_in_words, orphans},
    people::left_behind_in_words,
    sources,
    vault::StoreVault,
};

/// Checks the store, secrets, keystores, each queue at the broker, Proca's API if `reconcile` uses it, and the address
/// and credentials of each destination. Takes no message and sends none.
///
/// Prints one line for each check: `ok`, `BAD` (exit code 1), `WARN` or `note`. A halted destination is BAD, dead
/// messages and deliveries are a WARN.
///
/// For each rule of `consent_from` it prints how many of the last 200 messages had the field. A line that begins with
/// `look` names a rule that may be wrong.
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
    print_line(&format!("ok    configuration {}", config.path.display()));

    if let Err(none) = crate::hub::existing_store(&config) {
        print_line(&format!("ok    store: {none:#}"));
    } else {
        well &= store(context, &config).await?;
    }
    for (name, source) in &config.sources {
        let label = format!("source {name}");
        well &= match sources::prove(&config, name, source, &clock) {
            Ok(None) => report(&label, Ok(Ok(())), timeout),
            Ok(Some(source)) => {
                let mut remarks = Vec::new();
                let checked = tokio::time::timeout(timeout, source.check()).await;
                let checked = checked.map(|checked| checked.map(|found| remarks = found));
                let is_well = report(&label, checked, timeout);
                for remark in &remarks {
                    print_remark(&label, remark);
                }
                is_well
            }
            Err(error) => bad(&label, &config.error_in("source", name, error).to_string()),
        };
    }
    let vault: Arc<dyn Vault> = Arc::new(StoreVault::beside(&config, Arc::clone(&clock)));
    for (name, destination) in &config.destinations {
        let label = format!("destination {name}");
        let context = ConnectContext {
            name: Arc::clone(name),
            clock: Arc::clone(&clock),
            dir: config.dir.clone(),
            tables: config.lookups.clone(),
            vault: Arc::clone(&vault),
        };
        match (destination.kind.connect)(&context, &destination.table) {
            Ok(connected) => {
                well &= report(
                    &label,
                    tokio::time::timeout(timeout, connected.check()).await,
                    timeout,
                );
                for remark in connected.remarks() {
                    print_line(&format!("note  {label}: {remark}"));
                }
            }
            Err(error) => well = bad(&label, &config.error_in("destination", name, error).to_string()),
        }
    }
    if well { Ok(()) } else { Err(Failure::Reported) }
}

fn report(
    label: &str,
    result: Result<Result<(), CheckError>, tokio::time::error::Elapsed>,
    timeout: Duration,
) -> bool {
    match result {
        Ok(Ok(())) => {
            print_line(&format!("ok    {label}"));
            true
        }
        Ok(Err(error)) => bad(label, &error.to_string()),
        Err(_) => bad(label, &format!("no answer within {} s", timeout.as_secs())),
    }
}

fn print_remark(label: &str, remark: &Remark) {
    let mark = if remark.is_warning { "WARN" } else { "note" };
    print_line(&format!("{mark}  {label}: {}", remark.text));
}

/// Days for which `doctor` lists a person whom reconciliation no longer found in Proca.
const GONE_DAYS: i64 = 30;

/// Lists contacts that are no longer in the system that they came from.
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
            "contact {contact} is no longer in Proca (noticed at {noticed_at}, message {message}): they are opted out here. If they asked to \
             be erased, run `causeway contact erase` here, too; `causeway trace {message}` shows who it is"
        );
        let remark = Remark {
            is_warning: true,
            text,
        };
        print_remark(&format!("source {source}"), &remark);
    }
    Ok(())
}

fn bad(label: &str, reason: &str) -> bool {
    print_line(&format!("BAD   {label}: {reason}"));
    false
}

/// Compares the configuration with the one of the running hub.
fn in_force(config: &Config, served: Option<&Served>) {
    let Some(served) = served else { return };
    let (number, since) = (served.generation, served.since.strftime("%Y-%m-%d %H:%M:%S UTC"));
    if served.file != whole_path(&config.path) {
        print_line(&format!(
            "note  hub: it reads another configuration, {}",
            served.file.display()
        ));
    } else if served.config == config.digest() {
        print_line(&format!(
            "ok    hub: generation {number} of the configuration is in force, since {since}"
        ));
    } else {
        let differs = file_differs(&config.path);
        print_line(&format!(
            "WARN  hub: generation {number} of the configuration is in force, since {since}; {differs}"
        ));
    }
}

/// Checks that no stored time lies in the future, and that the hub saw no jump of the system clock.
fn clock(health: &StoreHealth, now: Timestamp) -> bool {
    let ahead = health.newest.map(|newest| newest.duration_since(now));
    match (&health.clock_alarm, ahead) {
        (Some(alarm), _) if alarm.stands(now) => bad("clock", &alarm.to_string()),
        (_, Some(ahead)) if ahead > TOLERANCE => bad(
            "clock",
            &format!(
                "the newest entry of the store lies {:#} in the future: the system clock is behind, or was ahead when it was \
                 written. Set the clock right. A running hub then corrects the dates that lie in the future; a stopped hub does so \
                 at its start",
                SignedDuration::from_secs(ahead.as_secs())
            ),
        ),
        _ => {
            print_line("ok    clock");
            true
        }
    }
}

/// Lists messages that name erased people: not an error, but somebody may have signed again and expect an answer.
fn turned_away(overview: &Overview) {
    for (name, counts) in &overview.sources {
        let lately = counts.turned_away_lately;
        if lately > 0 {
            print_line(&format!(
                "note  source {name}: {lately} messages of the last 7 days name people who were erased and were turned away; \
                 `causeway trace NUMBER` shows why, the log and the console have the numbers"
            ));
        }
    }
}

/// The destination may still use people's data, because it rejected the withdrawal or could not be reached.
fn dead_withdrawals_in_words(name: &str, number: u64, is_configured: bool) -> String {
    let withdrawals = if number == 1 {
        "1 withdrawal (opt-out or suppression) is dead".to_owned()
    } else {
        format!("{number} withdrawals (opt-outs and suppressions) are dead")
    };
    let todo = if is_configured {
        format!("fix the cause, then causeway delivery retry --destination {name} --state dead")
    } else {
        format!(
            "it is not in the configuration: update it by hand, then causeway delivery discard --destination {name} --state dead \
             --withdrawals --why 'done by hand'"
        )
    };
    format!("{withdrawals}, and the destination still has these people: {todo}")
}

/// Destinations that rejected removals or cannot receive them, with the number of people.
fn still_there(erasures: &[Erasure]) -> BTreeMap<Name, u64> {
    let mut all = BTreeMap::new();
    for erasure in erasures {
        let needs_a_person = |state: &str| matches!(state, "dead" | "skipped");
        let removals = erasure.removals.iter();
        let names: BTreeSet<&Name> = removals
            .filter(|removal| needs_a_person(&removal.state))
            .map(|removal| &removal.destination)
            .collect();
        for name in names {
            *all.entry(Name::clone(name)).or_default() += 1;
        }
    }
    all
}

async fn store(context: &Context, config: &Config) -> Result<bool, Failure> {
    Ok(match context.open_to_read(config).await {
        Ok(store) => match store.health().await {
            Ok(health) => {
                let path = config.store_path();
                print_line(&format!(
                    "ok    store {} ({} bytes)",
                    path.display(),
                    health.bytes
                ));
                if causeway_store::is_served(&path) {
                    in_force(config, store.served().await?.as_ref());
                }
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
                for (name, number) in store.by_hand(config.rules().into()).await? {
                    let reason = format!(
                        "{} that it cannot receive: update it by hand (causeway delivery list --state skipped --destination {name}), or fix the \
                         mapping and run causeway delivery retry --destination {name} --state skipped",
                        counted(number, "withdrawal", "withdrawals")
                    );
                    well = bad(&format!("destination {name}"), &reason);
                }
                for (name, people) in still_there(&store.erasures().await?) {
                    let reason = format!(
                        "{} still there, and the removal did not arrive: causeway contact leaving",
                        counted(
                            people,
                            "person who asked to be erased is",
                            "people who asked to be erased are"
                        )
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
                // A source without decoders was reported above.
                if let Ok(decoders) = sources::decoders(config) {
                    for source in config.sources.keys() {
                        let lines = consent_from::lines(source, &decoders, &*store).await?;
                        for line in &lines {
                            print_line(line);
                        }
                    }
                }
                for text in sources::abandoned(config, overview.sources.keys(), &store.namespaces().await?) {
                    print_line(&format!("WARN  identities: {text}"));
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
