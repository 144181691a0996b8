//! Whatever bytes come: the Proca decoder ends in an event, a skip or a reason, and never panics.
#![no_main]

#[path = "../properties/proca_decode.rs"]
mod properties;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| properties::hold(body));
