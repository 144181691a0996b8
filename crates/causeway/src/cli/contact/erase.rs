//! `causeway contact erase` and `causeway contact leaving`.

use causeway_core::{
    clock::{Clock, Timestamp},
    rules::without_sandbox,
    store::{ContactView, Store, Views},
};
use causeway_store::SqliteStore;

use super::{
    super::{
        Failure,
        context::{print_json, print_line},
    },
    remains::{self, RemovalRequest},
};
use crate::{clock::SystemClock, config::Config};

/// How the person is to be erased.
#[derive(Clone, Copy)]
pub(super) struct How {
    pub yes: bool,
    pub now: bool,
}

/// Refuses contacts of several workspaces: in another workspace the address may belong to another person.
pub(super) fn in_one_workspace(views: &[ContactView]) -> Result<(), Vec<&str>> {
    let mut workspaces: Vec<&str> = views
        .iter()
        .map(|view| without_sandbox(&view.workspace))
        .collect();
    workspaces.sort_unstable();
    workspaces.dedup();
    if workspaces.len() < 2 {
        Ok(())
    } else {
        Err(workspaces)
    }
}

pub(super) async fn erase(
    config: &Config,
    store: &SqliteStore,
    views: &[ContactView],
    how: How,
) -> Result<(), Failure> {
    if !how.yes {
        let text = format!(
            "this erases {} contact(s) for ever: add --yes to do it",
            views.len()
        );
        return Err(Failure::Usage(text));
    }
    for view in views {
        let now = SystemClock.now();
        if how.now || config.retention.erase_after_days == 0 {
            at_once(config, store, view, now).await?;
        } else {
            begin(config, store, view, now).await?;
        }
        remains::former_destinations(config, view);
    }
    remains::backups();
    Ok(())
}

/// Plans the removals at the destinations; the contact is erased when they are delivered.
async fn begin(
    config: &Config,
    store: &SqliteStore,
    view: &ContactView,
    now: Timestamp,
) -> Result<(), Failure> {
    let days = config.retention.erase_after_days;
    let at_latest = now
        .saturating_add(jiff::SignedDuration::from_hours(24 * i64::from(days)))
        .unwrap_or(Timestamp::MAX);
    let parting = store.begin_erasure(view.id, at_latest, now).await?;
    for (destination, change) in &parting.asked {
        remains::destination(config, view, destination, &RemovalRequest::Sent(*change));
    }
    for (destination, reason) in &parting.not_asked {
        remains::destination(config, view, destination, &RemovalRequest::NotSent(reason));
    }
    if parting.asked.is_empty() {
        return at_once(config, store, view, now).await;
    }
    remains::unread(&parting.unread);
    print_line(&format!(
        "contact {}: nothing else about the person is sent. They are erased when these deliveries have ended, by {at_latest} \
         at the latest (`causeway contact leaving`)",
        view.id
    ));
    if !causeway_store::is_served(&config.store_path()) {
        print_line(
            "No hub is running on this store: start it, or no destination is asked and nothing is erased. `--now` erases without asking.",
        );
    }
    Ok(())
}

async fn at_once(
    config: &Config,
    store: &SqliteStore,
    view: &ContactView,
    now: Timestamp,
) -> Result<(), Failure> {
    let erased = store.erase(view.id, now).await?;
    print_line(&format!(
        "contact {} erased, with {} actions, {} facts about consent, {} deliveries and {} messages",
        view.id, erased.actions, erased.consent, erased.deliveries, erased.envelopes
    ));
    for destination in &erased.unsent {
        print_line(&format!(
            "contact {}: {destination} was never sent the person's opt-out or removal, and now it cannot be sent any more: \
             unsubscribe or delete the person there by hand",
            view.id
        ));
    }
    for destination in &erased.given {
        let reason =
            "the erasure did not wait for it. It keeps what it was sent, so delete that there by hand";
        remains::destination(config, view, destination, &RemovalRequest::NotSent(reason));
    }
    remains::unread(&erased.unread);
    Ok(())
}

/// Contacts whose erasure is pending at a destination.
pub(super) async fn leaving(store: &SqliteStore, workspace: Option<&str>, json: bool) -> Result<(), Failure> {
    let mut all = store.erasures().await?;
    all.retain(|leaving| workspace.is_none_or(|workspace| &*leaving.workspace == workspace));
    if json {
        return print_json(&all);
    }
    if all.is_empty() {
        print_line("No erasure is pending.");
    }
    for leaving in all {
        print_line(&format!(
            "contact {} (workspace {}): asked {}, {} deliveries open, erased by {} at the latest; causeway trace {}",
            leaving.contact,
            leaving.workspace,
            leaving.asked_at,
            leaving.open,
            leaving.at_latest,
            leaving.record
        ));
    }
    Ok(())
}
