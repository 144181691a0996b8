//! Encrypted contacts, and keys that are added later.

use causeway_testkit::{
    fake_api::FakeApi,
    rig::{rabbit, topology},
};
use serde_json::Value;

use crate::running::{Home, blocking};

const TOKEN: &str = "token-of-a-proca-that-posts";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_a_missing_key_is_kept_and_delivered_when_the_key_is_there() {
    let topology = topology::declare_unique().await;
    let org = topology.org();
    let broker = blocking(move || rabbit::shared().add_customer(org)).await;
    let api = FakeApi::start().await;
    let home = Home::new(&format!(
        "[source.proca]\nkind = 'proca'\nurl = {{ env = 'PROCA_AMQP_URL' }}\nqueue = 'cus.{org}.deliver'\nconsent = 'single'\n\
         keystore = ['keys.json']\n[destination.hook]\nkind = 'webhook'\nurl = '{}'\nallow_private = true\nconsent = 'all'\n",
        api.url("/hook")
    ))
    .with("PROCA_AMQP_URL", &broker);
    let without = home.run(&["serve"]);
    assert_eq!(without.code, 2, "{without:?}");
    assert!(without.err.contains("keys.json"), "{without:?}");

    home.ok(&["keys", "generate", "keys.json"]);
    let hub = home.serve();
    let mut body: Value = serde_json::from_str(include_str!(
        "../../../../../samples/messages/petition-encrypted.json"
    ))
    .expect("JSON");
    body["orgId"] = org.into();
    topology
        .publish_action("register.save_bees", body.to_string().as_bytes())
        .await;
    home.settled(1).await;
    let trace = home.trace(1);
    assert_eq!(trace["inbox"]["code"], "key_missing", "{trace}");
    assert_eq!(api.requests().len(), 0, "nothing of it is sent yet");
    assert_eq!(
        topology.waiting(&topology.fail_queue()).await,
        0,
        "and it is not sent back"
    );

    // An invalid keystore changes nothing and stops nothing.
    home.write("keys.json", "{");
    hub.hang_up();
    home.until("the old keys stay", || {
        hub.log().contains("the old one stays in force")
    })
    .await;

    home.write("keys.json", include_str!("../../../../../samples/keystore.json"));
    home.ok(&["keys", "check", "keys.json"]);
    hub.hang_up();
    let requests = api.wait_for(1).await;
    assert_eq!(requests[0].json()["contact"]["email"], "bruce@example.org");
    home.settled(1).await;
    assert_eq!(home.run(&["audit"]).code, 0);
    hub.stop();
}

/// The opt-out is readable without the key, so it counts at once.
#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_in_a_message_for_a_missing_key_is_sent_at_once_and_the_rest_when_the_key_is_there() {
    let api = FakeApi::start().await;
    let home = Home::new(&format!(
        "[source.proca]\nkind = 'listener'\npreset = 'proca'\ntoken = '{TOKEN}'\n\
         proca = {{ own_orgs = [123], consent = 'single', keystore = ['keys.json'] }}\n\
         [destination.hook]\nkind = 'webhook'\nurl = '{}'\nallow_private = true\n\
         fields = {{ change = \"change\", name = \"contact.lastName\" }}\n",
        api.url("/hook")
    ));
    home.ok(&["keys", "generate", "keys.json"]);
    let hub = home.serve();
    let samples = |name: &str| -> Value {
        let path = format!(
            "{}/../../samples/messages/{name}.json",
            env!("CARGO_MANIFEST_DIR")
        );
        serde_json::from_slice(&std::fs::read(path).expect("a sample")).expect("JSON")
    };
    home.write("yes.json", samples("petition-opt-in").to_string());
    home.ok(&["send", "yes.json"]);
    assert_eq!(api.wait_for(1).await[0].json()["change"], "subscribe");

    let mut no = samples("event-encrypted");
    no["supporter"]["privacy"]["emailStatus"] = "unsub".into();
    home.write("no.json", no.to_string());
    home.run(&["send", "no.json"]);
    assert_eq!(api.wait_for(2).await[1].json()["change"], "unsubscribe");
    let trace = home.trace(2);
    assert_eq!(trace["inbox"]["state"], "dead", "{trace}");
    assert_eq!(trace["inbox"]["code"], "key_missing", "{trace}");
    assert_eq!(home.run(&["audit"]).code, 0);

    home.write("keys.json", include_str!("../../../../../samples/keystore.json"));
    hub.hang_up();
    home.until("it is read as a whole", || {
        home.trace(2)["inbox"]["state"] == "done"
    })
    .await;
    assert_eq!(api.requests().len(), 2, "the opt-out was sent already");
    assert_eq!(home.run(&["audit"]).code, 0);
    hub.stop();
}
