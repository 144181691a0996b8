//! The URL of a web hook: fixed, or with shortcodes that are filled in for each record.

use causeway_core::{
    mapping::omission::Reads,
    shortcode::{self, Names, Piece, Report, Rules, expand_url},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::{config::ConfigError, http::read_url};

/// Stands in an address for the id of the person whom `find` found.
pub(super) const FOUND_ID: &str = "{id}";

/// Characters of an id that stay as they are. The others must not change the structure of the URL.
const ID: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own")]
pub(super) struct Address {
    /// The URL itself; for a template, with a sample text for each shortcode.
    pub sample: Url,
    /// The text, if something must be filled in.
    template: Option<Vec<Piece>>,
    has_codes: bool,
    needs_id: bool,
    /// Whether a shortcode may be empty. Otherwise the address would be that of nobody, or of everybody.
    may_be_empty: bool,
    allow_private: bool,
    allow_http: bool,
}

impl Address {
    pub fn read(text: &str, allow_private: bool, allow_http: bool) -> Result<Self, ConfigError> {
        let pieces = shortcode::parse(text.trim());
        let has_codes = shortcode::has_codes(&pieces);
        let needs_id = pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Text(text) if text.contains(FOUND_ID)));
        let is_template = has_codes || needs_id;
        if is_template && !names_its_host(&pieces) {
            return Err(ConfigError::new(
                "url",
                "has a shortcode or {id} before the path: a contact's data would choose the receiver",
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
                Piece::Text(text) => text.replace(FOUND_ID, "x"),
                Piece::Code(_) => "x".to_owned(),
            })
            .collect();
        Ok(Self {
            sample: read_url("url", &with_samples, allow_private, allow_http)?,
            template: is_template.then_some(pieces),
            has_codes,
            needs_id,
            may_be_empty: true,
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

    /// Refuses to fill in empty texts.
    pub fn name_somebody(&mut self) {
        self.may_be_empty = false;
    }

    pub fn need_names(&self) -> bool {
        self.has_codes
    }

    /// Whether it names the person whom `find` found.
    pub fn needs_id(&self) -> bool {
        self.needs_id
    }

    /// The URL for one record. `names` are present if [`Address::need_names`] returned true, and `found` is the
    /// person's id if [`Address::needs_id`] did.
    pub fn fill(
        &self,
        names: Option<&Names<'_>>,
        found: Option<&str>,
        report: &mut Report<'_>,
    ) -> Result<Url, String> {
        let Some(template) = &self.template else {
            return Ok(self.sample.clone());
        };
        let with_id = match (self.needs_id, found) {
            (false, _) => None,
            (true, Some(id)) => Some(filled_in(template, id)?),
            (true, None) => return Err("`url`: has {id}, but there is no id".to_owned()),
        };
        let template = with_id.as_ref().unwrap_or(template);
        if let Some(names) = names.filter(|_| !self.may_be_empty)
            && names_nobody(template, names, report)
        {
            return Err(
                "`url`: a shortcode is empty for this contact, so the request names nobody".to_owned(),
            );
        }
        let text = match names {
            Some(names) => expand_url(template, names, report).map_err(|error| format!("`url`: {error}"))?,
            None => template
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text.as_str(),
                    Piece::Code(_) => "",
                })
                .collect(),
        };
        let url =
            read_url("url", &text, self.allow_private, self.allow_http).map_err(|error| error.to_string())?;
        if url.origin() != self.sample.origin() {
            return Err("`url`: the values would lead to another host".to_owned());
        }
        Ok(url)
    }
}

/// Whether a part of the path is empty, or all that is filled in.
fn names_nobody(template: &[Piece], names: &Names<'_>, report: &mut Report<'_>) -> bool {
    let mut is_in_path = true;
    let (mut filled, mut empty) = (0, 0);
    for piece in template {
        match piece {
            Piece::Text(text) => is_in_path &= !text.contains(['?', '#']),
            Piece::Code(_) => {
                let text = expand_url(std::slice::from_ref(piece), names, report);
                if !text.is_ok_and(|text| text.is_empty()) {
                    filled += 1;
                } else if is_in_path {
                    return true;
                } else {
                    empty += 1;
                }
            }
        }
    }
    filled == 0 && empty > 0
}

/// The template with the id in place of `{id}`. An id of dots would lead to another address.
fn filled_in(template: &[Piece], id: &str) -> Result<Vec<Piece>, String> {
    if id.bytes().all(|byte| byte == b'.') {
        return Err("`find.id`: the id in the response is not an id".to_owned());
    }
    let id = utf8_percent_encode(id, ID).to_string();
    let fill = |piece: &Piece| match piece {
        Piece::Text(text) => Piece::Text(text.replace(FOUND_ID, &id)),
        Piece::Code(code) => Piece::Code(code.clone()),
    };
    Ok(template.iter().map(fill).collect())
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
