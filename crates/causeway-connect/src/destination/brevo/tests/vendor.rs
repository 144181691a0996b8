//! The connector against an account in memory, read and changed with Brevo's own client.

use causeway_testkit::vendors::{
    FakeVendor,
    brevo::{Brevo, KEY, Limits, faults},
    clients::Script,
};

use super::*;

const ADDRESS: &str = "person1@example.org";

struct Account {
    brevo: FakeVendor<Brevo>,
    client: Script,
    list: u64,
}

impl Account {
    async fn start() -> Self {
        let mut brevo = Brevo::default();
        let list = brevo.add_list("News");
        let brevo = FakeVendor::start(brevo).await;
        let mut client = Script::python("brevo_client.py");
        client
            .ask(&json!(["start", { "url": brevo.url(), "key": KEY }]))
            .await;
        Self { brevo, client, list }
    }

    fn connect(&self, more: &str) -> Box<dyn Destination> {
        let keys = format!(
            "token = '{KEY}'\nlists = [{}]\nbase_url = '{}'\nallow_private = true\ncalls_per_s = 1000000\n{more}",
            self.list,
            self.brevo.url()
        );
        (KIND.connect)(&context(), &toml::from_str(&keys).unwrap()).unwrap()
    }

    /// What Brevo's client returns for a method that succeeds.
    async fn get(&mut self, method: &str, arguments: Value) -> Value {
        let answer = self.client.ask(&json!([method, arguments])).await;
        assert!(answer.get("ok").is_some(), "{method}: {answer}");
        answer["ok"]["value"].clone()
    }

    fn is_mailed(&self, email: &str) -> bool {
        let list = self.list;
        self.brevo.with(|brevo| brevo.contact(email).is_mailed(list))
    }

    fn at(&self, time: &str) {
        self.brevo.with(|brevo| brevo.clock.set(time.parse().unwrap()));
    }
}

#[tokio::test]
async fn what_was_delivered_is_read_by_brevos_own_client() {
    let mut account = Account::start().await;
    let campaign = account.brevo.with(|brevo| brevo.add_list("Rivers"));
    let connected = account.connect(&format!(
        "campaign_lists = ['={campaign}']\nevent = {{ name = 'signed' }}"
    ));
    connected.check().await.unwrap();
    let batch = [subscriber(1, SINCE), delivery(2)];
    let repeat = batch.clone().map(|delivery| Delivery {
        attempt: 2,
        ..delivery
    });
    for batch in [batch, repeat] {
        let results = connected.deliver(&batch).await;
        assert_eq!(outcomes(&results), ["delivered"; 2], "{results:?}");
    }
    let found = account
        .get("contacts.get_contact_info", json!({ "identifier": ADDRESS }))
        .await;
    assert_eq!(found["attributes"]["LASTNAME"], "Példa, \"jr\"");
    assert_eq!(found["listIds"], json!([account.list, campaign]));
    let events = account
        .get(
            "event.get_events",
            json!({ "contact_id": found["id"], "start_date": "2026-03-01", "end_date": "2026-03-01" }),
        )
        .await;
    assert_eq!(events["count"], 1, "the same delivery again is no second event");
    assert_eq!(events["events"][0]["event_properties"]["campaign"], "rivers");
    // The other person did not agree.
    assert!(!account.is_mailed("person2@example.org"));
    one(&*connected, withdrawal(Change::Unsubscribe)).await;
    assert!(!account.is_mailed(ADDRESS));
    one(&*connected, withdrawal(Change::Remove)).await;
    assert_eq!(account.brevo.with(|brevo| brevo.by_email(ADDRESS)), None);
}

#[tokio::test]
async fn a_person_who_left_stays_away_unless_they_agree_later() {
    let mut account = Account::start().await;
    let connected = account.connect("");
    account.at("2026-04-01T00:00:00Z");
    let body = json!({ "email": ADDRESS, "list_ids": [account.list], "email_blacklisted": true });
    account.get("contacts.create_contact", body).await;
    let result = one(&*connected, subscriber(1, SINCE)).await;
    assert!(result.notes[0].contains("left so"), "{result:?}");
    assert!(!account.is_mailed(ADDRESS));
    one(&*connected, subscriber(1, "2026-04-02T00:00:00Z")).await;
    assert!(account.is_mailed(ADDRESS));
    let list = account.list;
    account.brevo.with(|brevo| brevo.unsubscribe(ADDRESS, Some(list)));
    one(&*connected, subscriber(1, "2026-04-01T00:00:00Z")).await;
    assert!(!account.is_mailed(ADDRESS));
    // Blocked by Causeway itself, the time of the opt-in there does not matter.
    one(&*connected, subscriber(1, "2026-04-02T00:00:00Z")).await;
    let memory = one(&*connected, withdrawal(Change::Unsubscribe)).await.memory;
    assert!(!account.is_mailed(ADDRESS));
    let again = |memory| Delivery {
        memory,
        ..subscriber(1, "2026-03-31T00:00:00Z")
    };
    one(&*connected, again(memory.clone())).await;
    assert!(account.is_mailed(ADDRESS));
    // Unless they complain while they are blocked.
    let memory = one(&*connected, withdrawal(Change::Unsubscribe)).await.memory;
    account.at("2026-04-03T00:00:00Z");
    account.brevo.with(|brevo| brevo.complain(ADDRESS));
    one(&*connected, again(memory)).await;
    assert!(!account.is_mailed(ADDRESS));
}

#[tokio::test]
async fn without_a_block_a_person_leaves_the_lists_of_this_destination_only() {
    let mut account = Account::start().await;
    let (campaign, other) = account
        .brevo
        .with(|brevo| (brevo.add_list("Rivers"), brevo.add_list("Donors")));
    let body = json!({ "email": ADDRESS, "list_ids": [other] });
    account.get("contacts.create_contact", body).await;
    let connected = account.connect(&format!("campaign_lists = ['={campaign}']\nopt_out = 'unlink'"));
    let memory = one(&*connected, subscriber(1, SINCE)).await.memory;
    let out = |change| Delivery {
        memory: memory.clone(),
        ..withdrawal(change)
    };
    let result = one(&*connected, out(Change::Unsubscribe)).await;
    assert_eq!(result.outcome.as_str(), "delivered");
    let lists = account.brevo.with(|brevo| brevo.contact(ADDRESS).lists.clone());
    assert_eq!(lists, BTreeSet::from([other]));
    one(&*connected, subscriber(1, SINCE)).await;
    assert!(account.is_mailed(ADDRESS));
    one(&*connected, out(Change::Suppress)).await;
    assert!(account.brevo.with(|brevo| brevo.contact(ADDRESS).is_blocked));
}

#[tokio::test]
async fn an_address_that_was_changed_there_and_a_merged_contact_are_found() {
    let mut account = Account::start().await;
    let connected = account.connect("renew_days = 0");
    let memory = one(&*connected, subscriber(1, SINCE)).await.memory;
    let with = |delivery: Delivery| Delivery {
        memory: memory.clone(),
        ..delivery
    };
    let renamed = json!({ "identifier": ADDRESS, "attributes": { "EMAIL": "ada@example.org" } });
    account.get("contacts.update_contact", renamed).await;
    assert_eq!(
        one(&*connected, with(delivery(1))).await.outcome.as_str(),
        "delivered"
    );
    assert_eq!(
        account.brevo.with(|brevo| brevo.contacts.len()),
        1,
        "no second contact"
    );
    one(&*connected, with(withdrawal(Change::Unsubscribe))).await;
    assert!(!account.is_mailed("ada@example.org"));
    // The contact is merged into another, which has the address.
    let number = json!({ "SMS": "+3612345678" });
    let update = json!({ "identifier": "ada@example.org", "attributes": number });
    account.get("contacts.update_contact", update).await;
    let merged = json!({ "email": ADDRESS, "attributes": number, "force_merge": true, "update_enabled": true,
        "get_id": true });
    account.get("contacts.create_contact", merged).await;
    one(&*connected, with(subscriber(1, SINCE))).await;
    assert!(account.is_mailed(ADDRESS));
    let result = one(&*connected, with(withdrawal(Change::Remove))).await;
    assert_eq!(result.outcome.as_str(), "delivered");
    assert!(account.brevo.with(|brevo| brevo.contacts.is_empty()));
}

#[tokio::test]
async fn another_contacts_number_and_faults_lose_nobody() {
    let mut account = Account::start().await;
    let phone = json!({ "SMS": "+3612345678" });
    let owner = json!({ "email": "owner@example.org", "attributes": phone });
    account.get("contacts.create_contact", owner).await;
    let connected = account.connect("fields = { SMS = '=+3612345678' }");
    let result = one(&*connected, subscriber(1, SINCE)).await;
    assert_eq!(result.outcome.as_str(), "delivered");
    assert!(account.is_mailed(ADDRESS));
    for (fault, expected) in [
        (faults::limited(7), "busy"),
        (faults::in_process(), "retry"),
        (faults::under_validation(), "halt"),
        (faults::no_credits(), "halt"),
        (faults::gateway(), "retry"),
    ] {
        account.brevo.fail([fault]);
        assert_eq!(
            one(&*connected, subscriber(3, SINCE)).await.outcome.as_str(),
            expected
        );
    }
    one(&*connected, subscriber(3, SINCE)).await;
    assert!(account.is_mailed("person3@example.org"));
}

#[tokio::test]
async fn answers_that_are_lost_repeat_nothing() {
    let account = Account::start().await;
    let connected = account.connect("event = { name = 'signed' }");
    let brevo = &account.brevo;
    brevo.with(|brevo| brevo.loses = vec!["/contacts", "/events"]);
    for (attempt, outcome) in [(1, "retry"), (2, "delivered"), (3, "delivered")] {
        let batch = [1, 2].map(|number| Delivery {
            attempt,
            ..subscriber(number, SINCE)
        });
        assert_eq!(outcomes(&connected.deliver(&batch).await), [outcome; 2]);
    }
    assert_eq!(
        brevo.with(|brevo| (brevo.contacts.len(), brevo.events.len())),
        (2, 2)
    );
    // An opt-out whose answer is lost is found to be done.
    brevo.with(|brevo| brevo.loses = vec!["/contacts/person1%40example.org"]);
    assert_eq!(
        one(&*connected, withdrawal(Change::Unsubscribe))
            .await
            .outcome
            .as_str(),
        "retry"
    );
    assert!(!account.is_mailed(ADDRESS));
    assert_eq!(
        one(&*connected, withdrawal(Change::Unsubscribe))
            .await
            .outcome
            .as_str(),
        "delivered"
    );
}

#[tokio::test]
async fn a_limit_that_is_used_up_makes_the_destination_wait() {
    let account = Account::start().await;
    account.brevo.with(|brevo| brevo.limits = Limits::general());
    let batch: Vec<Delivery> = (1..=12).map(|number| subscriber(number, SINCE)).collect();
    let connected = account.connect("");
    let results = connected.deliver(&batch).await;
    let done = outcomes(&results)
        .iter()
        .filter(|outcome| **outcome == "delivered")
        .count();
    assert_eq!((done, outcomes(&results)[done]), (5, "busy"), "{results:?}");
    account
        .brevo
        .with(|brevo| brevo.clock.advance(Duration::from_secs(1)));
    assert_eq!(
        outcomes(&connected.deliver(&batch[done..done + 5]).await),
        ["delivered"; 5]
    );
}

#[tokio::test]
async fn doctor_names_what_is_wrong_with_the_account() {
    let account = Account::start().await;
    let error = account
        .connect("fields = { SHOE = '=7' }")
        .check()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("no attribute `SHOE`"), "{error}");
    for (keys, found) in [
        (format!("token = '{KEY}'\nlists = [999]"), "no list 999"),
        (
            format!("token = 'wrong'\nlists = [{}]", account.list),
            "does not accept the key",
        ),
    ] {
        let keys = format!(
            "{keys}\nbase_url = '{}'\nallow_private = true\ncalls_per_s = 1000000",
            account.brevo.url()
        );
        let connected = (KIND.connect)(&context(), &toml::from_str(&keys).unwrap()).unwrap();
        let error = connected.check().await.unwrap_err().to_string();
        assert!(error.contains(found), "{error}");
    }
    let changes = account.brevo.requests();
    assert!(changes.iter().all(|request| request.method == "GET"));
}
