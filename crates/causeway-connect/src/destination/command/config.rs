//! The keys of a command, and the program that they name.

use std::{
    collections::BTreeMap,
    env, fmt,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use causeway_core::secret::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::{ConfigError, SecretRef};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// The program and its arguments. No shell reads them.
    command: Vec<String>,
    /// The whole environment of the program: name = text, or a secret. It inherits nothing.
    #[serde(default)]
    env: BTreeMap<String, SecretRef>,
    /// The working folder, relative to the folder of the configuration, which is the default.
    folder: Option<PathBuf>,
    /// Seconds in which the program must have answered all deliveries of a call. Then it is killed. Less than
    /// `timeout_s`.
    #[serde(default = "default_answer_s")]
    answer_s: u16,
}

fn default_answer_s() -> u16 {
    25
}

/// The parts of a variable's name that hint at a secret.
const SECRET_NAMES: [&str; 5] = ["TOKEN", "SECRET", "PASSWORD", "API_KEY", "APIKEY"];

impl Config {
    /// Checks what can be checked without reading the disk. Returns the program and its arguments.
    pub fn check(&self) -> Result<(&str, &[String]), ConfigError> {
        let hint = "write it as [\"python3\", \"/opt/deliver.py\"]";
        let Some((name, arguments)) = self
            .command
            .split_first()
            .filter(|(name, _)| !name.trim().is_empty())
        else {
            return Err(ConfigError::new("command", "names no program").hint(hint));
        };
        if self.command.iter().any(|part| part.contains('\0')) {
            return Err(ConfigError::new("command", "contains a null character").hint(hint));
        }
        if self.answer_s == 0 {
            return Err(ConfigError::new("answer_s", "must be 1 or more"));
        }
        for (name, value) in &self.env {
            let key = format!("env.{name}");
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(ConfigError::new(&key, "is no name of an environment variable"));
            }
            if matches!(value, SecretRef::Text(text) if text.contains('\0')) {
                return Err(ConfigError::new(&key, "contains a null character"));
            }
        }
        Ok((name, arguments))
    }

    pub fn warnings(&self) -> Vec<String> {
        let plain = self.env.iter().filter(|(name, value)| {
            let name = name.to_ascii_uppercase();
            matches!(value, SecretRef::Text(_)) && SECRET_NAMES.iter().any(|mark| name.contains(mark))
        });
        plain
            .map(|(name, _)| {
                format!(
                    "`env.{name}` holds a secret in plain text; {{ env = \"NAME\" }} or {{ file = \"path\" }} keeps it out of \
                     this file"
                )
            })
            .collect()
    }
}

/// A program that exists and may be run.
pub(super) struct Program {
    pub path: PathBuf,
    pub arguments: Vec<String>,
    pub env: BTreeMap<String, Secret>,
    pub folder: PathBuf,
    pub answer_within: Duration,
}

impl Program {
    /// Finds the program on the disk, and reads the secrets of its environment.
    pub fn find(config: &Config, dir: &Path) -> Result<Self, ConfigError> {
        let (name, arguments) = config.check()?;
        let folder = match &config.folder {
            Some(folder) => dir.join(folder),
            None if dir.as_os_str().is_empty() => PathBuf::from("."),
            None => dir.to_owned(),
        };
        if !folder.is_dir() {
            let message = format!("there is no folder {}", folder.display());
            return Err(ConfigError::new("folder", message));
        }
        let mut values = BTreeMap::new();
        for (name, value) in &config.env {
            let key = format!("env.{name}");
            let value = value.resolve(&key, dir)?;
            if value.reveal().contains('\0') {
                return Err(ConfigError::new(&key, "contains a null character"));
            }
            values.insert(name.clone(), value);
        }
        Ok(Self {
            path: find(name, dir)?,
            arguments: arguments.to_vec(),
            env: values,
            folder,
            answer_within: Duration::from_secs(config.answer_s.into()),
        })
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// A name with a slash is a path relative to the folder of the configuration. Any other is looked up in `PATH`.
fn find(name: &str, dir: &Path) -> Result<PathBuf, ConfigError> {
    let wrong = |message: String| ConfigError::new("command", message);
    if name.contains('/') {
        let path = dir.join(name);
        // A path without a slash would be looked up again when the program is started.
        let path = std::path::absolute(&path).unwrap_or(path);
        return match path.metadata() {
            Err(error) => Err(wrong(format!("there is no program {}: {error}", path.display()))
                .hint("a path is relative to the folder of the configuration")),
            Ok(found) if found.is_dir() => Err(wrong(format!("{} is a folder", path.display()))),
            Ok(_) if !is_executable(&path) => Err(wrong(format!("{} is not executable", path.display()))
                .hint("run chmod +x, or put its interpreter first, as [\"python3\", \"deliver.py\"]")),
            Ok(_) => Ok(path),
        };
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    let mut candidates = env::split_paths(&folders)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name));
    candidates.find(|path| is_executable(path)).ok_or_else(|| {
        wrong(format!("there is no program `{name}` in the folders of PATH"))
            .hint("write its path, such as /usr/bin/python3")
    })
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
