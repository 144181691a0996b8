//! `find`: looks a person up at the destination, so that the request can name them by their id there.

use causeway_core::{
    clock::Timestamp,
    delivery::Delivery,
    destination::{AttemptResult, Outcome},
    mapping::Tables,
    path::Path,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    answers::{Meanings, Means, remote_id},
    config::{Config, Variant, Verb},
    plan::{Resolve, to_one_value},
    template::Template,
};
use crate::{
    config::{ConfigError, SecretRef},
    http::Answer,
};

/// A request whose response has the id. It is a GET without a body, unless `method` says otherwise.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FindConfig {
    /// With shortcodes: `https://api.example.org/people?email=[#EMAIL#]`.
    pub url: SecretRef,
    pub method: Option<Verb>,
    pub content: Option<super::body::Content>,
    #[serde(default)]
    pub headers: std::collections::BTreeMap<String, SecretRef>,
    #[schemars(with = "Option<std::collections::BTreeMap<String, serde_json::Value>>")]
    pub fields: Option<toml::Table>,
    /// Path of the id in the response: `data[0].id`.
    pub id: String,
    /// What happens if nobody is found.
    #[serde(default)]
    pub missing: Missing,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Missing {
    /// The main request is sent. If it needs the id, nothing is sent.
    #[default]
    Create,
    /// Nothing is sent.
    Skip,
    /// The delivery is dead.
    Reject,
}

pub(super) struct Find {
    pub template: Template,
    pub missing: Missing,
    id: Path,
}

/// What a response says about the person.
#[expect(
    clippy::large_enum_variant,
    reason = "one is made for each call, and read at once"
)]
pub(super) enum Found {
    Id(String),
    Nobody,
    /// The delivery ends here.
    Ended(AttemptResult),
}

impl Find {
    pub fn read(
        config: &Config,
        tables: &Tables,
        resolve: Resolve<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Self>, ConfigError> {
        let Some(find) = &config.find else {
            return Ok(None);
        };
        let variant = Variant {
            url: Some(find.url.clone()),
            method: Some(find.method.unwrap_or(Verb::Get)),
            content: find.content,
            headers: find.headers.clone(),
            fields: find.fields.clone(),
            members: None,
        };
        let mut doubts = Vec::new();
        // A look-up about a person who opted out changes nothing about them.
        let template = Template::read(
            &config.with("find", &variant)?,
            tables,
            resolve,
            true,
            &mut doubts,
        )
        .map_err(|error| error.within("find"))?;
        if template.needs_id() {
            return Err(ConfigError::new(
                "find.url",
                "has {id}, which is not known before the look-up",
            ));
        }
        warnings.extend(doubts.into_iter().map(|doubt| format!("`find`: {doubt}")));
        Ok(Some(Self {
            template,
            missing: find.missing,
            id: to_one_value("find.id", &find.id)?,
        }))
    }

    /// The look-up is another request than the one that follows, so it has another key.
    pub fn key(delivery: &Delivery) -> String {
        format!("{}-find", delivery.key)
    }

    pub fn understand(&self, answer: &Answer, meanings: &Meanings, now: Timestamp) -> Found {
        if answer.status == 404 {
            return Found::Nobody;
        }
        let content = answer.json();
        let content = content.as_ref();
        if let Some(result) = meanings.by_rule(answer, now, |means| means != Means::Accepted) {
            return Found::Ended(result);
        }
        // Some APIs answer with the person and a redirect to them.
        let id = content.and_then(|content| remote_id(self.id.find(content)?));
        if let Some(id) = id.filter(|_| answer.status < 400) {
            return Found::Id(id);
        }
        match answer.status {
            204 => Found::Nobody,
            200..=299 if content.is_some() => Found::Nobody,
            200..=299 => Found::Ended(answer.result_with(Outcome::Retry {
                reason: format!("the look-up was answered {} without JSON", answer.status),
                after: None,
            })),
            _ => Found::Ended(meanings.result(answer, true, now)),
        }
    }
}
