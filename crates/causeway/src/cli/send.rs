//! `causeway send FILE`: sends one message through the real configuration.

use std::{collections::BTreeMap, io::Read, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use causeway_connect::config::Context as ConnectContext;
use causeway_core::{
    clock::Clock,
    delivery::Delivery,
    envelope::{Dedup, Envelope, Meta, digest},
    event::Decoded,
    id::{InboxId, Name},
    store::{Store, Views},
};

use super::{
    Failure,
    context::{Context, print_line},
    trace::{Exchange, print},
};
use crate::{
    clock::SystemClock,
    config::Config,
    sources::{self, ByHand},
};

/// Gives one message to the running hub, as a source would, and prints what became of it. With `--dry-run` nothing is
/// stored or sent, and the exact requests that would be made are printed.
#[derive(clap::Args)]
#[command(
    after_help = "Example: causeway send samples/messages/petition-opt-in.json --source proca --dry-run"
)]
pub(super) struct Args {
    /// The message; `-` reads it from standard input.
    file: PathBuf,
    /// The source whose rules read it; may be left out if there is only one.
    #[arg(long)]
    source: Option<String>,
    /// Print what would be sent; send and store nothing.
    #[arg(long)]
    dry_run: bool,
    /// Seconds to wait for the deliveries to end.
    #[arg(long, default_value_t = 30)]
    wait: u64,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let config = context.load()?;
    let source = source(&config, args.source.as_deref())?;
    let body = read(&args.file)?;
    let now = SystemClock.now();
    // A message without a date of its own counts as a new message each time.
    let anew = digest(&[b"send", &body, &now.as_nanosecond().to_be_bytes()]);
    let mut envelope = Envelope {
        source: Name::clone(&source),
        dedup: Dedup::dated(anew),
        received_at: now,
        meta: Meta {
            content_type: Some(content_type(&body)),
            ..Meta::default()
        },
        body: body.into(),
    };
    if args.dry_run {
        return rehearse(&config, envelope).await;
    }
    if let Some(source) = config.sources.get(&source) {
        let decoded = crate::engine::decode_one(&sources::decoders(&config)?, &envelope);
        envelope.dedup = ByHand::of(source).dedup(&envelope.body, &decoded, now, anew);
    }
    let store = context.open_or_make(&config).await?;
    let accepted = store.accept(vec![envelope]).await?;
    let Some(accepted) = accepted.first() else {
        return Ok(());
    };
    if accepted.duplicate {
        print_line(&format!(
            "this message arrived before, as message {}; it has no effect",
            accepted.id
        ));
    } else if !causeway_store::is_served(&config.store_path()) {
        print_line(&format!(
            "stored as message {}; the hub is not running: it waits for `causeway serve`",
            accepted.id
        ));
        return Ok(());
    }
    follow(&store, accepted.id, Duration::from_secs(args.wait)).await
}

fn source(config: &Config, name: Option<&str>) -> Result<Name, Failure> {
    let names: Vec<&Name> = config.sources.keys().collect();
    let found = match (name, names.as_slice()) {
        (Some(name), _) => names.iter().copied().find(|known| &***known == name),
        (None, [only]) => Some(*only),
        (None, _) => None,
    };
    found.map(Name::clone).ok_or_else(|| {
        let names: Vec<&str> = names.iter().map(|name| &***name).collect();
        Failure::Usage(format!(
            "name the source with --source; the configuration has {}",
            super::delivery::listed(&names)
        ))
    })
}

fn read(file: &PathBuf) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin()
            .lock()
            .read_to_end(&mut body)
            .context("reading standard input")?;
    } else {
        body = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    }
    Ok(body)
}

/// The content type that a sender of this body would give.
fn content_type(body: &[u8]) -> String {
    let is_json = matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
    if is_json {
        "application/json"
    } else {
        "application/x-www-form-urlencoded"
    }
    .to_owned()
}

/// Processes the message in a transaction that is rolled back, and prints what the destinations would have been sent.
/// Invariant: it cannot send, because no client exists here.
async fn rehearse(config: &Config, envelope: Envelope) -> Result<(), Failure> {
    let decoders = sources::decoders(config)?;
    let decoder = decoders
        .get(&envelope.source)
        .ok_or_else(|| Failure::Usage("the source has no decoder".to_owned()))?;
    match decoder.decode(&envelope).come_through(&envelope.meta.via) {
        Decoded::Parts(parts) => {
            let count = parts.len();
            print_line(&format!(
                "{count} records, each of which becomes a message of its own"
            ));
            let mut all_read = true;
            for (number, (envelope, understood)) in parts.into_iter().enumerate() {
                print_line(&format!("\nrecord {}", number + 1));
                match rehearse_one(config, envelope, understood).await {
                    Err(Failure::Reported) => all_read = false,
                    ended => ended?,
                }
            }
            if all_read { Ok(()) } else { Err(Failure::Reported) }
        }
        understood => rehearse_one(config, envelope, understood).await,
    }
}

async fn rehearse_one(config: &Config, envelope: Envelope, understood: Decoded) -> Result<(), Failure> {
    match &understood {
        // A record of several holds no further records.
        Decoded::Parts(_) => return Ok(()),
        Decoded::Skip { reason } => {
            print_line(&format!("understood and skipped: {reason}"));
            return Ok(());
        }
        Decoded::Dead { code, reason } => {
            print_line(&format!("would be dead ({}): {reason}", code.as_str()));
            return Err(Failure::Reported);
        }
        Decoded::Event(event) | Decoded::Partial { event, .. } => {
            print_line(&format!(
                "understood: {}, happened at {}",
                event.kind.as_str(),
                event.at
            ));
            event
                .notes
                .iter()
                .for_each(|note| print_line(&format!("note: {note}")));
        }
    }
    // Before the first start there is no store, and so no contact.
    let path = Some(config.store_path()).filter(|path| path.exists());
    let rules = Arc::new(config.rules());
    let rehearsal = causeway_store::rehearse(path, rules, envelope, understood, SystemClock.now()).await?;
    if let Some(reason) = &rehearsal.reason {
        print_line(&format!(
            "the message would be {}: {reason}",
            rehearsal.state.as_str()
        ));
    }
    if let Some(decision) = &rehearsal.decision {
        print_line(&format!("consent: {decision}"));
    }
    for (destination, reason) in &rehearsal.skipped {
        print_line(&format!("\n→ {destination}: not sent: {reason}"));
    }
    let mut by_destination: BTreeMap<Name, Vec<Delivery>> = BTreeMap::new();
    for planned in rehearsal.deliveries {
        by_destination
            .entry(planned.destination)
            .or_default()
            .push(planned.delivery);
    }
    for (name, batch) in &by_destination {
        preview(config, name, batch)?;
    }
    if by_destination.is_empty() && rehearsal.skipped.is_empty() {
        print_line("no destination would be sent anything");
    }
    Ok(())
}

fn preview(config: &Config, name: &Name, batch: &[Delivery]) -> Result<(), Failure> {
    let Some(destination) = config.destinations.get(name) else {
        return Ok(());
    };
    let context = ConnectContext {
        name: Name::clone(name),
        clock: Arc::new(SystemClock),
        dir: config.dir.clone(),
        tables: config.lookups.clone(),
        vault: causeway_connect::vault::NoVault::shared(),
    };
    let texts = (destination.kind.preview)(&context, &destination.table, batch)
        .map_err(|error| anyhow::anyhow!("[destination.{name}]: {error}"))?;
    for text in texts {
        match text {
            Ok(text) => print_line(&format!(
                "\n→ {name} ({}) would be sent:\n{}",
                destination.kind.name,
                text.trim_end()
            )),
            Err(unsent) => print_line(&format!("\n→ {name}: {unsent}")),
        }
    }
    Ok(())
}

/// Waits until the message and its deliveries are finished, and prints the trace.
async fn follow(store: &causeway_store::SqliteStore, id: InboxId, wait: Duration) -> Result<(), Failure> {
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        let trace = store
            .trace(id)
            .await?
            .ok_or_else(|| Failure::Failed(anyhow::anyhow!("message {id} no longer exists")))?;
        let open = trace.inbox.state == causeway_core::store::InboxState::New
            || trace
                .deliveries
                .iter()
                .any(|delivery| matches!(delivery.delivery.state.as_str(), "waiting" | "blocked"));
        let tried = trace
            .deliveries
            .iter()
            .all(|delivery| !delivery.attempts.is_empty());
        if !open || tokio::time::Instant::now() >= deadline {
            print(&trace, false, Exchange::Address);
            if open && !tried {
                print_line("The message or a delivery is still waiting: run `causeway trace` later.");
            }
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
