//! What Proca's answers to its links mean. An error has `errors[0].message`; the success of a link is a text or a
//! redirect.

use causeway_core::{clock::Timestamp, destination::Outcome};
use reqwest::header::{HeaderMap, HeaderValue, LOCATION, WWW_AUTHENTICATE};

use super::{Proca, Step};
use crate::{
    connector::{Reading, Task},
    http::Answer,
};

/// The text of a link's success.
const SUCCESS: &str = "SUCCESS";

pub(super) fn read(
    step: Step,
    answer: &Answer,
    tasks: &mut [&mut Task<'_, Proca>],
    now: Timestamp,
) -> Reading {
    let all = |outcome: Outcome| Reading::All(answer.result_with(outcome));
    let message = message(answer);
    match (step, answer.status, message.as_deref()) {
        (Step::Supporter(_), 200, _) if is_success(answer) => Reading::Read,
        (Step::Code(_), 302, _) if leads_home(&answer.headers) => Reading::Read,
        (_, 200..=299, _) => all(Outcome::Retry {
            reason: format!("answered {} without Proca's word for success: it confirms nothing", answer.status),
            after: None,
        }),
        // Proca publishes an action before it has stored that it waits.
        (Step::Supporter(_), 400, Some("not allowed")) => all(Outcome::Retry {
            reason: "answered 400: Proca has not stored yet that the action waits".to_owned(),
            after: None,
        }),
        // A bounce, or the person themselves, was faster.
        (Step::Supporter(_), 400, Some("supporter data already rejected")) => all(Outcome::Skip {
            reason: "the supporter was rejected already; Proca takes that back for nobody".to_owned(),
        }),
        (Step::Code(_), 500, Some("data already rejected")) => all(Outcome::Skip {
            reason: "the action was rejected already".to_owned(),
        }),
        (Step::Code(_), 400, Some("expired")) => all(Outcome::Skip {
            reason: "the code was used already, by an earlier attempt or by a person".to_owned(),
        }),
        (Step::Code(_), 400, Some("code invalid")) => all(Outcome::Reject {
            reason: "answered 400: Proca does not know the code".to_owned(),
        }),
        (Step::Supporter(_), 404, Some("malformed link")) => all(Outcome::Reject {
            reason: "answered 404: Proca has no such action of this person; is `base_url` the server of the source?"
                .to_owned(),
        }),
        (_, 400, Some("malformed link")) => all(Outcome::Reject {
            reason: "answered 400: Proca does not understand the link".to_owned(),
        }),
        // Anybody may have written the code, so it must not hold up the others.
        (Step::Code(_), 401, _) if asks_for_a_user(&answer.headers) => all(Outcome::Reject {
            reason: "answered 401: Proca lets only its users decide about this code, so it is no action's".to_owned(),
        }),
        (_, 404 | 405 | 410, _) => all(Outcome::Halt {
            reason: format!("answered {}: there is no Proca server at `base_url`", answer.status),
        }),
        (_, 406, _) => all(Outcome::Halt {
            reason: "answered 406: something between the hub and Proca changes the header Accept".to_owned(),
        }),
        _ => {
            for task in tasks {
                task.end(answer.attempt_result(now));
            }
            Reading::Read
        }
    }
}

/// Proca's own error, if it is one. A code that was used is answered with a plain text.
fn message(answer: &Answer) -> Option<String> {
    if !answer.complete {
        return None;
    }
    if answer.body == b"expired" {
        return Some("expired".to_owned());
    }
    let body = answer.json()?;
    let message = body.pointer("/errors/0/message")?.as_str()?;
    Some(message.to_owned())
}

fn is_success(answer: &Answer) -> bool {
    answer.complete && answer.body == SUCCESS.as_bytes()
}

/// Whether it is the redirect of a code's success: to the server's own start page.
fn leads_home(headers: &HeaderMap) -> bool {
    headers
        .get(LOCATION)
        .is_some_and(|location| location.as_bytes() == b"/")
}

/// Whether Proca itself asks who calls, and not something in front of it.
fn asks_for_a_user(headers: &HeaderMap) -> bool {
    let asked = headers
        .get(WWW_AUTHENTICATE)
        .and_then(|asked| asked.to_str().ok());
    asked.is_some_and(|asked| asked.contains("realm=\"Proca\""))
}

pub(super) fn expected(step: Step) -> Answer {
    let (status, body, headers) = match step {
        Step::Supporter(_) => (200, SUCCESS.as_bytes().to_vec(), HeaderMap::new()),
        Step::Code(_) => {
            let home = HeaderValue::from_static("/");
            (302, Vec::new(), HeaderMap::from_iter([(LOCATION, home)]))
        }
    };
    Answer {
        status,
        headers,
        body,
        complete: true,
    }
}

pub(super) fn is_unknown_link(answer: &Answer) -> bool {
    answer.status == 404 && message(answer).as_deref() == Some("malformed link")
}
