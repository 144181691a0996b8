//! Decides from one sample of the figures what needs a person. Pure.

use std::collections::BTreeMap;

use causeway_core::{event::DeadCode, id::Name, source::SourceState};
use serde::Serialize;

use super::{ConsoleConfig, format, live::Moment, pages::link};
use crate::people::left_behind_in_words;

/// A problem that a person should look at. The worst come first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Attention {
    /// `bad`: something has stopped or is unknown; `warn`: it continues by itself, or was intended.
    pub level: &'static str,
    pub title: String,
    pub detail: String,
    /// The command to type.
    pub command: Option<String>,
    /// The page with details.
    pub href: Option<String>,
}

/// Counts of the newest dead rows by source or destination and reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeadRows {
    /// (source, code) → rows
    pub inbox: BTreeMap<(Name, String), u64>,
    /// destination → reason → rows
    pub deliveries: BTreeMap<Name, BTreeMap<String, u64>>,
}

/// Problems besides dead rows that only a person can fix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ByHand {
    /// Foreign ids that came with a third address.
    pub conflicts: u64,
    /// Destination → withdrawals that it cannot receive.
    pub withdrawals: BTreeMap<Name, u64>,
    /// Destination → dead withdrawals.
    pub dead_withdrawals: BTreeMap<Name, u64>,
    /// Destination that is not in the configuration → number of its people, whose opt-outs cannot reach it.
    pub left_behind: BTreeMap<Name, u64>,
}

pub(crate) fn attention(moment: &Moment, config: &ConsoleConfig) -> Vec<Attention> {
    let mut found = Vec::new();
    if moment.is_stale {
        found.push(Attention {
            level: "bad",
            title: "The store does not answer".to_owned(),
            detail: "The numbers are the last known ones. Nothing is lost: messages are acknowledged only after they are stored."
                .to_owned(),
            command: Some("causeway doctor".to_owned()),
            href: None,
        });
    }
    if let Some(alarm) = &moment.overview.clock_alarm {
        found.push(Attention {
            level: "bad",
            title: "The system clock may be wrong".to_owned(),
            detail: format!("{alarm}."),
            command: Some("causeway store acknowledge-clock".to_owned()),
            href: None,
        });
    }
    lanes(moment, config, &mut found);
    sources(moment, &mut found);
    dead_messages(moment, &mut found);
    turned_away(moment, &mut found);
    dead_withdrawals(moment, config, &mut found);
    dead_deliveries(moment, config, &mut found);
    by_hand(moment, config, &mut found);
    // The sort is stable, so the order above stays within a level.
    found.sort_by_key(|item| item.level != "bad");
    found
}

fn is_configured(config: &ConsoleConfig, destination: &Name) -> bool {
    config.destinations.iter().any(|one| one.name == *destination)
}

fn lanes(moment: &Moment, config: &ConsoleConfig, found: &mut Vec<Attention>) {
    for (name, counts) in &moment.overview.destinations {
        let waiting = format::count(counts.waiting);
        if !is_configured(config, name) {
            if counts.waiting > 0 {
                found.push(gone(name, counts.waiting));
            }
            continue;
        }
        let command = Some(format!("causeway delivery resume {name}"));
        let href = Some(link(
            "/deliveries",
            &[("state", Some("waiting")), ("destination", Some(name))],
        ));
        if let Some(reason) = &counts.lane.halted {
            found.push(Attention {
                level: "bad",
                title: format!("{name} is halted"),
                detail: format!("{reason}. {waiting} waiting; nothing is lost. Fix the cause, then resume."),
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

/// Deliveries of a destination that was renamed or removed.
fn gone(name: &Name, waiting: u64) -> Attention {
    Attention {
        level: "bad",
        title: format!("{name} is not in the configuration"),
        detail: format!(
            "{} for it, and will wait for ever. Give the destination its name back, or discard them.",
            if waiting == 1 {
                "1 delivery waits".to_owned()
            } else {
                format!("{} deliveries wait", format::count(waiting))
            }
        ),
        command: Some(format!("causeway delivery discard --destination {name}")),
        href: Some(link(
            "/deliveries",
            &[("state", Some("waiting")), ("destination", Some(name))],
        )),
    }
}

fn sources(moment: &Moment, found: &mut Vec<Attention>) {
    for (name, state) in &moment.states {
        let (level, title, detail) = match state {
            SourceState::Connecting | SourceState::Running => continue,
            SourceState::Failing { reason } => (
                "warn",
                format!("{name} fails"),
                format!("{reason}. It keeps trying."),
            ),
            SourceState::Halted { reason } => (
                "bad",
                format!("{name} is halted"),
                format!(
                    "{reason}. Change the configuration or the account; until then it is not tried again."
                ),
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
    for (name, warning) in &moment.warnings {
        found.push(Attention {
            level: "warn",
            title: format!("{name} needs attention"),
            detail: format!("{warning}."),
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
        let mut codes: Vec<(&str, u64)> = moment
            .dead
            .inbox
            .iter()
            .filter(|((source, _), _)| source == name)
            .map(|((_, code), rows)| (code_in_words(code), *rows))
            .collect();
        codes.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
        // Only the newest rows were read. Numbers are shown only if these are all dead rows.
        let are_all = codes.iter().map(|(_, rows)| rows).sum::<u64>() == counts.dead;
        let codes: Vec<String> = codes
            .iter()
            .map(|(words, rows)| {
                if are_all {
                    format!("{} {words}", format::count(*rows))
                } else {
                    (*words).to_owned()
                }
            })
            .collect();
        let detail = match codes.as_slice() {
            [] => "They are stored unchanged and can be processed again.".to_owned(),
            codes if are_all => format!(
                "{}. They are stored unchanged and can be processed again.",
                codes.join(", ")
            ),
            codes => format!(
                "Mostly {}. They are stored unchanged and can be processed again.",
                codes.join(", then ")
            ),
        };
        found.push(Attention {
            level: "bad",
            title: format!("{} dead from {name}", plural(counts.dead, "message")),
            detail,
            command: Some(format!("causeway replay --source {name}")),
            href: Some(link(
                "/messages",
                &[("state", Some("dead")), ("source", Some(name))],
            )),
        });
    }
}

/// Messages turned away after an erasure: a person who signs again with a wrong date, or under `refuse`, is not stored, and
/// nobody else would notice.
fn turned_away(moment: &Moment, found: &mut Vec<Attention>) {
    for (name, counts) in &moment.overview.sources {
        let lately = counts.turned_away_lately;
        if lately == 0 {
            continue;
        }
        found.push(Attention {
            level: "warn",
            title: format!("{} turned away after an erasure from {name}", plural(lately, "message")),
            detail: format!(
                "In the last seven days; {} in all. They name erased people, and are dated before the erasure, or `after_erasure` is \"refuse\". The sender may still have these people.",
                format::count(counts.turned_away)
            ),
            command: None,
            href: Some(link(
                "/messages",
                &[("state", Some("skipped")), ("source", Some(name))],
            )),
        });
    }
}

/// Dead withdrawals: their destinations still have people's data.
fn dead_withdrawals(moment: &Moment, config: &ConsoleConfig, found: &mut Vec<Attention>) {
    for (name, number) in &moment.by_hand.dead_withdrawals {
        let (todo, command) = if is_configured(config, name) {
            (
                "Fix the cause, then retry them.",
                format!("causeway delivery retry --destination {name} --state dead"),
            )
        } else {
            (
                "The destination is not in the configuration: update it by hand, then discard them.",
                format!(
                    "causeway delivery discard --destination {name} --state dead --withdrawals --why 'done by hand'"
                ),
            )
        };
        let (who, are) = if *number == 1 {
            ("An opt-out or a suppression", "was")
        } else {
            ("Opt-outs or suppressions", "were")
        };
        found.push(Attention {
            level: "bad",
            title: format!("{name} did not receive {}", plural(*number, "withdrawal")),
            detail: format!("{who} {are} not delivered, and the destination still has these people. {todo}"),
            command: Some(command),
            href: Some(link(
                "/deliveries",
                &[("state", Some("dead")), ("destination", Some(name))],
            )),
        });
    }
}

fn dead_deliveries(moment: &Moment, config: &ConsoleConfig, found: &mut Vec<Attention>) {
    for (name, counts) in &moment.overview.destinations {
        if counts.dead == 0 {
            continue;
        }
        let reasons = moment.dead.deliveries.get(name);
        let most = reasons.and_then(|reasons| reasons.iter().max_by_key(|(_, rows)| **rows));
        let detail = match most {
            Some((reason, _)) => format!("Mostly: {reason}"),
            None => "Their last attempt failed, or they were rejected.".to_owned(),
        };
        found.push(Attention {
            level: "bad",
            title: format!(
                "{} dead at {name}",
                plural_of(counts.dead, "delivery", "deliveries")
            ),
            detail,
            command: Some(if is_configured(config, name) {
                format!("causeway delivery retry --destination {name} --state dead")
            } else {
                format!("causeway delivery discard --destination {name} --state dead")
            }),
            href: Some(link(
                "/deliveries",
                &[("state", Some("dead")), ("destination", Some(name))],
            )),
        });
    }
}

fn by_hand(moment: &Moment, config: &ConsoleConfig, found: &mut Vec<Attention>) {
    for (name, number) in &moment.by_hand.withdrawals {
        found.push(Attention {
            level: "bad",
            title: format!("{name} cannot receive {}", plural(*number, "withdrawal")),
            detail: "These people opted out, but the destination still has them. Update it by hand, then discard the entry: \
                     causeway delivery discard 17 --why 'done by hand'."
                .to_owned(),
            command: Some(format!("causeway delivery list --state skipped --destination {name}")),
            href: Some(link(
                "/deliveries",
                &[("state", Some("skipped")), ("destination", Some(name))],
            )),
        });
    }
    for (name, people) in &moment.by_hand.left_behind {
        found.push(Attention {
            level: "bad",
            title: format!("Opt-outs do not reach {name}"),
            detail: format!(
                "{}.",
                left_behind_in_words(name, *people, is_configured(config, name))
            ),
            command: Some(format!("causeway destination forget {name}")),
            href: None,
        });
    }
    if moment.by_hand.conflicts > 0 {
        found.push(Attention {
            level: "warn",
            title: format!(
                "{} with three or more addresses",
                plural(moment.by_hand.conflicts, "id")
            ),
            detail:
                "One id of a platform came with several addresses. It may belong to a member of staff or a form. \
                     Messages with a further address count only for that address."
                    .to_owned(),
            command: Some("causeway contact conflicts".to_owned()),
            href: None,
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

/// A message's code in words, as a part of a sentence.
pub(crate) fn code_in_words(code: &str) -> &str {
    match code {
        "after_erasure" => return "turned away after an erasure",
        "erasing" => return "waiting for the end of an erasure",
        _ => {}
    }
    let known = [
        (DeadCode::Malformed, "malformed"),
        (DeadCode::Unknown, "that are not understood"),
        (DeadCode::KeyMissing, "for a key that is not in the keystore"),
        (DeadCode::Undecryptable, "that cannot be decrypted"),
        (DeadCode::Automation, "that an automation failed on"),
        (DeadCode::Late, "signed too long before or after they arrived"),
        (DeadCode::Internal, "that a rule failed on (please report)"),
    ];
    known
        .into_iter()
        .find(|(known, _)| known.as_str() == code)
        .map_or(code, |(_, words)| words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_withdrawals_are_reported() {
        let mut moment = Moment::default();
        moment.by_hand.dead_withdrawals = [("crm".into(), 2)].into();
        let found = attention(&moment, &ConsoleConfig::default());
        let titles: Vec<_> = found
            .iter()
            .map(|item| (item.level, item.title.as_str()))
            .collect();
        assert_eq!(titles, [("bad", "crm did not receive 2 withdrawals")]);
    }

    #[test]
    fn an_unknown_code_is_not_called_an_unknown_kind() {
        assert_eq!(code_in_words("unknown"), "that are not understood");
    }
}
