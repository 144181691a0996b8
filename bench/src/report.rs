//! Medians, ratios and targets as Markdown.

use std::fmt::Write as _;

/// One run of one contestant. What was not measured is `None`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Run {
    pub per_s: f64,
    /// Processor seconds for 100 000 records.
    pub cpu_s: Option<f64>,
    pub peak_mb: Option<f64>,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
}

/// The runs of one contestant.
pub struct Series {
    pub name: String,
    pub runs: Vec<Run>,
}

impl Series {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            runs: Vec::new(),
        }
    }

    pub fn per_s(&self) -> f64 {
        median(self.runs.iter().map(|run| run.per_s).collect())
    }

    pub fn of(&self, figure: impl Fn(&Run) -> Option<f64>) -> f64 {
        median(self.runs.iter().filter_map(figure).collect())
    }
}

/// A figure and its target.
pub struct Check {
    pub what: String,
    pub measured: f64,
    pub must: f64,
    pub aim: f64,
    pub unit: &'static str,
    pub less_is_better: bool,
}

impl Check {
    pub fn at_least(what: &str, measured: f64, must: f64, aim: f64, unit: &'static str) -> Self {
        Self {
            what: what.to_owned(),
            measured,
            must,
            aim,
            unit,
            less_is_better: false,
        }
    }

    pub fn at_most(what: &str, measured: f64, must: f64, aim: f64, unit: &'static str) -> Self {
        Self {
            less_is_better: true,
            ..Self::at_least(what, measured, must, aim, unit)
        }
    }

    fn holds(&self, limit: f64) -> bool {
        if self.less_is_better {
            self.measured <= limit
        } else {
            self.measured >= limit
        }
    }

    fn verdict(&self) -> &'static str {
        match (self.holds(self.must), self.holds(self.aim)) {
            (_, true) => "better than hoped",
            (true, false) => "met",
            (false, false) => "**missed**",
        }
    }
}

/// The results of one scenario.
pub struct Section {
    pub title: String,
    pub series: Vec<Series>,
    pub checks: Vec<Check>,
    pub notes: Vec<String>,
}

impl Section {
    pub fn markdown(&self) -> String {
        let mut out = format!("\n## {}\n", self.title);
        if !self.series.is_empty() {
            out += "\n| | per s, median | lowest - highest | CPU s per 100 k | peak MB | p50 ms | p99 ms |\n|---|---|---|---|---|---|---|\n";
        }
        for series in &self.series {
            let rates = || series.runs.iter().map(|run| run.per_s);
            let optional = |value: f64, digits: usize| {
                if value.is_nan() {
                    String::new()
                } else {
                    format!("{value:.digits$}")
                }
            };
            let _infallible = writeln!(
                out,
                "| {} | {:.0} | {:.0} - {:.0} | {} | {} | {} | {} |",
                series.name,
                series.per_s(),
                rates().fold(f64::INFINITY, f64::min),
                rates().fold(0.0, f64::max),
                optional(series.of(|run| run.cpu_s), 1),
                optional(series.of(|run| run.peak_mb), 0),
                optional(series.of(|run| run.p50_ms), 1),
                optional(series.of(|run| run.p99_ms), 1),
            );
        }
        if !self.checks.is_empty() {
            out += "\n| target | measured | must | go for | |\n|---|---|---|---|---|\n";
        }
        for check in &self.checks {
            let sign = if check.less_is_better { "≤" } else { "≥" };
            let _infallible = writeln!(
                out,
                "| {} | {} {} | {sign} {} | {sign} {} | {} |",
                check.what,
                short(check.measured),
                check.unit,
                short(check.must),
                short(check.aim),
                check.verdict()
            );
        }
        for note in &self.notes {
            let _infallible = writeln!(out, "\n{note}");
        }
        out
    }
}

fn short(value: f64) -> String {
    if value.abs() >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

/// `NAN` for an empty list.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.get(middle) {
        None => f64::NAN,
        Some(upper) if values.len() % 2 == 1 => *upper,
        Some(upper) => f64::midpoint(
            *upper,
            values.get(middle.saturating_sub(1)).copied().unwrap_or(*upper),
        ),
    }
}
