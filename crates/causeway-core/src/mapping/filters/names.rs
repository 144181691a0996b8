//! The parts of a person's name that was typed into one field.

use super::{Environment, Error, Value, bounded, nothing, text_of};

pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter("given_name", |value: &Value| part(value, |(given, _)| given));
    environment.add_filter("family_name", |value: &Value| part(value, |(_, family)| family));
}

/// A part of the name; none if it is not there, so that it replaces nothing at the destination.
fn part(value: &Value, of: impl FnOnce((String, String)) -> String) -> Result<Value, Error> {
    let part = text_of(value)?.map(|text| of(split(&text)));
    part.filter(|part| !part.is_empty())
        .map_or_else(|| Ok(nothing()), bounded)
}

/// Words before a name that are no part of it, without their dots.
const TITLES: [&str; 20] = [
    "dr", "prof", "mr", "mrs", "ms", "miss", "mx", "sir", "herr", "frau", "mme", "mlle", "sr", "sra", "srta",
    "dott", "ing", "dipl", "mag", "rev",
];

/// Words with which a family name begins.
const PARTICLES: [&str; 34] = [
    "af", "al", "av", "bin", "bint", "da", "dal", "das", "de", "degli", "del", "della", "den", "der", "di",
    "do", "dos", "du", "e", "el", "ibn", "la", "le", "lo", "ten", "ter", "van", "vom", "von", "y", "zu",
    "zum", "zur", "'t",
];

/// Given and family name. The last word is the family name, with the particles before it; before a comma is the family
/// name. A single word is a given name.
fn split(text: &str) -> (String, String) {
    if let Some((family, given)) = text.split_once(',') {
        let (family, given) = (
            joined(family.split_whitespace()),
            joined(given.split_whitespace()),
        );
        if !family.is_empty() && !given.is_empty() {
            return (given, family);
        }
    }
    let words: Vec<&str> = text
        .split([' ', ',', '\t', '\u{a0}'])
        .filter(|word| !word.is_empty())
        .collect();
    let is_title = |word: &&&str| TITLES.contains(&word.trim_end_matches('.').to_lowercase().as_str());
    let titles = words.iter().take_while(is_title).count();
    // A name of a title alone is a name.
    let words = if titles < words.len() {
        words.get(titles..).unwrap_or_default()
    } else {
        words.as_slice()
    };
    let last = words.len().saturating_sub(1).max(1);
    let is_particle = |word: &&str| PARTICLES.contains(&word.to_lowercase().as_str());
    // The first word is a given name, whatever it is.
    let between = words.get(1..last).unwrap_or_default();
    let particles = between.iter().rev().take_while(|word| is_particle(word)).count();
    let (given, family) = words.split_at_checked(last - particles).unwrap_or((words, &[]));
    (joined(given.iter().copied()), joined(family.iter().copied()))
}

fn joined<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_split_where_people_would() {
        for (text, given, family) in [
            ("Ada Nowak", "Ada", "Nowak"),
            ("  Ada   Maria  Nowak ", "Ada Maria", "Nowak"),
            ("Ada", "Ada", ""),
            ("", "", ""),
            ("Nowak, Ada Maria", "Ada Maria", "Nowak"),
            ("Nowak,", "Nowak", ""),
            ("Vincent van der Berg", "Vincent", "van der Berg"),
            ("Maria da Silva", "Maria", "da Silva"),
            ("Juan Carlos de la Cruz", "Juan Carlos", "de la Cruz"),
            ("Dr. Ada Nowak", "Ada", "Nowak"),
            ("Prof. Dr. Ada Nowak", "Ada", "Nowak"),
            ("Frau Nowak", "Nowak", ""),
            ("Dr.", "Dr.", ""),
            ("Al Green", "Al", "Green"),
            ("van Berg", "van", "Berg"),
            ("Ada\u{a0}Nowak", "Ada", "Nowak"),
            ("李 小龙", "李", "小龙"),
        ] {
            assert_eq!(split(text), (given.to_owned(), family.to_owned()), "{text}");
        }
    }
}
