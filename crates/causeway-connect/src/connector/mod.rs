//! Connectors to vendors' HTTP APIs, as pure functions: which steps a delivery needs, the request of a step, and what its
//! response means. [`Http`] does the rest for all of them, in the same way.
//!
//! Invariant: a connector does no I/O and has no client. A preview runs the same functions as a delivery, with the
//! responses that the vendor documents for success.

mod credential;
mod limit;
mod memory;
mod preview;
mod run;
mod session;
mod task;
mod version;

use std::{borrow::Cow, fmt::Debug};

use causeway_core::{
    clock::Timestamp,
    delivery::Delivery,
    destination::{AttemptResult, Outcome},
};

pub(crate) use self::limit::Spread;
pub use self::{
    credential::Credential,
    limit::Limit,
    memory::Agreed,
    preview::{Unsent, preview},
    run::Http,
    session::{Granted, Login, Refusal, Session},
    task::{Plan, Task},
    version::Version,
};
use serde_json::Value;

use crate::http::{Answer, HttpRequest};

pub trait Connector: Send + Sync + 'static {
    /// One sort of call, with what two calls must have in common to be one: the list to which people are added, say.
    type Step: Clone + PartialEq + Debug + Send + Sync;
    /// What a delivery needs for its later steps: the id that the vendor gave the person, say.
    type Memo: Default + Send + Sync;

    /// The steps of a delivery, in order. `Err` ends it without a call.
    fn plan(&self, delivery: &Delivery) -> Result<Plan<Self>, Outcome>;

    /// How many deliveries one call of this step may be about.
    fn most(&self, step: &Self::Step) -> usize;

    /// Steps of a lower order are done first, in the whole batch.
    fn order(&self, _step: &Self::Step) -> u8 {
        0
    }

    /// Deliveries with the same subject are never in one call: vendors refuse a batch that names a person twice.
    fn subject(&self, task: &Task<'_, Self>) -> String;

    /// Looks at the batch as a whole before each call, and may change next steps ([`Task::instead`]) or end deliveries
    /// of which nothing was sent, which are then given back. Vendors have other calls for many people than for few.
    fn regroup(&self, _tasks: &mut [Task<'_, Self>]) {}

    fn request(&self, step: &Self::Step, tasks: &[&Task<'_, Self>]) -> HttpRequest;

    /// The request as it is sent. [`Self::request`] and the probes, which people see, have something else in the place of a
    /// secret that the vendor wants in the address.
    fn signed<'r>(&self, request: &'r HttpRequest) -> Cow<'r, HttpRequest> {
        Cow::Borrowed(request)
    }

    /// What the response means for each task of the call. A task that is not ended goes on with its next step.
    fn read(
        &self,
        step: &Self::Step,
        answer: &Answer,
        tasks: &mut [&mut Task<'_, Self>],
        now: Timestamp,
    ) -> Reading;

    /// The response that the vendor documents for success.
    fn expected(&self, step: &Self::Step, tasks: &[&Task<'_, Self>]) -> Answer;

    /// What the steps write about the person, if that is all they do: no action, and nothing that adds up. A delivery
    /// that would write what the last one wrote within [`memory::VALID`] ends without a call.
    fn lasting(&self, _task: &Task<'_, Self>) -> Option<Value> {
        None
    }

    /// How often the vendor lets itself be called.
    fn limit(&self) -> Option<Limit> {
        None
    }

    /// The version of the API that is used, if the vendor ends its versions.
    fn version(&self) -> Option<Version<'_>> {
        None
    }

    /// A second, lower limit for all calls of some steps.
    fn own_limit(&self, _step: &Self::Step) -> Option<Limit> {
        None
    }

    /// Calls that prove credentials, rights, fields and lists, and change nothing.
    fn probes(&self, now: Timestamp) -> Vec<Probe>;
}

/// What a response means for a call as a whole.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is made for each call, and read at once"
)]
pub enum Reading {
    /// Each task went on or ended.
    Read,
    /// The vendor refused the batch, probably because of one delivery: each half is tried again.
    Split,
    /// All tasks of the call end in this way.
    All(AttemptResult),
}

/// A call of `check`, and what its response proves.
pub struct Probe {
    pub request: HttpRequest,
    /// `Ok` has remarks about what works but may surprise, `Err` says what is wrong and how to fix it.
    pub judge: Box<Judge>,
}

pub type Judge = dyn Fn(&Answer) -> Result<Vec<String>, String> + Send + Sync;
