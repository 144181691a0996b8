//! Ten thousand generated requests, read by [`causeway_core::decode::body`] and by a real PHP, and compared
//! value by value.
//!
//! The listener differs from PHP on purpose in these points; see [`as_the_listener`] and the tests below:
//!
//! - A list whose numbers are out of order (`f[1]=x&f[0]=y`) becomes a list, since senders mean one.
//! - Line breaks after the last value of a form are removed, because hand-made requests end with one.
//! - There is no limit of 1000 fields. PHP silently drops further fields; here `limits.pairs` refuses the
//!   request.
//! - PHP stops reading a multipart body at a part without a name. Here this part is left out, with a note.
//! - A declared charset is decoded, which PHP leaves to its program. `_charset_` is then not a field.
//! - JSON with small deviations is read with a note, where PHP gives nothing.

use std::collections::BTreeMap;

use causeway_core::{
    decode::body::{Body, Limits, read},
    envelope::Meta,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{
    php::{generate, php, query, run},
    server::{Server, both},
};

/// Both arrays, as letters of the charset.
const ANSWER: &str = r"
    function letters($v) {
        if (is_string($v)) return preg_match('//u', $v) ? $v : @utf8_encode($v);
        if (!is_array($v)) return $v;
        $out = [];
        foreach ($v as $k => $w) $out[letters($k)] = letters($w);
        return $out;
    }
    $is_latin = str_contains($_SERVER['CONTENT_TYPE'] ?? '', 'ISO-8859-1');
    $of = $is_latin ? letters($_POST) : $_POST;
    echo dump($_GET), ' ', dump($of);
";

struct Request {
    content_type: &'static str,
    query: String,
    body: Vec<u8>,
}

#[test]
fn seven_thousand_requests_are_read_as_php_reads_them() {
    let Some(php) = php() else { return };
    let requests = requests();
    assert_eq!(requests.len(), 7_000);
    std::thread::scope(|scope| {
        for (name, server) in both(&php, ANSWER) {
            let requests = &requests;
            scope.spawn(move || compare(name, &*server, requests));
        }
    });
}

fn compare(name: &str, server: &dyn Server, requests: &[Request]) {
    for request in requests {
        let method = if request.body.is_empty() { "GET" } else { "POST" };
        let seen = server.send(method, &request.query, request.content_type, &request.body);
        let (get, post) = seen.split_once(' ').expect("two arrays");
        let mut expected = as_the_listener(post);
        merge(&mut expected, as_the_listener(get));
        let ours = match ours(request) {
            Ok(body) => body.value,
            // An empty request is an error here.
            Err(_) => json!({}),
        };
        assert!(
            ours == Value::Object(expected.clone()),
            "{name}: {} ?{}\n{}\nours {ours}\nPHP  {}",
            request.content_type,
            request.query,
            String::from_utf8_lossy(&request.body),
            Value::Object(expected)
        );
    }
}

fn ours(request: &Request) -> Result<Body, String> {
    let meta = Meta {
        content_type: Some(request.content_type.to_owned()),
        query: (!request.query.is_empty()).then(|| request.query.clone()),
        ..Meta::default()
    };
    read(&meta, &request.body, Limits::default()).map_err(|error| error.to_string())
}

/// Merges the query of a POST under its body.
fn merge(over: &mut Map<String, Value>, below: Map<String, Value>) {
    for (key, value) in below {
        match (over.get_mut(&key), value) {
            (Some(Value::Object(over)), Value::Object(below)) => merge(over, below),
            (Some(_), _) => {}
            (None, value) => {
                over.insert(key, value);
            }
        }
    }
}

/// Converts a dump of PHP to the listener's form of the same value, with an object at the top.
fn as_the_listener(dump: &str) -> Map<String, Value> {
    let mut rest = dump;
    let members = array(&mut rest);
    assert!(rest.is_empty(), "{dump}");
    members
        .into_iter()
        .map(|(key, value)| (key.text(), value))
        .collect()
}

#[derive(Debug, Clone, PartialEq)]
enum Key {
    Number(i64),
    Text(String),
}

impl Key {
    fn text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

fn array(rest: &mut &str) -> Vec<(Key, Value)> {
    *rest = rest.strip_prefix('(').expect("an array");
    let mut members = Vec::new();
    while let Some(member) = rest.strip_prefix(['i', 's']) {
        let is_number = rest.starts_with('i');
        let (key, value) = member.split_once('=').expect("a key");
        let key = if is_number {
            Key::Number(key.parse().expect("a number"))
        } else {
            Key::Text(text(key))
        };
        *rest = value;
        members.push((key, self::value(rest)));
        *rest = rest.strip_prefix(',').expect("a comma");
    }
    *rest = rest.strip_prefix(')').expect("the end of an array");
    members
}

fn value(rest: &mut &str) -> Value {
    let Some(hex) = rest.strip_prefix('T') else {
        let members = array(rest);
        // The numbers may be in any order.
        let numbered: BTreeMap<i64, &Value> = members
            .iter()
            .filter_map(|(key, value)| match key {
                Key::Number(number) => Some((*number, value)),
                Key::Text(_) => None,
            })
            .collect();
        let is_list = numbered.len() == members.len()
            && numbered
                .keys()
                .copied()
                .eq(0..i64::try_from(numbered.len()).expect("few"));
        return if is_list {
            numbered.into_values().cloned().collect()
        } else {
            Value::Object(
                members
                    .into_iter()
                    .map(|(key, value)| (key.text(), value))
                    .collect(),
            )
        };
    };
    let end = hex
        .find(|letter: char| !letter.is_ascii_hexdigit())
        .unwrap_or(hex.len());
    let (hex, after) = hex.split_at(end);
    *rest = after;
    Value::String(text(hex))
}

fn text(hex: &str) -> String {
    let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).expect("hex");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Keeps what a request line can carry.
fn on_the_wire(query: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"#\"<>".contains(byte);
    query
        .iter()
        .map(|byte| match byte {
            byte if plain(byte) => char::from(*byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

fn requests() -> Vec<Request> {
    const FORM: &str = "application/x-www-form-urlencoded";
    const LATIN: &str = "application/x-www-form-urlencoded; charset=ISO-8859-1";
    let latin = prop::collection::vec(
        prop::sample::select(vec![
            &b"a="[..],
            b"&b[]=",
            b"&\xe9=",
            b"\xe9",
            b"\xeb\xfc",
            b"%E9",
            b"\xc3\xa9",
            b"x",
            b"[y]",
            b"&c.d=",
        ]),
        0..14,
    )
    .prop_map(|pieces| pieces.concat());
    let form = |content_type: &'static str, query: &[u8], body: &[u8]| Request {
        content_type,
        query: on_the_wire(query),
        body: as_a_form(body),
    };
    let mut requests = Vec::new();
    for (sent, below) in generate(2_500, (query(), query())) {
        let below = if sent.len() % 3 == 0 { below } else { Vec::new() };
        requests.push(form(FORM, &below, &sent));
    }
    for sent in generate(1_000, query()) {
        requests.push(form(FORM, &sent, b""));
    }
    for sent in generate(1_000, latin) {
        requests.push(form(LATIN, b"", &sent));
    }
    for body in generate(2_500, multipart()) {
        requests.push(Request {
            content_type: "multipart/form-data; boundary=cut",
            query: String::new(),
            body,
        });
    }
    requests
}

/// Removes line breaks at the end. A body that begins with a bracket may be JSON.
fn as_a_form(body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    while body.last().is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
        body.pop();
    }
    if body.trim_ascii_start().starts_with(b"[") {
        body.insert(0, b'a');
    }
    // PHP 8.2 takes a body of white space for a name; here it is not one.
    if body.trim_ascii().is_empty() {
        Vec::new()
    } else {
        body
    }
}

/// Bodies with the boundary `cut`.
fn multipart() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(vec![
        r#""a""#,
        r#""a""#,
        r#""b[]""#,
        r#""b[]""#,
        r#""c[x]""#,
        "'d'",
        "e",
        r#""f.g h""#,
        r#""q\"uo""#,
        r#""b\\s""#,
        r#""é""#,
        r#""it's""#,
        r#"" i""#,
        r#""j]k""#,
        r#""[l]""#,
        r#""m[n""#,
        "\"o;p\"",
    ]);
    let head = prop::sample::select(vec![
        "Content-Disposition: form-data; name=NAME",
        "Content-Disposition: form-data; name=NAME",
        "content-disposition:form-data;name=NAME",
        "Content-Type: text/plain\nContent-Disposition: form-data; name=NAME",
        "Content-Disposition: form-data;\n name=NAME",
        "Content-Disposition: form-data; x=\"; name=z\"; NAME=NAME",
        "Content-Disposition: form-data; name=NAME; filename=\"f.txt\"",
        "Content-Disposition: form-data; name=NAME; filename=\"\"",
        "X-Other: 1",
        "X-Other 1\nContent-Disposition: form-data; name=NAME",
    ]);
    let piece = prop::sample::select(vec![
        &b"x"[..],
        b"+",
        b"%41",
        b"\r\n",
        b"\n",
        b"\r",
        b"--",
        b"--cu",
        b"\n--cu",
        b"\xc3\xa9",
        b"\xff",
        b"\0",
        b" ",
        b"=",
        b"&",
        b"a=1",
        b"\r\n\r\n",
        b"--cut",
    ]);
    let content = prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat());
    let part = (head, name, content);
    let start = prop::sample::select(vec![&b""[..], b"", b"", b"preamble\n", b"\n", b"--cutter\n"]);
    let end = prop::sample::select(vec![
        &b"--cut--\r\n"[..],
        b"--cut--\r\n",
        b"--cut--",
        b"",
        b"--c",
        b"--cut",
        b"--cut--\r\nbehind",
        b"--cutter\n",
    ]);
    (start, prop::collection::vec((part, any::<bool>()), 0..5), end).prop_map(|(start, parts, end)| {
        let mut body = start.to_vec();
        for ((head, name, content), is_bare) in parts {
            let line = if is_bare { "\n" } else { "\r\n" };
            let head = head.replace('\n', line).replace("=NAME", &format!("={name}"));
            body.extend(format!("--cut{line}{head}{line}{line}").as_bytes());
            body.extend(content);
            body.extend(line.as_bytes());
        }
        body.extend(end);
        body
    })
}

#[test]
fn input_that_php_loses_is_kept_or_refused() {
    let Some(php) = php() else { return };
    let servers = both(&php, ANSWER);
    let form = "application/x-www-form-urlencoded";
    let fields: Vec<String> = (0..1_500).map(|n| format!("k{n}=1")).collect();
    let many = fields.join("&").into_bytes();
    let head = "Content-Disposition: form-data; ";
    let nameless =
        format!("--cut\r\n{head}x=1\r\n\r\n1\r\n--cut\r\n{head}name=a\r\n\r\n2\r\n--cut--\r\n").into_bytes();
    for (content_type, body, ours_has, php_has) in [
        (form, many, 1_500, 1_001),
        (form, b"a=1&_charset_=utf-8".to_vec(), 1, 2),
        ("multipart/form-data; boundary=cut", nameless, 1, 0),
    ] {
        let request = Request {
            content_type,
            query: String::new(),
            body,
        };
        let ours = ours(&request).expect("a value").value;
        assert_eq!(ours.as_object().map(Map::len), Some(ours_has), "{content_type}");
        for (name, server) in &servers {
            let seen = server.send("POST", "", content_type, &request.body);
            let (_, post) = seen.split_once(' ').expect("two arrays");
            assert_eq!(as_the_listener(post).len(), php_has, "{name}: {content_type}");
        }
    }
}

/// JSON texts, half of them damaged.
fn json_text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"b\"",
        "\"\\ud83d\"",
        "\"\\ud83d\\ude00\"",
        "\"\\u00e9é\"",
        "\"x\ty\"",
        "1",
        "-0",
        "01",
        "1.5e3",
        "NaN",
        "Infinity",
        "null",
        "true",
        "False",
        " ",
        "\n",
        "\"\\'\"",
        "\"\\x\"",
        "{\"a\":1,\"a\":2}",
        "[1,]",
        "{\"k\":\"v\"}",
        "\u{feff}",
        "'",
        "\"",
    ]);
    let loose = prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat());
    let leaf = prop::sample::select(vec![
        "1",
        "\"x\"",
        "null",
        "true",
        "-2.50",
        "\"é\\n\"",
        "[]",
        "{}",
        "\"\"",
    ]);
    let member = ("[a-d]", leaf).prop_map(|(name, leaf)| format!("\"{name}\":{leaf}"));
    let sound = prop::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(", ")));
    let damaged =
        (sound.clone(), any::<prop::sample::Index>(), "[,\\]}\"x\t]").prop_map(|(text, at, with)| {
            let at = at.index(text.len() + 1);
            let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let (before, after) = text.split_at(at);
            format!("{before}{with}{after}")
        });
    prop_oneof![1 => loose, 1 => sound, 1 => damaged]
}

#[test]
fn three_thousand_json_texts_are_read_as_php_reads_them_or_with_a_note() {
    let Some(php) = php() else { return };
    let texts: Vec<String> = generate(3_000, json_text())
        .into_iter()
        .map(|text| format!("[{text}]"))
        .collect();
    let lines: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let script = "$v = json_decode($line); return json_last_error() ? '!' : json_encode($v, JSON_PRESERVE_ZERO_FRACTION);";
    let seen = run(&php, script, &lines);
    let answer = format!("echo (function($line) {{ {script} }})(file_get_contents('php://input'));");
    for (name, server) in both(&php, &answer) {
        for (text, seen) in texts.iter().zip(&seen) {
            let received = server.send("POST", "", "application/json", text.as_bytes());
            assert_eq!(&received, seen, "{name}: {text}");
        }
    }
    let (mut same, mut lenient, mut refused) = (0, 0, 0);
    for (text, seen) in texts.iter().zip(seen) {
        let request = Request {
            content_type: "application/json",
            query: String::new(),
            body: text.clone().into_bytes(),
        };
        match (ours(&request), seen.as_str()) {
            (Err(error), "!") => {
                refused += 1;
                assert!(
                    error.contains("line 1 column")
                        || error.contains("line 2 column")
                        || error.contains("line"),
                    "{text}: {error}"
                );
            }
            (Ok(body), "!") => {
                lenient += 1;
                assert!(!body.notes.is_empty(), "{text}");
            }
            (Ok(body), seen) => {
                same += 1;
                let php: Value = serde_json::from_str(seen).expect("PHP's JSON");
                assert!(is_same(&body.value, &php), "{text}: {} {php}", body.value);
            }
            (Err(error), seen) => panic!("{text}: {error}, and PHP reads {seen}"),
        }
    }
    assert!(
        same > 500 && lenient > 50 && refused > 500,
        "{same} {lenient} {refused}"
    );
}

/// Compares values apart from the spelling of numbers, which PHP changes.
fn is_same(ours: &Value, php: &Value) -> bool {
    match (ours, php) {
        (Value::Number(ours), Value::Number(php)) => ours.as_f64() == php.as_f64(),
        (Value::Array(ours), Value::Array(php)) => {
            ours.len() == php.len() && ours.iter().zip(php).all(|(ours, php)| is_same(ours, php))
        }
        (Value::Object(ours), Value::Object(php)) => {
            ours.len() == php.len()
                && ours
                    .iter()
                    .all(|(name, ours)| php.get(name).is_some_and(|php| is_same(ours, php)))
        }
        _ => ours == php,
    }
}
