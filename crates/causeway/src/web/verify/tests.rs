//! Tests every named scheme against a published or computed vector, and invalid requests that must fail.

use std::path::Path;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use causeway_connect::config::ConfigError;

use super::*;

const FORM: &str = "contact%5Bid%5D=7&contact%5Bemail%5D=jane%40example.com";
const STANDARD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const HEX: &str = "fd89f19f3b943f5d781faff22bee8bd9363591bd46dc5750907ab2286423d9ec";
const BASE64_OF_BODY: &str = "FE8cNy9B1ZS1HTfGDNDUwNLfNkGyvl1A49MSEdRFff8=";

/// A request with a valid signature.
struct Vector {
    scheme: &'static str,
    secret: &'static str,
    headers: Vec<(&'static str, String)>,
    path: &'static str,
    body: &'static str,
    now_s: i64,
    /// The header that carries the signature, as in `headers`.
    signature: &'static str,
    signs_time: bool,
}

fn vectors() -> Vec<Vector> {
    let over_form =
        |scheme, signature, value: String, more: Vec<(&'static str, String)>, signs_time| Vector {
            scheme,
            secret: "testsecret",
            headers: [(signature, value)].into_iter().chain(more).collect(),
            path: "/in/hs",
            body: FORM,
            now_s: 1_700_000_000,
            signature,
            signs_time,
        };
    vec![
        Vector {
            scheme: r#"scheme = "standard-webhooks""#,
            secret: STANDARD_SECRET,
            headers: vec![
                (
                    "webhook-signature",
                    "v1a,AAAA v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".into(),
                ),
                ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek".into()),
                ("webhook-timestamp", "1614265330".into()),
            ],
            path: "/in/x",
            body: r#"{"test": 2432232314}"#,
            now_s: 1_614_265_330,
            signature: "webhook-signature",
            signs_time: true,
        },
        over_form(
            r#"scheme = "stripe-like""#,
            "stripe-signature",
            format!("t=1700000000,v1={HEX},v0=00"),
            vec![],
            true,
        ),
        over_form(
            r#"scheme = "mailchimp""#,
            "x-mailchimp-signature",
            format!("t=1700000000, v1=00, v1={}", HEX.to_uppercase()),
            vec![],
            true,
        ),
        over_form(
            "scheme = \"hubspot-v3\"\npublic_url = \"https://hub.example.com/\"",
            "x-hubspot-signature-v3",
            "msmt5pqcnne9oSg7tjks4IAehV8T1ZOboCsvoUoeokI=".into(),
            vec![("x-hubspot-request-timestamp", "1700000000000".into())],
            true,
        ),
        over_form(
            r#"scheme = "typeform""#,
            "typeform-signature",
            format!("sha256={BASE64_OF_BODY}"),
            vec![],
            false,
        ),
        over_form(
            r#"scheme = "mautic""#,
            "webhook-signature",
            BASE64_OF_BODY.into(),
            vec![],
            false,
        ),
        over_form(
            r#"scheme = "customer-io""#,
            "x-cio-signature",
            "60c3de802bade8469586a47c0d0732b91bb9ed4969dd04d3318643fd4ec46872".into(),
            vec![("x-cio-timestamp", "1700000000".into())],
            true,
        ),
        over_form(
            "scheme = \"custom\"\ncustom = { header = \"X-Signed\", template = \"{timestamp}.{body}\", timestamp_header = \"X-Time\" }",
            "x-signed",
            HEX.into(),
            vec![("x-time", "1700000000".into())],
            true,
        ),
    ]
}

fn verifier(scheme: &str, secrets: &[&str]) -> Result<Verifier, ConfigError> {
    let config: Config = toml::from_str(&format!("{scheme}\nsecrets = {secrets:?}")).unwrap();
    Verifier::new(&config, Path::new("."))
}

/// The signed id, and by how many seconds the time is outside the tolerance.
type Proved = (Option<String>, Option<i64>);

fn check(verifier: &Verifier, vector: &Vector) -> Result<Proved, Reason> {
    let mut headers = HeaderMap::new();
    for (name, value) in &vector.headers {
        headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    verifier
        .verify(&Request {
            method: "POST",
            path_and_query: vector.path,
            headers: &headers,
            body: vector.body.as_bytes(),
            now: Timestamp::from_second(vector.now_s).unwrap(),
        })
        .map(|verified| (verified.id.map(str::to_owned), verified.late_s))
}

#[test]
fn every_scheme_accepts_its_vector() {
    for vector in vectors() {
        let verifier = verifier(vector.scheme, &[vector.secret]).unwrap();
        let ended = check(&verifier, &vector);
        assert!(ended.is_ok(), "{}: {ended:?}", vector.scheme);
        let has_id = vector.scheme.contains("standard-webhooks");
        assert_eq!(ended.unwrap().0.is_some(), has_id, "{}", vector.scheme);
    }
}

#[test]
fn the_old_and_the_new_secret_are_valid_at_once() {
    for vector in vectors() {
        for secrets in [
            [vector.secret, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"],
            ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", vector.secret],
        ] {
            let verifier = verifier(vector.scheme, &secrets).unwrap();
            assert!(check(&verifier, &vector).is_ok(), "{}", vector.scheme);
        }
    }
}

#[test]
fn nothing_altered_passes() {
    type Alter = (&'static str, fn(&mut Vector), Reason);
    let alterations: [Alter; 5] = [
        (
            "a byte of the body",
            |v| v.body = "contact%5Bid%5D=8",
            "signature_wrong",
        ),
        ("no body", |v| v.body = "", "signature_wrong"),
        (
            "no signature",
            |v| v.headers.retain(|(name, _)| *name != v.signature),
            "signature_missing",
        ),
        (
            "an empty signature",
            |v| {
                for (name, value) in &mut v.headers {
                    if *name == v.signature && !value.contains("t=") {
                        *value = String::new();
                    } else if *name == v.signature {
                        *value = "t=1700000000,v1=".to_owned();
                    }
                }
            },
            "signature_",
        ),
        (
            "a signature that is not one",
            |v| {
                for (name, value) in &mut v.headers {
                    if *name == v.signature {
                        *value = "t=1700000000,v1=zz,sha256=zz v1,zz zz".to_owned();
                    }
                }
            },
            "signature_",
        ),
    ];
    for (what, alter, fault) in alterations {
        for mut vector in vectors() {
            let verifier = verifier(vector.scheme, &[vector.secret]).unwrap();
            alter(&mut vector);
            let ended = check(&verifier, &vector);
            let found = ended.expect_err(vector.scheme);
            assert!(found.starts_with(fault), "{what}, {}: {found}", vector.scheme);
        }
    }
}

#[test]
fn the_wrong_secret_does_not_pass() {
    for vector in vectors() {
        let verifier = verifier(
            vector.scheme,
            &[
                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB",
            ],
        )
        .unwrap();
        assert_eq!(
            check(&verifier, &vector),
            Err("signature_wrong"),
            "{}",
            vector.scheme
        );
    }
}

#[test]
fn a_signed_time_counts_for_five_minutes_either_way() {
    for (off_s, fresh) in [
        (0, true),
        (300, true),
        (-300, true),
        (301, false),
        (-301, false),
        (86_400, false),
    ] {
        for mut vector in vectors().into_iter().filter(|vector| vector.signs_time) {
            let verifier = verifier(vector.scheme, &[vector.secret]).unwrap();
            vector.now_s += off_s;
            let expected = (!fresh).then_some(off_s);
            let (_, late_s) = check(&verifier, &vector).unwrap();
            assert_eq!(late_s, expected, "{off_s} {}", vector.scheme);
            // A wrong signature is wrong, however old it is.
            vector.body = "another body";
            let wrong = check(&verifier, &vector);
            assert_eq!(
                wrong.map(|_| ()),
                Err("signature_wrong"),
                "{off_s} {}",
                vector.scheme
            );
        }
    }
}

#[test]
fn another_time_than_the_signed_one_does_not_pass() {
    for mut vector in vectors().into_iter().filter(|vector| vector.signs_time) {
        let verifier = verifier(vector.scheme, &[vector.secret]).unwrap();
        for (_, value) in &mut vector.headers {
            *value = value
                .replace("1700000000", "1700000001")
                .replace("1614265330", "1614265331");
        }
        assert_eq!(
            check(&verifier, &vector),
            Err("signature_wrong"),
            "{}",
            vector.scheme
        );
    }
}

#[test]
fn a_header_given_twice_is_no_header() {
    let vector = vectors().swap_remove(0);
    for name in ["webhook-id", "webhook-timestamp"] {
        let mut twice = vectors().swap_remove(0);
        let value = vector
            .headers
            .iter()
            .find(|(found, _)| *found == name)
            .unwrap()
            .1
            .clone();
        twice.headers.push((name, value));
        let verifier = verifier(vector.scheme, &[vector.secret]).unwrap();
        assert_eq!(check(&verifier, &twice), Err("signature_missing"), "{name}");
    }
}

#[test]
fn a_time_that_is_no_number_is_stale() {
    for time in ["", "soon", "99999999999999999999", "1700000000.5"] {
        let mut vector = vectors().swap_remove(6);
        vector.headers[1].1 = time.to_owned();
        let verifier = verifier(vector.scheme, &[vector.secret]).unwrap();
        assert_eq!(check(&verifier, &vector), Err("signature_stale"), "{time}");
    }
}

#[test]
fn hubspot_undoes_some_escapes_of_the_address() {
    for (from, to) in [
        ("/in/x", "/in/x"),
        ("/in/x?a=b%40c&d=%2f%20%3a%", "/in/x?a=b@c&d=/%20:%"),
        ("/%4", "/%4"),
        ("/%%40", "/%@"),
        ("/%é", "/%é"),
    ] {
        assert_eq!(decode_some(from), to);
    }
}

#[test]
fn a_scheme_that_proves_nothing_is_refused() {
    for (scheme, secret, key) in [
        ("scheme = \"custom\"", "s", "signature.custom"),
        (
            "scheme = \"mautic\"\ncustom = { header = \"x\" }",
            "s",
            "signature.custom",
        ),
        (
            "scheme = \"mautic\"\ntolerance_s = 5",
            "s",
            "signature.tolerance_s",
        ),
        ("scheme = \"mautic\"", "", "signature.secrets"),
        ("scheme = \"hubspot-v3\"", "s", "signature.public_url"),
        ("scheme = \"standard-webhooks\"", "whsec_", "signature.secrets"),
        ("scheme = \"standard-webhooks\"", "whsec_ä", "signature.secrets"),
        (
            "scheme = \"custom\"\ncustom = { header = \"x\", template = \"{id}\" }",
            "s",
            "signature.custom.template",
        ),
        (
            "scheme = \"custom\"\ncustom = { header = \"x\", template = \"fixed\" }",
            "s",
            "signature.custom.template",
        ),
        (
            "scheme = \"custom\"\ncustom = { header = \"x\", template = \"{boy}\" }",
            "s",
            "signature.custom.template",
        ),
        (
            "scheme = \"custom\"\ncustom = { header = \"x\", template = \"{body\" }",
            "s",
            "signature.custom.template",
        ),
        (
            "scheme = \"custom\"\ncustom = { header = \"x\", timestamp_key = \"t\" }",
            "s",
            "signature.custom.template",
        ),
        (
            "scheme = \"custom\"\ncustom = { header = \"x y\" }",
            "s",
            "signature.custom.header",
        ),
    ] {
        let error = verifier(scheme, &[secret]).map(|_| ()).expect_err(scheme);
        assert_eq!(error.key, key, "{scheme}: {error}");
    }
}
