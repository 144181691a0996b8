//! `consent_from`: consent in a field of the sender, as a source's configuration describes it.

use std::collections::BTreeSet;

use causeway_core::{
    consent::{self, EMAIL, What},
    decode::{
        at_format::AtFormat,
        consent_from::{self, word},
    },
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::ConfigError;

/// Checks that a purpose is one word, because expressions and messages name it.
pub fn checked_purpose(key: &str, purpose: &str) -> Result<(), ConfigError> {
    match consent::purpose(purpose).as_deref() {
        Some("mail" | "mails" | "emails" | "e-mail" | "e_mail") => {
            let error = ConfigError::new(key, format!("{purpose:?} is another purpose than \"email\""));
            Err(error.hint("write \"email\""))
        }
        Some(_) => Ok(()),
        None => Err(ConfigError::new(
            key,
            "must be one word of lower-case letters, digits, `-` and `_`",
        )),
    }
}

/// What one field says about consent. Values are compared without regard to case, and numbers by their value.
/// A value that is not listed says nothing.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConsentFrom {
    /// The field's name, or a dotted path to it.
    pub field: String,
    /// The purpose of the consent.
    pub purpose: Option<String>,
    /// The field with the date of the consent. Default: the time of the message.
    pub at_field: Option<String>,
    /// How `at_field` writes dates: `DD/MM/YYYY`, `MM/DD/YYYY`, `DD.MM.YYYY` and the like, or `excel` for its
    /// day numbers. Unambiguous dates need none; others are rejected without it.
    pub at_format: Option<String>,
    /// Values that mean: agreed. Each message with one of them ends an earlier opt-out.
    pub opt_in: Vec<String>,
    /// Confirmed by mail.
    pub double_opt_in: Vec<String>,
    /// Declined when asked; takes nothing back.
    pub declined: Vec<String>,
    /// Took the consent back.
    pub unsubscribed: Vec<String>,
    /// Reported a mail as spam.
    pub complained: Vec<String>,
    /// The address does not exist.
    pub bounced: Vec<String>,
    /// The provider does not deliver to it.
    pub blocked: Vec<String>,
    /// Not to be mailed for now.
    pub inactive: Vec<String>,
}

/// Checks a list of them; `key` is its place in the configuration.
pub fn rules(key: &str, list: &[ConsentFrom]) -> Result<Vec<consent_from::ConsentFrom>, ConfigError> {
    list.iter().map(|one| one.rule(key)).collect()
}

/// The purposes of a source's consent: `own`, and those that its fields name.
pub fn purposes(own: &str, list: &[ConsentFrom]) -> BTreeSet<String> {
    let others = list.iter().map(|one| one.purpose.as_deref().unwrap_or(EMAIL));
    others.chain([own]).map(str::to_owned).collect()
}

impl ConsentFrom {
    fn rule(&self, key: &str) -> Result<consent_from::ConsentFrom, ConfigError> {
        let wrong = |message: String| Err(ConfigError::new(key, message));
        if self.field.trim().is_empty() {
            return wrong("`field` is missing: the name of the field that holds the consent".to_owned());
        }
        let purpose = self.purpose.as_deref().unwrap_or(EMAIL);
        let Some(purpose) = consent::purpose(purpose) else {
            return wrong(format!(
                "the purpose {purpose:?} is not one word of lower-case letters, digits, `-` and `_`"
            ));
        };
        let mut words: Vec<(String, What)> = Vec::new();
        for (texts, what) in [
            (&self.opt_in, What::OptIn),
            (&self.double_opt_in, What::DoubleOptIn),
            (&self.declined, What::Declined),
            (&self.unsubscribed, What::Unsubscribed),
            (&self.complained, What::Complained),
            (&self.bounced, What::Bounced),
            (&self.blocked, What::Blocked),
            (&self.inactive, What::Inactive),
        ] {
            for text in texts {
                let text = word(text);
                if text.is_empty() {
                    return wrong(format!(
                        "an empty value of {:?} is listed; a field without a value says nothing",
                        self.field
                    ));
                }
                if words.iter().any(|(known, _)| *known == text) {
                    return wrong(format!("the value {text:?} of {:?} is listed twice", self.field));
                }
                words.push((text, what.clone()));
            }
        }
        if words.is_empty() {
            return Err(ConfigError::new(
                key,
                format!(
                    "no value of {:?} is listed, so the rule has no effect",
                    self.field
                ),
            )
            .hint("opt_in = [\"yes\"], unsubscribed = [\"no\"]"));
        }
        if self.at_format.is_some() && self.at_field.is_none() {
            return wrong(format!(
                "`at_format` of {:?} needs `at_field`, the field with the date",
                self.field
            ));
        }
        Ok(consent_from::ConsentFrom {
            field: self.field.trim().to_owned(),
            purpose,
            words,
            at_field: self.at_field.clone(),
            at_format: at_format(key, self.at_format.as_deref())?,
        })
    }
}

/// Reads how a column writes its dates.
pub fn at_format(key: &str, text: Option<&str>) -> Result<AtFormat, ConfigError> {
    let Some(text) = text else {
        return Ok(AtFormat::Plain);
    };
    AtFormat::parse(text).map_err(|wrong| {
        ConfigError::new(key, format!("the date format {wrong}"))
            .hint("DD/MM/YYYY, MM/DD/YYYY, DD.MM.YY, YYYYMMDD, DD-MMM-YYYY or excel")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Result<consent_from::ConsentFrom, String> {
        let list: ConsentFrom = toml::from_str(text).unwrap();
        rules("consent_from", &[list])
            .map(|mut rules| rules.remove(0))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_read_by_their_meaning() {
        let rule =
            rule("field = ' status '\nopt_in = ['Active']\nunsubscribed = ['Disactive', '0']").unwrap();
        assert_eq!((rule.field.as_str(), rule.purpose.as_str()), ("status", "email"));
        let words: Vec<_> = rule
            .words
            .iter()
            .map(|(text, what)| (text.as_str(), what.as_str()))
            .collect();
        assert_eq!(
            words,
            [
                ("active", "opt_in"),
                ("disactive", "unsubscribed"),
                ("0", "unsubscribed")
            ]
        );
    }

    #[test]
    fn invalid_rules_are_refused() {
        for (text, expected) in [
            ("opt_in = ['yes']", "`field` is missing"),
            ("field = 'a'", "has no effect"),
            (
                "field = 'a'\nopt_in = ['Yes']\nunsubscribed = ['yes ']",
                "listed twice",
            ),
            (
                "field = 'a'\nopt_in = ['0']\nunsubscribed = ['0.0']",
                "listed twice",
            ),
            (
                "field = 'a'\nopt_in = ['1']\nat_format = 'excel'",
                "needs `at_field`",
            ),
            (
                "field = 'a'\nopt_in = ['1']\nat_field = 'b'\nat_format = 'dd.mm.yyyy'",
                "not part of a date",
            ),
            ("field = 'a'\nopt_in = ['']", "an empty value"),
            (
                "field = 'a'\nopt_in = ['yes']\npurpose = 'E-Mail'",
                "not one word",
            ),
        ] {
            let error = rule(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
