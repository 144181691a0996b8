//! Turns a record into the eleven groups, before they are written.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::{ContactIdOf, Group, Options, Transaction, lead::lead};
use crate::{
    contact::is_internal,
    decode::sync::{Click, LeadStatus, ListField, Occurrence, Score, SyncContact, SyncPayload, Visit},
    event::{Engagement, EngagementKind},
    id::IdempotencyKey,
    lead::OWN_SCORE,
    php_date,
    record::Record,
    shortcode::{contact_id, list_fields},
};

/// Fields that have a place of their own, outside the group of fields.
const ELSEWHERE: [&str; 5] = ["email", "phone", "profile_url", "lead_score", "lead_status"];

/// The platforms' labels of common fields.
const LABELS: [(&str, &str); 7] = [
    ("firstName", "First Name"),
    ("lastName", "Last Name"),
    ("birthDate", "Date Of Birth"),
    ("country", "Country"),
    ("postcode", "Postcode"),
    ("locality", "City"),
    ("street", "Street"),
];

/// The groups that `options` names. Each history group holds the newest rows up to its limit, oldest first.
pub fn model(record: &Record, key: &IdempotencyKey, options: &Options) -> SyncPayload {
    let has = |group| options.sends(group);
    let lead = lead(record);
    let rows = |group, kind| {
        let of_kind = record.engagements.iter().filter(move |row| row.kind == kind);
        newest(of_kind.collect(), group, options)
    };
    let occurrences = |group, kind| {
        let rows = rows(group, kind).into_iter();
        rows.map(|row| Occurrence {
            id: Some(row.key.clone()),
            name: row.name.clone(),
            date: date(row, options),
        })
        .collect::<Vec<_>>()
    };
    SyncPayload {
        transactionid: has(Group::TransactionId).then(|| transaction(key, options.transaction)),
        contact: if has(Group::Contact) {
            contact(record, options)
        } else {
            SyncContact::default()
        },
        fields: if has(Group::Fields) {
            fields(record, options)
        } else {
            Vec::new()
        },
        campaigns_opened: occurrences(Group::CampaignsOpened, EngagementKind::EmailOpen),
        links_clicked: clicks(record, options),
        pages_visited: rows(Group::PagesVisited, EngagementKind::PageVisit)
            .into_iter()
            .map(|row| Visit {
                page: Some(row.key.clone()),
                visit_date: date(row, options),
            })
            .collect(),
        automation_triggered: occurrences(Group::AutomationTriggered, EngagementKind::Automation),
        goals_reached: occurrences(Group::GoalsReached, EngagementKind::Goal),
        webhooks_triggered: occurrences(Group::WebhooksTriggered, EngagementKind::Popup),
        lead_score: newest(lead.hits, Group::LeadScore, options)
            .into_iter()
            .map(|row| Score {
                id: Some(score_id(row).to_owned()),
                name: row.name.clone(),
                score: row.score.map(|score| score.to_string()),
                score_date: date(row, options),
            })
            .collect(),
        lead_status: if has(Group::LeadStatus) {
            lead.status
        } else {
            LeadStatus::default()
        },
        extra: serde_json::Map::new(),
    }
}

/// The id of a scoring row. Our own rules are identified by their name, because the row's key also holds the
/// cause of the points.
fn score_id(row: &Engagement) -> &str {
    match &row.name {
        Some(rule) if row.key.starts_with(OWN_SCORE) => rule,
        _ => &row.key,
    }
}

/// The newest rows, up to the group's limit. Records hold their history oldest first.
fn newest<T>(mut rows: Vec<T>, group: Group, options: &Options) -> Vec<T> {
    if !options.sends(group) {
        return Vec::new();
    }
    let over = rows.len().saturating_sub(options.cap(group));
    rows.drain(..over);
    rows
}

fn transaction(key: &IdempotencyKey, kind: Transaction) -> String {
    match kind {
        Transaction::Key => key.0.clone(),
        Transaction::Number => {
            let digest = Sha256::digest(key.0.as_bytes());
            let number = digest
                .iter()
                .take(8)
                .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
            // The number never begins with a zero, so that every reader sees eighteen digits.
            (FIRST_OF_18_DIGITS + number % (9 * FIRST_OF_18_DIGITS)).to_string()
        }
    }
}

const FIRST_OF_18_DIGITS: u64 = 100_000_000_000_000_000;

fn contact(record: &Record, options: &Options) -> SyncContact {
    let text = |name: &str| {
        record
            .contact
            .fields
            .get(name)
            .and_then(|field| crate::decode::sync::scalar(&field.value))
    };
    SyncContact {
        id: match options.contact_id {
            ContactIdOf::Platform => contact_id(record),
            ContactIdOf::Hub => record.contact.id.map(|id| id.to_string()),
        },
        email: record.email().map(str::to_owned),
        phone: text("phone"),
        profile_url: text("profile_url"),
        emptied: Vec::new(),
        rest: serde_json::Map::new(),
    }
}

fn fields(record: &Record, options: &Options) -> Vec<ListField> {
    let mut numbers = BTreeMap::new();
    for (label, number) in list_fields(record) {
        if let Some(number) = crate::decode::sync::scalar(number) {
            numbers.entry(label).or_insert(number);
        }
    }
    let sent = record.contact.fields.iter();
    sent.filter(|(name, _)| !is_internal(name) && !ELSEWHERE.contains(&name.as_str()))
        .map(|(name, field)| {
            let number = options.field_ids.get(name).or_else(|| numbers.get(name.as_str()));
            let label = options.field_names.get(name).map(String::as_str);
            let common = || {
                LABELS
                    .iter()
                    .find(|(ours, _)| ours == name)
                    .map(|(_, label)| *label)
            };
            ListField {
                id: Some(number.unwrap_or(name).clone()),
                name: Some(label.or_else(common).unwrap_or(name).to_owned()),
                value: Some(field.value.clone()),
            }
        })
        .collect()
}

/// One row for each link with all its clicks, in the order of the last click.
fn clicks(record: &Record, options: &Options) -> Vec<Click> {
    let mut links: Vec<(&str, i64)> = Vec::new();
    for row in record
        .engagements
        .iter()
        .filter(|row| row.kind == EngagementKind::LinkClick)
    {
        let known = links.iter().position(|(url, _)| *url == row.key);
        let before = known.map_or(0, |at| links.remove(at).1);
        links.push((&row.key, before.saturating_add(row.count.unwrap_or(1))));
    }
    let rows = newest(links, Group::LinksClicked, options).into_iter();
    rows.map(|(url, clicks)| Click {
        url: Some(url.to_owned()),
        clicks: Some(clicks.to_string()),
    })
    .collect()
}

/// The date of a row. A date that could not be read is sent as it came.
fn date(row: &Engagement, options: &Options) -> Option<String> {
    match row.at {
        Some(at) => Some(php_date::format(
            &options.date_format,
            &at.to_zoned(options.zone.clone()),
        )),
        None => row.raw_at.clone(),
    }
}
