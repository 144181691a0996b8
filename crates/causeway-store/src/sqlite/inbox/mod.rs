//! Messages: accepting them, recognising duplicates, and processing them into events and what follows.

pub(crate) mod accept;
pub(crate) mod decide;
pub(crate) mod event;
pub(crate) mod explained;
pub(crate) mod facts;
pub(crate) mod follow;
pub(crate) mod imports;
pub(crate) mod pages;
pub(crate) mod parts;
pub(crate) mod process;
pub(crate) mod progress;
pub(crate) mod repeats;
pub(crate) mod served;
pub(crate) mod unlisted;
pub(crate) mod unread;
pub(crate) mod urls;
