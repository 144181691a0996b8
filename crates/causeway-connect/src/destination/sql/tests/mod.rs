//! The same requirements on real PostgreSQL, MariaDB and SQLite.

mod database;
mod each;
mod engagements;
mod failure;
mod keys;
mod opt_out;
mod pooler;
mod protection;
mod removal;
mod trace;
mod types;
mod upsert;

use causeway_core::{
    consent::{Change, ConsentState, Suppression},
    contact::{Contact, Field, Identity},
    delivery::{Delivery, Kind},
    destination::{AttemptResult, Destination, Outcome},
    event::{Action, Campaign},
    id::{DeliveryId, IdempotencyKey, InboxId},
    record::Record,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::KIND;
use database::Database;

/// Makes a test for each database from an `async fn(Database)`.
macro_rules! on_each {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            use crate::destination::sql::tests::database::Database;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                super::check::$name(Database::postgres()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_mariadb() {
                super::check::$name(Database::mariadb()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                super::check::$name(Database::sqlite()).await;
            }
        }
    )*};
}
use on_each;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A supporter who signed and opted in: `robin7@example.org`, action `7`.
pub(super) fn signed(number: usize, fields: &Value) -> Delivery {
    let mut contact = Contact::default();
    let signed_at = at("2026-03-01T10:00:00.25Z");
    let mut all = json!({ "email": format!("robin{number}@example.org"), "firstName": "Robin" });
    for (name, value) in fields.as_object().unwrap() {
        all[name] = value.clone();
    }
    for (name, value) in all.as_object().unwrap() {
        if !value.is_null() {
            let value = value.clone();
            contact.fields.insert(name.clone(), Field::new(value, signed_at));
        }
    }
    Delivery {
        id: DeliveryId(i64::try_from(number).unwrap()),
        key: IdempotencyKey(format!("cw_{number}")),
        attempt: 1,
        planned_at: signed_at,
        ticket: None,
        memory: None,
        record: Record {
            workspace: "main".into(),
            source: "petition".into(),
            inbox_id: InboxId(1),
            kind: Kind::Record,
            event: "action".to_owned(),
            event_at: signed_at,
            contact,
            identities: Vec::<Identity>::new(),
            action: Some(Action {
                external_id: number.to_string(),
                action_type: "petition".to_owned(),
                created_at: signed_at,
                custom_fields: json!({ "comment": "it's \"mine\"" }).as_object().unwrap().clone(),
                donation: None,
                tracking: None,
                with_consent: true,
                dupe_rank: None,
                testing: false,
            }),
            campaign: Some(Campaign {
                external_id: "204".to_owned(),
                name: "bees".to_owned(),
                title: None,
                crm_id: Some(77),
                contact_schema: None,
                config: None,
            }),
            page: None,
            purpose: "email".into(),
            consent_state: [("email".to_owned(), ConsentState::OptedIn { since: signed_at })].into(),
            engagements: Vec::new(),
            lead: causeway_core::automation::Lead::default(),
            change: Change::None,
            settings: serde_json::Map::new(),
            via: Vec::new(),
        },
    }
}

/// The same supporter's address bounced; no name is known any more.
fn bounced(number: usize) -> Delivery {
    let mut delivery = signed(number, &json!({ "firstName": null }));
    delivery.record.kind = Kind::Withdrawal;
    delivery.record.action = None;
    delivery.record.event_at = at("2026-03-02T00:00:00Z");
    let since = delivery.record.event_at;
    let why = Suppression::Bounced;
    delivery
        .record
        .consent_state
        .insert("email".to_owned(), ConsentState::Suppressed { since, why });
    delivery
}

/// The same supporter is erased: the record holds only what names them.
fn erased(number: usize) -> Delivery {
    let mut delivery = bounced(number);
    let record = &mut delivery.record;
    record.change = Change::Remove;
    record.campaign = None;
    let since = record.event_at;
    record
        .consent_state
        .insert("email".to_owned(), ConsentState::Unsubscribed { since });
    record.identities = vec![Identity::Email {
        address: format!("robin{number}@example.org"),
    }];
    delivery
}

fn many(count: usize) -> Vec<Delivery> {
    (0..count).map(|number| signed(number, &json!({}))).collect()
}

fn table(text: &str) -> toml::Table {
    text.parse().unwrap()
}

fn connect(database: &Database, text: &str) -> Box<dyn Destination> {
    let mut config = table(text);
    config.insert("url".to_owned(), database.url.clone().into());
    (KIND.connect)(&database.context, &config).unwrap()
}

/// Runs `causeway destination create`.
async fn create(database: &Database, text: &str) {
    let mut config = table(text);
    config.insert("url".to_owned(), database.url.clone().into());
    (KIND.create.unwrap().run)(&database.context, &config)
        .unwrap()
        .await
        .unwrap();
}

fn all_delivered(results: &[AttemptResult]) {
    for result in results {
        assert_eq!(
            result.outcome,
            Outcome::Delivered { remote_id: None },
            "{result:?}"
        );
    }
}

fn is_rejected(result: &AttemptResult) -> bool {
    matches!(result.outcome, Outcome::Reject { .. })
}

fn is_skipped(result: &AttemptResult) -> bool {
    matches!(result.outcome, Outcome::Skip { .. })
}

fn reason(result: &AttemptResult) -> &str {
    result.outcome.reason().unwrap_or_default()
}
