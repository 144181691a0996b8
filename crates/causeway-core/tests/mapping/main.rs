//! Mappings, tried with whatever text comes.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod corpus;
