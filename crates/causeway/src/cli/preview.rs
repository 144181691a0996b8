//! `causeway preview`: shows the request that a destination would be sent now.

use std::sync::Arc;

use causeway_connect::{config::Context as ConnectContext, destination::Unsent};
use causeway_core::{
    consent::Change,
    contact::normal_email,
    delivery::{Delivery, Kind},
    explain::{self, Obstacle, Permission, Reader, Scope},
    id::{ContactId, InboxId, Name},
    record::Record,
    rules::{DestinationRule, Gate, Route, sandbox_of},
    store::{DeliveryFilter, DeliveryRow, Views},
};
use causeway_store::{EventsOf, Stored};
use serde::Serialize;

use super::{
    Failure,
    context::{Context, print_json, print_line},
};
use crate::{
    clock::SystemClock,
    config::{Config, DestinationConfig, one_of},
    people::{self, left_behind_in_words},
};

/// Shows the exact request that a destination would be sent now, and why it would not be sent. It is made from one
/// message, or from the newest event about a person that the destination takes. Nothing is sent, planned or changed.
/// Secrets are masked.
#[derive(clap::Args)]
#[command(
    after_help = "Example: causeway preview --destination crm --email jane@example.org\n         causeway preview --destination crm --message 17 --json"
)]
pub(super) struct Args {
    #[arg(long, value_name = "NAME")]
    destination: String,
    /// An e-mail address, or an id with its namespace, such as `platform:8812`.
    #[arg(long, value_name = "ADDRESS", required_unless_present = "message")]
    email: Option<String>,
    /// The workspace of the person; default: that of the destination.
    #[arg(long, value_name = "NAME", conflicts_with = "message")]
    workspace: Option<String>,
    /// The number of one message.
    #[arg(long, value_name = "ID", conflicts_with = "email")]
    message: Option<i64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The output.
#[derive(Serialize)]
struct Preview {
    destination: Name,
    record: InboxId,
    event: String,
    kind: Kind,
    /// Whether it may be sent, why, since when, and what the destination was sent last.
    sentence: String,
    /// The same as fields; `None` if the message names no known person.
    permission: Option<Permission>,
    /// Whether the request would be sent now.
    sent: bool,
    /// Why the request would not be sent, or not yet.
    reasons: Vec<String>,
    /// Further notes.
    notes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
}

/// Number of a contact's newest events to search for one that the destination takes.
const NEWEST: u32 = 100;

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let config = context.load()?;
    let Some((name, destination)) = config.destinations.get_key_value(args.destination.as_str()) else {
        let configured = config.rules().places();
        // Without a store, no destination was ever sent anything.
        if let Ok(store) = context.open_to_read(&config).await
            && let Some((name, people)) = store
                .left_behind(configured)
                .await?
                .get_key_value(args.destination.as_str())
        {
            return Err(Failure::Usage(format!(
                "{name} is no longer in the configuration, so nothing is sent to it: {}",
                left_behind_in_words(name, *people, config.destinations.contains_key(name))
            )));
        }
        let known: Vec<&str> = config.destinations.keys().map(|name| &**name).collect();
        return Err(Failure::Usage(format!(
            "there is no destination {:?}; {}",
            args.destination,
            one_of(&args.destination, &known)
        )));
    };
    let stored = Stored::open(&crate::hub::existing_store(&config).map_err(Failure::Failed)?).await?;
    let inquiry = Inquiry {
        config: &config,
        stored: &stored,
        name,
        destination,
        address: args.email.as_deref().and_then(normal_email),
    };
    let preview = match (&args.email, args.message) {
        (_, Some(record)) => inquiry.of_record(InboxId(record)).await?,
        (Some(email), None) => inquiry.of_person(email, args.workspace.as_deref()).await?,
        (None, None) => {
            return Err(Failure::Usage(
                "name the person with --email, or the message with --message".to_owned(),
            ));
        }
    };
    if args.json {
        return print_json(&preview);
    }
    print(&preview, destination.kind.name);
    Ok(())
}

struct Inquiry<'a> {
    config: &'a Config,
    stored: &'a Stored,
    name: &'a Name,
    destination: &'a DestinationConfig,
    /// The address given on the command line, normalised.
    address: Option<String>,
}

impl Inquiry<'_> {
    async fn sketches(&self, of: EventsOf, kind: Option<Kind>) -> Result<Vec<Delivery>, Failure> {
        let rules = Arc::new(self.config.rules());
        Ok(self.stored.previews(rules, self.name, of, kind, NEWEST).await?)
    }

    async fn of_record(&self, id: InboxId) -> Result<Preview, Failure> {
        let delivery = self.sketches(EventsOf::Message(id), None).await?.pop().ok_or_else(|| {
            Failure::Failed(anyhow::anyhow!(
                "message {id} does not exist, was not understood, or is not processed yet; `causeway trace {id}` shows \
                 which"
            ))
        })?;
        // What was planned for the message may be another kind than its event suggests, such as a withdrawal.
        let history = self.history(&delivery).await?;
        let planned = history
            .iter()
            .find(|row| row.inbox_id == id)
            .and_then(|row| Kind::parse(&row.kind));
        if planned.is_none_or(|kind| kind == delivery.record.kind) {
            return self.preview(delivery).await;
        }
        let of_kind = self.sketches(EventsOf::Message(id), planned).await?.pop();
        self.preview(of_kind.unwrap_or(delivery)).await
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
        // The text leaves out the address, because errors of commands end up in logs and mails.
        let contact = found.first().copied().ok_or_else(|| {
            Failure::Failed(match elsewhere.as_slice() {
                [] => anyhow::anyhow!("no contact has that address or id (never seen, or erased)"),
                places => anyhow::anyhow!(
                    "no contact has that address or id in the workspace {wanted}; one does in {}",
                    places.join(", ")
                ),
            })
        })?;
        let of = EventsOf::Contact(contact);
        let mut events = self.sketches(of, None).await?;
        if events.is_empty() {
            return Err(Failure::Failed(anyhow::anyhow!(
                "no event of this person is stored any more, so there is nothing to send"
            )));
        }
        let taken = events
            .iter()
            .position(|delivery| is_taken(rule, &delivery.record))
            .unwrap_or(0);
        self.preview(events.swap_remove(taken)).await
    }

    async fn preview(&self, mut delivery: Delivery) -> Result<Preview, Failure> {
        let (mut reasons, mut notes) = (Vec::new(), Vec::new());
        let history = self.history(&delivery).await?;
        let permission = self.permission(&delivery).await?;
        let sentence = permission.as_ref().map_or_else(
            || format!("Not sent to {}: the message is about no person.", self.name),
            |permission| permission.sentence.clone(),
        );
        if permission
            .as_ref()
            .is_none_or(|permission| !permission.may_be_sent)
        {
            if let Some(withdrawal) = self.withdrawal(&delivery, permission.as_ref(), &history).await? {
                delivery = withdrawal;
                notes.push("the destination has the person, so the withdrawal would be sent".to_owned());
            } else {
                if lacks_consent(permission.as_ref()) && has_the_person(&history) {
                    notes.push(KEEPS_THEM.to_owned());
                }
                reasons.push(sentence.clone());
            }
        }
        let (rule, record) = (&self.destination.rule, &delivery.record);
        let consent_state = record.consent_state_for(&rule.purpose);
        if reasons.is_empty()
            && record.change != Change::Remove
            && let Gate::Skip { reason } = rule.gate(record.kind, consent_state, record.contact.gave_data)
        {
            reasons.push(reason);
        }
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
                "delivery {} of this message is {}{when}{why}; this is the request it would be now",
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
            Err(unsent) => {
                reasons.push(format!("it {unsent}"));
                None
            }
        };
        Ok(Preview {
            destination: Name::clone(self.name),
            record: delivery.record.inbox_id,
            event: delivery.record.event,
            kind: delivery.record.kind,
            sentence,
            permission,
            sent: reasons.is_empty(),
            reasons,
            notes,
            request,
        })
    }

    /// The deliveries that the destination was sent about the person, newest first.
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
                .find(|named| named.own == *identity && named.workspace == delivery.record.workspace);
            if let Some(named) = same {
                return Ok(Some(named.contact));
            }
        }
        Ok(None)
    }

    async fn permission(&self, delivery: &Delivery) -> Result<Option<Permission>, Failure> {
        let view = match self.contact_of(delivery).await? {
            Some(contact) => self.stored.contact(contact).await?,
            None => None,
        };
        let scope = Scope::Message(delivery.record.inbox_id);
        let reader = Reader {
            asked: self.address.as_deref(),
            show: str::to_owned,
        };
        Ok(view.map(|view| explain::of(&view, &self.destination.rule, scope, reader)))
    }

    /// The withdrawal for a destination that has the person and may no longer use their data.
    async fn withdrawal(
        &self,
        delivery: &Delivery,
        permission: Option<&Permission>,
        history: &[DeliveryRow],
    ) -> Result<Option<Delivery>, Failure> {
        // A withdrawal that is not for an opt-out was planned when the consent ended, so it is among the waiting ones.
        let is_due = permission.is_some_and(|one| {
            let waits =
                |row: &explain::Withdrawal| !row.is_void && matches!(&*row.state, "waiting" | "blocked");
            one.consent.is_opt_out() || one.withdrawals.iter().any(waits)
        });
        if !lacks_consent(permission) || !has_the_person(history) || !is_due {
            return Ok(None);
        }
        let of = EventsOf::Message(delivery.record.inbox_id);
        Ok(self.sketches(of, Some(Kind::Withdrawal)).await?.pop())
    }

    fn request(&self, delivery: &Delivery) -> Result<Result<String, Unsent>, Failure> {
        let context = ConnectContext {
            name: Name::clone(self.name),
            clock: Arc::new(SystemClock),
            dir: self.config.dir.clone(),
            tables: self.config.lookups.clone(),
            vault: causeway_connect::vault::NoVault::shared(),
        };
        let batch = std::slice::from_ref(delivery);
        let mut made = (self.destination.kind.preview)(&context, &self.destination.table, batch)
            .map_err(|error| anyhow::Error::from(self.config.error_in("destination", self.name, error)))?;
        Ok(made.pop().unwrap_or_else(|| Ok(String::new())))
    }
}

/// The note about a destination that has a person whom it may not be sent any more.
const KEEPS_THEM: &str = "the destination has the person and keeps them: only an opt-out, a suppression or a lost \
                          opt-in is sent as a withdrawal, and a stricter configuration alone is none of these";

fn lacks_consent(permission: Option<&Permission>) -> bool {
    permission.is_some_and(|one| one.obstacle == Some(Obstacle::Consent))
}

/// Whether the destination was sent the person last, and not a withdrawal.
fn has_the_person(history: &[DeliveryRow]) -> bool {
    let last = history.iter().find(|row| row.state == "delivered");
    last.is_some_and(|row| row.kind != Kind::Withdrawal.as_str())
}

/// Whether the event passes the filters of the destination.
fn is_taken(rule: &DestinationRule, record: &Record) -> bool {
    let route = Route {
        source: &record.source,
        campaign: record.campaign.as_ref().map(|campaign| campaign.name.as_str()),
        action_type: record.action.as_ref().map(|action| action.action_type.as_str()),
        event: &record.event,
    };
    rule.filter.miss(route).is_none() && rule.filter.takes_action(record.action.as_ref())
}

fn print(preview: &Preview, kind: &str) {
    print_line(&format!(
        "message {}, {}, as a {}",
        preview.record,
        preview.event,
        preview.kind.as_str()
    ));
    print_line(&preview.sentence);
    for note in &preview.notes {
        print_line(&format!("note: {note}"));
    }
    for reason in preview
        .reasons
        .iter()
        .filter(|reason| **reason != preview.sentence)
    {
        print_line(&format!("not sent: {reason}"));
    }
    if let Some(request) = &preview.request {
        let would = if preview.sent {
            "would be sent"
        } else {
            "would be sent otherwise"
        };
        print_line(&format!(
            "\n→ {} ({kind}) {would}:\n{}",
            preview.destination,
            request.trim_end()
        ));
    }
}
