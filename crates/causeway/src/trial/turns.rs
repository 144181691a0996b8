//! Lets time pass in a trial: timers of automations fire, and scheduled ones run.

use std::{collections::VecDeque, sync::Arc};

use causeway_core::{
    automation::Automation, clock::Timestamp, decode::follow_up::FollowUpDecoder, event::Decode,
    id::ContactId, store::Views,
};
use causeway_store::{TrialResult, TrialStep};

use super::Trial;
use crate::engine::turns::turn_row;

/// Contacts whose turn comes in one step: few enough that what they are sent fits into memory.
const CONTACTS: u32 = 200;

/// How far the clock has come for automations that it starts.
pub(super) struct Turns {
    clocked: Vec<Arc<Automation>>,
    /// Up to then they had their turns; `None` before the first message, when there is nobody to have one.
    until: Option<Timestamp>,
    /// Those whose turn it is, and the contact up to which it came.
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

    /// As when a hub starts: the turns begin with the next.
    pub(super) fn begin(&mut self, at: Timestamp) {
        self.until.get_or_insert(at);
    }

    /// The next turn that is not after `until`.
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
    /// When the next happens of what is not after `until`.
    pub async fn next(&self, until: Timestamp) -> anyhow::Result<Option<Timestamp>> {
        let timer = self.store.next_timer().await?.filter(|due| *due <= until);
        Ok(timer.into_iter().chain(self.turns.next(until)).min())
    }

    /// Lets time pass, and returns the next timers that fired and scheduled runs; call it until it returns none.
    pub async fn pass(&mut self, until: Timestamp) -> anyhow::Result<Option<Vec<TrialResult>>> {
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

    /// Leaves out what the clock would start until then.
    pub fn skip_turns(&mut self, until: Timestamp) {
        self.turns.running.clear();
        self.turns.until = self.turns.until.map(|from| from.max(until));
    }

    /// Some of the contacts whose turn it is; `None` for a moment in which it is nobody's.
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
