//! Shows why automations ran for a message, or did not.

use causeway_core::{
    automation::{Explained, Verdict},
    store::TimerRow,
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::super::{format::When, masking};

#[derive(Debug, Default, Serialize)]
pub(super) struct Automations {
    asked: Vec<Considered>,
    /// The names and values that the conditions read. Personal data is masked.
    values: Vec<(String, String)>,
    timers: Vec<Timer>,
}

#[derive(Debug, Serialize)]
struct Considered {
    name: String,
    mark: &'static str,
    words: String,
}

#[derive(Debug, Serialize)]
struct Timer {
    automation: String,
    what: String,
    due: When,
}

impl Automations {
    pub(super) fn new(explained: Option<Explained>, timers: Vec<TimerRow>, now: Timestamp) -> Self {
        let Explained { values, asked } = explained.unwrap_or_default();
        Self {
            asked: asked
                .into_iter()
                .map(|(name, verdict)| Considered {
                    name: name.to_string(),
                    mark: mark(&verdict),
                    words: verdict.to_string(),
                })
                .collect(),
            values: values
                .into_iter()
                .map(|(name, value)| {
                    let shown = shown(&name, &value);
                    (name.to_string(), shown)
                })
                .collect(),
            timers: timers
                .into_iter()
                .map(|timer| Timer {
                    automation: timer.automation.to_string(),
                    what: timer.due.to_string(),
                    due: When::new(timer.due_at, now),
                })
                .collect(),
        }
    }
}

fn mark(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Ran(_) => "good",
        Verdict::Failed(_) | Verdict::Circle(_) => "bad",
        Verdict::Postponed(_) => "busy",
        Verdict::ConditionFalse | Verdict::RanBefore | Verdict::Stopped | Verdict::Gone => "idle",
    }
}

/// The value as text. Campaigns, pages and consent are shown; personal data is masked.
fn shown(name: &str, value: &Value) -> String {
    let is_personal = ["contact", "fields", "action.fields", "changed"]
        .iter()
        .any(|root| name.starts_with(root));
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) if is_personal => masking::text(text),
        Value::Bool(value) => value.to_string(),
        value if is_personal => masking::json(value).to_string(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}
