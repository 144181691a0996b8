//! Masks what was sent to destinations that have no HTTP API: the statements of a database, and the lines of a file.
//!
//! The first line names the place (`SQL postgres://db.example.org:5432/people`, `FILE /srv/people.csv`). No text of another
//! destination begins so, whatever a person wrote.

use super::masking;

const SQL: &str = "SQL ";
const FILE: &str = "FILE ";
/// The first column of a file, which has the key of the delivery.
const KEY: &str = "delivery";

/// The line that names the place, if the text is of this kind.
pub(crate) fn head(text: &str) -> Option<&str> {
    let first = text.lines().next()?;
    (first.starts_with(SQL) || first.starts_with(FILE)).then_some(first)
}

/// The masked text, if it is of this kind.
pub(super) fn request(text: &str) -> Option<String> {
    let head = head(text)?;
    let Some((_, rest)) = text.split_once("\n\n") else {
        return Some(head.to_owned());
    };
    let masked = if head.starts_with(SQL) {
        statements(rest)
    } else {
        line(rest)
    };
    Some(format!("{head}\n\n{masked}"))
}

/// Statements have no values in them. Their values follow as JSON, and then what came of them.
fn statements(text: &str) -> String {
    let parts = text.split("\n\n").map(|part| match part {
        values if values.starts_with('{') => masking::body(values.as_bytes(), None),
        plain => plain.to_owned(),
    });
    parts.collect::<Vec<_>>().join("\n\n")
}

/// A line of JSON, or a line of CSV below its header.
fn line(text: &str) -> String {
    if text.starts_with("nothing: ") {
        return text.to_owned();
    }
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(text.as_bytes());
    let header = reader.headers().cloned().unwrap_or_default();
    let row = reader.records().next().and_then(Result::ok);
    let (Some(KEY), Some(row)) = (header.get(0), row) else {
        return masking::body(text.as_bytes(), None);
    };
    let cells = header.iter().zip(&row).enumerate();
    let shown = cells.map(|(at, (name, cell))| match at {
        // The trace shows it anyway.
        0 => format!("{name} = {cell}"),
        _ => format!("{} = {}", masking::key_name(name), masking::field(name, cell)),
    });
    shown.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_shown_and_their_values_masked() {
        let sent = "SQL postgres://db.example.org:5432/people\n\n\
                    INSERT INTO \"contacts\" (\"email\", \"consent\") VALUES ($1, $2)\n\n\
                    {\"values\":{\"email\":\"jana@example.org\",\"consent\":\"subscribe\"}}\n\n\
                    refused: breaks the unique constraint \"contacts_pkey\" (SQLSTATE 23505)";
        let shown = request(sent).unwrap();
        assert_eq!(
            shown,
            "SQL postgres://db.example.org:5432/people\n\n\
             INSERT INTO \"contacts\" (\"email\", \"consent\") VALUES ($1, $2)\n\n\
             {\n  \"values\": {\n    \"email\": \"j•••@e•••.org\",\n    \"consent\": \"subscribe\"\n  }\n}\n\n\
             refused: breaks the unique constraint \"contacts_pkey\" (SQLSTATE 23505)"
        );
        // Values that were cut are no JSON any more.
        let cut = request("SQL sqlite:people.db\n\nDELETE\n\n{\"where\":{\"email\":\"jana@exam").unwrap();
        assert!(!cut.contains("jana"), "{cut}");
    }

    #[test]
    fn a_line_of_a_file_is_masked() {
        let csv = "FILE /srv/people.csv\n\ndelivery,email,note\ncw_1,jana@example.org,\"Hello\n\nJana\"";
        assert_eq!(
            request(csv).unwrap(),
            "FILE /srv/people.csv\n\ndelivery = cw_1\nemail = j•••@e•••.org\nnote = H•••"
        );
        let json = "FILE /srv/people.jsonl\n\n{\"delivery\":\"cw_1\",\"email\":\"jana@example.org\"}";
        assert!(request(json).unwrap().contains("\"email\": \"j•••@e•••.org\""));
        // Cut off within the line.
        for cut in [
            "cw_1,jana@ex",
            "delivery,email\ncw_1,\"jana",
            "{\"email\":\"jana@ex",
            "{\"a\":\"b\nJana,Novak",
        ] {
            let shown = request(&format!("FILE /srv/people.csv\n\n{cut}")).unwrap();
            assert!(!shown.to_lowercase().contains("jana"), "{shown}");
        }
        let nothing = "FILE /srv/people.csv\n\nnothing: the line of this delivery is in the file already";
        assert_eq!(request(nothing).as_deref(), Some(nothing));
        assert_eq!(
            request("FILE /srv/people.csv").as_deref(),
            Some("FILE /srv/people.csv")
        );
        assert_eq!(request("POST https://crm.example.org/"), None);
    }
}
