//! Tests of what several decoders have in common.

mod clearing;
mod twice;
