//! Deliveries: planning, claiming and recording them, and what each destination was given.

mod backfill;
pub(crate) mod build;
pub(crate) mod claim;
pub(crate) mod commands;
mod credential;
pub(crate) mod delivery;
pub(crate) mod destinations;
pub(crate) mod given;
pub(crate) mod memory;
pub(crate) mod preview;
pub(crate) mod received;
pub(crate) mod recent;
pub(crate) mod record;
pub(crate) mod replan;
