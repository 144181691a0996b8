//! What a delivery would send, without a client.

use std::{fmt, sync::Arc};

use causeway_core::{clock::Clock, delivery::Delivery, destination::Outcome};

use super::{Connector, Task, run};

/// Calls of one delivery. Stops a connector that would make calls for ever.
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
    let plans: Vec<_> = batch.iter().map(|delivery| connector.plan(delivery)).collect();
    let reasons: Vec<Option<Unsent>> = plans
        .iter()
        .map(|plan| plan.as_ref().err().cloned().map(Unsent::from))
        .collect();
    let planned = batch.iter().zip(plans);
    let mut tasks: Vec<Task<'_, C>> = planned
        .map(|(delivery, plan)| Task::new(delivery, plan))
        .collect();
    let mut requests = vec![Vec::new(); tasks.len()];
    // One call of each delivery after the other, because the size of the batch may decide about the next.
    loop {
        connector.regroup(&mut tasks);
        let all = tasks.iter().zip(&requests);
        let going = all.filter(|(_, requests)| requests.len() < MOST_CALLS);
        let orders = going.filter_map(|(task, _)| task.step().map(|step| connector.order(step)));
        let Some(lowest) = orders.min() else {
            break;
        };
        for (task, requests) in tasks.iter_mut().zip(&mut requests) {
            let step = task
                .step()
                .filter(|step| connector.order(step) == lowest)
                .cloned();
            let Some(step) = step.filter(|_| requests.len() < MOST_CALLS) else {
                continue;
            };
            requests.push(connector.request(&step, &[task]).preview());
            let answer = connector.expected(&step, &[task]);
            run::settle(connector, &step, &answer, &mut [task], &**clock);
        }
    }
    let shown = tasks.into_iter().zip(requests).zip(reasons);
    shown
        .map(|((task, requests), reason)| match reason {
            Some(reason) => Err(reason),
            None => Ok((requests.join("\n\n"), task.notes)),
        })
        .collect()
}
