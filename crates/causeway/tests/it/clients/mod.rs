//! The platform's message with all its groups, sent by common HTTP clients: afterwards the hub has every value unchanged.

mod command;
mod mautic;
mod meant;
mod scripts;
