//! Reads dates in every form that platforms print, and writes them as the destination wants them.

use jiff::{
    Span, Timestamp, Unit, Zoned,
    civil::{DateTime, Time},
    tz::TimeZone,
};

use super::{Error, ErrorKind, Kwargs, Value, ValueKind, fallback, nothing, refuse, text_of, unknown};
use crate::dates::{Reading, read, unix_time};

/// The date that was read: a moment, or a day (and time) without a time zone.
enum Read {
    At(Timestamp),
    Day(DateTime),
}

/// `date`, `date('%d.%m.%Y')`, `date('%H:%M', zone='Europe/Berlin')`, `date(from='Europe/Berlin')`, `date(default=none)`
pub(super) fn date(value: &Value, pattern: Option<&str>, options: Kwargs) -> Result<Value, Error> {
    let zone: Option<&str> = options.get("zone")?;
    let from: Option<&str> = options.get("from")?;
    let instead = fallback(&options)?;
    options.assert_all_used()?;
    let (zone, from) = (
        zone.map(zone_named).transpose()?,
        from.map(zone_named).transpose()?,
    );
    let read = match or_instead(understand(value, &from.unwrap_or(TimeZone::UTC)), instead)? {
        Ok(read) => read,
        Err(instead) => return Ok(instead),
    };
    let pattern = pattern.unwrap_or("iso");
    match read {
        Read::Day(day) => write_day(day, pattern),
        Read::At(at) => write_moment(at, zone.as_ref(), pattern),
    }
}

fn understand(value: &Value, from: &TimeZone) -> Result<Option<Read>, Error> {
    let unreadable = || {
        refuse(
            "the value is not a date in a known form",
            Some(
                "dates are read as 2022-05-26, 26-05-2022 or 05/26/2022, with or without a time; `date(default=none)` \
                 gives null for all others"
                    .to_owned(),
            ),
        )
    };
    if value.kind() == ValueKind::Number {
        let seconds = value.as_i64().ok_or_else(unreadable)?;
        // Read as seconds, these would be after the year 5000, so they are milliseconds.
        let at = if seconds.unsigned_abs() < 100_000_000_000 {
            Timestamp::from_second(seconds)
        } else {
            Timestamp::from_millisecond(seconds)
        };
        return at.map(|at| Some(Read::At(at))).map_err(|_| unreadable());
    }
    let Some(text) = text_of(value)? else {
        return Ok(None);
    };
    // In a form, numbers are texts, too.
    if let Some(at) = unix_time(&text) {
        return Ok(Some(Read::At(at)));
    }
    let at = match read(&text, from) {
        Reading::At(at) => at,
        Reading::Nothing => return Ok(None),
        Reading::Unreadable => return Err(unreadable()),
    };
    // A day without a time, such as a birthday, is the same in every time zone.
    Ok(Some(if text.contains(':') {
        Read::At(at)
    } else {
        Read::Day(from.to_datetime(at))
    }))
}

fn write_day(day: DateTime, pattern: &str) -> Result<Value, Error> {
    match pattern {
        "iso" | "date" => Ok(day.date().to_string().into()),
        "unix" | "unix_ms" => {
            let at = TimeZone::UTC
                .to_timestamp(day)
                .map_err(|_| bad_pattern(pattern))?;
            write_moment(at, None, pattern)
        }
        _ => jiff::fmt::strtime::format(pattern, day)
            .map(Value::from)
            .map_err(|_| bad_pattern(pattern)),
    }
}

fn write_moment(at: Timestamp, zone: Option<&TimeZone>, pattern: &str) -> Result<Value, Error> {
    let zoned = zone.map(|zone| at.to_zoned(zone.clone()));
    match (pattern, &zoned) {
        ("unix", _) => return Ok(at.as_second().into()),
        ("unix_ms", _) => return Ok(at.as_millisecond().into()),
        ("iso", None) => return Ok(at.to_string().into()),
        _ => {}
    }
    let pattern = match pattern {
        "iso" => "%Y-%m-%dT%H:%M:%S%:z",
        "date" => "%Y-%m-%d",
        pattern => pattern,
    };
    let zoned = zoned.unwrap_or_else(|| at.to_zoned(TimeZone::UTC));
    write(&zoned, pattern).map(Value::from)
}

fn write(zoned: &Zoned, pattern: &str) -> Result<String, Error> {
    jiff::fmt::strtime::format(pattern, zoned).map_err(|_| bad_pattern(pattern))
}

/// `date_add(days=7)`, with any of the units from years to seconds; negative numbers go back. `zone='Europe/Berlin'` adds
/// days and longer units in the calendar of that zone (default UTC). The result has the form of `date` without a pattern.
pub(super) fn date_add(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let zone: Option<&str> = options.get("zone")?;
    let zone = zone.map(zone_named).transpose()?;
    let instead = fallback(&options)?;
    // One span for each unit, because the parts of a span have one sign.
    let (mut spans, mut has_time) = (Vec::new(), false);
    for unit in UNITS {
        let Some(count) = options.get::<Option<Value>>(unit)? else {
            continue;
        };
        let count = count
            .as_i64()
            .ok_or_else(|| refuse(format!("{unit}= needs a whole number"), None))?;
        has_time |= matches!(unit, "hours" | "minutes" | "seconds");
        let span = Span::new();
        let span = match unit {
            "years" => span.try_years(count),
            "months" => span.try_months(count),
            "weeks" => span.try_weeks(count),
            "days" => span.try_days(count),
            "hours" => span.try_hours(count),
            "minutes" => span.try_minutes(count),
            _ => span.try_seconds(count),
        };
        spans.push(span.map_err(|_| refuse(format!("{unit}={count} is too far away"), None))?);
    }
    options.assert_all_used()?;
    let utc = || zone.clone().unwrap_or(TimeZone::UTC);
    let read = match or_instead(understand(value, &utc()), instead)? {
        Ok(read) => read,
        Err(instead) => return Ok(instead),
    };
    let too_far = |_| refuse("the date is out of range", None);
    let start = match read {
        Read::Day(day) if !has_time => {
            let end = spans.into_iter().try_fold(day, DateTime::checked_add::<Span>);
            return write_day(end.map_err(too_far)?, "iso");
        }
        Read::Day(day) => day.to_zoned(utc()).map_err(too_far)?,
        Read::At(at) => at.to_zoned(utc()),
    };
    let end = spans.into_iter().try_fold(start, |at, span| at.checked_add(span));
    write_moment(end.map_err(too_far)?.timestamp(), zone.as_ref(), "iso")
}

const UNITS: [&str; 7] = ["years", "months", "weeks", "days", "hours", "minutes", "seconds"];

/// `date_diff(at, 'days')`: how many whole units it is from the value to the other date; negative if that is earlier.
pub(super) fn date_diff(value: &Value, other: &Value, unit: &str, options: Kwargs) -> Result<Value, Error> {
    let zone: Option<&str> = options.get("zone")?;
    let zone = zone.map(zone_named).transpose()?.unwrap_or(TimeZone::UTC);
    let instead = fallback(&options)?;
    options.assert_all_used()?;
    let unit = unit_named(unit)?;
    let mut ends = Vec::new();
    for value in [value, other] {
        match or_instead(understand(value, &zone), instead.clone())? {
            Ok(read) => ends.push(read),
            Err(instead) => return Ok(instead),
        }
    }
    let [from, to] = ends.as_slice() else {
        return Ok(nothing());
    };
    // A birthday has no time, so a day is compared with a day.
    let is_day = |read: &Read| matches!(read, Read::Day(_));
    let only_days = is_day(from) || is_day(to);
    let when = |read: &Read| match read {
        Read::Day(day) => *day,
        Read::At(at) => {
            let there = zone.to_datetime(*at);
            if only_days {
                there.date().to_datetime(Time::midnight())
            } else {
                there
            }
        }
    };
    let (from, to) = (when(from), when(to));
    let span = from
        .until((unit, to))
        .map_err(|_| refuse("the dates are too far apart", None))?;
    let count = match unit {
        Unit::Year => span.get_years().into(),
        Unit::Month => span.get_months().into(),
        Unit::Week => span.get_weeks().into(),
        Unit::Day => span.get_days().into(),
        Unit::Hour => span.get_hours().into(),
        Unit::Minute => span.get_minutes(),
        _ => span.get_seconds(),
    };
    Ok(Value::from(count))
}

pub(super) fn check_unit(unit: &str) -> Result<(), Error> {
    unit_named(unit).map(drop)
}

fn unit_named(unit: &str) -> Result<Unit, Error> {
    Ok(match unit {
        "years" => Unit::Year,
        "months" => Unit::Month,
        "weeks" => Unit::Week,
        "days" => Unit::Day,
        "hours" => Unit::Hour,
        "minutes" => Unit::Minute,
        "seconds" => Unit::Second,
        _ => return Err(unknown("unit", unit, &UNITS)),
    })
}

/// The date, or what stands for one: the default, or none for none. A missing name stays an error.
fn or_instead(
    read: Result<Option<Read>, Error>,
    instead: Option<Value>,
) -> Result<Result<Read, Value>, Error> {
    match (read, instead) {
        (Ok(Some(read)), _) => Ok(Ok(read)),
        (Ok(None), instead) => Ok(Err(instead.unwrap_or_else(nothing))),
        (Err(error), Some(_)) if error.kind() == ErrorKind::UndefinedError => Err(error),
        (Err(_), Some(instead)) => Ok(Err(instead)),
        (Err(error), None) => Err(error),
    }
}

/// Checks that a pattern is valid.
pub(super) fn check_pattern(pattern: &str) -> Result<(), Error> {
    // A text without any part of a date: its author probably thinks of patterns of another system.
    if !pattern.contains('%') && !["iso", "date", "unix", "unix_ms"].contains(&pattern) {
        return Err(refuse(
            format!("{pattern:?} has no part of a date: it would be written literally"),
            Some(
                "the patterns are those of strftime: '%d.%m.%Y' for d.m.Y; or iso, date, unix, unix_ms"
                    .to_owned(),
            ),
        ));
    }
    let zone = Some(TimeZone::UTC);
    write_moment(Timestamp::UNIX_EPOCH, zone.as_ref(), pattern).map(drop)
}

fn bad_pattern(pattern: &str) -> Error {
    refuse(
        format!("a date cannot be written as {pattern:?}"),
        Some("the patterns are those of strftime: %Y-%m-%d %H:%M:%S; or iso, date, unix, unix_ms".to_owned()),
    )
}

pub(super) fn zone_named(name: &str) -> Result<TimeZone, Error> {
    TimeZone::get(name).map_err(|_| {
        refuse(
            format!("there is no time zone {name:?}"),
            Some("such as Europe/Berlin".to_owned()),
        )
    })
}
