//! Accepted requests. They are processed later, each in its own time and therefore in any order; until then nothing of
//! them is in the list.

use std::collections::{BTreeMap, BTreeSet};

use causeway_core::clock::Timestamp;
use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use super::{
    Google, Misuse,
    error::{ApiError, Violation},
    members::{Batch, Target, Uploaded},
};

/// How long a status can be asked for.
const KEPT: SignedDuration = SignedDuration::from_hours(50 * 24);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Add,
    Remove,
    /// Everybody whose last addition is older.
    RemoveAll(Timestamp),
}

/// How the processing of a request ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Course {
    /// As the members are: those without consent fail.
    Natural,
    /// The members at the end fail, by reason and number. If that is all, the status is FAILED.
    Errors(Vec<(&'static str, usize)>),
    /// All succeed, with warnings by reason and number.
    Warnings(Vec<(&'static str, usize)>),
    /// FAILED without any count.
    Failed,
    /// REQUEST_STATUS_UNKNOWN, for ever.
    Unknown,
    /// A status that clients do not know yet.
    New(&'static str),
}

/// An accepted request.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub id: String,
    pub change: Change,
    pub targets: Vec<Target>,
    pub members: Vec<Uploaded>,
    pub received: Timestamp,
    pub done: Timestamp,
    pub course: Course,
    is_encrypted: bool,
    /// The status of each target, once the request was processed.
    results: Vec<Value>,
}

impl Accepted {
    pub fn is_done(&self) -> bool {
        !self.results.is_empty()
    }

    fn goes_to<'a>(&'a self, target: &Target) -> Vec<&'a Uploaded> {
        let reference = target
            .shown
            .get("reference")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let members = self.members.iter();
        members
            .filter(|member| member.references.is_empty() || member.references.contains(reference))
            .collect()
    }
}

impl Google {
    /// Accepts a request, and returns its id.
    pub(super) fn accept(&mut self, change: Change, batch: Batch) -> String {
        let now = self.now();
        if change == Change::Remove {
            let mut busy = self
                .requests
                .iter()
                .filter(|one| !one.is_done() && one.change == Change::Add);
            let removed: BTreeSet<&String> = batch.members.iter().flat_map(|one| &one.identifiers).collect();
            let overlaps = |one: &Accepted| {
                one.members
                    .iter()
                    .flat_map(|member| &member.identifiers)
                    .any(|identifier| removed.contains(identifier))
            };
            if busy.any(overlaps) {
                self.misuses.push(Misuse::RemovedWhileAdding);
            }
        }
        let id = self.next_id();
        self.requests.push(Accepted {
            id: id.clone(),
            change,
            targets: batch.targets,
            members: batch.members,
            received: now,
            done: now + self.takes.pop_front().unwrap_or(self.processing_takes),
            course: self.courses.pop_front().unwrap_or(Course::Natural),
            is_encrypted: batch.is_encrypted,
            results: Vec::new(),
        });
        self.settle();
        id
    }

    /// Processes what is due.
    pub(super) fn settle(&mut self) {
        let now = self.now();
        let due = |one: &Accepted| !one.is_done() && one.done <= now;
        let mut order: Vec<usize> = (0..self.requests.len())
            .filter(|at| due(&self.requests[*at]))
            .collect();
        order.sort_by_key(|at| self.requests[*at].done);
        for at in order {
            let request = self.requests[at].clone();
            let results = request
                .targets
                .iter()
                .map(|target| self.process(&request, target))
                .collect();
            self.requests[at].results = results;
        }
    }

    /// Does what the request asks for one list, and returns the status.
    fn process(&mut self, request: &Accepted, target: &Target) -> Value {
        let members = request.goes_to(target);
        let failed = failures(request, &members, self.requires_consent);
        let taken = members.len()
            - failed
                .iter()
                .map(|(_, number)| number)
                .sum::<usize>()
                .min(members.len());
        let is_failed = matches!(request.course, Course::Failed | Course::Unknown | Course::New(_));
        let list = self
            .accounts
            .get_mut(&target.account)
            .and_then(|account| account.lists.get_mut(&target.list));
        if let Some(list) = list.filter(|_| !is_failed) {
            for member in taken_of(&members, taken, request, self.requires_consent) {
                match request.change {
                    Change::Add => list.add(&member.identifiers, request.done),
                    _ => list.remove(&member.identifiers),
                }
            }
            if let Change::RemoveAll(before) = request.change {
                list.remove_all(before);
            }
        }
        let status = match &request.course {
            Course::Failed => "FAILED",
            Course::Unknown => "REQUEST_STATUS_UNKNOWN",
            Course::New(status) => status,
            _ if failed.is_empty() => "SUCCESS",
            _ if taken == 0 => "FAILED",
            _ => "PARTIAL_SUCCESS",
        };
        let mut shown = json!({ "destination": target.shown, "request_status": status });
        if !failed.is_empty() {
            shown["error_info"] = json!({ "error_counts": counts(&failed) });
        }
        if let Course::Warnings(warnings) = &request.course {
            shown["warning_info"] = json!({ "warning_counts": counts(warnings) });
        }
        let identifiers: usize = members.iter().map(|member| member.identifiers.len()).sum();
        let sent = json!({ "record_count": members.len(), "user_identifier_count": identifiers });
        match request.change {
            Change::Add => {
                let mut sent = sent;
                sent["upload_match_rate_range"] = self.match_rate.into();
                shown["audience_members_ingestion_status"] = json!({ "user_data_ingestion_status": sent });
            }
            Change::Remove => {
                shown["audience_members_removal_status"] = json!({ "user_data_removal_status": sent });
            }
            Change::RemoveAll(_) => shown["remove_all_audience_members_status"] = json!({}),
        }
        shown
    }

    /// `GET /v1/requestStatus:retrieve`
    pub(super) fn status(&self, principal: &str, query: &Map<String, Value>) -> Result<Value, ApiError> {
        let id = query.get("requestId").or(query.get("request_id"));
        let id = id.and_then(Value::as_str).unwrap_or_default();
        if id.is_empty() {
            let missing = Violation::new("request_id", "REQUIRED_FIELD_MISSING");
            return Err(ApiError::invalid(vec![missing]));
        }
        let found = self.requests.iter().find(|request| request.id == id);
        let invalid = || ApiError::invalid(vec![Violation::new("request_id", "INVALID_REQUEST_ID")]);
        let request = found.ok_or_else(invalid)?;
        for target in &request.targets {
            let login = target.shown.get("login_account");
            let login = login.and_then(|login| login.get("account_id")?.as_str());
            self.check_access(principal, &target.account, login.unwrap_or(&target.account))?;
        }
        if request.received.duration_until(self.now()) > KEPT {
            let old = Violation::new("request_id", "REQUEST_TOO_OLD");
            return Err(ApiError::invalid(vec![old]));
        }
        let statuses: Vec<Value> = if request.is_done() {
            request.results.clone()
        } else {
            let processing =
                |target: &Target| json!({ "destination": target.shown, "request_status": "PROCESSING" });
            request.targets.iter().map(processing).collect()
        };
        Ok(json!({ "request_status_per_destination": statuses }))
    }
}

/// Why a member is not taken for want of consent.
fn lacks_consent(member: &Uploaded) -> Option<&'static str> {
    let is = |status: &str| member.consent.iter().any(|consent| consent == status);
    if is("CONSENT_DENIED") {
        Some("PROCESSING_ERROR_REASON_DENIED_CONSENT")
    } else if is("") || is("CONSENT_STATUS_UNSPECIFIED") {
        Some("PROCESSING_ERROR_REASON_NO_CONSENT")
    } else {
        None
    }
}

/// The members that fail, by reason and number.
fn failures(request: &Accepted, members: &[&Uploaded], consent: bool) -> Vec<(&'static str, usize)> {
    if let Course::Errors(errors) = &request.course {
        return errors.clone();
    }
    if request.is_encrypted {
        return vec![("PROCESSING_ERROR_REASON_DEK_DECRYPTION_ERROR", members.len())];
    }
    let mut found: BTreeMap<&'static str, usize> = BTreeMap::new();
    if request.change == Change::Add && consent {
        for reason in members.iter().filter_map(|member| lacks_consent(member)) {
            *found.entry(reason).or_default() += 1;
        }
    }
    found.into_iter().collect()
}

/// The members that take effect.
fn taken_of<'a>(
    members: &[&'a Uploaded],
    taken: usize,
    request: &Accepted,
    consent: bool,
) -> Vec<&'a Uploaded> {
    let all = members.iter().copied();
    match request.course {
        Course::Errors(_) => all.take(taken).collect(),
        _ if request.is_encrypted => Vec::new(),
        _ if request.change == Change::Add && consent => {
            all.filter(|member| lacks_consent(member).is_none()).collect()
        }
        _ => all.collect(),
    }
}

fn counts(counts: &[(&'static str, usize)]) -> Vec<Value> {
    let one = |(reason, number): &(&str, usize)| json!({ "record_count": number, "reason": reason });
    counts.iter().map(one).collect()
}
