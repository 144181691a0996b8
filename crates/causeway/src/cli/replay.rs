//! `causeway replay`: processes dead messages again, or discards them.

use causeway_core::{
    clock::Clock,
    event::DeadCode,
    id::{InboxId, Name},
    store::{InboxFilter, InboxState, Store, Views},
};
use clap::ValueEnum;

use super::{
    Failure,
    context::{Context, print_line},
    delivery::listed,
};
use crate::clock::SystemClock;

/// Has messages processed again after you fixed the cause: dead ones, or by number also skipped ones. The running hub
/// processes them; if no hub runs, they wait.
#[derive(clap::Args)]
#[command(
    after_help = "Example: causeway replay 4711\n         causeway replay --source proca --code unknown\n         causeway replay --code malformed --discard 'a test of ours'"
)]
pub(super) struct Args {
    /// Message numbers.
    ids: Vec<i64>,
    /// Only dead messages of this source.
    #[arg(long)]
    source: Option<String>,
    /// Only dead messages with this code.
    #[arg(long, value_enum)]
    code: Option<Code>,
    /// Discard these dead messages instead, for this reason. They are stored as skipped, as long as other messages.
    #[arg(long, value_name = "REASON")]
    discard: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Code {
    Malformed,
    Unknown,
    KeyMissing,
    Undecryptable,
    Automation,
    Late,
    Internal,
}

impl From<Code> for DeadCode {
    fn from(code: Code) -> Self {
        match code {
            Code::Malformed => Self::Malformed,
            Code::Unknown => Self::Unknown,
            Code::KeyMissing => Self::KeyMissing,
            Code::Undecryptable => Self::Undecryptable,
            Code::Automation => Self::Automation,
            Code::Late => Self::Late,
            Code::Internal => Self::Internal,
        }
    }
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    if args.ids.is_empty() && args.source.is_none() && args.code.is_none() {
        let text = "no messages named: give numbers, --source or --code";
        return Err(Failure::Usage(text.to_owned()));
    }
    let config = context.load()?;
    let names: Vec<&str> = config.sources.keys().map(|name| &**name).collect();
    let store = context.open(&config).await?;
    // Also for a source that was renamed or removed, and for timers of automations.
    let seen = store.overview(SystemClock.now()).await?.sources;
    if let Some(source) = &args.source
        && !names.contains(&source.as_str())
        && !seen.contains_key(source.as_str())
    {
        let text = format!(
            "there is no source {source:?}; the configuration has {}",
            listed(&names)
        );
        return Err(Failure::Usage(text));
    }
    let filter = InboxFilter {
        state: (args.ids.is_empty() || args.discard.is_some()).then_some(InboxState::Dead),
        ids: args.ids.into_iter().map(InboxId).collect(),
        source: args.source.map(Name::from),
        code: args.code.map(DeadCode::from),
        before: None,
    };
    let said = match args.discard {
        Some(reason) => {
            let reason = format!("discarded: {reason}");
            let rows = store.discard_messages(filter, &reason, SystemClock.now()).await?;
            format!("{rows} messages discarded")
        }
        None => format!("{} messages will be processed again", store.replay(filter).await?),
    };
    print_line(&said);
    Ok(())
}
