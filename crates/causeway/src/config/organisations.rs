//! Checks that organisations do not share consent by accident: per workspace and purpose, a contact has one consent state
//! for all sources.

use causeway_connect::config::ConfigError;
use causeway_core::id::Name;

use super::{Config, SourceConfig, one_of, reader::Reader};

impl Reader<'_> {
    /// Invariant: consent given to one organisation does not count for another, unless `consent_shared_with` says so.
    pub(super) fn check_organisations(&mut self, config: &Config) {
        for (name, source) in &config.sources {
            for other in &source.consent_shared_with {
                // A source with an error of its own is already reported.
                if !config.sources.contains_key(other.as_str()) && !self.is_wrong(&format!("source.{other}"))
                {
                    let names: Vec<&str> = config.sources.keys().map(|name| &**name).collect();
                    let error =
                        ConfigError::new("consent_shared_with", format!("there is no source {other:?}"));
                    self.push_at(&["source", name], error.hint(one_of(other, &names)));
                }
            }
        }
        for (index, one) in config.sources.iter().enumerate() {
            for other in config.sources.iter().take(index) {
                if let Some(error) = mixed(other, one) {
                    self.push_at(&["source", one.0], error);
                }
            }
        }
    }

    fn is_wrong(&self, section: &str) -> bool {
        self.errors.iter().any(|error| error.section == section)
    }
}

fn mixed(one: (&Name, &SourceConfig), other: (&Name, &SourceConfig)) -> Option<ConfigError> {
    let (first, second) = (one.1, other.1);
    let shares =
        |(_, source): (&Name, &SourceConfig), with: &Name| source.consent_shared_with.contains(&**with);
    let is_known = !first.rule.own_orgs.is_empty() && !second.rule.own_orgs.is_empty();
    let purpose = first.purposes.intersection(&second.purposes).next()?;
    if !is_known
        || are_one(first, second)
        || first.rule.workspace != second.rule.workspace
        || shares(one, other.0)
        || shares(other, one.0)
    {
        return None;
    }
    let error = ConfigError::new(
        "workspace",
        format!(
            "the sources {:?} ({}) and {:?} ({}) are of different organisations, and both bring consent for {purpose:?} into the \
             workspace {:?}: an opt-in to one would count for the other",
            &**one.0,
            in_words(first),
            &**other.0,
            in_words(second),
            &*first.rule.workspace
        ),
    );
    Some(error.hint(format!(
        "give each organisation a workspace of its own (`workspace = \"…\"` of its sources and destinations); or, if they are one or \
         share their consent, set consent_shared_with = [{:?}]",
        &**one.0
    )))
}

/// Whether both sources have the same `own_orgs`, and the organisations of their queues are equal or among these.
fn are_one(first: &SourceConfig, second: &SourceConfig) -> bool {
    let own = &first.rule.own_orgs;
    let queues_agree = match (&first.queue_org, &second.queue_org) {
        (Some(one), Some(other)) => one == other || (own.contains(one) && own.contains(other)),
        _ => true,
    };
    first.rule.namespace == second.rule.namespace && *own == second.rule.own_orgs && queues_agree
}

fn in_words(source: &SourceConfig) -> String {
    let own: Vec<&str> = source.rule.own_orgs.iter().map(String::as_str).collect();
    let queue = match &source.queue_org {
        Some(org) if !source.rule.own_orgs.contains(org) => format!(", queue of {org}"),
        _ => String::new(),
    };
    let word = if own.len() == 1 {
        "organisation"
    } else {
        "organisations"
    };
    format!(
        "{word} {}{queue} of {:?}",
        own.join(", "),
        &*source.rule.namespace
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    fn source(name: &str, queue: &str, more: &str) -> String {
        format!(
            "[source.{name}]\nkind = 'proca'\nurl = 'amqps://a:b@broker.example.org/v'\nqueue = '{queue}'\nconsent = 'single'\n{more}\n"
        )
    }

    fn errors(text: &str) -> Vec<String> {
        match crate::config::parse(Path::new("c.toml"), text) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn organisations_that_would_share_consent_implicitly_are_refused() {
        let listener =
            "[source.hook]\nkind = 'listener'\npreset = 'proca'\ntoken = 'token-of-24-characters-here'\n";
        for (second, is_refused) in [
            (source("two", "cus.2.deliver", ""), true),
            (source("two", "cus.1.deliver_bees", ""), false),
            (source("two", "cus.2.deliver", "workspace = 'two'"), false),
            (source("two", "cus.2.deliver", "purpose = 'phone'"), false),
            (
                source(
                    "two",
                    "cus.2.deliver",
                    "purpose = 'phone'\nconsent_from = [{ field = 'news', opt_in = ['yes'] }]",
                ),
                true,
            ),
            (
                source("two", "cus.2.deliver", "consent_shared_with = ['one']"),
                false,
            ),
            (source("two", "cus.1.deliver", "own_orgs = [2]"), true),
            (source("two", "cus.2.deliver", "own_orgs = [1]"), true),
            // The same number on another server is another organisation.
            (source("two", "cus.1.deliver", "namespace = 'other'"), true),
            (
                format!("{listener}proca = {{ own_orgs = [1], consent = 'single' }}\n"),
                false,
            ),
            (
                format!("{listener}proca = {{ own_orgs = [3], consent = 'single' }}\n"),
                true,
            ),
        ] {
            let errors = errors(&(source("one", "cus.1.deliver", "") + &second));
            assert_eq!(errors.len(), usize::from(is_refused), "{second}: {errors:?}");
        }
        // Both organisations are ours.
        let both = source("one", "cus.1.deliver", "own_orgs = [1, 2]")
            + &source("two", "cus.2.deliver", "own_orgs = [2, 1]");
        assert_eq!(errors(&both), Vec::<String>::new());
    }

    #[test]
    fn the_error_names_the_problem_the_place_and_the_fix() {
        let text =
            source("one", "cus.1.deliver", "") + &source("two", "cus.2.deliver", "workspace = 'default'");
        assert_eq!(
            errors(&text),
            [
                "c.toml:12: [source.two] `workspace`: the sources \"one\" (organisation 1 of \"proca\") and \"two\" (organisation 2 \
                 of \"proca\") are of different organisations, and both bring consent for \"email\" into the workspace \"default\": \
                 an opt-in to one would count for the other (give each organisation a workspace of its own (`workspace = \"…\"` of \
                 its sources and destinations); or, if they are one or share their consent, set consent_shared_with = [\"one\"])"
            ]
        );
        let text = source("one", "cus.1.deliver", "consent_shared_with = ['too']")
            + &source("two", "cus.2.deliver", "");
        assert!(
            errors(&text)[0].contains("there is no source \"too\" (did you mean `two`?"),
            "{:?}",
            errors(&text)
        );
    }
}
