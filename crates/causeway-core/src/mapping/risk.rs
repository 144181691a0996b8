//! Finds values that people enter or leave out and on which an expression fails, for `config check`.

use super::{
    lexer::{Spanned, Token},
    names::Path,
};

/// What can make a record fail, each in a sentence. `paths` are those that the words name.
pub(super) fn risks(words: &[Spanned<'_>], paths: &[Path]) -> Vec<String> {
    let mut found = Vec::new();
    for path in paths.iter().filter(|path| path.is_filled_in()) {
        let chain = Chain::of(words, path);
        let risk =
            if path.may_be_missing() && path.doubt().is_none() && !is_guarded(words, path, &chain, paths) {
                Some(format!(
                    "a record without `{path}` is rejected: `{path} | default(none)` gives null instead"
                ))
            } else {
                chain.risk(words)
            };
        if let Some(risk) = risk.filter(|risk| !found.contains(risk)) {
            found.push(risk);
        }
    }
    found
}

/// A path and the filters after it.
struct Chain<'t> {
    /// The positions of its first word, and after its last word.
    first: usize,
    end: usize,
    filters: Vec<Filter<'t>>,
}

struct Filter<'t> {
    name: &'t str,
    has_arguments: bool,
    has_default: bool,
}

impl<'t> Chain<'t> {
    fn of(words: &[Spanned<'t>], path: &Path) -> Self {
        let place = |offset: usize| words.iter().position(|word| word.from >= offset);
        let mut chain = Self {
            first: place(path.from).unwrap_or(words.len()),
            end: place(path.to).unwrap_or(words.len()),
            filters: Vec::new(),
        };
        while let Some((filter, end)) = filter(words, chain.end) {
            chain.filters.push(filter);
            chain.end = end;
        }
        chain
    }

    fn risk(&self, words: &[Spanned<'_>]) -> Option<String> {
        for filter in &self.filters {
            match filter.name {
                "default" | "coalesce" if self.filters.len() == 1 => return None,
                "int" | "float" if filter.has_arguments => return None,
                "int" | "float" => {
                    let name = filter.name;
                    return Some(format!(
                        "`| {name}` rejects a record whose value is not a number: `| {name}(none)` gives null instead"
                    ));
                }
                "bool" if !filter.has_arguments => {
                    return Some(
                        "`| bool` rejects a record whose value is neither yes nor no: `| bool(false)` gives false \
                         instead"
                            .to_owned(),
                    );
                }
                "date" | "date_add" | "date_diff" | "phone" | "country" | "locale" | "lookup"
                | "minor_units" | "major_units"
                    if !filter.has_default =>
                {
                    let name = filter.name;
                    return Some(format!(
                        "`| {name}` rejects a record whose value it does not know: `default=none` in it gives null \
                         instead"
                    ));
                }
                "length" | "bool" | "json" | "md5" | "sha256" | "date" => return None,
                _ => {}
            }
        }
        let sign = |index: Option<usize>| match words.get(index?)?.token {
            Token::Sign(sign @ ("<" | "<=" | ">" | ">=" | "+" | "-" | "*" | "/" | "//" | "%" | "**")) => {
                Some(sign)
            }
            _ => None,
        };
        let sign = sign(Some(self.end)).or_else(|| sign(self.first.checked_sub(1)))?;
        let compares_text = |index: Option<usize>| {
            let word = index.and_then(|index| words.get(index));
            matches!(
                word,
                Some(Spanned {
                    token: Token::Text(_),
                    ..
                })
            )
        };
        let beside = compares_text(self.end.checked_add(1)) || compares_text(self.first.checked_sub(2));
        (!beside).then(|| {
            format!("`{sign}` rejects a record whose value is not a number: `| int(0)` after the name gives 0 instead")
        })
    }
}

/// The filter that starts at this position, and where it ends.
fn filter<'t>(words: &[Spanned<'t>], at: usize) -> Option<(Filter<'t>, usize)> {
    let [bar, name, rest @ ..] = words.get(at..)? else {
        return None;
    };
    let (Token::Sign("|"), Token::Word(name)) = (bar.token, name.token) else {
        return None;
    };
    let mut filter = Filter {
        name,
        has_arguments: false,
        has_default: false,
    };
    let mut end = at + 2;
    if rest.first().is_some_and(|word| word.token == Token::Sign("(")) {
        let mut depth = 0_usize;
        for (index, word) in rest.iter().enumerate() {
            end += 1;
            match word.token {
                Token::Sign("(" | "[" | "{") => depth += 1,
                Token::Sign(")" | "]" | "}") => depth -= 1,
                token => {
                    filter.has_arguments = true;
                    let equals = rest
                        .get(index + 1)
                        .is_some_and(|next| next.token == Token::Sign("="));
                    filter.has_default |= depth == 1 && token == Token::Word("default") && equals;
                }
            }
            if depth == 0 {
                break;
            }
        }
    }
    Some((filter, end))
}

/// Whether the expression has an alternative for a missing path.
fn is_guarded(words: &[Spanned<'_>], path: &Path, chain: &Chain<'_>, paths: &[Path]) -> bool {
    let is_default = |filter: &Filter<'_>| matches!(filter.name, "default" | "coalesce");
    chain.filters.first().is_some_and(is_default)
        || is_in_coalesce(words, chain.first)
        || paths
            .iter()
            .filter(|other| other.steps == path.steps)
            .any(|other| is_asked_for(words, Chain::of(words, other).end))
}

/// `is defined`, `is not defined`
fn is_asked_for(words: &[Spanned<'_>], at: usize) -> bool {
    let tokens: Vec<Token<'_>> = words.iter().skip(at).take(3).map(|word| word.token).collect();
    matches!(
        tokens.as_slice(),
        [Token::Word("is"), Token::Word("defined"), ..]
            | [Token::Word("is"), Token::Word("not"), Token::Word("defined")]
    )
}

/// Whether the innermost open bracket is that of `coalesce(`.
fn is_in_coalesce(words: &[Spanned<'_>], at: usize) -> bool {
    let mut closed = 0_usize;
    for index in (0..at).rev() {
        match words.get(index).map(|word| word.token) {
            Some(Token::Sign(")" | "]" | "}")) => closed += 1,
            Some(Token::Sign("(" | "[" | "{")) if closed > 0 => closed -= 1,
            Some(Token::Sign("(" | "[" | "{")) => {
                let before = index.checked_sub(1).and_then(|before| words.get(before));
                return before.is_some_and(|word| word.token == Token::Word("coalesce"));
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::mapping::{Mapping, Tables};

    fn risks_of(text: &str) -> Vec<String> {
        let value = json!(text);
        Mapping::read([("X", &value)], &Tables::default(), &[])
            .unwrap()
            .doubts()
    }

    #[test]
    fn values_that_people_leave_out_or_type_are_risks_without_a_fallback() {
        for (text, says) in [
            (
                "contact.Age",
                "`X`: a record without `contact.Age` is rejected: `contact.Age | default(none)` gives null instead",
            ),
            (
                "{{ fields['125'] | upper }}",
                "a record without `fields.125` is rejected",
            ),
            (
                "action.fields.comment[:5]",
                "a record without `action.fields.comment` is rejected",
            ),
            (
                "contact.phone | phone('DE')",
                "`| phone` rejects a record whose value it does not know",
            ),
            ("contact.phone | trim | date('%Y')", "`| date` rejects"),
            (
                "contact.postcode | int",
                "`| int` rejects a record whose value is not a number: `| int(none)` gives null",
            ),
            ("contact.Age | default('x') | int", "`| int` rejects"),
            ("contact.lastName | bool", "`| bool` rejects"),
            ("contact.birthDate | date_add(days=1)", "`| date_add` rejects"),
            ("contact.postcode | minor_units('EUR')", "`| minor_units` rejects"),
            (
                "contact.postcode * 2",
                "`*` rejects a record whose value is not a number: `| int(0)`",
            ),
            ("100 < contact.postcode", "`<` rejects"),
            (
                "'x' if contact.Age == 1 else 'y'",
                "a record without `contact.Age`",
            ),
        ] {
            let found = risks_of(text);
            assert!(found.len() == 1 && found[0].contains(says), "{text}: {found:?}");
        }
        for text in [
            "contact.firstName",
            "contact.email | lower | sha256",
            "contact.tags | length > 3",
            "contact.Age | default(none)",
            "contact.Age | coalesce(contact.firstName)",
            "coalesce(contact.Age, contact.Size, 'x')",
            "contact.Age if contact.Age is defined else none",
            "{% if contact.Age is not defined %}{% else %}{{ contact.Age | upper }}{% endif %}",
            "contact.Age | default(0) | int(0) > 18",
            "contact.phone | phone('DE', default=none)",
            "contact.birthDate | date('%Y', default=none)",
            "contact.birthDate > '2000-01-01'",
            "contact.birthDate | date_diff(at, 'years', default=none)",
            "contact.postcode | digits | slug",
            "at | date('%Y')",
            "action.createdAt | date",
            "campaign.name == 'x'",
            "lead.score | int > 3",
            "settings.list",
            "action.fields",
            "contact.ids.crm | int",
        ] {
            assert_eq!(risks_of(text), Vec::<String>::new(), "{text}");
        }
    }
}
