//! The results of queries, in pages.

use std::collections::HashSet;

use causeway_core::{clock::Timestamp, destination::Outcome, record::Record};
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::{
    MOST_SOUGHT, Salesforce, Step,
    answer::{finish, read, unreadable},
    consent::Kind,
    find::{Found, decide},
    writes_data,
};
use crate::{
    connector::{Reading, Task},
    http::Answer,
};

/// Records with one address that are read. More have one cause: a placeholder instead of addresses.
const MOST_RECORDS: usize = 20_000;

/// The result of the query. Invariant: only a complete and readable one shows that nobody opted out.
pub(super) fn found(
    salesforce: &Salesforce,
    answer: &Answer,
    body: &Value,
    tasks: &mut [&mut Task<'_, Salesforce>],
) -> Reading {
    let Some(page) = Page::read(salesforce, body) else {
        return Reading::All(unreadable(answer));
    };
    let [task] = tasks else {
        if !page.is_last {
            return Reading::Split;
        }
        decide(salesforce, &page.found, tasks);
        return Reading::Read;
    };
    let mut all = std::mem::take(&mut task.memo.pages);
    all.extend(page.found);
    if page.is_last {
        decide(salesforce, &all, tasks);
        return Reading::Read;
    }
    let Some(next) = page.next else {
        return Reading::All(unreadable(answer));
    };
    if all.len() < MOST_RECORDS {
        (task.memo.pages, task.memo.next_page) = (all, Some(next));
        task.then(Step::FindMore);
        return Reading::Read;
    }
    let too_many = answer.result_with(Outcome::Reject {
        reason: format!("more than {} records at Salesforce have this address", all.len()),
    });
    if !takes_consent(salesforce, &task.delivery.record) {
        return Reading::All(too_many);
    }
    // Those that are known are opted out, and a person has to see to the others.
    task.memo.left = Some(too_many);
    decide(salesforce, &all, tasks);
    Reading::Read
}

fn takes_consent(salesforce: &Salesforce, record: &Record) -> bool {
    !writes_data(record) || matches!(salesforce.kind(record), Kind::OptOut { .. } | Kind::Bounce { .. })
}

/// A page of a query's result.
struct Page {
    found: Vec<Found>,
    is_last: bool,
    next: Option<String>,
}

impl Page {
    /// `None` if it does not show what was asked for.
    fn read(salesforce: &Salesforce, body: &Value) -> Option<Self> {
        let rows = body.get("records")?.as_array()?;
        let next = body.get("nextRecordsUrl").and_then(Value::as_str);
        let is_path = |next: &&str| next.starts_with("/services/data/") && !next.contains("..");
        Some(Self {
            found: rows
                .iter()
                .map(|row| Found::read(salesforce, row))
                .collect::<Option<_>>()?,
            is_last: body.get("done")?.as_bool()?,
            next: next.filter(is_path).map(str::to_owned),
        })
    }
}

/// The results of several queries.
pub(super) fn found_by_all(
    salesforce: &Salesforce,
    answer: &Answer,
    body: &Value,
    tasks: &mut [&mut Task<'_, Salesforce>],
    now: Timestamp,
) -> Reading {
    let parts = body.get("compositeResponse").and_then(Value::as_array);
    let Some(parts) = parts.filter(|parts| parts.len() == tasks.len().div_ceil(MOST_SOUGHT)) else {
        return Reading::All(unreadable(answer));
    };
    let (mut all, mut ids) = (Vec::new(), HashSet::new());
    for part in parts {
        let status = part.get("httpStatusCode").and_then(Value::as_u64);
        let status = status
            .and_then(|status| u16::try_from(status).ok())
            .unwrap_or_default();
        let body = part.get("body").unwrap_or(&Value::Null);
        if status >= 400 {
            let refused = Answer {
                status,
                headers: HeaderMap::new(),
                body: body.to_string().into_bytes(),
                complete: true,
            };
            return read(salesforce, Step::Find, &refused, tasks, now);
        }
        let page = Page::read(salesforce, body).filter(|_| status == 200);
        let Some(page) = page else {
            return Reading::All(unreadable(answer));
        };
        if !page.is_last {
            return Reading::Split;
        }
        // Two queries may find the same record.
        all.extend(
            page.found
                .into_iter()
                .filter(|found| ids.insert(found.id.clone())),
        );
    }
    decide(salesforce, &all, tasks);
    for task in tasks {
        finish(task, answer, now);
    }
    Reading::Read
}
