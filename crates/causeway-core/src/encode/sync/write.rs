//! Writes the groups as members of one object. Each row has all of its documented keys.

use serde_json::{Map, Value, json};

use super::{Empty, Group, Options, PHP_VARIABLES, StatusShape};
use crate::decode::sync::{SyncPayload, history::number};

/// There are more variables than the receiver reads, and no history rows left to leave out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "makes {variables} variables, and a receiver in PHP reads {limit} and silently ignores the rest: sync fewer \
     groups, or set `max_variables` higher (0 for no limit) if the receiver reads more"
)]
pub struct TooMany {
    pub variables: usize,
    pub limit: usize,
}

/// The payload, in the documented order. Counts are numbers, everything else is text. A missing value is an
/// empty text, so that the receiver finds every key.
pub fn members(payload: &SyncPayload, options: &Options) -> Result<Map<String, Value>, TooMany> {
    let mut groups: Vec<(Group, Value)> = Group::ALL
        .into_iter()
        .filter(|group| options.sends(*group))
        .map(|group| (group, content(group, payload, options)))
        .collect();
    let keeps_empty = options.empty == Empty::Send;
    groups.retain(|(_, content)| keeps_empty || !is_empty(content));
    if let Some(limit) = options.max_variables {
        fit(&mut groups, limit, keeps_empty)?;
        groups.retain(|(_, content)| keeps_empty || !is_empty(content));
    }
    Ok(groups
        .into_iter()
        .map(|(group, content)| (group.as_str().to_owned(), content))
        .collect())
}

fn content(group: Group, payload: &SyncPayload, options: &Options) -> Value {
    let occurrences = |rows: &[crate::decode::sync::Occurrence], date: &str| {
        let rows = rows.iter();
        rows.map(|row| json!({ "id": text(row.id.as_deref()), "name": text(row.name.as_deref()), date: text(row.date.as_deref()) }))
            .collect::<Value>()
    };
    match group {
        Group::TransactionId => text(payload.transactionid.as_deref()),
        Group::Contact => {
            let contact = &payload.contact;
            json!({
                "id": text(contact.id.as_deref()), "email": text(contact.email.as_deref()), "phone": text(contact.phone.as_deref()),
                "profile_url": text(contact.profile_url.as_deref()),
            })
        }
        Group::Fields => {
            let rows = payload.fields.iter();
            rows.map(|row| {
                let value = row.value.clone().filter(|value| !value.is_null() && !is_empty(value));
                json!({ "id": text(row.id.as_deref()), "name": text(row.name.as_deref()), "value": value.unwrap_or_else(|| "".into()) })
            })
            .collect()
        }
        Group::CampaignsOpened => occurrences(&payload.campaigns_opened, "open_date"),
        Group::LinksClicked => {
            let rows = payload.links_clicked.iter();
            rows.map(|row| json!({ "url": text(row.url.as_deref()), "clicks": count(row.clicks.as_deref()) }))
                .collect()
        }
        Group::PagesVisited => {
            let rows = payload.pages_visited.iter();
            rows.map(|row| json!({ "page": text(row.page.as_deref()), "visit_date": text(row.visit_date.as_deref()) }))
                .collect()
        }
        Group::AutomationTriggered => occurrences(&payload.automation_triggered, "trigger_date"),
        Group::GoalsReached => occurrences(&payload.goals_reached, "reach_date"),
        Group::WebhooksTriggered => occurrences(&payload.webhooks_triggered, "trigger_date"),
        Group::LeadScore => {
            let rows = payload.lead_score.iter();
            rows.map(|row| {
                json!({
                    "id": text(row.id.as_deref()), "name": text(row.name.as_deref()), "score": count(row.score.as_deref()),
                    "score_date": text(row.score_date.as_deref()),
                })
            })
            .collect()
        }
        Group::LeadStatus => {
            let status = &payload.lead_status;
            if status.score.is_none() && status.label.is_none() {
                return json!([]);
            }
            let map =
                json!({ "score": count(status.score.as_deref()), "label": text(status.label.as_deref()) });
            match options.status {
                StatusShape::Map => map,
                StatusShape::List => json!([map]),
            }
        }
    }
}

fn text(text: Option<&str>) -> Value {
    text.unwrap_or_default().into()
}

fn count(sent: Option<&str>) -> Value {
    let counted = sent.and_then(number);
    counted.unwrap_or_else(|| text(sent))
}

fn is_empty(content: &Value) -> bool {
    match content {
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Leaves out history rows until the limit is met: each time the oldest row of the group with the most
/// variables.
fn fit(groups: &mut [(Group, Value)], limit: usize, keeps_empty: bool) -> Result<(), TooMany> {
    let mut variables: usize = groups.iter().map(|(_, content)| leaves(content)).sum();
    while variables > limit {
        let history = groups.iter_mut().filter(|(group, _)| group.is_history());
        let largest = history
            .filter_map(|(_, content)| content.as_array_mut())
            .filter(|rows| !rows.is_empty())
            .max_by_key(|rows| rows.len() * rows.first().map_or(0, leaves));
        let Some(rows) = largest else {
            return Err(TooMany { variables, limit });
        };
        variables -= leaves(&rows.remove(0));
        // A group that became empty is printed as one empty text, or not at all.
        variables += usize::from(rows.is_empty() && keeps_empty);
    }
    Ok(())
}

/// The number of variables that PHP counts: each text, and each empty list that is printed.
pub fn leaves(value: &Value) -> usize {
    match value {
        Value::Array(items) if !items.is_empty() => items.iter().map(leaves).sum(),
        Value::Object(members) if !members.is_empty() => members.values().map(leaves).sum(),
        _ => 1,
    }
}

/// The warning of `config check` about options that allow more variables than a receiver reads. `form` says
/// whether the payload is sent as a form.
pub fn warning(options: &Options, form: bool) -> Option<String> {
    let most = options.variables();
    if !form || most + FIELDS <= PHP_VARIABLES {
        return None;
    }
    let what = format!(
        "the caps of the history groups allow up to {most} variables, and PHP reads {PHP_VARIABLES} in all (a list \
         field takes 3)"
    );
    Some(match options.max_variables {
        Some(limit) => format!("{what}: the oldest rows are left out to stay within {limit}"),
        None => format!(
            "{what}: a receiver in PHP silently ignores the rest; set `max_variables = {PHP_VARIABLES}`"
        ),
    })
}

/// The variables of fifty list fields.
const FIELDS: usize = 150;
