//! Finds the mutants of a file.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use proc_macro2::Span;
use serde::{Deserialize, Serialize};
use syn::{
    Attribute, BinOp, Block, Expr, ImplItemFn, ItemFn, Signature, TraitItemFn, Type, UnOp,
    parse::{ParseStream, Parser},
    spanned::Spanned,
    visit::{self, Visit},
};

use crate::{
    render::{Edit, Id, Piece},
    values,
};

/// Names a mutant so that it is found again when lines move.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// From the root of the repository.
    pub file: String,
    pub function: String,
    pub mutation: String,
    /// Which of the same mutations in the function, from 1.
    #[serde(default = "one")]
    pub ordinal: u32,
}

fn one() -> u32 {
    1
}

#[derive(Debug, Clone)]
pub struct Mutant {
    pub id: Id,
    pub key: Key,
    pub line: usize,
}

impl std::fmt::Display for Mutant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Key {
            file,
            function,
            mutation,
            ordinal,
        } = &self.key;
        write!(f, "{file}:{} {function}: {mutation}", self.line)?;
        if *ordinal > 1 {
            write!(f, " ({ordinal})")?;
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
pub struct Found {
    pub mutants: Vec<Mutant>,
    pub edits: Vec<Edit>,
}

/// Numbers the mutants from `first`. Those in `dropped` get a number but no edit, as they do not compile.
pub fn find(file: &str, text: &str, first: Id, dropped: &HashSet<Key>) -> Result<Found, syn::Error> {
    let parsed = syn::parse_file(text)?;
    let mut finder = Finder {
        text,
        file,
        dropped,
        next: first,
        found: Found::default(),
        scope: Vec::new(),
        functions: 0,
        seen: HashMap::new(),
    };
    finder.visit_file(&parsed);
    Ok(finder.found)
}

struct Finder<'a> {
    text: &'a str,
    file: &'a str,
    dropped: &'a HashSet<Key>,
    next: Id,
    found: Found,
    scope: Vec<String>,
    /// How many functions the place is in.
    functions: u32,
    seen: HashMap<(String, String), u32>,
}

/// Methods that answer yes or no, and the answer is turned.
const TURNED: [&str; 5] = ["is_some", "is_none", "is_empty", "contains", "contains_key"];
/// Methods that are replaced by each other.
const REPLACED: [(&str, &str); 7] = [
    ("is_some_and", "is_none_or"),
    ("any", "all"),
    ("min", "max"),
    ("min_by_key", "max_by_key"),
    ("saturating_add", "saturating_sub"),
    ("checked_add", "checked_sub"),
    ("first", "last"),
];
/// Methods whose closure answers yes or no, and the answers that are tried instead.
const ASKING: [(&str, &[bool]); 9] = [
    ("filter", &[true]),
    ("retain", &[true, false]),
    ("take_while", &[true, false]),
    ("find", &[true, false]),
    ("any", &[true, false]),
    ("all", &[true, false]),
    ("is_some_and", &[true, false]),
    ("is_none_or", &[true, false]),
    ("partition", &[true, false]),
];

fn range(of: &impl Spanned) -> Range<usize> {
    of.span().byte_range()
}

fn text(text: impl Into<String>) -> Piece {
    Piece::Text(text.into())
}

fn on(id: Id) -> Piece {
    Piece::Only(id, vec![text(format!("::causeway_mutant::on({id})"))])
}

impl Finder<'_> {
    fn fragment(&self, at: Range<usize>) -> String {
        let words: Vec<&str> = self.text[at].split_whitespace().collect();
        let mut all = words.join(" ");
        if let Some((end, _)) = all.char_indices().nth(72) {
            all.truncate(end);
            all.push('…');
        }
        all
    }

    /// A new mutant; `None` if it is outside of functions or does not compile.
    fn mutant(&mut self, at: Span, mutation: String) -> Option<Id> {
        if self.functions == 0 {
            return None;
        }
        let function = self.scope.join("::");
        let ordinal = self.seen.entry((function.clone(), mutation.clone())).or_default();
        *ordinal += 1;
        let key = Key {
            file: self.file.to_owned(),
            function,
            mutation,
            ordinal: *ordinal,
        };
        let id = self.next;
        self.next += 1;
        let is_dropped = self.dropped.contains(&key);
        self.found.mutants.push(Mutant {
            id,
            key,
            line: at.start().line,
        });
        (!is_dropped).then_some(id)
    }

    fn edit(&mut self, at: Range<usize>, ids: &[Id], pieces: Vec<Piece>) {
        self.found.edits.push(Edit {
            at,
            pieces,
            ids: ids.to_vec(),
        });
    }

    /// Turns the answer of an expression.
    fn turn(&mut self, of: &impl Spanned, mutation: String) {
        let at = range(of);
        if let Some(id) = self.mutant(of.span(), mutation) {
            let pieces = vec![
                text("(("),
                Piece::Original(at.clone()),
                text(") ^ "),
                on(id),
                text(")"),
            ];
            self.edit(at, &[id], pieces);
        }
    }

    /// Replaces the expression by others, each for its mutant.
    fn alternatives(&mut self, of: &impl Spanned, alternatives: Vec<(String, Vec<Piece>)>) {
        let at = range(of);
        let mut pieces = vec![text("(")];
        let mut ids = Vec::new();
        for (mutation, alternative) in alternatives {
            if let Some(id) = self.mutant(of.span(), mutation) {
                ids.push(id);
                pieces.extend([
                    text("if "),
                    on(id),
                    text(" { "),
                    Piece::Only(id, alternative),
                    text(" } else "),
                ]);
            }
        }
        if !ids.is_empty() {
            pieces.extend([text("{ "), Piece::Original(at.clone()), text(" })")]);
            self.edit(at, &ids, pieces);
        }
    }

    fn operator(&mut self, node: &syn::ExprBinary, others: &[&str]) {
        let (left, right) = (range(&node.left), range(&node.right));
        let own = self.fragment(range(&node.op));
        let whole = self.fragment(range(node));
        let alternatives = others
            .iter()
            .map(|other| {
                let pieces = vec![
                    Piece::Original(left.clone()),
                    text(format!(" {other} ")),
                    Piece::Original(right.clone()),
                ];
                (format!("{own} → {other} in `{whole}`"), pieces)
            })
            .collect();
        self.alternatives(node, alternatives);
    }

    /// `&&` and `||` keep what they are for: the right side is asked only if the left one does not decide.
    fn junction(&mut self, node: &syn::ExprBinary, is_and: bool) {
        if has_let(&node.left) || has_let(&node.right) {
            return;
        }
        let (left, right) = (range(&node.left), range(&node.right));
        let (own, other) = if is_and { ("&&", "||") } else { ("||", "&&") };
        let mutation = format!("{own} → {other} in `{}`", self.fragment(range(node)));
        let Some(id) = self.mutant(node.span(), mutation) else {
            return;
        };
        let mut pieces = vec![text("(if ("), Piece::Original(left), text(") ^ "), on(id)];
        if is_and {
            pieces.extend([
                text(" { "),
                Piece::Original(right),
                text(" } else { "),
                on(id),
                text(" })"),
            ]);
        } else {
            pieces.extend([
                text(" { !"),
                on(id),
                text(" } else { "),
                Piece::Original(right),
                text(" })"),
            ]);
        }
        self.edit(range(node), &[id], pieces);
    }

    fn body(&mut self, signature: &Signature, block: &Block) {
        if block.stmts.is_empty() {
            return;
        }
        let at = block.brace_token.span.open().byte_range().end;
        let inside = at..block.brace_token.span.close().byte_range().start;
        let own = self.fragment(inside);
        for value in values::of(&signature.output) {
            if own == value {
                continue;
            }
            if let Some(id) = self.mutant(signature.span(), format!("returns {value}")) {
                let pieces = vec![
                    text(" if "),
                    on(id),
                    text(" { "),
                    Piece::Only(id, vec![text(format!("return {value};"))]),
                    text(" } "),
                ];
                self.edit(at..at, &[id], pieces);
            }
        }
    }

    fn function(&mut self, attributes: &[Attribute], signature: &Signature, block: &Block) {
        let name = signature.ident.to_string();
        let is_shown = matches!(&*name, "fmt" | "expecting" | "default");
        if is_test(attributes) || signature.constness.is_some() || is_shown {
            return;
        }
        self.scope.push(name);
        self.functions += 1;
        self.body(signature, block);
        self.visit_block(block);
        self.functions -= 1;
        self.scope.pop();
    }

    fn guard(&mut self, arm: &syn::Arm, may_be_deleted: bool) {
        let pattern = self.fragment(range(&arm.pat));
        let Some((_, guard)) = &arm.guard else {
            if may_be_deleted
                && let Some(id) = self.mutant(arm.pat.span(), format!("deletes the arm `{pattern}`"))
            {
                let at = range(&arm.pat).end;
                self.edit(at..at, &[id], vec![text(" if !"), on(id)]);
            }
            return;
        };
        let guarded = self.fragment(range(guard));
        let at = range(guard);
        if has_let(guard) {
            return;
        }
        let always = self.mutant(guard.span(), format!("guard → true in `{pattern} if {guarded}`"));
        let never = self.mutant(guard.span(), format!("guard → false in `{pattern} if {guarded}`"));
        let mut pieces = Vec::new();
        if let Some(id) = always {
            pieces.extend([on(id), text(" || ")]);
        }
        if let Some(id) = never {
            pieces.extend([text("!"), on(id), text(" && ")]);
        }
        pieces.extend([text("("), Piece::Original(at.clone()), text(")")]);
        let ids: Vec<Id> = always.into_iter().chain(never).collect();
        if !ids.is_empty() {
            self.edit(at, &ids, pieces);
        }
    }

    /// `matches!`: each alternative of its pattern is deleted, and the answer is turned.
    fn matches(&mut self, node: &syn::Macro) {
        let parse = |input: ParseStream<'_>| {
            let value: Expr = input.parse()?;
            input.parse::<syn::Token![,]>()?;
            let pattern = syn::Pat::parse_multi_with_leading_vert(input)?;
            let guard: Option<Expr> = if input.parse::<Option<syn::Token![if]>>()?.is_some() {
                Some(input.parse()?)
            } else {
                None
            };
            input.parse::<Option<syn::Token![,]>>()?;
            Ok((value, pattern, guard))
        };
        let Ok((value, pattern, guard)) = parse.parse2(node.tokens.clone()) else {
            return;
        };
        let mutation = format!("turns `{}`", self.fragment(range(node)));
        self.turn(node, mutation);
        if let syn::Pat::Or(all) = &pattern {
            let at = range(node);
            let mut pieces = vec![text("("), Piece::Original(at.clone())];
            let mut ids = Vec::new();
            for one in &all.cases {
                let mutation = format!(
                    "deletes `{}` in `{}`",
                    self.fragment(range(one)),
                    self.fragment(at.clone())
                );
                if let Some(id) = self.mutant(one.span(), mutation) {
                    ids.push(id);
                    let (value, one) = (range(&value), range(one));
                    let other = vec![
                        text(" && !matches!("),
                        Piece::Original(value),
                        text(", "),
                        Piece::Original(one),
                        text(")"),
                    ];
                    pieces.extend([text(" && (!"), on(id), text(" || (true")]);
                    pieces.push(Piece::Only(id, other));
                    pieces.push(text("))"));
                }
            }
            pieces.push(text(")"));
            if !ids.is_empty() {
                self.edit(at, &ids, pieces);
            }
        }
        self.visit_expr(&value);
        if let Some(guard) = &guard {
            self.visit_expr(guard);
        }
    }

    fn asks(&mut self, method: &str, argument: &Expr) {
        let Some((_, answers)) = ASKING.iter().find(|(name, _)| *name == method) else {
            return;
        };
        let Expr::Closure(closure) = argument else { return };
        // Its body has to stay a block.
        if !matches!(closure.output, syn::ReturnType::Default) {
            return;
        }
        let at = range(&closure.body);
        let body = self.fragment(at.clone());
        let alternatives = answers
            .iter()
            .map(|answer| {
                let mutation = format!("{method}: always {answer} instead of `{body}`");
                (mutation, vec![text(answer.to_string())])
            })
            .collect();
        self.alternatives(&closure.body, alternatives);
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let name = attribute
            .path()
            .segments
            .last()
            .map(|last| last.ident.to_string());
        match name.as_deref() {
            Some("test") => true,
            Some("cfg") => attribute
                .meta
                .require_list()
                .is_ok_and(|list| list.tokens.to_string() == "test"),
            _ => false,
        }
    })
}

fn has_let(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

/// Whether the arm takes everything that comes to it.
fn takes_all(arm: &syn::Arm) -> bool {
    let is_open = match &arm.pat {
        syn::Pat::Wild(_) => true,
        syn::Pat::Ident(ident) => {
            ident.subpat.is_none() && ident.ident.to_string().starts_with(|c: char| c.is_lowercase())
        }
        _ => false,
    };
    is_open && arm.guard.is_none()
}

fn name_of(ty: &Type) -> String {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
        Type::Reference(reference) => return name_of(&reference.elem),
        _ => None,
    }
    .unwrap_or_else(|| "impl".to_owned())
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_mod(&mut self, node: &'ast syn::ItemMod) {
        if !is_test(&node.attrs) {
            self.scope.push(node.ident.to_string());
            visit::visit_item_mod(self, node);
            self.scope.pop();
        }
    }

    fn visit_item_impl(&mut self, node: &'ast syn::ItemImpl) {
        let of_trait = node.trait_.as_ref().and_then(|(_, path, _)| path.segments.last());
        let is_left =
            of_trait.is_some_and(|last| matches!(&*last.ident.to_string(), "Debug" | "Display" | "Drop"));
        if is_test(&node.attrs) || is_left {
            return;
        }
        self.scope.push(name_of(&node.self_ty));
        for item in &node.items {
            self.visit_impl_item(item);
        }
        self.scope.pop();
    }

    fn visit_item_fn(&mut self, node: &'ast ItemFn) {
        self.function(&node.attrs, &node.sig, &node.block);
    }

    fn visit_impl_item_fn(&mut self, node: &'ast ImplItemFn) {
        self.function(&node.attrs, &node.sig, &node.block);
    }

    fn visit_trait_item_fn(&mut self, node: &'ast TraitItemFn) {
        if let Some(block) = &node.default {
            self.function(&node.attrs, &node.sig, block);
        }
    }

    fn visit_expr_binary(&mut self, node: &'ast syn::ExprBinary) {
        match node.op {
            BinOp::Eq(_) | BinOp::Ne(_) => {
                let mutation = format!("turns `{}`", self.fragment(range(node)));
                self.turn(node, mutation);
            }
            BinOp::Lt(_) => self.operator(node, &["<=", ">"]),
            BinOp::Le(_) => self.operator(node, &["<", ">"]),
            BinOp::Gt(_) => self.operator(node, &[">=", "<"]),
            BinOp::Ge(_) => self.operator(node, &[">", "<"]),
            BinOp::Add(_) => self.operator(node, &["-"]),
            BinOp::Sub(_) => self.operator(node, &["+"]),
            BinOp::BitOr(_) => self.operator(node, &["&"]),
            BinOp::BitAnd(_) => self.operator(node, &["|"]),
            BinOp::AddAssign(_) => self.operator(node, &["-="]),
            BinOp::SubAssign(_) => self.operator(node, &["+="]),
            BinOp::BitOrAssign(_) => self.operator(node, &["&=", "="]),
            BinOp::BitAndAssign(_) => self.operator(node, &["|="]),
            BinOp::And(_) => self.junction(node, true),
            BinOp::Or(_) => self.junction(node, false),
            _ => {}
        }
        visit::visit_expr_binary(self, node);
    }

    fn visit_expr_unary(&mut self, node: &'ast syn::ExprUnary) {
        if matches!(node.op, UnOp::Not(_)) {
            let mutation = format!("deletes ! in `{}`", self.fragment(range(node)));
            self.turn(node, mutation);
        }
        visit::visit_expr_unary(self, node);
    }

    fn visit_expr_match(&mut self, node: &'ast syn::ExprMatch) {
        let is_open = node.arms.iter().any(takes_all);
        self.visit_expr(&node.expr);
        for arm in &node.arms {
            self.guard(arm, is_open && !takes_all(arm));
            self.visit_arm(arm);
        }
    }

    fn visit_expr_method_call(&mut self, node: &'ast syn::ExprMethodCall) {
        let name = node.method.to_string();
        if TURNED.contains(&&*name) {
            let mutation = format!("turns `{}`", self.fragment(range(node)));
            self.turn(node, mutation);
        }
        let other = REPLACED.iter().find_map(|(one, two)| match &*name {
            name if name == *one => Some(*two),
            name if name == *two => Some(*one),
            _ => None,
        });
        if let Some(other) = other {
            let method = range(&node.method);
            let whole = range(node);
            let mutation = format!("{name} → {other} in `{}`", self.fragment(whole.clone()));
            let pieces = vec![
                Piece::Original(whole.start..method.start),
                text(other),
                Piece::Original(method.end..whole.end),
            ];
            self.alternatives(node, vec![(mutation, pieces)]);
        }
        if let Some(argument) = node.args.first() {
            self.asks(&name, argument);
        }
        visit::visit_expr_method_call(self, node);
    }

    fn visit_macro(&mut self, node: &'ast syn::Macro) {
        if node.path.is_ident("matches") {
            self.matches(node);
        }
    }

    // Nothing that has to be constant can be switched.
    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}
    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}
    fn visit_item_enum(&mut self, _: &'ast syn::ItemEnum) {}
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_trait_item_const(&mut self, _: &'ast syn::TraitItemConst) {}
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}
    fn visit_generic_argument(&mut self, _: &'ast syn::GenericArgument) {}
    fn visit_type(&mut self, _: &'ast Type) {}
    fn visit_pat(&mut self, _: &'ast syn::Pat) {}
    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_expr_repeat(&mut self, node: &'ast syn::ExprRepeat) {
        self.visit_expr(&node.expr);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::render::render;

    const FILE: &str = "
        const LIMIT: usize = 1 + 2;
        fn is_small(n: usize) -> bool {
            n < LIMIT && !taken(n)
        }
        fn word(n: usize) -> Option<&'static str> {
            match n { 0 => None, n if n == 7 => Some(\"seven\"), _ => Some(\"other\") }
        }
        #[cfg(test)]
        mod tests { fn check() -> bool { 1 == 2 } }
    ";

    #[test]
    fn each_place_that_can_be_switched_gives_mutants() {
        let found = find("a.rs", FILE, 1, &HashSet::new()).expect("valid");
        let all: Vec<String> = found
            .mutants
            .iter()
            .map(|mutant| format!("{} {}", mutant.key.function, mutant.key.mutation))
            .collect();
        assert_eq!(
            all,
            [
                "is_small returns true",
                "is_small returns false",
                "is_small && → || in `n < LIMIT && !taken(n)`",
                "is_small < → <= in `n < LIMIT`",
                "is_small < → > in `n < LIMIT`",
                "is_small deletes ! in `!taken(n)`",
                "word returns None",
                "word returns Some(\"\")",
                "word returns Some(\"xyzzy\")",
                "word deletes the arm `0`",
                "word guard → true in `n if n == 7`",
                "word guard → false in `n if n == 7`",
                "word turns `n == 7`",
            ]
        );
        let text = render(FILE, found.edits).text;
        assert!(syn::parse_file(&text).is_ok(), "{text}");
        assert!(text.contains("const LIMIT: usize = 1 + 2;"), "{text}");
        assert!(text.contains("{ 1 == 2 }"), "{text}");
    }

    #[test]
    fn a_file_whose_mutants_are_all_dropped_stays_as_it_is() {
        let found = find("a.rs", FILE, 1, &HashSet::new()).expect("valid");
        let dropped = found.mutants.into_iter().map(|mutant| mutant.key).collect();
        let found = find("a.rs", FILE, 1, &dropped).expect("valid");
        assert_eq!(render(FILE, found.edits).text, FILE);
    }

    #[test]
    fn the_innermost_mutant_is_blamed() {
        let found = find("a.rs", FILE, 1, &HashSet::new()).expect("valid");
        let rendered = render(FILE, found.edits);
        let at = rendered.text.find("n <= LIMIT").expect("the mutant");
        let blamed = crate::render::blamed(&rendered.places, &(at..at + 1), true);
        assert_eq!(blamed, Some(&[4][..]));
    }
}
