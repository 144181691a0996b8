//! Shrinks a failing history: removes messages as long as the finding stays (delta debugging).

use anyhow::Context as _;

use crate::{
    check::{self, Finding},
    drive::{self, Plan},
    feature::Features,
    message::{Content, Message},
    rig::Rig,
    world::History,
};

/// Number of candidates that run concurrently in one hub.
const SIDE_BY_SIDE: usize = 12;

/// A shrunk history.
#[derive(Debug)]
pub struct Small {
    pub history: History,
    pub finding: Finding,
    /// Whether it fails without kills and misbehaving receivers.
    pub is_calm: bool,
}

/// Returns `None` if the finding does not occur again.
pub async fn shrink(
    rig: &Rig,
    history: &History,
    finding: &Finding,
    features: &Features,
) -> anyhow::Result<Option<Small>> {
    let start = narrow(history, finding);
    for is_rough in [false, true] {
        let plan = Plan {
            seed: history.seed,
            features: features.clone(),
            is_rough,
        };
        let mut search = Search {
            rig,
            plan,
            finding: finding.clone(),
        };
        if let Some(finding) = search
            .first_failing(std::slice::from_ref(&start))
            .await?
            .map(|(_, finding)| finding)
        {
            search.finding = finding;
            let history = search.minimize(start).await?;
            return Ok(Some(Small {
                history,
                finding: search.finding,
                is_calm: !is_rough,
            }));
        }
    }
    Ok(None)
}

/// Only the workspace and the destination of the finding.
fn narrow(history: &History, finding: &Finding) -> History {
    let mut space = history.spaces[finding.space].clone();
    space.destinations = vec![space.destinations[finding.destination].clone()];
    let messages = history
        .messages
        .iter()
        .filter(|message| message.space == finding.space);
    let messages = messages
        .filter_map(|message| {
            let mut content = message.content.clone();
            if let Content::AtVendor { destination, .. } = &mut content {
                if *destination != finding.destination {
                    return None;
                }
                *destination = 0;
            }
            Some(Message {
                space: 0,
                content,
                ..message.clone()
            })
        })
        .collect();
    History {
        seed: history.seed,
        spaces: vec![space],
        messages,
    }
}

struct Search<'a> {
    rig: &'a Rig,
    plan: Plan,
    finding: Finding,
}

impl Search<'_> {
    async fn minimize(&mut self, mut history: History) -> anyhow::Result<History> {
        let mut parts = 2;
        while history.messages.len() > 1 {
            let size = history.messages.len().div_ceil(parts);
            let without = |part: usize| {
                let mut messages = history.messages.clone();
                let end = ((part + 1) * size).min(messages.len());
                messages.drain((part * size).min(end)..end);
                History {
                    messages,
                    ..history.clone()
                }
            };
            let candidates: Vec<History> = (0..parts)
                .map(without)
                .filter(|smaller| smaller.messages.len() < history.messages.len())
                .collect();
            match self.first_failing(&candidates).await? {
                Some((which, finding)) => {
                    self.finding = finding;
                    history = candidates[which].clone();
                    parts = parts.saturating_sub(1).max(2);
                }
                None if size == 1 => break,
                None => parts = (parts * 2).min(history.messages.len()),
            }
        }
        Ok(without_idle_sources(history))
    }

    /// The first candidate with the same finding.
    async fn first_failing(&self, candidates: &[History]) -> anyhow::Result<Option<(usize, Finding)>> {
        for (number, part) in candidates.chunks(SIDE_BY_SIDE).enumerate() {
            let folder = tempfile::tempdir().context("making a folder")?;
            let batch = drive::run(self.rig, part, &self.plan, folder.path()).await?;
            for (which, (history, seen)) in part.iter().zip(&batch.seen).enumerate() {
                let (findings, _) = check::check(history, seen, &batch);
                let is_same = |finding: &Finding| {
                    finding.kind == self.finding.kind && finding.address == self.finding.address
                };
                if let Some(finding) = findings.into_iter().find(is_same) {
                    return Ok(Some((number * SIDE_BY_SIDE + which, finding)));
                }
            }
        }
        Ok(None)
    }
}

/// Removes sources without messages, which only make the printed configuration longer.
fn without_idle_sources(mut history: History) -> History {
    let used: Vec<usize> = (0..history.spaces[0].sources.len())
        .filter(|source| history.messages.iter().any(|message| message.source == *source))
        .collect();
    let place = |source: usize| used.iter().position(|used| *used == source).unwrap_or(0);
    history
        .messages
        .iter_mut()
        .for_each(|message| message.source = place(message.source));
    history.spaces[0].sources = used
        .iter()
        .map(|source| history.spaces[0].sources[*source].clone())
        .collect();
    history
}
