//! Automations of a whole hub, from the configuration to the requests of web hooks, on a clock that only the test moves.

mod answers;
mod clocked;
mod refusals;
mod scores;
mod steps;
pub mod world;
