//! Schedules and dates.

use super::*;

#[test]
fn a_schedule_is_due_in_its_own_time_zone() {
    let recurrence = |every, time: &str| Recurrence {
        every,
        at: time.parse().unwrap(),
        zone: TimeZone::get("Europe/Brussels").unwrap(),
    };
    for (recurrence, now, latest) in [
        (
            recurrence(Every::Day, "09:00"),
            "2026-03-04T07:59:59Z",
            "2026-03-03T08:00:00Z",
        ),
        (
            recurrence(Every::Day, "09:00"),
            "2026-03-04T08:00:00Z",
            "2026-03-04T08:00:00Z",
        ),
        // Summer time starts on 29 March at 2 o'clock, so 02:30 does not exist on that day.
        (
            recurrence(Every::Day, "09:00"),
            "2026-03-29T12:00:00Z",
            "2026-03-29T07:00:00Z",
        ),
        (
            recurrence(Every::Day, "02:30"),
            "2026-03-29T12:00:00Z",
            "2026-03-29T01:30:00Z",
        ),
        (
            recurrence(Every::Week(Weekday::Monday), "09:00"),
            "2026-03-04T09:00:00Z",
            "2026-03-02T08:00:00Z",
        ),
        (
            recurrence(Every::Week(Weekday::Sunday), "09:00"),
            "2026-03-04T09:00:00Z",
            "2026-03-01T08:00:00Z",
        ),
        (
            recurrence(Every::Month(31), "00:00"),
            "2026-03-04T09:00:00Z",
            "2026-02-27T23:00:00Z",
        ),
        (
            recurrence(Every::Hour, "00:15"),
            "2026-03-04T09:14:00Z",
            "2026-03-04T08:15:00Z",
        ),
    ] {
        assert_eq!(
            recurrence.latest(at(now)),
            Some(at(latest)),
            "{recurrence:?} at {now}"
        );
    }
}

#[test]
fn a_birthday_is_due_each_year_and_a_reminder_before_it() {
    let on_date = |days, yearly| {
        let on = Trigger::DateReached(DateTrigger {
            field: "birthDate".to_owned(),
            days,
            yearly,
            at: "09:00".parse().unwrap(),
            zone: TimeZone::UTC,
        });
        automation("birthday", on, to_crm())
    };
    let born = |date: &str| {
        let mut contact = Contact::default();
        let field = Field::new(json!(date), at(NOW));
        contact.fields.insert("birthDate".to_owned(), field);
        contact
    };
    for (automation, date, due_at, is_due) in [
        (on_date(0, true), "1990-03-04", "2026-03-04T09:00:00Z", true),
        (on_date(0, true), "1990-03-04", "2026-03-05T09:00:00Z", false),
        (on_date(0, true), "04-03-1990", "2026-03-04T09:00:00Z", true),
        (on_date(0, true), "2030-03-04", "2026-03-04T09:00:00Z", false),
        (on_date(0, false), "1990-03-04", "2026-03-04T09:00:00Z", false),
        (on_date(0, false), "2026-03-04", "2026-03-04T09:00:00Z", true),
        (on_date(-7, true), "1990-01-02", "2025-12-26T09:00:00Z", true),
        (on_date(3, false), "2026-03-01", "2026-03-04T09:00:00Z", true),
        (on_date(0, true), "1992-02-29", "2026-02-28T09:00:00Z", true),
        (on_date(0, true), "1992-02-29", "2028-02-29T09:00:00Z", true),
        (on_date(0, true), "1992-02-29", "2028-02-28T09:00:00Z", false),
        (on_date(0, true), "soon", "2026-03-04T09:00:00Z", false),
    ] {
        let contact = born(date);
        let due_at = at(due_at);
        assert_eq!(automation.latest_run(due_at), Some(due_at));
        assert_eq!(
            automation.is_due_for(&contact, due_at),
            is_due,
            "{date} on {due_at}: {automation:?}"
        );
    }
}

/// Each due time is the next one after the due time before it.
#[test]
fn each_next_due_time_is_a_due_time() {
    let start = at("2024-01-30T22:17:00Z");
    for zone in ["UTC", "Europe/Brussels", "America/St_Johns"] {
        for every in [
            Every::Hour,
            Every::Day,
            Every::Week(Weekday::Sunday),
            Every::Month(1),
            Every::Month(31),
        ] {
            for time in [
                jiff::civil::time(0, 0, 0, 0),
                jiff::civil::time(2, 30, 0, 0),
                jiff::civil::time(23, 45, 0, 0),
            ] {
                let zone = TimeZone::get(zone).unwrap();
                let recurrence = Recurrence {
                    every,
                    at: time,
                    zone,
                };
                let mut seen = BTreeSet::new();
                let mut now = start;
                for _ in 0..(400 * 96) {
                    now = now.saturating_add(Duration::from_mins(15)).unwrap();
                    seen.extend(recurrence.latest(now).filter(|due_at| *due_at > start));
                }
                let mut next = BTreeSet::new();
                let mut from = start;
                while let Some(due_at) = recurrence.next(from).filter(|due_at| *due_at <= now) {
                    assert!(due_at > from);
                    next.insert(due_at);
                    from = due_at;
                }
                assert_eq!(next, seen, "{recurrence:?}");
            }
        }
    }
}
