//! Tokens, credentials, IP addresses and signatures of senders.

use causeway_core::clock::Timestamp;

use super::rig::{BASE, TOKEN, listener, start};

#[tokio::test]
async fn an_unknown_token_looks_like_a_page_that_is_not_there() {
    let rig = start(BASE).await;
    let nowhere = rig.send("POST", "/elsewhere", &[], "a=1").await;
    assert_eq!(nowhere.status, 404);
    let upper = TOKEN.to_uppercase();
    let more = format!("{TOKEN}/more");
    let twice = format!("in/{TOKEN}");
    for token in [
        "",
        "/",
        "x",
        &TOKEN[..24],
        &upper,
        &more,
        &twice,
        "%5A",
        "%2F",
        "../livez",
        "a/b",
    ] {
        let answer = rig.send("POST", &format!("/in/{token}"), &[], "a=1").await;
        let same = (answer.status, &answer.body, answer.head.lines().count());
        assert_eq!(
            same,
            (404, &nowhere.body, nowhere.head.lines().count()),
            "{token}"
        );
    }
    assert!(rig.stored().is_empty());
}

#[tokio::test]
async fn the_old_and_the_new_token_are_valid_at_once_until_the_old_one_goes() {
    let rig = start(
        "preset = \"generic\"\ntoken = [\"old-token-of-24-characters\", \"new-token-of-24-characters\"]",
    )
    .await;
    for token in ["old", "new"] {
        let target = format!("/in/{token}-token-of-24-characters");
        assert_eq!(rig.send("POST", &target, &[], "a=1").await.status, 200);
    }
    let newer = listener("preset = \"generic\"\ntoken = \"new-token-of-24-characters\"").unwrap();
    rig.ingest.replace(vec![newer]).unwrap();
    for (token, status) in [("old", 404), ("new", 200)] {
        let target = format!("/in/{token}-token-of-24-characters");
        assert_eq!(rig.send("POST", &target, &[], "a=1").await.status, status);
    }
    let token = "\"new-token-of-24-characters\"";
    let repeated = listener(&format!("preset = \"generic\"\ntoken = [{token}, {token}]")).unwrap();
    rig.ingest.replace(vec![repeated]).unwrap();
    let twice = vec![listener(BASE).unwrap(), listener(BASE).unwrap()];
    assert!(
        rig.ingest
            .replace(twice)
            .unwrap_err()
            .to_string()
            .contains("same token")
    );
}

#[tokio::test]
async fn basic_has_to_be_right() {
    let rig = start(&format!(
        "{BASE}basic = {{ user = \"hub\", passwords = [\"one\", \"two\"] }}"
    ))
    .await;
    // hub:one, hub:two, hub:six, one:one, hub:
    for (header, status) in [
        ("Authorization: Basic aHViOm9uZQ==", 200),
        ("authorization: basic aHViOnR3bw==", 200),
        ("Authorization: Basic aHViOnNpeA==", 401),
        ("Authorization: Basic b25lOm9uZQ==", 401),
        ("Authorization: Basic aHViOg==", 401),
        ("Authorization: Basic", 401),
        ("Authorization: Basic %%%", 401),
        ("Authorization: Bearer aHViOm9uZQ==", 401),
        ("X-Nothing: 1", 401),
    ] {
        let answer = rig.post(&[header], "a=1").await;
        assert_eq!(answer.status, status, "{header}");
        assert_eq!(answer.head.contains("www-authenticate: basic"), status == 401);
    }
    assert_eq!(rig.stored().len(), 2);
}

#[tokio::test]
async fn a_header_secret_has_to_be_right() {
    let rig = start(&format!(
        "{BASE}header_secret = {{ name = \"Authorization\", secrets = [\"first secret\", \"second secret\"] }}"
    ))
    .await;
    for (header, status) in [
        ("Authorization: first secret", 200),
        ("Authorization: second secret", 200),
        ("Authorization: first secre", 401),
        ("Authorization: first secret2", 401),
        ("Authorization:", 401),
        ("X-Other: first secret", 401),
    ] {
        let answer = rig.post(&[header], "a=1").await;
        assert_eq!(answer.status, status, "{header}");
        assert!(!answer.head.contains("www-authenticate"));
    }
}

#[tokio::test]
async fn only_listed_addresses_may_send() {
    for (more, header, status) in [
        ("allow_ips = [\"127.0.0.1\"]", "X-Nothing: 1", 200),
        (
            "allow_ips = [\"192.0.2.0/24\", \"127.0.0.0/8\"]",
            "X-Nothing: 1",
            200,
        ),
        (
            "allow_ips = [\"192.0.2.0/24\", \"2001:db8::/32\"]",
            "X-Nothing: 1",
            403,
        ),
        // The caller's own header counts only with `trust_forwarded_for`…
        (
            "allow_ips = [\"192.0.2.0/24\"]",
            "X-Forwarded-For: 192.0.2.7",
            403,
        ),
        (
            "allow_ips = [\"192.0.2.0/24\"]\ntrust_forwarded_for = true",
            "X-Forwarded-For: 192.0.2.7",
            200,
        ),
        (
            "allow_ips = [\"192.0.2.0/24\"]\ntrust_forwarded_for = true",
            "X-Forwarded-For: ::ffff:192.0.2.7",
            200,
        ),
        // …and then only the entry that the proxy added.
        (
            "allow_ips = [\"192.0.2.0/24\"]\ntrust_forwarded_for = true",
            "X-Forwarded-For: 192.0.2.7, 198.51.100.1",
            403,
        ),
        (
            "allow_ips = [\"192.0.2.0/24\"]\ntrust_forwarded_for = true",
            "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-For: 198.51.100.1",
            403,
        ),
    ] {
        let rig = start(&format!("{BASE}{more}")).await;
        assert_eq!(rig.post(&[header], "a=1").await.status, status, "{more} {header}");
    }
}

#[tokio::test]
async fn a_signed_id_identifies_duplicates() {
    let rig = start(&format!(
        "{BASE}signature = {{ scheme = \"standard-webhooks\", secrets = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\" }}"
    ))
    .await;
    rig.clock.set(Timestamp::from_second(1_614_265_330).unwrap());
    let headers = [
        "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp: 1614265330",
        "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ];
    let body = r#"{"test": 2432232314}"#;
    let first = rig
        .send(
            "POST",
            &format!("/in/{TOKEN}?email=eva@example.org"),
            &headers,
            body,
        )
        .await;
    let again = rig
        .send("POST", &format!("/in/{TOKEN}?try=2"), &headers, body)
        .await;
    assert_eq!((first.status, &first.body), (200, &again.body));
    assert_eq!(rig.last_reason(), "duplicate");
    assert!(rig.stored()[0].dedup.id.is_some());
    assert_eq!(rig.stored()[0].meta.query, None, "nobody signed it");
}

#[tokio::test]
async fn slashes_and_escapes_in_the_path_change_nothing() {
    let escaped = TOKEN.replace('-', "%2D").replace('Z', "%5a");
    let rig = start(BASE).await;
    for target in [
        format!("/in/{TOKEN}/"),
        format!("/in//{TOKEN}"),
        format!("//in/{TOKEN}"),
        format!("///in//{TOKEN}//"),
        format!("/in/{escaped}"),
        format!("/in/{escaped}/?param1=ann%40example.org&"),
    ] {
        let answer = rig.send("POST", &target, &[], &format!("at={target}")).await;
        assert_eq!(answer.status, 200, "{target}");
    }
    let stored = rig.stored();
    assert_eq!(stored.len(), 6);
    assert_eq!(stored[5].meta.query.as_deref(), Some("param1=ann%40example.org&"));
    let decoded_twice = TOKEN.replace('-', "%252D");
    let answer = rig
        .send("POST", &format!("/in/{decoded_twice}"), &[], "a=1")
        .await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn one_of_two_headers_of_one_name_must_be_right() {
    let rig = start(&format!(
        "{BASE}header_secret = {{ name = \"X-Secret\", secrets = [\"first secret\", \"second secret\"] }}"
    ))
    .await;
    for (headers, status) in [
        (&["X-Secret: first secret", "X-Secret: first secret"][..], 200),
        (&["X-Secret: wrong", "x-secret: second secret"], 200),
        (&["X-Secret: second secret", "X-Secret: wrong"], 200),
        // Two lines joined by a proxy.
        (&["X-Secret: first secret, first secret"], 200),
        (&["X-Secret: wrong,second secret"], 200),
        (&["X-Secret: wrong", "X-Secret: wrong too"], 401),
        (&["X-Secret: first, secret"], 401),
        (&["X-Secret: ,"], 401),
    ] {
        assert_eq!(rig.post(headers, "a=1").await.status, status, "{headers:?}");
    }
    let rig = start(&format!(
        "{BASE}basic = {{ user = \"hub\", passwords = \"one\" }}"
    ))
    .await;
    // hub:six, hub:one
    let (wrong, right) = (
        "Authorization: Basic aHViOnNpeA==",
        "Authorization: Basic aHViOm9uZQ==",
    );
    for (headers, status) in [
        (&[wrong, right][..], 200),
        (&[right, wrong], 200),
        (&[wrong, wrong], 401),
    ] {
        assert_eq!(rig.post(headers, "a=1").await.status, status, "{headers:?}");
    }
}

#[tokio::test]
async fn a_proxy_may_write_the_port_behind_the_address() {
    let rig = start(&format!(
        "{BASE}allow_ips = [\"192.0.2.0/24\", \"2001:db8::/32\", \"127.0.0.1\"]\ntrust_forwarded_for = true"
    ))
    .await;
    for (entry, status) in [
        ("192.0.2.7:4711", 200),
        ("[2001:db8::7]:4711", 200),
        ("[2001:db8::7]", 200),
        ("2001:db8::7", 200),
        ("\"[2001:db8::7]:4711\"", 200),
        ("::ffff:192.0.2.7", 200),
        ("[::ffff:192.0.2.7]:4711", 200),
        ("192.0.2.7, 198.51.100.1:4711", 403),
        ("[2001:db9::7]:4711", 403),
        // An invalid entry does not count as the proxy's address, which is allowed here.
        ("unknown", 403),
        ("", 403),
        ("192.0.2.7:port", 403),
    ] {
        let answer = rig.post(&[&format!("X-Forwarded-For: {entry}")], "a=1").await;
        assert_eq!(answer.status, status, "{entry}");
    }
    assert_eq!(
        rig.post(&[], "a=1").await.status,
        200,
        "without the header, the caller itself"
    );
}

const SIGNED: [&str; 3] = [
    "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp: 1614265330",
    "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
];

#[tokio::test]
async fn a_valid_signature_over_an_old_time_is_stored_and_an_invalid_one_is_not() {
    let signed = |more: &str| {
        format!(
            "{BASE}signature = {{ scheme = \"standard-webhooks\", secrets = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"{more} }}"
        )
    };
    let body = r#"{"test": 2432232314}"#;
    let rig = start(&signed("")).await;
    for (off_s, by_s) in [(0, None), (4 * 3_600, Some(4 * 3_600)), (-900, Some(-900))] {
        rig.clock
            .set(Timestamp::from_second(1_614_265_330 + off_s).unwrap());
        let answer = rig.post(&SIGNED, body).await;
        assert_eq!(
            (answer.status, answer.body.contains("\"reference\":\"1\"")),
            (200, true),
            "{off_s}"
        );
        assert_eq!(rig.last_reason(), if by_s.is_some() { "late" } else { "ok" });
        let stored = rig.stored().pop().unwrap();
        assert_eq!(
            stored.meta.late.map(|late| (late.by_s, late.replayed)),
            by_s.map(|by_s| (by_s, false))
        );
        let is_dated = stored.dedup.memory == causeway_core::envelope::Memory::Dated;
        assert_eq!(is_dated, by_s.is_some(), "the same again is nothing new");
        assert_eq!(rig.post(&SIGNED, r#"{"test": 1}"#).await.status, 401);
        assert_eq!(rig.last_reason(), "signature_wrong");
    }
    // Up to the limit per hour.
    for (limit, statuses) in [(0, [401, 401]), (1, [200, 401]), (2, [200, 200])] {
        let rig = start(&signed(&format!(", late_per_hour = {limit}"))).await;
        rig.clock.set(Timestamp::from_second(1_614_270_000).unwrap());
        for status in statuses {
            assert_eq!(rig.post(&SIGNED, body).await.status, status, "{limit}");
        }
        let reason = if statuses[1] == 200 {
            "late"
        } else {
            "signature_stale"
        };
        assert_eq!(rig.last_reason(), reason);
    }
}
