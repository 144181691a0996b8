//! Whatever text comes: it is read as a mapping or refused, and evaluated without a panic and within the limits.
#![no_main]

#[path = "../properties/mapping.rs"]
mod properties;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| properties::hold(text));
