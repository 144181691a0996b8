//! `causeway contact erase` and `causeway contact leaving`.

use causeway_core::{
    clock::{Clock, Timestamp},
    rules::without_sandbox,
    store::{ContactView, Store, Views},
};
use causeway_store::SqliteStore;

use super::super::{
    Failure,
    context::{say, say_json},
};
use crate::{clock::SystemClock, config::Config};

/// What is asked for besides who.
#[derive(Clone, Copy)]
pub(super) struct How {
    pub yes: bool,
    pub now: bool,
    pub all_workspaces: bool,
}

/// Somebody else may have the same address in another workspace's business: they are not erased by the way.
pub(super) fn in_one_workspace(views: &[ContactView], is_named: bool, how: How) -> Result<(), Failure> {
    let mut workspaces: Vec<&str> = views
        .iter()
        .map(|view| without_sandbox(&view.workspace))
        .collect();
    workspaces.sort_unstable();
    workspaces.dedup();
    if is_named || how.all_workspaces || workspaces.len() < 2 {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "that is known in several workspaces: {}; name one with --workspace, or erase in all with --all-workspaces",
        workspaces.join(", ")
    )))
}

pub(super) async fn erase(
    config: &Config,
    store: &SqliteStore,
    views: &[ContactView],
    how: How,
) -> Result<(), Failure> {
    if !how.yes {
        let text = format!(
            "this removes {} contact(s) for ever; add --yes to do it",
            views.len()
        );
        return Err(Failure::Usage(text));
    }
    for view in views {
        let now = SystemClock.now();
        if how.now || config.retention.erase_after_days == 0 {
            at_once(store, view, now).await?;
        } else {
            say_goodbye(config, store, view, now).await?;
        }
    }
    Ok(())
}

/// Has the destinations told first.
async fn say_goodbye(
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
    for (destination, change) in &parting.told {
        say(&format!(
            "contact {}: {destination} is being told ({})",
            view.id,
            change.as_str()
        ));
    }
    for (destination, reason) in &parting.untold {
        say(&format!(
            "contact {}: {destination} is NOT told: {reason}",
            view.id
        ));
    }
    if parting.told.is_empty() {
        return at_once(store, view, now).await;
    }
    say(&format!(
        "contact {}: nothing about them is taken in or sent any more; erased when all are told, by {at_latest} at the latest",
        view.id
    ));
    if !causeway_store::is_served(&config.store_path()) {
        say(
            "No hub is running on this store: start it, or nobody is told and nothing erased. `--now` erases without telling.",
        );
    }
    Ok(())
}

async fn at_once(store: &SqliteStore, view: &ContactView, now: Timestamp) -> Result<(), Failure> {
    let erased = store.erase(view.id, now).await?;
    say(&format!(
        "contact {} erased, with {} actions, {} lines of consent, {} deliveries and {} messages",
        view.id, erased.actions, erased.consent, erased.deliveries, erased.envelopes
    ));
    Ok(())
}

/// Who asked to be forgotten and is still being told of.
pub(super) async fn leaving(store: &SqliteStore, workspace: Option<&str>, json: bool) -> Result<(), Failure> {
    let mut all = store.erasures().await?;
    all.retain(|leaving| workspace.is_none_or(|workspace| &*leaving.workspace == workspace));
    if json {
        return say_json(&all);
    }
    if all.is_empty() {
        say("Nobody waits to be erased.");
    }
    for leaving in all {
        say(&format!(
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
