//! Checks the pages about shortcodes and about the sync action.

use std::{path::Path, sync::Arc};

use causeway::clock::SystemClock;
use causeway_connect::{config::Context, destination::kind};
use causeway_core::{
    automation::Scoring,
    contact::{Contact, Identity},
    delivery::Delivery,
    destination::Outcome,
    event::{Engagement, EngagementKind},
    mapping::{Tables, omission::Omissions},
    record::Record,
    shortcode::{Names, Place, Report, Rules, Slash, expand, parse},
};
use causeway_testkit::{destination_contract::delivery, rig::php};
use serde_json::{Value, json};

use crate::running::blocking;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    std::fs::read_to_string(path).expect("the page")
}

/// The blocks of a language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let start = format!("```{language}\n");
    let parts = page.split(&start).skip(1);
    parts.filter_map(|part| part.split("```\n").next()).collect()
}

fn with_fields(mut record: Record, fields: &Value) -> Record {
    record.contact = Contact::default();
    let fields = fields
        .as_object()
        .expect("an object")
        .clone()
        .into_iter()
        .collect();
    record
        .contact
        .set_fields(&fields, "2022-05-26T15:40:00Z".parse().expect("a time"));
    record
}

/// The rows of tables with a shortcode in the first column: the shortcode and its value.
fn examples(text: &str) -> Vec<(&str, &str)> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `[#"));
    rows.map(|row| {
        let (code, rest) = row.split_once("` |").expect("a second column");
        let gives = rest.split(" |").next().unwrap_or_default().trim();
        (code, gives.trim_matches('`'))
    })
    .collect()
}

#[test]
fn every_shortcode_of_the_page_has_the_documented_value() {
    let contact = with_fields(
        delivery(1).record,
        &json!({
            "email": "john.doe@example.com", "firstName": "anna maria", "lastName": "o'NEILL", "birthDate": "1990-04-01",
            "Favourite colour": "blue & green", "Member since": "23-03-2022 05:13 PM",
            "list_field_ids:platform": { "Favourite colour": "125", "Shoe size": "126" },
        }),
    );
    let page = page("shortcodes.md");
    let (take, word) = page.split_once("## `/2` can mean words").expect("both parts");
    let mut seen = 0;
    for (text, slash) in [(take, Slash::Take), (word, Slash::Word)] {
        let rules = Rules {
            slash,
            ..Rules::default()
        };
        for (code, gives) in examples(text) {
            let template = format!("[#{code}");
            let mut omissions = Omissions::of(&contact);
            let mut report = Report::new(&mut omissions);
            let names = Names::new(&contact, &rules);
            let made = expand(&parse(&template), &names, Place::Plain, &mut report).expect("a text");
            assert_eq!((made.as_str(), report.unknown.len()), (gives, 0), "{template}");
            seen += 1;
        }
    }
    assert!(seen >= 25, "only {seen} examples were found");
}

fn jane() -> Delivery {
    let mut jane = delivery(1);
    jane.record = with_fields(
        jane.record,
        &json!({
            "email": "jane.doe@example.org", "phone": "+15551234", "profile_url": "https://app.example.org/c/8812",
            "firstName": "Jane", "lead_score": 10, "lead_status": "Cold Lead", "list_field_ids:platform": { "firstName": "125" },
        }),
    );
    jane.record.lead = Scoring::default().lead(&jane.record.contact);
    jane.record.identities = vec![Identity::ForeignId {
        namespace: "platform".into(),
        id: "8812".to_owned(),
    }];
    let row = |kind, key: &str, name: Option<&str>, count| Engagement {
        kind,
        key: key.to_owned(),
        name: name.map(str::to_owned),
        at: Some("2022-05-26T15:40:00Z".parse().expect("a time")),
        raw_at: None,
        count,
        score: None,
    };
    jane.record.engagements = vec![
        row(EngagementKind::EmailOpen, "31", Some("May"), None),
        row(
            EngagementKind::LinkClick,
            "https://e.example.org/?a=1&b=2",
            None,
            Some(3),
        ),
    ];
    jane
}

/// The destination of a configuration of the page, at another address.
fn keys(config: &str, url: &str) -> toml::Table {
    let whole: toml::Table = config.parse().expect("a configuration");
    let mut own = whole["destination"]["office"]
        .as_table()
        .expect("a table")
        .clone();
    own.remove("kind");
    own.insert("url".to_owned(), url.into());
    own.insert("allow_private".to_owned(), true.into());
    own
}

fn context() -> Context {
    Context {
        name: "office".into(),
        clock: Arc::new(SystemClock),
        dir: ".".into(),
        tables: Tables::default(),
        vault: causeway_connect::vault::NoVault::shared(),
    }
}

#[tokio::test]
async fn the_listener_of_the_page_receives_and_responds_as_documented() {
    let page = page("payload.md");
    let script = blocks(&page, "php").first().expect("a listener").to_string();
    let php = blocking(move || php::serve(&script)).await;
    let webhook = kind("webhook").expect("a kind");
    let configs = blocks(&page, "toml");
    let update = configs
        .iter()
        .find(|config| config.contains(".update]"))
        .expect("an update");
    let office = (webhook.connect)(&context(), &keys(update, &format!("{}/listener.php", php.url())))
        .expect("connects");
    let ending = office.deliver(&[jane()]).await.remove(0);
    assert!(matches!(ending.outcome, Outcome::Delivered { .. }), "{ending:?}");
    assert_eq!(json!(ending.writes), json!({ "crm_id": "C-8812" }));

    std::fs::remove_file(php.folder().join("received.txt")).expect("something was received");
    let first = configs.first().expect("a configuration");
    let office = (webhook.connect)(&context(), &keys(first, &format!("{}/listener.php", php.url())))
        .expect("connects");
    office.deliver(&[jane()]).await;
    let seen = std::fs::read_to_string(php.folder().join("received.txt")).expect("something was received");
    assert_eq!(
        seen.trim_end(),
        blocks(&page, "text").first().expect("what it sees").trim_end()
    );
}

#[test]
fn the_xml_of_the_page_is_what_is_sent() {
    let page = page("payload.md");
    let config = "[destination.office]\ncontent = 'xml'\nsync = ['contact', 'fields']\npayload = { contact_id = 'platform' }";
    let mut jane = jane();
    for name in ["phone", "profile_url"] {
        jane.record.contact.fields.remove(name);
    }
    let preview = kind("webhook").expect("a kind").preview;
    let shown =
        preview(&context(), &keys(config, "https://office.example.org/"), &[jane]).expect("a preview");
    let shown = shown[0].as_ref().expect("a request");
    let body = blocks(&page, "xml").first().expect("a body").trim().to_owned();
    assert!(shown.trim_end().ends_with(&body), "{shown}\n{body}");
}
