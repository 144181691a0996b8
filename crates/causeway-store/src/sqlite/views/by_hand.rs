//! Withdrawals that their destinations cannot receive, so that a person has to update them by hand.

use std::{collections::BTreeMap, sync::Arc};

use causeway_core::{id::Name, rules::Rules};
use rusqlite::Connection;

use crate::sqlite::{
    base::{
        error::Error,
        ids::WorkspaceRowId,
        rows::{name, text},
        state,
    },
    people::contact,
};

/// How many there are at each destination. Those that no longer apply, because the person gave their consent again,
/// are left out. Only contacts with an opt-in after an opt-out are read, and those that share a mailbox.
pub(crate) fn by_hand(connection: &Connection, rules: &Rules) -> Result<BTreeMap<Name, u64>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT name.name, delivery.contact_id, delivery.address, contact.workspace_id
         FROM delivery INDEXED BY delivery_by_hand
         JOIN name ON name.id = delivery.destination_id
         LEFT JOIN contact ON contact.id = delivery.contact_id
              AND contact.id NOT IN (SELECT contact_id FROM erasure)
              AND (EXISTS (SELECT 1 FROM shared_address WHERE shared_address.contact_id = contact.id)
                   OR EXISTS (SELECT 1 FROM consent AS ended JOIN consent AS given USING (contact_id, purpose)
                              WHERE ended.contact_id = contact.id AND given.at > ended.at
                                AND given.what LIKE '%opt_in%'
                                AND ended.what IN ('unsubscribed', 'complained', 'bounced', 'blocked', 'inactive')))
         WHERE delivery.kind = 'withdrawal' AND delivery.state = 'skipped' AND delivery.gated = 1",
    )?;
    let all_terms = state::terms(connection)?;
    let mut rows = statement.query([])?;
    let mut all = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let destination = name(row, 0)?;
        if let (Some(workspace), Some(rule)) = (
            row.get::<_, Option<WorkspaceRowId>>(3)?,
            rules.destinations.get(&destination),
        ) && let Some(contact) = contact::read(connection, row.get(1)?)?
        {
            let terms = all_terms
                .get(&workspace)
                .or_else(|| all_terms.get(&state::ANY_WORKSPACE))
                .map(Arc::clone)
                .unwrap_or_default();
            let in_use = contact.address();
            let address = Some(text(row, 2)?).filter(|address| !address.is_empty());
            let consent = contact.consent_state_at(&rule.purpose, address.or(in_use.as_deref()), &terms);
            if !rule.withdraws(consent, contact.gave_data) {
                continue;
            }
        }
        *all.entry(destination).or_default() += 1;
    }
    Ok(all)
}
