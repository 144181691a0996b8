//! `causeway contact consent`: the ledger of a person, and what each line of it did.

use std::collections::{BTreeMap, btree_map::Entry};

use causeway_core::{
    consent::Standing,
    id::{ContactId, InboxId, Name},
    store::{ContactView, DeliveryRow, Views},
};
use causeway_store::SqliteStore;
use serde::Serialize;

use super::super::{
    Failure,
    context::{say, say_json},
};

/// Everything said about one person's consent.
#[derive(Debug, Serialize)]
struct Account {
    contact: ContactId,
    workspace: Name,
    standing: BTreeMap<String, Standing>,
    /// By the time when it was said, not when we heard of it.
    ledger: Vec<Line>,
}

/// A line of the ledger.
#[derive(Debug, Serialize)]
struct Line {
    at: String,
    purpose: String,
    what: &'static str,
    basis: String,
    /// Which message told us, from which source and when it came; `None` when it was pruned.
    record: InboxId,
    source: Option<Name>,
    received_at: Option<String>,
    /// What the whole message changed, in words.
    decision: Option<String>,
    deliveries: Vec<Effect>,
}

/// What became of it at a destination.
#[derive(Debug, Serialize)]
struct Effect {
    destination: Name,
    kind: String,
    state: String,
    reason: Option<String>,
}

pub(super) async fn consent(store: &SqliteStore, views: &[ContactView], json: bool) -> Result<(), Failure> {
    let mut accounts = Vec::new();
    for view in views {
        accounts.push(account(store, view).await?);
    }
    if json {
        return say_json(&accounts);
    }
    accounts.iter().for_each(show);
    Ok(())
}

async fn account(store: &SqliteStore, view: &ContactView) -> Result<Account, Failure> {
    let mut traces = BTreeMap::new();
    for row in &view.ledger {
        if let Entry::Vacant(place) = traces.entry(row.inbox_id) {
            place.insert(store.trace(row.inbox_id).await?);
        }
    }
    let ledger = view.ledger.iter().map(|row| {
        let trace = traces.get(&row.inbox_id).and_then(Option::as_ref);
        let deliveries = trace.into_iter().flat_map(|trace| &trace.deliveries);
        Line {
            at: row.fact.at.to_string(),
            purpose: row.fact.purpose.clone(),
            what: row.fact.what.as_str(),
            basis: row.fact.basis.clone(),
            record: row.inbox_id,
            source: trace.map(|trace| Name::clone(&trace.inbox.source)),
            received_at: trace.map(|trace| trace.inbox.received_at.to_string()),
            decision: trace.and_then(|trace| trace.decision.clone()),
            deliveries: deliveries.map(|one| effect(&one.delivery)).collect(),
        }
    });
    Ok(Account {
        contact: view.id,
        workspace: Name::clone(&view.workspace),
        standing: view.standing.clone(),
        ledger: ledger.collect(),
    })
}

fn effect(delivery: &DeliveryRow) -> Effect {
    Effect {
        destination: Name::clone(&delivery.destination),
        kind: delivery.kind.clone(),
        state: delivery.state.clone(),
        reason: delivery.reason.clone(),
    }
}

fn show(account: &Account) {
    say(&format!(
        "contact {} (workspace {})",
        account.contact, account.workspace
    ));
    if account.standing.is_empty() {
        say("  nothing was ever said about consent");
    }
    for (purpose, standing) in &account.standing {
        say(&super::standing_line(purpose, *standing));
    }
    for entry in &account.ledger {
        say(&format!("  {}  {}: {}", entry.at, entry.purpose, entry.what));
        say(&format!("      {}", entry.basis));
        match (&entry.source, &entry.received_at) {
            (Some(source), Some(received_at)) => say(&format!(
                "      record {} from {source}, received {received_at}",
                entry.record
            )),
            _ => say(&format!("      record {} (pruned)", entry.record)),
        }
        if let Some(decision) = &entry.decision {
            say(&format!("      {decision}"));
        }
        for effect in &entry.deliveries {
            let reason = effect
                .reason
                .as_deref()
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default();
            say(&format!(
                "      → {}: {} ({}){reason}",
                effect.destination, effect.state, effect.kind
            ));
        }
    }
}
