//! Who may send.

use causeway_core::clock::Timestamp;

use super::rig::{BASE, TOKEN, listener, start};

#[tokio::test]
async fn an_unknown_token_looks_like_a_page_that_is_not_there() {
    let rig = start(BASE).await;
    let nowhere = rig.send("POST", "/elsewhere", &[], "a=1").await;
    assert_eq!(nowhere.status, 404);
    let upper = TOKEN.to_uppercase();
    let slash = format!("{TOKEN}/");
    for token in ["", "x", &TOKEN[..24], &upper, &slash, "%5A", "../livez", "a/b"] {
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
        // What the caller says of itself counts only when a proxy in front is trusted…
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
        // …and then only what that proxy added.
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
async fn a_signed_id_tells_repeats_whatever_the_body_says() {
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
