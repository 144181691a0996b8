//! Fakes of vendors' APIs: state in memory, and the vendor's own validation, ids, limits and errors.
//!
//! Each fake is proven by the vendor's published client (`tests/vendors`): what the connector wrote is read with it, and
//! it writes what the connector must cope with.
#![expect(clippy::unwrap_used, reason = "test equipment: a failure is the test's")]

pub mod actionnetwork;
pub mod activecampaign;
pub mod brevo;
pub mod civicrm;
pub mod cleverreach;
pub mod engagingnetworks;
pub mod google;
pub mod hubspot;
pub mod listmonk;
pub mod mailchimp;
pub mod mailjet;
pub mod mautic;
pub mod meta;
pub mod proca;
pub mod salesforce;
pub mod supabase;
pub mod vbout;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::fake_api::{FakeApi, Reply, Request};

/// The API of a vendor.
pub trait Vendor: Send + 'static {
    fn answer(&mut self, request: &Request) -> Reply;

    /// What the vendor has, as a plain HTML page for people. It is served at `/`.
    fn page(&self) -> String;
}

/// A vendor on a free port of 127.0.0.1. Stops when dropped.
pub struct FakeVendor<V> {
    api: FakeApi,
    state: Arc<Mutex<State<V>>>,
}

struct State<V> {
    vendor: V,
    faults: VecDeque<Reply>,
}

impl<V: Vendor> FakeVendor<V> {
    pub async fn start(vendor: V) -> Self {
        let api = FakeApi::start().await;
        let faults = VecDeque::new();
        let state = Arc::new(Mutex::new(State { vendor, faults }));
        let shared = Arc::clone(&state);
        api.compute(move |request| locked(&shared).answer(request));
        Self { api, state }
    }

    /// The base URL, without a slash at the end.
    pub fn url(&self) -> String {
        self.api.url("")
    }

    /// Answers the next requests with these instead, without any effect.
    pub fn fail(&self, replies: impl IntoIterator<Item = Reply>) {
        locked(&self.state).faults.extend(replies);
    }

    /// All requests since the start, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.api.requests()
    }

    /// Reads or changes what the vendor has.
    pub fn with<T>(&self, run: impl FnOnce(&mut V) -> T) -> T {
        run(&mut locked(&self.state).vendor)
    }
}

impl<V: Vendor> State<V> {
    fn answer(&mut self, request: &Request) -> Reply {
        if request.path == "/" {
            let page = self.vendor.page();
            return Reply::status(200)
                .header("content-type", "text/html; charset=utf-8")
                .body(page);
        }
        let fault = self.faults.pop_front();
        fault.unwrap_or_else(|| self.vendor.answer(request))
    }
}

fn locked<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
