//! Finds automations that trigger each other for ever, as far as the configuration alone shows it.

use std::collections::{BTreeSet, VecDeque};

use super::{Automation, Cause, Does, Step};
use crate::{contact::TAG, id::Name};

/// Automations of one workspace that trigger each other in a circle through delayed steps: each triggers the
/// next after a delay, and the last one the first. At run time such a circle is stopped after one round
/// ([`super::Verdict::Circle`]), which is hardly what its author meant. Automations without a delay run once
/// for an event, so their circles are not reported.
pub fn circles(automations: &[Automation]) -> Vec<Vec<Name>> {
    let all: Vec<&Automation> = automations
        .iter()
        // An automation that runs once for each contact cannot keep a circle going.
        .filter(|automation| !automation.once)
        .collect();
    let tags = tags_that_come_and_go(automations);
    let leads_to: Vec<BTreeSet<usize>> = (0..all.len()).map(|from| delayed(&all, from, &tags)).collect();
    let mut circles = Vec::new();
    for start in 0..all.len() {
        let Some(circle) = shortest(&leads_to, start) else {
            continue;
        };
        // Each circle is reported once, by its first automation.
        if circle.iter().all(|index| *index >= start) {
            let names = circle.iter().filter_map(|index| all.get(*index));
            circles.push(names.map(|automation| Name::clone(&automation.name)).collect());
        }
    }
    circles
}

/// Tags that are both added and removed. A tag that is never removed is added once, so it triggers nothing
/// again.
fn tags_that_come_and_go(automations: &[Automation]) -> BTreeSet<&str> {
    let steps = || automations.iter().flat_map(|automation| &automation.then);
    let removed: BTreeSet<&str> = steps()
        .filter_map(|step| match &step.does {
            Does::RemoveTag(tag) => Some(tag.as_str()),
            _ => None,
        })
        .collect();
    let added = steps().filter_map(|step| match &step.does {
        Does::AddTag(tag) => Some(tag.as_str()),
        _ => None,
    });
    added.filter(|tag| removed.contains(tag)).collect()
}

/// The automations with a delay that are triggered after a delay of this one: by its own steps, or by steps
/// without delay of automations that these trigger.
fn delayed(all: &[&Automation], from: usize, tags: &BTreeSet<&str>) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let Some(first) = all.get(from) else { return found };
    let mut seen = BTreeSet::from([from]);
    let mut open: VecDeque<Vec<Cause>> = VecDeque::from([happens(first, |step| step.delay.is_some(), tags)]);
    while let Some(happened) = open.pop_front() {
        for (index, automation) in all.iter().enumerate() {
            let starts = automation
                .on
                .iter()
                .any(|trigger| happened.iter().any(|cause| cause.is(trigger, &automation.name)));
            if !starts || !seen.insert(index) {
                continue;
            }
            if automation.then.iter().any(|step| step.delay.is_some()) {
                found.insert(index);
            }
            open.push_back(happens(automation, |step| step.delay.is_none(), tags));
        }
    }
    found
}

/// The changes that these steps can make again and again.
fn happens(automation: &Automation, which: impl Fn(&Step) -> bool, tags: &BTreeSet<&str>) -> Vec<Cause> {
    let mut all = Vec::new();
    for step in automation.then.iter().filter(|step| which(step)) {
        match &step.does {
            Does::AddTag(tag) if tags.contains(tag.as_str()) => {
                all.push(Cause::TagAdded { tag: tag.clone() });
            }
            Does::RemoveTag(tag) if tags.contains(tag.as_str()) => all.push(Cause::FieldChanged {
                field: format!("{TAG}{tag}"),
            }),
            Does::SetFields(fields) => {
                all.extend(
                    fields
                        .iter()
                        .map(|(field, _)| Cause::FieldChanged { field: field.clone() }),
                );
            }
            // Points are given once for the same cause, and the chain of responses is limited.
            Does::AddTag(_) | Does::RemoveTag(_) | Does::AddScore(_) | Does::Deliver(_) => {}
        }
    }
    if !all.is_empty() {
        all.push(Cause::ContactUpdated);
    }
    all
}

/// The shortest way from `start` back to `start`.
fn shortest(leads_to: &[BTreeSet<usize>], start: usize) -> Option<Vec<usize>> {
    let mut seen = BTreeSet::new();
    let mut open = VecDeque::from([vec![start]]);
    while let Some(way) = open.pop_front() {
        let last = *way.last()?;
        for next in leads_to.get(last)? {
            if *next == start && way.len() > 1 {
                return Some(way);
            }
            if *next != start && seen.insert(*next) {
                open.push_back(way.iter().copied().chain([*next]).collect());
            }
        }
    }
    None
}
