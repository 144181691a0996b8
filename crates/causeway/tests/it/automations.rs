//! Automations of a whole hub, from its configuration to what web hooks get, on a clock that stands still until the test
//! moves it.

mod answers;
mod clocked;
mod refusals;
mod scores;
mod steps;
pub mod world;
