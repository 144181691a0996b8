//! Dummy values for the secrets of a destination, so that a trial needs no secrets.

use std::path::Path;

use causeway_connect::destination::Kind;
use data_encoding::BASE64;
use toml::{Table, Value};

/// The destination's keys, in which each `{ env = … }` and `{ file = … }` points to a file in `folder` with a dummy.
/// They stay references, so that a preview masks them like real secrets.
pub(super) fn with_dummies(kind: &Kind, table: &Table, folder: &Path) -> std::io::Result<Table> {
    let mut changed = table.clone();
    replace(kind, "", &mut changed, folder)?;
    Ok(changed)
}

fn replace(kind: &Kind, path: &str, table: &mut Table, folder: &Path) -> std::io::Result<()> {
    for (key, value) in table.iter_mut() {
        replace_value(kind, &format!("{path}.{key}"), value, folder)?;
    }
    Ok(())
}

fn replace_value(kind: &Kind, path: &str, value: &mut Value, folder: &Path) -> std::io::Result<()> {
    match value {
        Value::Array(items) => {
            for item in items {
                replace_value(kind, path, item, folder)?;
            }
        }
        Value::Table(table) => match reference(table) {
            Some(name) => {
                let text = dummy(kind, path, &name);
                let digest = causeway_core::envelope::digest(&[text.as_bytes()]);
                let file = folder.join(data_encoding::HEXLOWER.encode(&digest));
                std::fs::write(&file, text)?;
                *table = Table::from_iter([(
                    "file".to_owned(),
                    Value::String(file.to_string_lossy().into_owned()),
                )]);
            }
            None => replace(kind, path, table, folder)?,
        },
        _ => {}
    }
    Ok(())
}

/// The name in `{ env = "NAME" }` or `{ file = "path" }`.
fn reference(table: &Table) -> Option<String> {
    let mut entries = table.iter();
    let (key, name) = entries.next()?;
    let is_reference = entries.next().is_none() && matches!(key.as_str(), "env" | "file");
    name.as_str().filter(|_| is_reference).map(str::to_owned)
}

/// A dummy that is valid for the key. Different secrets have different dummies: a URL contains the secret's name, so that a
/// test can check it.
fn dummy(kind: &Kind, path: &str, name: &str) -> String {
    let label: String = name
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(60)
        .collect();
    let label = label.trim_matches('-');
    let host = format!(
        "{}.dummy.example.org",
        if label.is_empty() { "secret" } else { label }
    );
    let last = path.rsplit('.').next().unwrap_or_default();
    match last {
        "url" => kind.dummy_url.replace("HOST", &host),
        "secrets" => format!("whsec_{}", BASE64.encode(&[0; 32])),
        _ => format!("dummy-{label}"),
    }
}

#[cfg(test)]
mod tests {
    use causeway_connect::destination::kind;

    use super::*;

    #[test]
    fn every_reference_becomes_a_file_with_a_valid_dummy() {
        let folder = tempfile::tempdir().unwrap();
        let table: Table = toml::from_str(
            "url = { env = 'HOOK_URL' }\nmethod = 'PUT'\n[auth]\nbearer = { file = '/run/token' }\n\
             [sign]\nsecrets = [{ env = 'NEW' }, 'whsec_plain']\n[fields]\nenv = 'contact.email'\n",
        )
        .unwrap();
        let changed = with_dummies(kind("webhook").unwrap(), &table, folder.path()).unwrap();
        let read = |value: &Value| std::fs::read_to_string(value["file"].as_str().unwrap()).unwrap();
        assert_eq!(read(&changed["url"]), "https://hook-url.dummy.example.org/");
        assert_eq!(read(&changed["auth"]["bearer"]), "dummy-run-token");
        assert!(read(&changed["sign"]["secrets"][0]).starts_with("whsec_"));
        assert_eq!(changed["sign"]["secrets"][1].as_str(), Some("whsec_plain"));
        assert_eq!(changed["method"], table["method"]);
    }
}
