//! Writes JSON values as XML and reads them back: an element for each member, an `<item>` for each value of a
//! list.
//!
//! A member whose name is not valid in XML, or is one of the two reserved here, becomes `<entry name="…">`.
//! Document types and entities are not read, so a text can neither reach outside itself nor grow while it is
//! read.

mod read;
mod write;

#[cfg(test)]
mod tests;

pub use read::{XmlError, declaration, read};
pub use write::write;

const ITEM: &str = "item";
const ENTRY: &str = "entry";
