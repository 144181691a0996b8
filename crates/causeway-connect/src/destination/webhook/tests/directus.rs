//! `samples/rest/directus.toml` against the real Directus, read with its own SDK.

use causeway_core::{
    consent::{Change, ConsentState},
    contact::Field,
    delivery::Kind as DeliveryKind,
    id::IdempotencyKey,
};
use causeway_testkit::{
    rig::directus::{self, Directus},
    vendors::clients::Script,
};
use serde_json::Value;

use super::{samples::own_keys, *};

const TOKEN: &str = "token-of-the-hub";
const SAMPLE: &str = include_str!("../../../../../../samples/rest/directus.toml");

struct Rig {
    directus: Directus,
    sdk: Script,
}

impl Rig {
    /// Sets Directus up as the sample says. Each country must be a code, and items marked as hidden are not shown.
    async fn start() -> Self {
        let directus = tokio::task::spawn_blocking(directus::start).await.unwrap();
        let sdk = directus.sdk();
        let mut rig = Self { directus, sdk };
        let text = |name: &str| json!({ "field": name, "type": "string" });
        let email = json!({ "field": "email", "type": "string", "schema": { "is_unique": true } });
        let code = json!({ "country": { "_regex": "^[A-Z]{2}$" } });
        let country = json!({ "field": "country", "type": "string", "meta": { "validation": code } });
        let id = json!({ "field": "id", "type": "integer", "schema": { "is_primary_key": true, "has_auto_increment": true } });
        let fields = json!([
            id,
            email,
            text("first_name"),
            text("last_name"),
            text("postcode"),
            country,
            text("consent"),
        ]);
        rig.collection("supporters", &fields).await;
        let id = json!({ "field": "id", "type": "string", "schema": { "is_primary_key": true } });
        let at = json!({ "field": "at", "type": "timestamp" });
        let fields = json!([
            id,
            text("email"),
            text("type"),
            text("campaign"),
            at,
            text("consent")
        ]);
        rig.collection("actions", &fields).await;
        rig.add_user().await;
        rig
    }

    async fn collection(&mut self, name: &str, fields: &Value) {
        let mut fields = fields.clone();
        for field in fields.as_array_mut().unwrap() {
            // Without it Directus makes one for a timestamp that lacks the names.
            if field["meta"].is_null() {
                field["meta"] = json!({});
            }
        }
        let made = json!({ "collection": name, "schema": {}, "meta": {}, "fields": fields });
        self.ok(json!(["createCollection", made])).await;
    }

    /// A policy, a role and a user, as the sample says.
    async fn add_user(&mut self) {
        let policy = self.ok(json!(["createPolicy", { "name": "Causeway" }])).await;
        for collection in ["supporters", "actions"] {
            for action in ["create", "read", "update", "delete"] {
                let shown = match (collection, action) {
                    ("supporters", "read") => {
                        json!({ "_or": [{ "consent": { "_null": true } }, { "consent": { "_neq": "hidden" } }] })
                    }
                    _ => json!({}),
                };
                let permission = json!({
                    "policy": policy["id"], "collection": collection, "action": action, "fields": ["*"],
                    "permissions": shown,
                });
                self.ok(json!(["createPermission", permission])).await;
            }
        }
        let role = json!({ "name": "Causeway", "policies": [{ "policy": policy["id"] }] });
        let role = self.ok(json!(["createRole", role])).await;
        let user = json!({ "email": "causeway@example.org", "role": role["id"], "token": TOKEN, "status": "active" });
        self.ok(json!(["createUser", user])).await;
    }

    /// A destination of the sample.
    fn connect(&self, name: &str, token: &str) -> Box<dyn Destination> {
        let text = SAMPLE.replace("https://directus.example.org", &self.directus.url());
        let whole: toml::Table = text.parse().unwrap();
        let mut own = own_keys(whole["destination"][name].as_table().unwrap());
        own["auth"] = toml::Value::Table(toml::Table::from_iter([("bearer".to_owned(), token.into())]));
        own.insert("allow_private".to_owned(), true.into());
        (KIND.connect)(&context(), &own).unwrap()
    }

    /// What a command of the SDK returns.
    async fn ok(&mut self, command: Value) -> Value {
        let mut answer = self.sdk.ask(&command).await;
        assert!(answer.get("errors").is_none(), "{command}: {answer}");
        answer["ok"].take()
    }

    async fn items(&mut self, collection: &str) -> Value {
        self.ok(json!(["readItems", collection, { "sort": ["id"] }]))
            .await
    }
}

/// A supporter whose action has this number.
fn supporter(number: i64, change: Change, fields: &Value) -> Delivery {
    let mut delivery = delivery(number);
    let record = &mut delivery.record;
    record.change = change;
    let since = record.event_at;
    let state = match change {
        Change::Subscribe => ConsentState::OptedIn { since },
        Change::None => ConsentState::Unknown,
        _ => ConsentState::Unsubscribed { since },
    };
    record.consent_state.insert("email".to_owned(), state);
    if !matches!(change, Change::Subscribe | Change::None) {
        record.kind = DeliveryKind::Withdrawal;
        record.action = None;
        record.campaign = None;
        // A withdrawal knows little of the person.
        record.contact.fields.retain(|name, _| name == "email");
        delivery.key = IdempotencyKey(format!("{}-{}", delivery.key.0, change.as_str()));
    }
    for (name, value) in fields.as_object().unwrap() {
        record
            .contact
            .fields
            .insert(name.clone(), Field::new(value.clone(), since));
    }
    delivery
}

fn subscribed(number: i64, fields: &Value) -> Delivery {
    supporter(number, Change::Subscribe, fields)
}

fn withdrawn(number: i64, change: Change) -> Delivery {
    supporter(number, change, &json!({}))
}

fn outcome(results: &[AttemptResult]) -> Vec<&'static str> {
    results.iter().map(|result| result.outcome.as_str()).collect()
}

fn remote(result: &AttemptResult) -> Option<&str> {
    match &result.outcome {
        Outcome::Delivered { remote_id } => remote_id.as_deref(),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Directus, which ./test --long installs"]
async fn the_sample_works_with_the_real_directus() {
    let mut rig = Rig::start().await;
    let people = rig.connect("directus", TOKEN);
    let actions = rig.connect("directus_actions", TOKEN);
    people.check().await.unwrap();
    actions.check().await.unwrap();
    people_are_created_updated_and_not_doubled(&mut rig, &*people).await;
    actions_are_written_once(&mut rig, &*actions).await;
    an_opt_out_is_noted(&mut rig, &*people, &*actions).await;
    a_bad_record_is_rejected_alone(&mut rig, &*people).await;
    an_address_that_is_taken_is_retried(&mut rig, &*people).await;
    an_erased_person_is_deleted(&mut rig, &*people, &*actions).await;
    // What Directus answers to a token or a right that is missing stops the destination.
    for (token, rights) in [("a-token-of-nobody", true), (TOKEN, false)] {
        if !rights {
            let all = rig.ok(json!(["readPermissions", { "limit": -1 }])).await;
            let own = all.as_array().unwrap().iter();
            let own = own.filter(|permission| permission["collection"] == "supporters");
            let ids: Vec<&Value> = own.map(|permission| &permission["id"]).collect();
            rig.ok(json!(["deletePermissions", ids])).await;
        }
        let people = rig.connect("directus", token);
        let results = people.deliver(&[subscribed(1, &json!({}))]).await;
        assert_eq!(outcome(&results), ["halt"], "{results:?}");
    }
}

async fn people_are_created_updated_and_not_doubled(rig: &mut Rig, people: &dyn Destination) {
    let batch = [
        subscribed(1, &json!({ "postcode": "1011" })),
        subscribed(2, &json!({})),
    ];
    let results = people.deliver(&batch).await;
    assert_eq!(outcome(&results), ["delivered"; 2], "{results:?}");
    let items = rig.items("supporters").await;
    let first = items
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["email"] == "person1@example.org");
    let id = first.unwrap()["id"].clone();
    assert_eq!(remote(&results[0]), Some(&*id.to_string()));
    assert_eq!(
        first.unwrap(),
        &json!({
            "id": id, "email": "person1@example.org", "first_name": "Ada", "last_name": "Példa, \"jr\"",
            "postcode": "1011", "country": "HU", "consent": "subscribe",
        })
    );
    // The same deliveries again, as after an answer that was lost.
    let results = people.deliver(&batch).await;
    assert_eq!(outcome(&results), ["delivered"; 2], "{results:?}");
    assert_eq!(rig.items("supporters").await, items);
    // A later action of the first person, who writes the address in another way.
    let changed = json!({ "email": "Person1@Example.org", "lastName": "Teszt", "postcode": "2000" });
    let results = people.deliver(&[subscribed(1, &changed)]).await;
    assert_eq!(remote(&results[0]), Some(&*id.to_string()), "{results:?}");
    let items = rig.items("supporters").await;
    assert_eq!(items.as_array().unwrap().len(), 2);
    let first = rig.ok(json!(["readItem", "supporters", id])).await;
    assert_eq!(
        (&first["email"], &first["last_name"], &first["postcode"]),
        (&json!("person1@example.org"), &json!("Teszt"), &json!("2000"))
    );
    // An address with characters that mean something in a query.
    let odd = json!({ "email": "o'neill+a&b=c%20@example.org" });
    for _ in 0..2 {
        let results = people.deliver(&[subscribed(3, &odd)]).await;
        assert_eq!(outcome(&results), ["delivered"], "{results:?}");
    }
    let items = rig.items("supporters").await;
    let odd = items
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["email"] == odd["email"]);
    assert_eq!(odd.count(), 1, "{items}");
}

async fn actions_are_written_once(rig: &mut Rig, actions: &dyn Destination) {
    let batch = [1, 2].map(|number| subscribed(number, &json!({})));
    for round in 0..2 {
        let results = actions.deliver(&batch).await;
        assert_eq!(outcome(&results), ["delivered"; 2], "{results:?}");
        if round == 0 {
            assert_eq!(remote(&results[1]), Some("2"), "{results:?}");
        }
        let items = rig.items("actions").await;
        assert_eq!(items.as_array().unwrap().len(), 2, "{items}");
        assert_eq!(
            items[0],
            json!({
                "id": "1", "email": "person1@example.org", "type": "petition", "campaign": "rivers",
                "at": "2026-03-01T09:30:00.000Z", "consent": "subscribe",
            })
        );
    }
}

async fn an_opt_out_is_noted(rig: &mut Rig, people: &dyn Destination, actions: &dyn Destination) {
    let consents = |items: Value| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let items = items.as_array().unwrap().iter();
        let mut all: Vec<_> = items
            .map(|item| (text(&item["email"]), text(&item["consent"])))
            .collect();
        all.retain(|(email, _)| email.starts_with("person"));
        all.sort();
        all
    };
    for change in [Change::Unsubscribe, Change::Suppress] {
        for destination in [people, actions] {
            let results = destination.deliver(&[withdrawn(1, change)]).await;
            assert_eq!(outcome(&results), ["delivered"], "{results:?}");
        }
        for collection in ["supporters", "actions"] {
            let expected = [
                ("person1@example.org", change.as_str()),
                ("person2@example.org", "subscribe"),
            ];
            let expected = expected.map(|(email, consent)| (email.to_owned(), consent.to_owned()));
            assert_eq!(consents(rig.items(collection).await), expected, "{collection}");
        }
    }
    // The name that Directus has is kept.
    let first = rig
        .ok(json!(["readItems", "supporters", { "filter": { "email": { "_eq": "person1@example.org" } } }]));
    assert_eq!(first.await[0]["first_name"], "Ada");
    // A person without actions.
    let results = actions.deliver(&[withdrawn(99, Change::Unsubscribe)]).await;
    assert_eq!(outcome(&results), ["delivered"], "{results:?}");
}

async fn a_bad_record_is_rejected_alone(rig: &mut Rig, people: &dyn Destination) {
    let before = rig.items("supporters").await.as_array().unwrap().len();
    let batch = [
        subscribed(11, &json!({})),
        subscribed(12, &json!({ "country": "Nowhere" })),
        subscribed(13, &json!({})),
    ];
    let results = people.deliver(&batch).await;
    assert_eq!(
        outcome(&results),
        ["delivered", "reject", "delivered"],
        "{results:?}"
    );
    let excerpt = results[1].excerpt.as_deref().unwrap();
    assert!(excerpt.contains("FAILED_VALIDATION"), "{excerpt}");
    assert_eq!(
        rig.items("supporters").await.as_array().unwrap().len(),
        before + 2
    );
}

/// Another writer created the person after the look-up. The hidden item stands for that one.
async fn an_address_that_is_taken_is_retried(rig: &mut Rig, people: &dyn Destination) {
    let hidden = json!({ "email": "person21@example.org", "consent": "hidden" });
    rig.ok(json!(["createItem", "supporters", hidden])).await;
    let results = people.deliver(&[subscribed(21, &json!({}))]).await;
    assert_eq!(outcome(&results), ["retry"], "{results:?}");
}

async fn an_erased_person_is_deleted(rig: &mut Rig, people: &dyn Destination, actions: &dyn Destination) {
    let erased = [withdrawn(1, Change::Remove)];
    assert_eq!(outcome(&people.deliver(&erased).await), ["delivered"]);
    assert_eq!(outcome(&actions.deliver(&erased).await), ["delivered"]);
    for collection in ["supporters", "actions"] {
        let items = rig.items(collection).await;
        let emails: Vec<&str> = items
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|item| item["email"].as_str())
            .collect();
        assert!(
            !emails.contains(&"person1@example.org"),
            "{collection}: {emails:?}"
        );
        assert!(
            emails.contains(&"person2@example.org"),
            "{collection}: {emails:?}"
        );
    }
    assert_eq!(outcome(&people.deliver(&erased).await), ["skip"]);
    assert_eq!(outcome(&actions.deliver(&erased).await), ["delivered"]);
}
