//! Jobs of the Bulk API, against an org in memory.

use std::time::Duration;

use causeway_core::destination::{Progress, Results};
use causeway_testkit::vendors::{
    FakeVendor,
    clients::Script,
    salesforce::{self, DuplicateRule, Field, OrgRule, RowError, TOKEN, faults},
};

use super::*;

const LATE: &str = "2026-03-01T09:30:00Z";

struct Org {
    clock: Arc<TestClock>,
    salesforce: FakeVendor<salesforce::Salesforce>,
}

impl Org {
    async fn start() -> Self {
        let clock = Arc::new(TestClock::default());
        clock.set("2026-04-01T00:00:00Z".parse().unwrap());
        let mut org = salesforce::Salesforce::new(Arc::<TestClock>::clone(&clock));
        org.add_field("Contact", Field::external_id("Causeway_Id__c"));
        org.add_field("Campaign", Field::external_id("Causeway_Campaign_Id__c"));
        org.add_field("Task", Field::external_id("Causeway_Action_Id__c"));
        let salesforce = FakeVendor::start(org).await;
        Self { clock, salesforce }
    }

    /// Connected anew, as after a restart.
    fn connect(&self, more: &str) -> Box<dyn Destination> {
        let keys = format!(
            "base_url = '{}'\nallow_private = true\ntoken = '{TOKEN}'\n{more}",
            self.salesforce.url()
        );
        let context = Context {
            clock: Arc::<TestClock>::clone(&self.clock),
            ..context()
        };
        (KIND.connect)(&context, &toml::from_str(&keys).unwrap()).unwrap()
    }

    fn with<T>(&self, run: impl FnOnce(&mut salesforce::Salesforce) -> T) -> T {
        self.salesforce.with(run)
    }

    fn used(&self) -> u64 {
        self.with(|org| org.limits.used)
    }

    fn states(&self) -> Vec<String> {
        self.with(|org| org.jobs.values().map(|job| job.state.clone()).collect())
    }

    fn is_opted_out(&self, email: &str) -> bool {
        self.with(|org| {
            let all = org.live("Contact");
            let record = all.iter().find(|record| record.text("Email") == email).unwrap();
            record.is_true("HasOptedOutOfEmail")
        })
    }

    /// Delivers as the engine does: what is pending or failed is claimed again, after the wait, by a new process.
    async fn round(&self, more: &str, waiting: &mut Vec<Delivery>) -> Vec<AttemptResult> {
        let results = self.connect(more).deliver(waiting).await;
        let mut wait = Duration::from_secs(1);
        for (delivery, result) in waiting.iter_mut().zip(&results) {
            claimed_again(delivery, result);
            if let Outcome::Pending { after, .. } = result.outcome {
                wait = wait.max(after);
            }
        }
        let mut all = results.iter();
        waiting.retain(|_| {
            !matches!(
                all.next().unwrap().outcome.as_str(),
                "delivered" | "skip" | "reject"
            )
        });
        self.clock.advance(wait);
        results
    }

    /// Delivers until nothing is pending any more.
    async fn finish(&self, more: &str, mut waiting: Vec<Delivery>) -> Vec<AttemptResult> {
        let ids: Vec<_> = waiting.iter().map(|delivery| delivery.id).collect();
        let mut last: Vec<Option<AttemptResult>> = vec![None; ids.len()];
        for _ in 0..20 {
            let claimed: Vec<_> = waiting.iter().map(|delivery| delivery.id).collect();
            for (id, result) in claimed.into_iter().zip(self.round(more, &mut waiting).await) {
                let at = ids.iter().position(|known| *known == id).unwrap();
                last[at] = Some(result);
            }
            let is_pending = |result: &Option<AttemptResult>| {
                matches!(result.as_ref().unwrap().outcome.as_str(), "pending" | "retry")
            };
            if !last.iter().any(is_pending) {
                break;
            }
        }
        last.into_iter().map(Option::unwrap).collect()
    }
}

/// What the store keeps of a result.
fn claimed_again(delivery: &mut Delivery, result: &AttemptResult) {
    if result.memory.is_some() {
        delivery.memory = result.memory.clone().filter(|memory| !memory.is_null());
    }
    if result.ticket_is_void {
        delivery.ticket = None;
    }
    match &result.outcome {
        Outcome::Pending { ticket, .. } => delivery.ticket = Some(ticket.clone()),
        Outcome::Retry { .. } => delivery.attempt += 1,
        _ => {}
    }
}

/// An opt-out of the same person, as it is claimed after this result.
fn later(of: &Delivery, change: Change) -> Delivery {
    let mut later = withdrawal(change);
    later.record.contact = of.record.contact.clone();
    later.record.identities = of.record.identities.clone();
    later.memory = of.memory.clone();
    later
}

fn small() -> String {
    "bulk = { above = 2 }".to_owned()
}

#[tokio::test]
async fn thousands_of_people_cost_few_calls() {
    let org = Org::start().await;
    let bulk = "bulk = {}";
    let theirs = org.with(|org| {
        org.add(
            "Contact",
            json!({ "LastName": "Old", "Email": "PERSON1@example.org" }),
        );
        let left = json!({ "LastName": "Old", "Email": "person2@example.org", "HasOptedOutOfEmail": true });
        org.add("Contact", left)
    });
    let batch: Vec<Delivery> = (1..=2_500).map(|number| subscriber(number, LATE)).collect();
    let mut waiting = batch.clone();
    // 25 queries in 5 calls, one collection for the two who are known, the job and its file.
    let results = org.round(bulk, &mut waiting).await;
    assert_eq!(outcomes(&results[..3]), ["delivered", "delivered", "pending"]);
    assert_eq!((org.used(), waiting.len()), (8, 2_498));
    assert!(results[0].notes.is_empty(), "{:?}", results[0].notes);
    // Nothing runs before each delivery remembers the job.
    assert_eq!(org.states(), ["Open"]);
    assert_eq!(org.with(|org| org.live("Contact").len()), 2);
    let results = org.round(bulk, &mut waiting).await;
    assert_eq!((outcomes(&results)[0], org.used()), ("pending", 9));
    // The state, and the file of those that succeeded.
    let results = org.round(bulk, &mut waiting).await;
    assert_eq!(outcomes(&results), vec!["delivered"; 2_498]);
    assert_eq!(org.used(), 11);
    org.with(|org| {
        let contacts = org.live("Contact");
        assert_eq!(contacts.len(), 2_500);
        let of = |email: &str| {
            *contacts
                .iter()
                .find(|record| record.text("Email") == email)
                .unwrap()
        };
        let last = of("person2500@example.org");
        assert_eq!(last.text("LastName"), "Példa, \"jr\"");
        assert!(!last.is_true("HasOptedOutOfEmail"));
        let Outcome::Delivered { remote_id } = &results[2_497].outcome else {
            panic!("{:?}", results[2_497]);
        };
        assert_eq!(remote_id.as_deref(), Some(last.id.as_str()));
        // Whoever was known by the address got the key.
        assert!(!org.by_id(&theirs).unwrap().text("Causeway_Id__c").is_empty());
        assert_eq!(of("person1@example.org").text("FirstName"), "Ada");
    });
    // The same people again: they are known, so the job is an update, and nobody is doubled.
    let before = org.used();
    let again: Vec<Delivery> = (1..=2_500).map(delivery).collect();
    let results = org.finish(bulk, again).await;
    assert_eq!(outcomes(&results), vec!["delivered"; 2_500]);
    assert_eq!(org.used() - before, 10);
    org.with(|org| {
        let contacts = org.live("Contact");
        assert_eq!(contacts.len(), 2_500);
        assert_eq!(org.jobs.values().last().unwrap().operation, "update");
        let opted_in = contacts
            .iter()
            .filter(|record| !record.is_true("HasOptedOutOfEmail"));
        // One of the two known ones had opted out at Salesforce a moment before this test agreed for them.
        assert_eq!(opted_in.count(), 2_499);
    });
}

#[tokio::test]
async fn few_people_are_collections_as_without_the_setting() {
    let org = Org::start().await;
    let batch: Vec<Delivery> = (1..=300).map(delivery).collect();
    let results = Results::new(batch.len());
    org.connect("bulk = {}").deliver_into(&batch, &results).await;
    let all = results.take();
    let ended = all.iter().filter(|one| matches!(one, Progress::Ended(_))).count();
    let given_back = all.iter().filter(|one| **one == Progress::NotStarted).count();
    // One collection has 200 rows. The others are claimed again, which costs no attempt.
    assert_eq!((ended, given_back), (200, 100));
    assert_eq!((org.used(), org.with(|org| org.live("Contact").len())), (2, 200));
    assert_eq!(org.states().len(), 0);
}

#[tokio::test]
async fn a_row_that_is_refused_concerns_its_person_only() {
    let org = Org::start().await;
    org.with(|org| {
        org.rules.push(OrgRule {
            field: "Email".to_owned(),
            value: "person3@example.org".into(),
            error: RowError::new(
                "FIELD_CUSTOM_VALIDATION_EXCEPTION",
                "person3@example.org: is not wanted",
            ),
            times: None,
        });
        org.rules.push(OrgRule {
            field: "Email".to_owned(),
            value: "person4@example.org".into(),
            error: RowError::new("UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access"),
            times: Some(1),
        });
    });
    let mut batch: Vec<Delivery> = (1..=6).map(delivery).collect();
    let named = |delivery: &mut Delivery, name: &str| {
        delivery.record.contact.fields.get_mut("lastName").unwrap().value = name.into();
    };
    named(&mut batch[0], "Zwei\r\nZeilen, \"und\" mehr");
    // In a file it would mean null.
    named(&mut batch[1], "#N/A");
    let results = org.finish(&small(), batch).await;
    assert_eq!(
        outcomes(&results),
        [
            "delivered",
            "delivered",
            "reject",
            "delivered",
            "delivered",
            "delivered"
        ]
    );
    assert_eq!(
        results[2].outcome.reason(),
        Some("refused: FIELD_CUSTOM_VALIDATION_EXCEPTION")
    );
    // A lock passes: sent again at once, without an attempt.
    assert!(results[3].notes[0].contains("UNABLE_TO_LOCK_ROW"), "{results:?}");
    org.with(|org| {
        let contacts = org.live("Contact");
        let of = |email: &str| {
            *contacts
                .iter()
                .find(|record| record.text("Email") == email)
                .unwrap()
        };
        assert_eq!(
            of("person1@example.org").text("LastName"),
            "Zwei\r\nZeilen, \"und\" mehr"
        );
        assert_eq!(of("person2@example.org").text("LastName"), "#N/A");
        assert_eq!(contacts.len(), 5);
    });
}

#[tokio::test]
async fn a_job_that_fails_or_is_aborted_costs_nobody_an_attempt() {
    for aborted in [false, true] {
        let org = Org::start().await;
        org.with(|org| org.bulk_fails_after = Some(1));
        let mut waiting: Vec<Delivery> = (1..=4).map(delivery).collect();
        org.round(&small(), &mut waiting).await;
        if aborted {
            org.with(|org| {
                org.jobs
                    .values_mut()
                    .for_each(|job| job.state = "Aborted".to_owned());
            });
        }
        let results = org.finish(&small(), waiting).await;
        assert_eq!(outcomes(&results), ["delivered"; 4]);
        assert!(results.iter().all(|result| result.ticket_is_void));
        assert!(
            results
                .iter()
                .all(|result| result.memory.as_ref().unwrap().get("job").is_none())
        );
        assert_eq!(org.with(|org| org.live("Contact").len()), 4);
        // What is left of a job is written without another one.
        assert_eq!(org.states(), [if aborted { "Aborted" } else { "Failed" }]);
    }
}

#[tokio::test]
async fn answers_that_are_lost_and_jobs_that_are_not_accepted_lose_nobody() {
    // The answer to the job, and to its start.
    for lost in 0..2 {
        let org = Org::start().await;
        let mut waiting: Vec<Delivery> = (1..=4).map(delivery).collect();
        if lost == 1 {
            org.round(&small(), &mut waiting).await;
        }
        org.with(|org| org.loses_answers = 1);
        assert_eq!(outcomes(&org.round(&small(), &mut waiting).await), ["retry"; 4]);
        let results = org.finish(&small(), waiting).await;
        assert_eq!(outcomes(&results), ["delivered"; 4], "{results:?}");
        assert_eq!(org.with(|org| org.live("Contact").len()), 4);
    }
    // A page in front of Salesforce confirms no upload. Another error means that there is no job.
    for (answer, expected) in [(faults::page_200(), "retry"), (Reply::status(413), "delivered")] {
        let api = FakeApi::start().await;
        accept(&api, &json!([]));
        let job = "/services/data/v68.0/jobs/ingest";
        api.reply_at(
            job,
            Reply::json(200, &json!({ "id": "750000000000001AAA", "state": "Open" })),
        );
        api.reply_at(&format!("{job}/750000000000001AAA/batches"), answer);
        api.reply_at(
            &format!("{job}/750000000000001AAA"),
            Reply::json(200, &json!({ "id": "750000000000001AAA", "state": "Aborted" })),
        );
        let batch: Vec<Delivery> = (1..=4).map(delivery).collect();
        let results = connect(&api.url(""), &small()).deliver(&batch).await;
        assert_eq!(outcomes(&results), [expected; 4], "{results:?}");
        assert!(results.iter().all(|result| {
            result
                .memory
                .as_ref()
                .is_none_or(|memory| memory.get("job").is_none())
        }));
    }
    let org = Org::start().await;
    org.with(|org| org.limits.bulk_max = 0);
    let results = org.finish(&small(), (1..=4).map(delivery).collect()).await;
    assert_eq!(outcomes(&results), ["delivered"; 4]);
    assert!(results[0].notes[0].contains("EXCEEDEDQUOTA"), "{results:?}");
}

#[tokio::test]
async fn results_that_cannot_be_read_are_no_results() {
    let org = Org::start().await;
    let mut waiting: Vec<Delivery> = (1..=3).map(delivery).collect();
    for _ in 0..2 {
        org.round(&small(), &mut waiting).await;
    }
    // The state, a page in the place of the file, and twice the same.
    let api = FakeApi::start().await;
    accept(&api, &json!([]));
    let job = format!(
        "/services/data/v68.0/jobs/ingest/{}",
        org.with(|org| org.jobs.keys().next().unwrap().clone())
    );
    api.reply_at(&job, Reply::json(200, &json!({ "state": "JobComplete" })));
    for part in ["successfulResults", "failedResults"] {
        let cut = Reply::status(200)
            .body("sf__Id,sf__Created,sf__Error,Causeway_Id__c\n003a,tr")
            .cut();
        api.reply_at(
            &format!("{job}/{part}"),
            if part.starts_with('f') {
                faults::page_200()
            } else {
                cut
            },
        );
    }
    let connected = connect(&api.url(""), &small());
    for (attempt, expected) in [(1, "retry"), (2, "retry"), (3, "delivered")] {
        for delivery in &mut waiting {
            delivery.attempt = attempt;
        }
        let results = connected.deliver(&waiting).await;
        assert_eq!(outcomes(&results), [expected; 3], "{results:?}");
        assert!(
            results.iter().all(|result| result.excerpt.is_none()),
            "others are in the file"
        );
    }
    // A state that is not known is no end.
    api.reply_at(&job, Reply::json(200, &json!({ "state": "Paused" })));
    assert_eq!(outcomes(&connected.deliver(&waiting).await), ["retry"; 3]);
    // The job is gone: sent without it.
    api.reply_at(
        &job,
        Reply::json(404, &json!([{ "errorCode": "NOT_FOUND", "message": "x" }])),
    );
    assert_eq!(outcomes(&connected.deliver(&waiting).await), ["delivered"; 3]);
}

#[tokio::test]
async fn a_restart_before_the_store_has_the_result_starts_no_job_twice() {
    let org = Org::start().await;
    let batch: Vec<Delivery> = (1..=4).map(delivery).collect();
    // The process ends before the results are stored: the file of this job is there, and nobody closes it.
    org.connect(&small()).deliver(&batch).await;
    let results = org.finish(&small(), batch).await;
    assert_eq!(outcomes(&results), ["delivered"; 4]);
    assert_eq!(org.states(), ["Open", "JobComplete"]);
    assert_eq!(org.with(|org| org.live("Contact").len()), 4);
}

#[tokio::test]
async fn an_opt_out_wins_over_a_job_that_runs() {
    for change in [Change::Unsubscribe, Change::Remove] {
        for closed in [false, true] {
            let org = Org::start().await;
            let batch: Vec<Delivery> = (1..=4).map(|number| subscriber(number, LATE)).collect();
            let mut waiting = batch.clone();
            org.round(&small(), &mut waiting).await;
            if closed {
                org.with(|org| org.bulk_takes = jiff::SignedDuration::from_secs(600));
                org.round(&small(), &mut waiting).await;
            }
            let job = waiting[0].memory.as_ref().unwrap()["job"].clone();
            assert!(job["id"].is_string());
            // Nobody is there yet, and the job will create the person as opted in.
            let mut opt_out = vec![later(&waiting[0], change)];
            let results = org.round(&small(), &mut opt_out).await;
            assert_eq!(outcomes(&results), ["pending"], "{results:?}");
            assert_eq!(opt_out[0].memory.as_ref().unwrap()["job"], job);
            // While it waits, one call looks at the job.
            let before = org.used();
            assert_eq!(outcomes(&org.round(&small(), &mut opt_out).await), ["pending"]);
            assert_eq!(org.used() - before, 1);
            org.clock.advance(Duration::from_secs(700));
            let results = org.finish(&small(), waiting).await;
            assert_eq!(outcomes(&results), ["delivered"; 4]);
            if !closed {
                assert!(!org.is_opted_out("person1@example.org"));
            }
            let results = org.finish(&small(), opt_out).await;
            assert_eq!(outcomes(&results), ["delivered"], "{results:?}");
            assert!(results[0].memory.as_ref().unwrap().get("job").is_none());
            if change == Change::Remove {
                assert_eq!(org.with(|org| org.live("Contact").len()), 3);
            } else {
                assert!(org.is_opted_out("person1@example.org"));
                assert!(!org.is_opted_out("person2@example.org"));
            }
        }
    }
}

#[tokio::test]
async fn an_opt_out_of_a_known_person_is_written_before_the_job_ends() {
    let org = Org::start().await;
    let batch: Vec<Delivery> = (1..=4).map(|number| subscriber(number, LATE)).collect();
    org.finish(&small(), batch.clone()).await;
    let mut waiting = batch;
    org.round(&small(), &mut waiting).await;
    assert_eq!(org.states(), ["JobComplete", "Open"]);
    // Whatever Salesforce answers about the job.
    org.salesforce.fail([faults::server_unavailable()]);
    let mut opt_out = vec![later(&waiting[0], Change::Unsubscribe)];
    assert_eq!(outcomes(&org.round(&small(), &mut opt_out).await), ["pending"]);
    assert!(org.is_opted_out("person1@example.org"));
    // So is one that comes with the data of the delivery whose result is awaited.
    let since = "2026-03-02T08:00:00Z".parse().unwrap();
    let opted_out = person(2, Change::Unsubscribe, ConsentState::Unsubscribed { since });
    waiting[1].record = opted_out.record;
    let mut second = vec![waiting.remove(1)];
    assert_eq!(outcomes(&org.round(&small(), &mut second).await), ["pending"]);
    assert!(org.is_opted_out("person2@example.org"));
    assert_eq!(outcomes(&org.finish(&small(), waiting).await), ["delivered"; 3]);
    let results = org.finish(&small(), [opt_out, second].concat()).await;
    assert_eq!(outcomes(&results), ["delivered"; 2]);
    for (email, is_opted_out) in [
        ("person1@example.org", true),
        ("person2@example.org", true),
        ("person3@example.org", false),
    ] {
        assert_eq!(org.is_opted_out(email), is_opted_out, "{email}");
    }
}

#[tokio::test]
async fn a_job_that_nobody_closes_does_not_hold_up_an_opt_out() {
    let org = Org::start().await;
    let mut waiting: Vec<Delivery> = (1..=4).map(delivery).collect();
    org.round(&small(), &mut waiting).await;
    org.clock.advance(Duration::from_hours(25));
    let results = org
        .connect(&small())
        .deliver(&[later(&waiting[0], Change::Unsubscribe)])
        .await;
    assert_eq!(outcomes(&results), ["delivered"]);
    assert_eq!(org.states(), ["Aborted"]);
    // The others are sent without it.
    assert_eq!(outcomes(&org.finish(&small(), waiting).await), ["delivered"; 4]);
}

#[tokio::test]
async fn a_job_opts_in_nobody_who_is_there() {
    let org = Org::start().await;
    org.with(|org| {
        for number in 1..=4 {
            let email = format!("person{number}@example.org");
            org.add(
                "Contact",
                json!({ "LastName": "Old", "Email": email, "HasOptedOutOfEmail": number == 1 }),
            );
        }
    });
    let mut batch: Vec<Delivery> = (1..=4)
        .map(|number| subscriber(number, "2026-04-01T00:06:00Z"))
        .collect();
    let results = org.round(&small(), &mut batch).await;
    // The opt-out may be repeated at Salesforce while a job waits, so lifting it takes no job.
    assert_eq!(outcomes(&results), ["delivered", "pending", "pending", "pending"]);
    assert!(!org.is_opted_out("person1@example.org"));
    let person = org.with(|org| org.live("Contact")[1].id.clone());
    org.with(|org| org.change(&person, json!({ "HasOptedOutOfEmail": true })));
    assert_eq!(outcomes(&org.finish(&small(), batch).await), ["delivered"; 3]);
    assert!(org.is_opted_out("person2@example.org"));
}

#[tokio::test]
async fn who_is_deleted_while_a_job_waits_comes_back_as_before() {
    let org = Org::start().await;
    let mut waiting: Vec<Delivery> = (1..=4).map(delivery).collect();
    org.finish(&small(), waiting.clone()).await;
    org.round(&small(), &mut waiting).await;
    let first = org.with(|org| org.live("Contact")[0].id.clone());
    org.with(|org| org.remove(&first));
    let results = org.finish(&small(), waiting).await;
    assert_eq!(outcomes(&results), ["delivered"; 4]);
    // Nobody agreed, so the new record is opted out.
    assert!(org.is_opted_out("person1@example.org"));
    assert_eq!(org.with(|org| org.live("Contact").len()), 4);
}

#[tokio::test]
async fn members_and_actions_follow_the_job() {
    let org = Org::start().await;
    let more = format!(
        "{}\ncampaign = {{}}\naction = {{ object = 'Task', person = 'WhoId', fields = {{ Subject = 'action.type' }} }}",
        small()
    );
    let mut waiting: Vec<Delivery> = (1..=4).map(delivery).collect();
    org.round(&more, &mut waiting).await;
    assert_eq!(org.with(|org| org.live("CampaignMember").len()), 0);
    assert_eq!(outcomes(&org.finish(&more, waiting).await), ["delivered"; 4]);
    for object in ["Contact", "CampaignMember", "Task"] {
        assert_eq!(org.with(|org| org.live(object).len()), 4, "{object}");
    }
}

#[tokio::test]
async fn two_people_of_one_key_are_in_no_job_and_duplicate_rules_count() {
    let org = Org::start().await;
    let more = format!("{}\nkey_value = '=Same'", small());
    let mut batch: Vec<Delivery> = (1..=3).map(delivery).collect();
    let results = org.round(&more, &mut batch).await;
    assert_eq!(outcomes(&results), ["delivered"; 3]);
    assert_eq!(org.states().len(), 0);
    // A job cannot save what a rule only warns of. A collection can.
    let org = Org::start().await;
    org.with(|org| {
        for number in 1..=3 {
            let email = format!("person{number}@example.org");
            org.add(
                "Contact",
                json!({ "LastName": "Other", "Email": email, "Causeway_Id__c": format!("other{number}") }),
            );
        }
        org.duplicate_rule = DuplicateRule::Alert;
    });
    let more = format!("{}\nallow_duplicates = true", small());
    let results = org.finish(&more, (1..=3).map(delivery).collect()).await;
    assert_eq!(outcomes(&results), ["delivered"; 3]);
    assert_eq!(org.with(|org| org.live("Contact").len()), 6);
}

#[tokio::test]
async fn jsforce_reads_what_a_job_wrote() {
    let org = Org::start().await;
    let mut client = Script::node("salesforce.js", &[&org.salesforce.url(), TOKEN]);
    let results = org
        .finish(&small(), (1..=4).map(|number| subscriber(number, LATE)).collect())
        .await;
    assert_eq!(outcomes(&results), ["delivered"; 4]);
    let job = org.with(|org| org.jobs.keys().next().unwrap().clone());
    let answer = client.ask(&json!({ "call": "results", "with": [job] })).await;
    assert!(answer["error"].is_null(), "{answer}");
    let info = &answer["value"]["info"];
    assert_eq!(
        (&info["state"], &info["numberRecordsProcessed"]),
        (&json!("JobComplete"), &json!(4))
    );
    let rows = answer["value"]["successful"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    assert!(
        rows.iter().all(|row| row["HasOptedOutOfEmail"] == "false"),
        "{rows:?}"
    );
}

#[tokio::test]
async fn an_address_with_more_records_than_a_page_is_opted_out_everywhere() {
    let org = Org::start().await;
    org.with(|org| {
        org.rows_per_page = 3;
        for _ in 0..8 {
            org.add(
                "Contact",
                json!({ "LastName": "Demo", "Email": "person1@example.org" }),
            );
        }
    });
    let mut other = withdrawal(Change::Unsubscribe);
    let second = delivery(2);
    (other.record.contact, other.record.identities, other.key) =
        (second.record.contact, second.record.identities, second.key);
    let opt_out = withdrawal(Change::Unsubscribe);
    let results = org.connect("").deliver(&[opt_out.clone(), other]).await;
    assert_eq!(outcomes(&results), ["delivered"; 2]);
    let is_left = org.with(|org| {
        org.live("Contact")
            .iter()
            .filter(|record| !record.is_true("HasOptedOutOfEmail"))
            .count()
    });
    assert_eq!(is_left, 0);
    // A query about both, one about each, two more pages, and one collection.
    assert_eq!(org.used(), 6);
    // A page that cannot be read shows nothing.
    let api = FakeApi::start().await;
    let page = json!({ "totalSize": 3, "done": false, "nextRecordsUrl": "/services/data/v68.0/query/01g-2000",
        "records": [row("003a", "person1@example.org", false)] });
    api.reply_at(QUERY, Reply::json(200, &page));
    api.reply_at("/services/data/v68.0/query/01g-2000", faults::page_200());
    let results = connect(&api.url(""), "")
        .deliver(std::slice::from_ref(&opt_out))
        .await;
    assert_eq!(outcomes(&results), ["retry"]);
    // The next page is at the org, whatever the response says.
    let mut page = page;
    page["nextRecordsUrl"] = "https://other.example.org/query".into();
    api.reply_at(QUERY, Reply::json(200, &page));
    let results = connect(&api.url(""), "").deliver(&[opt_out]).await;
    assert_eq!(outcomes(&results), ["retry"]);
}

#[test]
fn a_preview_shows_the_job_of_a_large_batch() {
    let keys = "base_url = 'https://example.my.salesforce.com'\ntoken = 'secret'\nbulk = { above = 2 }";
    let preview = |people: i64| {
        let batch: Vec<Delivery> = (1..=people).map(delivery).collect();
        (KIND.preview)(&context(), &toml::from_str(keys).unwrap(), &batch).unwrap()
    };
    let shown = preview(3).remove(2).unwrap();
    for part in [
        "POST https://example.my.salesforce.com/services/data/v68.0/jobs/ingest\n",
        r#""operation":"upsert""#,
        "/batches\n",
        "Causeway_Id__c,Email,FirstName,HasOptedOutOfEmail,LastName",
        ",person3@example.org,Ada,true,\"Példa, \"\"jr\"\"\"",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    assert!(
        !shown.contains("person1@") && !shown.contains("secret"),
        "{shown}"
    );
    let shown = preview(1).remove(0).unwrap();
    assert!(!shown.contains("jobs/ingest"), "{shown}");
}
