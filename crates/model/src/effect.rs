//! What an action would do: which objects it changes, and what becomes of the services that stand on them.
//!
//! Knows: one vocabulary for every target, and when one effect lies within another.
//! Does not know: what is acceptable. Policies say that.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::record;
use crate::{Among, Decimal, Digest, Footprint, Forecast, ObjectRef, Range};

/// The consequence of an action: the thing that is judged, approved, and compared with what was then observed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Effect {
    /// What is created, changed and deleted, by the action itself and by whatever reacts to it.
    #[serde(default)]
    pub objects: Objects,
    /// What that does to services, capacity, data, cost, reach and privilege.
    pub forecast: Forecast,
}

/// An effect, and what it was computed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prediction {
    /// What would happen.
    pub effect: Effect,
    /// What was read and changed on the way. Another action that touches it makes this prediction void.
    pub footprint: Footprint,
    /// The versions of the objects that production must still have when the action is committed.
    pub pins: BTreeMap<ObjectRef, String>,
}

impl Prediction {
    /// Nothing happens, whatever else does.
    pub fn nothing() -> Self {
        Self { effect: Effect::none(), footprint: Footprint::default(), pins: BTreeMap::new() }
    }

    /// Anything may happen, to anything.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self { effect: Effect::unknown(why), footprint: Footprint::everything(), pins: BTreeMap::new() }
    }
}

impl Effect {
    /// Nothing happens, surely. The effect of a read.
    pub fn none() -> Self {
        Self::default()
    }

    /// Anything may happen. No policy with a limit can allow it, and none can be sure enough to deny it.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self { objects: Objects { unlisted: true, ..Objects::default() }, forecast: Forecast::unknown(why) }
    }

    /// Is not even bounded how much is touched? Then no verdict on it may be an allow, whatever policies overlook.
    pub fn is_unknown(&self) -> bool {
        self.objects.unlisted && self.forecast.blast.objects.touched.high() == u64::MAX
    }

    /// What a grant and the journal call this effect.
    pub fn digest(&self) -> Digest {
        Digest::of(self)
    }

    /// Does the other lie within what a person saw when they were shown this one?
    ///
    /// Every object it touches was shown, in the same way (of interchangeable replicas, no more of them than
    /// shown); no forecast ends worse than the worst that was shown; nothing is lost, opened, gained or endangered
    /// that was not shown. Better than shown is within: who agreed to lose two endpoints has agreed to lose one.
    pub fn covers(&self, other: &Self) -> bool {
        self.objects.covers(&other.objects) && self.forecast.covers(&other.forecast)
    }

    /// The same effect, as believed of a twin that is wrong in this share of its forecasts (0..=1).
    pub fn widened(mut self, doubt: Decimal) -> Self {
        // A twin that is wrong more often than right cannot be trusted to have named everything.
        if doubt.plus(doubt) > Decimal::ONE {
            self.objects.unlisted = true;
        }
        self.forecast.widen(doubt);
        self
    }
}

/// How an object is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Manner {
    /// It was not there before.
    Created,
    /// It is there before and after, and differs.
    Changed,
    /// It is no longer there, or is on its way out.
    Deleted,
}

/// What is known of one touched object, beyond its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Created, changed or deleted.
    pub manner: Manner,
    /// The action names it, so that a person expects it; everything else is consequence.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub named: bool,
    /// If it is one of several that stand in for each other (a pod of a Deployment, an instance of a group): whose.
    /// Their names are chance, so a grant counts them instead of naming them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica_of: Option<ObjectRef>,
    /// The object as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Digest>,
    /// The object as it will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Digest>,
    /// Its labels or tags, before (or after, if it is new): environment, team, tier.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Which fields differ, for a person to read. Secret values are digests here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
    /// Facts of this kind of object that a site's own rules may ask for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, Value>,
}

impl Change {
    /// A change of which nothing but the manner is known.
    pub fn new(manner: Manner) -> Self {
        Self {
            manner,
            named: false,
            replica_of: None,
            before: None,
            after: None,
            labels: BTreeMap::new(),
            fields: Vec::new(),
            facts: BTreeMap::new(),
        }
    }
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldChange {
    /// Where: `spec.replicas`.
    pub path: String,
    /// What was there.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub before: Value,
    /// What will be.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub after: Value,
}

/// Every object that an action touches, directly or through what reacts to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Objects {
    /// Each with what is known of the change.
    pub touched: BTreeMap<ObjectRef, Change>,
    /// There may be others that nobody can name.
    pub unlisted: bool,
}

impl Objects {
    /// Records a change.
    pub fn insert(&mut self, object: ObjectRef, change: Change) {
        self.touched.insert(object, change);
    }

    /// The objects touched in one manner, in order.
    pub fn of(&self, manner: Manner) -> impl Iterator<Item = &ObjectRef> {
        self.touched.iter().filter(move |(_, change)| change.manner == manner).map(|(object, _)| object)
    }

    /// How many are touched in one manner.
    pub fn count(&self, manner: Manner) -> Range<u64> {
        let sure = self.of(manner).count() as u64;
        if self.unlisted { Range::between(sure, u64::MAX) } else { Range::exact(sure) }
    }

    /// The namespaces with anything touched in them.
    pub fn namespaces(&self) -> BTreeSet<&str> {
        self.touched.keys().filter_map(|object| object.namespace.as_deref()).collect()
    }

    fn covers(&self, other: &Self) -> bool {
        if self.unlisted {
            return true;
        }
        let (mine, theirs) = (self.replicas(), other.replicas());
        !other.unlisted
            && theirs.iter().all(|(group, count)| mine.get(group).is_some_and(|seen| count <= seen))
            && other
                .touched
                .iter()
                .filter(|(_, change)| change.replica_of.is_none())
                .all(|(object, change)| self.touched.get(object).is_some_and(|seen| seen.says(change)))
    }

    /// How many interchangeable objects of each group are touched in each manner.
    fn replicas(&self) -> BTreeMap<(&str, &ObjectRef, Manner), u64> {
        let mut groups = BTreeMap::new();
        for (object, change) in &self.touched {
            if let Some(owner) = &change.replica_of {
                *groups.entry((object.kind.as_str(), owner, change.manner)).or_default() += 1;
            }
        }
        groups
    }
}

impl Change {
    /// Is the other the same change? What the action itself writes must come out the same to the byte; objects that
    /// only react to it may differ in counters and times that no person was shown.
    fn says(&self, other: &Self) -> bool {
        self.manner == other.manner
            && (!other.named
                || match (&self.fields, &other.fields) {
                    (seen, now) if !seen.is_empty() || !now.is_empty() => seen == now,
                    _ => self.after == other.after,
                })
    }
}

record! {
    /// How [`Objects`] are written: names by manner, and details only of those of which there are any.
    struct ObjectLists {
        /// New ones.
        created: BTreeSet<ObjectRef> => "created",
        /// Different ones.
        changed: BTreeSet<ObjectRef> => "changed",
        /// Gone ones.
        deleted: BTreeSet<ObjectRef> => "deleted",
        /// More about some of them.
        details: BTreeMap<ObjectRef, Change> => "details",
        /// Others may be touched too.
        unlisted: bool => "unlisted",
    }
}

impl Serialize for Objects {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let names = |manner| self.of(manner).cloned().collect();
        let plain = |change: &Change| *change == Change::new(change.manner);
        ObjectLists {
            created: names(Manner::Created),
            changed: names(Manner::Changed),
            deleted: names(Manner::Deleted),
            details: self
                .touched
                .iter()
                .filter(|(_, change)| !plain(change))
                .map(|(object, change)| (object.clone(), change.clone()))
                .collect(),
            unlisted: self.unlisted,
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Objects {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let lists = ObjectLists::deserialize(deserializer)?;
        let mut objects = Self { touched: BTreeMap::new(), unlisted: lists.unlisted };
        for (names, manner) in
            [(lists.created, Manner::Created), (lists.changed, Manner::Changed), (lists.deleted, Manner::Deleted)]
        {
            objects.touched.extend(names.into_iter().map(|object| (object, Change::new(manner))));
        }
        objects.touched.extend(lists.details);
        Ok(objects)
    }
}

/// A set with doubt as one with more doubt: see [`Effect::widened`].
pub(crate) fn widen_set<T: Ord>(set: &mut Among<T>, doubt: Decimal) {
    set.unlisted |= doubt.plus(doubt) > Decimal::ONE;
}
