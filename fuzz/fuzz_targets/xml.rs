//! Whatever somebody calls XML: it is read within its limits or refused, and what was read can be written and read again.
#![no_main]

#[path = "../properties/xml.rs"]
mod properties;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| properties::hold(input));
