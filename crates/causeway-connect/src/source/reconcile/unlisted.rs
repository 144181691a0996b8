//! Finds out what happened to actions in the store that Proca no longer lists: its response for the person's
//! address shows it.
//!
//! | in the response | means | becomes |
//! |---|---|---|
//! | `BOUNCE`, `BLOCKED`, `SPAM`, `UNSUB`, `INACTIVE` | the state of the address | that status with its date, or once dated now |
//! | `DOUBLE_OPT_IN` with a date | a click after the rejection, which takes an earlier one back | nothing |
//! | any other status, and the address bounced or the like since | rejected because of that | nothing |
//! | any other status | rejected after it was delivered: "it wasn't me" | opt-out, dated now |
//! | no such action | erased in Proca, or deleted by its retention | opt-out, dated now, and a warning |
//!
//! The last row applies only if Proca must have listed the action: an earlier list had it, or it was taken on
//! a page of the queried organisation. A coalition's lead may be sent actions of its partners' pages that it
//! cannot query. Proca also rejects an action whose address bounced, and a later click does not list it again.
//! If a person rejects an action whose address was confirmed, the status becomes `UNSUB`. A confirmation
//! without a date may be an old one, so it does not change the third row.
//!
//! Invariant: a fact that is dated now is reported once, also after a restart. A second report would be later
//! than an opt-in that the person gave since. Nobody counts as missing or rejected while the list has entries
//! without a number.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use causeway_core::{
    clock::Timestamp,
    decode::proca::reconciled::{Finding, status_routing_key},
    envelope::{Envelope, digest},
    id::ContactId,
    source::Accept,
    store::{Unlisted, UnlistedAction},
};
use serde_json::{Value, json};

use super::{Found, Memory, RECONCILIATION, ReconcileError, Reconciler, message};

/// Proca sends an action before it lists it, and sends it again after ten minutes if it failed in between.
const SENT_LONG_AGO: Duration = Duration::from_hours(1);
/// If more actions than this are gone at once, and more than a tenth of all, it counts as an error of the
/// API, its user's rights or the configuration.
const MANY: usize = 20;

/// What happened to an action.
enum Outcome {
    /// The entry with the status and its date, and the address that was queried.
    Status(Value, String),
    Found(Finding, Option<Value>),
    /// The address was confirmed after the action was rejected, or the action was rejected because of the
    /// address. The event of the click is the opt-in, never this response.
    Explained,
    /// There is no address to query, or the response need not have the action.
    Unknown,
}

impl Reconciler {
    pub(super) fn unlisted(
        &self,
        listed: HashSet<i64>,
        created_after: Timestamp,
        asked_at: Timestamp,
    ) -> Unlisted {
        Unlisted {
            source: self.name.clone(),
            listed: Arc::new(listed),
            created_after,
            asked_at,
            sent_before: asked_at.saturating_sub(SENT_LONG_AGO).unwrap_or(Timestamp::MIN),
            include_testing: self.queue.include_testing,
        }
    }

    /// Accepts a message for each action that is no longer in the list.
    pub(super) async fn follow_unlisted(
        &self,
        accept: &Arc<dyn Accept>,
        memory: &mut Memory,
        asked: Unlisted,
        found: &mut Found,
    ) -> Result<(), ReconcileError> {
        let (created_after, in_list) = (asked.created_after, Arc::clone(&asked.listed));
        let listed = in_list.len();
        let unlisted = accept.unlisted(asked).await;
        let mut unlisted = unlisted.map_err(|error| ReconcileError::Store(error.to_string()))?;
        let known = listed + unlisted.len();
        memory.settled.retain(|number| !in_list.contains(number));
        unlisted.retain(|action| !memory.settled.contains(&action.number));
        let mut outcomes = Vec::new();
        for action in unlisted {
            let outcome = self.outcome(&action, created_after).await?;
            outcomes.push((action, outcome));
        }
        let of = |finding: Finding| {
            let outcomes = outcomes.iter().map(|(_, outcome)| outcome);
            outcomes
                .filter(|outcome| matches!(outcome, Outcome::Found(found, _) if *found == finding))
                .count()
        };
        let many = |count: usize| count > MANY && count * 10 > known;
        let holds_gone = many(of(Finding::Gone));
        // Each of these exists and was reported as not delivered; that is implausible only for an empty list.
        let holds_rejected = listed == 0 && many(of(Finding::Rejected));
        let mut findings = BTreeMap::new();
        let mut envelopes = Vec::new();
        for (action, outcome) in outcomes {
            let envelope = match outcome {
                Outcome::Status(entry, address) => {
                    found.suppressed += 1;
                    self.status_envelope(&action, &entry, &address, &mut findings)
                }
                Outcome::Found(..) if found.incomplete => {
                    found.unknown += 1;
                    continue;
                }
                Outcome::Found(finding, entry) => {
                    let holds = match finding {
                        Finding::Gone => holds_gone,
                        Finding::Rejected => holds_rejected,
                    };
                    if holds {
                        found.held += 1;
                        continue;
                    }
                    match finding {
                        Finding::Gone => found.gone += 1,
                        Finding::Rejected => found.rejected += 1,
                    }
                    let at = self.finding_time(&mut findings, action.contact);
                    Some(self.finding_envelope(&action, finding, entry.as_ref(), at))
                }
                // Asked for again the next time: the status may change.
                Outcome::Explained => continue,
                Outcome::Unknown => {
                    found.unknown += 1;
                    continue;
                }
            };
            memory.settled.insert(action.number);
            envelopes.extend(envelope);
        }
        self.accept(accept, memory, &envelopes).await?;
        Ok(())
    }

    async fn outcome(&self, action: &UnlistedAction, after: Timestamp) -> Result<Outcome, ReconcileError> {
        for address in &action.addresses {
            let entries = self.api.contacts(address, action.number, after).await?;
            let of_action = |entry: &Value| message::id(entry) == Some(action.number);
            let Some(entry) = entries.into_iter().find(of_action) else {
                continue;
            };
            return Ok(match entry.get("privacy").and_then(message::status) {
                Some("BOUNCE" | "BLOCKED" | "SPAM" | "UNSUB" | "INACTIVE") => {
                    Outcome::Status(entry, address.clone())
                }
                Some("DOUBLE_OPT_IN") if changed_at(&entry).is_some() => Outcome::Explained,
                // Mail to the address stays forbidden until the person clicks.
                _ if action.was_suppressed => Outcome::Explained,
                _ => Outcome::Found(Finding::Rejected, Some(entry)),
            });
        }
        let is_only_org = self.queue.own_orgs.len() == 1;
        let must_be_there = action.was_listed || (action.on_own_page && is_only_org);
        if action.addresses.is_empty() || !must_be_there {
            return Ok(Outcome::Unknown);
        }
        Ok(Outcome::Found(Finding::Gone, None))
    }

    /// Two findings about one contact at one time would be a single line of the ledger.
    fn finding_time(&self, findings: &mut BTreeMap<ContactId, u64>, contact: ContactId) -> Timestamp {
        let before = findings.entry(contact).or_default();
        let at = self.clock.now().saturating_add(Duration::from_millis(*before));
        *before += 1;
        at.unwrap_or(Timestamp::MAX)
    }

    /// The status of the address, in the form of the lost event. `None` if it has no date and was reported
    /// before.
    fn status_envelope(
        &self,
        action: &UnlistedAction,
        entry: &Value,
        address: &str,
        findings: &mut BTreeMap<ContactId, u64>,
    ) -> Option<Envelope> {
        let status = entry
            .get("privacy")
            .and_then(message::status)
            .unwrap_or_default()
            .to_lowercase();
        let number = action.number.to_string();
        if let Some(at) = changed_at(entry) {
            let body = event(action, Some(entry), Some(address), &status, &at).to_string();
            let dedup = digest(&[RECONCILIATION.as_bytes(), body.as_bytes()]);
            return Some(self.envelope(dedup, status_routing_key(&number, true), body));
        }
        let before = action.undated.as_ref();
        if before.is_some_and(|before| before.is_current && before.status == status) {
            return None;
        }
        let at = self.finding_time(findings, action.contact).to_string().into();
        let routing_key = status_routing_key(&number, false);
        let body = event(action, Some(entry), Some(address), &status, &at).to_string();
        // Without the time: until the message is processed, the same status is the same message.
        let before = before.map_or(0, |before| before.message.0);
        let dedup = digest(&[routing_key.as_bytes(), status.as_bytes(), &before.to_be_bytes()]);
        Some(self.envelope(dedup, routing_key, body))
    }

    fn finding_envelope(
        &self,
        action: &UnlistedAction,
        finding: Finding,
        entry: Option<&Value>,
        at: Timestamp,
    ) -> Envelope {
        let number = action.number.to_string();
        let routing_key = finding.routing_key(&number);
        tracing::warn!(source = %self.name, action = number, ?finding,
            "Proca no longer lists an action that was delivered here; its person is opted out.");
        let address = action.addresses.first().map(String::as_str);
        let body = event(action, entry, address, "unsub", &at.to_string().into()).to_string();
        // Without the time: if it is noticed again, it is the same message.
        self.envelope(digest(&[routing_key.as_bytes()]), routing_key, body)
    }
}

/// When the status of the address changed, if the server says so.
fn changed_at(entry: &Value) -> Option<Value> {
    let changed = entry.pointer("/privacy/emailStatusChanged").map(message::zoned);
    changed.filter(is_time)
}

fn is_time(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.parse::<Timestamp>().is_ok())
}

/// An event about the contact, without typed data: a person who rejected an action may not have typed it.
fn event(
    action: &UnlistedAction,
    entry: Option<&Value>,
    address: Option<&str>,
    status: &str,
    at: &Value,
) -> Value {
    let reference = entry
        .and_then(|entry| entry.pointer("/contact/contactRef")?.as_str())
        .or(action.references.first().map(String::as_str));
    json!({
        "schema": "proca:event:2", "eventType": "email_status", "timestamp": at, "actionId": action.number,
        "supporter": {
            "contact": { "contactRef": reference, "email": address },
            "personalInfo": null,
            "privacy": { "withConsent": false, "optIn": null, "givenAt": null, "emailStatus": status, "emailStatusChanged": at },
        },
    })
}
