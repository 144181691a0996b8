//! Prints dates in the pattern letters of PHP's `date`, which platforms use to describe their date formats.

use std::fmt::Write;

use jiff::{Zoned, civil::Weekday};

/// The format that platforms use when they sync a contact: `2022-05-26 05:40 PM`.
pub const SYNC: &str = "Y-m-d h:i A";

/// Prints `at` in its own zone. Replaces the letters that PHP knows; `\` keeps the next character; all else
/// stays as it is.
pub fn format(pattern: &str, at: &Zoned) -> String {
    let mut out = String::with_capacity(pattern.len() * 2);
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => out.extend(letters.next()),
            letter => part(letter, at, &mut out),
        }
    }
    out
}

/// Whether the pattern contains a letter that is replaced.
pub fn has_content(pattern: &str) -> bool {
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => drop(letters.next()),
            letter if LETTERS.contains(letter) => return true,
            _ => {}
        }
    }
    false
}

const LETTERS: &str = "dDjlNSwzWFmMntLoYyaABgGhHisuveIOPpTZcrU";

fn part(letter: char, at: &Zoned, out: &mut String) {
    let (hour, half) = (at.hour(), if at.hour() < 12 { "am" } else { "pm" });
    let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
    // Writing into a String cannot fail.
    let written = match letter {
        'd' => write!(out, "{:02}", at.day()),
        'j' => write!(out, "{}", at.day()),
        'D' => out.write_str(short(weekday(at))),
        'l' => out.write_str(weekday(at)),
        'N' => write!(out, "{}", at.weekday().to_monday_one_offset()),
        'w' => write!(out, "{}", at.weekday().to_sunday_zero_offset()),
        'S' => out.write_str(ordinal(at.day())),
        'z' => write!(out, "{}", at.day_of_year() - 1),
        'W' => write!(out, "{:02}", at.date().iso_week_date().week()),
        'o' => write!(out, "{}", at.date().iso_week_date().year()),
        'F' => out.write_str(month(at)),
        'M' => out.write_str(short(month(at))),
        'm' => write!(out, "{:02}", at.month()),
        'n' => write!(out, "{}", at.month()),
        't' => write!(out, "{}", at.days_in_month()),
        'L' => write!(out, "{}", u8::from(at.in_leap_year())),
        'Y' => write!(out, "{:04}", at.year()),
        'y' => write!(out, "{:02}", at.year().rem_euclid(100)),
        'a' => out.write_str(half),
        'A' => out.write_str(&half.to_ascii_uppercase()),
        'B' => write!(out, "{:03}", swatch(at)),
        'g' => write!(out, "{twelve}"),
        'h' => write!(out, "{twelve:02}"),
        'G' => write!(out, "{hour}"),
        'H' => write!(out, "{hour:02}"),
        'i' => write!(out, "{:02}", at.minute()),
        's' => write!(out, "{:02}", at.second()),
        'u' => write!(out, "{:06}", at.subsec_nanosecond() / 1_000),
        'v' => write!(out, "{:03}", at.subsec_nanosecond() / 1_000_000),
        'e' => out.write_str(at.time_zone().iana_name().unwrap_or("UTC")),
        'I' => {
            let summer = at.time_zone().to_offset_info(at.timestamp()).dst().is_dst();
            write!(out, "{}", u8::from(summer))
        }
        'O' => offset(at, "", out),
        'p' if at.offset().is_zero() => out.write_str("Z"),
        'P' | 'p' => offset(at, ":", out),
        'T' => out.write_str(at.time_zone().to_offset_info(at.timestamp()).abbreviation()),
        'Z' => write!(out, "{}", at.offset().seconds()),
        'c' => out.write_str(&format("Y-m-d\\TH:i:sP", at)),
        'r' => out.write_str(&format("D, d M Y H:i:s O", at)),
        'U' => write!(out, "{}", at.timestamp().as_second()),
        other => out.write_char(other),
    };
    written.ok();
}

fn offset(at: &Zoned, colon: &str, out: &mut String) -> std::fmt::Result {
    let seconds = at.offset().seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.abs() / 60;
    write!(out, "{sign}{:02}{colon}{:02}", minutes / 60, minutes % 60)
}

/// Thousandths of a day (Swatch time), in the zone one hour ahead of UTC.
fn swatch(at: &Zoned) -> i64 {
    let seconds = (at.timestamp().as_second() + 3_600).rem_euclid(86_400);
    seconds * 1_000 / 86_400
}

fn weekday(at: &Zoned) -> &'static str {
    match at.weekday() {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

fn month(at: &Zoned) -> &'static str {
    match at.month() {
        1 => "January",
        2 => "February",
        3 => "March",
        4 => "April",
        5 => "May",
        6 => "June",
        7 => "July",
        8 => "August",
        9 => "September",
        10 => "October",
        11 => "November",
        _ => "December",
    }
}

fn short(name: &str) -> &str {
    name.get(..3).unwrap_or(name)
}

fn ordinal(day: i8) -> &'static str {
    match (day / 10, day % 10) {
        (1, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, zone: &str) -> Zoned {
        let at: jiff::Timestamp = text.parse().unwrap();
        at.in_tz(zone).unwrap()
    }

    #[test]
    fn a_date_is_printed_as_the_platforms_print_it() {
        for (utc, printed) in [
            ("2022-05-26T15:40:10Z", "2022-05-26 05:40 PM"),
            ("2022-05-25T22:05:00Z", "2022-05-26 12:05 AM"),
            ("2022-05-26T10:05:00Z", "2022-05-26 12:05 PM"),
            ("2022-12-31T23:59:00Z", "2023-01-01 12:59 AM"),
        ] {
            assert_eq!(format(SYNC, &at(utc, "Europe/Berlin")), printed);
        }
    }

    #[test]
    fn other_letters_stay_as_they_are() {
        let day = at("2024-02-29T00:00:00Z", "UTC");
        assert_eq!(
            format("jS \\of F Y, \\\\ \\Y é", &day),
            "29th of February 2024, \\ Y é"
        );
        assert_eq!(format("", &day), "");
        assert_eq!(format("\\", &day), "");
        assert!(has_content("d.m.") && !has_content("\\d. "));
    }
}
