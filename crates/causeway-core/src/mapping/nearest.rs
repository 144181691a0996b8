//! "Did you mean": the names that are spelled most alike.

/// The best of `known`, more than one when they are equally near; empty when none is.
pub(crate) fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let folded = fold(wanted);
    // A third of the letters may be wrong, but not all of a short name.
    let most = (folded.chars().count() / 3).clamp(1, 4);
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .take(1_000)
        .filter_map(|name| {
            let apart = strsim::osa_distance(&folded, &fold(name));
            (apart <= most).then_some((apart, name))
        })
        .collect();
    near.sort_unstable();
    near.dedup();
    let best = near.first().map(|(apart, _)| *apart);
    let alike = near.into_iter().take_while(|(apart, _)| Some(*apart) == best);
    alike.map(|(_, name)| name).take(3).collect()
}

/// `" did you mean a, b or c?"` as a hint.
pub(crate) fn did_you_mean<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near = nearest(wanted, known);
    (!near.is_empty()).then(|| format!("did you mean {}?", either(&near)))
}

fn either(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}

/// Case and punctuation are what people get wrong without noticing.
fn fold(name: &str) -> String {
    let letters = name.chars().take(64).filter(|c| c.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_alike_are_told_and_strangers_not() {
        let known = ["email", "firstName", "lastName", "phone", "Favourite colour"];
        for (wanted, expected) in [
            ("emial", &["email"][..]),
            ("first_nam", &["firstName"]),
            ("favourite_color", &["Favourite colour"]),
            ("FIRSTNAME", &["firstName"]),
            ("zzz", &[]),
            ("", &[]),
        ] {
            assert_eq!(nearest(wanted, known), expected, "{wanted}");
        }
        assert_eq!(
            did_you_mean("fone", ["phone", "foe", "one"]).unwrap(),
            "did you mean foe or one?"
        );
    }
}
