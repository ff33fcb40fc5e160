//! What an autoscaler remembers: what it recommended and did in the last hour.
//!
//! Knows: stabilisation windows and scaling policies (`spec.behavior`), and how fast is too fast without them.
//! Does not know: why something was recommended.
//!
//! The real controller keeps this in its own memory and writes down every look, every 15 s. Ours is part of the cluster, so
//! that a fork remembers what its origin did; and it writes down *runs* of equal recommendations, so that looks at which
//! nothing can change need not be made: the next look makes good for them.

use std::time::Duration;

use twin::Time;

use super::replicas::Tolerances;
use crate::quantity::Quantity;
use crate::value::{Text, Value};

/// How often the real one looks (`--horizontal-pod-autoscaler-sync-period`).
pub(super) const PERIOD: Duration = Duration::from_secs(15);

/// For how long a lower recommendation waits where nothing else is said (`--horizontal-pod-autoscaler-downscale-stabilization`).
const DOWN_WINDOW_SECONDS: i64 = 300;

/// The longest window or period that may be asked for, in seconds.
const MEMORY: Duration = Duration::from_secs(3600);

/// What is missed of a target that is no change (`--horizontal-pod-autoscaler-tolerance`).
const TOLERANCE: f64 = 0.1;

/// The same recommendation, look after look.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Recommended {
    replicas: i64,
    /// At the last of these looks.
    last: Time,
}

/// Replicas that were added or taken away.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scaled {
    by: i64,
    at: Time,
}

/// What one autoscaler remembers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct History {
    recommended: Vec<Recommended>,
    ups: Vec<Scaled>,
    downs: Vec<Scaled>,
    /// It stopped looking because nothing could change: until the next look it would have recommended the same.
    pub(super) quiet: bool,
    /// What it selected last.
    pub(super) selector: Option<Text>,
    /// What its metrics said when this cluster was taken over from a real one.
    pub(super) learned: Option<Value>,
    /// Whether what it measured follows from the load on services.
    pub(super) follows_load: bool,
}

/// A number of replicas, and how it came to differ from the one that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bounded {
    pub(super) replicas: i64,
    pub(super) reason: &'static str,
    pub(super) message: &'static str,
}

/// What an autoscaler was told: bounds, and how fast it may go.
pub(super) struct Rules<'a> {
    pub(super) current: i64,
    pub(super) least: i64,
    pub(super) most: i64,
    /// `spec.behavior`; null if there is none.
    pub(super) behavior: &'a Value,
}

/// What came of a recommendation.
pub(super) struct Normalized {
    /// By what was recommended lately.
    pub(super) stabilized: Bounded,
    /// By the bounds and policies.
    pub(super) limited: Bounded,
    /// Whether either changed it.
    pub(super) held_back: bool,
}

const WITHIN: (&str, &str) = ("DesiredWithinRange", "the desired count is within the acceptable range");
const TOO_FEW: (&str, &str) = ("TooFewReplicas", "the desired replica count is less than the minimum replica count");
const TOO_MANY: (&str, &str) = ("TooManyReplicas", "the desired replica count is more than the maximum replica count");
const UP_LIMIT: (&str, &str) =
    ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate");
const DOWN_LIMIT: (&str, &str) =
    ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate");
const READY: (&str, &str) = ("ReadyForNewScale", "recommended size matches current size");
const DOWN_STABILIZED: (&str, &str) = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
);
const UP_STABILIZED: (&str, &str) = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);

fn bounded(replicas: i64, (reason, message): (&'static str, &'static str)) -> Bounded {
    Bounded { replicas, reason, message }
}

/// By how much usage may miss its target.
pub(super) fn tolerances(behavior: &Value) -> Tolerances {
    let said = |way: &str| {
        let tolerance = Quantity::of(behavior.at(&[way, "tolerance"]))?;
        Some(tolerance.as_milli() as f64 / 1000.0)
    };
    Tolerances { down: said("scaleDown").unwrap_or(TOLERANCE), up: said("scaleUp").unwrap_or(TOLERANCE) }
}

impl History {
    /// Begins to remember: what is there now is what was recommended.
    pub(super) fn begin(&mut self, replicas: i64, at: Time) {
        if self.recommended.is_empty() {
            self.recommended.push(Recommended { replicas, last: at });
        }
    }

    /// Makes good for the looks that were not made because they would have said the same.
    pub(super) fn catch_up(&mut self, now: Time) {
        if std::mem::take(&mut self.quiet)
            && let Some(last) = self.recommended.last_mut()
        {
            last.last = last.last.max(now - PERIOD);
        }
    }

    /// Writes a recommendation down, and gives what becomes of it.
    pub(super) fn normalize(&mut self, desired: i64, rules: &Rules<'_>, now: Time) -> Normalized {
        let stabilized =
            if rules.behavior.is_null() { self.highest(desired, now) } else { self.between(desired, rules, now) };
        self.remember(desired, now);
        let limited = if rules.behavior.is_null() {
            plainly(stabilized.replicas, rules)
        } else {
            self.by_policy(stabilized.replicas, rules, now)
        };
        let held_back = stabilized.replicas != desired || limited.replicas != stabilized.replicas;
        Normalized { stabilized, limited, held_back }
    }

    /// Writes down that it was scaled; only those who have policies need to know.
    pub(super) fn scaled(&mut self, rules: &Rules<'_>, to: i64, now: Time) {
        if rules.behavior.is_null() {
            return;
        }
        let by = to - rules.current;
        let events = if by > 0 { &mut self.ups } else { &mut self.downs };
        events.retain(|event| event.at + MEMORY > now);
        events.push(Scaled { by: by.abs(), at: now });
    }

    fn remember(&mut self, replicas: i64, now: Time) {
        self.recommended.retain(|run| run.last + MEMORY > now);
        match self.recommended.last_mut() {
            Some(run) if run.replicas == replicas => run.last = now,
            _ => self.recommended.push(Recommended { replicas, last: now }),
        }
    }

    /// What was recommended in the last so many seconds. A look that was exactly so long ago no longer counts: the real one is
    /// always a little late.
    fn since(&self, seconds: i64, now: Time) -> impl Iterator<Item = i64> {
        let window = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        self.recommended.iter().filter(move |run| run.last + window > now).map(|run| run.replicas)
    }

    fn highest(&self, desired: i64, now: Time) -> Bounded {
        let highest = self.since(DOWN_WINDOW_SECONDS, now).fold(desired, i64::max);
        bounded(highest, if highest == desired { READY } else { DOWN_STABILIZED })
    }

    fn between(&self, desired: i64, rules: &Rules<'_>, now: Time) -> Bounded {
        let window = |way: &str, otherwise| {
            rules.behavior.at(&[way, "stabilizationWindowSeconds"]).as_int().unwrap_or(otherwise)
        };
        let low = self.since(window("scaleUp", 0), now).fold(desired, i64::min);
        let high = self.since(window("scaleDown", DOWN_WINDOW_SECONDS), now).fold(desired, i64::max);
        let stabilized = rules.current.max(low).min(high);
        let why = match (stabilized == desired, desired >= rules.current) {
            (true, _) => READY,
            (false, true) => UP_STABILIZED,
            (false, false) => DOWN_STABILIZED,
        };
        bounded(stabilized, why)
    }

    fn by_policy(&self, desired: i64, rules: &Rules<'_>, now: Time) -> Bounded {
        let current = rules.current;
        if desired > current {
            let limit = self.limit("scaleUp", rules, now).max(current);
            let (most, why) = if rules.most > limit { (limit, UP_LIMIT) } else { (rules.most, TOO_MANY) };
            if desired > most {
                return bounded(most, why);
            }
        } else if desired < current {
            let limit = self.limit("scaleDown", rules, now).min(current);
            let (least, why) = if rules.least < limit { (limit, DOWN_LIMIT) } else { (rules.least, TOO_FEW) };
            if desired < least {
                return bounded(least, why);
            }
        }
        bounded(desired, WITHIN)
    }

    /// How far the policies of one direction let it go.
    fn limit(&self, way: &str, rules: &Rules<'_>, now: Time) -> i64 {
        let rule = rules.behavior.at(&[way]);
        let up = way == "scaleUp";
        let select = rule.at(&["selectPolicy"]).as_str().unwrap_or("Max");
        if select == "Disabled" {
            return rules.current;
        }
        let change = |events: &[Scaled], period: Duration| -> i64 {
            events.iter().filter(|event| event.at + period > now).map(|event| event.by).sum()
        };
        let proposals = rule.at(&["policies"]).items().iter().map(|policy| {
            let number = |field: &str| policy.at(&[field]).as_int().unwrap_or(0);
            let period = Duration::from_secs(u64::try_from(number("periodSeconds")).unwrap_or(0));
            let start = rules.current - change(&self.ups, period) + change(&self.downs, period);
            let value = number("value");
            match (policy.at(&["type"]) == "Percent", up) {
                (false, true) => start + value,
                (false, false) => start - value,
                // Upwards it is rounded up, or one would never grow; downwards what is left is.
                (true, true) => (start as f64 * (1.0 + value as f64 / 100.0)).ceil() as i64,
                (true, false) => (start as f64 * (1.0 - value as f64 / 100.0)) as i64,
            }
        });
        // The policy that changes most, or least.
        let furthest = if (select == "Min") == up { proposals.min() } else { proposals.max() };
        furthest.unwrap_or(rules.current)
    }
}

/// Without policies: within the bounds, and no more than twice as many at once, or four.
fn plainly(desired: i64, rules: &Rules<'_>) -> Bounded {
    let limit = (2 * rules.current).max(4);
    let (most, why) = if rules.most > limit { (limit, UP_LIMIT) } else { (rules.most, TOO_MANY) };
    if desired < rules.least {
        bounded(rules.least, TOO_FEW)
    } else if desired > most {
        bounded(most, why)
    } else {
        bounded(desired, WITHIN)
    }
}
