//! What a delivery would send, without a client.

use std::sync::Arc;

use causeway_core::{clock::Clock, delivery::Delivery};

use super::{Connector, Task, run};
use crate::destination::Unsent;

/// Stops a connector that would make calls for ever.
const MOST_CALLS: usize = 50;

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
