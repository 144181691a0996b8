//! Records as the formats of others, one module a format. The other way round is [`crate::decode`].

pub mod sync;
