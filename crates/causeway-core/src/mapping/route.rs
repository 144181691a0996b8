//! Prepared paths. What follows from the text alone is computed once, because paths are looked up for each
//! message.

use std::sync::OnceLock;

use serde_json::Value;

use super::{
    check,
    names::{Object, Path},
    scope::{Found, Part, Scope},
    view::json_of_found,
};
use crate::{
    contact::{LIST, TAG, is_internal},
    id::Name,
};

/// A path of an expression, prepared for look-ups.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Route {
    pub(super) steps: Vec<String>,
    /// The byte of the text at which it starts.
    pub(super) from: usize,
    /// Its position among the paths of the text.
    pub(super) number: Option<usize>,
    /// The error text for a missing last step, with its prefix.
    lost: OnceLock<(&'static str, Name)>,
    way: Way,
    /// How many steps `way` covers.
    gone: usize,
}

/// The first steps of the most common paths in conditions.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// Follow the path step by step.
    Walk,
    /// A field of the contact, and our spelling of its name.
    Field(Option<&'static str>),
    Members(&'static str),
    CampaignName,
    ActionType,
    ActionField,
    /// A member of the tracking data, and our spelling of its name.
    Tracking(Option<&'static str>),
    Subscribed,
}

impl Route {
    pub(super) fn new(steps: Vec<String>, from: usize, number: Option<usize>) -> Self {
        let words: Vec<&str> = steps.iter().map(String::as_str).collect();
        let action = |name: &str| Object::Action.canonical(name);
        let (way, gone) = match words.as_slice() {
            ["contact", "tags", ..] => (Way::Members(TAG), 2),
            ["contact", "lists", ..] => (Way::Members(LIST), 2),
            ["contact", "email" | "ids" | "contactRef" | "contact_ref", ..] => (Way::Walk, 0),
            ["contact", name, ..] if !is_internal(name) => (Way::Field(Object::Contact.canonical(name)), 2),
            ["campaign", "name", ..] => (Way::CampaignName, 2),
            ["action", "type", ..] => (Way::ActionType, 2),
            ["action", fields, _, ..] if action(fields) == Some("fields") => (Way::ActionField, 3),
            ["action", tracking, name, ..] if action(tracking) == Some("tracking") => {
                (Way::Tracking(Object::Tracking.canonical(name)), 3)
            }
            ["tracking", name, ..] => (Way::Tracking(Object::Tracking.canonical(name)), 2),
            ["consent", _, "subscribed", ..] => (Way::Subscribed, 3),
            _ => (Way::Walk, 0),
        };
        Self {
            steps,
            from,
            number,
            lost: OnceLock::new(),
            way,
            gone,
        }
    }

    /// The error text for a path that leads nowhere, with `first` as its prefix. It is made once, because it
    /// is the same for most messages.
    pub(super) fn lost(&self, first: &'static str, text: &str, scope: &Scope) -> Name {
        let say = || Name::from(format!("{first}{}", check::leads_nowhere(text, self, scope)));
        let parents = self.steps.split_last().map_or(&[][..], |(_, parents)| parents);
        if scope.find(parents.iter().map(String::as_str)).is_none() {
            return say();
        }
        match self.lost.get_or_init(|| (first, say())) {
            (known, made) if *known == first => made.clone(),
            _ => say(),
        }
    }

    fn step(&self, number: usize) -> Option<&str> {
        self.steps.get(number).map(String::as_str)
    }

    /// The last of the steps that [`Way`] covers.
    fn name(&self) -> Option<&str> {
        self.step(self.gone.checked_sub(1)?)
    }
}

impl Path {
    pub(crate) fn route(&self) -> Route {
        Route::new(self.steps.clone(), self.from, None)
    }
}

impl Scope {
    /// As [`Scope::value`].
    pub(crate) fn value_at(&self, route: &Route) -> Option<Value> {
        json_of_found(self, self.follow(route)?).ok()
    }

    /// As [`Scope::find`].
    pub(super) fn follow<'a>(&'a self, route: &Route) -> Option<Found<'a>> {
        let root = route.step(0)?;
        if route.gone == 0 || self.has_own(root) {
            return self.find(route.steps.iter().map(String::as_str));
        }
        let name = route.name()?;
        let found = match route.way {
            Way::Walk => None,
            Way::Field(usual) => self.contact_field(name, usual),
            Way::Members(prefix) => Some(self.memberships(name, prefix)),
            Way::CampaignName => Some(match &self.record().campaign {
                Some(campaign) => Found::Text(&campaign.name),
                None => Found::Null,
            }),
            Way::ActionType => Some(match &self.record().action {
                Some(action) => Found::Text(&action.action_type),
                None => Found::Null,
            }),
            Way::ActionField => self.member(&Part::ActionFields, name),
            Way::Tracking(usual) => self.tracked(name, usual),
            Way::Subscribed => {
                let consent_state = self.record().consent_state_for(route.step(1)?);
                Some(Found::Bool(consent_state.is_subscribed()))
            }
        };
        let rest = route.steps.get(route.gone..).unwrap_or_default();
        rest.iter().try_fold(found?, |at, name| self.inside(&at, name))
    }
}
