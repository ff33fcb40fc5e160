//! Production's twin, kept by list and watch over everything that production serves.
//!
//! Knows: which resources there are, what was last heard of each, and the newest snapshot of all.
//! Does not know: what anyone does with a snapshot.
//!
//! One task owns the cluster and applies what the followers hear; after each batch it publishes a clone, which costs
//! O(1) and which no reader ever waits for.

mod discover;
mod follow;
mod look;
mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use cluster::schema::Resource;
use cluster::value::Text;
use cluster::{Cluster, ObjectKey, Schema, Value};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tracing::{info, warn};

use crate::mask::Mask;
use crate::upstream::Upstream;
use discover::Discovery;
pub use follow::SILENCE;
use follow::{Follower, Word};
pub use look::{Look, look};

/// Resources whose change may mean that there are other resources.
const DEFINING: &[&str] = &["customresourcedefinitions.apiextensions.k8s.io", "apiservices.apiregistration.k8s.io"];

/// How long after such a change discovery is asked again: a definition is served a moment after it is written.
const DEBOUNCE: Duration = Duration::from_millis(500);

/// How often discovery is asked again though nothing is known to have changed.
const REDISCOVER: Duration = Duration::from_secs(60);

/// A resource that was known may be out of reach for so long before it counts as broken: API servers are restarted, and
/// what changes meanwhile fails the preconditions of a commit.
const MENDING: Duration = Duration::from_secs(5);

/// Words that wait to be applied.
const WORDS: usize = 1024;

/// How production is followed.
#[derive(Clone, Debug)]
pub struct Options {
    /// What was heard longer ago than this is stale.
    pub stale_after: Duration,
    /// Resources that are not followed. Events are a log, not state: nothing is decided by them.
    pub without: Vec<String>,
    /// Virtual time's seed in what is forked from the snapshots.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { stale_after: Duration::from_secs(180), without: vec!["events".to_owned()], seed: 1 }
    }
}

/// Production as last heard of. Cheap to clone.
#[derive(Clone)]
pub struct Snapshot {
    /// Everything there is. Secrets hold marks instead of values.
    pub cluster: Cluster,
    /// What was heard of each resource.
    pub parts: Arc<BTreeMap<Text, Part>>,
    /// Counts the snapshots.
    pub number: u64,
}

/// What was heard of one resource.
#[derive(Clone, Debug)]
pub struct Part {
    /// The version until which everything is known.
    pub version: u64,
    /// When production last showed that this is all there is.
    pub heard: Instant,
    /// Whether a whole list was ever heard.
    pub listed: bool,
    /// Why it cannot be followed, since when.
    pub broken: Option<(Instant, String)>,
}

/// The snapshot cannot be relied on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the twin is not known to be what production is: {0}")]
pub struct Stale(pub String);

impl Snapshot {
    /// Whether it can be relied on.
    ///
    /// # Errors
    /// [`Stale`] names a resource and what is wrong with it.
    pub fn fresh(&self, stale_after: Duration) -> Result<(), Stale> {
        if self.parts.is_empty() {
            return Err(Stale("nothing has been heard of it yet".to_owned()));
        }
        for (resource, part) in self.parts.iter() {
            if let Some((since, why)) = &part.broken
                && (!part.listed || since.elapsed() > MENDING)
            {
                return Err(Stale(format!("{resource}: {why}")));
            }
            if !part.listed {
                return Err(Stale(format!("{resource}: not listed yet")));
            }
            let age = part.heard.elapsed();
            if age > stale_after {
                let (age, limit) = (age.as_secs(), stale_after.as_secs());
                return Err(Stale(format!("{resource}: last heard of {age} s ago, the limit is {limit} s")));
            }
        }
        Ok(())
    }
}

/// Keeps production's twin.
pub struct Sync {
    newest: Arc<ArcSwap<Snapshot>>,
    numbers: watch::Receiver<u64>,
    stale_after: Duration,
    owner: AbortHandle,
}

impl Drop for Sync {
    fn drop(&mut self) {
        self.owner.abort();
    }
}

impl Sync {
    /// Starts to follow production. Comes back at once; [`ready`](Self::ready) waits for the first whole snapshot.
    #[must_use]
    pub fn start(upstream: Upstream, mask: Mask, now: twin::Time, options: Options) -> Arc<Self> {
        let cluster = Cluster::new(Schema::default(), now, options.seed);
        let snapshot = Snapshot { cluster, parts: Arc::default(), number: 0 };
        let newest = Arc::new(ArcSwap::from_pointee(snapshot.clone()));
        let (number, numbers) = watch::channel(0);
        let (say, words) = mpsc::channel(WORDS);
        let stale_after = options.stale_after;
        let owner = Owner {
            upstream,
            mask,
            without: options.without,
            newest: newest.clone(),
            number,
            snapshot,
            parts: BTreeMap::new(),
            listing: BTreeMap::new(),
            followers: BTreeMap::new(),
            say,
        };
        let owner = tokio::spawn(owner.run(words)).abort_handle();
        Arc::new(Self { newest, numbers, stale_after, owner })
    }

    /// Follows nothing: what it knows is what it is told.
    #[cfg(test)]
    pub(crate) fn by_hand(cluster: Cluster) -> (Arc<Self>, impl Fn(Cluster) + Send) {
        let part = Part { version: u64::MAX, heard: Instant::now(), listed: true, broken: None };
        let parts = Arc::new(BTreeMap::from([(Text::from("pods"), part)]));
        let at = move |cluster, number| Snapshot { cluster, parts: Arc::clone(&parts), number };
        let newest = Arc::new(ArcSwap::from_pointee(at(cluster, 1)));
        let (number, numbers) = watch::channel(1);
        let owner = tokio::spawn(async {}).abort_handle();
        let told = newest.clone();
        let tell = move |cluster| {
            let next = *number.borrow() + 1;
            told.store(Arc::new(at(cluster, next)));
            number.send_replace(next);
        };
        (Arc::new(Self { newest, numbers, stale_after: Duration::MAX, owner }), tell)
    }

    /// Ceases to follow production: what is known grows stale, and says so.
    pub fn stop(&self) {
        self.owner.abort();
    }

    /// The newest snapshot, however old.
    #[must_use]
    pub fn newest(&self) -> Arc<Snapshot> {
        self.newest.load_full()
    }

    /// The newest snapshot, to be judged by.
    ///
    /// # Errors
    /// [`Stale`] if it cannot be relied on.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>, Stale> {
        let newest = self.newest();
        newest.fresh(self.stale_after)?;
        Ok(newest)
    }

    /// Waits until there is a snapshot that can be relied on.
    ///
    /// # Errors
    /// [`Stale`] says what was wrong when the time was over.
    pub async fn ready(&self, patience: Duration) -> Result<Arc<Snapshot>, Stale> {
        let found = tokio::time::timeout(patience, self.until(|snapshot| snapshot.fresh(self.stale_after).is_ok()));
        match found.await {
            Ok(snapshot) => Ok(snapshot),
            Err(_) => self.snapshot(),
        }
    }

    /// Waits until a snapshot fulfils a condition, for ever if none does.
    pub async fn until(&self, condition: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let mut numbers = self.numbers.clone();
        loop {
            numbers.borrow_and_update();
            let newest = self.newest();
            if condition(&newest) {
                return newest;
            }
            if numbers.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

struct Owner {
    upstream: Upstream,
    mask: Mask,
    without: Vec<String>,
    newest: Arc<ArcSwap<Snapshot>>,
    number: watch::Sender<u64>,
    snapshot: Snapshot,
    parts: BTreeMap<Text, Part>,
    /// Of lists under way: what stood in the cluster and was not in the list so far.
    listing: BTreeMap<Text, BTreeSet<ObjectKey>>,
    followers: BTreeMap<Text, (Arc<Resource>, AbortHandle)>,
    say: mpsc::Sender<(Text, Word)>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        for (_, follower) in self.followers.values() {
            follower.abort();
        }
    }
}

impl Owner {
    async fn run(mut self, mut words: mpsc::Receiver<(Text, Word)>) {
        // Discovery takes its time on a production that is slow to answer, and must not keep words from being applied.
        let (ask, mut asked) = mpsc::channel::<()>(1);
        let (tell, mut schemas) = mpsc::channel::<Result<Schema, String>>(1);
        let upstream = self.upstream.clone();
        let discovering = tokio::spawn(async move {
            let mut discovery = Discovery::default();
            let mut pause = DEBOUNCE;
            loop {
                let schema = discovery.schema(&upstream).await;
                let failed = schema.is_err();
                if tell.send(schema).await.is_err() {
                    return;
                }
                if failed {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(REDISCOVER);
                    continue;
                }
                pause = DEBOUNCE;
                match tokio::time::timeout(REDISCOVER, asked.recv()).await {
                    Ok(None) => return,
                    Ok(Some(())) => tokio::time::sleep(DEBOUNCE).await,
                    Err(_) => {}
                }
            }
        });
        let _guard = AbortOnDrop(discovering.abort_handle());
        loop {
            tokio::select! {
                schema = schemas.recv() => match schema {
                    Some(Ok(schema)) => self.learn(schema),
                    Some(Err(why)) => self.undiscovered(why),
                    None => return,
                },
                word = words.recv() => {
                    let Some((resource, word)) = word else { return };
                    let mut defining = self.apply(&resource, word);
                    // What waits already goes into the same snapshot.
                    for _ in 0..WORDS {
                        let Ok((resource, word)) = words.try_recv() else { break };
                        defining |= self.apply(&resource, word);
                    }
                    if defining {
                        let _ = ask.try_send(());
                    }
                }
            }
            self.publish();
        }
    }

    fn publish(&mut self) {
        self.snapshot.number += 1;
        // No controller works here, so this only sets the clock that forks go on from.
        self.snapshot.cluster.advance(now());
        self.snapshot.parts = Arc::new(self.parts.clone());
        self.newest.store(Arc::new(self.snapshot.clone()));
        self.number.send_replace(self.snapshot.number);
    }

    /// Follows what there is now, and no longer what there was.
    fn learn(&mut self, schema: Schema) {
        self.parts.remove("");
        let wanted = stored(&schema, &self.without);
        let gone: Vec<Text> = self
            .followers
            .iter()
            .filter(|(id, (have, _))| wanted.get(*id).is_none_or(|want| want.version != have.version))
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            info!(resource = %id, "no longer served");
            self.forget(&id);
        }
        for (id, resource) in wanted {
            if self.followers.contains_key(&id) {
                continue;
            }
            let part = Part { version: 0, heard: Instant::now(), listed: false, broken: None };
            self.parts.insert(id.clone(), part);
            let follower = Follower {
                upstream: self.upstream.clone(),
                resource: resource.clone(),
                mask: self.mask.clone(),
                words: self.say.clone(),
            };
            self.followers.insert(id, (resource, tokio::spawn(follower.run()).abort_handle()));
        }
        self.snapshot.cluster.schema = schema;
    }

    fn forget(&mut self, id: &Text) {
        if let Some((_, follower)) = self.followers.remove(id) {
            follower.abort();
        }
        self.parts.remove(id);
        self.listing.remove(id);
        let keys: Vec<ObjectKey> = self.snapshot.cluster.list(id, None).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.snapshot.cluster.unload(&key);
        }
    }

    fn undiscovered(&mut self, why: String) {
        warn!(why, "production cannot be discovered");
        // Before the first discovery nothing else says why there is no twin. Later the followers do.
        if self.followers.is_empty() {
            let part = Part { version: 0, heard: Instant::now(), listed: false, broken: Some((Instant::now(), why)) };
            self.parts.insert(Text::new(), part);
        }
    }

    /// Applies a word; says whether there may be other resources now.
    fn apply(&mut self, resource: &Text, word: Word) -> bool {
        let defining = DEFINING.contains(&resource.as_str()) && matches!(word, Word::Here(_) | Word::Gone(_));
        // A follower that was stopped may have left words behind.
        let Some(part) = self.parts.get_mut(resource) else { return false };
        let key = |object: &Value| ObjectKey::new(resource.clone(), object.namespace(), object.name());
        match word {
            Word::Listing => {
                let keys = self.snapshot.cluster.list(resource, None).map(|(key, _)| key.clone()).collect();
                self.listing.insert(resource.clone(), keys);
            }
            Word::Here(objects) => {
                for object in objects {
                    let key = key(&object);
                    if let Some(missing) = self.listing.get_mut(resource) {
                        missing.remove(&key);
                    }
                    // A list repeats what is known; the known one shares its structure with older snapshots.
                    let known = self.snapshot.cluster.get(&key).map(Value::resource_version);
                    if known.is_none_or(|known| known.is_empty() || known != object.resource_version()) {
                        self.snapshot.cluster.load(key, object);
                    }
                }
            }
            Word::Gone(object) => self.snapshot.cluster.unload(&key(&object)),
            Word::Listed(version) => {
                for key in self.listing.remove(resource).unwrap_or_default() {
                    self.snapshot.cluster.unload(&key);
                }
                *part = Part { version, heard: Instant::now(), listed: true, broken: None };
            }
            Word::Until(version) => {
                part.version = part.version.max(version);
                part.heard = Instant::now();
                part.broken = None;
            }
            Word::Broken(why) => {
                if part.broken.is_none() {
                    warn!(%resource, why, "cannot be followed");
                }
                let since = part.broken.take().map_or_else(Instant::now, |(since, _)| since);
                part.broken = Some((since, why));
            }
            Word::Absent => {
                self.parts.remove(resource);
            }
        }
        defining
    }
}

/// What production serves.
///
/// # Errors
/// What went wrong, if it cannot be asked.
pub async fn schema(upstream: &Upstream) -> Result<Schema, String> {
    Discovery::default().schema(upstream).await
}

/// The resources that can be followed, by the name in their objects' keys, each in the form in which it is kept.
fn stored(schema: &Schema, without: &[String]) -> BTreeMap<Text, Arc<Resource>> {
    let mut wanted = BTreeMap::new();
    for resource in schema.resources() {
        if let Some(stored) = schema.stored(&resource.id())
            && stored.allows("list")
            && stored.allows("watch")
            && !without.iter().any(|without| *without == stored.id())
        {
            wanted.insert(stored.id(), stored.clone());
        }
    }
    wanted
}

/// What time it is in production, near enough.
fn now() -> twin::Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    twin::Time::from_millis(i64::try_from(since.as_millis()).unwrap_or(0))
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
