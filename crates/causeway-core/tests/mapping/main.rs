//! Tests of mappings with arbitrary texts.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod corpus;
