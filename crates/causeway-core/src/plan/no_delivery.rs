//! Explains in the trace why a destination gets no delivery.

use std::collections::BTreeMap;

use super::{Case, MAX_UNCHANGED_SYNCS, Planned, Sync};
use crate::{
    event::EventKind,
    rules::{FilterKey, Route, Takes},
};

/// The explanation, or `None` if there is nothing to explain. A platform's contact is explained for each
/// destination that does not get it; any other event only if no destination gets anything. `may_deliver` is false
/// if only a browser is known.
pub(super) fn why(case: &Case<'_>, deliveries: &[Planned], sync: Sync, may_deliver: bool) -> Option<String> {
    // After a schedule or a delay only the automation decides what is sent.
    if (sync == Sync::No && !deliveries.is_empty()) || case.event.kind == EventKind::Schedule {
        return None;
    }
    let origin = case
        .event
        .follow_up
        .as_ref()
        .and_then(|row| row.destination.as_deref());
    if !may_deliver {
        return Some("nothing to send: it names only a visitor, and no address or id".to_owned());
    }
    if case.event.kind.is_confirmation() {
        let why = "not sent: it waits to be confirmed at Proca, and no destination of kind proca takes it";
        return Some(why.to_owned());
    }
    if !case.event.deliver {
        return Some("nothing to send: it only adds details to known data".to_owned());
    }
    let mut reasons: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut is_empty = true;
    for rule in case.rules.destinations_of(case.workspace) {
        is_empty = false;
        let is_planned = deliveries.iter().any(|planned| planned.destination == rule.name);
        if is_planned || origin == Some(&*rule.name) {
            continue;
        }
        let reason = if rule.takes == Takes::Automations {
            "takes only what automations send".to_owned()
        } else if rule.takes == Takes::Confirmations {
            "takes only actions that wait for a confirmation".to_owned()
        } else if let Some(miss) = rule.filter.miss(Route::new(case.source, case.event)) {
            format!("its `{}` exclude this message", key(miss.key))
        } else if !rule.filter.takes_action(case.event.action.as_ref()) {
            "its `forms_only` excludes this message".to_owned()
        } else {
            match sync {
                Sync::Row => "it is a row of a file, and says nothing new".to_owned(),
                Sync::Flood if rule.takes == Takes::All => format!(
                    "says nothing new, and the contact came {MAX_UNCHANGED_SYNCS} times within an hour: a destination may be \
                     writing to the platform that sends it"
                ),
                Sync::Flood | Sync::Unchanged => {
                    "takes only changes, and the message says nothing new".to_owned()
                }
                Sync::No | Sync::News => "the message says nothing new".to_owned(),
            }
        };
        reasons.entry(reason).or_default().push(&rule.name);
    }
    if is_empty {
        return Some("nothing to send: the workspace has no destination".to_owned());
    }
    let reasons: Vec<String> = reasons
        .into_iter()
        .map(|(reason, names)| format!("{}: {reason}", names.join(", ")))
        .collect();
    (!reasons.is_empty()).then(|| format!("not sent to {}", reasons.join("; ")))
}

fn key(key: FilterKey) -> &'static str {
    match key {
        FilterKey::Sources => "sources",
        FilterKey::Campaigns => "campaigns",
        FilterKey::ActionTypes => "action_types",
    }
}
