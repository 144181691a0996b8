//! Which destinations must learn that they may not use a person's data any more.
//!
//! Invariant: an opt-out or a suppression reaches every destination that was given the person, for each address that it
//! was given, whatever filter, mapping, policy or later configuration stands in between.

use super::{Given, Planned};
use crate::{
    consent::{Change, EMAIL, Terms},
    contact::Contact,
    delivery::Kind,
    rules::DestinationRule,
};

/// A withdrawal for each address that the destination was given and may not use now. `before` and `terms_before` say
/// how things were; what is wanted and what the destination received last decide, so that it does not matter which
/// message, rule or restart the difference comes from. The address in use comes last.
pub fn withdrawals(
    rule: &DestinationRule,
    before: &[Contact],
    terms_before: &Terms,
    after: &Contact,
    terms: &Terms,
    given: &[Given],
) -> Vec<Planned> {
    let in_use = after.address();
    let mut planned: Vec<Planned> = Vec::new();
    for given in given.iter().filter(|given| !given.withdrawal_is_open) {
        let address = given.address.as_deref();
        // Who was given for another purpose may not be used for that one any more once they opted out of it.
        let purpose: &str = given.purpose.as_ref().unwrap_or(&rule.purpose);
        let own = after.standing_at(purpose, address, terms);
        // A mailbox that the contact no longer uses is its other users': what they say of mail counts, and what became of
        // it. Where they said nothing, it was given for what this person said. Calls and the like are the person's, whatever
        // the mailbox.
        let is_others = purpose == EMAIL && given.is_shared && given.address != in_use;
        let now = match after.standing_of_mailbox(purpose, address, terms) {
            theirs if is_others && (theirs.is_subscribed() || theirs.is_opt_out()) => theirs,
            _ => own,
        };
        if !rule.withdraws(now, after.gave_data)
            || ((is_others || given.purpose.is_some()) && !now.is_opt_out())
        {
            continue;
        }
        let wanted = Change::of(Kind::Withdrawal, now).within(&rule.expresses);
        let before = || {
            before.iter().map(|contact| {
                let standing = contact.standing_at(purpose, address, terms_before);
                (standing, contact.gave_data)
            })
        };
        let is_due = match wanted {
            Some(wanted) if given.change.gravity() >= wanted.gravity() => false,
            Some(_) if now.is_opt_out() => true,
            // It ends as skipped, for a person to see: once, and not with each later message.
            None if now.is_opt_out() => before().all(|(before, _)| !before.is_opt_out()),
            // The destination is sent everybody, and believes that this person may be written to.
            _ if rule.policy.allows(now, after.gave_data) => {
                wanted.is_some() && given.change == Change::Subscribe
            }
            // Not an opt-out, but less than the destination asks for: only where it was enough before, or was enough for an
            // earlier policy and ended. Tightening a policy alone withdraws nobody.
            _ => before().any(|(before, gave_data)| {
                let has_ended = before.is_subscribed() && !now.is_subscribed();
                rule.policy.allows(before, gave_data) || (given.change == Change::Subscribe && has_ended)
            }),
        };
        if is_due {
            planned.push(Planned {
                destination: rule.name.clone(),
                kind: Kind::Withdrawal,
                address: given.address.clone(),
                gate: rule.gate(Kind::Withdrawal, now, after.gave_data),
            });
        }
    }
    planned.sort_by_key(|planned| planned.address == in_use);
    planned
}
