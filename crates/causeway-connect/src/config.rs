//! What connectors share when they read their part of the configuration: errors, secrets, and the context to
//! connect in.

use std::{fmt, io::ErrorKind, path::PathBuf, sync::Arc};

use causeway_core::{
    clock::Clock,
    mapping::{MappingError, Tables},
    nearest::nearest,
    secret::Secret,
};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::vault::Vault;

/// What is wrong with a connector's table, and how to fix it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The key within the connector's table, dotted; empty when the error concerns the whole table.
    pub key: String,
    pub message: String,
    pub hint: Option<String>,
    /// An environment variable or a file is missing here, but may exist on the machine where the hub runs.
    pub absent: bool,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "`{}`: ", self.key)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl ConfigError {
    pub fn new(key: &str, message: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            message: message.into(),
            hint: None,
            absent: false,
        }
    }

    /// The error for a file that could not be read. A user who only checks the configuration may lack the
    /// right to read it.
    pub fn unreadable(key: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self {
            absent: matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied),
            ..Self::new(key, format!("reading {}: {error}", path.display()))
        }
    }

    /// The error of a mapping, at its field of the table `key`.
    pub fn from_mapping(key: &str, mut error: MappingError) -> Self {
        let key = match error.field.take() {
            Some(field) => format!("{key}.{field}"),
            None => key.to_owned(),
        };
        let hint = error.hint.take();
        Self {
            hint,
            ..Self::new(&key, error.to_string())
        }
    }

    /// Splits the TOML reader's error into key and message.
    pub fn from_toml(error: &toml::de::Error) -> Self {
        let text = error.to_string();
        let path = text
            .lines()
            .find_map(|line| line.strip_prefix("in `")?.strip_suffix('`'))
            .unwrap_or_default();
        let unknown = error
            .message()
            .strip_prefix("unknown field `")
            .and_then(|rest| rest.split('`').next());
        let key = match unknown {
            Some(name) if path.is_empty() => name.to_owned(),
            Some(name) if path != name && !path.ends_with(&format!(".{name}")) => format!("{path}.{name}"),
            _ => path.to_owned(),
        };
        let message = error.message();
        let meant = unknown_name(message).and_then(|wanted| nearest(wanted, expected_names(message)));
        let wrong = Self::new(&key, plain(message));
        match meant {
            Some(meant) => wrong.hint(did_you_mean(meant)),
            None => wrong,
        }
    }

    /// The same error, seen from the table that holds this one under `key`.
    #[must_use]
    pub fn within(mut self, key: &str) -> Self {
        self.key = if self.key.is_empty() {
            key.to_owned()
        } else {
            format!("{key}.{}", self.key)
        };
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The hint for an unknown name.
pub fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}

/// The unknown name in the reader's message: "unknown field `urll`, expected …", "unknown variant `singel`,
/// expected …".
pub fn unknown_name(message: &str) -> Option<&str> {
    let rest = message
        .strip_prefix("unknown field `")
        .or_else(|| message.strip_prefix("unknown variant `"))?;
    rest.split('`').next()
}

/// The known names in the reader's message.
pub fn expected_names(message: &str) -> impl Iterator<Item = &str> {
    let names = message.split_once("expected ").map_or("", |(_, names)| names);
    names.split('`').skip(1).step_by(2)
}

/// Replaces the reader's names of types by plain words.
fn plain(message: &str) -> String {
    let message = &without_value(message);
    let words = [
        ("expected u16", "expected a whole number from 0 to 65535"),
        ("expected u32", "expected a whole number from 0 to 4294967295"),
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected f64", "expected a number"),
        (
            "invalid socket address syntax",
            "expected an address and a port, such as \"127.0.0.1:8437\"",
        ),
    ];
    let reworded = words.iter().fold(message.clone(), |message, (type_name, words)| {
        message.replace(type_name, words)
    });
    match reworded.split_once("expected struct ") {
        Some((before, _)) => format!("{before}expected a table"),
        None => reworded,
    }
}

/// Removes the value of a text in the wrong place, because it may be a secret.
fn without_value(message: &str) -> String {
    match (
        message.strip_prefix("invalid type: string \""),
        message.rsplit_once("\", expected "),
    ) {
        (Some(_), Some((_, expected))) => format!("invalid type: a text, expected {expected}"),
        _ => message.to_owned(),
    }
}

/// What a connector may use of its surroundings.
#[derive(Clone)]
pub struct Context {
    /// The connector's name in the configuration.
    pub name: Arc<str>,
    pub clock: Arc<dyn Clock>,
    /// Relative paths in the configuration start here (the folder of the configuration file).
    pub dir: PathBuf,
    /// The lookup tables of the configuration, for mappings.
    pub tables: Tables,
    /// Keeps tokens that the connector receives.
    pub vault: Arc<dyn Vault>,
}

/// A table of the configuration as JSON. TOML's dates become texts.
pub fn json_members(table: toml::Table) -> serde_json::Map<String, serde_json::Value> {
    members(table, "")
}

/// A value of the configuration as JSON. TOML's dates become texts.
pub fn plain_json(value: toml::Value) -> serde_json::Value {
    json(value, "")
}

/// A value in a mapping, as [`causeway_core::mapping::Term`] reads it. TOML's dates become fixed texts.
pub fn term_json(value: toml::Value) -> serde_json::Value {
    json(value, "=")
}

fn json(value: toml::Value, before_date: &str) -> serde_json::Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(flag) => flag.into(),
        toml::Value::Datetime(at) => format!("{before_date}{at}").into(),
        toml::Value::Array(items) => items.into_iter().map(|item| json(item, before_date)).collect(),
        toml::Value::Table(table) => members(table, before_date).into(),
    }
}

fn members(table: toml::Table, before_date: &str) -> serde_json::Map<String, serde_json::Value> {
    table
        .into_iter()
        .map(|(name, value)| (name, json(value, before_date)))
        .collect()
}

/// Reads a connector's own keys. The type rejects unknown keys (`deny_unknown_fields`).
pub fn read<T: DeserializeOwned>(table: &toml::Table) -> Result<T, ConfigError> {
    T::deserialize(table.clone()).map_err(|error| ConfigError::from_toml(&error))
}

/// A secret: `{ env = "NAME" }`, `{ file = "path" }`, or the text itself (which `config check` warns about).
#[derive(Clone, PartialEq, Eq, JsonSchema)]
#[schemars(untagged)]
pub enum SecretRef {
    Text(String),
    From(SecretFrom),
}

// Written by hand for precise errors: serde's untagged only reports that no variant fits.
impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

struct SecretVisitor;

impl<'de> Visitor<'de> for SecretVisitor {
    type Value = SecretRef;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, { env = \"NAME\" } or { file = \"path\" }")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<SecretRef, E> {
        Ok(SecretRef::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SecretRef, A::Error> {
        let from = SecretFrom::deserialize(MapAccessDeserializer::new(map))?;
        if from.env.is_some() == from.file.is_some() {
            return Err(de::Error::custom(
                "a secret needs exactly one of `env` and `file`, as { env = \"NAME\" }",
            ));
        }
        Ok(SecretRef::From(from))
    }
}

/// Exactly one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretFrom {
    /// Name of an environment variable.
    #[serde(default)]
    pub env: Option<String>,
    /// Path of a file; white space at its end does not count.
    #[serde(default)]
    pub file: Option<PathBuf>,
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("***"),
            Self::From(from) => from.fmt(f),
        }
    }
}

impl SecretRef {
    /// Reads the environment variable or the file. The error names `key`.
    pub fn resolve(&self, key: &str, dir: &std::path::Path) -> Result<Secret, ConfigError> {
        let from = match self {
            Self::Text(text) => return Ok(Secret::new(text)),
            Self::From(from) => from,
        };
        match (&from.env, &from.file) {
            (Some(name), None) => match std::env::var(name) {
                Ok(text) if !text.is_empty() => Ok(Secret::new(text)),
                _ => Err(ConfigError {
                    absent: true,
                    ..ConfigError::new(key, format!("the environment variable {name} is not set"))
                        .hint(format!("export {name}=… before the start"))
                }),
            },
            (None, Some(path)) => {
                let path = dir.join(path);
                std::fs::read_to_string(&path)
                    .map(|text| Secret::new(text.trim_end()))
                    .map_err(|error| ConfigError::unreadable(key, &path, &error))
            }
            _ => Err(
                ConfigError::new(key, "a secret needs exactly one of `env` and `file`")
                    .hint(format!("{key} = {{ env = \"NAME\" }}")),
            ),
        }
    }
}
