//! Formats numbers, times and sizes for people. All figures of the pages and of the live updates are formatted here.

use jiff::{SignedDuration, Timestamp};

/// U+202F, a narrow space that does not break.
const THIN: char = '\u{202f}';

/// `1 204 311`
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(THIN);
        }
        out.push(digit);
    }
    out
}

/// A rate in events per second: one decimal below ten.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounded, at least 0, and `as` saturates"
)]
pub(crate) fn rate(per_s: f64) -> String {
    if per_s < 0.05 {
        "0".to_owned()
    } else if per_s < 9.95 {
        format!("{per_s:.1}")
    } else {
        count(per_s.round() as u64)
    }
}

/// `0 s`, `12 s`, `3 min`, `5 h`, `2 d`: rounded down, one unit.
pub(crate) fn age(age: SignedDuration) -> String {
    let s = age.as_secs().max(0);
    let (number, unit) = match s {
        0..60 => (s, "s"),
        60..3_600 => (s / 60, "min"),
        3_600..86_400 => (s / 3_600, "h"),
        _ => (s / 86_400, "d"),
    };
    format!("{number}{THIN}{unit}")
}

/// A duration in milliseconds.
pub(crate) fn took(ms: u32) -> String {
    if ms < 1_000 {
        format!("{ms}{THIN}ms")
    } else {
        format!("{:.1}{THIN}s", f64::from(ms) / 1_000.0)
    }
}

pub(crate) fn bytes(bytes: u64) -> String {
    if bytes < 1_000 {
        return format!("{bytes}{THIN}B");
    }
    let tenths_of_kb = bytes / 100;
    format!("{}.{}{THIN}kB", count(tenths_of_kb / 10), tenths_of_kb % 10)
}

/// A moment in three forms.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct When {
    /// For the `datetime` attribute.
    pub iso: String,
    /// `2026-03-01 12:00:05 UTC`
    pub absolute: String,
    /// `3 min ago`, `in 20 s`
    pub relative: String,
}

impl When {
    pub(crate) fn new(at: Timestamp, now: Timestamp) -> Self {
        let since = now.duration_since(at);
        let relative = if since.abs() < SignedDuration::from_secs(1) {
            "now".to_owned()
        } else if since.is_negative() {
            format!("in {}", age(since.abs()))
        } else {
            format!("{} ago", age(since))
        };
        Self {
            iso: at.to_string(),
            absolute: at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            relative,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        let plain = |text: String| text.replace(THIN, " ");
        assert_eq!(plain(count(0)), "0");
        assert_eq!(plain(count(999)), "999");
        assert_eq!(plain(count(1_204_311)), "1 204 311");
        for (per_s, text) in [
            (0.0, "0"),
            (0.04, "0"),
            (0.4, "0.4"),
            (9.94, "9.9"),
            (9.96, "10"),
            (12_345.6, "12 346"),
        ] {
            assert_eq!(plain(rate(per_s)), text);
        }
        for (s, text) in [
            (-5, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (7_199, "1 h"),
            (90_000, "1 d"),
        ] {
            assert_eq!(plain(age(SignedDuration::from_secs(s))), text);
        }
        assert_eq!(plain(took(999)), "999 ms");
        assert_eq!(plain(took(1_250)), "1.2 s");
        assert_eq!(plain(bytes(999)), "999 B");
        assert_eq!(plain(bytes(1_250)), "1.2 kB");
    }

    #[test]
    fn a_time_is_shown_relative_to_now() {
        let now = Timestamp::from_second(1_767_225_600).unwrap();
        let relative = |s: i64| {
            When::new(Timestamp::from_second(1_767_225_600 + s).unwrap(), now)
                .relative
                .replace(THIN, " ")
        };
        assert_eq!(relative(0), "now");
        assert_eq!(relative(-61), "1 min ago");
        assert_eq!(relative(30), "in 30 s");
    }
}
