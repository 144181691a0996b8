//! Invented people with all groups, and their contacts on a hub.

use std::collections::BTreeMap;

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::{Value, json};

use crate::running::Home;

/// A person to send: the address, the charset of the relay, and the message of the platform.
pub struct Person {
    pub email: String,
    pub message: Value,
}

/// A text for each charset that a sender may declare, with letters of the charset.
const CHARSETS: [(&str, &str); 13] = [
    ("utf-8", "Zoë Łódź 日本 🌻 e\u{301}"),
    ("us-ascii", "plain ~ text"),
    ("iso-8859-1", "Zoë Ünal §½ÿ"),
    ("windows-1252", "Zoë – „Ünal“ 5 €"),
    ("iso-8859-2", "Łódź Žofie ő"),
    ("iso-8859-15", "Zoë Ÿ 5 €"),
    ("koi8-r", "Зоя Иванова"),
    ("windows-1251", "Зоя Ї – №5"),
    ("shift_jis", "表示 ソ能 ｱｲｳ"),
    ("euc-kr", "조이 강"),
    ("big5", "功能 許 蓋"),
    ("gb18030", "佐伊 龙 🌻 ë"),
    ("utf-16", "Zoë 日本 🌻"),
];

/// One person for each charset.
pub fn of_charsets() -> Vec<Person> {
    let people = (1..).zip(CHARSETS);
    people
        .map(|(id, (charset, text))| person(id, charset, charset, &[text.to_owned()], 1))
        .collect()
}

/// People whose texts consist of characters that encoders must escape, with up to four rows in each group.
pub fn generated(count: usize) -> Vec<Person> {
    let piece = prop::sample::select(vec![
        "a",
        "é",
        "日",
        "🌻",
        "\"",
        "'",
        "&",
        "<",
        ">",
        "%",
        "+",
        "=",
        ";",
        "[",
        "]",
        " ",
        "\r\n",
        "\n",
        "\t",
        "\\",
        "#",
        "/",
        "?",
        "&amp;",
        "%41",
        "]]>",
        "<!--",
        "[]",
        "{\"a\":1}",
        "=?",
        "\u{a0}",
        "\u{feff}",
        "\u{202e}",
        "--cut",
    ]);
    // Neither empty nor a placeholder such as NULL.
    let text = prop::collection::vec(piece, 0..8).prop_map(|pieces| format!("x{}y", pieces.concat()));
    let texts = (prop::collection::vec(text, 5), 0_usize..5);
    let mut runner = TestRunner::deterministic();
    (0..count)
        .map(|n| {
            let (texts, rows) = texts.new_tree(&mut runner).expect("a value").current();
            let id = 100 + u32::try_from(n).expect("few");
            person(id, &format!("generated-{n}"), "utf-8", &texts, rows)
        })
        .collect()
}

/// A person with few fields.
pub fn sparse() -> Person {
    Person {
        email: "sparse@example.org".to_owned(),
        message: json!({ "transactionid": 99, "contact": { "id": 99, "email": "sparse@example.org" } }),
    }
}

/// A payload with this number of rows per group. The texts are used in turn.
fn person(id: u32, name: &str, charset: &str, texts: &[String], rows: usize) -> Person {
    let email = format!("{name}+x@example.org");
    let text = |n: usize| texts[n % texts.len()].as_str();
    let at = |n: usize| {
        format!(
            "2022-05-{:02} {:02}:{:02} {}",
            n % 28 + 1,
            n % 12 + 1,
            n * 7 % 60,
            ["AM", "PM"][n % 2]
        )
    };
    let list = |row: &dyn Fn(usize) -> Value| (0..rows).map(row).collect::<Vec<Value>>();
    let named = |date: &'static str, add: usize| {
        list(&|n| json!({ "id": n + 1, "name": text(n + add), date: at(n + add) }))
    };
    let mut fields = vec![
        json!({ "id": 125, "name": "First Name", "value": text(0) }),
        json!({ "id": 126, "name": "Last Name", "value": text(1) }),
        json!({ "id": 127, "name": "Charset", "value": charset }),
        json!({ "id": 128, "name": "Emptied", "value": "" }),
        json!({ "id": 129, "name": "Several", "value": [text(2), text(3), "1"] }),
        json!({ "id": 130, "name": "One of several", "value": [text(4)] }),
    ];
    fields.extend(
        (0..rows).map(|n| json!({ "id": 200 + n, "name": format!("{} {n}", text(n)), "value": text(n + 1) })),
    );
    let message = json!({
        "transactionid": 1000 + id,
        "contact": { "id": id, "email": email, "phone": format!("+49 30 {id}"),
            "profile_url": format!("https://app.example.org/c/{id}?a=1&b=2#{}", text(0)) },
        "fields": fields,
        "campaigns-opened": named("open_date", 0),
        "links-clicked": list(&|n| json!({ "url": format!("https://e.example.org/{n}?q={}&b=1+2%20#f", text(n)), "clicks": n + 1 })),
        "pages-visited": list(&|n| json!({ "page": format!("https://e.example.org/p{n}?q={}", text(n)), "visit_date": at(n) })),
        "automation-triggered": named("trigger_date", 1),
        "goals-reached": named("reach_date", 2),
        "webhooks-triggered": named("trigger_date", 3),
        "lead-score": list(&|n| json!({ "id": n + 1, "name": text(n), "score": if n == 1 { -5 } else { 10 }, "score_date": at(n) })),
        "lead-status": { "score": 10 * rows, "label": text(2) },
    });
    Person { email, message }
}

/// The contact in each workspace, without the hub's own times and numbers.
pub fn known_everywhere(home: &Home, email: &str) -> BTreeMap<String, Value> {
    let people = home.json(&["contact", "export", email]);
    let people = people.as_array().expect("a list").iter();
    people
        .map(|person| {
            let workspace = person["workspace"].as_str().expect("a name").to_owned();
            let mut known = crate::sync::without_own_marks(person);
            // A row has all its keys. Values that the sender does not know are empty, and cleared here.
            if let Some(fields) = known["fields"].as_object_mut() {
                fields.retain(|_, value| !value.is_null());
            }
            (workspace, known)
        })
        .collect()
}
