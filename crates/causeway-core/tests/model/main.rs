//! Compares random histories with a plain model of what people want. Nothing is sent against a person's will,
//! at any step and in any order, and every order ends with the same contacts.
//!
//! `MODEL_SEED=… cargo test -p causeway-core --test model` repeats one case. `MODEL_CASES=…` sets how many
//! cases run.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may: what is wrong here shall stop the test"
)]

mod book;
mod check;
mod history;
mod model;
mod wire;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use causeway_core::rules::Rules;

use crate::{
    check::{Final, Tally, read, run},
    history::{Message, Random, history},
    wire::Decoders,
};

/// `./test --long` runs more.
const CASES: u64 = 30_000;
const THREADS: u64 = 2;

struct Hub {
    decoders: Decoders,
    rules: Rules,
}

impl Hub {
    fn new() -> Self {
        Self {
            decoders: Decoders::new(),
            rules: book::rules(),
        }
    }

    /// Runs the history in its own order, and in `orders` others.
    fn case(
        &self,
        history: &[Message],
        others: usize,
        random: &mut Random,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.orders(history, others, random, tally)));
        outcome.unwrap_or_else(|_| Err("PANICKED".to_owned()))
    }

    fn orders(
        &self,
        history: &[Message],
        others: usize,
        random: &mut Random,
        tally: &mut Tally,
    ) -> Result<(), String> {
        let read = read(&self.decoders, history);
        let mut order: Vec<usize> = (0..read.len()).collect();
        let mut first: Option<Final> = None;
        for _ in 0..=others {
            let outcome = run(&self.rules, &read, &order, random, tally)
                .map_err(|wrong| format!("{wrong}\n  in the order {order:?}"))?;
            match &first {
                None => first = Some(outcome),
                Some(first) if *first != outcome => {
                    return Err(format!(
                        "ANOTHER END in the order {order:?}: {outcome:#?}\nfirst: {first:#?}"
                    ));
                }
                Some(_) => {}
            }
            random.shuffle(&mut order);
        }
        Ok(())
    }

    fn of_seed(&self, seed: u64, tally: &mut Tally) -> Result<(), String> {
        let mut random = Random(seed);
        let history = history(&mut random);
        let Err(wrong) = self.case(&history, 2, &mut random, tally) else {
            return Ok(());
        };
        let (smallest, wrong) = self.smallest(history, wrong);
        Err(format!("seed {seed}: {wrong}\nhistory: {smallest:#?}"))
    }

    /// Removes one message after the other as long as something stays wrong. Tries more orders than before,
    /// because the order that failed no longer exists without the message.
    fn smallest(&self, mut history: Vec<Message>, mut wrong: String) -> (Vec<Message>, String) {
        let mut place = 0;
        while place < history.len() {
            let mut fewer = history.clone();
            fewer.remove(place);
            match self.case(&fewer, 50, &mut Random(place as u64), &mut Tally::default()) {
                Err(still) => (history, wrong, place) = (fewer, still, 0),
                Ok(()) => place += 1,
            }
        }
        (history, wrong)
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

#[test]
fn no_history_in_any_order_violates_consent_or_ends_differently() {
    if let Some(seed) = number("MODEL_SEED") {
        return Hub::new()
            .of_seed(seed, &mut Tally::default())
            .unwrap_or_else(|wrong| panic!("{wrong}"));
    }
    let cases = number("MODEL_CASES").unwrap_or(CASES);
    let is_over = AtomicBool::new(false);
    let work = |thread: u64| {
        let hub = Hub::new();
        let mut tally = Tally::default();
        for seed in (thread..cases).step_by(usize::try_from(THREADS).unwrap()) {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            if let Err(wrong) = hub.of_seed(seed, &mut tally) {
                is_over.store(true, Ordering::Relaxed);
                return Err(wrong);
            }
        }
        Ok(tally)
    };
    let outcomes: Vec<Result<Tally, String>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn({
                    let work = &work;
                    move || work(thread)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let tallies: Result<Vec<Tally>, String> = outcomes.into_iter().collect();
    // A test in which nothing happens would prove nothing.
    for tally in tallies.unwrap_or_else(|wrong| panic!("{wrong}")) {
        let Tally {
            sent,
            withdrawn,
            held_back,
            merged,
        } = tally;
        let fewest = sent.min(withdrawn).min(held_back).min(merged);
        assert!(
            fewest * THREADS >= cases,
            "too little happens in the histories to mean anything: {tally:?}"
        );
    }
}
