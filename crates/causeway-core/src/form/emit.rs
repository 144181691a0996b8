//! Prints a form body as PHP's `http_build_query` does.

use super::{
    percent,
    value::{Array, Key, Value},
};

/// PHP reads no deeper nesting.
const MAX_DEPTH: usize = 64;

/// The defaults are those of `http_build_query`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EmitOptions {
    pub space: Space,
    /// Prints bare brackets between indexes instead of `%5B` and `%5D`. PHP reads both the same.
    pub raw_brackets: bool,
    pub empty_groups: EmptyGroups,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Space {
    /// RFC 1738: `+`, and `~` encoded.
    #[default]
    Plus,
    /// RFC 3986: `%20`, and `~` bare.
    Percent20,
}

/// What to print for an empty array.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EmptyGroups {
    #[default]
    Omit,
    /// `group=`, which reads back as empty text.
    Blank,
}

/// The value cannot be printed so that PHP reads the same. `name` is the top-level name concerned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmitError {
    #[error("form name {name:?} {why}; rename it")]
    Name { name: String, why: &'static str },
    #[error("an index below form name {name:?} {why}; rename it")]
    Index { name: String, why: &'static str },
    #[error("form name {name:?} holds arrays more than {MAX_DEPTH} deep")]
    TooDeep { name: String },
}

/// Prints the pairs in order. Refuses a name or index that PHP would read as a different one.
pub fn emit(root: &Array, options: EmitOptions) -> Result<String, EmitError> {
    let mut problems = Vec::new();
    let out = emit_what_fits(root, options, &mut problems);
    match problems.into_iter().next() {
        Some(problem) => Err(problem),
        None => Ok(out),
    }
}

/// Prints the pairs in order. Leaves out those that [`emit`] would refuse, and adds them to `problems`.
pub fn emit_what_fits(root: &Array, options: EmitOptions, problems: &mut Vec<EmitError>) -> String {
    let mut out = String::new();
    for (key, value) in root.iter() {
        let number = itoa(key);
        let name = key_bytes(key, &number);
        if let Some(why) = name_problem(name) {
            problems.push(EmitError::Name {
                name: shown(name),
                why,
            });
            continue;
        }
        let mut printer = Printer {
            options,
            path: String::new(),
            out: &mut out,
            problem: &mut |problem| {
                problems.push(match problem {
                    Problem::Index(why) => EmitError::Index {
                        name: shown(name),
                        why,
                    },
                    Problem::TooDeep => EmitError::TooDeep { name: shown(name) },
                });
            },
        };
        percent::encode(name, options.rfc3986(), &mut printer.path);
        printer.value(value, 0);
    }
    out
}

impl EmitOptions {
    fn rfc3986(self) -> bool {
        self.space == Space::Percent20
    }
}

enum Problem {
    Index(&'static str),
    TooDeep,
}

struct Printer<'a> {
    options: EmitOptions,
    /// Percent-encoded.
    path: String,
    out: &'a mut String,
    problem: &'a mut dyn FnMut(Problem),
}

impl Printer<'_> {
    /// Prints one value under the path, and restores the path afterwards.
    fn value(&mut self, value: &Value, depth: usize) {
        let text: &[u8] = match value {
            Value::Text(text) => text,
            Value::Array(array) if !array.is_empty() => return self.array(array, depth + 1),
            Value::Array(_) => match self.options.empty_groups {
                EmptyGroups::Omit => return,
                EmptyGroups::Blank => b"",
            },
        };
        if !self.out.is_empty() {
            self.out.push('&');
        }
        self.out.push_str(&self.path);
        self.out.push('=');
        percent::encode(text, self.options.rfc3986(), self.out);
    }

    fn array(&mut self, array: &Array, depth: usize) {
        if depth > MAX_DEPTH {
            return (self.problem)(Problem::TooDeep);
        }
        let (open, close) = if self.options.raw_brackets {
            ("[", "]")
        } else {
            ("%5B", "%5D")
        };
        let outer = self.path.len();
        for (key, value) in array.iter() {
            let number = itoa(key);
            let index = key_bytes(key, &number);
            if let Some(why) = index_problem(index) {
                (self.problem)(Problem::Index(why));
                continue;
            }
            self.path.push_str(open);
            percent::encode(index, self.options.rfc3986(), &mut self.path);
            self.path.push_str(close);
            self.value(value, depth);
            self.path.truncate(outer);
        }
    }
}

fn name_problem(name: &[u8]) -> Option<&'static str> {
    if name.is_empty() {
        return Some("is empty");
    }
    name.iter().find_map(|byte| match byte {
        b' ' => Some("holds a space, which PHP reads as _"),
        b'.' => Some("holds a dot, which PHP reads as _"),
        b'[' => Some("holds a [, which PHP reads as the start of an index"),
        0 => Some("holds a NUL byte, where PHP stops reading"),
        _ => None,
    })
}

fn index_problem(index: &[u8]) -> Option<&'static str> {
    match index {
        [] | [b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c] => {
            return Some("is blank, which PHP reads as append");
        }
        _ => {}
    }
    index.iter().find_map(|byte| match byte {
        b']' => Some("holds a ], where PHP ends the index"),
        0 => Some("holds a NUL byte, where PHP stops reading"),
        _ => None,
    })
}

fn itoa(key: &Key) -> String {
    match key {
        Key::Int(number) => number.to_string(),
        Key::Text(_) => String::new(),
    }
}

fn key_bytes<'a>(key: &'a Key, number: &'a str) -> &'a [u8] {
    match key {
        Key::Int(_) => number.as_bytes(),
        Key::Text(text) => text,
    }
}

fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().take(64).collect()
}
