//! Whatever pattern for a date: it is printed, and what platforms print is read back.
#![no_main]

#[path = "../properties/php_date.rs"]
mod properties;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| properties::hold(input));
