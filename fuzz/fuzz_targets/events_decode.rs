//! Whatever is posted to the events address: what its sender was told is what is decided later.
#![no_main]

#[path = "../properties/events_decode.rs"]
mod properties;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| properties::hold(input));
