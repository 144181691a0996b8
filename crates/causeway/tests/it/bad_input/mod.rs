//! Invalid messages, and problems of the broker and the receiver: each has a visible reason, and later messages are
//! delivered.

mod broker;
mod incumbent;
mod messages;
mod receiver;

use causeway_testkit::{
    fake_api::FakeApi,
    rig::{
        rabbit,
        topology::{self, Topology},
    },
};
use serde_json::Value;

use crate::running::{Home, Running, blocking, signature};

/// A queue, a hub that reads it, and a web hook that receives everybody.
struct Scene {
    topology: Topology,
    api: FakeApi,
    home: Home,
    hub: Running,
}

impl Scene {
    /// `more` are keys of the web hook.
    async fn new(more: &str) -> Self {
        let topology = topology::declare_unique().await;
        let org = topology.org();
        let broker = blocking(move || rabbit::shared().add_customer(org)).await;
        let api = FakeApi::start().await;
        let home = Home::new(&format!(
            "[source.proca]\nkind = 'proca'\nurl = {{ env = 'PROCA_AMQP_URL' }}\nqueue = 'cus.{org}.deliver'\nconsent = 'single'\n\
             keystore = ['keys.json']\n\
             [destination.hook]\nkind = 'webhook'\nurl = '{}'\nallow_private = true\nconsent = 'all'\n{more}\n",
            api.url("/hook")
        ))
        .with("PROCA_AMQP_URL", &broker);
        home.write("keys.json", include_str!("../../../../../samples/keystore.json"));
        let hub = home.serve();
        Self {
            topology,
            api,
            home,
            hub,
        }
    }

    fn org(&self) -> u32 {
        self.topology.org()
    }

    async fn publish(&self, body: impl AsRef<[u8]>) {
        self.topology
            .publish_action("petition.clean_rivers", body.as_ref())
            .await;
    }

    /// A signature of this person, who agrees to mail.
    async fn signs(&self, id: u32, name: &str) {
        self.publish(signature(self.org(), id, name, Some(true)).to_string())
            .await;
    }

    /// The addresses in all requests to the web hook.
    fn received(&self) -> Vec<String> {
        let requests = self.api.requests();
        let email = |request: &causeway_testkit::fake_api::Request| {
            request.json()["contact"]["email"].as_str().map(str::to_owned)
        };
        requests.iter().filter_map(email).collect()
    }

    async fn is_told(&self, name: &str) {
        let address = format!("{name}@example.org");
        self.home
            .until(&format!("{name} is delivered"), || {
                self.received().contains(&address)
            })
            .await;
    }

    /// Checks that a valid last message is delivered, that no message is left at or returned to the broker, and that the books
    /// balance.
    async fn goes_on(mut self, received: u64) {
        self.signs(99_999, "last").await;
        self.is_told("last").await;
        self.home.settled(received + 1).await;
        assert_eq!(self.topology.waiting(&self.topology.queue("deliver")).await, 0);
        assert_eq!(self.topology.waiting(&self.topology.fail_queue()).await, 0);
        let audit = self.home.json(&["audit", "--json"]);
        assert_eq!(audit["sources"]["proca"]["received"], received + 1, "{audit}");
        let audit = self.home.run(&["audit"]);
        assert_eq!(audit.code, 0, "{audit:?}");
        assert!(self.hub.is_running());
        self.hub.stop();
    }

    /// The state of a message and its reason.
    fn ending(&self, id: u64) -> (String, String) {
        let trace = self.home.trace(id);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let code = text(&trace["inbox"]["code"]);
        let state = text(&trace["inbox"]["state"]);
        let state = if code.is_empty() {
            state
        } else {
            format!("{state} {code}")
        };
        (state, text(&trace["inbox"]["reason"]))
    }
}
