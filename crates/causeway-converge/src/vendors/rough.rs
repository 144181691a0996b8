//! An account that misbehaves by a plan: limits, errors, lost responses, and people whom the vendor never takes.

use std::{
    collections::{BTreeSet, HashMap},
    time::Instant,
};

use causeway_fakes::{
    fake_api::{Reply, Request},
    vendors::Vendor as Fake,
};

use super::{Act, Call, Done, Effect, Held};
use crate::{
    dice::{Dice, hash, mix},
    message::Deed,
    world::Vendor,
};

/// One of the vendors' fakes.
pub(super) trait Account: Fake {
    const VENDOR: Vendor;

    /// The keys of the destination, without the address of the API.
    fn keys(&self) -> String;

    /// What a call does, and to whom.
    fn act(&mut self, request: &Request) -> Option<(String, Act)>;

    /// Whether the call is a batch that would write this person.
    fn names(&self, request: &Request, address: &str) -> bool;

    /// Refuses a batch because of one person in it.
    fn poisoned() -> Reply;

    fn limited() -> Reply;

    fn internal() -> Reply;

    /// Somebody does something at the vendor. `None` if it has no effect, else the time in milliseconds since 1970.
    fn happen(&mut self, address: &str, deed: &Deed, start: i64) -> Option<(i64, Effect)>;

    /// Sets what the account holds.
    fn fill(&mut self, held: &mut Held, people: &BTreeSet<String>);
}

pub(super) struct Rough<A> {
    pub account: A,
    pub is_well: bool,
    seed: u64,
    poisoned: BTreeSet<String>,
    attempts: HashMap<u64, u32>,
    calls: Vec<Call>,
    done: Vec<Done>,
}

/// The response to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Good,
    /// Refused, and without effect.
    Limit,
    Fail,
    /// A page of something in front of the vendor.
    Page,
    Close,
    /// Carried out, and the response is lost.
    TakeAndFail,
    TakeAndClose,
}

/// Maximum number of failing attempts of the same call.
const MAX_FAILURES: u32 = 3;

impl<A: Account> Rough<A> {
    pub fn new(account: A, poisoned: BTreeSet<String>, seed: u64, is_well: bool) -> Self {
        Self {
            account,
            is_well,
            seed,
            poisoned,
            attempts: HashMap::new(),
            calls: Vec::new(),
            done: Vec::new(),
        }
    }

    fn manner(&mut self, request: &Request) -> Manner {
        let call = mix(&[
            hash(&request.method),
            hash(&request.path),
            hash(&String::from_utf8_lossy(&request.body)),
        ]);
        let attempt = self.attempts.entry(call).or_default();
        *attempt += 1;
        if self.is_well || *attempt > MAX_FAILURES {
            return Manner::Good;
        }
        Dice::new(mix(&[self.seed, call, u64::from(*attempt)])).weighted(&[
            (91, Manner::Good),
            (1, Manner::Limit),
            (1, Manner::Fail),
            (1, Manner::Page),
            (1, Manner::Close),
            (2, Manner::TakeAndFail),
            (3, Manner::TakeAndClose),
        ])
    }

    pub fn happen(&mut self, address: &str, deed: &Deed, start: i64) {
        let Some((at, effect)) = self.account.happen(address, deed, start) else {
            return;
        };
        if matches!(effect, Effect::Left { .. }) {
            self.note(address, Act::Left, false);
        }
        self.done.push(Done {
            address: address.to_owned(),
            at,
            effect,
        });
    }

    fn note(&mut self, address: &str, act: Act, is_lost: bool) {
        self.calls.push(Call {
            address: address.to_owned(),
            act,
            at: Instant::now(),
            is_lost,
        });
    }

    pub fn held(&mut self, people: &BTreeSet<String>) -> Held {
        let mut held = Held {
            vendor: A::VENDOR,
            subscribed: BTreeSet::new(),
            contacts: BTreeSet::new(),
            events: Vec::new(),
            done: self.done.clone(),
            calls: self.calls.clone(),
            poisoned: self.poisoned.clone(),
            strangers: 0,
        };
        self.account.fill(&mut held, people);
        held
    }
}

impl<A: Account> Fake for Rough<A> {
    fn answer(&mut self, request: &Request) -> Reply {
        let manner = self.manner(request);
        match manner {
            Manner::Limit => return A::limited().header("Retry-After", "1"),
            Manner::Fail => return A::internal(),
            Manner::Page => {
                let page = "<html><body>Please sign in to the network</body></html>";
                return Reply::status(200).header("content-type", "text/html").body(page);
            }
            Manner::Close => return Reply::close(),
            Manner::Good | Manner::TakeAndFail | Manner::TakeAndClose => {}
        }
        let mut poisoned = self.poisoned.iter();
        if poisoned.any(|address| self.account.names(request, address)) {
            return A::poisoned();
        }
        let act = self.account.act(request);
        let reply = self.account.answer(request);
        if let Some((address, act)) = act {
            self.note(&address, act, manner != Manner::Good);
        }
        match manner {
            Manner::TakeAndFail => A::internal(),
            Manner::TakeAndClose => Reply::close(),
            _ => reply,
        }
    }

    fn page(&self) -> String {
        self.account.page()
    }
}
