//! Counts opt-ins of a file for contacts that opted out: the file may be older than the opt-out.

use causeway_core::{
    consent::{ConsentFact, ConsentState},
    contact::Identity,
    event::Event,
    id::Name,
    store::Views,
};
use causeway_store::SqliteStore;

use crate::cli::Failure;

/// The number of the event's opt-ins that would end an opt-out of the contact.
pub(super) async fn ended_opt_outs(
    store: &SqliteStore,
    workspace: &Name,
    event: &Event,
) -> Result<usize, Failure> {
    let opt_ins: Vec<&ConsentFact> = event
        .consent
        .iter()
        .filter(|fact| fact.what.is_opt_in())
        .collect();
    if opt_ins.is_empty() {
        return Ok(0);
    }
    let mut contacts = std::collections::BTreeSet::new();
    for identity in &event.identities {
        let words = match identity {
            Identity::Email { address } => address.clone(),
            other => format!("{}:{}:{}", other.kind(), other.namespace(), other.value()),
        };
        contacts.extend(store.find_contacts(&words).await?);
    }
    let mut ended = 0;
    for id in contacts {
        let view = store.contact(id).await?;
        let Some(view) = view.filter(|view| view.workspace == *workspace) else {
            continue;
        };
        let opted_out_before = |fact: &&&ConsentFact| {
            let standing = view.consent_state.get(&fact.purpose);
            matches!(standing, Some(ConsentState::Unsubscribed { since }) if *since < fact.at)
        };
        ended += opt_ins.iter().filter(opted_out_before).count();
    }
    Ok(ended)
}
