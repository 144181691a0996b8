//! Appends records to a CSV or JSONL file, each with its delivery key in the first place.
//!
//! [`layout`] makes lines from records, and [`writer`] keeps the file whole. This module joins the two into a
//! destination.

use std::{
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use causeway_core::{
    clock::{Clock, Timestamp},
    consent::Change,
    delivery::Delivery,
    destination::{AttemptResult, CheckError, Destination, Outcome},
    mapping::Tables,
};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use self::{
    layout::{Format, Layout},
    trace::Trace,
    writer::{Rotation, Sent, WriteError, Writer},
};
use super::{Kind, Resource, fields::Fields, with_notes};
use crate::config::{ConfigError, read};

mod layout;
mod recent;
mod remains;
mod scan;
#[cfg(test)]
mod tests;
mod trace;
mod writer;

pub const KIND: Kind = Kind {
    name: "file",
    summary: "appends each record to a CSV or JSONL file",
    sample: include_str!("../../../../../samples/destinations/file.toml"),
    schema: || schema_for!(Config),
    supported_changes: &[Change::Subscribe, Change::Unsubscribe, Change::Suppress],
    concurrency: 1,
    batch: 500,
    parse: |tables, table| Plan::new(&read(table)?, Path::new(""), tables).map(|plan| plan.layout.needs()),
    connect: |context, table| {
        Ok(Box::new(FileDestination {
            plan: Arc::new(Plan::new(&read(table)?, &context.dir, &context.tables)?),
            clock: Arc::clone(&context.clock),
            writer: Arc::default(),
        }))
    },
    sign_in: None,
    create: None,
    // Two writers would mix their lines and rotate each other's file.
    exclusive: Some(|dir, table| {
        let path = table.get("path").and_then(toml::Value::as_str)?;
        Some(Resource {
            key: "path",
            what: "file",
            id: plain_path(&dir.join(path)).display().to_string(),
        })
    }),
    dummy_url: "https://HOST/",
    remains: Some(|context, table, search| {
        let config: Config = read(table)?;
        Ok(remains::remains(&context.dir, &config.path, search))
    }),
    preview: |context, table, batch| {
        let plan = Plan::new(&read(table)?, &context.dir, &context.tables)?;
        let columns = plan.layout.columns();
        let lines = batch.iter().map(|delivery| {
            let (row, notes) = plan.layout.row(delivery)?;
            let line = plan.layout.print(&[row], columns);
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            Ok(with_notes(line, notes))
        });
        Ok(lines.collect())
    },
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Relative to the configuration's folder. `{date}` becomes the day (UTC), for one file per day.
    path: String,
    /// Default: by the end of the path. `.jsonl` and `.ndjson` are JSONL, everything else is CSV.
    format: Option<Format>,
    /// Column or member = expression (`contact.email`), template (`{{ … }}`), or "=text".
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    fields: Option<toml::Table>,
    /// Megabytes after which the file is put aside under a name with the time, and a new one is begun; 0 =
    /// never.
    #[serde(default = "default_rotate_mb")]
    rotate_mb: u32,
    /// CSV: puts ' before texts that a spreadsheet would run as a formula.
    #[serde(default = "yes")]
    escape_formulas: bool,
}

fn default_rotate_mb() -> u32 {
    256
}

fn yes() -> bool {
    true
}

/// The path without `.` and `..`, as far as that is possible without reading the disk.
fn plain_path(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

/// The configuration, read and checked.
struct Plan {
    dir: PathBuf,
    path: String,
    layout: Layout,
    rotate_bytes: u64,
}

impl Plan {
    fn new(config: &Config, dir: &Path, tables: &Tables) -> Result<Self, ConfigError> {
        let plain = config.path.replace("{date}", "");
        if plain.trim().is_empty() || plain.ends_with('/') {
            return Err(ConfigError::new("path", "names no file"));
        }
        if plain.contains(['{', '}']) {
            return Err(ConfigError::new("path", "only {date} is known between braces"));
        }
        let extension = Path::new(&config.path)
            .extension()
            .and_then(|extension| extension.to_str());
        let format = config.format.unwrap_or(match extension {
            Some("jsonl" | "ndjson") => Format::Jsonl,
            _ => Format::Csv,
        });
        let fields = config
            .fields
            .as_ref()
            .map(|table| Fields::read("fields", table, tables))
            .transpose()?;
        Ok(Self {
            dir: dir.to_owned(),
            path: config.path.clone(),
            layout: Layout::new(format, fields, config.escape_formulas)?,
            rotate_bytes: match config.rotate_mb {
                0 => u64::MAX,
                mb => u64::from(mb) * 1_000_000,
            },
        })
    }

    fn path(&self, now: Timestamp) -> PathBuf {
        let day = now.strftime("%Y-%m-%d").to_string();
        self.dir.join(self.path.replace("{date}", &day))
    }
}

struct FileDestination {
    plan: Arc<Plan>,
    clock: Arc<dyn Clock>,
    writer: Arc<Mutex<Writer>>,
}

#[async_trait]
impl Destination for FileDestination {
    async fn check(&self) -> Result<(), CheckError> {
        let path = self.plan.path(self.clock.now());
        let checked = tokio::task::spawn_blocking(move || writer::check(&path)).await;
        match checked {
            Ok(Ok(())) => Ok(()),
            Ok(Err(WriteError::Temporary(reason))) => Err(CheckError::Unavailable(reason)),
            Ok(Err(WriteError::Permanent(reason))) => Err(CheckError::Refused(reason)),
            Err(_) => Err(CheckError::Unavailable(
                "checking the file was interrupted".to_owned(),
            )),
        }
    }

    /// If the call is dropped, the write that has begun still ends, and the next call waits for it. So the
    /// file never has two writers.
    async fn deliver(&self, batch: &[Delivery]) -> Vec<AttemptResult> {
        let (mut rows, mut made) = (Vec::new(), Vec::with_capacity(batch.len()));
        for delivery in batch {
            made.push(self.plan.layout.row(delivery).map(|(row, notes)| {
                rows.push(row);
                notes
            }));
        }
        let (plan, writer) = (Arc::clone(&self.plan), Arc::clone(&self.writer));
        let now = self.clock.now();
        let path = plan.path(now);
        let target = path.clone();
        let written = tokio::task::spawn_blocking(move || {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            let rotation = Rotation {
                bytes: plan.rotate_bytes,
                now,
            };
            let mut sent = Sent::default();
            let written = writer.append(&target, &plan.layout, &rows, rotation, &mut sent);
            (written, sent)
        });
        let (written, sent) = written.await.unwrap_or_else(|_| {
            let reason = "writing the file was interrupted".to_owned();
            (Err(WriteError::Temporary(reason)), Sent::default())
        });
        let outcome = match written {
            Ok(()) => Outcome::Delivered { remote_id: None },
            Err(WriteError::Temporary(reason)) => Outcome::Retry { reason, after: None },
            Err(WriteError::Permanent(reason)) => Outcome::Halt { reason },
        };
        let mut trace = Trace::new(&path, sent);
        let result = |made: Result<Vec<String>, String>| match made {
            Err(reason) => Outcome::Reject { reason }.into(),
            Ok(notes) => AttemptResult {
                notes,
                request: Some(trace.next_row()),
                ..outcome.clone().into()
            },
        };
        made.into_iter().map(result).collect()
    }
}
