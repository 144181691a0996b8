//! Signature schemes: the header, the signed text, and the encoding. Data only, including the named schemes.

use schemars::JsonSchema;
use serde::Deserialize;

/// A named scheme, or the user's own in `custom`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    StandardWebhooks,
    StripeLike,
    Mailchimp,
    #[serde(rename = "hubspot-v3")]
    HubspotV3,
    Typeform,
    Mautic,
    CustomerIo,
    /// The scheme in the table `custom`.
    Custom,
}

/// The description of a scheme.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scheme {
    /// The header with the signature.
    pub header: String,
    /// The signed text, with any of `{method}`, `{uri}`, `{id}`, `{timestamp}`, `{body}`.
    #[serde(default = "only_body")]
    pub template: String,
    #[serde(default)]
    pub hash: Hash,
    /// The encoding of the signature.
    #[serde(default)]
    pub encoding: Encoding,
    /// The prefix of the signature, such as `sha256=`.
    #[serde(default)]
    pub prefix: String,
    /// The separator between several signatures in the header; one of them must match.
    #[serde(default)]
    pub separator: Option<char>,
    /// For headers such as `t=1700000000,v1=…`: the key of the time.
    #[serde(default)]
    pub timestamp_key: Option<String>,
    /// The header with the time.
    #[serde(default)]
    pub timestamp_header: Option<String>,
    #[serde(default)]
    pub timestamp_unit: Unit,
    /// The header with the sender's id of the message. If it is signed (`{id}` in the template), it identifies duplicates.
    #[serde(default)]
    pub id_header: Option<String>,
    /// The encoding of the secret.
    #[serde(default)]
    pub secret_encoding: SecretEncoding,
    /// A prefix that does not belong to the secret, such as `whsec_`.
    #[serde(default)]
    pub secret_prefix: String,
    /// Whether some escapes of the URI (`%3A %2F %3F %40 %21 %24 %27 %28 %29 %2A %2C %3B`) are decoded before hashing.
    #[serde(default)]
    pub decode_uri: bool,
}

fn only_body() -> String {
    "{body}".to_owned()
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Hash {
    Sha1,
    #[default]
    Sha256,
    Sha512,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    #[default]
    Hex,
    Base64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretEncoding {
    #[default]
    Text,
    Hex,
    Base64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    #[default]
    Seconds,
    Milliseconds,
}

impl Default for Scheme {
    fn default() -> Self {
        Self {
            header: String::new(),
            template: only_body(),
            hash: Hash::default(),
            encoding: Encoding::default(),
            prefix: String::new(),
            separator: None,
            timestamp_key: None,
            timestamp_header: None,
            timestamp_unit: Unit::default(),
            id_header: None,
            secret_encoding: SecretEncoding::default(),
            secret_prefix: String::new(),
            decode_uri: false,
        }
    }
}

/// The description of a named scheme; `None` for `custom`.
pub(super) fn named(name: Name) -> Option<Scheme> {
    let scheme = match name {
        Name::StandardWebhooks => Scheme {
            header: "webhook-signature".into(),
            template: "{id}.{timestamp}.{body}".into(),
            encoding: Encoding::Base64,
            prefix: "v1,".into(),
            separator: Some(' '),
            timestamp_header: Some("webhook-timestamp".into()),
            id_header: Some("webhook-id".into()),
            secret_encoding: SecretEncoding::Base64,
            secret_prefix: "whsec_".into(),
            ..Scheme::default()
        },
        Name::StripeLike => time_in_header("stripe-signature"),
        Name::Mailchimp => time_in_header("x-mailchimp-signature"),
        Name::HubspotV3 => Scheme {
            header: "x-hubspot-signature-v3".into(),
            template: "{method}{uri}{body}{timestamp}".into(),
            encoding: Encoding::Base64,
            timestamp_header: Some("x-hubspot-request-timestamp".into()),
            timestamp_unit: Unit::Milliseconds,
            decode_uri: true,
            ..Scheme::default()
        },
        Name::Typeform => Scheme {
            header: "typeform-signature".into(),
            encoding: Encoding::Base64,
            prefix: "sha256=".into(),
            ..Scheme::default()
        },
        Name::Mautic => Scheme {
            header: "webhook-signature".into(),
            encoding: Encoding::Base64,
            ..Scheme::default()
        },
        Name::CustomerIo => Scheme {
            header: "x-cio-signature".into(),
            template: "v0:{timestamp}:{body}".into(),
            timestamp_header: Some("x-cio-timestamp".into()),
            ..Scheme::default()
        },
        Name::Custom => return None,
    };
    Some(scheme)
}

/// `t=SECONDS,v1=HEX[,v1=HEX]`; other versions (`v0`) are ignored.
fn time_in_header(header: &str) -> Scheme {
    Scheme {
        header: header.into(),
        template: "{timestamp}.{body}".into(),
        prefix: "v1=".into(),
        separator: Some(','),
        timestamp_key: Some("t".into()),
        ..Scheme::default()
    }
}
