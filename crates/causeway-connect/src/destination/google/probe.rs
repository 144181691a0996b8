//! Proves the credentials, the account and the list without changing anything.

use causeway_core::{clock::Timestamp, destination::Outcome};
use serde_json::Value;

use super::{
    Google,
    answer::{Verdict, verdict},
    request,
};
use crate::{connector::Probe, http::Answer};

const POLITICAL_ADS: &str = "Google shows no political ads in the EU, and takes no members before every campaign of \
                             the account declares whether it has some";

pub(super) fn probes(google: &Google, now: Timestamp) -> Vec<Probe> {
    let (number, renew_after) = (google.settings.list, google.settings.renew_after);
    let list = Probe {
        request: request::list(google),
        judge: Box::new(move |answer| {
            let body = success(answer, now)?;
            usable(&body, number)?;
            let mut remarks = vec![size(&body, number)];
            remarks.extend(duration(&body, renew_after));
            Ok(remarks)
        }),
    };
    // Checks rights to write, the terms and the declaration, and stores nothing.
    let trial = Probe {
        request: request::trial(google),
        judge: Box::new(move |answer| {
            success(answer, now)?;
            Ok(vec![POLITICAL_ADS.to_owned()])
        }),
    };
    vec![list, trial]
}

fn success(answer: &Answer, now: Timestamp) -> Result<Value, String> {
    match verdict(answer, now) {
        Verdict::Done(body) => Ok(body),
        Verdict::Spoiled { reason, .. } | Verdict::NoSuchRequest(reason) => Err(reason),
        Verdict::All(outcome @ Outcome::Delivered { .. }) => Err(outcome.as_str().to_owned()),
        Verdict::All(outcome) => Err(outcome.reason().unwrap_or_default().to_owned()),
    }
}

fn text<'a>(body: &'a Value, pointer: &str) -> &'a str {
    body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Whether people can be added to the list and removed from it.
fn usable(body: &Value, number: u64) -> Result<(), String> {
    let sort = text(body, "/ingestedUserListInfo/uploadKeyTypes/0");
    if sort != "CONTACT_ID" {
        return Err(format!(
            "list {number} is no list of contacts ({sort:?}); create a customer list of e-mail addresses"
        ));
    }
    if body.get("readOnly") == Some(&Value::Bool(true)) {
        return Err(format!(
            "list {number} is read-only; use the account that owns it"
        ));
    }
    if text(body, "/membershipStatus") == "CLOSED" {
        return Err(format!("list {number} is closed; open it in Google Ads"));
    }
    if text(body, "/accountAccessStatus") == "DISABLED" {
        return Err(format!("list {number} is not shared with the account any more"));
    }
    Ok(())
}

/// The list's name, and about how many people it has.
fn size(body: &Value, number: u64) -> String {
    let name = text(body, "/displayName");
    let count = |pointer: &str| {
        let value = body.pointer(pointer)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    };
    let people = count("/sizeInfo/searchNetworkMembersCount");
    let people = people.map_or("an unknown number of".to_owned(), |people| people.to_string());
    let rate = count("/ingestedUserListInfo/contactIdInfo/matchRatePercentage").filter(|rate| *rate > 0);
    let rate = rate.map(|rate| format!(", {rate} % found")).unwrap_or_default();
    format!("list {number} is {name:?} with {people} people in Search{rate}")
}

/// A remark if people drop out of the list before they are sent again.
fn duration(body: &Value, renew_after: Option<i64>) -> Option<String> {
    let seconds: i64 = text(body, "/membershipDuration")
        .strip_suffix('s')?
        .parse()
        .ok()?;
    let is_short = renew_after.is_some_and(|renew| seconds > 0 && seconds < renew);
    is_short.then(|| {
        format!(
            "people stay in the list for {} days only; set renew_days below that, or extend it in Google Ads",
            seconds / 86_400
        )
    })
}
