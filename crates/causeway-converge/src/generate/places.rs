//! The organisations, their sources and destinations, and how the configuration changes.

use crate::{
    dice::Dice,
    feature::{Feature, Features},
    world::{
        Database, Destination, DestinationKind, EPOCHS, Enough, Filter, Hook, Order, Org, Over, Policy,
        Server, Settings, Source, SourceKind, Space, Vendor,
    },
};

pub const CAMPAIGNS: [&str; 2] = ["bees", "rivers"];
pub const ACTION_TYPES: [&str; 3] = ["petition", "register", "donate"];

pub fn spaces(dice: &mut Dice, features: &Features) -> Vec<Space> {
    let count = if features.has(Feature::Workspaces) {
        dice.weighted(&[(70, 1), (25, 2), (5, 3)])
    } else {
        1
    };
    (0..count)
        .map(|_| {
            let sources = sources(dice, features);
            let own_orgs = own_orgs(dice, features);
            let destinations = destinations(dice, features, &sources);
            Space {
                sources,
                destinations,
                own_orgs,
            }
        })
        .collect()
}

fn proca(
    name: &'static str,
    server: Server,
    over: Over,
    policy: Enough,
    purpose: &'static str,
    has_api: bool,
) -> Source {
    Source {
        name,
        kind: SourceKind::Proca {
            server,
            over,
            policy,
            purpose,
            has_api,
        },
    }
}

fn sources(dice: &mut Dice, features: &Features) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut add = |name, kind| sources.push(Source { name, kind });
    if dice.chance(60) {
        let has_date = dice.chance(40);
        add(
            "platform",
            SourceKind::Sync {
                has_date,
                is_opt_in: !has_date && dice.chance(15),
            },
        );
    }
    if dice.chance(60) {
        let field = if features.has(Feature::Values) && dice.chance(30) {
            "3.1"
        } else {
            "news"
        };
        add(
            "forms",
            SourceKind::Form {
                field,
                has_time: dice.chance(40),
            },
        );
    }
    if features.has(Feature::StrangerValues) && dice.chance(40) {
        add("open", SourceKind::Open);
    }
    if dice.chance(60) {
        add("site", SourceKind::Events);
    }
    if features.has(Feature::Import) && dice.chance(30) {
        add(
            "office",
            SourceKind::Office {
                has_date: dice.chance(50),
            },
        );
    }
    let mut over = || {
        if features.has(Feature::Queue) && dice.chance(55) {
            Over::Queue
        } else {
            Over::Http
        }
    };
    let (first, second) = (over(), over());
    let policy = dice.weighted(&[(60, Enough::Form), (40, Enough::Click)]);
    if dice.chance(75) || sources.is_empty() {
        let has_api = first == Over::Queue && features.has(Feature::Api) && dice.chance(50);
        sources.push(proca("petition", Server::Live, first, policy, "email", has_api));
    }
    if features.has(Feature::TwoServers) && dice.chance(30) {
        sources.push(proca("mirror", Server::Staging, second, policy, "email", false));
    }
    if features.has(Feature::PhonePurpose) && dice.chance(20) {
        sources.push(proca(
            "calls",
            Server::Live,
            Over::Http,
            Enough::Form,
            "phone",
            false,
        ));
    }
    sources
}

fn own_orgs(dice: &mut Dice, features: &Features) -> [Vec<Org>; EPOCHS] {
    let last = vec![Org::Ours, Org::Sister];
    let mut all: [Vec<Org>; EPOCHS] = std::array::from_fn(|_| last.clone());
    if features.has(Feature::OwnOrgs) && dice.chance(25) {
        let until = dice.between(1, EPOCHS - 1);
        let wrong = if dice.chance(50) {
            vec![Org::Ours]
        } else {
            vec![Org::Ours, Org::Sister, Org::Partner]
        };
        for orgs in &mut all[..until] {
            orgs.clone_from(&wrong);
        }
    }
    all
}

fn destinations(dice: &mut Dice, features: &Features, sources: &[Source]) -> Vec<Destination> {
    let has_calls = sources.iter().any(|source| source.name == "calls");
    let count = dice.weighted(&[(30, 2), (45, 3), (20, 4), (5, 5)]);
    (0..count)
        .map(|number| {
            // The first destination is plain, so that each history has one to which all checks apply.
            let is_plain = number == 0;
            let kind = if is_plain {
                DestinationKind::Hook(Hook::Json)
            } else {
                kind(dice, features)
            };
            let is_mute = kind == DestinationKind::Hook(Hook::Mute);
            let policy = if is_plain || is_mute {
                dice.weighted(&[(70, Policy::OptIn), (30, Policy::DoubleOptIn)])
            } else {
                policy(dice, features)
            };
            let filter = if is_plain || !features.has(Feature::Filters) || dice.chance(60) {
                Filter::None
            } else {
                filter(dice, sources)
            };
            let purpose = if has_calls && !is_plain && dice.chance(35) {
                "phone"
            } else {
                "email"
            };
            let order = if features.has(Feature::Orders) {
                dice.weighted(&[
                    (60, Order::Default),
                    (15, Order::None),
                    (10, Order::Coalesce),
                    (15, Order::EscapeEarly),
                ])
            } else {
                Order::Default
            };
            let first = Settings {
                name: format!("d{number}"),
                policy,
                filter,
            };
            let settings = settings(dice, features, first, sources);
            Destination {
                kind,
                purpose,
                settings,
                order,
            }
        })
        .collect()
}

fn kind(dice: &mut Dice, features: &Features) -> DestinationKind {
    let is_strict = features.has(Feature::Fragile) && dice.chance(30);
    let table = |server| DestinationKind::Table { server, is_strict };
    let has = |feature, weight| if features.has(feature) { weight } else { 0 };
    dice.weighted(&[
        (10, DestinationKind::Hook(Hook::Whole)),
        (10, DestinationKind::Hook(Hook::Json)),
        (8, DestinationKind::Hook(Hook::Form)),
        (8, DestinationKind::Hook(Hook::Get)),
        (6, DestinationKind::Hook(Hook::Groups)),
        (has(Feature::Fragile, 12), DestinationKind::Hook(Hook::Fragile)),
        (has(Feature::Mute, 5), DestinationKind::Hook(Hook::Mute)),
        (has(Feature::File, 7), DestinationKind::File { is_csv: true }),
        (has(Feature::File, 7), DestinationKind::File { is_csv: false }),
        (has(Feature::Sqlite, 10), table(Database::Sqlite)),
        (has(Feature::Postgres, 12), table(Database::Postgres)),
        (has(Feature::MariaDb, 9), table(Database::MariaDb)),
        (
            has(Feature::Vendors, 16),
            DestinationKind::Vendor(Vendor::HubSpot),
        ),
        (
            has(Feature::Vendors, 16),
            DestinationKind::Vendor(Vendor::Mailchimp),
        ),
        (has(Feature::Vendors, 12), DestinationKind::Vendor(Vendor::Meta)),
    ])
}

fn policy(dice: &mut Dice, features: &Features) -> Policy {
    let all = if features.has(Feature::PolicyAll) { 20 } else { 0 };
    dice.weighted(&[
        (all, Policy::All),
        (15, Policy::WithConsent),
        (40, Policy::OptIn),
        (25, Policy::DoubleOptIn),
    ])
}

fn filter(dice: &mut Dice, sources: &[Source]) -> Filter {
    match dice.below(3) {
        0 => Filter::Campaigns(vec![*dice.pick(&CAMPAIGNS)]),
        1 => Filter::ActionTypes(vec![*dice.pick(&ACTION_TYPES)]),
        _ => Filter::Sources(vec![dice.pick(sources).name]),
    }
}

/// The settings of each epoch: mostly the same, sometimes with one change.
fn settings(
    dice: &mut Dice,
    features: &Features,
    first: Settings,
    sources: &[Source],
) -> [Option<Settings>; EPOCHS] {
    let from = dice.between(1, EPOCHS - 1);
    let mut all: [Option<Settings>; EPOCHS] = std::array::from_fn(|_| Some(first.clone()));
    let mut change = |changed: Option<Settings>| {
        for epoch in &mut all[from..] {
            epoch.clone_from(&changed);
        }
    };
    match dice.below(12) {
        0 if features.has(Feature::Tightened) && first.policy < Policy::DoubleOptIn => {
            let policy = if first.policy == Policy::OptIn {
                Policy::DoubleOptIn
            } else {
                Policy::OptIn
            };
            change(Some(Settings { policy, ..first }));
        }
        1 if features.has(Feature::Added) => all[..from].iter_mut().for_each(|epoch| *epoch = None),
        2 if features.has(Feature::Renamed) => {
            change(Some(Settings {
                name: format!("{}-new", first.name),
                ..first
            }));
        }
        3 if features.has(Feature::Refiltered) => {
            let filter = if first.filter == Filter::None {
                filter(dice, sources)
            } else {
                Filter::None
            };
            change(Some(Settings { filter, ..first }));
        }
        _ => {}
    }
    all
}
