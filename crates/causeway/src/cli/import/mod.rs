//! `causeway import FILE --source NAME`: imports a file through the same path as live messages.
//!
//! A file is read twice: first to decode and summarise it, then to store it. The file's content, the number of the run and
//! the row's number identify a row. So an interrupted run continues without storing a row twice, and the same file counts
//! again when it is imported next month.

mod file;
mod renewed;
mod rows;
mod sheet;
mod summary;
mod twice;

use std::path::PathBuf;

use anyhow::anyhow;
use causeway_core::{
    clock::{Clock, Timestamp},
    envelope::{Dedup, Envelope, MessageKey, Meta, digest},
    event::{Decoded, Decoders},
    id::Name,
    store::Store,
};
use causeway_store::{ImportRun, SqliteStore};
use indicatif::{ProgressBar, ProgressStyle};

use self::{
    file::Source,
    rows::{Format, Rows, Table},
    sheet::Row,
    summary::Summary,
};
use super::{
    Failure,
    context::{Context, counted, print_error, print_line},
};
use crate::{
    clock::SystemClock,
    config::Config,
    sources::{self, ByHand},
};

/// Rows in one transaction.
const BATCH: usize = 500;

/// Imports a file of messages (JSON, one for each line) or of contacts (CSV with a header).
///
/// First it reads the whole file and prints a summary: new and known rows, consent by purpose, values and dates that
/// cannot be read, rows that are not understood. `--dry-run` ends there. If no row can be understood, nothing is
/// stored.
///
/// If an import was interrupted, run the same command again: it continues where it was. A file that was imported before
/// counts again, apart from its opt-ins, because people may have opted out since; `--again` counts them, too. Messages
/// with dates of their own (Proca's, and events with `at`) are recognised as duplicates, however they arrived.
///
/// The hub may run; if it does not, the rows wait for it. Exit code 3: done, but some rows were refused or not
/// understood, or consent in them could not be read.
#[derive(clap::Args)]
#[command(
    after_help = "Example: causeway import members.csv --source signups --map 'E-Mail=email' --dry-run\n         causeway import members.csv --source signups --map 'E-Mail=email'\n         causeway import backlog.jsonl --source proca"
)]
pub(super) struct Args {
    file: PathBuf,
    /// The source in the configuration whose rules read the rows.
    #[arg(long)]
    source: String,
    /// The format of the file; default: by its file name.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// For CSV: gives a column the name that the source expects. Other columns keep their header.
    #[arg(long, value_name = "COLUMN=NAME", value_parser = rows::mapping)]
    map: Vec<(String, String)>,
    /// For CSV: the separator between cells, such as `;` or `tab`. A first line `sep=;` works, too.
    #[arg(long, value_name = "CHARACTER", value_parser = rows::separator)]
    separator: Option<u8>,
    /// Print the summary and how the first rows would be understood. Nothing is stored.
    #[arg(long)]
    dry_run: bool,
    /// Start from the beginning even if an earlier run was interrupted: its rows count again.
    #[arg(long)]
    restart: bool,
    /// Count the opt-ins of a file that was imported before: they are newer than all later facts.
    #[arg(long)]
    again: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let config = context.load()?;
    let mut import = Import::new(&config, &args)?;
    let known = if config.store_path().exists() {
        Some(context.open_to_read(&config).await?)
    } else {
        None
    };
    if let Some(store) = &known {
        import.check_served(&config, store).await?;
        let last = store.import_run(import.identity).await?;
        import.run = Run::of(last, &args, import.run.began_at);
        if !import.run.continues && import.run.before_at.is_none() {
            let before = store.import_run(import.content).await?;
            import.run.before_at = before.and_then(|run| run.finished_at);
        }
    }
    let summary = import.sum_up(known.as_deref()).await?;
    drop(known);
    import.introduce(&summary, &args);
    require_rows(&summary, &args)?;
    if args.dry_run {
        let shown = summary.first_rows();
        if !shown.is_empty() {
            print_line(&format!("the first rows, as they would be understood:\n{shown}"));
        }
        print_line(&format!(
            "{} rows would be read: {} new, {} known already",
            summary.rows,
            summary.new_rows(),
            summary.known
        ));
        return exit_of(&summary);
    }
    import.source.check_unchanged()?;
    let store = context.open_or_make(&config).await?;
    let fresh = import.store(&store).await?;
    print_line(&format!(
        "{} rows read: {fresh} new, {} known already",
        summary.rows,
        summary.rows - summary.refused() - fresh
    ));
    if !causeway_store::is_served(&config.store_path()) {
        print_line("The hub is not running: the rows wait for `causeway serve`.");
    }
    exit_of(&summary)
}

/// Fails if no row of the file can be used: a broken export looks like this.
fn require_rows(summary: &Summary, args: &Args) -> Result<(), Failure> {
    let file = args.file.display();
    if summary.rows == 0 {
        return Err(Failure::Failed(anyhow!(
            "nothing was stored: {file} has no rows. Check whether the export was complete"
        )));
    }
    if summary.understood > 0 || (summary.known > 0 && summary.new_rows() == 0) {
        return Ok(());
    }
    let source = &args.source;
    let hint = if summary.dead() == 0 {
        "the reasons are printed above; delete lines above the header, such as a title"
    } else {
        "compare the columns with what the source expects (--map names them)"
    };
    Err(Failure::Failed(anyhow!(
        "nothing was stored: none of the rows in {file} can be understood by [source.{source}]: {hint}"
    )))
}

/// Exit code 3 if a person must look at some of the rows.
fn exit_of(summary: &Summary) -> Result<(), Failure> {
    let parts: Vec<String> = [
        (summary.refused(), "row", "rows", "refused"),
        (summary.dead(), "row", "rows", "not understood"),
        (
            summary.unread(),
            "statement of consent",
            "statements of consent",
            "not read",
        ),
    ]
    .into_iter()
    .filter(|(count, ..)| *count > 0)
    .map(|(count, one, many, what)| format!("{} {what}", counted(count, one, many)))
    .collect();
    if parts.is_empty() {
        return Ok(());
    }
    print_error(&format!("error: {} (see above)", parts.join(", ")));
    Err(Failure::Partly)
}

/// One run over the file.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// The date of all rows that have none: it does not depend on how long storing takes.
    began_at: Timestamp,
    /// This run continues an interrupted one.
    continues: bool,
    /// The time of an earlier, complete import of the same file.
    before_at: Option<Timestamp>,
    /// Whether opt-ins count although the file was imported before.
    again: bool,
}

impl Run {
    fn of(last: Option<ImportRun>, args: &Args, now: Timestamp) -> Self {
        let first = Self {
            began_at: now,
            continues: false,
            before_at: None,
            again: args.again,
        };
        match last {
            None => first,
            Some(last) if last.finished_at.is_some() => Self {
                before_at: last.finished_at,
                ..first
            },
            Some(last) if args.restart => Self {
                before_at: last.before_at,
                ..first
            },
            Some(last) => Self {
                began_at: last.began_at,
                continues: true,
                before_at: last.before_at,
                ..first
            },
        }
    }

    fn note(&self, finished_at: Option<Timestamp>) -> ImportRun {
        ImportRun {
            began_at: self.began_at,
            finished_at,
            before_at: self.before_at,
        }
    }
}

struct Import<'a> {
    source: Source,
    format: Format,
    table: Table<'a>,
    name: Name,
    workspace: Name,
    decoders: Decoders,
    by_hand: ByHand,
    /// Identifies the content and the options it is read with.
    identity: MessageKey,
    /// Identifies the content, whatever the options: the opt-ins of a file that was imported before are old.
    content: MessageKey,
    run: Run,
}

/// A row with the envelope that it becomes.
struct Prepared {
    line: u64,
    envelope: Envelope,
    decoded: Decoded,
}

/// The rows of one transaction.
#[derive(Default)]
struct Batch {
    prepared: Vec<Prepared>,
    /// (Line, what is wrong with it)
    refused: Vec<(u64, String)>,
    is_last: bool,
}

impl<'a> Import<'a> {
    fn new(config: &Config, args: &'a Args) -> Result<Self, Failure> {
        let Some((name, source)) = config.sources.get_key_value(args.source.as_str()) else {
            let names: Vec<&str> = config.sources.keys().map(|name| &**name).collect();
            return Err(Failure::Usage(format!(
                "there is no source {:?}; the configuration has {}",
                args.source,
                super::delivery::listed(&names)
            )));
        };
        let format = args.format.or_else(|| Format::of(&args.file)).ok_or_else(|| {
            Failure::Usage(format!(
                "{} is neither .jsonl nor .csv: use --format jsonl or --format csv",
                args.file.display()
            ))
        })?;
        let by_hand = ByHand::of(source);
        let served = sources::digest_of(source);
        let mut file = Source::open(&args.file)?;
        let content = file.content()?;
        let identity = digest(&[
            &content,
            name.as_bytes(),
            served.as_bytes(),
            format!("{format:?} {:?} {:?}", args.map, args.separator).as_bytes(),
        ]);
        // Times are kept to the millisecond.
        let now = SystemClock.now();
        let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        Ok(Self {
            source: file,
            format,
            table: Table {
                map: &args.map,
                separator: args.separator,
            },
            name: Name::clone(name),
            workspace: Name::clone(&source.rule.workspace),
            decoders: sources::decoders(config)?,
            by_hand,
            identity,
            content: digest(&[b"content", &content, name.as_bytes()]),
            run: Run::of(None, args, now),
        })
    }

    /// Requires that the running hub uses the present rules of the source: it would decode the rows by its own, or not at all.
    async fn check_served(&self, config: &Config, store: &SqliteStore) -> Result<(), Failure> {
        let Some(served) = store
            .served()
            .await?
            .filter(|_| causeway_store::is_served(&config.store_path()))
        else {
            return Ok(());
        };
        let ours = config.sources.get(&self.name).map(sources::digest_of);
        if served.sources.get(&*self.name) == ours.as_ref() {
            return Ok(());
        }
        Err(Failure::Usage(format!(
            "the running hub has not read the present [source.{}] of {}: run `causeway reload`, then import",
            self.name,
            config.path.display()
        )))
    }

    /// Reads and decodes the file.
    async fn sum_up(&mut self, store: Option<&SqliteStore>) -> Result<Summary, Failure> {
        let mut summary = Summary::default();
        let bar = bar(self.source.bytes, "reading");
        let mut rows = Rows::new(self.source.text(&bar)?, self.format, self.table)?;
        let mut number = 0;
        loop {
            let batch = self.next_batch(&mut rows, &mut number)?;
            let known = match store {
                Some(store) => self.known(store, &batch).await?,
                None => vec![false; batch.prepared.len()],
            };
            for (line, why) in &batch.refused {
                summary.refuse(*line, why);
            }
            for (row, known) in batch.prepared.iter().zip(known) {
                if known {
                    summary.skip_known();
                    continue;
                }
                summary.add(row.line, &row.envelope.body, &row.decoded);
                if let (Some(store), Some(event)) = (store, row.decoded.event())
                    && renewed::ended_opt_outs(store, &self.workspace, event).await? > 0
                {
                    summary.renew(row.line);
                }
            }
            if batch.is_last {
                break;
            }
        }
        bar.finish_and_clear();
        Ok(summary)
    }

    /// Stores the new rows and returns their number.
    async fn store(&mut self, store: &SqliteStore) -> Result<u64, Failure> {
        store.note_import(self.identity, self.run.note(None)).await?;
        let bar = bar(self.source.bytes, "storing");
        let mut rows = Rows::new(self.source.text(&bar)?, self.format, self.table)?;
        let (mut number, mut fresh) = (0, 0);
        loop {
            let batch = self.next_batch(&mut rows, &mut number)?;
            let known = self.known(store, &batch).await?;
            let envelopes: Vec<Envelope> = batch
                .prepared
                .into_iter()
                .zip(known)
                .filter_map(|(row, known)| (!known).then_some(row.envelope))
                .collect();
            for accepted in store.accept(envelopes).await? {
                fresh += u64::from(!accepted.duplicate);
            }
            bar.set_message(format!("{number} rows"));
            if batch.is_last {
                break;
            }
        }
        bar.finish_and_clear();
        let finished = self.run.note(Some(SystemClock.now()));
        store.note_import(self.content, finished).await?;
        store.note_import(self.identity, finished).await?;
        Ok(fresh)
    }

    fn next_batch(&self, rows: &mut Rows, number: &mut u64) -> anyhow::Result<Batch> {
        let mut batch = Batch::default();
        while batch.prepared.len() + batch.refused.len() < BATCH {
            match rows.next()? {
                Some(Row::Body { line, body }) => {
                    *number += 1;
                    batch.prepared.push(self.prepare(line, *number, body));
                }
                Some(Row::Refused { line, why }) => {
                    *number += 1;
                    batch.refused.push((line, why));
                }
                None => {
                    batch.is_last = true;
                    break;
                }
            }
        }
        Ok(batch)
    }

    fn prepare(&self, line: u64, number: u64, body: Vec<u8>) -> Prepared {
        let began_at = self.run.began_at;
        let row = digest(&[
            b"import",
            &self.identity,
            &began_at.as_millisecond().to_be_bytes(),
            &number.to_be_bytes(),
        ]);
        let mut envelope = Envelope {
            source: Name::clone(&self.name),
            dedup: Dedup::dated(row),
            received_at: began_at,
            meta: Meta {
                content_type: Some("application/json".to_owned()),
                imported: true,
                again: self.repeats_opt_ins(),
                ..Meta::default()
            },
            body: body.into(),
        };
        let decoded = crate::engine::decode_one(&self.decoders, &envelope);
        envelope.dedup = self.by_hand.dedup(&envelope.body, &decoded, began_at, row);
        Prepared {
            line,
            envelope,
            decoded,
        }
    }

    /// Whether the opt-ins of the rows are repeated from an earlier import. Messages with dates of their own are recognised as
    /// duplicates instead.
    fn repeats_opt_ins(&self) -> bool {
        self.run.before_at.is_some() && !self.run.again && !matches!(self.by_hand, ByHand::Dated { .. })
    }

    async fn known(&self, store: &SqliteStore, batch: &Batch) -> Result<Vec<bool>, Failure> {
        let keys = batch.prepared.iter().map(|row| row.envelope.dedup.key).collect();
        Ok(store.known(&self.name, keys).await?)
    }

    /// Prints how the file is read and whether it was imported before.
    fn introduce(&self, summary: &Summary, args: &Args) {
        print_line(&format!(
            "{}, read by [source.{}]:",
            args.file.display(),
            self.name
        ));
        if self.run.continues {
            print_line(&format!(
                "an earlier import of it was interrupted; {} of its {} rows are stored already",
                summary.known, summary.rows
            ));
        }
        if let Some(before) = self.run.before_at.filter(|_| self.repeats_opt_ins()) {
            print_line(&format!(
                "the same file was imported before, at {before}: its opt-ins are not counted again (--again counts them)"
            ));
        }
        let text = summary.in_words();
        if !text.is_empty() {
            print_line(text.trim_end());
        }
    }
}

fn bar(bytes: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    let template = "{prefix}  {bar:30} {percent:>3} %  {msg}  {bytes_per_sec}  {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(what);
    bar
}
