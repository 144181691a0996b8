//! Proca: accepts or rejects actions that wait for a confirmation, by the links that its mails have.
//!
//! Invariant: nothing is accepted unless a condition of the configuration is true, and nobody is opted in: the links
//! are called without `doi`, which stands for a click by the person.

mod answer;
mod config;
mod probe;
mod request;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use causeway_core::{
    clock::Timestamp,
    contact::Identity,
    delivery::Delivery,
    destination::Outcome,
    event::EventKind,
    mapping::{Expression, Scope},
};
use schemars::schema_for;

use self::config::Settings;
use super::{Kind, Needs};
use crate::{
    connector::{Connector, Http, Plan, Probe, Reading, Task},
    http::{Answer, Client, HttpRequest},
};

pub const KIND: Kind = Kind {
    name: "proca",
    summary: "accepts or rejects actions that wait for a confirmation at Proca",
    sample: include_str!("../../../../../samples/destinations/proca.toml"),
    schema: || schema_for!(config::Config),
    supported_changes: &[],
    concurrency: 2,
    batch: 1,
    parse: |tables, table| {
        let settings = Settings::parse(table, tables)?;
        Ok(Needs {
            confirms: true,
            history: settings.needs_history(),
            warnings: settings.warnings(),
            ..Needs::default()
        })
    },
    connect: |context, table| {
        let settings = Settings::parse(table, &context.tables)?;
        let client = Client::new(settings.options)?;
        Ok(Box::new(Http::new(
            Proca { settings },
            client,
            Arc::clone(&context.clock),
        )))
    },
    preview: |context, table, batch| {
        let settings = Settings::parse(table, &context.tables)?;
        Ok(super::previews(&Proca { settings }, batch, &context.clock))
    },
    sign_in: None,
    create: None,
    exclusive: None,
    dummy_url: "https://HOST/",
    remains: None,
};

pub(super) struct Proca {
    settings: Settings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Accept,
    Reject,
}

impl Verb {
    /// As in Proca's links.
    fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The link of a supporter: `/link/s/ACTION/VERB/REFERENCE`.
    Supporter(Verb),
    /// The link of a confirmation that has a code: `/link/VERB/CODE`.
    Code(Verb),
}

#[derive(Default)]
pub(super) struct Memo {
    action: u64,
    reference: String,
    code: String,
}

impl Proca {
    /// What the conditions decide. `Err` ends the delivery.
    fn decide(&self, scope: &Scope) -> Result<Verb, Outcome> {
        let holds = |key: &str, condition: Option<&Expression>| match condition {
            None => Ok(false),
            Some(condition) => condition.is_true(scope).map_err(|error| Outcome::Reject {
                reason: format!("`{key}`: {error}"),
            }),
        };
        // Both are looked at, so that a condition that fails never lets the other one decide alone.
        let (rejects, accepts) = (
            holds("reject", self.settings.reject.as_ref())?,
            holds("accept", self.settings.accept.as_ref())?,
        );
        match (rejects, accepts) {
            (true, _) => Ok(Verb::Reject),
            (false, true) => Ok(Verb::Accept),
            (false, false) => Err(Outcome::Skip {
                reason: "neither `accept` nor `reject` is true: the action waits at Proca for somebody else"
                    .to_owned(),
            }),
        }
    }

    /// The link that does it, and notes. The link of a supporter cannot accept an action: it would answer with
    /// success and change nothing, because the supporter is accepted already.
    fn step(&self, stage: EventKind, verb: Verb, has_code: bool) -> Result<(Step, Option<String>), Outcome> {
        match (stage, verb) {
            (EventKind::SupporterConfirm, _) => Ok((Step::Supporter(verb), None)),
            _ if has_code => Ok((Step::Code(verb), None)),
            (_, Verb::Reject) if self.settings.reject_supporters => {
                let note = "the action has no code, so Proca rejects it together with its supporter";
                Ok((Step::Supporter(verb), Some(note.to_owned())))
            }
            (_, Verb::Reject) => Err(Outcome::Reject {
                reason: "the action has no code, and without one Proca rejects only together with the supporter: set \
                         `code`, or reject_supporters = true"
                    .to_owned(),
            }),
            (_, Verb::Accept) => Err(Outcome::Reject {
                reason: "the action has no code, and Proca accepts no action without one: set `code`".to_owned(),
            }),
        }
    }

    fn code(&self, scope: &Scope) -> Result<String, Outcome> {
        let reject = |reason: String| Outcome::Reject { reason };
        let Some(code) = &self.settings.code else {
            return Ok(String::new());
        };
        let value = code
            .eval(scope)
            .map_err(|error| reject(format!("`code`: {error}")))?;
        let code = match value {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text.trim().to_owned(),
            serde_json::Value::Number(number) => number.to_string(),
            _ => return Err(reject("`code` is neither a text nor a number".to_owned())),
        };
        if code.bytes().all(|digit| digit.is_ascii_digit()) {
            Ok(code)
        } else {
            Err(reject("`code` has something else than digits".to_owned()))
        }
    }
}

/// The stage of the action; `None` for anything that waits for no confirmation.
fn stage(event: &str) -> Option<EventKind> {
    [EventKind::SupporterConfirm, EventKind::ActionConfirm]
        .into_iter()
        .find(|kind| kind.as_str() == event)
}

/// The person's reference, as the message named it: the last one that is not of a platform.
fn reference(identities: &[Identity]) -> Option<&str> {
    let reference = identities.iter().rev().find_map(|identity| match identity {
        Identity::ContactRef { reference, .. } => Some(reference.as_str()),
        _ => None,
    })?;
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (!reference.is_empty() && reference.bytes().all(is_safe)).then_some(reference)
}

impl Connector for Proca {
    type Step = Step;
    type Memo = Memo;

    fn plan(&self, delivery: &Delivery) -> Result<Plan<Self>, Outcome> {
        let record = &delivery.record;
        let Some((stage, action)) = stage(&record.event).zip(record.action.as_ref()) else {
            return Err(Outcome::Skip {
                reason: "it is no action that waits for a confirmation".to_owned(),
            });
        };
        let scope = Scope::new(record);
        let verb = self.decide(&scope)?;
        let code = match stage {
            EventKind::ActionConfirm => self.code(&scope)?,
            _ => String::new(),
        };
        let (step, note) = self.step(stage, verb, !code.is_empty())?;
        let reject = |reason: &str| Outcome::Reject {
            reason: reason.to_owned(),
        };
        let number: u64 = action
            .external_id
            .parse()
            .map_err(|_| reject("the action's id is no number, so it is not Proca's"))?;
        let reference = match (step, reference(&record.identities)) {
            (Step::Supporter(_), None) => {
                return Err(reject(
                    "the contact has no contactRef of Proca's, which the link needs",
                ));
            }
            (_, reference) => reference.unwrap_or_default().to_owned(),
        };
        let about = format!("{verb} action {number}, which waits as {}", stage.as_str());
        Ok(Plan {
            steps: vec![step],
            memo: Memo {
                action: number,
                reference,
                code,
            },
            notes: std::iter::once(about).chain(note).collect(),
        })
    }

    fn most(&self, _: &Step) -> usize {
        1
    }

    fn subject(&self, task: &Task<'_, Self>) -> String {
        task.memo.action.to_string()
    }

    fn request(&self, step: &Step, tasks: &[&Task<'_, Self>]) -> HttpRequest {
        request::request(&self.settings, *step, tasks)
    }

    fn read(
        &self,
        step: &Step,
        answer: &Answer,
        tasks: &mut [&mut Task<'_, Self>],
        now: Timestamp,
    ) -> Reading {
        answer::read(*step, answer, tasks, now)
    }

    fn expected(&self, step: &Step, _: &[&Task<'_, Self>]) -> Answer {
        answer::expected(*step)
    }

    fn probes(&self, _: Timestamp) -> Vec<Probe> {
        vec![probe::probe(&self.settings)]
    }
}
