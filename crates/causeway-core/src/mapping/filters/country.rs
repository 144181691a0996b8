//! Finds countries by any of their codes and names.

use std::{collections::BTreeMap, sync::LazyLock};

use celes::{Country, LookupTable};
use minijinja::{
    Error,
    value::{Kwargs, Value},
};

use super::{fallback, filled, nothing, unknown};
use crate::mapping::error::refuse;

const FORMS: [&str; 4] = ["alpha2", "alpha3", "numeric", "name"];

/// `country` (two letters), `country('alpha3')`, `country('numeric')`, `country('name')`, `country(default='XX')`
pub(super) fn country(value: &Value, form: Option<&str>, options: Kwargs) -> Result<Value, Error> {
    let instead = fallback(&options)?;
    options.assert_all_used()?;
    let form = form.unwrap_or("alpha2");
    check_form(form)?;
    let Some(text) = filled(value)? else {
        return Ok(instead.unwrap_or_else(nothing));
    };
    let written = find(&text).map(|country| match form {
        "alpha3" => country.alpha3.into(),
        "numeric" => format!("{:03}", country.value).into(),
        "name" => name(country).into(),
        _ => Value::from(country.alpha2),
    });
    written.or(instead).ok_or_else(|| {
        refuse(
            "the value is not a known country",
            Some("`country(default=none)` gives null for it, and a lookup table can add names".to_owned()),
        )
    })
}

pub(super) fn check_form(form: &str) -> Result<(), Error> {
    if FORMS.contains(&form) {
        return Ok(());
    }
    Err(unknown("form of a country", form, &FORMS))
}

/// Finds a country by a code or a name, in any case.
pub(super) fn find(text: &str) -> Option<&'static Country> {
    BY_NAME.get(&fold(text)).copied()
}

/// The usual English name.
fn name(country: &Country) -> &'static str {
    let usual = USUAL.iter().find(|(code, _, _)| *code == country.alpha2);
    usual.map_or(country.long_name, |(_, name, _)| name)
}

/// Reduces a name to letters and digits, in small letters, without accents of the supported languages.
fn fold(name: &str) -> String {
    let letters = name.chars().take(80).flat_map(char::to_lowercase);
    let plain = letters.map(|letter| match letter {
        'à'..='å' | 'ă' | 'ā' => 'a',
        'ç' | 'č' => 'c',
        'è'..='ë' | 'ē' => 'e',
        'ì'..='ï' | 'ī' => 'i',
        'ñ' => 'n',
        'ò'..='ö' | 'ø' | 'ō' => 'o',
        'ù'..='ü' | 'ū' => 'u',
        'š' | 'ș' => 's',
        letter => letter,
    });
    plain.filter(|letter| letter.is_alphanumeric()).collect()
}

static COUNTRIES: LazyLock<[Country; 250]> = LazyLock::new(Country::get_countries);

static BY_NAME: LazyLock<BTreeMap<String, &'static Country>> = LazyLock::new(|| {
    let mut names = BTreeMap::new();
    let mut add = |name: &str, country| {
        names.entry(fold(name)).or_insert(country);
    };
    for country in COUNTRIES.iter() {
        add(country.alpha2, country);
        add(country.alpha3, country);
        add(&format!("{:03}", country.value), country);
        add(&country.value.to_string(), country);
        add(country.long_name, country);
        add(country.long_name.trim_start_matches("The "), country);
    }
    // Added last, because another country's main name wins over these names.
    for country in COUNTRIES.iter() {
        for (_, name, others) in USUAL.iter().filter(|(code, _, _)| *code == country.alpha2) {
            add(name, country);
            others.iter().for_each(|other| add(other, country));
        }
    }
    for country in COUNTRIES.iter() {
        country.aliases.iter().for_each(|alias| add(alias, country));
    }
    names
});

/// The usual names of a country: in English, in its own languages, and in those of some neighbours.
#[rustfmt::skip]
const USUAL: [(&str, &str, &[&str]); 56] = [
    ("AE", "United Arab Emirates", &["UAE"]),
    ("AL", "Albania", &["Shqipëria"]),
    ("AT", "Austria", &["Österreich", "Oesterreich", "Autriche"]),
    ("BE", "Belgium", &["België", "Belgique", "Belgien"]),
    ("BG", "Bulgaria", &["България"]),
    ("BO", "Bolivia", &[]),
    ("CD", "DR Congo", &["Democratic Republic of the Congo"]),
    ("CF", "Central African Republic", &[]),
    ("CH", "Switzerland", &["Schweiz", "Suisse", "Svizzera", "Svizra"]),
    ("CI", "Ivory Coast", &["Côte d'Ivoire"]),
    ("CY", "Cyprus", &["Κύπρος", "Kıbrıs"]),
    ("CZ", "Czechia", &["Czech Republic", "Česko", "Česká republika"]),
    ("DE", "Germany", &["Deutschland", "Allemagne", "Alemania", "Germania"]),
    ("DK", "Denmark", &["Danmark"]),
    ("EE", "Estonia", &["Eesti"]),
    ("ES", "Spain", &["España", "Espagne", "Spanien"]),
    ("FI", "Finland", &["Suomi"]),
    ("FM", "Micronesia", &[]),
    ("FR", "France", &["Frankreich", "Francia"]),
    ("GB", "United Kingdom", &["UK", "Great Britain", "England", "Scotland", "Wales", "Northern Ireland"]),
    ("GR", "Greece", &["Ελλάδα", "EL", "Griechenland"]),
    ("HR", "Croatia", &["Hrvatska"]),
    ("HU", "Hungary", &["Magyarország", "Ungarn"]),
    ("IE", "Ireland", &["Éire"]),
    ("IR", "Iran", &[]),
    ("IS", "Iceland", &["Ísland"]),
    ("IT", "Italy", &["Italia", "Italien", "Italie"]),
    ("KP", "North Korea", &[]),
    ("KR", "South Korea", &["Republic of Korea"]),
    ("LA", "Laos", &[]),
    ("LT", "Lithuania", &["Lietuva"]),
    ("LU", "Luxembourg", &["Lëtzebuerg", "Luxemburg"]),
    ("LV", "Latvia", &["Latvija"]),
    ("MD", "Moldova", &[]),
    ("ME", "Montenegro", &["Crna Gora"]),
    ("MK", "North Macedonia", &["Macedonia", "Северна Македонија"]),
    ("NL", "Netherlands", &["Nederland", "Holland", "Niederlande", "Pays-Bas"]),
    ("NO", "Norway", &["Norge", "Noreg"]),
    ("PL", "Poland", &["Polska", "Polen"]),
    ("PS", "Palestine", &[]),
    ("PT", "Portugal", &[]),
    ("RO", "Romania", &["România"]),
    ("RS", "Serbia", &["Србија", "Srbija"]),
    ("RU", "Russia", &["Россия"]),
    ("SE", "Sweden", &["Sverige", "Schweden"]),
    ("SI", "Slovenia", &["Slovenija"]),
    ("SK", "Slovakia", &["Slovensko"]),
    ("SY", "Syria", &[]),
    ("TR", "Türkiye", &["Turkey", "Turkiye"]),
    ("TW", "Taiwan", &[]),
    ("TZ", "Tanzania", &[]),
    ("UA", "Ukraine", &["Україна"]),
    ("US", "United States", &["United States of America", "USA", "America"]),
    ("VA", "Vatican City", &["Holy See"]),
    ("VE", "Venezuela", &[]),
    ("VN", "Vietnam", &["Viet Nam"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_is_found_by_each_of_its_codes_and_names() {
        for country in COUNTRIES.iter() {
            for text in [
                country.alpha2.to_lowercase(),
                country.alpha3.to_owned(),
                format!("{:03}", country.value),
                country.long_name.to_uppercase(),
                name(country).to_owned(),
            ] {
                assert_eq!(
                    find(&text).map(|found| found.alpha2),
                    Some(country.alpha2),
                    "{text}"
                );
            }
        }
        for (code, name, others) in USUAL {
            for text in others.iter().chain([&name]) {
                assert_eq!(find(text).map(|found| found.alpha2), Some(code), "{text}");
            }
        }
    }

    #[test]
    fn country_names_have_no_articles() {
        for country in COUNTRIES.iter() {
            let name = name(country);
            assert!(!name.contains(" Of The ") || name.len() < 24, "{name}");
        }
    }
}
