//! How many calls of a lane may be in flight: as many as its destination answers without slowing down.
//!
//! A lane begins with few calls. After each round of answers their number doubles, until the destination first slows or
//! fails. From then on it grows by a sixteenth, and shrinks when calls take longer than usual or fail. So a receiver with
//! few workers gets few calls, whatever `concurrency` allows, and a fast one gets many within half a second.

use std::time::Duration;

use causeway_core::clock::Timestamp;

/// Calls at the beginning. Slow answers alone leave this number: with so few calls the load is not the reason.
const FEW: f64 = 4.0;
/// Failures leave this number, so that one delivery does not stand for the destination.
const TWO: f64 = 2.0;
/// A round has answers to half of its calls, but not fewer than these.
const FEWEST_ANSWERS: u32 = 4;
/// A round is slow if its mean is above the usual time by half of it and this, in milliseconds.
const TOLERANCE_MS: f64 = 20.0;
/// Failures within this time count once.
const ONE_FAILURE: Duration = Duration::from_secs(1);

pub(super) struct Window {
    ceiling: f64,
    /// At least 1, at most `ceiling`.
    size: f64,
    /// The destination has neither slowed nor failed yet.
    is_starting: bool,
    shrunk_at: Option<Timestamp>,
    /// The mean time of a call in the fastest round, in milliseconds.
    usual_ms: Option<f64>,
    round: Round,
}

/// Answers to calls that began while `size` was what it is.
#[derive(Default)]
struct Round {
    number: u64,
    answers: u32,
    total_ms: f64,
    /// The most calls that were in flight.
    busiest: u32,
}

impl Window {
    pub(super) fn new(concurrency: u32) -> Self {
        let ceiling = f64::from(concurrency.max(1));
        Self {
            ceiling,
            size: FEW.min(ceiling),
            is_starting: true,
            shrunk_at: None,
            usual_ms: None,
            round: Round::default(),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "floored, and within 1..=ceiling"
    )]
    pub(super) fn calls(&self) -> u32 {
        self.size.floor() as u32
    }

    /// The round in which a call begins now.
    pub(super) fn round(&self) -> u64 {
        self.round.number
    }

    /// This number of calls is in flight.
    pub(super) fn in_flight(&mut self, calls: usize) {
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        self.round.busiest = self.round.busiest.max(calls);
    }

    /// The destination answered a call that began in this round.
    pub(super) fn answered(&mut self, took_ms: u32, round: u64) {
        if round != self.round.number {
            // It shows how it was with another number of calls. But less than a few is the consequence of a failure, and
            // must not last: one delivery that always fails would keep the others waiting.
            self.size = self.size.max((self.size + 1.0).min(FEW).min(self.ceiling));
            return;
        }
        self.round.answers += 1;
        self.round.total_ms += f64::from(took_ms);
        if self.round.answers >= (self.calls() / 2).max(FEWEST_ANSWERS) {
            self.end_round();
        }
    }

    fn end_round(&mut self) {
        let Round {
            answers,
            total_ms,
            busiest,
            ..
        } = self.next_round();
        let mean = total_ms / f64::from(answers);
        let usual = self.usual_ms.map_or(mean, |usual| usual.min(mean));
        self.usual_ms = Some(usual);
        let longest = usual * 1.5 + TOLERANCE_MS;
        if mean > longest && self.size > FEW {
            self.is_starting = false;
            self.size = (self.size * (longest / mean).max(0.5)).max(FEW);
        } else if mean > longest {
            // The destination became slow for a reason of its own.
            self.usual_ms = Some(mean);
            self.is_starting = true;
        } else if f64::from(busiest) * 2.0 >= self.size {
            let step = if self.is_starting {
                self.size
            } else {
                (self.size / 16.0).max(1.0)
            };
            self.size = (self.size + step).min(self.ceiling);
        }
        // Otherwise the lane has too little to do to learn what its destination can take.
    }

    /// Begins another round. Returns the one that ends.
    fn next_round(&mut self) -> Round {
        let number = self.round.number.wrapping_add(1);
        std::mem::replace(
            &mut self.round,
            Round {
                number,
                ..Round::default()
            },
        )
    }

    /// A call failed in a way that may come from too much load.
    pub(super) fn failed(&mut self, now: Timestamp) {
        let is_new = self
            .shrunk_at
            .is_none_or(|at| now.duration_since(at).unsigned_abs() >= ONE_FAILURE);
        if is_new {
            self.halve(now);
        }
    }

    pub(super) fn halve(&mut self, now: Timestamp) {
        self.shrunk_at = Some(now);
        self.is_starting = false;
        // With one call, a delivery that is always refused would be the only one that is called, for ever.
        self.size = (self.size / 2.0).max(TWO.min(self.ceiling));
        self.next_round();
    }

    /// One call at a time, until its answer shows more.
    pub(super) fn narrow(&mut self) {
        self.is_starting = false;
        self.size = 1.0;
        self.next_round();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BinaryHeap;

    use super::*;

    /// A receiver with a number of workers. Requests wait in line for one of them.
    struct Receiver {
        workers: usize,
        work_ms: f64,
        /// The times at which workers become free, negated, so that the earliest is first.
        free_at: BinaryHeap<ordered::Time>,
    }

    /// Times that can be ordered.
    mod ordered {
        #[derive(PartialEq, Clone, Copy)]
        pub(super) struct Time(pub f64);
        impl Eq for Time {}
        impl PartialOrd for Time {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }
        impl Ord for Time {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                other.0.total_cmp(&self.0)
            }
        }
    }

    impl Receiver {
        fn new(workers: usize, work_ms: f64) -> Self {
            Self {
                workers,
                work_ms,
                free_at: BinaryHeap::new(),
            }
        }

        /// The end of a request that comes at this time.
        fn ends_at(&mut self, now: f64) -> f64 {
            let begins = if self.free_at.len() < self.workers {
                now
            } else {
                self.free_at.pop().unwrap().0.max(now)
            };
            self.free_at.push(ordered::Time(begins + self.work_ms));
            begins + self.work_ms
        }
    }

    /// Calls the receiver until the time, always as often as the window allows. Returns the number of answers, and the most
    /// calls that were in flight in the second half of the time.
    fn run(window: &mut Window, receiver: &mut Receiver, until_ms: f64) -> (u32, u32) {
        let (mut now, mut answers, mut busiest) = (0.0, 0, 0);
        let mut calls: BinaryHeap<(ordered::Time, ordered::Time, u64)> = BinaryHeap::new();
        while now < until_ms {
            while calls.len() < window.calls() as usize {
                let ends_at = receiver.ends_at(now);
                calls.push((ordered::Time(ends_at), ordered::Time(now), window.round()));
                window.in_flight(calls.len());
            }
            if now * 2.0 > until_ms {
                busiest = busiest.max(u32::try_from(calls.len()).unwrap());
            }
            let (ended, began, round) = calls.pop().unwrap();
            now = ended.0;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time")]
            window.answered((now - began.0) as u32, round);
            answers += 1;
        }
        (answers, busiest)
    }

    #[test]
    fn a_receiver_with_few_workers_gets_few_calls_and_is_kept_busy() {
        for (workers, work_ms, most) in [
            (1, 50.0, 8),
            (4, 50.0, 12),
            (16, 50.0, 36),
            (5, 400.0, 12),
            (100, 100.0, 200),
        ] {
            let mut window = Window::new(512);
            let (answers, busiest) = run(&mut window, &mut Receiver::new(workers, work_ms), 60_000.0);
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let possible = workers as f64 * 60_000.0 / work_ms;
            assert!(busiest <= most, "{workers} workers: {busiest} calls at once");
            assert!(
                f64::from(answers) >= possible * 0.95,
                "{workers} workers: {answers} of {possible}"
            );
        }
    }

    #[test]
    fn a_receiver_that_never_slows_gets_all_calls_within_half_a_second() {
        let mut window = Window::new(512);
        run(&mut window, &mut Receiver::new(10_000, 50.0), 400.0);
        assert_eq!(window.calls(), 512);
    }

    #[test]
    fn a_receiver_that_becomes_slow_for_another_reason_is_used_again() {
        let mut window = Window::new(64);
        run(&mut window, &mut Receiver::new(1_000, 50.0), 5_000.0);
        assert_eq!(window.calls(), 64);
        run(&mut window, &mut Receiver::new(1_000, 300.0), 2_000.0);
        assert!(window.calls() < 64);
        run(&mut window, &mut Receiver::new(1_000, 300.0), 10_000.0);
        assert_eq!(window.calls(), 64);
    }

    #[test]
    fn a_lane_with_little_to_do_does_not_grow() {
        let mut window = Window::new(512);
        for _ in 0..10_000 {
            window.in_flight(1);
            window.answered(50, window.round());
        }
        assert_eq!(window.calls(), 4);
    }

    #[test]
    fn calls_fall_to_half_when_they_fail_and_grow_again() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut window = Window::new(64);
        let reach = |window: &mut Window, calls| {
            while window.calls() < calls {
                window.in_flight(64);
                window.answered(1, window.round());
            }
        };
        reach(&mut window, 64);
        for (second, calls) in (0..).zip([32, 16, 8, 4, 2, 2, 2]) {
            window.failed(at(second));
            window.failed(at(second));
            assert_eq!(window.calls(), calls);
        }
        for calls in 3..=64 {
            reach(&mut window, calls);
        }
        window.in_flight(64);
        window.answered(1, window.round());
        assert_eq!(window.calls(), 64, "the ceiling");
        window.narrow();
        assert_eq!(window.calls(), 1);
    }
}
