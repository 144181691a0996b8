//! Compares the form codec with a real PHP. The tests fail without PHP, which `./test` installs. With
//! CAUSEWAY_SKIP_PHP=1 they pass without comparing anything.

use std::{
    fmt::Write as _,
    io::Write,
    process::{Command, Stdio},
};

use causeway_core::form::{
    Array, Builder, EmitOptions, EmptyGroups, Key, Mode, Space, Value, array_from_json, emit, parse,
};
use data_encoding::{BASE64, HEXLOWER};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use super::{rows::ROWS, server::both};

const QUERY: Mode = Mode::StrictPhp { get: true };
const BODY: Mode = Mode::StrictPhp { get: false };

/// Prints an array so that keys, their types, their order and all bytes are visible: `(i0=T6162,s78=(...),)`.
pub const DUMP: &str = r#"
function dump($v) {
    if (!is_array($v)) return 'T' . bin2hex($v);
    $out = '(';
    foreach ($v as $k => $w) $out .= (is_int($k) ? "i$k" : 's' . bin2hex($k)) . '=' . dump($w) . ',';
    return $out . ')';
}
"#;

#[test]
fn four_thousand_generated_queries_are_read_as_parse_str_reads_them() {
    let Some(php) = php() else { return };
    let inputs = generate(4_000, query());
    let seen = run(&php, "parse_str($line, $out); return dump($out);", &inputs);
    for (input, seen) in inputs.iter().zip(seen) {
        let ours = dump(&parse(input, QUERY).unwrap().root);
        assert_eq!(ours, seen, "{}", String::from_utf8_lossy(input));
    }
}

#[test]
fn the_limits_of_a_query_are_those_of_parse_str() {
    let Some(php) = php() else { return };
    let inputs = limits();
    let seen = run(&php, "@parse_str($line, $out); return dump($out);", &inputs);
    for (input, seen) in inputs.iter().zip(seen) {
        assert!(
            dump(&parse(input, QUERY).unwrap().root) == seen,
            "{} bytes",
            input.len()
        );
    }
}

#[test]
fn two_thousand_generated_arrays_are_printed_as_http_build_query_prints_them() {
    let Some(php) = php() else { return };
    let arrays: Vec<Array> = generate(4_500, array());
    let printable: Vec<Array> = arrays
        .into_iter()
        .filter(|array| emit(array, EmitOptions::default()).is_ok())
        .collect();
    assert!(printable.len() > 2_000, "only {} were printable", printable.len());
    let serialized: Vec<Vec<u8>> = printable.iter().map(serialize_array).collect();
    let rfc3986 = EmitOptions {
        space: Space::Percent20,
        ..EmitOptions::default()
    };
    for (options, flag) in [
        (EmitOptions::default(), "PHP_QUERY_RFC1738"),
        (rfc3986, "PHP_QUERY_RFC3986"),
    ] {
        let script = format!("return http_build_query(unserialize($line), '', '&', {flag});");
        for (array, seen) in printable.iter().zip(run(&php, &script, &serialized)) {
            assert_eq!(emit(array, options).unwrap(), seen);
        }
    }
    let raw = EmitOptions {
        raw_brackets: true,
        empty_groups: EmptyGroups::Blank,
        ..EmitOptions::default()
    };
    let bodies: Vec<Vec<u8>> = printable
        .iter()
        .map(|array| emit(array, raw).unwrap().into_bytes())
        .collect();
    for (array, seen) in
        printable
            .iter()
            .zip(run(&php, "parse_str($line, $out); return dump($out);", &bodies))
    {
        let blank = dump(array).replace("=(),", "=T,");
        assert_eq!(blank, seen, "PHP reads back the same");
    }
}

#[test]
fn json_is_printed_as_php_prints_what_it_decodes() {
    let Some(php) = php() else { return };
    let mut inputs: Vec<String> = [
        r#"{"a":null,"b":[],"c":{},"d":["x",null,"y"],"e":true,"f":false,"g":""}"#,
        r#"{"a":0,"b":-0.0,"c":1.0,"d":-2.5,"e":1e25,"f":0.1,"g":1e13,"h":1e14,"i":1e15,"j":1e-4,"k":1e-5}"#,
        r#"{"a":1.5e-7,"b":12345678901234.0,"c":9223372036854775807,"d":-9223372036854775808,"e":2E3}"#,
        r#"{"0":"x","7":["y"],"-3":{"é":"~ *'()"}}"#,
    ]
    .map(str::to_owned)
    .to_vec();
    inputs.extend((-40..40).map(|n| format!(r#"{{"a":123.25e{n},"b":-9e{n}}}"#)));
    let lines: Vec<Vec<u8>> = inputs.iter().map(|json| json.as_bytes().to_vec()).collect();
    let seen = run(&php, "return http_build_query(json_decode($line, true));", &lines);
    for (json, seen) in inputs.iter().zip(seen) {
        let object = serde_json::from_str(json).unwrap();
        assert_eq!(
            emit(&array_from_json(&object), EmitOptions::default()).unwrap(),
            seen,
            "{json}"
        );
    }
}

#[test]
fn bodies_are_read_as_post_reads_them() {
    let Some(php) = php() else { return };
    let mut bodies: Vec<Vec<u8>> = generate(500, query());
    bodies.extend(ROWS.iter().map(|(input, _)| input.as_bytes().to_vec()));
    bodies.extend(limits());
    for size in [8 << 20, (8 << 20) + 1] {
        let mut body = b"a=".to_vec();
        body.resize(size, b'x');
        bodies.push(body);
    }
    let content_type = "Application/X-WWW-Form-Urlencoded; charset=latin1";
    for (name, server) in both(&php, "echo dump($_POST);") {
        for body in &bodies {
            let seen = server.send("POST", "", content_type, body);
            let ours = dump(&parse(body, BODY).unwrap().root);
            assert!(
                ours == seen,
                "{name}: {}",
                String::from_utf8_lossy(body.get(..300).unwrap_or(body))
            );
        }
    }
}

#[test]
fn parts_of_a_multipart_body_are_read_as_post_reads_them() {
    let Some(php) = php() else { return };
    let servers = both(&php, "echo dump($_POST);");
    let names = [
        "a", "a.b", "a b", "a[b]", "a[b.c]", "a[]", "a[][x]", "a[b", "a[b][c", " a", "[a]", "a[b]c", "7",
        "a%5Bb%5D", "a+b",
    ];
    let few: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let many: Vec<String> = (0..1003).map(|n| format!("k{n}")).collect();
    for names in [few, many] {
        let mut builder = Builder::new(QUERY);
        let mut body = String::new();
        for name in &names {
            builder.push_pair(name.as_bytes(), b"x+%41".to_vec()).unwrap();
            write!(
                body,
                "--cut\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\nx+%41\r\n"
            )
            .unwrap();
        }
        body.push_str("--cut--\r\n");
        let ours = dump(&builder.finish().root);
        for (name, server) in &servers {
            let seen = server.send("POST", "", "multipart/form-data; boundary=cut", body.as_bytes());
            assert_eq!(ours, seen, "{name}");
        }
    }
}

/// Inputs at and beyond PHP's limits.
fn limits() -> Vec<Vec<u8>> {
    let many = |n: usize, separator: &str| {
        (0..n)
            .map(|i| format!("k{i}[x]=1"))
            .collect::<Vec<_>>()
            .join(separator)
    };
    let deep = |n: usize, end: &str| format!("a{}{end}", "[x]".repeat(n));
    let mut inputs = vec![deep(64, "=1"), deep(65, "=1"), deep(64, "[=1"), deep(63, "[=1")];
    inputs.push(format!("a[ok]=1&b=2&{}", deep(65, "=1")));
    inputs.push(format!("a[ok]=1&b=2&{}&a[c]=3", deep(65, "=1")));
    inputs.push(format!("a=1&{}", deep(65, "")));
    for n in [999, 1000, 1001, 1002, 1010] {
        inputs.push(many(n, "&"));
        inputs.push(many(n, "&&"));
        inputs.push(format!("&&&{}&&", many(n, "&")));
    }
    inputs.into_iter().map(String::into_bytes).collect()
}

/// Strings made of the pieces that matter to the parser.
pub fn query() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"a",
        b"a",
        b"b",
        b"c",
        b"[",
        b"]",
        b"[",
        b"]",
        b"[]",
        b"[0]",
        b"[1]",
        b"[x]",
        b"[-5]",
        b"[9223372036854775807]",
        b"%5B",
        b"%5d",
        b"=",
        b"=",
        b"=1",
        b"=2&",
        b"&",
        b"&a",
        b"&a[",
        b".",
        b" ",
        b"+",
        b"\t",
        b"%00",
        b"\0",
        b"%20",
        b"%",
        b"%zz",
        b"%4",
        b"7",
        b"0",
        b"-",
        b"\xc3\xa9",
        b"\xff",
        b";",
        b"__Host-",
        b"_.Secure-",
        b"'",
        b"\n",
        b"=x&b[y]=",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..24).prop_map(|pieces| pieces.concat())
}

/// Arrays of text, at most three levels deep, some with names that cannot be printed.
fn array() -> impl Strategy<Value = Array> {
    let text = prop::collection::vec(any::<u8>(), 0..8).prop_map(Value::Text);
    let value = text.prop_recursive(3, 24, 4, |inner| {
        let key = prop_oneof![
            4 => (0_i64..4).prop_map(|n| n.to_string().into_bytes()),
            1 => any::<i64>().prop_map(|n| n.to_string().into_bytes()),
            3 => "[a-z .~é\\[-]{1,4}".prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>(), 1..4),
        ];
        prop::collection::vec((key, inner), 0..4).prop_map(|entries| Value::Array(keyed(entries)))
    });
    let name = "[a-z0-9é_~*-]{1,6}|[ .a-c]{1,3}|-?[1-9]{1,3}".prop_map(String::into_bytes);
    prop::collection::vec((name, value), 0..5).prop_map(keyed)
}

fn keyed(entries: Vec<(Vec<u8>, Value)>) -> Array {
    entries
        .into_iter()
        .map(|(key, value)| (Key::new(&key), value))
        .collect()
}

/// Generates the same values in every run.
pub fn generate<T>(count: usize, strategy: impl Strategy<Value = T>) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..count)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect()
}

/// See [`DUMP`].
fn dump(array: &Array) -> String {
    let mut out = "(".to_owned();
    for (key, value) in array.iter() {
        match key {
            Key::Int(n) => write!(out, "i{n}=").unwrap(),
            Key::Text(text) => write!(out, "s{}=", HEXLOWER.encode(text)).unwrap(),
        }
        match value {
            Value::Text(text) => write!(out, "T{}", HEXLOWER.encode(text)).unwrap(),
            Value::Array(array) => out.push_str(&dump(array)),
        }
        out.push(',');
    }
    out + ")"
}

/// PHP's `serialize`.
fn serialize_array(array: &Array) -> Vec<u8> {
    let mut out = format!("a:{}:{{", array.len()).into_bytes();
    for (key, value) in array.iter() {
        match key {
            Key::Int(n) => out.extend(format!("i:{n};").into_bytes()),
            Key::Text(text) => out.extend(serialize_text(text)),
        }
        match value {
            Value::Text(text) => out.extend(serialize_text(text)),
            Value::Array(array) => out.extend(serialize_array(array)),
        }
    }
    out.push(b'}');
    out
}

fn serialize_text(text: &[u8]) -> Vec<u8> {
    [format!("s:{}:\"", text.len()).as_bytes(), text, b"\";"].concat()
}

/// The name of the PHP program; `None` if PHP is to be skipped.
pub fn php() -> Option<String> {
    if std::env::var_os("CAUSEWAY_SKIP_PHP").is_some_and(|value| value == "1") {
        return None;
    }
    let found = Command::new("php").arg("-v").stdout(Stdio::null()).status();
    assert!(
        found.is_ok_and(|status| status.success()),
        "no `php` here: run ./test, which installs it, or set CAUSEWAY_SKIP_PHP=1"
    );
    Some("php".to_owned())
}

/// Runs `script`, the body of a function of `$line`, once for each input, in one process.
pub fn run(php: &str, script: &str, inputs: &[Vec<u8>]) -> Vec<String> {
    let program = format!(
        "{DUMP} $f = function($line) {{ {script} }};
        while (($l = fgets(STDIN)) !== false) echo base64_encode($f(base64_decode($l))), \"\\n\";"
    );
    let mut child = Command::new(php)
        .args(["-n", "-d", "display_errors=stderr", "-r", &program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines: String = inputs.iter().map(|input| BASE64.encode(input) + "\n").collect();
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let seen: Vec<String> = text
        .lines()
        .map(|line| String::from_utf8(BASE64.decode(line.as_bytes()).unwrap()).unwrap())
        .collect();
    assert_eq!(seen.len(), inputs.len(), "PHP gave a result for each input");
    seen
}
