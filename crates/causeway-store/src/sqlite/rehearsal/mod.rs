//! Processing that leaves nothing behind: `preview`, `test` and trials of a configuration.

pub(crate) mod rehearse;
pub(crate) mod trial;
