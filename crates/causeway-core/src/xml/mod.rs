//! JSON values as XML, and XML as JSON values: one element a member, `<item>` for each of a list.
//!
//! A member whose name is no name in XML (or one of the two that mean something here) is `<entry name="…">`. Neither
//! document types nor entities are read, so nothing outside the text can be reached and no text grows on reading.

mod read;
mod write;

#[cfg(test)]
mod tests;

pub use read::{XmlError, declaration, read};
pub use write::write;

const ITEM: &str = "item";
const ENTRY: &str = "entry";
