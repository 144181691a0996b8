//! Deliveries on their way through the program.

use std::{collections::VecDeque, sync::Arc};

use causeway_core::clock::Timestamp;
use tokio::sync::oneshot;

use super::{answer::Answer, running::Running};

/// Deliveries that the program was sent. If it is dropped before they were answered, the program is killed.
pub(super) struct InFlight {
    running: Arc<Running>,
    receivers: VecDeque<(String, oneshot::Receiver<Answer>)>,
}

impl InFlight {
    /// `None` if the program has ended.
    pub fn new(running: Arc<Running>, keys: impl Iterator<Item = String>) -> Option<Self> {
        let mut receivers = VecDeque::new();
        {
            let mut state = running.shared.lock();
            if state.end.is_some() {
                return None;
            }
            for key in keys {
                let (sender, receiver) = oneshot::channel();
                // The hub never has two deliveries with one key. If it had, the first would be retried.
                state.in_flight.insert(key.clone(), sender);
                receivers.push_back((key, receiver));
            }
        }
        Some(Self { running, receivers })
    }

    /// The answers in the order of the keys. `Err` says why there is none.
    pub async fn answers(mut self, lines: &str, deadline: Timestamp) -> Vec<Result<Answer, String>> {
        let clock = Arc::clone(&self.running.shared.clock);
        let mut answers = Vec::new();
        let exchange = async {
            // If the program ended, the receivers learn it, too.
            let _written = self.running.write(lines).await;
            while let Some((_, receiver)) = self.receivers.front_mut() {
                let answer = receiver.await;
                answers.push(answer);
                self.receivers.pop_front();
            }
        };
        let is_late = tokio::select! {
            () = exchange => false,
            () = clock.sleep_until(deadline) => true,
        };
        if is_late {
            self.running
                .shared
                .kill("the program did not answer in time, and was killed", true);
            // What the program wrote before still counts. Then each sender is gone.
            for (_, receiver) in std::mem::take(&mut self.receivers) {
                answers.push(receiver.await);
            }
        }
        answers
            .into_iter()
            .map(|answer| answer.map_err(|_| self.running.shared.lost()))
            .collect()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let is_waiting = {
            let state = self.running.shared.lock();
            self.receivers
                .iter()
                .any(|(key, _)| state.in_flight.contains_key(key))
        };
        if is_waiting {
            // The hub gave up. That is no failure of the program, so it is started again at once.
            self.running
                .shared
                .kill("the call was given up, and the program was killed", false);
        }
    }
}
