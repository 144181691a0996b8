mod vendor;

use std::time::Duration;

use causeway_core::{
    consent::{ConsentState, Suppression},
    contact::Field,
    destination::{AttemptResult, Destination},
};
use causeway_testkit::{
    destination_contract::{self, Contract, delivery},
    fake_api::{FakeApi, Reply, Request},
};
use serde_json::{Value, json};

use super::{
    error::{Verdict, verdict},
    *,
};
use crate::{
    config::Context,
    destination::{
        sql,
        tests::support::{self, outcomes, subscriber, withdrawal},
    },
};

const CONTACTS: &str = "/rest/v1/contacts";
const ACTIONS: &str = "/rest/v1/actions";
const TABLES: &str = "contacts = { table = 'contacts' }\nactions = { table = 'actions' }";

fn context() -> Context {
    support::context("supabase")
}

fn table(api: &str, more: &str) -> toml::Table {
    let keys = format!("base_url = '{api}/rest/v1'\nallow_private = true\n{more}");
    toml::from_str(&keys).unwrap()
}

fn connect(api: &str, more: &str) -> Box<dyn Destination> {
    let own = table(api, &format!("api_key = 'sb_secret_x'\n{more}"));
    (KIND.connect)(&context(), &own).unwrap()
}

fn set(delivery: &mut Delivery, name: &str, value: impl Into<Value>) {
    let field = Field::new(value.into(), delivery.planned_at);
    delivery.record.contact.fields.insert(name.to_owned(), field);
}

/// A delivery in which the person's consent is this.
fn with_state(mut delivery: Delivery, change: Change, state: ConsentState) -> Delivery {
    delivery.record.change = change;
    delivery.record.consent_state.insert("email".to_owned(), state);
    delivery
}

fn opt_out(number: i64, at: &str) -> Delivery {
    let since = at.parse().unwrap();
    with_state(
        withdrawal(number, Change::Unsubscribe),
        Change::Unsubscribe,
        ConsentState::Unsubscribed { since },
    )
}

/// All rows of a request, as if each was written.
fn written(request: &Request) -> Reply {
    match request.json() {
        Value::Array(rows) => Reply::json(201, &Value::Array(rows)),
        _ => Reply::json(200, &json!([{ "email": "person1@example.org" }])),
    }
}

fn rows(request: &Request) -> usize {
    request.json().as_array().map_or(1, Vec::len)
}

fn refusal(status: u16, code: &str, message: &str) -> Reply {
    let details = "Failing row contains (person1@example.org).";
    let body = json!({ "code": code, "message": message, "details": details, "hint": null });
    Reply::json(status, &body)
}

fn reason(result: &AttemptResult) -> &str {
    result.outcome.reason().unwrap_or_default()
}

#[tokio::test]
async fn keeps_the_destination_contract() {
    destination_contract::run(&Contract {
        connect: &|url| connect(url, TABLES),
        accept: &|api| api.compute(written),
        batch: 3,
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_one_request_for_each_table() {
    let api = FakeApi::start().await;
    api.compute(written);
    let mut tourist = delivery(2);
    set(&mut tourist, "phone", "+3615550000");
    let results = connect(&api.url(""), TABLES)
        .deliver(&[subscriber(1, "2026-03-01T09:30:00Z"), tourist])
        .await;
    assert_eq!(outcomes(&results), ["delivered"; 2], "{results:?}");
    let requests = api.requests();
    let paths: Vec<&str> = requests.iter().map(|request| &*request.path).collect();
    assert_eq!(paths, [CONTACTS, ACTIONS]);
    let contacts = &requests[0];
    assert!(
        contacts.query.ends_with("&on_conflict=email&select=email"),
        "{}",
        contacts.query
    );
    assert!(
        contacts
            .query
            .starts_with("columns=email,first_name,last_name,phone,"),
        "{}",
        contacts.query
    );
    assert_eq!(
        contacts.header("prefer"),
        Some("resolution=ignore-duplicates,missing=default,return=representation")
    );
    assert_eq!(contacts.header("apikey"), Some("sb_secret_x"));
    assert_eq!(contacts.header("authorization"), None);
    let first = json!({
        "email": "person1@example.org", "first_name": "Ada", "last_name": "Példa, \"jr\"", "country": "HU",
        "subscribed": true, "consent": "opted_in", "consent_since": "2026-03-01T09:30:00Z", "source": "proca",
        "updated_at": "2026-03-01T09:30:00Z",
    });
    assert_eq!(contacts.json()[0], first);
    assert_eq!(contacts.json()[1]["phone"], "+3615550000");
    assert_eq!(contacts.json()[1]["subscribed"], false);
    assert_eq!(requests[1].json()[1]["action_id"], "2");
    // Each delivery keeps its own part of the request.
    let kept = results[0].request.as_deref().unwrap();
    assert!(
        kept.contains("person1@") && !kept.contains("person2@") && !kept.contains("sb_secret_x"),
        "{kept}"
    );
}

#[tokio::test]
async fn an_update_names_only_columns_with_values() {
    let api = FakeApi::start().await;
    let mut with_phone = subscriber(2, "2026-03-01T09:30:00Z");
    set(&mut with_phone, "phone", "+361");
    let mut cleared = subscriber(3, "2026-03-01T09:30:00Z");
    set(&mut cleared, "phone", Value::Null);
    let unknown =
        |number: i64| json!({ "email": format!("person{number}@example.org"), "consent": "unknown" });
    let exist = move |request: &Request| match &*request.method {
        "GET" => Reply::json(200, &(1..=3).map(unknown).collect()),
        _ if request.header("prefer").unwrap().contains("ignore") => Reply::json(201, &json!([])),
        _ => written(request),
    };
    api.compute(exist);
    let results = connect(&api.url(""), "contacts = { table = 'contacts' }")
        .deliver(&[subscriber(1, "2026-03-01T09:30:00Z"), with_phone, cleared])
        .await;
    assert_eq!(outcomes(&results), ["delivered"; 3], "{results:?}");
    let requests = api.requests();
    assert_eq!(requests[1].method, "GET");
    let filter = "and=(email.in.(%22person1%40example.org%22,%22person2%40example.org%22,%22person3%40example.org%22))";
    assert_eq!(
        requests[1].query,
        format!("select=email,subscribed,consent,consent_since&{filter}")
    );
    let updates = &requests[2..];
    assert_eq!(updates.iter().map(rows).collect::<Vec<_>>(), [1, 2]);
    assert!(!updates[0].query.contains("phone"), "{}", updates[0].query);
    assert_eq!(updates[1].json()[0]["phone"], "+361");
    assert_eq!(updates[1].json()[1]["phone"], Value::Null);
}

#[tokio::test]
async fn a_row_that_shows_a_later_opt_out_keeps_it() {
    let agreed = || subscriber(1, "2026-03-01T09:30:00Z");
    let row = |subscribed: bool, state: &str, since: Value| json!([{ "email": "Person1@example.org", "subscribed": subscribed, "consent": state, "consent_since": since }]);
    let (before, same, after) = (
        "2026-02-01T00:00:00+00:00",
        "2026-03-01T09:30:00+00:00",
        "2026-03-02T00:00:00",
    );
    let cases = vec![
        (agreed(), row(false, "unsubscribed", json!(before)), false),
        (agreed(), row(false, "unsubscribed", json!(after)), true),
        (agreed(), row(false, "suppressed", json!(after)), true),
        // A program has only turned the flag.
        (agreed(), row(false, "opted_in", json!(same)), true),
        (agreed(), row(false, "unknown", Value::Null), false),
        // The program took off somebody who had not agreed before.
        (agreed(), row(false, "unknown", json!(after)), true),
        (agreed(), row(false, "not_subscribed", json!(after)), true),
        (agreed(), row(false, "not_subscribed", json!(before)), false),
        (agreed(), row(false, "pending", json!(after)), false),
        (agreed(), row(true, "opted_in", json!(after)), false),
        (agreed(), row(false, "unsubscribed", Value::Null), true),
        // Nothing is known about this person's will.
        (delivery(1), row(true, "opted_in", json!(before)), true),
        (delivery(1), row(false, "unsubscribed", json!(before)), true),
        (delivery(1), row(false, "unknown", Value::Null), false),
    ];
    for (delivery, stored, keeps) in cases {
        let api = FakeApi::start().await;
        let shown = stored.clone();
        api.compute(move |request| match &*request.method {
            "GET" => Reply::json(200, &shown),
            _ if request.header("prefer").unwrap().contains("ignore") => Reply::json(201, &json!([])),
            _ => written(request),
        });
        let results = connect(&api.url(""), "contacts = { table = 'contacts' }")
            .deliver(&[delivery])
            .await;
        assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
        let update = api.requests().pop().unwrap().json();
        assert_eq!(update[0].get("subscribed").is_none(), keeps, "{stored}");
        assert_eq!(update[0].get("consent_since").is_none(), keeps, "{stored}");
        assert_eq!(update[0]["first_name"], "Ada");
    }
    // What cannot be read proves nothing.
    for reply in [
        Reply::json(200, &json!({})),
        Reply::status(200).body("<html>"),
        Reply::status(204),
    ] {
        let api = FakeApi::start().await;
        api.compute(move |request| match &*request.method {
            "GET" => reply.clone(),
            _ => Reply::json(201, &json!([])),
        });
        let results = connect(&api.url(""), TABLES).deliver(&[agreed()]).await;
        assert_eq!((outcomes(&results), api.requests().len()), (vec!["retry"], 2));
    }
}

#[tokio::test]
async fn an_own_opt_out_does_not_stand_against_a_new_opt_in() {
    let state_only = "contacts = { table = 'contacts', columns = { email = 'contact.email', consent = 'consent.email.state' } }";
    let api = FakeApi::start().await;
    let connected = connect(&api.url(""), state_only);
    api.compute(written);
    let results = connected.deliver(&[opt_out(1, "2026-03-01T09:00:00Z")]).await;
    let memory = results[0].memory.clone();
    let row = memory.as_ref().unwrap()["row"].clone();
    let about = |row: &Value, opted_out: bool| Some(json!({ "opted_out": opted_out, "row": row }));
    assert_eq!(memory, about(&row, true));
    let results = connected.deliver(&[opt_out(2, "2026-03-01T09:00:00Z")]).await;
    let other = results[0].memory.clone();
    let exists = |request: &Request| match &*request.method {
        "GET" => Reply::json(
            200,
            &json!([{ "email": "person1@example.org", "consent": "unsubscribed" }]),
        ),
        _ if request.header("prefer").unwrap().contains("ignore") => Reply::json(201, &json!([])),
        _ => written(request),
    };
    api.compute(exists);
    for (memory, consent, after) in [
        (memory.clone(), json!("opted_in"), about(&row, false)),
        (None, Value::Null, None),
        (about(&row, false), Value::Null, None),
        // The opt-out at another address of the contact is in another row.
        (other, Value::Null, None),
        (Some(json!({ "opted_out": true })), Value::Null, None),
    ] {
        let mut delivery = subscriber(1, "2026-03-01T09:02:00Z");
        delivery.memory = memory;
        let results = connected.deliver(&[delivery]).await;
        assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
        let update = api.requests().pop().unwrap().json();
        assert_eq!(update[0].get("consent").cloned().unwrap_or_default(), consent);
        assert_eq!(results[0].memory, after);
        assert_eq!(results[0].notes.is_empty(), !consent.is_null());
    }
    // Data without consent says nothing about the opt-out, however it is written.
    api.compute(|request| match &*request.method {
        "GET" => Reply::json(
            200,
            &json!([{ "email": "person1@example.org", "consent": "unsubscribed" }]),
        ),
        "POST" => refusal(
            400,
            "23502",
            "null value in column \"phone\" violates not-null constraint",
        ),
        _ => written(request),
    });
    let unknown = Delivery {
        memory,
        ..delivery(1)
    };
    let results = connected.deliver(&[unknown]).await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    assert_eq!(results[0].memory, None);
}

#[tokio::test]
async fn a_list_of_rows_that_is_cut_short_hides_no_opt_out() {
    let api = FakeApi::start().await;
    api.compute(|request| {
        let shown = |number: i64| {
            let email = format!("person{number}@example.org");
            let since = "2026-03-02T00:00:00Z";
            json!({ "email": email, "subscribed": false, "consent": "unsubscribed", "consent_since": since })
        };
        let is_about = |number: &i64| request.query.contains(&format!("person{number}%40"));
        match &*request.method {
            // The server shows at most one row.
            "GET" => Reply::json(200, &(1..=3).filter(is_about).map(shown).take(1).collect()),
            _ if request.header("prefer").unwrap().contains("ignore") => Reply::json(201, &json!([])),
            _ => written(request),
        }
    });
    let batch = [1, 2, 3].map(|number| subscriber(number, "2026-03-01T09:30:00Z"));
    let results = connect(&api.url(""), "contacts = { table = 'contacts' }")
        .deliver(&batch)
        .await;
    assert_eq!(outcomes(&results), ["delivered"; 3], "{results:?}");
    let requests = api.requests();
    let mut updates = requests.iter().skip(1).filter(|request| request.method == "POST");
    assert!(
        updates.all(|update| !update.text().contains("subscribed")),
        "{requests:?}"
    );
}

#[tokio::test]
async fn an_opt_out_changes_consent_and_inserts_nobody() {
    let api = FakeApi::start().await;
    api.compute(written);
    let connected = connect(&api.url(""), TABLES);
    let mut leaves = opt_out(1, "2026-03-02T00:00:00Z");
    leaves.record.action = None;
    let results = connected.deliver(std::slice::from_ref(&leaves)).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    let request = api.requests().pop().unwrap();
    assert_eq!((&*request.method, &*request.path), ("PATCH", CONTACTS));
    assert_eq!(
        request.query,
        "and=(email.eq.%22person1%40example.org%22)&select=email"
    );
    let expected = json!({
        "subscribed": false, "consent": "unsubscribed", "consent_since": "2026-03-02T00:00:00Z", "source": "proca",
        "updated_at": "2026-03-01T09:30:00Z",
    });
    assert_eq!(request.json(), expected);
    // Nobody is there.
    api.reset();
    api.reply(Reply::json(200, &json!([])));
    let results = connected.deliver(std::slice::from_ref(&leaves)).await;
    assert_eq!(outcomes(&results), ["skip"]);
    // No table, or no column, for it.
    for own in [
        "actions = { table = 'actions' }",
        "contacts = { table = 'contacts', columns = { email = 'contact.email' } }",
    ] {
        let results = connect(&api.url(""), own)
            .deliver(std::slice::from_ref(&leaves))
            .await;
        assert_eq!(outcomes(&results), ["skip"]);
        assert!(reason(&results[0]).contains("by hand"), "{results:?}");
    }
    assert_eq!(api.requests().len(), 1);
    // A value that cannot be computed does not stop it.
    api.compute(written);
    let odd = "contacts = { table = 'contacts', columns = { email = 'contact.email', s = 'consent.email.subscribed', n = 'action.fields.x | int', c = \"{{ action.fields.y | int }}{{ change }}\" } }";
    let results = connect(&api.url(""), odd).deliver(&[leaves]).await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    assert_eq!(api.requests().pop().unwrap().json()["s"], false);
}

#[tokio::test]
async fn a_former_address_does_not_take_the_consent_of_the_present_one() {
    let api = FakeApi::start().await;
    api.compute(written);
    let own = "contacts = { table = 'contacts', key = ['ref'], columns = { ref = 'contact.ids.crm', email = 'contact.email', s = 'consent.email.subscribed' } }";
    let mut leaves = opt_out(1, "2026-03-02T00:00:00Z");
    leaves
        .record
        .identities
        .push(causeway_core::contact::Identity::ForeignId {
            namespace: "crm".into(),
            id: "7".into(),
        });
    leaves
        .record
        .identities
        .push(causeway_core::contact::Identity::Email {
            address: "new@example.org".into(),
        });
    connect(&api.url(""), own).deliver(&[leaves]).await;
    let query = api.requests().pop().unwrap().query;
    assert_eq!(
        query,
        "and=(ref.eq.%227%22)&or=(email.is.null,email.not.in.(%22new%40example.org%22))&select=ref"
    );
}

#[tokio::test]
async fn an_erasure_deletes_actions_and_then_the_contact() {
    let gone = withdrawal(1, Change::Remove);
    for (own, calls) in [
        ("", vec!["DELETE actions", "DELETE contacts"]),
        ("on_remove = 'blank'", vec!["DELETE actions", "PATCH contacts"]),
        (
            "on_remove = 'unsubscribe'",
            vec!["DELETE actions", "PATCH contacts"],
        ),
    ] {
        let api = FakeApi::start().await;
        api.reply(Reply::json(200, &json!([])));
        let more = format!("[contacts]\ntable = 'contacts'\n{own}\n[actions]\ntable = 'actions'");
        let results = connect(&api.url(""), &more)
            .deliver(std::slice::from_ref(&gone))
            .await;
        assert_eq!(outcomes(&results), ["delivered"], "{own}");
        assert_eq!(support::calls(&api, "/rest/v1/"), calls);
        let requests = api.requests();
        assert_eq!(
            requests[0].query,
            "and=(email.eq.%22person1%40example.org%22)&select=source,action_id"
        );
        if own.contains("blank") {
            let body = requests[1].json();
            assert_eq!(body["first_name"], Value::Null);
            assert!(
                body["email"].as_str().unwrap().starts_with("erased-cw_"),
                "{body}"
            );
            assert_eq!(body.get("source"), None);
        }
        if own.contains("unsubscribe") {
            assert_eq!(requests[1].json()["subscribed"], false);
            assert_eq!(requests[1].json().get("email"), None);
        }
    }
    // Rows of another table still refer to the contact.
    let api = FakeApi::start().await;
    let refers = "update or delete on table \"contacts\" violates foreign key constraint \"gifts_fkey\" on table \"gifts\"";
    api.compute(move |request| match &*request.method {
        "DELETE" => refusal(409, "23503", refers),
        _ => written(request),
    });
    let results = connect(&api.url(""), "contacts = { table = 'contacts' }")
        .deliver(&[gone])
        .await;
    assert_eq!(outcomes(&results), ["reject"]);
    assert!(reason(&results[0]).contains("(gifts_fkey)"), "{results:?}");
    assert_eq!(api.requests().pop().unwrap().json()["subscribed"], false);
}

#[tokio::test]
async fn one_bad_row_is_found_and_the_others_are_written() {
    let api = FakeApi::start().await;
    let poisoned = |request: &Request| {
        let is_bad = request.text().contains("person6@");
        if is_bad {
            refusal(400, "22001", "value too long for type character varying(2)")
        } else {
            written(request)
        }
    };
    api.compute(poisoned);
    let batch: Vec<Delivery> = (1..=20).map(delivery).collect();
    let results = connect(&api.url(""), TABLES).deliver(&batch).await;
    let mut expected = ["delivered"; 20];
    expected[5] = "reject";
    assert_eq!(outcomes(&results), expected);
    assert!(
        reason(&results[5]).ends_with("22001, a text is too long for its column"),
        "{results:?}"
    );
    // The action of a contact who was refused is not written, and each of the others once.
    let actions = api
        .requests()
        .into_iter()
        .filter(|request| request.path == ACTIONS);
    assert_eq!(actions.map(|request| rows(&request)).sum::<usize>(), 19);
}

#[tokio::test]
async fn an_opt_out_is_written_though_its_row_is_refused() {
    let api = FakeApi::start().await;
    api.compute(|request| match &*request.method {
        "POST" => refusal(400, "22001", "value too long for type character varying(30)"),
        _ => written(request),
    });
    let since = "2026-03-02T00:00:00Z".parse().unwrap();
    let state = ConsentState::Suppressed {
        since,
        why: Suppression::Bounced,
    };
    let bounced = with_state(delivery(1), Change::Suppress, state);
    let results = connect(&api.url(""), TABLES).deliver(&[bounced]).await;
    assert_eq!(outcomes(&results), ["reject"], "{results:?}");
    assert!(
        reason(&results[0]).ends_with("only the consent was written"),
        "{results:?}"
    );
    let patch = api.requests().pop().unwrap();
    let expected =
        json!({ "subscribed": false, "consent": "suppressed", "consent_since": "2026-03-02T00:00:00Z" });
    assert_eq!((patch.method.as_str(), patch.json()), ("PATCH", expected));
}

#[tokio::test]
async fn a_withdrawal_is_written_though_its_other_values_are_refused() {
    let leaves = opt_out(1, "2026-03-02T00:00:00Z");
    let whole =
        json!({ "subscribed": false, "consent": "unsubscribed", "consent_since": "2026-03-02T00:00:00Z" });
    for (refused, calls, sent) in [
        ("source", 2, whole),
        (
            "consent_since",
            3,
            json!({ "subscribed": false, "consent": "unsubscribed" }),
        ),
    ] {
        let api = FakeApi::start().await;
        api.compute(move |request| {
            if request.text().contains(refused) {
                refusal(400, "22001", "value too long for type character varying(2)")
            } else {
                written(request)
            }
        });
        let results = connect(&api.url(""), TABLES)
            .deliver(std::slice::from_ref(&leaves))
            .await;
        assert_eq!(outcomes(&results), ["reject"], "{results:?}");
        assert!(
            reason(&results[0]).ends_with("only the consent was written"),
            "{results:?}"
        );
        let requests = api.requests();
        assert_eq!((requests.len(), requests[calls - 1].json()), (calls, sent));
        assert_eq!(results[0].memory.as_ref().unwrap()["opted_out"], true);
    }
    // The flag itself is refused.
    let api = FakeApi::start().await;
    api.reply(refusal(
        400,
        "22001",
        "value too long for type character varying(2)",
    ));
    let results = connect(&api.url(""), TABLES).deliver(&[leaves]).await;
    assert_eq!((outcomes(&results), api.requests().len()), (vec!["reject"], 3));
    assert!(!reason(&results[0]).contains("was written"), "{results:?}");
    // A row that cannot be emptied shows the opt-out all the same.
    let api = FakeApi::start().await;
    api.compute(|request| {
        if request.text().contains("first_name") {
            refusal(
                400,
                "23502",
                "null value in column \"first_name\" violates not-null constraint",
            )
        } else {
            written(request)
        }
    });
    let own = "contacts = { table = 'contacts', on_remove = 'blank' }";
    let results = connect(&api.url(""), own)
        .deliver(&[withdrawal(1, Change::Remove)])
        .await;
    assert_eq!(outcomes(&results), ["reject"], "{results:?}");
    assert!(reason(&results[0]).contains("(first_name)"), "{results:?}");
    assert_eq!(api.requests().pop().unwrap().json()["subscribed"], false);
}

#[tokio::test]
async fn an_action_that_was_not_inserted_must_be_there() {
    for (there, expected, calls) in [
        (vec![1, 2, 3], ["delivered"; 3], 2),
        (vec![1, 3], ["delivered", "reject", "delivered"], 6),
    ] {
        let api = FakeApi::start().await;
        api.compute(move |request| match &*request.method {
            "GET" => {
                let is_asked_for =
                    |number: &&i64| request.query.contains(&format!("action_id.eq.%22{number}%22"));
                let row = |number: &i64| json!({ "source": "proca", "action_id": number.to_string() });
                Reply::json(200, &there.iter().filter(is_asked_for).map(row).collect())
            }
            _ => Reply::json(201, &json!([])),
        });
        let batch: Vec<Delivery> = (1..=3).map(delivery).collect();
        let results = connect(&api.url(""), "actions = { table = 'actions' }")
            .deliver(&batch)
            .await;
        assert_eq!(outcomes(&results), expected, "{results:?}");
        assert_eq!(api.requests().len(), calls, "{:?}", api.requests());
    }
}

#[tokio::test]
async fn a_row_that_a_trigger_leaves_out_is_not_delivered() {
    let api = FakeApi::start().await;
    api.compute(|request| match &*request.method {
        "GET" => Reply::json(200, &json!([])),
        _ => Reply::json(201, &json!([])),
    });
    let results = connect(&api.url(""), "contacts = { table = 'contacts' }")
        .deliver(&[delivery(1)])
        .await;
    assert_eq!(outcomes(&results), ["reject"]);
    assert!(reason(&results[0]).contains("a trigger"), "{results:?}");
    // Neither does a page, nor an empty body, confirm anything.
    for reply in [
        Reply::status(200).body("<html>Welcome</html>"),
        Reply::status(201),
        Reply::json(201, &json!({})),
    ] {
        api.reset();
        api.reply(reply);
        let results = connect(&api.url(""), TABLES)
            .deliver(&[delivery(1), withdrawal(2, Change::Unsubscribe)])
            .await;
        assert_eq!(outcomes(&results), ["retry"; 2]);
    }
}

fn judged(status: u16, code: &str, message: &str) -> Verdict {
    let body =
        json!({ "code": code, "message": message, "details": "Key (email)=(a@example.org)", "hint": null });
    let answer = Answer {
        status,
        headers: HeaderMap::new(),
        body: body.to_string().into_bytes(),
        complete: true,
    };
    verdict(&answer, Timestamp::UNIX_EPOCH)
}

/// Status, code, what it means, and PostgreSQL's or PostgREST's message.
const ERRORS: &str = r#"409 | 23505 | spoiled | duplicate key value violates unique constraint "contacts_phone_key"
409 | 23503 | spoiled | insert or update on table "a" violates foreign key constraint "a_fkey"
400 | 23502 | no value | null value in column "name" of relation "contacts" violates not-null constraint
400 | 22P02 | spoiled | invalid input syntax for type integer: "a@example.org"
400 | P0001 | spoiled | no a@example.org here
500 | P0002 | spoiled | query returned no rows
500 | 21000 | spoiled | ON CONFLICT DO UPDATE command cannot affect row a second time
500 | 54000 | spoiled | index row size exceeds maximum
403 | 42501 | policy | new row violates row-level security policy for table "contacts"
403 | 42501 | halt | permission denied for table contacts
404 | 42P01 | halt | relation "contacts" does not exist
404 | PGRST205 | halt | Could not find the table 'public.contacts' in the schema cache
400 | PGRST204 | halt | Could not find the 'shoe' column of 'contacts' in the schema cache
400 | 42703 | halt | column contacts.shoe does not exist
400 | 42P10 | halt | there is no unique or exclusion constraint matching the ON CONFLICT specification
401 | PGRST301 | halt | Expected 3 parts in JWT; got 1
401 | PGRST303 | halt | JWT expired
401 | PGRST303 | retry | JWT issued at future
403 | 28000 | halt | role is not permitted to log in
500 | 40001 | retry | could not serialize access
500 | 40P01 | retry | deadlock detected
500 | 55P03 | retry | lock not available
500 | 57014 | too much | canceling statement due to statement timeout
503 | 57P01 | retry | terminating connection due to administrator command
503 | 53300 | retry | too many connections
503 | PGRST002 | retry | Could not query the database for the schema cache. Retrying.
504 | PGRST003 | retry | Timed out acquiring connection from connection pool.
405 | 25006 | busy | cannot execute INSERT in a read-only transaction
429 | PT429 | busy | slow down a@example.org
402 | PT402 | spoiled | pay
400 | a@example.org | spoiled | x"#;

#[test]
fn the_code_decides_what_an_error_means() {
    for line in ERRORS.lines() {
        let fields: Vec<&str> = line.splitn(4, " | ").collect();
        let [status, code, expected, message] = fields[..] else {
            panic!("{line}")
        };
        let found = judged(status.parse().unwrap(), code, message);
        let (name, reason) = match &found {
            Verdict::All(outcome) => (outcome.as_str(), outcome.reason().unwrap_or_default()),
            Verdict::Spoiled(reason) => ("spoiled", reason.as_str()),
            Verdict::TooMuch(reason) => ("too much", reason.as_str()),
            Verdict::Policy(reason) => ("policy", reason.as_str()),
            Verdict::NoValue(reason) => ("no value", reason.as_str()),
            Verdict::Referenced(reason) => ("referenced", reason.as_str()),
        };
        assert_eq!(name, expected, "{status} {code}: {found:?}");
        assert!(!reason.is_empty() && !reason.contains('@'), "{reason}");
    }
    let Verdict::All(Outcome::Halt { reason }) = judged(400, "42703", "column contacts.shoe does not exist")
    else {
        panic!("no halt");
    };
    assert!(reason.contains("(contacts.shoe)"), "{reason}");
}

#[tokio::test]
async fn errors_in_front_of_the_api_are_understood() {
    for (reply, outcome, text) in [
        (
            Reply::json(401, &json!({ "message": "Invalid API key" })),
            "halt",
            "secret key",
        ),
        (
            Reply::json(402, &json!({ "message": "exceed_egress_quota" })),
            "halt",
            "bills",
        ),
        (Reply::status(540), "halt", "paused"),
        (
            Reply::json(404, &json!({ "error": "requested path is invalid" })),
            "halt",
            "base_url",
        ),
        (
            Reply::json(429, &json!({ "message": "x" })).header("retry-after", "7"),
            "busy",
            "429",
        ),
        (
            Reply::status(521).body("<html>Web server is down"),
            "retry",
            "521",
        ),
        (Reply::status(413).body("<html>"), "reject", "too large"),
    ] {
        let api = FakeApi::start().await;
        api.reply(reply);
        let results = connect(&api.url(""), TABLES)
            .deliver(&[delivery(1), delivery(2)])
            .await;
        assert_eq!(outcomes(&results), [outcome; 2], "{text}: {results:?}");
        assert!(reason(&results[0]).contains(text), "{results:?}");
    }
}

#[tokio::test]
async fn each_kind_of_key_is_in_its_headers() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.x";
    for (own, apikey, bearer) in [
        ("api_key = 'sb_secret_x'".to_owned(), Some("sb_secret_x"), None),
        (format!("api_key = '{jwt}'"), Some(jwt), Some(jwt)),
        ("token = 'a.b.c'".to_owned(), None, Some("a.b.c")),
        (
            "api_key = 'sb_publishable_x'\ntoken = 'a.b.c'\nschema = 'api'".to_owned(),
            Some("sb_publishable_x"),
            Some("a.b.c"),
        ),
    ] {
        let api = FakeApi::start().await;
        api.compute(written);
        let own = table(&api.url(""), &format!("{own}\n{TABLES}"));
        let connected = (KIND.connect)(&context(), &own).unwrap();
        connected.deliver(&[delivery(1)]).await;
        let request = api.requests().remove(0);
        assert_eq!(request.header("apikey"), apikey);
        assert_eq!(
            request.header("authorization").map(str::to_owned),
            bearer.map(|token| format!("Bearer {token}"))
        );
        assert_eq!(
            request.header("content-profile").is_some(),
            own.contains_key("schema")
        );
    }
}

#[test]
fn wrong_keys_of_the_configuration_are_named() {
    for (text, key) in [
        ("api_key = 'x'", "contacts"),
        (TABLES, "api_key"),
        (
            "api_key = 'x'\ntoken = 'y'\nuser = { email = 'a', password = 'b' }\ncontacts = { table = 'c' }",
            "user",
        ),
        (
            "token = 'y'\nuser = { email = 'a', password = 'b' }\ncontacts = { table = 'c' }",
            "user",
        ),
        (
            "api_key = 'x'\ncontacts = { table = 'public.c' }",
            "contacts.table",
        ),
        (
            "api_key = 'x'\ncontacts = { table = 'c', key = ['id'] }",
            "contacts.key",
        ),
        (
            "api_key = 'x'\ncontacts = { table = 'c', key = [] }",
            "contacts.key",
        ),
        (
            "api_key = 'x'\ncontacts = { table = 'c', on_remove = 'keep' }",
            "contacts.on_remove",
        ),
        (
            "api_key = 'x'\nactions = { table = 'c', on_remove = 'unsubscribe' }",
            "actions.on_remove",
        ),
        (
            "api_key = 'x'\ncontacts = { table = 'c', columns = { email = 'contct.email' } }",
            "contacts.columns.email",
        ),
    ] {
        let error = (KIND.parse)(
            &causeway_core::mapping::Tables::default(),
            &table("http://127.0.0.1", text),
        );
        assert_eq!(error.unwrap_err().key, key, "{text}");
    }
    let project = toml::from_str(&format!(
        "base_url = 'https://abc.supabase.co'\napi_key = 'x'\n{TABLES}"
    ))
    .unwrap();
    let error = (KIND.parse)(&causeway_core::mapping::Tables::default(), &project).unwrap_err();
    assert!(error.to_string().contains("REST API"), "{error}");
    // A time-out of a sign-in at another address.
    let own = "api_key = 'x'\nuser = { email = 'a', password = 'b', auth_url = 'http://127.0.0.1/auth/v1' }";
    let own = table("http://127.0.0.1", &format!("{own}\n{TABLES}"));
    assert!((KIND.parse)(&causeway_core::mapping::Tables::default(), &own).is_ok());
}

/// One person finds the same columns in a table of one's own and behind the API.
#[test]
fn the_default_columns_are_those_of_sql() {
    let columns = |sample: &str| {
        let whole: toml::Table = toml::from_str(sample).unwrap();
        let own = whole["destination"]
            .as_table()
            .unwrap()
            .values()
            .next()
            .unwrap()
            .clone();
        let of = |table: &str| own[table]["columns"].as_table().unwrap().clone();
        (of("contacts"), of("actions"))
    };
    assert_eq!(columns(KIND.sample), columns(sql::KIND.sample));
}

#[test]
fn a_preview_shows_the_requests_of_each_change() {
    let mut person = subscriber(1, "2026-03-01T09:30:00Z");
    person.record.action = None;
    let own = table("http://127.0.0.1", &format!("api_key = 'sb_secret_x'\n{TABLES}"));
    let batch = [
        subscriber(1, "2026-03-01T09:30:00Z"),
        opt_out(2, "2026-03-02T00:00:00Z"),
        withdrawal(3, Change::Remove),
    ];
    let previews = (KIND.preview)(&context(), &own, &batch).unwrap();
    let previews: Vec<String> = previews.into_iter().map(Result::unwrap).collect();
    insta::assert_snapshot!(previews.join("\n\n=====\n\n"));
}

#[tokio::test]
async fn a_time_out_of_a_statement_makes_smaller_ones() {
    let api = FakeApi::start().await;
    api.compute(|request| {
        if rows(request) > 3 {
            return refusal(500, "57014", "canceling statement due to statement timeout");
        }
        written(request)
    });
    let batch: Vec<Delivery> = (1..=8).map(delivery).collect();
    let results = connect(&api.url(""), TABLES).deliver(&batch).await;
    assert_eq!(outcomes(&results), ["delivered"; 8]);
    api.reset();
    api.reply(refusal(500, "57014", "canceling statement due to statement timeout").after(Duration::ZERO));
    let results = connect(&api.url(""), TABLES).deliver(&batch).await;
    assert_eq!(outcomes(&results), ["retry"; 8]);
}
