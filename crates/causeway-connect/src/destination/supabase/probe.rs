//! Proves the key, the tables, their columns, the unique indexes and the right to write, without changing anything.

use causeway_core::clock::Timestamp;

use super::{
    Supabase,
    error::{Verdict, verdict},
    request::{columns_of, write_nothing},
};
use crate::{
    connector::Probe,
    http::{Answer, HttpRequest},
};

pub(super) fn probes(supabase: &Supabase) -> Vec<Probe> {
    let mut probes = Vec::new();
    for table in supabase.settings.tables() {
        probes.push(probe(&table.name, columns_of(supabase, table)));
        // The statement has no rows. PostgreSQL plans it all the same, which needs the index and the rights.
        probes.push(probe(&table.name, write_nothing(supabase, table)));
    }
    if let Some(first) = probes.first_mut()
        && let Some(remark) = remark(supabase)
    {
        let judge = std::mem::replace(&mut first.judge, Box::new(|_| Ok(Vec::new())));
        first.judge = Box::new(move |answer| {
            let mut remarks = judge(answer)?;
            remarks.push(remark.to_owned());
            Ok(remarks)
        });
    }
    probes
}

fn probe(table: &str, request: HttpRequest) -> Probe {
    let table = table.to_owned();
    Probe {
        request,
        judge: Box::new(move |answer| judge(&table, answer)),
    }
}

fn judge(table: &str, answer: &Answer) -> Result<Vec<String>, String> {
    let is_list = answer.json().is_some_and(|body| body.is_array());
    match answer.status {
        200..=299 if is_list => Ok(Vec::new()),
        200..=299 => Err(format!(
            "answered {} with something other than rows: check `base_url`",
            answer.status
        )),
        _ => {
            // The age of a token is of no importance here.
            let reason = match verdict(answer, Timestamp::UNIX_EPOCH) {
                Verdict::All(outcome) => outcome.reason().unwrap_or_default().to_owned(),
                Verdict::Spoiled(reason)
                | Verdict::TooMuch(reason)
                | Verdict::Policy(reason)
                | Verdict::NoValue(reason)
                | Verdict::Referenced(reason) => reason,
            };
            Err(format!("table {table}: {reason}"))
        }
    }
}

/// What `doctor` prints about a key that may not see all rows.
fn remark(supabase: &Supabase) -> Option<&'static str> {
    let is_public = supabase
        .headers
        .get("apikey")
        .and_then(|key| key.to_str().ok())
        .is_some_and(|key| key.starts_with("sb_publishable_"));
    is_public.then_some(
        "the key is a publishable one: the policies of the tables decide what it may do, and an opt-out of a contact whose \
         row they hide is skipped",
    )
}
