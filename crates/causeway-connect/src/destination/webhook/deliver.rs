//! Sends the requests for a batch, and records how each delivery ended.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use causeway_core::{
    clock::Clock,
    delivery::Delivery,
    destination::{AttemptResult, CheckError, Destination, Outcome, Progress, Results},
    id::{IdempotencyKey, Name},
    record::Record,
    response,
};
use futures_util::StreamExt;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use tracing::warn;

use super::{
    AT_ONCE,
    each::{Each, Reading},
    find::{Find, Found, Missing},
    plan::Plan,
    template::{Built, Making, Part, Template},
    unknown_code,
};
use crate::{
    connector::Spread,
    http::{Answer, Client, HttpRequest},
    oauth::Access,
};

pub(super) struct Webhook {
    pub client: Client,
    pub access: Option<Access>,
    pub clock: Arc<dyn Clock>,
    pub name: Name,
    pub spread: Option<Spread>,
    pub plan: Plan,
    /// Warnings that were logged already. An unknown shortcode would otherwise be logged for every contact.
    pub warned: Mutex<BTreeSet<String>>,
}

/// A delivery of a batch.
#[derive(Clone, Copy)]
struct Member<'a> {
    delivery: &'a Delivery,
    index: usize,
    results: &'a Results,
}

/// A record for a request about many.
struct Entry<'a> {
    member: Member<'a>,
    record: Value,
    part: Part,
    /// What was sent about it.
    sent: Option<String>,
}

#[async_trait]
impl Destination for Webhook {
    async fn check(&self) -> Result<(), CheckError> {
        for template in &self.plan.templates {
            self.client.check(&template.address.sample).await?;
        }
        Ok(())
    }

    async fn deliver(&self, batch: &[Delivery]) -> Vec<AttemptResult> {
        let results = Results::new(batch.len());
        self.deliver_into(batch, &results).await;
        let ended = results.take().into_iter();
        ended
            .map(|progress| match progress {
                Progress::Ended(result) => *result,
                Progress::NotStarted | Progress::Started(_) => AttemptResult::from(Outcome::Retry {
                    reason: "nothing was sent for this delivery, because another one could not be sent"
                        .to_owned(),
                    after: None,
                }),
            })
            .collect()
    }

    /// Sends the records that can share a request in one, and the others alone, several at the same time.
    async fn deliver_into(&self, batch: &[Delivery], results: &Results) {
        let mut alone = Vec::new();
        let mut together: BTreeMap<usize, Vec<Member<'_>>> = BTreeMap::new();
        for (index, delivery) in batch.iter().enumerate() {
            let member = Member {
                delivery,
                index,
                results,
            };
            match self.plan.each {
                None => alone.push(member),
                Some(_) => match self.plan.template(delivery, false) {
                    Ok((at, template)) if template.takes_many() => {
                        together.entry(at).or_default().push(member);
                    }
                    Ok(_) => alone.push(member),
                    Err(outcome) => results.end(index, outcome.into()),
                },
            }
        }
        for (at, members) in together {
            if let (Some(each), Some(template)) = (&self.plan.each, self.plan.templates.get(at))
                && !self.deliver_together(each, template, members).await
            {
                return;
            }
        }
        let is_stopped = &AtomicBool::new(false);
        futures_util::stream::iter(alone)
            .for_each_concurrent(AT_ONCE, |member| async move {
                if is_stopped.load(Ordering::Relaxed) {
                    return;
                }
                let result = self.deliver_one(member).await;
                if stops(&result) {
                    is_stopped.store(true, Ordering::Relaxed);
                }
                member.results.end(member.index, result);
            })
            .await;
    }
}

/// Whether the destination takes nothing more for now. What was not sent then costs no attempt.
fn stops(result: &AttemptResult) -> bool {
    matches!(result.outcome, Outcome::Busy { .. } | Outcome::Halt { .. })
}

impl Webhook {
    /// Sends records in one request. A request that is refused because of one record is divided until that record is
    /// alone. Returns false if the destination takes nothing more for now.
    async fn deliver_together(&self, each: &Each, template: &Template, members: Vec<Member<'_>>) -> bool {
        let entries = members
            .into_iter()
            .filter_map(|member| self.entry(each, template, member))
            .collect();
        let mut waiting: Vec<Vec<Entry<'_>>> = vec![entries];
        while let Some(mut group) = waiting.pop() {
            if group.is_empty() {
                continue;
            }
            let built = match self.build_many(each, template, &group) {
                Ok(built) if built.request.body.len() > each.bytes && group.len() > 1 => {
                    divide(group, &mut waiting);
                    continue;
                }
                Ok(built) => built,
                Err(reason) => {
                    end_all(&group, &Outcome::Reject { reason }.into());
                    continue;
                }
            };
            let answer = match self
                .send(&built.request, group.iter().map(|entry| entry.member))
                .await
            {
                Ok(answer) => answer,
                Err(error) => {
                    self.note_requests(each, template, &mut group);
                    end_all(&group, &error);
                    return false;
                }
            };
            self.note_requests(each, template, &mut group);
            let records: Vec<Value> = group.iter().map(|entry| entry.record.clone()).collect();
            let is_repeated = group.iter().any(|entry| entry.member.delivery.attempt > 1);
            let now = self.clock.now();
            match each.read_answer(&answer, &records, &self.plan.meanings, is_repeated, now) {
                Reading::Split => {
                    for entry in &group {
                        entry.member.results.undo(entry.member.index);
                    }
                    divide(group, &mut waiting);
                }
                Reading::All(mut result) => {
                    result.notes.extend(built.notes);
                    let is_stopped = stops(&result);
                    end_all(&group, &result);
                    if is_stopped {
                        return false;
                    }
                }
                Reading::Each(parts) => {
                    let is_stopped = parts.iter().any(stops);
                    for (entry, result) in group.iter().zip(parts) {
                        entry.end(result);
                    }
                    if is_stopped {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// A record that cannot be made ends alone, so it does not spoil the request.
    fn entry<'a>(&self, each: &Each, template: &Template, member: Member<'a>) -> Option<Entry<'a>> {
        match template.part(member.delivery, None) {
            Ok(part) => {
                self.warn_of(&part);
                let record = each.record(part.members.clone(), &member.delivery.key.0);
                Some(Entry {
                    member,
                    record,
                    part,
                    sent: None,
                })
            }
            Err(outcome) => {
                member.results.end(member.index, outcome.into());
                None
            }
        }
    }

    fn build_many(&self, each: &Each, template: &Template, group: &[Entry<'_>]) -> Result<Built, String> {
        let keys: Vec<&str> = group
            .iter()
            .map(|entry| entry.member.delivery.key.0.as_str())
            .collect();
        // The same records in the same order have the same key.
        let key = match keys.as_slice() {
            [one] => (*one).to_owned(),
            many => IdempotencyKey::derive("", "", many.join(" ").as_bytes(), &self.name, "batch").0,
        };
        let parts: Vec<(Value, &Part)> = group
            .iter()
            .map(|entry| (entry.record.clone(), &entry.part))
            .collect();
        template.request_of_many(each, &parts, self.making(&key))
    }

    /// Each record keeps its own part of the request: an erasure must not leave it with another person's.
    fn note_requests(&self, each: &Each, template: &Template, group: &mut [Entry<'_>]) {
        for entry in group {
            let key = entry.member.delivery.key.0.clone();
            let own = [(entry.record.clone(), &entry.part)];
            let built = template.request_of_many(each, &own, self.making(&key));
            entry.sent = built.ok().map(|built| template.kept(&built.request));
        }
    }

    async fn deliver_one(&self, member: Member<'_>) -> AttemptResult {
        let delivery = member.delivery;
        // Nobody is looked up for a request that must not be sent.
        if let Err(outcome) = self.plan.template(delivery, true) {
            return outcome.into();
        }
        let mut sent = Vec::new();
        let found = match &self.plan.find {
            None => None,
            Some(find) => match self.find(find, member, &mut sent).await {
                Found::Id(id) => Some(id),
                Found::Nobody => None,
                Found::Ended(result) => return with_request(result, &sent),
            },
        };
        let template = match self.plan.template(delivery, found.is_some()) {
            Ok((_, template)) => template,
            Err(outcome) => return outcome.into(),
        };
        if let (Some(find), None) = (&self.plan.find, &found)
            && let Some(outcome) = without_person(find, template)
        {
            return with_request(outcome.into(), &sent);
        }
        let part = match template.part(delivery, found.as_deref()) {
            Ok(part) => part,
            Err(outcome) => return with_request(outcome.into(), &sent),
        };
        self.warn_of(&part);
        let mut notes = part.notes.clone();
        let built = match template.request(part, self.making(&delivery.key.0)) {
            Ok(built) => built,
            Err(reason) => return Outcome::Reject { reason }.into(),
        };
        notes.extend(built.notes);
        sent.push(template.kept(&built.request));
        let mut result = match self.send(&built.request, [member]).await {
            Ok(answer) => self.understand(&answer, template, &delivery.record),
            Err(error) => error,
        };
        result.notes.extend(notes);
        with_request(result, &sent)
    }

    async fn find(&self, find: &Find, member: Member<'_>, sent: &mut Vec<String>) -> Found {
        let built = find.template.part(member.delivery, None).and_then(|part| {
            self.warn_of(&part);
            let built = find
                .template
                .request(part, self.making(&Find::key(member.delivery)));
            built.map_err(|reason| Outcome::Reject { reason })
        });
        match built {
            Err(outcome) => Found::Ended(outcome.into()),
            Ok(built) => {
                sent.push(find.template.kept(&built.request));
                match self.send(&built.request, [member]).await {
                    Ok(answer) => find.understand(&answer, &self.plan.meanings, self.clock.now()),
                    Err(error) => Found::Ended(error),
                }
            }
        }
    }

    fn making<'k>(&self, key: &'k str) -> Making<'k> {
        Making {
            key,
            now: self.clock.now(),
            masked: false,
        }
    }

    /// Sends a request about these deliveries, when the limit allows it. A token that is not accepted is renewed once.
    async fn send<'a>(
        &self,
        request: &HttpRequest,
        members: impl IntoIterator<Item = Member<'a>>,
    ) -> Result<Answer, AttemptResult> {
        let members: Vec<Member<'a>> = members.into_iter().collect();
        let Some(access) = &self.access else {
            return self.send_once(request, &members).await;
        };
        let mut request = request.clone();
        let token = access.token(None).await?;
        Access::authorize(&mut request.headers, &token)?;
        let answer = self.send_once(&request, &members).await?;
        if answer.status != 401 {
            return Ok(answer);
        }
        let token = access.token(Some(&token)).await?;
        Access::authorize(&mut request.headers, &token)?;
        self.send_once(&request, &members).await
    }

    async fn send_once(
        &self,
        request: &HttpRequest,
        members: &[Member<'_>],
    ) -> Result<Answer, AttemptResult> {
        if let Some(spread) = &self.spread {
            spread.wait(&*self.clock).await;
        }
        for member in members {
            member.results.start(member.index);
        }
        Ok(self.client.send(request).await?)
    }

    fn warn_of(&self, part: &Part) {
        for code in &part.unknown {
            self.warn_once(unknown_code(code));
        }
    }

    /// Logs a warning, once.
    fn warn_once(&self, what: String) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if !warned.contains(&what) {
            warn!(destination = &*self.name, "{what}");
            warned.insert(what);
        }
    }

    fn understand(&self, answer: &Answer, template: &Template, record: &Record) -> AttemptResult {
        let mut result = self
            .plan
            .meanings
            .result(answer, template.names_person(), self.clock.now());
        if let Outcome::Delivered { .. } = result.outcome {
            result.writes = self.writes(answer, record);
        }
        result
    }

    /// The values of the response to write into the contact. An incomplete response gives none.
    fn writes(&self, answer: &Answer, record: &Record) -> BTreeMap<String, Value> {
        if self.plan.update.is_empty() {
            return BTreeMap::new();
        }
        if !answer.complete {
            self.warn_once(format!(
                "a response was incomplete or longer than {} bytes: the contact is not updated from it",
                response::MAX_BYTES
            ));
            return BTreeMap::new();
        }
        let content_type = answer
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let content = match response::read(content_type, &answer.body) {
            Ok(Some(content)) => content,
            Ok(None) => return BTreeMap::new(),
            Err(why) => {
                self.warn_once(format!("the contact is not updated from a response: {why}"));
                return BTreeMap::new();
            }
        };
        let mut notes = Vec::new();
        let writes = response::writes(&self.plan.update, &content, record, &self.plan.zone, &mut notes);
        for note in notes {
            self.warn_once(note);
        }
        writes
    }
}

impl Entry<'_> {
    fn end(&self, mut result: AttemptResult) {
        result.notes.extend(self.part.notes.iter().cloned());
        result.request.clone_from(&self.sent);
        self.member.results.end(self.member.index, result);
    }
}

/// The outcome if nobody was found and nothing is sent for that reason.
fn without_person(find: &Find, template: &Template) -> Option<Outcome> {
    let reason = "the look-up found nobody at the destination".to_owned();
    match find.missing {
        Missing::Reject => Some(Outcome::Reject { reason }),
        Missing::Skip => Some(Outcome::Skip { reason }),
        Missing::Create if template.needs_id() => Some(Outcome::Skip { reason }),
        Missing::Create => None,
    }
}

/// Adds what was sent to the result.
fn with_request(mut result: AttemptResult, sent: &[String]) -> AttemptResult {
    let mut text = sent.join("\n\n");
    text.truncate(text.floor_char_boundary(AttemptResult::REQUEST_BYTES));
    result.request = Some(text).filter(|text| !text.is_empty());
    result
}

fn end_all(group: &[Entry<'_>], result: &AttemptResult) {
    for entry in group {
        entry.end(result.clone());
    }
}

/// The first half comes first.
fn divide<'a>(mut group: Vec<Entry<'a>>, waiting: &mut Vec<Vec<Entry<'a>>>) {
    let second = group.split_off(group.len().div_ceil(2));
    waiting.push(second);
    waiting.push(group);
}
