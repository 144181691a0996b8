//! Dates of consent, as one sender's column writes them.
//!
//! Invariant: a date is never guessed. If day and month could be swapped, the configuration says which comes
//! first, or the date is refused.

use jiff::{
    SignedDuration, Timestamp, ToSpan,
    civil::{Date, Time, date},
    tz::TimeZone,
};

use super::placeholders::shown;
use crate::dates::{SECONDS_DIGITS, clock_time, number, unix_time};

/// The date format of a column. Besides the configured format, unambiguous dates are always read:
/// `2026-03-05`, RFC 3339, seconds and milliseconds since 1970, `23.05.2021`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AtFormat {
    #[default]
    Plain,
    /// Days since the end of 1899, with the time of day as the fraction, as spreadsheets store dates.
    Excel,
    /// The parts of a date in their order. A time of day may follow.
    Parts(Vec<Part>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Year,
    /// Two digits. 00 to 68 are in this century.
    ShortYear,
    Month,
    /// In English: `Mar` or `March`.
    MonthName,
    Day,
    Text(char),
}

/// The result of reading a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dated {
    /// The first and the last millisecond that the text may mean.
    Within(Span),
    /// The text stands for no date.
    Nothing,
    /// Day and month could be swapped.
    Ambiguous,
    Unreadable,
}

/// The time that a date covers. A day without a time covers the whole day, and a time to the minute the whole
/// minute. A local time that exists twice or not at all covers both readings.
///
/// Invariant: an opt-out counts from the end of its span, an opt-in from the beginning. So an opt-out never
/// loses to an opt-in only because its date is less exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub begin: Timestamp,
    pub end: Timestamp,
}

impl Span {
    /// From `begin` to the end of the `unit` that starts at `last`.
    fn new(begin: Timestamp, last: Timestamp, unit: SignedDuration) -> Option<Self> {
        let open = unit.checked_sub(SignedDuration::from_millis(1))?;
        let end = last.checked_add(open.max(SignedDuration::ZERO)).ok()?;
        Some(Self { begin, end })
    }
}

/// The precisions of a time: to the second, minute or hour.
const SECOND: SignedDuration = SignedDuration::from_secs(1);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// Reads a text that fixes its moment without a time zone: RFC 3339, seconds and milliseconds since 1970.
pub(super) fn absolute(text: &str) -> Option<Span> {
    let text = text.trim();
    if let Some(at) = unix_time(text) {
        let unit = if text.len() <= SECONDS_DIGITS {
            SECOND
        } else {
            SignedDuration::ZERO
        };
        return Span::new(at, at, unit);
    }
    let at = text.parse().ok()?;
    let time = text.split_once([' ', 'T', 't']).map_or("", |(_, time)| time);
    let time = time.split(['Z', 'z', '+', '-', '[']).next().unwrap_or_default();
    let unit = match time.bytes().filter(u8::is_ascii_digit).count() {
        _ if time.contains(['.', ',']) => SignedDuration::ZERO,
        ..3 => HOUR,
        3..5 => MINUTE,
        _ => SECOND,
    };
    Span::new(at, at, unit)
}

/// Databases write earlier dates for "no date": 0000-00-00, 0001-01-01, 1900-01-01, 1970-01-01.
const EARLIEST: Date = date(1990, 1, 1);

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

impl AtFormat {
    /// Reads `at_format`: `DD/MM/YYYY`, `D.M.YY`, `MMM DD, YYYY`, `excel`. A time after the date is allowed,
    /// but has no effect.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("excel") {
            return Ok(Self::Excel);
        }
        let (mut parts, mut letters) = (Vec::new(), text.chars().peekable());
        while let Some(letter) = letters.next() {
            let mut count = 1;
            while letters.next_if_eq(&letter).is_some() {
                count += 1;
            }
            parts.push(match (letter, count) {
                ('Y', 4) => Part::Year,
                ('Y', 2) => Part::ShortYear,
                ('M', 1 | 2) => Part::Month,
                ('M', 3 | 4) => Part::MonthName,
                ('D', 1 | 2) => Part::Day,
                // The time of day is read in every spelling.
                ('H' | 'h' | 'T', _) => break,
                (letter, _) if letter.is_ascii_alphanumeric() => {
                    return Err(format!("{text:?} has {letter:?}, which is not part of a date"));
                }
                (letter, count) => {
                    parts.extend(std::iter::repeat_n(Part::Text(letter), count));
                    continue;
                }
            });
        }
        while parts
            .pop_if(|part| matches!(part, Part::Text(' ' | ',')))
            .is_some()
        {}
        let one = |wanted: &[Part]| parts.iter().filter(|part| wanted.contains(part)).count() == 1;
        if one(&[Part::Year, Part::ShortYear]) && one(&[Part::Month, Part::MonthName]) && one(&[Part::Day]) {
            return Ok(Self::Parts(parts));
        }
        Err(format!("{text:?} does not have day, month and year once each"))
    }

    /// Reads a text. A time without an offset is taken to be in `zone`.
    pub fn read(&self, text: &str, zone: &TimeZone) -> Dated {
        let text = shown(text);
        if !text.chars().any(|c| c.is_alphanumeric() && c != '0') {
            return Dated::Nothing;
        }
        let configured = match self {
            Self::Plain => None,
            Self::Excel => serial(text),
            Self::Parts(parts) => in_order(text, parts),
        };
        if let Some((day, time)) = configured {
            return dated(day, time, zone);
        }
        if let Some(span) = absolute(text) {
            return after_earliest(span, zone);
        }
        plain(text, zone, *self == Self::Plain)
    }
}

fn dated(day: Date, time: Option<Clock>, zone: &TimeZone) -> Dated {
    let span = match time {
        // A day begins once, even if its midnight exists twice or not at all.
        None => (|| {
            let midnight = |day: Date| zone.to_timestamp(day.to_datetime(Time::midnight())).ok();
            let (begin, next) = (midnight(day)?, midnight(day.tomorrow().ok()?)?);
            let end = next.checked_sub(1.millisecond()).ok()?;
            Some(Span { begin, end })
        })(),
        Some(Clock { time, unit }) => (|| {
            let local = zone.to_ambiguous_timestamp(day.to_datetime(time));
            Span::new(local.earlier().ok()?, local.later().ok()?, unit)
        })(),
    };
    span.map_or(Dated::Unreadable, |span| after_earliest(span, zone))
}

fn after_earliest(span: Span, zone: &TimeZone) -> Dated {
    if span.begin.to_zoned(zone.clone()).date() < EARLIEST {
        Dated::Nothing
    } else {
        Dated::Within(span)
    }
}

/// A time of day, and its precision.
#[derive(Debug, Clone, Copy)]
struct Clock {
    time: Time,
    unit: SignedDuration,
}

/// Reads an unambiguous date: with the year first or, if no other order is configured, with a day that cannot
/// be a month.
fn plain(text: &str, zone: &TimeZone, any_order: bool) -> Dated {
    let (day, time) = text.split_once([' ', 'T']).unwrap_or((text, ""));
    let Some(time) = time_of_day(time) else {
        return Dated::Unreadable;
    };
    let Some(separator) = day.chars().find(|c| matches!(c, '-' | '/' | '.')) else {
        return Dated::Unreadable;
    };
    let numbers: Option<Vec<(usize, i16)>> = day
        .split(separator)
        .map(|part| Some((part.len(), number(part)?)))
        .collect();
    let (year, month, day) = match numbers.as_deref() {
        Some([(4, year), (1 | 2, month), (1 | 2, day)]) => (*year, *month, *day),
        Some(_) if !any_order => return Dated::Unreadable,
        Some([(1 | 2, first), (1 | 2, second), (4, year)]) => match (*first, *second) {
            (day @ 13.., month) | (month, day @ 13..) => (*year, month, day),
            (month, day) if month == day => (*year, month, day),
            _ => return Dated::Ambiguous,
        },
        Some([(1 | 2, _), (1 | 2, _), (1 | 2, _)]) => return Dated::Ambiguous,
        _ => return Dated::Unreadable,
    };
    let day = i8::try_from(month)
        .ok()
        .zip(i8::try_from(day).ok())
        .and_then(|(month, day)| Date::new(year, month, day).ok());
    day.map_or(Dated::Unreadable, |day| dated(day, time, zone))
}

/// `Some(None)` if there is no time.
#[expect(clippy::option_option, reason = "none there, and none that can be read")]
fn time_of_day(text: &str) -> Option<Option<Clock>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(None);
    }
    // A fraction of a second is ignored.
    let unit = if text.matches(':').count() < 2 {
        MINUTE
    } else {
        SECOND
    };
    clock_time(text).map(|time| Some(Clock { time, unit }))
}

/// The date that follows the parts, and the time after it.
fn in_order(text: &str, parts: &[Part]) -> Option<(Date, Option<Clock>)> {
    let (mut year, mut month, mut day) = (0, 0, 0);
    let mut rest = text;
    // Without separators, each number has exactly as many digits as its part.
    let is_packed = !parts.iter().any(|part| matches!(part, Part::Text(_)));
    let digits = |rest: &mut &str, least: usize, most: usize| {
        let count = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (digits, behind) = rest.split_at_checked(count).filter(|_| count >= least)?;
        *rest = behind;
        number(digits)
    };
    let least = if is_packed { 2 } else { 1 };
    for part in parts {
        match part {
            Part::Year => year = digits(&mut rest, 4, 4)?,
            Part::ShortYear => {
                let short = digits(&mut rest, 2, 2)?;
                year = if short < 69 { 2000 + short } else { 1900 + short };
            }
            Part::Month => month = i8::try_from(digits(&mut rest, least, 2)?).ok()?,
            Part::Day => day = i8::try_from(digits(&mut rest, least, 2)?).ok()?,
            Part::MonthName => {
                let end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
                let (name, behind) = rest.split_at_checked(end)?;
                let name = name.to_lowercase();
                let is_it = |known: &&str| name.len() >= 3 && known.starts_with(&name);
                month = i8::try_from(MONTHS.iter().position(is_it)? + 1).ok()?;
                rest = behind;
            }
            Part::Text(letter) => rest = rest.strip_prefix(*letter)?,
        }
    }
    // The rest must be separated from the date.
    let behind = rest
        .strip_prefix([' ', 'T', ','])
        .or(rest.is_empty().then_some(""))?;
    Some((Date::new(year, month, day).ok()?, time_of_day(behind)?))
}

/// `44321`, `44321.5`, `44321,5`
fn serial(text: &str) -> Option<(Date, Option<Clock>)> {
    let (days, fraction) = text.split_once(['.', ',']).unwrap_or((text, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    // Six digits reach the year 4637 at most.
    if !(1..=6).contains(&days.len()) || !are_digits(days) || !are_digits(fraction) {
        return None;
    }
    let day = date(1899, 12, 30)
        .checked_add(days.parse::<i64>().ok()?.days())
        .ok()?;
    if fraction.is_empty() {
        return Some((day, None));
    }
    let seconds = format!("0.{fraction}").parse::<f64>().ok()? * 86_400.0;
    #[expect(clippy::cast_possible_truncation, reason = "less than a day")]
    let at = day
        .to_datetime(Time::midnight())
        .checked_add((seconds.round() as i64).seconds())
        .ok()?;
    let (time, unit) = (at.time(), SECOND);
    Some((at.date(), Some(Clock { time, unit })))
}

#[cfg(test)]
mod tests;
