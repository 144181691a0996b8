//! What goes back to Proca: decisions about actions that wait, and answers about people.

use causeway_testkit::fake_api::{FakeApi, Reply};
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::running::{Home, Running, exchange, signature, status};

const TOKEN: &str = "proca-token-of-24-characters";
const PASSWORD: &str = "proca-asks-with-22-characters";

/// The queue's broker is not there; its messages come by the listener.
fn home(api: &FakeApi, details: &str, confirm: &str) -> Home {
    Home::new(&format!(
        "[source.hook]\nkind = 'listener'\npreset = 'proca'\ntoken = '{TOKEN}'\n\
         proca = {{ own_orgs = [12], consent = 'double_opt_in' }}\n\
         [source.queue]\nkind = 'proca'\nurl = 'amqp://a:b@127.0.0.1:1/v'\nqueue = 'cus.12.confirm.supporter'\n\
         confirm_queue = true\nconsent = 'double_opt_in'\n{details}\n\
         [destination.confirm]\nkind = 'proca'\nbase_url = '{}'\nallow_private = true\n{confirm}\n\
         [destination.crm]\nkind = 'webhook'\nurl = '{}'\nallow_private = true\nconsent = 'all'\n",
        api.url(""),
        api.url("/crm"),
    ))
}

/// The message of the same action before anybody has confirmed it.
fn waiting(id: u32, name: &str, stage: &str) -> Value {
    let mut message = signature(12, id, name, Some(true));
    message["stage"] = stage.into();
    message
}

/// The last steps of the links that were called.
fn links(api: &FakeApi) -> Vec<String> {
    let all = api.requests().into_iter();
    all.filter_map(|request| {
        let rest = request.path.strip_prefix("/link/s/")?;
        let (decision, _) = rest.rsplit_once('/')?;
        Some(format!("{} {decision}", request.method))
    })
    .collect()
}

fn sent_to_crm(api: &FakeApi) -> Vec<Value> {
    let all = api.requests().into_iter();
    all.filter(|request| request.path == "/crm")
        .map(|request| request.json())
        .collect()
}

async fn proca() -> FakeApi {
    let api = FakeApi::start().await;
    api.reply(Reply::status(200).body("SUCCESS"));
    api
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_action_is_confirmed_and_counts_for_nothing_else() {
    let api = proca().await;
    let home = home(
        &api,
        "",
        "accept = \"action.type == 'register' or action.type == 'petition'\"\nreject = \"action.id == '3'\"",
    );
    let hub = home.serve();
    for (id, name) in [(1, "ann"), (3, "cem")] {
        hub.post_json(TOKEN, &waiting(id, name, "supporter_confirm"))
            .await;
    }
    home.settled(2).await;
    home.until("Proca is called", || links(&api).len() == 2).await;
    let mut called = links(&api);
    called.sort();
    assert_eq!(called, ["POST 1/accept", "POST 3/reject"]);
    assert_eq!(sent_to_crm(&api), Vec::<Value>::new());
    // Nobody knows yet whether Ann signed.
    let account = home.json(&["contact", "consent", "ann@example.org", "--json"]);
    assert_ne!(account[0]["consent_state"]["email"]["subscribed"], true);

    // Now it is delivered: it is no duplicate, and Proca is not called again.
    hub.post_json(TOKEN, &signature(12, 1, "ann", Some(true))).await;
    hub.post_json(TOKEN, &status(1, "ann", "unsub")).await;
    home.settled(4).await;
    home.until("the record is sent", || {
        sent_to_crm(&api).iter().any(|record| record["type"] == "record")
    })
    .await;
    assert_eq!(links(&api).len(), 2);
    let trace = home.trace(1);
    assert_eq!(trace["deliveries"].as_array().map(Vec::len), Some(1), "{trace}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_condition_nothing_is_accepted() {
    let api = proca().await;
    let home = home(&api, "", "");
    let hub = home.serve();
    hub.post_json(TOKEN, &waiting(1, "ann", "supporter_confirm"))
        .await;
    hub.post_json(TOKEN, &waiting(2, "bob", "action_confirm")).await;
    home.settled(2).await;
    assert_eq!(api.requests().len(), 0);
    let checked = home.run(&["config", "check"]);
    assert!(
        format!("{checked:?}").contains("neither `accept` nor `reject`"),
        "{checked:?}"
    );
}

#[test]
fn keys_that_mean_nothing_here_are_refused() {
    for key in [
        "consent = 'opt_in'",
        "purpose = 'phone'",
        "takes = 'all'",
        "coalesce = true",
    ] {
        let text = format!("[destination.confirm]\nkind = 'proca'\n{key}\n");
        let error = causeway::config::parse("c.toml".as_ref(), &text).unwrap_err();
        assert!(
            format!("{error:?}").contains("only confirms actions"),
            "{key}: {error:?}"
        );
    }
    let text = "[source.a]\nkind = 'events'\ntokens = 'token-of-24-characters-site'\n\
                [destination.confirm]\nkind = 'proca'\naccept = 'true'\n\
                [[automation]]\nname = 'a'\non = 'contact_created'\nthen = [{ deliver = 'confirm' }]\n";
    let error = causeway::config::parse("c.toml".as_ref(), text).unwrap_err();
    assert!(
        format!("{error:?}").contains("wait for a confirmation"),
        "{error:?}"
    );
}

async fn asked(hub: &Running, authorization: &str, body: &str) -> (u16, Value) {
    let request = format!(
        "POST /proca/queue/details HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nAccept: application/json\r\n\
         Content-Type: application/json\r\nAuthorization: {authorization}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(&hub.listener, request.as_bytes()).await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head[9..12].parse().expect("a status");
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread")]
async fn proca_is_answered_what_is_known_and_nothing_else() {
    let api = proca().await;
    let details = format!("details = {{ user = 'proca', password = '{PASSWORD}', opt_in = true }}");
    let home = home(&api, &details, "accept = 'true'");
    let hub = home.serve();
    hub.post_json(TOKEN, &signature(12, 1, "ann", Some(true))).await;
    hub.post_json(TOKEN, &status(1, "ann", "double_opt_in")).await;
    hub.post_json(TOKEN, &signature(12, 2, "bob", Some(true))).await;
    hub.post_json(TOKEN, &status(2, "bob", "unsub")).await;
    hub.post_json(TOKEN, &waiting(3, "cem", "supporter_confirm"))
        .await;
    home.settled(5).await;

    let basic = format!("Basic {}", BASE64.encode(format!("proca:{PASSWORD}").as_bytes()));
    let question =
        |name: &str| json!({ "email": format!("{name}@example.org"), "contactRef": "AAAA" }).to_string();
    let (code, ann) = asked(&hub, &basic, &question("ann")).await;
    assert_eq!((code, &ann["privacy"]["optIn"]), (200, &json!(true)), "{ann}");
    assert_eq!(ann["privacy"]["emailStatus"], "double_opt_in");
    for at in ["givenAt", "emailStatusChanged"] {
        let at = ann["privacy"][at].as_str().expect("a time");
        assert!(at.ends_with('Z') && !at.contains('.'), "{at}");
    }
    let bob = asked(&hub, &basic, &question("bob")).await;
    assert_eq!(bob, (200, json!({ "privacy": { "optIn": false } })));
    for nobody in ["cem", "nobody"] {
        // A 404 would keep the action from ever being processed.
        let answer = asked(&hub, &basic, &question(nobody)).await;
        assert_eq!(answer, (200, json!({ "privacy": {} })), "{nobody}");
    }
    let reference = signature(12, 1, "ann", None)["contact"]["contactRef"].clone();
    let by_reference = json!({ "email": null, "contactRef": reference }).to_string();
    assert_eq!(asked(&hub, &basic, &by_reference).await.1, ann);

    let wrong = format!("Basic {}", BASE64.encode(b"proca:another-password-of-22"));
    for (authorization, body, expected) in [
        (&*wrong, &*question("ann"), 401),
        ("Bearer x", &*question("ann"), 401),
        (PASSWORD, &*question("ann"), 401),
        (&*basic, "[]", 400),
        (&*basic, "{}", 400),
        (&*basic, "", 400),
        (&*basic, &*" ".repeat(20_000), 413),
    ] {
        let (code, body) = asked(&hub, authorization, body).await;
        assert_eq!(code, expected, "{body}");
        assert!(!body.to_string().contains("optIn"), "{body}");
    }
    let log = hub.log();
    assert!(
        !log.contains("ann@example.org") && !log.contains(PASSWORD),
        "{log}"
    );
}
