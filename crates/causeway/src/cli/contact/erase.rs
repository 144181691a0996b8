//! `causeway contact erase` and `causeway contact leaving`.

use causeway_core::{
    clock::{Clock, Timestamp},
    rules::without_sandbox,
    store::{ContactView, OpenRemoval, Store, Views},
};
use causeway_store::SqliteStore;

use super::{
    super::{
        Failure,
        context::{counted, print_json, print_line},
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
    let users = remains::users(store, view).await?;
    let parting = store.begin_erasure(view.id, at_latest, now).await?;
    for (destination, change) in &parting.asked {
        remains::destination(config, (view, users), destination, &RemovalRequest::Sent(*change));
    }
    for (destination, reason) in &parting.not_asked {
        remains::destination(
            config,
            (view, users),
            destination,
            &RemovalRequest::NotSent(reason),
        );
    }
    if parting.asked.is_empty() && parting.not_asked.is_empty() {
        return at_once(config, store, view, now).await;
    }
    remains::unread(&parting.unread);
    print_line(&format!(
        "contact {}: nothing else about the person is sent. They are erased when these deliveries have ended, by {at_latest} \
         at the latest (`causeway contact leaving`)",
        view.id
    ));
    if !parting.not_asked.is_empty() {
        let names: Vec<&str> = parting.not_asked.iter().map(|(name, _)| &**name).collect();
        print_line(&format!(
            "The erasure also waits until you have deleted the person by hand at {} and discarded that delivery: \
             `causeway contact leaving` shows its number",
            names.join(", ")
        ));
    }
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
    let users = remains::users(store, view).await?;
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
        remains::destination(
            config,
            (view, users),
            destination,
            &RemovalRequest::NotSent(reason),
        );
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
            "contact {} (workspace {}): asked {}, {} open, erased by {} at the latest; causeway trace {}",
            leaving.contact,
            leaving.workspace,
            leaving.asked_at,
            counted(leaving.open, "delivery", "deliveries"),
            leaving.at_latest,
            leaving.record
        ));
        for removal in &leaving.removals {
            print_line(&format!("  {}", removal_in_words(removal)));
        }
    }
    Ok(())
}

/// What a removal waits for, and what a person can do about it.
fn removal_in_words(removal: &OpenRemoval) -> String {
    let OpenRemoval {
        delivery,
        destination,
        state,
    } = removal;
    let by_hand = format!(
        "delete the person there by hand, then `causeway delivery discard {delivery} --why 'done by hand'`"
    );
    match state.as_str() {
        "skipped" => {
            format!("{destination} cannot receive the removal (delivery {delivery}): {by_hand}")
        }
        "dead" => format!(
            "{destination} did not accept the removal (delivery {delivery}): fix the cause and run \
             `causeway delivery retry {delivery}`, or {by_hand}"
        ),
        _ => format!("{destination} is sent the removal (delivery {delivery}, {state})"),
    }
}
