//! Which destinations must learn that they may no longer use a person's data.
//!
//! Invariant: an opt-out or a suppression reaches every destination that was given the person, for each
//! address that it was given, whatever the filter, the mapping, the policy or a later configuration says.

use super::{Given, Planned};
use crate::{
    consent::{Change, EMAIL, Terms},
    contact::Contact,
    delivery::Kind,
    rules::DestinationRule,
};

/// Plans a withdrawal for each address that the destination was given and may not use now. `before` and
/// `terms_before` describe the state before the event. The decision compares what the destination should have
/// with what it received last, so it does not matter which message, rule or restart caused the difference.
/// The address in use comes last.
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
        // A destination that was given the person for another purpose must also learn of an opt-out from that
        // purpose.
        let purpose: &str = given.purpose.as_ref().unwrap_or(&rule.purpose);
        let own = after.consent_state_at(purpose, address, terms);
        // A mailbox that the contact no longer uses belongs to its other users. For mail, their consent and
        // its suppressions decide; if there are none, this person's consent does. Other purposes, such as
        // calls, belong to the person whatever the mailbox.
        let is_others = purpose == EMAIL && given.is_shared && given.address != in_use;
        let now = match after.consent_state_of_mailbox(purpose, address, terms) {
            theirs if is_others && (theirs.is_subscribed() || theirs.is_opt_out()) => theirs,
            _ => own,
        };
        if !rule.withdraws(now, after.gave_data)
            || ((is_others || given.purpose.is_some()) && !now.is_opt_out())
        {
            continue;
        }
        let wanted = Change::of(Kind::Withdrawal, now).within(&rule.supported_changes);
        let before = || {
            before.iter().map(|contact| {
                let consent_state = contact.consent_state_at(purpose, address, terms_before);
                (consent_state, contact.gave_data)
            })
        };
        let is_due = match wanted {
            Some(wanted) if given.change.gravity() >= wanted.gravity() => false,
            Some(_) if now.is_opt_out() => true,
            // The destination cannot receive any withdrawal, so the delivery ends as skipped and a person
            // sees it. It is planned once, not for each later message.
            None if now.is_opt_out() => before().all(|(before, _)| !before.is_opt_out()),
            // The destination is sent everybody. It needs a withdrawal only if it was last sent an opt-in.
            _ if rule.policy.allows(now, after.gave_data) => {
                wanted.is_some() && given.change == Change::Subscribe
            }
            // The state is no opt-out, but allows less than the destination requires. A withdrawal follows
            // only if the destination was sent an opt-in and that ended, or if the state before was sufficient.
            // A stricter policy alone withdraws nobody.
            _ => {
                // Where it cannot be received it is planned once, as above.
                let has_ended = wanted.is_some() && given.change == Change::Subscribe && !now.is_subscribed();
                has_ended || before().any(|(before, gave_data)| rule.policy.allows(before, gave_data))
            }
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
