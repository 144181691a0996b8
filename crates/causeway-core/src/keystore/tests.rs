use super::*;

const ORG_PUBLIC: &str = "ZLEBsdC-WocEvQePmJUAH8A-jp-VIvGI3RKNmEbUhGY";
const ORG_PRIVATE: &str = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVpbXF1eX2A";
const SERVER_PUBLIC: &str = "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9_AsrhtHHw";
const SERVER_PRIVATE: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA";
const V1_PAYLOAD: &str = "_1j--bdOd_KdkPzhLjRZR6Db6zlU8UOfqf9DHwOHTg5Nu9Ah_hjmxqBD3z06gvy1JXt0gsvF70P_kr6Ki49qTG4rehrmLCbXkYQ_OvXj-m6KEjlAJTBa3iohDyZtOCxP7xfEMwRkZlN1GJ-fNWAz1hqtraQUd92LyU1gBZc2-egW5Q";
const V1_NONCE: &str = "gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaX";
const V1_PLAIN: &str = r#"{"area":"DE","country":"DE","email":"bruce@example.org","firstName":"Bruce","lastName":"Wayne","postcode":"10115"}"#;
const V2_PAYLOAD: &str = "BQTOBQzEZiXu18dRfme7v2s8Zu4Iz7DMFYOvjXk_p7LCJ4g42hMRganxRieG5ag6DmuK23CSrJK4LW5Hlj3uKOuUf5zF25wayhVaWFjy_X8PueEIJ-7uo_zf9_EC-RXSh_9WFiMSK9sBiJsrHFzu-2HaLNJWlY7f_ylbATDm6kIiBm_oorU6wDI2_9CJmeq0VEbpsmN9nlgmTDZg9mlKZhXNgcu9vDEn1F-D__YoixGdtA2JUuEEfjVadndOjenYEYpBNGKwzlFfyHcoF4iorDTD3MzzGTHRKQ";
const V2_NONCE: &str = "________________________________";
const V2_PLAIN: &str = r#"{"address":{"locality":"Łódź","region":null,"street":"Żółta 🌻","streetNumber":"12A"},"area":"PL","country":"PL","email":"zazolc@example.org","firstName":"Zażółć","phone":"+48 123 456 789"}"#;

fn org_keystore() -> Keystore {
    Keystore::parse(&format!(r#"{{"{ORG_PUBLIC}":{{"private":"{ORG_PRIVATE}"}}}}"#)).unwrap()
}

const V1: Sealed<'_> = Sealed {
    payload: V1_PAYLOAD,
    nonce: V1_NONCE,
    encrypt_key: ORG_PUBLIC,
    sign_key: SERVER_PUBLIC,
};

fn public_of(bytes: std::ops::RangeInclusive<u8>) -> String {
    BASE64URL_NOPAD.encode(&bytes.collect::<Vec<u8>>())
}

#[test]
fn the_vectors_made_by_the_npm_package_open() {
    let keystore = org_keystore();
    let v2 = Sealed {
        payload: V2_PAYLOAD,
        nonce: V2_NONCE,
        ..V1
    };
    for (sealed, plain) in [(V1, V1_PLAIN), (v2, V2_PLAIN)] {
        // The second time uses the cached shared key.
        for _ in 0..2 {
            assert_eq!(keystore.open(&sealed).unwrap(), plain.as_bytes());
        }
    }
    assert_eq!(keystore.boxes.read().unwrap().len(), 1);
}

#[test]
fn a_damaged_box_or_one_for_somebody_else_does_not_open() {
    let keystore = org_keystore();
    let other_sender = public_of(0x07..=0x26);
    let other_recipient = public_of(0x09..=0x28);
    let refused = "the encrypted data was damaged, or made with another key";
    let cases: [(Sealed<'_>, OpenError); 7] = [
        (
            Sealed {
                sign_key: &other_sender,
                ..V1
            },
            OpenError::Refused(refused),
        ),
        (
            Sealed {
                payload: &V1_PAYLOAD[..V1_PAYLOAD.len() - 4],
                ..V1
            },
            OpenError::Refused(refused),
        ),
        (
            Sealed {
                payload: "AAAA",
                ..V1
            },
            OpenError::Refused(refused),
        ),
        (
            Sealed {
                encrypt_key: &other_recipient,
                ..V1
            },
            OpenError::KeyMissing {
                public: other_recipient.chars().take(8).collect(),
            },
        ),
        (
            Sealed {
                nonce: "gIGCg4SF",
                ..V1
            },
            OpenError::Refused("the nonce does not have 24 bytes"),
        ),
        (
            Sealed {
                sign_key: "B6N8",
                ..V1
            },
            OpenError::Refused("signKey.public is not a 32-byte key"),
        ),
        (
            Sealed {
                payload: "not base64!",
                ..V1
            },
            OpenError::Refused("the payload is not base64"),
        ),
    ];
    for (sealed, expected) in cases {
        assert_eq!(keystore.open(&sealed).unwrap_err(), expected);
    }
}

#[test]
fn base64_is_read_in_every_spelling() {
    let keystore = org_keystore();
    let standard = |text: &str| text.replace('-', "+").replace('_', "/");
    let padded = |text: &str| format!("{}{}", standard(text), "=".repeat((4 - text.len() % 4) % 4));
    for spell in [&standard as &dyn Fn(&str) -> String, &padded] {
        let (payload, nonce) = (spell(V1_PAYLOAD), spell(V1_NONCE));
        let (encrypt_key, sign_key) = (spell(ORG_PUBLIC), spell(SERVER_PUBLIC));
        let sealed = Sealed {
            payload: &payload,
            nonce: &nonce,
            encrypt_key: &encrypt_key,
            sign_key: &sign_key,
        };
        assert_eq!(keystore.open(&sealed).unwrap(), V1_PLAIN.as_bytes());
    }
}

#[test]
fn every_form_of_key_file_is_read() {
    let generated = format!(
        r#"{{"id":42,"name":"main","public":"{ORG_PUBLIC}","private":"{ORG_PRIVATE}","active":true,"expired":false,"expiredAt":null}}"#
    );
    let forms = [
        format!(r#"{{"{ORG_PUBLIC}":{{"private":"{ORG_PRIVATE}"}}}}"#),
        format!(r#"{{"{ORG_PUBLIC}":{{"private":"{ORG_PRIVATE}","note":"kept"}}}}"#),
        format!(r#"{{"{ORG_PUBLIC}":"{ORG_PRIVATE}"}}"#),
        format!("\u{feff}{{\"{ORG_PUBLIC}\":\"{ORG_PRIVATE}=\"}}\n"),
        format!(r#"[{{"public":"{ORG_PUBLIC}","private":"{ORG_PRIVATE}"}}]"#),
        generated.clone(),
        format!("[{generated}]"),
        format!(r#"{{"generateKey":{generated}}}"#),
        format!(r#"{{"data":{{"generateKey":{generated}}},"errors":null}}"#),
        format!(r#"{{"data":{{"addKey":[{generated}]}}}}"#),
    ];
    for form in forms {
        let keystore = Keystore::parse(&form).unwrap_or_else(|error| panic!("{error}: {form}"));
        assert_eq!(keystore.public_keys().collect::<Vec<_>>(), [ORG_PUBLIC], "{form}");
        assert_eq!(keystore.open(&V1).unwrap(), V1_PLAIN.as_bytes());
    }
}

#[test]
fn several_key_files_make_one_keystore() {
    let mixed =
        format!(r#"{{"{ORG_PUBLIC}":"{ORG_PRIVATE}","{SERVER_PUBLIC}":{{"private":"{SERVER_PRIVATE}"}}}}"#);
    assert_eq!(Keystore::parse(&mixed).unwrap().len(), 2);
    let mut keystore = Keystore::parse(&format!(r#"{{"{SERVER_PUBLIC}":"{SERVER_PRIVATE}"}}"#)).unwrap();
    assert!(matches!(keystore.open(&V1), Err(OpenError::KeyMissing { .. })));
    keystore.merge(org_keystore());
    assert_eq!(keystore.len(), 2);
    assert!(keystore.open(&V1).is_ok());
}

#[test]
fn an_error_names_the_bad_entry_and_shows_no_secret() {
    let cases = [
        (String::from("{"), "not JSON (line 1, column 1)"),
        (String::new(), "not JSON (line 1, column 0)"),
        ("{}".to_owned(), "holds no key"),
        ("[]".to_owned(), "holds no key"),
        (format!("\"{ORG_PRIVATE}\""), "holds no key"),
        (
            format!(r#"{{"{SERVER_PUBLIC}":"{ORG_PRIVATE}"}}"#),
            "entry B6N8vBQg: the private key does not belong to this public key",
        ),
        (
            format!(r#"{{"{ORG_PRIVATE}":"{ORG_PUBLIC}"}}"#),
            "entry (not shown): the public and the private key are swapped",
        ),
        (
            format!(r#"{{"ZLEBsdC-Wo":"{ORG_PRIVATE}"}}"#),
            "entry ZLEBsdC-: the name is not a 32-byte public key in base64",
        ),
        (
            format!(r#"{{"{ORG_PUBLIC}":{{"private":"QUJD"}}}}"#),
            "entry ZLEBsdC-: the private key is not 32 bytes in base64",
        ),
        (
            format!(r#"[{{"public":"{ORG_PUBLIC}","private":null}}]"#),
            "entry ZLEBsdC-: the private key is missing",
        ),
        (
            format!(r#"[{{"private":"{ORG_PRIVATE}"}}]"#),
            "entry without a public key: the public key is not 32 bytes in base64",
        ),
    ];
    for (text, expected) in cases {
        let error = Keystore::parse(&text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error:?} for {text}");
        assert!(!error.contains("QUJDREVG"), "{error:?} shows the private key");
    }
}

#[test]
fn a_generated_key_is_read_back_and_opens_what_is_sealed_for_it() {
    let new = generate(std::array::from_fn(|n| 0x41 + u8::try_from(n).unwrap()));
    assert_eq!(new.public, ORG_PUBLIC);
    let expected = format!("{{\n  \"{ORG_PUBLIC}\": {{\n    \"private\": \"{ORG_PRIVATE}\"\n  }}\n}}\n");
    assert_eq!(new.file.reveal(), expected);
    assert!(Keystore::parse(new.file.reveal()).unwrap().open(&V1).is_ok());
}

#[test]
fn a_keystore_prints_public_keys_only() {
    assert_eq!(format!("{:?}", org_keystore()), "[\"ZLEBsdC-\"]");
    let shared = SharedKeystore::new(org_keystore());
    assert!(!format!("{shared:?}").contains("QUJD"));
}

#[test]
fn a_replaced_keystore_is_used_at_once() {
    let shared = SharedKeystore::default();
    let before = shared.get();
    shared.replace(org_keystore());
    assert!(before.is_empty());
    assert!(shared.get().open(&V1).is_ok());
}

#[test]
fn the_cache_of_shared_keys_stays_small() {
    let keystore = org_keystore();
    for peer in 0..2 * CACHED_BOXES {
        let peer = generate(std::array::from_fn(|n| {
            u8::try_from((peer >> (n % 8)) & 0xff).unwrap()
        }))
        .public;
        assert!(
            keystore
                .open(&Sealed {
                    sign_key: &peer,
                    ..V1
                })
                .is_err()
        );
        assert!(keystore.boxes.read().unwrap().len() <= CACHED_BOXES);
    }
}
