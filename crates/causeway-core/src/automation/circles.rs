//! Finds automations that start each other for ever, as far as that can be seen without a contact.

use std::collections::{BTreeSet, VecDeque};

use super::{Automation, Does, Happening, Step};
use crate::{contact::TAG, id::Name};

/// Automations of one workspace that start each other in a circle over steps that wait: each with the next that its delay leads to,
/// and the last with the first. Such a circle is stopped after one round ([`super::Verdict::Circle`]), which is hardly what was
/// meant. Without a delay each runs once for an event, and there is nothing to say.
pub fn circles(automations: &[Automation]) -> Vec<Vec<Name>> {
    let all: Vec<&Automation> = automations
        .iter()
        // What runs once for a contact starts nothing twice.
        .filter(|automation| !automation.once)
        .collect();
    let tags = tags_that_come_and_go(automations);
    let leads_to: Vec<BTreeSet<usize>> = (0..all.len()).map(|from| delayed(&all, from, &tags)).collect();
    let mut circles = Vec::new();
    for start in 0..all.len() {
        let Some(circle) = shortest(&leads_to, start) else {
            continue;
        };
        // Told once, by the first of it.
        if circle.iter().all(|index| *index >= start) {
            let names = circle.iter().filter_map(|index| all.get(*index));
            circles.push(names.map(|automation| Name::clone(&automation.name)).collect());
        }
    }
    circles
}

/// A tag that is never taken off is put on once, and starts nothing again.
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

/// Those that put something off and are started by what this one does after a delay: by its own steps, or by those of others that
/// these start at once.
fn delayed(all: &[&Automation], from: usize, tags: &BTreeSet<&str>) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let Some(first) = all.get(from) else { return found };
    let mut seen = BTreeSet::from([from]);
    let mut open: VecDeque<Vec<Happening>> =
        VecDeque::from([happens(first, |step| step.delay.is_some(), tags)]);
    while let Some(happened) = open.pop_front() {
        for (index, automation) in all.iter().enumerate() {
            let starts = automation.on.iter().any(|trigger| {
                happened
                    .iter()
                    .any(|happening| happening.is(trigger, &automation.name))
            });
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

/// What these steps may change again and again.
fn happens(automation: &Automation, which: impl Fn(&Step) -> bool, tags: &BTreeSet<&str>) -> Vec<Happening> {
    let mut all = Vec::new();
    for step in automation.then.iter().filter(|step| which(step)) {
        match &step.does {
            Does::AddTag(tag) if tags.contains(tag.as_str()) => {
                all.push(Happening::TagAdded { tag: tag.clone() });
            }
            Does::RemoveTag(tag) if tags.contains(tag.as_str()) => all.push(Happening::FieldChanged {
                field: format!("{TAG}{tag}"),
            }),
            Does::SetFields(fields) => {
                all.extend(
                    fields
                        .iter()
                        .map(|(field, _)| Happening::FieldChanged { field: field.clone() }),
                );
            }
            // Points are given once for the same thing, and an answer is counted.
            Does::AddTag(_) | Does::RemoveTag(_) | Does::AddScore(_) | Does::Deliver(_) => {}
        }
    }
    if !all.is_empty() {
        all.push(Happening::ContactUpdated);
    }
    all
}

/// The shortest way from `start` back to it.
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
