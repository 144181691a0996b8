//! Writes the record into the body of a request, or into its query.

use bytes::Bytes;
use causeway_core::{
    encode::sync::XML_ROOT,
    form::{self, EmitError, EmitOptions},
    xml,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Content {
    #[default]
    Json,
    /// As an HTML form, with brackets for nested names, as PHP reads into `$_POST`.
    Form,
    /// An element for each member, `item` for the members of a list.
    Xml,
    /// As a form in the query, without a body, as PHP reads into `$_GET`.
    Query,
    /// Nothing: no body, and nothing is added to the query.
    None,
}

impl Content {
    pub fn media_type(self) -> Option<&'static str> {
        match self {
            Self::Json => Some("application/json"),
            Self::Form => Some("application/x-www-form-urlencoded"),
            Self::Xml => Some("application/xml"),
            Self::Query | Self::None => None,
        }
    }

    /// Whether a request has a body that can hold several records.
    pub fn has_body(self) -> bool {
        self.media_type().is_some()
    }
}

/// Returns the body. For [`Content::Query`] the record is added to the URL's query instead. Adds to
/// `problems` the values that this format cannot express; they are left out.
pub(super) fn fill(
    content: Content,
    record: &Map<String, Value>,
    emit: EmitOptions,
    url: &mut Url,
    problems: &mut Vec<EmitError>,
) -> Result<Bytes, String> {
    let mut print = || form::emit_what_fits(&form::array_from_json(record), emit, problems);
    match content {
        Content::Json => serde_json::to_vec(record)
            .map(Bytes::from)
            .map_err(|error| error.to_string()),
        Content::Form => Ok(print().into()),
        Content::Xml => Ok(xml::write(XML_ROOT, record).into()),
        Content::Query => {
            let pairs = print();
            if !pairs.is_empty() {
                let query = match url.query() {
                    Some(given) if !given.is_empty() => format!("{given}&{pairs}"),
                    _ => pairs,
                };
                url.set_query(Some(&query));
            }
            Ok(Bytes::new())
        }
        Content::None => Ok(Bytes::new()),
    }
}
