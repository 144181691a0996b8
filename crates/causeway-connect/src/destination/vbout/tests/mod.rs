mod vendor;

use std::{sync::Arc, time::Duration};

use causeway_core::{
    contact::{Field, LIST_FIELD_IDS},
    destination::{AttemptResult, Destination},
};
use causeway_testkit::{
    clock::TestClock,
    destination_contract::{self, Contract, delivery},
    fake_api::{FakeApi, Reply},
};
use serde_json::{Value, json};

use super::*;
use crate::destination::tests::support::{self, calls, outcomes, subscriber};

const FIELDS: &str = "fields = { 125 = 'contact.firstName', 1204 = 'contact.lastName' }";
const FIND: &str = "/1/emailmarketing/getcontactbyemail.json";
const CREATE: &str = "/1/emailmarketing/synccontact.json";
const EDIT: &str = "/1/emailmarketing/editcontact.json";
const SHOW: &str = "/1/emailmarketing/getcontact.json";
const DELETE: &str = "/1/emailmarketing/deletecontact.json";
const TIMELINE: &str = "/1/emailmarketing/getcontacttimeline.json";

fn context() -> Context {
    support::context("vbout")
}

fn table(api: &str, more: &str) -> toml::Table {
    // Nobody moves the test's clock, so the calls must not wait for it.
    let keys = format!(
        "api_key = 'secret key'\nlist = 524\nbase_url = '{api}'\nallow_private = true\ncalls_per_s = 1000000\n{more}"
    );
    toml::from_str(&keys).unwrap()
}

fn connect(api: &str, more: &str) -> Box<dyn Destination> {
    (KIND.connect)(&context(), &table(api, more)).unwrap()
}

fn withdrawal(change: Change) -> Delivery {
    support::withdrawal(1, change)
}

fn ok(data: &Value) -> Reply {
    let header = json!({ "status": "ok", "dataType": "json" });
    Reply::json(200, &json!({ "response": { "header": header, "data": data } }))
}

fn refusal(status: u16, code: u32, message: &str) -> Reply {
    let data = json!({ "errorCode": code, "errorMessage": message });
    let header = json!({ "status": "error", "dataType": "array" });
    Reply::json(status, &json!({ "response": { "header": header, "data": data } }))
}

fn row(id: u64, status: &str) -> Value {
    json!({ "id": id.to_string(), "email": "Person1@example.org", "status": status, "listid": "524" })
}

fn found(rows: &[Value]) -> Reply {
    ok(&json!({ "contact": rows }))
}

fn nobody() -> Reply {
    ok(&json!({ "contact": { "errorCode": 1234, "errorMessage": "Contact does not exist!" } }))
}

/// Nobody is there, and everything is accepted.
fn accept(api: &FakeApi) {
    api.reply(ok(
        &json!({ "id": 77, "item": "done", "timeline": { "data": [] } }),
    ));
    api.reply_at(FIND, nobody());
    api.reply_at(SHOW, found(&[row(77, "2")]));
}

fn made(api: &FakeApi) -> Vec<String> {
    calls(api, "/1/emailmarketing/")
}

fn form(request: &causeway_testkit::fake_api::Request) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(&request.body).into_owned().collect()
}

fn reason(result: &AttemptResult) -> &str {
    result.outcome.reason().unwrap_or_default()
}

/// The deliveries as they come back later.
fn next(delivery: &Delivery, result: &AttemptResult) -> Delivery {
    let mut delivery = delivery.clone();
    match &result.memory {
        Some(Value::Null) => delivery.memory = None,
        Some(memory) => delivery.memory = Some(memory.clone()),
        None => {}
    }
    delivery
}

/// The contact that an automation of the account sends, with these numbered fields.
fn synced(fields: &[(&str, &str, &str)]) -> Delivery {
    let mut delivery = delivery(1);
    let record = &mut delivery.record;
    record.source = "platform".into();
    record.event = "contact_sync".to_owned();
    record.action = None;
    let at = record.event_at;
    let numbers: serde_json::Map<String, Value> = fields
        .iter()
        .map(|(number, label, _)| ((*label).to_owned(), json!(number)))
        .collect();
    for (_, label, value) in fields {
        let field = Field::new(json!(value), at);
        record.contact.fields.insert((*label).to_owned(), field);
    }
    let numbers = Field::new(numbers.into(), at);
    record
        .contact
        .fields
        .insert(format!("{LIST_FIELD_IDS}platform"), numbers);
    delivery
}

#[tokio::test]
async fn keeps_the_destination_contract() {
    destination_contract::run(&Contract {
        connect: &|url| connect(url, FIELDS),
        accept: &accept,
        batch: 3,
    })
    .await;
}

#[tokio::test]
async fn a_new_person_is_created_with_fields_tags_and_an_activity() {
    for (delivery, status) in [
        (subscriber(1, "2026-03-01T09:30:00Z"), "Active"),
        (delivery(1), "Disactive"),
    ] {
        let api = FakeApi::start().await;
        accept(&api);
        let more = format!("{FIELDS}\ntags = ['=a, b', 'campaign.name']\ntime_zone = 'Europe/Paris'");
        let results = connect(&api.url(""), &more)
            .deliver(std::slice::from_ref(&delivery))
            .await;
        let remote_id = Some("77".to_owned());
        assert_eq!(
            results[0].outcome,
            Outcome::Delivered { remote_id },
            "{results:?}"
        );
        let mut calls = vec!["GET getcontactbyemail.json", "POST synccontact.json"];
        calls.extend((status == "Disactive").then_some("GET getcontact.json"));
        calls.extend(["POST addtag.json", "POST addactivity.json"]);
        assert_eq!(made(&api), calls);
        let mut requests = api.requests();
        requests.retain(|request| request.path != SHOW);
        assert_eq!(
            requests[0].query,
            "key=secret%20key&email=person1%40example.org&listid=524"
        );
        let created = form(&requests[1]);
        let expected = [
            ("email", "person1@example.org"),
            ("fields[1204]", "Példa, \"jr\""),
            ("fields[125]", "Ada"),
            ("listid", "524"),
            ("status", status),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(created, expected.into());
        assert_eq!(form(&requests[2])["tagname"], "a b,rivers");
        let activity = form(&requests[3]);
        assert!(
            activity["description"].starts_with("petition: rivers (causeway "),
            "{activity:?}"
        );
        assert_eq!(
            (&*activity["id"], &*activity["datetime"]),
            ("77", "2026-03-01 10:30")
        );
        // The key is in each address, and nowhere else.
        assert!(
            requests
                .iter()
                .all(|request| request.query.starts_with("key=secret%20key"))
        );
        let kept = format!("{results:?}");
        assert!(!kept.contains("secret") && kept.contains("key=***"), "{kept}");
    }
}

#[tokio::test]
async fn an_unsubscribe_there_stays_unless_the_opt_in_is_newer() {
    let since = "2026-03-01T09:30:00Z";
    for (status, writes) in [
        ("1", false),
        ("0", true),
        ("2", false),
        ("3", false),
        ("9", false),
    ] {
        let api = FakeApi::start().await;
        accept(&api);
        api.reply_at(FIND, found(&[row(7, status)]));
        let mut agreed = subscriber(1, since);
        agreed.record.action = None;
        let results = connect(&api.url(""), "").deliver(&[agreed]).await;
        assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
        let forms: Vec<_> = api.requests()[1..].iter().map(form).collect();
        assert_eq!(forms.len(), usize::from(writes), "{status}");
        assert!(
            forms
                .iter()
                .all(|form| form["status"] == "Active" && form["id"] == "7")
        );
        let is_noted = results[0].notes.iter().any(|note| note.contains("left so"));
        assert_eq!(is_noted, !matches!(status, "0" | "1"), "{status}");
    }
    // They were seen unsubscribed at the test clock's time. A later opt-in is newer.
    let api = FakeApi::start().await;
    accept(&api);
    api.reply_at(FIND, found(&[row(7, "2")]));
    let connected = connect(&api.url(""), "");
    let seen = TestClock::default();
    let at = |after: Duration| (causeway_core::clock::Clock::now(&seen) + after).to_string();
    for (after, writes) in [(0, 0), (200, 0), (400, 1)] {
        api.reset();
        accept(&api);
        api.reply_at(FIND, found(&[row(7, "2")]));
        let mut first = subscriber(1, &at(Duration::ZERO));
        first.record.action = None;
        let results = connected.deliver(std::slice::from_ref(&first)).await;
        let mut later = next(&first, &results[0]);
        let agreed = subscriber(1, &at(Duration::from_secs(after)));
        later.record.consent_state = agreed.record.consent_state;
        connected.deliver(&[later]).await;
        let edits = made(&api)
            .iter()
            .filter(|call| call.contains("editcontact"))
            .count();
        assert_eq!(edits, writes, "{after}");
    }
}

#[tokio::test]
async fn an_opt_out_is_verified_and_creates_nobody() {
    for (change, keys, word) in [
        (Change::Unsubscribe, "", "Disactive"),
        (Change::Suppress, "opt_out_status = '2'", "2"),
        (Change::Suppress, "suppress_status = '3'", "3"),
    ] {
        let api = FakeApi::start().await;
        accept(&api);
        // Two contacts of the list have the address; a third is on another list.
        let mut elsewhere = row(9, "1");
        elsewhere["listid"] = "525".into();
        api.reply_at(FIND, found(&[row(7, "1"), row(8, "2"), elsewhere]));
        api.reply_at(SHOW, found(&[row(7, "2")]));
        let results = connect(&api.url(""), keys).deliver(&[withdrawal(change)]).await;
        assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
        let expected = [
            "GET getcontactbyemail.json",
            "POST editcontact.json",
            "GET getcontact.json",
        ];
        assert_eq!(made(&api), expected);
        let expected =
            [("id", "7"), ("status", word)].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(form(&api.requests()[1]), expected.into());
    }
    for (there, shown, outcome, said) in [
        (nobody(), nobody(), "delivered", "no contact"),
        (
            refusal(200, 7, "Contact not found"),
            nobody(),
            "delivered",
            "no contact",
        ),
        (found(&[]), nobody(), "delivered", "no contact"),
        (found(&[row(7, "2")]), nobody(), "delivered", "already"),
        (
            found(&[row(7, "1")]),
            found(&[row(7, "0")]),
            "delivered",
            "unconfirmed",
        ),
        (
            found(&[row(7, "1")]),
            found(&[row(7, "1")]),
            "halt",
            "correct `opt_out_status`",
        ),
        (
            found(&[row(7, "1")]),
            found(&[row(8, "2")]),
            "retry",
            "another contact",
        ),
        (found(&[row(7, "1")]), Reply::status(200), "retry", "envelope"),
        (
            Reply::status(200).body("<html>Welcome</html>"),
            nobody(),
            "retry",
            "envelope",
        ),
        (ok(&json!({})), nobody(), "retry", "without a contact"),
        (
            found(&[json!({ "id": "x" })]),
            nobody(),
            "retry",
            "cannot be read",
        ),
        (refusal(200, 8, "Something else"), nobody(), "reject", "error 8"),
    ] {
        let api = FakeApi::start().await;
        accept(&api);
        api.reply_at(FIND, there);
        api.reply_at(SHOW, shown);
        let results = connect(&api.url(""), "")
            .deliver(&[withdrawal(Change::Unsubscribe)])
            .await;
        assert_eq!(outcomes(&results), [outcome], "{said}: {results:?}");
        let all = format!("{} {}", reason(&results[0]), results[0].notes.join(" "));
        assert!(all.contains(said) && !all.contains('@'), "{said}: {all}");
    }
}

#[tokio::test]
async fn a_new_person_who_did_not_agree_must_not_be_shown_as_active() {
    for (shown, outcome, said) in [
        (found(&[row(77, "1")]), "halt", "correct `opt_out_status`"),
        // VBOUT stores a new contact some seconds later.
        (nobody(), "retry", "has not stored the new contact yet"),
        (Reply::status(200), "retry", "envelope"),
    ] {
        let api = FakeApi::start().await;
        accept(&api);
        api.reply_at(SHOW, shown);
        let connected = connect(&api.url(""), "");
        let mut person = delivery(1);
        person.record.kind = DeliveryKind::Contact;
        let results = connected.deliver(std::slice::from_ref(&person)).await;
        assert_eq!(outcomes(&results), [outcome], "{results:?}");
        assert!(reason(&results[0]).contains(said), "{results:?}");
        // The next attempt creates nobody again, and looks until the status is seen.
        let known = next(&person, &results[0]);
        api.reset();
        accept(&api);
        let results = connected.deliver(std::slice::from_ref(&known)).await;
        assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
        assert_eq!(made(&api), ["GET getcontact.json"]);
        let results = connected.deliver(&[next(&known, &results[0])]).await;
        assert_eq!(outcomes(&results), ["skip"], "{results:?}");
    }
}

#[tokio::test]
async fn a_tag_of_a_contact_that_is_not_stored_yet_is_tried_again() {
    let absent = ok(&json!({ "item": "Your Contact doesn't exist." }));
    let api = FakeApi::start().await;
    accept(&api);
    api.reply_at("/1/emailmarketing/addtag.json", absent);
    let connected = connect(&api.url(""), "tags = ['=a']");
    let person = subscriber(1, "2026-03-01T09:30:00Z");
    let results = connected.deliver(std::slice::from_ref(&person)).await;
    assert_eq!(outcomes(&results), ["retry"], "{results:?}");
    assert!(reason(&results[0]).contains("not stored the new contact yet"));
    let known = next(&person, &results[0]);
    api.reset();
    accept(&api);
    let results = connected.deliver(std::slice::from_ref(&known)).await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    let expected = [
        "POST addtag.json",
        "GET getcontacttimeline.json",
        "POST addactivity.json",
    ];
    assert_eq!(made(&api), expected);
}

#[tokio::test]
async fn whoever_changed_the_address_there_is_found_by_the_number() {
    let api = FakeApi::start().await;
    accept(&api);
    let connected = connect(&api.url(""), "");
    let person = subscriber(1, "2026-03-01T09:30:00Z");
    let known = connected.deliver(std::slice::from_ref(&person)).await[0]
        .memory
        .clone();
    assert!(known.is_some());
    let gone = |change| Delivery {
        memory: known.clone(),
        ..withdrawal(change)
    };
    let mut moved = row(77, "2");
    moved["email"] = "new@example.org".into();
    for (shown, is_gone) in [(found(&[moved.clone()]), false), (nobody(), true)] {
        api.reset();
        accept(&api);
        api.reply_at(SHOW, shown);
        let results = connected.deliver(&[gone(Change::Unsubscribe)]).await;
        assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
        let expected = [
            "GET getcontactbyemail.json",
            "POST editcontact.json",
            "GET getcontact.json",
        ];
        assert_eq!(made(&api), expected);
        assert_eq!(form(&api.requests()[1])["id"], "77");
        let notes = results[0].notes.join(", ");
        assert!(notes.contains("remembered number"), "{notes}");
        assert_eq!(notes.contains("has no contact"), is_gone, "{notes}");
    }
    // An erasure, whose deletion has no effect at first.
    for (shown, outcome) in [(found(&[moved]), "retry"), (nobody(), "delivered")] {
        api.reset();
        accept(&api);
        api.reply_at(SHOW, shown);
        let results = connected.deliver(&[gone(Change::Remove)]).await;
        assert_eq!(outcomes(&results), [outcome], "{results:?}");
        let expected = [
            "GET getcontactbyemail.json",
            "POST deletecontact.json",
            "GET getcontactbyemail.json",
            "GET getcontact.json",
        ];
        assert_eq!(made(&api), expected);
        let keeps_number = results[0]
            .memory
            .as_ref()
            .is_some_and(|memory| memory["ids"][0] == "77");
        assert_eq!(keeps_number, outcome == "retry", "{results:?}");
    }
}

#[tokio::test]
async fn an_opt_out_does_not_fail_because_of_the_fields_beside_it() {
    let api = FakeApi::start().await;
    accept(&api);
    api.reply_at(FIND, found(&[row(77, "1")]));
    api.script(
        EDIT,
        [
            refusal(200, 12, "A value is too long"),
            ok(&json!({ "item": "" })),
        ],
    );
    let mut leaving = withdrawal(Change::Unsubscribe);
    leaving.record.kind = DeliveryKind::Contact;
    let results = connect(&api.url(""), FIELDS).deliver(&[leaving]).await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    let edits: Vec<_> = api.requests()[1..3].iter().map(form).collect();
    assert!(edits[0].contains_key("fields[125]"), "{edits:?}");
    let expected =
        [("id", "77"), ("status", "Disactive")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(edits[1], expected.into());
    assert!(results[0].notes[0].contains("left out the fields"), "{results:?}");
}

#[tokio::test]
async fn an_erasure_deletes_from_all_lists_until_nobody_is_found() {
    let api = FakeApi::start().await;
    accept(&api);
    let mut elsewhere = row(9, "1");
    elsewhere["listid"] = "525".into();
    api.script(
        FIND,
        [found(&[row(7, "1"), elsewhere]), found(&[row(8, "2")]), nobody()],
    );
    api.script(
        DELETE,
        [refusal(405, 5, "Method Not Allowed"), ok(&json!({ "item": "" }))],
    );
    let results = connect(&api.url(""), "")
        .deliver(&[withdrawal(Change::Remove)])
        .await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    assert_eq!(results[0].memory, Some(Value::Null));
    let methods: Vec<String> = made(&api).iter().map(|call| call.replace(".json", "")).collect();
    let expected = [
        "GET getcontactbyemail",
        "POST deletecontact",
        "DELETE deletecontact",
        "POST deletecontact",
        "GET getcontactbyemail",
        "POST deletecontact",
        "GET getcontactbyemail",
    ];
    assert_eq!(methods, expected);
    let requests = api.requests();
    assert!(!requests[0].query.contains("listid"));
    assert_eq!(
        (&*form(&requests[3])["id"], &*form(&requests[3])["listid"]),
        ("9", "525")
    );
    // A deletion without effect is none.
    let api = FakeApi::start().await;
    accept(&api);
    api.reply_at(FIND, found(&[row(7, "1")]));
    let results = connect(&api.url(""), "")
        .deliver(&[withdrawal(Change::Remove)])
        .await;
    assert_eq!(outcomes(&results), ["retry"], "{results:?}");
}

#[tokio::test]
async fn what_the_account_sent_itself_is_not_written_back() {
    let api = FakeApi::start().await;
    accept(&api);
    api.reply_at(FIND, found(&[row(7, "1")]));
    let connected = connect(&api.url(""), &format!("{FIELDS}\nown_sources = ['platform']"));
    let whole = [("125", "firstName", "Ada"), ("1204", "lastName", "Nowak")];
    let results = connected.deliver(&[synced(&whole)]).await;
    assert_eq!(outcomes(&results), ["skip"], "{results:?}");
    assert!(api.requests().is_empty());
    // Causeway knows a newer last name: that is written, and nothing else.
    let mut newer = synced(&whole);
    let other = Field::new(json!("Byron"), newer.record.event_at + Duration::from_secs(5));
    newer.record.contact.fields.insert("lastName".to_owned(), other);
    let results = connected.deliver(std::slice::from_ref(&newer)).await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    let expected = [("fields[1204]", "Byron"), ("id", "7")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(form(&api.requests()[1]), expected.into());
    // The automation sends it back.
    let mut back = synced(&[("125", "firstName", "Ada"), ("1204", "lastName", "Byron")]);
    back.memory = results[0].memory.clone();
    assert_eq!(outcomes(&connected.deliver(&[back.clone()]).await), ["skip"]);
    // Somebody changes it there: that is learnt without a write, so that an older value is written again later.
    let mut changed = synced(&[("125", "firstName", "Ada"), ("1204", "lastName", "King")]);
    changed.memory = back.memory.clone();
    api.reset();
    accept(&api);
    api.reply_at(FIND, found(&[row(7, "1")]));
    let results = connected.deliver(std::slice::from_ref(&changed)).await;
    assert_eq!(
        (outcomes(&results), made(&api).len()),
        (vec!["delivered"], 1),
        "{results:?}"
    );
    let mut again = newer.clone();
    again.record.source = "proca".into();
    again.memory = results[0].memory.clone();
    connected.deliver(&[again]).await;
    assert_eq!(form(&api.requests()[1])["fields[1204]"], "Byron");
}

#[tokio::test]
async fn an_unchanged_contact_costs_no_call_and_a_deleted_one_is_found_again() {
    let api = FakeApi::start().await;
    accept(&api);
    let connected = connect(&api.url(""), &format!("{FIELDS}\ntags = ['=a']"));
    let mut first = subscriber(1, "2026-03-01T09:30:00Z");
    first.record.kind = DeliveryKind::Contact;
    let results = connected.deliver(std::slice::from_ref(&first)).await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    let known = next(&first, &results[0]);
    api.reset();
    let results = connected.deliver(std::slice::from_ref(&known)).await;
    assert_eq!((outcomes(&results), api.requests().len()), (vec!["skip"], 0));
    // Another value is one call; the status is not touched.
    let mut changed = known.clone();
    let name = Field::new(json!("Ida"), changed.record.event_at);
    changed.record.contact.fields.insert("firstName".to_owned(), name);
    api.reply(ok(&json!({ "item": "" })));
    connected.deliver(std::slice::from_ref(&changed)).await;
    let expected = [("fields[125]", "Ida"), ("id", "77")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!((made(&api).len(), form(&api.requests()[0])), (1, expected.into()));
    // The contact was deleted there.
    api.reset();
    accept(&api);
    api.reply_at(EDIT, refusal(200, 9, "Contact does not exist!"));
    let results = connected.deliver(&[changed]).await;
    assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
    let expected = [
        "POST editcontact.json",
        "GET getcontactbyemail.json",
        "POST synccontact.json",
        "POST addtag.json",
    ];
    assert_eq!(made(&api), expected);
    assert_eq!(form(&api.requests()[2])["fields[1204]"], "Példa, \"jr\"");
}

#[tokio::test]
async fn an_action_that_is_on_the_timeline_is_not_added_again() {
    let api = FakeApi::start().await;
    accept(&api);
    api.reply_at(FIND, found(&[row(7, "1")]));
    let connected = connect(&api.url(""), "");
    connected.deliver(&[delivery(1)]).await;
    let sent = form(api.requests().last().unwrap())["description"].clone();
    api.reset();
    accept(&api);
    api.reply_at(FIND, found(&[row(7, "1")]));
    let timeline = json!({ "timeline": { "data": [{ "key": "activity", "snippet": sent }] } });
    api.reply_at(TIMELINE, ok(&timeline));
    let results = connected.deliver(&[delivery(1)]).await;
    assert_eq!(results[0].notes, ["VBOUT has the action already"]);
    assert_eq!(made(&api).last().unwrap(), "GET getcontacttimeline.json");
    // Without a timeline nothing is certain.
    api.reset();
    accept(&api);
    api.reply_at(FIND, found(&[row(7, "1")]));
    api.reply_at(TIMELINE, ok(&json!([])));
    assert_eq!(outcomes(&connected.deliver(&[delivery(1)]).await), ["retry"]);
}

#[tokio::test]
async fn errors_end_only_what_they_are_about() {
    for (at, reply, outcome, said) in [
        (
            FIND,
            refusal(401, 1000, "Missing or Invalid authentication key."),
            "halt",
            "check `api_key`",
        ),
        (FIND, refusal(200, 1000, "x"), "halt", "check `api_key`"),
        (
            FIND,
            Reply::status(403).body("<html>Blocked</html>"),
            "retry",
            "other than JSON",
        ),
        (
            FIND,
            refusal(200, 3, "List does not exist!"),
            "halt",
            "check `list`",
        ),
        (
            FIND,
            refusal(200, 3, "The API is not available in your plan"),
            "halt",
            "check `api_key`",
        ),
        (FIND, refusal(429, 4, "x"), "busy", "too many calls"),
        (
            FIND,
            refusal(200, 4, "Too many requests"),
            "busy",
            "too many calls",
        ),
        (
            FIND,
            Reply::status(404).body("<html>"),
            "halt",
            "check `base_url`",
        ),
        (
            CREATE,
            refusal(200, 5, "Invalid email person1@example.org"),
            "reject",
            "error 5",
        ),
        (
            CREATE,
            refusal(200, 5, "The list is closed"),
            "halt",
            "check `list`",
        ),
        (CREATE, refusal(503, 6, "x"), "retry", "503"),
        (CREATE, Reply::status(200), "retry", "envelope"),
    ] {
        let api = FakeApi::start().await;
        accept(&api);
        api.reply_at(at, reply);
        let results = connect(&api.url(""), "").deliver(&[delivery(1)]).await;
        assert_eq!(outcomes(&results), [outcome], "{said}: {results:?}");
        let reason = reason(&results[0]);
        assert!(reason.contains(said) && !reason.contains('@'), "{said}: {reason}");
    }
}

#[tokio::test]
async fn a_limit_makes_all_wait_as_long_as_asked() {
    let mut body: Value = serde_json::from_slice(refusal(429, 1, "x").content()).unwrap();
    body["rate-limit"] = json!({ "after": "4" });
    for (reply, expected) in [
        (refusal(429, 1, "x"), 1),
        (refusal(429, 1, "x").header("x-rate-limit-after", "3"), 3),
        (Reply::json(429, &body), 4),
        (refusal(429, 1, "x").header("retry-after", "7"), 7),
    ] {
        let api = FakeApi::start().await;
        api.reply(reply);
        let results = connect(&api.url(""), "")
            .deliver(&[delivery(1), delivery(2)])
            .await;
        assert_eq!((outcomes(&results), api.requests().len()), (vec!["busy"; 2], 1));
        let Outcome::Busy { after, .. } = results[0].outcome else {
            panic!()
        };
        assert_eq!(after, Some(Duration::from_secs(expected)));
    }
}

#[test]
fn keys_that_cannot_work_are_refused_by_name() {
    for (key, value) in [
        ("list", toml::Value::Integer(0)),
        ("calls_per_s", toml::Value::Integer(0)),
        ("api_version", "v1".into()),
        ("base_url", "ftp://api.vbout.com".into()),
        ("time_zone", "Paris".into()),
        ("opt_out_status", "active".into()),
        ("opt_out_status", "1".into()),
        ("suppress_status", "a b".into()),
    ] {
        let mut own = table("https://api.vbout.com", "");
        own.insert(key.to_owned(), value);
        assert_eq!((KIND.parse)(&context().tables, &own).unwrap_err().key, key);
    }
    let own = table("https://api.vbout.com", "fields = { Name = 'contact.firstName' }");
    assert_eq!(
        (KIND.parse)(&context().tables, &own).unwrap_err().key,
        "fields.Name"
    );
}

#[test]
fn the_preview_shows_every_call() {
    let batch = [
        subscriber(1, "2026-03-01T09:30:00Z"),
        delivery(1),
        withdrawal(Change::Unsubscribe),
        withdrawal(Change::Remove),
    ];
    let own = table("https://api.vbout.com", &format!("{FIELDS}\ntags = ['=a']"));
    let previews = (KIND.preview)(&context(), &own, &batch).unwrap();
    let previews: Vec<String> = previews.into_iter().map(Result::unwrap).collect();
    let all = previews.join("\n\n=====\n\n");
    assert!(!all.contains("secret"), "{all}");
    insta::assert_snapshot!(all);
}
