//! The settings of campaigns (`campaign.config`), for the mappings that read them. Proca sends
//! `campaign_updated` only when a campaign changes, and only to its owner, so the first action of a campaign
//! would find none.
//!
//! The hub queries the API before it stores the first message of a campaign, and again when the settings are
//! older than the limit. The response is stored as a `campaign_updated` before that message, so that
//! everything that follows from the message finds it.
//!
//! Invariant: no message waits longer than [`LIMIT`], and none is lost. Without a response the messages go on
//! without settings, their traces say so, and the API is not queried for [`PAUSE`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use causeway_core::{
    clock::{Clock, Timestamp},
    decode::proca::CAMPAIGN_SETTINGS,
    envelope::{Dedup, Envelope, MessageKey, Meta, digest},
    id::Name,
    source::{Accept, Health},
    store::{Accepted, StoreError, Unlisted, UnlistedAction},
};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::Mutex, time::timeout};

use super::{ReconcileError, api::Api, message};

/// How long the messages of an unknown campaign wait for the API.
const LIMIT: Duration = Duration::from_secs(5);
/// How long the API is not queried after a failure.
const PAUSE: Duration = Duration::from_mins(1);
/// Campaigns queried at the same time.
const AT_ONCE: usize = 4;
/// Maximum number of campaigns kept in memory. More would be an accident, because the ids come from outside.
const REMEMBERED: usize = 10_000;

/// Queries the API for the campaigns of one source.
pub(super) struct Campaigns {
    pub(super) name: Name,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) api: Arc<Api>,
    /// Older settings are queried again.
    pub(super) max_age: Duration,
    pub(super) state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    known: BTreeMap<i64, Known>,
    /// Until when the API is not queried, and why.
    paused: Option<(Timestamp, String)>,
}

struct Known {
    asked_at: Timestamp,
    /// The settings that were stored last; `None` if the API has no such campaign.
    content: Option<MessageKey>,
    /// Not stored yet.
    unsent: Option<Envelope>,
}

/// The part of a message that names its campaign. Nothing is rejected here; the decoder does that.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Peeked<'a> {
    #[serde(default, borrow)]
    event_type: Option<&'a serde_json::value::RawValue>,
    #[serde(default)]
    campaign_id: Option<i64>,
}

fn peek(envelope: &Envelope) -> Option<(i64, bool)> {
    let peeked: Peeked<'_> = serde_json::from_slice(&envelope.body).ok()?;
    let is_update = peeked
        .event_type
        .is_some_and(|event| event.get() == "\"campaign_updated\"");
    Some((peeked.campaign_id.filter(|id| *id > 0)?, is_update))
}

impl Campaigns {
    /// Returns what must be stored before the messages, and notes on the messages which settings are missing.
    async fn ahead_of(&self, envelopes: &mut [Envelope], health: &dyn Health) -> Vec<(i64, Envelope)> {
        let peeked: Vec<Option<(i64, bool)>> = envelopes.iter().map(peek).collect();
        let wanted: BTreeSet<i64> = peeked
            .iter()
            .flatten()
            .filter(|(_, is_update)| !is_update)
            .map(|(id, _)| *id)
            .collect();
        if wanted.is_empty() {
            return Vec::new();
        }
        // One query at a time: a second batch of the same campaign finds the response.
        let mut state = self.state.lock().await;
        self.ask(&mut state, &wanted, health).await;
        for (envelope, peeked) in envelopes.iter_mut().zip(peeked) {
            if let Some((id, false)) = peeked {
                envelope.meta.note = state.note(id);
            }
        }
        let known = wanted.iter().filter_map(|id| Some((*id, state.known.get(id)?)));
        known
            .filter_map(|(id, known)| Some((id, known.unsent.clone()?)))
            .collect()
    }

    async fn ask(&self, state: &mut State, wanted: &BTreeSet<i64>, health: &dyn Health) {
        let now = self.clock.now();
        if state.paused.as_ref().is_some_and(|(until, _)| now < *until) {
            return;
        }
        if state.known.len() > REMEMBERED {
            state.known.clear();
        }
        let is_old = |id: &i64| {
            let known = state.known.get(id);
            known.is_none_or(|known| now.duration_since(known.asked_at).unsigned_abs() > self.max_age)
        };
        let due: Vec<i64> = wanted.iter().copied().filter(is_old).collect();
        if due.is_empty() {
            return;
        }
        let asking = stream::iter(due)
            .map(async |id| (id, self.api.campaign(id).await))
            .buffer_unordered(AT_ONCE);
        tokio::pin!(asking);
        let mut failure = None;
        let took_all = timeout(LIMIT, async {
            while let Some((id, answer)) = asking.next().await {
                match answer {
                    Ok(campaign) => self.learn(state, id, campaign.as_ref(), now),
                    Err(error) => failure = Some(error),
                }
            }
        });
        if took_all.await.is_err() {
            failure = Some(ReconcileError::Api(format!(
                "no answer within {} s",
                LIMIT.as_secs()
            )));
        }
        self.report(state, failure, now, health);
    }

    fn report(
        &self,
        state: &mut State,
        failure: Option<ReconcileError>,
        now: Timestamp,
        health: &dyn Health,
    ) {
        let Some(error) = failure else {
            state.paused = None;
            health.warn("campaigns", None);
            return;
        };
        let reason = error.to_string();
        tracing::warn!(source = %self.name, reason, "Proca's API did not give the settings of a campaign.");
        health.count("campaigns_failed");
        health.warn(
            "campaigns",
            Some(format!(
                "Proca's API did not give the settings of a campaign ({reason}): its messages go on without, and mappings that need \
                 `settings` may fail; asked again after {} s",
                PAUSE.as_secs()
            )),
        );
        let until = now.saturating_add(PAUSE).unwrap_or(Timestamp::MAX);
        state.paused = Some((until, reason));
    }

    fn learn(&self, state: &mut State, id: i64, campaign: Option<&Value>, now: Timestamp) {
        let before = state.known.remove(&id);
        let content = campaign.map(|campaign| digest(&[campaign.to_string().as_bytes()]));
        let is_new = before.as_ref().is_none_or(|before| before.content != content);
        let unsent = match campaign.filter(|_| is_new) {
            Some(campaign) => Some(self.envelope(id, campaign, now)),
            None => before.and_then(|before| before.unsent),
        };
        let known = Known {
            asked_at: now,
            content,
            unsent,
        };
        state.known.insert(id, known);
    }

    /// The message that Proca would have sent.
    fn envelope(&self, id: i64, campaign: &Value, now: Timestamp) -> Envelope {
        let body = json!({
            "schema": "proca:event:2", "eventType": "campaign_updated", "timestamp": now,
            "campaignId": id, "campaign": message::campaign(campaign),
        });
        let body = body.to_string();
        Envelope {
            source: Name::clone(&self.name),
            dedup: Dedup::dated(digest(&[CAMPAIGN_SETTINGS.as_bytes(), body.as_bytes()])),
            received_at: now,
            meta: Meta {
                routing_key: Some(CAMPAIGN_SETTINGS.to_owned()),
                ..Meta::default()
            },
            body: body.into(),
        }
    }

    /// Notes that the store has these settings, so they need not be sent again. A `campaign_updated` from the
    /// queue is as recent as a response of the API.
    async fn stored(&self, sent: &[(i64, Envelope)], updated: &[i64]) {
        if sent.is_empty() && updated.is_empty() {
            return;
        }
        let now = self.clock.now();
        let mut state = self.state.lock().await;
        for (id, envelope) in sent {
            if let Some(known) = state.known.get_mut(id)
                && known.unsent.as_ref() == Some(envelope)
            {
                known.unsent = None;
            }
        }
        for id in updated {
            let known = Known {
                asked_at: now,
                content: None,
                unsent: None,
            };
            state.known.insert(*id, known);
        }
    }
}

impl State {
    /// The note for the trace of a message of this campaign.
    fn note(&self, id: i64) -> Option<String> {
        if self.known.contains_key(&id) {
            return None;
        }
        let (_, reason) = self.paused.as_ref()?;
        Some(format!(
            "the settings of campaign {id} could not be asked for ({reason}): what was known before counts"
        ))
    }
}

/// The way into the store, with the settings of campaigns before their first messages.
pub struct WithCampaigns {
    pub(super) inner: Arc<dyn Accept>,
    pub(super) campaigns: Arc<Campaigns>,
    pub(super) health: Arc<dyn Health>,
}

#[async_trait]
impl Accept for WithCampaigns {
    async fn accept(&self, mut envelopes: Vec<Envelope>) -> Result<Vec<Accepted>, StoreError> {
        let sent = self.campaigns.ahead_of(&mut envelopes, &*self.health).await;
        let updated = envelopes
            .iter()
            .filter_map(peek)
            .filter(|(_, is_update)| *is_update);
        let updated: Vec<i64> = updated.map(|(id, _)| id).collect();
        let mut all: Vec<Envelope> = sent.iter().map(|(_, envelope)| envelope.clone()).collect();
        all.append(&mut envelopes);
        let mut accepted = self.inner.accept(all).await?;
        self.campaigns.stored(&sent, &updated).await;
        Ok(accepted.split_off(sent.len().min(accepted.len())))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.inner.ready().await
    }

    async fn unlisted(&self, asked: Unlisted) -> Result<Vec<UnlistedAction>, StoreError> {
        self.inner.unlisted(asked).await
    }
}
