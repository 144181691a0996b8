//! Requirements for every kind of destination.

pub(super) mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use causeway_core::destination::Outcome;
use causeway_testkit::{clock::TestClock, destination_contract::delivery};

use super::*;

/// Used wherever a sample asks for a secret.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Used for `token`: Mailchimp's API keys end with a data centre.
const API_KEY: &str = "0123456789abcdef0123456789abcdef-us21";

fn context(dir: &Path) -> Context {
    Context {
        name: "sample".into(),
        clock: Arc::<TestClock>::default(),
        dir: dir.to_owned(),
        tables: Tables::default(),
        vault: crate::vault::NoVault::shared(),
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
    // The program reads the keys that all destinations have.
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

/// Replaces each `{ env = "…" }` by a text, because a test must not change its environment.
fn with_secrets(value: &mut toml::Value) {
    match value {
        toml::Value::Table(table)
            if table.len() == 1 && (table.contains_key("env") || table.contains_key("file")) =>
        {
            *value = SECRET.into();
        }
        toml::Value::Table(table) => {
            for (name, inner) in table.iter_mut() {
                // In the samples an address is a secret only for a database.
                if name == "url" && inner.is_table() {
                    *inner = "sqlite:sample.db".into();
                }
                with_secrets(inner);
                if name == "token" && inner.as_str() == Some(SECRET) {
                    *inner = API_KEY.into();
                }
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

/// The delivery of a person who may be written to. Some kinds skip all others.
fn subscriber(number: i64) -> Delivery {
    let mut delivery = delivery(number);
    let state = causeway_core::consent::ConsentState::OptedIn {
        since: delivery.planned_at,
    };
    delivery.record.consent_state.insert("email".to_owned(), state);
    delivery
}

/// Makes it an action that waits at Proca: this kind skips all others.
fn wait_for_confirmation(delivery: &mut Delivery) {
    delivery.record.event = "supporter_confirm".to_owned();
    let reference = causeway_core::contact::Identity::ContactRef {
        namespace: "proca".into(),
        reference: "h3CPBYrUgfNGdTclEdyiKg7TLtJ4KJD8VuQ0HRUPBpE".to_owned(),
    };
    delivery.record.identities.push(reference);
}

#[tokio::test]
async fn every_sample_is_read_and_connects_and_previews() {
    let dir = tempfile::tempdir().unwrap();
    for kind in KINDS.iter().chain([&acme::KIND]) {
        let own = sample(kind);
        (kind.parse)(&Tables::default(), &own).unwrap_or_else(|error| panic!("{}: {error}", kind.name));
        let mut own = toml::Value::Table(own);
        with_secrets(&mut own);
        let own = own.as_table().unwrap();
        let connected = (kind.connect)(&context(dir.path()), own);
        assert!(connected.is_ok(), "{}: {}", kind.name, connected.err().unwrap());
        let mut batch = [subscriber(1), subscriber(2)];
        if kind.name == "proca" {
            batch.iter_mut().for_each(wait_for_confirmation);
        }
        let previews = (kind.preview)(&context(dir.path()), own, &batch).unwrap();
        assert_eq!(previews.len(), 2, "{}", kind.name);
        for preview in previews {
            let text = preview.unwrap();
            assert!(!text.contains(SECRET) && !text.contains(API_KEY), "{}", kind.name);
        }
    }
}

/// Removes the mapping from a kind's own keys. Returns whether there was one.
fn without_mapping(own: &mut toml::Table) -> bool {
    let mut found = own.remove("fields").is_some();
    for table in ["contacts", "actions"] {
        if let Some(table) = own.get_mut(table).and_then(toml::Value::as_table_mut) {
            found |= table.remove("columns").is_some();
        }
    }
    found
}

#[test]
fn the_mapping_in_a_sample_is_the_default_mapping() {
    let dir = tempfile::tempdir().unwrap();
    let mut withdrawal = delivery(2);
    withdrawal.record.kind = causeway_core::delivery::Kind::Withdrawal;
    withdrawal.record.action = None;
    let batch = [delivery(1), withdrawal];
    let mut seen = 0;
    for kind in KINDS {
        let mut own = toml::Value::Table(sample(kind));
        with_secrets(&mut own);
        let mut own = own.as_table().unwrap().clone();
        let shown = |own: &toml::Table| (kind.preview)(&context(dir.path()), own, &batch).unwrap();
        let with_mapping = shown(&own);
        if without_mapping(&mut own) {
            seen += 1;
            assert_eq!(with_mapping, shown(&own), "{}", kind.name);
        }
    }
    assert!(seen > 0, "no kind has a mapping");
}

#[tokio::test]
async fn a_mapping_that_fails_rejects_the_delivery_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut other = delivery(2);
    let action = other.record.action.as_mut().unwrap();
    action
        .custom_fields
        .insert("colour".to_owned(), "sea green".into());
    let batch = [delivery(1), other];
    let (file, database) = ("out.jsonl", dir.path().join("people.db"));
    for (kind, table) in [
        (
            "file",
            format!("path = '{file}'\nfields = {{ e = 'contact.email', c = 'action.fields.colour' }}"),
        ),
        (
            "sql",
            format!(
                "url = 'sqlite:{}'\nactions = {{ table = 'a', key = ['e'], columns = {{ e = 'contact.email', c = 'action.fields.colour' }} }}",
                database.display()
            ),
        ),
    ] {
        let (kind, table) = (super::kind(kind).unwrap(), toml::from_str(&table).unwrap());
        if let Some(create) = kind.create {
            (create.run)(&context(dir.path()), &table)
                .unwrap()
                .await
                .unwrap_or_default();
        }
        if kind.name == "sql" {
            let connection = rusqlite::Connection::open(&database).unwrap();
            connection
                .execute_batch("CREATE TABLE IF NOT EXISTS a (e TEXT PRIMARY KEY, c TEXT)")
                .unwrap();
        }
        let destination = (kind.connect)(&context(dir.path()), &table).unwrap();
        let results = destination.deliver(&batch).await;
        let Outcome::Reject { reason } = &results[0].outcome else {
            panic!("{}: {:?}", kind.name, results[0]);
        };
        assert!(
            reason.starts_with("`c`: `action.fields.colour` is missing"),
            "{reason}"
        );
        assert!(
            matches!(results[1].outcome, Outcome::Delivered { .. }),
            "{}: {:?}",
            kind.name,
            results[1]
        );
        // The dry run gives the same reason.
        let shown = (kind.preview)(&context(dir.path()), &table, &batch).unwrap();
        assert_eq!(shown[0], Err(Unsent::Dead(reason.clone())), "{}", kind.name);
        assert!(shown[1].is_ok(), "{}", kind.name);
    }
    let written = fs::read_to_string(dir.path().join(file)).unwrap();
    assert_eq!(written.lines().count(), 1, "only one delivery is written");
    assert!(written.contains("sea green"), "{written}");
}

#[test]
fn the_configuration_overrides_the_campaign_and_the_campaign_the_defaults() {
    use causeway_core::{event::Campaign, rules::Settings};
    use serde_json::json;

    let object = |value: serde_json::Value| value.as_object().unwrap().clone();
    let settings = Settings {
        defaults: object(json!({ "list": "main", "form": 1, "tag": "all" })),
        campaigns: [("bees".to_owned(), object(json!({ "tag": "bees" })))].into(),
    };
    let campaign: Campaign = serde_json::from_value(json!({
        "external_id": "204", "name": "bees",
        "config": { "component": { "sync": { "form": 7, "tag": "from the campaign" } } },
    }))
    .unwrap();
    let fields = fields::Fields::read(
        "fields",
        &toml::from_str("list = 'settings.list'\nform = 'settings.form'\ntag = '{{ settings.tag }}!'")
            .unwrap(),
        &Tables::default(),
    )
    .unwrap();
    for (campaign, expected) in [
        (
            Some(&campaign),
            json!({ "list": "main", "form": 7, "tag": "bees!" }),
        ),
        (None, json!({ "list": "main", "form": 1, "tag": "all!" })),
    ] {
        let mut record = delivery(1).record;
        record.settings = settings.for_campaign(campaign);
        let values = fields.apply(
            &causeway_core::mapping::Scope::new(&record),
            &mut causeway_core::mapping::omission::Omissions::of(&record),
        );
        let given = fields::nest(values.unwrap()).unwrap();
        assert_eq!(given, expected);
    }
}

#[test]
fn a_mapping_reports_its_needs_and_probable_misspellings() {
    for (kind, table) in [
        (
            "webhook",
            "url = 'https://hooks.example.org'\nfields = { n = 'engagement.opens | length', e = 'contact.emial', s = 'change' }",
        ),
        (
            "file",
            "path = 'a.csv'\nfields = { n = 'engagement.opens | length', e = 'contact.emial', s = 'change' }",
        ),
        (
            "sql",
            "url = 'sqlite:a.db'\ncontacts = { table = 'c', key = ['k'], columns = { k = 'contact.email', n = 'engagement.opens | length', e = 'contact.emial' } }",
        ),
    ] {
        let needs =
            (super::kind(kind).unwrap().parse)(&Tables::default(), &toml::from_str(table).unwrap()).unwrap();
        assert!(needs.history, "{kind}");
        assert_eq!(
            needs.warnings,
            ["`e`: `contact.emial` is not a field that every contact has: did you mean contact.email?"],
            "{kind}"
        );
        // The sample of `sql` writes a table of engagements.
        let of_sample =
            (super::kind(kind).unwrap().parse)(&Tables::default(), &sample(super::kind(kind).unwrap()))
                .unwrap();
        assert_eq!(of_sample.history, kind == "sql");
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
fn every_kind_is_registered_and_has_a_contract_test() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/destination");
    let registry = fs::read_to_string(here.join("mod.rs")).unwrap();
    let mut found = 0;
    for entry in fs::read_dir(&here).unwrap() {
        let path = entry.unwrap().path();
        let text = text_below(&path);
        if path.ends_with("mod.rs") || path.ends_with("tests") || !text.contains("pub const KIND: Kind") {
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
