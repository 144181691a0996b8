//! Which configuration is in force in the running hub, for pages and commands.

use std::path::{Path, PathBuf};

use arc_swap::ArcSwap;
use causeway_core::clock::Timestamp;
use serde::Serialize;

use super::{Config, digest_of};

/// A number for each configuration that was in force since the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Generation {
    /// 1 since the start; each reload that changed something adds 1.
    pub generation: u32,
    pub since: Timestamp,
}

/// The configuration that is in force.
pub struct InForce {
    pub path: PathBuf,
    now: ArcSwap<(Generation, String)>,
}

impl InForce {
    pub fn first(config: &Config, since: Timestamp) -> Self {
        let first = Generation { generation: 1, since };
        Self {
            path: config.path.clone(),
            now: ArcSwap::from_pointee((first, config.digest())),
        }
    }

    pub fn generation(&self) -> Generation {
        self.now.load().0.clone()
    }

    /// [`Config::digest`] of it.
    pub fn digest(&self) -> String {
        self.now.load().1.clone()
    }

    /// What a person should know: that the file is another one by now.
    pub async fn warning(&self) -> Option<String> {
        // A file that cannot be read now may be about to be replaced.
        let text = tokio::fs::read_to_string(&self.path).await.ok()?;
        (digest_of(&text) != self.now.load().1).then(|| file_differs(&self.path))
    }

    /// Another configuration is in force from now on.
    pub fn next(&self, config: &Config, since: Timestamp) {
        let generation = Generation {
            generation: self.generation().generation.saturating_add(1),
            since,
        };
        self.now.store((generation, config.digest()).into());
    }
}

/// The words for a file that changed after the hub read it.
pub fn file_differs(path: &Path) -> String {
    format!(
        "{} has changed since the hub read it: `causeway reload` puts it into force",
        path.display()
    )
}

/// The path of a configuration, however it was given.
pub fn whole_path(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}
