//! Which part of a record goes where, and on which condition: expressions and templates in the language of MiniJinja,
//! strict, without I/O, with an end to their steps and their size.
//!
//! [`Expression`] gives a typed value, [`Template`] a text, [`Mapping`] a value for each name at the destination. All
//! read a [`Scope`], which looks values up in a record on demand.

mod check;
mod error;
mod expression;
mod filters;
mod lexer;
pub mod limit;
mod lookup;
mod names;
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
pub use term::{Mapping, Tells, Term};
