//! The connector against an org in memory, read and changed with jsforce.

use causeway_testkit::vendors::{
    FakeVendor,
    clients::Script,
    salesforce::{self, App, DuplicateRule, Field, FieldAccess, OrgRule, RowError, TOKEN, Type, faults},
};

use super::*;

struct Org {
    clock: Arc<TestClock>,
    salesforce: FakeVendor<salesforce::Salesforce>,
    client: Script,
}

impl Org {
    async fn start() -> Self {
        let clock = Arc::new(TestClock::default());
        clock.set("2026-04-01T00:00:00Z".parse().unwrap());
        let mut org = salesforce::Salesforce::new(Arc::<TestClock>::clone(&clock));
        for object in ["Contact", "Lead"] {
            org.add_field(object, Field::external_id("Causeway_Id__c"));
        }
        org.add_field("Campaign", Field::external_id("Causeway_Campaign_Id__c"));
        org.add_field("Task", Field::external_id("Causeway_Action_Id__c"));
        let salesforce = FakeVendor::start(org).await;
        let client = Script::node("salesforce.js", &[&salesforce.url(), TOKEN]);
        Self {
            clock,
            salesforce,
            client,
        }
    }

    fn connect(&self, more: &str) -> Box<dyn Destination> {
        self.connect_with(&format!("token = '{TOKEN}'\n{more}"))
    }

    fn connect_with(&self, keys: &str) -> Box<dyn Destination> {
        let keys = format!(
            "base_url = '{}'\nallow_private = true\n{keys}",
            self.salesforce.url()
        );
        let context = Context {
            clock: Arc::<TestClock>::clone(&self.clock),
            vault: Arc::new(crate::vault::memory::Memory::default()),
            ..context()
        };
        (KIND.connect)(&context, &toml::from_str(&keys).unwrap()).unwrap()
    }

    fn with<T>(&self, run: impl FnOnce(&mut salesforce::Salesforce) -> T) -> T {
        self.salesforce.with(run)
    }

    /// What jsforce finds.
    async fn query(&mut self, soql: &str) -> Vec<Value> {
        let answer = self.call("query", json!([soql])).await;
        answer["records"].as_array().unwrap().clone()
    }

    async fn call(&mut self, method: &str, arguments: Value) -> Value {
        let answer = self
            .client
            .ask(&json!({ "call": method, "with": arguments }))
            .await;
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["value"].clone()
    }

    async fn contacts(&mut self) -> Vec<Value> {
        let soql = "SELECT Id, FirstName, LastName, Email, HasOptedOutOfEmail, EmailBouncedReason, Causeway_Id__c \
                    FROM Contact ORDER BY Email";
        self.query(soql).await
    }
}

#[tokio::test]
async fn what_was_delivered_is_read_by_jsforce() {
    let mut org = Org::start().await;
    let connected = org.connect("campaign = { status = 'Signed' }\naction = { object = 'Task', person = 'WhoId', fields = { Subject = 'action.type' } }");
    connected.check().await.unwrap();
    let batch = [subscriber(1, "2026-03-01T09:30:00Z"), delivery(2), delivery(3)];
    assert_eq!(outcomes(&connected.deliver(&batch).await), ["delivered"; 3]);
    let contacts = org.contacts().await;
    assert_eq!(contacts.len(), 3);
    assert_eq!(contacts[0]["LastName"], "Példa, \"jr\"");
    let opted_out: Vec<&Value> = contacts.iter().map(|one| &one["HasOptedOutOfEmail"]).collect();
    assert_eq!(opted_out, [&json!(false), &json!(true), &json!(true)]);
    let campaigns = org.query("SELECT Name, IsActive FROM Campaign").await;
    assert_eq!(campaigns.len(), 1);
    assert_eq!(
        (&campaigns[0]["Name"], &campaigns[0]["IsActive"]),
        (&json!("rivers"), &json!(true))
    );
    let members = org.query("SELECT ContactId, Status FROM CampaignMember").await;
    assert_eq!((members.len(), &members[0]["Status"]), (3, &json!("Signed")));
    let tasks = org.query("SELECT Subject, WhoId FROM Task").await;
    assert_eq!((tasks.len(), &tasks[0]["Subject"]), (3, &json!("petition")));
    // The same again makes nothing twice, whether an answer was lost or not.
    assert_eq!(outcomes(&connected.deliver(&batch).await), ["delivered"; 3]);
    for object in ["Contact", "CampaignMember", "Task"] {
        assert_eq!(org.with(|org| org.live(object).len()), 3, "{object}");
    }
}

#[tokio::test]
async fn answers_that_were_lost_double_nobody() {
    let org = Org::start().await;
    let connected = org.connect("campaign = {}");
    let batch: Vec<Delivery> = (1..=4).map(delivery).collect();
    // First the answer to the upsert is lost, then the one to the update that follows.
    for _ in 0..2 {
        org.with(|org| org.loses_answers = 1);
        assert_eq!(outcomes(&connected.deliver(&batch).await), ["retry"; 4]);
        assert_eq!(org.with(|org| org.live("Contact").len()), 4);
    }
    assert_eq!(outcomes(&connected.deliver(&batch).await), ["delivered"; 4]);
    assert_eq!(org.with(|org| org.live("Contact").len()), 4);
    assert_eq!(org.with(|org| org.live("CampaignMember").len()), 4);
}

#[tokio::test]
async fn people_who_are_there_are_adopted_and_not_doubled() {
    let mut org = Org::start().await;
    let old = json!({ "LastName": "Old", "FirstName": "Old", "Email": "PERSON1@example.org" });
    let made = org.call("create", json!(["Contact", old])).await;
    let connected = org.connect("");
    let results = connected.deliver(&[delivery(1), delivery(2)]).await;
    assert_eq!(outcomes(&results), ["delivered"; 2]);
    let remote_id = Some(made["id"].as_str().unwrap().to_owned());
    assert_eq!(results[0].outcome, Outcome::Delivered { remote_id });
    let contacts = org.contacts().await;
    assert_eq!(contacts.len(), 2);
    assert_eq!(contacts[0]["FirstName"], "Ada");
    assert!(contacts[0]["Causeway_Id__c"].is_string());
    // Nobody asked whether this person agreed, and Salesforce says that they may be mailed.
    assert_eq!(contacts[0]["HasOptedOutOfEmail"], false);
    // The person changes the address: the same record.
    let mut moved = delivery(1);
    let address = "moved@example.org";
    moved.record.contact.fields.get_mut("email").unwrap().value = address.into();
    moved.record.identities.push(Identity::Email {
        address: address.to_owned(),
    });
    assert_eq!(outcomes(&connected.deliver(&[moved]).await), ["delivered"]);
    let contacts = org.contacts().await;
    assert_eq!((contacts.len(), &contacts[0]["Email"]), (2, &json!(address)));
    assert_eq!(contacts[0]["Id"], made["id"]);
    // Deleted there, a person comes back with the next delivery.
    org.call("destroy", json!(["Contact", contacts[1]["Id"]])).await;
    assert_eq!(outcomes(&connected.deliver(&[delivery(2)]).await), ["delivered"]);
    assert_eq!(org.contacts().await.len(), 2);
    // Another person's record with the address is left alone.
    org.with(|org| {
        org.add(
            "Contact",
            json!({ "LastName": "Other", "Email": "person3@example.org", "Causeway_Id__c": "other" }),
        );
    });
    assert_eq!(outcomes(&connected.deliver(&[delivery(3)]).await), ["delivered"]);
    assert_eq!(org.contacts().await.len(), 4);
}

#[tokio::test]
async fn an_opt_out_made_there_stays_and_ours_arrives() {
    let mut org = Org::start().await;
    let connected = org.connect("");
    connected.deliver(&[subscriber(1, "2026-03-01T09:30:00Z")]).await;
    let id = org.contacts().await[0]["Id"].clone();
    let opted_out = json!(["Contact", { "Id": id, "HasOptedOutOfEmail": true }]);
    org.call("update", opted_out).await;
    let results = connected.deliver(&[subscriber(1, "2026-03-01T09:30:00Z")]).await;
    assert!(
        results[0].notes[0].contains("left opted out there"),
        "{results:?}"
    );
    assert_eq!(org.contacts().await[0]["HasOptedOutOfEmail"], true);
    connected.deliver(&[subscriber(1, "2026-04-01T00:06:00Z")]).await;
    assert_eq!(org.contacts().await[0]["HasOptedOutOfEmail"], false);
    let results = connected.deliver(&[withdrawal(Change::Suppress)]).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    let contact = org.contacts().await[0].clone();
    assert_eq!(contact["EmailBouncedReason"], "bounced (as reported to Causeway)");
    // A click in a later mail proves that the address works.
    connected.deliver(&[subscriber(1, "2026-04-02T00:00:00Z")]).await;
    assert_eq!(org.contacts().await[0]["EmailBouncedReason"], Value::Null);
    let results = connected.deliver(&[withdrawal(Change::Unsubscribe)]).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    assert_eq!(org.contacts().await[0]["HasOptedOutOfEmail"], true);
    // A person who is not there needs no opt-out, and none is created for them.
    org.with(|org| org.remove(id.as_str().unwrap()));
    let results = connected.deliver(&[withdrawal(Change::Unsubscribe)]).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    assert_eq!(org.contacts().await.len(), 0);
}

#[tokio::test]
async fn an_erasure_deletes_or_blanks_what_causeway_wrote() {
    let mut org = Org::start().await;
    let connected = org.connect("");
    connected.deliver(&[delivery(1), delivery(2)]).await;
    org.with(|org| {
        org.add(
            "Contact",
            json!({ "LastName": "Donor", "Email": "person1@example.org" }),
        )
    });
    let results = connected.deliver(&[withdrawal(Change::Remove)]).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    assert!(results[0].notes[0].starts_with("1 other records"), "{results:?}");
    assert_eq!(results[0].memory, Some(Value::Null));
    let names: Vec<Value> = org
        .contacts()
        .await
        .iter()
        .map(|one| one["LastName"].clone())
        .collect();
    assert_eq!(names, ["Donor", "Példa, \"jr\""]);
    // Again: nothing is left to delete.
    assert_eq!(
        outcomes(&connected.deliver(&[withdrawal(Change::Remove)]).await),
        ["delivered"]
    );
    let second = org.with(|org| org.live("Contact")[0].id.clone());
    let person = |number: i64| {
        let mut removal = withdrawal(Change::Remove);
        let two = delivery(number);
        (removal.record.contact, removal.record.identities, removal.key) =
            (two.record.contact, two.record.identities, two.key);
        removal
    };
    // Cases of the contact forbid it.
    org.with(|org| org.undeletable.insert(second.clone()));
    let results = connected.deliver(&[person(2)]).await;
    assert!(
        results[0].outcome.reason().unwrap().contains("on_remove"),
        "{results:?}"
    );
    let results = org.connect("on_remove = 'blank'").deliver(&[person(2)]).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    org.with(|org| {
        let record = org.by_id(&second).unwrap();
        let left: Vec<&String> = record.values.keys().collect();
        assert_eq!(left, ["HasOptedOutOfEmail", "LastName"], "{record:?}");
        assert_eq!(record.text("LastName"), "[erased]");
    });
}

#[tokio::test]
async fn a_lead_that_was_converted_is_opted_out_as_a_contact() {
    let org = Org::start().await;
    let connected = org.connect("object = 'Lead'");
    connected.check().await.unwrap();
    connected.deliver(&[subscriber(1, "2026-03-01T09:30:00Z")]).await;
    let contact = org.with(|org| {
        let lead = org.live("Lead")[0].clone();
        assert_eq!(lead.text("Company"), "[not provided]");
        org.convert(&lead.id)
    });
    let results = connected.deliver(&[withdrawal(Change::Unsubscribe)]).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    assert!(org.with(|org| org.by_id(&contact).unwrap().is_true("HasOptedOutOfEmail")));
    let results = connected.deliver(&[subscriber(1, "2026-05-01T09:30:00Z")]).await;
    assert_eq!(outcomes(&results), ["skip"]);
}

#[tokio::test]
async fn duplicate_rules_locks_and_rules_of_the_org_concern_single_people() {
    let org = Org::start().await;
    let connected = org.connect("");
    let batch: Vec<Delivery> = (1..=4).map(delivery).collect();
    org.with(|org| {
        org.add(
            "Contact",
            json!({ "LastName": "Other", "Email": "person1@example.org", "Causeway_Id__c": "other" }),
        );
        org.duplicate_rule = DuplicateRule::Alert;
        let locked = org.add(
            "Contact",
            json!({ "LastName": "Old", "Email": "person2@example.org" }),
        );
        org.locked.insert(locked, 1);
        org.rules.push(OrgRule {
            field: "Email".to_owned(),
            value: "person3@example.org".into(),
            error: RowError::new(
                "FIELD_CUSTOM_VALIDATION_EXCEPTION",
                "person3@example.org is not wanted",
            ),
            times: None,
        });
    });
    let results = connected.deliver(&batch).await;
    assert_eq!(outcomes(&results), ["reject", "retry", "reject", "delivered"]);
    assert!(results[0].outcome.reason().unwrap().contains("allow_duplicates"));
    assert!(!results[2].outcome.reason().unwrap().contains("person3"));
    let results = org.connect("allow_duplicates = true").deliver(&batch).await;
    assert_eq!(
        outcomes(&results),
        ["delivered", "delivered", "reject", "delivered"]
    );
    // An opt-out passes in spite of the rule.
    org.with(|org| org.duplicate_rule = DuplicateRule::Block);
    let results = connected.deliver(&[withdrawal(Change::Unsubscribe)]).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    let all_opted_out = org.with(|org| {
        let records = org.live("Contact").into_iter();
        let mut of_address = records.filter(|record| record.text("Email") == "person1@example.org");
        of_address.all(|record| record.is_true("HasOptedOutOfEmail"))
    });
    assert!(all_opted_out);
}

#[tokio::test]
async fn faults_and_limits_of_the_org_lose_nobody() {
    let org = Org::start().await;
    let connected = org.connect("");
    let batch: Vec<Delivery> = (1..=4).map(delivery).collect();
    for (fault, expected) in [
        (faults::daily_limit(), "busy"),
        (faults::concurrent_limit(), "busy"),
        (faults::server_unavailable(), "retry"),
        (faults::maintenance(), "retry"),
        (faults::page_200(), "retry"),
        (faults::api_disabled(), "halt"),
        (faults::session_expired(), "halt"),
    ] {
        org.salesforce.fail([fault]);
        let results = connected.deliver(&batch).await;
        assert_eq!(outcomes(&results), [expected; 4], "{:?}", results[0]);
    }
    // Near the limit the batch is finished, and then the destination rests.
    org.with(|org| (org.limits.used, org.limits.max) = (950, 1_000));
    let results = connected.deliver(&batch).await;
    assert_eq!(outcomes(&results), ["delivered"; 4]);
    let slow = Some(std::time::Duration::from_mins(5));
    assert!(results.iter().any(|result| result.rest == slow), "{results:?}");
    org.with(|org| org.limits.used = 1_000);
    assert_eq!(outcomes(&connected.deliver(&batch).await), ["busy"; 4]);
    assert_eq!(org.with(|org| org.limits.refused), 1);
    assert_eq!(org.with(|org| org.live("Contact").len()), 4);
}

#[tokio::test]
async fn a_session_is_opened_and_renewed_without_an_attempt() {
    let org = Org::start().await;
    let first = org.with(|org| {
        org.access.sessions.clear();
        org.access.apps.push(App::new("app", "sesame"));
        org.access.new_refresh_token("app")
    });
    let refresh = format!(", grant = 'refresh_token', refresh_token = '{first}'");
    for (number, more) in [(1, ""), (2, refresh.as_str())] {
        let app = format!("oauth = {{ client_id = 'app', client_secret = 'sesame'{more} }}");
        let connected = org.connect_with(&app);
        connected.check().await.unwrap();
        assert_eq!(
            outcomes(&connected.deliver(&[delivery(number)]).await),
            ["delivered"]
        );
        // The org ends all sessions. A refresh token that was used is no good any more.
        org.with(|org| org.access.end_sessions());
        assert_eq!(
            outcomes(&connected.deliver(&[delivery(number)]).await),
            ["delivered"]
        );
    }
    assert_eq!(org.with(|org| org.access.issued), 4);
    let wrong = org.connect_with("oauth = { client_id = 'app', client_secret = 'wrong' }");
    assert_eq!(outcomes(&wrong.deliver(&[delivery(3)]).await), ["halt"]);
}

#[tokio::test]
async fn a_certificate_opens_a_session() {
    let org = Org::start().await;
    let pem = include_str!("../../../oauth/tests/key.pem");
    let connected = org.connect_with(&format!(
        "jwt = {{ client_id = 'app', username = 'sync@example.org', key = '''{pem}''' }}"
    ));
    org.with(|org| {
        org.access.sessions.clear();
        let mut app = App::new("app", "");
        app.public_key = Some(public_key(pem));
        org.access.apps.push(app);
    });
    connected.check().await.unwrap();
    assert_eq!(outcomes(&connected.deliver(&[delivery(1)]).await), ["delivered"]);
    org.with(|org| org.access.apps[0].approved.clear());
    org.with(|org| org.access.end_sessions());
    assert_eq!(outcomes(&connected.deliver(&[delivery(2)]).await), ["halt"]);
}

/// The public key of a private one.
fn public_key(pem: &str) -> Vec<u8> {
    use ring::signature::{KeyPair, RsaKeyPair};
    use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
    let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let PrivateKeyDer::Pkcs8(der) = der else {
        panic!("another format");
    };
    let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    pair.public_key().as_ref().to_vec()
}

#[tokio::test]
async fn doctor_names_what_is_wrong_with_the_org() {
    let org = Org::start().await;
    org.with(|org| {
        org.add_field("Contact", Field::text("Plain__c", 255));
        org.add_field("Contact", Field::new("Since__c", Type::Date, 0));
        org.add_field("Contact", Field::new("News__c", Type::Boolean, 0));
        org.set_access("Contact", "Phone", FieldAccess::ReadOnly);
    });
    let names = "fields = { FirstName = 'contact.firstName' }";
    for (more, found) in [
        (String::new(), "may not write the field `Phone`"),
        (
            "fields = { Shoe__c = 'contact.phone' }".to_owned(),
            "sees no field `Shoe__c` of Contact",
        ),
        (
            format!("key = 'Plain__c'\n{names}"),
            "must be \"External ID\" and \"Unique\"",
        ),
        (
            format!("opt_in = {{ field = 'News__c', date = 'Since__c' }}\n{names}"),
            "must be of the type Date/Time",
        ),
        (format!("api_version = 'v99.0'\n{names}"), "its newest is v68.0"),
        (
            format!(
                "action = {{ object = 'Signature__c', person = 'Contact__c', fields = {{ Name = 'action.id' }} }}\n{names}"
            ),
            "sees no object `Signature__c`",
        ),
    ] {
        let error = org.connect(&more).check().await.unwrap_err().to_string();
        assert!(error.contains(found), "{more}: {error}");
    }
    let connected = org.connect(names);
    connected.check().await.unwrap();
    let remarks = connected.remarks();
    assert!(remarks[0].contains("daily calls are left"), "{remarks:?}");
    assert_eq!(org.with(|org| org.live("Contact").len()), 0);
    org.with(|org| org.set_access("Contact", "HasOptedOutOfEmail", FieldAccess::Hidden));
    let error = org.connect(names).check().await.unwrap_err().to_string();
    assert!(error.contains("`HasOptedOutOfEmail`"), "{error}");
    // Deliveries halt as well, and nobody is written without the mark.
    assert_eq!(outcomes(&connected.deliver(&[delivery(1)]).await), ["halt"]);
    assert_eq!(org.with(|org| org.live("Contact").len()), 0);
    let error = org
        .connect_with("token = 'wrong'")
        .check()
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("does not accept the session"), "{error}");
}
