//! Finds the source of a token.

use std::{collections::HashMap, path::Path, sync::Arc};

use causeway_connect::config::ConfigError;
use causeway_core::id::Name;

use crate::web::secrets::{Fingerprint, Secrets, fingerprint};

/// 22 characters of base64 have 128 bits; generated tokens have 32.
const MIN_TOKEN_CHARS: usize = 22;

/// A source that senders name by a token.
pub(crate) trait HasTokens {
    /// The configuration key of the tokens.
    const KEY: &str;

    fn name(&self) -> &Name;
    fn tokens(&self) -> &[Fingerprint];
}

/// Sources by token and by name. Tokens are looked up by their digests, so that the time of a look-up shows nothing
/// about a token.
pub(in crate::web) struct Tokens<T> {
    by_token: HashMap<Fingerprint, Arc<T>>,
    by_name: HashMap<Name, Arc<T>>,
}

impl<T: HasTokens> Tokens<T> {
    pub(in crate::web) fn new(sources: Vec<T>) -> Result<Self, ConfigError> {
        if let Some((_, error)) = same_token(&sources) {
            return Err(error);
        }
        let sources = sources.into_iter().map(Arc::new);
        let by_name: HashMap<Name, Arc<T>> = sources
            .map(|source| (Name::clone(source.name()), source))
            .collect();
        let tokens = by_name.values().flat_map(|source| {
            let tokens = source.tokens().iter();
            tokens.map(|token| (*token, Arc::clone(source)))
        });
        Ok(Self {
            by_token: tokens.collect(),
            by_name,
        })
    }

    pub(in crate::web) fn find(&self, token: &Fingerprint) -> Option<&Arc<T>> {
        self.by_token.get(token)
    }

    pub(in crate::web) fn named(&self, name: &Name) -> Option<&Arc<T>> {
        self.by_name.get(name)
    }
}

/// The first source that has the same token as an earlier one, and the error. One source may repeat a token, as during a
/// rotation.
pub(crate) fn same_token<T: HasTokens>(sources: &[T]) -> Option<(Name, ConfigError)> {
    let mut seen: HashMap<Fingerprint, &T> = HashMap::new();
    for source in sources {
        for token in source.tokens() {
            if let Some(other) = seen.insert(*token, source)
                && !std::ptr::eq(other, source)
            {
                let message = format!("[source.{}] has the same token", other.name());
                let error = ConfigError::new(T::KEY, message);
                return Some((
                    Name::clone(source.name()),
                    error.hint("give each source its own token"),
                ));
            }
        }
    }
    None
}

/// The digests of configured tokens. Relative paths of secret files start at `dir`.
pub(in crate::web) fn read_tokens(
    key: &str,
    tokens: &Secrets,
    dir: &Path,
    may_be_short: bool,
) -> Result<Vec<Fingerprint>, ConfigError> {
    let secrets = tokens.resolve(key, dir)?;
    for secret in &secrets {
        let token = secret.reveal();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if !token.bytes().all(is_plain) {
            return Err(ConfigError::new(
                key,
                "a token may only have letters, digits and -._~",
            ));
        }
        if token.len() < MIN_TOKEN_CHARS && !may_be_short {
            return Err(ConfigError::new(
                key,
                format!("a token has fewer than {MIN_TOKEN_CHARS} characters, so it could be guessed"),
            )
            .hint("make one with: head -c 24 /dev/urandom | base64 | tr +/ -_"));
        }
    }
    let digest = |secret: &causeway_core::secret::Secret| fingerprint(secret.reveal().as_bytes());
    Ok(secrets.iter().map(digest).collect())
}
