//! The edges `users` and `usersofanyaudience`, and the sessions of uploads.

use std::collections::BTreeMap;

use causeway_core::clock::Timestamp;
use serde_json::{Value, json};

use super::{
    Meta, Samples, Violation,
    call::Call,
    errors::GraphError,
    payload::{Payload, Session},
    replace::{self, WINDOW},
};

/// What an upload did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Added,
    Removed,
    /// From all audiences of the ad account.
    RemovedEverywhere,
    Replaced,
}

/// An upload that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    pub at: Timestamp,
    /// An audience, or `act_` and an ad account.
    pub node: String,
    pub change: Change,
    pub rows: u64,
    /// `None`: the caller named no session.
    pub session: Option<u64>,
}

/// A session that was begun. Its number is unique in the ad account.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    node: String,
    change: Change,
    since: Timestamp,
    last_at: Timestamp,
    is_finished: bool,
    /// Batch → its rows and invalid entries. A batch that is sent again counts once.
    batches: BTreeMap<u64, (u64, u64)>,
}

impl Begun {
    fn received(&self) -> u64 {
        self.batches.values().map(|(received, _)| received).sum()
    }

    fn invalid(&self) -> u64 {
        self.batches.values().map(|(_, invalid)| invalid).sum()
    }
}

impl Meta {
    pub(super) fn add_users(&mut self, call: &Call) -> Result<Value, GraphError> {
        let now = self.now();
        let audience = self.audience(&call.node);
        if now < audience.created + self.creation_takes {
            let message = "Some of the aliases you requested do not exist: users";
            return Err(GraphError::numbered(803, message));
        }
        let payload = Payload::read(call, audience.is_value_based(), now)?;
        let session = self.check_users(call, &payload, Change::Added)?;
        if self.is_late(&call.node, session.as_ref()) {
            return Ok(self.uploaded(call, session.as_ref(), &payload, Change::Added));
        }
        let audience = self.audiences.get_mut(&call.node).unwrap();
        audience.source.get_or_insert_with(|| payload.source.clone());
        for (keys, uploaded) in &payload.rows {
            audience.members.add(keys.clone(), uploaded.clone());
        }
        audience.changed(now);
        Ok(self.uploaded(call, session.as_ref(), &payload, Change::Added))
    }

    pub(super) fn remove_users(&mut self, call: &Call) -> Result<Value, GraphError> {
        let now = self.now();
        let payload = Payload::read(call, true, now)?;
        let session = self.check_users(call, &payload, Change::Removed)?;
        if self.is_late(&call.node, session.as_ref()) {
            return Ok(self.uploaded(call, session.as_ref(), &payload, Change::Removed));
        }
        let audience = self.audiences.get_mut(&call.node).unwrap();
        if audience.refuses_removals {
            let text = "Fewer people would be left in this audience than its advertisements need.";
            let error = GraphError::numbered(200, "Permissions error").subcode(1_870_047);
            return Err(error.for_user("Audience Size too Low", text));
        }
        for (keys, _) in &payload.rows {
            audience.members.remove(keys, now);
        }
        audience.changed(now);
        Ok(self.uploaded(call, session.as_ref(), &payload, Change::Removed))
    }

    /// `act_…/usersofanyaudience`. It takes any schema, and also reaches audiences that are being replaced.
    pub(super) fn remove_users_everywhere(
        &mut self,
        call: &Call,
        account: &str,
    ) -> Result<Value, GraphError> {
        let now = self.now();
        let payload = Payload::read(call, true, now)?;
        let session = Session::read(call)?;
        self.violations.extend(payload.violations.iter().cloned());
        if let Some(session) = &session {
            self.check_session(&call.node, session, Change::RemovedEverywhere)?;
        }
        let audiences = self.audiences.values_mut();
        for audience in audiences.filter(|audience| audience.account == account) {
            for (keys, _) in &payload.rows {
                audience.members.remove(keys, now);
                if let Some(staged) = audience.replacing.staged() {
                    staged.remove(keys, now);
                }
            }
            audience.changed(now);
        }
        Ok(self.uploaded(call, session.as_ref(), &payload, Change::RemovedEverywhere))
    }

    fn check_users(
        &mut self,
        call: &Call,
        payload: &Payload,
        change: Change,
    ) -> Result<Option<Session>, GraphError> {
        let session = Session::read(call)?;
        self.violations.extend(payload.violations.iter().cloned());
        self.check_change(&call.node, payload)?;
        if self.audience(&call.node).replacing.is_open() {
            self.violations.push(Violation::ChangeWhileReplacing);
            return Err(replace::in_progress());
        }
        if let Some(session) = &session {
            self.check_session(&call.node, session, change)?;
        }
        Ok(session)
    }

    /// Refuses what no upload to this audience may do.
    pub(super) fn check_change(&self, audience: &str, payload: &Payload) -> Result<(), GraphError> {
        let audience = self.audience(audience);
        self.check_terms(&audience.account)?;
        if !audience.flagged.is_empty() {
            return Err(GraphError::flagged());
        }
        match &audience.source {
            Some(source) if *source != payload.source => Err(GraphError::not_updated(&format!(
                "This audience was created from data source {source}, which does not support data source {}.",
                payload.source
            ))),
            _ => Ok(()),
        }
    }

    /// Begins the session, or refuses a number that stands for something else in this ad account.
    pub(super) fn check_session(
        &mut self,
        node: &str,
        session: &Session,
        change: Change,
    ) -> Result<(), GraphError> {
        let now = self.now();
        let account = match self.audiences.get(node) {
            Some(audience) => audience.account.clone(),
            None => node.trim_start_matches("act_").to_owned(),
        };
        let begun = self
            .sessions
            .entry((account, session.id))
            .or_insert_with(|| Begun {
                node: node.to_owned(),
                change,
                since: now,
                last_at: now,
                is_finished: false,
                batches: BTreeMap::new(),
            });
        if begun.node == node && begun.change == change {
            return Ok(());
        }
        let message = "The session_id is already used for another upload of this ad account";
        Err(GraphError::invalid(message))
    }

    /// Forgets sessions whose first batch was refused.
    pub(super) fn forget_refused_sessions(&mut self) {
        self.sessions.retain(|_, begun| !begun.batches.is_empty());
    }

    /// Whether the batch came after the last one, or more than 90 minutes after the first: Meta discards it.
    fn is_late(&self, node: &str, session: Option<&Session>) -> bool {
        let Some(session) = session else {
            return false;
        };
        let mut sessions = self.sessions.iter();
        let begun = sessions.find(|((_, id), begun)| *id == session.id && begun.node == node);
        begun.is_some_and(|(_, begun)| {
            let is_again = begun.batches.contains_key(&session.seq);
            !is_again && (begun.is_finished || begun.since + WINDOW < self.now())
        })
    }

    /// Counts the upload and answers it.
    pub(super) fn uploaded(
        &mut self,
        call: &Call,
        session: Option<&Session>,
        payload: &Payload,
        change: Change,
    ) -> Value {
        let now = self.now();
        let is_late = change != Change::Replaced && self.is_late(&call.node, session);
        let invalid = if self.samples == Samples::Uncounted {
            0
        } else {
            payload.invalid
        };
        let counts = (payload.received, invalid);
        let (id, counts) = match session {
            Some(session) => {
                let mut sessions = self.sessions.iter_mut();
                let found = sessions.find(|((_, id), begun)| *id == session.id && begun.node == call.node);
                let (_, begun) = found.unwrap();
                if is_late {
                    self.violations.push(Violation::BatchDiscarded);
                } else {
                    begun.batches.insert(session.seq, counts);
                    begun.last_at = now;
                    begun.is_finished |= session.is_last;
                }
                (session.id, (begun.received(), begun.invalid()))
            }
            None => (self.next_session(), counts),
        };
        if !is_late {
            self.uploads.push(Upload {
                at: now,
                node: call.node.clone(),
                change,
                rows: payload.received,
                session: session.map(|session| session.id),
            });
        }
        let node = call.node.trim_start_matches("act_");
        let name = match change {
            Change::RemovedEverywhere => "account_id",
            _ => "audience_id",
        };
        json!({
            name: self.number(node), "session_id": self.number(&id.to_string()), "num_received": counts.0,
            "num_invalid_entries": counts.1, "invalid_entry_samples": self.samples.of(&payload.samples),
        })
    }

    fn number(&self, text: &str) -> Value {
        let number = text.parse::<u64>().ok().filter(|_| self.numeric_ids);
        number.map_or_else(|| text.into(), Value::from)
    }

    /// `GET {audience}/sessions`: what became of uploads. All values are strings.
    pub(super) fn list_sessions(&self, call: &Call) -> Value {
        let asked = call.text("session_id");
        let sessions = self.sessions.iter().filter(|((_, id), begun)| {
            begun.node == call.node && asked.as_ref().is_none_or(|asked| *asked == id.to_string())
        });
        let data = sessions.map(|((_, id), begun)| {
            let (stage, progress) = if begun.is_finished {
                ("finished", "100")
            } else {
                ("uploading", "0")
            };
            let mut session = json!({
                "session_id": id.to_string(), "num_received": begun.received().to_string(),
                "num_invalid_entries": begun.invalid().to_string(), "stage": stage, "progress": progress,
                "num_matched": (begun.received() - begun.invalid()).to_string(),
                "start_time": begun.since.as_second().to_string(),
            });
            if begun.is_finished {
                session["end_time"] = begun.last_at.as_second().to_string().into();
            }
            session
        });
        json!({ "data": data.collect::<Vec<_>>() })
    }
}
