mod server;

use causeway_core::{
    destination::{CheckError, Destination},
    mapping::Tables,
};
use causeway_testkit::{
    destination_contract::{self, Contract, delivery},
    fake_api::{FakeApi, Reply},
};
use serde_json::json;

use super::*;
use crate::destination::tests::support::{self, calls, outcomes, withdrawal};

/// References as Proca makes them.
const REFERENCE: &str = "h3CPBYrUgfNGdTclEdyiKg7TLtJ4KJD8VuQ0HRUPBpE";

fn context() -> crate::config::Context {
    support::context("confirm")
}

fn connect(api: &str, more: &str) -> Box<dyn Destination> {
    let keys = format!("base_url = '{api}/'\nallow_private = true\n{more}");
    (KIND.connect)(&context(), &toml::from_str(&keys).unwrap()).unwrap()
}

/// An action that waits for this confirmation.
fn waiting(number: i64, stage: EventKind) -> Delivery {
    let mut delivery = delivery(number);
    delivery.record.event = stage.as_str().to_owned();
    delivery.record.identities.push(Identity::ContactRef {
        namespace: "proca".into(),
        reference: REFERENCE.to_owned(),
    });
    delivery
}

fn supporter(number: i64) -> Delivery {
    waiting(number, EventKind::SupporterConfirm)
}

fn moderated(number: i64) -> Delivery {
    waiting(number, EventKind::ActionConfirm)
}

#[tokio::test]
async fn keeps_the_destination_contract() {
    destination_contract::run_with(
        &Contract {
            connect: &|url| connect(url, "accept = 'true'"),
            accept: &|api| api.reply(Reply::status(200).body("SUCCESS")),
            batch: 3,
        },
        supporter,
    )
    .await;
}

#[tokio::test]
async fn nothing_is_decided_unless_a_condition_is_true() {
    let comment = "'river' in action.fields.comment";
    for (keys, delivery, outcome, call) in [
        ("", supporter(1), "skip", None),
        ("accept = 'false'", supporter(1), "skip", None),
        (
            "accept = \"campaign.name == 'forests'\"",
            supporter(1),
            "skip",
            None,
        ),
        (
            "accept = \"campaign.name == 'rivers'\"",
            supporter(1),
            "delivered",
            Some("s/1/accept"),
        ),
        (
            "reject = 'true'\naccept = 'true'",
            supporter(1),
            "delivered",
            Some("s/1/reject"),
        ),
        (
            &*format!("accept = \"{comment}\"\nreject = \"not ({comment})\""),
            supporter(2),
            "delivered",
            Some("s/2/accept"),
        ),
        // A condition that fails never lets the other one decide.
        (
            "accept = 'true'\nreject = 'action.fields.spam > 3'",
            supporter(1),
            "reject",
            None,
        ),
        (
            "reject = 'true'\naccept = 'action.fields.spam > 3'",
            supporter(1),
            "reject",
            None,
        ),
        ("accept = 'consent.email.subscribed'", supporter(1), "skip", None),
        // These wait for nothing.
        ("accept = 'true'", delivery(1), "skip", None),
        (
            "accept = 'true'",
            withdrawal(1, causeway_core::consent::Change::Unsubscribe),
            "skip",
            None,
        ),
    ] {
        let api = FakeApi::start().await;
        api.reply(Reply::status(200).body("SUCCESS"));
        let proca = connect(&api.url(""), keys);
        let results = proca.deliver(&[delivery]).await;
        assert_eq!(outcomes(&results), [outcome], "{keys}: {results:?}");
        let expected: Vec<String> = call
            .map(|call| format!("POST {call}/{REFERENCE}"))
            .into_iter()
            .collect();
        assert_eq!(calls(&api, "/link/"), expected, "{keys}");
        assert!(
            api.requests().iter().all(|request| request.query.is_empty()),
            "no doi"
        );
    }
}

#[tokio::test]
async fn an_action_is_decided_by_its_code_and_never_by_the_supporter_s_link() {
    let coded = |code: serde_json::Value| {
        let mut delivery = moderated(7);
        let action = delivery.record.action.as_mut().unwrap();
        action.custom_fields.insert("code".to_owned(), code);
        delivery
    };
    let by_code = "code = \"action.fields.code | default('')\"\n";
    for (keys, delivery, outcome, call) in [
        ("accept = 'true'", moderated(7), "reject", None),
        ("reject = 'true'", moderated(7), "reject", None),
        (
            "reject = 'true'\nreject_supporters = true",
            moderated(7),
            "delivered",
            Some(format!("POST s/7/reject/{REFERENCE}")),
        ),
        (
            "accept = 'true'\nreject_supporters = true",
            moderated(7),
            "reject",
            None,
        ),
        (
            &*format!("{by_code}accept = 'true'"),
            coded(json!("4711")),
            "delivered",
            Some("GET accept/4711".to_owned()),
        ),
        (
            &*format!("{by_code}reject = 'true'"),
            coded(json!(4711)),
            "delivered",
            Some("GET reject/4711".to_owned()),
        ),
        (
            &*format!("{by_code}accept = 'true'"),
            moderated(7),
            "reject",
            None,
        ),
        (
            &*format!("{by_code}accept = 'true'"),
            coded(json!("../4711")),
            "reject",
            None,
        ),
        (
            &*format!("{by_code}accept = 'true'"),
            coded(json!({})),
            "reject",
            None,
        ),
    ] {
        let api = FakeApi::start().await;
        api.compute(|request| match &*request.method {
            "GET" => Reply::status(302).header("location", "/"),
            _ => Reply::status(200).body("SUCCESS"),
        });
        let results = connect(&api.url(""), keys).deliver(&[delivery]).await;
        assert_eq!(outcomes(&results), [outcome], "{keys}: {results:?}");
        assert_eq!(calls(&api, "/link/"), Vec::from_iter(call), "{keys}");
    }
}

#[tokio::test]
async fn each_answer_of_proca_is_understood() {
    let error = |status: u16, message: &str| {
        Reply::status(status).body(json!({ "errors": [{ "message": message }] }).to_string())
    };
    for (reply, outcome) in [
        (error(400, "not allowed"), "retry"),
        (error(400, "supporter data already rejected"), "skip"),
        (error(400, "malformed link"), "reject"),
        (error(404, "malformed link"), "reject"),
        (
            Reply::json(404, &json!({ "errors": { "detail": "Not Found" } })),
            "halt",
        ),
        (Reply::status(404).body("<html>nothing here</html>"), "halt"),
        (Reply::status(406), "halt"),
        (Reply::status(200), "retry"),
        (Reply::status(200).body("<html>log in</html>"), "retry"),
        (
            Reply::status(200).body("SUCCESS; Could not redirect to a bad URL"),
            "retry",
        ),
        (Reply::status(200).body("SUCCESS").cut(), "retry"),
        (Reply::status(204), "retry"),
        (error(500, "data already rejected"), "retry"),
    ] {
        let api = FakeApi::start().await;
        api.reply(reply.clone());
        let results = connect(&api.url(""), "accept = 'true'")
            .deliver(&[supporter(1)])
            .await;
        assert_eq!(outcomes(&results), [outcome], "{reply:?}: {results:?}");
    }
}

/// Proca has codes for other things than actions, which it lets only users decide.
#[tokio::test]
async fn a_code_of_something_else_does_not_hold_up_the_others() {
    for (asked, outcome) in [
        ("Basic realm=\"Proca\"", "reject"),
        ("Basic realm=\"staging\"", "halt"),
    ] {
        let api = FakeApi::start().await;
        let reply = Reply::status(401)
            .header("www-authenticate", asked)
            .body("unauthorized");
        api.reply(reply);
        let results = connect(&api.url(""), "code = 'action.id'\naccept = 'true'")
            .deliver(&[moderated(1)])
            .await;
        assert_eq!(outcomes(&results), [outcome], "{results:?}");
    }
}

#[tokio::test]
async fn a_person_without_a_reference_and_a_foreign_action_are_rejected() {
    let mut unnamed = supporter(1);
    unnamed.record.identities.clear();
    let mut odd = supporter(1);
    odd.record.identities = vec![Identity::ContactRef {
        namespace: "proca".into(),
        reference: "../../reject".to_owned(),
    }];
    let mut foreign = supporter(1);
    foreign.record.action.as_mut().unwrap().external_id = "a-1".to_owned();
    let api = FakeApi::start().await;
    let proca = connect(&api.url(""), "accept = 'true'");
    for delivery in [unnamed, odd, foreign] {
        assert_eq!(outcomes(&proca.deliver(&[delivery]).await), ["reject"]);
    }
    assert!(api.requests().is_empty());
}

#[test]
fn neither_the_preview_nor_the_trace_shows_a_link() {
    let table = toml::from_str("accept = 'true'").unwrap();
    let shown = (KIND.preview)(&context(), &table, &[supporter(1)]).unwrap();
    assert_eq!(
        shown[0].as_deref(),
        Ok(
            "POST https://api.proca.app/***\naccept: application/json\n\n-- accept action 1, which waits as supporter_confirm"
        )
    );
    let shown = (KIND.preview)(&context(), &table, &[moderated(1)]).unwrap();
    assert!(
        shown[0].as_ref().unwrap_err().reason().contains("set `code`"),
        "{shown:?}"
    );
}

#[test]
fn settings_that_cannot_work_are_refused_and_idle_ones_are_named() {
    let parse = |text: &str| (KIND.parse)(&Tables::default(), &toml::from_str(text).unwrap());
    for (text, message) in [
        ("accept = 'campain.name'", "`accept`: there is no name `campain`"),
        ("reject = ''", "`reject`: the expression is empty"),
        (
            "base_url = 'https://api.proca.app/api'",
            "`base_url`: ends with the path",
        ),
        ("base_url = 'http://proca.example.org'", "`base_url`: http://"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.starts_with(message), "{text}: {error}");
    }
    assert!(parse("").unwrap().warnings[0].contains("neither `accept` nor `reject`"));
    let needs = parse("accept = 'contact.emial'").unwrap();
    assert!(needs.confirms && needs.warnings[0].starts_with("`accept`: "));
    assert!(parse("accept = 'engagement.opens | length > 3'").unwrap().history);
}

#[tokio::test]
async fn the_check_recognises_proca_and_nothing_else() {
    for (reply, is_proca) in [
        (
            Reply::status(404).body(json!({ "errors": [{ "message": "malformed link" }] }).to_string()),
            true,
        ),
        (Reply::status(404).body("nothing here"), false),
        (Reply::status(200).body("SUCCESS"), false),
        (
            Reply::status(301).header("location", "https://example.org/"),
            false,
        ),
    ] {
        let api = FakeApi::start().await;
        api.reply(reply.clone());
        let checked = connect(&api.url(""), "").check().await;
        match (checked, is_proca) {
            (Ok(()), true) | (Err(CheckError::Refused(_)), false) => {}
            (checked, _) => panic!("{reply:?}: {checked:?}"),
        }
    }
}
