//! The decoder for what the queue brings, with the keys from their files.

use std::{path::Path, sync::Arc};

use causeway_core::{
    decode::proca::{self, OptInMode, ProcaDecoder},
    event::Decode,
    keystore::{Keystore, SharedKeystore},
};

use super::{Config, Consent, Testing};
use crate::config::{ConfigError, Context};

/// Reads the key files. Relative paths start at the folder of the configuration.
pub(super) fn decoder(context: &Context, config: &Config) -> Result<Arc<dyn Decode>, ConfigError> {
    Ok(Arc::new(ProcaDecoder {
        namespace: config.namespace.as_str().into(),
        own_orgs: config.own_orgs(),
        keystore: Arc::new(SharedKeystore::new(read_keys(config, &context.dir)?)),
        testing: match config.testing {
            Testing::Skip => proca::Testing::Skip,
            Testing::Sandbox => proca::Testing::Sandbox,
            Testing::Deliver => proca::Testing::Deliver,
        },
        opt_in: match config.consent {
            Consent::Single => OptInMode::Single,
            Consent::DoubleOptIn => OptInMode::DoubleOptIn,
        },
        purpose: config.purpose.as_str().into(),
    }))
}

fn read_keys(config: &Config, dir: &Path) -> Result<Keystore, ConfigError> {
    let mut keys = Keystore::default();
    for path in &config.keystore {
        let path = dir.join(path);
        let wrong = |why: String| ConfigError::new("keystore", format!("{}: {why}", path.display()));
        let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
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
            "url = 'amqp://a:b@example.org'\nqueue = 'cus.12.deliver'\nconsent = 'double_opt_in'\nkeystore = {keystore}"
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
        assert_eq!(read_keys(&config, folder.path()).unwrap().len(), 2);
    }

    #[test]
    fn a_key_file_that_is_missing_or_broken_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = read_keys(&config("['none.json']"), folder.path()).unwrap_err();
        assert!(
            error.to_string().contains("`keystore`: ") && error.message.contains("none.json"),
            "{error}"
        );
        std::fs::write(folder.path().join("bad.json"), "{").unwrap();
        let error = read_keys(&config("['bad.json']"), folder.path()).unwrap_err();
        assert!(error.message.contains("bad.json: not JSON"), "{error}");
    }
}
