//! Warns of configurations that are valid but probably not intended.

use causeway_core::{
    consent::{ConsentState, EMAIL},
    mapping::{Expression, Path as NamePath},
};

use super::Config;

/// Warnings about valid settings that are probably not intended.
pub fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    if config.sources.is_empty() {
        warnings.push("there is no [source.NAME]: no messages will arrive".to_owned());
    }
    if config.destinations.is_empty() {
        warnings.push("there is no [destination.NAME]: messages are stored, but sent nowhere".to_owned());
    }
    for (name, source) in &config.sources {
        let reached = config.destinations.values().any(|destination| {
            destination.rule.workspace == source.rule.workspace
                && destination
                    .rule
                    .filter
                    .sources
                    .as_ref()
                    .is_none_or(|sources| sources.contains(&**name))
        });
        if !reached && !config.destinations.is_empty() {
            warnings.push(format!(
                "[source.{name}]: no destination of workspace {:?} receives its messages",
                source.rule.workspace
            ));
        }
        plain_secrets(&format!("source.{name}"), &source.table, &mut warnings);
        warnings.extend(never_confirmed(name, &source.table));
        warnings.extend(never_answered(config, name, &source.table));
    }
    warnings.extend(crate::sources::warnings(config));
    for automation in &config.automations.automations {
        let conditions = [&automation.when, &automation.stop].into_iter().flatten();
        for doubt in conditions.flat_map(Expression::names).filter_map(NamePath::doubt) {
            warnings.push(format!("[[automation]] {}: {doubt}", automation.name));
        }
        let conditions = [&automation.when, &automation.stop].into_iter().flatten();
        for doubt in conditions.flat_map(Expression::list_doubts) {
            warnings.push(format!("[[automation]] {}: {doubt}", automation.name));
        }
    }
    let filled = |workspace: &str| {
        let mut sources = config.sources.values();
        sources.any(|source| &*source.rule.workspace == workspace)
    };
    for (workspace, who) in config.automations.workspaces() {
        if !config.sources.is_empty() && !filled(workspace) {
            warnings.push(format!(
                "{who}: no source belongs to workspace {workspace:?}: nothing will arrive there"
            ));
        }
    }
    warnings.extend(config.automations.circles());
    warnings.extend(super::score::warnings(config));
    for (name, destination) in &config.destinations {
        for wanted in destination.rule.filter.sources.iter().flatten() {
            if !config.sources.contains_key(wanted.as_str()) {
                warnings.push(format!(
                    "[destination.{name}]: `sources` names {wanted:?}, which is not in the configuration"
                ));
            }
        }
        let own = destination.warnings.iter();
        warnings.extend(own.map(|warning| format!("[destination.{name}]: {warning}")));
        plain_secrets(&format!("destination.{name}"), &destination.table, &mut warnings);
    }
    warnings
}

/// Warns of a double opt-in for another purpose than e-mail: a click in a mail confirms consent for e-mail only.
fn never_confirmed(name: &str, table: &toml::Table) -> Option<String> {
    let keys = [Some(table), table.get("proca").and_then(toml::Value::as_table)];
    let text = |key: &str| keys.iter().flatten().find_map(|table| table.get(key)?.as_str());
    let purpose = text("purpose").filter(|purpose| *purpose != EMAIL)?;
    (text("consent") == Some("double_opt_in")).then(|| {
        format!(
            "[source.{name}]: `purpose` is {purpose:?}, but `consent` requires a click in a mail, which confirms e-mail \
             only, so nobody will be opted in: use consent = \"single\""
        )
    })
}

/// Warns of `after` with a destination that is never sent a person of this source.
fn never_answered(config: &Config, name: &str, table: &toml::Table) -> Option<String> {
    let after = table.get("answer")?.as_table()?.get("after")?.as_str()?;
    let destination = config.destinations.get(after)?;
    let preset = table.get("preset").and_then(toml::Value::as_str);
    let rules = match preset? {
        "sync-to-third-party" => table.get("sync"),
        "generic" => table.get("generic"),
        _ => return None,
    };
    let says = |key: &str| rules.is_some_and(|rules| rules.get(key).is_some());
    let is_closed = !destination.rule.policy.allows(ConsentState::Unknown, true);
    (is_closed && !says("consent") && !says("consent_from")).then(|| {
        format!(
            "[source.{name}.answer]: `after` waits for [destination.{after}], which is sent only contacts with consent ({}), but \
             this source never brings consent: set consent = \"all\" there, or `consent_from` here",
            destination.rule.policy.as_str()
        )
    })
}

/// Whether the value of a header is a credential.
fn is_secret_header(name: &str, value: &toml::Value) -> bool {
    let name: String = name
        .chars()
        .filter(|c| c.is_alphanumeric())
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let marks = [
        "authorization",
        "apikey",
        "authkey",
        "accesskey",
        "token",
        "secret",
        "password",
        "cookie",
    ];
    // A shortcode is replaced by a value of the contact, so it is not a credential.
    let is_plain = value.as_str().is_some_and(|text| !text.contains("[#"));
    is_plain && marks.iter().any(|mark| name.contains(mark))
}

/// Warns of secrets in plain text in the file.
fn plain_secrets(section: &str, table: &toml::Table, warnings: &mut Vec<String>) {
    for (key, value) in table {
        let secret = [
            "token",
            "tokens",
            "secret",
            "secrets",
            "password",
            "passwords",
            "bearer",
            "api_key",
        ]
        .contains(&key.as_str());
        let url = value.as_str().and_then(|text| url::Url::parse(text).ok());
        let password_in_url = url.is_some_and(|url| url.password().is_some());
        let is_text = value.is_str()
            || value
                .as_array()
                .is_some_and(|all| all.iter().any(toml::Value::is_str));
        let in_header = section.ends_with(".headers") && is_secret_header(key, value);
        let ends = |tables: &[&str]| tables.iter().any(|table| section.ends_with(table));
        let secret = secret
            || (key == "value" && ends(&[".auth.header", ".auth.query"]))
            || (key == "key" && ends(&[".client_certificate"]));
        if (secret && is_text) || in_header || password_in_url {
            warnings.push(format!("[{section}] `{key}` holds a secret in plain text; {{ env = \"NAME\" }} or {{ file = \"path\" }} keeps it out of this file"));
        }
        if let Some(inner) = value.as_table() {
            plain_secrets(&format!("{section}.{key}"), inner, warnings);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn a_header_with_credentials_is_a_secret() {
        for (headers, is_warned) in [
            ("Authorization = 'Bearer x'", true),
            ("x-api-key = 'x'", true),
            ("X-Auth-Token = 'x'", true),
            ("Authorization = { env = 'KEY' }", false),
            ("X-Token = '[#TOKEN#]'", false),
            ("Accept-Language = 'de'", false),
        ] {
            let text = format!(
                "[destination.out]\nkind = 'webhook'\nurl = 'https://hooks.example.org/'\nheaders = {{ {headers} }}\n"
            );
            let config = crate::config::parse(Path::new("c.toml"), &text).unwrap();
            let warnings = super::warnings(&config);
            let count = warnings
                .iter()
                .filter(|warning| {
                    warning.contains("[destination.out.headers]") && warning.contains("plain text")
                })
                .count();
            assert_eq!(count, usize::from(is_warned), "{headers}: {warnings:?}");
        }
    }

    #[test]
    fn a_batch_that_cannot_end_in_time_is_named() {
        for (keys, is_warned) in [
            ("batch = 100", false),
            ("batch = 1000", true),
            ("batch = 1000\ntimeout_s = 60", false),
            ("batch = 1000\neach = {}", false),
            ("batch = 100\nlimit = { calls = 60, per_s = 60 }", true),
            ("batch = 10\nlimit = { calls = 60, per_s = 60 }", false),
            (
                "batch = 600\nfind = { url = 'https://hooks.example.org/?e=[#EMAIL#]', id = 'id' }",
                true,
            ),
        ] {
            let text =
                format!("[destination.out]\nkind = 'webhook'\nurl = 'https://hooks.example.org/'\n{keys}\n");
            let config = crate::config::parse(Path::new("c.toml"), &text).unwrap();
            let warnings = super::warnings(&config);
            let found = warnings
                .iter()
                .any(|warning| warning.contains("[destination.out]: `batch`: "));
            assert_eq!(found, is_warned, "{keys}: {warnings:?}");
        }
    }

    #[test]
    fn a_batch_has_more_deliveries_than_a_key_of_the_kind_needs() {
        for (keys, batch) in [
            ("", Some(100)),
            ("batch = 7", Some(7)),
            ("bulk = {}", Some(4_000)),
            ("bulk = { above = 100 }", Some(200)),
            ("batch = 2001\nbulk = {}", Some(2_001)),
            ("batch = 2000\nbulk = {}", None),
        ] {
            let text = format!(
                "[destination.out]\nkind = 'salesforce'\nbase_url = 'https://example.my.salesforce.com'\n\
                 token = {{ env = 'TOKEN' }}\n{keys}\n"
            );
            match (crate::config::parse(Path::new("c.toml"), &text), batch) {
                (Ok(config), Some(batch)) => {
                    assert_eq!(
                        config.destinations.values().next().unwrap().pace.batch,
                        batch,
                        "{keys}"
                    );
                }
                (Err(errors), None) => assert!(format!("{errors:?}").contains("`bulk` needs more than 2000")),
                (parsed, _) => panic!("{keys}: {parsed:?}"),
            }
        }
    }
}
