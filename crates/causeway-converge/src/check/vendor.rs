//! What differs at a vendor: people leave there by themselves, and actions are events.

use super::{Kind, SpaceCheck};
use crate::{
    message::{Content, Seal},
    oracle::Verdict,
    vendors::Held,
    world::{Destination, Order, Vendor},
};

impl SpaceCheck<'_> {
    /// The verdict of the messages, with what the person did at the vendor.
    pub(super) fn at_vendor(&self, held: &Held, address: &str, purpose: &str, verdict: Verdict) -> Verdict {
        if held.is_raced(address) {
            return Verdict::Open;
        }
        let is_uncertain = held.is_uncertain(address, &self.batch.starts);
        let Some((at, can_return)) = held.left(address) else {
            // The hub may not know that it took the subscription away itself.
            return if verdict == Verdict::Allowed && is_uncertain {
                Verdict::Open
            } else {
                verdict
            };
        };
        let (may, must) = self.all.agreed_after(address, purpose, at);
        match verdict {
            Verdict::Forbidden => Verdict::Forbidden,
            _ if !may => Verdict::Forbidden,
            Verdict::Allowed if must && can_return && !is_uncertain => Verdict::Allowed,
            _ => Verdict::Open,
        }
    }

    /// Whether a subscribed person is a contact, and has an event for each action.
    pub(super) fn complete_at_vendor(
        &self,
        held: &Held,
        destination: &Destination,
        address: &str,
        lacks: &mut impl FnMut(Kind, Vec<String>),
    ) {
        // A person who left and came back, or whose contact is gone, may lack what came before.
        if held.of(address).next().is_some() || held.vendor == Vendor::Meta {
            return;
        }
        if !held.contacts.contains(address) {
            lacks(Kind::Lost, Vec::new());
        }
        if destination.order == Order::Coalesce {
            return;
        }
        let space = &self.history.spaces[self.number];
        for arrival in self.all.about(address) {
            let message = arrival.message;
            let Content::Proca(proca) = &message.content else {
                continue;
            };
            let is_action = !proca.is_event && proca.stage == "deliver" && !proca.is_test;
            let is_readable = proca.seal != Seal::Unknown;
            let is_here = message.says.address.as_deref() == Some(address);
            if !(is_action && is_readable && is_here) {
                continue;
            }
            let source = self
                .seen
                .place
                .source(self.number, &space.sources[message.source]);
            let action = format!("{source}:{}", proca.action);
            if !held.events.iter().any(|(have, _)| *have == action) {
                lacks(
                    Kind::EventMissing,
                    vec![format!("action {action}, message {}", message.number)],
                );
            }
        }
    }
}
