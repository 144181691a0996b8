//! Why there was no response, in words for a log: the host, never a path, a query or a body.

use std::{error::Error, io, time::Duration};

use causeway_core::destination::{AttemptResult, CheckError, Outcome};

use super::egress::{Forbidden, ResolveError, Unresolved};

/// No response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// A later attempt may succeed.
    #[error("{0}")]
    Unreachable(String),
    /// The hub does not connect to this address.
    #[error("{0}")]
    Forbidden(String),
}

impl SendError {
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Unreachable(reason) => Outcome::Retry { reason, after: None },
            Self::Forbidden(reason) => Outcome::Halt { reason },
        }
    }

    pub(super) fn from_reqwest(host: &str, connect_timeout: Duration, error: &reqwest::Error) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(at) = cause {
            if let Some(ResolveError::Forbidden(forbidden)) = at.downcast_ref() {
                return forbidden.clone().into();
            }
            if let Some(ResolveError::Unresolved(unresolved)) = at.downcast_ref() {
                return unresolved.clone().into();
            }
            if let Some(error) = at.downcast_ref::<io::Error>()
                && error.kind() != io::ErrorKind::TimedOut
            {
                return Self::from_io(host, error);
            }
            cause = at.source();
        }
        Self::Unreachable(if error.is_timeout() && error.is_connect() {
            slow_connect(host, connect_timeout)
        } else if error.is_timeout() {
            format!("{host} did not answer in time")
        } else if error.is_connect() {
            format!("no connection to {host}")
        } else {
            format!("{host} closed the connection, or answered something that is not HTTP")
        })
    }

    pub(super) fn from_io(host: &str, error: &io::Error) -> Self {
        if let Some(inner) = error.get_ref() {
            if let Some(error) = inner.downcast_ref::<rustls::Error>() {
                return Self::Unreachable(format!("TLS with {host}: {error}"));
            }
            // `source()` of an io::Error skips the error that it was made from.
            if let Some(error) = inner.downcast_ref::<io::Error>() {
                return Self::from_io(host, error);
            }
        }
        Self::Unreachable(match error.kind() {
            io::ErrorKind::ConnectionRefused => format!("{host} refused the connection"),
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => format!("{host} reset the connection"),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                format!("no route to {host}")
            }
            kind => format!("no connection to {host}: {kind}"),
        })
    }
}

pub(super) fn slow_connect(host: &str, limit: Duration) -> String {
    format!("connecting to {host} took longer than {} s", limit.as_secs())
}

impl From<SendError> for AttemptResult {
    fn from(error: SendError) -> Self {
        error.outcome().into()
    }
}

impl From<SendError> for CheckError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Unreachable(reason) => Self::Unavailable(reason),
            SendError::Forbidden(reason) => Self::Refused(reason),
        }
    }
}

impl From<Forbidden> for SendError {
    fn from(forbidden: Forbidden) -> Self {
        Self::Forbidden(forbidden.to_string())
    }
}

impl From<Unresolved> for SendError {
    fn from(unresolved: Unresolved) -> Self {
        Self::Unreachable(unresolved.to_string())
    }
}

impl From<ResolveError> for SendError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Forbidden(forbidden) => forbidden.into(),
            ResolveError::Unresolved(unresolved) => unresolved.into(),
        }
    }
}
