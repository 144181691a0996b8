//! The configurations in `samples/rest`: each is valid without a warning, and makes the requests of the snapshots.

use std::path::Path;

use causeway_core::{
    consent::{Change, ConsentState},
    delivery::Kind as DeliveryKind,
    mapping::{ConsentShown, Tables},
};
use causeway_testkit::destination_contract::delivery;

use super::*;

/// Keys that all destinations have.
const COMMON: [&str; 7] = [
    "kind",
    "consent",
    "batch",
    "concurrency",
    "coalesce",
    "settings",
    "action_types",
];

/// The keys of a destination that are those of its kind.
pub(super) fn own_keys(destination: &toml::Table) -> toml::Table {
    let mut own = destination.clone();
    own.retain(|key, _| !COMMON.contains(&key));
    own
}

fn delivery_of(change: Change, settings: Option<&toml::Value>) -> Delivery {
    let mut delivery = delivery(1);
    let record = &mut delivery.record;
    record.change = change;
    let since = record.event_at;
    let state = match change {
        Change::Subscribe => ConsentState::OptedIn { since },
        _ => ConsentState::Unknown,
    };
    record.consent_state.insert("email".to_owned(), state);
    if change != Change::Subscribe {
        record.kind = DeliveryKind::Withdrawal;
    }
    if let Some(settings) = settings.and_then(toml::Value::as_table) {
        record.settings = crate::config::json_members(settings.clone());
    }
    delivery
}

/// Replaces each `{ env = "…" }`, because a test must not change its environment.
fn with_secrets(value: &mut toml::Value) {
    match value {
        toml::Value::Table(table) if table.len() == 1 && table.contains_key("env") => {
            *value = "sesame".into();
        }
        toml::Value::Table(table) => table.iter_mut().for_each(|(_, inner)| with_secrets(inner)),
        toml::Value::Array(items) => items.iter_mut().for_each(with_secrets),
        _ => {}
    }
}

#[test]
fn each_sample_is_valid_and_makes_these_requests() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/rest");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 8);
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let whole: toml::Table = toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut shown = Vec::new();
        for (destination, table) in whole["destination"].as_table().unwrap() {
            let table = table.as_table().unwrap();
            assert_eq!(table["kind"].as_str(), Some("webhook"), "{name}");
            let settings = table.get("settings").cloned();
            let own = own_keys(table);
            let needs =
                (KIND.parse)(&Tables::default(), &own).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(needs.warnings.is_empty(), "{name}: {:?}", needs.warnings);
            // These two APIs have no words for an opt-out, so none may be sent as if it were a signature.
            let is_mute = ["greenpeace-data-hub", "petition-form"].contains(&&*name);
            let expected = if is_mute {
                ConsentShown::NOTHING
            } else {
                ConsentShown::All
            };
            assert_eq!(needs.consent_shown, expected, "{name}");
            let mut own = toml::Value::Table(own);
            with_secrets(&mut own);
            let own = own.as_table().unwrap();
            (KIND.connect)(&context(), own).unwrap_or_else(|error| panic!("{name}: {error}"));
            for change in [
                Change::Subscribe,
                Change::Unsubscribe,
                Change::Suppress,
                Change::Remove,
            ] {
                let batch = [delivery_of(change, settings.as_ref())];
                let preview = (KIND.preview)(&context(), own, &batch).unwrap().remove(0);
                assert_eq!(
                    preview.is_err(),
                    is_mute && change != Change::Subscribe,
                    "{name}, {change:?}"
                );
                let preview = preview.unwrap_or_else(|why| format!("not sent: {why}"));
                assert!(!preview.contains("sesame"), "{name}: {preview}");
                shown.push(format!("== {destination}: {}\n{preview}\n", change.as_str()));
            }
        }
        insta::assert_snapshot!(format!("sample_{name}"), shown.join("\n"));
    }
}
