//! The connector against a group in memory, read and changed with the client of Parsons.

use causeway_testkit::vendors::{
    FakeVendor,
    actionnetwork::{ActionNetwork as Group, Collection, PAGE, Status, TOKEN},
    clients::Script,
};

use super::*;

const START: &str = "2026-03-01T12:00:00Z";
const BEFORE: &str = "2026-03-01T11:00:00Z";
const AFTER: &str = "2026-03-01T13:00:00Z";

struct Rig {
    group: FakeVendor<Group>,
    client: Script,
}

impl Rig {
    async fn start() -> Self {
        let clock = Arc::<TestClock>::default();
        clock.set(START.parse().unwrap());
        let group = FakeVendor::start(Group::new(clock)).await;
        let mut client = Script::python("actionnetwork.py");
        client
            .ask(&json!(["start", { "url": group.url(), "key": TOKEN }]))
            .await;
        Self { group, client }
    }

    fn connect(&self, more: &str) -> Box<dyn Destination> {
        let keys = format!(
            "api_key = '{TOKEN}'\nbase_url = '{}'\nallow_private = true\ncalls_per_10_s = 1000000\n{more}",
            self.group.url()
        );
        (KIND.connect)(&context(), &toml::from_str(&keys).unwrap()).unwrap()
    }

    /// What the client returns.
    async fn call(&mut self, method: &str, arguments: Value) -> Value {
        let mut answer = self.client.ask(&json!([method, arguments])).await;
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["ok"].take()
    }

    fn status(&self, email: &'static str) -> Status {
        self.group.with(|group| group.person(email).unwrap().status)
    }
}

fn all() -> String {
    format!("tags = ['=supporter', 'campaign.name']\naction = {{ on = 'form', id = '={PAGE}' }}")
}

#[tokio::test]
async fn what_was_delivered_is_read_by_the_client() {
    let mut rig = Rig::start().await;
    let network = rig.connect(&all());
    network.check().await.unwrap();
    let batch = [subscriber(1, BEFORE), delivery(2), delivery(3)];
    assert_eq!(outcomes(&network.deliver(&batch).await), ["delivered"; 3]);
    let tags = rig.group.requests();
    let tags = tags
        .iter()
        .filter(|request| request.path == "/api/v2/tags")
        .count();
    assert_eq!(tags, 2, "each tag is created once");
    let people = rig
        .call(
            "get_people",
            json!({ "filter": "email_address eq 'person1@example.org'" }),
        )
        .await;
    assert_eq!(people[0]["family_name"], "Példa, \"jr\"", "{people}");
    assert_eq!(people[0]["email_addresses"][0]["status"], "subscribed");
    assert_eq!(people[0]["postal_addresses"][0]["country"], "HU");
    assert_eq!(people[0]["languages_spoken"], json!(["hu"]));
    assert_eq!(
        rig.status("person2@example.org"),
        Status::Unsubscribed,
        "they did not agree"
    );
    rig.group.with(|group| {
        assert!(
            group
                .person("person1@example.org")
                .unwrap()
                .tags
                .contains("rivers")
        );
        assert_eq!(group.ignored_tags, [""; 0]);
    });
    let done = rig.call("get_form_submissions", json!({ "form_id": PAGE })).await;
    assert_eq!(done[0]["identifiers"][0], "causeway:proca-1");
    assert_eq!(done[0]["comments"], "Save\nthe river");
    assert_eq!(done[0]["created_date"], "2026-03-01T09:30:00Z");
    let body = rig
        .group
        .with(|group| group.actions(Collection::Forms)[0].body.clone());
    assert_eq!(body["triggers"]["autoresponse"]["enabled"], false);
    // The same again stores no action twice.
    assert_eq!(outcomes(&network.deliver(&batch).await), ["delivered"; 3]);
    assert_eq!(
        rig.group
            .with(|group| (group.people.len(), group.actions(Collection::Forms).len())),
        (3, 3)
    );
}

#[tokio::test]
async fn answers_that_are_lost_leave_no_action_twice() {
    let page = format!("action = {{ on = 'petition', id = '={PAGE}' }}");
    // The look-up, the person, and the action.
    for passes in 0..3 {
        let rig = Rig::start().await;
        let network = rig.connect(&page);
        rig.group
            .with(|group| (group.passes, group.loses_answers) = (passes, 1));
        assert_eq!(
            outcomes(&network.deliver(&[delivery(1)]).await),
            ["retry"],
            "{passes}"
        );
        // The next attempt loses the answer to the look-up of the action.
        rig.group
            .with(|group| (group.passes, group.loses_answers) = (2, 1));
        network.deliver(&[delivery(1)]).await;
        rig.group.with(|group| group.loses_answers = 0);
        assert_eq!(outcomes(&network.deliver(&[delivery(1)]).await), ["delivered"]);
        let counts = rig
            .group
            .with(|group| (group.people.len(), group.actions(Collection::Petitions).len()));
        assert_eq!(counts, (1, 1), "{passes}");
        assert_eq!(rig.status("person1@example.org"), Status::Unsubscribed);
    }
}

#[tokio::test]
async fn who_unsubscribed_there_stays_so_unless_they_agreed_later() {
    let mut rig = Rig::start().await;
    let network = rig.connect("");
    network.deliver(&[subscriber(1, BEFORE)]).await;
    let person = rig.call("get_people", json!({})).await;
    let id = person[0]["identifiers"][0]
        .as_str()
        .unwrap()
        .trim_start_matches("action_network:")
        .to_owned();
    let status = json!([{ "status": "unsubscribed" }]);
    rig.call(
        "update_person",
        json!({ "entry_id": id, "email_addresses": status }),
    )
    .await;
    let results = network.deliver(&[subscriber(1, BEFORE)]).await;
    assert_eq!(rig.status("person1@example.org"), Status::Unsubscribed);
    assert!(
        results[0].notes[0].contains("`unsubscribed`: left so"),
        "{results:?}"
    );
    network.deliver(&[subscriber(1, AFTER)]).await;
    assert_eq!(rig.status("person1@example.org"), Status::Subscribed);
    for change in [Change::Unsubscribe, Change::Suppress] {
        rig.group
            .with(|group| group.person_mut("person1@example.org").unwrap().status = Status::Subscribed);
        let results = network
            .deliver(&[withdrawal(1, change), withdrawal(2, change)])
            .await;
        assert_eq!(
            outcomes(&results),
            ["delivered", "skip"],
            "the second is not there"
        );
        assert_eq!(rig.status("person1@example.org"), Status::Unsubscribed);
    }
    // A bounce that Action Network found is not taken back.
    rig.group
        .with(|group| group.person_mut("person1@example.org").unwrap().status = Status::Bouncing);
    network.deliver(&[subscriber(1, AFTER)]).await;
    assert_eq!(rig.status("person1@example.org"), Status::Bouncing);
}

#[tokio::test]
async fn an_erasure_empties_what_can_be_emptied_and_names_the_person() {
    let rig = Rig::start().await;
    let network = rig.connect("");
    network.deliver(&[subscriber(1, BEFORE)]).await;
    let results = network.deliver(&[withdrawal(1, Change::Remove)]).await;
    assert_eq!(outcomes(&results), ["reject"]);
    rig.group.with(|group| {
        let person = group.person("person1@example.org").unwrap();
        assert_eq!((&*person.given_name, person.status), ("", Status::Unsubscribed));
        let reason = results[0].outcome.reason().unwrap();
        assert!(reason.contains(&person.uuid()), "{reason}");
    });
    assert_eq!(
        outcomes(&network.deliver(&[withdrawal(2, Change::Remove)]).await),
        ["skip"]
    );
}

#[tokio::test]
async fn doctor_names_what_is_wrong_with_the_group() {
    let rig = Rig::start().await;
    for (more, found) in [
        ("action = { on = 'letter', id = '=nothing' }", "no letter nothing"),
        ("fields = { shoe_size = '=7' }", "no custom field `shoe_size`"),
    ] {
        let error = rig.connect(more).check().await.unwrap_err().to_string();
        assert!(error.contains(found), "{error}");
    }
    rig.connect("fields = { speaks_en = '=1' }")
        .check()
        .await
        .unwrap();
    // A page that a campaign names wrongly stops only this action.
    let results = rig
        .connect("action = { on = 'form', id = 'campaign.name' }")
        .deliver(&[delivery(1)])
        .await;
    assert_eq!(outcomes(&results), ["reject"]);
    assert!(
        results[0]
            .outcome
            .reason()
            .unwrap()
            .contains("The person is written"),
        "{results:?}"
    );
    assert_eq!(rig.group.with(|group| group.people.len()), 1);
}
