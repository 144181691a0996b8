//! Builds the test binaries. Mutants that do not compile are dropped.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};
use serde_json::Value;

use crate::{
    find::Key,
    render::{Id, blamed},
    table::PARTS,
    tree::{Mutated, Tree},
};

/// Test binaries by package and by `lib` or the name of the test.
pub type Binaries = HashMap<(String, String), PathBuf>;

struct Build {
    binaries: Binaries,
    /// The complaints that stopped it.
    errors: Vec<Value>,
}

/// Writes and builds the copy until it compiles, with the tests for the chosen mutants. Mutants that do not
/// compile are remembered in `known`.
pub fn build(
    tree: &Tree,
    (target, known): (&Path, &Path),
    is_chosen: impl Fn(&Key) -> bool,
) -> anyhow::Result<(Mutated, HashSet<Key>, Binaries)> {
    let mut dropped: HashSet<Key> = std::fs::read_to_string(known)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    loop {
        let mutated = tree.write(&dropped)?;
        eprintln!(
            "building {} mutants ({} more do not compile)",
            mutated.mutants.len() - dropped.len(),
            dropped.len()
        );
        let chosen = mutated
            .mutants
            .iter()
            .filter(|(_, mutant)| is_chosen(&mutant.key));
        let parts: BTreeSet<usize> = chosen.map(|(part, _)| *part).collect();
        let build = cargo(&tree.root, target, &parts)?;
        if build.errors.is_empty() {
            return Ok((mutated, dropped, build.binaries));
        }
        let ids: HashSet<Id> = build
            .errors
            .iter()
            .flat_map(|error| guilty(&mutated, error))
            .collect();
        let keys = mutated
            .mutants
            .iter()
            .filter(|(_, mutant)| ids.contains(&mutant.id));
        let before = dropped.len();
        dropped.extend(keys.map(|(_, mutant)| mutant.key.clone()));
        std::fs::write(known, serde_json::to_string(&dropped)?)?;
        if dropped.len() == before {
            for error in &build.errors {
                eprintln!("{}", error["rendered"].as_str().unwrap_or_default());
            }
            bail!(
                "the copy in {} does not compile, and no mutant is to blame",
                tree.root.display()
            );
        }
    }
}

fn cargo(root: &Path, target: &Path, parts: &BTreeSet<usize>) -> anyhow::Result<Build> {
    let tests: BTreeSet<&str> = parts
        .iter()
        .flat_map(|part| PARTS[*part].stages)
        .map(|stage| stage.binary)
        .filter(|binary| *binary != "lib")
        .collect();
    let mut command = Command::new("cargo");
    command
        .args(["test", "--no-run", "--offline", "--lib", "--message-format=json"])
        .args(PARTS.iter().flat_map(|part| ["-p", part.package]))
        .args(tests.iter().flat_map(|test| ["--test", test]))
        .current_dir(root)
        .env("CARGO_TARGET_DIR", target)
        .stdout(Stdio::piped())
        .stdin(Stdio::null());
    let mut child = command.spawn().context("cargo")?;
    let output = child.stdout.take().context("the output of cargo")?;
    let mut build = Build {
        binaries: Binaries::new(),
        errors: Vec::new(),
    };
    for line in BufReader::new(output).lines() {
        let Ok(message) = serde_json::from_str::<Value>(&line?) else {
            continue;
        };
        if message["reason"] == "compiler-message" && message["message"]["level"] == "error" {
            build.errors.push(message["message"].clone());
        }
        if let Some(path) = message["executable"].as_str() {
            let package = package_of(message["manifest_path"].as_str().unwrap_or_default());
            let target = &message["target"];
            let is_lib = target["kind"][0] == "lib";
            let name = if is_lib {
                "lib"
            } else {
                target["name"].as_str().unwrap_or_default()
            };
            build.binaries.insert((package, name.to_owned()), path.into());
        }
    }
    let status = child.wait()?;
    if !status.success() && build.errors.is_empty() {
        bail!("cargo test --no-run failed");
    }
    Ok(build)
}

fn package_of(manifest: &str) -> String {
    let folder = Path::new(manifest).parent().and_then(Path::file_name);
    folder.unwrap_or_default().to_string_lossy().into_owned()
}

/// The mutants that an error of the compiler comes from: by its main place, else by the others.
fn guilty(mutated: &Mutated, error: &Value) -> Vec<Id> {
    let spans: Vec<&Value> = error["spans"]
        .as_array()
        .map(|all| all.iter().collect())
        .unwrap_or_default();
    let mut places: BTreeMap<bool, Vec<(&str, std::ops::Range<usize>)>> = BTreeMap::new();
    for span in spans {
        let number = |name: &str| usize::try_from(span[name].as_u64().unwrap_or(0)).unwrap_or(0);
        let at = number("byte_start")..number("byte_end");
        let file = span["file_name"].as_str().unwrap_or_default();
        let is_other = span["is_primary"] != true;
        places.entry(is_other).or_default().push((file, at));
    }
    for own in [true, false] {
        for (file, at) in places.values().flatten() {
            let Some(rendered) = mutated.rendered.get(*file) else {
                continue;
            };
            if let Some(ids) = blamed(&rendered.places, at, own) {
                return ids.to_vec();
            }
        }
    }
    Vec::new()
}
