//! Shortcodes in the values of `fields`.

use causeway_core::{
    mapping::omission::Reads,
    shortcode::{self, Names, Piece, Place, Report, Rules},
};
use serde_json::Value;

use crate::config::ConfigError;

/// The values of `fields` with shortcodes, by their names. The mapping sees an empty text for each.
#[derive(Default)]
pub(super) struct Templates(Vec<(String, Vec<Piece>)>);

impl Templates {
    /// Takes them out of `fields`. Adds a warning for each that looks like an accident.
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
                    let error = "has shortcodes and {{ … }}: a text may have only one of them";
                    return Err(ConfigError::new(&format!("fields.{name}"), error)
                        .hint("write all of it as [#EMAIL#], or all of it as {{ contact.email }}"));
                }
                let found = shortcode::lint(text);
                warnings.extend(found.into_iter().map(|what| format!("`fields.{name}`: {what}")));
                "=".clone_into(text);
                templates.push((name.clone(), pieces));
            }
        }
        Ok(Self(templates))
    }

    /// What the texts depend on.
    pub fn reads(&self, rules: &Rules) -> Reads {
        let mut reads = Reads::NOTHING;
        for (_, pieces) in &self.0 {
            reads.add(shortcode::reads(pieces, rules));
        }
        reads
    }

    pub fn need_names(&self) -> bool {
        !self.0.is_empty()
    }

    /// Puts the texts in place of these values.
    pub fn fill(
        &self,
        names: Option<&Names<'_>>,
        values: &mut [(String, Value)],
        report: &mut Report<'_>,
    ) -> Result<(), String> {
        let Some(names) = names else { return Ok(()) };
        for (name, pieces) in &self.0 {
            let text = shortcode::expand(pieces, names, Place::Plain, report)
                .map_err(|error| format!("`fields.{name}`: {error}"))?;
            if let Some((_, value)) = values.iter_mut().find(|(known, _)| known == name) {
                *value = text.into();
            }
        }
        Ok(())
    }
}
