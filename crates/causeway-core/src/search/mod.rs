//! Searches for a person in stored bytes that were never understood: dead, skipped and duplicate messages,
//! and the files of a destination. An erasure has to find the person in every spelling that a sender may have
//! used.
//!
//! There are two steps. [`decode`] turns encodings (percent-encoding, escapes, base64, UTF-16 …) into
//! readable texts. [`PersonSearch`] compares these in a normal form: letter case, composed letters, and hosts
//! in ASCII or in their own script.
//!
//! Invariant: each decoding step adds a text to search and replaces none. So a wrong guess about the encoding
//! finds nothing, and never hides what another reading shows.

mod decode;
mod escapes;
mod fold;
#[cfg(test)]
mod tests;

use fold::fold;

use crate::contact::Identity;

/// Minimum length of an id to search for. Shorter ones occur in messages by chance.
pub const SHORTEST_ID: usize = 8;

/// The names of one person, prepared for the search.
#[derive(Debug, Clone, Default)]
pub struct PersonSearch {
    names: Vec<FoldedName>,
}

#[derive(Debug, Clone)]
struct FoldedName {
    /// The name in its normal form.
    text: String,
    is_address: bool,
}

/// The result of searching one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The message names the person.
    Named,
    NotNamed,
    /// The readable part does not name the person, but another part is encrypted.
    Sealed,
    /// The readable part does not name the person, but there is compressed or other binary content, such as a
    /// picture.
    Binary,
}

/// How the bytes were sent, as far as it changes their meaning.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hint {
    /// A form or a query, in which a `+` may mean a space.
    pub is_form: bool,
}

impl Hint {
    /// Decides by the content type or, without one, by the look of the bytes.
    pub fn of(content_type: Option<&str>, body: &[u8]) -> Self {
        let is_form = content_type.map_or_else(
            || body.contains(&b'=') && !body.iter().any(u8::is_ascii_whitespace),
            |content_type| {
                content_type
                    .trim_start()
                    .to_ascii_lowercase()
                    .starts_with("application/x-www-form-urlencoded")
            },
        );
        Self { is_form }
    }
}

impl PersonSearch {
    /// Searches for all addresses, and for ids that are long enough.
    pub fn new<'a>(identities: impl IntoIterator<Item = &'a Identity>) -> Self {
        let mut search = Self::default();
        for identity in identities {
            match identity {
                Identity::Email { address } => search.add_address(address),
                Identity::ContactRef { .. } | Identity::ForeignId { .. } => {
                    if identity.value().chars().count() >= SHORTEST_ID {
                        search.add(fold(identity.value()), false);
                    }
                }
            }
        }
        search
    }

    /// Adds the address with its host in ASCII and in its own script, and with the space that forms make of a
    /// `+`.
    fn add_address(&mut self, address: &str) {
        let (local, host) = address.rsplit_once('@').unwrap_or((address, ""));
        let (own_letters, _) = idna::domain_to_unicode(host);
        for host in [fold(host), fold(&own_letters)] {
            let address = format!("{}@{host}", fold(local));
            if address.contains('+') {
                self.add(address.replace('+', " "), true);
            }
            self.add(address, true);
        }
    }

    fn add(&mut self, text: String, is_address: bool) {
        if !self.names.iter().any(|known| known.text == text) {
            self.names.push(FoldedName { text, is_address });
        }
    }

    /// Whether there is nothing to search for.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Searches a message's bytes, in every encoding.
    pub fn look_in(&self, bytes: &[u8], hint: Hint) -> Look {
        let mut named = false;
        let unreadable = decode::texts(bytes, &mut |text| {
            named = named || self.is_named_in(&fold(text), hint);
            !named
        });
        if named {
            Look::Named
        } else if unreadable.sealed {
            Look::Sealed
        } else if unreadable.binary {
            Look::Binary
        } else {
            Look::NotNamed
        }
    }

    /// Whether a name occurs in `text`, which is in its normal form.
    fn is_named_in(&self, text: &str, hint: Hint) -> bool {
        self.names.iter().any(|name| {
            text.match_indices(&name.text).any(|(start, found)| {
                let (before, rest) = text.split_at(start);
                let after = rest.strip_prefix(found).unwrap_or_default();
                name.stands_alone(before, after, hint)
            })
        })
    }
}

impl FoldedName {
    /// Whether the match is a whole name: `joann@example.org` and `ann@example.org.uk` do not name
    /// `ann@example.org`.
    fn stands_alone(&self, before: &str, after: &str, hint: Hint) -> bool {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        let begins = before.chars().next_back().is_none_or(|c| match c {
            '.' => !self.is_address,
            '+' => !self.is_address || hint.is_form,
            c => !is_part(c),
        });
        let mut after = after.chars();
        let ends = after.next().is_none_or(|c| match c {
            // A full stop that ends a sentence is not part of a host.
            '.' => !self.is_address || !after.next().is_some_and(char::is_alphanumeric),
            c => !is_part(c),
        });
        begins && ends
    }
}
