//! Measures what the shortcut for simple conditions brings, against the template engine. The figures are in docs/speed.md:
//! `cargo run --profile dist -p causeway-core --example conditions`.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a program for measuring, run by hand"
)]

use std::{collections::BTreeMap, hint::black_box, time::Instant};

use causeway_core::{
    automation::Lead,
    consent::{Change, EMAIL},
    contact::{Contact, Field},
    delivery::Kind,
    id::InboxId,
    mapping::{Expression, Scope},
    record::Record,
};
use serde_json::json;

const ROUNDS: u32 = 100_000;

/// Conditions as they are in samples and documentation.
const CONDITIONS: [&str; 6] = [
    "campaign.name == 'bees'",
    "contact.country == 'HU' and campaign.name == 'bees'",
    "contact.country in ['HU', 'DE', 'FR']",
    "not contact.city and contact.country != 'DE'",
    "'volunteer' in contact.tags",
    "contact.postcode and contact.postcode[:2] == '10'",
];

fn main() {
    let record = record();
    println!("| condition | shortcut | engine |\n|---|---|---|");
    for text in CONDITIONS {
        let condition = Expression::new(text).expect("a condition");
        let time = |ask: &dyn Fn(&Scope) -> bool| {
            let started = Instant::now();
            for _ in 0..ROUNDS {
                // As for each message: a new scope, in which nothing was looked up yet.
                black_box(ask(&Scope::new(black_box(&record))));
            }
            started.elapsed().as_nanos() / u128::from(ROUNDS)
        };
        let scope = time(&|_| true);
        let shortcut = time(&|scope| condition.is_true(scope).unwrap_or_default()).saturating_sub(scope);
        let engine =
            time(&|scope| condition.is_true_by_engine(scope).unwrap_or_default()).saturating_sub(scope);
        println!("| `{text}` | {shortcut} ns | {engine} ns |");
    }
}

fn record() -> Record {
    let at = "2026-03-01T09:30:00Z".parse().expect("a time");
    let fields = [("country", "HU"), ("postcode", "1011"), ("firstName", "Ada")];
    let field = |(name, value): (&str, &str)| (name.to_owned(), Field::new(value.into(), at));
    Record {
        workspace: "default".into(),
        source: "proca".into(),
        inbox_id: InboxId(1),
        kind: Kind::Record,
        event: "action".to_owned(),
        event_at: at,
        contact: Contact {
            fields: fields.map(field).into(),
            ..Contact::default()
        },
        identities: Vec::new(),
        action: None,
        campaign: serde_json::from_value(json!({ "external_id": "204", "name": "bees" })).ok(),
        page: None,
        consent_state: BTreeMap::new(),
        purpose: EMAIL.into(),
        change: Change::None,
        lead: Lead::default(),
        engagements: Vec::new(),
        settings: serde_json::Map::new(),
        via: Vec::new(),
    }
}
