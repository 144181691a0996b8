//! Tasks by name, which a reload stops and starts one by one while the others go on.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use causeway_core::{id::Name, source::Stop};
use tokio_util::task::AbortOnDropHandle;

/// The tasks that run. They are aborted when this value is dropped.
#[derive(Default)]
pub struct Tasks(Mutex<BTreeMap<Name, Task>>);

struct Task {
    stop: Stop,
    handle: AbortOnDropHandle<()>,
}

impl Tasks {
    /// Starts a task, which ends soon after `stop`. One with the same name must have been stopped before.
    pub fn start(&self, name: &Name, stop: Stop, task: impl Future<Output = ()> + Send + 'static) {
        let handle = AbortOnDropHandle::new(tokio::spawn(task));
        self.locked().insert(Name::clone(name), Task { stop, handle });
    }

    /// Stops some tasks together, and waits until they have ended. Those that take longer are aborted.
    pub async fn stop(&self, names: &[Name], longest: Duration) {
        let mut stopping = Vec::new();
        {
            let mut running = self.locked();
            for name in names {
                stopping.extend(running.remove(name));
            }
        }
        for task in &stopping {
            task.stop.cancel();
        }
        let all = async {
            for task in stopping {
                // A panic was logged by the task.
                drop(task.handle.await);
            }
        };
        if tokio::time::timeout(longest, all).await.is_err() {
            tracing::warn!("a part took too long to stop, and was cut off");
        }
    }

    /// Waits until all have ended. They were stopped by a stop that all have in common.
    pub async fn ended(&self) {
        loop {
            let next = self.locked().pop_first();
            let Some((_, task)) = next else { return };
            drop(task.handle.await);
        }
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<Name, Task>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    #[tokio::test]
    async fn one_is_stopped_and_the_others_go_on() {
        let tasks = Tasks::default();
        let ended = Arc::new(AtomicUsize::new(0));
        let all = Stop::new();
        for name in ["a", "b"] {
            let (stop, ended) = (all.child_token(), Arc::clone(&ended));
            let own = stop.clone();
            tasks.start(&name.into(), stop, async move {
                own.cancelled().await;
                ended.fetch_add(1, Ordering::Relaxed);
            });
        }
        tasks
            .stop(&["a".into(), "unknown".into()], Duration::from_mins(1))
            .await;
        assert_eq!(ended.load(Ordering::Relaxed), 1);
        all.cancel();
        tasks.ended().await;
        assert_eq!(ended.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn one_that_does_not_end_is_cut_off() {
        let tasks = Tasks::default();
        tasks.start(&"a".into(), Stop::new(), std::future::pending());
        tasks.stop(&["a".into()], Duration::ZERO).await;
        tasks.ended().await;
    }
}
