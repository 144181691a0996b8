//! Finds a person in bytes that were kept as they came and never understood: dead, skipped and duplicate messages, and the
//! files of a destination. Erasing somebody has to find them in every spelling that a sender may have used.
//!
//! Two steps: [`decode`] takes the spellings apart (percent-encoding, escapes, base64, UTF-16 …) into readable texts, and
//! [`PersonSearch`] compares on one normal form: letter case, composed letters, hosts in ASCII or in their own letters.
//!
//! Nothing here replaces what was there: each step adds a text to look in. So a wrong guess about the encoding finds
//! nothing, and never hides what another reading shows.

mod decode;
mod escapes;
mod fold;
#[cfg(test)]
mod tests;

use fold::fold;

use crate::contact::Identity;

/// Shorter ids stand in messages by chance.
pub const SHORTEST_ID: usize = 8;

/// What one person is called, ready to be looked for.
#[derive(Debug, Clone, Default)]
pub struct PersonSearch {
    names: Vec<FoldedName>,
}

#[derive(Debug, Clone)]
struct FoldedName {
    /// In the normal form.
    text: String,
    is_address: bool,
}

/// What looking into one message gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// It names the person.
    Named,
    NotNamed,
    /// What can be read of it does not name the person, but a part is encrypted.
    Sealed,
    /// The same of what is compressed, a picture or the like.
    Binary,
}

/// How the bytes were sent, as far as it changes what they say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hint {
    /// A form or a query: a `+` may be a blank.
    pub is_form: bool,
}

impl Hint {
    /// By the content type, or by the look of the bytes where there is none.
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
    /// All addresses, and the ids that are long enough to say something.
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

    /// With the host in ASCII and in its own letters, and with the blank that forms make of a `+`.
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

    /// Whether there is anything to look for.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Looks into a message's bytes, in every spelling.
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

    /// `text` is in the normal form.
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
    /// `ann@example.org` is not named by `joann@example.org`, nor by `ann@example.org.uk`.
    fn stands_alone(&self, before: &str, after: &str, hint: Hint) -> bool {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        let begins = before.chars().next_back().is_none_or(|c| match c {
            '.' => !self.is_address,
            '+' => !self.is_address || hint.is_form,
            c => !is_part(c),
        });
        let mut after = after.chars();
        let ends = after.next().is_none_or(|c| match c {
            // The end of a sentence is none of a host.
            '.' => !self.is_address || !after.next().is_some_and(char::is_alphanumeric),
            c => !is_part(c),
        });
        begins && ends
    }
}
