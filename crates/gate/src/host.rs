//! What the gate needs of the machine it runs on.
//!
//! Knows: time, and how to let something go on by itself.
//! Does not know: what goes on.
//!
//! It is a trait so that tests can walk every interleaving of a few agents by hand, with time that stands still.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::Moment;

/// Something that goes on by itself.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The machine.
pub trait Host: Send + Sync + 'static {
    /// The wall clock.
    fn now(&self) -> Moment;
    /// Microseconds from some fixed moment; never goes back.
    fn micros(&self) -> u64;
    /// Done after so many milliseconds.
    fn sleep(&self, ms: u64) -> Task;
    /// Goes on even if whoever asked for it goes away.
    fn spawn(&self, task: Task);
    /// Thinks hard, where that does not keep others from being served.
    fn think(&self, work: Box<dyn FnOnce() + Send>);
}

/// The real machine, under tokio. Made within a runtime.
#[derive(Debug)]
pub struct TokioHost {
    runtime: tokio::runtime::Handle,
    started: Instant,
}

impl TokioHost {
    /// The machine as the current runtime sees it.
    ///
    /// # Errors
    /// When no runtime is running here.
    pub fn current() -> Result<Self, tokio::runtime::TryCurrentError> {
        Ok(Self { runtime: tokio::runtime::Handle::try_current()?, started: Instant::now() })
    }
}

impl Host for TokioHost {
    fn now(&self) -> Moment {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn sleep(&self, ms: u64) -> Task {
        Box::pin(tokio::time::sleep(Duration::from_millis(ms)))
    }

    fn spawn(&self, task: Task) {
        self.runtime.spawn(task);
    }

    fn think(&self, work: Box<dyn FnOnce() + Send>) {
        self.runtime.spawn_blocking(work);
    }
}
