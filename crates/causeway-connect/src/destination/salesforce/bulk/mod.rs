//! Bulk API 2.0: one job writes many people with few calls, and its results come later.
//!
//! Invariants:
//! - A job starts only after its deliveries remember it. The call of `deliver` that uploads the file ends them as pending,
//!   and a later one closes the job, which starts it. So an opt-out finds the job in the contact's memory, even after a
//!   crash: it is written at once, and again when the job is over.
//! - A job never gives consent to a record that exists, because it may run long after the look-up. Only people who are
//!   new may start as opted in.
//! - A row that no result names is sent anew, within the same attempt and without a job.

mod answer;
mod outcome;
mod request;
mod results;
mod start;

use std::{collections::HashMap, time::Duration};

use causeway_core::{
    clock::Timestamp,
    consent::Change,
    delivery::Delivery,
    destination::{AttemptResult, Outcome},
};
use serde_json::{Map, Value, json};

pub(super) use self::{
    answer::{expected, read, stay_behind},
    request::{fits, request},
};
use super::{
    Memo, Salesforce, Step,
    consent::{BOUNCE_REASON, Kind, OPTED_OUT},
    writes_data,
};
use crate::connector::Task;

/// People in one call of `deliver` without a job: one collection. The others are given back.
const MOST_WITHOUT_JOB: usize = 200;
/// A job is looked at this long after its start.
const FIRST_LOOK: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// The longest wait of an opt-out that is repeated after a job.
const LONGEST_WAIT_BEHIND: Duration = Duration::from_mins(1);
/// Seconds after which nobody will close a job that is still open: its deliveries ended in another way. Until then they
/// may wait behind a long queue.
const LEFT_OPEN: i64 = 86_400;
/// Salesforce deletes jobs after 7 days. What it has not done after 8 days, in seconds, it will not do.
const JOB_LIFE: i64 = 8 * 86_400;

/// An id of 18 letters and digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::destination) struct JobId([u8; 18]);

impl JobId {
    pub fn read(text: &str) -> Option<Self> {
        let bytes: [u8; 18] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_alphanumeric).then_some(Self(bytes))
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::destination) enum Operation {
    /// By the ids of the records. A record that was deleted meanwhile is not created again.
    Update,
    /// By the key.
    Upsert,
}

impl Operation {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Upsert => "upsert",
        }
    }

    /// The step that does the same without a job.
    fn direct(self) -> Step {
        match self {
            Self::Update => Step::Update,
            Self::Upsert => Step::Upsert,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The file is uploaded, and the job has to be closed.
    Loaded,
    /// The job is closed. Its results are awaited.
    Closed,
    /// The delivery was written itself. It is written again after the job.
    Behind,
}

/// What [`Outcome::Pending`] holds: `closed.1767225600.JOB.ROW`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ticket {
    phase: Phase,
    /// When the file was uploaded, in seconds.
    since: i64,
    job: JobId,
    /// The id or the key by which the results name the row.
    row: String,
}

impl Ticket {
    fn text(&self) -> String {
        let phase = match self.phase {
            Phase::Loaded => "loaded",
            Phase::Closed => "closed",
            Phase::Behind => "behind",
        };
        format!("{phase}.{}.{}.{}", self.since, self.job.as_str(), self.row)
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '.');
        Some(Self {
            phase: match parts.next()? {
                "loaded" => Phase::Loaded,
                "closed" => Phase::Closed,
                "behind" => Phase::Behind,
                _ => return None,
            },
            since: parts.next()?.parse().ok()?,
            job: JobId::read(parts.next()?)?,
            row: parts.next()?.to_owned(),
        })
    }

    fn pending(&self, longest: Duration, now: Timestamp) -> Outcome {
        let age = now.as_second().saturating_sub(self.since).max(0);
        Outcome::Pending {
            ticket: self.text(),
            // As long again as it took until now.
            after: Duration::from_secs(age.unsigned_abs()).clamp(FIRST_LOOK, longest),
        }
    }
}

/// A job that has a row of this contact, and perhaps runs still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ahead {
    job: JobId,
    since: i64,
}

impl Ahead {
    fn of_memory(delivery: &Delivery) -> Option<Self> {
        let job = delivery.memory.as_ref()?.get("job")?;
        Some(Self {
            job: JobId::read(job.get("id")?.as_str()?)?,
            since: job.get("since")?.as_i64()?,
        })
    }
}

/// What is remembered about the contact: which records Causeway opted out, and the job that may still write.
pub(super) fn memory(task: &Task<'_, Salesforce>) -> Value {
    let memo = &task.memo;
    let mut members = Map::new();
    // Nothing is remembered of an erased person, except for a job that may create their record again.
    if task.delivery.record.change != Change::Remove {
        members.insert("opted_out".to_owned(), json!(memo.opted_out));
    }
    if let Some(ahead) = memo.ahead {
        let job = json!({ "id": ahead.job.as_str(), "since": ahead.since });
        members.insert("job".to_owned(), job);
    }
    if members.is_empty() {
        return Value::Null;
    }
    Value::Object(members)
}

/// The first steps of a delivery.
pub(super) fn first_steps(salesforce: &Salesforce, delivery: &Delivery, memo: &mut Memo) -> Vec<Step> {
    let record = &delivery.record;
    let kind = salesforce.kind(record);
    let is_data = writes_data(record) && matches!(kind, Kind::None | Kind::OptIn { .. });
    let ticket = delivery.ticket.as_deref().and_then(Ticket::read);
    // A person who opted out since their row was uploaded does not wait for the job.
    if let Some(ticket) = ticket
        .as_ref()
        .filter(|ticket| is_data && ticket.phase != Phase::Behind)
    {
        memo.ticket = Some(ticket.clone());
        return vec![match ticket.phase {
            Phase::Loaded => Step::Close(ticket.job),
            Phase::Closed | Phase::Behind => Step::Look(ticket.job),
        }];
    }
    let of_ticket = |ticket: &Ticket| Ahead {
        job: ticket.job,
        since: ticket.since,
    };
    memo.ahead = Ahead::of_memory(delivery).or(ticket.as_ref().map(of_ticket));
    memo.ticket = ticket;
    let Some(ahead) = memo.ahead else {
        memo.may_join = is_data && salesforce.settings.bulk.is_some();
        return vec![Step::Find];
    };
    vec![Step::Before(ahead.job), Step::Find]
}

/// The step that writes this body: into a job if the batch is large enough.
pub(super) fn write_step(salesforce: &Salesforce, operation: Operation, memo: &Memo) -> Step {
    let allows_mail = operation == Operation::Update && allows_mail(salesforce, &memo.body);
    if memo.may_join && !allows_mail && fits(&memo.body) {
        return Step::CreateJob(operation);
    }
    operation.direct()
}

/// Whether it lifts an opt-out or a bounce, or gives an opt-in.
fn allows_mail(salesforce: &Salesforce, body: &Map<String, Value>) -> bool {
    let opt_in = salesforce.settings.opt_in.as_ref();
    body.get(OPTED_OUT) == Some(&Value::Bool(false))
        || body.get(BOUNCE_REASON) == Some(&Value::Null)
        || opt_in.is_some_and(|field| body.get(field) == Some(&Value::Bool(true)))
}

/// By what the results of a job name the row of this task.
fn row_of(memo: &Memo) -> &str {
    let key = memo.keys.first().map(String::as_str);
    memo.id.as_deref().or(key).unwrap_or_default()
}

/// Decides by the number of people whether there is a job.
pub(super) fn regroup(salesforce: &Salesforce, tasks: &mut [Task<'_, Salesforce>]) {
    let Some(above) = salesforce.settings.bulk else {
        return;
    };
    if tasks.iter().filter(|task| task.memo.may_join).count() <= above {
        give_back(tasks);
    }
    let is_job = |task: &Task<'_, Salesforce>| matches!(task.step(), Some(Step::CreateJob(_)));
    let order = |task: &Task<'_, Salesforce>| task.step().map(|step| step.order());
    let of_jobs = tasks.iter().find(|task| is_job(task)).and_then(order);
    // The look-ups are done when nothing comes before the jobs.
    if of_jobs.is_none() || of_jobs != tasks.iter().filter_map(order).min() {
        return;
    }
    let mut named: HashMap<String, usize> = HashMap::new();
    for task in tasks.iter().filter(|task| !task.memo.body.is_empty()) {
        *named.entry(row_of(&task.memo).to_lowercase()).or_default() += 1;
    }
    for operation in [Operation::Update, Operation::Upsert] {
        let step = Step::CreateJob(operation);
        let mut left = 0;
        for task in tasks.iter_mut().filter(|task| task.step() == Some(&step)) {
            // Salesforce refuses both rows if a file names a record twice.
            if named
                .get(&row_of(&task.memo).to_lowercase())
                .is_some_and(|times| *times > 1)
            {
                task.instead(operation.direct());
            } else {
                left += 1;
            }
        }
        // A few rows cost fewer calls as collections.
        if left <= above / 2 {
            for task in tasks.iter_mut().filter(|task| task.step() == Some(&step)) {
                task.instead(operation.direct());
            }
        }
    }
}

/// Collections need time, and the call of a large batch would be cut off. So the others come with the next one.
fn give_back(tasks: &mut [Task<'_, Salesforce>]) {
    let all = tasks.iter_mut().filter(|task| task.memo.may_join);
    let others = all.skip(MOST_WITHOUT_JOB);
    for task in others.filter(|task| task.step() == Some(&Step::Find)) {
        task.end(AttemptResult::from(Outcome::Busy {
            reason: "there are too few for a job; the next call sends it".to_owned(),
            after: None,
        }));
    }
}
