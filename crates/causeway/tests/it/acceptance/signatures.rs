//! The ninth example: a signature proves the sender, with every scheme of a listener.

use causeway_core::clock::Timestamp;

use crate::ingest::rig::start;

/// A signed request: the listener's configuration, the secret, the headers with their signature, the body, and the time.
/// `signs_time` if the signature expires after five minutes.
struct Signed {
    scheme: &'static str,
    secret: &'static str,
    headers: Vec<&'static str>,
    body: &'static str,
    at: i64,
    signs_time: bool,
}

fn signed() -> Vec<Signed> {
    let over_form = |scheme, headers, signs_time| Signed {
        scheme,
        secret: "testsecret",
        headers,
        body: "contact%5Bid%5D=7&contact%5Bemail%5D=jane%40example.com",
        at: 1_700_000_000,
        signs_time,
    };
    vec![
        Signed {
            scheme: "scheme = 'standard-webhooks'",
            secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            headers: vec![
                "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek",
                "webhook-timestamp: 1614265330",
                // During a rotation a sender signs with both secrets; one valid signature is enough.
                "webhook-signature: v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ],
            body: r#"{"test": 2432232314}"#,
            at: 1_614_265_330,
            signs_time: true,
        },
        over_form(
            "scheme = 'stripe-like'",
            vec![
                "Stripe-Signature: t=1700000000,v1=00,v1=fd89f19f3b943f5d781faff22bee8bd9363591bd46dc5750907ab2286423d9ec,v0=1",
            ],
            true,
        ),
        over_form(
            "scheme = 'mailchimp'",
            vec![
                "X-Mailchimp-Signature: t=1700000000,v1=00,v1=fd89f19f3b943f5d781faff22bee8bd9363591bd46dc5750907ab2286423d9ec",
            ],
            true,
        ),
        over_form(
            "scheme = 'hubspot-v3', public_url = 'https://hub.example.com'",
            vec![
                "X-HubSpot-Signature-v3: msmt5pqcnne9oSg7tjks4IAehV8T1ZOboCsvoUoeokI=",
                "X-HubSpot-Request-Timestamp: 1700000000000",
            ],
            true,
        ),
        over_form(
            "scheme = 'customer-io'",
            vec![
                "X-CIO-Signature: 60c3de802bade8469586a47c0d0732b91bb9ed4969dd04d3318643fd4ec46872",
                "X-CIO-Timestamp: 1700000000",
            ],
            true,
        ),
        over_form(
            "scheme = 'typeform'",
            vec!["Typeform-Signature: sha256=FE8cNy9B1ZS1HTfGDNDUwNLfNkGyvl1A49MSEdRFff8="],
            false,
        ),
        over_form(
            "scheme = 'mautic'",
            vec!["Webhook-Signature: FE8cNy9B1ZS1HTfGDNDUwNLfNkGyvl1A49MSEdRFff8="],
            false,
        ),
    ]
}

/// 9. The known vector of every scheme is accepted, also while an old and a new secret are valid. With another secret, a
/// changed byte or no signature it is refused and not stored. With a time outside the tolerance it is stored as late.
#[tokio::test]
async fn signatures_match_their_published_vectors() {
    const OTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for Signed {
        scheme,
        secret,
        headers,
        body,
        at,
        signs_time,
    } in signed()
    {
        let with = async |secrets: &[&str]| {
            let rig = start(&format!(
                "preset = 'generic'\ntoken = 'hs'\ninsecure_token = true\nsignature = {{ {scheme}, secrets = {secrets:?} }}"
            ))
            .await;
            rig.clock.set(Timestamp::from_second(at).expect("a time"));
            rig
        };
        for secrets in [&[secret][..], &[OTHER, secret], &[secret, OTHER]] {
            let answer = with(secrets).await.send("POST", "/in/hs", &headers, body).await;
            assert_eq!(answer.status, 200, "{scheme} {secrets:?}: {answer:?}");
        }
        let altered = body.replace('7', "8").replace("test", "tesu");
        assert_ne!(altered, body);
        let rig = with(&[secret]).await;
        for (headers, body) in [(&headers[..], altered.as_str()), (&[], body)] {
            assert_eq!(
                rig.send("POST", "/in/hs", headers, body).await.status,
                401,
                "{scheme} {body}"
            );
        }
        for (off_s, in_time) in [(-301, false), (301, false), (-300, true), (300, true)] {
            rig.clock.set(Timestamp::from_second(at + off_s).expect("a time"));
            let status = rig.send("POST", "/in/hs", &headers, body).await.status;
            assert_eq!(status, 200, "{scheme} {off_s} s away: {}", rig.last_reason());
            let is_late = rig
                .stored()
                .last()
                .is_some_and(|envelope| envelope.meta.late.is_some());
            assert_eq!(is_late, signs_time && !in_time, "{scheme} {off_s} s away");
        }
        let wrong = with(&[OTHER]).await;
        assert_eq!(
            wrong.send("POST", "/in/hs", &headers, body).await.status,
            401,
            "{scheme}"
        );
        assert!(wrong.stored().is_empty(), "{scheme}");
    }
}
