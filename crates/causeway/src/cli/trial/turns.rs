//! Lets time pass in a trial: timers fire, and scheduled automations run.

use std::{collections::VecDeque, sync::Arc};

use causeway_core::{
    automation::Automation, clock::Timestamp, decode::follow_up::FollowUpDecoder, event::Decode,
    id::ContactId, store::Views,
};
use causeway_store::{TrialResult, TrialStep};

use super::Trial;
use crate::engine::turns::turn_row;

/// Contacts of a scheduled run per step: few enough that their deliveries fit into memory.
const CONTACTS: u32 = 200;

/// The state of the scheduled automations.
pub(super) struct Turns {
    clocked: Vec<Arc<Automation>>,
    /// All schedules have run up to this time; `None` before the first message, when there is no contact.
    until: Option<Timestamp>,
    /// The running automations with their scheduled time, and the last contact that was run.
    running: VecDeque<(Arc<Automation>, Timestamp, ContactId)>,
}

impl Turns {
    pub(super) fn new(clocked: Vec<Arc<Automation>>) -> Self {
        Self {
            clocked,
            until: None,
            running: VecDeque::new(),
        }
    }

    /// Begins at this time, as when a hub starts: earlier runs are left out.
    pub(super) fn begin(&mut self, at: Timestamp) {
        self.until.get_or_insert(at);
    }

    /// The next scheduled time up to `until`.
    fn next(&self, until: Timestamp) -> Option<Timestamp> {
        if let Some((_, turn, _)) = self.running.front() {
            return Some(*turn);
        }
        let from = self.until?;
        let turns = self.clocked.iter();
        turns
            .filter_map(|automation| automation.next_run(from))
            .min()
            .filter(|turn| *turn <= until)
    }

    fn start(&mut self, turn: Timestamp) {
        let Some(from) = self.until else { return };
        let all = self.clocked.iter();
        let these = all.filter(|automation| automation.next_run(from) == Some(turn));
        self.running
            .extend(these.map(|automation| (Arc::clone(automation), turn, ContactId(0))));
        self.until = Some(turn);
    }
}

impl Trial {
    /// The time of the next timer or scheduled run up to `until`.
    pub async fn next(&self, until: Timestamp) -> anyhow::Result<Option<Timestamp>> {
        let timer = self.store.next_timer().await?.filter(|due| *due <= until);
        Ok(timer.into_iter().chain(self.turns.next(until)).min())
    }

    /// Lets time pass and returns the next results of timers and scheduled runs. Call it until it returns `None`.
    pub async fn advance(&mut self, until: Timestamp) -> anyhow::Result<Option<Vec<TrialResult>>> {
        loop {
            let timer = self.store.next_timer().await?.filter(|due| *due <= until);
            let turn = self.turns.next(until);
            let played = match (timer, turn) {
                (None, None) => {
                    self.skip_turns(until);
                    return Ok(None);
                }
                (Some(due), turn) if turn.is_none_or(|turn| due <= turn) => {
                    self.store.fire_next_timers(due).await?
                }
                (_, Some(turn)) => self.turn(turn).await?,
                (Some(_), None) => None,
            };
            if let Some(last) = played.as_ref().and_then(|played| played.last()) {
                self.clock.set(last.at);
                return Ok(played);
            }
        }
    }

    /// Leaves out all scheduled runs up to this time.
    pub fn skip_turns(&mut self, until: Timestamp) {
        self.turns.running.clear();
        self.turns.until = self.turns.until.map(|from| from.max(until));
    }

    /// Runs the next contacts of a scheduled run; `None` if no contact is left.
    async fn turn(&mut self, turn: Timestamp) -> anyhow::Result<Option<Vec<TrialResult>>> {
        let Some((automation, turn, after)) = self.turns.running.pop_front() else {
            self.turns.start(turn);
            return Ok(None);
        };
        let contacts = self
            .store
            .contacts(&automation.workspace, after, CONTACTS)
            .await?;
        let Some((last, _)) = contacts.last() else {
            return Ok(None);
        };
        let next = (Arc::clone(&automation), turn, *last);
        let rows = contacts
            .iter()
            .filter(|(_, contact)| automation.is_due_for(contact, turn))
            .map(|(id, _)| {
                let envelope = turn_row(&automation, *id, turn, turn);
                TrialStep {
                    decoded: FollowUpDecoder.decode(&envelope),
                    now: turn,
                    envelope,
                }
            })
            .collect();
        self.turns.running.push_front(next);
        Ok(Some(self.store.run_trial(rows).await?))
    }
}
