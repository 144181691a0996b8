//! Whatever bytes come: the form parser keeps its limits and never panics, and what it read can be printed
//! and read again.
#![no_main]

#[path = "../properties/form_parse.rs"]
mod properties;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| properties::hold(input));
