//! Makes the calls of a connector: groups deliveries whose next step is the same, sends, reads, and halves a batch that one
//! delivery spoils.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use causeway_core::{
    clock::Clock,
    delivery::Delivery,
    destination::{AttemptResult, CheckError, Destination, Outcome, Results},
};

use super::{
    Connector, Limit, Reading, Task,
    limit::Spread,
    memory,
    session::{Renewed, Session},
};
use crate::{
    http::{Answer, Client, HttpRequest, SendError},
    oauth::{Access, Failure},
};

/// A destination that a connector describes.
pub struct Http<C> {
    connector: C,
    client: Client,
    clock: Arc<dyn Clock>,
    spread: Option<Spread>,
    /// Those of [`Connector::own_limit`].
    own_spreads: Mutex<Vec<(Limit, Arc<Spread>)>>,
    access: Option<Renewed>,
    remarks: Mutex<Vec<String>>,
}

impl<C: Connector> Http<C> {
    pub fn new(connector: C, client: Client, clock: Arc<dyn Clock>) -> Self {
        Self {
            spread: connector.limit().map(Spread::new),
            connector,
            client,
            clock,
            own_spreads: Mutex::default(),
            access: None,
            remarks: Mutex::default(),
        }
    }

    /// Puts a token of this credential into each request.
    #[must_use]
    pub fn with_access(self, access: Option<Access>) -> Self {
        let access = access.map(Box::new).map(Renewed::OAuth);
        Self { access, ..self }
    }

    /// Puts the token of this session into each request.
    #[must_use]
    pub fn with_session(self, session: Session) -> Self {
        let access = Some(Renewed::Session(Box::new(session)));
        Self { access, ..self }
    }

    /// Sends the request. A token that the vendor does not accept is renewed once; the second refusal is the response.
    async fn send<E>(&self, request: &HttpRequest, own: Option<Limit>) -> Result<Answer, E>
    where
        E: From<SendError> + From<Failure>,
    {
        let Some(access) = &self.access else {
            return Ok(self.send_once(request, own).await?);
        };
        let (spread, clock) = (self.spread.as_ref(), &*self.clock);
        let mut request = request.clone();
        let token = access.token::<E>(None, spread, clock).await?;
        access.authorize(&mut request.headers, &token)?;
        let answer = self.send_once(&request, own).await?;
        if !access.is_rejected(&answer) {
            return Ok(answer);
        }
        let token = access.token::<E>(Some(&token), spread, clock).await?;
        access.authorize(&mut request.headers, &token)?;
        Ok(self.send_once(&request, own).await?)
    }

    async fn send_once(&self, request: &HttpRequest, own: Option<Limit>) -> Result<Answer, SendError> {
        if let Some(limit) = own {
            self.own_spread(limit).wait(&*self.clock).await;
        }
        if let Some(spread) = &self.spread {
            spread.wait(&*self.clock).await;
        }
        self.client.send(&self.connector.signed(request)).await
    }

    fn own_spread(&self, limit: Limit) -> Arc<Spread> {
        let mut own = self.own_spreads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, spread)) = own.iter().find(|(of, _)| *of == limit) {
            return Arc::clone(spread);
        }
        let spread = Arc::new(Spread::new(limit));
        own.push((limit, Arc::clone(&spread)));
        spread
    }

    /// Does one call for these tasks.
    async fn call(&self, tasks: &mut [Task<'_, C>], group: &[usize]) {
        let Some(step) = group.first().and_then(|at| tasks.get(*at)?.step()).cloned() else {
            return;
        };
        let request = {
            let members: Vec<&Task<'_, C>> = group.iter().filter_map(|at| tasks.get(*at)).collect();
            self.connector.request(&step, &members)
        };
        if let [only] = group
            && let Some(task) = tasks.get_mut(*only)
        {
            task.note_request(&request);
        } else {
            // Each delivery keeps its own part of a shared call: an erasure must not leave it with another person's.
            for at in group {
                if let Some(task) = tasks.get_mut(*at) {
                    let own = self.connector.request(&step, &[task]);
                    task.note_request(&own);
                }
            }
        }
        let own = self.connector.own_limit(&step);
        let answered: Result<Answer, AttemptResult> = self.send(&request, own).await;
        let mut members = members(tasks, group);
        match answered {
            Ok(answer) => {
                let now = self.clock.now();
                for task in &mut members {
                    task.note_answer(answer.status, now);
                }
                settle(&self.connector, &step, &answer, &mut members, &*self.clock);
            }
            Err(error) => {
                for task in members {
                    task.end(error.clone());
                }
            }
        }
    }
}

/// The tasks of a group, whose positions ascend.
fn members<'t, 'd, C: Connector>(tasks: &'t mut [Task<'d, C>], group: &[usize]) -> Vec<&'t mut Task<'d, C>> {
    let mut group = group.iter().peekable();
    let all = tasks.iter_mut().enumerate();
    all.filter(|(at, _)| group.next_if(|member| *member == at).is_some())
        .map(|(_, task)| task)
        .collect()
}

/// Reads the response, and moves the tasks to their next step or their end.
pub(super) fn settle<C: Connector>(
    connector: &C,
    step: &C::Step,
    answer: &Answer,
    tasks: &mut [&mut Task<'_, C>],
    clock: &dyn Clock,
) {
    let half = tasks.len().div_ceil(2);
    match connector.read(step, answer, tasks, clock.now()) {
        Reading::Read => {
            for task in &mut *tasks {
                task.go_on();
            }
        }
        Reading::Split if tasks.len() > 1 => {
            for task in &mut *tasks {
                task.most = half;
            }
        }
        // A connector splits no call about one delivery; if it did, the call would be repeated for ever.
        Reading::Split => {
            let refused = Outcome::Reject {
                reason: format!("answered {}", answer.status),
            };
            for task in &mut *tasks {
                task.end(answer.result_with(refused.clone()));
            }
        }
        Reading::All(result) => {
            for task in &mut *tasks {
                task.end(result.clone());
            }
        }
    }
    // The response of a shared call may name others, and an erasure must not leave one person with another's delivery.
    if tasks.len() > 1 {
        for task in tasks {
            task.hide_others();
        }
    }
}

/// Ends all deliveries that are left, without an attempt, if the vendor takes none for now or needs a person.
fn stop_if_nothing_is_taken<C: Connector>(tasks: &mut [Task<'_, C>], group: &[usize]) {
    let members = || group.iter().filter_map(|at| tasks.get(*at));
    let rest = members().filter_map(|task| task.rest).max();
    let stop = members().find_map(|task| match task.outcome() {
        Some(stop @ (Outcome::Busy { .. } | Outcome::Halt { .. })) => Some(stop.clone()),
        _ => None,
    });
    let stop = stop.or_else(|| {
        Some(Outcome::Busy {
            reason: "the vendor's limit of calls is reached".to_owned(),
            after: Some(rest?),
        })
    });
    if let Some(stop) = stop {
        for task in tasks.iter_mut().filter(|task| task.step().is_some()) {
            task.end(stop.clone().into());
        }
    }
}

/// The tasks of the next call: one of the lowest order, and others with the same step and another subject. It is one that
/// has the most steps left: so those that need calls of their own catch up, and later calls are shared again. The
/// positions ascend.
pub(super) fn next_group<C: Connector>(connector: &C, tasks: &[Task<'_, C>]) -> Vec<usize> {
    let order = |task: &Task<'_, C>| task.step().map(|step| connector.order(step));
    let lowest = tasks.iter().filter_map(order).min();
    let left = tasks
        .iter()
        .filter(|task| order(task) == lowest)
        .map(Task::steps_left);
    let furthest = left.max().unwrap_or_default();
    let mut group: Vec<usize> = Vec::new();
    let mut subjects: HashSet<String> = HashSet::new();
    let mut step: Option<&C::Step> = None;
    let mut most = usize::MAX;
    for (at, task) in tasks.iter().enumerate() {
        if group.len() >= most {
            break;
        }
        let Some(own) = task.step() else { continue };
        match step {
            None if order(task) != lowest || task.steps_left() < furthest => continue,
            None => {
                step = Some(own);
                most = connector.most(own).min(task.most);
            }
            Some(step) if step != own => continue,
            Some(_) => {}
        }
        if group.len() >= task.most || !subjects.insert(connector.subject(task)) {
            continue;
        }
        most = most.min(task.most);
        group.push(at);
    }
    group
}

#[async_trait]
impl<C: Connector> Destination for Http<C> {
    async fn check(&self) -> Result<(), CheckError> {
        let mut remarks = Vec::new();
        for probe in self.connector.probes(self.clock.now()) {
            let answer = self.send::<CheckError>(&probe.request, None).await?;
            if answer.status == 429 || answer.status >= 500 {
                return Err(CheckError::Unavailable(format!("answered {}", answer.status)));
            }
            match (probe.judge)(&answer) {
                Ok(found) => remarks.extend(found),
                Err(why) => return Err(CheckError::Refused(why)),
            }
        }
        let version = self.connector.version();
        remarks.extend(version.and_then(|version| version.remark(self.clock.now())));
        *self.remarks.lock().unwrap_or_else(PoisonError::into_inner) = remarks;
        Ok(())
    }

    fn remarks(&self) -> Vec<String> {
        self.remarks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn deliver(&self, batch: &[Delivery]) -> Vec<AttemptResult> {
        let results = Results::new(batch.len());
        let tasks = self.work(batch, &results).await;
        tasks.iter().map(Task::result).collect()
    }

    async fn deliver_into(&self, batch: &[Delivery], results: &Results) {
        self.work(batch, results).await;
    }
}

impl<C: Connector> Http<C> {
    /// Makes all calls of a batch. Reports each delivery that ended as soon as that is known. Deliveries without a call,
    /// because the vendor takes none for now or needs a person, are not reported.
    async fn work<'d>(&self, batch: &'d [Delivery], results: &Results) -> Vec<Task<'d, C>> {
        let mut tasks: Vec<Task<'d, C>> = batch
            .iter()
            .map(|delivery| Task::new(delivery, self.connector.plan(delivery)))
            .collect();
        let now = self.clock.now();
        for task in &mut tasks {
            task.leave_out_if_unchanged(&self.connector, now);
        }
        // Tasks that were started, or ended without a call, and are not reported yet.
        let mut open: BTreeSet<usize> = (0..tasks.len())
            .filter(|at| tasks.get(*at).is_some_and(|task| task.step().is_none()))
            .collect();
        loop {
            open.retain(|at| match tasks.get(*at) {
                Some(task) if task.step().is_none() => {
                    results.end(*at, task.result());
                    false
                }
                _ => true,
            });
            self.connector.regroup(&mut tasks);
            let group = next_group(&self.connector, &tasks);
            if group.is_empty() {
                return tasks;
            }
            for at in &group {
                if let Some(delivery) = batch.get(*at) {
                    results.start_leaving(*at, memory::without_written(delivery.memory.as_ref()));
                }
                open.insert(*at);
            }
            self.call(&mut tasks, &group).await;
            stop_if_nothing_is_taken(&mut tasks, &group);
        }
    }
}
