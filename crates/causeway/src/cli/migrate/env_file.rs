//! Reads an environment file as Node's `dotenv` does: `KEY=value`, `export KEY=value`, `KEY: value`; values in single,
//! double or back quotes may have several lines; `#` begins a comment outside quotes.

/// The content of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvFile {
    /// In the order of the file. If a key appears twice, the last one counts, as in `dotenv`.
    pub entries: Vec<(String, String)>,
    /// Keys that appear more than once.
    pub repeated: Vec<String>,
    /// Keys that are commented out.
    pub switched_off: Vec<String>,
    /// Lines (from 1) that are neither entry nor comment.
    pub not_understood: Vec<usize>,
}

impl EnvFile {
    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self.entries.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }
}

pub fn read(text: &str) -> EnvFile {
    let text = text
        .trim_start_matches('\u{feff}')
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    let mut file = EnvFile::default();
    let mut rest = text.as_str();
    let mut line = 1;
    while !rest.is_empty() {
        let (first, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let taken = match first.trim() {
            "" => first.len(),
            comment if comment.starts_with('#') => {
                let key = key(comment.trim_start_matches(['#', ' ', '\t']));
                file.switched_off.extend(key.map(|(key, _)| key.to_owned()));
                first.len()
            }
            _ => {
                if let Some((key, value, taken)) = entry(rest) {
                    put(&mut file, key, value);
                    taken
                } else {
                    file.not_understood.push(line);
                    first.len()
                }
            }
        };
        let (eaten, left) = rest.split_at_checked(taken).unwrap_or((first, after));
        line += eaten.matches('\n').count() + 1;
        // The rest of the line after a quoted value is a comment.
        rest = left.split_once('\n').map_or("", |(_, after)| after);
    }
    file
}

fn put(file: &mut EnvFile, key: &str, value: String) {
    if let Some(found) = file.entries.iter_mut().find(|(name, _)| name == key) {
        found.1 = value;
        if !file.repeated.iter().any(|name| name == key) {
            file.repeated.push(key.to_owned());
        }
    } else {
        file.entries.push((key.to_owned(), value));
    }
}

/// The key at the start of a text, and the text after its `=`.
fn key(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let text = match text.strip_prefix("export") {
        Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
        _ => text,
    };
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let end = text.find(|c| !is_letter(c))?;
    let (key, rest) = text.split_at_checked(end).filter(|(key, _)| !key.is_empty())?;
    if let Some(value) = rest.trim_start_matches([' ', '\t']).strip_prefix('=') {
        return Some((key, value));
    }
    let value = rest
        .strip_prefix(':')
        .filter(|value| value.starts_with([' ', '\t']))?;
    Some((key, value))
}

/// Key, value, and the number of bytes of the entry.
fn entry(text: &str) -> Option<(&str, String, usize)> {
    let (key, value) = key(text)?;
    let start = text.len() - value.len();
    let trimmed = value.trim_start_matches([' ', '\t']);
    let start_of_value = start + (value.len() - trimmed.len());
    for quote in ['\'', '"', '`'] {
        if let Some(inside) = trimmed.strip_prefix(quote)
            && let Some(end) = closing(inside, quote)
        {
            let raw = inside.get(..end).unwrap_or_default();
            let value = match quote {
                '"' => raw.replace("\\n", "\n").replace("\\r", "\r"),
                _ => raw.to_owned(),
            };
            return Some((key, value, start_of_value + end + 2));
        }
    }
    let line = value.split('\n').next().unwrap_or_default();
    let plain = line.split('#').next().unwrap_or_default();
    Some((key, plain.trim().to_owned(), start + line.len()))
}

/// The position of the closing quote: the next one without a backslash in front.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            letter if letter == quote => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<(String, String)> {
        read(text).entries
    }

    #[test]
    fn each_way_of_writing_an_entry_is_read() {
        for (text, value) in [
            ("A=b", "b"),
            ("A = b ", "b"),
            ("  A=b", "b"),
            ("export A=b", "b"),
            ("A: b", "b"),
            ("A=", ""),
            ("A=b # why", "b"),
            ("A=b#c", "b"),
            ("A='b # c'", "b # c"),
            ("A=\"b # c\" # why", "b # c"),
            ("A=`it's \"so\"`", "it's \"so\""),
            ("A=\"two\nlines\"", "two\nlines"),
            ("A=\"two\\nlines\"", "two\nlines"),
            ("A='two\\nlines'", "two\\nlines"),
            ("A=\"b", "\"b"),
            ("A='{\"x\": 1}'", "{\"x\": 1}"),
            ("A=a=b", "a=b"),
            ("\u{feff}A=b\r\n", "b"),
        ] {
            assert_eq!(entries(text), [("A".to_owned(), value.to_owned())], "{text:?}");
        }
    }

    #[test]
    fn lines_are_counted_across_quotes_and_invalid_lines_are_reported() {
        let file = read("A=\"1\n2\n3\"\n\nwhat is this\n# B=off\n# only a comment\nA=4\nC=5");
        assert_eq!(
            file.entries,
            [("A".to_owned(), "4".to_owned()), ("C".to_owned(), "5".to_owned())]
        );
        assert_eq!(file.not_understood, [5]);
        assert_eq!(file.switched_off, ["B"]);
        assert_eq!(file.repeated, ["A"]);
    }

    #[test]
    fn nothing_panics_on_odd_text() {
        for text in [
            "=",
            "=\n=",
            "é=1",
            "A=\"é",
            "A='é'\né",
            ":",
            "export",
            "export ",
            "A=\\",
            "A=\"\\",
            "#",
            "#=",
        ] {
            read(text);
        }
    }
}
