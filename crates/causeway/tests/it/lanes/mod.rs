//! Lanes on a clock that stands still until the test moves it, with a real store and a destination that plays a part.

mod ends;
mod order;
mod pace;
mod rig;
