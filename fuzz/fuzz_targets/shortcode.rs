//! Whatever template and value come: nothing panics, and a value is never read as a template.
#![no_main]

#[path = "../properties/shortcode.rs"]
mod properties;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| properties::hold(input));
