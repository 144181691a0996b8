//! Which pages are ours. A double opt-in on a page of unknown owner counts from the moment that we learn it
//! is our own; deliveries that it was lacking for then still follow.

use std::{collections::BTreeMap, sync::Arc};

use causeway_core::{clock::Timestamp, consent::page_key, event::Page, id::Name, rules::Rules};
use rusqlite::{Connection, params};

use super::{
    facts::{self, Said},
    fault::Fault,
    names::NameKind,
    outbox,
    rows::from_json,
    state::own_pages,
    writer::Tx,
};

/// Takes in what an event says of a page. Tells its row, and its key when it is known as ours only since now.
pub(crate) fn learn(
    tx: &mut Tx<'_>,
    workspace: i64,
    namespace: i64,
    namespace_name: &str,
    page: &Page,
    at: Timestamp,
) -> Result<(i64, Option<String>), Fault> {
    let place = (workspace, namespace);
    let said = Said::Page(page);
    let (id, thing) = tx.state.facts.learn(tx.connection, place, said, at)?;
    let Some(thing) = thing else {
        return Ok((id, None));
    };
    let org = facts::organisation(&thing.doc);
    let workspace_name = tx.state.names.name(workspace)?;
    let is_own = org.is_some_and(|org| {
        tx.state
            .rules
            .is_own(&workspace_name, namespace_name, &org.external_id)
    });
    let known = page_key(namespace_name, &page.external_id);
    let pages = tx.state.own_pages.entry(workspace).or_default();
    if pages.contains(&known) == is_own {
        return Ok((id, None));
    }
    let pages = Arc::make_mut(pages);
    if is_own {
        pages.insert(known.clone());
    } else {
        pages.remove(&known);
    }
    tx.connection
        .prepare_cached("UPDATE page SET own = ?2 WHERE id = ?1")?
        .execute(params![id, is_own])?;
    Ok((id, is_own.then_some(known)))
}

/// Asks again about every delivery that waits for this page to be ours.
pub(crate) fn reconsider_page(tx: &mut Tx<'_>, workspace: i64, page: &str) -> Result<(), Fault> {
    let inbox_rows: Vec<i64> = tx
        .connection
        .prepare_cached(
            "SELECT DISTINCT consent.inbox_id FROM consent JOIN contact ON contact.id = consent.contact_id
             WHERE consent.page = ?1 AND consent.page <> '' AND contact.workspace_id = ?2
             ORDER BY consent.inbox_id",
        )?
        .query_map(params![page, workspace], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for inbox in inbox_rows {
        outbox::reconsider(tx, workspace, inbox)?;
    }
    Ok(())
}

/// New rules may name other organisations as ours.
fn judge_all(tx: &mut Tx<'_>) -> Result<Vec<(i64, String)>, Fault> {
    type Found = (i64, i64, Name, String, String, bool);
    let pages: Vec<Found> = tx
        .connection
        .prepare_cached(
            "SELECT page.id, page.workspace_id, name.name, page.external_id, page.doc, page.own
             FROM page JOIN name ON name.id = page.namespace_id",
        )?
        .query_map([], |row| {
            let namespace: String = row.get(2)?;
            Ok((
                row.get(0)?,
                row.get(1)?,
                namespace.into(),
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
            ))
        })?
        .collect::<Result<_, _>>()?;
    let mut learned = Vec::new();
    for (id, workspace, namespace, external_id, doc, was_own) in pages {
        let doc = causeway_core::contact::Contact {
            // Of one that cannot be read nobody is the owner: that takes no consent for granted.
            fields: from_json(&doc).unwrap_or_else(|_| {
                tracing::error!(page.id = id, "a page cannot be read; it counts as nobody's");
                BTreeMap::new()
            }),
            ..Default::default()
        };
        let workspace_name = tx.state.names.name(workspace)?;
        let is_own = facts::organisation(&doc).is_some_and(|org| {
            tx.state
                .rules
                .is_own(&workspace_name, &namespace, &org.external_id)
        });
        if is_own != was_own {
            tx.connection
                .prepare_cached("UPDATE page SET own = ?2 WHERE id = ?1")?
                .execute(params![id, is_own])?;
            if is_own {
                learned.push((workspace, page_key(&namespace, &external_id)));
            }
        }
    }
    tx.state.own_pages = own_pages(tx.connection)?;
    Ok(learned)
}

/// The rules as they hold in this database: it names the hub, unless the rules do.
pub(crate) fn with_hub(connection: &Connection, mut rules: Arc<Rules>) -> Result<Arc<Rules>, Fault> {
    if !rules.hub.is_empty() {
        return Ok(rules);
    }
    let hub: String = connection
        .prepare_cached("SELECT value FROM meta WHERE key = 'hub_id'")?
        .query_row([], |row| row.get(0))?;
    Arc::make_mut(&mut rules).hub = hub.into();
    Ok(rules)
}

/// Follows new rules: interns their names and looks at every page again.
pub(crate) fn set_rules(tx: &mut Tx<'_>, rules: Arc<Rules>) -> Result<(), Fault> {
    for rule in rules.sources.values() {
        tx.state.names.id(tx.connection, NameKind::Source, &rule.name)?;
        tx.state
            .names
            .id(tx.connection, NameKind::Workspace, &rule.workspace)?;
    }
    for rule in rules.destinations.values() {
        tx.state
            .names
            .id(tx.connection, NameKind::Destination, &rule.name)?;
    }
    for workspace in rules.workspaces.keys() {
        tx.state.names.id(tx.connection, NameKind::Workspace, workspace)?;
    }
    tx.state.rules = with_hub(tx.connection, rules)?;
    for (workspace, page) in judge_all(tx)? {
        reconsider_page(tx, workspace, &page)?;
    }
    Ok(())
}
