//! Converts the history groups to engagements.

use jiff::tz::TimeZone;
use serde_json::{Number, Value};

use super::payload::{Occurrence, SyncPayload};
use crate::{
    dates::{self, Reading},
    event::{Engagement, EngagementKind},
};

pub(super) fn engagements(
    payload: &SyncPayload,
    zone: &TimeZone,
    notes: &mut Vec<String>,
) -> Vec<Engagement> {
    let mut out = Reader {
        zone,
        rows: Vec::new(),
        problems: Problems::default(),
    };
    out.occurrences(
        "campaigns-opened",
        EngagementKind::EmailOpen,
        &payload.campaigns_opened,
    );
    for row in &payload.links_clicked {
        let count = out.whole_number("links-clicked", row.clicks.as_deref());
        out.add(
            "links-clicked",
            EngagementKind::LinkClick,
            [row.url.as_ref(), None],
            None,
            |row| row.count = count,
        );
    }
    for row in &payload.pages_visited {
        let date = row.visit_date.as_deref();
        out.add(
            "pages-visited",
            EngagementKind::PageVisit,
            [row.page.as_ref(), None],
            date,
            |_| (),
        );
    }
    out.occurrences(
        "automation-triggered",
        EngagementKind::Automation,
        &payload.automation_triggered,
    );
    out.occurrences("goals-reached", EngagementKind::Goal, &payload.goals_reached);
    out.occurrences(
        "webhooks-triggered",
        EngagementKind::Popup,
        &payload.webhooks_triggered,
    );
    for row in &payload.lead_score {
        let score = out.score("lead-score", row.score.as_deref());
        let names = [row.id.as_ref(), row.name.as_ref()];
        let date = row.score_date.as_deref();
        out.add("lead-score", EngagementKind::LeadScore, names, date, |row| {
            row.score = score;
        });
    }
    out.problems.add_to(notes);
    out.rows
}

/// A decimal text as a JSON number. Whole numbers stay whole.
pub(crate) fn number(text: &str) -> Option<Value> {
    let text = text.trim();
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    let float: f64 = text.parse().ok()?;
    Number::from_f64(float).map(Value::Number)
}

struct Reader<'a> {
    zone: &'a TimeZone,
    rows: Vec<Engagement>,
    problems: Problems,
}

impl Reader<'_> {
    fn occurrences(&mut self, group: &'static str, kind: EngagementKind, rows: &[Occurrence]) {
        for row in rows {
            self.add(
                group,
                kind,
                [row.id.as_ref(), row.name.as_ref()],
                row.date.as_deref(),
                |_| (),
            );
        }
    }

    /// `names` = the id or URL, and the name. The first one that is present is the key.
    fn add(
        &mut self,
        group: &'static str,
        kind: EngagementKind,
        names: [Option<&String>; 2],
        date: Option<&str>,
        fill: impl FnOnce(&mut Engagement),
    ) {
        let [key, name] = names;
        let Some(key) = key.or(name) else {
            self.problems.count(group, "rows that name nothing were left out");
            return;
        };
        let (at, raw_at) = match date.map(|date| dates::read(date, self.zone)) {
            None | Some(Reading::Nothing) => (None, None),
            Some(Reading::At(at)) => (Some(at), None),
            Some(Reading::Unreadable) => {
                self.problems
                    .count(group, "dates could not be read and are kept as text");
                (None, date.map(str::to_owned))
            }
        };
        let mut row = Engagement {
            kind,
            key: key.clone(),
            name: name.cloned(),
            at,
            raw_at,
            count: None,
            score: None,
        };
        fill(&mut row);
        self.rows.push(row);
    }

    fn score(&mut self, group: &'static str, text: Option<&str>) -> Option<f64> {
        let text = text?;
        let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
        if number.is_none() {
            self.problems.count(group, "numbers could not be read");
        }
        number
    }

    fn whole_number(&mut self, group: &'static str, text: Option<&str>) -> Option<i64> {
        let whole = text.and_then(|text| text.trim().parse().ok());
        if whole.is_none() && text.is_some() {
            self.problems.count(group, "numbers could not be read");
        }
        whole
    }
}

/// Counts problems by kind, so that a thousand bad rows make one note.
#[derive(Default)]
struct Problems(Vec<(&'static str, &'static str, usize)>);

impl Problems {
    fn count(&mut self, group: &'static str, what: &'static str) {
        match self
            .0
            .iter_mut()
            .find(|(known, same, _)| (*known, *same) == (group, what))
        {
            Some((_, _, count)) => *count += 1,
            None => self.0.push((group, what, 1)),
        }
    }

    fn add_to(self, notes: &mut Vec<String>) {
        notes.extend(
            self.0
                .into_iter()
                .map(|(group, what, count)| format!("{group}: {count} {what}")),
        );
    }
}
