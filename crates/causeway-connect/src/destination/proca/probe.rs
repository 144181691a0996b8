//! Proves that Proca's links are at the address, without changing anything.

use reqwest::Method;

use super::{answer, config::Settings, request::link};
use crate::{connector::Probe, http::Answer};

/// Asks for an action that cannot exist: Proca counts from 1, and names each person by 43 characters.
pub(super) fn probe(settings: &Settings) -> Probe {
    Probe {
        request: link(settings, Method::POST, &["link", "s", "0", "accept", "AAAA"]),
        judge: Box::new(|answer: &Answer| {
            if answer::is_unknown_link(answer) {
                return Ok(Vec::new());
            }
            Err(format!(
                "answered {}, and not as Proca does: check `base_url`",
                answer.status
            ))
        }),
    }
}
