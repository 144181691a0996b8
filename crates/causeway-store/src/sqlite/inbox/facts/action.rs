//! Actions. A source may send the same action again, with more or fewer keys; the keys of all copies are
//! kept.

use causeway_core::event::Action;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Map, Value};

use crate::sqlite::base::{
    error::Error,
    ids::{
        ActionRowId, CampaignRowId, ContactRowId, InboxRowId, NamespaceRowId, PageRowId, SourceRowId,
        WorkspaceRowId,
    },
    rows::{from_json, to_json},
};

/// The rows that an action belongs to.
pub(crate) struct ActionPlace {
    pub workspace: WorkspaceRowId,
    pub namespace: NamespaceRowId,
    pub source: SourceRowId,
    pub inbox: InboxRowId,
    pub contact: Option<ContactRowId>,
    pub campaign: Option<CampaignRowId>,
    pub page: Option<PageRowId>,
    /// Whether the deliveries of this action follow from this event.
    pub plans_deliveries: bool,
}

/// What was known about an action before an event.
pub(crate) struct KnownAction {
    pub id: ActionRowId,
    /// The inbox row whose event planned the action's deliveries.
    pub planned_by: Option<InboxRowId>,
    doc: String,
}

pub(crate) fn find_action(
    connection: &Connection,
    workspace: WorkspaceRowId,
    namespace: NamespaceRowId,
    external_id: &str,
) -> Result<Option<KnownAction>, Error> {
    Ok(connection
        .prepare_cached(
            "SELECT id, planned_by, doc FROM action WHERE workspace_id = ?1 AND namespace_id = ?2 AND external_id = ?3",
        )?
        .query_row(params![workspace, namespace, external_id], |row| {
            Ok(KnownAction {
                id: row.get(0)?,
                planned_by: row.get(1)?,
                doc: row.get(2)?,
            })
        })
        .optional()?)
}

pub(crate) fn read_action(connection: &Connection, id: ActionRowId) -> Result<Option<Action>, Error> {
    let mut statement = connection.prepare_cached("SELECT doc FROM action WHERE id = ?1")?;
    let mut rows = statement.query([id])?;
    match rows.next()? {
        Some(row) => Ok(Some(from_json(crate::sqlite::base::rows::text(row, 0)?)?)),
        None => Ok(None),
    }
}

/// Inserts the action, or joins it with the known copy.
pub(crate) fn write_action(
    connection: &Connection,
    known: Option<&KnownAction>,
    action: &Action,
    place: &ActionPlace,
) -> Result<ActionRowId, Error> {
    let planned_by = place.plans_deliveries.then_some(place.inbox);
    let Some(known) = known else {
        connection
            .prepare_cached(
                "INSERT INTO action (workspace_id, namespace_id, external_id, number, source_id, contact_id,
                                     campaign_id, page_id, planned_by, doc)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                place.workspace,
                place.namespace,
                action.external_id,
                action.external_id.parse::<i64>().ok(),
                place.source,
                place.contact,
                place.campaign,
                place.page,
                planned_by,
                to_json(action)?,
            ])?;
        return Ok(ActionRowId(connection.last_insert_rowid()));
    };
    let joined = join(from_json(&known.doc)?, action.clone());
    connection
        .prepare_cached(
            "UPDATE action SET doc = ?2, contact_id = coalesce(?3, contact_id),
                 campaign_id = coalesce(campaign_id, ?4), page_id = coalesce(page_id, ?5),
                 planned_by = coalesce(planned_by, ?6)
             WHERE id = ?1",
        )?
        .execute(params![
            known.id,
            to_json(&joined)?,
            place.contact,
            place.campaign,
            place.page,
            planned_by
        ])?;
    Ok(known.id)
}

/// Commutative, associative and idempotent: for each key the greatest value stays, and a key that one copy
/// lacks comes from the other.
fn join(a: Action, b: Action) -> Action {
    Action {
        external_id: a.external_id,
        action_type: a.action_type.max(b.action_type),
        created_at: a.created_at.max(b.created_at),
        custom_fields: join_maps(a.custom_fields, b.custom_fields),
        donation: join_options(a.donation, b.donation),
        tracking: join_options(a.tracking, b.tracking),
        with_consent: a.with_consent || b.with_consent,
        dupe_rank: a.dupe_rank.max(b.dupe_rank),
        testing: a.testing || b.testing,
    }
}

fn join_options(a: Option<Value>, b: Option<Value>) -> Option<Value> {
    match (a, b) {
        (Some(a), Some(b)) => Some(join_values(a, b)),
        (a, b) => a.or(b),
    }
}

fn join_values(a: Value, b: Value) -> Value {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => Value::Object(join_maps(a, b)),
        (Value::Object(a), _) | (_, Value::Object(a)) => Value::Object(a),
        (a, b) => {
            let (ours, theirs) = (a.to_string(), b.to_string());
            if theirs > ours { b } else { a }
        }
    }
}

/// The keys are sorted, so that the text does not depend on the order of arrival.
fn join_maps(a: Map<String, Value>, b: Map<String, Value>) -> Map<String, Value> {
    let mut all: std::collections::BTreeMap<String, Value> = a.into_iter().collect();
    for (key, theirs) in b {
        let value = match all.remove(&key) {
            Some(ours) => join_values(ours, theirs),
            None => theirs,
        };
        all.insert(key, value);
    }
    all.into_iter().collect()
}
