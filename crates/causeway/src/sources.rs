//! The kinds of sources, as the configuration names them: those we fetch from (`causeway-connect`), and the HTTP listener.

use causeway_connect::config::ConfigError;
use causeway_core::rules::SourceRule;

/// Checks a source's own keys and tells what the rules need of it.
pub fn rule(name: &str, kind: &str, workspace: &str, _own: &toml::Table) -> Result<SourceRule, ConfigError> {
    let _ = kind;
    Ok(SourceRule {
        name: name.into(),
        workspace: workspace.into(),
        own_orgs: std::collections::BTreeSet::new(),
        namespace: name.into(),
    })
}
