//! Reads the sections of a file and collects their errors.

use std::{collections::BTreeMap, net::IpAddr, path::Path};

use causeway_connect::config::{ConfigError, json_members, read};
use causeway_core::{id::Name, mapping::Tables, rules::Takes};
use serde::Deserialize;

use super::{Automations, Config, FileError, Http, Test, checked_name, locate};

pub(super) fn lookups(reader: &mut Reader<'_>, root: &mut toml::Table) -> Tables {
    let tables = reader.tables(root, "lookup", |_, table| {
        if table.is_empty() {
            return Err(vec![
                ConfigError::new("", "the lookup table is empty").hint("DE = \"Central Europe\""),
            ]);
        }
        Ok(json_members(table))
    });
    let tables = tables.into_iter().map(|(name, table)| (name.to_string(), table));
    Tables::new(tables.collect())
}

pub(super) struct Reader<'a> {
    pub path: &'a Path,
    pub text: &'a str,
    pub errors: Vec<FileError>,
}

impl Reader<'_> {
    pub(super) fn push(&mut self, line: Option<usize>, section: &str, error: ConfigError) {
        self.errors.push(FileError {
            path: self.path.to_owned(),
            line,
            section: section.to_owned(),
            error,
        });
    }

    /// Reports an error inside `[section]` (dotted), at the line of its key, or else of the section.
    pub(super) fn push_at(&mut self, section: &[&str], error: ConfigError) {
        self.push(
            locate::nearest(self.text, section, &error.key),
            &section.join("."),
            error,
        );
    }

    pub(super) fn section<T: Default + for<'de> Deserialize<'de>>(
        &mut self,
        root: &mut toml::Table,
        name: &str,
    ) -> T {
        let table = match root.remove(name) {
            None => return T::default(),
            Some(toml::Value::Table(table)) => table,
            Some(_) => {
                self.push_at(
                    &[name],
                    ConfigError::new("", format!("not a section: write [{name}]")),
                );
                return T::default();
            }
        };
        read(&table).unwrap_or_else(|error| {
            self.push_at(&[name], error);
            T::default()
        })
    }

    pub(super) fn tables<T>(
        &mut self,
        root: &mut toml::Table,
        group: &str,
        parse: impl Fn(&str, toml::Table) -> Result<T, Vec<ConfigError>>,
    ) -> BTreeMap<Name, T> {
        let mut out = BTreeMap::new();
        let tables = match root.remove(group) {
            None => return out,
            Some(toml::Value::Table(tables)) => tables,
            Some(_) => {
                self.push_at(
                    &[group],
                    ConfigError::new("", format!("a section has no name: write [{group}.NAME]")),
                );
                return out;
            }
        };
        for (name, value) in tables {
            let toml::Value::Table(table) = value else {
                let error = ConfigError::new("", format!("not a section: write [{group}.{name}]"));
                self.push_at(&[group, &name], error);
                continue;
            };
            match checked_name(&name)
                .map_err(|error| vec![error])
                .and_then(|()| parse(&name, table))
            {
                Ok(parsed) => drop(out.insert(Name::from(name), parsed)),
                Err(errors) => errors
                    .into_iter()
                    .for_each(|error| self.push_at(&[group, &name], error)),
            }
        }
        out
    }
}

impl Reader<'_> {
    pub(super) fn tests(&mut self, root: &mut toml::Table, config: &Config) -> Vec<Test> {
        let mut tests: Vec<Test> = Vec::new();
        self.items(root, "test", |table| {
            let test = Test::read(table)?;
            test.check(config, &tests)?;
            tests.push(test);
            Ok(())
        });
        tests
    }

    pub(super) fn automations(&mut self, root: &mut toml::Table, lookups: &Tables) -> Automations {
        let mut all = Automations::new(lookups.clone());
        // Destinations are read first, because the other sections name them.
        let before = self.errors.len();
        self.items(root, "status", |table| all.add_status(table));
        all.lacks_statuses = self.errors.len() > before;
        self.items(root, "automation", |table| all.add_automation(table));
        self.items(root, "score", |table| all.add_score(table));
        all
    }

    /// Reads each `[[group]]`.
    fn items(
        &mut self,
        root: &mut toml::Table,
        group: &str,
        mut add: impl FnMut(&toml::Table) -> Result<(), ConfigError>,
    ) {
        let items = match root.remove(group) {
            None => return,
            Some(toml::Value::Array(items)) => items,
            Some(_) => {
                let error =
                    ConfigError::new("", format!("not a list of sections: write each as [[{group}]]"));
                return self.push_at(&[group], error);
            }
        };
        for (index, item) in items.iter().enumerate() {
            let added = match item {
                toml::Value::Table(table) => add(table),
                _ => Err(ConfigError::new("", "is not a table")),
            };
            if let Err(error) = added {
                let name = item.get("name").and_then(toml::Value::as_str).unwrap_or_default();
                let line = locate::nearest(self.text, &[group, &index.to_string()], &error.key);
                self.push(line, format!("{group} {name}").trim(), error);
            }
        }
    }

    /// Checks the destinations of automations: each must exist and set `takes`.
    /// Checks `renamed_from`: a name that still exists, or that two destinations claim, does not identify who was sent whom.
    fn check_renamed(&mut self, config: &Config) {
        let mut before = BTreeMap::new();
        for (name, destination) in &config.destinations {
            let Some(old) = &destination.rule.renamed_from else {
                continue;
            };
            let wrong = if config.destinations.contains_key(old) {
                Some(format!("[destination.{old}] is still configured"))
            } else {
                before
                    .insert(old, name)
                    .map(|other| format!("[destination.{other}] has the same value"))
            };
            if let Some(wrong) = wrong {
                let error = ConfigError::new("renamed_from", wrong)
                    .hint("set it to the former name of this destination; only one destination can have had that name");
                self.push_at(&["destination", name], error);
            }
        }
    }

    pub(super) fn check_destinations(&mut self, config: &Config) {
        self.check_renamed(config);
        let mut unsaid = std::collections::BTreeSet::new();
        for (index, automation) in config.automations.automations.iter().enumerate() {
            for name in automation.destinations() {
                let error = match config.destinations.get(name) {
                    Some(found) if found.rule.workspace != automation.workspace => ConfigError::new(
                        "then",
                        format!(
                            "the destination {name:?} is of workspace {:?}",
                            &*found.rule.workspace
                        ),
                    ),
                    Some(found) if found.rule.takes == Takes::Confirmations => ConfigError::new(
                        "then",
                        format!("the destination {name:?} takes only actions that wait for a confirmation"),
                    ),
                    Some(found) => {
                        if !found.sets_takes {
                            unsaid.insert(Name::clone(name));
                        }
                        continue;
                    }
                    // The destination exists but has an error of its own, which is already reported.
                    None if self
                        .errors
                        .iter()
                        .any(|error| error.section == format!("destination.{name}")) =>
                    {
                        continue;
                    }
                    None => {
                        let names: Vec<&str> = config.destinations.keys().map(|name| &**name).collect();
                        ConfigError::new("then", format!("there is no destination {name:?}"))
                            .hint(format!("there are: {}", names.join(", ")))
                    }
                };
                let line = locate::nearest(self.text, &["automation", &index.to_string()], "then");
                self.push(line, &format!("automation {}", automation.name), error);
            }
        }
        for name in unsaid {
            let error = ConfigError::new("takes", "missing, and automations deliver here").hint(
                "takes = \"automations\" sends it only their deliveries, \"changes\" also new information, \
                 \"all\" everything",
            );
            self.push_at(&["destination", &name], error);
        }
    }
}

impl Reader<'_> {
    /// Checks that no two destinations share what only one may use.
    pub(super) fn check_resources(&mut self, config: &Config) {
        let mut seen = BTreeMap::new();
        for (name, destination) in &config.destinations {
            let resource = destination.kind.exclusive;
            let Some(resource) = resource.and_then(|of| of(&config.dir, &destination.table)) else {
                continue;
            };
            let (key, what) = (resource.key, resource.what);
            if let Some(other) = seen.insert(resource, name) {
                let error = ConfigError::new(key, format!("[destination.{other}] writes the same {what}"))
                    .hint(format!("give each destination its own {what}"));
                self.push_at(&["destination", name], error);
            }
        }
    }

    pub(super) fn check_addresses(&mut self, http: &Http) {
        let (listen, console) = (http.listen, http.console);
        // Port 0 means any free port.
        let same_port = listen.port() == console.port() && listen.port() != 0;
        let (one, other) = (listen.ip(), console.ip());
        let takes_all = |all: IpAddr, ip: IpAddr| all.is_unspecified() && (all.is_ipv6() || ip.is_ipv4());
        if same_port && (one == other || takes_all(one, other) || takes_all(other, one)) {
            let error = ConfigError::new(
                "console",
                format!("{console} and `listen` ({listen}) are the same address"),
            )
            .hint("give the console another port");
            self.push_at(&["http"], error);
        }
    }
}
