//! `causeway trace`: prints everything that happened to a message.

use causeway_core::{
    contact::normal_email,
    explain::{self, Evidence, Permission, Reader, Scope},
    id::{ContactId, InboxId},
    store::{AttemptRow, ContactView, DeliveryTrace, InboxState, Named, Trace, Views},
};
use causeway_store::SqliteStore;
use serde::Serialize;

use super::{
    Failure,
    context::{Context, print_json, print_line},
};
use crate::{
    people,
    web::console::{local, masking},
};

/// Shows everything that happened to a message: when it arrived, what was understood, what was decided about consent,
/// and each delivery with its attempts.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of the command line"
)]
#[derive(clap::Args)]
#[command(after_help = "Example: causeway trace 4711\n         causeway trace --email jane@example.org")]
pub(super) struct Args {
    /// The message number, as in the listener's response and in the console.
    #[arg(required_unless_present = "email", conflicts_with = "email")]
    id: Option<i64>,
    /// All messages that name a person who uses this address.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Only people of this workspace; default: of all workspaces.
    #[arg(long, value_name = "NAME", requires = "email")]
    workspace: Option<String>,
    /// Show the message as it came (personal data!).
    #[arg(long)]
    body: bool,
    /// Show what was sent to each destination and what it answered, with personal data masked.
    #[arg(long)]
    sent: bool,
    /// Show it without masks (personal data!).
    #[arg(long)]
    reveal: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A trace, and whether each destination may be sent this message now.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    trace: Trace,
    /// Facts of the message that do not count, and why.
    without_effect: Vec<String>,
    destinations: Vec<Permission>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let config = context.load()?;
    let rules = config.rules();
    let store = context.open_to_read(&config).await?;
    let ids = match (&args.id, &args.email) {
        (Some(id), _) => vec![InboxId(*id)],
        (None, Some(email)) => of_person(&store, email, args.workspace.as_deref()).await?,
        (None, None) => Vec::new(),
    };
    let mut traces = Vec::new();
    for id in ids {
        let trace = store.trace(id).await?;
        let trace = trace.ok_or_else(|| Failure::Failed(anyhow::anyhow!("there is no message {id}")))?;
        let view = match trace.contact_id {
            Some(contact) => store.contact(contact).await?,
            None => None,
        };
        let view = view.as_ref();
        let asked = args.email.as_deref().and_then(normal_email);
        let reader = Reader {
            asked: asked.as_deref(),
            show: str::to_owned,
        };
        traces.push(Shown {
            without_effect: view.map_or_else(Vec::new, |view| without_effect(view, id)),
            destinations: view.map_or_else(Vec::new, |view| {
                explain::of_all(view, &rules, Scope::Message(id), reader)
            }),
            trace,
        });
    }
    if args.json {
        if !args.reveal {
            traces.iter_mut().for_each(mask);
        }
        return print_json(&traces);
    }
    for shown in &traces {
        let Shown {
            trace, destinations, ..
        } = shown;
        let exchange = match (args.sent, args.reveal) {
            (_, true) => Exchange::Revealed,
            (true, false) => Exchange::Masked,
            (false, false) => Exchange::Address,
        };
        print(trace, args.body, exchange);
        for why in &shown.without_effect {
            print_line(&format!("  consent    {why}"));
        }
        if !destinations.is_empty() {
            print_line("  as of now");
        }
        for permission in destinations {
            print_line(&format!("    {}", permission.sentence));
        }
        print_line("");
    }
    Ok(())
}

/// Masks what was sent and answered.
fn mask(shown: &mut Shown) {
    let deliveries = shown.trace.deliveries.iter_mut();
    for attempt in deliveries.flat_map(|delivery| &mut delivery.attempts) {
        attempt.request = attempt.request.as_deref().map(masking::request);
        attempt.excerpt = attempt.excerpt.as_deref().map(masking::answer);
    }
}

/// Facts of this message that do not count, although no later fact replaced them.
fn without_effect(view: &ContactView, message: InboxId) -> Vec<String> {
    let rows = view.ledger.iter().filter(|row| row.inbox_id == message);
    rows.map(|row| Evidence::new(view, row))
        .filter_map(|evidence| {
            let fact = explain::fact(&evidence.what, &evidence.purpose);
            Some(format!("{fact}: {}", evidence.no_effect?))
        })
        .collect()
}

async fn of_person(
    store: &SqliteStore,
    email: &str,
    workspace: Option<&str>,
) -> Result<Vec<InboxId>, Failure> {
    let mut ids = Vec::new();
    let is_meant = |name: &str| workspace.is_none_or(|workspace| workspace == name);
    for contact in find_people(store, email, workspace, is_meant).await? {
        let view = store.contact(contact).await?;
        ids.extend(view.map(|view| view.inbox).unwrap_or_default());
    }
    ids.sort_unstable();
    Ok(ids)
}

/// The contact that an address or an id names, in each requested workspace. Fails if there is none, or if several people
/// use it in one workspace.
pub(super) async fn find_person(
    store: &SqliteStore,
    words: &str,
    workspace: Option<&str>,
    is_meant: impl Fn(&str) -> bool,
) -> Result<Vec<ContactId>, Failure> {
    if let Some(one) = numbered(store, words, &is_meant).await? {
        return Ok(vec![one]);
    }
    let found = find_named(store, words, workspace, is_meant).await?;
    people::choose(&found).map_err(|several| Failure::Usage(several.to_string()))
}

/// Like [`find_person`], and returns every contact that uses the address.
pub(super) async fn find_people(
    store: &SqliteStore,
    words: &str,
    workspace: Option<&str>,
    is_meant: impl Fn(&str) -> bool,
) -> Result<Vec<ContactId>, Failure> {
    if let Some(one) = numbered(store, words, &is_meant).await? {
        return Ok(vec![one]);
    }
    let found = find_named(store, words, workspace, is_meant).await?;
    people::choose_users(&found).map_err(|several| Failure::Usage(several.to_string()))
}

async fn find_named(
    store: &SqliteStore,
    words: &str,
    workspace: Option<&str>,
    is_meant: impl Fn(&str) -> bool,
) -> Result<Vec<Named>, Failure> {
    let mut found = store.find_named(words).await?;
    // Without the address: errors of commands end up in logs and mails.
    let nobody = |text: String| Failure::Failed(anyhow::anyhow!(text));
    if found.is_empty() {
        let text = "no contact has that address or id (never seen, or erased)";
        return Err(nobody(text.to_owned()));
    }
    found.retain(|named| is_meant(&named.workspace));
    if let (Some(workspace), true) = (workspace, found.is_empty()) {
        let text = format!("no contact in the workspace {workspace} has that address or id");
        return Err(nobody(text));
    }
    Ok(found)
}

/// The contact with this number, written as by [`contact_in_words`], unless a contact has that text as an id.
async fn numbered(
    store: &SqliteStore,
    words: &str,
    is_meant: &impl Fn(&str) -> bool,
) -> Result<Option<ContactId>, Failure> {
    let number = words.strip_prefix(CONTACT).and_then(|number| number.parse().ok());
    let Some(number) = number else {
        return Ok(None);
    };
    if !store.find_named(words).await?.is_empty() {
        return Ok(None);
    }
    let view = store.contact(ContactId(number)).await?;
    Ok(view.filter(|view| is_meant(&view.workspace)).map(|view| view.id))
}

/// Names a contact without its values, in the form that commands take.
pub(super) fn contact_in_words(contact: ContactId) -> String {
    format!("{CONTACT}{contact}")
}

const CONTACT: &str = "contact:";

/// How much of the requests and responses is shown.
#[derive(Clone, Copy)]
pub(super) enum Exchange {
    /// Where requests went.
    Address,
    Masked,
    Revealed,
}

pub(super) fn print(trace: &Trace, with_body: bool, exchange: Exchange) {
    let inbox = &trace.inbox;
    print_line(&format!(
        "message {} from {} (workspace {})",
        inbox.id, inbox.source, trace.workspace
    ));
    print_line(&format!(
        "  received   {}  {} bytes",
        inbox.received_at, inbox.bytes
    ));
    if with_body {
        print_body(trace);
    }
    let reason = inbox.reason.as_deref().unwrap_or_default();
    match inbox.state {
        InboxState::New => print_line("  waiting to be processed"),
        InboxState::Done if reason.is_empty() => {}
        InboxState::Done => print_line(&format!("  holds      {reason}")),
        InboxState::Skipped => print_line(&format!("  skipped    {reason}")),
        InboxState::Dead => print_line(&format!(
            "  DEAD       {}: {reason}",
            inbox.code.as_deref().unwrap_or("?")
        )),
        InboxState::Duplicate => {
            let first = trace
                .duplicate_of
                .map_or_else(|| "an earlier one".to_owned(), |id| format!("message {id}"));
            print_line(&format!("  duplicate  of {first}; it has no effect"));
        }
    }
    if let (Some(event), Some(at)) = (&trace.event, trace.event_at) {
        print_line(&format!("  understood {event}, happened at {at}"));
    }
    if let Some(about) = trace.about {
        print_line(&format!("  because of message {about}"));
    }
    for follow_up in &trace.follow_ups {
        print_line(&format!("  led to     message {follow_up}"));
    }
    if !trace.via.is_empty() {
        print_line(&format!("  through    {}", trace.via.join(", then ")));
    }
    for note in &trace.notes {
        print_line(&format!("  note       {note}"));
    }
    if let Some(contact) = trace.contact_id {
        print_line(&format!("  contact    {contact}"));
    }
    for merged in &trace.merged {
        print_line(&format!(
            "  merged     contact {merged} turned out to be the same person"
        ));
    }
    if let Some((_, action)) = &trace.action {
        print_line(&format!(
            "  action     {} {} at {}",
            action.action_type, action.external_id, action.created_at
        ));
    }
    if let Some(decision) = &trace.decision {
        print_line(&format!("  consent    {decision}"));
    }
    print_automations(trace);
    for delivery in &trace.deliveries {
        print_delivery(delivery, exchange);
    }
}

fn print_automations(trace: &Trace) {
    if let Some(explained) = &trace.automations {
        for (name, verdict) in &explained.asked {
            print_line(&format!("  automation {name}: {verdict}"));
        }
        if !explained.values.is_empty() {
            print_line("    values in the conditions");
            for (name, value) in &explained.values {
                print_line(&format!("      {name} = {value}"));
            }
        }
    }
    for timer in &trace.timers {
        print_line(&format!(
            "  automation {}: {} waits until {}",
            timer.automation, timer.due, timer.due_at
        ));
    }
}

fn print_delivery(trace: &DeliveryTrace, exchange: Exchange) {
    let delivery = &trace.delivery;
    let mut line = format!(
        "  → {}: {} ({})",
        delivery.destination, delivery.state, delivery.kind
    );
    if let Some(reason) = &delivery.reason {
        line = format!("{line}: {reason}");
    }
    if let Some(remote) = &delivery.remote_id {
        line = format!("{line}, id at the destination: {remote}");
    }
    if let (Some(due), "waiting") = (delivery.due_at, delivery.state.as_str()) {
        line = format!("{line}, due {due}");
    }
    print_line(&line);
    print_line(&format!("      delivery {}, key {}", delivery.id, trace.key));
    for attempt in &trace.attempts {
        let status = attempt
            .status
            .map(|status| format!(" {status}"))
            .unwrap_or_default();
        let reason = attempt
            .reason
            .as_deref()
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        print_line(&format!(
            "      attempt {} at {}, {} ms: {}{status}{reason}",
            attempt.number, attempt.started_at, attempt.took_ms, attempt.outcome
        ));
        print_exchange(attempt, exchange);
    }
}

/// What was sent, and the start of the response.
fn print_exchange(attempt: &AttemptRow, exchange: Exchange) {
    let shown = |text: &Option<String>, mask: fn(&str) -> String| {
        let text = text.as_deref().filter(|text| !text.trim().is_empty())?;
        Some(match exchange {
            Exchange::Revealed => text.to_owned(),
            Exchange::Masked | Exchange::Address => mask(text),
        })
    };
    let request = shown(&attempt.request, masking::request);
    let response = shown(&attempt.excerpt, masking::answer);
    if let Exchange::Address = exchange {
        let Some(text) = &request else { return };
        if let Some(head) = local::head(text) {
            print_line(&format!("        > {head}"));
            return;
        }
        // The lines of heads are the only ones with a method and an address.
        for line in text
            .lines()
            .filter(|line| line.contains(" http://") || line.contains(" https://"))
        {
            print_line(&format!("        > {line}"));
        }
        return;
    }
    for (mark, text) in [('>', request), ('<', response)] {
        for line in text.iter().flat_map(|text| text.lines()) {
            print_line(&format!("        {mark} {line}"));
        }
    }
}

fn print_body(trace: &Trace) {
    match &trace.envelope {
        None => print_line("  the body was deleted (pruned or erased)"),
        Some(envelope) => {
            if let Some(query) = &envelope.meta.query {
                print_line(&format!("  query      {query}"));
            }
            for line in String::from_utf8_lossy(&envelope.body).lines() {
                print_line(&format!("  | {line}"));
            }
        }
    }
}
