//! Whatever a listener keeps: forms, multipart, JSON, XML and queries, by the presets for platforms and for anything.
#![no_main]

#[path = "../properties/sync_decode.rs"]
mod properties;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| properties::hold(input));
