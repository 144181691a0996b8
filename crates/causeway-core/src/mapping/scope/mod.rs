//! The scope of an expression: a record by the names of its parts. Values are built only on demand.

use std::sync::Arc;

use serde_json::Value;

use super::names::{self, Object};
use crate::{
    consent::ConsentState,
    contact::{Contact, Identity, TAG},
    event::{Engagement, EngagementKind},
    record::Record,
};

mod contact;
mod whole;

/// A record, and other names that its expressions may use. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Scope(Arc<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    record: Arc<Record>,
    extra: Vec<(String, Value)>,
}

/// The value of a name. It is borrowed if possible, because most values are only compared.
#[derive(Debug, Clone)]
pub(super) enum Found<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Text(&'a str),
    Made(String),
    Json(&'a Value),
    /// An object of ours, whose members are looked up one by one.
    Part(Part),
}

/// An object or a list of ours.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Root,
    Contact,
    Ids,
    /// The contact's list fields.
    Fields,
    Consent,
    ConsentState(ConsentState),
    Action,
    ActionFields,
    Donation,
    Tracking,
    Campaign,
    Page,
    Organisation,
    Engagement,
    Engagements(EngagementKind),
    Lead,
    Settings,
    /// The contact's tags or lists, by the prefix of their fields.
    Members(&'static str),
}

impl Scope {
    pub fn of(record: Arc<Record>) -> Self {
        Self(Arc::new(Inner {
            record,
            extra: Vec::new(),
        }))
    }

    pub fn new(record: &Record) -> Self {
        Self::of(Arc::new(record.clone()))
    }

    /// Adds a name, which wins over the record's.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        let extra = &mut Arc::make_mut(&mut self.0).extra;
        extra.retain(|(known, _)| known != name);
        extra.push((name.to_owned(), value));
        self
    }

    /// Adds to a list that was named by [`Scope::with`].
    pub(crate) fn extend(&mut self, name: &str, more: impl IntoIterator<Item = Value>) {
        let extra = &mut Arc::make_mut(&mut self.0).extra;
        let known = extra.iter_mut().find(|(known, _)| known == name);
        if let Some((_, Value::Array(items))) = known {
            items.extend(more);
        }
    }

    /// Copies the record only if somebody else holds it.
    pub(crate) fn record_mut(&mut self) -> &mut Record {
        Arc::make_mut(&mut Arc::make_mut(&mut self.0).record)
    }

    /// Takes the contact out of the record.
    pub(crate) fn into_contact(mut self) -> Contact {
        std::mem::take(&mut self.record_mut().contact)
    }

    pub fn record(&self) -> &Record {
        &self.0.record
    }

    /// The value at a path; `None` if a name is missing, or if the value cannot be written as JSON.
    pub fn value(&self, path: &super::Path) -> Option<Value> {
        let found = self.find(path.steps.iter().map(String::as_str))?;
        super::view::json_of_found(self, found).ok()
    }

    /// The value at a path; `None` if a name is missing.
    pub(super) fn find<'a, 's>(&'a self, path: impl IntoIterator<Item = &'s str>) -> Option<Found<'a>> {
        path.into_iter()
            .try_fold(Found::Part(Part::Root), |at, name| self.inside(&at, name))
    }

    /// Goes one step further.
    pub(super) fn inside<'a>(&'a self, at: &Found<'a>, name: &str) -> Option<Found<'a>> {
        match at {
            Found::Part(part) => self.member(part, name),
            Found::Json(Value::Object(members)) => members.get(name).map(scalar),
            _ => None,
        }
    }

    /// Whether a name was added that wins over the record's.
    pub(super) fn has_own(&self, name: &str) -> bool {
        self.0.extra.iter().any(|(known, _)| known == name)
    }

    /// A member of one of our objects. `None` means that the member is missing, which is an error. A member
    /// that such a record may have, but this one lacks, is null.
    pub(super) fn member(&self, part: &Part, name: &str) -> Option<Found<'_>> {
        let record = &*self.0.record;
        let found = match part {
            Part::Root => return self.root(name),
            Part::Contact => return self.contact(name),
            Part::Ids => {
                // If there are several, the last one is the id from the message.
                let id = record
                    .identities
                    .iter()
                    .rev()
                    .find_map(|identity| match identity {
                        Identity::ForeignId { namespace, id } if &**namespace == name => Some(id),
                        _ => None,
                    });
                id.map_or(Found::Null, |id| Found::Text(id))
            }
            Part::Fields => return self.list_field(name),
            Part::Consent => Found::Part(Part::ConsentState(record.consent_state_for(name))),
            Part::ConsentState(consent_state) => match name {
                "state" => Found::Text(consent_state.as_str()),
                "subscribed" => Found::Bool(consent_state.is_subscribed()),
                "since" => consent_state
                    .since()
                    .map_or(Found::Null, |since| Found::Made(since.to_string())),
                "why" => match consent_state {
                    ConsentState::Suppressed { why, .. } => Found::Text(why.as_str()),
                    _ => Found::Null,
                },
                _ => return None,
            },
            Part::Action => return self.action(name),
            Part::ActionFields => {
                let fields = record.action.as_ref().map(|action| &action.custom_fields);
                match fields.and_then(|fields| fields.get(name)) {
                    Some(value) => scalar(value),
                    None if fields.is_none() || self.is_lenient() => Found::Null,
                    None => return None,
                }
            }
            Part::Donation => {
                return inside(self.donation(), name, Object::Donation.canonical(name));
            }
            Part::Tracking => {
                return self.tracked(name, Object::Tracking.canonical(name));
            }
            Part::Campaign => return self.campaign(name),
            Part::Page => return self.page(name),
            Part::Organisation => return self.organisation(name),
            Part::Engagement => Found::Part(Part::Engagements(names::engagement_kind(name)?)),
            Part::Lead => match name {
                "score" => record.lead.score.as_ref().map_or(Found::Null, scalar),
                "status" => record.lead.status.as_deref().map_or(Found::Null, Found::Text),
                _ => return None,
            },
            Part::Settings => return record.settings.get(name).map(scalar),
            Part::Engagements(_) | Part::Members(_) => return None,
        };
        Some(found)
    }

    fn root(&self, name: &str) -> Option<Found<'_>> {
        if let Some((_, value)) = self.0.extra.iter().find(|(known, _)| known == name) {
            return Some(scalar(value));
        }
        let record = &*self.0.record;
        Some(match name {
            "contact" => Found::Part(Part::Contact),
            "fields" => Found::Part(Part::Fields),
            "consent" => Found::Part(Part::Consent),
            "action" => Found::Part(Part::Action),
            "campaign" => Found::Part(Part::Campaign),
            "page" => Found::Part(Part::Page),
            "organisation" => Found::Part(Part::Organisation),
            "tracking" => Found::Part(Part::Tracking),
            "engagement" => Found::Part(Part::Engagement),
            "lead" => Found::Part(Part::Lead),
            "settings" => Found::Part(Part::Settings),
            "change" => Found::Text(record.change.as_str()),
            "event" => Found::Text(&record.event),
            "at" => Found::Made(record.event_at.to_string()),
            "source" => Found::Text(&record.source),
            "workspace" => Found::Text(&record.workspace),
            "reference" => Found::Made(record.inbox_id.to_string()),
            "type" => Found::Text(record.kind.as_str()),
            _ => return None,
        })
    }

    fn campaign(&self, name: &str) -> Option<Found<'_>> {
        let name = Object::Campaign.canonical(name)?;
        let Some(campaign) = &self.record().campaign else {
            return Some(Found::Null);
        };
        Some(match name {
            "id" => Found::Text(&campaign.external_id),
            "name" => Found::Text(&campaign.name),
            "title" => text(campaign.title.as_deref()),
            _ => campaign.crm_id.map_or(Found::Null, Found::Int),
        })
    }

    fn page(&self, name: &str) -> Option<Found<'_>> {
        let name = Object::Page.canonical(name)?;
        if name == "organisation" {
            return Some(Found::Part(Part::Organisation));
        }
        let Some(page) = &self.record().page else {
            return Some(Found::Null);
        };
        Some(match name {
            "id" => Found::Text(&page.external_id),
            "name" => text(page.name.as_deref()),
            _ => text(page.locale.as_deref()),
        })
    }

    fn organisation(&self, name: &str) -> Option<Found<'_>> {
        let name = Object::Organisation.canonical(name)?;
        let page = self.record().page.as_ref();
        let Some(org) = page.and_then(|page| page.org.as_ref()) else {
            return Some(Found::Null);
        };
        Some(match name {
            "id" => Found::Text(&org.external_id),
            "name" => text(org.name.as_deref()),
            _ => text(org.title.as_deref()),
        })
    }

    fn action(&self, name: &str) -> Option<Found<'_>> {
        let name = Object::Action.canonical(name)?;
        match name {
            "fields" => return Some(Found::Part(Part::ActionFields)),
            "donation" => return Some(Found::Part(Part::Donation)),
            "tracking" => return Some(Found::Part(Part::Tracking)),
            _ => {}
        }
        let Some(action) = &self.record().action else {
            return Some(Found::Null);
        };
        Some(match name {
            "id" => Found::Text(&action.external_id),
            "type" => Found::Text(&action.action_type),
            "createdAt" => Found::Made(action.created_at.to_string()),
            "withConsent" => Found::Bool(action.with_consent),
            "dupeRank" => action.dupe_rank.map_or(Found::Null, Found::Int),
            _ => Found::Bool(action.testing),
        })
    }

    fn donation(&self) -> Option<&Value> {
        self.record().action.as_ref()?.donation.as_ref()
    }

    fn tracking(&self) -> Option<&Value> {
        self.record().action.as_ref()?.tracking.as_ref()
    }

    /// A member of the tracking data, by its name or by our spelling of it.
    pub(super) fn tracked(&self, name: &str, usual: Option<&str>) -> Option<Found<'_>> {
        inside(self.tracking(), name, usual)
    }

    /// Whether missing names give null: a withdrawal must be sent even if the record lacks what a mapping
    /// reads.
    fn is_lenient(&self) -> bool {
        self.record().is_withdrawal()
    }

    pub(super) fn engagements(&self, kind: EngagementKind) -> impl Iterator<Item = &Engagement> {
        let record = self.record();
        let all = record.engagements.iter().filter(move |row| row.kind == kind);
        all.filter(move |row| kind != EngagementKind::LeadScore || record.lead.owns(row))
    }

    /// The tags or lists that the contact has.
    pub(super) fn members(&self, prefix: &'static str) -> Box<dyn Iterator<Item = &str> + '_> {
        if prefix == TAG {
            Box::new(self.record().contact.tags())
        } else {
            Box::new(self.record().contact.lists())
        }
    }

    pub(super) fn has_member(&self, prefix: &'static str, name: &str) -> bool {
        let field = self.record().contact.fields.get(&format!("{prefix}{name}"));
        field.is_some_and(|field| field.value == Value::Bool(true))
    }
}

/// One row of the history, as mappings see it.
pub(super) fn engagement_json(engagement: &Engagement) -> Value {
    serde_json::json!({
        "name": engagement.name,
        "key": engagement.key,
        "at": engagement.at.map(|at| at.to_string()).or_else(|| engagement.raw_at.clone()),
        "count": engagement.count,
        "score": engagement.score,
    })
}

fn text(text: Option<&str>) -> Found<'_> {
    text.map_or(Found::Null, Found::Text)
}

pub(super) fn scalar(value: &Value) -> Found<'_> {
    match value {
        Value::Null => Found::Null,
        Value::Bool(yes) => Found::Bool(*yes),
        Value::String(text) => Found::Text(text),
        Value::Number(number) => number.as_i64().map_or(Found::Json(value), Found::Int),
        Value::Array(_) | Value::Object(_) => Found::Json(value),
    }
}

/// A member of an object that is kept as it came. `usual` is our spelling of its name, if there is one.
fn inside<'a>(value: Option<&'a Value>, name: &str, usual: Option<&str>) -> Option<Found<'a>> {
    let member = |name: &str| value.and_then(|value| value.get(name)).map(scalar);
    member(name)
        .or_else(|| member(usual?))
        .or_else(|| (usual.is_some() || value.is_none()).then_some(Found::Null))
}
