//! Finds the known name that somebody probably meant.

/// Only this many known names are compared: the hint is not worth more time.
const MOST: usize = 1_000;
/// Characters of a name that are compared. Names are short, so the start of a long text is enough.
const LONGEST: usize = 64;

/// The known name that differs least from `wanted`, if any is near enough. The first of several equally near
/// names wins.
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    alike(wanted, known).into_iter().next()
}

/// The known names that differ least from `wanted`: at most three, in their order; empty if none is near.
/// Letter case and punctuation do not count. A name also counts as near if it begins with `wanted`, or `wanted`
/// begins with it, and the shorter one has at least four bytes.
pub fn alike<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let folded = fold(wanted);
    if folded.is_empty() {
        return Vec::new();
    }
    // Up to a third of the letters may differ: at least one, at most four.
    let limit = (folded.chars().count() / 3).clamp(1, 4);
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .take(MOST)
        .map(|name| (distance(&folded, &fold(name), limit), name))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    near.sort_by_key(|(distance, _)| *distance);
    near.dedup();
    let least = near.first().map(|(distance, _)| *distance);
    let best = near
        .into_iter()
        .take_while(|(distance, _)| Some(*distance) == least);
    best.map(|(_, name)| name).take(3).collect()
}

/// `"did you mean a, b or c?"` as a hint.
pub fn did_you_mean<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let names = alike(wanted, known);
    let names = match names.as_slice() {
        [] => return None,
        [one] => (*one).to_owned(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    };
    Some(format!("did you mean {names}?"))
}

fn distance(wanted: &str, name: &str, limit: usize) -> usize {
    let apart = strsim::osa_distance(wanted, name);
    let (short, long) = if name.len() < wanted.len() {
        (name, wanted)
    } else {
        (wanted, name)
    };
    if apart > limit && short.len() >= 4 && long.starts_with(short) {
        limit
    } else {
        apart
    }
}

/// Removes case and punctuation, which people get wrong without noticing.
fn fold(name: &str) -> String {
    let letters = name.chars().take(LONGEST).filter(|c| c.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 6] = [
        "url",
        "queue",
        "consent",
        "rate_per_s",
        "timeout_s",
        "contact.firstName",
    ];

    #[test]
    fn a_misspelled_name_is_found() {
        for (wanted, meant) in [
            ("urll", Some("url")),
            ("consnet", Some("consent")),
            ("Consent", Some("consent")),
            ("rate-per-s", Some("rate_per_s")),
            ("timeout", Some("timeout_s")),
            ("contact.firstname", Some("contact.firstName")),
            ("contact.first_name", Some("contact.firstName")),
            ("colour", None),
            ("", None),
            ("___", None),
        ] {
            assert_eq!(nearest(wanted, KEYS.into_iter()), meant, "{wanted}");
        }
    }

    #[test]
    fn the_nearest_name_wins_and_the_first_of_equally_near_names() {
        assert_eq!(nearest("cat", ["bat", "hat"].into_iter()), Some("bat"));
        assert_eq!(nearest("cat", ["bats", "cats", "cat"].into_iter()), Some("cat"));
        assert_eq!(nearest(&"x".repeat(100_000), KEYS.into_iter()), None);
    }

    #[test]
    fn the_hint_lists_all_equally_near_names_and_no_distant_one() {
        let known = ["email", "firstName", "lastName", "phone", "Favourite colour"];
        for (wanted, expected) in [
            ("emial", &["email"][..]),
            ("first_nam", &["firstName"]),
            ("favourite_color", &["Favourite colour"]),
            ("FIRSTNAME", &["firstName"]),
            ("zzz", &[]),
            ("", &[]),
        ] {
            assert_eq!(alike(wanted, known), expected, "{wanted}");
        }
        assert_eq!(
            did_you_mean("fone", ["phone", "foe", "one"]).unwrap(),
            "did you mean foe or one?"
        );
    }
}
