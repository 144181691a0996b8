//! What runs beside the messages: backup, retention, and the correction of times after a wrong clock.

pub(crate) mod age;
pub(crate) mod backup;
pub(crate) mod prune;
pub(crate) mod redate;
