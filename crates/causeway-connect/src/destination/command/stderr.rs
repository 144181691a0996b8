//! The program's standard error: each line goes to the log.

use std::{sync::Arc, time::Duration};

use causeway_core::{
    clock::{Clock, Timestamp},
    id::Name,
};
use tokio::process::ChildStderr;
use tracing::{info, warn};

use super::{
    answer::masked,
    lines::{Line, Lines},
};

/// Longer lines are cut.
const MOST_BYTES: usize = 1_000;

/// Lines in a minute. What the program writes beyond that is counted and left out.
const MOST_LINES: u32 = 200;

const MINUTE: Duration = Duration::from_mins(1);

/// Logs until the program closes its standard error.
pub(super) async fn log(stderr: ChildStderr, destination: Name, clock: Arc<dyn Clock>) {
    let mut lines = Lines::new(stderr, MOST_BYTES);
    let mut budget = Budget::new(clock.now());
    while let Ok(Some(line)) = lines.next().await {
        let (is_allowed, left_out) = budget.take(clock.now());
        if left_out > 0 {
            warn!(
                destination = &*destination,
                lines = left_out,
                "lines of the program were left out"
            );
        }
        if is_allowed {
            info!(destination = &*destination, "the program wrote: {}", text(&line));
        }
    }
    if budget.left_out > 0 {
        let lines = budget.left_out;
        warn!(
            destination = &*destination,
            lines, "lines of the program were left out"
        );
    }
}

/// The line without e-mail addresses and control characters.
fn text(line: &Line) -> String {
    let (bytes, end) = match line {
        Line::Whole(bytes) => (bytes, ""),
        Line::TooLong(bytes, _) => (bytes, " …"),
    };
    masked(&String::from_utf8_lossy(bytes), usize::MAX) + end
}

/// How many lines are allowed until the minute ends.
struct Budget {
    since: Timestamp,
    used: u32,
    left_out: u32,
}

impl Budget {
    fn new(now: Timestamp) -> Self {
        Self {
            since: now,
            used: 0,
            left_out: 0,
        }
    }

    /// Whether one more line is allowed, and how many were left out in the minute that ended.
    fn take(&mut self, now: Timestamp) -> (bool, u32) {
        let end = self.since.saturating_add(MINUTE).unwrap_or(Timestamp::MAX);
        let mut left_out = 0;
        // The clock may have been set back.
        if now >= end || now < self.since {
            left_out = self.left_out;
            *self = Self::new(now);
        }
        if self.used >= MOST_LINES {
            self.left_out = self.left_out.saturating_add(1);
            return (false, left_out);
        }
        self.used += 1;
        (true, left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_no_address_and_no_control_character() {
        let line = Line::Whole(b"\x1b[31mfailed for <ada@example.org>:\t7\0".to_vec());
        assert_eq!(text(&line), "[31mfailed for (address) 7");
        let long = Line::TooLong(b"abc".to_vec(), 9_000);
        assert_eq!(text(&long), "abc …");
        assert_eq!(text(&Line::Whole(vec![0xff, b'x'])), "\u{fffd}x");
    }

    #[test]
    fn a_minute_has_a_limit_and_what_is_left_out_is_counted() {
        let start: Timestamp = "2026-03-01T09:00:00Z".parse().unwrap();
        let mut budget = Budget::new(start);
        let allowed = (0..250).filter(|_| budget.take(start).0).count();
        assert_eq!(allowed, 200);
        assert_eq!(budget.take(start + MINUTE), (true, 50));
        assert_eq!(budget.take(start - MINUTE), (true, 0));
    }
}
