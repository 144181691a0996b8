//! `causeway audit`

use causeway_core::store::{Audit, DestinationBooks, SourceBooks, Views};

use super::{
    Failure,
    context::{Context, print_json, print_line},
};

/// Counts all rows and compares the result with the counters that were kept when the rows were made. Every difference
/// must be 0. A gap in Proca's action ids may mean that messages were lost before they reached Causeway.
#[derive(clap::Args)]
#[command(after_help = "Example: causeway audit --json | jq .destinations.crm.difference")]
pub(super) struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let config = context.load()?;
    let audit = context.open_to_read(&config).await?.audit().await?;
    if args.json {
        print_json(&audit)?;
    } else {
        print(&audit);
    }
    if balances(&audit) {
        Ok(())
    } else {
        Err(Failure::Reported)
    }
}

fn balances(audit: &Audit) -> bool {
    audit.sources.values().all(|books| books.difference == 0)
        && audit.destinations.values().all(|books| books.difference == 0)
}

fn print(audit: &Audit) {
    print_line(&format!(
        "{:<20} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "source", "received", "new", "done", "skipped", "dead", "duplicate", "difference"
    ));
    for (
        name,
        SourceBooks {
            received,
            new,
            done,
            skipped,
            dead,
            duplicate,
            difference,
        },
    ) in &audit.sources
    {
        print_line(&format!(
            "{name:<20} {received:>10} {new:>10} {done:>10} {skipped:>10} {dead:>10} {duplicate:>10} {difference:>10}"
        ));
    }
    print_line("");
    print_line(&format!(
        "{:<20} {:>10} {:>10} {:>10} {:>10} {:>10} {:>21}",
        "destination", "planned", "waiting", "delivered", "skipped", "dead", "difference"
    ));
    for (
        name,
        DestinationBooks {
            planned,
            waiting,
            delivered,
            skipped,
            dead,
            difference,
        },
    ) in &audit.destinations
    {
        print_line(&format!(
            "{name:<20} {planned:>10} {waiting:>10} {delivered:>10} {skipped:>10} {dead:>10} {difference:>21}"
        ));
    }
    if !audit.gaps.is_empty() {
        print_line(
            "\nAction ids that never arrived (other organisations' actions, or lost before they reached the queue):",
        );
        for gap in &audit.gaps {
            print_line(&format!("  {}: {} to {}", gap.source, gap.from, gap.to));
        }
    }
    print_line(if balances(audit) {
        "\nThe books balance."
    } else {
        "\nThe books do NOT balance: please report this with the numbers above."
    });
}
