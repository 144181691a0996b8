//! What is sent: Proca messages of about 1.5 kB and form posts of about 2.5 kB, each of another invented person.

use std::fmt::Write as _;

use anyhow::{Context as _, anyhow};
use crypto_box::{PublicKey, SalsaBox, SecretKey, aead::Aead};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

/// Bytes of a message, near enough.
const MESSAGE_BYTES: usize = 1_500;

/// A key pair each for Proca and for the organisation: fixed, so that runs are alike.
const SERVER_SECRET: [u8; 32] = [7; 32];
const ORG_SECRET: [u8; 32] = [9; 32];

/// Makes the messages of one organisation.
pub struct Messages {
    org: u32,
    seal: Option<Seal>,
    /// Added to the number of a person for the number of the action.
    first_action: u64,
}

struct Seal {
    cipher: SalsaBox,
    server: String,
    organisation: String,
}

impl Messages {
    pub fn plain(org: u32) -> Self {
        Self {
            org,
            seal: None,
            first_action: 100_000,
        }
    }

    pub fn encrypted(org: u32) -> Self {
        let (server, organisation) = (SecretKey::from(SERVER_SECRET), SecretKey::from(ORG_SECRET));
        let public = |key: &PublicKey| BASE64URL_NOPAD.encode(key.as_bytes());
        Self {
            org,
            seal: Some(Seal {
                cipher: SalsaBox::new(&organisation.public_key(), &server),
                server: public(&server.public_key()),
                organisation: public(&organisation.public_key()),
            }),
            first_action: 100_000,
        }
    }

    /// Other actions of the same people.
    pub fn numbered_anew(self) -> Self {
        Self {
            first_action: 1_000_000_000,
            ..self
        }
    }

    /// The action of person `number`.
    pub fn action(&self, number: u64) -> anyhow::Result<Vec<u8>> {
        let created = jiff::Timestamp::from_second(1_767_225_600 + i64::try_from(number)?)?.to_string();
        let person = json!({
            "firstName": "Ada", "lastName": format!("Berg{number}"), "email": format!("supporter{number}@example.org"),
            "country": "DE", "postcode": "10115", "area": "DE"
        });
        let reference = BASE64URL_NOPAD.encode(&[number.to_be_bytes(), [3; 8], [5; 8], [11; 8]].concat());
        let (mut contact, personal) = match &self.seal {
            None => (person, Value::Null),
            Some(seal) => (
                json!({ "firstName": "Ada", "email": null, "area": "DE" }),
                seal.close(&person, number)?,
            ),
        };
        contact["contactRef"] = json!(reference);
        contact["dupeRank"] = json!(0);
        let mut message = json!({
            "schema": "proca:action:2", "stage": "deliver", "actionId": self.first_action + number, "actionPageId": 7,
            "campaignId": 3, "orgId": self.org,
            "org": { "name": "bees", "title": "Friends of Bees" },
            "campaign": { "name": "save_the_bees", "title": "Save the bees", "externalId": null, "contactSchema": "basic" },
            "actionPage": { "name": "save_the_bees/en", "locale": "en", "thankYouTemplate": null,
                "thankYouTemplateRef": null, "supporterConfirmTemplate": null },
            "action": { "actionType": "petition", "createdAt": created, "testing": false,
                "customFields": { "emailProvider": "example.org", "comment": "" } },
            "contact": contact, "personalInfo": personal,
            "privacy": { "withConsent": true, "optIn": true, "givenAt": created, "emailStatus": null, "emailStatusChanged": null },
            "tracking": { "source": "newsletter", "medium": "email", "campaign": "spring", "content": "",
                "location": "https://act.example.org/bees" }
        });
        let missing = MESSAGE_BYTES.saturating_sub(message.to_string().len());
        let words = "For the bees, and for those who live from them. ";
        let comment: String = words.chars().cycle().take(missing).collect();
        message["action"]["customFields"]["comment"] = json!(comment);
        Ok(message.to_string().into_bytes())
    }
}

impl Seal {
    fn close(&self, person: &Value, number: u64) -> anyhow::Result<Value> {
        let mut nonce = [0; 24];
        nonce[16..].copy_from_slice(&number.to_be_bytes());
        let payload = self
            .cipher
            .encrypt(&nonce.into(), person.to_string().as_bytes())
            .map_err(|_| anyhow!("encrypting a message"))?;
        Ok(json!({
            "payload": BASE64URL_NOPAD.encode(&payload), "nonce": BASE64URL_NOPAD.encode(&nonce),
            "encryptKey": { "id": 42, "public": self.organisation }, "signKey": { "id": 1, "public": self.server }
        }))
    }
}

/// The key store that opens what [`Messages::encrypted`] makes.
pub fn keystore() -> String {
    let organisation = SecretKey::from(ORG_SECRET);
    let public = BASE64URL_NOPAD.encode(organisation.public_key().as_bytes());
    json!({ public: { "private": BASE64URL_NOPAD.encode(&ORG_SECRET) } }).to_string()
}

/// A form post of which only the person's number changes, in place: making it costs the load generator nothing.
#[derive(Clone)]
pub struct Form {
    body: Vec<u8>,
    places: Vec<usize>,
}

/// Digits of the number in a form.
const DIGITS: usize = 9;
const PLACE: &str = "000000000";

/// Groups of a form with several rows: their name, how many rows, and the members of each.
const GROUPS: [Group; 8] = [
    Group {
        name: "fields",
        rows: 4,
        members: &[
            ("id", "12"),
            ("name", "Favourite Colour"),
            ("value", "Green as a meadow"),
        ],
    },
    Group {
        name: "campaigns-opened",
        rows: 2,
        members: &[
            ("id", "3"),
            ("name", "Spring news"),
            ("open_date", "2026-05-26 05:40 PM"),
        ],
    },
    Group {
        name: "links-clicked",
        rows: 2,
        members: &[
            ("url", "https://act.example.org/?page=1&from=mail"),
            ("clicks", "3"),
        ],
    },
    Group {
        name: "pages-visited",
        rows: 2,
        members: &[
            ("page", "https://act.example.org/bees"),
            ("visit_date", "2026-05-26 05:41 PM"),
        ],
    },
    Group {
        name: "automation-triggered",
        rows: 2,
        members: &[
            ("id", "8"),
            ("name", "Welcome"),
            ("trigger_date", "2026-05-26 05:42 PM"),
        ],
    },
    Group {
        name: "goals-reached",
        rows: 1,
        members: &[
            ("id", "4"),
            ("name", "Signed"),
            ("reach_date", "2026-05-26 05:43 PM"),
        ],
    },
    Group {
        name: "webhooks-triggered",
        rows: 2,
        members: &[
            ("id", "6"),
            ("name", "Exit pop-up"),
            ("trigger_date", "2026-05-26 05:44 PM"),
        ],
    },
    Group {
        name: "lead-score",
        rows: 1,
        members: &[
            ("id", "5"),
            ("name", "Opened"),
            ("score", "10"),
            ("score_date", "2026-05-26 05:45 PM"),
        ],
    },
];

struct Group {
    name: &'static str,
    rows: usize,
    members: &'static [(&'static str, &'static str)],
}

impl Form {
    /// The eleven groups of a platform's "Sync to Third Party" post.
    pub fn new() -> anyhow::Result<Self> {
        let mut pairs = vec![
            ("transactionid".to_owned(), PLACE.to_owned()),
            ("contact[id]".to_owned(), PLACE.to_owned()),
            (
                "contact[email]".to_owned(),
                format!("supporter{PLACE}@example.org"),
            ),
            ("contact[phone]".to_owned(), "+15551234".to_owned()),
            (
                "contact[profile_url]".to_owned(),
                format!("https://app.example.org/c/{PLACE}"),
            ),
        ];
        for Group { name, rows, members } in GROUPS {
            for row in 0..rows {
                for (member, value) in members {
                    let value = if *member == "id" {
                        format!("{value}{row}")
                    } else {
                        (*value).to_owned()
                    };
                    pairs.push((format!("{name}[{row}][{member}]"), value));
                }
            }
        }
        pairs.push(("lead-status[score]".to_owned(), "10".to_owned()));
        pairs.push(("lead-status[label]".to_owned(), "Cold Lead".to_owned()));
        let body = pairs
            .iter()
            .map(|(key, value)| format!("{}={}", encoded(key), encoded(value)))
            .collect::<Vec<_>>()
            .join("&");
        let places: Vec<usize> = body.match_indices(PLACE).map(|(at, _)| at).collect();
        anyhow::ensure!(
            places.len() == 4,
            "the form has {} places for the number",
            places.len()
        );
        Ok(Self {
            body: body.into_bytes(),
            places,
        })
    }

    /// The body of person `number`.
    pub fn of(&mut self, number: u64) -> anyhow::Result<&[u8]> {
        let digits = format!("{number:0DIGITS$}");
        for place in &self.places {
            self.body
                .get_mut(*place..*place + DIGITS)
                .context("a form that is shorter than its places")?
                .copy_from_slice(digits.as_bytes());
        }
        Ok(&self.body)
    }
}

/// As PHP's `http_build_query` writes it.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => {
                let _infallible = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}
