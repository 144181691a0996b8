//! The platform's message, all groups of it, sent by other people's programs: what the hub knows afterwards is what they
//! meant, value by value.

mod command;
mod mautic;
mod meant;
mod scripts;
