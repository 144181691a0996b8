//! A custom audience and its fields.

use causeway_core::clock::Timestamp;
use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use super::{Meta, errors::GraphError, members::Members, replace::Replacing};

/// An audience of people from a customer file.
#[derive(Debug, Clone)]
pub struct Audience {
    pub id: String,
    /// The ad account, without `act_`.
    pub account: String,
    /// What the creator gave, and `audience_labels`.
    pub params: Map<String, Value>,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub members: Members,
    /// People in it that no upload named. They count, and a replacement keeps them.
    pub other_people: u64,
    /// Fields that hint at what must not be known, such as `name`. If any, the audience is flagged: nobody can be added
    /// or removed.
    pub flagged: Vec<String>,
    /// Fixed by the first upload, such as `FILE_IMPORTED.MULTI_HASHES`.
    pub source: Option<String>,
    /// Whether removals are refused because too few people would be left.
    pub refuses_removals: bool,
    /// Whether the next replacement fails at its last batch.
    pub fails_to_replace: bool,
    pub(super) replacing: Replacing,
    /// When the number of people changed, and to what.
    sizes: Vec<(Timestamp, u64)>,
}

/// Fields of an audience. One that is not set is missing from the answer.
const FIELDS: [&str; 45] = [
    "account_id",
    "approximate_count_lower_bound",
    "approximate_count_upper_bound",
    "audience_labels",
    "customer_file_source",
    "data_source",
    "data_source_types",
    "datafile_custom_audience_uploading_status",
    "delete_time",
    "delivery_status",
    "description",
    "excluded_custom_audiences",
    "external_event_source",
    "fields_violating_integrity_policy",
    "household_audience",
    "id",
    "included_custom_audiences",
    "is_eligible_for_sac_campaigns",
    "is_household",
    "is_snapshot",
    "is_value_based",
    "lookalike_audience_ids",
    "lookalike_spec",
    "messenger_marketing_messages_page",
    "name",
    "operation_status",
    "opt_out_link",
    "owner_business",
    "page_deletion_marked_delete_time",
    "permission_for_actions",
    "pixel_id",
    "regulated_audience_spec",
    "retention_days",
    "rev_share_policy_id",
    "rule",
    "rule_aggregation",
    "rule_v2",
    "seed_audience",
    "sharing_status",
    "subtype",
    "time_content_updated",
    "time_created",
    "time_updated",
    "usage_restriction",
    "use_for_products",
];

/// Fewer people than this are not shown.
const SHOWN_FROM: u64 = 1000;
/// Fewer people than this cannot be advertised to.
const USABLE_FROM: u64 = 100;
/// From this size on, an audience cannot be replaced.
pub(super) const TOO_LARGE: u64 = 100_000_000;

impl Audience {
    pub(super) fn new(id: String, account: &str, params: Map<String, Value>, now: Timestamp) -> Self {
        Self {
            id,
            account: account.to_owned(),
            params,
            created: now,
            updated: now,
            members: Members::default(),
            other_people: 0,
            flagged: Vec::new(),
            source: None,
            refuses_removals: false,
            fails_to_replace: false,
            replacing: Replacing::default(),
            sizes: Vec::new(),
        }
    }

    pub fn name(&self) -> &str {
        self.params
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(super) fn is_value_based(&self) -> bool {
        self.params
            .get("is_value_based")
            .is_some_and(|value| *value == true || *value == "true")
    }

    pub(super) fn people(&self) -> u64 {
        self.members.people() + self.other_people
    }

    /// To be called after each change of the members.
    pub(super) fn changed(&mut self, now: Timestamp) {
        self.updated = now;
        self.sizes.push((now, self.members.people()));
    }

    /// The code and description of what is going on. Meta publishes the numbers 200 and 471, and for replacements only
    /// the words; their numbers are made up.
    pub fn operation_status(&self) -> (u32, &'static str) {
        if !self.flagged.is_empty() {
            return (
                471,
                "This audience may suggest information that is not permitted and cannot be used.",
            );
        }
        self.replacing.status().unwrap_or((200, "Normal"))
    }

    /// The number of people that is known by now: uploads take hours to be counted.
    fn counted(&self, now: Timestamp, delay: SignedDuration) -> u64 {
        let counted = self.sizes.iter().rev().find(|(at, _)| *at + delay <= now);
        self.other_people + counted.map_or(0, |(_, people)| *people)
    }

    fn field(&self, name: &str, meta: &Meta) -> Option<Value> {
        let status = |(code, description): (u32, &str)| json!({ "code": code, "description": description });
        let people = self.counted(meta.now(), meta.count_delay);
        let lower = people / 100 * 100;
        let is_shown = people >= SHOWN_FROM;
        let value = match name {
            "id" => self.id.clone().into(),
            "account_id" => self.account.clone().into(),
            "subtype" => "CUSTOM".into(),
            "approximate_count_lower_bound" | "approximate_count_upper_bound" if !is_shown => {
                meta.hidden_count.clone()
            }
            "approximate_count_lower_bound" => lower.into(),
            "approximate_count_upper_bound" => (lower + (lower / 500 * 100).max(100)).into(),
            "operation_status" => status(self.operation_status()),
            "delivery_status" if people < USABLE_FROM => status((300, "Audience too small")),
            "delivery_status" => status((200, "This audience is ready for use.")),
            "fields_violating_integrity_policy" if !self.flagged.is_empty() => self.flagged.clone().into(),
            "data_source" => self.data_source(),
            "data_source_types" => self.data_source()["sub_type"].clone(),
            "is_value_based" => self.is_value_based().into(),
            "permission_for_actions" => json!({ "can_edit": true, "can_see_insight": true, "can_share": true,
                "subtype_supports_lookalike": true, "supports_recipient_lookalike": false }),
            "retention_days" => 0.into(),
            "time_created" => self.created.as_second().into(),
            "time_updated" => self.updated.as_second().into(),
            "time_content_updated" => self.sizes.last()?.0.as_second().into(),
            other => self.params.get(other)?.clone(),
        };
        Some(value).filter(|value| !value.is_null())
    }

    fn data_source(&self) -> Value {
        let source = self.source.as_deref().unwrap_or("UNKNOWN.ANYTHING");
        let (kind, sub) = source.split_once('.').unwrap_or((source, "ANYTHING"));
        json!({ "type": kind, "sub_type": sub, "creation_params": "[]" })
    }

    /// The fields that a caller asked for, and always the id.
    pub(super) fn read(&self, fields: &[String], meta: &Meta) -> Result<Value, GraphError> {
        let mut read = Map::new();
        for name in fields {
            if !FIELDS.contains(&name.as_str()) {
                return Err(nonexisting(name, "CustomAudience"));
            }
            if let Some(value) = self.field(name, meta) {
                read.insert(name.clone(), value);
            }
        }
        read.insert("id".to_owned(), self.id.clone().into());
        Ok(read.into())
    }
}

pub(super) fn nonexisting(name: &str, node: &str) -> GraphError {
    GraphError::invalid(format!(
        "Tried accessing nonexisting field ({name}) on node type ({node})"
    ))
}
