//! Long histories by chance, at Mailchimp and in the hub, with deliveries that are late, repeated, or whose answer is
//! lost. Whatever happens, nobody is subscribed whose newest word is an opt-out.

use std::sync::{Mutex, MutexGuard, PoisonError};

use causeway_core::clock::Timestamp;
use causeway_testkit::vendors::{
    Vendor,
    mailchimp::{KEY, LIST, Mailchimp, Member, Status},
};

use super::*;

const ADA: &str = "person1@example.org";
const MOVED: &str = "moved@example.org";

/// Numbers by chance, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[derive(Default)]
struct Account {
    mailchimp: Mailchimp,
    loses_answers: bool,
}

/// What is true about the person, and what the hub knows of it.
struct World {
    account: Arc<Mutex<Account>>,
    dice: Dice,
    now: Timestamp,
    /// The newest opt-in and the newest opt-out, in the hub and anywhere.
    known_in: Option<Timestamp>,
    known_out: Option<Timestamp>,
    newest_in: Option<Timestamp>,
    newest_out: Option<Timestamp>,
    is_suppressed: bool,
    memory: Option<Value>,
    log: Vec<String>,
}

impl World {
    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The address under which the person is a member.
    fn there(&self) -> Option<String> {
        let mut account = self.account();
        let members = account.mailchimp.list().members.values();
        let found: Vec<String> = members.map(|member| member.email.clone()).collect();
        found.first().cloned()
    }

    fn said_in(&mut self, at: Timestamp) {
        self.newest_in = self.newest_in.max(Some(at));
    }

    fn said_out(&mut self, at: Timestamp) {
        self.newest_out = self.newest_out.max(Some(at));
    }

    /// Something that people do without the hub.
    fn happens_there(&mut self) {
        let now = self.now;
        let there = self.there();
        let roll = self.dice.roll(9);
        self.log.push(format!("{now}: there {roll} {there:?}"));
        let account = Arc::clone(&self.account);
        let mut account = account.lock().unwrap_or_else(PoisonError::into_inner);
        let list = account.mailchimp.list();
        let is_mailed = |list: &causeway_testkit::vendors::mailchimp::List, email: &str| {
            list.members[&hash(email)].status == Status::Subscribed
        };
        match (roll, there.as_deref()) {
            (0..=1, Some(email)) if is_mailed(list, email) => {
                list.unsubscribe(email, now);
                self.said_out(now);
            }
            (2, Some(email)) if is_mailed(list, email) => {
                list.complain(email, now);
                self.said_out(now);
            }
            (3, Some(email)) if is_mailed(list, email) => {
                list.bounce(email, now);
                self.said_out(now);
            }
            // An administrator, or another program: the API takes such a member back.
            (4, Some(email)) => {
                let member = list.members.get_mut(&hash(email)).unwrap();
                member.status = Status::Unsubscribed;
                member.last_changed = now;
                self.said_out(now);
            }
            (5, Some(email)) => list.archive(email, now),
            (6, Some(email)) => {
                list.sign_up(email, now);
                self.said_in(now);
            }
            (7, Some(ADA)) => list.change_address(ADA, MOVED, now),
            _ => {}
        }
    }

    /// Something that the hub learns: now, or about a moment that is past.
    fn happens_here(&mut self) {
        let ago = Duration::from_secs(self.dice.roll(4) * self.dice.roll(90_000));
        let at = self.now - ago;
        if self.dice.roll(5) < 3 {
            self.known_in = self.known_in.max(Some(at));
            self.said_in(at);
        } else {
            self.is_suppressed = self.dice.roll(2) == 0;
            self.known_out = self.known_out.max(Some(at));
            self.said_out(at);
        }
        self.log.push(format!(
            "{}: here {:?} {:?}",
            self.now, self.known_in, self.known_out
        ));
    }

    /// The delivery that the hub makes of what it knows. At the same time an opt-out counts.
    fn delivery(&mut self) -> Delivery {
        let mut delivery = delivery(1);
        let record = &mut delivery.record;
        let is_out = self.known_out.is_some() && self.known_out >= self.known_in;
        let (kind, change, state) = match (self.known_in, self.known_out) {
            (_, Some(since)) if is_out && self.is_suppressed => (
                DeliveryKind::Withdrawal,
                Change::Suppress,
                ConsentState::Suppressed {
                    since,
                    why: Suppression::Bounced,
                },
            ),
            (_, Some(since)) if is_out => (
                DeliveryKind::Withdrawal,
                Change::Unsubscribe,
                ConsentState::Unsubscribed { since },
            ),
            (Some(since), _) => (
                DeliveryKind::Record,
                Change::Subscribe,
                ConsentState::OptedIn { since },
            ),
            _ => (DeliveryKind::Contact, Change::None, ConsentState::Unknown),
        };
        // With `consent = "all"` the data of people who opted out are sent, too.
        record.kind = if self.dice.roll(4) == 0 {
            DeliveryKind::Contact
        } else {
            kind
        };
        record.change = change;
        record.consent_state.insert("email".to_owned(), state);
        delivery.memory.clone_from(&self.memory);
        delivery
    }

    fn check(&self, run: u64) {
        let mut account = self.account();
        let subscribed = account.mailchimp.list().members.values();
        let subscribed: Vec<&Member> = subscribed
            .filter(|member| matches!(member.status, Status::Subscribed))
            .collect();
        let may_be = self.newest_in.is_some() && self.newest_in > self.newest_out;
        assert!(
            subscribed.is_empty() || may_be,
            "run {run}: {subscribed:?} although {:?} and {:?}\n{}",
            self.newest_in,
            self.newest_out,
            self.log.join("\n")
        );
    }
}

async fn serve(world: &World) -> FakeApi {
    let api = FakeApi::start().await;
    let account = Arc::clone(&world.account);
    let dice = Mutex::new(Dice(world.dice.0 ^ 0x5eed));
    api.compute(move |request| {
        let mut account = account.lock().unwrap_or_else(PoisonError::into_inner);
        let reply = account.mailchimp.answer(request);
        let is_lost = dice.lock().unwrap_or_else(PoisonError::into_inner).roll(6) == 0;
        if account.loses_answers && is_lost {
            Reply::close()
        } else {
            reply
        }
    });
    api
}

async fn history(run: u64, keys: &str) -> usize {
    let mut world = World {
        account: Arc::default(),
        dice: Dice(run),
        now: "2026-03-01T00:00:00Z".parse().unwrap(),
        known_in: None,
        known_out: None,
        newest_in: None,
        newest_out: None,
        is_suppressed: false,
        memory: None,
        log: Vec::new(),
    };
    let api = serve(&world).await;
    let keys = format!(
        "token = '{KEY}'\nlist = '{LIST}'\nbase_url = '{}'\nallow_private = true\n{keys}",
        api.url("")
    );
    let mailchimp = (KIND.connect)(&context(), &toml::from_str(&keys).unwrap()).unwrap();
    let mut subscribed = 0;
    for _ in 0..25 {
        let pause = Duration::from_secs(1 + world.dice.roll(3) * world.dice.roll(90_000));
        world.now += pause;
        let now = world.now;
        world.account().mailchimp.clock.set(now);
        match world.dice.roll(3) {
            0 => world.happens_there(),
            _ => world.happens_here(),
        }
        // Sometimes several things are known before anything is sent, and sometimes the answers are lost.
        if world.dice.roll(3) > 0 {
            let loses_answers = world.dice.roll(3) == 0;
            world.account().loses_answers = loses_answers;
            for _ in 0..8 {
                let delivery = world.delivery();
                let result = one(&*mailchimp, delivery.clone()).await;
                world.log.push(format!(
                    "{now}: {:?} {:?} {:?}",
                    delivery.record.change, result.outcome, result.notes
                ));
                if let Some(memory) = result.memory {
                    world.memory = Some(memory).filter(|memory| !memory.is_null());
                }
                match result.outcome {
                    Outcome::Retry { .. } => continue,
                    Outcome::Delivered { .. } | Outcome::Skip { .. } => {}
                    other => panic!("{other:?}\n{}", world.log.join("\n")),
                }
                // What the hub knows is there now.
                world.check(run);
                break;
            }
            world.account().loses_answers = false;
        }
        let mut account = world.account();
        let mut members = account.mailchimp.list().members.values();
        subscribed += usize::from(members.any(|member| member.status == Status::Subscribed));
    }
    subscribed
}

#[tokio::test]
async fn nobody_is_subscribed_whose_newest_word_is_an_opt_out() {
    for keys in [
        "",
        "opt_in = 'pending'",
        "tags = ['=x']\nevent = { name = 'signed' }",
    ] {
        let mut subscribed = 0;
        for run in 0..60 {
            subscribed += history(run, keys).await;
        }
        assert!(
            subscribed > 100 || keys.contains("pending"),
            "{subscribed}: the histories subscribe hardly anybody"
        );
    }
}
