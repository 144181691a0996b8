//! What needs a person: decided from one moment's figures. Pure.

use std::collections::BTreeMap;

use causeway_core::{event::DeadCode, id::Name, source::SourceState};
use serde::Serialize;

use super::{format, live::Moment};

/// One thing to look at. The worst come first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Attention {
    /// `bad`: something stands still or is lost to view; `warn`: it will go on by itself, or was meant.
    pub level: &'static str,
    pub title: String,
    pub detail: String,
    /// What to type.
    pub command: Option<String>,
    /// Where to look.
    pub href: Option<String>,
}

/// Counts of dead rows by what they are about, of the newest ones that were looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeadRows {
    /// (source, code) → rows
    pub inbox: BTreeMap<(Name, String), u64>,
    /// destination → reason → rows
    pub deliveries: BTreeMap<Name, BTreeMap<String, u64>>,
}

pub(crate) fn attention(moment: &Moment) -> Vec<Attention> {
    let mut found = Vec::new();
    if moment.is_stale {
        found.push(Attention {
            level: "bad",
            title: "The store does not answer".to_owned(),
            detail: "The figures are the last that were read. Nothing is acknowledged that is not stored."
                .to_owned(),
            command: Some("causeway doctor".to_owned()),
            href: None,
        });
    }
    lanes(moment, &mut found);
    sources(moment, &mut found);
    dead_messages(moment, &mut found);
    dead_deliveries(moment, &mut found);
    // Stable: within a level the order above stays.
    found.sort_by_key(|item| item.level != "bad");
    found
}

fn lanes(moment: &Moment, found: &mut Vec<Attention>) {
    for (name, counts) in &moment.overview.destinations {
        let waiting = format::count(counts.waiting);
        let command = Some(format!("causeway destination resume {name}"));
        let href = Some(format!("/deliveries?state=waiting&destination={name}"));
        if let Some(reason) = &counts.lane.halted {
            found.push(Attention {
                level: "bad",
                title: format!("{name} stands still"),
                detail: format!("{reason}. {waiting} waiting; nothing is lost. Put it right, then resume."),
                command,
                href,
            });
        } else if counts.lane.paused {
            found.push(Attention {
                level: "warn",
                title: format!("{name} is paused"),
                detail: format!("By a person. {waiting} waiting."),
                command,
                href,
            });
        }
    }
}

fn sources(moment: &Moment, found: &mut Vec<Attention>) {
    for (name, state) in &moment.states {
        let (level, title, detail) = match state {
            SourceState::Connecting | SourceState::Running => continue,
            SourceState::Failing { reason } => (
                "warn",
                format!("{name} does not get through"),
                format!("{reason}. It keeps trying."),
            ),
            SourceState::Halted { reason } => (
                "bad",
                format!("{name} stands still"),
                format!("{reason}. It waits for a change of the configuration or the account."),
            ),
        };
        found.push(Attention {
            level,
            title,
            detail,
            command: Some("causeway doctor".to_owned()),
            href: None,
        });
    }
}

fn dead_messages(moment: &Moment, found: &mut Vec<Attention>) {
    for (name, counts) in &moment.overview.sources {
        if counts.dead == 0 {
            continue;
        }
        let codes: Vec<String> = moment
            .dead
            .inbox
            .iter()
            .filter(|((source, _), _)| source == name)
            .map(|((_, code), rows)| format!("{} {}", format::count(*rows), code_in_words(code)))
            .collect();
        let detail = if codes.is_empty() {
            "Kept as they came, and can be processed once more.".to_owned()
        } else {
            format!("{}. Kept as they came.", codes.join(", "))
        };
        found.push(Attention {
            level: "bad",
            title: format!("{} dead from {name}", plural(counts.dead, "message")),
            detail,
            command: None,
            href: Some(format!("/records?state=dead&source={name}")),
        });
    }
}

fn dead_deliveries(moment: &Moment, found: &mut Vec<Attention>) {
    for (name, counts) in &moment.overview.destinations {
        if counts.dead == 0 {
            continue;
        }
        let reasons = moment.dead.deliveries.get(name);
        let most = reasons.and_then(|reasons| reasons.iter().max_by_key(|(_, rows)| **rows));
        let detail = match most {
            Some((reason, _)) => format!("Mostly: {reason}"),
            None => "Given up after the last attempt, or rejected.".to_owned(),
        };
        found.push(Attention {
            level: "bad",
            title: format!(
                "{} dead at {name}",
                plural_of(counts.dead, "delivery", "deliveries")
            ),
            detail,
            command: Some(format!(
                "causeway delivery retry --destination {name} --state dead"
            )),
            href: Some(format!("/deliveries?state=dead&destination={name}")),
        });
    }
}

fn plural(number: u64, word: &str) -> String {
    plural_of(number, word, &format!("{word}s"))
}

fn plural_of(number: u64, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        format::count(number),
        if number == 1 { one } else { many }
    )
}

/// What a dead message's code means, for a sentence.
pub(crate) fn code_in_words(code: &str) -> &str {
    let known = [
        (DeadCode::Malformed, "malformed"),
        (DeadCode::Unknown, "of an unknown kind"),
        (DeadCode::KeyMissing, "for a key that is not in the keystore"),
        (DeadCode::Undecryptable, "that do not decrypt"),
        (DeadCode::Internal, "that a rule failed on (please report)"),
    ];
    known
        .into_iter()
        .find(|(known, _)| known.as_str() == code)
        .map_or(code, |(_, words)| words)
}
