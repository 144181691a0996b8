//! `usersreplace`: the members of an audience are replaced as a whole, in batches within 90 minutes.

use std::collections::BTreeMap;

use causeway_core::clock::Timestamp;
use jiff::SignedDuration;
use serde_json::Value;

use super::{
    Meta, Violation,
    audience::{Audience, TOO_LARGE},
    call::Call,
    errors::GraphError,
    members::Members,
    payload::{Payload, Session},
    users::Change,
};

/// From the first batch to the last.
pub(super) const WINDOW: SignedDuration = SignedDuration::from_mins(90);

/// The replacements of an audience.
#[derive(Debug, Clone, Default)]
pub(super) struct Replacing {
    open: Option<Open>,
    /// Session → how it ended.
    ended: BTreeMap<u64, End>,
    /// Whether the last one failed.
    has_failed: bool,
}

#[derive(Debug, Clone)]
struct Open {
    session: u64,
    since: Timestamp,
    schema: Value,
    members: Members,
    /// The last batch has arrived. The audience changes at this time.
    done_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    Finished,
    Late,
    Failed,
}

fn refused(subcode: u32, message: &str) -> GraphError {
    GraphError::not_updated(message).subcode(subcode)
}

/// Something else changes the audience now.
pub(super) fn in_progress() -> GraphError {
    refused(
        1_870_145,
        "Another update of this audience is in progress. Try again when it has finished.",
    )
}

fn ended(end: End) -> GraphError {
    match end {
        End::Finished => refused(
            1_870_159,
            "This session has ended: its last batch was received. Use the users edge.",
        ),
        End::Late => refused(
            1_870_158,
            "The 90 minutes of this session are over. Use the users edge.",
        ),
        End::Failed => failed(),
    }
}

fn failed() -> GraphError {
    refused(
        1_870_148,
        "The audience was not fully updated. Replace it again with a new session.",
    )
}

impl Replacing {
    pub(super) fn status(&self) -> Option<(u32, &'static str)> {
        if self.open.is_some() {
            return Some((414, "replace_in_progress"));
        }
        self.has_failed.then_some((415, "replace_error"))
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Who was uploaded so far.
    pub(super) fn staged(&mut self) -> Option<&mut Members> {
        self.open.as_mut().map(|open| &mut open.members)
    }
}

impl Audience {
    /// Ends a replacement whose time has come.
    pub(super) fn settle(&mut self, now: Timestamp) {
        let Some(open) = &self.replacing.open else {
            return;
        };
        let (at, end) = match open.done_at {
            Some(done) if done <= now => (done, End::Finished),
            None if open.since + WINDOW < now => (open.since + WINDOW, End::Late),
            _ => return,
        };
        if let Some(open) = self.replacing.open.take() {
            self.replacing.ended.insert(open.session, end);
            self.members = open.members;
            self.changed(at);
        }
    }

    /// Takes one batch. `takes` is how long Meta works after the last one.
    fn replace(
        &mut self,
        session: &Session,
        payload: &Payload,
        now: Timestamp,
        takes: SignedDuration,
    ) -> Result<(), GraphError> {
        if self.people() >= TOO_LARGE {
            return Err(refused(1_870_144, "This audience is too large to be replaced."));
        }
        let replacing = &mut self.replacing;
        if let Some(end) = replacing.ended.get(&session.id) {
            return Err(ended(*end));
        }
        if let Some(open) = &replacing.open {
            if open.session == session.id && open.done_at.is_some() {
                return Err(ended(End::Finished));
            }
            if open.session != session.id || session.seq == 1 {
                return Err(in_progress());
            }
            if open.schema != payload.schema {
                let message = "The schema differs from the one of the session's first batch";
                return Err(GraphError::invalid(message));
            }
        } else if session.seq != 1 {
            return Err(refused(
                1_870_147,
                "The first batch of this session was not received.",
            ));
        }
        let open = replacing.open.get_or_insert_with(|| Open {
            session: session.id,
            since: now,
            schema: payload.schema.clone(),
            members: Members::default(),
            done_at: None,
        });
        for (keys, uploaded) in &payload.rows {
            open.members.add(keys.clone(), uploaded.clone());
        }
        if !session.is_last {
            return Ok(());
        }
        if std::mem::take(&mut self.fails_to_replace) {
            replacing.open = None;
            replacing.has_failed = true;
            replacing.ended.insert(session.id, End::Failed);
            return Err(failed());
        }
        open.done_at = Some(now + takes);
        replacing.has_failed = false;
        self.settle(now);
        Ok(())
    }
}

impl Meta {
    pub(super) fn replace_users(&mut self, call: &Call) -> Result<Value, GraphError> {
        let now = self.now();
        let has_value = self.audience(&call.node).is_value_based();
        let payload = Payload::read(call, has_value, now)?;
        let session = Session::read(call)?;
        let session = session.ok_or_else(|| GraphError::invalid("The parameter session is required"))?;
        self.violations.extend(payload.violations.iter().cloned());
        self.check_change(&call.node, &payload)?;
        self.check_session(&call.node, &session, Change::Replaced)?;
        let takes = self.replacing_takes;
        let audience = self.audiences.get_mut(&call.node).unwrap();
        let result = audience.replace(&session, &payload, now, takes);
        if let Err(error) = result {
            if error.subcode == Some(1_870_145) {
                self.violations.push(Violation::ChangeWhileReplacing);
            }
            self.forget_refused_sessions();
            return Err(error);
        }
        audience.source.get_or_insert_with(|| payload.source.clone());
        Ok(self.uploaded(call, Some(&session), &payload, Change::Replaced))
    }
}
