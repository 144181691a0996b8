//! The one integration test program. Each file is one subject; add its `mod` line in alphabetical order.

#![expect(clippy::expect_used, reason = "a failed expectation is a failed test")]

mod direction;
mod rig;
