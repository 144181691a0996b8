//! A cache of the values at paths, for the many conditions that read the same ones.

use std::cell::OnceCell;

use super::Seen;
use crate::mapping::{
    route::Route,
    scope::{Found, Scope},
};

/// The input of a condition: a scope, and the known values at the paths of many conditions.
#[derive(Clone, Copy)]
pub(in crate::mapping) struct Glance<'a> {
    pub scope: &'a Scope,
    pub held: &'a [OnceCell<Held>],
    /// For each path of the condition, in the order of its text, the position in `held`.
    pub numbers: &'a [usize],
}

/// The value found at the end of a path. It is valid while nothing changes.
#[derive(Debug)]
pub(crate) struct Held(HeldValue);

#[derive(Debug)]
pub(super) enum HeldValue {
    Missing,
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    /// Not cached: looked up each time.
    Other,
}

impl Held {
    fn of(found: Option<&Found<'_>>) -> Self {
        Self(match found {
            None => HeldValue::Missing,
            Some(Found::Null) => HeldValue::Null,
            Some(Found::Bool(yes)) => HeldValue::Bool(*yes),
            Some(Found::Int(number)) => HeldValue::Int(*number),
            Some(Found::Text(text)) => HeldValue::Text((*text).to_owned()),
            Some(Found::Made(text)) => HeldValue::Text(text.clone()),
            Some(Found::Json(_) | Found::Part(_)) => HeldValue::Other,
        })
    }
}

impl<'a> Glance<'a> {
    /// `None` if the path is not one of the cached ones.
    pub(super) fn held_value(self, route: &Route) -> Option<&'a HeldValue> {
        let number = self.numbers.get(route.number?)?;
        let cell = self.held.get(*number)?;
        Some(&cell.get_or_init(|| Held::of(self.scope.follow(route).as_ref())).0)
    }

    /// `None` if the path leads nowhere.
    pub(super) fn see(self, route: &Route) -> Option<Seen<'a>> {
        Some(match self.held_value(route) {
            Some(HeldValue::Missing) => return None,
            Some(HeldValue::Null) => Seen::Null,
            Some(HeldValue::Bool(yes)) => Seen::Bool(*yes),
            Some(HeldValue::Int(number)) => Seen::Int(*number),
            Some(HeldValue::Text(text)) => Seen::Text(text.as_str().into()),
            Some(HeldValue::Other) | None => self.scope.follow(route)?.into(),
        })
    }
}
