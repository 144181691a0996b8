//! What became of each mutant, and the survivors that are accepted.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
};

use anyhow::Context;
use serde::Deserialize;

use crate::find::Key;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Killed,
    /// The tests ran more than ten times as long.
    TimedOut,
    Survived,
    /// No test runs the place.
    Unreached,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Killed, Self::TimedOut, Self::Survived, Self::Unreached];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::TimedOut => "timed out",
            Self::Survived => "survived",
            Self::Unreached => "unreached",
        }
    }

    pub fn lives(self) -> bool {
        matches!(self, Self::Survived | Self::Unreached)
    }
}

/// One line for each mutant: file, function, mutation, ordinal, outcome, the test that killed it.
pub struct Results {
    file: File,
    pub known: HashMap<Key, Outcome>,
}

impl Results {
    /// Continues the file. Results are kept if `keep` says so; the others are made again.
    pub fn open(path: &Path, keep: impl Fn(Outcome) -> bool) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let mut known = HashMap::new();
        let mut kept = HashMap::new();
        for line in text.lines() {
            if let Some((key, outcome)) = parse(line) {
                known.insert(key.clone(), outcome);
                kept.insert(key, line);
            }
        }
        known.retain(|_, outcome| keep(*outcome));
        let mut lines: Vec<&str> = kept
            .into_iter()
            .filter(|(key, _)| known.contains_key(key))
            .map(|(_, line)| line)
            .collect();
        lines.sort_unstable();
        let text: String = lines.into_iter().flat_map(|line| [line, "\n"]).collect();
        std::fs::write(path, text)?;
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Self { file, known })
    }

    pub fn add(&mut self, key: &Key, outcome: Outcome, by: &str) -> anyhow::Result<()> {
        let Key {
            file,
            function,
            mutation,
            ordinal,
        } = key;
        let line = format!(
            "{file}\t{function}\t{mutation}\t{ordinal}\t{}\t{by}\n",
            outcome.as_str()
        );
        self.file.write_all(line.as_bytes())?;
        self.known.insert(key.clone(), outcome);
        Ok(())
    }
}

fn parse(line: &str) -> Option<(Key, Outcome)> {
    let mut parts = line.split('\t');
    let mut next = || parts.next().map(str::to_owned);
    let key = Key {
        file: next()?,
        function: next()?,
        mutation: next()?,
        ordinal: next()?.parse().ok()?,
    };
    let outcome = next()?;
    let outcome = Outcome::ALL.into_iter().find(|known| known.as_str() == outcome)?;
    Some((key, outcome))
}

/// A survivor with the reason why no test has to notice it.
#[derive(Debug, Clone, Deserialize)]
pub struct Accepted {
    #[serde(flatten)]
    pub key: Key,
    pub reason: String,
}

#[derive(Debug, Default, Deserialize)]
struct AcceptedFile {
    #[serde(default)]
    accepted: Vec<Accepted>,
}

pub fn accepted(path: &Path) -> anyhow::Result<Vec<Accepted>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let file: AcceptedFile = toml::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
    Ok(file.accepted)
}
