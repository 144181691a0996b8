//! What a delivery would send, without a client.

use std::{fmt, sync::Arc};

use causeway_core::{clock::Clock, delivery::Delivery, destination::Outcome};

use super::{Connector, Task, run};

/// Stops a connector that would make calls for ever.
const MOST_CALLS: usize = 50;

/// Why a delivery would send nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unsent {
    /// It would be skipped, because there is nothing to do.
    Skipped(String),
    /// It would be dead, because its request cannot be made.
    Dead(String),
}

impl Unsent {
    pub fn reason(&self) -> &str {
        match self {
            Self::Skipped(reason) | Self::Dead(reason) => reason,
        }
    }
}

impl From<Outcome> for Unsent {
    fn from(outcome: Outcome) -> Self {
        let reason = outcome.reason().unwrap_or_default().to_owned();
        match outcome {
            Outcome::Skip { .. } => Self::Skipped(reason),
            _ => Self::Dead(reason),
        }
    }
}

impl From<String> for Unsent {
    fn from(reason: String) -> Self {
        Self::Dead(reason)
    }
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skipped(reason) => write!(f, "would be skipped: {reason}"),
            Self::Dead(reason) => write!(f, "would be dead: {reason}"),
        }
    }
}

/// The requests of each delivery, as if the vendor answered each as documented for success. `Err` is the reason for
/// which nothing would be sent. Notes are separate.
pub fn preview<C: Connector>(
    connector: &C,
    batch: &[Delivery],
    clock: &Arc<dyn Clock>,
) -> Vec<Result<(String, Vec<String>), Unsent>> {
    batch
        .iter()
        .map(|delivery| one(connector, delivery, &**clock))
        .collect()
}

fn one<C: Connector>(
    connector: &C,
    delivery: &Delivery,
    clock: &dyn Clock,
) -> Result<(String, Vec<String>), Unsent> {
    let planned = connector.plan(delivery)?;
    let mut task = Task::new(delivery, Ok(planned));
    let mut requests = Vec::new();
    while let Some(step) = task.step().cloned().filter(|_| requests.len() < MOST_CALLS) {
        requests.push(connector.request(&step, &[&task]).preview());
        let answer = connector.expected(&step, &[&task]);
        run::settle(connector, &step, &answer, &mut [&mut task], clock);
    }
    Ok((requests.join("\n\n"), task.notes))
}
