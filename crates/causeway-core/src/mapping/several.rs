//! Checks how an expression uses `in` on fields that may hold several values, for `config check`.

use super::{
    lexer::{Spanned, Token},
    lookup::Tables,
    names::Path,
};
use crate::decode::names::field_name;

/// Uses of `in` on a field that may be a text: `'men' in 'women'` is true. `paths` are those that the words
/// name.
pub(super) fn doubts(words: &[Spanned<'_>], paths: &[Path], tables: &Tables) -> Vec<String> {
    let mut found = Vec::new();
    for path in paths {
        let Some(field) = field(path).filter(|field| !tables.is_list(field)) else {
            continue;
        };
        if !is_asked_in(words, path) {
            continue;
        }
        let doubt = format!(
            "`in {path}` looks for a part of the text if the field holds one text: if it can hold several values, \
             name it in [hub] `multi_value_fields = [{field:?}]`, else compare with `==`"
        );
        if !found.contains(&doubt) {
            found.push(doubt);
        }
    }
    found
}

/// Our name of the contact's field, if the path is exactly that.
fn field(path: &Path) -> Option<&str> {
    match path.steps.as_slice() {
        [root, name] if (root == "contact" || root == "fields") && path.is_filled_in() && !path.goes_on => {
            Some(field_name(name))
        }
        _ => None,
    }
}

/// Whether the path follows an `in` that does not belong to a loop, and no filter after it makes it a list.
fn is_asked_in(words: &[Spanned<'_>], path: &Path) -> bool {
    let Some(place) = words.iter().position(|word| word.from >= path.from) else {
        return false;
    };
    let before = |back: usize| {
        let place = place.checked_sub(back)?;
        words.get(place).map(|word| word.token)
    };
    let behind = words
        .iter()
        .find(|word| word.from >= path.to)
        .map(|word| word.token);
    before(1) == Some(Token::Word("in"))
        && before(3) != Some(Token::Word("for"))
        && behind != Some(Token::Sign("|"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use crate::mapping::{Mapping, Tables};

    #[test]
    fn in_gives_a_warning_if_the_field_may_be_a_text() {
        let tables = Tables::default().with_lists(BTreeSet::from(["Topics".to_owned()]));
        for (text, is_doubted) in [
            ("'men' in contact.Gender", true),
            ("'men' not in contact.gender", true),
            ("'men' in fields['Interests']", true),
            ("{% if 'men' in contact.Gender %}x{% endif %}", true),
            ("'bees' in contact.Topics", false),
            ("'bees' in fields.Topics", false),
            ("'bees' in contact.tags", false),
            ("'bees' in contact.lists", false),
            ("'bees' in contact.Gender | split(',')", false),
            ("contact.Gender in ['men', 'women']", false),
            ("{% for one in contact.Gender %}{{ one }}{% endfor %}", false),
        ] {
            let value = json!(text);
            let doubts = Mapping::read([("X", &value)], &tables, &[]).unwrap().doubts();
            let found = doubts.iter().any(|doubt| doubt.contains("multi_value_fields"));
            assert_eq!(found, is_doubted, "{text}: {doubts:?}");
        }
    }
}
