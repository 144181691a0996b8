//! Other programs on the queue: each message goes to only one of them.

use causeway_core::source::Remark;

/// The warning while this hub reads the queue, too.
pub(super) fn warning(queue: &str, consumers: u32) -> Option<String> {
    let others = consumers.checked_sub(1).filter(|others| *others > 0)?;
    Some(format!(
        "{others} other {} read the queue {queue}: the messages that they take never arrive here; stop them, or have \
         a separate queue made for each (a connection that this hub lost may be counted for a minute)",
        if others == 1 { "consumer" } else { "consumers" }
    ))
}

/// The remark of a check, which does not read the queue: a hub that runs beside it may be one of the
/// consumers.
pub(super) fn remark(consumers: u32) -> Option<Remark> {
    let text = match consumers {
        0 => return None,
        1 => "one consumer reads the queue now; if that is not this hub's `causeway serve`, it takes messages away".to_owned(),
        _ => format!(
            "{consumers} consumers read the queue now, and each message goes to one of them only; stop all but this hub's \
             `causeway serve`"
        ),
    };
    Some(Remark {
        is_warning: consumers > 1,
        text,
    })
}
