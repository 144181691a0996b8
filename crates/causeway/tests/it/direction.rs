//! Which crate may depend on which, and which module on which. The table of crates in ARCHITECTURE.md, as a test.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use serde_json::Value;

/// The arrows between our own crates: (crate, what it may use, what its tests may use besides).
const ARROWS: [(&str, &[&str], &[&str]); 7] = [
    (
        "causeway",
        &[
            "causeway-connect",
            "causeway-core",
            // For `causeway demo --with`.
            "causeway-fakes",
            "causeway-store",
        ],
        &["causeway-testkit"],
    ),
    ("causeway-connect", &["causeway-core"], &["causeway-testkit"]),
    // Drives the built program as a process: of our crates it may use the private servers and the vendors' accounts
    // only, never the rules.
    ("causeway-converge", &["causeway-fakes", "causeway-testkit"], &[]),
    ("causeway-core", &[], &[]),
    ("causeway-fakes", &["causeway-core"], &["causeway-testkit"]),
    ("causeway-store", &["causeway-core"], &["causeway-testkit"]),
    ("causeway-testkit", &["causeway-core", "causeway-fakes"], &[]),
];

/// All crates that the rules may use. None of them opens a file or a socket. Discuss a new one first.
const CORE_USES: &[&str] = &[
    "async-trait",
    "bytes",
    "celes",
    "crypto_box",
    "data-encoding",
    "encoding_rs",
    "flate2",
    "hmac",
    "idna",
    "jiff",
    "md-5",
    "memchr",
    "minijinja",
    "phonenumber",
    "quick-xml",
    "regex",
    "serde",
    "serde_json",
    "sha2",
    "strsim",
    "thiserror",
    "tokio-util",
    "unicode-normalization",
];

/// Crates that would give the rules I/O indirectly, through a feature of an allowed crate.
const IO_CRATES: [&str; 8] = [
    "hyper",
    "mio",
    "reqwest",
    "rusqlite",
    "rustls",
    "signal-hook-registry",
    "socket2",
    "tokio-postgres",
];
/// The parts of tokio and tokio-util that do I/O, start tasks or read the clock. `sync` is what a cancellation token needs.
const IO_FEATURES: [&str; 12] = [
    "codec",
    "fs",
    "full",
    "io-std",
    "io-util",
    "net",
    "process",
    "rt",
    "rt-multi-thread",
    "signal",
    "test-util",
    "time",
];

fn cargo(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(args)
        .arg("--offline")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "cargo {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

/// (crate, dependency, is it for tests only)
fn declared() -> Vec<(String, String, bool)> {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--no-deps"])).expect("JSON");
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().expect("a list of packages") {
        for dependency in package["dependencies"]
            .as_array()
            .expect("a list of dependencies")
        {
            let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
            found.push((name(package), name(dependency), dependency["kind"] == "dev"));
        }
    }
    found
}

#[test]
fn our_crates_depend_on_each_other_as_designed() {
    let declared = declared();
    let crates: BTreeSet<&str> = declared.iter().map(|(name, _, _)| name.as_str()).collect();
    assert_eq!(
        crates,
        ARROWS.iter().map(|(name, _, _)| *name).collect(),
        "a crate has no line in ARROWS"
    );
    for (name, uses, tests_use) in ARROWS {
        for (_, dependency, is_for_tests) in declared.iter().filter(|(from, _, _)| from == name) {
            let is_ours = dependency.starts_with("causeway");
            let is_allowed = uses.contains(&dependency.as_str())
                || (*is_for_tests && tests_use.contains(&dependency.as_str()));
            assert!(!is_ours || is_allowed, "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn the_rules_use_exactly_the_crates_listed_here() {
    let used: BTreeSet<String> = declared()
        .into_iter()
        .filter(|(name, _, is_for_tests)| name == "causeway-core" && !is_for_tests)
        .map(|(_, dependency, _)| dependency)
        .collect();
    let allowed: BTreeSet<String> = CORE_USES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(used, allowed);
}

#[test]
fn the_rules_cannot_do_io_through_what_they_use() {
    let tree = cargo(&[
        "tree",
        "-p",
        "causeway-core",
        "-e",
        "normal,features",
        "--prefix",
        "none",
    ]);
    assert!(
        tree.contains(r#"tokio feature "sync""#),
        "the tree has another form than this test reads:\n{tree}"
    );
    for line in tree.lines() {
        let name = line.split(' ').next().unwrap_or_default();
        assert!(!IO_CRATES.contains(&name), "the rules reach {line}");
        let feature = line.split('"').nth(1).unwrap_or_default();
        let is_io = ["tokio", "tokio-util"].contains(&name) && IO_FEATURES.contains(&feature);
        assert!(!is_io, "the rules switch on {line}");
    }
}

/// Modules that use each other, and why that is no fault.
const CIRCLES: [(&str, &[&str], &str); 2] = [
    (
        "causeway-core",
        &["automation", "rules"],
        "the rules hold the automations, and an automation that runs asks the rules",
    ),
    (
        "causeway",
        &["config", "sources", "web"],
        "the configuration reads each kind of source by its own keys, and the listener is one of them",
    ),
];

/// (crate, module, modules that it must not know)
const BELOW: [(&str, &str, &[&str]); 5] = [
    ("causeway", "engine", &["cli", "config", "hub", "sources", "web"]),
    ("causeway", "hub", &["cli"]),
    ("causeway", "web", &["cli", "hub"]),
    ("causeway", "sources", &["cli", "engine", "hub"]),
    ("causeway-connect", "http", &["destination", "source"]),
];

/// Module → the modules of its crate that its code names, without its tests.
fn arrows(package: &str) -> BTreeMap<String, BTreeSet<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(package)
        .join("src");
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut open = vec![root.clone()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let place = path
                .strip_prefix(&root)
                .expect("below the root")
                .with_extension("");
            let names: Vec<&str> = place.iter().filter_map(|name| name.to_str()).collect();
            if names.contains(&"tests") || path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a source file");
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let is_comment = |line: &&str| line.trim_start().starts_with("//");
            let code: String = code.lines().filter(|line| !is_comment(line)).collect();
            let own = names.first().copied().unwrap_or_default();
            let used = found.entry(own.to_owned()).or_default();
            used.extend(used_modules(&code).into_iter().filter(|name| name != own));
        }
    }
    let modules: BTreeSet<String> = found.keys().cloned().collect();
    for used in found.values_mut() {
        used.retain(|name| modules.contains(name));
    }
    found
}

/// The names after `crate::`: one, or the first level of a group.
fn used_modules(code: &str) -> BTreeSet<String> {
    let is_of_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut names = BTreeSet::new();
    for (at, found) in code.match_indices("crate::") {
        let rest = &code[at + found.len()..];
        let mut depth = 0;
        let mut is_next = !rest.starts_with('{');
        for (place, c) in rest.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if is_next && is_of_name(c) {
                names.insert(rest[place..].chars().take_while(|c| is_of_name(*c)).collect());
                is_next = false;
            }
            is_next |= depth == 1 && matches!(c, '{' | ',');
            if depth == 0 {
                break;
            }
        }
    }
    names
}

#[test]
fn modules_use_only_those_below_them() {
    for (package, module, others) in BELOW {
        let arrows = arrows(package);
        let used = arrows.get(module).expect("the module exists");
        for other in others {
            assert!(!used.contains(*other), "{package}: {module} must not use {other}");
        }
    }
}

/// A module is in a circle if it uses itself through others.
#[test]
fn only_the_circles_listed_here_exist() {
    for package in ["causeway-core", "causeway-connect", "causeway"] {
        let arrows = arrows(package);
        let reached = |from: &str| {
            let mut reached: BTreeSet<String> = BTreeSet::new();
            let mut open = vec![from.to_owned()];
            while let Some(next) = open.pop() {
                for used in arrows.get(&next).into_iter().flatten() {
                    if reached.insert(used.clone()) {
                        open.push(used.clone());
                    }
                }
            }
            reached
        };
        let circling: BTreeSet<&str> = arrows
            .keys()
            .map(String::as_str)
            .filter(|module| reached(module).contains(*module))
            .collect();
        let allowed = CIRCLES.iter().filter(|(of, _, _)| *of == package);
        let allowed: BTreeSet<&str> = allowed
            .flat_map(|(_, modules, _)| modules.iter().copied())
            .collect();
        assert_eq!(circling, allowed, "{package}");
    }
}
