//! Effects like one: what a person agrees to once for many actions.
//!
//! Knows: when an effect is of the same kind as one that was shown, and within which bounds.
//! Does not know: who agreed, for how long, or for how many.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Change, Decimal, Effect, FieldChange, Manner, ObjectRef, Range};

/// How an effect may differ from the one that was shown and still be like it.
///
/// Other objects of the same kinds in the same namespaces may be touched in the same manner, no more of them than shown. What
/// is written to them has to be what was shown, unless a bound says otherwise. Everything else in the forecast has to end no
/// worse than what was shown, by name: a service that was not seen to suffer may not suffer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Likeness {
    /// What may be written to a field, by its path; `*` is every field, and the whole of what is created.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Bound>,
    /// So many objects one action may touch; as many as were shown if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects_max: Option<u64>,
}

/// What may be written to a field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Bound {
    /// A number between these two, both included.
    Between(Decimal, Decimal),
    /// Anything.
    Any,
}

impl Bound {
    fn admits(&self, value: &Value) -> bool {
        match self {
            Self::Any => true,
            Self::Between(low, high) => {
                value.as_f64().map(Decimal::from_f64).is_some_and(|number| *low <= number && number <= *high)
            }
        }
    }
}

/// What an object is counted under: where its name does not matter.
type Sort<'o> = (&'o str, Option<&'o str>, Manner);

fn sort<'o>((object, change): (&'o ObjectRef, &Change)) -> Sort<'o> {
    (object.kind.as_str(), object.namespace.as_deref(), change.manner)
}

impl Likeness {
    /// Can anything be like this effect? What nobody could name, nobody can agree to for many; and what changes nothing that
    /// the action names (a credential is made) is told apart from others of its sort by nothing that is compared here.
    pub fn applies_to(shown: &Effect) -> bool {
        !shown.objects.unlisted && shown.objects.touched.values().any(|change| change.named)
    }

    /// Is the effect like the one that was shown?
    pub fn covers(&self, shown: &Effect, effect: &Effect) -> bool {
        Self::applies_to(shown)
            && Self::applies_to(effect)
            && self.covers_objects(shown, effect)
            && self.forecast(shown).covers(&effect.forecast)
    }

    fn covers_objects(&self, shown: &Effect, effect: &Effect) -> bool {
        let count = |effect: &'_ Effect| -> BTreeMap<(String, Option<String>, Manner), u64> {
            let mut counts = BTreeMap::new();
            for (kind, namespace, manner) in effect.objects.touched.iter().map(sort) {
                *counts.entry((kind.to_owned(), namespace.map(str::to_owned), manner)).or_default() += 1;
            }
            counts
        };
        let (seen, now) = (count(shown), count(effect));
        let few = match self.objects_max {
            Some(most) => effect.objects.touched.len() as u64 <= most && now.keys().all(|sort| seen.contains_key(sort)),
            None => now.iter().all(|(sort, count)| seen.get(sort).is_some_and(|seen| count <= seen)),
        };
        few && effect.objects.touched.iter().filter(|(_, change)| change.named).all(|named| self.writes(shown, named))
    }

    /// Does what the action itself does to an object lie within what was shown of objects of its sort?
    fn writes(&self, shown: &Effect, named: (&ObjectRef, &Change)) -> bool {
        let (_, change) = named;
        let alike: Vec<&Change> = shown
            .objects
            .touched
            .iter()
            .filter(|one| one.1.named && sort(*one) == sort(named))
            .map(|(_, seen)| seen)
            .collect();
        let Some(seen) = alike.first() else { return false };
        if change.manner == Manner::Deleted || self.fields.contains_key("*") {
            return true;
        }
        let was_shown = |field: &FieldChange| {
            let written = alike.iter().flat_map(|seen| &seen.fields);
            written.into_iter().any(|seen| seen.path == field.path && seen.after == field.after)
        };
        if change.fields.is_empty() || change.manner == Manner::Created {
            return alike.iter().any(|seen| seen.after == change.after && seen.after.is_some());
        }
        !seen.fields.is_empty()
            && change.fields.iter().all(|field| {
                self.fields.get(&field.path).map_or_else(|| was_shown(field), |bound| bound.admits(&field.after))
            })
    }

    /// The forecast that was shown, with as many objects as may be touched.
    fn forecast(&self, shown: &Effect) -> crate::Forecast {
        let mut forecast = shown.forecast.clone();
        if let Some(most) = self.objects_max {
            for touched in [&mut forecast.blast.objects, &mut forecast.blast.deleted] {
                if touched.touched.high() > 0 {
                    touched.touched = Range::between(touched.touched.low().min(most), touched.touched.high().max(most));
                }
            }
        }
        forecast
    }
}
