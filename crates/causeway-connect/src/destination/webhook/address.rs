//! The URL of a web hook: fixed, or with shortcodes that are filled in for each record.

use causeway_core::{
    mapping::omission::Reads,
    shortcode::{self, Names, Piece, Report, Rules, expand_url},
};
use url::Url;

use crate::{config::ConfigError, http::read_url};

pub(super) struct Address {
    /// The URL itself; for a template, with a sample text for each shortcode.
    pub sample: Url,
    template: Option<Vec<Piece>>,
    allow_private: bool,
    allow_http: bool,
}

impl Address {
    pub fn read(text: &str, allow_private: bool, allow_http: bool) -> Result<Self, ConfigError> {
        let pieces = shortcode::parse(text.trim());
        let is_template = shortcode::has_codes(&pieces);
        if is_template && !names_its_host(&pieces) {
            return Err(ConfigError::new(
                "url",
                "has a shortcode before the path: a contact's data would choose the receiver",
            )
            .hint("write the host out: https://hooks.example.org/…"));
        }
        let has_template =
            |piece: &Piece| matches!(piece, Piece::Text(text) if text.contains("{{") || text.contains("{% "));
        if pieces.iter().any(has_template) {
            return Err(
                ConfigError::new("url", "is not a template: {{ … }} would be sent literally").hint(
                    "an address takes shortcodes: [#EMAIL#] for {{ contact.email }}; see docs/shortcodes.md",
                ),
            );
        }
        let with_samples: String = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.as_str(),
                Piece::Code(_) => "x",
            })
            .collect();
        Ok(Self {
            sample: read_url("url", &with_samples, allow_private, allow_http)?,
            template: is_template.then_some(pieces),
            allow_private,
            allow_http,
        })
    }

    /// What it depends on, up to the `#`, because nothing after that is sent.
    pub fn reads(&self, rules: &Rules) -> Reads {
        let Some(pieces) = &self.template else {
            return Reads::NOTHING;
        };
        let is_end = |piece: &Piece| matches!(piece, Piece::Text(text) if text.contains('#'));
        let end = pieces.iter().position(is_end).unwrap_or(pieces.len());
        shortcode::reads(pieces.get(..end).unwrap_or_default(), rules)
    }

    pub fn need_names(&self) -> bool {
        self.template.is_some()
    }

    /// The URL for one record. `names` are present if [`Address::need_names`] returned true.
    pub fn fill(&self, names: Option<&Names<'_>>, report: &mut Report<'_>) -> Result<Url, String> {
        let (Some(template), Some(names)) = (&self.template, names) else {
            return Ok(self.sample.clone());
        };
        let text = expand_url(template, names, report).map_err(|error| format!("`url`: {error}"))?;
        let url =
            read_url("url", &text, self.allow_private, self.allow_http).map_err(|error| error.to_string())?;
        if url.origin() != self.sample.origin() {
            return Err("`url`: the values would lead to another host".to_owned());
        }
        Ok(url)
    }
}

/// Whether scheme, host and port are in the configuration before the first shortcode.
fn names_its_host(pieces: &[Piece]) -> bool {
    let Some(Piece::Text(start)) = pieces.first() else {
        return false;
    };
    start
        .split_once("://")
        .is_some_and(|(_, rest)| rest.contains(['/', '?', '#', '\\']))
}
