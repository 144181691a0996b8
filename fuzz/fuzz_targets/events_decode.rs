//! Any bytes posted to the events address: the answer at once agrees with the later decoding.
#![no_main]

#[path = "../properties/events_decode.rs"]
mod properties;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| properties::hold(input));
