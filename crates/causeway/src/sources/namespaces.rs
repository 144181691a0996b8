//! Checks that sources of different Proca servers do not share a namespace. Invariant: each Proca server has its own
//! namespace, because each numbers actions and people by itself. With one namespace for two servers, an opt-out of one
//! person would become another person's.

use std::{collections::BTreeSet, path::Path};

use causeway_connect::{
    config::ConfigError,
    source::{Entry, proca},
};
use causeway_core::id::Name;

use crate::{
    config::{Config, SourceConfig},
    web::{
        events,
        ingest::{self, Preset},
    },
};

/// The default host of the API that `reconcile` asks.
const PROCA_APP: &str = "api.proca.app";

/// A source that brings ids of a Proca server.
struct Proca<'a> {
    name: &'a Name,
    workspace: &'a Name,
    namespace: String,
    /// Whether the configuration sets the namespace.
    is_given: bool,
    /// Host and virtual host of the broker. `None` for a listener, and if the URL's secret is missing on this machine.
    server: Option<String>,
    is_posted: bool,
}

impl<'a> Proca<'a> {
    fn of(name: &'a Name, source: &'a SourceConfig, dir: &Path) -> Option<Self> {
        let (given, server, is_posted) = match source.kind.entry {
            Entry::Listener => {
                let config = ingest::Config::parse(&source.table).ok()?;
                (config.preset == Preset::Proca).then_some((config.namespace, None, true))?
            }
            Entry::Fetched(_) => {
                let config = proca::Config::parse(&source.table).ok()?;
                let server = config.server(dir);
                (config.namespace, server, false)
            }
            Entry::Events => return None,
        };
        Some(Self {
            name,
            workspace: &source.rule.workspace,
            namespace: source.rule.namespace.to_string(),
            is_given: given.is_some(),
            server,
            is_posted,
        })
    }

    fn shares_with(&self, other: &Self) -> bool {
        self.namespace == other.namespace && self.workspace == other.workspace
    }
}

fn all(config: &Config) -> Vec<Proca<'_>> {
    let sources = config.sources.iter();
    sources
        .filter_map(|(name, source)| Proca::of(name, source, &config.dir))
        .collect()
}

/// All pairs that share a namespace.
fn pairs<'a, 'c>(sources: &'a [Proca<'c>]) -> impl Iterator<Item = (&'a Proca<'c>, &'a Proca<'c>)> {
    let later = |at: usize| sources.iter().skip(at + 1);
    let pairs = sources.iter().enumerate();
    pairs
        .flat_map(move |(at, one)| later(at).map(move |other| (one, other)))
        .filter(|(one, other)| one.shares_with(other))
}

/// The first source that would share the namespace of another server although the configuration does not say so.
pub(super) fn refusal(config: &Config) -> Option<(Name, ConfigError)> {
    let sources = all(config);
    let (one, other) = pairs(&sources).find(|(one, other)| {
        let servers = one.server.as_ref().zip(other.server.as_ref());
        servers.is_some_and(|(one, other)| one != other) && !(one.is_given && other.is_given)
    })?;
    let at = |source: &Proca<'_>| source.server.clone().unwrap_or_default();
    let error = ConfigError::new(
        "namespace",
        format!(
            "its ids would be mixed with those of [source.{}]: both have the namespace {:?}, and the servers are {} and {}",
            one.name,
            one.namespace,
            at(one),
            at(other)
        ),
    );
    let hint = format!(
        "namespace = \"{}\" here; set the same namespace in both if they are one Proca server",
        other.name
    );
    Some((Name::clone(other.name), error.hint(hint)))
}

/// Warnings about namespaces that are valid but probably not intended.
pub(crate) fn warnings(config: &Config) -> Vec<String> {
    let sources = all(config);
    let mut warnings = Vec::new();
    for (one, other) in pairs(&sources) {
        let names = format!("[source.{}] and [source.{}]", one.name, other.name);
        match (&one.server, &other.server) {
            (Some(first), Some(second)) if first != second => warnings.push(format!(
                "{names} have the namespace {:?} and different servers, {first} and {second}: if these are two Proca \
                 servers, their ids are mixed; give one of them another `namespace`",
                one.namespace
            )),
            _ if (one.is_posted || other.is_posted) && !(one.is_given && other.is_given) => warnings.push(format!(
                "{names} both have the namespace {:?} by default: if these are two Proca servers, give one of \
                 them a `namespace`; if they are one, set it in both",
                one.namespace
            )),
            _ => {}
        }
    }
    for proca in &sources {
        let table = config.sources.get(proca.name).map(|source| &source.table);
        let asks_the_default = table
            .and_then(|table| table.get("reconcile")?.as_table())
            .is_some_and(|reconcile| !reconcile.contains_key("url"));
        let elsewhere = proca
            .server
            .as_ref()
            .filter(|server| !server.starts_with(PROCA_APP));
        if let Some(server) = elsewhere.filter(|_| asks_the_default) {
            warnings.push(format!(
                "[source.{}.reconcile] asks {PROCA_APP}, but the queue is at {server}: if these are two Proca servers, \
                 their ids are mixed; set `url`",
                proca.name
            ));
        }
    }
    for (name, source) in &config.sources {
        let Entry::Events = source.kind.entry else {
            continue;
        };
        let Ok(events) = events::Config::parse(&source.table) else {
            continue;
        };
        let here = || {
            sources
                .iter()
                .filter(|proca| *proca.workspace == source.rule.workspace)
        };
        if here().next().is_some() && here().all(|proca| proca.namespace != events.proca) {
            warnings.push(format!(
                "[source.{name}]: `proca` is {:?}, but no Proca source has this namespace, so a `contactRef` finds no contact",
                events.proca
            ));
        }
    }
    warnings
}

/// Texts about former sources (`former`) whose ids no present source recognises.
pub(crate) fn abandoned<'a>(
    config: &Config,
    former: impl IntoIterator<Item = &'a Name>,
    known: &BTreeSet<Name>,
) -> Vec<String> {
    let is_used = |name: &Name| {
        config
            .sources
            .values()
            .any(|source| source.rule.namespace == *name)
    };
    let lost = former
        .into_iter()
        .filter(|name| known.contains(*name) && !is_used(name));
    lost.map(|name| {
        format!(
            "contacts have ids of the namespace {name:?}, which no source has. If [source.{name}] was renamed or given another \
             `namespace`, set `namespace = \"{name}\"` in it: otherwise an opt-out that has only an id finds no contact"
        )
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::{Config, parse};

    fn config(sources: &[(&str, &str)]) -> Config {
        let sections: Vec<String> = sources
            .iter()
            .map(|(name, keys)| format!("[source.{name}]\n{keys}\n"))
            .collect();
        // These tests are not about the organisations' consent.
        let first = sources.first().map_or("", |(name, _)| *name);
        let shared = |kind: &str| format!("kind = '{kind}'\nconsent_shared_with = ['{first}']\n");
        let sections: Vec<String> = sections
            .into_iter()
            .enumerate()
            .map(|(place, section)| match place {
                0 => section,
                _ => section
                    .replace("kind = 'proca'\n", &shared("proca"))
                    .replace("kind = 'listener'\n", &shared("listener")),
            })
            .collect();
        parse(Path::new("c.toml"), &sections.concat()).unwrap()
    }

    fn queue(url: &str, more: &str) -> String {
        format!(
            "kind = 'proca'\nqueue = 'cus.1.deliver'\nconsent = 'single'\nurl = 'amqps://u:secret@{url}'\n{more}"
        )
    }

    const POSTED: &str = "kind = 'listener'\npreset = 'proca'\ntoken = { env = 'T' }\nproca = { own_orgs = [1], consent = 'single' }\n";

    #[test]
    fn two_procas_never_share_a_namespace_unless_the_configuration_says_so() {
        let live = queue("mq.example.org/live", "");
        for (second, refused, warned) in [
            (queue("mq.example.org/staging", ""), true, true),
            (queue("other.example.org/live", ""), true, true),
            (queue("other.example.org/live", "namespace = 'proca'"), true, true),
            (
                queue("mq.example.org/staging", "namespace = 'staging'"),
                false,
                false,
            ),
            (
                queue("mq.example.org/staging", "workspace = 'other'"),
                false,
                false,
            ),
            (queue("mq.example.org:5671/live", ""), false, false),
            (POSTED.to_owned(), false, true),
            (format!("{POSTED}namespace = 'staging'\n"), false, false),
        ] {
            let config = config(&[("live", &live), ("second", &second)]);
            let refusal = super::refusal(&config);
            assert_eq!(refusal.is_some(), refused, "{second}: {refusal:?}");
            if let Some((name, error)) = refusal {
                let text = error.to_string();
                assert_eq!(&*name, "second");
                assert!(
                    text.contains("mq.example.org/live") && !text.contains("secret"),
                    "{text}"
                );
            }
            let warnings = super::warnings(&config);
            assert_eq!(!warnings.is_empty(), warned, "{second}: {warnings:?}");
        }
    }

    #[test]
    fn the_same_explicit_namespace_is_accepted_with_a_warning() {
        let here = queue("mq.example.org/live", "namespace = 'proca'");
        let there = queue("mq2.example.org/live", "namespace = 'proca'");
        let config = config(&[("one", &here), ("two", &there)]);
        assert!(super::refusal(&config).is_none());
        assert_eq!(super::warnings(&config).len(), 1);
    }

    #[test]
    fn an_api_of_another_server_than_the_queue_is_a_warning() {
        for (url, more, warned) in [
            ("mq.example.org/live", "", 1),
            ("mq.example.org/live", ", url = 'https://api.example.org/api'", 0),
            ("api.proca.app/proca_live", "", 0),
        ] {
            let keys = queue(
                url,
                &format!("reconcile = {{ org = 'x', bearer = {{ env = 'B' }}{more} }}"),
            );
            let warnings = super::warnings(&config(&[("live", &keys)]));
            assert_eq!(warnings.len(), warned, "{url} {more}: {warnings:?}");
        }
    }

    #[test]
    fn a_namespace_that_no_source_has_is_a_warning() {
        let site = "kind = 'events'\ntokens = { env = 'T' }\n";
        let live = queue("mq.example.org/live", "namespace = 'live'");
        let both = config(&[("live", &live), ("site", site)]);
        assert_eq!(super::warnings(&both).len(), 1);
        let said = config(&[("live", &live), ("site", &format!("{site}proca = 'live'\n"))]);
        assert_eq!(super::warnings(&said), Vec::<String>::new());
        assert_eq!(super::warnings(&config(&[("site", site)])), Vec::<String>::new());
    }
}
