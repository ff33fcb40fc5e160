//! The record of one action, under a name short enough to say on the telephone.
//!
//! Knows: what belongs to a case, and how case ids are numbered.
//! Does not know: where cases are kept.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use model::{Action, Effect, Footprint, Judgement, Micros, Ruling, Tier};
use serde::{Deserialize, Serialize};

use crate::Mode;
use crate::journal::{Entry, Record, Seq};
use crate::permit::Pins;

/// What people call a case: `7q3k`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CaseId(String);

/// Digits and letters that nobody takes for one another, read or heard.
const ALPHABET: &[u8; 28] = b"23456789abcdefghjkmnpqrtvwxy";
const BASE: u64 = ALPHABET.len() as u64;
/// Coprime to the base, so that multiplying by it visits every number once: neighbours look nothing alike.
const STRIDE: u64 = 383_021;

impl CaseId {
    /// The id of the n-th case. No two numbers share one, and ids grow by a place when the shorter ones are used up.
    pub fn of_number(number: u64) -> Self {
        let (mut rest, mut places, mut room) = (number, 4, BASE.pow(4));
        while rest >= room && places < 12 {
            rest -= room;
            places += 1;
            room = BASE.pow(places);
        }
        let scattered = (u128::from(rest) * u128::from(STRIDE) + u128::from(STRIDE)) % u128::from(room);
        let mut value = scattered as u64;
        let mut text = String::new();
        for _ in 0..places {
            let digit = ALPHABET.get((value % BASE) as usize).copied().unwrap_or(b'2');
            text.push(char::from(digit));
            value /= BASE;
        }
        Self(text)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Not the id of a case.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no case id: they are four or more of 2-9 and a-y, without the letters i, l, o, s, u and z")]
pub struct NotACaseId(String);

impl FromStr for CaseId {
    type Err = NotACaseId;

    fn from_str(text: &str) -> Result<Self, NotACaseId> {
        let known = (4..=12).contains(&text.len()) && text.bytes().all(|byte| ALPHABET.contains(&byte));
        if known { Ok(Self(text.to_owned())) } else { Err(NotACaseId(text.chars().take(20).collect())) }
    }
}

impl TryFrom<String> for CaseId {
    type Error = NotACaseId;

    fn try_from(text: String) -> Result<Self, NotACaseId> {
        text.parse()
    }
}

impl From<CaseId> for String {
    fn from(id: CaseId) -> Self {
        id.0
    }
}

/// An action with what would come of it and what is thought of that. Made by [`examine`](crate::examine) alone.
#[derive(Debug)]
pub struct Case<C> {
    pub(crate) id: CaseId,
    pub(crate) action: Arc<Action>,
    pub(crate) call: Arc<C>,
    /// As far as it is believed: this is judged, shown and granted.
    pub(crate) effect: Arc<Effect>,
    /// As the twin told it: this is compared with what is then observed. A forecast that was widened because the twin
    /// is often wrong is right more often, and must not make the twin seem so.
    pub(crate) told: Arc<Effect>,
    pub(crate) footprint: Arc<Footprint>,
    pub(crate) pins: Arc<Pins>,
    pub(crate) judgement: Judgement,
    pub(crate) tier: Tier,
    pub(crate) micros: Micros,
    /// Production would refuse by itself, in these words.
    pub(crate) foreseen: Option<String>,
    /// The last entry of the journal that the fork knew of.
    pub(crate) head: Seq,
    /// How much had been spent when this was judged: if no more has been since, the judgement stands.
    pub(crate) spent_at: u64,
}

impl<C> Case<C> {
    /// Its id.
    pub fn id(&self) -> &CaseId {
        &self.id
    }

    /// What was asked.
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// What would come of it.
    pub fn effect(&self) -> &Effect {
        &self.effect
    }

    /// What is thought of it.
    pub fn judgement(&self) -> &Judgement {
        &self.judgement
    }

    /// As the journal keeps it.
    pub(crate) fn entry(&self, number: u64, mode: Mode) -> Entry {
        let action = Action::clone(&self.action);
        Entry::Case(Box::new(Record { number, mode, action, ruling: self.ruling() }))
    }

    /// Everything of it that is printed and kept.
    pub fn ruling(&self) -> Ruling {
        let effect = Effect::clone(&self.effect);
        let ruling = Ruling::new(self.id.as_str(), &self.judgement, self.tier, self.micros, effect);
        Ruling { foreseen: self.foreseen.clone(), ..ruling }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn case_ids_are_short_unambiguous_and_never_repeat() {
        let ids: BTreeSet<CaseId> = (0..60_000).map(CaseId::of_number).collect();
        assert_eq!(ids.len(), 60_000);
        assert!(ids.iter().all(|id| id.as_str().len() == 4 && id.as_str().parse::<CaseId>().is_ok()));
        // All ids of four places are used before the first of five.
        let room = BASE.pow(4);
        assert_eq!(CaseId::of_number(room - 1).as_str().len(), 4);
        assert_eq!(CaseId::of_number(room).as_str().len(), 5);
        let every: BTreeSet<String> = (0..room).map(|n| String::from(CaseId::of_number(n))).collect();
        assert_eq!(every.len() as u64, room);
    }

    #[test]
    fn a_case_id_from_a_stranger_is_checked_before_it_is_looked_up() {
        for text in ["", "7q3", "7Q3K", "../..", "7q3k;", "0000", "7q3k7q3k7q3k7"] {
            assert!(text.parse::<CaseId>().is_err(), "{text:?}");
        }
        assert!("7q3k".parse::<CaseId>().is_ok());
    }
}
