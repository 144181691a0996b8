//! The configuration of one epoch, as the documentation describes it.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{
    wire::Place,
    world::{
        Database, Destination, DestinationKind, Enough, Filter, History, Hook, Order, Over, Server, Source,
        SourceKind, Space,
    },
};

/// URLs of the servers that the hub connects to.
#[derive(Debug, Clone, Default)]
pub struct Servers {
    /// The broker's URL, with `/` and the virtual host at the end.
    pub live: String,
    pub staging: String,
    pub postgres: String,
    pub mariadb: String,
    /// `http://127.0.0.1:PORT` of the receivers.
    pub receivers: Vec<String>,
    /// The URL of the fake of Proca's API.
    pub api: String,
    /// The keys of the vendors' destinations, by their names at the receiver.
    pub vendors: BTreeMap<String, String>,
}

/// The keys that the program knows, because some may be removed.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    sample: String,
}

impl Keys {
    /// Reads them from the output of `causeway config sample`.
    pub fn new(sample: String) -> Self {
        Self { sample }
    }

    fn has(&self, key: &str) -> bool {
        self.sample.lines().any(|line| {
            line.trim_start_matches(['#', ' '])
                .starts_with(&format!("{key} ="))
        })
    }
}

/// The sections of a history's sources and destinations in an epoch.
pub fn sections(history: &History, place: &Place, epoch: usize, servers: &Servers, keys: &Keys) -> String {
    let mut out = String::new();
    for (number, space) in history.spaces.iter().enumerate() {
        for source in &space.sources {
            source_section(&mut out, space, source, number, place, epoch, servers);
        }
        for (which, destination) in space.destinations.iter().enumerate() {
            destination_section(
                &mut out,
                destination,
                (number, which),
                place,
                epoch,
                (servers, keys),
                space,
            );
        }
    }
    out
}

fn source_section(
    out: &mut String,
    space: &Space,
    source: &Source,
    number: usize,
    place: &Place,
    epoch: usize,
    servers: &Servers,
) {
    let name = place.source(number, source);
    let mut line = |text: String| {
        let _infallible = writeln!(out, "{text}");
    };
    line(format!(
        "[source.{name}]\nworkspace = \"{}\"",
        place.workspace(number)
    ));
    let token = place.token(number, source);
    let listener = |preset: &str| listener(preset, &token);
    let lists = "opt_in = [\"yes\", \"1\", \"true\"], unsubscribed = [\"no\", \"0\", \"false\"]";
    match &source.kind {
        SourceKind::Sync { has_date, is_opt_in } => {
            let at = if *has_date {
                "at_field = \"Newsletter date\", "
            } else {
                ""
            };
            let consent = if *is_opt_in { "consent = \"opt_in\", " } else { "" };
            line(listener("sync-to-third-party"));
            line(format!(
                "namespace = \"platform\"\n\
                 sync = {{ {consent}consent_from = [{{ field = \"Newsletter\", {at}{lists} }}] }}"
            ));
        }
        SourceKind::Form { field, has_time } => {
            let time = if *has_time { "time = \"when\", " } else { "" };
            line(listener("generic"));
            line(format!(
                "namespace = \"member\"\n\
                 generic = {{ id = \"member\", {time}consent_from = [{{ field = \"{field}\", {lists} }}] }}"
            ));
        }
        SourceKind::Open => line(listener("generic")),
        SourceKind::Office { has_date } => {
            let at = if *has_date { "at_field = \"since\", " } else { "" };
            line(listener("generic"));
            line(format!(
                "namespace = \"office\"\n\
                 generic = {{ id = \"nr\", consent_from = [{{ field = \"news\", {at}{lists} }}] }}"
            ));
        }
        SourceKind::Events => {
            line(format!(
                "kind = \"events\"\ntokens = [\"{token}\"]\nnamespace = \"site\"\nproca = \"live\""
            ));
        }
        SourceKind::Proca { .. } => {
            for text in proca_lines(space, source, number, place, epoch, servers) {
                line(text);
            }
        }
    }
}

fn listener(preset: &str, token: &str) -> String {
    format!("kind = \"listener\"\npreset = \"{preset}\"\ntoken = \"{token}\"")
}

fn proca_lines(
    space: &Space,
    source: &Source,
    number: usize,
    place: &Place,
    epoch: usize,
    servers: &Servers,
) -> Vec<String> {
    let SourceKind::Proca {
        server,
        over,
        policy,
        purpose,
        has_api,
    } = &source.kind
    else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    // The organisation has an account on both Proca servers.
    let others: Vec<String> = space
        .sources
        .iter()
        .filter(|other| matches!(&other.kind, SourceKind::Proca { server: its, .. } if its != server))
        .map(|other| format!("\"{}\"", place.source(number, other)))
        .collect();
    if !others.is_empty() {
        lines.push(format!("consent_shared_with = [{}]", others.join(", ")));
    }
    let orgs: Vec<String> = space.own_orgs[epoch]
        .iter()
        .map(|org| place.org(number, *org).to_string())
        .collect();
    let consent = if *policy == Enough::Form {
        "single"
    } else {
        "double_opt_in"
    };
    let common = [
        format!("own_orgs = [{}]", orgs.join(", ")),
        format!("consent = \"{consent}\""),
        format!("purpose = \"{purpose}\""),
        "keystore = [\"keys.json\"]".to_owned(),
    ];
    match over {
        Over::Http => {
            lines.push(listener("proca", &place.token(number, source)));
            lines.push(format!(
                "namespace = \"{}\"\nproca = {{ {} }}",
                server.namespace(),
                common.join(", ")
            ));
        }
        Over::Queue => {
            let url = if *server == Server::Live {
                &servers.live
            } else {
                &servers.staging
            };
            lines.push(format!(
                "kind = \"proca\"\nurl = \"{url}\"\nqueue = \"cus.{}.deliver\"\n\
                 namespace = \"{}\"\nprefetch = 50",
                place.org(number, crate::world::Org::Ours),
                server.namespace()
            ));
            lines.push(common.join("\n"));
            if *has_api {
                lines.push(format!(
                    "reconcile = {{ url = \"{}/{}\", org = \"{}\", bearer = \"API-token\", \
                     every_h = 1, lookback_days = 1000, allow_private = true }}",
                    servers.api,
                    place.source(number, source),
                    crate::api::ORG
                ));
            }
        }
    }
    lines
}

fn destination_section(
    out: &mut String,
    destination: &Destination,
    (number, which): (usize, usize),
    place: &Place,
    epoch: usize,
    (servers, keys): (&Servers, &Keys),
    space: &Space,
) {
    let Some(settings) = &destination.settings[epoch] else {
        return;
    };
    let mut line = |text: String| {
        let _infallible = writeln!(out, "{text}");
    };
    let key = key(place, number, which);
    line(format!(
        "[destination.{}]",
        place.destination(number, &settings.name)
    ));
    line(format!(
        "workspace = \"{}\"\nconsent = \"{}\"\npurpose = \"{}\"",
        place.workspace(number),
        settings.policy.name(),
        destination.purpose
    ));
    line(
        "retry_s = [0.1, 0.2, 0.3, 0.3, 0.5, 0.5, 0.5, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3]"
            .to_owned(),
    );
    // A delivery to a vendor takes several calls.
    let is_vendor = matches!(destination.kind, DestinationKind::Vendor(_));
    let timeout = if is_vendor { "10.0" } else { "1.0" };
    line(format!("timeout_s = {timeout}\ncircuit_failures = 0"));
    let names = destination.settings[..epoch]
        .iter()
        .flatten()
        .map(|earlier| &earlier.name);
    if let Some(old) = names.rev().find(|name| **name != settings.name) {
        line(format!("renamed_from = \"{}\"", place.destination(number, old)));
    }
    let list = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect::<Vec<_>>()
            .join(", ")
    };
    match &settings.filter {
        Filter::None => {}
        Filter::Campaigns(names) => line(format!("campaigns = [{}]", list(names))),
        Filter::ActionTypes(names) => line(format!("action_types = [{}]", list(names))),
        Filter::Sources(names) => {
            let names: Vec<String> = space
                .sources
                .iter()
                .filter(|source| names.contains(&source.name))
                .map(|source| place.source(number, source))
                .collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            line(format!("sources = [{}]", list(&names)));
        }
    }
    match destination.order {
        Order::None if keys.has("order") => line("order = \"none\"".to_owned()),
        Order::Coalesce if keys.has("coalesce") => line("coalesce = true".to_owned()),
        Order::EscapeEarly if keys.has("escape_after") => line("escape_after = 1".to_owned()),
        _ => {}
    }
    line(kind_lines(destination, which, &key, servers));
}

fn kind_lines(destination: &Destination, which: usize, key: &str, servers: &Servers) -> String {
    let subscribed = format!("consent.{}.subscribed", destination.purpose);
    match destination.kind {
        DestinationKind::Vendor(vendor) => {
            let keys = servers.vendors.get(key).cloned();
            keys.unwrap_or_else(|| format!("# the keys of {vendor:?}, as src/vendors has them"))
        }
        DestinationKind::Hook(hook) => {
            let base = &servers.receivers[which % servers.receivers.len()];
            hook_lines(hook, &format!("{base}/{key}"))
        }
        DestinationKind::File { is_csv: true } => format!(
            "kind = \"file\"\npath = \"files/{key}.csv\"\nrotate_mb = 0\n\
             fields = {{ email = \"contact.email\", subscribed = \"{subscribed}\", name = \"contact.firstName\" }}"
        ),
        DestinationKind::File { is_csv: false } => format!(
            "kind = \"file\"\npath = \"files/{key}.jsonl\"\nrotate_mb = 0\n\
             fields = {{ email = \"contact.email\", change = \"change\", name = \"contact.firstName\" }}"
        ),
        DestinationKind::Table { server, is_strict } => {
            let url = match server {
                Database::Postgres => servers.postgres.clone(),
                Database::MariaDb => servers.mariadb.clone(),
                Database::Sqlite => format!("sqlite:files/{key}.db"),
            };
            let more = if is_strict {
                ", first_name = \"contact.firstName\", born = \"contact.Born | default(none)\", \
                 code = \"contact.Code | default(none)\""
            } else {
                ", first_name = \"contact.firstName\""
            };
            format!(
                "kind = \"sql\"\nurl = \"{url}\"\nconcurrency = 2\n\
                 contacts = {{ table = \"{}\", \
                 columns = {{ email = \"contact.email\", subscribed = \"{subscribed}\"{more} }} }}",
                table(key)
            )
        }
    }
}

/// The name of a destination at the receiver. It stays when the destination is renamed in the configuration.
pub fn key(place: &Place, space: usize, destination: usize) -> String {
    format!("{}-{destination}", place.workspace(space))
}

pub fn table(key: &str) -> String {
    key.replace('-', "_")
}

fn hook_lines(hook: Hook, url: &str) -> String {
    let common = "kind = \"webhook\"\nallow_private = true\nconcurrency = 8\n";
    let lines = match hook {
        Hook::Whole => format!("url = \"{url}\""),
        Hook::Json => {
            format!("url = \"{url}\"\nfields = {{ email = \"contact.email\", change = \"change\" }}")
        }
        Hook::Form => {
            format!(
                "url = \"{url}\"\ncontent = \"form\"\nfields = {{ email = \"contact.email\", change = \"change\" }}"
            )
        }
        Hook::Get => {
            format!(
                "url = \"{url}?email=[#EMAIL#]&change=[#CHANGE#]\"\nmethod = \"GET\"\ncontent = \"query\"\n\
                 fields = {{ name = \"contact.firstName\" }}"
            )
        }
        Hook::Groups => {
            format!(
                "url = \"{url}\"\ncontent = \"form\"\nsync = [\"contact\", \"fields\"]\n\
                 fields = {{ change = \"change\" }}"
            )
        }
        Hook::Fragile => format!(
            "url = \"{url}\"\nheaders = {{ X-Name = \"[#FIRST NAME#] [#LAST NAME#]\" }}\n\
             fields = {{ email = \"contact.email\", change = \"change\", \
             phone = \"contact.phone | phone('DE')\", land = \"contact.country | country\", \
             born = \"(contact.Born | date('%Y')) if contact.Born is defined else none\" }}"
        ),
        Hook::Mute => {
            format!("url = \"{url}\"\nfields = {{ email = \"contact.email\", name = \"contact.firstName\" }}")
        }
    };
    format!("{common}{lines}")
}
