//! How often the twin is right, by kind of action: a fold over the journal's observations.
//!
//! Knows: scores, and how much doubt they leave.
//! Does not know: why the twin was wrong.

use std::collections::BTreeMap;

use model::{Decimal, Drift, Effect, TargetName};
use serde::Serialize;

/// The fidelity of a twin for one kind of action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Score {
    /// Commits that were measured.
    pub measured: u64,
    /// The share of forecasts that came out as forecast (0..=1), newer ones counting more.
    pub right: Decimal,
}

/// What a twin says of itself counts as so many measurements: one bad day does not outweigh it, twenty do.
const PRIOR: i64 = 20;
/// The newest measurement's weight once there are enough of them: one in fifty.
const MEMORY: u64 = 50;

/// Scores by target and kind of action.
#[derive(Debug, Default)]
pub(crate) struct Fidelity(BTreeMap<(TargetName, String), Score>);

impl Fidelity {
    /// Takes in one comparison. One in which everything was overtaken compares nothing, and says nothing.
    pub(crate) fn measure(&mut self, target: &TargetName, kind: &str, drift: &Drift) {
        if drift.compared == 0 {
            return;
        }
        let score =
            self.0.entry((target.clone(), kind.to_owned())).or_insert(Score { measured: 0, right: Decimal::ZERO });
        score.measured += 1;
        let weight = Decimal::ratio(1, score.measured.min(MEMORY));
        score.right = score.right.plus(drift.score().minus(score.right).times(weight));
    }

    /// How far an effect is to be doubted (0..=1): the less the twin has been right, the more.
    pub(crate) fn doubt(&self, target: &TargetName, kind: &str, effect: &Effect) -> Decimal {
        let told = effect.forecast.fidelity;
        let believed = match self.0.get(&(target.clone(), kind.to_owned())) {
            None => told,
            Some(score) => {
                let measured = i64::try_from(score.measured.min(MEMORY)).unwrap_or(0);
                let sum = told.times(Decimal::whole(PRIOR)).plus(score.right.times(Decimal::whole(measured)));
                sum.over(Decimal::whole(PRIOR + measured))
            }
        };
        Decimal::ONE.minus(believed)
    }

    /// Every score of a target.
    pub(crate) fn scores(&self, target: &TargetName) -> BTreeMap<String, Score> {
        self.0.iter().filter(|((of, _), _)| of == target).map(|((_, kind), score)| (kind.clone(), *score)).collect()
    }
}
