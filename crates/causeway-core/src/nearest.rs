//! The known name that somebody probably meant.

/// The known name that differs least from `wanted`, if it is near enough to be worth saying. Letter case, `-` and `_` cost
/// nothing; of equally near ones the first. A name that is all of `wanted` and more, or less, counts as near.
pub fn nearest<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(wanted);
    if folded.is_empty() {
        return None;
    }
    // A third of the letters may be wrong, one at least.
    let limit = (folded.len() / 3).max(1);
    let distance = |name: &str| {
        let name = fold(name);
        let (short, long) = if name.len() < folded.len() {
            (&name, &folded)
        } else {
            (&folded, &name)
        };
        let distance = distance(&folded, &name);
        if distance > limit && short.len() >= 4 && long.starts_with(short) {
            limit
        } else {
            distance
        }
    };
    known
        .map(|name| (distance(name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Names are short: what is longer than this is compared by its start.
const LONGEST: usize = 64;

fn fold(name: &str) -> Vec<char> {
    name.chars()
        .filter(|letter| !matches!(letter, '-' | '_' | ' '))
        .flat_map(char::to_lowercase)
        .take(LONGEST)
        .collect()
}

/// Letters to put in, take out, exchange, or swap with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (row, letter) in a.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, other) in b.iter().enumerate() {
            let at = |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX / 2);
            let mut least = (at(&above, column + 1) + 1)
                .min(at(&line, column) + 1)
                .min(at(&above, column) + usize::from(letter != other));
            let swapped =
                row > 0 && column > 0 && a.get(row - 1) == Some(other) && b.get(column - 1) == Some(letter);
            if swapped {
                least = least.min(at(&before, column - 1) + 1);
            }
            line.push(least);
        }
        before = std::mem::replace(&mut above, line);
    }
    above.last().copied().unwrap_or(0)
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
    fn what_was_meant_is_found() {
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
    fn of_equally_near_ones_the_first_and_never_one_that_differs_more() {
        assert_eq!(nearest("cat", ["bat", "hat"].into_iter()), Some("bat"));
        assert_eq!(nearest("cat", ["bats", "cats", "cat"].into_iter()), Some("cat"));
        assert_eq!(nearest(&"x".repeat(100_000), KEYS.into_iter()), None);
    }

    #[test]
    fn distance_counts_single_changes() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "acb", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(&fold(a), &fold(b)), expected, "{a} {b}");
        }
    }
}
