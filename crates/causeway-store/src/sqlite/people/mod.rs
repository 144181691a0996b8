//! Contacts: who a message is about, whom a mailbox belongs to, merges and their undoing, erasure.

pub(crate) mod after_erasure;
pub(crate) mod contact;
pub(crate) mod erase;
pub(crate) mod erased_user;
pub(crate) mod erasure;
pub(crate) mod identity;
pub(crate) mod person;
pub(crate) mod seen;
pub(crate) mod shared;
pub(crate) mod split;
pub(crate) mod unclear;
