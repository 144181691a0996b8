//! Until when versions of vendors' APIs are known to work.

use causeway_core::clock::Timestamp;
use jiff::{civil::Date, tz::TimeZone};

/// `doctor` warns from this number of days before the end.
const WARNS_DAYS: i32 = 60;

/// The version that a destination uses, and those with an end that the vendor announced: version, year, month, day.
pub struct Version<'a> {
    pub used: &'a str,
    pub known: &'static [(&'static str, [i16; 3])],
}

impl Version<'_> {
    /// What to say about the version now.
    pub(super) fn remark(&self, now: Timestamp) -> Option<String> {
        let Some((_, until)) = self.known.iter().find(|(version, _)| *version == self.used) else {
            return Some(format!("API version {} is unknown to this program", self.used));
        };
        let until = date(*until)?;
        let today = now.to_zoned(TimeZone::UTC).date();
        let days = today.until(until).ok()?.get_days();
        let (used, advice) = (self.used, "set `api_version` to a newer one, or update Causeway");
        match days {
            ..0 => Some(format!("API version {used} ended on {until}: {advice}")),
            0..=WARNS_DAYS => Some(format!(
                "API version {used} ends on {until}, in {days} days: {advice}"
            )),
            _ => None,
        }
    }
}

fn date([year, month, day]: [i16; 3]) -> Option<Date> {
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_ends_within_sixty_days_is_named() {
        const KNOWN: &[(&str, [i16; 3])] = &[("v1", [2026, 3, 1])];
        let says = |used, now: &str| Version { used, known: KNOWN }.remark(now.parse().unwrap());
        assert_eq!(says("v1", "2025-12-30T23:59:59Z"), None);
        for (now, expected) in [
            ("2025-12-31T00:00:00Z", "ends on 2026-03-01, in 60 days"),
            ("2026-03-01T12:00:00Z", "ends on 2026-03-01, in 0 days"),
            ("2026-03-02T00:00:00Z", "ended on 2026-03-01"),
        ] {
            let said = says("v1", now).unwrap();
            assert!(said.contains(expected), "{now}: {said}");
        }
        let unknown = says("v2", "2026-01-01T00:00:00Z").unwrap();
        assert!(unknown.contains("v2 is unknown"), "{unknown}");
    }
}
