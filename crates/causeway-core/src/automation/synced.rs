//! The groups of a platform's contact, as triggers name them.

use serde_json::Value;

use super::Pattern;
use crate::{
    contact::{Identity, LIST_FIELD_IDS, is_internal},
    encode::sync::Group,
    event::{EngagementKind, Event},
};

/// A group that a platform's contact must contain, and if `row` is given, a row with that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncTrigger {
    pub group: Group,
    /// The row's id, name or address.
    pub row: Option<Pattern>,
}

impl SyncTrigger {
    pub(super) fn fits(&self, rows: &[GroupRow]) -> bool {
        rows.iter()
            .filter(|row| row.group == self.group)
            .any(|row| match &self.row {
                None => true,
                Some(pattern) => row.names.iter().any(|name| pattern.matches(name)),
            })
    }
}

/// A row of a group, with all names that a trigger may use for it.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupRow {
    pub group: Group,
    pub names: Vec<String>,
}

/// Fields that have a place of their own, outside the group of fields.
const ELSEWHERE: [&str; 5] = ["email", "phone", "profile_url", "lead_score", "lead_status"];

/// The rows of each group in the event.
pub(super) fn rows(event: &Event) -> Vec<GroupRow> {
    let row = |group, names: Vec<String>| GroupRow { group, names };
    let mut all: Vec<GroupRow> = Vec::new();
    let ids = event.identities.iter().filter(|id| !id.is_visitor());
    all.push(row(
        Group::Contact,
        ids.map(Identity::value).map(str::to_owned).collect(),
    ));
    let numbers = |label: &str| {
        let maps = event.fields.range(LIST_FIELD_IDS.to_owned()..);
        maps.take_while(|(name, _)| name.starts_with(LIST_FIELD_IDS))
            .filter_map(|(_, ids)| ids.get(label)?.as_str().map(str::to_owned))
            .collect::<Vec<String>>()
    };
    for name in event.fields.keys() {
        if !is_internal(name) && !ELSEWHERE.contains(&name.as_str()) {
            let mut names = numbers(name);
            names.push(name.clone());
            all.push(row(Group::Fields, names));
        }
    }
    for engagement in &event.engagements {
        let Some(group) = group(engagement.kind) else {
            continue;
        };
        let names = [Some(&engagement.key), engagement.name.as_ref()];
        all.push(row(group, names.into_iter().flatten().cloned().collect()));
    }
    let [score, label] = ["lead_score", "lead_status"].map(|name| event.fields.get(name));
    if score.or(label).is_some() {
        let label = label.and_then(Value::as_str).map(str::to_owned);
        all.push(row(Group::LeadStatus, label.into_iter().collect()));
    }
    all
}

fn group(kind: EngagementKind) -> Option<Group> {
    Some(match kind {
        EngagementKind::EmailOpen => Group::CampaignsOpened,
        EngagementKind::LinkClick => Group::LinksClicked,
        EngagementKind::PageVisit => Group::PagesVisited,
        EngagementKind::Automation => Group::AutomationTriggered,
        EngagementKind::Goal => Group::GoalsReached,
        EngagementKind::Popup => Group::WebhooksTriggered,
        EngagementKind::LeadScore => Group::LeadScore,
        EngagementKind::Custom => return None,
    })
}
