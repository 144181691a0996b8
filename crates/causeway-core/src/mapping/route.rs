//! Paths that are looked up for each message: what can be known of them from the text alone is found out once.

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

/// A path of an expression, ready to be followed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Route {
    pub(super) steps: Vec<String>,
    /// The byte of the text at which it starts.
    pub(super) from: usize,
    /// Which of the paths of its text it is.
    pub(super) number: Option<usize>,
    /// What is said where its last step is not there, and the words in front of it.
    lost: OnceLock<(&'static str, Name)>,
    way: Way,
    /// The number of steps of the path that are resolved.
    gone: usize,
}

/// The first steps of the paths that conditions are mostly made of.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// Step by step.
    Walk,
    /// A field of the contact, and our spelling of its name.
    Field(Option<&'static str>),
    Members(&'static str),
    CampaignName,
    ActionType,
    ActionField,
    /// A member of what was tracked, and our spelling of its name.
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

    /// What is said of it where it leads nowhere, as in the text that it stands in. `first` are the words in front of that. Made
    /// once: of most messages the same is said.
    pub(super) fn lost(&self, first: &'static str, text: &str, scope: &Scope) -> Name {
        let say = || Name::from(format!("{first}{}", check::leads_nowhere(text, self, scope)));
        let parents = self.steps.split_last().map_or(&[][..], |(_, parents)| parents);
        if scope.find(parents.iter().map(String::as_str)).is_none() {
            return say();
        }
        match self.lost.get_or_init(|| (first, say())) {
            (known, said) if *known == first => said.clone(),
            _ => say(),
        }
    }

    fn step(&self, number: usize) -> Option<&str> {
        self.steps.get(number).map(String::as_str)
    }

    /// The name that [`Way`] leads to: the last step that it goes.
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

    /// What [`Scope::find`] finds.
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
                let standing = self.record().standing_for(route.step(1)?);
                Some(Found::Bool(standing.is_subscribed()))
            }
        };
        let rest = route.steps.get(route.gone..).unwrap_or_default();
        rest.iter().try_fold(found?, |at, name| self.inside(&at, name))
    }
}
