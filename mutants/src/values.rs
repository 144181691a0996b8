//! Values that a function may return instead of its own.

use syn::{GenericArgument, PathArguments, ReturnType, Type};

/// Expressions; none if the type has no value that is easy to make. What does not compile is left out later.
pub fn of(output: &ReturnType) -> Vec<String> {
    match output {
        ReturnType::Default => vec!["()".to_owned()],
        ReturnType::Type(_, ty) => of_type(ty),
    }
}

fn of_type(ty: &Type) -> Vec<String> {
    match ty {
        Type::Tuple(tuple) if tuple.elems.is_empty() => vec!["()".to_owned()],
        Type::Tuple(tuple) => {
            let first: Option<Vec<String>> = tuple
                .elems
                .iter()
                .map(|ty| of_type(ty).into_iter().next())
                .collect();
            first
                .map(|all| format!("({})", all.join(", ")))
                .into_iter()
                .collect()
        }
        Type::Reference(reference) if reference.mutability.is_none() => match &*reference.elem {
            Type::Path(path) if path.path.is_ident("str") => texts("", "\"xyzzy\""),
            Type::Slice(_) => vec!["&[]".to_owned()],
            _ => Vec::new(),
        },
        Type::Path(path) => match path.path.segments.last() {
            Some(last) => of_name(&last.ident.to_string(), &last.arguments),
            None => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn texts(empty: &str, word: &str) -> Vec<String> {
    let empty = if empty.is_empty() { "\"\"" } else { empty };
    vec![empty.to_owned(), word.to_owned()]
}

fn of_name(name: &str, arguments: &PathArguments) -> Vec<String> {
    let inner = || -> Vec<String> {
        let PathArguments::AngleBracketed(arguments) = arguments else {
            return vec!["Default::default()".to_owned()];
        };
        let first = arguments.args.iter().find_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(of_type(ty)),
            _ => None,
        });
        first.unwrap_or_default()
    };
    let around = |before: &str, after: &str| -> Vec<String> {
        inner()
            .iter()
            .map(|value| format!("{before}{value}{after}"))
            .collect()
    };
    match name {
        "bool" => vec!["true".to_owned(), "false".to_owned()],
        "String" => texts("String::new()", "\"xyzzy\".to_owned()"),
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => {
            vec!["0".to_owned(), "1".to_owned()]
        }
        "Option" => std::iter::once("None".to_owned())
            .chain(around("Some(", ")"))
            .collect(),
        "Result" => around("Ok(", ")"),
        "Box" => around("Box::new(", ")"),
        "Vec" => std::iter::once("Vec::new()".to_owned())
            .chain(around("vec![", "]").into_iter().take(1))
            .collect(),
        "Self" => Vec::new(),
        _ => vec!["Default::default()".to_owned()],
    }
}
