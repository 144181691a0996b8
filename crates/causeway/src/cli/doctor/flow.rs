//! Reports halted and paused destinations, and dead or failing messages and deliveries, by the store's counts.

use causeway_core::store::Overview;

use super::{bad, counted, print_line};

/// Prints a line for each problem; `false` if a destination is halted. Dead messages and retries are only warnings, because
/// the program itself works. Deliveries to a destination that is not in the configuration are reported by `orphans`.
pub(super) fn check(overview: &Overview, is_configured: &dyn Fn(&str) -> bool) -> bool {
    let mut well = true;
    for (is_bad, label, text) in lines(overview, is_configured) {
        if is_bad {
            well = bad(&label, &text);
        } else {
            print_line(&format!("WARN  {label}: {text}"));
        }
    }
    well
}

fn lines(overview: &Overview, is_configured: &dyn Fn(&str) -> bool) -> Vec<(bool, String, String)> {
    let mut lines = Vec::new();
    for (name, counts) in &overview.sources {
        if counts.dead > 0 {
            let text = format!(
                "{} for a person; the console lists them under Messages, `causeway trace NUMBER` shows why, `causeway replay` processes them again",
                counted(counts.dead, "dead message waits", "dead messages wait")
            );
            lines.push((false, format!("source {name}"), text));
        }
    }
    for (name, counts) in &overview.destinations {
        if !is_configured(name) {
            continue;
        }
        let label = format!("destination {name}");
        if let Some(reason) = &counts.lane.halted {
            let text = format!(
                "halted, {} waiting: {reason}; fix that, then `causeway delivery resume {name}`",
                counted(counts.waiting, "delivery", "deliveries")
            );
            lines.push((true, label.clone(), text));
        } else if counts.lane.paused {
            let text = format!(
                "paused, {} waiting; `causeway delivery resume {name}` sends them",
                counted(counts.waiting, "delivery", "deliveries")
            );
            lines.push((false, label.clone(), text));
        } else if counts.retrying > 0 {
            let text = format!(
                "{} failed and will be retried; see `causeway delivery list --destination {name} --state waiting`",
                counted(counts.retrying, "delivery", "deliveries")
            );
            lines.push((false, label.clone(), text));
        }
        if counts.dead > 0 {
            let text = format!(
                "{} given up; see `causeway delivery list --destination {name} --state dead`",
                counted(counts.dead, "delivery was", "deliveries were")
            );
            lines.push((false, label, text));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use causeway_core::store::{DestinationCounts, SourceCounts};

    use super::*;

    #[test]
    fn a_halted_destination_is_bad_and_a_dead_message_is_a_warning() {
        let mut overview = Overview::default();
        let dead = SourceCounts {
            dead: 1,
            ..SourceCounts::default()
        };
        overview.sources.insert("site".into(), dead);
        overview.sources.insert("well".into(), SourceCounts::default());
        let mut crm = DestinationCounts {
            waiting: 3,
            retrying: 1,
            dead: 2,
            ..DestinationCounts::default()
        };
        overview.destinations.insert("crm".into(), crm.clone());
        crm.lane.halted = Some("401 Unauthorized".to_owned());
        crm.dead = 0;
        overview.destinations.insert("mail".into(), crm);
        overview
            .destinations
            .insert("well".into(), DestinationCounts::default());
        let mut gone = DestinationCounts::default();
        gone.lane.paused = true;
        overview.destinations.insert("gone".into(), gone);
        let lines = lines(&overview, &|name| name != "gone");
        let found: Vec<(bool, &str, &str)> = lines
            .iter()
            .map(|(is_bad, label, text)| {
                (
                    *is_bad,
                    label.as_str(),
                    text.split(';').next().unwrap_or_default(),
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                (false, "source site", "1 dead message waits for a person"),
                (false, "destination crm", "1 delivery failed and will be retried"),
                (false, "destination crm", "2 deliveries were given up"),
                (
                    true,
                    "destination mail",
                    "halted, 3 deliveries waiting: 401 Unauthorized"
                ),
            ]
        );
    }
}
