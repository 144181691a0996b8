//! Mappings: which part of a record goes where, and under which condition. Expressions and templates use the
//! language of MiniJinja with strict names, without I/O, and with limits on steps and size.
//!
//! [`Expression`] gives a typed value, [`Template`] a text, and [`Mapping`] a value for each name at the
//! destination. All read a [`Scope`], which looks values up in a record on demand.

mod check;
mod error;
mod expression;
mod filters;
mod lexer;
pub mod limit;
mod lookup;
mod names;
pub mod omission;
mod order;
mod rewrite;
mod risk;
mod route;
mod scope;
mod several;
mod simple;
mod term;
#[cfg(test)]
mod tests;
mod view;

pub use error::MappingError;
pub use expression::{Expression, Template};
pub use lookup::Tables;
pub use names::{Path, ROOTS};
pub(crate) use route::Route;
pub use scope::Scope;
pub(crate) use simple::Held;
pub use term::{ConsentShown, Mapping, Term};
