//! Proves the token and the audience without changing anything.

use causeway_core::clock::Timestamp;
use serde_json::Value;

use super::{
    Meta,
    answer::{Verdict, verdict},
    request,
};
use crate::connector::Probe;

const POLITICAL_ADS: &str = "Meta shows no political, electoral or social-issue ads in the EU: audiences there serve \
                             fundraising, recruitment and exclusion only";

pub(super) fn probes(meta: &Meta, now: Timestamp) -> Vec<Probe> {
    let number = meta.settings.audience;
    vec![Probe {
        request: request::audience(meta),
        judge: Box::new(move |answer| {
            let body = match verdict(answer, now) {
                Verdict::Done(body) => body,
                Verdict::Spoiled(reason) => return Err(reason),
                Verdict::All(outcome) => return Err(outcome.reason().unwrap_or_default().to_owned()),
            };
            usable(&body, number)?;
            let mut remarks = vec![size(&body, number)];
            remarks.push(POLITICAL_ADS.to_owned());
            Ok(remarks)
        }),
    }]
}

fn text<'a>(body: &'a Value, pointer: &str) -> &'a str {
    body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Whether people can be added to the audience and removed from it.
fn usable(body: &Value, number: u64) -> Result<(), String> {
    let subtype = text(body, "/subtype");
    if subtype != "CUSTOM" {
        return Err(format!(
            "audience {number} is of the sort {subtype:?}; create one of a customer list (CUSTOM)"
        ));
    }
    let description = text(body, "/operation_status/description");
    let status = body.pointer("/operation_status/code").and_then(Value::as_u64);
    match status {
        None | Some(200) => Ok(()),
        Some(471) => Err(format!(
            "Meta flagged audience {number}; resolve that in Ads Manager, or create another with a neutral name and \
             description"
        )),
        // 410 to 412 are about an audience that is new or small.
        Some(code) if code < 414 => Ok(()),
        Some(code) => Err(format!(
            "audience {number} cannot be used now: status {code}, {description}"
        )),
    }
}

/// The audience's name, and about how many people it has.
fn size(body: &Value, number: u64) -> String {
    let name = text(body, "/name");
    let bound = |which: &str| {
        let count = body.get(format!("approximate_count_{which}_bound"));
        count.and_then(Value::as_u64)
    };
    let people = match (bound("lower"), bound("upper")) {
        (Some(lower), Some(upper)) => format!("{lower} to {upper} people"),
        _ => "fewer than 1000 people, which Meta does not count".to_owned(),
    };
    format!("audience {number} is {name:?} with {people}")
}
