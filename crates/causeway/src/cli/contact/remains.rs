//! What an erasure does not reach, and how to deal with it: what destinations have, messages that cannot be searched, backups.

use std::sync::Arc;

use causeway_connect::config::Context as ConnectContext;
use causeway_core::{
    consent::Change,
    contact::Identity,
    id::{InboxId, Name},
    search::{PersonSearch, SHORTEST_ID},
    store::{ContactView, Unread},
};

use super::super::context::say;
use crate::{clock::SystemClock, config::Config};

/// Numbers of messages that are listed; more are counted.
const LISTED: usize = 10;

/// How a destination that has the person hears that they are erased.
pub(super) enum Asked<'a> {
    To(Change),
    /// It cannot be, for this reason.
    Not(&'a str),
}

/// A line for the destination, and one for each place where the person still stands in what it was given.
pub(super) fn destination(config: &Config, view: &ContactView, name: &Name, asked: &Asked<'_>) {
    let contact = view.id;
    match asked {
        Asked::To(Change::Remove) => {
            say(&format!(
                "contact {contact}: {name} is asked to remove the person"
            ));
        }
        Asked::To(change) => say(&format!(
            "contact {contact}: {name} cannot remove anybody. It is sent `{}`; what it was sent before stays, so \
             delete that there by hand",
            change.as_str()
        )),
        Asked::Not(reason) => say(&format!(
            "contact {contact}: {name} is NOT asked to remove the person: {reason}"
        )),
    }
    for place in places(config, view, name) {
        say(&format!("  {place}"));
    }
}

fn places(config: &Config, view: &ContactView, name: &Name) -> Vec<String> {
    let Some(destination) = config.destinations.get(name) else {
        return Vec::new();
    };
    let Some(remains) = destination.kind.remains else {
        return Vec::new();
    };
    let context = ConnectContext {
        name: Name::clone(name),
        clock: Arc::new(SystemClock),
        dir: config.dir.clone(),
        tables: config.lookups.clone(),
    };
    remains(&context, &destination.table, &search(view)).unwrap_or_else(|error| vec![error.to_string()])
}

fn search(view: &ContactView) -> PersonSearch {
    let address = view.contact.text("email").map(|address| Identity::Email {
        address: address.to_owned(),
    });
    PersonSearch::new(view.identities.iter().chain(address.as_ref()))
}

/// Destinations that have the person and are no longer in the configuration.
pub(super) fn former_destinations(config: &Config, view: &ContactView) {
    let mut names: Vec<&Name> = view
        .deliveries
        .iter()
        .filter(|delivery| delivery.state == "delivered")
        .map(|delivery| &delivery.destination)
        .filter(|name| !config.destinations.contains_key(*name))
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        say(&format!(
            "contact {}: {name} was sent the person and is no longer in the configuration: delete the person there by \
             hand",
            view.id
        ));
    }
}

/// What looking into messages that nobody could read gave.
pub(super) fn unread(unread: &Unread) {
    if unread.searched == 0 {
        return;
    }
    say(&format!(
        "Searched {} messages that became no event (dead, skipped, duplicates): {} name the person.",
        unread.searched,
        unread.named.len()
    ));
    if !unread.sealed.is_empty() {
        say(&format!(
            "{} are encrypted and could not be searched ({}): add the key, then `causeway replay --code key_missing`; what \
             names the person is turned away then. Or discard them: `causeway replay NUMBER --discard REASON`.",
            unread.sealed.len(),
            listed(&unread.sealed)
        ));
    }
    if !unread.binary.is_empty() {
        say(&format!(
            "{} are compressed or not text and could not be searched ({}): `causeway trace NUMBER --body` shows one, \
             `causeway replay NUMBER --discard REASON` discards it.",
            unread.binary.len(),
            listed(&unread.binary)
        ));
    }
    say(&format!(
        "A message that names the person only by a name, a telephone number or an id of fewer than {SHORTEST_ID} characters \
         is not found."
    ));
}

fn listed(messages: &[InboxId]) -> String {
    let mut numbers: Vec<String> = messages.iter().take(LISTED).map(ToString::to_string).collect();
    let rest = messages.len().saturating_sub(LISTED);
    if rest > 0 {
        numbers.push(format!("{rest} more"));
    }
    numbers.join(", ")
}

pub(super) fn backups() {
    say("Backups that were made before hold the person: erase again after a restore.");
}
