//! Whatever text comes: it is read as a configuration or refused with reasons, and nothing panics.
#![no_main]

#[path = "../properties/config.rs"]
mod properties;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| properties::hold(text));
