//! The connector against an installation in memory, read and changed with the client for listmonk.

use causeway_testkit::vendors::{
    FakeVendor,
    clients::Script,
    listmonk::{Listmonk as Installation, Status, SubscriptionStatus, TOKEN, USER},
};

use super::*;

const START: &str = "2026-03-01T12:00:00Z";
const BEFORE: &str = "2026-03-01T11:00:00Z";
const AFTER: &str = "2026-03-01T13:00:00Z";

struct Rig {
    listmonk: FakeVendor<Installation>,
    client: Script,
}

impl Rig {
    async fn start() -> Self {
        let clock = Arc::<TestClock>::default();
        clock.set(START.parse().unwrap());
        let listmonk = FakeVendor::start(Installation::new(clock)).await;
        let client = Script::python("listmonk_client.py");
        let mut rig = Self { listmonk, client };
        let url = rig.listmonk.url();
        rig.call("start", json!({ "url": url, "user": USER, "token": TOKEN }))
            .await;
        rig
    }

    fn connect(&self, more: &str) -> Box<dyn Destination> {
        let keys = format!(
            "user = '{USER}'\ntoken = '{TOKEN}'\nbase_url = '{}'\nallow_private = true\n{more}",
            self.listmonk.url()
        );
        let clock = Arc::<TestClock>::default();
        clock.set(START.parse().unwrap());
        let context = Context { clock, ..context() };
        (KIND.connect)(&context, &toml::from_str(&keys).unwrap()).unwrap()
    }

    /// What the client returns.
    async fn call(&mut self, command: &str, arguments: Value) -> Value {
        let mut answer = self.client.ask(&json!([command, arguments])).await;
        assert!(answer.get("error").is_none(), "{command}: {answer}");
        answer["ok"].take()
    }

    fn status(&self, email: &'static str) -> Status {
        self.listmonk
            .with(|listmonk| listmonk.subscriber(email).unwrap().status)
    }

    fn on_list(&self, email: &'static str) -> Option<&'static str> {
        let status = self.listmonk.with(|listmonk| listmonk.on_list(email, 1));
        status.map(SubscriptionStatus::as_str)
    }
}

const ONE: &str = "person1@example.org";
const TWO: &str = "person2@example.org";

#[tokio::test]
async fn what_was_delivered_is_read_by_the_client() {
    let mut rig = Rig::start().await;
    let listmonk = rig.connect("lists = [1]");
    listmonk.check().await.unwrap();
    let batch = [
        subscriber(1, BEFORE),
        delivery(2),
        delivery(2),
        subscriber(3, BEFORE),
    ];
    assert_eq!(outcomes(&listmonk.deliver(&batch).await), ["delivered"; 4]);
    let found = rig.call("by_email", json!({ "email": ONE })).await;
    assert_eq!(
        (&found["name"], &found["subscriptions"]),
        (&json!("Ada Példa, \"jr\""), &json!({ "1": "confirmed" }))
    );
    assert_eq!(found["attribs"], json!({ "language": "hu", "country": "HU" }));
    assert_eq!(rig.on_list(TWO), None, "they did not agree");
    let all = rig.call("find", json!({})).await;
    assert_eq!(all.as_array().unwrap().len(), 3);
    // The same again is one look-up.
    let before = rig.listmonk.requests().len();
    assert_eq!(
        outcomes(&listmonk.deliver(&[subscriber(1, BEFORE), delivery(2)]).await),
        ["delivered"; 2]
    );
    assert_eq!(rig.listmonk.requests().len(), before + 1);
    assert_eq!(rig.listmonk.with(|listmonk| listmonk.opt_in_mails.len()), 0);
}

#[tokio::test]
async fn known_people_keep_their_name_their_other_attributes_and_their_lists() {
    let mut rig = Rig::start().await;
    let known = json!({ "email": ONE, "name": "Augusta", "list_ids": [2], "pre_confirm": true, "attribs": { "city": "Pécs", "country": "BE" } });
    rig.call("create", known).await;
    rig.call("create", json!({ "email": TWO })).await;
    let batch = [subscriber(1, BEFORE), subscriber(2, BEFORE)];
    assert_eq!(
        outcomes(&rig.connect("lists = [1]").deliver(&batch).await),
        ["delivered"; 2]
    );
    let found = rig.call("by_email", json!({ "email": ONE })).await;
    assert_eq!(found["name"], "Augusta");
    assert_eq!(
        found["attribs"],
        json!({ "city": "Pécs", "country": "HU", "language": "hu" })
    );
    assert_eq!(
        found["subscriptions"],
        json!({ "1": "confirmed", "2": "confirmed" })
    );
    let other = rig.call("by_email", json!({ "email": TWO })).await;
    assert_eq!(other["name"], "Ada Példa, \"jr\"", "an empty name is filled in");
    let shared = rig.listmonk.requests();
    let shared = shared
        .iter()
        .filter(|request| request.path.ends_with("/lists") && request.method == "PUT");
    assert_eq!(shared.count(), 1, "both joined by one call");
}

#[tokio::test]
async fn who_left_there_stays_out_unless_they_agreed_later() {
    for (since, expected) in [(BEFORE, "unsubscribed"), (AFTER, "confirmed")] {
        let mut rig = Rig::start().await;
        let listmonk = rig.connect("lists = [1]");
        listmonk
            .deliver(&[subscriber(1, BEFORE), subscriber(2, BEFORE)])
            .await;
        rig.listmonk.with(|listmonk| listmonk.unsubscribe(ONE, 1));
        rig.call("update", json!({ "email": TWO, "status": "blocklisted" }))
            .await;
        let results = listmonk
            .deliver(&[subscriber(1, since), subscriber(2, since)])
            .await;
        assert_eq!(outcomes(&results), ["delivered"; 2]);
        assert_eq!(
            (rig.on_list(ONE), rig.on_list(TWO)),
            (Some(expected), Some(expected))
        );
        let is_back = expected == "confirmed";
        assert_eq!(rig.status(TWO) == Status::Enabled, is_back);
        assert_eq!(
            results.iter().all(|result| result.notes.is_empty()),
            is_back,
            "{results:?}"
        );
        rig.call("update", json!({ "email": TWO, "status": "disabled" }))
            .await;
        listmonk.deliver(&[subscriber(2, AFTER)]).await;
        assert_eq!(rig.status(TWO), Status::Disabled, "staff paused them");
    }
}

#[tokio::test]
async fn opt_outs_bounces_and_erasures_arrive_in_one_call_each() {
    let rig = Rig::start().await;
    let listmonk = rig.connect("lists = [1]");
    listmonk
        .deliver(&[subscriber(1, BEFORE), subscriber(2, BEFORE)])
        .await;
    let all = |change| {
        [
            withdrawal(1, change),
            withdrawal(2, change),
            withdrawal(3, change),
        ]
    };
    for (change, on_list, status) in [
        (Change::Unsubscribe, "unsubscribed", Status::Enabled),
        (Change::Suppress, "unsubscribed", Status::Blocklisted),
    ] {
        let before = rig.listmonk.requests().len();
        let results = listmonk.deliver(&all(change)).await;
        assert_eq!(
            outcomes(&results),
            ["delivered", "delivered", "skip"],
            "the third is not there"
        );
        assert_eq!(rig.listmonk.requests().len(), before + 2);
        assert_eq!((rig.on_list(ONE), rig.status(TWO)), (Some(on_list), status));
    }
    let results = listmonk.deliver(&all(Change::Remove)).await;
    assert_eq!(outcomes(&results), ["delivered", "delivered", "skip"]);
    assert_eq!(rig.listmonk.with(|listmonk| listmonk.subscribers.len()), 0);
    // Without lists, an opt-out blocks. A new person who opted out is created so.
    let listmonk = rig.connect("");
    let mut opted_out = delivery(1);
    opted_out.record.change = Change::Unsubscribe;
    listmonk.deliver(&[opted_out]).await;
    assert_eq!(rig.status(ONE), Status::Blocklisted);
}

#[tokio::test]
async fn answers_that_are_lost_leave_nothing_twice() {
    for passes in 0..4 {
        let rig = Rig::start().await;
        let listmonk = rig.connect("lists = [1]");
        let batch = [
            subscriber(1, BEFORE),
            delivery(2),
            withdrawal(3, Change::Unsubscribe),
        ];
        rig.listmonk
            .with(|listmonk| (listmonk.passes, listmonk.loses_answers) = (passes, 1));
        listmonk.deliver(&batch).await;
        rig.listmonk.with(|listmonk| listmonk.loses_answers = 0);
        assert_eq!(
            outcomes(&listmonk.deliver(&batch).await),
            ["delivered", "delivered", "skip"]
        );
        assert_eq!(rig.listmonk.with(|listmonk| listmonk.subscribers.len()), 2);
        assert_eq!((rig.on_list(ONE), rig.on_list(TWO)), (Some("confirmed"), None));
    }
}

#[tokio::test]
async fn one_address_that_is_refused_stops_no_other_and_quotes_are_no_sql() {
    let rig = Rig::start().await;
    let mut quoted = subscriber(1, BEFORE);
    quoted.record.contact.fields.get_mut("email").unwrap().value = "o'brien@example.org".into();
    let batch = [quoted, delivery(2)];
    assert_eq!(
        outcomes(&rig.connect("lists = [1]").deliver(&batch).await),
        ["delivered"; 2]
    );
    assert_eq!(rig.on_list("o'brien@example.org"), Some("confirmed"));
    rig.connect("lists = [1]").deliver(&batch).await;
    assert_eq!(rig.listmonk.with(|listmonk| listmonk.subscribers.len()), 2);
}

#[tokio::test]
async fn doctor_names_what_is_wrong_with_the_installation() {
    let rig = Rig::start().await;
    let error = rig.connect("lists = [9]").check().await.unwrap_err().to_string();
    assert!(
        error.contains("no list 9; it has 1 (News), 2 (Rivers)"),
        "{error}"
    );
    let double = rig.connect("lists = [2]");
    double.check().await.unwrap();
    assert!(
        double.remarks()[0].contains("confirmed already"),
        "{:?}",
        double.remarks()
    );
    rig.listmonk
        .with(|listmonk| listmonk.denied.insert("subscribers:sql_query"));
    let error = double.check().await.unwrap_err().to_string();
    assert!(error.contains("subscribers:sql_query"), "{error}");
}
