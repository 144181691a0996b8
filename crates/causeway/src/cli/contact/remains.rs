//! Prints which data an erasure does not reach, and how to delete it: at destinations, in unreadable messages, in backups.

use std::sync::Arc;

use causeway_connect::config::Context as ConnectContext;
use causeway_core::{
    consent::Change,
    contact::Identity,
    id::{InboxId, Name},
    search::{PersonSearch, SHORTEST_ID},
    store::{ContactView, StoreError, Unread, Views},
};

use super::super::context::print_line;
use crate::{clock::SystemClock, config::Config};

/// Maximum number of messages listed by number; the others are only counted.
const LISTED: usize = 10;

/// Whether a destination that has the person is asked to remove them.
pub(super) enum RemovalRequest<'a> {
    Sent(Change),
    /// The destination is not asked, for this reason.
    NotSent(&'a str),
}

/// Prints a line for the destination, and one for each place where it keeps the person's data.
pub(super) fn destination(
    config: &Config,
    (view, users): (&ContactView, Users),
    name: &Name,
    request: &RemovalRequest<'_>,
) {
    let contact = view.id;
    match request {
        RemovalRequest::Sent(Change::Remove) => {
            print_line(&format!(
                "contact {contact}: {name} is asked to remove the person"
            ));
        }
        RemovalRequest::Sent(change) => print_line(&format!(
            "contact {contact}: {name} cannot remove a person. It is sent `{}`. It keeps what it was sent before, so \
             delete that there by hand",
            change.as_str()
        )),
        RemovalRequest::NotSent(reason) => print_line(&format!(
            "contact {contact}: {name} is NOT asked to remove the person: {reason}"
        )),
    }
    let places = places(config, view, name);
    for place in &places {
        print_line(&format!("  {place}"));
    }
    if users == Users::Several && !places.is_empty() {
        print_line(
            "  Other people use an address of this person, so some of these lines may be theirs: delete only those of \
             this person",
        );
    }
    let keeps_lines = config
        .destinations
        .get(name)
        .is_some_and(|destination| destination.kind.remains.is_some());
    if keeps_lines && matches!(request, RemovalRequest::Sent(_)) {
        print_line(
            "  One more line follows for each address, which says this and names the person: delete it, too",
        );
    }
}

/// Whether other people use an address of the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Users {
    One,
    Several,
}

pub(super) async fn users(views: &dyn Views, view: &ContactView) -> Result<Users, StoreError> {
    let mut addresses: Vec<&str> = view.given.iter().map(|given| given.address.as_str()).collect();
    let in_use = view.contact.address();
    addresses.extend(in_use.as_deref());
    addresses.retain(|address| !address.is_empty());
    for address in addresses {
        let found = views.find_named(address).await?;
        if found
            .iter()
            .any(|named| named.workspace == view.workspace && named.contact != view.id)
        {
            return Ok(Users::Several);
        }
    }
    Ok(Users::One)
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
        vault: causeway_connect::vault::NoVault::shared(),
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
        .filter(|name| !config.destinations.contains_key(*name) && !is_former_name(config, name))
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        print_line(&format!(
            "contact {}: {name} was sent the person and is no longer in the configuration: delete the person there by \
             hand",
            view.id
        ));
    }
}

/// Whether a destination of the configuration had this name before: it has the person, and was asked.
fn is_former_name(config: &Config, name: &Name) -> bool {
    let mut all = config.destinations.values();
    all.any(|destination| destination.rule.renamed_from.as_ref() == Some(name))
}

/// Prints the result of searching messages that could not be decoded.
pub(super) fn unread(unread: &Unread) {
    if unread.searched == 0 {
        return;
    }
    print_line(&format!(
        "Searched {} messages that became no event (dead, skipped, duplicates): {} name the person.",
        unread.searched,
        unread.named.len()
    ));
    if !unread.sealed.is_empty() {
        print_line(&format!(
            "{} are encrypted and could not be searched ({}): add the key, then `causeway replay --code key_missing`; messages that \
             name the person are turned away then. Or discard them: `causeway replay NUMBER --discard REASON`.",
            unread.sealed.len(),
            listed(&unread.sealed)
        ));
    }
    if !unread.binary.is_empty() {
        print_line(&format!(
            "{} are compressed or not text and could not be searched ({}): `causeway trace NUMBER --body` shows one, \
             `causeway replay NUMBER --discard REASON` discards it.",
            unread.binary.len(),
            listed(&unread.binary)
        ));
    }
    print_line(&format!(
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
    print_line("Earlier backups still contain the person: erase again after a restore.");
}
