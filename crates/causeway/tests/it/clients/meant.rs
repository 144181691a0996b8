//! A message with all groups of the sync action, the contact that must follow from it, and a hub with a listener for each way
//! of sending it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::{
    running::{Home, Running, blocking},
    sync::known,
};

const EMAIL: &str = "zoe+rivers@example.org";

/// The letters that a way of sending can express.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letters {
    All,
    /// The letters of ISO-8859-1.
    Latin,
}

/// The payload: quotes, plus and percent signs, ampersands, line ends, an empty value, a list, and letters beyond ASCII.
const PAYLOAD: &str = r#"{
  "transactionid": 123456789,
  "contact": { "id": 8812, "email": "zoe+rivers@example.org", "phone": "+49 30 555 01",
    "profile_url": "https://app.example.org/c/8812?a=1&b=2#top" },
  "fields": [
    { "id": 125, "name": "First Name", "value": "Zoë \"Zo\" O'Brien" },
    { "id": 126, "name": "Last Name", "value": "Ünal & Söhne" },
    { "id": 127, "name": "Motto", "value": "100% a=b;c&d+e <b> \\ %41 %zz [x] 🌻" },
    { "id": 128, "name": "Nickname", "value": "" },
    { "id": 129, "name": "Topics", "value": ["bees", "rivers & lakes", "ü+%"] },
    { "id": 130, "name": "Remark", "value": "one\r\ntwo\tend" },
    { "id": 131, "name": "Children", "value": "0" },
    { "id": 132, "name": "Größe (cm) [a.b] \"c\"", "value": "  spaces  stay " },
    { "id": 133, "name": "Raw", "value": "{\"a\": [1, \"x\"]} &amp; &#8364; &euro" },
    { "id": 134, "name": "One", "value": ["007"] }
  ],
  "campaigns-opened": [
    { "id": 31, "name": "May: 50% off & \"more\"", "open_date": "2022-05-26 05:40 PM" },
    { "id": 32, "name": "Été 🌻", "open_date": "2022-06-26 05:40 AM" }
  ],
  "links-clicked": [{ "url": "https://e.example.org/?a=1&b=2+3%20#x", "clicks": 3 }],
  "pages-visited": [{ "page": "https://e.example.org/p?q=ä", "visit_date": "2022-05-26 05:41 PM" }],
  "automation-triggered": [{ "id": 7, "name": "Welcome", "trigger_date": "2022-05-26 05:41 PM" }],
  "goals-reached": [{ "id": 2, "name": "Donation", "reach_date": "2022-05-26 05:42 PM" }],
  "webhooks-triggered": [{ "id": 4, "name": "Exit poll", "trigger_date": "2022-05-26 05:42 PM" }],
  "lead-score": [
    { "id": 5, "name": "Opened", "score": 10, "score_date": "2022-05-26 05:42 PM" },
    { "id": 6, "name": "Bounced", "score": -5, "score_date": "2022-05-27 05:42 PM" }
  ],
  "lead-status": { "score": 5, "label": "Cold Lead" }
}"#;

impl Letters {
    /// The payload in ISO-8859-1: without the flower, its only other letter.
    fn of(self, text: &str) -> String {
        match self {
            Self::All => text.to_owned(),
            Self::Latin => text.replace('🌻', "§"),
        }
    }

    pub fn payload(self) -> String {
        self.of(PAYLOAD)
    }

    /// The expected result of [`known`]. The dates are in the zone of Berlin.
    fn meaning(self) -> Value {
        let page = "https://e.example.org/p?q=ä";
        let meaning = json!({
            "fields": {
                "email": EMAIL,
                "phone": "+49 30 555 01",
                "profile_url": "https://app.example.org/c/8812?a=1&b=2#top",
                "firstName": "Zoë \"Zo\" O'Brien",
                "lastName": "Ünal & Söhne",
                "Motto": "100% a=b;c&d+e <b> \\ %41 %zz [x] 🌻",
                // The sources of these tests have `empty = "clear"`.
                "Nickname": null,
                "Topics": ["bees", "rivers & lakes", "ü+%"],
                "Remark": "one\r\ntwo\tend",
                "Children": "0",
                "Größe (cm) [a.b] \"c\"": "  spaces  stay ",
                "Raw": "{\"a\": [1, \"x\"]} &amp; &#8364; &euro",
                "One": ["007"],
                "lead_score": 5,
                "lead_status": "Cold Lead",
                "list_field_ids:platform": { "firstName": "125", "lastName": "126", "Motto": "127", "Nickname": "128",
                    "Topics": "129", "Remark": "130", "Children": "131", "Größe (cm) [a.b] \"c\"": "132", "Raw": "133", "One": "134" },
            },
            "identities": [
                { "kind": "email", "address": EMAIL },
                { "kind": "foreign_id", "namespace": "platform", "id": "8812" },
            ],
            "engagements": [
                { "kind": "automation", "key": "7", "name": "Welcome", "at": "2022-05-26T15:41:00Z" },
                { "kind": "email_open", "key": "31", "name": "May: 50% off & \"more\"", "at": "2022-05-26T15:40:00Z" },
                { "kind": "email_open", "key": "32", "name": "Été 🌻", "at": "2022-06-26T03:40:00Z" },
                { "kind": "goal", "key": "2", "name": "Donation", "at": "2022-05-26T15:42:00Z" },
                { "kind": "lead_score", "key": "5", "name": "Opened", "at": "2022-05-26T15:42:00Z", "score": 10.0 },
                { "kind": "lead_score", "key": "6", "name": "Bounced", "at": "2022-05-27T15:42:00Z", "score": -5.0 },
                { "kind": "link_click", "key": "https://e.example.org/?a=1&b=2+3%20#x", "count": 3 },
                { "kind": "page_visit", "key": page, "at": "2022-05-26T15:41:00Z" },
                { "kind": "popup", "key": "4", "name": "Exit poll", "at": "2022-05-26T15:42:00Z" },
            ],
        });
        serde_json::from_str(&self.of(&meaning.to_string())).expect("JSON")
    }
}

/// A way of sending by its name, and the letters of its text.
pub type Way = (&'static str, Letters);

/// A listener with its own workspace for each way.
fn config(ways: &[Way]) -> String {
    let mut config = "[retention]\nengagement_days = 0\n".to_owned();
    for (way, _) in ways {
        write!(
            config,
            "[source.{way}]\nkind = 'listener'\npreset = 'sync-to-third-party'\nnamespace = 'platform'\nworkspace = '{way}'\n\
             token = '{TOKEN}{way}'\nempty = 'clear'\nsync = {{ time_zone = 'Europe/Berlin' }}\n"
        )
        .expect("a text grows");
    }
    config
}

/// The beginning of every token.
pub const TOKEN: &str = "receiver-of-the-way-";

/// A hub for these ways, in a folder with the payload in both charsets.
pub fn hub(ways: &[Way]) -> (Home, Running) {
    let home = Home::new(&config(ways));
    home.write("payload.json", Letters::All.payload());
    home.write("latin.json", Letters::Latin.payload());
    let hub = home.serve();
    (home, hub)
}

/// Waits for the messages of these ways, and compares the contacts with the expected one.
pub async fn all_arrived(home: &Home, ways: &[Way]) {
    home.settled(ways.len() as u64).await;
    let wrong: Vec<String> = ways
        .iter()
        .filter_map(|(way, letters)| {
            let (known, mut meant) = (known(home, way, EMAIL), letters.meaning());
            if way.contains("-xml") && !way.ends_with("-escaped") {
                // XML normalises an unescaped line end to a line feed.
                meant["fields"]["Remark"] = "one\ntwo\tend".into();
            }
            (known != meant).then(|| format!("{way}\nknown {known}\nmeant {meant}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Runs a client that sends in each of these ways and prints `WAY STATUS` for each request.
pub async fn sent_by(mut program: std::process::Command, script: (&str, &str), ways: &[Way]) {
    let (home, hub) = hub(ways);
    let (name, text) = script;
    home.write(name, text);
    program
        .arg(name)
        .arg(format!("http://{}/in/", hub.listener))
        .current_dir(home.path(""));
    let printed = blocking(move || causeway_testkit::rig::process::run(program)).await;
    let answers: Vec<&str> = printed.lines().collect();
    let expected: Vec<String> = ways
        .iter()
        .map(|(way, _)| {
            let answer = if way.ends_with("not-blocking") {
                "sent"
            } else {
                "200"
            };
            format!("{way} {answer}")
        })
        .collect();
    assert_eq!(answers, expected, "{}", hub.log());
    all_arrived(&home, ways).await;
    hub.stop();
}
