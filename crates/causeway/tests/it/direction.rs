//! Which crate may depend on which. The table of crates in ARCHITECTURE.md, as a test.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// The arrows between our own crates: (crate, what it may use, what its tests may use besides).
const ARROWS: [(&str, &[&str], &[&str]); 6] = [
    (
        "causeway",
        &["causeway-connect", "causeway-core", "causeway-store"],
        &["causeway-testkit"],
    ),
    ("causeway-connect", &["causeway-core"], &["causeway-testkit"]),
    // Drives the built program as a process: of our crates it may use the private servers only, never the rules.
    ("causeway-converge", &["causeway-testkit"], &[]),
    ("causeway-core", &[], &[]),
    ("causeway-store", &["causeway-core"], &["causeway-testkit"]),
    ("causeway-testkit", &["causeway-core"], &[]),
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
    "idna",
    "jiff",
    "md-5",
    "memchr",
    "minijinja",
    "phonenumber",
    "quick-xml",
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
