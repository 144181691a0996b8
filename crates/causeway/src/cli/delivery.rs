//! `causeway delivery`: lists, retries and discards deliveries; pauses and resumes lanes.

use causeway_core::{
    clock::Clock,
    id::{DeliveryId, Name},
    store::{DeliveryFilter, Discarded, LaneState, Store, Views},
};
use clap::{Subcommand, ValueEnum};

use super::{
    Failure,
    context::{Context, counted, print_json, print_line},
    trace::contact_in_words,
};
use crate::{clock::SystemClock, config::Config};

#[derive(clap::Args)]
#[command(
    after_help = "Example: causeway delivery list --state dead --destination crm\n         causeway delivery retry --destination crm --state dead\n         causeway delivery resume crm"
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Lists deliveries, newest first.
    #[command(after_help = "Example: causeway delivery list --state dead")]
    List {
        #[command(flatten)]
        filter: Filter,
        /// The maximum number of deliveries.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Makes dead deliveries due now, with a fresh retry schedule. With `--state skipped`, or by their numbers, it also
    /// sends skipped ones.
    #[command(
        after_help = "Example: causeway delivery retry 17 18\n         causeway delivery retry --destination crm --reason 422"
    )]
    Retry {
        #[command(flatten)]
        filter: Filter,
    },
    /// Ends waiting or dead deliveries without sending them. Withdrawals (opt-outs, suppressions and removals) are left
    /// out, because their destination still has the people: name each by its number, or add `--withdrawals`.
    #[command(
        after_help = "Example: causeway delivery discard 17 --why 'entered by hand'\n         causeway delivery discard --destination crm --state dead"
    )]
    Discard {
        #[command(flatten)]
        filter: Filter,
        /// Discard withdrawals, too. Unsubscribe or delete these people at the destination by hand first.
        #[arg(long)]
        withdrawals: bool,
        /// The reason; it is stored with the delivery and shown in its trace.
        #[arg(long, default_value = "discarded by hand")]
        why: String,
    },
    /// Stops sending to a destination; its deliveries wait.
    #[command(after_help = "Example: causeway delivery pause crm")]
    Pause { destination: String },
    /// Continues sending after a pause or a halt.
    #[command(after_help = "Example: causeway delivery resume crm")]
    Resume { destination: String },
}

#[derive(clap::Args)]
struct Filter {
    /// Numbers of deliveries.
    ids: Vec<i64>,
    /// Only deliveries to this destination.
    #[arg(long)]
    destination: Option<String>,
    /// Only deliveries in this state.
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only deliveries whose reason contains this text.
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum State {
    Waiting,
    Blocked,
    Delivered,
    Dead,
    Skipped,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Blocked => "blocked",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Skipped => "skipped",
        }
    }
}

impl Filter {
    fn is_empty(&self) -> bool {
        self.ids.is_empty() && self.destination.is_none() && self.state.is_none() && self.reason.is_none()
    }

    fn rule(self, config: &Config) -> Result<DeliveryFilter, Failure> {
        let destination = self.destination.as_deref();
        let destination = destination.map(|name| known(config, name)).transpose()?;
        Ok(self.rule_of(destination))
    }

    /// Accepts a renamed or removed destination, too: its deliveries are still stored.
    async fn rule_with_gone(self, config: &Config, views: &dyn Views) -> Result<DeliveryFilter, Failure> {
        let destination = match self.destination.as_deref() {
            None => None,
            Some(name) => {
                let seen = views.overview(SystemClock.now()).await?.destinations;
                match seen.get_key_value(name) {
                    Some((name, _)) => Some(Name::clone(name)),
                    None => Some(known(config, name)?),
                }
            }
        };
        Ok(self.rule_of(destination))
    }

    fn rule_of(self, destination: Option<Name>) -> DeliveryFilter {
        DeliveryFilter {
            ids: self.ids.into_iter().map(DeliveryId).collect(),
            destination,
            state: self.state.map(|state| state.as_str().to_owned()),
            reason: self.reason,
            ..DeliveryFilter::default()
        }
    }

    /// Requires a filter for commands that change deliveries: a missing one is more likely a slip than intended.
    fn required(self) -> Result<Self, Failure> {
        if self.is_empty() {
            let text = "no deliveries named: give numbers, --destination, --state or --reason";
            return Err(Failure::Usage(text.to_owned()));
        }
        Ok(self)
    }
}

/// The name of a configured destination, or an error that lists them.
pub(super) fn known(config: &Config, name: &str) -> Result<Name, Failure> {
    if let Some((name, _)) = config.destinations.get_key_value(name) {
        return Ok(Name::clone(name));
    }
    let names: Vec<&str> = config.destinations.keys().map(|name| &**name).collect();
    Err(Failure::Usage(format!(
        "there is no destination {name:?}; the configuration has {}",
        listed(&names)
    )))
}

/// The names, or a text that says that there are none.
pub(super) fn listed(names: &[&str]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn print_discarded(discarded: Discarded) {
    let rows = counted(discarded.deliveries, "delivery", "deliveries");
    print_line(&format!("{rows} discarded"));
    let left = discarded.withdrawals_left;
    if left > 0 {
        print_line(&format!(
            "{} left as before: the destination still has these people. \
             `causeway delivery list` shows the numbers; unsubscribe or delete the people there by hand, then discard the \
             withdrawals by their numbers, or all with --withdrawals.",
            counted(left, "withdrawal was", "withdrawals were")
        ));
    }
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let config = context.load()?;
    let store = match args.verb {
        Verb::List { .. } => context.open_to_read(&config).await?,
        // A pause is allowed before the first start of the hub: then the start sends nothing.
        Verb::Pause { .. } => context.open_or_make(&config).await?,
        _ => context.open(&config).await?,
    };
    let now = SystemClock.now();
    match args.verb {
        Verb::List { filter, limit, json } => {
            let rows = store
                .deliveries(filter.rule_with_gone(&config, &*store).await?, limit)
                .await?;
            if json {
                return print_json(&rows);
            }
            print_line(&format!(
                "{:>9} {:>9} {:<18} {:<11} {:<10} {:>8}  {:<12} reason",
                "delivery", "record", "destination", "kind", "state", "attempts", "contact"
            ));
            for row in rows {
                print_line(&format!(
                    "{:>9} {:>9} {:<18} {:<11} {:<10} {:>8}  {:<12} {}",
                    row.id.0,
                    row.inbox_id.0,
                    row.destination,
                    row.kind,
                    row.state,
                    row.attempts,
                    row.contact_id.map_or_else(String::new, contact_in_words),
                    row.reason.as_deref().unwrap_or_default()
                ));
            }
        }
        Verb::Retry { filter } => {
            let rows = store
                .retry_deliveries(filter.required()?.rule(&config)?, now)
                .await?;
            let are = if rows == 1 { "is" } else { "are" };
            print_line(&format!(
                "{} {are} due now",
                counted(rows, "delivery", "deliveries")
            ));
        }
        Verb::Discard {
            filter,
            withdrawals,
            why,
        } => {
            let mut filter = filter.required()?.rule_with_gone(&config, &*store).await?;
            filter.without_withdrawals = filter.ids.is_empty() && !withdrawals;
            print_discarded(store.discard_deliveries(filter, &why, now).await?);
        }
        Verb::Pause { destination } => {
            let name = known(&config, &destination)?;
            let halted = store.lanes().await?.remove(&name).and_then(|state| state.halted);
            store.set_lane(&name, LaneState { paused: true, halted }).await?;
            print_line(&format!(
                "{name} is paused; `causeway delivery resume {name}` sends again"
            ));
        }
        Verb::Resume { destination } => {
            let name = known(&config, &destination)?;
            store.set_lane(&name, LaneState::default()).await?;
            print_line(&format!("{name} sends again"));
        }
    }
    Ok(())
}
