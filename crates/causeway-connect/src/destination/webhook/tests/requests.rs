//! Requests that differ by change, look-ups, and what responses mean.

use causeway_core::{
    consent::Change,
    delivery::Kind as DeliveryKind,
    mapping::{ConsentShown, Tables},
};
use causeway_testkit::{
    destination_contract::{self, Contract, delivery},
    fake_api::{FakeApi, Reply},
};
use serde_json::json;

use super::*;
use crate::destination::Needs;

fn of(change: Change) -> Delivery {
    let mut delivery = delivery(1);
    delivery.record.change = change;
    if matches!(change, Change::Unsubscribe | Change::Suppress | Change::Remove) {
        delivery.record.kind = DeliveryKind::Withdrawal;
    }
    delivery
}

fn needs(more: &str) -> Needs {
    (KIND.parse)(&Tables::default(), &table("https://hooks.example.org", more)).unwrap()
}

async fn sent(api: &FakeApi, more: &str, delivery: Delivery) -> (Vec<String>, AttemptResult) {
    let result = connect(&api.url(""), more).deliver(&[delivery]).await.remove(0);
    let requests = api.requests();
    let line = |request: &Request| {
        let query = if request.query.is_empty() {
            String::new()
        } else {
            format!("?{}", request.query)
        };
        format!("{} {}{query} {}", request.method, request.path, request.text())
    };
    (requests.iter().map(line).collect(), result)
}

#[tokio::test]
async fn each_change_may_have_a_request_of_its_own() {
    let api = FakeApi::start().await;
    let base = api.url("");
    let more = format!(
        "method = 'POST'\ncontent = 'form'\nheaders = {{ X-Team = 'rivers', X-Kind = 'main' }}\nfields = {{ EMAIL = 'contact.email' }}\n\
         [on.subscribe]\nurl = '{base}/list'\nheaders = {{ x-kind = 'list' }}\n\
         [on.unsubscribe]\nmethod = 'DELETE'\nurl = '{base}/list/[#EMAIL#]'\n\
         [on.remove]\nmethod = 'DELETE'\nurl = '{base}/people'\ncontent = 'query'\nfields = {{ email = 'contact.email', hard = '=1' }}"
    );
    for (change, expected) in [
        (Change::None, "POST /hook EMAIL=person1%40example.org"),
        (Change::Subscribe, "POST /list EMAIL=person1%40example.org"),
        (Change::Unsubscribe, "DELETE /list/person1%40example.org "),
        (Change::Suppress, "DELETE /list/person1%40example.org "),
        (
            Change::Remove,
            "DELETE /people?email=person1%40example.org&hard=1 ",
        ),
    ] {
        api.reset();
        let (lines, result) = sent(&api, &more, of(change)).await;
        assert_eq!(lines, [expected], "{change:?}: {result:?}");
        let kind = api.requests()[0].header("x-kind").map(str::to_owned);
        let expected = if change == Change::Subscribe {
            "list"
        } else {
            "main"
        };
        assert_eq!(kind.as_deref(), Some(expected), "{change:?}");
        assert_eq!(api.requests()[0].header("x-team"), Some("rivers"));
        assert!(result.outcome.as_str() == "delivered");
    }
    // The mapping shows no consent, but a request of its own does.
    let fields = "fields = { EMAIL = 'contact.email' }";
    assert_eq!(needs(fields).consent_shown, ConsentShown::NOTHING);
    let shown = needs(&format!(
        "{fields}\non = {{ unsubscribe = {{ method = 'DELETE' }} }}"
    ));
    assert_eq!(shown.consent_shown, ConsentShown::All);
    assert!(!shown.deletes_on_erasure);
    let removes = needs(&format!("{fields}\non = {{ remove = {{ method = 'DELETE' }} }}"));
    assert!(removes.deletes_on_erasure && removes.consent_shown == ConsentShown::NOTHING);
    let doubts = needs(&format!(
        "{fields}\non = {{ suppress = {{ method = 'DELETE' }} }}"
    ))
    .warnings;
    assert!(
        doubts
            .iter()
            .any(|doubt| doubt.contains("`on.suppress` is not used")),
        "{doubts:?}"
    );
}

#[tokio::test]
async fn a_request_of_its_own_that_names_nobody_is_not_sent_for_an_opt_out() {
    let api = FakeApi::start().await;
    let more = format!(
        "fields = {{ EMAIL = 'contact.email' }}\n[on.unsubscribe]\nurl = '{}/off/[#EMAIL#]'\nmethod = 'DELETE'",
        api.url("")
    );
    let mut nobody = of(Change::Unsubscribe);
    nobody.record.contact.fields.remove("email");
    nobody.record.identities.clear();
    let (lines, result) = sent(&api, &more, nobody.clone()).await;
    // DELETE /off/ could be about everybody.
    assert!(lines.is_empty(), "{lines:?}");
    let reason = result.outcome.reason().unwrap();
    assert!(
        result.outcome.as_str() == "reject" && reason.contains("names nobody"),
        "{reason}"
    );
    // A look-up without an address could find anybody.
    let (lines, result) = sent(&api, &with_find(&api, ""), nobody).await;
    assert!(
        lines.is_empty() && result.outcome.as_str() == "reject",
        "{lines:?}"
    );
}

const FIND: &str = "content = 'json'\nfields = { email = 'contact.email', change = 'change' }\n";

fn with_find(api: &FakeApi, more: &str) -> String {
    let base = api.url("");
    format!(
        "{FIND}{more}\n[find]\nurl = '{base}/find?email=[#EMAIL#]'\nid = 'data[0].id'\n\
         [found]\nmethod = 'PATCH'\nurl = '{base}/people/{{id}}'"
    )
}

#[tokio::test]
async fn a_person_is_looked_up_and_then_written() {
    let api = FakeApi::start().await;
    let body = r#"{"email":"person1@example.org","change":"none"}"#;
    for (answer, second) in [
        (
            json!({ "data": [{ "id": 42 }] }),
            format!("PATCH /people/42 {body}"),
        ),
        (
            json!({ "data": [{ "id": "a/../b?c" }] }),
            format!("PATCH /people/a%2F..%2Fb%3Fc {body}"),
        ),
        (json!({ "data": [] }), format!("POST /hook {body}")),
    ] {
        api.reset();
        api.reply_at("/find", Reply::json(200, &answer));
        let (lines, result) = sent(&api, &with_find(&api, ""), delivery(1)).await;
        assert_eq!(
            lines,
            ["GET /find?email=person1%40example.org ".to_owned(), second]
        );
        assert_eq!(result.outcome.as_str(), "delivered");
    }
    // Answers that say nothing, and an id that would lead to another address.
    for (reply, outcome) in [
        (Reply::status(404), "delivered"),
        (Reply::status(200).body("<html>Back soon</html>"), "retry"),
        (Reply::json(200, &json!({ "data": [{ "id": ".." }] })), "reject"),
        (Reply::status(503), "retry"),
        (Reply::status(401), "halt"),
        (Reply::status(429), "busy"),
        (Reply::status(400), "reject"),
    ] {
        api.reset();
        api.reply_at("/find", reply.clone());
        let (lines, result) = sent(&api, &with_find(&api, ""), delivery(1)).await;
        assert_eq!(result.outcome.as_str(), outcome, "{reply:?}");
        assert_eq!(
            lines.len(),
            if outcome == "delivered" { 2 } else { 1 },
            "{lines:?}"
        );
    }
}

#[tokio::test]
async fn whoever_is_not_found_is_created_left_out_or_refused() {
    let api = FakeApi::start().await;
    let missing = |word: &str| {
        with_find(&api, "").replace("id = 'data[0].id'", &format!("id = 'id'\nmissing = '{word}'"))
    };
    for (word, outcome, count) in [
        ("create", "delivered", 2),
        ("skip", "skip", 1),
        ("reject", "reject", 1),
    ] {
        api.reset();
        let (lines, result) = sent(&api, &missing(word), delivery(1)).await;
        assert_eq!((result.outcome.as_str(), lines.len()), (outcome, count), "{word}");
    }
    // Only people who are there can be taken off.
    api.reset();
    let base = api.url("");
    let off = format!(
        "{}\n[on.unsubscribe]\nmethod = 'DELETE'\nurl = '{base}/people/{{id}}'",
        missing("create")
    );
    let (lines, result) = sent(&api, &off, of(Change::Unsubscribe)).await;
    assert_eq!((result.outcome.as_str(), lines.len()), ("skip", 1));
    api.reply_at("/find", Reply::json(200, &json!({ "id": 7 })));
    let (lines, _) = sent(&api, &off, of(Change::Suppress)).await;
    assert_eq!(lines[2], "DELETE /people/7 ");
}

#[tokio::test]
async fn the_first_request_may_create_and_its_id_may_be_sent_in_the_body() {
    let api = FakeApi::start().await;
    let base = api.url("");
    let more = format!(
        "fields = {{ id = '={{id}}', change = 'change' }}\n[find]\nmethod = 'POST'\nurl = '{base}/create'\n\
         fields = {{ email = 'contact.email' }}\nid = 'token'\n[[answers]]\npath = 'alreadyProcessed'\nmeans = 'duplicate'"
    );
    api.reply_at("/create", Reply::json(201, &json!({ "token": "t1" })));
    let (lines, _) = sent(&api, &more, delivery(1)).await;
    assert_eq!(
        lines,
        [
            r#"POST /create {"email":"person1@example.org"}"#,
            r#"POST /hook {"id":"t1","change":"none"}"#
        ]
    );
    api.reset();
    api.reply_at("/create", Reply::json(200, &json!({ "alreadyProcessed": true })));
    let (lines, result) = sent(&api, &more, delivery(1)).await;
    assert_eq!((lines.len(), result.outcome.as_str()), (1, "delivered"));
    assert_eq!(result.notes, ["the receiver had it already"]);
}

#[tokio::test]
async fn an_opt_out_that_cannot_be_expressed_is_not_even_looked_up() {
    let api = FakeApi::start().await;
    let base = api.url("");
    let more = format!(
        "fields = {{ email = 'contact.email' }}\n[find]\nmethod = 'POST'\nurl = '{base}/create'\nid = 'id'\n\
         fields = {{ email = 'contact.email' }}"
    );
    for change in [Change::Unsubscribe, Change::Suppress, Change::Remove] {
        let (lines, result) = sent(&api, &more, of(change)).await;
        assert!(
            lines.is_empty() && result.outcome.as_str() == "skip",
            "{lines:?} {result:?}"
        );
    }
}

#[tokio::test]
async fn keeps_the_destination_contract_with_a_look_up() {
    destination_contract::run(&Contract {
        connect: &|url| {
            connect(
                url,
                &format!("{FIND}\n[find]\nurl = '{url}/find?email=[#EMAIL#]'\nid = 'id'\n[found]\nmethod = 'PUT'\nurl = '{url}/p/{{id}}'"),
            )
        },
        accept: &|api| api.reply_at("/find", Reply::json(200, &json!({ "id": 7 }))),
        batch: 2,
    })
    .await;
}

#[test]
fn a_preview_shows_both_requests_and_masks_secrets() {
    let more = "fields = { email = 'contact.email', change = 'change' }\nauth = { query = { name = 'key', value = 'sesame' } }\n\
                [find]\nurl = 'https://hooks.example.org/find?email=[#EMAIL#]'\nid = 'id'\n\
                [found]\nmethod = 'PATCH'\nurl = 'https://hooks.example.org/people/{id}'";
    insta::assert_snapshot!(preview("https://hooks.example.org", more));
}

#[tokio::test]
async fn the_configuration_decides_what_responses_mean() {
    let api = FakeApi::start().await;
    let more = "statuses = { 409 = 'duplicate', 4xx = 'retry', 418 = 'busy', 202 = 'skip' }\n\
                [[answers]]\nstatus = 400\npath = 'errors[0].code'\nequals = ['GONE', 7]\nmeans = 'reject'\n\
                [[answers]]\nstatus = '2xx'\npath = 'error'\nmeans = 'reject'\n\
                [[answers]]\nstatus = 403\ncontains = 'Account Suspended'\nmeans = 'halt'\n\
                [[answers]]\npath = 'state'\ncontains = 'later'\nmeans = 'busy'";
    for (reply, outcome) in [
        (Reply::status(409), "delivered"),
        (Reply::status(422), "retry"),
        (Reply::status(418), "busy"),
        (Reply::status(202), "skip"),
        (Reply::status(401), "retry"),
        (
            Reply::json(400, &json!({ "errors": [{ "code": "GONE" }] })),
            "reject",
        ),
        (
            Reply::json(400, &json!({ "errors": [{ "code": "7" }] })),
            "reject",
        ),
        (
            Reply::json(400, &json!({ "errors": [{ "code": "OTHER" }] })),
            "retry",
        ),
        (Reply::json(200, &json!({ "error": "no such list" })), "reject"),
        (Reply::json(200, &json!({ "error": null })), "delivered"),
        (Reply::json(200, &json!({ "error": "" })), "delivered"),
        (Reply::status(403).body("<h1>ACCOUNT suspended</h1>"), "halt"),
        (Reply::json(200, &json!({ "state": "Try LATER" })), "busy"),
        (Reply::status(200), "delivered"),
        (Reply::status(503), "retry"),
    ] {
        api.reply(reply.clone());
        let result = connect(&api.url(""), more)
            .deliver(&[delivery(1)])
            .await
            .remove(0);
        assert_eq!(result.outcome.as_str(), outcome, "{reply:?}: {result:?}");
    }
}

#[tokio::test]
async fn an_address_that_is_the_same_for_everybody_is_at_fault_for_a_404() {
    let api = FakeApi::start().await;
    for (status, outcome) in [(404, "halt"), (405, "halt"), (422, "reject")] {
        api.reply(Reply::status(status));
        let result = connect(&api.url(""), "").deliver(&[delivery(1)]).await.remove(0);
        assert_eq!(result.outcome.as_str(), outcome, "{status}");
    }
    // A person's own address may be gone.
    api.reply(Reply::status(404));
    let own = format!(
        "url = '{}'\nallow_private = true\nmethod = 'PUT'",
        api.url("/people/[#EMAIL#]")
    );
    let hook = (KIND.connect)(&context(), &toml::from_str(&own).unwrap()).unwrap();
    assert_eq!(hook.deliver(&[delivery(1)]).await[0].outcome.as_str(), "reject");
}

#[tokio::test]
async fn an_empty_204_is_a_success_and_broken_json_is_noted() {
    let api = FakeApi::start().await;
    api.reply(Reply::status(204));
    let more = "success_path = 'ok'";
    let result = connect(&api.url(""), more)
        .deliver(&[delivery(1)])
        .await
        .remove(0);
    assert_eq!(result.outcome.as_str(), "delivered");
    let page = "<br />\n<b>Warning</b>: x in /srv/hook.php on line 3<br />\n{\"id\":1}";
    api.reply(
        Reply::status(200)
            .header("content-type", "application/json")
            .body(page),
    );
    let result = connect(&api.url(""), "").deliver(&[delivery(1)]).await.remove(0);
    assert_eq!(result.notes, ["the response says that it is JSON, and is not"]);
    // A big response is read.
    let big = json!({ "padding": "x".repeat(200_000), "ok": true });
    api.reply(Reply::json(200, &big));
    let result = connect(&api.url(""), more)
        .deliver(&[delivery(1)])
        .await
        .remove(0);
    assert_eq!(result.outcome.as_str(), "delivered", "{result:?}");
}

#[tokio::test]
async fn nulls_can_be_left_out() {
    let api = FakeApi::start().await;
    let fields =
        "fields = { a = 'contact.street', 'b[c]' = 'contact.street', 'b[d]' = '=x', change = 'change' }";
    let (lines, _) = sent(&api, &format!("omit_null = true\n{fields}"), delivery(1)).await;
    assert_eq!(lines, [r#"POST /hook {"b":{"d":"x"},"change":"none"}"#]);
}

#[tokio::test]
async fn calls_are_spread_over_the_time_of_the_limit() {
    let api = FakeApi::start().await;
    let clock = Arc::new(TestClock::default());
    let context = Context {
        clock: Arc::<TestClock>::clone(&clock),
        ..context()
    };
    let more = "limit = { calls = 2, per_s = 60 }";
    let hook = (KIND.connect)(&context, &table(&api.url(""), more)).unwrap();
    let batch: Vec<Delivery> = (1..=3).map(delivery).collect();
    let results = Results::new(3);
    tokio::select! {
        () = hook.deliver_into(&batch, &results) => panic!("the limit was ignored"),
        _ = api.wait_for(1) => {}
    }
    let started = results
        .take()
        .into_iter()
        .filter(|progress| *progress != Progress::NotStarted);
    assert_eq!(started.count(), 1, "the others wait for their time");
}

#[test]
fn an_impossible_request_is_refused_by_key() {
    let url = "url = 'https://hooks.example.org/'\n";
    for (text, key) in [
        ("on = { unsubscribe = {} }", "on.unsubscribe"),
        ("on = { unsubscribed = {} }", "on.unsubscribed"),
        ("on = { none = { url = 'ftp://example.org' } }", "on.none.url"),
        (
            "on = { none = { url = 'https://hooks.example.org/{id}' } }",
            "on.none",
        ),
        (
            "on = { none = { method = 'GET', content = 'json' } }",
            "on.none.method",
        ),
        ("found = { method = 'PUT' }", "found"),
        (
            "find = { url = 'https://hooks.example.org/{id}', id = 'id' }",
            "find.url",
        ),
        (
            "find = { url = 'https://hooks.example.org/', id = 'a[]' }",
            "find.id",
        ),
        ("content = 'none'\nfields = { a = 'at' }", "fields"),
        ("statuses = { 4x = 'retry' }", "statuses.4x"),
        ("statuses = { 404 = 'fine' }", "statuses.404"),
        ("answers = [{ means = 'retry' }]", "answers.0.means"),
        ("answers = [{ equals = 1, means = 'retry' }]", "answers.0.equals"),
        ("limit = { calls = 0, per_s = 1 }", "limit"),
    ] {
        let table = toml::from_str(&format!("{url}{text}")).unwrap();
        let error = (KIND.parse)(&Tables::default(), &table).unwrap_err();
        assert!(
            error.key == key || error.to_string().contains("unknown"),
            "{text}: {error}"
        );
    }
    let without_find = "url = 'https://hooks.example.org/{id}'";
    let error = (KIND.parse)(&Tables::default(), &toml::from_str(without_find).unwrap()).unwrap_err();
    assert_eq!(error.key, "url");
}
