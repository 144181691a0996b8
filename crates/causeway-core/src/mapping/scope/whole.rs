//! A part of the record as a whole: whether it has content, its JSON, and its names.

use serde_json::{Map, Value};

use super::{Found, Part, Scope, engagement_json};
use crate::{
    mapping::names,
    record::{consent_state_json, organisation_json},
};

impl Scope {
    /// Whether the part has content.
    pub(in crate::mapping) fn is_true(&self, part: &Part) -> bool {
        let record = self.record();
        match part {
            Part::Root | Part::ConsentState(_) | Part::Engagement => true,
            Part::Consent => !record.consent_state.is_empty(),
            Part::Contact => !record.contact_json().is_empty(),
            Part::Fields => self
                .list_field_ids()
                .any(|(label, _)| self.field(label).is_some_and(|value| !value.is_null())),
            Part::Ids => record.contact_json().contains_key("ids"),
            Part::Action => record.action.is_some(),
            Part::ActionFields => record
                .action
                .as_ref()
                .is_some_and(|action| !action.custom_fields.is_empty()),
            Part::Donation => self.donation().is_some_and(has_content),
            Part::Tracking => self.tracking().is_some_and(has_content),
            Part::Campaign => record.campaign.is_some(),
            Part::Page => record.page.is_some(),
            Part::Organisation => record.page.as_ref().is_some_and(|page| page.org.is_some()),
            Part::Engagements(kind) => self.engagements(*kind).next().is_some(),
            Part::Lead => record.lead.score.is_some() || record.lead.status.is_some(),
            Part::Settings => !record.settings.is_empty(),
            Part::Members(prefix) => self.members(prefix).next().is_some(),
        }
    }

    /// The whole part, as destinations get it.
    pub(in crate::mapping) fn json(&self, part: &Part) -> Value {
        let record = self.record();
        let or_null = |value: Option<Value>| value.unwrap_or(Value::Null);
        match part {
            Part::Root => record.to_json(),
            Part::Contact => record.contact_json().into(),
            Part::Ids => record
                .contact_json()
                .remove("ids")
                .unwrap_or_else(|| Map::new().into()),
            Part::Fields => {
                let labels = self.list_field_ids().map(|(label, _)| label);
                let values = labels.filter_map(|label| Some((label.clone(), self.field(label)?.clone())));
                Value::Object(values.collect())
            }
            Part::Consent => record.consent_json().into(),
            Part::ConsentState(consent_state) => consent_state_json(*consent_state),
            Part::Action => or_null(record.action_json()),
            Part::ActionFields => or_null(
                record
                    .action
                    .as_ref()
                    .map(|action| action.custom_fields.clone().into()),
            ),
            Part::Donation => or_null(self.donation().cloned()),
            Part::Tracking => or_null(self.tracking().cloned()),
            Part::Campaign => or_null(record.campaign_json()),
            Part::Page => or_null(record.page_json()),
            Part::Organisation => or_null(
                record
                    .page
                    .as_ref()
                    .and_then(|page| page.org.as_ref())
                    .map(organisation_json),
            ),
            Part::Engagement => {
                let lists = names::ENGAGEMENTS
                    .iter()
                    .map(|(name, kind)| ((*name).to_owned(), self.json(&Part::Engagements(*kind))));
                Value::Object(lists.collect())
            }
            Part::Engagements(kind) => self.engagements(*kind).map(engagement_json).collect(),
            Part::Lead if !self.is_true(part) => Value::Null,
            Part::Lead => serde_json::json!({ "score": record.lead.score, "status": record.lead.status }),
            Part::Settings => record.settings.clone().into(),
            Part::Members(prefix) => self.members(prefix).collect(),
        }
    }

    /// The names that an object has or may have: for "did you mean".
    pub(in crate::mapping) fn known_names(&self, path: &[String]) -> Vec<String> {
        let mut known: Vec<String> = Vec::new();
        let at = self.find(path.iter().map(String::as_str));
        match at {
            Some(Found::Part(Part::Root)) => {
                known.extend(names::ROOTS.iter().map(|name| (*name).to_owned()));
                known.extend(self.0.extra.iter().map(|(name, _)| name.clone()));
            }
            Some(Found::Part(part)) => {
                known.extend(names::members(&part).map(str::to_owned));
                if let Value::Object(members) = self.json(&part) {
                    known.extend(members.into_iter().map(|(name, _)| name));
                }
            }
            Some(Found::Json(Value::Object(members))) => known.extend(members.keys().cloned()),
            _ => {}
        }
        known
    }
}

/// Whether the engine would treat the value as true.
fn has_content(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}
