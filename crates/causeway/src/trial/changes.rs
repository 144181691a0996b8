//! Two configurations, the same messages: what would change.

use std::collections::{BTreeMap, HashSet, btree_map::Entry};

use causeway_core::{
    clock::Timestamp,
    contact::Identity,
    delivery::Delivery,
    envelope::{Envelope, digest},
    id::{InboxId, Name},
    store::InboxState,
};
use causeway_store::{Played, Told};
use serde::Serialize;

use super::{Request, Trial};

/// Different reasons that are counted for each destination; the rest counts as one.
const REASONS: usize = 50;

/// Runs both and keeps counts, and a few samples of each sort of change.
pub struct Changes {
    old: Trial,
    new: Trial,
    /// Samples of each sort of change and destination.
    limit: usize,
    people: HashSet<[u8; 16]>,
    pub counts: Counts,
    pub samples: Vec<Sample>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    /// Compared.
    pub records: u64,
    /// Earlier ones that were only run, so that both know the contacts.
    pub earlier: u64,
    /// Pruned or erased.
    pub not_available: u64,
    /// Came more than once.
    pub repeats: u64,
    /// Records that would be read in another way: "dead → done" = how many.
    pub read_otherwise: BTreeMap<String, u64>,
    /// Records for which anything would change.
    pub records_changed: u64,
    /// People for whom a delivery would change.
    pub people_changed: u64,
    pub destinations: BTreeMap<Name, Deliveries>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Deliveries {
    pub old: u64,
    pub new: u64,
    pub added: u64,
    pub removed: u64,
    pub changed: u64,
    /// Reason = how many are skipped for it, by the old and by the new.
    pub skipped: BTreeMap<String, OldNew>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct OldNew {
    pub old: u64,
    pub new: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Added,
    Removed,
    Changed,
    /// The message itself is read in another way.
    ReadOtherwise,
}

/// One change. Holds personal data.
#[derive(Debug, Clone)]
pub struct Sample {
    pub record: InboxId,
    pub received_at: Timestamp,
    pub source: Name,
    pub change: Change,
    /// `None` for [`Change::ReadOtherwise`].
    pub destination: Option<Name>,
    pub email: Option<String>,
    pub old: Side,
    pub new: Side,
}

/// What one of the two would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Side {
    pub request: Option<String>,
    /// Why there is no request, or what is to be said about it.
    pub why: Option<String>,
}

/// What one of the two would send for one record.
#[derive(Debug, Clone, PartialEq)]
struct Sent {
    kind: &'static str,
    due_at: Timestamp,
    request: Request,
    email: Option<String>,
    person: Option<[u8; 16]>,
}

type ByDestination = BTreeMap<Name, Vec<Sent>>;

impl Changes {
    pub fn new(old: Trial, new: Trial, limit: usize) -> Self {
        Self {
            old,
            new,
            limit,
            people: HashSet::new(),
            counts: Counts::default(),
            samples: Vec::new(),
        }
    }

    /// Has both know what came earlier.
    pub async fn run_earlier(&mut self, envelopes: Vec<Envelope>) -> anyhow::Result<()> {
        self.counts.earlier += u64::try_from(envelopes.len()).unwrap_or(0);
        self.old.play(envelopes.clone()).await?;
        self.new.play(envelopes).await?;
        Ok(())
    }

    /// Runs both, and counts what differs. The numbers are those of the real store.
    pub async fn compare(&mut self, records: Vec<(InboxId, Envelope)>) -> anyhow::Result<()> {
        let (ids, envelopes): (Vec<InboxId>, Vec<Envelope>) = records.into_iter().unzip();
        let old = self.old.play(envelopes.clone()).await?;
        let new = self.new.play(envelopes.clone()).await?;
        let old_sent = sent(&self.old, &old)?;
        let new_sent = sent(&self.new, &new)?;
        let both = old.into_iter().zip(old_sent).zip(new.into_iter().zip(new_sent));
        for ((id, envelope), (old, new)) in ids.into_iter().zip(&envelopes).zip(both) {
            self.one(id, envelope, old, new);
        }
        self.counts.people_changed = u64::try_from(self.people.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    fn one(
        &mut self,
        id: InboxId,
        envelope: &Envelope,
        (old, mut old_sent): (Played, ByDestination),
        (new, mut new_sent): (Played, ByDestination),
    ) {
        if old.state == InboxState::Duplicate && new.state == InboxState::Duplicate {
            self.counts.repeats += 1;
            return;
        }
        self.counts.records += 1;
        self.count_skipped(&old, |count| &mut count.old);
        self.count_skipped(&new, |count| &mut count.new);
        let mut changes = Vec::new();
        if old.state != new.state {
            let how = format!("{} → {}", old.state.as_str(), new.state.as_str());
            *self.counts.read_otherwise.entry(how).or_default() += 1;
            changes.push((None, Change::ReadOtherwise, None, None));
        }
        let mut names: Vec<Name> = old_sent.keys().chain(new_sent.keys()).map(Name::clone).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let mut before = old_sent.remove(&name).unwrap_or_default().into_iter();
            let mut after = new_sent.remove(&name).unwrap_or_default().into_iter();
            let count = self.counts.destinations.entry(Name::clone(&name)).or_default();
            loop {
                let (before, after) = (before.next(), after.next());
                let change = match (&before, &after) {
                    (None, None) => break,
                    (Some(_), None) => Change::Removed,
                    (None, Some(_)) => Change::Added,
                    (Some(before), Some(after)) if before.differs(after) => Change::Changed,
                    (Some(_), Some(_)) => {
                        count.old += 1;
                        count.new += 1;
                        continue;
                    }
                };
                count.old += u64::from(before.is_some());
                count.new += u64::from(after.is_some());
                match change {
                    Change::Added => count.added += 1,
                    Change::Removed => count.removed += 1,
                    Change::Changed | Change::ReadOtherwise => count.changed += 1,
                }
                changes.push((Some(Name::clone(&name)), change, before, after));
            }
        }
        self.counts.records_changed += u64::from(!changes.is_empty());
        for (destination, change, before, after) in changes {
            let person = before.as_ref().or(after.as_ref()).and_then(|sent| sent.person);
            self.people.extend(person);
            if self.has_enough(destination.as_ref(), change) {
                continue;
            }
            let email = before
                .as_ref()
                .or(after.as_ref())
                .and_then(|sent| sent.email.clone());
            let side = |sent: Option<Sent>, played: &Played| side(sent, played, destination.as_ref());
            self.samples.push(Sample {
                record: id,
                received_at: envelope.received_at,
                source: Name::clone(&envelope.source),
                change,
                email,
                old: side(before, &old),
                new: side(after, &new),
                destination: destination.clone(),
            });
        }
    }

    fn has_enough(&self, destination: Option<&Name>, change: Change) -> bool {
        let alike = self
            .samples
            .iter()
            .filter(|sample| sample.change == change && sample.destination.as_ref() == destination);
        alike.count() >= self.limit
    }

    fn count_skipped(&mut self, played: &Played, which: fn(&mut OldNew) -> &mut u64) {
        for (name, reason) in &played.skipped {
            let skipped = &mut self
                .counts
                .destinations
                .entry(Name::clone(name))
                .or_default()
                .skipped;
            let known = skipped.len();
            let count = match skipped.entry(reason.clone()) {
                Entry::Occupied(found) => found.into_mut(),
                Entry::Vacant(free) if known < REASONS => free.insert(OldNew::default()),
                Entry::Vacant(_) => skipped.entry("other reasons".to_owned()).or_default(),
            };
            *which(count) += 1;
        }
    }
}

impl Sent {
    fn differs(&self, other: &Self) -> bool {
        (self.kind, self.due_at, &self.request) != (other.kind, other.due_at, &other.request)
    }
}

fn side(sent: Option<Sent>, played: &Played, destination: Option<&Name>) -> Side {
    let Some(sent) = sent else {
        let skipped = played.skipped.iter().find(|(name, _)| Some(name) == destination);
        let why = match (skipped, &played.reason) {
            (Some((_, reason)), _) => format!("skipped: {reason}"),
            (None, Some(reason)) => format!("the message is {}: {reason}", played.state.as_str()),
            (None, None) if destination.is_none() => format!("the message is {}", played.state.as_str()),
            (None, None) => "not told".to_owned(),
        };
        return Side {
            request: None,
            why: Some(why),
        };
    };
    let about = format!("{}, due {}", sent.kind, sent.due_at);
    match sent.request {
        Ok(request) => Side {
            request: Some(request),
            why: Some(about),
        },
        Err(reason) => Side {
            request: None,
            why: Some(format!("{about}, would be dead: {reason}")),
        },
    }
}

/// For each record what its destinations would be sent. Each destination is asked once for the whole batch.
fn sent(trial: &Trial, played: &[Played]) -> anyhow::Result<Vec<ByDestination>> {
    let mut batches: BTreeMap<&Name, Vec<(usize, &Told)>> = BTreeMap::new();
    for (index, record) in played.iter().enumerate() {
        for told in &record.told {
            batches.entry(&told.destination).or_default().push((index, told));
        }
    }
    let mut all: Vec<ByDestination> = played.iter().map(|_| ByDestination::new()).collect();
    for (name, batch) in batches {
        let deliveries: Vec<Delivery> = batch.iter().map(|(_, told)| told.delivery.clone()).collect();
        let requests = trial.preview(name, &deliveries)?;
        for ((index, told), request) in batch.into_iter().zip(requests) {
            let record = &told.delivery.record;
            let Some(of_record) = all.get_mut(index) else {
                continue;
            };
            of_record.entry(Name::clone(name)).or_default().push(Sent {
                kind: record.kind.as_str(),
                due_at: told.due_at,
                request,
                email: record.email().map(str::to_owned),
                person: person(&record.workspace, &record.identities),
            });
        }
    }
    Ok(all)
}

/// Stands for a person in both stores, where they have different numbers.
fn person(workspace: &str, identities: &[Identity]) -> Option<[u8; 16]> {
    let first = identities.iter().min()?;
    Some(digest(&[
        workspace.as_bytes(),
        first.kind().as_bytes(),
        first.namespace().as_bytes(),
        first.value().as_bytes(),
    ]))
}
