//! The configuration: one TOML file. Reading and checking it touches nothing else.
//!
//! The keys that sources and destinations share are read here; each kind reads its own keys. Every error names
//! file, line and key.

mod automation;
mod common;
mod in_force;
mod locate;
mod organisations;
mod reader;
mod schema;
mod score;
mod sections;
mod settings;
mod step;
mod test;
mod trigger;
mod warnings;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use causeway_connect::config::{ConfigError, did_you_mean};
use causeway_core::{
    envelope::digest, id::Name, mapping::Tables, nearest::nearest, rules::Rules, secret::Secret,
    shared_address::AddressPatterns,
};

pub use automation::Automations;
pub(crate) use common::one_of;
pub use common::{DestinationConfig, SourceConfig};
pub use in_force::{Generation, InForce, file_differs, whole_path};
use reader::{Reader, lookups};
pub use schema::schema;
pub use sections::{Http, Hub, PublicUrl, RetentionConfig};
pub use test::{Expected, Message, Skipped, Test, as_json, due_at, time_between};
pub use warnings::warnings;

/// A whole configuration, checked.
#[derive(Debug)]
pub struct Config {
    pub path: PathBuf,
    /// The folder of the file: relative paths start here.
    pub dir: PathBuf,
    pub hub: Hub,
    pub http: Http,
    pub retention: RetentionConfig,
    pub sources: BTreeMap<Name, SourceConfig>,
    pub destinations: BTreeMap<Name, DestinationConfig>,
    /// `[lookup.NAME]`: the tables of the mapping filter `lookup`.
    pub lookups: Tables,
    pub automations: Automations,
    /// `[[test]]`, in the order of the file.
    pub tests: Vec<Test>,
    /// The text of the file, to name lines in later errors. It may hold secrets.
    text: Secret,
}

/// An error in the file, its place, and how to fix it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct FileError {
    pub path: PathBuf,
    /// From 1; `None` if the error concerns the whole file.
    pub line: Option<usize>,
    /// `destination.crm`
    pub section: String,
    pub error: ConfigError,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        f.write_str(": ")?;
        if !self.section.is_empty() {
            write!(f, "[{}] ", self.section)?;
        }
        self.error.fmt(f)
    }
}

/// Reads a file. Returns all independent errors at once, in the order of the file's sections.
pub fn load(path: &Path) -> Result<Config, Vec<FileError>> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::NotFound => "`causeway config sample > causeway.toml` writes one to start from",
            ErrorKind::InvalidData => "save it as UTF-8; `iconv -f WINDOWS-1252 -t UTF-8` converts it",
            _ => "check that it is a file and that this user may read it",
        };
        vec![FileError {
            path: path.to_owned(),
            line: None,
            section: String::new(),
            error: ConfigError::new("", format!("cannot be read: {error}")).hint(hint),
        }]
    })?;
    parse(path, &text)
}

/// Reads the text of a configuration; `path` is only for messages and relative paths.
pub fn parse(path: &Path, text: &str) -> Result<Config, Vec<FileError>> {
    let mut reader = Reader {
        path,
        text,
        errors: Vec::new(),
    };
    let mut root: toml::Table = match text.parse() {
        Ok(root) => root,
        Err(error) => {
            let line = error.span().map(|span| locate::line_of(text, span.start));
            reader.push(line, "", ConfigError::new("", error.message()));
            return Err(reader.errors);
        }
    };
    // Read first, because mappings need these fields.
    let hub: Hub = reader.section(&mut root, "hub");
    let lookups = lookups(&mut reader, &mut root).with_lists(hub.multi_value_fields());
    let mut config = Config {
        path: path.to_owned(),
        dir: path
            .parent()
            .filter(|dir| !dir.as_os_str().is_empty())
            .unwrap_or(Path::new("."))
            .to_owned(),
        hub,
        http: reader.section(&mut root, "http"),
        retention: reader.section(&mut root, "retention"),
        sources: reader.tables(&mut root, "source", common::source),
        destinations: reader.tables(&mut root, "destination", |name, table| {
            common::destination(name, table, &lookups)
        }),
        automations: reader.automations(&mut root, &lookups),
        lookups,
        tests: Vec::new(),
        text: Secret::new(text),
    };
    config.tests = reader.tests(&mut root, &config);
    reader.check_destinations(&config);
    reader.check_organisations(&config);
    reader.check_resources(&config);
    reader.check_addresses(&config.http);
    for key in root.keys() {
        let sections = "the sections are [hub], [http], [retention], [source.NAME], [destination.NAME], [lookup.NAME], [[automation]], [[score]], [[status]] and [[test]]";
        let error = ConfigError::new(key, "unknown section").hint(match nearest(key, SECTIONS) {
            Some(meant) => format!("{} {sections}", did_you_mean(meant)),
            None => sections.to_owned(),
        });
        reader.push(locate::line(text, &[key]), "", error);
    }
    if reader.errors.is_empty() {
        Ok(config)
    } else {
        Err(reader.errors)
    }
}

const SECTIONS: [&str; 10] = [
    "hub",
    "http",
    "retention",
    "source",
    "destination",
    "lookup",
    "automation",
    "score",
    "status",
    "test",
];

/// Checks a name. Names become part of URLs, metric labels, file names and idempotency keys.
fn checked_name(name: &str) -> Result<(), ConfigError> {
    let good = name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if good {
        return Ok(());
    }
    Err(ConfigError::new("", format!("invalid name {name:?}"))
        .hint("use up to 64 letters, digits, `-`, `_` and `.`, and begin with a letter or digit"))
}

/// A digest of a file's text, to compare it with the one that a running hub has read.
pub fn digest_of(text: &str) -> String {
    data_encoding::HEXLOWER.encode(&digest(&[text.as_bytes()]))
}

impl Config {
    pub fn store_path(&self) -> PathBuf {
        self.dir.join(&self.hub.data_dir).join("causeway.db")
    }

    /// A digest of the file's text.
    pub fn digest(&self) -> String {
        digest_of(self.text.reveal())
    }

    /// An error that was found when `[group.name]` was put to use, with its line.
    pub fn error_in(&self, group: &str, name: &str, error: ConfigError) -> FileError {
        FileError {
            path: self.path.clone(),
            line: locate::nearest(self.text.reveal(), &[group, name], &error.key),
            section: format!("{group}.{name}"),
            error,
        }
    }

    /// Every workspace that the configuration names.
    fn workspaces(&self) -> BTreeSet<&str> {
        let sources = self.sources.values().map(|source| &*source.rule.workspace);
        let destinations = self.destinations.values();
        let destinations = destinations.map(|destination| &*destination.rule.workspace);
        let automations = self.automations.workspaces().into_keys();
        sources.chain(destinations).chain(automations).collect()
    }

    /// The parts that the store and the rules need.
    pub fn rules(&self) -> Rules {
        Rules {
            sources: self
                .sources
                .iter()
                .map(|(name, source)| (Name::clone(name), source.rule.clone()))
                .collect(),
            destinations: self
                .destinations
                .iter()
                .map(|(name, destination)| (Name::clone(name), Arc::new(destination.rule.clone())))
                .collect(),
            workspaces: self
                .automations
                .rules(self.hub.score.as_ref(), &self.workspaces()),
            click_grace: Duration::from_secs(self.hub.click_grace_s.into()),
            shared_addresses: AddressPatterns::new(&self.hub.shared_addresses),
            after_erasure: self.hub.after_erasure,
            multi_value_fields: self.hub.multi_value_fields(),
            ..Rules::default()
        }
    }
}
