//! Automations with a schedule or a date: when they are due, and for which contacts.

use jiff::{
    Span, Timestamp, ToSpan, Zoned,
    civil::{Date, Time, Weekday},
    tz::TimeZone,
};

use super::{Automation, Trigger};
use crate::{contact::Contact, dates};

/// A time that recurs.
#[derive(Debug, Clone, PartialEq)]
pub struct Recurrence {
    pub every: Every,
    /// For an hourly schedule only the minute counts.
    pub at: Time,
    pub zone: TimeZone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    Hour,
    Day,
    Week(Weekday),
    /// On this day of the month, from 1. In shorter months, on the last day.
    Month(i8),
}

/// A date of the contact: a birthday, the end of a membership.
#[derive(Debug, Clone, PartialEq)]
pub struct DateTrigger {
    pub field: String,
    /// Days after the date; negative for days before it.
    pub days: i32,
    /// Each year on that day, or only once on that date.
    pub yearly: bool,
    pub at: Time,
    pub zone: TimeZone,
}

impl Recurrence {
    /// The newest time that is not after `now`. `None` only at the limits of the calendar.
    pub fn latest(&self, now: Timestamp) -> Option<Timestamp> {
        let now = now.to_zoned(self.zone.clone());
        let mut candidate = self.in_period_of(&now)?;
        // A clock change may put the time of one period after the start of the next: go back until it fits.
        for _ in 0..3 {
            if candidate <= now {
                return Some(candidate.timestamp());
            }
            let earlier = now.checked_sub(self.period()).ok()?;
            candidate = self.in_period_of(&earlier)?;
        }
        None
    }

    /// The first time after `after`. `None` only at the limits of the calendar.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let from = after.to_zoned(self.zone.clone());
        // Short months and clock changes may leave a period without a time.
        for periods in 1..=3_i64 {
            let until = from.checked_add(self.period().checked_mul(periods).ok()?).ok()?;
            let mut found = self.latest(until.timestamp())?;
            if found <= after {
                continue;
            }
            while let Some(earlier) = found
                .checked_sub(1.millisecond())
                .ok()
                .and_then(|before| self.latest(before))
                .filter(|earlier| *earlier > after)
            {
                found = earlier;
            }
            return Some(found);
        }
        None
    }

    fn period(&self) -> Span {
        match self.every {
            Every::Hour => 1.hour(),
            Every::Day => 1.day(),
            Every::Week(_) => 1.week(),
            Every::Month(_) => 1.month(),
        }
    }

    fn in_period_of(&self, moment: &Zoned) -> Option<Zoned> {
        let day = match self.every {
            Every::Hour => {
                return moment
                    .with()
                    .minute(self.at.minute())
                    .second(0)
                    .subsec_nanosecond(0)
                    .build()
                    .ok();
            }
            Every::Day => moment.date(),
            Every::Week(weekday) => {
                let back = weekday.since(Weekday::Monday) - moment.date().weekday().since(Weekday::Monday);
                moment.date().checked_add(i64::from(back).days()).ok()?
            }
            Every::Month(day) => {
                let first = moment.date().first_of_month();
                let day = day.clamp(1, first.days_in_month());
                first.with().day(day).build().ok()?
            }
        };
        day.to_datetime(self.at).to_zoned(self.zone.clone()).ok()
    }
}

impl DateTrigger {
    /// The date is checked once a day.
    fn recurrence(&self) -> Recurrence {
        Recurrence {
            every: Every::Day,
            at: self.at,
            zone: self.zone.clone(),
        }
    }

    /// Whether the contact's date is on the day of `at`, which is one of the times of [`DateTrigger::recurrence`].
    fn is_on(&self, contact: &Contact, at: Timestamp) -> bool {
        let today = at.to_zoned(self.zone.clone()).date();
        let Some(date) = self.date_of(contact) else {
            return false;
        };
        let Ok(wanted) = today.checked_sub(i64::from(self.days).days()) else {
            return false;
        };
        if self.yearly {
            anniversary(date, wanted.year()) == Some(wanted) && date <= wanted
        } else {
            date == wanted
        }
    }

    fn date_of(&self, contact: &Contact) -> Option<Date> {
        let text = contact.text(&self.field)?;
        match dates::read(text, &self.zone) {
            dates::Reading::At(at) => Some(at.to_zoned(self.zone.clone()).date()),
            _ => text.get(..10)?.parse().ok(),
        }
    }
}

/// The anniversary in that year. For 29 February it is the 28th in other years.
fn anniversary(date: Date, year: i16) -> Option<Date> {
    let same = Date::new(year, date.month(), date.day());
    same.or_else(|_| Date::new(year, date.month(), 28)).ok()
}

impl Automation {
    /// The newest time, not after `now`, at which it was due.
    pub fn latest_run(&self, now: Timestamp) -> Option<Timestamp> {
        self.on
            .iter()
            .filter_map(|trigger| match trigger {
                Trigger::DateReached(date) => date.recurrence().latest(now),
                Trigger::Schedule(recurrence) => recurrence.latest(now),
                _ => None,
            })
            .max()
    }

    /// The first time after `after` at which it is due.
    pub fn next_run(&self, after: Timestamp) -> Option<Timestamp> {
        self.on
            .iter()
            .filter_map(|trigger| match trigger {
                Trigger::DateReached(date) => date.recurrence().next(after),
                Trigger::Schedule(recurrence) => recurrence.next(after),
                _ => None,
            })
            .min()
    }

    /// Whether it may be due for this contact at that time. Its condition is checked later, when the message
    /// is processed.
    pub fn is_due_for(&self, contact: &Contact, due_at: Timestamp) -> bool {
        self.on.iter().any(|trigger| match trigger {
            Trigger::DateReached(date) => {
                date.recurrence().latest(due_at) == Some(due_at) && date.is_on(contact, due_at)
            }
            Trigger::Schedule(recurrence) => recurrence.latest(due_at) == Some(due_at),
            _ => false,
        })
    }
}
