//! The connector against an account in memory, read and changed with Mailchimp's own client.

use causeway_testkit::vendors::{
    FakeVendor,
    clients::Script,
    mailchimp::{KEY, LIST, Mailchimp, MergeField, MergeType, Status, faults},
};

use super::*;

const PERSON: &str = "person1@example.org";

struct Account {
    mailchimp: FakeVendor<Mailchimp>,
    client: Script,
}

impl Account {
    async fn start() -> Self {
        let mailchimp = FakeVendor::start(Mailchimp::default()).await;
        let client = Script::node("mailchimp.js", &[&mailchimp.url(), KEY]);
        Self { mailchimp, client }
    }

    fn connect(&self, more: &str) -> Box<dyn Destination> {
        let keys = format!(
            "token = '{KEY}'\nlist = '{LIST}'\nbase_url = '{}'\nallow_private = true\n{more}",
            self.mailchimp.url()
        );
        (KIND.connect)(&context(), &toml::from_str(&keys).unwrap()).unwrap()
    }

    /// What Mailchimp's client returns for a method that succeeds.
    async fn get(&mut self, method: &str, arguments: Value) -> Value {
        let answer = self
            .client
            .ask(&json!({ "call": method, "with": arguments }))
            .await;
        assert_eq!(
            (&answer["status"], &answer["complaints"]),
            (&json!(200), &json!([])),
            "{answer}"
        );
        answer["value"].clone()
    }

    async fn member(&mut self, email: &str) -> Value {
        self.get("lists.getListMember", json!([LIST, hash(email)])).await
    }

    fn status(&self) -> Option<Status> {
        self.mailchimp.with(|mailchimp| mailchimp.status(PERSON))
    }
}

#[tokio::test]
async fn what_was_delivered_is_read_by_mailchimps_own_client() {
    let mut account = Account::start().await;
    account.mailchimp.with(|mailchimp| {
        let list = mailchimp.list();
        list.has_permissions = true;
        list.permissions.insert("62f1".to_owned(), "By e-mail".to_owned());
        list.interests
            .insert("9143cf3bd1".to_owned(), "Rivers".to_owned());
        let required = MergeField {
            name: "Party".to_owned(),
            kind: MergeType::Text,
            is_required: true,
        };
        list.merge_fields.insert("PARTY".to_owned(), required);
    });
    let keys = "tags = ['=proca', 'campaign.name']\ninterests = ['9143cf3bd1']\n\
                marketing_permissions = ['62f1']\nevent = { name = 'signed' }";
    let connected = account.connect(keys);
    connected.check().await.unwrap();
    assert!(
        connected.remarks()[0].contains("no member yet"),
        "{:?}",
        connected.remarks()
    );
    let batch = [subscriber(1, SINCE), delivery(2)];
    for _ in 0..2 {
        assert_eq!(outcomes(&connected.deliver(&batch).await), ["delivered"; 2]);
    }
    connected.check().await.unwrap();
    assert!(connected.remarks().is_empty());
    let member = account.member(PERSON).await;
    assert_eq!(
        (&member["status"], &member["full_name"], &member["language"]),
        (&json!("subscribed"), &json!("Ada Példa, \"jr\""), &json!("hu"))
    );
    assert_eq!(member["timestamp_opt"], "2026-03-01T09:30:00+00:00");
    assert_eq!(member["interests"], json!({ "9143cf3bd1": true }));
    assert_eq!(member["marketing_permissions"][0]["enabled"], true);
    let tags = account
        .get("lists.getListMemberTags", json!([LIST, hash(PERSON)]))
        .await;
    let names: Vec<&Value> = tags["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| &tag["name"])
        .collect();
    assert_eq!(names, ["proca", "rivers"]);
    let events = account
        .get("lists.getListMemberEvents", json!([LIST, hash(PERSON)]))
        .await;
    assert_eq!(
        events["total_items"], 1,
        "the same delivery again is no second event"
    );
    let is_quiet = |mailchimp: &mut Mailchimp| !mailchimp.member(PERSON).events[0].starts_automations;
    assert!(account.mailchimp.with(is_quiet));
    // The other person did not agree.
    let other = account.member("person2@example.org").await;
    assert_eq!(other["status"], "transactional");
    assert_eq!(other["marketing_permissions"][0]["enabled"], false);
    one(&*connected, withdrawal(Change::Unsubscribe)).await;
    let member = account.member(PERSON).await;
    assert_eq!(member["status"], "unsubscribed");
    assert_eq!(member["marketing_permissions"][0]["enabled"], false);
    one(&*connected, withdrawal(Change::Remove)).await;
    assert_eq!(account.status(), None);
    assert_eq!(
        one(&*connected, subscriber(1, SINCE)).await.outcome.as_str(),
        "skip"
    );
}

#[tokio::test]
async fn people_who_are_there_are_changed_and_not_subscribed_again() {
    let mut account = Account::start().await;
    let connected = account.connect("tags = ['=new']");
    let add = |status: &str| {
        let fields = json!({ "FNAME": "Old", "PHONE": "+3612345678" });
        json!([LIST, { "email_address": PERSON, "status": status, "merge_fields": fields, "tags": ["own"] }])
    };
    account.get("lists.addListMember", add("subscribed")).await;
    one(&*connected, subscriber(1, SINCE)).await;
    let member = account.member(PERSON).await;
    assert_eq!(member["merge_fields"]["FNAME"], "Ada");
    assert_eq!(
        member["merge_fields"]["PHONE"], "+3612345678",
        "what is not known clears nothing"
    );
    assert_eq!(member["tags_count"], 2);
    // An older opt-in changes nothing of somebody who left; a newer one does, if Mailchimp lets the API do it.
    let there = "2026-04-01T00:00:00Z".parse().unwrap();
    account.mailchimp.with(|mailchimp| mailchimp.clock.set(there));
    let unsubscribe = json!([LIST, hash(PERSON), { "status": "unsubscribed" }]);
    account.get("lists.updateListMember", unsubscribe).await;
    let result = one(&*connected, subscriber(1, SINCE)).await;
    assert_eq!(account.status(), Some(Status::Unsubscribed));
    assert!(result.notes[0].contains("did not agree after that"), "{result:?}");
    one(&*connected, subscriber(1, "2026-04-02T00:00:00Z")).await;
    assert_eq!(account.status(), Some(Status::Subscribed));
    account
        .mailchimp
        .with(|mailchimp| mailchimp.list().unsubscribe(PERSON, there));
    let result = one(&*connected, subscriber(1, "2026-04-03T00:00:00Z")).await;
    assert_eq!(
        (result.outcome.as_str(), account.status()),
        ("delivered", Some(Status::Unsubscribed))
    );
    assert!(
        result.notes[0].contains("only the person subscribe again"),
        "{result:?}"
    );
    let asks = account.connect("opt_in = 'pending'");
    one(&*asks, subscriber(1, "2026-04-03T00:00:00Z")).await;
    assert_eq!(account.status(), Some(Status::Pending));
    one(&*asks, subscriber(1, "2026-04-03T00:00:00Z")).await;
    let mails = account
        .mailchimp
        .with(|mailchimp| mailchimp.member(PERSON).confirmations);
    assert_eq!(mails, 1);
}

#[tokio::test]
async fn an_opt_out_and_its_return_within_minutes_both_count() {
    let account = Account::start().await;
    let connected = account.connect("");
    let at = |minute: u8| format!("2026-03-01T10:{minute:02}:00Z");
    let mut memory = None;
    let mut send = async |minute: u8, mut delivery: Delivery| {
        let now = at(minute).parse().unwrap();
        account.mailchimp.with(|mailchimp| mailchimp.clock.set(now));
        delivery.memory.clone_from(&memory);
        let result = one(&*connected, delivery).await;
        memory = result.memory.or(memory.take());
        account.status()
    };
    assert_eq!(send(1, subscriber(1, &at(0))).await, Some(Status::Subscribed));
    assert_eq!(
        send(9, withdrawal(Change::Unsubscribe)).await,
        Some(Status::Unsubscribed)
    );
    // They changed their mind before the opt-out arrived there.
    assert_eq!(send(10, subscriber(1, &at(5))).await, Some(Status::Subscribed));
    // But not after they left at Mailchimp.
    account.mailchimp.with(|mailchimp| {
        let now = mailchimp.clock.now();
        mailchimp.list().unsubscribe(PERSON, now);
    });
    assert_eq!(send(20, subscriber(1, &at(6))).await, Some(Status::Unsubscribed));
    assert_eq!(
        send(21, withdrawal(Change::Unsubscribe)).await,
        Some(Status::Unsubscribed)
    );
    assert_eq!(send(22, subscriber(1, &at(7))).await, Some(Status::Unsubscribed));
}

#[tokio::test]
async fn a_person_with_another_address_there_is_unsubscribed_and_not_doubled() {
    let account = Account::start().await;
    let connected = account.connect("");
    let mut memory = one(&*connected, subscriber(1, SINCE)).await.memory;
    account.mailchimp.with(|mailchimp| {
        let now = mailchimp.clock.now();
        mailchimp.list().change_address(PERSON, "new@example.org", now);
    });
    // The second is an action without a word about consent.
    let again = subscriber(1, "2026-03-01T07:00:00Z");
    for delivery in [again, delivery(1), withdrawal(Change::Unsubscribe)] {
        let delivery = Delivery {
            memory: memory.clone(),
            ..delivery
        };
        let result = one(&*connected, delivery).await;
        assert_eq!(result.outcome.as_str(), "delivered");
        memory = result.memory.or(memory);
    }
    let members = account.mailchimp.with(|mailchimp| mailchimp.list().members.len());
    let status = account
        .mailchimp
        .with(|mailchimp| mailchimp.status("new@example.org"));
    assert_eq!((members, status), (1, Some(Status::Unsubscribed)));
}

#[tokio::test]
async fn faults_and_limits_of_the_account_lose_nobody() {
    let account = Account::start().await;
    let connected = account.connect("");
    let batch: Vec<Delivery> = (1..=3).map(|number| subscriber(number, SINCE)).collect();
    for (fault, expected) in [
        (faults::too_many(), "busy"),
        (faults::too_many_in_html(), "busy"),
        (faults::bare_forbidden(), "busy"),
        (faults::forbidden(), "halt"),
        (faults::wrong_datacenter(), "halt"),
    ] {
        account.mailchimp.fail([fault]);
        assert_eq!(outcomes(&connected.deliver(&batch).await), [expected; 3]);
    }
    for fault in [faults::internal(), faults::gateway()] {
        account.mailchimp.fail([fault]);
        assert_eq!(
            outcomes(&connected.deliver(&batch).await),
            ["retry", "delivered", "delivered"]
        );
    }
    assert_eq!(outcomes(&connected.deliver(&batch).await), ["delivered"; 3]);
    account.mailchimp.with(|mailchimp| {
        mailchimp.list().fakes.insert("person4@example.org".to_owned());
        mailchimp.list().busy.insert("person5@example.org".to_owned());
    });
    let batch: Vec<Delivery> = (4..=6).map(|number| subscriber(number, SINCE)).collect();
    assert_eq!(
        outcomes(&connected.deliver(&batch).await),
        ["reject", "retry", "delivered"]
    );
    // A full plan stops no opt-out.
    account.mailchimp.with(|mailchimp| mailchimp.list().most = 3);
    let batch = [
        subscriber(7, SINCE),
        subscriber(1, SINCE),
        withdrawal(Change::Unsubscribe),
    ];
    assert_eq!(
        outcomes(&connected.deliver(&batch).await),
        ["retry", "delivered", "delivered"]
    );
}

#[tokio::test]
async fn doctor_names_what_is_wrong_with_the_account() {
    let mut account = Account::start().await;
    let add = json!([LIST, { "email_address": PERSON, "status": "subscribed" }]);
    account.get("lists.addListMember", add).await;
    for (more, found) in [
        ("fields = { SHOE = '=7' }", "no merge field `SHOE`"),
        ("interests = ['a1']", "no group a1"),
        ("marketing_permissions = ['62f1']", "has no GDPR fields"),
    ] {
        let error = account.connect(more).check().await.unwrap_err().to_string();
        assert!(error.contains(found), "{error}");
    }
    account.mailchimp.with(|mailchimp| {
        mailchimp.list().has_permissions = true;
        mailchimp
            .list()
            .permissions
            .insert("77aa".to_owned(), "By e-mail".to_owned());
    });
    let error = account
        .connect("marketing_permissions = ['62f1']")
        .check()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("it has 77aa (By e-mail)"), "{error}");
    for (keys, found) in [
        (
            format!("token = '{KEY}'\nlist = 'l9'"),
            format!("no audience l9; it has {LIST} (Supporters)"),
        ),
        (
            format!("token = 'wrong'\nlist = '{LIST}'"),
            "does not accept the key".to_owned(),
        ),
    ] {
        let keys = format!(
            "{keys}\nbase_url = '{}'\nallow_private = true",
            account.mailchimp.url()
        );
        let connected = (KIND.connect)(&context(), &toml::from_str(&keys).unwrap()).unwrap();
        let error = connected.check().await.unwrap_err().to_string();
        assert!(error.contains(&found), "{error}");
    }
}
