//! Lanes on a clock that only the test moves, with a real store and a scripted destination.

mod ends;
mod order;
mod pace;
mod rig;
