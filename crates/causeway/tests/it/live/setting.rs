//! Sources and destinations that several tests configure.

use causeway_testkit::{
    fake_api::FakeApi,
    rig::{rabbit, topology},
};

/// Many short waits, because deliveries fail often in these tests and must not become dead.
pub const PATIENT: &str = "retry_s = [0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.2,0.2,0.2,0.2,0.2,0.2,0.5,0.5,0.5,0.5,1,1,1,1,1]\n\
    circuit_failures = 0\nescape_after = 1000\ntimeout_s = 5";

/// Runs blocking code (starting servers, `rabbitmqctl`) outside the asynchronous test.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("the blocking part ends well")
}

/// A queue of a separate organisation on the shared broker, and the source that reads it with the least rights.
pub async fn queue() -> (topology::Topology, String) {
    let shared = blocking(rabbit::shared).await;
    let topology = topology::declare_unique().await;
    let org = topology.org();
    let url = blocking(move || shared.add_customer(org)).await;
    let source = queue_source(&url, &topology.queue("deliver"));
    (topology, source)
}

pub fn queue_source(url: &str, queue: &str) -> String {
    format!(
        "[source.queue]\nkind = 'proca'\nurl = '{url}'\nqueue = '{queue}'\nown_orgs = [12]\nconsent = 'single'\nin_flight_mb = 4\n"
    )
}

/// `crm`, which gets opt-ins at `/crm` of the API, and `archive`, a file with everybody.
pub fn api_and_file(api: &FakeApi) -> String {
    format!("{}{}", webhook(api, "crm", PATIENT), archive())
}

pub fn archive() -> String {
    format!("[destination.archive]\nkind = 'file'\npath = 'archive.jsonl'\nconsent = 'all'\n{PATIENT}\n")
}

/// A destination that posts to the path of its name at the API.
pub fn webhook(api: &FakeApi, name: &str, more: &str) -> String {
    format!(
        "[destination.{name}]\nkind = 'webhook'\nurl = '{}'\nallow_private = true\nconsent = 'opt_in'\n{more}\n",
        api.url(&format!("/{name}"))
    )
}
