//! Messages that reconciliation made from Proca's API, not from the queue. The basis of their facts says so.

use super::{Event, RECONCILIATION};

/// The finding about an action that was delivered to us and that Proca no longer lists as delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The action still exists: the person ("it wasn't me") or a moderator rejected it.
    Rejected,
    /// The action is not found by the person's address either: it was erased in Proca, or deleted by its
    /// retention.
    Gone,
}

impl Finding {
    /// The routing key of a message that reports the finding. It contains a slash, which no routing key of
    /// Proca has at this place.
    pub fn routing_key(self, action: &str) -> String {
        format!("{RECONCILIATION}/{}/{action}", self.word())
    }

    fn word(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Gone => "gone",
        }
    }

    fn of(routing_key: &str) -> Option<(Self, &str)> {
        let (word, action) = routing_key
            .strip_prefix(RECONCILIATION)?
            .strip_prefix('/')?
            .split_once('/')?;
        let finding = [Self::Rejected, Self::Gone]
            .into_iter()
            .find(|finding| finding.word() == word)?;
        Some((finding, action))
    }
}

/// The beginning of the basis of every finding about this action.
pub fn finding_about(action: &str) -> String {
    format!("{RECONCILIATION}: action {action} ")
}

/// The end of the basis of every [`Finding::Gone`].
pub const GONE: &str = "is no longer in Proca, nor is its supporter";

/// The routing key of a message with the status of the address, taken from an action that Proca no longer
/// lists.
pub fn status_routing_key(action: &str, is_dated: bool) -> String {
    let word = if is_dated { DATED } else { UNDATED };
    format!("{RECONCILIATION}/{word}/{action}")
}

const DATED: &str = "status";
const UNDATED: &str = "undated";

/// The end of the basis of a dated status from this action.
pub fn dated_status_of(action: &str) -> String {
    format!(", action {action}")
}

/// The end of the basis of an undated status from this action.
pub fn undated_status_of(action: &str) -> String {
    format!("{}, undated", dated_status_of(action))
}

/// The status, in small letters, in a basis that ends with [`undated_status_of`] an action.
pub fn undated_status(basis: &str) -> Option<&str> {
    let (_, rest) = basis.split_once("email_status: ")?;
    rest.split_once(' ').map(|(status, _)| status)
}

/// Names the reconciliation in the basis of each fact, if the routing key is one of its own.
pub(super) fn explain(event: &mut Event, routing_key: &str) {
    let status = routing_key
        .strip_prefix(RECONCILIATION)
        .and_then(|rest| rest.strip_prefix('/')?.split_once('/'));
    let ending = match status {
        Some((DATED, action)) => dated_status_of(action),
        Some((UNDATED, action)) => undated_status_of(action),
        _ => String::new(),
    };
    if let Some((finding, action)) = Finding::of(routing_key) {
        let what = match finding {
            Finding::Rejected => "is rejected in Proca since it was delivered (\"it wasn't me\")",
            Finding::Gone => GONE,
        };
        for fact in &mut event.consent {
            fact.basis = finding_about(action) + what;
        }
        if finding == Finding::Gone {
            event.notes.push(
                "the person is no longer in Proca: erased there, or deleted by its retention; nothing is sent to them any more; \
                 `causeway contact erase` erases them here, too"
                    .to_owned(),
            );
        }
    } else if routing_key == RECONCILIATION || !ending.is_empty() {
        for fact in &mut event.consent {
            fact.basis = format!("{RECONCILIATION}, {}{ending}", fact.basis);
        }
    }
}
