//! What paths led to, kept for the many conditions that look at the same.

use std::cell::OnceCell;

use super::Seen;
use crate::mapping::{
    route::Route,
    scope::{Found, Scope},
};

/// What a condition is asked of: a scope, and what is known already of the paths of many conditions.
#[derive(Clone, Copy)]
pub(in crate::mapping) struct Glance<'a> {
    pub scope: &'a Scope,
    pub held: &'a [OnceCell<Held>],
    /// The numbers in `held` of the paths that the condition names, in the order of its text.
    pub numbers: &'a [usize],
}

/// What was found once at the end of a path, while nothing changes.
#[derive(Debug)]
pub(crate) struct Held(Kept);

#[derive(Debug)]
pub(super) enum Kept {
    Lost,
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    /// Looked up each time.
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
    /// `None` = it is a path of no other condition.
    pub(super) fn kept(self, route: &Route) -> Option<&'a Kept> {
        let number = self.numbers.get(route.number?)?;
        let cell = self.held.get(*number)?;
        Some(&cell.get_or_init(|| Held::of(self.scope.follow(route).as_ref())).0)
    }

    /// `None` = the path leads nowhere.
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
