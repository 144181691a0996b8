//! Asks the rules about one event, with what is known before it.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
};

use causeway_core::{
    contact::Contact,
    event::{Engagement, Event},
    plan::{About, Case, Known, Plan, plan},
    rules::DestinationRule,
};
use rusqlite::Connection;

use super::{
    contact,
    event::{Before, Place},
    facts,
    fault::Fault,
    follow, given,
    person::engagements,
    process::Row,
    writer::Tx,
};

/// Asks the rules. A panic in them is one row's trouble.
pub(super) fn decide(
    tx: &Tx<'_>,
    row: &Row,
    (source, workspace_name, workspace): (&str, &str, i64),
    event: &Event,
    before: &Before,
    place: &Place,
) -> Result<Plan, Fault> {
    let contacts = before
        .contacts
        .iter()
        .map(|id| contact::read(tx.connection, *id)?.ok_or(Fault::Broken("a contact")))
        .collect::<Result<Vec<Contact>, Fault>>()?;
    let terms = tx.state.terms_of(workspace);
    let trouble = RefCell::new(None);
    let given = |rule: &DestinationRule| or_note(&trouble, given::of(tx, &before.contacts, rule));
    let has = |row: &Engagement| or_note(&trouble, has(tx.connection, &before.contacts, row));
    let last_hour =
        |automation: &str| or_note(&trouble, follow::last_hour(tx.connection, workspace, automation));
    let history = tx.state.rules.of_workspace(workspace_name).asks_for_history;
    let about = || or_note(&trouble, about(tx, workspace, row, event, before, place, history));
    let known = Known {
        contacts: &contacts,
        // Told by this very row means that it is processed once more, and is to come to the same.
        action_is_known: before
            .action
            .as_ref()
            .and_then(|action| action.told_by)
            .is_some_and(|by| by != row.id.0),
        terms: &terms,
        given: &given,
        shared: &before.shared,
        knows: &has,
        last_hour: &last_hour,
        about: &about,
    };
    let case = Case {
        source,
        workspace: workspace_name,
        event,
        known: &known,
        rules: &tx.state.rules,
        now: row.now,
        arrival: row.id.0,
    };
    let plan = catch_unwind(AssertUnwindSafe(|| plan(&case)))
        .map_err(|_| Fault::Refused("the rules panicked on it".to_owned()))?;
    match trouble.take() {
        Some(fault) => Err(fault),
        None => Ok(plan),
    }
}

/// The rules ask and cannot fail: what went wrong is told after they ended, and their plan is not taken.
fn or_note<T: Default>(trouble: &RefCell<Option<Fault>>, answer: Result<T, Fault>) -> T {
    answer.unwrap_or_else(|fault| {
        trouble.replace(Some(fault));
        T::default()
    })
}

/// Whether one of the contacts did that already.
fn has(connection: &Connection, contacts: &[i64], engagement: &Engagement) -> Result<bool, Fault> {
    for contact in contacts {
        if contact::has_engagement(connection, *contact, engagement)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What expressions may ask for, besides the contact.
fn about(
    tx: &Tx<'_>,
    workspace: i64,
    row: &Row,
    event: &Event,
    before: &Before,
    place: &Place,
    history: bool,
) -> Result<About, Fault> {
    let connection = tx.connection;
    let mut about = About {
        inbox_id: Some(row.id),
        action: event.action.clone(),
        campaign: None,
        page: event.page.clone(),
        engagements: Vec::new(),
    };
    if let Some(campaign) = &event.campaign {
        let facts = &tx.state.facts;
        about.campaign = facts.learned_campaign(workspace, place.namespace, &campaign.external_id);
    } else if let Some(id) = place.campaign {
        about.campaign = facts::read_campaign(connection, id)?;
    }
    if let (None, Some(id)) = (&about.page, place.page) {
        about.page = facts::read_page(connection, id)?;
    }
    if let (None, Some(id)) = (&about.action, place.action) {
        about.action = facts::read_action(connection, id)?;
    }
    if history {
        for contact in &before.contacts {
            about.engagements.extend(engagements(connection, *contact)?);
        }
    }
    Ok(about)
}
