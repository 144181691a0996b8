//! `causeway import FILE --source NAME`: the same way in as live traffic.

mod rows;
mod sheet;

use std::{
    io::{BufReader, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use causeway_core::{clock::Clock, store::Store};
use indicatif::{ProgressBar, ProgressStyle};

use self::rows::{Format, Rows, Table};
use super::{
    Failure,
    context::{Context, complain, say},
};
use crate::{clock::SystemClock, config::Config};

/// Rows in one transaction.
const BATCH: usize = 500;
/// Refused rows that are told one by one.
const TOLD: u64 = 20;

/// Brings in a file of Proca messages (JSON, one a line) or of contacts (CSV with a header). Rows that came before are
/// recognised and change nothing; rows of a CSV file that cannot be read for sure are refused and told with their line. And an import that was interrupted goes on where it was: run the same command again.
/// The hub may run; if it does not, the rows wait for it.
#[derive(clap::Args)]
#[command(
    after_help = "Example: causeway import backlog.jsonl --source proca\n         causeway import members.csv --source signups --map 'E-Mail=email'"
)]
pub(super) struct Args {
    file: PathBuf,
    /// The source in the configuration whose rules read the rows.
    #[arg(long)]
    source: String,
    /// What the file is; by its name's ending if not given.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// For CSV: calls a column by the name that the source expects. Columns that are not named keep their header.
    #[arg(long, value_name = "COLUMN=NAME", value_parser = rows::mapping)]
    map: Vec<(String, String)>,
    /// For CSV: what stands between the cells, as `;`, or `tab`.
    #[arg(long, value_name = "CHARACTER", value_parser = rows::separator)]
    separator: Option<u8>,
    /// Begin at the start even if an earlier run was interrupted.
    #[arg(long)]
    restart: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let config = context.load()?;
    let Some((source, _)) = config.sources.get_key_value(args.source.as_str()) else {
        let names: Vec<&str> = config.sources.keys().map(|name| &**name).collect();
        return Err(Failure::Usage(format!(
            "there is no source {:?}; the configuration has {}",
            args.source,
            super::delivery::listed(&names)
        )));
    };
    let format = args.format.or_else(|| Format::of(&args.file)).ok_or_else(|| {
        Failure::Usage(format!(
            "{} is neither .jsonl nor .csv: say --format jsonl or --format csv",
            args.file.display()
        ))
    })?;
    let file = std::fs::File::open(&args.file).with_context(|| format!("reading {}", args.file.display()))?;
    let bytes = file.metadata().map(|file| file.len()).unwrap_or_default();
    // First: it makes the data folder for its owner only.
    let store = context.open_or_make(&config).await?;
    let progress = Progress::new(&config, &args.file, bytes)?;
    let done = if args.restart { 0 } else { progress.done() };
    if done > 0 {
        say(&format!(
            "going on after row {done}, where an earlier run was interrupted"
        ));
    }
    let bar = bar(bytes);
    let reader = BufReader::new(bar.wrap_read(Box::new(file) as Box<dyn Read>));
    let table = Table {
        map: &args.map,
        separator: args.separator,
    };
    let mut rows = Rows::new(reader, format, table, Arc::clone(source))?;
    rows.skip(done)?;
    let mut sum = Sum {
        rows: done,
        ..Sum::default()
    };
    loop {
        let batch = rows.next_batch(BATCH, SystemClock.now())?;
        if batch.rows == 0 {
            break;
        }
        sum.rows += batch.rows;
        for refused in &batch.refused {
            sum.refused += 1;
            if sum.refused <= TOLD {
                bar.suspend(|| complain(&format!("refused: {refused}")));
            }
        }
        for accepted in store.accept(batch.envelopes).await? {
            sum.duplicates += u64::from(accepted.duplicate);
            sum.fresh += u64::from(!accepted.duplicate);
        }
        progress.set(sum.rows)?;
        bar.set_message(format!("{} rows", sum.rows));
    }
    bar.finish_and_clear();
    progress.clear();
    say(&format!(
        "{} rows read: {} new, {} known already",
        sum.rows, sum.fresh, sum.duplicates
    ));
    if !causeway_store::is_served(&config.store_path()) {
        say("The hub is not running: the rows wait for `causeway serve`.");
    }
    sum.well()
}

#[derive(Default)]
struct Sum {
    rows: u64,
    fresh: u64,
    duplicates: u64,
    refused: u64,
}

impl Sum {
    /// Whether everything was taken.
    fn well(&self) -> Result<(), Failure> {
        if self.refused > 0 {
            complain(&format!(
                "error: {} rows were refused{}, and nothing of them was taken; mend them and import the file again: rows that came \
                 before are recognised",
                self.refused,
                if self.refused > TOLD {
                    format!(", of which the first {TOLD} are told above")
                } else {
                    String::new()
                }
            ));
            return Err(Failure::Said);
        }
        Ok(())
    }
}

fn bar(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}  {bytes_per_sec}  {eta} left");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

/// Where an import is, in a small file beside the store, written after each commit. Behind by a batch at most: those
/// rows are then recognised as repeats.
struct Progress(PathBuf);

impl Progress {
    fn new(config: &Config, file: &Path, bytes: u64) -> Result<Self, Failure> {
        let folder = config.dir.join(&config.hub.data_dir).join("imports");
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let path = file.canonicalize().unwrap_or_else(|_| file.to_owned());
        let digest =
            causeway_core::envelope::digest(&[path.to_string_lossy().as_bytes(), &bytes.to_be_bytes()]);
        Ok(Self(folder.join(data_encoding::HEXLOWER.encode(&digest))))
    }

    fn done(&self) -> u64 {
        std::fs::read_to_string(&self.0)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0)
    }

    fn set(&self, rows: u64) -> Result<(), Failure> {
        std::fs::write(&self.0, rows.to_string()).with_context(|| format!("writing {}", self.0.display()))?;
        Ok(())
    }

    fn clear(&self) {
        // A stale note only costs a row count at the next run of the same file.
        drop(std::fs::remove_file(&self.0));
    }
}
