//! Actions on a page. Nothing makes them unique, so they are looked for before they are stored.

use causeway_core::delivery::Delivery;
use serde_json::Value;

use super::{
    EngagingNetworks, Step,
    answer::{Of, confirm_opt_outs, learn_supporter, unreadable},
    consent, refusal,
    supporter::{millis, number, time},
};
use crate::{connector::Reading, http::Answer};

/// How much earlier than planned an action may have been stored, by Engaging Networks' clock.
const CLOCKS_DIFFER_S: f64 = 120.0;
/// A day begins at a multiple of this in each time zone.
const QUARTER_OF_AN_HOUR_MS: i64 = 15 * 60 * 1_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// An action that was confirmed is never sent again, but the person may have changed. The delivery before may have read
/// the page.
pub(super) fn leave_out_known(networks: &EngagingNetworks, task: &mut Of<'_>) {
    task.leave_out(|step| matches!(step, Step::ReadPage(page) if networks.campaign(page).is_some()));
    if !task.memo.page.is_empty() && task.memo.memory.has_action(&task.delivery.key) {
        leave_out_action(task, "the action is at Engaging Networks already");
    }
}

/// Writes the person without the action.
pub(super) fn leave_out_action(task: &mut Of<'_>, note: &str) {
    task.notes.push(note.to_owned());
    task.leave_out(|step| matches!(step, Step::FindAction | Step::ReadPage(_) | Step::Act));
    task.then(Step::Write);
}

/// Pages of these types only store what people did. Others charge a card, or write to targets.
const STORING: [&str; 6] = ["dc", "dcf", "pet", "ems", "survey", "leadgen"];

pub(super) fn read_page(
    networks: &EngagingNetworks,
    page: &str,
    answer: &Answer,
    body: &Value,
    tasks: &mut [&mut Of<'_>],
) -> Reading {
    let Some(campaign) = body.get("campaignId").and_then(number) else {
        return unreadable(answer);
    };
    match misuse(body) {
        None => networks.learn_page(page, campaign),
        Some(reason) => {
            for task in tasks {
                refusal::refuse_action(task, &format!("page {page} {reason}"));
            }
        }
    }
    Reading::Read
}

/// Why actions must not be sent to a page.
pub(super) fn misuse(page: &Value) -> Option<String> {
    let text = |name: &str| page.get(name).and_then(Value::as_str).unwrap_or_default();
    let kind = text("type").to_lowercase();
    if text("subType").eq_ignore_ascii_case("unsub") {
        return Some("unsubscribes people; use a data capture page, a petition or a survey".to_owned());
    }
    (!STORING.contains(&&*kind)).then(|| {
        let shown = if kind.len() <= 12 && kind.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            &kind
        } else {
            "unknown"
        };
        format!(
            "is of type `{shown}`, which may charge people or write to targets; use a data capture page, a petition or \
             a survey"
        )
    })
}

/// Whether a transaction of this time may be the delivery's action: it was stored after the delivery was planned.
///
/// The time may be the start of the day, as in published samples. Such a time says little: the person may have taken
/// the action on the page itself. So it counts only if an earlier attempt may have stored the action.
fn may_be_of(delivery: &Delivery, millis: i64) -> bool {
    let is_day = millis % QUARTER_OF_AN_HOUR_MS == 0;
    let latest = if is_day && delivery.attempt > 1 {
        millis.saturating_add(DAY_MS)
    } else {
        millis
    };
    let later_by = time(latest).map(|at| at.duration_since(delivery.planned_at).as_secs_f64());
    later_by.is_some_and(|later_by| later_by >= -CLOCKS_DIFFER_S)
}

/// Looks for the action among the supporter's transactions. They do not show its number, but the page and the time.
pub(super) fn find_action(networks: &EngagingNetworks, body: &Value, task: &mut Of<'_>) -> bool {
    let Some(transactions) = body.as_array() else {
        return false;
    };
    let campaign = networks.campaign(&task.memo.page);
    let is_ours = |transaction: &&Value| {
        let member = |name: &str| transaction.get(name);
        let at = member("createdDate").and_then(millis);
        let id = member("id").and_then(number);
        at.is_some_and(|at| may_be_of(task.delivery, at))
            && member("campaignId").and_then(number) == campaign
            && id.is_none_or(|id| !task.memo.memory.is_of_another(id))
    };
    let Some(known) = transactions.iter().find(is_ours) else {
        return true;
    };
    if let Some(id) = known.get("id").and_then(number) {
        task.memo.memory.learn_action(&task.delivery.key, id);
        consent::remember(task);
    }
    leave_out_action(
        task,
        "the action is at Engaging Networks already: the response to an earlier attempt was lost",
    );
    true
}

pub(super) fn acted(
    networks: &EngagingNetworks,
    answer: &Answer,
    body: &Value,
    task: &mut Of<'_>,
) -> Reading {
    let status = body.get("status").and_then(Value::as_str).unwrap_or_default();
    if status.eq_ignore_ascii_case("error") {
        return refusal::page_failed(networks, answer, body, task);
    }
    if !status.eq_ignore_ascii_case("success") {
        return unreadable(answer);
    }
    if let Some(id) = body.get("supporterId").and_then(number).filter(|id| *id > 0) {
        learn_supporter(id, task);
    }
    if let Some(transaction) = body.get("id").and_then(number).filter(|id| *id > 0) {
        task.memo.memory.learn_action(&task.delivery.key, transaction);
    }
    consent::remember(task);
    if task.memo.id.is_none() {
        task.leave_out(|step| *step == Step::Suppress);
    }
    confirm_opt_outs(task);
    Reading::Read
}
