//! Plans what destinations must be sent when a contact's consent changes without a message about that
//! contact: another user of the same mailbox opted in or out, or the rules changed.

use causeway_core::{
    clock::Timestamp,
    consent::Terms,
    contact::Contact,
    delivery::Kind,
    plan::{Planned, withdrawals},
};

use crate::sqlite::{
    base::{
        error::Error,
        ids::{ContactRowId, InboxRowId, WorkspaceRowId},
        tx::Tx,
    },
    outbox::{delivery, given},
    people::shared,
};

/// A contact before and after a change, each with the terms by which its consent is evaluated.
pub(crate) struct Change<'a> {
    pub contact: ContactRowId,
    pub before: (&'a Contact, &'a Terms),
    pub after: (&'a Contact, &'a Terms),
}

/// Plans the deliveries that follow from a change ([`follows`]). They belong to the inbox row `inbox`, which
/// caused the change.
pub(crate) fn after_change(
    tx: &mut Tx<'_>,
    workspace: WorkspaceRowId,
    inbox: InboxRowId,
    change: &Change<'_>,
    now: Timestamp,
) -> Result<Vec<Planned>, Error> {
    let all = follows(tx, workspace, change)?;
    for planned in &all {
        delivery::insert(tx, inbox, Some(change.contact), false, planned, now)?;
    }
    Ok(all)
}

/// Withdrawals. A destination that has the contact, may use it and needs no withdrawal gets the contact if
/// the consent state changed.
pub(crate) fn follows(
    tx: &Tx<'_>,
    workspace: WorkspaceRowId,
    change: &Change<'_>,
) -> Result<Vec<Planned>, Error> {
    let (before, terms_before) = change.before;
    let (after, terms) = change.after;
    let workspace_name = tx.state.names.name(workspace)?;
    let rules = tx.state.rules.clone();
    let mut all = Vec::new();
    for rule in rules.destinations_of(&workspace_name) {
        let given = given::of(tx, &[change.contact], rule)?;
        // The opt-outs at former addresses are added to the contact before *and* after. Otherwise the two
        // would differ, and the same withdrawal would be planned again for a destination that cannot receive
        // one.
        let (mut before_at_former, mut after_at_former) = (before.clone(), after.clone());
        for address in given.iter().filter_map(|given| given.address.as_deref()) {
            for known in [&mut before_at_former, &mut after_at_former] {
                shared::keep_opt_out_of_former(tx, change.contact, known, address, terms.click_grace)?;
            }
        }
        let mut planned = withdrawals(
            rule,
            std::slice::from_ref(&before_at_former),
            terms_before,
            &after_at_former,
            terms,
            &given,
        );
        let consent_state = after.consent_state(&rule.purpose, terms);
        let is_other = before.consent_state(&rule.purpose, terms_before).as_str() != consent_state.as_str();
        let may_have = rule.policy.allows(consent_state, after.gave_data);
        if planned.is_empty() && is_other && may_have && !given.is_empty() {
            planned.push(Planned {
                destination: rule.name.clone(),
                kind: Kind::Contact,
                address: None,
                gate: rule.gate(Kind::Contact, consent_state, after.gave_data),
            });
        }
        all.append(&mut planned);
    }
    Ok(all)
}
