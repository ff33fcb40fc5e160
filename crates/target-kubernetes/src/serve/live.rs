//! A cluster that lives: writes go to it one at a time, readers fork it, and its time passes.
//!
//! Knows: the cluster of the moment, who waits for its next version, how fast its clock runs.
//! Does not know: how requests come in.
//!
//! A read takes an O(1) clone and works on that; it waits for nobody. Writes, and the work that is due, take turns; each
//! works on a clone that becomes the cluster when it is done, so that one that panics leaves the cluster as it was.

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
    /// The cluster of the moment: locked to be cloned or replaced, and for nothing else.
    newest: Mutex<Cluster>,
    /// Held by whoever changes the cluster.
    turn: Mutex<Turn>,
    version: watch::Sender<u64>,
    wake: Notify,
    speed: Speed,
}

struct Turn {
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
        let now = cluster.now();
        let turn = Turn { anchor: (now, Instant::now()), haste: now, held: false, changes: 0 };
        Arc::new(Self { newest: Mutex::new(cluster), turn: Mutex::new(turn), version, wake: Notify::new(), speed })
    }

    /// A fork of the cluster as it is now.
    #[must_use]
    pub fn fork(&self) -> Cluster {
        self.newest().clone()
    }

    /// Changes the cluster; nothing else happens to it meanwhile.
    pub fn write<R>(&self, change: impl FnOnce(&mut Cluster) -> R) -> R {
        let mut turn = self.turn();
        if !turn.held {
            let now = self.wall(&turn);
            self.change(&mut turn, |cluster| cluster.advance(now));
        }
        let held = turn.held;
        let (result, changed) = self.change(&mut turn, |cluster| {
            let before = cluster.version();
            let result = change(cluster);
            // Whoever holds the clock holds time, not the controllers: what follows at once is done before the next
            // request, as on a real server, where they are quicker than a client.
            if held {
                cluster.settle(cluster.now());
            }
            (result, cluster.version() != before)
        });
        if changed {
            turn.haste = self.newest().now() + HASTE;
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
        let cluster = self.newest();
        Clock { now: cluster.now(), settled: cluster.next_due().is_none() }
    }

    /// Lets what is due within `limit` be done, and the clock stand still after the last of it. Takes the clock into
    /// the caller's hands: from now on it moves when told to.
    pub fn settle(&self, limit: Duration) -> Clock {
        let until = self.hold() + limit;
        let mut last_change = None;
        loop {
            // In turns, so that others' writes come in between as they would on a real server.
            let mut turn = self.turn();
            let (due, now) = {
                let cluster = self.newest();
                (cluster.next_due(), cluster.now())
            };
            let Some(due) = due.filter(|due| *due <= until) else {
                let settled = due.is_none() || last_change.is_none_or(|at: Time| at + QUIET <= until);
                return Clock { now, settled };
            };
            let done = self.change(&mut turn, |cluster| cluster.settle(due));
            last_change = done.last_change.or(last_change);
        }
    }

    /// Lets so much time pass, with all that is due in it, and takes the clock into the caller's hands.
    pub fn advance(&self, by: Duration) -> Clock {
        let until = self.hold() + by;
        loop {
            let mut turn = self.turn();
            let due = self.newest().next_due().filter(|due| *due <= until);
            self.change(&mut turn, |cluster| cluster.advance(due.unwrap_or(until)));
            if due.is_none() {
                return self.clock();
            }
        }
    }

    fn hold(&self) -> Time {
        self.turn().held = true;
        self.newest().now()
    }

    /// Gives the clock back: time passes by itself again.
    pub fn release(&self) {
        let mut turn = self.turn();
        let now = self.newest().now();
        *turn = Turn { anchor: (now, Instant::now()), haste: now + HASTE, held: false, changes: turn.changes };
        drop(turn);
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
            let mut turn = self.turn();
            if turn.held {
                return None;
            }
            let now = self.wall(&turn);
            self.change(&mut turn, |cluster| cluster.advance(now));
            let Some(due) = self.newest().next_due() else { return Some(TICK) };
            if self.speed != Speed::Max || due > turn.haste {
                let ahead = due.since(now).div_f64(self.factor().max(1e-6));
                return Some(ahead.clamp(Duration::from_millis(1), TICK));
            }
            (self.fork(), turn.changes, turn.haste)
        };
        // Looked for while others may write: what repeats may have to be done often before anything comes of it.
        let found = next_change(ahead, haste);
        let mut turn = self.turn();
        if turn.held || turn.changes != seen {
            return Some(BREATH); // someone wrote meanwhile: look again
        }
        match found {
            Some(ahead) => {
                turn.anchor = (ahead.now(), Instant::now());
                self.change(&mut turn, |cluster| *cluster = ahead);
            }
            None => turn.haste = self.newest().now(),
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
    fn wall(&self, turn: &Turn) -> Time {
        let (at, since) = turn.anchor;
        (at + since.elapsed().mul_f64(self.factor())).max(self.newest().now())
    }

    fn change<R>(&self, turn: &mut Turn, change: impl FnOnce(&mut Cluster) -> R) -> R {
        turn.changes += 1;
        let mut next = self.fork();
        let result = change(&mut next);
        let version = next.version();
        *self.newest() = next;
        self.version.send_if_modified(|known| std::mem::replace(known, version) != version);
        result
    }

    // A panic under either lock left the cluster as it was before: see `change`.

    fn newest(&self) -> MutexGuard<'_, Cluster> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use cluster::{ObjectKey, Schema, doc};

    use super::*;

    fn key() -> ObjectKey {
        ObjectKey::new("configmaps", "shop", "a")
    }

    fn live(speed: Speed) -> Arc<Live> {
        Live::new(Cluster::new(Schema::default(), Time::from_millis(1_790_000_000_000), 1), speed)
    }

    fn put(cluster: &mut Cluster) {
        cluster.write(&key(), Some(doc!({"kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop"}})));
    }

    #[test]
    fn a_read_does_not_wait_for_a_write() {
        let live = live(Speed::Max);
        let (begun, begins) = mpsc::channel();
        let (end, ends) = mpsc::channel();
        let writer = std::thread::spawn({
            let live = live.clone();
            move || {
                live.write(|cluster| {
                    put(cluster);
                    begun.send(()).unwrap();
                    ends.recv().unwrap();
                });
            }
        });
        begins.recv().unwrap();
        assert!(live.fork().get(&key()).is_none());
        end.send(()).unwrap();
        writer.join().unwrap();
        assert!(live.fork().get(&key()).is_some());
    }

    #[test]
    fn a_write_that_panics_leaves_everything_as_it_was() {
        let live = live(Speed::Max);
        let broken = std::thread::spawn({
            let live = live.clone();
            move || {
                live.write(|cluster| {
                    put(cluster);
                    panic!("a defect");
                });
            }
        });
        assert!(broken.join().is_err());
        assert!(live.fork().get(&key()).is_none());
        live.write(put);
        assert!(live.fork().get(&key()).is_some());
        assert!(live.versions().borrow().to_owned() > 1);
    }

    #[test]
    fn time_stands_still_in_the_hands_of_whoever_steers_it() {
        let live = live(Speed::Factor(1e6));
        let start = live.advance(Duration::ZERO).now;
        live.write(put);
        assert_eq!(live.tick(), None);
        assert_eq!(live.clock().now, start);
        assert_eq!(live.advance(Duration::from_secs(5)).now, start + Duration::from_secs(5));
        live.release();
        assert!(live.tick().is_some());
    }
}
