//! The connector against a site in memory, read and changed with two clients for CiviCRM.

use causeway_testkit::vendors::{
    FakeVendor,
    civicrm::{API_KEY, CiviCrm as Site, faults},
    clients::Script,
};

use super::*;

/// When the site's clock starts.
const START: &str = "2026-03-01T12:00:00Z";
const BEFORE: &str = "2026-03-01T11:00:00Z";
const AFTER: &str = "2026-03-01T13:00:00Z";

struct Rig {
    site: FakeVendor<Site>,
    clock: Arc<TestClock>,
    client: Script,
}

impl Rig {
    async fn start() -> Self {
        let clock = Arc::new(TestClock::default());
        clock.set(START.parse().unwrap());
        let mut site = Site::new(Arc::<TestClock>::clone(&clock));
        site.zone = jiff::tz::TimeZone::get("Europe/Brussels").unwrap();
        let site = FakeVendor::start(site).await;
        let mut client = Script::python("civicrm.py");
        client
            .ask(&json!(["start", { "url": site.url(), "key": API_KEY }]))
            .await;
        Self { site, clock, client }
    }

    fn connect(&self, more: &str) -> Box<dyn Destination> {
        let keys = format!(
            "api_key = '{API_KEY}'\nbase_url = '{}{PATH}'\ntime_zone = 'Europe/Brussels'\nallow_private = true\n{more}",
            self.site.url()
        );
        (KIND.connect)(&context(), &toml::from_str(&keys).unwrap()).unwrap()
    }

    /// What one of the clients returns.
    async fn call(&mut self, client: &str, entity: &str, action: &str, params: Value) -> Value {
        let arguments = json!({ "client": client, "entity": entity, "action": action, "params": params });
        let mut answer = self.client.ask(&json!(["call", arguments])).await;
        assert!(answer.get("error").is_none(), "{entity}.{action}: {answer}");
        answer["ok"].take()
    }

    fn contact(&self, email: &str) -> u64 {
        let found = self.site.with(|site| site.contacts_with(email));
        assert_eq!(found.len(), 1, "{email}: {found:?}");
        found[0]
    }

    fn get(&self, entity: &'static str, id: u64, field: &'static str) -> Value {
        self.site.with(|site| site.get(entity, id, field))
    }

    fn member(&self, contact: u64) -> Option<String> {
        self.site.with(|site| site.membership(contact, "newsletter"))
    }

    fn count(&self, entity: &'static str) -> usize {
        self.site.with(|site| site.table(entity).len())
    }
}

const ALL: &str = "groups = ['newsletter']\nactivity = {}\nlink_campaigns = 'create'";

#[tokio::test]
async fn what_was_delivered_is_read_by_the_clients() {
    let mut rig = Rig::start().await;
    let civicrm = rig.connect(ALL);
    civicrm.check().await.unwrap();
    let batch = [subscriber(1, BEFORE), delivery(2), delivery(3)];
    assert_eq!(outcomes(&civicrm.deliver(&batch).await), ["delivered"; 3]);
    let where_ = json!([["email", "=", "person1@example.org"]]);
    for client in ["query", "form"] {
        let select = json!(["contact_id.last_name", "is_primary", "contact_id"]);
        let found = rig
            .call(
                client,
                "Email",
                "get",
                json!({ "select": select, "where": where_ }),
            )
            .await;
        assert_eq!(found[0]["contact_id.last_name"], "Példa, \"jr\"", "{found}");
        assert_eq!(found[0]["is_primary"], true);
        let select = json!([
            "subject",
            "location",
            "details",
            "activity_type_id:name",
            "activity_date_time",
            "campaign_id.name",
            "source_contact_id"
        ]);
        let params = json!({ "select": select, "where": [["id", ">", 0]], "orderBy": { "id": "ASC" } });
        let activities = rig.call(client, "Activity", "get", params).await;
        assert_eq!(activities.as_array().unwrap().len(), 3, "{activities}");
        let first = &activities[0];
        assert_eq!(first["source_contact_id"], found[0]["contact_id"]);
        assert_eq!(
            [
                &first["subject"],
                &first["location"],
                &first["details"],
                &first["activity_type_id:name"]
            ],
            ["rivers", "proca:1", "Save<br />the river", "Petition"]
        );
        assert_eq!(
            first["activity_date_time"], "2026-03-01 10:30:00",
            "in the zone of the site"
        );
        assert_eq!(first["campaign_id.name"], "rivers");
        let address = rig
            .call(
                client,
                "Address",
                "get",
                json!({ "select": ["country_id:abbr"], "where": [["id", ">", 0]], "limit": 1 }),
            )
            .await;
        assert_eq!(address[0]["country_id:abbr"], "HU");
    }
    let (one, two) = (
        rig.contact("person1@example.org"),
        rig.contact("person2@example.org"),
    );
    assert_eq!(
        (rig.member(one).as_deref(), rig.member(two)),
        (Some("Added"), None)
    );
    // The same again changes nothing and stores nothing twice.
    assert_eq!(outcomes(&civicrm.deliver(&batch).await), ["delivered"; 3]);
    let counts = [
        "Contact",
        "Email",
        "Activity",
        "Address",
        "Campaign",
        "GroupContact",
    ]
    .map(|entity| rig.count(entity));
    assert_eq!(counts, [3, 3, 3, 3, 1, 1]);
}

#[tokio::test]
async fn answers_that_are_lost_leave_nothing_twice() {
    // The answers of the look-up, the contact and the rest are lost in turn.
    for passed in 0..3 {
        let rig = Rig::start().await;
        let civicrm = rig.connect(ALL);
        let batch = [subscriber(1, BEFORE), delivery(2)];
        for _ in 0..8 {
            let before = rig.site.requests().len();
            rig.site
                .with(|site| site.loses_answers = usize::from(before % 4 == passed) * 2);
            civicrm.deliver(&batch).await;
        }
        rig.site.with(|site| site.loses_answers = 0);
        assert_eq!(outcomes(&civicrm.deliver(&batch).await), ["delivered"; 2]);
        let counts = ["Contact", "Email", "Activity", "Address", "Campaign"].map(|entity| rig.count(entity));
        assert_eq!(counts, [2, 2, 2, 2, 1], "{passed}");
    }
}

#[tokio::test]
async fn values_that_staff_entered_stay_unless_they_may_be_overwritten() {
    for (more, first, city) in [
        ("", "Augusta", "Pécs"),
        ("existing = 'overwrite'", "Ada", "Budapest"),
    ] {
        let mut rig = Rig::start().await;
        let values = json!({ "first_name": "Augusta", "contact_type": "Individual" });
        let chain = json!({
            "email": ["Email", "create", { "values": { "contact_id": "$id", "email": "Person1@Example.org" } }],
            "address": ["Address", "create", { "values": { "contact_id": "$id", "city": "Pécs", "is_primary": true } }],
        });
        let made = rig
            .call(
                "form",
                "Contact",
                "create",
                json!({ "values": values, "chain": chain }),
            )
            .await;
        let mut moved = delivery(1);
        let fields = json!({ "locality": "Budapest", "phone": "+36 1 234 5678" });
        let fields = fields.as_object().unwrap().clone().into_iter().collect();
        moved.record.contact.set_fields(&fields, moved.planned_at);
        let civicrm = rig.connect(more);
        let results = civicrm.deliver(&[moved.clone()]).await;
        let id = made[0]["id"].as_u64().unwrap();
        assert_eq!(
            results[0].outcome,
            Outcome::Delivered {
                remote_id: Some(id.to_string())
            }
        );
        assert_eq!(rig.get("Contact", id, "first_name"), first);
        assert_eq!(
            rig.get("Contact", id, "last_name"),
            "Példa, \"jr\"",
            "what was empty is filled in"
        );
        let address = rig
            .site
            .with(|site| site.table("Address").values().next().unwrap()["city"].clone());
        assert_eq!(address, city);
        // The number is there once, however it is written.
        rig.site.with(|site| {
            let phone = *site.table("Phone").keys().next().unwrap();
            site.set("Phone", phone, "phone", "(+36) 1/2345678".into());
        });
        civicrm.deliver(&[moved]).await;
        assert_eq!(rig.count("Phone"), 1);
    }
}

#[tokio::test]
async fn who_left_there_stays_out_unless_they_agreed_later() {
    for (since, joins) in [(BEFORE, false), (AFTER, true)] {
        let rig = Rig::start().await;
        let civicrm = rig.connect(ALL);
        civicrm
            .deliver(&[
                subscriber(1, BEFORE),
                subscriber(2, BEFORE),
                subscriber(3, BEFORE),
            ])
            .await;
        let one = rig.contact("person1@example.org");
        let two = rig.contact("person2@example.org");
        let three = rig.contact("person3@example.org");
        rig.site.with(|site| {
            site.set_membership(one, "newsletter", "Removed");
            site.set("Contact", two, "is_opt_out", true.into());
            site.set_membership(two, "newsletter", "Removed");
            site.set("Contact", three, "do_not_email", true.into());
            site.set_membership(three, "newsletter", "Removed");
        });
        let results = civicrm
            .deliver(&[subscriber(1, since), subscriber(2, since), subscriber(3, since)])
            .await;
        assert_eq!(outcomes(&results), ["delivered"; 3]);
        let status = |joins: bool| Some(if joins { "Added" } else { "Removed" }.to_owned());
        assert_eq!((rig.member(one), rig.member(two)), (status(joins), status(joins)));
        assert_eq!(rig.get("Contact", two, "is_opt_out"), !joins);
        // Causeway never takes back what only staff set.
        assert_eq!(rig.member(three), status(false));
        assert_eq!(rig.get("Contact", three, "do_not_email"), true);
        assert_eq!(results[0].notes.is_empty(), joins, "{results:?}");
        assert!(results[2].notes[0].contains("do_not_email"), "{results:?}");
    }
}

#[tokio::test]
async fn opt_outs_and_bounces_reach_all_contacts_with_the_address() {
    let rig = Rig::start().await;
    let civicrm = rig.connect("groups = ['newsletter']");
    let (one, other) = rig.site.with(|site| {
        let one = site.add_contact("person1@example.org", &json!({}));
        let organisation = json!({ "contact_type": "Organization", "organization_name": "Rivers" });
        let other = site.add_contact("PERSON1@example.org", &organisation);
        site.set_membership(one, "newsletter", "Added");
        site.set_membership(other, "newsletter", "Added");
        (one, other)
    });
    let results = civicrm
        .deliver(&[
            withdrawal(1, Change::Unsubscribe),
            withdrawal(2, Change::Unsubscribe),
        ])
        .await;
    assert_eq!(
        outcomes(&results),
        ["delivered", "skip"],
        "the second is not there"
    );
    for id in [one, other] {
        assert_eq!(rig.member(id).as_deref(), Some("Removed"));
        assert_eq!(
            rig.get("Contact", id, "is_opt_out"),
            false,
            "only the group is left"
        );
    }
    let hold = |number: usize| {
        rig.site
            .with(|site| site.table("Email").values().nth(number).unwrap()["on_hold"].clone())
    };
    assert_eq!(
        outcomes(&civicrm.deliver(&[suppressed(1, Suppression::Bounced)]).await),
        ["delivered"]
    );
    assert_eq!((hold(0), hold(1)), (json!(1), json!(1)));
    assert_eq!(
        rig.get("Contact", one, "is_opt_out"),
        false,
        "a bounce is no opt-out"
    );
    assert_eq!(
        outcomes(&civicrm.deliver(&[suppressed(1, Suppression::Complained)]).await),
        ["delivered"]
    );
    assert_eq!(
        (hold(0), rig.get("Contact", one, "is_opt_out")),
        (json!(2), json!(true))
    );
    // An opt-in by a form does not make a bounced address usable, a click does.
    rig.site
        .with(|site| site.set("Contact", one, "is_opt_out", false.into()));
    civicrm.deliver(&[subscriber(1, AFTER)]).await;
    assert_eq!(hold(0), 2);
    let mut confirmed = subscriber(1, AFTER);
    let state = ConsentState::DoubleOptedIn {
        since: AFTER.parse().unwrap(),
    };
    confirmed.record.consent_state.insert("email".to_owned(), state);
    civicrm.deliver(&[confirmed]).await;
    assert_eq!(hold(0), 0);
}

#[tokio::test]
async fn a_contact_that_may_not_be_edited_is_not_opted_out() {
    let rig = Rig::start().await;
    let id = rig.site.with(|site| {
        let id = site.add_contact("person1@example.org", &json!({}));
        site.locked.insert(id);
        id
    });
    let civicrm = rig.connect("");
    for change in [Change::Unsubscribe, Change::Remove] {
        let results = civicrm.deliver(&[withdrawal(1, change)]).await;
        assert_eq!(outcomes(&results), ["retry"]);
        assert!(reason(&results[0]).contains("may not edit"), "{results:?}");
    }
    assert_eq!(rig.get("Contact", id, "is_opt_out"), false);
}

#[tokio::test]
async fn an_opt_out_reaches_several_contacts_although_none_may_be_chosen() {
    let rig = Rig::start().await;
    let both = rig
        .site
        .with(|site| [(); 2].map(|()| site.add_contact("person1@example.org", &json!({}))));
    let mut opted_out = delivery(1);
    opted_out.record.change = Change::Unsubscribe;
    let results = rig.connect("several = 'reject'").deliver(&[opted_out]).await;
    assert_eq!(outcomes(&results), ["reject"]);
    assert!(reason(&results[0]).contains("merge them"), "{results:?}");
    for id in both {
        assert_eq!(rig.get("Contact", id, "is_opt_out"), true);
    }
}

#[tokio::test]
async fn an_opt_out_comes_before_anything_that_may_fail() {
    let rig = Rig::start().await;
    let id = rig.site.with(|site| {
        site.denied.insert("Contact.create".to_owned());
        site.add_contact("person1@example.org", &json!({ "first_name": "Augusta" }))
    });
    let long = "x".repeat(300);
    let civicrm = rig.connect(&format!(
        "opt_out = 'do_not_email'\nfields = {{ source = '={long}' }}"
    ));
    let mut opted_out = delivery(1);
    opted_out.record.change = Change::Unsubscribe;
    let results = civicrm.deliver(&[opted_out]).await;
    assert_eq!(outcomes(&results), ["reject"], "the value is too long");
    assert_eq!(rig.get("Contact", id, "do_not_email"), true);
}

#[tokio::test]
async fn merged_deleted_and_doubled_contacts_are_resolved_each_time() {
    let rig = Rig::start().await;
    let civicrm = rig.connect("activity = {}");
    civicrm.deliver(&[delivery(1)]).await;
    let first = rig.contact("person1@example.org");
    let kept = rig.site.with(|site| {
        let kept = site.add_contact("other@example.org", &json!({ "first_name": "Ada" }));
        site.merge(kept, first);
        kept
    });
    let results = civicrm.deliver(&[delivery(1)]).await;
    assert_eq!(
        results[0].outcome,
        Outcome::Delivered {
            remote_id: Some(kept.to_string())
        }
    );
    // In the trash: the person becomes a new contact.
    rig.site
        .with(|site| site.set("Contact", kept, "is_deleted", true.into()));
    assert_eq!(outcomes(&civicrm.deliver(&[delivery(1)]).await), ["delivered"]);
    let again = rig.contact("person1@example.org");
    assert_ne!(again, kept);
    assert_eq!(rig.count("Activity"), 1, "one action is one activity");
    // Two have the address: the name decides, and the trace says so.
    let named = rig.site.with(|site| {
        site.add_contact("person2@example.org", &json!({ "first_name": "Bo" }));
        site.add_contact("person2@example.org", &json!({ "first_name": "ADA" }))
    });
    let results = civicrm.deliver(&[delivery(2)]).await;
    assert_eq!(
        results[0].outcome,
        Outcome::Delivered {
            remote_id: Some(named.to_string())
        }
    );
    assert!(
        results[0].notes[0].contains("several contacts have the address"),
        "{results:?}"
    );
    let results = rig.connect("several = 'reject'").deliver(&[delivery(2)]).await;
    assert_eq!(outcomes(&results), ["reject"]);
}

#[tokio::test]
async fn the_external_identifier_names_the_person_and_the_trash_keeps_it() {
    let rig = Rig::start().await;
    let fields = "external_identifier = 'x-{{ contact.country }}', last_name = 'contact.lastName'";
    let civicrm = rig.connect(&format!("fields = {{ {fields} }}"));
    let (known, _) = rig.site.with(|site| {
        let known = site.add_contact("old@example.org", &json!({ "external_identifier": "X-HU" }));
        (known, site.add_contact("person1@example.org", &json!({})))
    });
    let results = civicrm.deliver(&[delivery(1)]).await;
    assert_eq!(
        results[0].outcome,
        Outcome::Delivered {
            remote_id: Some(known.to_string())
        }
    );
    let both = rig.site.with(|site| site.contacts_with("person1@example.org"));
    assert!(both.contains(&known), "the contact got the new address: {both:?}");
    rig.site
        .with(|site| site.set("Contact", known, "is_deleted", true.into()));
    let results = civicrm.deliver(&[delivery(3)]).await;
    assert_eq!(outcomes(&results), ["delivered"]);
    assert!(
        results[0].notes[0].contains("in the trash: left out"),
        "{results:?}"
    );
}

#[tokio::test]
async fn an_opt_out_reaches_the_named_contact_and_whoever_else_has_the_address() {
    let fields = "fields = { external_identifier = 'x-{{ contact.country }}' }";
    for with_other in [true, false] {
        let rig = Rig::start().await;
        let (named, other) = rig.site.with(|site| {
            let named = site.add_contact("old@example.org", &json!({ "external_identifier": "X-HU" }));
            let other = with_other.then(|| site.add_contact("person1@example.org", &json!({})));
            (named, other)
        });
        let mut opted_out = delivery(1);
        opted_out.record.change = Change::Unsubscribe;
        let results = rig.connect(fields).deliver(&[opted_out]).await;
        assert_eq!(outcomes(&results), ["delivered"]);
        for id in other.into_iter().chain([named]) {
            assert_eq!(rig.get("Contact", id, "is_opt_out"), true, "{id}");
        }
        // The address that bounced is new to the named contact.
        let mut bounced = suppressed(2, Suppression::Bounced);
        bounced.record.kind = DeliveryKind::Record;
        assert_eq!(
            outcomes(&rig.connect(fields).deliver(&[bounced]).await),
            ["delivered"]
        );
        let holds = rig.site.with(|site| {
            let all = site.table("Email").values();
            let own = all.filter(|row| row["email"] == "person2@example.org");
            own.map(|row| row["on_hold"].clone()).collect::<Vec<_>>()
        });
        assert_eq!(holds, [json!(1)]);
    }
}

#[tokio::test]
async fn a_contact_that_cannot_be_deleted_gets_no_mail() {
    let rig = Rig::start().await;
    let id = rig.site.with(|site| {
        site.denied.insert("Contact.delete".to_owned());
        site.add_contact("person1@example.org", &json!({}))
    });
    let results = rig.connect("").deliver(&[withdrawal(1, Change::Remove)]).await;
    assert_eq!(outcomes(&results), ["reject"]);
    assert_eq!(rig.get("Contact", id, "is_opt_out"), true);
}

#[tokio::test]
async fn an_erasure_deletes_one_contact_for_good_and_never_chooses() {
    let rig = Rig::start().await;
    rig.connect(ALL)
        .deliver(&[subscriber(1, BEFORE), subscriber(2, BEFORE)])
        .await;
    let trashed = rig
        .site
        .with(|site| site.add_contact("person1@example.org", &json!({ "is_deleted": true })));
    let civicrm = rig.connect("groups = ['newsletter']");
    assert_eq!(
        outcomes(&civicrm.deliver(&[withdrawal(1, Change::Remove)]).await),
        ["delivered"]
    );
    assert_eq!(rig.count("Contact"), 1, "the one in the trash, too: {trashed}");
    assert_eq!(rig.count("Activity"), 1, "what they wrote goes with them");
    assert_eq!(
        outcomes(&civicrm.deliver(&[withdrawal(1, Change::Remove)]).await),
        ["skip"]
    );
    let two = rig.contact("person2@example.org");
    let other = rig
        .site
        .with(|site| site.add_contact("person2@example.org", &json!({})));
    let results = civicrm.deliver(&[withdrawal(2, Change::Remove)]).await;
    assert_eq!(outcomes(&results), ["reject"]);
    assert!(
        reason(&results[0]).contains(&format!("({two}, {other})")),
        "{results:?}"
    );
    assert_eq!(
        rig.member(two).as_deref(),
        Some("Removed"),
        "nobody mails them any more"
    );
    assert_eq!(rig.get("Contact", other, "is_opt_out"), true);
    rig.site
        .with(|site| site.set("Contact", other, "is_deleted", true.into()));
    rig.connect("on_remove = 'trash'")
        .deliver(&[withdrawal(2, Change::Remove)])
        .await;
    assert_eq!(rig.get("Contact", two, "is_deleted"), true);
}

#[tokio::test]
async fn faults_of_the_site_lose_nobody() {
    let rig = Rig::start().await;
    let civicrm = rig.connect("");
    let batch: Vec<Delivery> = (1..=4).map(delivery).collect();
    for (fault, expected) in [
        (faults::deadlock(), "retry"),
        (faults::hidden(), "retry"),
        (faults::login_page(), "retry"),
        // The batch is sent again in halves.
        (faults::bad_gateway(), "delivered"),
        (faults::firewall(), "delivered"),
    ] {
        rig.site.fail([fault]);
        let results = civicrm.deliver(&batch).await;
        assert_eq!(outcomes(&results), [expected; 4], "{:?}", results[0]);
    }
    rig.site.with(|site| site.in_maintenance = true);
    assert_eq!(outcomes(&civicrm.deliver(&batch).await), ["retry"; 4]);
    rig.site.with(|site| site.in_maintenance = false);
    assert_eq!(rig.count("Contact"), 4);
    rig.clock.advance(std::time::Duration::from_secs(1));
}

#[tokio::test]
async fn doctor_names_what_is_wrong_with_the_site() {
    let rig = Rig::start().await;
    for (more, found) in [
        ("groups = ['Newsletter 2']", "has no group `Newsletter 2`"),
        ("groups = ['active']", "is a smart group"),
        ("fields = { shoe_size = '=7' }", "no field `shoe_size`"),
        (
            "fields = { modified_date = '=7' }",
            "`modified_date` cannot be written",
        ),
        ("activity = { type = 'Walk' }", "no activity type `Walk`"),
    ] {
        let error = rig.connect(more).check().await.unwrap_err().to_string();
        assert!(error.contains(found), "{error}");
    }
    rig.site
        .with(|site| site.denied.insert("Activity.create".to_owned()));
    let civicrm = rig.connect("activity = {}");
    civicrm.check().await.unwrap();
    assert!(
        civicrm.remarks()[0].contains("may not create Activity"),
        "{:?}",
        civicrm.remarks()
    );
    rig.site.with(|site| site.site_key = Some("another".to_owned()));
    let error = civicrm.check().await.unwrap_err().to_string();
    assert!(error.contains("does not accept the API key"), "{error}");
    let with_key = rig.connect("site_key = 'another'\nactivity = {}");
    with_key.check().await.unwrap();
}
