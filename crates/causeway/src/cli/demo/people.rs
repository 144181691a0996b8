//! Invented people and their messages. The same number always gives the same person.

use causeway_core::clock::Timestamp;
use serde_json::{Value, json};

const FIRST: [&str; 16] = [
    "Ada", "Björn", "Chiara", "Dilan", "Élodie", "Femke", "Giorgos", "Hanna", "Ivo", "Jana", "Kofi", "Łucja",
    "Mehmet", "Noor", "Oona", "Pedro",
];
const LAST: [&str; 14] = [
    "Almeida",
    "Berg",
    "Ceder",
    "Dubois",
    "Engel",
    "Ferreira",
    "Grün",
    "Horváth",
    "Iversen",
    "Jansen",
    "Kowalska",
    "Lindqvist",
    "Moreau",
    "Novák",
];
const COUNTRIES: [&str; 6] = ["DE", "FR", "IT", "NL", "PL", "SE"];
const CAMPAIGNS: [&str; 3] = ["save_the_bees", "clean_rivers", "night_trains"];

pub(super) struct Person {
    pub number: u64,
    pub first: &'static str,
    pub last: &'static str,
    pub email: String,
    pub country: &'static str,
}

fn pick<T: Copy>(list: &[T], number: u64) -> Option<T> {
    let length = u64::try_from(list.len()).ok()?;
    list.get(usize::try_from(number.checked_rem(length)?).ok()?)
        .copied()
}

impl Person {
    pub(super) fn new(number: u64) -> Self {
        let first = pick(&FIRST, number).unwrap_or("Ada");
        let last = pick(&LAST, number / 16).unwrap_or("Berg");
        Self {
            number,
            first,
            last,
            email: format!("supporter{number}@example.org"),
            country: pick(&COUNTRIES, number / 3).unwrap_or("DE"),
        }
    }
}

/// A signature on a petition, as Proca sends it. Two of three people opt in. The first five of ten numbers sign: the action
/// ids follow one another.
pub(super) fn signature(person: &Person, now: Timestamp) -> Value {
    let campaign = pick(&CAMPAIGNS, person.number).unwrap_or("save_the_bees");
    let at = now.round(jiff::Unit::Second).unwrap_or(now).to_string();
    let opt_in = match person.number % 6 {
        0 => json!(false),
        3 => json!(null),
        _ => json!(true),
    };
    json!({
        "schema": "proca:action:2", "stage": "deliver", "actionId": 100_000 + person.number / 10 * 5 + person.number % 10,
        "actionPageId": 7, "campaignId": 3 + person.number % 3, "orgId": 12,
        "org": { "name": "bees", "title": "Friends of Bees" },
        "campaign": { "name": campaign, "title": campaign, "externalId": null, "contactSchema": "basic" },
        "actionPage": { "name": format!("{campaign}/en"), "locale": "en", "thankYouTemplate": null, "thankYouTemplateRef": null, "supporterConfirmTemplate": null },
        "action": { "actionType": "petition", "customFields": { "comment": "Please act." }, "createdAt": at, "testing": false },
        "contact": { "firstName": person.first, "lastName": person.last, "email": person.email,
            "contactRef": format!("ref-{}", person.number), "dupeRank": 0, "area": person.country, "country": person.country, "postcode": "10115" },
        "personalInfo": null,
        "privacy": { "withConsent": true, "optIn": opt_in, "givenAt": at, "emailStatus": null, "emailStatusChanged": null },
        "tracking": { "source": "newsletter", "medium": "email", "campaign": campaign, "content": "", "location": "https://act.example.org/" }
    })
}

/// The status of the signature's address: confirmed, bounced or unsubscribed.
pub(super) fn status(person: &Person, now: Timestamp) -> Value {
    let mut event = signature(person, now);
    let at = now.round(jiff::Unit::Second).unwrap_or(now).to_string();
    let status = match person.number % 4 {
        0 => "bounce",
        1 => "unsub",
        _ => "double_opt_in",
    };
    let Some(members) = event.as_object_mut() else {
        return event;
    };
    for key in ["stage", "privacy", "personalInfo", "org", "orgId"] {
        members.remove(key);
    }
    let privacy = json!({ "withConsent": false, "optIn": true, "givenAt": at, "emailStatus": status, "emailStatusChanged": at });
    let contact = members.remove("contact");
    members.extend([
        ("schema".to_owned(), json!("proca:event:2")),
        ("eventType".to_owned(), json!("email_status")),
        ("timestamp".to_owned(), json!(at)),
        (
            "supporter".to_owned(),
            json!({ "contact": contact, "personalInfo": null, "privacy": privacy }),
        ),
    ]);
    event
}

/// The form of "Sync to Third Party", as pairs in the documented order.
pub(super) fn sync(person: &Person) -> Vec<(String, String)> {
    let number = person.number;
    let pairs = [
        ("transactionid", (900_000_000 + number).to_string()),
        ("contact[id]", (40_000 + number).to_string()),
        ("contact[email]", person.email.clone()),
        ("contact[phone]", format!("+49301234{number:04}")),
        (
            "contact[profile_url]",
            format!("https://platform.example.org/contact/{number}"),
        ),
        ("fields[0][id]", "125".to_owned()),
        ("fields[0][name]", "First Name".to_owned()),
        ("fields[0][value]", person.first.to_owned()),
        ("fields[1][id]", "126".to_owned()),
        ("fields[1][name]", "Last Name".to_owned()),
        ("fields[1][value]", person.last.to_owned()),
        ("campaigns-opened[0][id]", "31".to_owned()),
        ("campaigns-opened[0][name]", "Spring newsletter".to_owned()),
        ("campaigns-opened[0][open_date]", "2026-05-26 05:40 PM".to_owned()),
        ("links-clicked[0][url]", "https://example.org/?a=1&b=2".to_owned()),
        ("links-clicked[0][clicks]", "3".to_owned()),
        ("pages-visited[0][page]", "https://example.org/donate".to_owned()),
        ("pages-visited[0][visit_date]", "2026-05-26 05:41 PM".to_owned()),
        ("automation-triggered[0][id]", "9".to_owned()),
        ("automation-triggered[0][name]", "Welcome".to_owned()),
        (
            "automation-triggered[0][trigger_date]",
            "2026-05-26 05:42 PM".to_owned(),
        ),
        ("lead-score[0][id]", "5".to_owned()),
        ("lead-score[0][name]", "Opened".to_owned()),
        ("lead-score[0][score]", "10".to_owned()),
        ("lead-score[0][score_date]", "2026-05-26 05:42 PM".to_owned()),
        ("lead-status[score]", "10".to_owned()),
        ("lead-status[label]", "Warm Lead".to_owned()),
    ];
    pairs.map(|(key, value)| (key.to_owned(), value)).to_vec()
}
