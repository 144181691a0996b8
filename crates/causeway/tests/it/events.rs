//! `POST /v1/events` of the real program: its responses, the stored messages, and the OpenAPI description.

use std::{io::Write as _, process::Command};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::running::{Home, Running};

const TOKEN: &str = "token-of-24-characters-site";
const OTHER: &str = "another-token-of-24-characters";

fn home(limits: &str) -> Home {
    Home::new(&format!(
        "[source.site]\nkind = 'events'\ntokens = [{{ env = 'SITE_TOKEN' }}, '{OTHER}']\n{limits}\n\
         [destination.crm]\nkind = 'null'\nconsent = 'all'\n\
         [destination.calls]\nkind = 'null'\nconsent = 'opt_in'\npurpose = 'phone'\n"
    ))
    .with("SITE_TOKEN", TOKEN)
}

struct Answered {
    status: u16,
    head: String,
    body: Value,
}

async fn ask(hub: &Running, method: &str, path: &str, headers: &[&str], body: &str) -> Answered {
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    request.push_str(body);
    let mut stream = tokio::net::TcpStream::connect(&hub.listener)
        .await
        .expect("a connection");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("the request is sent");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .expect("the answer is read");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    Answered {
        status: head[9..12].parse().expect("a status"),
        head: head.to_lowercase(),
        body: serde_json::from_str(body).unwrap_or(Value::Null),
    }
}

async fn send(hub: &Running, body: &Value) -> Answered {
    let token = format!("Authorization: Bearer {TOKEN}");
    ask(hub, "POST", "/v1/events", &[&token], &body.to_string()).await
}

/// `accepted`, `duplicate` or `error` of each item.
fn statuses(answer: &Answered) -> Vec<&str> {
    let events = answer.body["events"].as_array().expect("events");
    events
        .iter()
        .map(|one| one["status"].as_str().expect("a status"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_item_does_not_lose_the_others_and_nothing_is_dropped() {
    let home = home("");
    let hub = home.serve();
    let visit = |id: &str| json!({ "type": "page_visit", "id": id, "key": "/a", "contact": { "email": "ada@example.org" } });
    let mut bad = visit("3");
    bad["kye"] = "/a".into();
    let first = send(&hub, &json!([visit("1"), bad, visit("1"), visit("2"), 7])).await;
    assert_eq!(
        (first.status, &first.body["status"]),
        (200, &json!("partial")),
        "{}",
        first.body
    );
    assert_eq!(
        statuses(&first),
        ["accepted", "error", "duplicate", "accepted", "error"]
    );
    assert_eq!(
        first.body["events"][0]["reference"],
        first.body["events"][2]["reference"]
    );
    assert!(
        first.body["events"][1]["error"]
            .as_str()
            .expect("why")
            .contains("kye")
    );
    assert_eq!(
        [
            &first.body["accepted"],
            &first.body["duplicates"],
            &first.body["errors"]
        ],
        [2, 1, 2]
    );
    // The corrected event has the same id, and counts.
    let again = send(&hub, &json!([visit("3"), visit("2")])).await;
    assert_eq!(statuses(&again), ["accepted", "duplicate"]);
    let all_bad = send(&hub, &json!({ "type": "like" })).await;
    assert_eq!((all_bad.status, statuses(&all_bad)), (400, vec!["error"]));
    let token = format!("authorization: bearer {OTHER}");
    let broken = ask(&hub, "POST", "/v1/events", &[&token], "[{]").await;
    assert_eq!((broken.status, statuses(&broken)), (400, vec!["error"]));
    home.settled(8).await;
    let audit = &home.json(&["audit", "--json"])["sources"]["site"];
    assert_eq!(
        [
            &audit["done"],
            &audit["dead"],
            &audit["duplicate"],
            &audit["difference"]
        ],
        [3, 4, 2, 0]
    );
    for (answer, nth) in [(&first, 1), (&first, 4), (&all_bad, 0), (&broken, 0)] {
        let result = &answer.body["events"][nth];
        let number = result["reference"]
            .as_str()
            .expect("a number")
            .parse()
            .expect("a number");
        let trace = home.trace(number);
        assert_eq!(
            (&trace["inbox"]["state"], &trace["inbox"]["reason"]),
            (&json!("dead"), &result["error"])
        );
    }
    hub.stop();
}

/// An invalid item of a list has its own result in the response.
#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_is_no_json_does_not_lose_the_others() {
    let home = home("");
    let hub = home.serve();
    let item = |id: &str, more: &str| {
        format!(
            r#"{{"type":"page_visit","id":"{id}","key":"/a","contact":{{"email":"ada@example.org"}}{more}}}"#
        )
    };
    let body = format!(
        "[{},{},{{\"type\":page_visit}},{},{}",
        item("1", ""),
        item("2", r#","name":"half \ud83d""#),
        item("3", ","),
        r#"{"type":"page_visit","id":"no end"#,
    );
    let token = format!("Authorization: Bearer {TOKEN}");
    let answer = ask(&hub, "POST", "/v1/events", &[&token], &body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["status"], "partial");
    assert_eq!(
        statuses(&answer),
        ["accepted", "accepted", "error", "accepted", "error"]
    );
    let error = answer.body["events"][2]["error"].as_str().expect("an error");
    assert!(error.starts_with("not JSON (line 1, column 9)"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_token_or_over_a_limit_is_refused_and_not_stored() {
    let home = home("limits = { items = 2, body_kb = 1 }");
    let hub = home.serve();
    let good = json!({ "type": "goal", "key": "g", "contact": { "id": 1 } });
    let token = format!("Authorization: Bearer {TOKEN}");
    let many = json!([good, good, good]).to_string();
    let long = format!("[\"{}\"]", "x".repeat(2_000));
    let good = good.to_string();
    for (headers, method, body, status) in [
        (vec![], "POST", good.as_str(), 401),
        (vec!["Authorization: Bearer wrong"], "POST", &good, 401),
        (vec!["Authorization: Basic d3Jvbmc6d3Jvbmc="], "POST", &good, 401),
        (vec!["Authorization: Bearer "], "POST", &good, 401),
        (vec![&token], "PUT", &good, 405),
        (vec![&token], "GET", "", 405),
        (vec![&token, "Content-Encoding: gzip"], "POST", &good, 415),
        (vec![&token], "POST", "", 400),
        (vec![&token], "POST", " \n", 400),
        (vec![&token], "POST", "[]", 400),
        (vec![&token], "POST", &many, 413),
        (vec![&token], "POST", &long, 413),
    ] {
        let answer = ask(&hub, method, "/v1/events", &headers, body).await;
        assert_eq!(answer.status, status, "{headers:?} {method} {}", answer.body);
        assert_eq!(answer.body["status"], "error", "{headers:?} {method}");
        assert_eq!(answer.head.contains("www-authenticate: bearer"), status == 401);
        assert_eq!(answer.head.contains("allow: post\r\n"), status == 405);
        if status == 405 {
            assert_eq!(answer.body["error"], "use POST");
        }
    }
    assert_eq!(send(&hub, &json!([])).await.status, 400);
    let audit = &home.json(&["audit", "--json"])["sources"];
    assert!(audit["site"]["received"].as_u64().unwrap_or(0) == 0, "{audit}");
    assert!(!hub.stop().contains(TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_the_description_is_accepted_and_its_rules_hold() {
    let home = home("");
    let hub = home.serve();
    let document = ask(&hub, "GET", "/v1/openapi.json", &[], "").await.body;
    assert_eq!(document["openapi"], "3.1.0");
    let content = &document["paths"]["/v1/events"]["post"]["requestBody"]["content"]["application/json"];
    let examples = content["examples"].as_object().expect("examples");
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    assert!(examples.len() > 10);
    let mut received = 0;
    for (name, example) in examples {
        let value = &example["value"];
        let answer = send(&hub, value).await;
        assert_eq!(
            (answer.status, &answer.body["status"]),
            (200, &json!("ok")),
            "{name}: {}",
            answer.body
        );
        received += value.as_array().map_or(1, Vec::len) as u64;
        if name == "several" {
            assert!(statuses(&answer).iter().all(|status| *status == "duplicate"));
            continue;
        }
        // The decoder requires the keys that the schema requires, and allows no others.
        let schema = &schemas[name.as_str()];
        for required in schema["required"].as_array().expect("required keys") {
            let mut less = value.clone();
            less.as_object_mut()
                .expect("an object")
                .remove(required.as_str().expect("a name"));
            let answer = send(&hub, &less).await;
            assert_eq!(answer.status, 400, "{name} without {required}");
            received += 1;
        }
        for key in value.as_object().expect("an object").keys() {
            assert!(schema["properties"].get(key).is_some(), "{name}: {key}");
            let mut wrong = value.clone();
            wrong[key] = json!([[]]);
            assert_eq!(send(&hub, &wrong).await.status, 400, "{name}: {key} = [[]]");
            received += 1;
        }
    }
    home.settled(received).await;
    let audit = &home.json(&["audit", "--json"]);
    assert_eq!(audit["sources"]["site"]["difference"], 0);
    // The ledger has the example of consent to e-mail.
    let shown = home.json(&["contact", "export", "ada@example.org"]);
    assert_eq!(
        shown[0]["consent_state"]["email"]["state"], "opted_in",
        "{}",
        shown[0]["consent_state"]
    );
    hub.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn consent_in_an_event_allows_and_forbids_its_purpose() {
    let home = home("");
    let hub = home.serve();
    let said = |what: &str, at: &str| {
        json!({ "type": "consent", "what": what, "purpose": "phone", "at": at,
                "contact": { "email": "ada@example.org" } })
    };
    send(&hub, &said("opt_in", "2026-05-01T10:00:00Z")).await;
    send(&hub, &said("unsubscribed", "2026-05-03T10:00:00Z")).await;
    // A late report does not override later facts.
    send(&hub, &said("opt_in", "2026-05-02T10:00:00Z")).await;
    home.settled(3).await;
    let kinds: Vec<(String, String)> = (1..=3)
        .map(|id| {
            let trace = home.trace(id);
            let calls = trace["deliveries"]
                .as_array()
                .expect("deliveries")
                .iter()
                .find(|one| one["delivery"]["destination"] == "calls")
                .unwrap_or_else(|| panic!("{trace}"))["delivery"]
                .clone();
            (
                calls["kind"].as_str().unwrap_or_default().to_owned(),
                calls["state"].as_str().unwrap_or_default().to_owned(),
            )
        })
        .collect();
    let pair = |kind: &str, state: &str| (kind.to_owned(), state.to_owned());
    // The gate is checked again at the time of sending, so the second event may override the first.
    assert!(
        kinds[0] == pair("contact", "delivered") || kinds[0] == pair("contact", "skipped"),
        "{kinds:?}"
    );
    assert_eq!(
        kinds[1..],
        [pair("withdrawal", "delivered"), pair("contact", "skipped")]
    );
    hub.stop();
}

/// The shell blocks of a page, with the expected output.
fn shell_blocks(page: &str) -> Vec<(String, Vec<String>)> {
    page.split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .map(|block| {
            let (said, script): (Vec<&str>, Vec<&str>) =
                block.lines().partition(|line| line.starts_with("# "));
            let said = said.iter().map(|line| line[2..].to_owned()).collect();
            (script.join("\n"), said)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_page_answer_what_it_says() {
    let page = include_str!("../../../../docs/events.md");
    let home = home("");
    let hub = home.serve();
    let blocks = shell_blocks(page);
    assert_eq!(blocks.len(), 4);
    for (script, said) in blocks {
        let script = script.replace("127.0.0.1:8437", &hub.listener);
        let ran = crate::running::blocking(move || {
            let mut shell = Command::new("bash");
            shell.args(["-euc", &script]).env("SITE_TOKEN", TOKEN);
            let output = shell.output().expect("a shell");
            std::io::stderr()
                .write_all(&output.stderr)
                .expect("standard error");
            String::from_utf8(output.stdout).expect("text")
        })
        .await;
        assert_eq!(ran.trim(), said.join("\n"));
    }
    home.settled(7).await;
    let ada = &home.json(&["contact", "export", "ada@example.org"])[0];
    assert_eq!(
        ada["engagements"].as_array().expect("engagements").len(),
        2,
        "{ada}"
    );
    assert_eq!(ada["consent_state"]["phone"]["state"], "opted_in");
    hub.stop();
}
