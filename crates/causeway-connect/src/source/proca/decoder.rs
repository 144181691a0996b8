//! The decoder for the queue's messages, with the keys from their files.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use causeway_core::{
    decode::{
        placeholders::Placeholders,
        proca::{self, OptInMode, ProcaDecoder},
    },
    event::Decode,
    keystore::{Keystore, SharedKeystore},
};

use super::{Config, Consent, Testing};
use crate::{
    config::{ConfigError, Context},
    source::{ConsentFrom, consent_rules},
};

/// What decides how Proca's messages are read, from whichever source.
#[derive(Debug)]
pub struct Reading<'a> {
    pub namespace: &'a str,
    pub own_orgs: BTreeSet<String>,
    /// Key files, relative to `dir` of [`Reading::decoder`].
    pub keystore: &'a [PathBuf],
    pub consent: Consent,
    pub testing: Testing,
    pub purpose: &'a str,
    pub consent_from: &'a [ConsentFrom],
    pub placeholders: Placeholders,
}

impl Reading<'_> {
    /// Reads the key files.
    pub fn decoder(&self, dir: &Path) -> Result<Arc<dyn Decode>, ConfigError> {
        Ok(Arc::new(ProcaDecoder {
            namespace: self.namespace.into(),
            own_orgs: self.own_orgs.clone(),
            keystore: Arc::new(SharedKeystore::new(read_keys(self.keystore, dir)?)),
            testing: match self.testing {
                Testing::Skip => proca::Testing::Skip,
                Testing::Sandbox => proca::Testing::Sandbox,
                Testing::Deliver => proca::Testing::Deliver,
            },
            opt_in: match self.consent {
                Consent::Single => OptInMode::Single,
                Consent::DoubleOptIn => OptInMode::DoubleOptIn,
            },
            purpose: self.purpose.into(),
            consent_from: consent_rules("consent_from", self.consent_from)?,
            placeholders: self.placeholders.clone(),
        }))
    }
}

/// The decoder of a queue. Relative paths start at the folder of the configuration.
pub(super) fn decoder(context: &Context, config: &Config) -> Result<Arc<dyn Decode>, ConfigError> {
    let reading = Reading {
        namespace: config.namespace(),
        own_orgs: config.own_orgs(),
        keystore: &config.keystore,
        consent: config.consent,
        testing: config.testing,
        purpose: &config.purpose,
        consent_from: &config.consent_from,
        placeholders: Placeholders::new(&config.placeholder_ids, config.empty_values.as_deref()),
    };
    reading.decoder(&context.dir)
}

fn read_keys(files: &[PathBuf], dir: &Path) -> Result<Keystore, ConfigError> {
    let mut keys = Keystore::default();
    for path in files {
        let path = dir.join(path);
        let wrong = |why: String| ConfigError::new("keystore", format!("{}: {why}", path.display()));
        let text = std::fs::read_to_string(&path)
            .map_err(|error| ConfigError::unreadable("keystore", &path, &error))?;
        keys.merge(Keystore::parse(&text).map_err(|error| wrong(error.to_string()))?);
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use causeway_core::keystore::generate;

    use super::*;

    fn config(keystore: &str) -> Config {
        let text = format!(
            "url = 'amqp://a:b@localhost'\nqueue = 'cus.12.deliver'\nconsent = 'double_opt_in'\nkeystore = {keystore}"
        );
        Config::parse(&toml::from_str(&text).unwrap()).unwrap()
    }

    #[test]
    fn keys_of_all_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, seed: u8| {
            std::fs::write(folder.path().join(name), generate([seed; 32]).file.reveal()).unwrap();
        };
        write("first.json", 1);
        write("second.json", 2);
        let config = config("['first.json', 'second.json']");
        assert_eq!(read_keys(&config.keystore, folder.path()).unwrap().len(), 2);
    }

    #[test]
    fn a_key_file_that_is_missing_or_broken_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = read_keys(&config("['none.json']").keystore, folder.path()).unwrap_err();
        assert!(
            error.to_string().contains("`keystore`: ") && error.message.contains("none.json"),
            "{error}"
        );
        std::fs::write(folder.path().join("bad.json"), "{").unwrap();
        let error = read_keys(&config("['bad.json']").keystore, folder.path()).unwrap_err();
        assert!(error.message.contains("bad.json: not JSON"), "{error}");
    }
}
