//! Conditions out of words that matter: with and without the engine they hold alike.
#![no_main]

#[path = "../properties/condition.rs"]
mod properties;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| properties::hold(input));
