//! What must be true of every kind of destination.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use causeway_testkit::{clock::TestClock, destination_contract::delivery};

use super::*;

/// Serves wherever a sample asks for a secret.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn context(dir: &Path) -> Context {
    Context {
        name: "sample".into(),
        clock: Arc::<TestClock>::default(),
        dir: dir.to_owned(),
        tables: Tables::default(),
    }
}

/// The kind's own keys from its sample.
fn sample(kind: &Kind) -> toml::Table {
    let whole: toml::Table = toml::from_str(kind.sample).unwrap();
    let destinations = whole["destination"].as_table().unwrap();
    assert_eq!(
        (whole.len(), destinations.len()),
        (1, 1),
        "{}: one [destination.NAME]",
        kind.name
    );
    let mut own = destinations.values().next().unwrap().as_table().unwrap().clone();
    let named = own.remove("kind");
    assert_eq!(named.as_ref().and_then(toml::Value::as_str), Some(kind.name));
    // What all destinations have is read by the program.
    for common in [
        "consent",
        "purpose",
        "batch",
        "concurrency",
        "rate_per_s",
        "timeout_s",
        "coalesce",
        "order",
    ] {
        own.remove(common);
    }
    own
}

/// Puts a text in place of each `{ env = "…" }`, as the environment of a test must not be written to.
fn with_secrets(value: &mut toml::Value) {
    match value {
        toml::Value::Table(table)
            if table.len() == 1 && (table.contains_key("env") || table.contains_key("file")) =>
        {
            *value = SECRET.into();
        }
        toml::Value::Table(table) => {
            for (name, inner) in table.iter_mut() {
                // Only of a database is the address a secret in a sample.
                if name == "url" && inner.is_table() {
                    *inner = "sqlite:sample.db".into();
                }
                with_secrets(inner);
            }
        }
        toml::Value::Array(items) => items.iter_mut().for_each(with_secrets),
        _ => {}
    }
}

#[test]
fn kinds_are_sorted_and_unique() {
    let names: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
    assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
    for kind in KINDS {
        assert!(
            !kind.summary.is_empty() && !kind.summary.contains('\n'),
            "{}",
            kind.name
        );
        assert!(kind.batch >= 1 && kind.concurrency >= 1, "{}", kind.name);
    }
}

#[tokio::test]
async fn every_sample_is_read_and_connects_and_previews() {
    let dir = tempfile::tempdir().unwrap();
    for kind in KINDS {
        let own = sample(kind);
        (kind.parse)(&Tables::default(), &own).unwrap_or_else(|error| panic!("{}: {error}", kind.name));
        let mut own = toml::Value::Table(own);
        with_secrets(&mut own);
        let own = own.as_table().unwrap();
        let connected = (kind.connect)(&context(dir.path()), own);
        assert!(connected.is_ok(), "{}: {}", kind.name, connected.err().unwrap());
        let previews = (kind.preview)(&context(dir.path()), own, &[delivery(1), delivery(2)]).unwrap();
        assert_eq!(previews.len(), 2, "{}", kind.name);
        for preview in previews {
            assert!(!preview.unwrap().contains(SECRET), "{}", kind.name);
        }
    }
}

#[test]
fn a_sample_names_every_key() {
    for kind in KINDS {
        let schema = serde_json::to_value((kind.schema)()).unwrap();
        for key in schema["properties"]
            .as_object()
            .into_iter()
            .flat_map(|keys| keys.keys())
        {
            assert!(
                kind.sample.contains(key.as_str()),
                "{}: the sample does not show `{key}`",
                kind.name
            );
        }
    }
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    for kind in KINDS {
        let mut own = sample(kind);
        own.insert("no_such_key".to_owned(), 1.into());
        let error = (kind.parse)(&Tables::default(), &own).unwrap_err();
        assert!(
            error.to_string().contains("no_such_key"),
            "{}: {error}",
            kind.name
        );
    }
}

#[test]
fn every_kind_is_registered_and_keeps_the_contract() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/destination");
    let registry = fs::read_to_string(here.join("mod.rs")).unwrap();
    let mut found = 0;
    for entry in fs::read_dir(&here).unwrap() {
        let path = entry.unwrap().path();
        let text = text_below(&path);
        if path.ends_with("mod.rs") || path.ends_with("tests.rs") || !text.contains("pub const KIND: Kind") {
            continue;
        }
        found += 1;
        let module = path.file_stem().unwrap().to_str().unwrap();
        assert!(
            registry.contains(&format!("    {module}::KIND,")),
            "{module} is not in KINDS"
        );
        assert!(
            text.contains("destination_contract::run"),
            "{module} has no contract test"
        );
    }
    assert_eq!(found, KINDS.len());
}

/// The text of a file, or of all files in a folder.
fn text_below(path: &PathBuf) -> String {
    if path.is_file() {
        return fs::read_to_string(path).unwrap();
    }
    fs::read_dir(path)
        .unwrap()
        .map(|entry| text_below(&entry.unwrap().path()))
        .collect()
}
