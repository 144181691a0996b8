//! A copy of the workspace with all mutants in it.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};

use crate::{
    find::{self, Key, Mutant},
    render::{self, Id, Rendered},
    table::PARTS,
};

const SWITCH: &str = include_str!("switch.rs");
const SWITCH_MANIFEST: &str =
    "[package]\nname = \"causeway-mutant\"\nversion = \"0.0.0\"\nedition = \"2024\"\n";

pub struct Tree {
    pub root: PathBuf,
    /// The files of the workspace, without what is changed in them.
    original: BTreeMap<String, Vec<u8>>,
}

/// The workspace as it stands in the copy.
pub struct Mutated {
    pub mutants: Vec<(usize, Mutant)>,
    /// By file.
    pub rendered: BTreeMap<String, Rendered>,
}

impl Tree {
    /// Reads the workspace at `from`; the copy goes to `root`.
    pub fn read(from: &Path, root: PathBuf) -> anyhow::Result<Self> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(from)
            .output()
            .context("git ls-files")?;
        if !listed.status.success() {
            bail!("git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
        }
        let mut original = BTreeMap::new();
        for name in String::from_utf8(listed.stdout)?.split('\0') {
            let is_apart = name.starts_with("mutants/");
            let path = from.join(name);
            // A file may have been deleted but not yet from the index.
            if !name.is_empty() && !is_apart && path.is_file() {
                let bytes = std::fs::read(&path).with_context(|| format!("reading {name}"))?;
                original.insert(name.to_owned(), bytes);
            }
        }
        Ok(Self { root, original })
    }

    pub fn hash(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.original.hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// Writes the copy with all mutants but those in `dropped`. Touches no file that stays as it is.
    pub fn write(&self, dropped: &HashSet<Key>) -> anyhow::Result<Mutated> {
        let mut mutated = Mutated {
            mutants: Vec::new(),
            rendered: BTreeMap::new(),
        };
        let mut next: Id = 1;
        for (name, bytes) in &self.original {
            let part = PARTS.iter().position(|part| is_of(part, name));
            if let Some(part) = part {
                let text = std::str::from_utf8(bytes)?;
                let found =
                    find::find(name, text, next, dropped).with_context(|| format!("parsing {name}"))?;
                next += u32::try_from(found.mutants.len())?;
                mutated
                    .mutants
                    .extend(found.mutants.into_iter().map(|mutant| (part, mutant)));
                let rendered = render::render(text, found.edits);
                self.put(name, rendered.text.as_bytes())?;
                mutated.rendered.insert(name.clone(), rendered);
            } else if PARTS
                .iter()
                .any(|part| *name == format!("crates/{}/Cargo.toml", part.package))
            {
                let manifest = std::str::from_utf8(bytes)?.replace(
                    "\n[dependencies]\n",
                    "\n[dependencies]\ncauseway-mutant = { path = \"../causeway-mutant\" }\n",
                );
                self.put(name, manifest.as_bytes())?;
            } else if name != "Cargo.lock" || !self.root.join(name).exists() {
                self.put(name, bytes)?;
            }
        }
        self.put("crates/causeway-mutant/Cargo.toml", SWITCH_MANIFEST.as_bytes())?;
        self.put("crates/causeway-mutant/src/lib.rs", SWITCH.as_bytes())?;
        self.remove_others()?;
        Ok(mutated)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.root.join(name);
        if std::fs::read(&path).is_ok_and(|known| known == bytes) {
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))
    }

    /// Removes files of crates that are no longer in the workspace: Cargo would take a test for one.
    fn remove_others(&self) -> anyhow::Result<()> {
        let known: BTreeSet<PathBuf> = self.original.keys().map(|name| self.root.join(name)).collect();
        let mut folders = vec![self.root.join("crates")];
        while let Some(folder) = folders.pop() {
            if folder.ends_with("causeway-mutant") {
                continue;
            }
            for entry in std::fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if !known.contains(&path) {
                    std::fs::remove_file(&path)?;
                }
            }
        }
        Ok(())
    }
}

fn is_of(part: &crate::table::Part, name: &str) -> bool {
    let Some(below) = name
        .strip_prefix("crates/")
        .and_then(|name| name.strip_prefix(part.package))
        .and_then(|name| name.strip_prefix("/src/"))
    else {
        return false;
    };
    let is_test = below.ends_with("tests.rs") || below.contains("tests/");
    let is_listed = part.files.iter().any(|file| {
        below
            .strip_prefix(file)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    is_listed && !is_test && Path::new(below).extension().is_some_and(|end| end == "rs")
}
