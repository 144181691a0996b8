//! The form encoding that PHP reads and writes: `contact[email]=…&fields[0][name]=…`.
//!
//! [`parse`] returns what PHP's `$_POST` would contain, and [`emit`] what its `http_build_query` would print.
//! `tests/php.rs` checks both against a real PHP. No I/O, and no knowledge of what the fields mean.

mod emit;
mod json;
mod parse;
mod percent;
mod value;

#[cfg(test)]
mod tests;

pub use emit::{EmitError, EmitOptions, EmptyGroups, Space, emit, emit_what_fits};
pub(crate) use json::array_to_json_with;
pub use json::{array_from_json, array_to_json, from_json, to_json};
pub use parse::{Builder, FormError, Mode, Parsed, Report, parse};
pub use percent::append_pair;
pub use value::{Array, Key, Value};
