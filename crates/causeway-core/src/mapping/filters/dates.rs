//! Reads dates in every form that platforms print, and writes them as the destination wants them.

use jiff::{Timestamp, Zoned, civil::DateTime, tz::TimeZone};

use super::{Error, ErrorKind, Kwargs, Value, ValueKind, fallback, nothing, refuse, text_of};
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
    let read = match (understand(value, &from.unwrap_or(TimeZone::UTC)), instead) {
        (Ok(Some(read)), _) => read,
        (Ok(None), instead) => return Ok(instead.unwrap_or_else(nothing)),
        // A missing name is a mistake of the mapping, so the default does not apply.
        (Err(error), Some(_)) if error.kind() == ErrorKind::UndefinedError => return Err(error),
        (Err(_), Some(instead)) => return Ok(instead),
        (Err(error), None) => return Err(error),
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
        "unix" => {
            let at = TimeZone::UTC
                .to_timestamp(day)
                .map_err(|_| bad_pattern(pattern))?;
            Ok(at.as_second().into())
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

/// Checks that a pattern is valid.
pub(super) fn check_pattern(pattern: &str) -> Result<(), Error> {
    // A text without any part of a date: its author probably thinks of patterns of another system.
    if !pattern.contains('%') && !["iso", "date", "unix"].contains(&pattern) {
        return Err(refuse(
            format!("{pattern:?} has no part of a date: it would be written literally"),
            Some("the patterns are those of strftime: '%d.%m.%Y' for d.m.Y; or iso, date, unix".to_owned()),
        ));
    }
    let zone = Some(TimeZone::UTC);
    write_moment(Timestamp::UNIX_EPOCH, zone.as_ref(), pattern).map(drop)
}

fn bad_pattern(pattern: &str) -> Error {
    refuse(
        format!("a date cannot be written as {pattern:?}"),
        Some("the patterns are those of strftime: %Y-%m-%d %H:%M:%S; or iso, date, unix".to_owned()),
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
