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
pub(crate) struct Held(Kept);

#[derive(Debug)]
pub(super) enum Kept {
    Lost,
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
            None => Kept::Lost,
            Some(Found::Null) => Kept::Null,
            Some(Found::Bool(yes)) => Kept::Bool(*yes),
            Some(Found::Int(number)) => Kept::Int(*number),
            Some(Found::Text(text)) => Kept::Text((*text).to_owned()),
            Some(Found::Made(text)) => Kept::Text(text.clone()),
            Some(Found::Json(_) | Found::Part(_)) => Kept::Other,
        })
    }
}

impl<'a> Glance<'a> {
    /// `None` if the path is not one of the cached ones.
    pub(super) fn kept(self, route: &Route) -> Option<&'a Kept> {
        let number = self.numbers.get(route.number?)?;
        let cell = self.held.get(*number)?;
        Some(&cell.get_or_init(|| Held::of(self.scope.follow(route).as_ref())).0)
    }

    /// `None` if the path leads nowhere.
    pub(super) fn see(self, route: &Route) -> Option<Seen<'a>> {
        Some(match self.kept(route) {
            Some(Kept::Lost) => return None,
            Some(Kept::Null) => Seen::Null,
            Some(Kept::Bool(yes)) => Seen::Bool(*yes),
            Some(Kept::Int(number)) => Seen::Int(*number),
            Some(Kept::Text(text)) => Seen::Text(text.as_str().into()),
            Some(Kept::Other) | None => self.scope.follow(route)?.into(),
        })
    }
}
