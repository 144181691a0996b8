//! Which pages are own pages. A double opt-in on a page of unknown owner counts as soon as the page is known
//! to be an own page; deliveries that lacked it are then still sent. When a page turns out to belong to
//! another organisation, its double opt-ins no longer count, and the destinations that were given those
//! people are sent withdrawals.
//!
//! Invariant: destinations end with the same consent state, whether the click or the owner of the page was
//! known first, and however often the owner or the rules change.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use causeway_core::{
    clock::Timestamp,
    consent::{OwnPages, Terms, page_key},
    delivery::Kind,
    envelope::digest,
    event::Page,
    id::{ContactId, Name},
    plan::Planned,
    rules::Rules,
};
use rusqlite::{Connection, params};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{
            ContactRowId, DeliveryRowId, DestinationRowId, InboxRowId, NamespaceRowId, PageRowId,
            WorkspaceRowId,
        },
        rows::{at, from_json, ms},
        state::{self, ANY_WORKSPACE, State},
        tx::Tx,
    },
    inbox::facts,
    outbox::{
        delivery, destinations,
        replan::{self, Change},
    },
    people::{
        contact,
        erasure::{self, OwnRow},
        identity,
    },
};

/// A page that becomes an own page, or ceases to be one.
pub(crate) struct OwnershipChange {
    key: String,
    is_own: bool,
    /// How consent was evaluated before.
    before: Arc<Terms>,
}

/// Stores what an event says about a page. Returns the page's row, and the change if it becomes or ceases to
/// be an own page.
pub(crate) fn learn(
    tx: &mut Tx<'_>,
    workspace: WorkspaceRowId,
    namespace: NamespaceRowId,
    namespace_name: &str,
    page: &Page,
    stated_at: Timestamp,
) -> Result<(PageRowId, Option<OwnershipChange>), Error> {
    let facts = &mut tx.state.facts;
    let (id, entity) = facts.learn_page(tx.connection, workspace, namespace, page, stated_at)?;
    let Some(entity) = entity else {
        return Ok((id, None));
    };
    let org = facts::organisation(&entity.doc);
    let workspace_name = tx.state.names.name(workspace)?;
    let is_own = org.is_some_and(|org| {
        tx.state
            .rules
            .is_own(&workspace_name, namespace_name, &org.external_id)
    });
    let known = page_key(namespace_name, &page.external_id);
    let before = tx.state.terms_of(workspace);
    if before.own_pages.contains(&known) == is_own {
        return Ok((id, None));
    }
    let any = tx.state.terms_of(ANY_WORKSPACE);
    let pages = &mut Arc::make_mut(tx.state.terms.entry(workspace).or_insert(any)).own_pages;
    if is_own {
        pages.insert(known.clone());
    } else {
        pages.remove(&known);
    }
    tx.connection
        .prepare_cached("UPDATE page SET own = ?2 WHERE id = ?1")?
        .execute(params![id, is_own])?;
    let turned = OwnershipChange {
        key: known,
        is_own,
        before,
    };
    Ok((id, Some(turned)))
}

/// The event kind of rows that say that a click counts, or no longer counts.
const KIND: &str = "page";
const OURS: &str = "a page turned out to be an own page: the click on it counts";
const NOT_OURS: &str =
    "a page turned out to be another organisation's: the click on it does not count any more";
const GRACE: &str = "`click_grace_s` changed: clicks soon after an opt-out are judged again";

/// Plans the deliveries that follow for everybody who clicked on the page, and for the other users of their
/// mailboxes. Returns these contacts.
pub(crate) fn reconsider(
    tx: &mut Tx<'_>,
    workspace: WorkspaceRowId,
    page: &OwnershipChange,
    now: Timestamp,
) -> Result<Vec<ContactId>, Error> {
    let clicks: Vec<(ContactRowId, InboxRowId)> = tx
        .connection
        .prepare_cached(
            "SELECT consent.contact_id, consent.inbox_id FROM consent JOIN contact ON contact.id = consent.contact_id
             WHERE consent.page = ?1 AND consent.page <> '' AND contact.workspace_id = ?2
             ORDER BY consent.inbox_id",
        )?
        .query_map(params![page.key, workspace], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let rows: BTreeSet<InboxRowId> = clicks.iter().map(|(_, inbox)| *inbox).collect();
    let mut newest = BTreeMap::new();
    for (contact, inbox) in clicks {
        for user in identity::with_sharers(tx, &[contact])? {
            newest.insert(user, inbox);
        }
    }
    if page.is_own {
        for contact in newest.keys() {
            delivery::reopen_held_back(tx, workspace, *contact)?;
        }
        for inbox in rows {
            delivery::reconsider(tx, workspace, inbox)?;
        }
    }
    let decision = if page.is_own { OURS } else { NOT_OURS };
    follow(tx, workspace, &newest, &page.before, page.is_own, decision, now)?;
    Ok(newest.into_keys().map(ContactId::from).collect())
}

/// Plans the deliveries that follow when the clicks of these contacts are evaluated differently. Each contact
/// comes with the row of its newest click.
fn follow(
    tx: &mut Tx<'_>,
    workspace: WorkspaceRowId,
    newest: &BTreeMap<ContactRowId, InboxRowId>,
    before: &Terms,
    may_count: bool,
    decision: &'static str,
    now: Timestamp,
) -> Result<(), Error> {
    let terms = tx.state.terms_of(workspace);
    for (id, inbox) in newest {
        let Some(contact) = contact::read(tx.connection, *id)? else {
            continue;
        };
        let change = Change {
            contact: *id,
            before: (&contact, before),
            after: (&contact, &terms),
        };
        let mut planned = replan::follows(tx, workspace, &change)?;
        if may_count {
            drop_covered_deliveries(tx, *id, &mut planned, now)?;
        }
        let place = Place {
            workspace,
            contact: *id,
            click: *inbox,
            decision,
        };
        place.insert(tx, &planned, now)?;
    }
    Ok(())
}

/// By workspace: the old terms for clicks, and contact → row of its newest click. The contacts clicked, and
/// opted out or complained, or share a mailbox with such a contact.
type Clickers = BTreeMap<WorkspaceRowId, (Arc<Terms>, BTreeMap<ContactRowId, InboxRowId>)>;

fn clickers(tx: &Tx<'_>) -> Result<Clickers, Error> {
    let clicks: Vec<(WorkspaceRowId, ContactRowId, InboxRowId)> = tx
        .connection
        .prepare_cached(
            "SELECT contact.workspace_id, contact.id, max(consent.inbox_id)
             FROM consent JOIN contact ON contact.id = consent.contact_id
             WHERE consent.what IN ('double_opt_in', 'double_opt_in_on_page')
               AND EXISTS (SELECT 1 FROM consent AS no WHERE no.contact_id = contact.id
                           AND no.what IN ('unsubscribed', 'complained'))
             GROUP BY contact.id",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let mut all = Clickers::new();
    for (workspace, contact, inbox) in clicks {
        let users = identity::with_sharers(tx, &[contact])?;
        let before = || (tx.state.terms_of(workspace), BTreeMap::new());
        let (_, newest) = all.entry(workspace).or_insert_with(before);
        newest.extend(users.into_iter().map(|user| (user, inbox)));
    }
    Ok(all)
}

/// Plans what follows from a new `click_grace`: it changes which clicks after an opt-out count.
fn recheck_clicks(tx: &mut Tx<'_>, clickers: Clickers, now: Timestamp) -> Result<(), Error> {
    for (workspace, (before, newest)) in clickers {
        for contact in newest.keys() {
            delivery::reopen_held_back(tx, workspace, *contact)?;
        }
        follow(tx, workspace, &newest, &before, true, GRACE, now)?;
    }
    Ok(())
}

/// Drops planned deliveries to destinations where one is waiting already: it will carry the contact as it is
/// when it is sent. A delivery in flight carries the contact as it was, so it does not count.
fn drop_covered_deliveries(
    tx: &Tx<'_>,
    contact: ContactRowId,
    planned: &mut Vec<Planned>,
    now: Timestamp,
) -> Result<(), Error> {
    let mut statement = tx.connection.prepare_cached(
        "SELECT id, destination_id FROM delivery
         WHERE contact_id = ?1 AND state IN ('waiting', 'blocked') AND kind <> 'withdrawal'",
    )?;
    let open: Vec<(DeliveryRowId, DestinationRowId)> = statement
        .query_map([contact], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    planned.retain(|planned| {
        let destination = tx.state.names.find_destination(&planned.destination);
        planned.kind == Kind::Withdrawal
            || !open
                .iter()
                .any(|(delivery, of)| Some(*of) == destination && !tx.state.leases.is_held(*delivery, now))
    });
    Ok(())
}

/// The inbox row that deliveries caused by a page belong to.
struct Place {
    workspace: WorkspaceRowId,
    contact: ContactRowId,
    /// The row of the contact's newest click.
    click: InboxRowId,
    decision: &'static str,
}

impl Place {
    /// Inserts the deliveries for the click's row as long as it has no such delivery; otherwise for an own
    /// row, because an ended delivery is never sent again under its key.
    fn insert(&self, tx: &mut Tx<'_>, planned: &[Planned], now: Timestamp) -> Result<(), Error> {
        let mut own = None;
        for planned in planned {
            let inbox = if self.is_free(tx, planned)? {
                self.click
            } else if let Some(row) = own {
                row
            } else {
                *own.insert(self.own_row(tx, now)?)
            };
            delivery::insert(tx, inbox, Some(self.contact), false, planned, now)?;
        }
        Ok(())
    }

    /// Whether the click's row still exists and has no such delivery.
    fn is_free(&self, tx: &Tx<'_>, planned: &Planned) -> Result<bool, Error> {
        Ok(tx
            .connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM event WHERE inbox_id = ?1)
                    AND NOT EXISTS (SELECT 1 FROM delivery WHERE inbox_id = ?1 AND destination_id = ?2 AND kind = ?3
                                                               AND address = ?4 AND contact_id = ?5)",
            )?
            .query_row(
                params![
                    self.click,
                    tx.state.names.find_destination(&planned.destination),
                    planned.kind.as_str(),
                    planned.address.as_deref().unwrap_or_default(),
                    self.contact
                ],
                |row| row.get(0),
            )?)
    }

    /// Makes an own row with the campaign and page of the click, because mappings read them.
    fn own_row(&self, tx: &mut Tx<'_>, now: Timestamp) -> Result<InboxRowId, Error> {
        let newest: InboxRowId = tx
            .connection
            .prepare_cached("SELECT coalesce(max(id), 0) FROM inbox")?
            .query_row([], |row| row.get(0))?;
        let key = digest(&[
            KIND.as_bytes(),
            &self.contact.0.to_be_bytes(),
            &newest.0.to_be_bytes(),
            &ms(now).to_be_bytes(),
        ]);
        let own = OwnRow {
            contact: self.contact,
            workspace: self.workspace,
            kind: KIND,
            decision: self.decision,
        };
        let row = erasure::own_row(tx, &own, key, now)?;
        tx.connection
            .prepare_cached(
                "UPDATE event SET campaign_id = click.campaign_id, page_id = click.page_id
                 FROM event AS click WHERE event.inbox_id = ?1 AND click.inbox_id = ?2",
            )?
            .execute([row, self.click])?;
        Ok(row)
    }
}

/// A page, and whether it is an own page: by the rules that were set last, and by the present ones.
struct Decision {
    id: PageRowId,
    workspace: WorkspaceRowId,
    key: String,
    was_own: bool,
    is_own: bool,
}

/// Judges all pages, because new rules may name other organisations as own.
fn judge_all(connection: &Connection, state: &State) -> Result<Vec<Decision>, Error> {
    type Found = (PageRowId, WorkspaceRowId, Name, String, String, bool);
    let pages: Vec<Found> = connection
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
    let mut judged = Vec::with_capacity(pages.len());
    for (id, workspace, namespace, external_id, doc, was_own) in pages {
        let doc = causeway_core::contact::Contact {
            // A page that cannot be read is no own page, so that no consent is assumed.
            fields: from_json(&doc).unwrap_or_else(|_| {
                tracing::error!(
                    page.id = id.0,
                    "a page cannot be read; it does not count as an own page"
                );
                BTreeMap::new()
            }),
            ..Default::default()
        };
        let workspace_name = state.names.name(workspace)?;
        let is_own = facts::organisation(&doc)
            .is_some_and(|org| state.rules.is_own(&workspace_name, &namespace, &org.external_id));
        judged.push(Decision {
            id,
            workspace,
            key: page_key(&namespace, &external_id),
            was_own,
            is_own,
        });
    }
    Ok(judged)
}

/// Completes the rules with the hub's name from this database, unless the rules name the hub.
pub(crate) fn with_hub(connection: &Connection, mut rules: Arc<Rules>) -> Result<Arc<Rules>, Error> {
    if !rules.hub.is_empty() {
        return Ok(rules);
    }
    let hub: String = connection
        .prepare_cached("SELECT value FROM meta WHERE key = 'hub_id'")?
        .query_row([], |row| row.get(0))?;
    Arc::make_mut(&mut rules).hub = hub.into();
    Ok(rules)
}

/// Uses these rules in memory only, for a query or a rehearsal.
pub(crate) fn use_rules(connection: &Connection, state: &mut State, rules: Arc<Rules>) -> Result<(), Error> {
    state.reload(connection)?;
    state.rules = with_hub(connection, rules)?;
    let mut own: HashMap<WorkspaceRowId, OwnPages> = HashMap::new();
    for page in judge_all(connection, state)?
        .into_iter()
        .filter(|page| page.is_own)
    {
        own.entry(page.workspace).or_default().insert(page.key);
    }
    let click_grace = state.rules.click_grace;
    own.entry(ANY_WORKSPACE).or_default();
    let terms = |own_pages| {
        Arc::new(Terms {
            own_pages,
            click_grace,
        })
    };
    state.terms = own.into_iter().map(|(id, pages)| (id, terms(pages))).collect();
    Ok(())
}

/// Sets new rules: interns their names and judges every page again.
pub(crate) fn set_rules(tx: &mut Tx<'_>, rules: Arc<Rules>) -> Result<(), Error> {
    for rule in rules.sources.values() {
        tx.state.names.source(tx.connection, &rule.name)?;
        tx.state.names.workspace(tx.connection, &rule.workspace)?;
    }
    let behind = destinations::follow(tx, &rules)?;
    for workspace in rules.workspaces.keys() {
        tx.state.names.workspace(tx.connection, workspace)?;
    }
    let clickers = if tx.state.terms_of(ANY_WORKSPACE).click_grace == rules.click_grace {
        Clickers::new()
    } else {
        clickers(tx)?
    };
    let grace = i64::try_from(rules.click_grace.as_millis()).unwrap_or(i64::MAX);
    tx.connection
        .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES ('click_grace_ms', ?1)")?
        .execute([grace])?;
    tx.state.rules = with_hub(tx.connection, rules)?;
    let mut changed = judge_all(tx.connection, tx.state)?;
    changed.retain(|page| page.is_own != page.was_own);
    for page in &changed {
        tx.connection
            .prepare_cached("UPDATE page SET own = ?2 WHERE id = ?1")?
            .execute(params![page.id, page.is_own])?;
    }
    let before: BTreeMap<WorkspaceRowId, Arc<Terms>> = changed
        .iter()
        .map(|page| (page.workspace, tx.state.terms_of(page.workspace)))
        .collect();
    tx.state.terms = state::terms(tx.connection)?;
    // New rules come without a message, so deliveries that follow are dated by the newest row.
    let now = at(tx.state.newest);
    for page in changed {
        let turned = OwnershipChange {
            key: page.key,
            is_own: page.is_own,
            before: before.get(&page.workspace).cloned().unwrap_or_default(),
        };
        reconsider(tx, page.workspace, &turned, now)?;
    }
    recheck_clicks(tx, clickers, now)?;
    for id in behind {
        destinations::plan_missing_withdrawals(tx, id, now)?;
    }
    Ok(())
}
