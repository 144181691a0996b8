//! The states of the sources, as they report them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use causeway_core::{
    id::Name,
    source::{Health, SourceState},
};

use super::Metrics;

/// The state of each source, for `/readyz`, the console and the metrics.
#[derive(Default)]
pub struct Sources {
    states: Mutex<BTreeMap<Name, SourceState>>,
    /// (Source, subject) → what a person should look at although the source works.
    warnings: Mutex<BTreeMap<(Name, &'static str), String>>,
}

impl Sources {
    pub fn states(&self) -> BTreeMap<Name, SourceState> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets a source that a reload removed.
    pub fn forget(&self, name: &str) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.remove(name);
        drop(states);
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.retain(|(source, _), _| **source != *name);
    }

    /// In the order of the sources' names.
    pub fn warnings(&self) -> Vec<(Name, String)> {
        let warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        let all = warnings.iter();
        all.map(|((name, _), warning)| (Name::clone(name), warning.clone()))
            .collect()
    }
}

/// Where one source reports its state.
pub struct SourceHealth {
    pub name: Name,
    pub sources: Arc<Sources>,
    pub metrics: Arc<Metrics>,
}

impl Health for SourceHealth {
    fn set(&self, state: SourceState) {
        let up = matches!(state, SourceState::Running);
        self.metrics.source_up(&self.name, up);
        let mut states = self.sources.states.lock().unwrap_or_else(PoisonError::into_inner);
        let before = states.insert(Name::clone(&self.name), state.clone());
        drop(states);
        if before.as_ref() == Some(&state) {
            return;
        }
        match state {
            SourceState::Connecting => tracing::info!(source = %self.name, "source {} connects", self.name),
            SourceState::Running => tracing::info!(source = %self.name, "source {} runs", self.name),
            SourceState::Failing { reason } => {
                tracing::warn!(source = %self.name, reason, "source {} fails; it keeps trying", self.name);
            }
            SourceState::Halted { reason } => {
                tracing::error!(source = %self.name, reason, "source {} is halted until you fix the cause", self.name);
            }
        }
    }

    fn gauge(&self, name: &'static str, value: i64) {
        self.metrics.source_gauge(&self.name, name, value);
    }

    fn count(&self, name: &'static str) {
        self.metrics.source_event(&self.name, name);
    }

    fn warn(&self, about: &'static str, warning: Option<String>) {
        let key = (Name::clone(&self.name), about);
        let mut warnings = self
            .sources
            .warnings
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = match &warning {
            Some(warning) => warnings.insert(key, warning.clone()),
            None => warnings.remove(&key),
        };
        drop(warnings);
        match warning {
            Some(reason) if before.as_ref() != Some(&reason) => {
                tracing::warn!(source = %self.name, reason, "source {} needs attention", self.name);
            }
            None if before.is_some() => {
                tracing::info!(source = %self.name, "source {} no longer needs attention ({about})", self.name);
            }
            _ => {}
        }
    }
}
