//! What an organisation's processing settings in Proca mean for its queue.

use causeway_core::source::Remark;
use serde_json::Value;

use super::{Queue, Reconcile};

fn warning(text: impl Into<String>) -> Remark {
    Remark {
        is_warning: true,
        text: text.into(),
    }
}

fn note(text: impl Into<String>) -> Remark {
    Remark {
        is_warning: false,
        text: text.into(),
    }
}

/// The remark if the API's user may read actions but not the organisation.
pub(super) fn unseen(org: &str) -> Remark {
    note(format!(
        "the API does not show the settings of organisation {org:?} to this user: whether events reach the queue is not known"
    ))
}

/// Flags that the API does not return are ignored.
pub(super) fn remarks(processing: &Value, queue: &Queue, config: &Reconcile) -> Vec<Remark> {
    let flag = |name: &str| processing[name].as_bool();
    let mut all = Vec::new();
    if flag("customActionDeliver") == Some(false) {
        all.push(warning(
            "actions do not reach the queue: customActionDeliver is off in Proca; have it switched on \
             (`proca org crm --synchronize`). Until then actions come by `reconcile` only",
        ));
    }
    if flag("customEventDeliver") == Some(false) {
        all.push(warning(format!(
            "events do not reach the queue: customEventDeliver is off in Proca; have it switched on (mutation \
             updateOrgProcessing). Until then clicks, bounces and unsubscriptions are found by `reconcile` only, up to {} h late, \
             and only for actions of the last {} days",
            config.every_h, config.lookback_days
        )));
    }
    if flag("supporterConfirm") == Some(true) {
        all.push(note(
            "supporterConfirm is on in Proca: an action comes once its supporter has confirmed it by mail; that is a double opt-in \
             only if the mail's link says so (doi=1)",
        ));
    }
    if flag("doiThankYou") == Some(true) && queue.waits_for_click {
        all.push(note(
            "doiThankYou is on in Proca: only people who opted in on the form get the mail with the link to confirm",
        ));
    }
    for (name, queue) in [
        ("customSupporterConfirm", "confirm.supporter"),
        ("customActionConfirm", "confirm.action"),
    ] {
        if flag(name) == Some(true) {
            all.push(note(format!(
                "{name} is on in Proca: actions wait until the program that reads cus.….{queue} accepts them; this hub \
                 does only with a source of that queue and a destination of kind proca"
            )));
        }
    }
    for (name, what) in [("pushBackend", "actions"), ("eventBackend", "events")] {
        if let Some(service) = processing[name].as_str() {
            all.push(note(format!(
                "{name} is {service} in Proca: {what} are also sent there; do not read them here a second time by a listener"
            )));
        }
    }
    if processing["detailBackend"].is_string() {
        all.push(note(
            "detailBackend is set in Proca: another system may change consent and status before an action is sent",
        ));
    }
    all
}
