//! Checks the text of an expression before it is evaluated: which names it uses, and what it must not use.

use std::{collections::HashSet, ops::Range};

use super::{
    MappingError,
    error::translate,
    filters::{self, FILTERS, FUNCTIONS, TESTS},
    lexer::{Spanned, Token, words},
    lookup::Tables,
    names::Path,
    route::Route,
    simple::is_reserved,
};
use crate::nearest::{alike, did_you_mean};

/// The statements that a template may use. Others would let its size grow without bound, or are useless here.
const STATEMENTS: [&str; 7] = ["if", "elif", "else", "endif", "for", "endfor", "raw"];

/// The expressions of a template, each with its position.
pub(super) fn parts(text: &str) -> Result<Vec<Vec<Spanned<'_>>>, MappingError> {
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(open) = text
        .get(at..)
        .and_then(|rest| rest.find('{'))
        .map(|open| at + open)
    {
        let rest = text.get(open..).unwrap_or_default();
        at = open + 1;
        if rest.starts_with("{#") {
            at = rest.find("#}").map_or(text.len(), |end| open + end + 2);
        } else if rest.starts_with("{{") {
            let (found, end) = words(text, skip_sign(text, open + 2), &["}}", "-}}", "+}}"]);
            parts.push(found);
            at = end;
        } else if rest.starts_with("{%") {
            let (found, end) = words(text, skip_sign(text, open + 2), &["%}", "-%}", "+%}"]);
            at = end;
            if statement(text, &found)? {
                at = skip_raw(text, end);
            }
            parts.push(found);
        }
    }
    Ok(parts)
}

/// White-space control right after a bracket does not belong to the expression.
fn skip_sign(text: &str, at: usize) -> usize {
    at + usize::from(text.get(at..).is_some_and(|rest| rest.starts_with(['-', '+'])))
}

/// Refuses statements that mappings do not allow. Returns whether the statement is `raw`.
fn statement(text: &str, found: &[Spanned<'_>]) -> Result<bool, MappingError> {
    match found.first() {
        Some(Spanned {
            token: Token::Word(word),
            from,
            ..
        }) => {
            if !STATEMENTS.contains(word) {
                let hint = "a template of a mapping has if, elif, else, for and raw";
                return Err(MappingError::new(format!("`{word}` is not a statement here"))
                    .hint(hint)
                    .at(text, *from));
            }
            Ok(*word == "raw")
        }
        _ => Ok(false),
    }
}

fn skip_raw(text: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(open) = text.get(at..).and_then(|rest| rest.find("{%")) {
        let inside = skip_sign(text, at + open + 2);
        let (found, end) = words(text, inside, &["%}", "-%}", "+%}"]);
        at = end.max(at + open + 2);
        if matches!(found.first(), Some(word) if word.token == Token::Word("endraw")) {
            return at;
        }
    }
    text.len()
}

/// The words of a template that need not be values of the scope: the words of statements, and loop variables.
/// The engine knows which of them are values.
pub(super) fn bound<'t>(parts: &[Vec<Spanned<'t>>]) -> HashSet<&'t str> {
    let mut bound = HashSet::from(["endraw", "loop", "recursive"]);
    bound.extend(STATEMENTS);
    for part in parts {
        let words = part.iter().map(|word| word.token);
        let mut words = words.skip_while(|token| *token != Token::Word("for")).skip(1);
        while let Some(token) = words.next().filter(|token| *token != Token::Word("in")) {
            if let Token::Word(name) = token {
                bound.insert(name);
            }
        }
    }
    bound
}

/// Checks the words of one expression, and adds the paths that it names. `is_free` says whether a word is a
/// value of the scope. The engine's own list of names is not used, because it leaves out values of which a
/// part is taken, as in `contact.postcode[:2]`.
pub(super) fn look<'t>(
    text: &'t str,
    all: &[Spanned<'t>],
    is_free: &dyn Fn(&str) -> bool,
    tables: &Tables,
    paths: &mut Vec<Path>,
) -> Result<(), MappingError> {
    let at = |index: usize| all.get(index).map(|word| word.token);
    if let Some(from) = step(all) {
        let error = MappingError::new("a slice of a list or text takes no step");
        return Err(error.hint("[from:to]; `| reverse` reverses it").at(text, from));
    }
    for (index, word) in all.iter().enumerate() {
        let before = index.checked_sub(1).and_then(at);
        let fail = |error: MappingError| Err(error.at(text, word.from));
        match word.token {
            Token::Sign("~") => {
                let hint = "write a template, as in \"{{ contact.firstName }} {{ contact.lastName }}\"";
                return fail(MappingError::new("`~` would write `none` for what is missing").hint(hint));
            }
            Token::Sign("*") if repeats(before, at(index + 1)) => {
                return fail(MappingError::new("texts and lists cannot be repeated with `*`"));
            }
            Token::Word(name) if before == Some(Token::Sign("|")) => {
                known("filter", name, &FILTERS).or_else(fail)?;
                if name == "lookup" {
                    table(at(index + 1), at(index + 2), tables).or_else(fail)?;
                }
                arguments(text, name, all.get(index + 1..).unwrap_or_default())?;
            }
            Token::Word(name) if is_test(all, index) => known("test", name, &TESTS).or_else(fail)?,
            Token::Word(_) if before == Some(Token::Sign(".")) && at(index + 1) == Some(Token::Sign("(")) => {
                let hint = "use a filter: `contact.email | upper`";
                return fail(MappingError::new("values have no methods").hint(hint));
            }
            Token::Word(_) if before == Some(Token::Sign(".")) => {}
            Token::Word(name) if is_reserved(name) => {}
            Token::Word(name) if at(index + 1) == Some(Token::Sign("(")) => {
                // A keyword may be followed by a bracket without being a function, as in `in (…)`; all other
                // names must be functions.
                known("function", name, &FUNCTIONS).or_else(fail)?;
            }
            Token::Word(name) if is_free(name) && !is_argument(all, index) => {
                paths.push(path(all, index));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The position of a slice's third part, if there is one. The engine fails on backward steps through an empty
/// value.
fn step(all: &[Spanned<'_>]) -> Option<usize> {
    // The colons of each open bracket. `None` for an object, whose colons do not count.
    let mut open: Vec<Option<usize>> = Vec::new();
    for word in all {
        match word.token {
            Token::Sign("[") => open.push(Some(0)),
            Token::Sign("(" | "{") => open.push(None),
            Token::Sign("]" | ")" | "}") => drop(open.pop()),
            Token::Sign(":") => {
                if let Some(Some(colons)) = open.last_mut() {
                    *colons += 1;
                    if *colons > 1 {
                        return Some(word.from);
                    }
                }
            }
            _ => {}
        }
    }
    None
}

/// Whether the operand is a text or a list: then a short expression could grow without bound.
fn repeats(before: Option<Token<'_>>, after: Option<Token<'_>>) -> bool {
    matches!(before, Some(Token::Text(_) | Token::Sign("]")))
        || matches!(after, Some(Token::Text(_) | Token::Sign("[")))
}

/// `is defined`, `is not defined`
fn is_test(all: &[Spanned<'_>], index: usize) -> bool {
    let before = |n: usize| {
        index
            .checked_sub(n)
            .and_then(|at| all.get(at))
            .map(|word| word.token)
    };
    let is = Some(Token::Word("is"));
    before(1) == is && before(0) != Some(Token::Word("not"))
        || before(1) == Some(Token::Word("not")) && before(2) == is
}

/// The name of an argument: `date('%Y', zone='Europe/Berlin')`.
fn is_argument(all: &[Spanned<'_>], index: usize) -> bool {
    all.get(index + 1)
        .is_some_and(|word| word.token == Token::Sign("="))
}

fn path(all: &[Spanned<'_>], root: usize) -> Path {
    let mut path = Path {
        steps: Vec::new(),
        from: 0,
        to: 0,
        goes_on: false,
    };
    let mut rest = all.get(root..).unwrap_or_default();
    if let Some(word) = rest.first() {
        (path.from, path.to) = (word.from, word.to);
        if let Token::Word(name) = word.token {
            path.steps.push(name.to_owned());
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    while let Some((step, used)) = next_step(rest) {
        path.steps.push(step.to_owned());
        if let Some(last) = rest.get(used - 1) {
            path.to = last.to;
        }
        rest = rest.get(used..).unwrap_or_default();
    }
    path.goes_on = rest
        .first()
        .is_some_and(|word| matches!(word.token, Token::Sign("." | "[")));
    path
}

/// A step that is written out, and its number of words.
fn next_step<'t>(rest: &[Spanned<'t>]) -> Option<(&'t str, usize)> {
    match rest {
        [dot, step, ..] if dot.token == Token::Sign(".") => match step.token {
            Token::Word(name) | Token::Number(name) => Some((name, 2)),
            _ => None,
        },
        [open, step, close, ..] if open.token == Token::Sign("[") && close.token == Token::Sign("]") => {
            match step.token {
                Token::Text(Some(name)) | Token::Number(name) => Some((name, 3)),
                _ => None,
            }
        }
        _ => None,
    }
}

fn known(sort: &str, name: &str, all: &[&str]) -> Result<(), MappingError> {
    if all.contains(&name) {
        return Ok(());
    }
    let hint =
        did_you_mean(name, all.iter().copied()).unwrap_or_else(|| format!("there are {}", all.join(", ")));
    Err(MappingError::new(format!("there is no {sort} `{name}`")).hint(hint))
}

/// Refuses fixed arguments of a filter that are invalid for every value.
fn arguments(text: &str, filter: &str, rest: &[Spanned<'_>]) -> Result<(), MappingError> {
    let Some((open, rest)) = rest.split_first() else {
        return Ok(());
    };
    if open.token != Token::Sign("(") {
        return Ok(());
    }
    let (mut depth, mut key, mut is_start) = (0_usize, "", true);
    for (index, word) in rest.iter().enumerate() {
        match word.token {
            Token::Sign("(" | "[" | "{") => depth += 1,
            Token::Sign(")" | "]" | "}") if depth == 0 => break,
            Token::Sign(")" | "]" | "}") => depth -= 1,
            Token::Sign(",") if depth == 0 => (key, is_start) = ("-", true),
            Token::Word(name) if depth == 0 && is_start && is_argument(rest, index) => key = name,
            Token::Sign("=") => {}
            Token::Text(Some(value)) if depth == 0 && is_start && is_last(rest, index) => {
                filters::check_argument(filter, key, value)
                    .map_err(|error| translate(&error, "", |_| None).at(text, word.from))?;
                is_start = false;
            }
            _ => is_start = false,
        }
    }
    Ok(())
}

/// Whether an argument is this word alone.
fn is_last(rest: &[Spanned<'_>], index: usize) -> bool {
    let next = rest.get(index + 1).map(|word| word.token);
    matches!(next, Some(Token::Sign("," | ")")))
}

/// `lookup('NAME')`: the table must be in the configuration.
fn table(bracket: Option<Token<'_>>, name: Option<Token<'_>>, tables: &Tables) -> Result<(), MappingError> {
    let (Some(Token::Sign("(")), Some(Token::Text(Some(name)))) = (bracket, name) else {
        return Err(MappingError::new("`lookup` needs the name of a table")
            .hint("contact.country | lookup('regions'), with a section [lookup.regions]"));
    };
    if tables.get(name).is_some() {
        return Ok(());
    }
    let hint = did_you_mean(name, tables.names())
        .unwrap_or_else(|| format!("add a section [lookup.{name}] with key = value"));
    Err(MappingError::new(format!("there is no lookup table {name:?}")).hint(hint))
}

/// Whether to search for the name that was probably meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guess {
    Yes,
    No,
}

/// The error for a path that leads nowhere, without a guess at the right name.
pub(super) fn leads_nowhere(text: &str, route: &Route, scope: &super::Scope) -> MappingError {
    let steps = &route.steps;
    let is_lost = |depth: &usize| {
        scope
            .find(steps.iter().take(*depth).map(String::as_str))
            .is_none()
    };
    let depth = (1..steps.len()).find(is_lost).unwrap_or(steps.len());
    let lacks = super::names::write(steps.get(..depth).unwrap_or(steps));
    super::error::not_there(&lacks).at(text, route.from)
}

/// The error for the first name in this part of the text that leads nowhere.
pub(super) fn missing(
    text: &str,
    paths: &[Path],
    scope: &super::Scope,
    range: &Range<usize>,
    guess: Guess,
) -> Option<MappingError> {
    let leads_nowhere = |path: &&Path| scope.find(path.steps.iter().map(String::as_str)).is_none();
    let inside = |path: &&Path| path.from < range.end && range.start < path.to;
    let path = paths
        .iter()
        .filter(inside)
        .find(leads_nowhere)
        .or_else(|| paths.iter().find(leads_nowhere))?;
    // The first missing step, and its siblings.
    let depth = (1..=path.steps.len()).find(|depth| {
        let start = path.steps.iter().take(*depth).map(String::as_str);
        scope.find(start).is_none()
    })?;
    let lacks = super::names::write(path.steps.get(..depth)?);
    if guess == Guess::No {
        return Some(super::error::not_there(&lacks).at(text, path.from));
    }
    let (parent, name) = (path.steps.get(..depth - 1)?, path.steps.get(depth - 1)?);
    let known = scope.known_names(parent);
    let near: Vec<String> = alike(name, known.iter().map(String::as_str))
        .into_iter()
        .map(|near| {
            let mut steps = parent.to_vec();
            steps.push(near.to_owned());
            super::names::write(&steps)
        })
        .collect();
    let fallback = "`| default(none)` gives null if it is missing";
    let hint = if near.is_empty() {
        fallback.to_owned()
    } else {
        format!("did you mean {}? {fallback}", near.join(" or "))
    };
    let error = MappingError::new(format!("`{lacks}` is missing")).hint(hint);
    Some(error.at(text, path.from))
}
