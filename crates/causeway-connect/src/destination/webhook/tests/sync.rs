//! The payload `sync`: what a receiver sees that follows the platforms' instructions, in real PHP; shortcodes;
//! and responses.

use std::{collections::BTreeMap, path::PathBuf};

use causeway_core::{
    automation::Scoring,
    clock::Timestamp,
    contact::{Contact, Identity},
    destination::{Destination, Outcome},
    event::{Engagement, EngagementKind},
    id::ContactId,
    mapping::Tables,
};
use causeway_testkit::{
    clock::TestClock,
    destination_contract::delivery,
    fake_api::{FakeApi, Reply},
    rig::php,
};
use serde_json::json;

use super::super::*;
use crate::config::Context;

fn connect(config: &str) -> Box<dyn Destination> {
    let context = Context {
        name: "hook".into(),
        clock: Arc::new(TestClock::default()),
        dir: PathBuf::new(),
        tables: Tables::default(),
        vault: crate::vault::NoVault::shared(),
    };
    let table = toml::from_str(&format!("allow_private = true\n{config}")).unwrap();
    (KIND.connect)(&context, &table).unwrap()
}

/// A contact as a platform sent it, with at least one row in every group.
fn synced() -> Delivery {
    use EngagementKind::{Automation, EmailOpen, Goal, LeadScore, LinkClick, PageVisit, Popup};
    let mut delivery = delivery(1);
    let record = &mut delivery.record;
    record.source = "platform".into();
    let fields = json!({
        "email": "jane.doe+x@example.com", "phone": "+15551234", "profile_url": "https://app.example.org/c/8812?a=1&b=2",
        "firstName": "Jane", "Interests": ["Rivers & lakes", "Wölfe"], "lead_score": 10, "lead_status": "Cold Lead",
        "list_field_ids:platform": { "firstName": "125" },
    });
    record.contact = Contact {
        id: Some(ContactId(3)),
        ..Contact::default()
    };
    let at = "2022-05-26T15:00:00Z".parse().unwrap();
    record
        .contact
        .set_fields(&fields.as_object().unwrap().clone().into_iter().collect(), at);
    record.lead = Scoring::default().lead(&record.contact);
    record.identities = vec![Identity::ForeignId {
        namespace: "platform".into(),
        id: "8812".to_owned(),
    }];
    let row = |kind, key: &str, name: &str, minute: i64| Engagement {
        kind,
        key: key.to_owned(),
        name: Some(name.to_owned()),
        at: Some(Timestamp::from_second(1_653_579_600 + minute * 60).unwrap()),
        raw_at: None,
        count: None,
        score: None,
    };
    record.engagements = vec![
        row(EmailOpen, "31", "May", 0),
        row(EmailOpen, "32", "June & July", 1),
        row(LinkClick, "https://e.example.org/?a=1&b=2", "", 2),
        row(LinkClick, "https://e.example.org/?a=1&b=2", "", 3),
        row(PageVisit, "https://e.example.org/p", "", 4),
        row(Automation, "7", "Welcome", 5),
        row(Goal, "2", "Donation", 6),
        row(Popup, "4", "Exit poll", 7),
        Engagement {
            score: Some(10.0),
            ..row(LeadScore, "5", "Opened", 8)
        },
    ];
    delivery
}

/// Sends to PHP, and returns what its script printed, from the excerpt of the response.
async fn seen_by(script: &str, config: impl Fn(&str) -> String, delivery: &Delivery) -> String {
    let php = php::serve(script);
    let file = php.folder().join("seen");
    let result = connect(&config(&php.url()))
        .deliver(std::slice::from_ref(delivery))
        .await
        .remove(0);
    assert!(matches!(result.outcome, Outcome::Delivered { .. }), "{result:?}");
    std::fs::read_to_string(file).unwrap()
}

const POST: &str = "<?php file_put_contents('seen', print_r($_POST, true));";
const GET: &str = "<?php file_put_contents('seen', print_r($_GET, true));";

#[tokio::test]
async fn php_sees_the_documented_arrays_in_the_documented_order() {
    let zone = "time_zone = 'Europe/Berlin'";
    let post = |more: &'static str| {
        move |url: &str| format!("url = '{url}/listener.php'\ncontent = 'form'\nsync = 'all'\n{zone}\n{more}")
    };
    let seen = seen_by(POST, post(""), &synced()).await;
    insta::assert_snapshot!(seen);
    let raw = seen_by(POST, post("payload = { raw_brackets = true }"), &synced()).await;
    assert_eq!(raw, seen);
    let get = |url: &str| format!("url = '{url}/listener.php'\ncontent = 'query'\nsync = 'all'\n{zone}");
    assert_eq!(seen_by(GET, get, &synced()).await, seen);
    // PHP itself makes both sets of variables; the body is XML or JSON.
    let read_json = "<?php file_put_contents('seen', print_r(json_decode(file_get_contents('php://input'), true), true));";
    let json = |url: &str| format!("url = '{url}/'\nsync = 'all'\n{zone}");
    assert_eq!(seen_by(read_json, json, &synced()).await, seen);
    let read_xml = "<?php $x = simplexml_load_string(file_get_contents('php://input'));
        $g = 'lead-score'; $c = 'campaigns-opened';
        file_put_contents('seen', join('|', [$x->getName(), $x->transactionid, $x->contact->email, $x->$c->item[1]->name, $x->$g->item->score]));";
    if php::run("<?php echo extension_loaded('simplexml') ? 1 : 0;", b"") == b"1" {
        let xml = |url: &str| format!("url = '{url}/'\ncontent = 'xml'\nsync = 'all'\n{zone}");
        let seen = seen_by(read_xml, xml, &synced()).await;
        let expected = "|jane.doe+x@example.com|June & July|10";
        assert!(seen.starts_with("sync|") && seen.ends_with(expected), "{seen}");
    }
}

#[tokio::test]
async fn empty_groups_and_the_fields_after_them() {
    let mut bare = synced();
    bare.record.engagements.clear();
    let config = |more: &'static str| {
        move |url: &str| {
            format!(
                "url = '{url}/'\ncontent = 'form'\nsync = ['lead-score', 'contact']\n{more}\n[fields]\ncampaign = 'campaign.name'"
            )
        }
    };
    let seen = seen_by(POST, config(""), &bare).await;
    assert!(
        !seen.contains("lead-score") && seen.contains("[campaign] => rivers"),
        "{seen}"
    );
    let seen = seen_by(POST, config("payload = { empty_groups = 'send' }"), &bare).await;
    assert!(seen.contains("[lead-score] => \n"), "{seen}");
}

/// Characters that would break an address, a header or a form.
const NASTY: &str = "a&b # + % é=[#EMAIL#]/../?";

fn nasty() -> Delivery {
    let mut delivery = synced();
    let fields = BTreeMap::from([("odd".to_owned(), json!(NASTY))]);
    let at = "2022-05-26T15:00:00Z".parse().unwrap();
    delivery.record.contact.set_fields(&fields, at);
    delivery
}

#[tokio::test]
async fn shortcodes_work_in_fields_and_headers_and_never_in_values() {
    let api = FakeApi::start().await;
    let config = |content: &str| {
        format!(
            "url = '{}'\ncontent = '{content}'\nheaders = {{ X-Name = 'Dear [#FIRST NAME#]' }}\n\
             fields = {{ 'p[odd]' = '<[#odd#]>', who = '=[#UPPER FIELD 125#] of [#CAMPAIGN#]', email = 'contact.email', odd = 'contact.odd' }}",
            api.url("/")
        )
    };
    connect(&config("json")).deliver(&[nasty()]).await;
    let request = api.requests().remove(0);
    assert_eq!(
        request.json(),
        json!({ "p": { "odd": format!("<{NASTY}>") }, "who": "JANE of rivers", "email": "jane.doe+x@example.com", "odd": NASTY })
    );
    assert_eq!(request.header("x-name"), Some("Dear Jane"));
    api.reset();
    connect(&config("form")).deliver(&[nasty()]).await;
    assert!(api.requests()[0].text().starts_with(
        "p%5Bodd%5D=%3Ca%26b+%23+%2B+%25+%C3%A9%3D%5B%23EMAIL%23%5D%2F..%2F%3F%3E&who=JANE+of+rivers"
    ));

    let mut broken = nasty();
    let fields = BTreeMap::from([("firstName".to_owned(), json!("Jane\r\nX-Admin: 1"))]);
    broken
        .record
        .contact
        .set_fields(&fields, "2026-01-01T00:00:00Z".parse().unwrap());
    api.reset();
    let result = connect(&config("json")).deliver(&[broken]).await.remove(0);
    let Outcome::Reject { reason } = result.outcome else {
        panic!("{result:?}")
    };
    assert!(reason.contains("x-name") && !reason.contains("Admin"), "{reason}");
    assert_eq!(api.requests().len(), 0);
}

#[tokio::test]
async fn a_strict_template_makes_a_delivery_dead_and_a_lenient_one_is_noted() {
    let config = "url = 'https://hooks.example.org/?a=[#SHOE#]'\ncontent = 'query'";
    let result = connect(&format!("{config}\nshortcodes = {{ unknown = 'strict' }}"))
        .deliver(&[synced()])
        .await
        .remove(0);
    let Outcome::Reject { reason } = result.outcome else {
        panic!("{result:?}")
    };
    assert!(
        reason.starts_with("`url`: the shortcode [#SHOE#] matches no value of this contact ("),
        "{reason}"
    );
    let context = Context {
        name: "hook".into(),
        clock: Arc::new(TestClock::default()),
        dir: PathBuf::new(),
        tables: Tables::default(),
        vault: crate::vault::NoVault::shared(),
    };
    let previews = (KIND.preview)(&context, &toml::from_str(config).unwrap(), &[synced()]).unwrap();
    let preview = previews[0].as_ref().unwrap();
    assert!(
        preview.starts_with("GET https://hooks.example.org/?a=\n")
            && preview.contains("[#SHOE#] matches no value"),
        "{preview}"
    );
}

#[tokio::test]
async fn more_than_php_reads_is_not_sent() {
    let mut delivery = synced();
    let fields = (0..400).map(|n| (format!("field {n}"), json!("x"))).collect();
    delivery
        .record
        .contact
        .set_fields(&fields, "2022-05-26T15:00:00Z".parse().unwrap());
    let config = "url = 'https://hooks.example.org/'\ncontent = 'form'\nsync = 'all'";
    let result = connect(config)
        .deliver(std::slice::from_ref(&delivery))
        .await
        .remove(0);
    let Outcome::Reject { reason } = result.outcome else {
        panic!("{result:?}")
    };
    assert!(
        reason.starts_with("`sync`: makes 12") && reason.contains("max_variables"),
        "{reason}"
    );
    let api = FakeApi::start().await;
    let config = format!("url = '{}'\ncontent = 'json'\nsync = 'all'", api.url("/"));
    connect(&config).deliver(&[delivery]).await;
    assert!(api.requests()[0].json()["fields"].as_array().unwrap().len() > 400);
}

#[tokio::test]
async fn the_hubs_that_a_record_came_through_are_sent() {
    let api = FakeApi::start().await;
    let hook = connect(&format!("url = '{}'", api.url("/")));
    let mut through = synced();
    through.record.via = vec!["hub-a".to_owned(), "hub-b".to_owned()];
    hook.deliver(&[synced(), through]).await;
    let sent: Vec<_> = api
        .requests()
        .iter()
        .map(|request| request.header("causeway-via").map(str::to_owned))
        .collect();
    assert_eq!(sent, [None, Some("hub-a, hub-b".to_owned())]);
}

#[tokio::test]
async fn the_contact_is_updated_from_the_response() {
    let api = FakeApi::start().await;
    let config = format!(
        "url = '{}'\ntime_zone = 'Europe/Berlin'\n[update]\ncrm_id = 'id'\nsince = {{ path = 'data.since', type = 'date' }}\n\
         tags_there = 'data.tags[].name'\nowner = {{ path = 'data.owner', if_null = 'nobody' }}\nfirstName = 'data.first'",
        api.url("/")
    );
    let hook = connect(&config);
    let all =
        json!({ "crm_id": "C-9", "since": "2022-05-26T15:40:00Z", "tags_there": "a,b", "owner": "nobody" });
    let html = "{\"id\":\"C-9\",\"data\":{\"since\":\"2022-05-26 05:40 PM\",\"tags\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"owner\":null,\"first\":\"Jane\"}}";
    let form = "id=C-9&data[since]=2022-05-26+05:40+PM&data[tags][0][name]=a&data[tags][1][name]=b&data[owner]=&data[first]=Jane";
    let xml = "<r><id>C-9</id><data><since>05/26/2022 17:40</since><tags><item><name>a</name></item><item><name>b</name></item></tags><owner/><first>Jane</first></data></r>";
    for (status, media, body, expected) in [
        (200, "text/html", html, all.clone()),
        (201, "application/x-www-form-urlencoded", form, all.clone()),
        (200, "application/xml", xml, all),
        (200, "text/plain", "ok", json!({})),
        (200, "application/json", "", json!({})),
        (400, "application/json", html, json!({})),
        (500, "application/json", html, json!({})),
    ] {
        api.reply(
            Reply::status(status)
                .header("content-type", media)
                .body(body.to_owned()),
        );
        let result = hook.deliver(&[synced()]).await.remove(0);
        assert_eq!(json!(result.writes), expected, "{status} {media}");
    }
    // An incomplete or endless response changes nothing.
    let long = json!({ "id": "C-9", "filler": "x".repeat(1 << 20) });
    for reply in [
        Reply::json(200, &long),
        Reply::json(200, &json!({ "id": "C-9" })).cut(),
    ] {
        api.reply(reply);
        let result = hook.deliver(&[synced()]).await.remove(0);
        assert!(
            matches!(result.outcome, Outcome::Delivered { .. }) && result.writes.is_empty(),
            "{result:?}"
        );
    }
    let long = json!({ "filler": "x".repeat(1_000_000), "id": "C-9" });
    api.reply(Reply::json(200, &long));
    assert_eq!(hook.deliver(&[synced()]).await[0].writes["crm_id"], "C-9");

    let plain = connect(&format!("url = '{}'\nupdate = {{ crm_id = '.' }}", api.url("/")));
    api.reply(Reply::status(200).body("C-9\n"));
    assert_eq!(plain.deliver(&[synced()]).await[0].writes["crm_id"], "C-9");
    let latin = |media: &str| {
        Reply::status(200)
            .header("content-type", media)
            .body(b"Ren\xe9".as_slice())
    };
    api.reply(latin("text/plain; charset=iso-8859-1"));
    assert_eq!(plain.deliver(&[synced()]).await[0].writes["crm_id"], "René");
    api.reply(latin("text/plain"));
    assert_eq!(plain.deliver(&[synced()]).await[0].writes.len(), 0);
    // An API that reports an error with a 200.
    let strict = connect(&format!(
        "url = '{}'\nsuccess_path = 'ok'\nupdate = {{ crm_id = 'id' }}",
        api.url("/")
    ));
    api.reply(Reply::json(200, &json!({ "ok": false, "id": "C-9" })));
    assert_eq!(strict.deliver(&[synced()]).await[0].writes.len(), 0);
}
