//! Warns of settings that a mapping uses and that some deliveries lack.

use std::collections::BTreeSet;

use toml::Value;

/// Warns of `settings.NAME` without a default: a delivery without a campaign, such as an action from another source, would
/// be dead.
pub(super) fn doubts(own: &toml::Table, defaults: &toml::Table) -> Vec<String> {
    let mut named = BTreeSet::new();
    for value in own.values() {
        match value {
            // An entry of a list of tags, say, is left out if the setting is missing.
            Value::Array(items) => {
                let others = items.iter().filter(|item| !is_plain(item));
                others.for_each(|item| names(item, &mut named));
            }
            other => names(other, &mut named),
        }
    }
    let missing = named.into_iter().filter(|name| !defaults.contains_key(name));
    missing
        .map(|name| {
            format!(
                "`settings.{name}` has no value for every campaign. A delivery of a campaign without it, or of none, \
                 may be dead: set a default under `settings`, or write `settings.{name} | default(none)`"
            )
        })
        .collect()
}

/// Whether it is a setting and nothing else.
fn is_plain(item: &Value) -> bool {
    let name = item
        .as_str()
        .and_then(|text| text.trim().strip_prefix("settings."));
    name.is_some_and(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_'))
}

/// Collects the settings that the texts of `value` use without a default.
fn names(value: &Value, named: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if !text.starts_with('=') && !text.contains("default") => {
            let mut rest = text.as_str();
            while let Some((before, after)) = rest.split_once("settings.") {
                let end = after
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(after.len());
                let (name, behind) = after.split_at(end);
                let is_whole = !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.'));
                if is_whole && !name.is_empty() {
                    named.insert(name.to_owned());
                }
                rest = behind;
            }
        }
        Value::Array(items) => items.iter().for_each(|item| names(item, named)),
        Value::Table(members) => members.values().for_each(|member| names(member, named)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_without_a_default_is_a_warning_unless_the_mapping_has_one() {
        for (fields, warning) in [
            ("list = 'settings.list'", Some("`settings.list`")),
            ("list = '{{ settings.list }}/x'", Some("`settings.list`")),
            ("lists = ['settings.list']", Some("`settings.list`")),
            ("list = 'settings.list | default(none)'", None),
            ("list = 'settings.tag'", None),
            ("list = '=settings.list'", None),
            ("list = 'my_settings.list'", None),
        ] {
            let own = toml::from_str(&format!("tags = ['settings.tags']\n[fields]\n{fields}")).unwrap();
            let defaults = toml::from_str("tag = 7").unwrap();
            let doubts = doubts(&own, &defaults);
            assert_eq!(
                doubts.len(),
                usize::from(warning.is_some()),
                "{fields}: {doubts:?}"
            );
            assert!(
                warning.is_none_or(|start| doubts[0].starts_with(start)),
                "{doubts:?}"
            );
        }
    }
}
