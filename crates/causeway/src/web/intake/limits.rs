//! The limits of one source: the size and the time of a body, and concurrent requests.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode},
};
use bytes::Bytes;
use causeway_connect::config::ConfigError;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::body;
use crate::web::error::Refusal;

/// Lets a request in and reads its body.
pub(in crate::web) struct Gate {
    max_bytes: usize,
    body_timeout: Duration,
    slots: Semaphore,
    busy_status: StatusCode,
}

impl Gate {
    /// `body_kb` in units of 1024 bytes, `body_timeout_s` in seconds.
    pub(in crate::web) fn new(
        body_kb: u32,
        body_timeout_s: u32,
        concurrency: u32,
        busy_status: StatusCode,
    ) -> Self {
        Self {
            max_bytes: body_kb as usize * 1_024,
            body_timeout: Duration::from_secs(body_timeout_s.into()),
            slots: Semaphore::new(concurrency as usize),
            busy_status,
        }
    }

    /// The whole body. The request counts as one of the concurrent ones until the permit is dropped.
    pub(in crate::web) async fn read(
        &self,
        headers: &HeaderMap,
        body: &mut Body,
    ) -> Result<(Bytes, SemaphorePermit<'_>), Refusal> {
        let announced = body::announced(headers);
        if announced.is_some_and(|length| length > self.max_bytes as u64) {
            return Err(Refusal::TooLarge("body"));
        }
        let slot = self.slots.try_acquire().map_err(|_| Refusal::Busy {
            status: self.busy_status,
        })?;
        let body = body::read(body, announced, self.max_bytes, self.body_timeout).await?;
        Ok((body, slot))
    }
}

/// Checks values of `limits`: (key, value, greatest value).
pub(in crate::web) fn check_ranges(limits: &[(&str, u32, u32)]) -> Result<(), ConfigError> {
    for (key, value, most) in limits {
        let key = format!("limits.{key}");
        if *value == 0 {
            return Err(ConfigError::new(&key, "0 would refuse every request")
                .hint(format!("write a number from 1 to {most}")));
        }
        if value > most {
            return Err(ConfigError::new(&key, format!("must be 1 to {most}")));
        }
    }
    Ok(())
}
