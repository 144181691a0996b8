//! The rules of Causeway: what a message means, what it changes, what must be sent, and when to retry.
//!
//! Invariant: this crate does no I/O, reads no clock and draws no random number. Bytes, times and random
//! values are arguments. Three traits lead to the outside: [`source::Source`], [`destination::Destination`]
//! and [`store::Store`].
//!
//! The way of a message: [`envelope`] → [`decode`] → [`event`] → [`plan`] (with [`contact`], [`consent`],
//! [`rules`]) → [`delivery`] → [`destination`].

pub mod address;
pub mod after_erasure;
pub mod automation;
pub mod charset;
pub mod clock;
pub mod consent;
pub mod contact;
pub mod dates;
pub mod decode;
pub mod delivery;
pub mod delivery_kind;
pub mod destination;
pub mod encode;
pub mod envelope;
pub mod event;
pub mod explain;
pub mod form;
pub mod id;
pub mod identity;
pub mod keystore;
pub mod lead;
pub mod mapping;
pub mod millis;
pub mod nearest;
pub mod outcome;
pub mod path;
pub mod php_date;
pub mod plan;
pub mod record;
pub mod response;
pub mod retry;
pub mod rules;
pub mod search;
pub mod secret;
pub mod shared_address;
pub mod shortcode;
pub mod source;
pub mod store;
pub mod xml;
