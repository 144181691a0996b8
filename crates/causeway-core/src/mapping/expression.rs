//! Expressions, which give typed values, and templates, which give text. Both are parsed once, with the
//! configuration.

use std::{
    cell::OnceCell,
    io::{self, Write},
    sync::{Arc, LazyLock},
};

use minijinja::{Environment, UndefinedBehavior, Value};
use serde_json::Value as Json;

use super::{
    MappingError, Scope,
    check::{self, Guess, look, parts},
    error::{not_there, translate, translate_in},
    filters,
    lexer::{Token, words},
    limit,
    lookup::Tables,
    names::Path,
    rewrite::{Rewritten, rewrite},
    risk::risks,
    several,
    simple::{Glance, Held, Simple, Stop},
    view::{Root, json_as_found, json_of},
};
use crate::id::Name;

/// An environment with filters, tests and functions, but without I/O. Expressions use it directly; a template
/// uses a copy, which shares its content.
static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(limit::FUEL));
    environment.set_recursion_limit(50);
    environment.set_debug(false);
    environment.set_formatter(filters::print);
    filters::install(&mut environment);
    environment
});

/// `contact.country == 'DE' and campaign.name in ['bees', 'rivers']`
#[derive(Clone)]
pub struct Expression(Arc<Compiled>);

struct Compiled {
    text: String,
    engine: minijinja::Expression<'static, 'static>,
    /// The text that the engine was given instead.
    rewritten: Option<Rewritten>,
    tables: Tables,
    names: Vec<Path>,
    risks: Vec<String>,
    /// The result of [`several::doubts`].
    several: Vec<String>,
    /// Whether the whole text is one path.
    path: bool,
    simple: Option<Simple>,
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Expression").field(&self.0.text).finish()
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text && self.0.tables == other.0.tables
    }
}

impl Expression {
    pub fn new(text: &str) -> Result<Self, MappingError> {
        Self::read(text, &Tables::default())
    }

    pub fn read(text: &str, tables: &Tables) -> Result<Self, MappingError> {
        short_enough(text)?;
        if text.trim().is_empty() {
            return Err(MappingError::new("the expression is empty")
                .hint("a name such as contact.email, or =text for a fixed text"));
        }
        let compile = |text: &str| ENVIRONMENT.compile_expression_owned(text.to_owned());
        let unreadable = |error| translate(&error, text, |_| None).hint(SYNTAX);
        let mut engine = compile(text).map_err(unreadable)?;
        let (all, _) = words(text, 0, &[]);
        let mut names = Vec::new();
        look(text, &all, &|_| true, tables, &mut names)?;
        let rewritten = rewrite(text, std::slice::from_ref(&all))?;
        if let Some(rewritten) = &rewritten {
            engine = compile(&rewritten.text).map_err(unreadable)?;
        }
        let path = match names.as_slice() {
            // A number is an index in a list, which only the engine looks up.
            [path] => {
                let whole = path.from == text.len() - text.trim_start().len();
                let numbered = all.iter().any(|word| matches!(word.token, Token::Number(_)));
                whole && path.to == text.trim_end().len() && !numbered
            }
            _ => false,
        };
        Ok(Self(Arc::new(Compiled {
            text: text.to_owned(),
            engine,
            rewritten,
            tables: tables.clone(),
            simple: Simple::read(&all, &names),
            risks: risks(&all, &names),
            several: several::doubts(&all, &names, tables),
            names,
            path,
        })))
    }

    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The paths that it names, in the order of the text.
    pub fn names(&self) -> &[Path] {
        &self.0.names
    }

    /// Values that people may leave out or type, and on which it fails.
    pub fn risks(&self) -> &[String] {
        &self.0.risks
    }

    /// Places where a text may be mistaken for a list.
    pub fn list_doubts(&self) -> &[String] {
        &self.0.several
    }

    /// The path, if the whole expression is one.
    pub fn as_path(&self) -> Option<&Path> {
        self.0.names.first().filter(|_| self.0.path)
    }

    pub fn eval(&self, scope: &Scope) -> Result<Json, MappingError> {
        if let Some(path) = self.as_path()
            && let Some(found) = scope.find(path.steps.iter().map(String::as_str))
        {
            return Ok(json_as_found(scope, found));
        }
        let value = self.ask(scope, Guess::Yes)?;
        if value.is_undefined() {
            return Err(self.lacks(scope, Guess::Yes));
        }
        json_of(&value)
    }

    /// Whether the condition is true, by the rules of `if`. It runs for each message and every condition. So
    /// an error names the missing name but does not search for similar ones, which costs twenty times as much
    /// as the answer.
    pub fn is_true(&self, scope: &Scope) -> Result<bool, MappingError> {
        let glance = Glance {
            scope,
            held: &[],
            numbers: &[],
        };
        match self.simply(glance) {
            Ok(answer) => Ok(answer),
            Err(Stop::Lacks(route)) => Err(check::leads_nowhere(&self.0.text, route, scope)),
            Err(Stop::Ask) => self.is_true_by_engine(scope),
        }
    }

    /// As [`Expression::is_true`], for one of many conditions of a scope: values in `held` need not be looked
    /// up again. `numbers` gives, for each of [`Expression::names`], its position there. An error is only a
    /// text, with `first` as its prefix.
    pub(crate) fn holds(
        &self,
        scope: &Scope,
        held: &[OnceCell<Held>],
        numbers: &[usize],
        first: &'static str,
    ) -> Result<bool, Name> {
        let glance = Glance { scope, held, numbers };
        match self.simply(glance) {
            Ok(answer) => Ok(answer),
            Err(Stop::Lacks(route)) => Err(route.lost(first, &self.0.text, scope)),
            Err(Stop::Ask) => {
                let answer = self.is_true_by_engine(scope);
                answer.map_err(|error| format!("{first}{error}").into())
            }
        }
    }

    fn simply(&self, glance: Glance<'_>) -> Result<bool, Stop<'_>> {
        self.0
            .simple
            .as_ref()
            .map_or(Err(Stop::Ask), |simple| simple.is_true(glance))
    }

    pub fn is_true_by_engine(&self, scope: &Scope) -> Result<bool, MappingError> {
        let value = self.ask(scope, Guess::No)?;
        if value.is_undefined() {
            return Err(self.lacks(scope, Guess::No));
        }
        Ok(value.is_true())
    }

    fn ask(&self, scope: &Scope, guess: Guess) -> Result<Value, MappingError> {
        let root = root(scope, &self.0.tables);
        self.0.engine.eval(root).map_err(|error| {
            translate_in(self.0.rewritten.as_ref(), &error, &self.0.text, |range| {
                check::missing(&self.0.text, &self.0.names, scope, &range, guess)
            })
        })
    }

    fn lacks(&self, scope: &Scope, guess: Guess) -> MappingError {
        let text = &self.0.text;
        check::missing(text, &self.0.names, scope, &(0..text.len()), guess)
            .unwrap_or_else(|| not_there(&limit::shown(text)))
    }
}

const SYNTAX: &str = "an expression is written like contact.country == 'DE'; a text with {{ … }} is a template, \
                      and one that begins with = is taken as it is";

/// `{{ contact.firstName }} {{ contact.lastName }}`
#[derive(Clone)]
pub struct Template(Arc<CompiledTemplate>);

struct CompiledTemplate {
    text: String,
    environment: Environment<'static>,
    rewritten: Option<Rewritten>,
    tables: Tables,
    names: Vec<Path>,
    risks: Vec<String>,
    /// The result of [`several::doubts`].
    several: Vec<String>,
}

/// The name of the only template in its environment.
const NAME: &str = "template";

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Template").field(&self.0.text).finish()
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text && self.0.tables == other.0.tables
    }
}

impl Template {
    pub fn new(text: &str) -> Result<Self, MappingError> {
        Self::read(text, &Tables::default())
    }

    pub fn read(text: &str, tables: &Tables) -> Result<Self, MappingError> {
        short_enough(text)?;
        // Runs before the engine parses the text, because the engine's messages are harder to understand.
        let parts = parts(text)?;
        let mut environment = ENVIRONMENT.clone();
        let unreadable = |error| translate(&error, text, |_| None);
        environment
            .add_template_owned(NAME, text.to_owned())
            .map_err(unreadable)?;
        let undeclared = environment
            .get_template(NAME)
            .map(|template| template.undeclared_variables(false))
            .unwrap_or_default();
        let bound = check::bound(&parts);
        let is_free = |name: &str| !bound.contains(name) || undeclared.contains(name);
        let mut names = Vec::new();
        for part in &parts {
            look(text, part, &is_free, tables, &mut names)?;
        }
        let words: Vec<_> = parts.iter().flatten().copied().collect();
        let risks = risks(&words, &names);
        let several = several::doubts(&words, &names, tables);
        let rewritten = rewrite(text, &parts)?;
        if let Some(rewritten) = &rewritten {
            environment
                .add_template_owned(NAME, rewritten.text.clone())
                .map_err(unreadable)?;
        }
        Ok(Self(Arc::new(CompiledTemplate {
            text: text.to_owned(),
            environment,
            rewritten,
            tables: tables.clone(),
            names,
            risks,
            several,
        })))
    }

    pub fn text(&self) -> &str {
        &self.0.text
    }

    pub fn names(&self) -> &[Path] {
        &self.0.names
    }

    pub fn risks(&self) -> &[String] {
        &self.0.risks
    }

    /// Places where a text may be mistaken for a list.
    pub fn list_doubts(&self) -> &[String] {
        &self.0.several
    }

    pub fn render(&self, scope: &Scope) -> Result<String, MappingError> {
        let compiled = &*self.0;
        let failed = |error: minijinja::Error| {
            translate_in(compiled.rewritten.as_ref(), &error, &compiled.text, |range| {
                check::missing(&compiled.text, &compiled.names, scope, &range, Guess::Yes)
            })
        };
        let template = compiled.environment.get_template(NAME).map_err(failed)?;
        let mut out = Short(Vec::new());
        template
            .render_captured_to(root(scope, &compiled.tables), &mut out)
            .map_err(failed)?;
        String::from_utf8(out.0).map_err(|_| MappingError::new("the text is not UTF-8"))
    }
}

fn root(scope: &Scope, tables: &Tables) -> Value {
    Value::from_object(Root {
        scope: scope.clone(),
        tables: tables.clone(),
    })
}

fn short_enough(text: &str) -> Result<(), MappingError> {
    if text.len() > limit::SOURCE {
        let most = limit::SOURCE / 1024;
        return Err(MappingError::new(format!("is longer than {most} KiB")));
    }
    Ok(())
}

/// A writer that accepts as much text as a field may have.
struct Short(Vec<u8>);

impl Write for Short {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > limit::TEXT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
