//! The configuration: one TOML file, read and checked without touching anything else.
//!
//! What all sources and destinations share is read here; a kind's own keys are read by the kind. Every error names
//! file, line and key.

mod automation;
mod common;
mod locate;
mod schema;
mod test;
mod trigger;

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use causeway_connect::config::{ConfigError, did_you_mean, json_members, read};
use causeway_core::{
    id::Name,
    mapping::{Expression, Path as NamePath, Tables},
    nearest::nearest,
    rules::Rules,
    secret::Secret,
    store::Retention,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use automation::Automations;
pub(crate) use common::one_of;
pub use common::{DestinationConfig, SourceConfig};
pub use schema::schema;
pub use test::{Expected, Message, Skipped, Test, as_json, due_at, time_between};

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
    /// `[lookup.NAME]`: what the filter `lookup` of mappings finds.
    pub lookups: Tables,
    pub automations: Automations,
    /// `[[test]]`, in the order of the file.
    pub tests: Vec<Test>,
    /// As it was read, to name lines in what goes wrong later. May hold secrets.
    text: Secret,
}

/// `[hub]`
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hub {
    /// Folder of the database, relative to this file. Made if missing.
    pub data_dir: PathBuf,
    /// Nothing is accepted while the disk has less free space than so many megabytes.
    pub min_free_mb: u64,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            data_dir: "causeway-data".into(),
            min_free_mb: 200,
        }
    }
}

/// `[http]`: the listener's and the console's address.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Address and port. Loopback unless you say otherwise.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Address and port of the console, health and metrics pages; they show personal data and have no log-in yet.
    #[schemars(with = "String")]
    pub console: SocketAddr,
    /// Host names under which the console is called, besides `localhost` and IP addresses.
    pub console_hosts: Vec<String>,
    /// How the listener is reached from outside, as `https://hub.example.org`: what minted addresses begin with.
    pub public_url: Option<PublicUrl>,
}

/// An address of this hub: `http` or `https`, a host, maybe a path. Without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct PublicUrl(String);

impl TryFrom<String> for PublicUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = text.trim().trim_end_matches('/');
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        let odd = |letter: char| letter.is_whitespace() || letter.is_control() || "?#@\"<>".contains(letter);
        match rest {
            Some(rest) if !rest.is_empty() && !rest.starts_with('/') && !rest.contains(odd) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err("expected an address as \"https://hub.example.org\", without a query"),
        }
    }
}

impl Http {
    /// What the addresses of the listener begin with.
    pub fn base_url(&self) -> String {
        match &self.public_url {
            Some(PublicUrl(url)) => url.clone(),
            None => format!("http://{}", self.listen),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8437)),
            console: SocketAddr::from(([127, 0, 0, 1], 8438)),
            console_hosts: Vec::new(),
            public_url: None,
        }
    }
}

/// `[retention]`: how long to keep what is finished. 0 = for ever.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// Days to keep the bodies of finished messages, and the answers of destinations to them.
    pub payload_days: u32,
    /// Days to keep the answers of destinations, if they are to go before the bodies.
    pub answer_days: u32,
    /// Days to keep the rows of finished messages, deliveries and attempts.
    pub history_days: u32,
    /// Days to keep what people did with mails and pages.
    pub engagement_days: u32,
    /// Days to keep actions with what was entered in their forms.
    pub action_days: u32,
    /// Days to keep minted addresses that work no more, for `causeway source urls` to show.
    pub url_days: u32,
    /// Days after which a person who asked to be forgotten is erased although a destination could not be told yet; 0 = at once.
    pub erase_after_days: u32,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            payload_days: 90,
            history_days: 730,
            answer_days: 90,
            engagement_days: 730,
            action_days: 0,
            url_days: 90,
            erase_after_days: 7,
        }
    }
}

impl RetentionConfig {
    pub fn rule(&self) -> Retention {
        let days = |days: u32| (days > 0).then_some(days);
        Retention {
            payload_days: days(self.payload_days),
            history_days: days(self.history_days),
            answer_days: days(self.answer_days),
            engagement_days: days(self.engagement_days),
            action_days: days(self.action_days),
            url_days: days(self.url_days),
        }
    }
}

/// What is wrong with the file, where, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct FileError {
    pub path: PathBuf,
    /// From 1; `None` when it concerns the whole file.
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

/// Reads a file. All errors that can be told apart are in the list, in the order of the file's sections.
pub fn load(path: &Path) -> Result<Config, Vec<FileError>> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let hint = "`causeway config sample > causeway.toml` writes one to start from";
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
    // First, since mappings name them.
    let lookups = lookups(&mut reader, &mut root);
    let mut config = Config {
        path: path.to_owned(),
        dir: path
            .parent()
            .filter(|dir| !dir.as_os_str().is_empty())
            .unwrap_or(Path::new("."))
            .to_owned(),
        hub: reader.section(&mut root, "hub"),
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

fn lookups(reader: &mut Reader<'_>, root: &mut toml::Table) -> Tables {
    let tables = reader.tables(root, "lookup", |_, table| {
        if table.is_empty() {
            return Err(vec![
                ConfigError::new("", "a lookup table needs entries").hint("DE = \"Central Europe\""),
            ]);
        }
        Ok(json_members(table))
    });
    let tables = tables.into_iter().map(|(name, table)| (name.to_string(), table));
    Tables::new(tables.collect())
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    errors: Vec<FileError>,
}

impl Reader<'_> {
    fn push(&mut self, line: Option<usize>, section: &str, error: ConfigError) {
        self.errors.push(FileError {
            path: self.path.to_owned(),
            line,
            section: section.to_owned(),
            error,
        });
    }

    /// Reports an error inside `[section]` (dotted), at the line of its key, or else of the section.
    fn push_at(&mut self, section: &[&str], error: ConfigError) {
        self.push(
            locate::nearest(self.text, section, &error.key),
            &section.join("."),
            error,
        );
    }

    fn section<T: Default + for<'de> Deserialize<'de>>(&mut self, root: &mut toml::Table, name: &str) -> T {
        let table = match root.remove(name) {
            None => return T::default(),
            Some(toml::Value::Table(table)) => table,
            Some(_) => {
                self.push_at(
                    &[name],
                    ConfigError::new("", format!("must be a section: [{name}]")),
                );
                return T::default();
            }
        };
        read(&table).unwrap_or_else(|error| {
            self.push_at(&[name], error);
            T::default()
        })
    }

    fn tables<T>(
        &mut self,
        root: &mut toml::Table,
        group: &str,
        parse: impl Fn(&str, toml::Table) -> Result<T, Vec<ConfigError>>,
    ) -> BTreeMap<Name, T> {
        let mut out = BTreeMap::new();
        let tables = match root.remove(group) {
            None => return out,
            Some(toml::Value::Table(tables)) => tables,
            Some(_) => {
                self.push_at(
                    &[group],
                    ConfigError::new("", format!("give each a name: [{group}.NAME]")),
                );
                return out;
            }
        };
        for (name, value) in tables {
            let toml::Value::Table(table) = value else {
                let error = ConfigError::new("", format!("must be a section: [{group}.{name}]"));
                self.push_at(&[group, &name], error);
                continue;
            };
            match checked_name(&name)
                .map_err(|error| vec![error])
                .and_then(|()| parse(&name, table))
            {
                Ok(parsed) => drop(out.insert(Name::from(name), parsed)),
                Err(errors) => errors
                    .into_iter()
                    .for_each(|error| self.push_at(&[group, &name], error)),
            }
        }
        out
    }
}

impl Reader<'_> {
    fn tests(&mut self, root: &mut toml::Table, config: &Config) -> Vec<Test> {
        let mut tests: Vec<Test> = Vec::new();
        self.items(root, "test", |table| {
            let test = Test::read(table)?;
            test.check(config, &tests)?;
            tests.push(test);
            Ok(())
        });
        tests
    }

    fn automations(&mut self, root: &mut toml::Table, lookups: &Tables) -> Automations {
        let mut all = Automations::new(lookups.clone());
        self.items(root, "automation", |table| all.add_automation(table));
        self.items(root, "score", |table| all.add_score(table));
        self.items(root, "status", |table| all.add_status(table));
        all
    }

    /// Reads each `[[group]]`.
    fn items(
        &mut self,
        root: &mut toml::Table,
        group: &str,
        mut add: impl FnMut(&toml::Table) -> Result<(), ConfigError>,
    ) {
        let items = match root.remove(group) {
            None => return,
            Some(toml::Value::Array(items)) => items,
            Some(_) => {
                let error = ConfigError::new("", format!("write each as a section of its own: [[{group}]]"));
                return self.push_at(&[group], error);
            }
        };
        for (index, item) in items.iter().enumerate() {
            let added = match item {
                toml::Value::Table(table) => add(table),
                _ => Err(ConfigError::new("", "is no table")),
            };
            if let Err(error) = added {
                let name = item.get("name").and_then(toml::Value::as_str).unwrap_or_default();
                let line = locate::nearest(self.text, &[group, &index.to_string()], &error.key);
                self.push(line, format!("{group} {name}").trim(), error);
            }
        }
    }

    /// What automations deliver to has to be there, and to say whether it takes anything else.
    fn check_destinations(&mut self, config: &Config) {
        let mut unsaid = std::collections::BTreeSet::new();
        for (index, automation) in config.automations.automations.iter().enumerate() {
            for name in automation.destinations() {
                let error = match config.destinations.get(name) {
                    Some(found) if found.rule.workspace != automation.workspace => ConfigError::new(
                        "then",
                        format!(
                            "the destination {name:?} is of workspace {:?}",
                            &*found.rule.workspace
                        ),
                    ),
                    Some(found) => {
                        if !found.says_what_it_takes {
                            unsaid.insert(Name::clone(name));
                        }
                        continue;
                    }
                    // It may be there and wrong itself: then that is what is told.
                    None if self
                        .errors
                        .iter()
                        .any(|error| error.section == format!("destination.{name}")) =>
                    {
                        continue;
                    }
                    None => {
                        let names: Vec<&str> = config.destinations.keys().map(|name| &**name).collect();
                        ConfigError::new("then", format!("there is no destination {name:?}"))
                            .hint(format!("there are: {}", names.join(", ")))
                    }
                };
                let line = locate::nearest(self.text, &["automation", &index.to_string()], "then");
                self.push(line, &format!("automation {}", automation.name), error);
            }
        }
        for name in unsaid {
            let error = ConfigError::new("takes", "has to be said, since automations deliver here").hint(
                "takes = \"automations\" gives it only what they send, takes = \"all\" everything else, too",
            );
            self.push_at(&["destination", &name], error);
        }
    }
}

/// Names end up in URLs, metric labels, file names and idempotency keys.
fn checked_name(name: &str) -> Result<(), ConfigError> {
    let good = name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if good {
        return Ok(());
    }
    Err(ConfigError::new("", format!("the name {name:?} cannot be used"))
        .hint("up to 64 letters, digits, `-`, `_` and `.`, a letter or digit first"))
}

impl Config {
    pub fn store_path(&self) -> PathBuf {
        self.dir.join(&self.hub.data_dir).join("causeway.db")
    }

    /// What turned out to be wrong with `[group.name]` when it was put to use, at its line.
    pub fn error_in(&self, group: &str, name: &str, error: ConfigError) -> FileError {
        FileError {
            path: self.path.clone(),
            line: locate::nearest(self.text.reveal(), &[group, name], &error.key),
            section: format!("{group}.{name}"),
            error,
        }
    }

    /// What the store and the rules need of it.
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
            workspaces: self.automations.rules(),
            ..Rules::default()
        }
    }
}

/// What is legal and probably not meant.
pub fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if config.sources.is_empty() {
        warnings.push("there is no [source.NAME]: nothing will come".to_owned());
    }
    if config.destinations.is_empty() {
        warnings.push("there is no [destination.NAME]: what comes is kept, and goes nowhere".to_owned());
    }
    for (name, source) in &config.sources {
        let reached = config.destinations.values().any(|destination| {
            destination.rule.workspace == source.rule.workspace
                && destination
                    .rule
                    .filter
                    .sources
                    .as_ref()
                    .is_none_or(|sources| sources.contains(&**name))
        });
        if !reached && !config.destinations.is_empty() {
            warnings.push(format!(
                "[source.{name}]: no destination of workspace {:?} takes what comes from here",
                source.rule.workspace
            ));
        }
        plain_secrets(&format!("source.{name}"), &source.table, &mut warnings);
    }
    for automation in &config.automations.automations {
        let conditions = [&automation.when, &automation.stop].into_iter().flatten();
        for doubt in conditions.flat_map(Expression::names).filter_map(NamePath::doubt) {
            warnings.push(format!("[[automation]] {}: {doubt}", automation.name));
        }
    }
    warnings.extend(config.automations.circles());
    for (name, destination) in &config.destinations {
        for wanted in destination.rule.filter.sources.iter().flatten() {
            if !config.sources.contains_key(wanted.as_str()) {
                warnings.push(format!(
                    "[destination.{name}]: `sources` names {wanted:?}, which is not in the configuration"
                ));
            }
        }
        let told = destination.warnings.iter();
        warnings.extend(told.map(|warning| format!("[destination.{name}]: {warning}")));
        plain_secrets(&format!("destination.{name}"), &destination.table, &mut warnings);
    }
    warnings
}

/// Secrets that stand in the file itself.
fn plain_secrets(section: &str, table: &toml::Table, warnings: &mut Vec<String>) {
    for (key, value) in table {
        let secret = [
            "token",
            "tokens",
            "secret",
            "secrets",
            "password",
            "passwords",
            "bearer",
            "api_key",
        ]
        .contains(&key.as_str());
        let url = value.as_str().and_then(|text| url::Url::parse(text).ok());
        let password_in_url = url.is_some_and(|url| url.password().is_some());
        let is_text = value.is_str()
            || value
                .as_array()
                .is_some_and(|all| all.iter().any(toml::Value::is_str));
        if (secret && is_text) || password_in_url {
            warnings.push(format!("[{section}] `{key}` holds a secret in plain text; {{ env = \"NAME\" }} or {{ file = \"path\" }} keeps it out of this file"));
        }
        if let Some(inner) = value.as_table() {
            plain_secrets(&format!("{section}.{key}"), inner, warnings);
        }
    }
}
