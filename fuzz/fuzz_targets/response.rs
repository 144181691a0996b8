//! Whatever a destination answers: what is taken over is of the sort that was asked for, and is taken over once.
#![no_main]

#[path = "../properties/response.rs"]
mod properties;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| properties::hold(input));
