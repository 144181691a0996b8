//! Finds the words that this program used before it had a glossary, in sources, documentation, templates, samples and
//! help. Each has a plain replacement in `docs/glossary.md`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use causeway::{cli, config};

/// A marker of the old language. Upper and lower case are the same. A hyphen or an underscore is a part of a word, so
/// "a no-op" is no hit.
struct Marker {
    text: &'static str,
    /// Whether words that only begin with the text are hits, too.
    is_prefix: bool,
}

const fn word(text: &'static str) -> Marker {
    Marker {
        text,
        is_prefix: false,
    }
}

const MARKERS: [Marker; 11] = [
    word("told"),
    word("tell"),
    word("tells"),
    word("telling"),
    word("so many"),
    word("a no"),
    word("a yes"),
    word("over there"),
    word("stands still"),
    word("for who"),
    Marker {
        text: "mend",
        is_prefix: true,
    },
];

/// A comment that begins with this word has an inverted order.
const COMMENT_START: &str = "Of";

/// (File, marker, reason): hits that are the trade's own words.
const ALLOWED: [(&str, &str, &str); 2] = [
    (
        "crates/causeway-store/migrations/sqlite/0008_repeats.sql",
        "tells",
        "a migration that was applied is never changed",
    ),
    (
        "crates/causeway-store/migrations/sqlite/0015_plain_names.sql",
        "tells",
        "renames the column of that name",
    ),
];

/// This file holds the markers themselves.
const OWN_FILE: &str = "crates/causeway/tests/it/words.rs";

const ENDINGS: [&str; 12] = [
    "css", "html", "js", "md", "php", "py", "rs", "sh", "sql", "toml", "yaml", "yml",
];

/// Folders without text of this project.
const SKIPPED: [&str; 4] = ["artifacts", "corpus", "node_modules", "target"];

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Hit {
    line: usize,
    marker: &'static str,
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

/// The text of a line without its comment marks and the backslash at its end, so that phrases are found across lines.
fn content(line: &str) -> &str {
    let line = line.trim().trim_end_matches('\\');
    line.trim_start_matches(['/', '!', '#', '*', '>']).trim()
}

fn begins_inverted(line: &str) -> bool {
    let comment = line.find("//").and_then(|at| line.get(at..)).unwrap_or_default();
    let comment = comment.trim_start_matches(['/', '!']);
    comment
        .strip_prefix(' ')
        .and_then(|text| text.strip_prefix(COMMENT_START))
        .is_some_and(|rest| rest.starts_with(' '))
}

/// The markers in a text, with their lines (from 1).
fn hits(text: &str) -> BTreeSet<Hit> {
    let mut found = BTreeSet::new();
    let mut joined = String::new();
    let mut starts = Vec::new();
    for (at, line) in text.lines().enumerate() {
        starts.push(joined.len());
        for word in content(line).split_whitespace() {
            joined.push_str(&word.to_lowercase());
            joined.push(' ');
        }
        if begins_inverted(line) {
            found.insert(Hit {
                line: at + 1,
                marker: "// Of",
            });
        }
    }
    for marker in &MARKERS {
        for (at, _) in joined.match_indices(marker.text) {
            let (before, after) = (&joined[..at], &joined[at + marker.text.len()..]);
            let is_whole = marker.is_prefix || !after.starts_with(is_word);
            if is_whole && !before.ends_with(is_word) {
                found.insert(Hit {
                    line: starts.partition_point(|start| *start <= at),
                    marker: marker.text,
                });
            }
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Collects the text files below a folder, by their path from the root.
fn collect(folder: &str, files: &mut Vec<String>) {
    let entries = std::fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    for entry in entries {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        let path = format!("{folder}/{name}");
        if entry.file_type().expect("a type").is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                collect(&path, files);
            }
        } else if Path::new(&name)
            .extension()
            .is_some_and(|ending| ENDINGS.iter().any(|known| *known == ending))
        {
            files.push(path);
        }
    }
}

/// All texts of the project: (place, text).
fn texts() -> Vec<(String, String)> {
    let mut files: Vec<String> = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "README.md",
        "SECURITY.md",
        ".ci/run",
        "bench/run",
        "test",
    ]
    .map(str::to_owned)
    .into();
    for folder in ["bench", "crates", "docs", "fuzz", "samples"] {
        collect(folder, &mut files);
    }
    files.retain(|file| file != OWN_FILE);
    let mut texts: Vec<(String, String)> = files
        .into_iter()
        .map(|file| {
            let text = std::fs::read_to_string(root().join(&file));
            let text = text.unwrap_or_else(|error| panic!("{file}: {error}"));
            (file, text)
        })
        .collect();
    helps(&mut cli::command(), "", &mut texts);
    let schema = serde_json::to_string_pretty(&config::schema()).expect("JSON");
    texts.push(("`causeway config schema`".to_owned(), schema));
    texts
}

/// Adds the help of a command and of its subcommands.
fn helps(command: &mut clap::Command, parent: &str, texts: &mut Vec<(String, String)>) {
    let name = format!("{parent}{}", command.get_name());
    let help = command.render_long_help().to_string();
    texts.push((format!("`{name} --help`"), help));
    for inner in command.get_subcommands_mut() {
        helps(inner, &format!("{name} "), texts);
    }
}

#[test]
fn all_texts_use_the_words_of_the_glossary() {
    let texts = texts();
    assert!(texts.len() > 500, "only {} texts were found", texts.len());
    let mut found = Vec::new();
    let mut used = BTreeSet::new();
    for (place, text) in &texts {
        for Hit { line, marker } in hits(text) {
            let allowed = ALLOWED
                .iter()
                .position(|(file, allowed, _)| file == place && *allowed == marker);
            match allowed {
                Some(allowed) => _ = used.insert(allowed),
                None => found.push(format!("{place}:{line}: {marker}")),
            }
        }
    }
    assert!(
        found.is_empty(),
        "{} uses of old words (docs/glossary.md has the plain ones):\n{}",
        found.len(),
        found.join("\n")
    );
    assert_eq!(
        used.len(),
        ALLOWED.len(),
        "an entry of ALLOWED has no hit any more"
    );
}

#[test]
fn old_words_are_found_with_their_lines() {
    let text = "/// Sends what it is told.\n// Of two, the newest.\nlet a = 1; // Of course\n/// It came so\n/// many times.\n\
                it was Told\\\n    over there; mended\n";
    let found: Vec<(usize, &str)> = hits(text).iter().map(|hit| (hit.line, hit.marker)).collect();
    assert_eq!(
        found,
        [
            (1, "told"),
            (2, "// Of"),
            (3, "// Of"),
            (4, "so many"),
            (6, "told"),
            (7, "mend"),
            (7, "over there"),
        ]
    );
    for plain in [
        "retold",
        "untold",
        "told_by",
        "a no-op",
        "a noun",
        "recommend",
        "storyteller",
    ] {
        assert!(hits(plain).is_empty(), "{plain}");
    }
}
