//! Hands each record to a program of yours: one JSON object a line on its standard input, and one answer a line on its
//! standard output.
//!
//! [`line`] writes what the program reads, [`answer`] reads what it writes, and [`running`] is the process. This module joins
//! them into a destination.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use causeway_core::{
    clock::{Clock, Timestamp},
    consent::CHANGES,
    delivery::Delivery,
    destination::{AttemptResult, CheckError, Destination, Outcome},
    id::Name,
    mapping::ConsentShown,
};
use schemars::schema_for;

use self::{
    config::{Config, Program},
    in_flight::InFlight,
    running::{Running, StartError},
    slot::{FIRST_WAIT, Slot},
};
use super::{Kind, Needs};
use crate::config::read;

mod answer;
mod config;
mod group;
mod in_flight;
mod line;
mod lines;
mod running;
mod shared;
mod slot;
mod stderr;
#[cfg(test)]
mod tests;

pub const KIND: Kind = Kind {
    name: "command",
    summary: "hands each record to a program of yours, as lines of JSON",
    sample: include_str!("../../../../../samples/destinations/command.toml"),
    schema: || schema_for!(Config),
    supported_changes: &CHANGES,
    concurrency: 1,
    batch: 20,
    parse: |_, table| {
        let config: Config = read(table)?;
        config.check()?;
        Ok(Needs {
            // Each line has a member for the change of consent, and the whole record.
            consent_shown: ConsentShown::All,
            warnings: config.warnings(),
            ..Needs::default()
        })
    },
    connect: |context, table| {
        Ok(Box::new(Command {
            program: Program::find(&read(table)?, &context.dir)?,
            clock: Arc::clone(&context.clock),
            name: Arc::clone(&context.name),
            slot: Mutex::default(),
            suspects: Mutex::default(),
        }))
    },
    preview: |_, table, batch| {
        read::<Config>(table)?.check()?;
        Ok(batch
            .iter()
            .map(|delivery| Ok(line::delivery(delivery)))
            .collect())
    },
    sign_in: None,
    create: None,
    exclusive: None,
    dummy_url: "https://HOST/",
    remains: None,
};

/// Beyond this number the deliveries that were lost with a program are forgotten, so that they take no memory for ever.
const MOST_SUSPECTS: usize = 10_000;

struct Command {
    program: Program,
    clock: Arc<dyn Clock>,
    name: Name,
    slot: Mutex<Slot>,
    /// The keys of deliveries that were in flight when the program ended or hung. One of them may be the reason, so
    /// each is sent alone: it cannot use up the attempts of the others.
    suspects: Mutex<BTreeSet<String>>,
}

#[async_trait]
impl Destination for Command {
    /// Asks an instance of its own, which ends afterwards.
    async fn check(&self) -> Result<(), CheckError> {
        let running = self.start().map_err(|error| match error {
            StartError::ForGood(why) => CheckError::Refused(why),
            StartError::ForNow(why) => CheckError::Unavailable(why),
        })?;
        running.check(self.deadline()).await
    }

    /// If the call is dropped while the program has not answered, the program is killed: nobody would read its answers.
    async fn deliver(&self, batch: &[Delivery]) -> Vec<AttemptResult> {
        let deadline = self.deadline();
        let mut results: Vec<Option<AttemptResult>> = vec![None; batch.len()];
        for group in self.groups(batch) {
            let members: Vec<&Delivery> = group.iter().filter_map(|at| batch.get(*at)).collect();
            let sent = self.send(&members, deadline).await;
            for (at, result) in group.into_iter().zip(sent) {
                if let Some(place) = results.get_mut(at) {
                    *place = Some(result);
                }
            }
        }
        let nothing = || AttemptResult::from(busy_for("the delivery was not sent", FIRST_WAIT));
        results
            .into_iter()
            .map(|result| result.unwrap_or_else(nothing))
            .collect()
    }
}

impl Command {
    fn deadline(&self) -> Timestamp {
        let now = self.clock.now();
        now.saturating_add(self.program.answer_within).unwrap_or(now)
    }

    fn start(&self) -> Result<Arc<Running>, StartError> {
        Running::start(&self.program, &self.name, &self.clock)
    }

    /// The deliveries that may be in flight together: those that never were lost, and each other one alone.
    fn groups(&self, batch: &[Delivery]) -> Vec<Vec<usize>> {
        let suspects = self.suspects();
        let is_suspect = |at: &usize| {
            batch
                .get(*at)
                .is_some_and(|delivery| suspects.contains(&delivery.key.0))
        };
        let (alone, together): (Vec<usize>, Vec<usize>) = (0..batch.len()).partition(is_suspect);
        let mut groups = Vec::new();
        groups.extend(Some(together).filter(|group| !group.is_empty()));
        groups.extend(alone.into_iter().map(|at| vec![at]));
        groups
    }

    fn suspects(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.suspects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends deliveries together, and waits for their answers until the deadline.
    async fn send(&self, batch: &[&Delivery], deadline: Timestamp) -> Vec<AttemptResult> {
        let all = |outcome: Outcome| batch.iter().map(|_| outcome.clone().into()).collect();
        let now = self.clock.now();
        if now >= deadline {
            return all(busy_for(
                "the program had no time left for this delivery",
                FIRST_WAIT,
            ));
        }
        let program = {
            let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
            slot.program(now, || self.start())
        };
        let running = match program {
            Ok(running) => running,
            Err(outcome) => return all(outcome),
        };
        let keys = batch.iter().map(|delivery| delivery.key.0.clone());
        let Some(in_flight) = InFlight::new(running, keys) else {
            return all(busy_for(
                "the program ended, and is started again soon",
                FIRST_WAIT,
            ));
        };
        let lines: Vec<String> = batch.iter().map(|delivery| line::delivery(delivery)).collect();
        let answers = in_flight.answers(&(lines.join("\n") + "\n"), deadline).await;
        let mut suspects = self.suspects();
        let mut results: Vec<AttemptResult> = Vec::with_capacity(batch.len());
        for ((delivery, answer), line) in batch.iter().zip(answers).zip(lines) {
            let key = &delivery.key.0;
            let result = match answer {
                Ok(answer) => {
                    suspects.remove(key);
                    answer.into_result(&delivery.record)
                }
                Err(reason) => {
                    if suspects.len() >= MOST_SUSPECTS {
                        suspects.clear();
                    }
                    suspects.insert(key.clone());
                    Outcome::Retry { reason, after: None }.into()
                }
            };
            results.push(AttemptResult {
                request: Some(answer::cut(line, AttemptResult::REQUEST_BYTES)),
                ..result
            });
        }
        results
    }
}

/// The delivery was not sent, so it spends no attempt.
fn busy_for(reason: &str, after: Duration) -> Outcome {
    Outcome::Busy {
        reason: reason.to_owned(),
        after: Some(after),
    }
}
