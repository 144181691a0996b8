//! Compares two texts by lines: `-` marks expected lines, `+` marks the actual ones.

use std::fmt::Write as _;

use similar::{ChangeTag, TextDiff};

/// Number of unchanged lines shown before and after a change.
const AROUND: usize = 3;

/// The difference as text, with ANSI colours if `colour` is set.
pub fn render(expected: &str, actual: &str, colour: bool) -> String {
    let diff = TextDiff::from_lines(expected, actual);
    let mut out = String::new();
    for (index, group) in diff.grouped_ops(AROUND).iter().enumerate() {
        if index > 0 {
            out.push_str("  …\n");
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let (sign, code) = match change.tag() {
                ChangeTag::Delete => ('-', "31"),
                ChangeTag::Insert => ('+', "32"),
                ChangeTag::Equal => (' ', ""),
            };
            let line = change.value().trim_end_matches(['\n', '\r']);
            let line = painted(&format!("{sign} {line}"), code, colour);
            // Writing into a String cannot fail.
            writeln!(out, "{line}").ok();
        }
    }
    out
}

/// The text in an ANSI colour (its number) if `colour` is set.
pub fn painted(text: &str, code: &str, colour: bool) -> String {
    if colour && !code.is_empty() {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_lines_are_marked_and_distant_lines_left_out() {
        let lines: Vec<String> = (0..20).map(|n| format!("line {n}\n")).collect();
        let text = lines.concat();
        let other = text.replace("line 10\n", "line ten\n");
        let shown = render(&text, &other, false);
        assert!(shown.contains("- line 10\n+ line ten\n"), "{shown}");
        assert!(
            shown.contains("  line 9\n") && !shown.contains("line 5\n"),
            "{shown}"
        );
        assert!(render(&text, &other, true).contains("\u{1b}[31m- line 10\u{1b}[0m\n"));
        assert_eq!(render(&text, &text, true), "");
    }
}
