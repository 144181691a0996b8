//! Case 14: problems of the broker.

use causeway_testkit::rig::rabbit;

use super::Scene;
use crate::running::blocking;

#[tokio::test(flavor = "multi_thread")]
async fn case_14_lost_connections_and_deleted_queues_are_survived_without_a_double() {
    let scene = Scene::new("").await;
    let org = scene.org();
    scene.signs(1, "ann").await;
    scene.is_told("ann").await;
    blocking(move || rabbit::shared().close_connections_of(&format!("customer-{org}"))).await;
    scene.signs(2, "bob").await;
    scene.is_told("bob").await;

    let queue = scene.topology.queue("deliver");
    let gone = queue.clone();
    blocking(move || rabbit::shared().delete_queue(&gone)).await;
    scene
        .home
        .until("it says that the queue is gone", || {
            let log = scene.hub.log();
            log.contains("fails; it keeps trying") || log.contains("cancel")
        })
        .await;
    scene
        .topology
        .declare_customer_queue(&queue)
        .await
        .expect("a queue");
    for stage in ["deliver", "event"] {
        let exchange = scene.topology.exchange(stage);
        scene
            .topology
            .bind(&queue, &exchange, "#")
            .await
            .expect("a binding");
    }
    scene.signs(3, "cem").await;
    scene.is_told("cem").await;
    let mut received = scene.received();
    received.sort();
    assert_eq!(
        received,
        ["ann@example.org", "bob@example.org", "cem@example.org"]
    );
    scene.goes_on(3).await;
}
