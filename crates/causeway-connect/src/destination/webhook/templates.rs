//! Shortcodes in the values of `fields`.

use std::collections::BTreeSet;

use causeway_core::shortcode::{self, Names, Piece, Place};
use serde_json::Value;

use crate::config::ConfigError;

/// The values of `fields` that have shortcodes. To the mapping each is a fixed text that stands for it.
#[derive(Default)]
pub(super) struct Templates(Vec<Vec<Piece>>);

impl Templates {
    /// Puts a stand-in for each into `fields`. Adds a sentence to `warnings` for what looks like an accident.
    pub fn take(fields: &mut toml::Table, warnings: &mut Vec<String>) -> Result<Self, ConfigError> {
        let mut templates = Vec::new();
        for (name, value) in fields.iter_mut() {
            let toml::Value::String(text) = value else {
                continue;
            };
            let pieces = shortcode::parse(text.strip_prefix('=').unwrap_or(text));
            if shortcode::has_codes(&pieces) {
                let is_template = |piece: &Piece| matches!(piece, Piece::Text(text) if text.contains("{{") || text.contains("{%"));
                if !text.starts_with('=') && pieces.iter().any(is_template) {
                    let error = "has shortcodes and {{ … }}: a text holds either the one or the other, {{ … }} would be sent as it is";
                    return Err(ConfigError::new(&format!("fields.{name}"), error)
                        .hint("write all of it as [#EMAIL#], or all of it as {{ contact.email }}"));
                }
                let found = shortcode::lint(text);
                warnings.extend(found.into_iter().map(|what| format!("`fields.{name}`: {what}")));
                *text = format!("={}", stand_in(templates.len()));
                templates.push(pieces);
            }
        }
        Ok(Self(templates))
    }

    /// Whether one of them tells a no from a yes.
    pub fn say_change(&self) -> bool {
        self.0.iter().any(|pieces| shortcode::says_change(pieces))
    }

    pub fn need_names(&self) -> bool {
        !self.0.is_empty()
    }

    /// Exchanges the stand-ins for what the shortcodes give.
    pub fn fill(
        &self,
        names: Option<&Names<'_>>,
        value: &mut Value,
        unknown: &mut BTreeSet<String>,
    ) -> Result<(), String> {
        let Some(names) = names.filter(|_| self.need_names()) else {
            return Ok(());
        };
        let texts: Result<Vec<String>, _> = self
            .0
            .iter()
            .map(|pieces| shortcode::expand(pieces, names, Place::Plain, unknown))
            .collect();
        let texts = texts.map_err(|error| format!("`fields`: {error}"))?;
        exchange(value, &texts);
        Ok(())
    }
}

/// No text of a TOML file: it has a control character.
fn stand_in(number: usize) -> String {
    format!("\u{0}shortcode {number}")
}

fn exchange(value: &mut Value, texts: &[String]) {
    match value {
        Value::String(text) => {
            let number = text
                .strip_prefix("\u{0}shortcode ")
                .and_then(|number| number.parse::<usize>().ok());
            if let Some(made) = number.and_then(|number| texts.get(number)) {
                text.clone_from(made);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| exchange(item, texts)),
        Value::Object(members) => members.values_mut().for_each(|member| exchange(member, texts)),
        _ => {}
    }
}
