//! `causeway preview`: what a destination would be sent now, from what is known now.

use std::sync::Arc;

use causeway_connect::config::Context as ConnectContext;
use causeway_core::{
    delivery::{Delivery, Kind},
    id::{ContactId, InboxId, Name},
    rules::{DestinationRule, Gate, sandbox_of},
    store::{DeliveryFilter, DeliveryRow},
};
use causeway_store::{Of, Stored};
use serde::Serialize;

use super::{
    Failure,
    context::{Context, say, say_json},
};
use crate::{
    clock::SystemClock,
    config::{Config, DestinationConfig, one_of},
    people,
};

/// Shows the exact request that a destination would be sent now for a person, made from the newest event about them that
/// the destination takes, or for one record; and why it would not be sent. Reads only: nothing is sent, planned or changed.
/// Secrets are masked.
#[derive(clap::Args)]
#[command(
    after_help = "Example: causeway preview --destination crm --email jane@example.org\n         causeway preview --destination crm --record 17 --json"
)]
pub(super) struct Args {
    #[arg(long, value_name = "NAME")]
    destination: String,
    /// An e-mail address, or an id with its namespace, as in `platform:8812`.
    #[arg(long, value_name = "ADDRESS", required_unless_present = "record")]
    email: Option<String>,
    /// The person as this workspace knows them; default: the destination's.
    #[arg(long, value_name = "NAME", conflicts_with = "record")]
    workspace: Option<String>,
    /// This record and no other.
    #[arg(long, value_name = "ID", conflicts_with = "email")]
    record: Option<i64>,
    /// For scripts.
    #[arg(long)]
    json: bool,
}

/// The answer.
#[derive(Serialize)]
struct Preview {
    destination: Name,
    record: InboxId,
    event: String,
    kind: Kind,
    /// Whether it would be sent as things stand.
    sent: bool,
    /// Why it would not, or not yet.
    reasons: Vec<String>,
    /// What else is good to know.
    notes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
}

/// Events of a contact to look through for one that the destination takes.
const NEWEST: u32 = 100;

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let config = context.load()?;
    let Some((name, destination)) = config.destinations.get_key_value(args.destination.as_str()) else {
        let known: Vec<&str> = config.destinations.keys().map(|name| &**name).collect();
        return Err(Failure::Usage(format!(
            "there is no destination {:?}; {}",
            args.destination,
            one_of(&args.destination, &known)
        )));
    };
    let stored = Stored::open(&config.store_path()).await?;
    let asked = Asked {
        config: &config,
        stored: &stored,
        name,
        destination,
    };
    let preview = match (&args.email, args.record) {
        (_, Some(record)) => asked.of_record(InboxId(record)).await?,
        (Some(email), None) => asked.of_person(email, args.workspace.as_deref()).await?,
        (None, None) => {
            return Err(Failure::Usage(
                "say whom with --email, or what with --record".to_owned(),
            ));
        }
    };
    if args.json {
        return say_json(&preview);
    }
    tell(&preview, destination.kind.name);
    Ok(())
}

struct Asked<'a> {
    config: &'a Config,
    stored: &'a Stored,
    name: &'a Name,
    destination: &'a DestinationConfig,
}

impl Asked<'_> {
    async fn sketches(&self, of: Of, kind: Option<Kind>) -> Result<Vec<Delivery>, Failure> {
        let rules = Arc::new(self.config.rules());
        Ok(self.stored.sketches(rules, self.name, of, kind, NEWEST).await?)
    }

    async fn of_record(&self, id: InboxId) -> Result<Preview, Failure> {
        let delivery = self.sketches(Of::Record(id), None).await?.pop().ok_or_else(|| {
            Failure::Failed(anyhow::anyhow!(
                "record {id} is not known, was not understood, or is not processed yet; `causeway trace {id}` tells"
            ))
        })?;
        self.preview(delivery).await
    }

    async fn of_person(&self, who: &str, workspace: Option<&str>) -> Result<Preview, Failure> {
        let rule = &self.destination.rule;
        let own = if rule.sandbox {
            sandbox_of(&rule.workspace)
        } else {
            Name::clone(&rule.workspace)
        };
        let wanted = workspace.map_or(own, Name::from);
        let (here, elsewhere): (Vec<_>, Vec<_>) = self
            .stored
            .find_named(who)
            .await?
            .into_iter()
            .partition(|named| named.workspace == wanted);
        let found = people::choose(&here).map_err(|several| Failure::Usage(several.to_string()))?;
        let mut elsewhere: Vec<String> = elsewhere
            .iter()
            .map(|named| named.workspace.to_string())
            .collect();
        elsewhere.dedup();
        // Without the address: errors of commands end up in logs and mails.
        let contact = found.first().copied().ok_or_else(|| {
            Failure::Failed(match elsewhere.as_slice() {
                [] => anyhow::anyhow!("nobody is known by that (never seen, or erased)"),
                places => anyhow::anyhow!(
                    "nobody is known by that in the workspace {wanted}; somebody is in {}",
                    places.join(", ")
                ),
            })
        })?;
        let of = Of::Contact(contact);
        let mut events = self.sketches(of, None).await?;
        if events.is_empty() {
            return Err(Failure::Failed(anyhow::anyhow!(
                "no event of this person is kept any more: there is nothing to send"
            )));
        }
        let taken = events
            .iter()
            .position(|delivery| not_routed(rule, delivery).is_none())
            .unwrap_or(0);
        self.preview(events.swap_remove(taken)).await
    }

    async fn preview(&self, delivery: Delivery) -> Result<Preview, Failure> {
        let rule = &self.destination.rule;
        let (mut reasons, mut notes) = (Vec::new(), Vec::new());
        reasons.extend(not_routed(rule, &delivery));
        let history = self.history(&delivery).await?;
        let delivery = self
            .by_consent(delivery, &history, &mut reasons, &mut notes)
            .await?;
        if let Some(row) = history
            .iter()
            .find(|row| row.inbox_id == delivery.record.inbox_id)
        {
            let when = row.finished_at.map(|at| format!(" at {at}")).unwrap_or_default();
            let why = row
                .reason
                .as_ref()
                .map(|why| format!(" ({why})"))
                .unwrap_or_default();
            notes.push(format!(
                "delivery {} of this record is {}{when}{why}; this is how it would be made now",
                row.id, row.state
            ));
        }
        if let Some(lane) = self.stored.lanes().await?.get(self.name) {
            let name = self.name;
            if let Some(reason) = &lane.halted {
                reasons.push(format!(
                    "{name} is halted: {reason}; `causeway delivery resume {name}`"
                ));
            }
            if lane.paused {
                reasons.push(format!("{name} is paused; `causeway delivery resume {name}`"));
            }
        }
        let request = match self.request(&delivery)? {
            Ok(request) => Some(request),
            Err(reason) => {
                reasons.push(format!("it would be dead: {reason}"));
                None
            }
        };
        Ok(Preview {
            destination: Name::clone(self.name),
            record: delivery.record.inbox_id,
            event: delivery.record.event,
            kind: delivery.record.kind,
            sent: reasons.is_empty(),
            reasons,
            notes,
            request,
        })
    }

    /// What the destination was told of the person, newest first.
    async fn history(&self, delivery: &Delivery) -> Result<Vec<DeliveryRow>, Failure> {
        let Some(contact) = self.contact_of(delivery).await? else {
            return Ok(Vec::new());
        };
        let filter = DeliveryFilter {
            destination: Some(Name::clone(self.name)),
            contact: Some(contact),
            ..DeliveryFilter::default()
        };
        Ok(self.stored.deliveries(filter, NEWEST).await?)
    }

    async fn contact_of(&self, delivery: &Delivery) -> Result<Option<ContactId>, Failure> {
        for identity in &delivery.record.identities {
            let found = self.stored.find_named(identity.value()).await?;
            let same = found
                .iter()
                .find(|named| named.identity == *identity && named.workspace == delivery.record.workspace);
            if let Some(named) = same {
                return Ok(Some(named.contact));
            }
        }
        Ok(None)
    }

    /// Asks consent. Who was given the person and may not have them any more is told that, instead.
    async fn by_consent(
        &self,
        delivery: Delivery,
        history: &[DeliveryRow],
        reasons: &mut Vec<String>,
        notes: &mut Vec<String>,
    ) -> Result<Delivery, Failure> {
        let (rule, record) = (&self.destination.rule, &delivery.record);
        let standing = record.standing_for(&rule.purpose);
        let Gate::Skip { reason } = rule.gate(record.kind, standing, record.contact.gave_data) else {
            return Ok(delivery);
        };
        let last = history.iter().find(|row| row.state == "delivered");
        let has_the_person = last.is_some_and(|row| row.kind != Kind::Withdrawal.as_str());
        if has_the_person {
            let of = Of::Record(record.inbox_id);
            if let Some(withdrawal) = self.sketches(of, Some(Kind::Withdrawal)).await?.pop() {
                notes.push(format!(
                    "{reason}; it has the person, and so is told of the withdrawal"
                ));
                return Ok(withdrawal);
            }
        }
        reasons.push(reason);
        Ok(delivery)
    }

    fn request(&self, delivery: &Delivery) -> Result<Result<String, String>, Failure> {
        let context = ConnectContext {
            name: Name::clone(self.name),
            clock: Arc::new(SystemClock),
            dir: self.config.dir.clone(),
            tables: self.config.lookups.clone(),
        };
        let batch = std::slice::from_ref(delivery);
        let mut made = (self.destination.kind.preview)(&context, &self.destination.table, batch)
            .map_err(|error| anyhow::Error::from(self.config.error_in("destination", self.name, error)))?;
        Ok(made.pop().unwrap_or_else(|| Ok(String::new())))
    }
}

/// Why the destination takes no events like this one.
fn not_routed(rule: &DestinationRule, delivery: &Delivery) -> Option<String> {
    let record = &delivery.record;
    let own = if rule.sandbox {
        sandbox_of(&rule.workspace)
    } else {
        Name::clone(&rule.workspace)
    };
    if record.workspace != own {
        return Some(format!(
            "it belongs to the workspace {}, and the destination to {own}",
            record.workspace
        ));
    }
    let campaign = record.campaign.as_ref().map(|campaign| campaign.name.as_str());
    let action = record.action.as_ref().map(|action| action.action_type.as_str());
    for (key, wanted, have) in [
        ("sources", &rule.filter.sources, Some(&*record.source)),
        ("campaigns", &rule.filter.campaigns, campaign),
        ("action_types", &rule.filter.action_types, action),
    ] {
        let Some(wanted) = wanted else { continue };
        if !have.is_some_and(|have| wanted.contains(have)) {
            let have = have.map_or_else(
                || "the event has none".to_owned(),
                |have| format!("it is {have:?}"),
            );
            return Some(format!("`{key}` leaves it out: {have}"));
        }
    }
    None
}

fn tell(preview: &Preview, kind: &str) {
    say(&format!(
        "record {}, {}, as a {}",
        preview.record,
        preview.event,
        preview.kind.as_str()
    ));
    for note in &preview.notes {
        say(&format!("note: {note}"));
    }
    for reason in &preview.reasons {
        say(&format!("not sent: {reason}"));
    }
    if let Some(request) = &preview.request {
        let would = if preview.sent {
            "would be sent"
        } else {
            "would be sent, were it not for that"
        };
        say(&format!(
            "\n→ {} ({kind}) {would}:\n{}",
            preview.destination,
            request.trim_end()
        ));
    }
}
