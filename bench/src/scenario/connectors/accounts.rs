//! The accounts, with the limits that their vendors document.

use std::{sync::Arc, time::Duration};

use causeway_core::clock::Clock;
use causeway_testkit::{
    fake_api::{Reply, Request},
    vendors::{Vendor, brevo, google, hubspot, meta, salesforce},
};
use jiff::Timestamp;

pub const ANSWERS_IN: Duration = Duration::from_millis(50);
const PEOPLE: usize = 10_000;
const SUBSCRIPTION: u64 = 7;

/// An API that takes its time. Counts the calls that it refuses.
pub struct Slow<V> {
    pub vendor: V,
    pub refused: usize,
}

impl<V> Slow<V> {
    pub fn new(vendor: V) -> Self {
        Self { vendor, refused: 0 }
    }
}

impl<V: Vendor> Vendor for Slow<V> {
    fn answer(&mut self, request: &Request) -> Reply {
        let reply = self.vendor.answer(request).after(ANSWERS_IN);
        // A contact that is not there yet is no error.
        let is_refused = reply.code() >= 400 && reply.code() != 404;
        self.refused += usize::from(is_refused);
        reply
    }

    fn page(&self) -> String {
        self.vendor.page()
    }
}

#[derive(Debug)]
struct SystemClock;

#[async_trait::async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep_until(&self, at: Timestamp) {
        let wait = Duration::try_from(at.duration_since(Timestamp::now()));
        tokio::time::sleep(wait.unwrap_or_default()).await;
    }
}

/// An account, and what can be expected of it.
pub struct Account<V> {
    pub title: &'static str,
    pub kind: &'static str,
    pub people: usize,
    pub batch: usize,
    /// The fewest calls that can be made for all people.
    pub fewest: usize,
    /// The vendor's limit, if it is reached here.
    pub calls_per_s: Option<f64>,
    /// Whether the same people come once more.
    pub is_read_again: bool,
    /// The vendor, and the keys of the destination besides `base_url`.
    pub make: fn() -> (V, String),
    /// How many people the vendor has, if deliveries to it end only later.
    pub arrived: Option<fn(&V) -> usize>,
    /// Calls and rows against the vendor's rules.
    pub wrong: fn(&V) -> usize,
}

impl<V> Account<V> {
    fn new(kind: &'static str, batch: usize, fewest: usize, make: fn() -> (V, String)) -> Self {
        Self {
            title: kind,
            kind,
            people: PEOPLE,
            batch,
            fewest,
            calls_per_s: None,
            is_read_again: true,
            make,
            arrived: None,
            wrong: |_| 0,
        }
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// 190 calls in ten seconds.
pub fn hubspot() -> Account<hubspot::HubSpot> {
    Account {
        calls_per_s: Some(19.0),
        wrong: |crm| crm.limits.refused(),
        ..Account::new("hubspot", 100, PEOPLE / 100, || {
            let keys = format!("token = \"{}\"\ncalls_per_10_s = 190", hubspot::TOKEN);
            (running_hubspot(), keys)
        })
    }
}

/// The same with subscriptions: each hundred is written, their subscriptions are read, and then set.
pub fn hubspot_subscriptions() -> Account<hubspot::HubSpot> {
    Account {
        title: "hubspot with subscriptions",
        fewest: 3 * PEOPLE / 100,
        make: || {
            let mut crm = running_hubspot();
            crm.add_subscription(SUBSCRIPTION, "News");
            let keys = format!(
                "token = \"{}\"\ncalls_per_10_s = 190\nsubscription = {SUBSCRIPTION}\nbatch_statuses = true",
                hubspot::TOKEN
            );
            (crm, keys)
        },
        ..hubspot()
    }
}

fn running_hubspot() -> hubspot::HubSpot {
    let mut crm = hubspot::HubSpot::default();
    crm.clock.set(Timestamp::now());
    crm.clock.run();
    crm
}

/// Nobody is written before a query showed who is there: a query finds 100 people, and a call writes 200.
pub fn salesforce() -> Account<salesforce::Salesforce> {
    Account::new("salesforce", 200, PEOPLE / 100 + PEOPLE / 200, || {
        let mut org = salesforce::Salesforce::new(clock());
        org.add_field("Contact", salesforce::Field::external_id("Causeway_Id__c"));
        (org, format!("token = \"{}\"", salesforce::TOKEN))
    })
}

pub fn meta() -> Account<meta::Meta> {
    Account {
        wrong: |ads| ads.violations.len(),
        ..Account::new("meta", 1_000, PEOPLE / 1_000, || {
            let mut ads = meta::Meta::new(clock());
            let audience = ads.add_audience(meta::ACCOUNT, "Supporters");
            (ads, format!("token = \"{}\"\naudience = {audience}", meta::TOKEN))
        })
    }
}

/// Google processes what it accepted later, and is first asked about it after half an hour: not in this time.
pub fn google() -> Account<google::Google> {
    Account {
        is_read_again: false,
        arrived: Some(|ads| ads.requests.iter().map(|request| request.members.len()).sum()),
        wrong: |ads| ads.misuses.len(),
        ..Account::new("google", 1_000, PEOPLE / 1_000, || {
            let mut ads = google::Google::new(clock());
            let list = ads.add_list(google::ACCOUNT, "Supporters");
            let (token, account) = (google::TOKEN, google::ACCOUNT);
            (
                ads,
                format!("token = \"{token}\"\naccount = \"{account}\"\nlist = {list}\naccept_terms = true"),
            )
        })
    }
}

/// Ten calls in a second, and no call is about several people: each is read before it is subscribed.
pub fn brevo() -> Account<brevo::Brevo> {
    let people = 150;
    Account {
        people,
        calls_per_s: Some(10.0),
        wrong: |tool| tool.limits.refused(),
        ..Account::new("brevo", 1, 2 * people, || {
            let mut tool = brevo::Brevo::default();
            tool.clock.set(Timestamp::now());
            tool.clock.run();
            tool.limits = brevo::Limits::general();
            let list = tool.add_list("News");
            (
                tool,
                format!("token = \"{}\"\nlists = [{list}]\ncalls_per_s = 10", brevo::KEY),
            )
        })
    }
}
