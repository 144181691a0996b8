use serde_json::json;

use super::*;

fn meta(content_type: &str, query: &str) -> Meta {
    Meta {
        content_type: (!content_type.is_empty()).then(|| content_type.to_owned()),
        query: (!query.is_empty()).then(|| query.to_owned()),
        ..Meta::default()
    }
}

fn reading(content_type: &str, query: &str, body: &str) -> Result<Body, BodyError> {
    read(&meta(content_type, query), body.as_bytes(), Limits::default())
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

#[test]
fn the_content_type_decides_or_else_the_first_character() {
    for (content_type, body, format) in [
        (FORM, "a[b]=1", Format::Form),
        (
            "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
            "a%5Bb%5D=1&",
            Format::Form,
        ),
        (JSON, r#"{"a":{"b":"1"}}"#, Format::Json),
        (
            "application/vnd.crm+json; v=1",
            r#" {"a":{"b":"1"}}"#,
            Format::Json,
        ),
        ("", "\u{feff}{\"a\":{\"b\":\"1\"}}", Format::Json),
        ("text/plain", "a[b]=1\r\n", Format::Form),
        ("", "a[b]=1", Format::Form),
        // Declared wrongly.
        (FORM, r#"{"a":{"b":"1"}}"#, Format::Json),
        (JSON, "a[b]=1", Format::Form),
    ] {
        let read = reading(content_type, "", body).unwrap();
        assert_eq!(
            (read.format, read.value),
            (format, json!({"a": {"b": "1"}})),
            "{content_type} {body}"
        );
    }
    let read = reading("", "a[b]=1", " \n").unwrap();
    assert_eq!(
        (read.format, read.value),
        (Format::Query, json!({"a": {"b": "1"}}))
    );
}

#[test]
fn parts_of_a_multipart_body_are_a_form() {
    let body = "--x y\r\nContent-Disposition: form-data; name=\"a[b]\"\r\n\r\n1+\r\n2%41\r\n\
        --x y\r\nContent-Type: text/plain\r\ncontent-disposition: form-data; name=\"q\\\"uote\"\r\n\r\n\r\n\
        --x y\r\nContent-Disposition: form-data; name=\"up\"; filename=\"f.txt\"\r\n\r\ndata\r\n--x y--\r\n";
    let read = reading("multipart/form-data; charset=utf-8; boundary=\"x y\"", "", body).unwrap();
    assert_eq!(read.value, json!({"a": {"b": "1+\r\n2%41"}, "q\"uote": ""}));
    assert_eq!(read.notes, ["multipart: 1 files were left out"]);
    let preamble = format!("ignore\r\n{body}");
    assert_eq!(
        reading("multipart/form-data; boundary=\"x y\"", "", &preamble)
            .unwrap()
            .value,
        read.value
    );
}

#[test]
fn the_body_of_a_post_wins_over_its_query() {
    let read = reading(FORM, "contact[id]=1&contact[email]=q&x=y", "contact[email]=b&x=z").unwrap();
    assert_eq!(
        read.value,
        json!({"contact": {"email": "b", "id": "1"}, "x": "z"})
    );
    let read = reading(JSON, "a=1&b[c]=2", r#"{"b":"text"}"#).unwrap();
    assert_eq!(read.value, json!({"b": "text", "a": "1"}));
}

#[test]
fn an_unreadable_body_gives_a_reason_that_does_not_quote_it() {
    for (content_type, body, error, status) in [
        ("", "", "no data: the body and the query are empty", 400),
        (
            JSON,
            r#"{"jane@example.org""#,
            "the body cannot be read: invalid JSON at line 1 column 20: a colon is expected",
            400,
        ),
        (
            "",
            "{a=1",
            "the body cannot be read: invalid JSON at line 1 column 2: the name of a member is expected, in double \
             quotes",
            400,
        ),
        (
            "text/xml",
            "<a>jane",
            "the body cannot be read: invalid XML at byte 7",
            400,
        ),
        (
            "",
            "<!DOCTYPE a [<!ENTITY x 'jane'>]><a>&x;</a>",
            "the body cannot be read: XML with a document type is not read: remove the <!DOCTYPE …>",
            400,
        ),
        (
            "application/xml",
            "<?xml version='1.0' encoding='klingon'?><a/>",
            "this listener does not read XML in an unknown encoding: send it as UTF-8",
            415,
        ),
        (
            "multipart/form-data",
            "--x",
            "the body cannot be read: multipart: the content type names no boundary",
            400,
        ),
        (
            "multipart/form-data; boundary=x",
            "--y",
            "the body cannot be read: multipart: the boundary does not occur",
            400,
        ),
        (
            "multipart/form-data; boundary=x",
            "--x",
            "the body cannot be read: multipart: the boundary does not occur",
            400,
        ),
    ] {
        let seen = reading(content_type, "", body).unwrap_err();
        assert_eq!(
            (seen.to_string().as_str(), seen.status()),
            (error, status),
            "{content_type} {body}"
        );
    }
}

#[test]
fn a_body_over_a_limit_is_refused_and_one_just_below_is_read() {
    let limits = Limits {
        body_bytes: 40,
        pairs: 3,
        depth: 2,
    };
    for (content_type, body, fits) in [
        ("", "a=34567890123456789012345678901234567890", true),
        ("", "a=345678901234567890123456789012345678901", false),
        ("", "a=1&b=2&c=3", true),
        ("", "a=1&b=2&c=3&d=4", false),
        ("", "a[b][c]=1", true),
        ("", "a[b][c][d]=1", false),
        (JSON, r#"{"a":1,"b":2,"c":"[[[[,,,,\"[[[["}"#, true),
        (JSON, r#"{"a":1,"b":2,"c":3,"d":4}"#, false),
        (JSON, r#"{"a":{"b":{"c":1}}}"#, true),
        (JSON, r#"{"a":{"b":{"c":[1]}}}"#, false),
        (FORM, r#"{"a":{"b":{"c":[1]}}}"#, false),
        ("", "<r><a>1</a><b>2</b><c>3</c></r>", true),
        ("", "<r><a>1</a><b>2</b><c d='3'/></r>", false),
        ("", "<r><a><b><c>1</c></b></a></r>", true),
        ("", "<r><a><b><c d='1'/></b></a></r>", false),
    ] {
        let seen = read(&meta(content_type, ""), body.as_bytes(), limits);
        match seen {
            Ok(_) => assert!(fits, "{body}"),
            Err(error) => assert_eq!((error.status(), fits), (413, false), "{body}: {error}"),
        }
    }
    let deep = "[".repeat(100_000);
    assert_eq!(reading(JSON, "", &deep).unwrap_err().status(), 413);
}

#[test]
fn bytes_that_are_not_utf8_are_replaced_and_noted() {
    for (content_type, body) in [
        (JSON, &b"{\"a\":\"x\xff\"}"[..]),
        (FORM, b"a=x\xff"),
        (FORM, b"a=x%FF"),
    ] {
        let read = read(&meta(content_type, ""), body, Limits::default()).unwrap();
        assert_eq!((read.value, read.notes.len()), (json!({"a": "x\u{fffd}"}), 1));
    }
}

#[test]
fn xml_is_read_by_its_type_and_by_its_look() {
    for content_type in [
        "application/xml; charset=utf-8",
        "text/xml",
        "application/x+xml",
        "",
    ] {
        let read = reading(content_type, "a=0&q=1", "\n<r><a>1</a><b><item>x</item></b></r>").unwrap();
        assert_eq!(
            (read.value, read.format),
            (json!({ "a": "1", "b": ["x"], "q": "1" }), Format::Xml)
        );
    }
}

fn members(content_type: &str, query: &str, body: &[u8]) -> (Value, Vec<String>) {
    let read = read(&meta(content_type, query), body, Limits::default()).unwrap();
    (read.value, read.notes)
}

fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

#[test]
#[rustfmt::skip] // One case per line reads as a table.
fn a_declared_charset_is_read_in_every_format() {
    let multipart = |part: &str, more: &str| {
        let head = format!("{more}--x\r\nContent-Disposition: form-data; name=\"name\"\r\n{part}\r\nZo");
        [head.as_bytes(), b"\xeb\r\n--x--\r\n"].concat()
    };
    let charset_field = "--x\r\nContent-Disposition: form-data; name=\"_charset_\"\r\n\r\niso-8859-1\r\n";
    for (content_type, query, body) in [
        ("application/x-www-form-urlencoded; charset=ISO-8859-1", "", b"name=Zo%EB".to_vec()),
        ("application/x-www-form-urlencoded; charset=\"windows-1252\"", "", b"name=Zo\xeb".to_vec()),
        (FORM, "", b"name=Zo%EB&_charset_=windows-1252".to_vec()),
        ("", "name=Zo%EB&_charset_=iso-8859-15", Vec::new()),
        ("application/json; charset=iso-8859-1", "", b"{\"name\":\"Zo\xeb\"}".to_vec()),
        ("multipart/form-data; boundary=x", "", multipart("Content-Type: text/plain; charset=ISO-8859-1\r\n", "")),
        ("multipart/form-data; boundary=x; charset=latin1", "", multipart("", "")),
        ("multipart/form-data; boundary=x", "", multipart("", charset_field)),
        ("text/xml; charset=latin1", "", b"<r><name>Zo\xeb</name></r>".to_vec()),
        ("", "", b"<?xml version='1.0' encoding='ISO-8859-1'?>\n<r><name>Zo\xeb</name></r>".to_vec()),
        ("", "", b"<?xml version=\"1.0\" encoding = \"utf-8\"?><r><name>Zo\xc3\xab</name></r>".to_vec()),
        (JSON, "", utf16("{\"name\":\"Zoë\"}")),
        ("application/xml", "", utf16("<?xml version='1.0' encoding='utf-16'?><r><name>Zoë</name></r>")),
    ] {
        assert_eq!(members(content_type, query, &body), (json!({"name": "Zoë"}), vec![]), "{content_type} {query} {body:?}");
    }
    // Some letters of Shift_JIS contain a byte that looks like a backslash.
    let (value, notes) = members("application/json; charset=shift_jis", "", b"{\"name\":\"\x95\x5c\"}");
    assert_eq!((value, notes), (json!({"name": "表"}), vec![]));
}

#[test]
fn an_unknown_or_wrong_charset_is_noted() {
    for (content_type, body, note) in [
        (
            "application/x-www-form-urlencoded; charset=klingon",
            "name=Zoë",
            "charset: the declared charset is unknown, so the body was read as UTF-8",
        ),
        (
            "application/json; charset=latin1",
            "{\"name\":\"Zoë\"}",
            "JSON: 1 texts are UTF-8, although another charset was declared",
        ),
    ] {
        let (value, notes) = members(content_type, "", body.as_bytes());
        assert_eq!(
            (value, notes),
            (json!({"name": "Zoë"}), vec![note.to_owned()]),
            "{content_type}"
        );
    }
}

#[test]
fn text_that_is_not_utf8_is_read_in_the_charset_of_the_source() {
    let spelling = Spelling {
        charset: Charset::named("windows-1252"),
        ..Spelling::default()
    };
    for (content_type, body) in [
        (FORM, &b"name=Zo%EB&city=K%C3%B6ln"[..]),
        (JSON, b"{\"name\":\"Zo\xeb\",\"city\":\"K\xc3\xb6ln\"}"),
    ] {
        let read = spelling
            .read(&meta(content_type, ""), body, Limits::default())
            .unwrap();
        assert_eq!(read.value, json!({"name": "Zoë", "city": "Köln"}));
        assert_eq!(read.notes.len(), 1);
    }
}

#[test]
fn multipart_is_read_with_bare_line_feeds_and_without_an_end() {
    let head = "Content-Disposition: form-data; name=";
    let both = json!({"a": "1", "b": "2\n3"});
    for (body, notes) in [
        (format!("--x\n{head}\"a\"\n\n1\n--x\n{head}b\n\n2\n3\n--x--\n"), 0),
        (
            format!("--x\r\n{head}a\r\n\r\n1\r\n--x\r\n{head}'b'\r\n\r\n2\n3\r\n--x--"),
            0,
        ),
        (format!("--x\n{head}a\n\n1\n--x\n{head}b\n\n2\n3"), 1),
        (format!("--x\n{head}a\n\n1\n--x\n{head}b\n\n2\n3\r\n--"), 1),
        (
            format!("--x\n{head}a\n\n1\n--x\nX: y\n\nlost\n--x\n{head}b\n\n2\n3\n--x--"),
            1,
        ),
    ] {
        let (value, seen) = members("multipart/form-data; boundary=x", "", body.as_bytes());
        assert_eq!((value, seen.len()), (both.clone(), notes), "{body:?} {seen:?}");
    }
}

#[test]
fn odd_json_is_read_with_a_note_and_unclear_json_is_refused_with_its_position() {
    let (value, notes) = members(JSON, "", b"{\"a\":NaN,\"b\":\"x\ty\",\"c\":[1,],\"b\":\"z\",}");
    assert_eq!(value, json!({"b": "z", "c": [1]}));
    assert_eq!(notes.len(), 4, "{notes:?}");
    let error = reading(JSON, "", "{\"a\":\n 01}").unwrap_err().to_string();
    assert!(error.contains("line 2 column 2"), "{error}");
}
