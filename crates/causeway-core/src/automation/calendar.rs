//! Automations that the clock starts: when their time came last, and for which contacts.

use jiff::{
    Span, Timestamp, ToSpan, Zoned,
    civil::{Date, Time, Weekday},
    tz::TimeZone,
};

use super::{Automation, Trigger};
use crate::{contact::Contact, decode::dates};

/// At the same time again and again.
#[derive(Debug, Clone, PartialEq)]
pub struct Rhythm {
    pub every: Every,
    /// Of an hourly one only the minute counts.
    pub at: Time,
    pub zone: TimeZone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    Hour,
    Day,
    Week(Weekday),
    /// On this day, from 1; in shorter months on their last.
    Month(i8),
}

/// A date of the contact's own: a birthday, the end of a membership.
#[derive(Debug, Clone, PartialEq)]
pub struct Clocked {
    pub field: String,
    /// Days after the date; before it if negative.
    pub days: i32,
    /// Each year again, else on that date only.
    pub yearly: bool,
    pub at: Time,
    pub zone: TimeZone,
}

impl Rhythm {
    /// The newest time that is not after `now`. `None` only at the ends of time.
    pub fn latest(&self, now: Timestamp) -> Option<Timestamp> {
        let now = now.to_zoned(self.zone.clone());
        let mut candidate = self.in_period_of(&now)?;
        // A clock change may put one period's time after the next one's start: go back until it fits.
        for _ in 0..3 {
            if candidate <= now {
                return Some(candidate.timestamp());
            }
            let earlier = now.checked_sub(self.period()).ok()?;
            candidate = self.in_period_of(&earlier)?;
        }
        None
    }

    /// The first time after `after`. `None` only at the ends of time.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let from = after.to_zoned(self.zone.clone());
        // Short months and clock changes may leave a period without one.
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

impl Clocked {
    /// It is looked at once a day.
    fn rhythm(&self) -> Rhythm {
        Rhythm {
            every: Every::Day,
            at: self.at,
            zone: self.zone.clone(),
        }
    }

    /// Whether the contact's date is on the day of `at`, which is one of the times of [`Clocked::rhythm`].
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

/// The day of that year; who was born on 29 February has the 28th in other years.
fn anniversary(date: Date, year: i16) -> Option<Date> {
    let same = Date::new(year, date.month(), date.day());
    same.or_else(|_| Date::new(year, date.month(), 28)).ok()
}

impl Automation {
    /// The newest time, not after `now`, at which its clock came round.
    pub fn latest_turn(&self, now: Timestamp) -> Option<Timestamp> {
        self.on
            .iter()
            .filter_map(|trigger| match trigger {
                Trigger::DateReached(clocked) => clocked.rhythm().latest(now),
                Trigger::Schedule(rhythm) => rhythm.latest(now),
                _ => None,
            })
            .max()
    }

    /// The first time after `after` at which its clock comes round.
    pub fn next_turn(&self, after: Timestamp) -> Option<Timestamp> {
        self.on
            .iter()
            .filter_map(|trigger| match trigger {
                Trigger::DateReached(clocked) => clocked.rhythm().next(after),
                Trigger::Schedule(rhythm) => rhythm.next(after),
                _ => None,
            })
            .min()
    }

    /// Whether it may be this contact's turn at that time. Its condition is asked later, when the row is processed.
    pub fn is_turn_of(&self, contact: &Contact, turn: Timestamp) -> bool {
        self.on.iter().any(|trigger| match trigger {
            Trigger::DateReached(clocked) => {
                clocked.rhythm().latest(turn) == Some(turn) && clocked.is_on(contact, turn)
            }
            Trigger::Schedule(rhythm) => rhythm.latest(turn) == Some(turn),
            _ => false,
        })
    }
}
