//! Patterns of e-mail addresses that do not belong to one person.

/// Patterns such as `noemail@*` or `*@desk.example.org`: a `*` stands for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPatterns(Vec<String>);

/// Placeholders that people type where a form demands an address, and mailboxes that an office shares.
pub const SHARED_ADDRESSES: [&str; 12] = [
    "anonymous@*",
    "contact@*",
    "info@*",
    "no-email@*",
    "no-reply@*",
    "noemail@*",
    "nomail@*",
    "none@*",
    "noreply@*",
    "office@*",
    "test@test.*",
    "unknown@*",
];

impl Default for AddressPatterns {
    fn default() -> Self {
        Self::new(SHARED_ADDRESSES)
    }
}

impl AddressPatterns {
    pub fn new<T: AsRef<str>>(patterns: impl IntoIterator<Item = T>) -> Self {
        Self(
            patterns
                .into_iter()
                .map(|pattern| pattern.as_ref().trim().to_lowercase())
                .collect(),
        )
    }

    /// Whether a pattern matches the address, which must be in its normal form.
    pub fn fit(&self, address: &str) -> bool {
        self.0.iter().any(|pattern| fits(pattern, address))
    }
}

fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(start) else {
        return false;
    };
    // The `*` may match any number of characters, so try the rest of the pattern at each position.
    rest.is_empty()
        || text
            .char_indices()
            .map(|(place, _)| place)
            .chain([text.len()])
            .any(|place| text.get(place..).is_some_and(|left| fits(rest, left)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_matches_any_text() {
        let patterns = AddressPatterns::new([
            "noemail@*",
            "*@Desk.example.org",
            "a*b*c@x.example",
            "one@two.example",
        ]);
        for (address, expected) in [
            ("noemail@example.org", true),
            ("noemail2@example.org", false),
            ("ann@desk.example.org", true),
            ("ann@desk.example.orgs", false),
            ("a1b2c@x.example", true),
            ("abc@x.example", true),
            ("ac@x.example", false),
            ("one@two.example", true),
            ("xone@two.example", false),
        ] {
            assert_eq!(patterns.fit(address), expected, "{address}");
        }
    }
}
