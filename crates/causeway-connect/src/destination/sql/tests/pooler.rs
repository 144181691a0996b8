//! Behind PgBouncer.

use causeway_testkit::rig;
use serde_json::json;

use super::{
    all_delivered, connect, create,
    database::{Database, Sort},
    signed,
};

fn config(table: &str) -> String {
    format!("contacts = {{ table = '{table}' }}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hubs_behind_one_pooler_write_into_their_own_tables() {
    let server = rig::postgres::shared();
    let direct = Database::postgres();
    let pooler = rig::pgbouncer::start(server, "transaction", 2);
    for table in ["people_a", "people_b"] {
        create(&direct, &config(table)).await;
    }
    let behind = || Database::new(Sort::Postgres, pooler.url_of(&direct.url));
    let (a, b) = (behind(), behind());
    let (hub_a, hub_b) = (connect(&a, &config("people_a")), connect(&b, &config("people_b")));
    hub_a.check().await.unwrap();
    hub_b.check().await.unwrap();
    assert!(hub_a.remarks()[0].contains("pooler"), "{:?}", hub_a.remarks());
    let plain = connect(&direct, &config("people_a"));
    plain.check().await.unwrap();
    assert_eq!(plain.remarks(), Vec::<String>::new());
    let rows = |from: usize| -> Vec<_> { (from..from + 50).map(|n| signed(n, &json!({}))).collect() };
    for round in 0..10 {
        let [one, two, three, four] = [0, 1, 2, 3].map(|lane| rows(1_000 * lane + 50 * round));
        let (one, two, three, four) = tokio::join!(
            hub_a.deliver(&one),
            hub_b.deliver(&two),
            hub_a.deliver(&three),
            hub_b.deliver(&four)
        );
        for results in [one, two, three, four] {
            all_delivered(&results);
        }
    }
    // Hub a writes the numbers below 1000 and from 2000 on.
    let strangers = |table: &str, is_a: bool| {
        direct.run(&format!(
            "SELECT count(*) FROM {table} WHERE \
             ((substring(email from '[0-9]+')::int / 1000) % 2 = 0) <> {is_a}"
        ))
    };
    assert_eq!(
        (direct.count("people_a"), direct.count("people_b")),
        (1_000, 1_000)
    );
    assert_eq!(
        (strangers("people_a", true), strangers("people_b", false)),
        ("0".to_owned(), "0".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_setting_is_left_behind_for_others() {
    let direct = Database::postgres();
    let pooler = rig::pgbouncer::start(rig::postgres::shared(), "transaction", 1);
    create(&direct, &config("people")).await;
    let behind = Database::new(Sort::Postgres, pooler.url_of(&direct.url));
    let hub = connect(&behind, &config("people"));
    all_delivered(&hub.deliver(&[signed(1, &json!({}))]).await);
    // The pooler's only connection, used by another client.
    let settings = "SELECT current_setting('idle_in_transaction_session_timeout'), \
                    (SELECT count(*) FROM pg_prepared_statements)";
    assert_eq!(behind.run(settings), "0|0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_without_transactions_is_refused() {
    let direct = Database::postgres();
    let pooler = rig::pgbouncer::start(rig::postgres::shared(), "statement", 2);
    create(&direct, &config("people")).await;
    let behind = Database::new(Sort::Postgres, pooler.url_of(&direct.url));
    let refused = connect(&behind, &config("people"))
        .check()
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("pool_mode = transaction"), "{refused}");
}
