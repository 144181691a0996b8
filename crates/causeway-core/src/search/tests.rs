use std::io::Write as _;

use data_encoding::{BASE64, BASE64_MIME, BASE64URL_NOPAD};

use super::*;
use crate::contact::normal_email;

fn person(address: &str) -> PersonSearch {
    let address = normal_email(address).unwrap();
    PersonSearch::new(&[Identity::Email { address }])
}

fn look(address: &str, body: impl AsRef<[u8]>) -> Look {
    let body = body.as_ref();
    person(address).look_in(body, Hint::of(None, body))
}

fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(unit).collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(text.as_bytes()).unwrap();
    writer.finish().unwrap()
}

#[test]
fn an_address_is_found_in_every_spelling() {
    for (address, body) in [
        ("ann@example.org", "mail=ANN@Example.ORG"),
        ("ann@example.org", "Adresse=ann%40example.org&x=1"),
        ("ann@example.org", "Adresse=%61nn%40example%2Eorg"),
        ("ann@example.org", "q=x%3Dann%2540example.org"),
        (
            "ann@example.org",
            "q=%7B%22mail%22%3A%22ann%255Cu0040example.org%22%7D",
        ),
        ("ann@example.org", "mail=ann%u0040example.org"),
        ("ann+news@example.org", "mail=ann%2Bnews%40example.org"),
        ("ann+news@example.org", "mail=ann+news@example.org"),
        ("ann+news@example.org", "mail: ann news@example.org"),
        ("ann+news@example.org", "mail=ann%20news@example.org"),
        (
            "ann+news@example.org",
            r#"{"mail":"ann\u002bnews\u0040example.org"}"#,
        ),
        ("ann@example.org", r#"{"text":"hello,\nann@example.org\n"}"#),
        (
            "ann@example.org",
            r#"{"url":"https:\/\/example.org\/u\/ann@example.org"}"#,
        ),
        ("ann@example.org", r#""{\"mail\":\"ann\\u0040example.org\"}""#),
        ("ann@example.org", "<mail>ann&#64;example.org</mail>"),
        ("ann@example.org", "<mail>ann&#x40;example&#46;org</mail>"),
        ("ann@example.org", "<mail>ann&#64example.org</mail>"),
        ("ann@example.org", "<mail>ann&commat;example&period;org</mail>"),
        ("ann@example.org", "&lt;mail&gt;ann&amp;#64;example.org"),
        ("jörg@example.org", "<mail>j&ouml;rg@example.org</mail>"),
        ("jörg@example.org", "mail=j%F6rg@example.org"),
        ("jörg@example.org", "mail=j%C3%B6rg@example.org"),
        ("jörg@example.org", "mail: jo\u{308}rg@example.org"),
        ("ann@example.org", "To: ann=40example.org"),
        ("ann@example.org", "To: an=\r\nn@example=2Eorg"),
        ("ann@müller.example.org", "mail: ann@müller.example.org"),
        ("ann@müller.example.org", "mail: ann@MU\u{308}LLER.example.org"),
        ("ann@müller.example.org", "mail: ann@xn--mller-kva.example.org"),
        ("ann@müller.example.org", "mail=ann%40m%C3%BCller.example.org"),
        ("ann@müller.example.org", "mail=ann%40m%FCller.example.org"),
        ("ann@example.org", "mail: a\u{200b}nn@exam\u{ad}ple.org"),
        ("ann@example.org", "mail: ann\u{ff20}example\u{ff0e}org"),
        ("ann@example.org", "<ann@example.org>"),
        ("ann@example.org", "Write to ann@example.org."),
        ("ann@example.org", "mailto:ann@example.org?subject=x"),
        ("ann@example.org", "text=hello+ann@example.org"),
    ] {
        assert_eq!(look(address, body), Look::Named, "{body}");
    }
    assert_eq!(
        look("jörg@example.org", b"mail: j\xf6rg@example.org"),
        Look::Named
    );
}

#[test]
fn an_address_is_found_in_base64_wherever_it_begins() {
    let long = format!(r#"{{"x":"{}","mail":"ann\u0040example.org"}}"#, "y".repeat(200));
    for text in ["ann@example.org", ".ann@example.org", "<>ann@example.org", &long] {
        let text = text.trim_start_matches('.');
        for body in [
            format!("payload={}", BASE64.encode(text.as_bytes())),
            format!("payload={}", BASE64URL_NOPAD.encode(text.as_bytes())),
            format!("a/b{}", BASE64URL_NOPAD.encode(text.as_bytes())),
            format!("x-{}", BASE64.encode(text.as_bytes())),
            format!("xyz{}", BASE64.encode(text.as_bytes())),
            format!(
                r#"{{"p":"{}"}}"#,
                BASE64.encode(text.as_bytes()).replace('/', "\\/")
            ),
            format!("p={}", BASE64.encode(text.as_bytes()).replace('=', "%3D")),
            format!("encoding: base64\r\n\r\n{}", BASE64_MIME.encode(text.as_bytes())),
        ] {
            assert_eq!(look("ann@example.org", &body), Look::Named, "{body}");
        }
    }
    let alike = format!("payload={}", BASE64.encode(b"joann@example.org"));
    assert_eq!(look("ann@example.org", alike), Look::NotNamed);
}

#[test]
fn an_address_is_found_in_utf_16_and_in_gzip() {
    let text = r#"{"mail":"ann\u0040example.org"}"#;
    for body in [
        utf16(text, u16::to_le_bytes),
        utf16(text, u16::to_be_bytes),
        utf16(&format!("\u{feff}{text}"), u16::to_le_bytes),
        gzip(text),
    ] {
        assert_eq!(look("ann@example.org", &body), Look::Named);
        assert_eq!(look("ben@example.org", &body), Look::NotNamed);
    }
}

#[test]
fn a_longer_address_does_not_name_the_person() {
    for body in [
        "mail=joann@example.org",
        "mail=jo.ann@example.org",
        "mail=jo_ann@example.org",
        "mail=jo-ann%40example.org",
        r#"{"mail":"jo+ann@example.org"}"#,
        "mail=ann@example.org.uk",
        "mail=ann@example.orga",
        "mail=ann@sub.example.org",
        "mail=ann.example.org",
        "mail=ann%example.org",
        "",
    ] {
        assert_eq!(look("ann@example.org", body), Look::NotNamed, "{body}");
    }
}

#[test]
fn long_ids_are_searched_for_and_short_ones_are_not() {
    let id = |id: &str| Identity::ForeignId {
        namespace: "platform".into(),
        id: id.to_owned(),
    };
    let search = PersonSearch::new(&[id("8812"), id("Ref-0123456")]);
    let look = |body: &str| search.look_in(body.as_bytes(), Hint::default());
    assert_eq!(look("id=8812"), Look::NotNamed);
    assert_eq!(look("id=ref%2D0123456"), Look::Named);
    assert_eq!(look("id=xref-0123456"), Look::NotNamed);
    assert_eq!(look("id=ref-01234567"), Look::NotNamed);
    assert!(PersonSearch::new(&[id("8812")]).is_empty());
}

#[test]
fn unreadable_parts_are_reported() {
    let sealed = r#"{"contactRef":"r","personalInfo":{"payload":"aaaa","nonce":"bbbb"}}"#;
    assert_eq!(look("ann@example.org", sealed), Look::Sealed);
    let open = sealed.replace("\"r\"", "\"ann@example.org\"");
    assert_eq!(look("ann@example.org", open), Look::Named);
    let plain = r#"{"personalInfo":null,"nonce":"","mail":"x"}"#;
    assert_eq!(look("ann@example.org", plain), Look::NotNamed);
    for body in [
        b"PK\x03\x04....".as_slice(),
        b"\x1f\x8bno gzip",
        b"\x28\xb5\x2f\xfd....",
        b"\x01\x02\x03\x04\x05abcdef",
    ] {
        assert_eq!(look("ann@example.org", body), Look::Binary, "{body:?}");
    }
}

#[test]
fn hostile_bodies_take_little_time() {
    for body in [
        "%25".repeat(50_000),
        "&#".repeat(50_000),
        "\\u".repeat(50_000),
        "A".repeat(200_000),
        "=".repeat(100_000),
    ] {
        assert_eq!(look("ann@example.org", &body), Look::NotNamed);
    }
    // A gzip body that would fill the memory.
    let bomb = gzip(&"a".repeat(20 << 20));
    assert_eq!(look("ann@example.org", bomb), Look::Binary);
}
