//! A cluster that lives: writes go to it one at a time, readers fork it, and its time passes.
//!
//! Knows: the cluster of the moment, who waits for its next version, how fast its clock runs.
//! Does not know: how requests come in.
//!
//! The lock is held for a write, never for a read: a read takes an O(1) clone and works on that. A write works on a
//! clone too, which becomes the cluster when it is done, so that a write that panics leaves the cluster as it was.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cluster::Cluster;
use tokio::sync::{Notify, watch};
use twin::Time;

/// With [`Speed::Max`], how far a write may make time leap, from one change that follows from it to the next. Beyond it,
/// time passes as on the wall, so that what repeats for ever (a cron job) does not make the years fly by.
const HASTE: Duration = Duration::from_secs(600);

/// Real time between two leaps: clients that poll see what lies between.
const BREATH: Duration = Duration::from_millis(2);

/// How often the clock moves though nothing is due: ages are shown in seconds.
const TICK: Duration = Duration::from_millis(500);

/// A settled cluster is one in which nothing has changed for so long.
const QUIET: Duration = Duration::from_secs(2);

/// How fast virtual time passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// From change to change without waiting, for ten virtual minutes after each write; then as on the wall.
    Max,
    /// So many times as fast as on the wall.
    Factor(f64),
}

/// Where a cluster's clock stands, and whether it came to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// What time it is in the cluster.
    pub now: Time,
    /// Whether nothing has changed for a while, or nothing is left to do.
    pub settled: bool,
}

/// A cluster that lives.
pub struct Live {
    core: Mutex<Core>,
    version: watch::Sender<u64>,
    wake: Notify,
    speed: Speed,
}

struct Core {
    cluster: Cluster,
    /// Virtual time and wall time at one moment from which the clock is read on.
    anchor: (Time, Instant),
    /// Until when time may pass in haste.
    haste: Time,
    /// Someone steers the clock: it stands still unless they say so.
    held: bool,
    /// Counts what was done to the cluster.
    changes: u64,
}

impl Live {
    /// Gives life to a cluster. Its time passes while [`Live::run`] is polled.
    #[must_use]
    pub fn new(cluster: Cluster, speed: Speed) -> Arc<Self> {
        let version = watch::Sender::new(cluster.version());
        let anchor = (cluster.now(), Instant::now());
        let haste = cluster.now();
        let core = Mutex::new(Core { cluster, anchor, haste, held: false, changes: 0 });
        Arc::new(Self { core, version, wake: Notify::new(), speed })
    }

    /// A fork of the cluster as it is now.
    #[must_use]
    pub fn fork(&self) -> Cluster {
        self.core().cluster.clone()
    }

    /// Changes the cluster; nothing else happens to it meanwhile.
    pub fn write<R>(&self, change: impl FnOnce(&mut Cluster) -> R) -> R {
        let mut core = self.core();
        if !core.held {
            let now = self.wall(&core);
            self.change(&mut core, |cluster| cluster.advance(now));
        }
        let before = core.cluster.version();
        let result = self.change(&mut core, change);
        if core.cluster.version() != before {
            core.haste = core.cluster.now() + HASTE;
            self.wake.notify_one();
        }
        result
    }

    /// The version of the newest change, and word of each new one.
    #[must_use]
    pub fn versions(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Where the clock stands.
    #[must_use]
    pub fn clock(&self) -> Clock {
        let core = self.core();
        Clock { now: core.cluster.now(), settled: core.cluster.next_due().is_none() }
    }

    /// Lets what is due within `limit` be done, and the clock stand still after the last of it. Takes the clock into
    /// the caller's hands: from now on it moves when told to.
    pub fn settle(&self, limit: Duration) -> Clock {
        let until = self.hold() + limit;
        let mut last_change = None;
        loop {
            let mut core = self.core();
            let Some(due) = core.cluster.next_due().filter(|due| *due <= until) else {
                let settled =
                    last_change.is_none_or(|at: Time| at + QUIET <= until) || core.cluster.next_due().is_none();
                return Clock { now: core.cluster.now(), settled };
            };
            let done = self.change(&mut core, |cluster| cluster.settle(due));
            last_change = done.last_change.or(last_change);
        }
    }

    /// Lets so much time pass, with all that is due in it, and takes the clock into the caller's hands.
    pub fn advance(&self, by: Duration) -> Clock {
        let until = self.hold() + by;
        loop {
            let mut core = self.core();
            let due = core.cluster.next_due().filter(|due| *due <= until);
            self.change(&mut core, |cluster| cluster.advance(due.unwrap_or(until)));
            if due.is_none() {
                return Clock { now: core.cluster.now(), settled: core.cluster.next_due().is_none() };
            }
        }
    }

    fn hold(&self) -> Time {
        let mut core = self.core();
        core.held = true;
        core.cluster.now()
    }

    /// Gives the clock back: time passes by itself again.
    pub fn release(&self) {
        let mut core = self.core();
        core.held = false;
        core.anchor = (core.cluster.now(), Instant::now());
        core.haste = core.cluster.now() + HASTE;
        drop(core);
        self.wake.notify_one();
    }

    /// Lets time pass, for ever.
    pub async fn run(self: Arc<Self>) {
        loop {
            let live = self.clone();
            // Work of a large cluster may take a while, and must not keep the executor's threads.
            let Ok(pause) = tokio::task::spawn_blocking(move || live.tick()).await else { continue };
            match pause {
                Some(pause) => {
                    let _ = tokio::time::timeout(pause, self.wake.notified()).await;
                }
                None => self.wake.notified().await,
            }
        }
    }

    /// Does what is due, and says how long to wait before the next time; none if the clock stands still.
    fn tick(&self) -> Option<Duration> {
        let (ahead, seen, haste) = {
            let mut core = self.core();
            if core.held {
                return None;
            }
            let now = self.wall(&core);
            self.change(&mut core, |cluster| cluster.advance(now));
            let Some(due) = core.cluster.next_due() else { return Some(TICK) };
            if self.speed != Speed::Max || due > core.haste {
                let ahead = due.since(now).div_f64(self.factor().max(1e-6));
                return Some(ahead.clamp(Duration::from_millis(1), TICK));
            }
            (core.cluster.clone(), core.changes, core.haste)
        };
        // Looked for without the lock: what repeats may have to be done often before anything comes of it.
        let found = next_change(ahead, haste);
        let mut core = self.core();
        if core.held || core.changes != seen {
            return Some(BREATH); // someone wrote meanwhile: look again
        }
        match found {
            Some(ahead) => {
                self.change(&mut core, |cluster| *cluster = ahead);
                core.anchor = (core.cluster.now(), Instant::now());
            }
            None => core.haste = core.cluster.now(),
        }
        Some(BREATH)
    }

    fn factor(&self) -> f64 {
        match self.speed {
            Speed::Max => 1.0,
            Speed::Factor(factor) => factor,
        }
    }

    /// What the clock would show now.
    fn wall(&self, core: &Core) -> Time {
        let (at, since) = core.anchor;
        (at + since.elapsed().mul_f64(self.factor())).max(core.cluster.now())
    }

    fn change<R>(&self, core: &mut Core, change: impl FnOnce(&mut Cluster) -> R) -> R {
        core.changes += 1;
        let mut next = core.cluster.clone();
        let result = change(&mut next);
        core.cluster = next;
        let version = core.cluster.version();
        self.version.send_if_modified(|known| std::mem::replace(known, version) != version);
        result
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        // A panic under the lock left the cluster as it was before: see `change`.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A cluster at its next change, if there is one until then. Work that changes nothing, such as looking again at what is
/// as it should be, is no reason for time to leap.
fn next_change(mut cluster: Cluster, until: Time) -> Option<Cluster> {
    let version = cluster.version();
    while let Some(due) = cluster.next_due().filter(|due| *due <= until) {
        cluster.advance(due);
        if cluster.version() != version {
            return Some(cluster);
        }
    }
    None
}
