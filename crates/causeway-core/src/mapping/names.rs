//! The names that a record may have, and errors about names that no record has.

use std::fmt;

use super::{ConsentShown, MappingError, scope::Part};
use crate::{
    decode::names::field_name,
    event::EngagementKind,
    mapping::omission::{Person, Reads},
    nearest::nearest,
};

/// The first words of paths.
pub const ROOTS: [&str; 18] = [
    "contact",
    "fields",
    "consent",
    "action",
    "campaign",
    "page",
    "organisation",
    "tracking",
    "engagement",
    "lead",
    "settings",
    "change",
    "event",
    "at",
    "source",
    "workspace",
    "reference",
    "type",
];

/// An object with members that are known in advance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Object {
    Contact,
    Action,
    Donation,
    Tracking,
    Campaign,
    Page,
    Organisation,
}

const CONSENT_STATE: [&str; 4] = ["state", "subscribed", "since", "why"];
const ROW: [&str; 5] = ["name", "key", "at", "count", "score"];
const LEAD: [&str; 2] = ["score", "status"];

/// The lists of the history, and their kinds of engagement.
pub(super) const ENGAGEMENTS: [(&str, EngagementKind); 8] = [
    ("opens", EngagementKind::EmailOpen),
    ("clicks", EngagementKind::LinkClick),
    ("visits", EngagementKind::PageVisit),
    ("goals", EngagementKind::Goal),
    ("popups", EngagementKind::Popup),
    ("automations", EngagementKind::Automation),
    ("scores", EngagementKind::LeadScore),
    ("custom", EngagementKind::Custom),
];

pub(super) fn engagement_kind(name: &str) -> Option<EngagementKind> {
    let (_, kind) = ENGAGEMENTS.iter().find(|(known, _)| *known == name)?;
    Some(*kind)
}

impl Object {
    fn members(self) -> &'static [&'static str] {
        match self {
            Self::Contact => &[
                "email",
                "firstName",
                "lastName",
                "phone",
                "country",
                "postcode",
                "area",
                "region",
                "locality",
                "street",
                "streetNumber",
                "birthDate",
                "nationality",
                "contactRef",
                "tags",
                "lists",
                "ids",
                "profile_url",
                "lead_score",
                "lead_status",
            ],
            Self::Action => &[
                "id",
                "type",
                "createdAt",
                "withConsent",
                "testing",
                "dupeRank",
                "fields",
                "donation",
                "tracking",
            ],
            Self::Donation => &["amount", "currency", "frequencyUnit", "payload"],
            Self::Tracking => &["source", "medium", "campaign", "content", "location"],
            Self::Campaign => &["id", "name", "title", "externalId"],
            Self::Page => &["id", "name", "locale", "organisation"],
            Self::Organisation => &["id", "name", "title"],
        }
    }

    /// Our spelling of a name: `first_name` gives `firstName`, and `profileUrl` gives `profile_url`.
    pub(super) fn canonical(self, name: &str) -> Option<&'static str> {
        let members = self.members();
        let exact = members.iter().find(|known| **known == name);
        exact
            .or_else(|| members.iter().find(|known| is_same(known, name)))
            .copied()
    }
}

/// Whether two names differ only in using capitals or underscores.
fn is_same(known: &str, name: &str) -> bool {
    fn snake(name: &str) -> impl Iterator<Item = char> {
        name.chars().flat_map(|c| {
            let line = c.is_ascii_uppercase().then_some('_');
            line.into_iter().chain([c.to_ascii_lowercase()])
        })
    }
    known.len().abs_diff(name.len()) <= 2 && snake(known).eq(snake(name))
}

/// The members that are known in advance.
pub(super) fn members(part: &Part) -> Box<dyn Iterator<Item = &'static str>> {
    let known: &'static [&'static str] = match part {
        Part::Root => &ROOTS,
        Part::Contact => Object::Contact.members(),
        Part::Action => Object::Action.members(),
        Part::Donation => Object::Donation.members(),
        Part::Tracking => Object::Tracking.members(),
        Part::Campaign => Object::Campaign.members(),
        Part::Page => Object::Page.members(),
        Part::Organisation => Object::Organisation.members(),
        Part::ConsentState(_) => &CONSENT_STATE,
        Part::Lead => &LEAD,
        Part::Engagement => return Box::new(ENGAGEMENTS.iter().map(|(name, _)| *name)),
        _ => &[],
    };
    Box::new(known.iter().copied())
}

/// A path that an expression names: `contact.email`, `action.fields["Favourite colour"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    pub steps: Vec<String>,
    /// The byte range of the path in the text.
    pub(super) from: usize,
    pub(super) to: usize,
    /// Whether a step follows that only a record determines: `contact[settings.field]`.
    pub(super) goes_on: bool,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write(&self.steps))
    }
}

/// The path as it would be written.
pub(super) fn write(steps: &[String]) -> String {
    let mut out = String::new();
    for step in steps {
        let is_word = step.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match (is_word && !step.is_empty(), out.is_empty()) {
            (true, true) => out.push_str(step),
            (true, false) => {
                out.push('.');
                out.push_str(step);
            }
            (false, _) => out.extend(["[", &format!("{step:?}"), "]"]),
        }
    }
    out
}

impl Path {
    /// Whether it reads engagements, which a record contains only on demand.
    pub fn needs_history(&self) -> bool {
        self.steps.first().is_some_and(|root| root == "engagement")
    }

    /// The data that a value made from this path depends on.
    pub fn reads(&self) -> Reads {
        let steps: Vec<&str> = self.steps.iter().map(String::as_str).collect();
        match *steps.as_slice() {
            ["change" | "type", ..] => Reads::of_consent(ConsentShown::All),
            ["consent"] if !self.goes_on => Reads::of_consent(ConsentShown::All),
            ["consent", purpose] if !self.goes_on => Reads::of_consent(ConsentShown::of(purpose)),
            ["consent", purpose, "state" | "subscribed", ..] => Reads::of_consent(ConsentShown::of(purpose)),
            ["contact"] if !self.goes_on => Reads::of_person(Person::Identity),
            ["contact", "email" | "ids" | "contactRef" | "contact_ref", ..] => {
                Reads::of_person(Person::Identity)
            }
            ["contact" | "fields", ..] => Reads::of_person(Person::Data),
            _ => Reads::NOTHING,
        }
    }

    /// Whether its value is entered by people, or left out by them.
    pub(super) fn is_filled_in(&self) -> bool {
        let steps: Vec<&str> = self.steps.iter().map(String::as_str).collect();
        match *steps.as_slice() {
            [
                "contact",
                "email" | "ids" | "contactRef" | "contact_ref" | "tags" | "lists",
                ..,
            ] => false,
            ["contact" | "fields", _, ..] | ["action", "fields", _, ..] => true,
            _ => false,
        }
    }

    /// Whether the path may be missing in records of people who did not fill in the value.
    pub(super) fn may_be_missing(&self) -> bool {
        match self.steps.as_slice() {
            [root, name, ..] if root == "contact" => Object::Contact.canonical(name).is_none(),
            _ => self.is_filled_in(),
        }
    }

    /// Refuses a path that no record has. `extra` are first words that are known in addition.
    pub fn check(&self, extra: &[&str]) -> Result<(), MappingError> {
        let steps: Vec<&str> = self.steps.iter().map(String::as_str).collect();
        let Some((root, rest)) = steps.split_first() else {
            return Ok(());
        };
        if extra.contains(root) {
            return Ok(());
        }
        if !ROOTS.contains(root) {
            let all = ROOTS.iter().chain(extra).copied();
            let hint = match nearest(root, all.clone()) {
                Some(near) => format!("did you mean {}?", self.with(0, near)),
                None => format!(
                    "the names are {}; a fixed text is written =text",
                    all.collect::<Vec<_>>().join(", ")
                ),
            };
            return Err(MappingError::new(format!("there is no name `{root}`")).hint(hint));
        }
        self.closed(root, rest)
    }

    fn closed(&self, root: &str, rest: &[&str]) -> Result<(), MappingError> {
        let check = |at: usize, known: &[&str], is_known: &dyn Fn(&str) -> bool| {
            let Some(name) = rest.get(at) else { return Ok(()) };
            if is_known(name) {
                return Ok(());
            }
            let path = write(self.steps.get(..=at).unwrap_or(&self.steps));
            let hint = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean {}?", self.with(at + 1, near)),
                None if known.is_empty() => format!("`{path}` is a plain value"),
                None => format!("`{path}` has {}", known.join(", ")),
            };
            Err(MappingError::new(format!("`{path}` has no `{name}`")).hint(hint))
        };
        let object =
            |at: usize, object: Object| check(at, object.members(), &|name| object.canonical(name).is_some());
        match (root, rest) {
            ("action", ["fields" | "donation", ..]) => Ok(()),
            ("action", ["tracking", ..]) => {
                object(1, Object::Tracking).and_then(|()| check(2, &[], &|_| false))
            }
            ("tracking", _) => object(0, Object::Tracking).and_then(|()| check(1, &[], &|_| false)),
            ("action", _) => object(0, Object::Action).and_then(|()| check(1, &[], &|_| false)),
            ("campaign", _) => object(0, Object::Campaign).and_then(|()| check(1, &[], &|_| false)),
            ("page", ["organisation", ..]) => object(1, Object::Organisation),
            ("page", _) => object(0, Object::Page).and_then(|()| check(1, &[], &|_| false)),
            ("organisation", _) => object(0, Object::Organisation),
            ("consent", _) => check(1, &CONSENT_STATE, &|name| CONSENT_STATE.contains(&name)),
            ("lead", _) => check(0, &LEAD, &|name| LEAD.contains(&name)),
            ("engagement", _) => {
                let lists: Vec<&str> = ENGAGEMENTS.iter().map(|(name, _)| *name).collect();
                check(0, &lists, &|name| engagement_kind(name).is_some())?;
                check(2, &ROW, &|name| ROW.contains(&name))
            }
            ("change" | "event" | "at" | "source" | "workspace" | "reference" | "type", _) => {
                check(0, &[], &|_| false)
            }
            _ => Ok(()),
        }
    }

    /// A warning about a name that is probably misspelt, although a record could have it.
    pub fn doubt(&self) -> Option<String> {
        let steps: Vec<&str> = self.steps.iter().map(String::as_str).collect();
        let (at, name, object, what) = match *steps.as_slice() {
            ["contact", name, ..] => (1, name, Object::Contact, "field that every contact has"),
            ["action", "donation", name, ..] => (2, name, Object::Donation, "part that every donation has"),
            _ => return None,
        };
        if object.canonical(name).is_some() {
            return None;
        }
        let ours = field_name(name);
        if object == Object::Contact && ours != name {
            let meant = self.with(1, ours);
            return Some(format!("`{self}` is stored as `{meant}`: write that"));
        }
        let near = nearest(name, object.members().iter().copied())?;
        let meant = self.with(at, near);
        Some(format!("`{self}` is not a {what}: did you mean {meant}?"))
    }

    fn with(&self, at: usize, name: &str) -> String {
        let mut steps = self.steps.clone();
        if let Some(step) = steps.get_mut(at) {
            name.clone_into(step);
        }
        write(&steps)
    }
}
