//! Runs the same messages through two configurations and compares the results.

mod report;

use std::collections::{BTreeMap, BTreeSet, HashSet, btree_map::Entry};

use causeway_core::{
    clock::Timestamp,
    contact::Identity,
    delivery::Delivery,
    envelope::{Envelope, digest},
    id::{InboxId, Name},
    store::InboxState,
};
use causeway_store::{TrialDelivery, TrialResult};

pub use report::{Change, Counts, Deliveries, OldNew, Sample, Side};

use super::{Request, Trial};

/// Maximum number of different reasons per destination; all further ones are counted together.
const REASONS: usize = 50;

/// The number of deliveries of automations kept to be matched with those that the other configuration sends at another
/// time.
const UNMATCHED: usize = 1_000;

/// Runs both configurations, counts the changes, and keeps a few samples of each sort.
pub struct Changes {
    old: Trial,
    new: Trial,
    /// Maximum number of samples per sort of change and destination.
    limit: usize,
    people: HashSet<[u8; 16]>,
    pub counts: Counts,
    pub samples: Vec<Sample>,
}

/// A delivery that one of the configurations would send for one message.
#[derive(Debug, Clone, PartialEq)]
struct Sent {
    kind: &'static str,
    due_at: Timestamp,
    request: Request,
    email: Option<String>,
    person: Option<[u8; 16]>,
}

/// The message or scheduled run with a change.
struct Place {
    record: Option<InboxId>,
    received_at: Timestamp,
    source: Name,
}

/// A difference. Without a destination, the message itself is decoded differently.
#[derive(Default)]
struct Difference {
    destination: Option<Name>,
    old: Option<Sent>,
    new: Option<Sent>,
}

impl Difference {
    fn at(destination: &Name, old: Option<Sent>, new: Option<Sent>) -> Self {
        Self {
            destination: Some(Name::clone(destination)),
            old,
            new,
        }
    }
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

    /// Runs earlier messages through both, so that both know the contacts.
    pub async fn run_earlier(&mut self, envelopes: Vec<Envelope>) -> anyhow::Result<()> {
        self.counts.earlier += u64::try_from(envelopes.len()).unwrap_or(0);
        self.old.process(envelopes.clone()).await?;
        self.new.process(envelopes).await?;
        Ok(())
    }

    /// Runs messages through both and counts the differences. Messages have the numbers of the real store.
    pub async fn compare(&mut self, records: Vec<(InboxId, Envelope)>) -> anyhow::Result<()> {
        let (ids, envelopes): (Vec<InboxId>, Vec<Envelope>) = records.into_iter().unzip();
        let old = self.old.process(envelopes.clone()).await?;
        let new = self.new.process(envelopes.clone()).await?;
        let old_sent = sent(&self.old, &old)?;
        let new_sent = sent(&self.new, &new)?;
        let both = old.into_iter().zip(old_sent).zip(new.into_iter().zip(new_sent));
        for ((id, envelope), (old, new)) in ids.into_iter().zip(&envelopes).zip(both) {
            self.one(id, envelope, old, new);
        }
        Ok(())
    }

    /// Lets time pass for both: timers fire and scheduled automations run. Scheduled runs before the compared time are
    /// left out, since they might be very many.
    pub async fn advance(&mut self, until: Timestamp, is_compared: bool) -> anyhow::Result<()> {
        if !is_compared {
            for trial in [&mut self.old, &mut self.new] {
                trial.skip_turns(until);
                while trial.advance(until).await?.is_some() {}
            }
            return Ok(());
        }
        let (mut old, mut new) = (ByDestination::new(), ByDestination::new());
        // The earlier one first, so that equal scheduled runs are compared with each other.
        while let Some(next) = earlier(self.old.next(until).await?, self.new.next(until).await?) {
            let turns = self.old.advance(next).await?.unwrap_or_default();
            gather(&mut old, sent(&self.old, &turns)?);
            for turn in &turns {
                self.count_skipped(turn, |count| &mut count.old);
            }
            let turns = self.new.advance(next).await?.unwrap_or_default();
            gather(&mut new, sent(&self.new, &turns)?);
            for turn in &turns {
                self.count_skipped(turn, |count| &mut count.new);
            }
            self.cancel_same(&mut old, &mut new);
            if count(&old).saturating_add(count(&new)) > UNMATCHED {
                self.turns(std::mem::take(&mut old), std::mem::take(&mut new));
            }
        }
        self.turns(old, new);
        Ok(())
    }

    /// Removes deliveries that are the same in both, and counts them.
    fn cancel_same(&mut self, old: &mut ByDestination, new: &mut ByDestination) {
        for (name, before) in old {
            let Some(after) = new.get_mut(name) else { continue };
            let count = self.counts.destinations.entry(Name::clone(name)).or_default();
            before.retain(|sent| {
                let same = after.iter().position(|other| !sent.differs(other));
                if let Some(same) = same {
                    after.remove(same);
                    count.old += 1;
                    count.new += 1;
                }
                same.is_none()
            });
        }
    }

    fn turns(&mut self, old: ByDestination, new: ByDestination) {
        for change in self.differences(old, new) {
            let sent = change.old.as_ref().or(change.new.as_ref());
            let place = Place {
                record: None,
                received_at: sent.map_or(Timestamp::MIN, |sent| sent.due_at),
                source: "~automations".into(),
            };
            self.keep(vec![change], &place, None, None);
        }
    }

    fn one(
        &mut self,
        id: InboxId,
        envelope: &Envelope,
        (old, old_sent): (TrialResult, ByDestination),
        (new, new_sent): (TrialResult, ByDestination),
    ) {
        if old.state == InboxState::Duplicate && new.state == InboxState::Duplicate {
            self.counts.repeats += 1;
            return;
        }
        self.counts.records += 1;
        self.count_skipped(&old, |count| &mut count.old);
        self.count_skipped(&new, |count| &mut count.new);
        let mut changes = self.differences(old_sent, new_sent);
        if old.state != new.state {
            let how = format!("{} → {}", old.state.as_str(), new.state.as_str());
            *self.counts.read_otherwise.entry(how).or_default() += 1;
            changes.insert(0, Difference::default());
        }
        self.counts.records_changed += u64::from(!changes.is_empty());
        let place = Place {
            record: Some(id),
            received_at: envelope.received_at,
            source: Name::clone(&envelope.source),
        };
        self.keep(changes, &place, Some(&old), Some(&new));
    }

    /// Counts and returns the differences.
    fn differences(&mut self, mut old: ByDestination, mut new: ByDestination) -> Vec<Difference> {
        let names: BTreeSet<Name> = old.keys().chain(new.keys()).map(Name::clone).collect();
        let mut differences = Vec::new();
        for name in names {
            let (mut before, mut after) = (
                old.remove(&name).unwrap_or_default(),
                new.remove(&name).unwrap_or_default(),
            );
            let count = self.counts.destinations.entry(Name::clone(&name)).or_default();
            count.old += u64::try_from(before.len()).unwrap_or(0);
            count.new += u64::try_from(after.len()).unwrap_or(0);
            before.retain(|sent| {
                let same = after.iter().position(|other| !sent.differs(other));
                if let Some(same) = same {
                    after.remove(same);
                }
                same.is_none()
            });
            for sent in before {
                let other = after.iter().position(|other| other.person == sent.person);
                let other = other.map(|other| after.remove(other));
                count.changed += u64::from(other.is_some());
                count.removed += u64::from(other.is_none());
                differences.push(Difference::at(&name, Some(sent), other));
            }
            for sent in after {
                count.added += 1;
                differences.push(Difference::at(&name, None, Some(sent)));
            }
        }
        differences
    }

    fn keep(
        &mut self,
        changes: Vec<Difference>,
        place: &Place,
        old: Option<&TrialResult>,
        new: Option<&TrialResult>,
    ) {
        for Difference {
            destination,
            old: before,
            new: after,
        } in changes
        {
            let change = match (&destination, &before, &after) {
                (None, ..) => Change::ReadOtherwise,
                (_, Some(_), Some(_)) => Change::Changed,
                (_, Some(_), None) => Change::Removed,
                (_, None, _) => Change::Added,
            };
            let sent = before.as_ref().or(after.as_ref());
            self.people.extend(sent.and_then(|sent| sent.person));
            if self.has_enough(destination.as_ref(), change) {
                continue;
            }
            self.samples.push(Sample {
                record: place.record,
                received_at: place.received_at,
                source: Name::clone(&place.source),
                change,
                email: sent.and_then(|sent| sent.email.clone()),
                old: side(before, old, destination.as_ref()),
                new: side(after, new, destination.as_ref()),
                destination,
            });
        }
        self.counts.people_changed = u64::try_from(self.people.len()).unwrap_or(u64::MAX);
    }

    fn has_enough(&self, destination: Option<&Name>, change: Change) -> bool {
        let alike = self
            .samples
            .iter()
            .filter(|sample| sample.change == change && sample.destination.as_ref() == destination);
        alike.count() >= self.limit
    }

    fn count_skipped(&mut self, played: &TrialResult, which: fn(&mut OldNew) -> &mut u64) {
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

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

fn gather(all: &mut ByDestination, turns: Vec<ByDestination>) {
    for (name, sent) in turns.into_iter().flatten() {
        all.entry(name).or_default().extend(sent);
    }
}

fn count(all: &ByDestination) -> usize {
    all.values().map(Vec::len).sum()
}

impl Sent {
    fn differs(&self, other: &Self) -> bool {
        (self.kind, self.due_at, &self.request) != (other.kind, other.due_at, &other.request)
    }
}

fn side(sent: Option<Sent>, played: Option<&TrialResult>, destination: Option<&Name>) -> Side {
    let Some(sent) = sent else {
        let Some(played) = played else {
            return Side {
                request: None,
                why: Some("not sent".to_owned()),
            };
        };
        let skipped = played.skipped.iter().find(|(name, _)| Some(name) == destination);
        let why = match (skipped, &played.reason) {
            (Some((_, reason)), _) => format!("skipped: {reason}"),
            (None, Some(reason)) => format!("the message is {}: {reason}", played.state.as_str()),
            (None, None) if destination.is_none() => format!("the message is {}", played.state.as_str()),
            (None, None) => "not sent".to_owned(),
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
        Err(unsent) => Side {
            request: None,
            why: Some(format!("{about}, {unsent}")),
        },
    }
}

/// The deliveries of each message by destination. The requests of a destination are made once for the whole batch.
fn sent(trial: &Trial, played: &[TrialResult]) -> anyhow::Result<Vec<ByDestination>> {
    let mut batches: BTreeMap<&Name, Vec<(usize, &TrialDelivery)>> = BTreeMap::new();
    for (index, record) in played.iter().enumerate() {
        for planned in &record.deliveries {
            batches
                .entry(&planned.destination)
                .or_default()
                .push((index, planned));
        }
    }
    let mut all: Vec<ByDestination> = played.iter().map(|_| ByDestination::new()).collect();
    for (name, batch) in batches {
        let deliveries: Vec<Delivery> = batch
            .iter()
            .map(|(_, planned)| planned.delivery.clone())
            .collect();
        let requests = trial.preview(name, &deliveries)?;
        for ((index, planned), request) in batch.into_iter().zip(requests) {
            let record = &planned.delivery.record;
            let Some(of_record) = all.get_mut(index) else {
                continue;
            };
            of_record.entry(Name::clone(name)).or_default().push(Sent {
                kind: record.kind.as_str(),
                due_at: planned.due_at,
                request,
                email: record.email().map(str::to_owned),
                person: person(&record.workspace, &record.identities),
            });
        }
    }
    Ok(all)
}

/// Identifies a person in both stores, where contacts have different numbers.
fn person(workspace: &str, identities: &[Identity]) -> Option<[u8; 16]> {
    let first = identities.iter().min()?;
    Some(digest(&[
        workspace.as_bytes(),
        first.kind().as_bytes(),
        first.namespace().as_bytes(),
        first.value().as_bytes(),
    ]))
}
