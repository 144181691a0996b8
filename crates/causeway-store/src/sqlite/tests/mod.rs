//! Tests that need a look into the store. Everything else is in the store contract of `causeway-testkit`.

mod broken;
mod claims;
mod failures;
mod plans;
