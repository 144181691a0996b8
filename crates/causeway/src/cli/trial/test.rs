//! Runs a `[[test]]` of the configuration.

use causeway_connect::destination::Unsent;
use causeway_core::{clock::Timestamp, id::Name, store::InboxState};
use causeway_store::{TrialDelivery, TrialResult};
use serde::Serialize;
use serde_json::Value;

use super::{
    Request, Trial,
    body::Body,
    compare::{asked_for, at, covers, expectation, lines, same},
    contact,
    folder::PrivateFolder,
    message,
};
use crate::config::{Config, Expected, Test, as_json, due_at};

/// The result of a test.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    pub name: String,
    pub passed: bool,
    pub failures: Vec<Failure>,
}

/// A difference from the expectation, with both texts if they can be compared.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    pub what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actual: Option<String>,
}

impl Failure {
    fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            expected: None,
            actual: None,
        }
    }

    fn between(what: impl Into<String>, expected: String, actual: String) -> Self {
        Self {
            what: what.into(),
            expected: Some(expected),
            actual: Some(actual),
        }
    }
}

/// Maximum number of timers and scheduled runs that are explained when the test fails.
const TURNS_SHOWN: usize = 10;

/// A delivery and its request.
struct Made {
    planned: TrialDelivery,
    request: Request,
    is_expected: bool,
}

/// Runs the test on a separate store. An error, such as a missing file, makes the test fail.
pub async fn run(config: &Config, test: &Test, now: Timestamp, folder: &PrivateFolder) -> Verdict {
    let failures = match try_run(config, test, now, folder).await {
        Ok(failures) => failures,
        Err(error) => vec![Failure::new(format!("could not be run: {error:#}"))],
    };
    Verdict {
        name: test.name.clone(),
        passed: failures.is_empty(),
        failures,
    }
}

async fn try_run(
    config: &Config,
    test: &Test,
    now: Timestamp,
    folder: &PrivateFolder,
) -> anyhow::Result<Vec<Failure>> {
    let mut trial = Trial::new(config, folder).await?;
    let envelopes = message::envelopes(config, test, now)?;
    let came_at = envelopes.last().map_or(now, |envelope| envelope.received_at);
    let mut played = Vec::new();
    for envelope in envelopes {
        // Timers and scheduled runs due before this message.
        while trial.advance(envelope.received_at).await?.is_some() {}
        played.extend(trial.process(vec![envelope]).await?);
    }
    let Some(mut last) = played.pop() else {
        return Ok(Vec::new());
    };
    let mut planned = last.deliveries.clone();
    let until = waits_until(test, came_at);
    let mut turned = Vec::new();
    while let Some(turns) = trial.advance(until).await? {
        let of_contact = turns.iter().filter(|turn| turn.contact == last.contact);
        turned.extend(of_contact.map(|turn| (turn.at, turn.id)));
        planned.extend(turns.into_iter().flat_map(|turn| turn.deliveries));
    }
    let mut made = Vec::new();
    for planned in planned {
        let requests = trial.preview(&planned.destination, std::slice::from_ref(&planned.delivery))?;
        for request in requests {
            if let Err(Unsent::Skipped(reason)) = request {
                last.skipped.push((Name::clone(&planned.destination), reason));
                continue;
            }
            made.push(Made {
                planned: planned.clone(),
                request,
                is_expected: false,
            });
        }
    }
    let mut failures = Vec::new();
    before_went_well(&played, &mut failures);
    outcome(test, &last, &mut failures);
    for expected in test.expect.iter().flatten() {
        delivery(expected, &last, &mut made, came_at, &mut failures);
    }
    nothing_else(test, &made, &mut failures);
    skipped(test, &last, &mut failures);
    if let Some(fields) = &test.expect_contact {
        let view = match last.contact {
            Some(id) => trial.contact(id).await?,
            None => None,
        };
        match view {
            Some(view) => {
                let wanted = as_json(&toml::Value::Table(fields.clone()));
                let actual = contact::as_json(view, &wanted);
                known(&wanted, &actual, &mut failures);
            }
            None => failures.push(Failure::new("the message is about no contact")),
        }
    }
    if !failures.is_empty() {
        let lines = trial.automations(last.id).await?;
        failures.extend(lines.into_iter().map(Failure::new));
        // The last ones are the closest to the expected time.
        for (at, id) in turned.iter().skip(turned.len().saturating_sub(TURNS_SHOWN)) {
            let lines = trial.automations(*id).await?.into_iter();
            failures.extend(lines.map(|line| Failure::new(format!("{at}: {line}"))));
        }
    }
    Ok(failures)
}

/// The end of the waiting time: `wait`, or else the last expected delivery.
fn waits_until(test: &Test, came_at: Timestamp) -> Timestamp {
    let due = test
        .expect
        .iter()
        .flatten()
        .filter_map(|expected| expected.due.as_deref());
    due.chain(test.wait.as_deref())
        .filter_map(|text| due_at(text, came_at).ok())
        .max()
        .unwrap_or(came_at)
}

/// Fails if a message of `before` is dead: the test would check less than it seems to.
fn before_went_well(before: &[TrialResult], failures: &mut Vec<Failure>) {
    for (number, played) in (1..).zip(before) {
        if played.state == InboxState::Dead {
            let reason = played.reason.as_deref().unwrap_or_default();
            failures.push(Failure::new(format!(
                "message {number} of `before` is dead: {reason}"
            )));
        }
    }
}

/// Compares the state of the message (done, skipped or dead) with the expected one.
fn outcome(test: &Test, played: &TrialResult, failures: &mut Vec<Failure>) {
    let reason = played.reason.as_deref().unwrap_or_default();
    let reason = match &played.code {
        Some(code) => format!("{code}: {reason}"),
        None => reason.to_owned(),
    };
    for (state, wanted, word) in [
        (InboxState::Dead, &test.expect_dead, "is dead"),
        (InboxState::Skipped, &test.expect_message_skipped, "is skipped"),
    ] {
        match wanted {
            Some(part) if played.state != state => {
                failures.push(Failure::new(format!(
                    "expected: the message {word} ({part}); actual: it is {}",
                    played.state.as_str()
                )));
            }
            Some(part) if !reason.contains(part.as_str()) => {
                failures.push(Failure::between(
                    format!("the message {word} for another reason"),
                    part.clone(),
                    reason.clone(),
                ));
            }
            None if played.state == state => {
                let expects_more = test.expect.as_ref().is_some_and(|list| !list.is_empty())
                    || !test.expect_skipped.is_empty()
                    || test.expect_contact.is_some()
                    || state == InboxState::Dead;
                if expects_more {
                    failures.push(Failure::new(format!("the message {word}: {reason}")));
                }
            }
            _ => {}
        }
    }
}

fn delivery(
    expected: &Expected,
    played: &TrialResult,
    made: &mut [Made],
    came_at: Timestamp,
    failures: &mut Vec<Failure>,
) {
    let to = expected.destination.as_str();
    let of_kind = |made: &Made| {
        expected
            .kind
            .is_none_or(|kind| kind == made.planned.delivery.record.kind)
    };
    let due = expected.due.as_ref().and_then(|due| due_at(due, came_at).ok());
    let is_due = |made: &Made| due.is_none_or(|due| due == made.planned.due_at);
    let mut free = made
        .iter_mut()
        .filter(|made| !made.is_expected && &*made.planned.destination == to)
        .collect::<Vec<_>>();
    let chosen = free
        .iter()
        .position(|made| of_kind(made) && is_due(made))
        .or_else(|| free.iter().position(|made| of_kind(made)))
        .unwrap_or(0);
    if free.is_empty() {
        failures.push(Failure::new(format!(
            "{to}: nothing is sent{}",
            why_not(to, played)
        )));
        return;
    }
    let made = free.swap_remove(chosen);
    made.is_expected = true;
    if let Some(kind) = expected.kind
        && !of_kind(made)
    {
        failures.push(Failure::new(format!(
            "{to}: expected a {}, but a {} is sent",
            kind.as_str(),
            made.planned.delivery.record.kind.as_str()
        )));
    }
    if let Some(due) = due
        && due != made.planned.due_at
    {
        failures.push(Failure::between(
            format!("{to}: is sent at another time"),
            due.to_string(),
            made.planned.due_at.to_string(),
        ));
    }
    match (&made.request, &expected.dead) {
        (Ok(request), None) => request_is(expected, request, failures),
        (Ok(_), Some(part)) => failures.push(Failure::new(format!(
            "{to}: expected to be dead ({part}), but it would be sent"
        ))),
        (Err(Unsent::Dead(reason)), Some(part)) if reason.contains(part.as_str()) => {}
        (Err(Unsent::Dead(reason)), Some(part)) => failures.push(Failure::between(
            format!("{to}: would be dead for another reason"),
            part.clone(),
            reason.clone(),
        )),
        (Err(unsent), _) => failures.push(Failure::new(format!("{to}: {unsent}"))),
    }
}

fn why_not(to: &str, played: &TrialResult) -> String {
    let skipped = played.skipped.iter().find(|(name, _)| &**name == to);
    match (skipped, &played.reason, played.state) {
        (Some((_, reason)), ..) => format!(": it is skipped, {reason}"),
        (None, Some(reason), state) => format!(": the message is {}, {reason}", state.as_str()),
        (None, None, InboxState::Done) => {
            ": the destination does not take the event (workspace, `sources`, `campaigns`, `action_types`), or the event has no new information"
                .to_owned()
        }
        (None, None, state) => format!(": the message is {}", state.as_str()),
    }
}

fn request_is(expected: &Expected, request: &str, failures: &mut Vec<Failure>) {
    let to = expected.destination.as_str();
    let body = Body::of(request);
    let actual = body.value();
    if let Some(wanted) = &expected.body {
        let wanted = expectation(&as_json(wanted), &body);
        if !same(&wanted, &actual) {
            failures.push(Failure::between(
                format!("{to}: the body differs"),
                lines(&wanted),
                lines(&actual),
            ));
        }
    }
    if let Some(wanted) = &expected.contains {
        let wanted = expectation(&as_json(wanted), &body);
        let is_there = match (&wanted, &actual) {
            (Value::String(part), Value::String(text)) => text.contains(part.as_str()),
            (wanted, actual) => covers(wanted, actual),
        };
        if !is_there {
            failures.push(Failure::between(
                format!("{to}: the body does not contain what was expected"),
                lines(&wanted),
                lines(&asked_for(&wanted, &actual)),
            ));
        }
    }
    for path in &expected.lacks {
        if let Some(found) = at(&actual, path) {
            failures.push(Failure::new(format!(
                "{to}: expected no `{path}`, but it is {found}"
            )));
        }
    }
    if let Some(part) = &expected.request
        && !request.contains(part.trim_end())
    {
        failures.push(Failure::between(
            format!("{to}: the request does not contain what was expected"),
            part.clone(),
            request.to_owned(),
        ));
    }
}

fn nothing_else(test: &Test, made: &[Made], failures: &mut Vec<Failure>) {
    if test.others || !(test.expect_none || test.expect.is_some()) {
        return;
    }
    for made in made.iter().filter(|made| !made.is_expected) {
        let request = match &made.request {
            Ok(request) => request.clone(),
            Err(unsent) => unsent.to_string(),
        };
        failures.push(Failure::between(
            format!(
                "{}: a {} is sent, but none was expected (others = true allows it)",
                made.planned.destination,
                made.planned.delivery.record.kind.as_str()
            ),
            String::new(),
            request,
        ));
    }
}

fn skipped(test: &Test, played: &TrialResult, failures: &mut Vec<Failure>) {
    for expected in &test.expect_skipped {
        let to = expected.destination.as_str();
        let found = played.skipped.iter().find(|(name, _)| &**name == to);
        match found {
            None if played
                .deliveries
                .iter()
                .any(|planned| &*planned.destination == to) =>
            {
                failures.push(Failure::new(format!(
                    "{to}: expected to be skipped, but it is sent"
                )));
            }
            None => failures.push(Failure::new(format!(
                "{to}: expected to be skipped, but there is no delivery{}",
                why_not(to, played)
            ))),
            Some((_, reason)) if !reason.contains(&expected.reason) => failures.push(Failure::between(
                format!("{to}: is skipped for another reason"),
                expected.reason.clone(),
                reason.clone(),
            )),
            Some(_) => {}
        }
    }
}

fn known(wanted: &Value, actual: &Value, failures: &mut Vec<Failure>) {
    if !covers(wanted, actual) {
        failures.push(Failure::between(
            "the contact differs",
            lines(wanted),
            lines(&asked_for(wanted, actual)),
        ));
    }
}
