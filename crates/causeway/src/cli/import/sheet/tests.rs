use super::*;

const PLAIN: Table<'_> = Table {
    map: &[],
    separator: None,
};

/// The rows as text: the JSON, or why the row was refused.
fn rows(text: &[u8], table: Table<'_>) -> anyhow::Result<Vec<String>> {
    let mut sheet = Sheet::new(text, table)?;
    let mut all = Vec::new();
    while let Some(row) = sheet.next()? {
        all.push(match row {
            Row::Body { body, .. } => String::from_utf8(body)?,
            Row::Refused { line, why } => format!("line {line}: {why}"),
        });
    }
    Ok(all)
}

#[test]
fn a_column_named_like_a_form_field_is_a_field_of_the_contact() {
    let text = b"contact[email],contact[id],city,contact[]\nann@example.org,7,Bern,x\n";
    assert_eq!(
        rows(text, PLAIN).unwrap(),
        [r#"{"contact":{"email":"ann@example.org","id":"7"},"city":"Bern","contact[]":"x"}"#]
    );
}

#[test]
fn a_row_with_other_cells_than_the_header_is_refused_and_the_others_are_read() {
    let text = b"email,name\nann@example.org,Ann\nbob@example.org\ncem@example.org,Cem,7\n\"a\nb\",Dana";
    let all = rows(text, PLAIN).unwrap();
    assert_eq!(
        all,
        [
            r#"{"email":"ann@example.org","name":"Ann"}"#,
            "line 3: 1 cells, and the header has 2",
            "line 4: 3 cells, and the header has 2",
            r#"{"email":"a\nb","name":"Dana"}"#,
        ]
    );
}

/// The lines that an editor shows.
#[test]
fn rows_are_named_by_their_lines_whatever_ends_a_line() {
    let text = "email,name\na@example.org\n\n\nb@example.org\n\"c\nd\"\ne@example.org\n,\nf@example.org";
    let expected = [2, 5, 6, 8, 10];
    for (ending, mark, named) in [
        ("\n", "", ""),
        ("\r\n", "", ""),
        ("\r\n", "\u{feff}", ""),
        ("\n", "\u{feff}", ""),
        ("\r", "", ""),
        ("\r\n", "", "sep=,\r\n"),
        ("\n", "", "sep=,\n"),
    ] {
        let text = format!("{named}{mark}{}", text.replace('\n', ending));
        let mut sheet = Sheet::new(text.as_bytes(), PLAIN).unwrap();
        let mut found = Vec::new();
        while let Some(row) = sheet.next().unwrap() {
            let (Row::Body { line, .. } | Row::Refused { line, .. }) = row;
            found.push(line - u64::from(!named.is_empty()));
        }
        assert_eq!(found, expected, "{ending:?} {mark:?} {named:?}");
    }
    // Both kinds of line breaks in one file, and more rows than one buffer holds.
    let mut text = "email,name\r\n\"a\nb\r\nc\"\r\n".to_owned();
    text.push_str(&"d@example.org,Di\r\n".repeat(5_000));
    text.push_str("e@example.org\r\n");
    let all = rows(text.as_bytes(), PLAIN).unwrap();
    assert!(
        all[0].starts_with("line 2: 1 cells") && all[0].contains("it ends in line 4:"),
        "{}",
        all[0]
    );
    assert_eq!(all[5_001], "line 5005: 1 cells, and the header has 2");
}

#[test]
fn a_row_in_another_encoding_is_refused_alone() {
    let all = rows(b"email,name\na@example.org,Zo\xeb\nb@example.org,Bo\n", PLAIN).unwrap();
    assert!(
        all[0].starts_with("line 2: is not UTF-8") && all[0].contains("iconv"),
        "{all:?}"
    );
    assert_eq!(all[1], r#"{"email":"b@example.org","name":"Bo"}"#);
    assert!(
        rows(b"email,pr\xe9nom\n", PLAIN)
            .unwrap_err()
            .to_string()
            .contains("iconv")
    );
}

#[test]
fn an_unclosed_quotation_mark_is_reported_with_its_line() {
    let all = rows(
        b"email,name\na@example.org,Ann\nb@example.org,\"Bo\nc@example.org,Cem\n",
        PLAIN,
    )
    .unwrap();
    assert_eq!(all.len(), 2);
    assert!(
        all[1].starts_with("line 3: a quotation mark is not closed"),
        "{all:?}"
    );
    let all = rows(
        b"email,name\nb@example.org,\"Bo\nc@example.org,\"Cem\",x\nd@example.org,Di\n",
        PLAIN,
    )
    .unwrap();
    assert!(
        all[0].starts_with("line 2: 3 cells") && all[0].contains("line 3: is a quotation mark"),
        "{all:?}"
    );
    assert_eq!(all[1], r#"{"email":"d@example.org","name":"Di"}"#);
    let mut long = b"email,name\na@example.org,Ann\nb@example.org,\"Bo\n".to_vec();
    long.resize(long.len() + (32 << 20), b'x');
    let error = format!("{:#}", rows(&long, PLAIN).unwrap_err());
    assert!(
        error.contains("line 3") && error.contains("longer than 16 MB"),
        "{error}"
    );
}

#[test]
fn another_separator_is_suggested_and_works() {
    for (text, option, separator) in [
        (&b"email;name\na@example.org;Ann\n"[..], "--separator ';'", b';'),
        (b"email\tname\na@example.org\tAnn\n", "--separator tab", b'\t'),
    ] {
        let error = rows(text, PLAIN).unwrap_err().to_string();
        assert!(error.contains(option), "{error}");
        let table = Table {
            separator: Some(separator),
            ..PLAIN
        };
        assert_eq!(
            rows(text, table).unwrap(),
            [r#"{"email":"a@example.org","name":"Ann"}"#]
        );
    }
    assert!(rows(b"", PLAIN).is_err());
    assert_eq!(rows(b"email\na@example.org", PLAIN).unwrap().len(), 1);
}

#[test]
fn a_line_that_names_the_separator_is_used() {
    let expected = [
        r#"{"email":"a@example.org","name":"Ann"}"#,
        "line 4: 1 cells, and the header has 2",
    ];
    for text in [
        "sep=;\nemail;name\na@example.org;Ann\nbob\n",
        "\"sep=;\"\nemail;name\na@example.org;Ann\nbob\n",
        "SEP=\t\nemail\tname\na@example.org\tAnn\nbob\n",
        "sep=,\nemail,name\na@example.org,Ann\nbob\n",
    ] {
        assert_eq!(rows(text.as_bytes(), PLAIN).unwrap(), expected, "{text}");
    }
}

#[test]
fn a_first_line_that_is_no_header_is_refused_with_the_fix() {
    for (text, part) in [
        (
            "Members of March\nemail,name\na@example.org,Ann\n",
            "looks like a title",
        ),
        (
            "Members of March;;\nemail;name;city\na@example.org;Ann;Ulm\n",
            "looks like a title",
        ),
        (
            "a@example.org,Ann\nb@example.org,Bo\n",
            "its cell 1 is an address",
        ),
        (
            "Ann,+49 170 1234567\nBo,+49 170 7654321\n",
            "its cell 2 is a number or a date",
        ),
        (
            "Ann,2026-03-01\nBo,2026-03-02\n",
            "its cell 2 is a number or a date",
        ),
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("email,\"name\na@example.org,Ann\n", "in the header is not closed"),
        (
            "email,name,Name\na@example.org,Ann,Anna\n",
            "columns 2 and 3 are both called",
        ),
        (
            "email,Pr\u{c3}\u{a9}nom\na@example.org,Ann\n",
            "converted to UTF-8 twice",
        ),
    ] {
        let table = Table {
            separator: text.contains(';').then_some(b';'),
            ..PLAIN
        };
        let error = rows(text.as_bytes(), table).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    let map = [("Mail".to_owned(), "email".to_owned())];
    let table = Table { map: &map, ..PLAIN };
    let error = rows(b"email,Mail\na@example.org,b@example.org\n", table).unwrap_err();
    assert!(error.to_string().contains("both called \"email\""), "{error}");
}

#[test]
fn a_row_that_was_converted_twice_is_refused_alone() {
    let text =
        "email,name,\na@example.org,Zo\u{c3}\u{ab},\nb@example.org,Zo\u{eb},\nc@example.org,Cem,x\n,,\n";
    let all = rows(text.as_bytes(), PLAIN).unwrap();
    assert!(
        all[0].starts_with("line 2: column name: text that was converted"),
        "{all:?}"
    );
    assert_eq!(all[1], "{\"email\":\"b@example.org\",\"name\":\"Zo\u{eb}\"}");
    assert_eq!(all[2], "line 4: column 3 has a value and no name in the header");
    assert_eq!(all.len(), 3, "a blank row is not a row");
}
