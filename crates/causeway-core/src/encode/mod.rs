//! Prints records in other systems' formats, one module for each format. [`crate::decode`] reads such
//! formats.

pub mod sync;
