//! The connector against a site in memory, read and changed with mautic-cli. Mautic's own client is for PHP.

use std::{slice, sync::Arc};

use causeway_core::{consent::ConsentState, destination::AttemptResult};
use causeway_testkit::{
    clock::TestClock,
    vendors::{
        FakeVendor,
        clients::Script,
        mautic::{CLIENT_ID, CLIENT_SECRET, Field, FieldKind, Mautic as Site, PASSWORD, USER},
    },
};

use super::*;

const START: &str = "2026-03-01T12:00:00Z";
const BEFORE: &str = "2026-03-01T11:00:00Z";
const AFTER: &str = "2026-03-01T13:00:00Z";
const ONE: &str = "person1@example.org";

struct Rig {
    clock: Arc<TestClock>,
    site: FakeVendor<Site>,
    segment: u64,
    client: Script,
}

impl Rig {
    async fn start() -> Self {
        let clock = Arc::<TestClock>::default();
        clock.set(START.parse().unwrap());
        let mut site = Site::new(Arc::<TestClock>::clone(&clock));
        let segment = site.add_segment("News");
        let site = FakeVendor::start(site).await;
        let client = Script::python("mautic_client.py");
        let mut rig = Self {
            clock,
            site,
            segment,
            client,
        };
        let start = json!({ "base_url": rig.site.url(), "username": USER, "password": PASSWORD });
        rig.ask("start", start).await;
        rig
    }

    async fn ask(&mut self, command: &str, arguments: Value) -> Value {
        let mut answer = self.client.ask(&json!([command, arguments])).await;
        assert!(answer.get("error").is_none(), "{command}: {answer}");
        answer["ok"].take()
    }

    /// A line of mautic-cli.
    async fn run(&mut self, args: &[&str]) -> Value {
        self.ask("run", json!({ "args": args })).await
    }

    fn connect(&self, more: &str) -> Box<dyn Destination> {
        let mut own = table(
            &self.site.url(),
            &format!("segments = [{}]\n{more}", self.segment),
        );
        own.insert("password".to_owned(), PASSWORD.into());
        (KIND.connect)(&context(), &own).unwrap()
    }

    /// The only contact with this address, as the client reads it.
    async fn contact(&mut self, email: &str) -> Value {
        let found = self
            .run(&["contacts", "list", "--search", &format!("email:{email}")])
            .await;
        assert_eq!(found["total"], "1", "{found}");
        let rows = found["contacts"].as_object().unwrap().clone();
        rows.into_iter().next().unwrap().1
    }

    /// Reason and comment of the entries of all contacts with the address.
    fn entries(&self, email: &str) -> Vec<(i64, String)> {
        let entries = self.site.with(|site| site.entries(email));
        entries
            .into_iter()
            .map(|entry| (entry.reason, entry.comments))
            .collect()
    }

    fn is_in_segment(&self, email: &str) -> bool {
        let segment = self.segment;
        self.site.with(|site| {
            let ids: Vec<u64> = site.by_email(email).iter().map(|(id, _)| *id).collect();
            ids.iter().any(|id| site.segments[&segment].members.contains(id))
        })
    }
}

/// The delivery that follows this result, with what was remembered.
fn next(mut delivery: Delivery, result: &AttemptResult) -> Delivery {
    delivery.memory = result.memory.clone();
    delivery
}

#[tokio::test]
async fn what_was_delivered_is_read_by_the_client() {
    let mut rig = Rig::start().await;
    let mautic = rig.connect(
        "tags = ['campaign.name', '=proca']\npoints = 5\n\
         note = { Action = 'action.type', Comment = 'action.fields.comment' }",
    );
    mautic.check().await.unwrap();
    assert_eq!(mautic.remarks()[0], "Mautic 5.1.1");
    assert!(
        mautic.remarks()[1].ends_with("is \"News\""),
        "{:?}",
        mautic.remarks()
    );
    let batch = [subscriber(1, BEFORE), delivery(2)];
    // The second time nothing changes.
    for _ in 0..2 {
        let results = mautic.deliver(&batch).await;
        assert_eq!(outcomes(&results), ["delivered"; 2], "{results:?}");
        let contact = rig.contact(ONE).await;
        let id = contact["id"].to_string();
        let remote_id = Some(id.clone());
        assert_eq!(results[0].outcome, Outcome::Delivered { remote_id });
        let all = &contact["fields"]["all"];
        assert_eq!(
            (&all["lastname"], &all["country"], &contact["points"]),
            (&json!("Példa, \"jr\""), &json!("Hungary"), &json!(5))
        );
        assert_eq!(contact["doNotContact"], json!([]));
        let tags: Vec<&Value> = contact["tags"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tag| &tag["tag"])
            .collect();
        assert_eq!(tags, ["proca", "rivers"]);
        let notes = rig.run(&["notes", "list", "--contact", &id]).await;
        assert_eq!(notes["total"], "1");
        let text = notes["notes"][0]["text"].as_str().unwrap();
        assert!(
            text.starts_with("Action: petition<br />Comment: Save<br />the river<br />cw_"),
            "{text}"
        );
        let members = rig.run(&["segments", "contacts", &rig.segment.to_string()]).await;
        assert_eq!(members["contacts"].as_object().unwrap().len(), 1);
        let other = rig.contact("person2@example.org").await;
        assert_eq!(other["doNotContact"][0]["reason"], 3, "they did not agree");
    }
}

#[tokio::test]
async fn people_whom_others_changed_keep_their_will() {
    let mut rig = Rig::start().await;
    let made = r#"{"email":"PERSON1@example.org","firstname":"Old","city":"Pécs"}"#;
    let id = rig.run(&["contacts", "create", "--json", made]).await["contact"]["id"]
        .as_u64()
        .unwrap();
    let mautic = rig.connect("");
    let agreed = subscriber(1, BEFORE);
    let results = mautic.deliver(slice::from_ref(&agreed)).await;
    let agreed = next(agreed, &results[0]);
    assert!(rig.is_in_segment(ONE) && rig.entries(ONE).is_empty());
    assert_eq!(rig.contact(ONE).await["fields"]["all"]["city"], "Pécs");

    // They leave the segment, and then Mautic altogether. Neither is undone by the same opt-in.
    rig.run(&[
        "segments",
        "remove-contact",
        &rig.segment.to_string(),
        &id.to_string(),
    ])
    .await;
    mautic.deliver(slice::from_ref(&agreed)).await;
    assert!(!rig.is_in_segment(ONE));
    rig.site.with(|site| site.unsubscribe(id));
    let results = mautic.deliver(slice::from_ref(&agreed)).await;
    assert!(results[0].notes[0].ends_with("left so"), "{results:?}");
    assert_eq!(rig.entries(ONE).len(), 1);

    // They agree again, an hour later: both are.
    let again = next(subscriber(1, AFTER), &results[0]);
    let results = mautic.deliver(&[again]).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    assert!(rig.is_in_segment(ONE) && rig.entries(ONE).is_empty());

    // They opt out here, and in again within a minute, and Mautic's clock is ahead.
    let out = next(withdrawal(Change::Unsubscribe), &results[0]);
    rig.clock.advance(Duration::from_hours(24));
    let results = mautic.deliver(&[out]).await;
    assert_eq!(rig.entries(ONE), [(1, "Causeway (email): opted out".to_owned())]);
    assert!(!rig.is_in_segment(ONE), "Causeway put them there");
    let back = next(subscriber(1, "2026-03-01T13:01:00Z"), &results[0]);
    mautic.deliver(&[back]).await;
    assert!(rig.is_in_segment(ONE) && rig.entries(ONE).is_empty());
}

#[tokio::test]
async fn what_the_client_forbids_an_older_opt_in_does_not_allow() {
    let mut rig = Rig::start().await;
    let made =
        r#"{"email":"person1@example.org","doNotContact":[{"channel":"email","reason":2,"comments":"550"}]}"#;
    let id = rig.run(&["contacts", "create", "--json", made]).await["contact"]["id"].to_string();
    let mautic = rig.connect("");
    let results = mautic.deliver(&[subscriber(1, AFTER)]).await;
    assert_eq!(
        results[0].notes,
        ["the address bounced at Mautic: left as it is there"]
    );
    assert_eq!((rig.entries(ONE).len(), rig.is_in_segment(ONE)), (1, false));
    // A user clears the bounce, and closes another channel.
    let path = format!("/contacts/{id}/dnc/email/remove");
    rig.ask("call", json!({ "method": "post", "path": path })).await;
    let path = format!("/contacts/{id}/dnc/sms/add");
    rig.ask(
        "call",
        json!({ "method": "post", "path": path, "json": { "reason": 1 } }),
    )
    .await;
    let results = mautic.deliver(&[subscriber(1, AFTER)]).await;
    assert!(
        results[0].notes.is_empty() && rig.is_in_segment(ONE),
        "{results:?}"
    );
    // An opt-out leaves what somebody else wrote.
    rig.run(&[
        "contacts",
        "edit",
        &id,
        "--json",
        r#"{"doNotContact":[{"channel":"email","reason":3,"comments":"by post"}]}"#,
    ])
    .await;
    let results = mautic.deliver(&[withdrawal(Change::Unsubscribe)]).await;
    assert_eq!(results[0].notes, ["Mautic does not contact the person already"]);
    assert_eq!(rig.entries(ONE)[1].1, "by post");
}

#[tokio::test]
async fn merged_deleted_and_double_contacts_are_all_reached() {
    let mut rig = Rig::start().await;
    let mautic = rig.connect("");
    // An import made two contacts with one address, and an address has a quote mark.
    let ids = rig
        .site
        .with(|site| [site.import_contact(ONE), site.import_contact(ONE)]);
    let results = mautic.deliver(&[withdrawal(Change::Suppress)]).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    assert_eq!(rig.entries(ONE).len(), 2);
    rig.site
        .with(|site| site.import_contact("o'neill+news@example.org"));
    let mut quoted = withdrawal(Change::Unsubscribe);
    quoted.record.contact.fields.get_mut("email").unwrap().value = json!("O'Neill+news@example.org");
    mautic.deliver(&[quoted]).await;
    assert_eq!(rig.entries("o'neill+news@example.org").len(), 1);

    // One is merged into the other and gets another address there: the remembered id still finds the person.
    rig.site.with(|site| site.merge(ids[0], ids[1]));
    let agreed = subscriber(1, AFTER);
    let results = mautic.deliver(slice::from_ref(&agreed)).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    assert!(rig.entries(ONE).is_empty());
    let id = ids[0].to_string();
    rig.run(&[
        "contacts",
        "edit",
        &id,
        "--json",
        r#"{"email":"new@example.org"}"#,
    ])
    .await;
    let out = next(withdrawal(Change::Unsubscribe), &results[0]);
    let left = mautic.deliver(slice::from_ref(&out)).await;
    assert_eq!(outcomes(&left), ["delivered"]);
    assert_eq!(rig.entries("new@example.org").len(), 1);

    // Erased here, they are gone there; erased there, there is nothing to do.
    let erased = next(withdrawal(Change::Remove), &left[0]);
    let results = mautic.deliver(slice::from_ref(&erased)).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    assert!(rig.site.with(|site| site.by_email("new@example.org").is_empty()));
    assert_eq!(results[0].memory, Some(Value::Null));
    assert_eq!(outcomes(&mautic.deliver(&[erased, out]).await), ["delivered"; 2]);
    let deleted = rig.run(&["contacts", "list", "--search", "email:person1"]).await;
    assert_eq!(deleted["total"], "0");
}

#[tokio::test]
async fn an_opt_out_within_an_action_creates_a_closed_contact() {
    let mut rig = Rig::start().await;
    let mut action = delivery(1);
    action.record.change = Change::Unsubscribe;
    let since = AFTER.parse().unwrap();
    let state = ConsentState::Unsubscribed { since };
    action.record.consent_state.insert("email".to_owned(), state);
    // The second time the contact is there, and nothing is written twice.
    for _ in 0..2 {
        let results = rig.connect("").deliver(slice::from_ref(&action)).await;
        assert_eq!(outcomes(&results), ["delivered"]);
        assert_eq!(rig.entries(ONE), [(1, "Causeway (email): opted out".to_owned())]);
    }
    assert_eq!(rig.contact(ONE).await["fields"]["all"]["firstname"], "Ada");
}

#[tokio::test]
async fn refused_values_and_broken_contacts_harm_nobody_else() {
    let rig = Rig::start().await;
    rig.site.with(|site| {
        site.breaks.insert("person3@example.org".to_owned());
        site.batch_limit = 4;
    });
    let mautic = rig
        .connect("fields = { firstname = 'contact.firstName', country = 'contact.country', shoe = '=42' }");
    let mut batch: Vec<Delivery> = (1..=7).map(|number| subscriber(number, BEFORE)).collect();
    batch[4].record.contact.fields.get_mut("email").unwrap().value = json!("person5@example");
    let results = mautic.deliver(&batch).await;
    let expected = [
        "delivered",
        "delivered",
        "retry",
        "delivered",
        "reject",
        "delivered",
        "delivered",
    ];
    assert_eq!(outcomes(&results), expected, "{results:?}");
    // "HU" is no country of Mautic's, and nobody stays out because of it.
    assert_eq!(
        results[0].notes,
        [
            "left out country: Mautic refuses the value",
            "Mautic has no contact field shoe; correct `fields`"
        ]
    );
    assert_eq!(rig.site.with(|site| site.contacts.len()), 5);
    // Somebody else's contact.
    rig.site.with(|site| {
        let id = site.import_contact("person8@example.org");
        site.contacts.get_mut(&id).unwrap().is_foreign = true;
    });
    let results = mautic.deliver(&[subscriber(8, BEFORE)]).await;
    assert_eq!(outcomes(&results), ["halt"], "{results:?}");
}

#[tokio::test]
async fn lost_answers_and_limits_lose_and_repeat_nothing() {
    let rig = Rig::start().await;
    let mautic = rig.connect("points = -2\nnote = { Action = 'action.type' }");
    // Each of the eleven calls once takes effect while its answer is lost.
    for lost in 0..11 {
        let batch = [subscriber(2 * lost + 1, BEFORE), delivery(2 * lost + 2)];
        let after = usize::try_from(lost).unwrap();
        rig.site.with(|site| site.loses_answer_after = Some(after));
        let results = mautic.deliver(&batch).await;
        assert!(outcomes(&results).contains(&"retry"), "{lost}: {results:?}");
        let results = mautic.deliver(&batch).await;
        assert_eq!(outcomes(&results), ["delivered"; 2], "{lost}: {results:?}");
    }
    let (contacts, notes, points) = rig.site.with(|site| {
        let points: Vec<i64> = site.contacts.values().map(|contact| contact.points).collect();
        (site.contacts.len(), site.notes.len(), points)
    });
    assert_eq!((contacts, notes, points), (22, 22, vec![-2; 22]));
    for lost in 0..11 {
        let (agreed, did_not) = (2 * lost + 1, 2 * lost + 2);
        assert!(rig.entries(&format!("person{agreed}@example.org")).is_empty());
        assert_eq!(rig.entries(&format!("person{did_not}@example.org")).len(), 1);
    }

    rig.site.with(|site| site.limit = Some(3));
    let more: Vec<Delivery> = (31..=34).map(|number| subscriber(number, BEFORE)).collect();
    let results = mautic.deliver(&more).await;
    assert!(outcomes(&results).contains(&"busy"), "{results:?}");
    assert_eq!(rig.site.with(|site| site.refused), 0, "the rest waits by itself");
    rig.clock.advance(Duration::from_hours(1));
    rig.site.with(|site| site.limit = None);
    assert_eq!(outcomes(&mautic.deliver(&more).await), ["delivered"; 4]);
    assert_eq!(rig.site.with(|site| site.notes.len()), 26);
}

#[tokio::test]
async fn an_app_signs_in_and_renews_its_token() {
    let rig = Rig::start().await;
    let keys = format!(
        "base_url = '{}'\nallow_private = true\ncalls_per_s = 1000000\n\
         oauth = {{ client_id = '{CLIENT_ID}', client_secret = '{CLIENT_SECRET}' }}",
        rig.site.url()
    );
    let own: toml::Table = toml::from_str(&keys).unwrap();
    let mautic = (KIND.connect)(&context(), &own).unwrap();
    rig.site.with(|site| site.is_basic_enabled = false);
    mautic.check().await.unwrap();
    assert_eq!(
        outcomes(&mautic.deliver(&[subscriber(1, BEFORE)]).await),
        ["delivered"]
    );
    // The site forgets the token.
    rig.site.with(|site| site.tokens.clear());
    assert_eq!(
        outcomes(&mautic.deliver(&[subscriber(2, BEFORE)]).await),
        ["delivered"]
    );
    assert_eq!(rig.site.with(|site| site.contacts.len()), 2);
    let wrong = keys.replace(CLIENT_SECRET, "wrong");
    let wrong = (KIND.connect)(&context(), &toml::from_str(&wrong).unwrap()).unwrap();
    assert!(wrong.check().await.is_err());
    assert_eq!(outcomes(&wrong.deliver(&[subscriber(3, BEFORE)]).await), ["halt"]);
}

#[tokio::test]
async fn doctor_names_what_is_wrong_with_the_site() {
    let rig = Rig::start().await;
    rig.site.with(|site| {
        site.fields.push(Field::new("shoe", FieldKind::Number));
        site.fields.last_mut().unwrap().is_published = false;
    });
    let unpublished = rig.site.with(|site| {
        let id = site.add_segment("Old");
        site.segments.get_mut(&id).unwrap().is_published = false;
        id
    });
    let error = rig
        .connect("fields = { shoe = '=42' }")
        .check()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no field `shoe`"), "{error}");
    for (segment, expected) in [
        (9_999, "does not have segment 9999"),
        (unpublished, "is not published"),
    ] {
        let mut own = table(&rig.site.url(), &format!("segments = [{segment}]"));
        own.insert("password".to_owned(), PASSWORD.into());
        let error = (KIND.connect)(&context(), &own)
            .unwrap()
            .check()
            .await
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let wrong = connect(&rig.site.url(), "").check().await.unwrap_err();
    assert!(wrong.to_string().contains("does not accept the login"), "{wrong}");
    let folder = connect(&rig.site.url(), "api_path = 'wrong'")
        .check()
        .await
        .unwrap_err();
    assert!(folder.to_string().contains("check"), "{folder}");
    rig.site.with(|site| site.is_api_enabled = false);
    let off = rig.connect("").check().await.unwrap_err().to_string();
    assert!(off.contains("switch the API on"), "{off}");
    assert_eq!(rig.site.with(|site| site.contacts.len()), 0);
}
