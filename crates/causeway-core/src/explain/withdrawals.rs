//! Finds withdrawals that a destination has not received.

use super::{Sent, Withdrawal};
use crate::{
    delivery::Kind,
    rules::DestinationRule,
    store::{ContactView, DeliveryRow},
};

/// Withdrawals that wait, are dead, must be done by hand, or ended without being sent. Each stays in the list
/// until the destination received a later one for its address or a person discarded it, whatever else was
/// sent since.
pub(super) fn open(
    view: &ContactView,
    rule: &DestinationRule,
    sent: &[Sent],
    is_withheld: bool,
) -> Vec<Withdrawal> {
    let in_use = view.contact.address();
    let address_of = |row: &DeliveryRow| row.address.clone().or_else(|| in_use.clone());
    let all = || {
        view.deliveries
            .iter()
            .filter(|row| row.destination == rule.name && row.kind == Kind::Withdrawal.as_str())
    };
    let given = |address: Option<&str>| {
        let address = address.unwrap_or_default();
        sent.iter()
            .map(|sent| &sent.row)
            .find(|row| row.address == address)
    };
    let ended_at = |row: &DeliveryRow| row.finished_at.unwrap_or(row.planned_at);
    let is_settled = |row: &DeliveryRow, address: &Option<String>| {
        let is_received = given(address.as_deref())
            .is_some_and(|given| given.change.gravity() > 0 && given.last_sent >= ended_at(row));
        is_received
            || all()
                .any(|later| later.id > row.id && later.state == "delivered" && address_of(later) == *address)
    };
    let mut found: Vec<Withdrawal> = all()
        .filter(|row| row.state != "delivered")
        .filter_map(|row| {
            let address = address_of(row);
            if is_settled(row, &address) {
                return None;
            }
            let is_void = !is_withheld && address == in_use;
            let is_news = match row.state.as_str() {
                // A withdrawal that ended without being sent is of no interest once the destination was sent
                // the contact again.
                "skipped" if !row.by_hand => {
                    let is_last = !all().any(|later| later.id > row.id && address_of(later) == address);
                    is_last
                        && !is_void
                        && given(address.as_deref()).is_none_or(|given| ended_at(row) >= given.last_sent)
                }
                "skipped" | "dead" => true,
                _ => !is_void,
            };
            is_news.then(|| Withdrawal {
                delivery: row.id,
                state: row.state.clone(),
                by_hand: row.by_hand,
                is_void,
                reason: row.finished_at.and(row.reason.clone()),
                address,
            })
        })
        .collect();
    found.sort_by_key(|withdrawal| withdrawal.delivery);
    found
}
