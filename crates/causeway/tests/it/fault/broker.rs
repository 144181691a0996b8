//! The broker is killed under load and comes back.

use causeway_testkit::{
    fake_api::FakeApi,
    rig::{rabbit, topology},
};

use crate::live::{
    Live,
    books::Proof,
    messages::{Load, message},
    setting::{api_and_file, blocking, queue_source},
};

const ORG: u32 = 12;
const PER_ROUND: u64 = 400;

#[tokio::test]
async fn fault_a_broker_restart_costs_no_message_and_does_not_hold_up_the_listener() {
    let api = FakeApi::start().await;
    let mut rabbit = blocking(rabbit::start).await;
    let mut topology = topology::declare(&rabbit.url(), ORG).await;
    let url;
    (rabbit, url) = blocking(move || {
        let url = rabbit.add_customer(ORG);
        (rabbit, url)
    })
    .await;
    let source = queue_source(&url, &topology.queue("deliver"));
    let mut live = Live::new("min_free_mb = 0", &(source + &api_and_file(&api)));
    live.start().await;
    let mut load = Load::start(&live.sender(), None, 2, 1 + 2 * PER_ROUND);

    let mut published = std::collections::BTreeSet::new();
    for round in 0..2 {
        let numbers = 1 + round * PER_ROUND..=(round + 1) * PER_ROUND;
        let exchange = topology.exchange("deliver");
        topology
            .publish_many(&exchange, "petition.rivers", numbers.clone().map(message))
            .await;
        published.extend(numbers);
        drop(topology);
        rabbit = blocking(move || {
            rabbit.kill();
            rabbit
        })
        .await;
        // Accepted while there is no broker.
        load.takes(50).await;
        rabbit = blocking(move || {
            rabbit.start_again();
            rabbit
        })
        .await;
        topology = topology::declare(&rabbit.url(), ORG).await;
    }
    live.becomes("the queue is empty", async |_| {
        topology.waiting(&topology.queue("deliver")).await == 0
    })
    .await;
    let mut sent = load.stop().await;
    sent.extend(published);
    live.has_taken(sent.len()).await;
    live.is_drained(&[]).await;
    live.stop().await;

    let proof = Proof {
        live: &live,
        sent: &sent,
    };
    proof.books_balance().await;
    proof.everything_is_kept_once();
    proof.reached_api(&api, "crm", |_| true);
    proof.reached_file("archive");
}
