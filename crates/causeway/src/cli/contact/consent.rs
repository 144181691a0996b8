//! `causeway contact consent`: prints whether each destination may be sent the person, and the ledger of consent.

use std::collections::{BTreeMap, btree_map::Entry};

use causeway_core::{
    clock::Timestamp,
    consent::{ConsentState, id_in_place},
    contact::normal_email,
    explain::{self, Evidence, Permission, Reader, Scope, day_and_time},
    id::{ContactId, Name},
    rules::Rules,
    store::{ContactView, DeliveryRow, Views},
};
use causeway_store::SqliteStore;
use serde::Serialize;

use super::super::{
    Failure,
    context::{print_json, print_line},
};

/// Everything about one person's consent.
#[derive(Debug, Serialize)]
struct Account {
    contact: ContactId,
    workspace: Name,
    destinations: Vec<Permission>,
    #[serde(rename = "consent_state")]
    standing: BTreeMap<String, ConsentState>,
    /// By the date of the fact, not by the time at which its message arrived.
    ledger: Vec<Line>,
}

/// A line of the ledger.
#[derive(Debug, Serialize)]
struct Line {
    #[serde(flatten)]
    evidence: Evidence,
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
    finished_at: Option<Timestamp>,
    reason: Option<String>,
}

pub(super) async fn consent(
    store: &SqliteStore,
    rules: &Rules,
    views: &[ContactView],
    who: &str,
    json: bool,
) -> Result<(), Failure> {
    let asked = normal_email(who);
    let reader = Reader {
        asked: asked.as_deref(),
        show: str::to_owned,
    };
    let mut accounts = Vec::new();
    for view in views {
        accounts.push(account(store, rules, view, reader).await?);
    }
    if json {
        return print_json(&accounts);
    }
    accounts.iter().for_each(show);
    Ok(())
}

async fn account(
    store: &SqliteStore,
    rules: &Rules,
    view: &ContactView,
    reader: Reader<'_>,
) -> Result<Account, Failure> {
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
            evidence: Evidence::new(view, row),
            decision: trace.and_then(|trace| trace.decision.clone()),
            deliveries: deliveries.map(|one| effect(&one.delivery)).collect(),
        }
    });
    Ok(Account {
        contact: view.id,
        workspace: Name::clone(&view.workspace),
        destinations: explain::of_all(view, rules, Scope::Contact, reader),
        standing: view.consent_state.clone(),
        ledger: ledger.collect(),
    })
}

fn effect(delivery: &DeliveryRow) -> Effect {
    Effect {
        destination: Name::clone(&delivery.destination),
        kind: delivery.kind.clone(),
        state: delivery.state.clone(),
        finished_at: delivery.finished_at,
        reason: delivery.reason.clone(),
    }
}

fn show(account: &Account) {
    print_line(&format!(
        "contact {} (workspace {})",
        account.contact, account.workspace
    ));
    for permission in &account.destinations {
        print_line(&format!("  {}", permission.sentence));
    }
    if account.destinations.is_empty() {
        print_line("  the configuration has no destination in this workspace");
    }
    print_line("");
    if account.standing.is_empty() {
        print_line("  there is no fact about consent");
    }
    for (purpose, standing) in &account.standing {
        print_line(&super::standing_line(purpose, *standing));
    }
    for line in &account.ledger {
        show_line(line);
    }
}

fn show_line(line: &Line) {
    let evidence = &line.evidence;
    print_line(&format!(
        "  on {}: {}",
        day_and_time(evidence.at),
        explain::fact(&evidence.what, &evidence.purpose)
    ));
    let address = match evidence.address.as_deref() {
        None => "not named".to_owned(),
        Some(place) => {
            id_in_place(place).map_or_else(|| place.to_owned(), |id| format!("not named (id {id})"))
        }
    };
    print_line(&format!("      purpose {}, address {address}", evidence.purpose));
    match (&evidence.source, evidence.received_at) {
        (Some(source), Some(received_at)) => print_line(&format!(
            "      message {} from source {source}, received on {}",
            evidence.message,
            day_and_time(received_at)
        )),
        _ => print_line(&format!("      message {} (pruned)", evidence.message)),
    }
    if let Some(about) = explain::about(evidence) {
        print_line(&format!("      {about}"));
    }
    print_line(&format!("      basis {}", evidence.basis));
    if let Some(why) = &evidence.no_effect {
        print_line(&format!("      does not count: {why}"));
    }
    for effect in &line.deliveries {
        let reason = effect
            .reason
            .as_deref()
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        let when = effect
            .finished_at
            .map(|at| format!(" on {}", day_and_time(at)))
            .unwrap_or_default();
        print_line(&format!(
            "      → {}: {} ({}){when}{reason}",
            effect.destination, effect.state, effect.kind
        ));
    }
}
