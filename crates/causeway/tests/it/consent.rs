//! The account of a person's consent, and read-only commands beside a hub that writes.

use causeway_testkit::fake_api::FakeApi;
use serde_json::{Value, json};

use crate::running::{Home, signature, status};

const TOKEN: &str = "token-of-24-characters-here";

fn home(api: &FakeApi) -> Home {
    Home::new(&format!(
        "[source.proca]\nkind = 'listener'\npreset = 'proca'\ntoken = '{TOKEN}'\n\
         proca = {{ own_orgs = [12], consent = 'single' }}\n\
         [destination.crm]\nkind = 'webhook'\nurl = '{}'\nallow_private = true\n\
         [destination.confirmed]\nkind = 'null'\nconsent = 'double_opt_in'\n",
        api.url("/crm"),
    ))
}

/// The same sentences in the text, in the JSON and in the trace.
fn assert_sentences(home: &Home, account: &Value) {
    let text = home.ok(&["contact", "consent", "ann@example.org"]);
    let opted_out = "opted out of e-mail on 2 Jan 2026, 04:04 UTC (campaign 'clean_rivers', message 2); ";
    assert!(
        text.starts_with(&format!(
            "contact 1 (workspace default)\n  Not sent to confirmed: {opted_out}nothing was sent so far.\n  Not sent \
             to crm: {opted_out}last sent on "
        )),
        "what campaigners ask comes first: {text}"
    );
    for part in [
        "consent      email: unsubscribed since 2 Jan 2026, 04:04 UTC",
        "on 2 Jan 2026, 03:04 UTC: opted in to e-mail\n      purpose email, address ann@example.org\n      \
         message 1 from source proca, received on ",
        "      petition 'clean_rivers', organisation 'Rivers' (12)\n      basis proca action: ",
        "message 2 from source proca, received on ",
        "→ crm: delivered (withdrawal) on ",
        ": consent: opted_in is not enough for double_opt_in",
        "→ confirmed: skipped (record) on ",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let crm = &account["destinations"][1];
    assert_eq!(
        [
            &crm["destination"],
            &crm["may_be_sent"],
            &crm["because"]["message"],
            &crm["sent"][0]["change"]
        ],
        [&json!("crm"), &json!(false), &json!(2), &json!("unsubscribe")]
    );
    assert!(
        text.contains(crm["sentence"].as_str().expect("a sentence")),
        "{crm}"
    );
    let trace = home.ok(&["trace", "1"]);
    assert!(
        trace.contains(&format!("  as of now\n    Not sent to confirmed: {opted_out}")),
        "{trace}"
    );
    let trace = home.json(&["trace", "1", "--json"])[0].clone();
    assert_eq!(trace["destinations"][1]["sentence"], crm["sentence"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_shows_each_fact_with_its_date_message_and_effect() {
    let api = FakeApi::start().await;
    let home = home(&api);
    let hub = home.serve();
    hub.post_json(TOKEN, &signature(12, 1, "ann", Some(true))).await;
    home.settled(1).await;
    hub.post_json(TOKEN, &status(1, "ann", "unsub")).await;
    home.settled(2).await;
    let account: Value = home.json(&["contact", "consent", "ann@example.org", "--json"])[0].clone();
    assert_eq!(account["consent_state"]["email"]["state"], "unsubscribed");
    let ledger = account["ledger"].as_array().expect("a ledger");
    let deliveries_of = |entry: &Value| {
        let deliveries = entry["deliveries"].as_array().expect("deliveries").clone();
        let mut sent: Vec<String> = deliveries
            .iter()
            .map(|one| {
                let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
                format!("{} {} {}", text("destination"), text("kind"), text("state"))
            })
            .collect();
        sent.sort();
        sent
    };
    assert_eq!(ledger.len(), 2);
    assert_eq!(
        [
            &ledger[0]["what"],
            &ledger[0]["at"],
            &ledger[0]["source"],
            &ledger[0]["message"]
        ],
        [
            &json!("opt_in"),
            &json!("2026-01-02T03:04:05Z"),
            &json!("proca"),
            &json!(1)
        ]
    );
    assert_eq!(
        deliveries_of(&ledger[0]),
        ["confirmed record skipped", "crm record delivered"]
    );
    assert_eq!(ledger[1]["what"], "unsubscribed");
    assert!(ledger[1]["basis"].as_str().expect("a basis").contains("row 21"));
    assert_eq!(
        deliveries_of(&ledger[1]),
        ["confirmed contact skipped", "crm withdrawal delivered"]
    );
    let changes: Vec<Value> = api
        .requests()
        .iter()
        .map(|request| request.json()["change"].clone())
        .collect();
    assert_eq!(changes, ["subscribe", "unsubscribe"]);

    assert_sentences(&home, &account);
    assert_eq!(
        home.run(&["contact", "consent", "ann@example.org", "--workspace", "none"])
            .code,
        1
    );
    hub.stop();
}

/// The rules as in docs/consent.md.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_list_field_takes_its_earlier_opt_in_back() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/consent.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let (_, example) = page.split_once("```toml\n").expect("an example");
    let (example, _) = example.split_once("```").expect("its end");
    let home = Home::new(&example.replace("{ env = \"PLATFORM_TOKEN\" }", &format!("'{TOKEN}'")));
    let hub = home.serve();
    for (number, value, state) in [(1, "yes", "opted_in"), (2, "no", "unsubscribed")] {
        let sync = json!({
            "transactionid": number,
            "contact": { "id": "7", "email": "ann@example.org" },
            "fields": [
                { "id": "1", "name": "Calls allowed", "value": value },
                { "id": "2", "name": "Newsletter", "value": value },
                { "id": "3", "name": "Calls allowed since", "value": format!("2026-01-0{number}") },
            ],
        });
        hub.post_json(TOKEN, &sync).await;
        home.settled(number).await;
        let account = &home.json(&["contact", "consent", "ann@example.org", "--json"])[0];
        for purpose in ["phone", "email"] {
            assert_eq!(
                account["consent_state"][purpose]["state"], state,
                "{purpose}: {account}"
            );
        }
    }
    hub.stop();
}

/// A sender may repeat an earlier opt-in after an opt-out. A repeated opt-out counts, whatever came in between.
#[tokio::test(flavor = "multi_thread")]
async fn without_an_id_a_repeated_opt_out_counts_and_a_repeated_opt_in_does_not() {
    let home = Home::new(&format!(
        "[source.s]\nkind = 'listener'\npreset = 'generic'\ntoken = '{TOKEN}'\n\
         [[source.s.generic.consent_from]]\nfield = 'status'\nopt_in = ['in']\nunsubscribed = ['out']\n\
         [destination.crm]\nkind = 'null'\n"
    ));
    let hub = home.serve();
    let said = |status: &str| json!({ "email": "ann@example.org", "status": status });
    for (number, status, state) in [
        (1, "in", "opted_in"),
        (2, "out", "unsubscribed"),
        (3, "in", "unsubscribed"),
        (4, "out", "unsubscribed"),
    ] {
        hub.post_json(TOKEN, &said(status)).await;
        home.settled(number).await;
        let account = &home.json(&["contact", "consent", "ann@example.org", "--json"])[0];
        assert_eq!(
            account["consent_state"]["email"]["state"], state,
            "{number}: {account}"
        );
    }
    let trace = home.ok(&["trace", "3"]);
    assert!(trace.contains("its opt-in does not"), "{trace}");
    hub.stop();
}

/// The destination still has the former address, and would continue to mail it.
#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_is_sent_for_each_address_that_was_given() {
    let api = FakeApi::start().await;
    let home = home(&api);
    let hub = home.serve();
    hub.post_json(TOKEN, &signature(12, 1, "ann", Some(true))).await;
    home.settled(1).await;
    let mut moved = signature(12, 2, "ann", Some(true));
    moved["contact"]["email"] = json!("ann@new.example.org");
    moved["action"]["createdAt"] = json!("2026-01-02T03:30:00Z");
    moved["privacy"]["givenAt"] = json!("2026-01-02T03:30:00Z");
    hub.post_json(TOKEN, &moved).await;
    home.settled(2).await;
    hub.post_json(TOKEN, &status(2, "ann", "unsub")).await;
    home.settled(3).await;
    let sent: Vec<(Value, Value)> = api
        .requests()
        .iter()
        .map(|request| {
            let record = request.json();
            (record["change"].clone(), record["contact"]["email"].clone())
        })
        .collect();
    let (old, new) = ("ann@example.org", "ann@new.example.org");
    let expected = [
        ("subscribe", old),
        ("subscribe", new),
        ("unsubscribe", old),
        ("unsubscribe", new),
    ];
    assert_eq!(
        sent,
        expected.map(|(change, email)| (json!(change), json!(email)))
    );
    let rows = home.json(&["delivery", "list", "--json"]);
    assert!(!rows.to_string().contains("\"dead\""), "{rows}");
    hub.stop();
}

/// The receiver would keep a person who opted out, and nothing would show it.
#[tokio::test(flavor = "multi_thread")]
async fn a_discard_without_numbers_leaves_opt_outs_and_says_so() {
    let api = FakeApi::start().await;
    let home = home(&api);
    let hub = home.serve();
    hub.post_json(TOKEN, &signature(12, 1, "ann", Some(true))).await;
    home.settled(1).await;
    home.ok(&["delivery", "pause", "crm"]);
    hub.post_json(TOKEN, &signature(12, 2, "ben", Some(true))).await;
    hub.post_json(TOKEN, &status(1, "ann", "unsub")).await;
    let waiting = [
        "delivery",
        "list",
        "--destination",
        "crm",
        "--state",
        "waiting",
        "--json",
    ];
    home.until("both wait", || {
        home.json(&waiting).as_array().is_some_and(|rows| rows.len() == 2)
    })
    .await;
    hub.stop();
    let discard = [
        "delivery",
        "discard",
        "--destination",
        "crm",
        "--state",
        "waiting",
    ];
    let printed = home.ok(&discard);
    assert!(
        printed.starts_with("1 delivery discarded\n1 withdrawal was") && printed.contains("--withdrawals"),
        "{printed}"
    );
    let left = home.json(&waiting);
    assert_eq!(
        (left.as_array().map(Vec::len), &left[0]["kind"]),
        (Some(1), &json!("withdrawal"))
    );
    let printed = home.ok(&[&discard[..], &["--withdrawals"]].concat());
    assert_eq!(printed, "1 delivery discarded\n");
    assert_eq!(home.json(&waiting), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_beside_a_long_write_succeeds() {
    let api = FakeApi::start().await;
    let home = home(&api);
    let hub = home.serve();
    hub.post_json(TOKEN, &signature(12, 1, "ann", Some(true))).await;
    home.settled(1).await;
    let writer = rusqlite::Connection::open(home.path("causeway-data/causeway.db")).expect("the store");
    writer
        .execute_batch(
            "PRAGMA busy_timeout = 20000; BEGIN IMMEDIATE; UPDATE meta SET value = 1 WHERE key = 'pulse'",
        )
        .expect("the lock");
    let started = std::time::Instant::now();
    for question in [
        &["contact", "consent", "ann@example.org"][..],
        &["contact", "show", "ann@example.org"],
        &["contact", "export", "ann@example.org"],
        &["contact", "leaving"],
        &["trace", "1"],
        &["audit"],
        &["delivery", "list"],
        &["backup", "copy.db"],
    ] {
        home.ok(question);
    }
    // A writer would give up after five seconds.
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    writer.execute_batch("ROLLBACK").expect("the lock is given back");
    drop(writer);
    drop(hub);
}

/// Ids are unique within a namespace, which is the source's name by default.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_was_renamed_without_its_namespace_is_reported() {
    let config = |source: &str| {
        format!(
            "[source.{source}\nkind = 'listener'\npreset = 'generic'\ntoken = '{TOKEN}'\n\
             [destination.out]\nkind = 'null'\n"
        )
    };
    let http = "[http]\nlisten = \"127.0.0.1:0\"\nconsole = \"127.0.0.1:0\"\n";
    let home = Home::new(&config("site]"));
    let hub = home.serve();
    let ann = json!({ "contact_id": "77", "email": "ann@example.org" });
    hub.post_json(TOKEN, &ann).await;
    home.settled(1).await;
    hub.stop();
    assert!(!home.ok(&["doctor"]).contains("identities"));
    let said = "If [source.site] was renamed or given another `namespace`";
    home.write("causeway.toml", format!("{http}{}", config("web]")));
    let doctor = home.ok(&["doctor"]);
    assert!(
        doctor.contains("WARN  identities: ")
            && doctor.contains(said)
            && doctor.contains("namespace = \"site\""),
        "{doctor}"
    );
    assert!(home.serve().stop().contains(said));
    home.write(
        "causeway.toml",
        format!("{http}{}", config("site]\nnamespace = 'shop'")),
    );
    let doctor = home.ok(&["doctor"]);
    assert!(
        doctor.contains(said),
        "the name stayed, the namespace did not: {doctor}"
    );
    home.write(
        "causeway.toml",
        format!("{http}{}", config("web]\nnamespace = 'site'")),
    );
    assert!(!home.ok(&["doctor"]).contains("identities"));
    assert!(!home.serve().stop().contains(said));
}
