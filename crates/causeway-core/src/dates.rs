//! Dates without a time zone, as platforms print them for people.

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

/// The result of reading a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    At(Timestamp),
    /// There is no date: the text is empty, `-` or `N/A`.
    Nothing,
    /// Keep the text, which a person may still understand.
    Unreadable,
}

/// Reads `2022-05-26`, `26-05-2022` (hyphens: day first) and `05/26/2022` (slashes: month first). Hour and
/// minute, seconds, and `AM` or `PM` may follow; without a time it is the start of the day. A date with an
/// offset (RFC 3339) is read, too. All others are in `zone`.
pub fn read(text: &str, zone: &TimeZone) -> Reading {
    let text = text.trim();
    if text.is_empty() || text == "-" || text.eq_ignore_ascii_case("n/a") {
        return Reading::Nothing;
    }
    // No text is valid for both: a civil date has no offset, and a timestamp needs one.
    let at = match civil(text) {
        Some(civil) => zone.to_timestamp(civil).ok(),
        None => text.parse::<Timestamp>().ok(),
    };
    at.map_or(Reading::Unreadable, Reading::At)
}

fn civil(text: &str) -> Option<DateTime> {
    let (day, time) = text.split_once([' ', 'T']).unwrap_or((text, ""));
    let time = match time.trim() {
        "" => Time::midnight(),
        time => clock_time(time)?,
    };
    Some(DateTime::from_parts(date(day)?, time))
}

fn date(text: &str) -> Option<Date> {
    let separator = if text.contains('/') { '/' } else { '-' };
    let mut parts = text.split(separator);
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (year, month, day) = match (separator, first.len()) {
        ('/', _) => (third, first, second),
        (_, 4) => (first, second, third),
        _ => (third, second, first),
    };
    if year.len() != 4 {
        return None;
    }
    Date::new(
        number(year)?,
        number(month)?.try_into().ok()?,
        number(day)?.try_into().ok()?,
    )
    .ok()
}

/// `05:40 PM`, `05:40PM`, `14:52 PM`, `08:03`, `15:30:00`, `15:30:00.000`
pub(crate) fn clock_time(text: &str) -> Option<Time> {
    let upper = text.to_ascii_uppercase();
    let (digits, half) = match (upper.strip_suffix("AM"), upper.strip_suffix("PM")) {
        (Some(digits), _) => (digits, Some(0)),
        (_, Some(digits)) => (digits, Some(12)),
        _ => (upper.as_str(), None),
    };
    let mut parts = digits.trim_end().split(':');
    let (hour, minute) = (number(parts.next()?)?, number(parts.next()?)?);
    let (second, fraction) = match parts.next() {
        Some(second) => second.split_once('.').unwrap_or((second, "")),
        None => ("0", ""),
    };
    let second = number(second).filter(|_| fraction.bytes().all(|byte| byte.is_ascii_digit()))?;
    if parts.next().is_some() {
        return None;
    }
    let hour = match half {
        // An hour that no twelve-hour clock has is on the 24-hour clock, whatever follows it.
        Some(half) if (1..=12).contains(&hour) => hour % 12 + half,
        _ => hour,
    };
    Time::new(
        hour.try_into().ok()?,
        minute.try_into().ok()?,
        second.try_into().ok()?,
        0,
    )
    .ok()
}

/// One to four digits.
pub(crate) fn number(text: &str) -> Option<i16> {
    let is_number = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// The maximum digits of a time in seconds since 1970. More digits mean milliseconds.
pub(crate) const SECONDS_DIGITS: usize = 11;

/// Reads digits as seconds, or as milliseconds from twelve digits on.
pub(crate) fn unix_time(text: &str) -> Option<Timestamp> {
    let number: i64 = text.trim().parse().ok()?;
    match text.trim().len() {
        9..=SECONDS_DIGITS => Timestamp::from_second(number).ok(),
        12..=14 => Timestamp::from_millisecond(number).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_form_is_read_in_the_zone_of_the_source() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        for (text, utc) in [
            ("2022-05-26 05:40 PM", "2022-05-26T15:40:00Z"),
            ("2022-05-26 05:40PM", "2022-05-26T15:40:00Z"),
            ("2022-05-26 05:40 am", "2022-05-26T03:40:00Z"),
            ("2022-05-26 12:05 AM", "2022-05-25T22:05:00Z"),
            ("2022-05-26 12:05 PM", "2022-05-26T10:05:00Z"),
            ("2022-05-26 00:05 PM", "2022-05-25T22:05:00Z"),
            ("23-03-2022 05:13 PM", "2022-03-23T16:13:00Z"),
            ("11/30/2014 00:00", "2014-11-29T23:00:00Z"),
            ("08/15/2013 14:52 PM", "2013-08-15T12:52:00Z"),
            ("08/15/2013 14:52 AM", "2013-08-15T12:52:00Z"),
            ("2022-10-04 08:03", "2022-10-04T06:03:00Z"),
            ("2020-10-20 15:30:00", "2020-10-20T13:30:00Z"),
            ("2020-10-20 15:30:00.000", "2020-10-20T13:30:00Z"),
            (" 2020-10-20 ", "2020-10-19T22:00:00Z"),
            ("2020-10-20T15:30:00", "2020-10-20T13:30:00Z"),
            ("2020-10-20T15:30:00+05:00", "2020-10-20T10:30:00Z"),
            ("2020-10-20T15:30:00Z", "2020-10-20T15:30:00Z"),
            // The hour that summer time skips, and the one that exists twice.
            ("2022-03-27 02:30", "2022-03-27T01:30:00Z"),
            ("2022-10-30 02:30", "2022-10-30T00:30:00Z"),
        ] {
            assert_eq!(read(text, &zone), Reading::At(utc.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn no_date_and_an_unreadable_date_are_distinguished() {
        for text in ["", "  ", "-", "N/A", "n/a"] {
            assert_eq!(read(text, &TimeZone::UTC), Reading::Nothing, "{text:?}");
        }
        for text in [
            "yesterday",
            "30/11/2014",
            "2022-13-01",
            "2022-02-30 10:00",
            "22-03-23 10:00",
            "2022-05-26 25:00",
            "2022-05-26 10",
            "2022-05-26 10:00:00:00",
            "2022-05-26 1:2:3:PM",
            "+022-05-26",
            "2022-5-26-1",
            "٢٠٢٢-05-26",
            "2022-05-26 10:61",
            "99999999999999999999",
            "0000-00-00 00:00:00",
        ] {
            assert_eq!(read(text, &TimeZone::UTC), Reading::Unreadable, "{text:?}");
        }
    }
}
