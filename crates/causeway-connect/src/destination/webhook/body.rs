//! The record as the body of a request, or in its query.

use bytes::Bytes;
use causeway_core::{
    encode::sync::XML_ROOT,
    form::{self, EmitOptions},
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
    /// As an HTML form, with brackets for what is nested: what PHP reads into `$_POST`.
    Form,
    /// An element for each member, `item` for those of a list.
    Xml,
    /// As a form in the query, and no body: what PHP reads into `$_GET`.
    Query,
}

impl Content {
    pub fn media_type(self) -> Option<&'static str> {
        match self {
            Self::Json => Some("application/json"),
            Self::Form => Some("application/x-www-form-urlencoded"),
            Self::Xml => Some("application/xml"),
            Self::Query => None,
        }
    }
}

/// The body; for [`Content::Query`] the record is added to the URL's query instead.
pub(super) fn fill(
    content: Content,
    record: &Map<String, Value>,
    emit: EmitOptions,
    url: &mut Url,
) -> Result<Bytes, String> {
    match content {
        Content::Json => serde_json::to_vec(record)
            .map(Bytes::from)
            .map_err(|error| error.to_string()),
        Content::Form => print(record, emit).map(Bytes::from),
        Content::Xml => Ok(xml::write(XML_ROOT, record).into()),
        Content::Query => {
            let pairs = print(record, emit)?;
            if !pairs.is_empty() {
                let query = match url.query() {
                    Some(given) if !given.is_empty() => format!("{given}&{pairs}"),
                    _ => pairs,
                };
                url.set_query(Some(&query));
            }
            Ok(Bytes::new())
        }
    }
}

/// As PHP's `http_build_query` prints it. Fails on names that PHP would read as others.
fn print(record: &Map<String, Value>, emit: EmitOptions) -> Result<String, String> {
    form::emit(&form::array_from_json(record), emit).map_err(|error| error.to_string())
}
