//! The connector against an ad account in memory, read and changed with Meta's own client.

use causeway_testkit::vendors::{
    FakeVendor,
    clients::Script,
    meta::{ACCOUNT, APP_SECRET, Family, Meta, TOKEN, Terms, Violation},
};

use super::*;

struct Account {
    meta: FakeVendor<Meta>,
    clock: Arc<TestClock>,
    audience: String,
}

impl Account {
    async fn start() -> Self {
        let clock = Arc::new(TestClock::default());
        let meta = FakeVendor::start(Meta::new(Arc::<TestClock>::clone(&clock))).await;
        let audience = meta.with(|meta| meta.add_audience(ACCOUNT, "list 42"));
        Self {
            meta,
            clock,
            audience,
        }
    }

    fn connect(&self, more: &str) -> Box<dyn Destination> {
        let keys = format!(
            "token = '{TOKEN}'\naudience = {}\nbase_url = '{}'\nallow_private = true\n{more}",
            self.audience,
            self.meta.url()
        );
        let context = Context {
            clock: Arc::<TestClock>::clone(&self.clock),
            ..context()
        };
        (KIND.connect)(&context, &toml::from_str(&keys).unwrap()).unwrap()
    }

    fn has(&self, number: i64) -> bool {
        let address = format!("person{number}@example.org");
        self.meta
            .with(|meta| meta.audience(&self.audience).members.has_email(&address))
    }

    fn people(&self) -> u64 {
        self.meta
            .with(|meta| meta.audience(&self.audience).members.people())
    }
}

/// Meta's client, connected to the account.
struct Client(Script);

impl Client {
    async fn start(account: &Account) -> Self {
        let mut client = Self(Script::python("meta.py"));
        let arguments = json!({ "graph": account.meta.url(), "token": TOKEN, "secret": APP_SECRET });
        client.run("start", arguments).await;
        client
    }

    async fn run(&mut self, command: &str, arguments: Value) -> Value {
        let answer = self.0.ask(&json!([command, arguments])).await;
        assert!(answer.get("error").is_none(), "{command}: {answer}");
        answer["ok"].clone()
    }
}

#[tokio::test]
async fn what_was_delivered_is_read_by_metas_own_client() {
    let account = Account::start().await;
    let mut client = Client::start(&account).await;
    let connected = account.connect("keys = ['EMAIL', 'PHONE', 'COUNTRY']");
    connected.check().await.unwrap();
    let batch: Vec<Delivery> = (1..=1_200).map(subscriber).collect();
    assert_eq!(
        outcomes(&connected.deliver(&batch).await),
        vec!["delivered"; 1_200]
    );
    // The same again changes nothing and makes nobody twice.
    assert_eq!(
        outcomes(&connected.deliver(&batch).await),
        vec!["delivered"; 1_200]
    );
    let fields = json!(["name", "approximate_count_lower_bound", "data_source"]);
    let read = client
        .run("read", json!({ "id": account.audience, "fields": fields }))
        .await;
    assert_eq!(
        (&read["name"], &read["approximate_count_lower_bound"]),
        (&json!("list 42"), &json!(1_200))
    );
    assert_eq!(read["data_source"]["sub_type"], "MULTI_HASHES");
    // The client hashes the address to the same value, so it removes the person whom the connector added.
    let remove = json!({ "id": account.audience, "schema": ["EMAIL"], "users": [["person7@example.org"]], "is_raw": true });
    client.run("remove", remove).await;
    assert_eq!((account.people(), account.has(7)), (1_199, false));
    account.meta.with(|meta| assert_eq!(meta.violations, []));
}

#[tokio::test]
async fn a_removal_takes_out_exactly_the_person_who_was_put_in() {
    let account = Account::start().await;
    let mut client = Client::start(&account).await;
    let all = "keys = ['EMAIL', 'PHONE', 'FN', 'LN', 'CT', 'ZIP', 'COUNTRY']";
    let connected = account.connect(all);
    let batch: Vec<Delivery> = (1..=5).map(subscriber).collect();
    connected.deliver(&batch).await;
    // Somebody whom another tool put in.
    let add = json!({ "id": account.audience, "schema": ["EMAIL"], "users": [["eve@example.org"]], "is_raw": true });
    client.run("add", add).await;
    let out = [
        withdrawal(1, Change::Unsubscribe),
        withdrawal(2, Change::Suppress),
        withdrawal(3, Change::Remove),
        // Nobody put this person in.
        withdrawal(9, Change::Remove),
    ];
    assert_eq!(outcomes(&connected.deliver(&out).await), ["delivered"; 4]);
    let left: Vec<i64> = (1..=5).filter(|number| account.has(*number)).collect();
    assert_eq!((left, account.people()), (vec![4, 5], 3));
    account.meta.with(|meta| {
        assert!(
            meta.audience(&account.audience)
                .members
                .has_email("eve@example.org")
        );
        assert_eq!(meta.violations, []);
    });
}

#[tokio::test]
async fn answers_that_are_lost_after_they_took_effect_lose_nobody() {
    let account = Account::start().await;
    let connected = account.connect("");
    let batch = [subscriber(1), withdrawal(2, Change::Remove), subscriber(3)];
    connected.deliver(&[subscriber(2)]).await;
    account.meta.with(|meta| meta.loses_answers = 2);
    assert_eq!(outcomes(&connected.deliver(&batch).await), ["retry"; 3]);
    assert_eq!(outcomes(&connected.deliver(&batch).await), ["delivered"; 3]);
    assert_eq!((account.people(), account.has(2)), (2, false));
}

#[tokio::test]
async fn a_limit_stops_the_calls_for_as_long_as_meta_says() {
    let account = Account::start().await;
    let connected = account.connect("");
    let lasts = jiff::SignedDuration::from_mins(12);
    account
        .meta
        .with(|meta| meta.block(Family::CustomAudience, lasts));
    // The additions are not sent after the removals were refused: that would prolong the block.
    let batch = [subscriber(1), subscriber(2), withdrawal(3, Change::Remove)];
    let results = connected.deliver(&batch).await;
    assert_eq!(outcomes(&results), ["busy"; 3]);
    assert_eq!(account.meta.requests().len(), 1);
    let Outcome::Busy {
        after: Some(after), ..
    } = results[0].outcome
    else {
        panic!("{:?}", results[0]);
    };
    assert_eq!(after, Duration::from_mins(12));
    assert!(reason(&results[0]).contains("80003"), "{results:?}");
    account.clock.advance(after);
    let results = connected.deliver(&[subscriber(1), subscriber(2)]).await;
    assert_eq!(outcomes(&results), ["delivered", "delivered"]);
    // The last calls of an hour say so.
    account.meta.with(|meta| {
        let buckets = &mut meta.account_mut().buckets;
        buckets.entry(Family::CustomAudience).or_default().limit = Some(2);
    });
    let results = connected.deliver(&[subscriber(3)]).await;
    assert_eq!(results[0].rest, Some(Duration::from_mins(5)));
}

#[tokio::test]
async fn what_a_person_must_fix_halts_and_names_the_cause() {
    type Break = fn(&mut Meta, &str);
    let breaks: [(Break, &str); 8] = [
        (
            |meta, _| meta.token_mut().ended = Some(460),
            "190/460: Meta does not accept the token",
        ),
        (|meta, _| meta.tokens.clear(), "make a new token"),
        (|meta, _| meta.token_mut().scopes.clear(), "ads_management"),
        (
            |meta, _| meta.account_mut().terms = Terms::Missing,
            "terms of Custom Audiences",
        ),
        (|meta, _| meta.app.requires_proof = true, "`app_secret`"),
        (|meta, _| meta.versions = (27, 28), "retired this version"),
        (
            |meta, id| meta.audience_mut(id).flagged.push("name".to_owned()),
            "flagged",
        ),
        (
            |meta, id| {
                meta.audiences.remove(id);
            },
            "no such audience",
        ),
    ];
    for (spoil, found) in breaks {
        let account = Account::start().await;
        let connected = account.connect("");
        connected.check().await.unwrap();
        account.meta.with(|meta| spoil(meta, &account.audience));
        let results = connected
            .deliver(&[subscriber(1), withdrawal(2, Change::Remove)])
            .await;
        assert_eq!(outcomes(&results), ["halt", "halt"], "{found}");
        assert!(reason(&results[0]).contains(found), "{results:?}");
    }
}

#[tokio::test]
async fn doctor_names_what_is_wrong_with_the_audience_and_what_may_surprise() {
    let account = Account::start().await;
    let connected = account.connect(&format!("app_secret = '{APP_SECRET}'"));
    account.meta.with(|meta| meta.app.requires_proof = true);
    connected.check().await.unwrap();
    let remarks = connected.remarks();
    let name = format!(
        "audience {} is \"list 42\" with fewer than 1000 people",
        account.audience
    );
    assert!(remarks[0].starts_with(&name), "{remarks:?}");
    assert!(remarks[1].contains("political"), "{remarks:?}");
    assert_eq!(remarks.len(), 2);

    account.meta.with(|meta| meta.app.requires_proof = false);
    account
        .meta
        .with(|meta| meta.audience_mut(&account.audience).other_people = 4_321);
    let old = account.connect("api_version = 'v25.0'");
    account.clock.set("2027-01-15T00:00:00Z".parse().unwrap());
    old.check().await.unwrap();
    assert!(
        old.remarks()[0].contains("4300 to 5100 people"),
        "{:?}",
        old.remarks()
    );
    assert_eq!(
        old.remarks()[2],
        "API version v25.0 ends on 2027-02-18, in 34 days: set `api_version` to a newer one, or update Causeway"
    );

    account.meta.with(|meta| {
        meta.audience_mut(&account.audience)
            .flagged
            .push("name".to_owned());
    });
    let error = connected.check().await.unwrap_err().to_string();
    assert!(error.contains("flagged audience"), "{error}");
    account.meta.with(|meta| meta.tokens.clear());
    let error = connected.check().await.unwrap_err().to_string();
    assert!(error.contains("make a new token"), "{error}");
}

#[tokio::test]
async fn calls_during_a_replacement_and_to_a_new_audience_come_again() {
    let account = Account::start().await;
    let mut client = Client::start(&account).await;
    let connected = account.connect("");
    account
        .meta
        .with(|meta| meta.creation_takes = jiff::SignedDuration::from_mins(1));
    assert_eq!(outcomes(&connected.deliver(&[subscriber(1)]).await), ["retry"]);
    account.clock.advance(Duration::from_mins(2));
    assert_eq!(
        outcomes(&connected.deliver(&[subscriber(1)]).await),
        ["delivered"]
    );
    let cell = hashed(Key::Email, "eve@example.org", "");
    let params = json!({
        "payload": { "schema": ["EMAIL"], "data": [[cell]] },
        "session": { "session_id": 7, "batch_seq": 1, "last_batch_flag": false, "estimated_num_total": 2 },
    });
    client
        .run("replace", json!({ "id": account.audience, "params": params }))
        .await;
    assert_eq!(outcomes(&connected.deliver(&[subscriber(2)]).await), ["busy"]);
    let error = connected.check().await.unwrap_err().to_string();
    assert!(error.contains("cannot be used now"), "{error}");
    account
        .meta
        .with(|meta| assert_eq!(meta.violations, [Violation::ChangeWhileReplacing]));
}
