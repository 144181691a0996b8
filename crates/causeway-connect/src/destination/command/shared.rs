//! What is known about a running program: its deliveries in flight, its answers, and its end.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use causeway_core::{
    clock::{Clock, Timestamp},
    id::Name,
};
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::{
    answer::{self, Answer, Said},
    group::Group,
    lines::Line,
};

/// How many keys are remembered to recognise a second answer.
const MOST_ANSWERED: usize = 1_000;

/// How the program ended.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub reason: String,
    pub at: Timestamp,
    /// Deliveries were lost with it.
    pub is_failure: bool,
    pub has_answered: bool,
}

pub(super) struct Shared {
    pub group: Group,
    pub clock: Arc<dyn Clock>,
    destination: Name,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// Key → where the answer goes.
    pub in_flight: BTreeMap<String, oneshot::Sender<Answer>>,
    answered: VecDeque<String>,
    has_answered: bool,
    pub checking: Option<oneshot::Sender<Result<(), String>>>,
    /// Lines that are no answers, and what was wrong with the last one.
    odd: (u64, &'static str),
    pub end: Option<End>,
}

impl Shared {
    pub fn new(id: u32, destination: Name, clock: Arc<dyn Clock>) -> Self {
        Self {
            group: Group::new(id),
            clock,
            destination,
            state: Mutex::default(),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn read(&self, line: Line) {
        let mut state = self.lock();
        match answer::read(line) {
            Said::Nothing => {}
            Said::Answer { key, answer } => match state.in_flight.remove(&key) {
                Some(sender) => {
                    state.has_answered = true;
                    // If the call was dropped, nobody waits any more.
                    let _unread = sender.send(answer);
                    state.answered.push_back(key);
                    if state.answered.len() > MOST_ANSWERED {
                        state.answered.pop_front();
                    }
                }
                None if state.answered.contains(&key) => {
                    self.note(&mut state, "a second answer for a delivery; the first one counts");
                }
                None => self.note(&mut state, "a `key` that is not in flight"),
            },
            Said::Checked(result) => match state.checking.take() {
                Some(sender) => drop(sender.send(result)),
                None => self.note(&mut state, "the answer to a check that is not in flight"),
            },
            Said::Unreadable(why) => self.note(&mut state, why),
        }
    }

    /// Counts a line that is no answer. The log gets the 1st, 2nd, 4th, 8th, …
    fn note(&self, state: &mut State, why: &'static str) {
        state.odd = (state.odd.0.saturating_add(1), why);
        if state.odd.0.is_power_of_two() {
            let (destination, lines) = (&*self.destination, state.odd.0);
            warn!(
                destination,
                lines, "the program wrote a line that is no answer: {why}"
            );
        }
    }

    /// What is known about lines that are no answers.
    pub fn odd(&self) -> String {
        match self.lock().odd {
            (0, _) => String::new(),
            (count, why) => format!("; it wrote {count} lines that are no answers, the last one: {why}"),
        }
    }

    /// Kills the program. What it wrote until then is still read; the rest in flight is lost, for this reason.
    pub fn kill(&self, reason: &str, is_failure: bool) {
        // The lock keeps others from starting the next program before this one is gone.
        let mut state = self.lock();
        self.end(&mut state, reason, is_failure);
        self.group.kill();
    }

    /// The program wrote its last line. Releases all who wait.
    pub fn close(&self, reason: &str) {
        let mut state = self.lock();
        self.end(&mut state, reason, true);
        state.in_flight.clear();
        state.checking = None;
    }

    /// Why nothing was answered.
    pub fn lost(&self) -> String {
        let end = self.lock().end.clone();
        let reason = end.map_or_else(|| "the program ended".to_owned(), |end| end.reason);
        reason + &self.odd()
    }

    /// The program takes no more deliveries. The first reason counts.
    fn end(&self, state: &mut State, reason: &str, is_failure: bool) {
        if state.end.is_some() {
            return;
        }
        let (destination, pid) = (&*self.destination, self.group.id());
        info!(destination, pid, "{reason}");
        let is_asked = !state.in_flight.is_empty() || state.checking.is_some();
        state.end = Some(End {
            reason: reason.to_owned(),
            at: self.clock.now(),
            is_failure: is_failure && is_asked,
            has_answered: state.has_answered,
        });
    }
}
