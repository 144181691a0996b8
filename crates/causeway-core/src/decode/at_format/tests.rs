use super::*;

fn read(format: &str, text: &str) -> Dated {
    let format = if format.is_empty() {
        AtFormat::Plain
    } else {
        AtFormat::parse(format).unwrap()
    };
    format.read(text, &TimeZone::get("Europe/Berlin").unwrap())
}

fn day(begin: &str, end: &str) -> Dated {
    Dated::Within(Span {
        begin: begin.parse().unwrap(),
        end: end.parse().unwrap(),
    })
}

/// A time to the millisecond, the second or the minute.
fn within(at: &str, open: SignedDuration) -> Dated {
    let begin: Timestamp = at.parse().unwrap();
    let end = begin + open - SignedDuration::from_millis(1);
    Dated::Within(Span { begin, end })
}

fn second(at: &str) -> Dated {
    within(at, SECOND)
}

fn minute(at: &str) -> Dated {
    within(at, MINUTE)
}

#[test]
fn unambiguous_dates_are_read() {
    let fifth = day("2021-03-04T23:00:00Z", "2021-03-05T22:59:59.999Z");
    for (format, text, expected) in [
        ("", "2021-03-05", fifth),
        ("", "2021/3/5", fifth),
        ("", "\u{200e}2021.03.05 ", fifth),
        (
            "",
            "23.05.2021",
            day("2021-05-22T22:00:00Z", "2021-05-23T21:59:59.999Z"),
        ),
        (
            "",
            "05/23/2021",
            day("2021-05-22T22:00:00Z", "2021-05-23T21:59:59.999Z"),
        ),
        (
            "",
            "03/03/2021",
            day("2021-03-02T23:00:00Z", "2021-03-03T22:59:59.999Z"),
        ),
        // The day on which summer time begins has 23 hours.
        (
            "",
            "2021-03-28",
            day("2021-03-27T23:00:00Z", "2021-03-28T21:59:59.999Z"),
        ),
        ("", "23.05.2021 14:30", minute("2021-05-23T12:30:00Z")),
        ("", "2021-03-05T10:00:00+05:00", second("2021-03-05T05:00:00Z")),
        ("", "2021-03-05 10:00:00.123", second("2021-03-05T09:00:00Z")),
        ("", "1700000000", second("2023-11-14T22:13:20Z")),
        (
            "",
            "1700000000123",
            day("2023-11-14T22:13:20.123Z", "2023-11-14T22:13:20.123Z"),
        ),
        ("", "2021-03-05T10:00Z", minute("2021-03-05T10:00:00Z")),
        ("", "2021-03-05 10:00:00-05:00", second("2021-03-05T15:00:00Z")),
        (
            "",
            "2021-03-05T10:00:00.5Z",
            day("2021-03-05T10:00:00.5Z", "2021-03-05T10:00:00.5Z"),
        ),
        ("DD/MM/YYYY", "05/03/2021", fifth),
        ("DD/MM/YYYY", "5/3/2021", fifth),
        ("DD/MM/YYYY", "2021-03-05", fifth),
        ("MM/DD/YYYY", "03/05/2021", fifth),
        (
            "DD.MM.YYYY",
            "05.03.2021 14:30:10",
            second("2021-03-05T13:30:10Z"),
        ),
        ("DD.MM.YYYY HH:mm", "05.03.2021", fifth),
        (
            "MM/DD/YYYY hh:mm A",
            "03/05/2021 02:30 PM",
            minute("2021-03-05T13:30:00Z"),
        ),
        ("DD.MM.YY", "05.03.21", fifth),
        ("DDMMYYYY", "05032021", fifth),
        ("YYYYMMDD", "20210305", fifth),
        ("DD-MMM-YY", "05-MAR-21", fifth),
        ("MMM D, YYYY", "March 5, 2021", fifth),
        ("D MMMM YYYY", "5 mar 2021, 14:30", minute("2021-03-05T13:30:00Z")),
        ("excel", "44260", fifth),
        ("excel", "44260.0", second("2021-03-04T23:00:00Z")),
        ("Excel", "44260.5", second("2021-03-05T11:00:00Z")),
        ("excel", "44260,999999", second("2021-03-05T23:00:00Z")),
        ("excel", "2021-03-05", fifth),
    ] {
        assert_eq!(read(format, text), expected, "{format} {text}");
    }
}

/// The span covers both readings, so that each sort of fact can take the safe one.
#[test]
fn a_local_time_that_exists_twice_or_not_at_all_covers_both_readings() {
    for (text, begin, end) in [
        (
            "2026-10-25 02:30",
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:30:59.999Z",
        ),
        (
            "2026-10-25 02:30:07",
            "2026-10-25T00:30:07Z",
            "2026-10-25T01:30:07.999Z",
        ),
        (
            "2026-10-25 01:59",
            "2026-10-24T23:59:00Z",
            "2026-10-24T23:59:59.999Z",
        ),
        (
            "2026-10-25 03:00",
            "2026-10-25T02:00:00Z",
            "2026-10-25T02:00:59.999Z",
        ),
        (
            "2026-03-29 02:30",
            "2026-03-29T00:30:00Z",
            "2026-03-29T01:30:59.999Z",
        ),
        (
            "2026-10-25T02:30:00+02:00",
            "2026-10-25T00:30:00Z",
            "2026-10-25T00:30:00.999Z",
        ),
    ] {
        assert_eq!(read("", text), day(begin, end), "{text}");
    }
    // A day begins at its first midnight. If it has none, it begins with the next valid time.
    for (zone, text, begin, end) in [
        (
            "America/Havana",
            "2025-11-02",
            "2025-11-02T04:00:00Z",
            "2025-11-03T04:59:59.999Z",
        ),
        (
            "Africa/Cairo",
            "2025-04-25",
            "2025-04-24T22:00:00Z",
            "2025-04-25T20:59:59.999Z",
        ),
    ] {
        let zone = TimeZone::get(zone).unwrap();
        assert_eq!(AtFormat::Plain.read(text, &zone), day(begin, end), "{text}");
    }
}

#[test]
fn ambiguous_dates_are_refused() {
    for (format, text) in [
        ("", "05/03/2021"),
        ("", "05.03.2021"),
        ("", "5-3-2021 10:00"),
        ("", "05/03/21"),
        ("", "05.03.21"),
    ] {
        assert_eq!(read(format, text), Dated::Ambiguous, "{format} {text}");
    }
    for (format, text) in [
        ("", "yesterday"),
        ("", "32.13.2021"),
        ("", "44260"),
        ("", "2021-02-30"),
        ("", "2021-03-05 25:00"),
        ("", "2021-03"),
        ("", "20210305"),
        ("DD/MM/YYYY", "05/13/2021"),
        ("DD/MM/YYYY", "05.03.2021"),
        ("excel", "05/03/2021"),
        ("DD/MM/YYYY", "13/2021"),
        ("excel", "44260x"),
        ("DDMMYYYY", "5032021"),
        ("DD/MM/YYYY", "31/02/2021"),
    ] {
        assert_eq!(read(format, text), Dated::Unreadable, "{format} {text}");
    }
    for text in [
        "",
        " ",
        "-",
        "0",
        "0000-00-00 00:00:00",
        "1970-01-01",
        "01.01.1900",
        "0001-01-01",
    ] {
        assert_eq!(read("DD.MM.YYYY", text), Dated::Nothing, "{text}");
    }
    assert_eq!(read("excel", "1"), Dated::Nothing);
    assert_eq!(read("excel", "9999999"), Dated::Unreadable);
}

#[test]
fn a_format_has_day_month_and_year_once() {
    for text in [
        "",
        "DD/MM",
        "DD/MM/YYYY/DD",
        "dd/mm/yyyy",
        "%d.%m.%Y",
        "DDD/MM/YYYY",
        "day",
    ] {
        assert!(AtFormat::parse(text).is_err(), "{text}");
    }
}
