mod vendor;

use std::time::Duration;

use causeway_core::{
    consent::{ConsentState, Suppression},
    destination::Destination,
};
use causeway_testkit::{
    destination_contract::{self, Contract, delivery},
    fake_api::{FakeApi, Reply, Request},
};
use serde_json::json;

use super::*;
use crate::config::Context;
use crate::destination::tests::support::{self, outcomes, subscriber};

const CONTACTS: &str = "/api/contacts";
const WRITE: &str = "/api/contacts/batch/new";
const SINCE: &str = "2026-03-01T09:30:00Z";

fn context() -> Context {
    support::context("mautic")
}

fn table(api: &str, more: &str) -> toml::Table {
    // Nobody moves the test's clock, so the calls must not wait for it.
    let keys = format!(
        "user = 'causeway'\npassword = 'secret'\nbase_url = '{api}'\nallow_private = true\n\
         calls_per_s = 1000000\n{more}"
    );
    toml::from_str(&keys).unwrap()
}

fn connect(api: &str, more: &str) -> Box<dyn Destination> {
    (KIND.connect)(&context(), &table(api, more)).unwrap()
}

fn withdrawal(change: Change) -> Delivery {
    support::withdrawal(1, change)
}

fn calls(api: &FakeApi) -> Vec<String> {
    support::calls(api, "/api/")
}

fn contact(id: u64, email: &str, entries: &Value) -> Value {
    let all = json!({
        "email": email, "firstname": null, "lastname": null, "phone": null, "address1": null, "zipcode": null,
        "city": null, "country": null,
    });
    json!({ "id": id, "fields": { "all": all }, "doNotContact": entries })
}

/// An entry that somebody else made.
fn entry(reason: u64, since: &str) -> Value {
    json!([{ "id": 1, "channel": "email", "reason": reason, "comments": "User unsubscribed.", "dateAdded": since }])
}

fn nobody() -> Reply {
    Reply::json(200, &json!({ "total": "0", "contacts": [] }))
}

fn found(entries: &Value) -> Reply {
    let one = contact(7, "Person1@example.org", entries);
    Reply::json(200, &json!({ "total": "1", "contacts": { "7": one } }))
}

/// Each contact of a batch is created. It has these entries, or those that it was given.
fn written(request: &Request, entries: &Value) -> Reply {
    let rows = request.json().as_array().unwrap().clone();
    let contacts: Vec<Value> = rows
        .iter()
        .zip(7..)
        .map(|(row, id)| {
            let given = row.get("doNotContact").unwrap_or(entries);
            contact(id, row["email"].as_str().unwrap(), given)
        })
        .collect();
    let body = json!({ "contacts": contacts, "statusCodes": vec![201; rows.len()] });
    Reply::json(201, &body)
}

fn accept(api: &FakeApi) {
    api.reply_at(CONTACTS, nobody());
    api.compute_at(WRITE, |request| written(request, &json!([])));
}

#[tokio::test]
async fn keeps_the_destination_contract() {
    destination_contract::run(&Contract {
        connect: &|url| connect(url, ""),
        accept: &accept,
        batch: 3,
    })
    .await;
}

#[tokio::test]
async fn a_batch_is_one_search_and_one_call() {
    let api = FakeApi::start().await;
    accept(&api);
    let batch = [subscriber(1, SINCE), delivery(2), delivery(3)];
    let results = connect(&api.url(""), "segments = []").deliver(&batch).await;
    assert_eq!(outcomes(&results), ["delivered"; 3]);
    assert_eq!(calls(&api), ["GET contacts", "POST contacts/batch/new"]);
    let search = "where%5B0%5D%5Bcol%5D=email&where%5B0%5D%5Bexpr%5D=in&where%5B0%5D%5Bval%5D=\
                  %22person2%40example.org%22\
                  %2C%22person3%40example.org%22&limit=500";
    assert_eq!(api.requests()[0].query, search);
    let rows = api.requests()[1].json();
    let entry = json!([{ "channel": "email", "reason": 3, "comments": "Causeway (email): did not agree" }]);
    assert_eq!(
        (&rows[0]["doNotContact"], &rows[1]["doNotContact"]),
        (&Value::Null, &entry)
    );
    assert_eq!(rows[0]["country"], "Hungary");
    assert_eq!(rows[0]["tags"], json!(["rivers"]));
}

#[tokio::test]
async fn only_new_contacts_without_consent_are_closed() {
    // A person who is there already keeps what Mautic has, whatever an action without an opt-in says.
    for (reply, more, expected) in [
        (nobody(), "", true),
        (found(&json!([])), "", false),
        (found(&entry(1, SINCE)), "", false),
        (nobody(), "others = 'contactable'", false),
    ] {
        let api = FakeApi::start().await;
        accept(&api);
        api.reply_at(CONTACTS, reply);
        let results = connect(&api.url(""), more).deliver(&[delivery(1)]).await;
        assert_eq!(outcomes(&results), ["delivered"]);
        let body = api.requests().last().unwrap().json();
        assert_eq!(body[0].get("doNotContact").is_some(), expected, "{more}");
    }
    // A site that passes over the entry is asked again.
    let api = FakeApi::start().await;
    api.reply_at(CONTACTS, nobody());
    let open = json!({ "contacts": [contact(7, "person1@example.org", &json!([]))], "statusCodes": [201] });
    api.reply_at(WRITE, Reply::json(201, &open));
    let closed = json!({ "contact": contact(7, "person1@example.org", &entry(3, SINCE)) });
    api.reply_at("/api/contacts/7/dnc/email/add", Reply::json(200, &closed));
    let results = connect(&api.url(""), "").deliver(&[delivery(1)]).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    assert_eq!(calls(&api)[2], "POST contacts/7/dnc/email/add");
    // The change alone is no opt-in.
    let api = FakeApi::start().await;
    accept(&api);
    let mut unknown = delivery(1);
    unknown.record.change = Change::Subscribe;
    connect(&api.url(""), "segments = [3]").deliver(&[unknown]).await;
    assert_eq!(calls(&api), ["GET contacts", "POST contacts/batch/new"]);
    assert!(api.requests()[1].json()[0]["doNotContact"].is_array());
}

#[tokio::test]
async fn an_opt_in_stands_only_against_older_entries() {
    let ours = |reason: u64| {
        let comments = "Causeway (email): opted out";
        let at = "2026-03-02T00:00:00+00:00";
        json!([{ "channel": "email", "reason": reason, "comments": comments, "dateAdded": at }])
    };
    let both = json!([ours(1)[0], entry(1, "2026-03-02T00:00:00+00:00")[0]]);
    let other =
        json!([{ "channel": "sms", "reason": 1, "comments": "", "dateAdded": "2026-03-02T00:00:00+00:00" }]);
    // As PHP writes a list with a gap.
    let gap = json!({ "1": entry(1, "2026-03-02T00:00:00+00:00")[0] });
    for (entries, is_removed, is_noted) in [
        (json!([]), false, false),
        (entry(1, "2026-03-02T00:00:00+00:00"), false, true),
        (entry(3, "2026-02-01T00:00:00-06:00"), true, false),
        // Within the time in which a click may be a scanner's.
        (entry(1, "2026-03-01T09:28:00+00:00"), false, true),
        (entry(2, "2026-02-01T00:00:00+00:00"), false, true),
        (entry(1, "yesterday"), false, true),
        (entry(0, "2026-03-02T00:00:00+00:00"), false, false),
        (ours(1), true, false),
        (ours(3), true, false),
        (both, false, true),
        (other, false, false),
        (gap, false, true),
    ] {
        let api = FakeApi::start().await;
        let shown = entries.clone();
        api.compute_at(WRITE, move |request| written(request, &shown));
        let open = json!({ "recordFound": true, "contact": contact(7, "person1@example.org", &json!([])) });
        api.reply_at("/api/contacts/7/dnc/email/remove", Reply::json(200, &open));
        let joined = json!({ "success": 1, "details": { "7": { "success": true } } });
        api.reply_at("/api/segments/3/contacts/add", Reply::json(200, &joined));
        let results = connect(&api.url(""), "segments = [3]")
            .deliver(&[subscriber(1, SINCE)])
            .await;
        assert_eq!(outcomes(&results), ["delivered"], "{entries}");
        assert_eq!(
            !results[0].notes.is_empty(),
            is_noted,
            "{entries}: {:?}",
            results[0].notes
        );
        let mut expected = vec!["POST contacts/batch/new"];
        expected.extend(is_removed.then_some("POST contacts/7/dnc/email/remove"));
        expected.extend((!is_noted).then_some("POST segments/3/contacts/add"));
        assert_eq!(calls(&api), expected, "{entries}");
    }
}

#[tokio::test]
async fn a_withdrawal_closes_every_contact_with_the_address_and_creates_none() {
    let suppressed = |why| {
        let mut delivery = withdrawal(Change::Suppress);
        let since = SINCE.parse().unwrap();
        let state = ConsentState::Suppressed { since, why };
        delivery.record.consent_state.insert("email".to_owned(), state);
        delivery
    };
    for (delivery, reason, text) in [
        (withdrawal(Change::Unsubscribe), 1, "opted out"),
        (withdrawal(Change::None), 1, "opted out"),
        (withdrawal(Change::Suppress), 2, "bounced"),
        (suppressed(Suppression::Blocked), 2, "blocked"),
        (suppressed(Suppression::Complained), 1, "complained"),
    ] {
        let api = FakeApi::start().await;
        let (one, two) = (
            contact(7, "person1@example.org", &json!([])),
            contact(8, "PERSON1@example.org", &json!([])),
        );
        // The database also finds what it takes for the same letters.
        let other = contact(9, "pérson1@example.org", &json!([]));
        let rows = json!({ "7": one, "8": two, "9": other });
        api.reply_at(
            CONTACTS,
            Reply::json(200, &json!({ "total": 3, "contacts": rows })),
        );
        for id in [7, 8] {
            let closed = json!({ "contact": contact(id, "person1@example.org", &entry(reason, SINCE)) });
            let path = format!("/api/contacts/{id}/dnc/email/add");
            api.reply_at(&path, Reply::json(200, &closed));
        }
        let results = connect(&api.url(""), "").deliver(&[delivery]).await;
        assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
        assert_eq!(
            calls(&api),
            [
                "GET contacts",
                "POST contacts/8/dnc/email/add",
                "POST contacts/7/dnc/email/add"
            ]
        );
        let body = api.requests()[1].json();
        assert_eq!(
            body,
            json!({ "reason": reason, "comments": format!("Causeway (email): {text}") })
        );
    }
    for change in [Change::Unsubscribe, Change::Remove] {
        let api = FakeApi::start().await;
        api.reply_at(CONTACTS, nobody());
        let results = connect(&api.url(""), "").deliver(&[withdrawal(change)]).await;
        assert_eq!(outcomes(&results), ["delivered"]);
        assert_eq!(results[0].notes, ["Mautic has no contact with this address"]);
        assert_eq!(calls(&api), ["GET contacts"]);
    }
}

#[tokio::test]
async fn only_a_readable_response_confirms() {
    let page = || {
        Reply::status(200)
            .header("content-type", "text/html")
            .body("<html>Welcome</html>")
    };
    let open = Reply::json(
        200,
        &json!({ "contact": contact(7, "person1@example.org", &json!([])) }),
    );
    let other = Reply::json(
        200,
        &json!({ "contact": contact(8, "person1@example.org", &entry(1, SINCE)) }),
    );
    for reply in [
        page(),
        Reply::json(200, &json!({})),
        Reply::status(204),
        open,
        other,
    ] {
        let api = FakeApi::start().await;
        api.reply_at(CONTACTS, found(&json!([])));
        api.reply_at("/api/contacts/7/dnc/email/add", reply);
        let results = connect(&api.url(""), "")
            .deliver(&[withdrawal(Change::Unsubscribe)])
            .await;
        assert_eq!(outcomes(&results), ["retry"], "{results:?}");
    }
    let without = json!({ "id": 7, "fields": { "all": { "email": "person1@example.org" } } });
    for reply in [
        page(),
        Reply::json(200, &json!({ "total": "0" })),
        Reply::json(200, &json!({ "contacts": [] })),
        // Whether the person is closed already is not shown.
        Reply::json(200, &json!({ "total": "1", "contacts": { "7": without } })),
        found(&json!([])).cut(),
    ] {
        let api = FakeApi::start().await;
        api.reply_at(CONTACTS, reply);
        let results = connect(&api.url(""), "")
            .deliver(&[withdrawal(Change::Unsubscribe)])
            .await;
        assert_eq!(outcomes(&results), ["retry"], "{results:?}");
    }
    let of_eve = json!({ "contacts": [contact(7, "eve@example.org", &json!([]))], "statusCodes": [201] });
    let short = json!({ "contacts": [], "statusCodes": [] });
    for reply in [page(), Reply::json(201, &of_eve), Reply::json(201, &short)] {
        let api = FakeApi::start().await;
        api.reply_at(WRITE, reply);
        let results = connect(&api.url(""), "").deliver(&[subscriber(1, SINCE)]).await;
        assert_eq!(outcomes(&results), ["retry"], "{results:?}");
    }
}

#[tokio::test]
async fn each_contact_of_a_batch_has_its_own_outcome() {
    let api = FakeApi::start().await;
    let row =
        |code: u64, details: Value| json!({ "code": code, "message": "x", "details": details, "type": null });
    // The errors are a list only if their numbers have no gap.
    let body = json!({
        "contacts": { "0": contact(7, "person1@example.org", &json!([])) },
        "statusCodes": [201, 400, 403, 400, 500],
        "errors": {
            "1": row(400, json!({ "email": ["This value is not valid."] })), "2": row(403, json!([])),
            "3": row(400, json!({ "stage": ["x"] })), "4": row(500, json!([])),
        },
    });
    api.reply_at(WRITE, Reply::json(201, &body));
    let batch: Vec<Delivery> = (1..=5).map(|number| subscriber(number, SINCE)).collect();
    let results = connect(&api.url(""), "").deliver(&batch).await;
    assert_eq!(
        outcomes(&results),
        ["delivered", "reject", "halt", "reject", "retry"]
    );
    let reason = |at: usize| results[at].outcome.reason().unwrap();
    assert_eq!(reason(1), "answered 400: Mautic refuses the address");
    assert_eq!(reason(3), "answered 400: Mautic refuses the contact: stage");
}

#[tokio::test]
async fn a_batch_that_one_contact_spoils_is_halved() {
    let generic = json!({ "errors": [{ "message": "error #500", "code": 500, "type": null }] });
    let api = FakeApi::start().await;
    api.compute_at(WRITE, move |request| {
        if request.text().contains("person3@") {
            return Reply::json(500, &generic);
        }
        written(request, &json!([]))
    });
    let batch: Vec<Delivery> = (1..=4).map(|number| subscriber(number, SINCE)).collect();
    let results = connect(&api.url(""), "").deliver(&batch).await;
    assert_eq!(
        outcomes(&results),
        ["delivered", "delivered", "retry", "delivered"]
    );
    // An outage is no reason to send each contact by itself.
    let api = FakeApi::start().await;
    api.reply_at(WRITE, Reply::status(500).body("<html>Oops</html>"));
    let results = connect(&api.url(""), "").deliver(&batch).await;
    assert_eq!((outcomes(&results), api.requests().len()), (vec!["retry"; 4], 1));
}

#[tokio::test]
async fn errors_end_only_what_they_are_about() {
    let error = |status, kind: &str| {
        Reply::json(
            status,
            &json!({ "errors": [{ "message": "x", "code": status, "type": kind }] }),
        )
    };
    for (reply, outcome, reason) in [
        (error(401, "access_denied"), "halt", "check `user` and `password`"),
        (error(403, "api_disabled"), "halt", "the API is switched off"),
        (
            error(403, "access_denied"),
            "halt",
            "Basic authentication is switched off",
        ),
        (error(403, ""), "halt", "the user's role"),
        (
            Reply::status(403).body("<html>Blocked</html>"),
            "retry",
            "other than JSON",
        ),
        (
            Reply::status(404).body("<html>Not found</html>"),
            "halt",
            "check `base_url`",
        ),
        (error(404, ""), "halt", "check `base_url`"),
        (error(400, ""), "reject", "Mautic refuses the contact"),
    ] {
        let api = FakeApi::start().await;
        api.reply_at(WRITE, reply);
        let results = connect(&api.url(""), "").deliver(&[subscriber(1, SINCE)]).await;
        assert_eq!(outcomes(&results), [outcome], "{results:?}");
        let found = results[0].outcome.reason().unwrap();
        assert!(found.contains(reason), "{found}");
    }
    // The contact is written, and its consent; a wrong segment must not hold up the opt-outs of others.
    for (reply, outcome) in [
        (error(404, ""), "reject"),
        (error(403, ""), "reject"),
        (
            Reply::json(
                200,
                &json!({ "success": 1, "details": { "7": { "success": false } } }),
            ),
            "retry",
        ),
    ] {
        let api = FakeApi::start().await;
        accept(&api);
        api.reply_at("/api/segments/3/contacts/add", reply);
        let results = connect(&api.url(""), "segments = [3]")
            .deliver(&[subscriber(1, SINCE)])
            .await;
        assert_eq!(outcomes(&results), [outcome], "{results:?}");
    }
}

#[tokio::test]
async fn a_limit_makes_all_wait_until_it_is_lifted() {
    let soon = context().clock.now().as_second() + 90;
    let body = json!({ "errors": [{ "code": 429, "message": "You exceeded the rate limit." }] });
    for (reply, expected) in [
        (
            Reply::json(429, &body).header("x-ratelimit-reset", &soon.to_string()),
            Duration::from_secs(90),
        ),
        (Reply::json(429, &body), Duration::from_mins(1)),
    ] {
        let api = FakeApi::start().await;
        api.reply_at(WRITE, reply);
        let results = connect(&api.url(""), "").deliver(&[subscriber(1, SINCE)]).await;
        let Outcome::Busy { after, .. } = results[0].outcome else {
            panic!("{results:?}")
        };
        assert_eq!(after, Some(expected));
    }
    // The last call of the hour.
    let api = FakeApi::start().await;
    api.compute_at(WRITE, move |request| {
        let reply = written(request, &json!([])).header("x-ratelimit-remaining", "0");
        reply.header("x-ratelimit-reset", &soon.to_string())
    });
    let batch = [subscriber(1, SINCE), subscriber(1, SINCE)];
    let results = connect(&api.url(""), "").deliver(&batch).await;
    assert_eq!(
        (outcomes(&results), api.requests().len()),
        (vec!["delivered", "busy"], 1)
    );
}

#[test]
fn the_keys_are_checked() {
    for (more, key) in [
        ("channel = 'e-mail list'", "channel"),
        ("segments = [0]", "segments"),
        ("calls_per_s = 0", "calls_per_s"),
        ("api_path = '../x'", "api_path"),
        ("base_url = 'https://mautic.example.org/api/'", "base_url"),
        ("user = 'a:b'", "user"),
        ("fields = { email = 'contact.email' }", "fields.email"),
        ("fields = { points = 5 }", "fields.points"),
        ("tags = ['contact.']", "tags.0"),
        ("oauth = { client_id = '1', client_secret = 'x' }", "oauth"),
        ("others = 'mailed'", "others"),
    ] {
        let mut own = table("https://mautic.example.org", "");
        own.extend(toml::from_str::<toml::Table>(more).unwrap());
        let error = (KIND.parse)(&context().tables, &own).err();
        let error = error.unwrap_or_else(|| panic!("{more}: no error"));
        assert_eq!(error.key, key, "{more}: {error}");
    }
    for (left_out, key) in [
        (&["user", "password"][..], "user"),
        (&["password"][..], "password"),
    ] {
        let mut own = table("https://mautic.example.org", "");
        own.retain(|name, _| !left_out.contains(&name));
        assert_eq!((KIND.parse)(&context().tables, &own).unwrap_err().key, key);
    }
}

#[test]
fn the_preview_shows_every_call() {
    let more = "segments = [3]\ntags = ['campaign.name', '=-old']\npoints = 5\n\
                note = { Action = 'action.type', Comment = 'action.fields.comment' }";
    let batch = [
        subscriber(1, SINCE),
        delivery(2),
        withdrawal(Change::Unsubscribe),
        withdrawal(Change::Remove),
    ];
    let previews = (KIND.preview)(
        &context(),
        &table("https://mautic.example.org/crm/", more),
        &batch,
    )
    .unwrap();
    let previews: Vec<String> = previews.into_iter().map(Result::unwrap).collect();
    insta::assert_snapshot!(previews.join("\n\n=====\n\n"));
}
